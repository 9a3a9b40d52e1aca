"""Workers as the session sees them: started ahead, asked one at a time, killed when they overrun, replaced."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from dataclasses import asdict
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from embedstore import deadline, errors
from embedstore.deadline import Stopped
from embedstore.errors import EmbedstoreError, LimitError, SqlError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from query.sql.limits import Limits

READY, ROWS, REFUSED, SPENT = b"R", b"T", b"E", b"L"
"""First byte of a worker's message: open for statements; the answer follows; an error follows as JSON; an error
follows, and it was the last message."""
MOST = 2
"""Workers of one session: so many statements run at once, others wait."""
OPENING = 120.0
"""Seconds in which a worker must have opened the store."""
GRACE = 1.0
"""Seconds past the limit after which a worker that did not stop by itself is killed."""
LOOK = 0.05
"""Seconds between two looks whether anybody still waits for the answer."""


class Workers:
    """A few processes that answer statements about one version of a store.

    Parameters
    ----------
    store
        Its folder.
    version
        Of its table.
    limits
        Of each statement.
    """

    def __init__(self, store: str | Path, version: int, limits: Limits) -> None:
        self._about = {"store": str(store), "version": version, "limits": asdict(limits)}
        self._limits = limits
        self._lock = threading.Lock()
        self._places = threading.Semaphore(MOST)
        self._idle = [self._start() for _ in range(MOST)]  # all of them now: a start takes the processor for a second
        self._closed = threading.Event()

    def answer(self, statement: str, form: str) -> memoryview:
        """Return what a statement answers, in a form of :func:`query.sql.render.encode`.

        Raises
        ------
        LimitError
            If it needed more than is allowed, or no worker was free in time.
        SqlError
            If it is refused or fails, or the session is closed.
        """
        if not self._places.acquire(timeout=self._limits.seconds):
            raise LimitError(f"{MOST} other statements are running; ask again when they are done.")
        try:
            return self._ask(statement, form)
        finally:
            self._places.release()

    def _ask(self, statement: str, form: str) -> memoryview:
        with self._lock:
            if self._closed.is_set():
                raise SqlError("the session is closed; open another.")
            worker = self._idle.pop(0) if self._idle else self._start()  # the last may still be starting
        if not worker.alive:
            worker.kill()
            worker = self._start()
        try:
            body = worker.ask(statement, form, self._limits.seconds)
        except _LostError as error:
            worker.kill()
            worker = self._start()
            raise LimitError(str(error)) from error
        except Stopped:
            if worker.asked:  # one that is still opening the store is not to blame
                worker.kill()
                worker = self._start()
            raise
        finally:
            with self._lock:
                if self._closed.is_set():
                    worker.kill()
                else:
                    self._idle.append(worker)
        return body

    def _start(self) -> _Worker:
        return _Worker(self._about, with_disk=self._limits.temp_mb > 0)

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            self._closed.set()
            for worker in self._idle:
                worker.kill()
            self._idle.clear()


class _LostError(Exception):
    """A worker is gone, or must go."""


class _Worker:
    """One process."""

    def __init__(self, about: dict[str, object], *, with_disk: bool) -> None:
        temporary = tempfile.mkdtemp(prefix="embedstore-sql-") if with_disk else ""
        self._ours, theirs = Pipe()
        fd = theirs.fileno()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "query.sql.worker", str(fd), json.dumps({**about, "temporary": temporary})],
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},  # noqa: PTH109
        )
        theirs.close()
        self._ready = self.asked = False
        self.kill = weakref.finalize(self, _end, self._process, self._ours, temporary)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, statement: str, form: str, seconds: float) -> memoryview:
        """Return what a statement answers; raise what it raises, or :class:`_LostError` if the process is lost.

        If it raises ``Stopped``, `asked` tells whether the process works on the statement.
        """
        self.asked = False
        if not self._ready:
            self._receive(OPENING, "did not open the store in time")
            self._ready = True
        deadline.check()
        try:
            self._ours.send_bytes(f"{form}\n{statement}".encode())
        except OSError as error:
            raise _LostError("the worker ended before it was asked; ask again.") from error
        self.asked = True
        message = self._receive(seconds + GRACE, f"was stopped after {seconds:g} s; ask for less, or filter first")
        return memoryview(message)[1:]

    def _receive(self, seconds: float, late: str) -> bytes:
        """Return the next message."""
        try:
            end = time.monotonic() + seconds
            while not self._ours.poll(min(LOOK, max(end - time.monotonic(), 0))):
                deadline.check()
                if time.monotonic() >= end:
                    raise _LostError(f"the statement {late}.")
            message = self._ours.recv_bytes()
        except (EOFError, OSError) as error:
            raise _LostError(
                "the statement needs more memory than is allowed, and its process was ended; ask for less."
            ) from error
        if message[:1] == SPENT:
            raise _LostError(json.loads(message[1:])["message"])
        if message[:1] == REFUSED:
            told = json.loads(message[1:])
            kind: type[EmbedstoreError] = getattr(errors, told["class"], SqlError)
            raise kind(told["message"])
        return message


def _end(process: subprocess.Popen[bytes], connection: Connection, temporary: str) -> None:
    process.kill()
    process.wait()
    connection.close()
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)
