"""The other end of a :class:`benchmarks.peers.host.Host`: the process in which a peer lives, and its clock."""

from __future__ import annotations

import contextlib
import time
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers import PEERS, memory
from benchmarks.peers.base import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers.base import Peer, Where


def serve(pipe: Connection, name: str, folder: Path, scratch: Path, threads: int) -> None:
    """Answer in the child until told None or until the other end is gone."""
    peer: Peer | None = None
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while message := pipe.recv():
            try:
                peer = peer or PEERS[name](threads=threads)
                answer = True, _do(peer, folder, scratch, *message)
            except Exception:  # noqa: BLE001 - whatever a peer raises is for the caller to read
                answer = False, traceback.format_exc()
            pipe.send(answer)
    if peer:
        peer.close()


def _do(peer: Peer, folder: Path, scratch: Path, what: str, *args: Any) -> Any:
    if what == "sweep":
        return peer.sweep()
    if what == "filters":
        return peer.filters
    if what == "stages":
        return getattr(peer, "stages", {})
    if what == "forget":
        return memory.forget()
    if what == "ask":
        return _ask(peer, *args)
    start = time.perf_counter()
    if what == "build":
        peer.build(Rows.open(folder), scratch)
        seconds = time.perf_counter() - start
        memory.forget()
        return seconds
    answers = peer.batch(*args)
    return time.perf_counter() - start, answers


def _ask(
    peer: Peer, queries: NDArray[np.float32], k: int, knobs: dict[str, Any], wheres: Sequence[Where | None]
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    times, answers = np.empty(len(queries)), []
    for i, (query, where) in enumerate(zip(queries, wheres, strict=True)):
        start = time.perf_counter()
        found = peer.filtered(query, k, where, knobs) if where else peer.search(query, k, knobs)
        times[i] = time.perf_counter() - start
        answers.append(found)
    return times, answers
