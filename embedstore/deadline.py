"""When work is to end before it is done: its time is over, or nobody waits for the answer any more.

Who answers others puts a deadline around the work; loops over many rows look at it between their blocks.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopped(BaseException):
    """The work is to end now; no error that the work may catch."""


class Deadline:
    """Until when some work may take.

    Parameters
    ----------
    seconds
        From now on; without end if not given.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._at = time.monotonic() + seconds
        self._cancelled = False

    @property
    def passed(self) -> bool:
        """Whether the work is to end."""
        return self._cancelled or time.monotonic() >= self._at

    def cancel(self) -> None:
        """Let it pass now, from any thread."""
        self._cancelled = True

    def check(self) -> None:
        """Go on only if there is time.

        Raises
        ------
        Stopped
            If the work is to end.
        """
        if self.passed:
            raise Stopped


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def bounded(deadline: Deadline) -> Iterator[None]:
    """Put a deadline around what is done within, in this thread or task and in the threads that it waits for."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def check() -> None:
    """Go on only if there is time; without a deadline there always is.

    Raises
    ------
    Stopped
        If the work is to end.
    """
    deadline = _CURRENT.get()
    if deadline is not None:
        deadline.check()
