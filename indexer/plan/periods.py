"""Periods: spans of time of which each gets one vector a chip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from embedstore.errors import FilterError, InputError, SpecError
from indexer import acquisition

if TYPE_CHECKING:
    from collections.abc import Callable

SEASONS = {12: "DJF", 1: "DJF", 2: "DJF", 3: "MAM", 4: "MAM", 5: "MAM", 6: "JJA", 7: "JJA", 8: "JJA"}
"""Meteorological seasons by month, named by their months' first letters, as climatologists do; the rest is SON."""


def interval(text: str) -> tuple[datetime, datetime]:
    """Read ``A/B``, ISO 8601; a date without a time at the end means the whole day.

    Returns
    -------
    Start and end in UTC, both included.

    Raises
    ------
    FilterError
        If it is no closed interval.
    """
    first, slash, last = (part.strip() for part in text.partition("/"))
    try:
        start, end = acquisition.parse(first), acquisition.parse(last if slash else first)
    except InputError as error:
        raise FilterError(
            f"the dates {text!r} make no sense: {error} Give both ends, like 2019-03-01/2019-08-31."
        ) from error
    if len(last if slash else first) <= len("2019-08-31"):
        end += timedelta(days=1) - timedelta(microseconds=1)
    if end < start:
        raise FilterError(f"the dates {text!r} end before they begin; write the earlier one first.")
    return start, end


def _season(when: datetime) -> str:
    # December belongs to the winter that ends in the next year.
    return f"{when.year + (when.month == 12)}-{SEASONS.get(when.month, 'SON')}"


NAMES: dict[str, Callable[[datetime], str]] = {
    "month": lambda when: f"{when:%Y-%m}",
    "season": _season,
    "year": lambda when: f"{when:%Y}",
    "all": lambda when: "all",  # noqa: ARG005 - whenever it was
}
"""How a period is called, by its length."""


def namer(length: str) -> Callable[[datetime], str]:
    """Return what tells the period of a moment.

    Raises
    ------
    SpecError
        If periods have no such length.
    """
    if length not in NAMES:
        raise SpecError(f"period {length!r} is not known; choose {', '.join(NAMES)}.")
    return NAMES[length]


def middle(length: str, when: datetime, start: datetime, end: datetime) -> datetime:
    """Return the middle of that part of a moment's period that lies between two dates."""
    if length == "all":
        return start + (end - start) / 2
    months = {"month": 1, "season": 3, "year": 12}[length]
    offset = when.month % 3 if length == "season" else 0 if length == "month" else when.month - 1
    first = _month(when, -offset)
    return max(first, start) + (min(_month(first, months), end) - max(first, start)) / 2


def _month(when: datetime, later: int) -> datetime:
    """Return the first moment of the month that is some months later."""
    months = when.year * 12 + when.month - 1 + later
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
