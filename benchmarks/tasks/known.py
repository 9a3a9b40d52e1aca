"""The tasks by name."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from benchmarks.tasks import pictures, scenes
from embedstore.errors import RasterError, SpecError

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
HELP = "or simulated ones by region, cover and sensor, with wildcards: 'alpha/*/every'"
CHIPS = 20_000


def read(data: Path, wanted: Sequence[str], chips: int = CHIPS) -> Iterator[Task]:
    """Yield the tasks asked for, one after the other; says which real data sets are not in the folder.

    Parameters
    ----------
    data
        Folder of real data sets.
    wanted
        Names; simulated ones may hold wildcards, but not for the region.
    chips
        Simulated chips to learn from.

    Raises
    ------
    SpecError
        If there is no such task or region.
    """
    for name in wanted:
        if "/" in name:
            from benchmarks.tasks.simulated import tasks

            made = tasks(name.partition("/")[0], chips)
            yield from (task for known, task in made.items() if fnmatch.fnmatchcase(known, name))
            continue
        if name not in REAL:
            raise SpecError(f"there is no task {name!r}; known are {', '.join(REAL)}, {HELP}.")
        try:
            yield REAL[name](data)
        except (RasterError, OSError, ValueError) as error:
            print(f"left out: {name} is not in {data} ({error})")
