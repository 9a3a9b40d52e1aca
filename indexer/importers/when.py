"""The year that annual vectors tell of: as the caller says, else as a folder or the file's name says."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from embedstore.errors import InputError
from indexer import acquisition

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.importers.source import Options

YEAR = re.compile(r"(?:^|_)((?:19|20)\d\d)(?=$|_|\.)")


def span(text: str) -> tuple[datetime, datetime]:
    """Return first and last moment of a year, of ``A/B``, or of one moment, UTC.

    Raises
    ------
    InputError
        If it is none of these, or ends before it begins.
    """
    if re.fullmatch(r"\d{4}", text):
        return datetime(int(text), 1, 1, tzinfo=UTC), datetime(int(text) + 1, 1, 1, tzinfo=UTC)
    first, _, last = text.partition("/")
    ends = acquisition.parse(first), acquisition.parse(last or first)
    if ends[0] > ends[1]:
        raise InputError(f"the time span {text!r} ends before it begins.")
    return ends


def with_year(options: Options, path: Path) -> Options:
    """Return options with the year that a path names, where the caller gave no time."""
    if options.span:
        return options
    parts = (path.name, *reversed(path.absolute().parent.parts[-3:]))
    years = [found[1] for found in (YEAR.search(part) for part in parts) if found]
    return replace(options, span=span(years[0])) if years else options
