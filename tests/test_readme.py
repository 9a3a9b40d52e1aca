"""What the README shows works: its Python runs, its commands parse, its files are there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from query.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("embedstore ")]


def test_the_python_example_runs(store: Path, tmp_path: Path) -> None:
    (example,) = blocks("python")
    shutil.copytree(store, tmp_path / "demo" / "store")
    ran = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "exact=True" in ran.stdout
    assert re.search(r"^0 +[0-9a-f]{32} +\d", ran.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("line", command_lines())
def test_every_command_of_the_readme_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    typer.main.get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def test_every_command_is_in_the_readme() -> None:
    shown = {line.split()[1] for line in command_lines()}
    assert shown == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_every_make_target_of_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w+)", README.replace("and make", "")):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_the_picture_is_small_enough_for_a_readme() -> None:
    assert (ROOT / "docs" / "contact_sheet.png").stat().st_size <= 400_000
