"""Work that outlasts a request, kept on disk so that it outlasts the server too.

A job that is neither done nor held by a living process was left by a server that ended: the next one begins it again.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

from embedstore.deadline import Stopped, bounded
from embedstore.errors import DamageError, storage_errors
from embedstore.sealed import read_json, write_json
from query.api import problems
from query.api.job import DELETED, REQUEST, RESULT, STATE, Job, State, claim, remove, state_of
from query.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from query.api.keys import Key
    from query.api.settings import Settings

LOG = logging.getLogger("embedstore.service")
OWNER = "owner"
"""Of a request: the name of the key that asked."""
LEFTOVER = 3600.0
"""Seconds after which nobody is still making or removing a job."""
ATTEMPTS = 3
"""A job that was begun so often and never ended is what ends the server."""


class Work(Protocol):
    """What a job does."""

    def __call__(self, request: dict[str, Any], result: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Do what a request asks for, write the result whole or not at all, and return what to say about it."""


class Jobs:
    """The jobs of a folder, of which several servers may work on different ones.

    Parameters
    ----------
    settings
        Where they are, how many run at once, how many and how long they are kept.
    work
        What they do.
    mine
        Which requests this server can work on.
    """

    def __init__(self, settings: Settings, work: Work, mine: Callable[[dict[str, Any]], bool]) -> None:
        self._settings, self._work, self._mine = settings, work, mine
        self._folder = settings.jobs_folder
        self._held: dict[str, Job] = {}
        self._changing = threading.Lock()
        self._pool = ThreadPoolExecutor(settings.jobs_at_once, "embedstore-job")

    def start(self) -> None:
        """Make the folder, and go on with what no living server works on.

        Raises
        ------
        StorageError
            If the folder cannot be made.
        """
        with storage_errors("make the folder of jobs", self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._folder.glob(".*"):  # of servers that were killed while they made or removed a job
            if leftover.stat().st_mtime < time.time() - LEFTOVER:
                shutil.rmtree(leftover, ignore_errors=True)
        self.look()

    def look(self) -> None:
        """Go on with what no living server works on, as one that has ended since may have left it."""
        for folder in self._folders():
            state = state_of(folder)
            if folder.name in self._held or state is None or not self._is_mine(folder):
                continue
            if (folder / DELETED).exists():
                self._remove(folder)
            elif state.status == "running":
                self._take_up(folder)

    def stop(self) -> None:
        """Interrupt what runs; it is begun again by the next server."""
        with self._changing:
            for job in self._held.values():
                job.ending.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for job in self._held.values():
            if job.deleted:
                remove(job.folder)
            job.let_go()
        self._held.clear()

    def submit(self, request: dict[str, Any], asker: Key) -> str:
        """Begin a job and return its id. It can be seen by the name that asked for it, and by admins.

        Raises
        ------
        Problem
            503 if there are too many.
        StorageError
            If the disk refuses.
        """
        self._sweep()
        id_ = uuid.uuid4().hex
        folder, draft = self._folder / id_, self._folder / f".{id_}"
        with storage_errors("keep a job", self._folder):
            draft.mkdir(mode=0o700)
            write_json(draft / REQUEST, {**request, OWNER: asker.name})
            write_json(draft / STATE, asdict(State("running", "waiting", changed=time.time())))
            draft.rename(folder)
        self._take_up(folder)
        return id_

    def view(self, id_: str, asker: Key) -> dict[str, Any]:
        """Return how a job stands.

        Raises
        ------
        Problem
            404 if there is none.
        """
        state = state_of(self._find(id_, asker))
        if state is None:
            raise _unknown(id_)
        job = self._held.get(id_)
        progress = 1.0 if state.status == "done" else job.progress if job else 0.0
        seen = {"id": id_, "status": state.status, "progress": round(progress, 4), "message": state.message}
        return seen | ({"summary": state.summary, "result": f"/jobs/{id_}/result"} if state.status == "done" else {})

    def result(self, id_: str, asker: Key) -> Path:
        """Return the file of a finished job.

        Raises
        ------
        Problem
            404 if there is none, 409 if it is not done.
        """
        folder = self._find(id_, asker)
        state = state_of(folder)
        if state is None or state.status != "done":
            raise Problem(409, f"the job {id_} has no result: {state.message if state else 'it is gone'}.")
        return folder / RESULT

    def delete(self, id_: str, asker: Key) -> None:
        """Cancel a job, or take away a finished one.

        Raises
        ------
        Problem
            404 if there is none, 409 if another server works on it.
        """
        folder = self._find(id_, asker)
        with self._changing:
            job = self._held.get(id_)
            if job is not None:
                with suppress(OSError):  # a server that is killed before its worker has removed it
                    (folder / DELETED).touch()
                job.deleted = True
                job.ending.cancel()  # its worker removes it
            elif not self._remove(folder):
                raise Problem(409, f"another server works on the job {id_}; cancel it there.")

    @staticmethod
    def _remove(folder: Path) -> bool:
        """Take a job away, unless another server works on it."""
        lock, state = claim(folder), state_of(folder)
        if lock is None and state is not None and state.status == "running":
            return False
        remove(folder)
        if lock is not None:
            lock.close()
        return True

    def count(self) -> dict[str, int]:
        """Return how many jobs there are of each status."""
        counts = {"running": 0, "done": 0, "failed": 0}
        for folder in self._folders():
            state = state_of(folder)
            if state is not None:
                counts[state.status] += 1
        return counts

    def _take_up(self, folder: Path) -> None:
        with self._changing:
            lock = claim(folder)
            if lock is not None:
                job = self._held[folder.name] = Job(folder, lock)
                self._pool.submit(self._run, job)

    def _run(self, job: Job) -> None:
        """Work on a job to its end, whatever that is."""
        try:
            with bounded(job.ending):
                self._attempt(job)
        except Stopped:
            LOG.info("job stopped", extra={"fields": {"job": job.folder.name}})
        except Exception as error:
            LOG.exception("job failed", extra={"fields": {"job": job.folder.name}})
            self._fail(job, problems.detail_of(error))
        finally:
            with self._changing:
                if job.deleted:
                    remove(job.folder)
                self._held.pop(job.folder.name).let_go()

    def _attempt(self, job: Job) -> None:
        job.advance(0, 1)
        state = state_of(job.folder)
        if state is None or state.status != "running":
            return
        if state.attempts >= ATTEMPTS:
            self._fail(job, f"it was begun {ATTEMPTS} times and the server ended each time; ask for a smaller area.")
            return
        for draft in job.folder.glob(f".{RESULT}.*"):
            draft.unlink(missing_ok=True)  # of a server that was killed
        running = replace(state, message="running", attempts=state.attempts + 1)
        job.write(running)
        try:
            summary = self._work(_request(job.folder)[0], job.folder / RESULT, job.advance)
        except Stopped:
            job.write(replace(running, attempts=state.attempts))  # told to: that says nothing of the job
            raise
        job.progress = 1.0
        job.write(replace(running, status="done", message="done", summary=summary))

    @staticmethod
    def _fail(job: Job, message: str) -> None:
        with suppress(OSError):  # the disk is full: the next server finds it unfinished
            job.write(State("failed", message))

    def _find(self, id_: str, asker: Key) -> Path:
        folder = self._folder / id_
        known = len(id_) == 32 and id_.isascii() and id_.isalnum() and folder.is_dir()
        job = self._held.get(id_)
        deleted = known and ((job is not None and job.deleted) or (folder / DELETED).exists())
        if not known or deleted or not self._is_mine(folder, asker):
            raise _unknown(id_)
        return folder

    def _is_mine(self, folder: Path, asker: Key | None = None) -> bool:
        """Tell whether this server works on a job, and who asks may know of it."""
        try:
            request, owner = _request(folder)
        except DamageError:
            return False
        return self._mine(request) and (asker is None or asker.may("admin") or owner == asker.name)

    def _folders(self) -> Iterator[Path]:
        return (folder for folder in self._folder.glob("*") if not folder.name.startswith(".") and folder.is_dir())

    def _sweep(self) -> None:
        """Make room: old results go; if that is not enough, the oldest; jobs that run stay."""
        known = [(state.changed, state.status, folder) for folder in self._folders() if (state := state_of(folder))]
        horizon = time.time() - self._settings.job_hours * 3600
        surplus = len(known) + 1 - self._settings.max_jobs
        for number, (changed, _, folder) in enumerate(sorted(one for one in known if one[1] != "running")):
            if changed < horizon or number < surplus:
                remove(folder)
                known = [one for one in known if one[2] != folder]
        if len(known) >= self._settings.max_jobs:
            raise Problem(503, "there are too many jobs; wait until one has ended.", {"Retry-After": "60"})


def _request(folder: Path) -> tuple[dict[str, Any], str | None]:
    """Return what a job is to do, and the name of the key that asked for it."""
    body = read_json(folder / REQUEST)
    return body, body.pop(OWNER, None)


def _unknown(id_: str) -> Problem:
    return Problem(404, f"there is no job {id_!r}; it was deleted, or it is too old.")
