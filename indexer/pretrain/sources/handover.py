"""Arrays from one process to another through a file in memory: written once, and mapped instead of read.

Through a pipe, as `concurrent.futures` sends results, chips go many times slower.
"""

from __future__ import annotations

import mmap
import pickle
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's file system in memory; folders in it are made by tempfile
LEAST_FREE = 4 << 30
"""Bytes that must be free there, or files go where temporary ones do."""
ALIGNED = 64


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for what is under way, and remove it."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= LEAST_FREE
    with tempfile.TemporaryDirectory(
        prefix="embedstore-", dir=MEMORY if in_memory else None, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


def put(value: Any, where: Path) -> Path:
    """Write a value whose arrays are large into a folder; return the file."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    path = where / uuid.uuid4().hex
    with path.open("wb") as file:
        sizes = pickle.dumps((len(head), [r.nbytes for r in raw]))
        file.write(len(sizes).to_bytes(8, "little") + sizes + head)
        for view in raw:
            file.write(bytes(-file.tell() % ALIGNED))
            file.write(view)
    return path


def take(path: Path) -> Any:
    """Return a value that this project's own process put there, and remove the file; its arrays may be written to."""
    with path.open("r+b") as file:
        held = memoryview(mmap.mmap(file.fileno(), 0))
    path.unlink()
    at = 8 + int.from_bytes(held[:8], "little")
    head, sizes = pickle.loads(held[8:at])  # noqa: S301 - see above
    begin = at
    at += head
    views = []
    for size in sizes:
        at += -at % ALIGNED
        views.append(held[at : at + size])
        at += size
    return pickle.loads(held[begin : begin + head], buffers=views)  # noqa: S301 - see above
