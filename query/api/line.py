"""Lines of requests: each kind has one, no longer than what is answered soon at the pace of the moment."""

from __future__ import annotations

import math

SOON = 0.25
"""Seconds within which a request that is let in should be answered."""
TURNS = 2
"""Turns of the threads that a request may need whatever they take: its own, and that of those before it."""
MOST = {"quick": 64, "heavy": 8, "sql": 8, "watch": 8}
"""Requests that are let in for each thread, by kind, however quick they are."""
WEIGHT = 0.1
"""Of the newest answer in the pace."""


class Line:
    """Requests of one kind that wait or are worked on.

    Under more load than can be answered the length settles where those inside are answered soon; whoever comes beyond
    it is better told at once than answered late, and costs next to nothing.

    Parameters
    ----------
    threads
        Requests of the kind that are worked on at once.
    most
        Requests for each thread that are let in at most.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._threads, self._most = threads, threads * most
        self.inside = 0
        self._turn = 0.0

    @property
    def has_room(self) -> bool:
        """Whether one more would be answered soon."""
        turns = self._turns(self.inside + 1)
        return self.inside < self._most and (turns <= TURNS or turns * self._turn <= SOON)

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
