"""A real server on the loopback: killed in the middle of a job, and asked by many at once."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from tests.query.api.served import server

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

SLOW = """
import time
import query.fewshot, query.fewshot.area as area

real = area._table

def slow(*arguments):
    time.sleep(600)
    return real(*arguments)

area._table = slow
"""
"""A classification that takes its time at every block."""


def status(client: httpx.Client, job: str) -> str:
    return str(client.get(f"/jobs/{job}").json()["status"])


def test_a_job_killed_with_its_server_is_done_by_the_next(store: Path, tmp_path: Path) -> None:
    jobs, log = tmp_path / "jobs", tmp_path / "log"
    with server(store, log, SLOW, jobs_folder=jobs, sync_chips=10) as (client, process):
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
    with server(store, log, jobs_folder=jobs, sync_chips=10) as (client, process):
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
            for _ in range(200):
                status = client.post("/collections/store/search", json=body).status_code
                if status != 503:  # a slow machine answers fewer at once; then one comes again
                    return status
                time.sleep(0.2)
            return status

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, range(200))) == {200}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) > 200
    assert all(line["status"] < 500 or line["status"] == 503 for line in requests)
