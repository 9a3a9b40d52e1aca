"""What goes where: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def say(line: str) -> None:
    """Print a line of status to stderr."""
    sys.stderr.write(line + "\n")


def one_line(message: object) -> str:
    """Return a message as one line."""
    return " ".join(str(message).split())


def emit(data: dict[str, Any], lines: Iterable[str], as_json: bool) -> None:
    """Print a result to stdout: as JSON, or as lines to read."""
    if as_json:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        sys.stdout.writelines(line + "\n" for line in lines)


def count(number: int, noun: str, plural: str = "") -> str:
    """Return `1 chip`, `12,000 chips`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(bytes_: float) -> str:
    """Return a number of bytes in the unit that reads best."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if bytes_ < 1000:
            return f"{bytes_:.0f} {unit}" if unit == "bytes" else f"{bytes_:.1f} {unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f} TB"
