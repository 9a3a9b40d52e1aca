"""A real server moves on to what other processes commit and index, and no request fails on the way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.embedstore import make
from tests.embedstore.make import chip_id
from tests.query.api.conftest import C
from tests.query.api.served import server

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, DELETED = 1500, 700, 40
ASKERS = 4
COMMAND = """
import sys
from indexer import build, calibrate, questions
from query.cli import main
build.FLAT_ROWS = 1000
questions.QUERIES, calibrate.INTO_STRETCHES, calibrate.TIMED, calibrate.LENGTHS = 96, 32, 4, (100, 1000)
main(sys.argv[1:])
"""
"""The command, with an index of lists from a thousand rows on, and a short calibration."""


def run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def about(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(C).json()
    return found


def moved_on(client: httpx.Client, chips: int) -> None:
    for _ in range(600):
        if about(client)["chips"] == chips:
            return
        time.sleep(0.1)
    pytest.fail(f"it did not move on: {about(client)}")


def questions(number: int) -> list[tuple[str, str, dict[str, Any]]]:
    id_ = chip_id(DELETED + number % (FIRST - DELETED))
    labels = {chip_id(DELETED + n): "ab"[n % 2] for n in range(10)}
    return [
        ("POST", f"{C}/search", {"json": {"id": id_, "k": 10}}),
        ("POST", f"{C}/search", {"json": {"id": id_, "k": 5, "bbox": [10, 45, 12.5, 47]}}),
        ("GET", f"{C}/items/{id_}", {}),
        ("POST", f"{C}/heatmap", {"json": {"id": id_, "resolution": 4}}),
        ("POST", f"{C}/sql", {"json": {"sql": "SELECT count(*) AS n FROM embeddings"}}),
        ("POST", f"{C}/classify", {"json": {"labels": labels, "ids": [id_]}}),
    ]


def test_no_request_fails_while_rows_come_and_go_and_indexes_change(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = make.store(path)
    store.append(make.chips(list(range(FIRST))))
    run("index", str(path))
    index = (path / "_index" / "CURRENT").read_bytes()
    failed: list[str] = []
    answered: dict[str, int] = {}
    over = threading.Event()

    def ask(address: httpx.URL, number: int) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            while not over.is_set():
                for method, where, body in questions(number):
                    answer = client.request(method, where, **body)
                    answered[where] = answered.get(where, 0) + 1
                    if answer.status_code != 200:
                        failed.append(f"{method} {where}: {answer.status_code} {answer.text}")
                number += ASKERS

    with server(path, tmp_path / "log", refresh_seconds=0.2) as (client, _), ThreadPoolExecutor(ASKERS) as pool:
        asking = [pool.submit(ask, client.base_url, number) for number in range(ASKERS)]
        try:
            store.append(make.chips(list(range(FIRST, FIRST + SECOND)), item="later"))
            moved_on(client, FIRST + SECOND)
            run("index", str(path))
            assert (path / "_index" / "CURRENT").read_bytes() != index
            store.delete(ids=[chip_id(n) for n in range(DELETED)])
            moved_on(client, FIRST + SECOND - DELETED)
            run("compact", str(path))
            run("index", str(path))
            before = dict(answered)
            for _ in range(600):
                if all(answered[where] > before[where] + ASKERS for where in before):
                    break
                time.sleep(0.1)
            answer = client.post(f"{C}/search", json={"id": chip_id(FIRST), "k": 1})
            assert answer.json()["hits"][0]["id"] == chip_id(FIRST), "rows that came later are found"
        finally:
            over.set()
        for one in asking:
            one.result()
    assert not failed, failed[:5]
    assert sum(answered.values()) > 50
