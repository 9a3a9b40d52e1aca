"""One table on the screen and, if asked for, the figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
        Column name to value; all rows have the columns of the first.
    figures
        Name to number, for a script to check.
    json_path
        Where to write ``{"title", "machine", "rows", "figures"}``; nowhere if None.
    """
    print(f"\n{title}")
    columns = list(rows[0]) if rows else []
    lines = [columns, *([_text(row[c]) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(value.rjust(width) for value, width in zip(line, widths, strict=True)))
    for name, value in figures.items():
        print(f"{name} = {_text(value)}")
    if json_path is not None:
        body = {"title": title, "machine": machine(), "rows": list(rows), "figures": dict(figures)}
        Path(json_path).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows ``--json``."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", metavar="F", help="also write the figures to this file")
    return made


def machine() -> str:
    """Return the processor and the number of cores."""
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
