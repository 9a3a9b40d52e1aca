"""How far a long command is: a bar on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import math
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from query.cli.screen import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from indexer.pretrain.training import Status

QUIET = 30.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def chips(doing: str = "encoding", done: str = "encoded", noun: str = "chips") -> Iterator[Callable[[int, int], None]]:
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


@contextmanager
def steps() -> Iterator[Callable[[Status], None]]:
    """Show how far a training run is, its loss, its speed and how much of its time it waits for chips."""
    if not sys.stderr.isatty():
        yield _sparse_steps()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = [TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), speed_estimate_period=60) as bar:
        task: TaskID | None = None

        def update(status: Status) -> None:
            nonlocal task
            if task is None:  # begun where the run goes on, or the steps before would count as speed
                task = bar.add_task("", total=status.steps, completed=status.step)
            bar.update(task, completed=status.step, description=_told(status))

        yield update


def _sparse_steps() -> Callable[[Status], None]:
    last = time.monotonic()

    def update(status: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= QUIET:
            last = time.monotonic()
            say(f"step {status.step:,} of {status.steps:,}, {_told(status)}")

    return update


def _told(status: Status) -> str:
    known = "" if math.isnan(status.loss) else f"loss {status.loss:.4g}, "  # each is known when the next step is done
    return f"{known}{status.chips_per_second:,.0f} chips/s, {status.waiting:.0%} waiting for chips"
