"""A real server on the loopback: killed in the middle of a job, and asked by many at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVE = """
import sys, time
import query.fewshot, query.fewshot.area as area
from query.cli import main

real = area._table

def slow(*arguments):
    time.sleep(float(sys.argv[1]))
    return real(*arguments)

area._table = slow
main(["serve", *sys.argv[2:]])
"""
"""The command, with a classification that takes its time at every block."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


@contextmanager
def server(store: Path, jobs: Path, log: Path, pause: float = 0.0) -> Iterator[tuple[httpx.Client, Any]]:
    port = free_port()
    environment = os.environ | {"EMBEDSTORE_JOBS_FOLDER": str(jobs), "EMBEDSTORE_SYNC_CHIPS": "10"}
    command = [sys.executable, "-c", SERVE, str(pause), str(store), "--port", str(port)]
    with log.open("a") as out:
        process = subprocess.Popen(command, env=environment, stderr=out)
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


def status(client: httpx.Client, job: str) -> str:
    return str(client.get(f"/jobs/{job}").json()["status"])


def test_a_job_killed_with_its_server_is_done_by_the_next(store: Path, tmp_path: Path) -> None:
    jobs, log = tmp_path / "jobs", tmp_path / "log"
    with server(store, jobs, log, pause=600) as (client, process):
        found = client.get("/collections/store/items", params={"limit": 12}).json()["features"]
        labels = {feature["id"]: "ab"[number % 2] for number, feature in enumerate(found)}
        job = client.post("/collections/store/classify", json={"labels": labels}).json()["job"]
        for _ in range(600):
            if list((jobs / job).glob("*.tmp")):
                break
            time.sleep(0.05)
        assert list((jobs / job).glob(".result.parquet.*.tmp")), "it was killed in the middle of writing"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (jobs / job / "result.parquet").exists()
    with server(store, jobs, log) as (client, process):
        for _ in range(600):
            if status(client, job) != "running":
                break
            time.sleep(0.05)
        assert status(client, job) == "done", log.read_text()
        result = tmp_path / "result.parquet"
        result.write_bytes(client.get(f"/jobs/{job}/result").content)
        assert pq.read_table(result).num_rows == 100
        assert not list((jobs / job).glob("*.tmp"))

        def ask(number: int) -> int:
            body = {"id": found[number % 12]["id"], "k": 5}
            return client.post("/collections/store/search", json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, range(200))) == {200}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in {0, -signal.SIGTERM}
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) > 200
    assert all(line["status"] < 500 for line in requests)
