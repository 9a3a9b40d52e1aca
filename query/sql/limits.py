"""What a statement from a stranger may use."""

from __future__ import annotations

import math
from dataclasses import dataclass

from embedstore.errors import QueryError


@dataclass(frozen=True)
class Limits:
    """Bounds on one statement; past any of them it is stopped with a :class:`~embedstore.errors.LimitError`.

    Parameters
    ----------
    seconds
        Time that it may run.
    memory_mb
        Memory that it may take, in megabytes (10⁶ bytes), beyond what an idle worker holds.
    rows
        Rows that it may return.
    answer_mb
        Size of what it may return, in megabytes, as text where text is asked for.
    temp_mb
        Disk that it may take for intermediate results, in megabytes; 0 for none.

    Raises
    ------
    QueryError
        If one makes no sense.
    """

    seconds: float = 10.0
    memory_mb: int = 1024
    rows: int = 10_000
    answer_mb: int = 128
    temp_mb: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise QueryError(f"seconds = {self.seconds!r} makes no sense; give a time above 0.")
        for name, least in (("memory_mb", 64), ("rows", 1), ("answer_mb", 1), ("temp_mb", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise QueryError(f"{name} = {value!r} makes no sense; give a whole number, {least} or more.")
