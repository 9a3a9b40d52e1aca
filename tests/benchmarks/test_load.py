"""The benchmark of load: how its figures are made, what its client sends, and all of it on a small store."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmarks import load, storm
from benchmarks.storm import Client, Load

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_refused_is_not_what_failed() -> None:
    statuses = Counter({"200": 100, "503": 60, "429": 5, "500": 1, "ConnectionResetError": 2})
    made = Load(100.0, 2.0, [0.01] * 99 + [0.5], ["search"] * 99 + ["sql"], [0.0], statuses)
    row = made.row("x")
    assert (made.answered, made.goodput, row["refused"], row["failed"]) == (100, 50.0, 65, 3)
    assert row["p50 ms"] == pytest.approx(10.0)
    assert 10 < row["p99 ms"] < 500
    assert row["p99 of"] == {"search": pytest.approx(10.0), "sql": pytest.approx(500.0)}
    assert math.isnan(Load(1.0, 1.0).quantile(0.5))


def test_growth_is_of_the_end_over_the_settled_beginning() -> None:
    flat = [{"mb": value} for value in [10, 50, 70, 80, 90, *[100.0] * 15]]
    assert load.growth(flat, "mb") == 0
    assert load.growth([{"mb": 100.0 + n} for n in range(100)], "mb") == pytest.approx((187 - 137) / 137, rel=0.01)


def test_connections_are_no_open_files(tmp_path: Path) -> None:
    with (tmp_path / "mine").open("w"), socket.create_server(("127.0.0.1", 0)):
        found = load.open_files(os.getpid())
    assert str(tmp_path / "mine") in found
    assert not any("socket" in name for name in found)


def test_overload_is_told_by_medians_of_rounds() -> None:
    def of(answered: int, ms: float) -> Load:
        return Load(1.0, 1.0, [ms / 1e3] * answered, ["search"] * answered, [], Counter({"200": answered}))

    taken = {
        "alone": [of(50, 10), of(50, 20), of(50, 900)],
        "sustained": [of(100, 20), of(1, 5000), of(110, 20)],
        "more": [of(120, 40)] * 3,
        "overload": [of(90, 60), of(96, 80), of(500, 10)],
    }
    figures = load._overload(taken)
    assert figures["overload_goodput_over_peak"] == pytest.approx(96 / 120)
    assert figures["overload_p99_over_alone"] == pytest.approx(60 / 20)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the first request of a connection, refuse the second, and hang up on the third."""
    for answer in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
    ):
        try:
            await reader.readuntil(b"\r\n\r\n")
        except EOFError:
            break
        writer.write(answer)
    writer.close()
    await writer.wait_closed()


def test_the_client_keeps_connections_and_asks_again_on_another() -> None:
    async def ask() -> Load:
        server = await asyncio.start_server(_answer, "127.0.0.1")
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        asked = storm.request("item", "GET", f"{address}/x")
        async with server, Client(address) as client:
            made = await storm.alone(client, [asked], 5)
        await asyncio.sleep(0.1)  # the server's side ends
        return made

    made = asyncio.run(ask())
    assert made.statuses == {"200": 2, "503": 2, "429": 1}
    assert (made.without_retry, made.failed) == (1, 0)


def test_requests_are_sent_as_httpx_would() -> None:
    raw = storm.request("search", "POST", "http://h:1/a", json={"k": 1}).raw
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a HTTP/1.1\r\n")
    assert b"Content-Length: 7" in head
    assert json.loads(body) == {"k": 1}


@pytest.mark.slow
def test_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "load.json"
    monkeypatch.setattr(load, "ROUNDS", 1)
    more = ["--rows", "22000", "--seconds", "2", "--minutes", "0.2", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.load", *more])
    load.main()
    figures = json.loads(out.read_text())["figures"]
    assert figures["failed_while_swapped"] == 0
    assert figures["refusals_without_retry_after"] == 0
    assert figures["sustained_per_second"] > 0
