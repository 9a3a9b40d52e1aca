"""Lines of requests: each kind has one, no longer than what is answered soon at the pace of the moment."""

from __future__ import annotations

import math

SOON = 0.5
"""Seconds within which a request that is let in should be answered."""
SHORT = 0.02
"""Seconds within which it should be while more come than can be answered: then waiting longer helps nobody."""
TURNS = 2
"""Turns of the threads for which requests are let in even then: what is worked on, and what is next."""
LEAST = 6
"""Requests that are let in at other times, whatever they take: as many as a browser sends at once."""
MOST = {"quick": 64, "heavy": 8, "sql": 8, "watch": 8}
"""Requests that are let in for each thread, by kind, however quick they are."""
WEIGHT = 0.1
"""Of the newest answer in the pace."""
NEWEST = 0.05
"""Weight of the newest request in the share of those that find the short line full."""
CROWD = 0.4
"""Share of them above which more come than can be answered."""
CALM = 0.6
"""What is left of that share whenever somebody finds nobody else there."""


class Crowd:
    """Whether more come than can be answered, whatever they ask: all lines share the cores."""

    def __init__(self) -> None:
        self.ready = 0
        self._share = 0.0

    def grows(self, *, short: bool) -> bool:
        """Note that one more has come, whether it found its line short, and tell whether too many do not."""
        if not self.ready:
            self._share *= CALM
        self._share += NEWEST * ((not short) - self._share)
        return self._share > CROWD


class Line:
    """Requests of one kind that wait or are worked on.

    It may grow while many come at once, and is short while many of those that come, to any line, find theirs no
    shorter: under more load than can be answered a line of any length is always full, and its length only makes late
    what it lets in (the standing queue of RFC 8289). Whoever comes beyond it is better told at once than answered
    late, and costs next to nothing.

    Parameters
    ----------
    kind
        Of :data:`MOST`.
    threads
        Requests of the kind that are worked on at once.
    crowd
        Of this line and of those that it shares the cores with.
    """

    def __init__(self, kind: str, threads: int, crowd: Crowd) -> None:
        self._threads, self._most, self.crowd = threads, threads * MOST[kind], crowd
        self.inside = self.ready = 0
        self._turn = 0.0

    def admits(self) -> bool:
        """Note that one more has come, and tell whether it is let in."""
        due = self._turns(self.ready + 1) * self._turn
        short = self.ready < TURNS * self._threads or due <= SHORT
        soon = self.ready < LEAST or due <= SOON
        crowded = self.crowd.grows(short=short)
        return (short or (soon and not crowded)) and self.inside < self._most

    def enter(self) -> Place:
        """Let one in."""
        self.inside += 1
        return Place(self)

    def _turns(self, number: int) -> int:
        return math.ceil(number / self._threads)

    def note(self, number: int, worked: float) -> None:
        """Learn the pace from one that was answered: its number in the line, and seconds."""
        self._turn += WEIGHT * (worked / self._turns(number) - self._turn)


class Place:
    """The place of one request, from the moment when it is let in until its answer begins.

    Whose body is still on its way, or whose answer is being sent, waits for no thread and makes nobody late.

    Parameters
    ----------
    line
        That it is in.
    """

    def __init__(self, line: Line) -> None:
        self._line, self._number, self._left = line, 0, False

    def ready(self) -> None:
        """Tell that all of the request is there."""
        if not self._number and not self._left:
            self._line.ready += 1
            self._line.crowd.ready += 1
            self._number = self._line.ready

    def leave(self, worked: float | None = None) -> None:
        """Leave the line, if that was not done before.

        Parameters
        ----------
        worked
            Seconds from the moment when all of the request was there until its answer began; None if that says nothing.
        """
        if self._left:
            return
        self._left = True
        self._line.inside -= 1
        if self._number:
            self._line.ready -= 1
            self._line.crowd.ready -= 1
            if worked is not None:
                self._line.note(self._number, worked)
