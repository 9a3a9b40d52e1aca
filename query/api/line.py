"""Lines of requests: each kind has one, no longer than what is answered soon at the pace of the moment."""

from __future__ import annotations

import math

SOON = 0.25
"""Seconds within which a request that is let in should be answered."""
SHORT = 0.05
"""Seconds within which it should be while more come than can be answered: then waiting longer helps nobody."""
TURNS = 2
"""Turns of the threads for which requests are let in even then: what is worked on, and what is next."""
BROWSER = 6
"""Quick requests that are let in even then: as many as a browser sends at once."""
MOST = {"quick": 64, "heavy": 8, "sql": 8, "watch": 8}
"""Requests that are let in for each thread, by kind, however quick they are."""
WEIGHT = 0.1
"""Of the newest answer in the pace."""
NEWEST = 0.05
"""Weight of the newest request in the share of those that find the short line full."""
CROWD = 0.4
"""Share of them above which more come than can be answered."""


class Line:
    """Requests of one kind that wait or are worked on.

    It may grow while many come at once, and is short while many of those that come find it no shorter: under more load
    than can be answered a line of any length is always full, and its length only makes late what it lets in (the
    standing queue of RFC 8289). Whoever comes beyond it is better told at once than answered late, and costs next to
    nothing.

    Parameters
    ----------
    kind
        Of :data:`MOST`.
    threads
        Requests of the kind that are worked on at once.
    """

    def __init__(self, kind: str, threads: int) -> None:
        self._threads, self._most = threads, threads * MOST[kind]
        self._least = max(TURNS * threads, BROWSER if kind == "quick" else 0)
        self.inside = 0
        self._turn = self._crowd = 0.0

    def admits(self) -> bool:
        """Note that one more has come, and tell whether it is let in."""
        due = self._turns(self.inside + 1) * self._turn
        short = self.inside < self._least or due <= SHORT
        self._crowd += NEWEST * ((not short) - self._crowd)
        room = short or (due <= SOON and self._crowd <= CROWD)
        return room and self.inside < self._most

    def enter(self) -> int:
        """Let one in, and return its number in the line."""
        self.inside += 1
        return self.inside

    def leave(self, number: int, worked: float | None) -> None:
        """Let one out.

        Parameters
        ----------
        number
            What it was given when it came.
        worked
            Seconds from the moment when all of it was there until its answer began; None if that says nothing.
        """
        self.inside -= 1
        if worked is not None:
            self._turn += WEIGHT * (worked / self._turns(number) - self._turn)

    def _turns(self, number: int) -> int:
        return math.ceil(number / self._threads)
