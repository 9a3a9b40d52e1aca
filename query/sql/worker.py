"""A process that answers statements from strangers, one at a time, and may be killed at any moment.

DuckDB's own limits do not reach what a single call of a function allocates or how long it takes, so the operating
system holds the memory, and whoever started this process holds the clock.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from embedstore.errors import EmbedstoreError, LimitError
from query.engine import Engine
from query.sql.database import TOO_MUCH_MEMORY, Database
from query.sql.limits import Limits
from query.sql.render import encode
from query.sql.workers import READY, REFUSED, ROWS, SPENT

ROOM_MB = 256
"""Megabytes beyond a statement's own that a worker may allocate: threads, Arrow, the message."""


def main() -> None:
    """Open the store that the arguments name and answer statements until the other side closes."""
    warnings.simplefilter("ignore")  # who started this has the same store open, and has warned
    fd, about = int(sys.argv[1]), json.loads(sys.argv[2])
    limits = Limits(**about["limits"])
    temporary = Path(about["temporary"]) if about["temporary"] else None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(fd) as other:
        try:
            engine = Engine(about["store"], about["version"])
            database = Database(engine, limits, temporary)
            # libraries that are loaded at the first search crash where they cannot have their memory
            engine.search(np.ones(engine.store.encoder.dimension), k=1)
            encode(database.run("SELECT id, geometry, embedding FROM embeddings LIMIT 1"), "geojson")
        except EmbedstoreError as error:
            other.send_bytes(REFUSED + _told(error))
            return
        _hold_memory(limits.memory_mb + ROOM_MB)
        message = READY
        with suppress(EOFError, BrokenPipeError):
            other.send_bytes(message)
            while message[:1] != SPENT:
                form, _, sql = other.recv_bytes().decode().partition("\n")
                message = _answer(database, sql, form, limits)
                other.send_bytes(message)


def _answer(database: Database, sql: str, form: str, limits: Limits) -> bytes:
    """Return the message that answers a statement.

    The answer is written here too: as text it may take many times the memory and time of its rows, which the limits
    on this process hold and the server's own could not.
    """
    cursor = database.cursor()
    clock = threading.Timer(limits.seconds, cursor.interrupt)
    clock.daemon = True
    clock.start()
    try:
        body = encode(database.run(sql, cursor), form)
        if len(body) > limits.answer_mb * 1_000_000:
            raise LimitError(f"the answer is larger than the {limits.answer_mb} MB that are allowed; ask for less.")
        return ROWS + body
    except MemoryError:
        return SPENT + _told(LimitError(TOO_MUCH_MEMORY))
    except EmbedstoreError as error:
        return (SPENT if database.spent else REFUSED) + _told(error)
    finally:
        clock.cancel()


def _told(error: EmbedstoreError) -> bytes:
    return json.dumps({"class": type(error).__name__, "message": str(error)}).encode()


def _hold_memory(megabytes: int) -> None:
    """Let this process allocate no more than that beyond what it has; mapped files do not count."""
    status = Path("/proc/self/status")
    if not status.exists():  # only Linux counts data without mapped files
        return
    has = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmData"))
    limit = int(has.split()[1]) * 1024 + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # nothing to tidy up, and a thread of DuckDB may be stuck
