"""When a scene was taken: as the caller says, else as its tags say, else as its file name says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from embedstore.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAGS = (
    "acquisitiondatetime",
    "sensing_time",
    "datatake_1_datatake_sensing_start",
    "product_start_time",
    "date_acquired",
    "acquisition_date",
    "datetime",
    "tifftag_datetime",
)
"""Names of tags in lower case, those that can only mean the acquisition first."""

YEAR_FIRST = re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)([-_]?)(?P<m>\d\d)\2(?P<d>\d\d)(?:T(?P<t>\d{6}))?(?!\d)")
DAY_FIRST = re.compile(r"(?<!\d)(?P<d>\d\d)([-_.])(?P<m>\d\d)\2(?P<y>(?:19|20)\d\d)(?!\d)")


def parse(text: str | datetime) -> datetime:
    """Return a moment in UTC; a text without a zone is taken as UTC.

    Raises
    ------
    InputError
        If it is no ISO 8601 date or time.
    """
    if isinstance(text, str):
        try:
            text = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise InputError(
                f"{text!r} is no date or time; write it like 2019-04-16 or 2019-04-16T10:00:00Z."
            ) from error
    return text.replace(tzinfo=UTC) if text.tzinfo is None else text.astimezone(UTC)


def from_tags(tags: Mapping[str, str]) -> datetime | None:
    """Return the moment that the first known tag says, None if none does."""
    lower = {key.lower(): value for key, value in tags.items()}
    for text in (lower[name] for name in TAGS if name in lower):
        try:
            # TIFF 6.0 writes "YYYY:MM:DD HH:MM:SS".
            return parse(re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text.strip()))
        except InputError:
            continue
    return None


def from_name(name: str) -> datetime | None:
    """Return the first date in a file name (YYYYMMDD, YYYY-MM-DD, DD_MM_YYYY, …), with its time if it has one."""
    return next(_dates(name), None)


def _dates(name: str) -> Iterator[datetime]:
    for pattern in (YEAR_FIRST, DAY_FIRST):
        for found in pattern.finditer(name):
            part = found.groupdict()
            clock = part.get("t") or "000000"
            try:
                yield datetime.strptime(f"{part['y']}{part['m']}{part['d']}{clock}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            except ValueError:
                continue
