"""`gpio check all`, with DuckDB's spatial extension put where it would have downloaded it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import duckdb_extension_spatial


def check(file: Path, home: Path) -> None:
    """Assert that the checker finds no fault with a file; `home` is a folder that may be filled."""
    system = {"Linux": "linux", "Darwin": "osx"}[platform.system()]
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    extensions = home / ".duckdb/extensions" / f"v{duckdb.__version__}" / f"{system}_{machine}"
    extensions.mkdir(parents=True, exist_ok=True)
    folder = Path(duckdb_extension_spatial.__file__).parent
    shutil.copy(next(folder.rglob("spatial.duckdb_extension")), extensions)
    ran = subprocess.run(
        [Path(sys.executable).with_name("gpio"), "check", "all", "--spec-details", file],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(home)},
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert "0 failed" in said, said
    assert "✗" not in said, said
    assert "❌" not in said, said
