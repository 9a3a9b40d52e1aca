"""A real server on the loopback, with settings, and with code that runs before it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVE = """
import sys
from query.cli import main
main(["serve", *sys.argv[1:]])
"""


@contextmanager
def server(
    store: Path, log: Path, before: str = "", *options: str, **settings: Any
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Serve a store in a process of its own; yields a client and the process, which is killed at the end."""
    settings.setdefault("jobs_folder", log.with_name("jobs"))
    given = {f"EMBEDSTORE_{name.upper()}": str(value) for name, value in settings.items()}
    port = free_port()
    command = [sys.executable, "-c", before + SERVE, str(store), "--port", str(port), *options]
    with log.open("a") as out:
        process = subprocess.Popen(command, env=os.environ | given, stderr=out)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield client, process
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port
