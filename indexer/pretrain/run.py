"""The folder of a run: what the run is, where it stands, its losses, and in the end its model.

OUT/
  run.json            what must stay the same when it is resumed, and the statistics of its data
  checkpoint.pt       where it stands
  losses.jsonl        a line for each step
  model.safetensors   when it is done, with model.md, its card
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from embedstore.errors import ConflictError, DamageError, InputError, storage_errors
from embedstore.sealed import read_json, write_json
from embedstore.spec import Modality, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from indexer.pretrain.recipe import Schedule

MODEL, CARD = "model.safetensors", "model.md"
RUN, CHECKPOINT, LOSSES, LOCK = "run.json", "checkpoint.pt", "losses.jsonl", ".lock"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is: two runs of which all of this is equal go through the same losses.

    Parameters
    ----------
    recipe, config, options
        What is trained.
    size, dates
        What the recipe asks of its data.
    schedule
        How.
    piece
        Chips that go through the network at once.
    data
        The source, as it describes itself.
    seed
        Of all chance.
    """

    recipe: str
    config: str
    options: dict[str, Any]
    size: int
    dates: int
    schedule: Schedule
    piece: int
    data: str
    seed: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"the seed must be 0 or more, not {self.seed}.")
        if self.piece < 1 or self.schedule.batch % self.piece:
            raise InputError(
                f"a batch of {self.schedule.batch} chips is not made of passes of {self.piece}; give a divisor of it."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, equal after a round trip through JSON."""
        described = asdict(self)
        described["schedule"]["betas"] = list(self.schedule.betas)
        return described

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all of it."""
        return digest(self.to_dict())


@dataclass(frozen=True, slots=True)
class Begun:
    """A run whose folder is there.

    Parameters
    ----------
    folder
        Where.
    run
        What.
    statistics
        Mean and standard deviation of its data.
    """

    folder: Path
    run: Run
    statistics: dict[str, Modality]

    @classmethod
    def open(cls, folder: Path, run: Run, look: Callable[[], dict[str, Modality]], *, writes: bool) -> Self:
        """Go on with the run of a folder, or begin it.

        Parameters
        ----------
        folder
            Where it is or will be.
        run
            What it must be.
        look
            Gives the statistics of the data; called only if it is new.
        writes
            Whether this process is the one that writes.

        Raises
        ------
        InputError
            If the folder holds another run.
        DamageError
            If what it says of its run is damaged.
        """
        if (folder / RUN).exists():
            said = _read(folder / RUN)
            _same(said["run"], run.to_dict(), folder)
            found = {
                k: Modality(k, tuple(m["bands"]), tuple(m["mean"]), tuple(m["std"])) for k, m in said["of"].items()
            }
            return cls(folder, run, found)
        statistics = look()
        if writes:
            with storage_errors("begin the run", folder):
                write_json(folder / RUN, {"run": run.to_dict(), "of": {k: asdict(m) for k, m in statistics.items()}})
        return cls(folder, run, statistics)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from training in the same folder meanwhile.

    Raises
    ------
    ConflictError
        If somebody does.
    StorageError
        If the folder cannot be made.
    """
    with storage_errors("make the run's folder", folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"another process trains in {folder}; wait for it, or give another --out.") from error
        yield


def piece_of(folder: Path) -> int | None:
    """Return how many chips go through the network at once in a run that was begun; None if there is none."""
    return int(_read(folder / RUN)["run"]["piece"]) if (folder / RUN).exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except DamageError as error:
        raise DamageError(f"{path} is damaged; restore it from a copy, or begin anew in another --out.") from error


def _same(there: dict[str, Any], asked: dict[str, Any], folder: Path) -> None:
    """Raise InputError if another run is asked for than the one that is there; name what differs."""
    flat = [{**run, **run["schedule"]} for run in (there, asked)]
    differs = [
        f"{name} was {flat[0].get(name)!r} and is {flat[1].get(name)!r}"
        for name in flat[1]
        if name != "schedule" and flat[0].get(name) != flat[1].get(name)
    ]
    if differs:
        raise InputError(f"{folder} holds another run: {'; '.join(differs)}. Ask for the same, or give another --out.")
