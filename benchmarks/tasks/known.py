"""The tasks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tasks import pictures, scenes
from embedstore.errors import RasterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.tasks.task import Task

REAL: dict[str, Callable[[Path], Task]] = {
    "aid": pictures.aid,
    "harvey": pictures.harvey,
    "fires": scenes.fires,
    "floods-s2": scenes.floods_s2,
    "floods-s1": scenes.floods_s1,
    "slovenia": scenes.slovenia,
}


def read(data: Path, wanted: Sequence[str]) -> Iterator[Task]:
    """Yield the tasks asked for, one after the other; says which data sets are not in the folder."""
    for name in wanted:
        try:
            yield REAL[name](data)
        except (RasterError, OSError, ValueError) as error:
            print(f"left out: {name} is not in {data} ({error})")
