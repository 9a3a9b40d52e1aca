"""The map's own unit tests, its formatting, and how it is built."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

import hatch_build

if TYPE_CHECKING:
    from pathlib import Path


def run(*command: str) -> str:
    ran = subprocess.run(
        command, cwd=hatch_build.WEB, env=hatch_build.node_environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module", autouse=True)
def _built(dist: Path) -> None:
    assert dist.is_dir()
    if not (hatch_build.WEB / "node_modules").is_dir():  # the files came built, as in an sdist
        hatch_build.npm("ci", "--no-audit", "--no-fund")


def test_unit_tests() -> None:
    out = run("node", "--test", "--test-reporter=tap", *map(str, sorted((hatch_build.WEB / "test").glob("*.test.ts"))))
    assert "# fail 0" in out
    assert "# pass 0" not in out


def test_formatting() -> None:
    run("node", "node_modules/prettier/bin/prettier.cjs", "--check", ".")


def test_a_build_is_made_once_and_anew_when_a_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(hatch_build, "WEB", tmp_path)
    monkeypatch.setattr(hatch_build, "npm", lambda *arguments: ran.append(arguments))
    (tmp_path / "dist").mkdir()
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "main.ts"
    source.write_text("1")
    assert hatch_build.build() == tmp_path / "dist"
    assert [command[0] for command in ran] == ["ci", "run"]
    hatch_build.build()
    assert len(ran) == 2
    source.write_text("2")
    hatch_build.build()
    assert len(ran) == 4
    source.rename(tmp_path / "src" / "other.ts")
    assert not hatch_build.fresh()


def test_the_build_says_what_npm_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hatch_build, "WEB", tmp_path)
    with pytest.raises(RuntimeError, match=r"(?s)npm run build failed in .*package\.json"):
        hatch_build.npm("run", "build")


def test_the_lock_file_names_no_host() -> None:
    lock = json.loads((hatch_build.WEB / "package-lock.json").read_text(encoding="utf-8"))
    assert all("resolved" not in package for package in lock["packages"].values())
    assert all("integrity" in package for path, package in lock["packages"].items() if path)


def test_built_files_carry_the_licences_of_what_they_bundle(dist: Path) -> None:
    text = (dist / "licenses.md").read_text(encoding="utf-8")
    assert all(name in text for name in ("maplibre-gl", "h3-js", "hyparquet", "topojson-client"))
