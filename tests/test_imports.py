"""The house rules that a machine can hold: the direction of imports, quick help, examples, a clean repository."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main

from query.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGES = ("embedstore", "indexer", "query")
MAY_IMPORT = {"embedstore": {"embedstore"}, "indexer": {"embedstore", "indexer"}, "query": set(PACKAGES)}
HEAVY = {"torch", "timm", "faiss", "sklearn", "pyarrow", "rasterio", "duckdb", "deltalake", "numpy", "shapely", "PIL"}
LAZY = {"torch", "timm", "faiss", "sklearn"}
COMMANDS = (
    "demo",
    "plan",
    "encode",
    "index",
    "import",
    "search",
    "sql",
    "classify",
    "suggest",
    "change",
    "export",
    "serve",
    "simulate",
    "pretrain",
    "delete",
    "info",
    "verify",
    "compact",
    "vacuum",
    "repair",
    "keys",
    "models",
)
OWN_CLASSES = ("query.fewshot.estimators", "indexer.networks", "indexer.pretrain.recipes.clip")
"""Scikit-learn's classifiers and torch's modules, made ours: whoever imports them wants those libraries."""
SOURCES = [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]


def modules_named_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_from_query_to_indexer_to_embedstore(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.partition(".")[0] for name in modules_named_in(path.read_text(encoding="utf-8"))} & {
        *PACKAGES,
        "tests",
        "benchmarks",
    }
    assert ours <= MAY_IMPORT[package]


def test_the_direction_test_sees_imports_inside_functions() -> None:
    assert "query.cli" in set(modules_named_in("def f():\n    from query.cli import app\n"))


def imported_by(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(json.loads(out.splitlines()[-1]))


def test_help_imports_nothing_heavy() -> None:
    help_ = "import query.cli\ntry:\n    query.cli.main(['--help'])\nexcept SystemExit:\n    pass"
    assert not imported_by(help_) & HEAVY


def test_public_modules_import_without_learning_libraries() -> None:
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in SOURCES]
    light = [name for name in names if "__main__" not in name and not name.startswith(OWN_CLASSES)]
    assert not imported_by("\n".join(f"import {name}" for name in light)) & LAZY


def test_every_command_is_there_and_its_help_shows_an_example_that_parses() -> None:
    group = typer.main.get_command(app)
    assert tuple(group.commands) == COMMANDS  # type: ignore[attr-defined]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help
        example = re.fullmatch(rf"Example: embedstore {name} (.*)", command.epilog)
        assert example, f"{name} has no example"
        command.make_context(name, shlex.split(example[1]))


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    homes = re.compile(rb"(?<![\w.])/(home|root|Users|work)/\w+")
    for path in tracked_files():
        if path.is_file() and path.suffix not in {".tif", ".png", ".safetensors"} and path != Path(__file__):
            found = homes.search(path.read_bytes())
            assert not found, f"{path.relative_to(ROOT)} names {found[0].decode()}"
