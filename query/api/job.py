"""One job: a folder, how it stands, and who holds it.

`request.json` says what to do, `state.json` how it stands, and `result.parquet` appears whole when all is done. Whoever
works on a job holds a lock on its folder, which the kernel opens when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import IO, TYPE_CHECKING, Any, Literal

from embedstore.deadline import Deadline
from embedstore.errors import DamageError
from embedstore.sealed import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

REQUEST, STATE, RESULT, LOCK = "request.json", "state.json", "result.parquet", "lock"
DELETED = "deleted"
"""Beside them once nobody wants it any more, until its worker, or the next server, takes it away."""


@dataclass(frozen=True, slots=True)
class State:
    """How a job stands, as it is on disk.

    Parameters
    ----------
    status
        ``running`` from the beginning to the end, whether it waits, runs, or waits for a new server.
    message
        For people.
    attempts
        How often it was begun.
    changed
        When this was written, seconds since 1970.
    summary
        What the work said of its result.
    """

    status: Literal["running", "done", "failed"]
    message: str
    attempts: int = 0
    changed: float = 0.0
    summary: dict[str, Any] | None = None


class Job:
    """A job that this process works on.

    Parameters
    ----------
    folder
        Its folder.
    lock
        The open file by which it is held.
    """

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.folder, self._lock = folder, lock
        self.progress = 0.0
        self.ending = Deadline()
        self.deleted = False

    def advance(self, done: int, total: int) -> None:
        """Note how far the work is.

        Raises
        ------
        Stopped
            If it is to end.
        """
        self.progress = min(done / total, 1.0) if total else 1.0
        self.ending.check()

    def write(self, state: State) -> None:
        """Keep the state, durably."""
        write_json(self.folder / STATE, asdict(replace(state, changed=time.time())))

    def let_go(self) -> None:
        """Let others have it."""
        self._lock.close()


def claim(folder: Path) -> IO[str] | None:
    """Return a job's lock if no living process holds it."""
    try:
        lock = (folder / LOCK).open("a")
    except OSError:
        return None  # it was removed meanwhile
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def state_of(folder: Path) -> State | None:
    """Return the state that is on disk; None if the job is being removed."""
    try:
        return State(**read_json(folder / STATE))
    except DamageError:
        return None


def remove(folder: Path) -> None:
    """Take a job away."""
    gone = folder.with_name(f".{folder.name}")
    with suppress(OSError):
        folder.rename(gone)  # in one step, so that nobody sees half a job
    shutil.rmtree(gone, ignore_errors=True)
