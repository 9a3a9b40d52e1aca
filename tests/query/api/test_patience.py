"""A real server whose heat maps take their time: deadlines, clients that go away, and the end of the service."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.query.api.conftest import C
from tests.query.api.served import server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLOW = """
import sys, time
from pathlib import Path
import query.stream
from query import heat_map
heat_map = sys.modules["query.heat_map"]

query.stream.BLOCK = 1
real = heat_map._cells

def slow(*arguments):
    with Path({blocks!r}).open("a") as out:
        out.write("block\\n")
    time.sleep({pause})
    return real(*arguments)

heat_map._cells = slow
"""
"""Heat maps of 100 blocks, each of which leaves a line in a file and takes a while."""
CHIPS = 100


class Blocks:
    """What the server tells of its work."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log = folder / "blocks", folder / "log"

    def code(self, pause: float) -> str:
        return SLOW.format(blocks=str(self.path), pause=pause)

    @property
    def count(self) -> int:
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0

    def requests(self, status: int) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "request" and line["status"] == status]


@pytest.fixture
def blocks(tmp_path: Path) -> Blocks:
    return Blocks(tmp_path)


def until(true: Callable[[], object]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("it never came true")


def some_id(client: httpx.Client) -> str:
    return str(client.get(f"{C}/items", params={"limit": 1}).json()["features"][0]["id"])


def in_flight(client: httpx.Client) -> int:
    (line,) = [one for one in client.get("/metrics").text.splitlines() if one.startswith("embedstore_requests_in_f")]
    return int(float(line.split()[1])) - 1  # but for this one


def heat_map(client: httpx.Client, id_: str) -> httpx.Response:
    return client.post(f"{C}/heatmap", json={"id": id_, "resolution": 5})


def test_an_answer_that_takes_too_long_is_given_up_and_its_work_ends(store: Path, blocks: Blocks) -> None:
    settings = {"request_seconds": 5, "heavy_threads": 1}
    with server(store, blocks.log, blocks.code(0.2), **settings) as (client, _):
        id_ = some_id(client)
        answer = heat_map(client, id_)
        stopped_at = blocks.count
        assert (answer.status_code, answer.headers["content-type"]) == (504, "application/problem+json")
        assert "no answer within 5 s" in answer.json()["detail"]
        assert 0 < stopped_at < CHIPS
        labels = {"labels": {id_: "a", "0" * 32: "b"}}
        assert client.post(f"{C}/suggest", json=labels).status_code == 404, "the only thread is free again"
        assert blocks.count == stopped_at, "nothing more was read"


def test_work_ends_when_its_client_goes_away(store: Path, blocks: Blocks) -> None:
    with server(store, blocks.log, blocks.code(0.1), heavy_threads=1) as (client, _):
        id_ = some_id(client)
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=client.base_url, timeout=1.5) as impatient:
            heat_map(impatient, id_)
        until(lambda: blocks.requests(499))
        stopped_at = blocks.count
        assert 0 < stopped_at < CHIPS
        labels = {"labels": {id_: "a", "0" * 32: "b"}}
        assert client.post(f"{C}/suggest", json=labels).status_code == 404, "the only thread is free again"
        assert blocks.count == stopped_at
        tile = f"{C}/heatmap/tiles/5/17/11.mvt"
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=client.base_url, timeout=1.5) as impatient:
            impatient.get(tile, params={"id": id_})
        until(lambda: len(blocks.requests(499)) == 2)
        assert blocks.count < 2 * CHIPS


def test_who_waits_for_a_thread_is_given_up_too(store: Path, blocks: Blocks) -> None:
    with server(store, blocks.log, blocks.code(600), heavy_threads=1, request_seconds=5) as (client, process):
        id_ = some_id(client)
        with ThreadPoolExecutor() as pool:
            stuck = pool.submit(httpx.post, f"{client.base_url}{C}/heatmap", json={"id": id_}, timeout=600)
            until(lambda: blocks.count)
            assert heat_map(client, id_).status_code == 504
            assert blocks.count == 1
            process.kill()
            assert isinstance(stuck.exception(), httpx.TransportError), "its own block was not at an end"


def test_told_to_end_it_answers_what_is_in_flight(store: Path, blocks: Blocks) -> None:
    with server(store, blocks.log, blocks.code(0.05), heavy_threads=2) as (client, process):
        id_ = some_id(client)
        with ThreadPoolExecutor(5) as pool:
            asked = [
                pool.submit(httpx.post, f"{client.base_url}{C}/heatmap", json={"id": id_}, timeout=600)
                for _ in range(5)
            ]
            until(lambda: in_flight(client) == 5)
            process.send_signal(signal.SIGTERM)
            until(lambda: refused(str(client.base_url)))
            assert not any(one.done() for one in asked)
            assert [one.result().status_code for one in asked] == [200] * 5
        assert process.wait(60) == 0
        assert blocks.count == 5 * CHIPS
        assert "Traceback" not in blocks.log.read_text()


def refused(address: str) -> bool:
    try:
        httpx.get(f"{address}/healthz")
    except httpx.TransportError:
        return True
    return False


def test_told_to_end_it_does_not_wait_for_ever(store: Path, blocks: Blocks) -> None:
    with server(store, blocks.log, blocks.code(0.2), stop_seconds=1) as (client, process):
        id_ = some_id(client)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(heat_map, client, id_)
            until(lambda: blocks.count)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            answer = asked.result()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert "the service ends" in answer.json()["detail"]
        assert blocks.count < CHIPS
        assert "Traceback" not in blocks.log.read_text()
