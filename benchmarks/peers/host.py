"""A peer in a process of its own, so that its memory and threads are its own and a crash ends nothing else.

The environment holds thread pools (OpenMP, BLAS) back to the threads of a single query; a peer lifts that itself
while it builds or answers a batch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any, Self

from benchmarks.peers import memory
from benchmarks.peers.base import PeerError
from benchmarks.peers.child import serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from benchmarks.peers.base import Where

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LOOK = 0.05
"""Seconds between two looks at the memory of a peer that builds."""
GOODBYE = 20.0
"""Seconds that a peer has to close before it is killed."""


class Host:
    """One peer in one child process.

    Parameters
    ----------
    peer
        Name in :data:`benchmarks.peers.PEERS`.
    rows
        Folder that :meth:`benchmarks.peers.base.Rows.save` wrote.
    scratch
        Empty folder for the peer's files; made if absent.
    threads
        For single queries.

    Raises
    ------
    PeerError
        From every method, with the child's traceback, if the peer failed; the child is gone by then.
    """

    def __init__(self, peer: str, rows: Path, scratch: Path, threads: int = 1) -> None:
        self.peer = peer
        scratch.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # Not a daemon: a peer may start processes, e.g. a database server.
        self._child = context.Process(target=serve, args=(theirs, peer, rows, scratch, threads))
        with _pools(threads):
            self._child.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid or 0

    def build(self) -> dict[str, float]:
        """Take in all rows: ``seconds``, and ``peak_gb``, the most ``anon_gb`` that :meth:`resident` saw."""
        self._tell("build")
        peak = self.resident()["anon_gb"]
        while not self._pipe.poll(LOOK):
            peak = max(peak, self.resident()["anon_gb"])
        return {"seconds": self._hear(), "peak_gb": max(peak, self.resident()["anon_gb"])}

    def stages(self) -> dict[str, float]:
        """Return the seconds of the build by stage, if the peer tells them."""
        self._tell("stages")
        stages: dict[str, float] = self._hear()
        return stages

    def forget(self) -> None:
        """Let the child give up file pages that it read once, so that :meth:`resident` tells what it uses."""
        self._tell("forget")
        self._hear()

    def sweep(self) -> list[dict[str, Any]]:
        """Return the peer's settings of the search, cheapest first."""
        self._tell("sweep")
        settings: list[dict[str, Any]] = self._hear()
        return settings

    def filters(self) -> bool:
        """Return whether the peer can filter."""
        self._tell("filters")
        return bool(self._hear())

    def ask(
        self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any], wheres: Sequence[Where | None] | None = None
    ) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
        """Ask one query after the other.

        Parameters
        ----------
        queries
            float32 (m, d).
        k
            Rows wanted.
        knobs
            One of :meth:`sweep`.
        wheres
            A filter for each query (None: unfiltered), or none at all.

        Returns
        -------
        Seconds, float64 (m,), taken in the child around each call alone, and the row numbers found.
        """
        self._tell("ask", queries, k, knobs, wheres or [None] * len(queries))
        times, answers = self._hear()
        return times, answers

    def batch(
        self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]
    ) -> tuple[float, list[NDArray[np.int64]]]:
        """Ask all queries in one call, with all cores: its seconds, and the row numbers found."""
        self._tell("batch", queries, k, knobs)
        seconds, answers = self._hear()
        return seconds, answers

    def resident(self) -> dict[str, float]:
        """Return memory now as :func:`benchmarks.peers.memory.resident` does, of the child and all that it started."""
        return memory.resident(memory.family(self.pid))

    def close(self) -> None:
        """Let the peer close, then make sure that neither it nor anything it started is left."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
            self._child.join(GOODBYE)
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, *message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._gone() from error

    def _hear(self) -> Any:
        try:
            fine, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        if not fine:
            self.close()
            raise PeerError(f"{self.peer} failed in its own process:\n{answer}")
        return answer

    def _gone(self) -> PeerError:
        self._child.join(GOODBYE)
        code = self._child.exitcode
        self._end()
        return PeerError(f"{self.peer}: its process has ended (exit code {code}). Closed before, or out of memory?")

    def _end(self) -> None:
        living = memory.family(self.pid) if self._child.is_alive() else []
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.join()
        self._pipe.close()


@contextlib.contextmanager
def _pools(threads: int) -> Iterator[None]:
    """Set the environment that a child inherits, and put ours back."""
    before = {name: os.environ.get(name) for name in POOLS}
    os.environ.update(dict.fromkeys(POOLS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
