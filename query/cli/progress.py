"""How far a long command is: a bar on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from query.cli.screen import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUIET = 30.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def chips(
    doing: str = "encoding", done: str = "encoded", noun: str = "chips"
) -> Iterator[Callable[[int, int], None]]:
    """Show how many chips (or others) are done, how fast, and the time left; yields what to call with (done, total)."""
    if sys.stderr.isatty():
        with _bar(doing, noun) as update:
            yield update
    else:
        yield _sparse_lines(done, noun)


@contextmanager
def _bar(doing: str, noun: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        """How many a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} {noun}/s" if task.speed else "")

    columns = [TextColumn(doing), BarColumn(), MofNCompleteColumn(), Rate(""), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=20) as bar:
        task = bar.add_task(doing, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


def _sparse_lines(verb: str, noun: str) -> Callable[[int, int], None]:
    began = last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= QUIET:
            last = now
            say(f"{verb} {done:,} of {total:,} {noun}, {done / (now - began):,.0f} {noun}/s")

    return update
