"""Lines under simulated load: a clock of their own, so that no machine is too slow for them."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from typing import Any

import numpy as np
import pytest

from query.api import Settings
from query.api.access import Access
from query.api.gate import Gate
from query.api.line import LEAST, MOST, SHORT, SOON, TURNS, Crowd, Line, Place


def let_in(line: Line) -> Place:
    """Let one in whose request is all there."""
    place = line.enter()
    place.ready()
    return place


class World:
    """Requests at random moments, and threads that take the same time for each."""

    def __init__(self, threads: int) -> None:
        self.line, self.threads = Line("quick", threads, Crowd()), threads
        self.now, self.rng = 0.0, random.Random(0)
        self.waiting: deque[tuple[float, Place]] = deque()
        self.working: list[tuple[float, float, int, Place]] = []
        self.took: list[float] = []
        self.refused = 0

    def run(self, seconds: float, rate: float, service: float) -> None:
        self.took, self.refused = [], 0
        end, due = self.now + seconds, self.now
        while due < end:
            self.now = due
            self._finish(due, service)
            if self.line.admits():
                self.waiting.append((due, let_in(self.line)))
            else:
                self.refused += 1
            self._begin(due, service)
            due += self.rng.expovariate(rate)

    def _begin(self, now: float, service: float) -> None:
        while self.waiting and len(self.working) < self.threads:
            came, place = self.waiting.popleft()
            heapq.heappush(self.working, (now + service, came, id(place), place))

    def _finish(self, until: float, service: float) -> None:
        while self.working and self.working[0][0] <= until:
            done, came, _, place = heapq.heappop(self.working)
            place.leave(done - came)
            self.took.append(done - came)
            self._begin(done, service)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("service", [0.002, 0.02, 0.2, 2.0])
def test_at_four_times_what_can_be_answered_it_answers_that_much_and_soon(threads: int, service: float) -> None:
    world, capacity = World(threads), threads / service
    world.run(200 * service, 0.5 * capacity, service)
    world.run(10 * SOON + 50 * service, 4 * capacity, service)  # until the first that came have been answered
    world.run(3000 * service, 4 * capacity, service)
    assert len(world.took) >= 0.95 * capacity * 3000 * service
    assert np.quantile(world.took, 0.99) <= 1.5 * max(SHORT, TURNS * service)
    assert world.refused > len(world.took)


@pytest.mark.parametrize(("service", "short", "long"), [(0.002, 20, 29), (0.01, 4, 13), (0.1, 4, 10), (2.0, 4, 6)])
def test_many_who_come_at_once_may_wait_and_when_they_keep_coming_no_longer(
    service: float, short: int, long: int
) -> None:
    line = Line("quick", 2, Crowd())
    for _ in range(50):
        let_in(line).leave(service)
    for _ in range(2):
        for _ in range(5):  # come alone: what was before says nothing any more
            assert line.admits()
            let_in(line).leave(service)
        inside = []
        while line.admits():
            inside.append(let_in(line))
        assert len(inside) == line.inside == long
        for _ in range(50):
            assert not line.admits()
        while len(inside) > short:
            assert not line.admits()
            inside.pop().leave(service * -(-len(inside) // 2))
        inside.pop().leave(service * short / 2)
        assert line.admits()
        while inside:
            inside.pop(0).leave()


def test_where_one_line_is_crowded_none_grows_for_all_share_the_cores() -> None:
    crowd = Crowd()
    quick, heavy = Line("quick", 2, crowd), Line("heavy", 1, crowd)
    for line in (quick, heavy):
        for _ in range(50):
            let_in(line).leave(0.1)
    waiting = [let_in(heavy) for _ in range(TURNS)]
    assert heavy.admits(), "this one alone may be as long as is answered soon"
    waiting += [let_in(quick) for _ in range(TURNS * 2)]
    while quick.admits():
        pass
    assert not heavy.admits()
    while waiting:
        waiting.pop().leave()
    for _ in range(5):
        assert quick.admits()
        let_in(quick).leave(0.1)
    for _ in range(TURNS):
        let_in(heavy)
    assert heavy.admits(), "since then some came alone"


def test_requests_on_their_way_and_answers_being_sent_make_nobody_wait() -> None:
    line = Line("quick", 2, Crowd())
    for _ in range(50):
        let_in(line).leave(1.0)
    coming = [line.enter() for _ in range(20)]
    working = []
    while line.admits():
        working.append(let_in(line))
    assert (len(working), line.inside) == (LEAST, 20 + LEAST)
    working.pop().leave(1.0)  # its answer begins
    assert line.admits()
    coming.pop().ready()
    assert not line.admits()
    for place in (*coming, *working):
        place.leave()
        place.leave()
    assert (line.inside, line.ready, line.crowd.ready) == (1, 1, 1)


@pytest.mark.parametrize("service", [0.002, 0.2])
def test_at_half_of_what_can_be_answered_almost_all_is(service: float) -> None:
    world = World(4)
    world.run(5000 * service, 0.5 * 4 / service, service)
    assert world.refused <= 0.01 * len(world.took)


def test_it_recovers_from_a_stall() -> None:
    world = World(4)
    world.run(10, 500, 0.004)
    world.run(90, 500, 1.0)  # those that came before the first slow answer wait for one another
    world.run(60, 500, 1.0)
    assert np.quantile(world.took, 0.99) <= 1.5 * TURNS * 1.0
    world.run(10, 500, 0.004)
    world.run(10, 500, 0.004)
    assert world.refused <= 0.01 * len(world.took)


def test_as_many_as_a_browser_sends_are_let_in_whatever_they_take() -> None:
    line = Line("heavy", 2, Crowd())
    for _ in range(50):
        let_in(line).leave(60.0)
    for _ in range(LEAST):
        assert line.admits()
        let_in(line)
    assert not line.admits()


def test_however_quick_they_are_no_more_than_the_most_are_let_in() -> None:
    line = Line("sql", 3, Crowd())
    for number in range(3 * MOST["sql"]):
        assert line.admits()
        place = line.enter()
        if number % 2:
            place.ready()
    assert (line.inside, line.ready, line.admits()) == (24, 12, False)


def asked(gate: Gate, path: str) -> tuple[int, dict[bytes, bytes]]:
    """Ask at the gate, with a body that must not be read, and return status and headers."""
    sent: list[Any] = []

    async def receive() -> Any:
        pytest.fail("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(b"host", b"127.0.0.1"), (b"content-length", b"1000000")],
    }
    asyncio.run(gate(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_who_comes_beyond_a_line_is_told_so_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    gate = Gate(app, Settings(threads=2, heavy_threads=1, max_in_flight=100), Access(None))
    heavy, quick = gate._lines["heavy"], gate._lines["quick"]
    for _ in range(TURNS):
        let_in(heavy).leave(60.0)
    while heavy.admits():
        let_in(heavy)
    for path in ("/collections/a/heatmap", "/collections/a/heatmap/tiles/0/0/0.mvt"):
        status, headers = asked(gate, path)
        assert (status, headers[b"retry-after"]) == (503, b"1"), path
    assert not reached
    monkeypatch.setattr("query.api.patience.Patience._watch", lambda _: asyncio.sleep(0))
    assert asked(gate, "/collections/a/search")[0] == 200, "other kinds have lines of their own"
    assert (quick.inside, gate._in_flight) == (0, 0)
    while quick.inside < 2 * MOST["quick"]:
        quick.enter()
    assert asked(gate, "/collections/a/search")[0] == 503
    gate._in_flight = 100
    assert asked(gate, "/collections/a/sql")[0] == 503
    assert asked(gate, "/healthz")[0] == 200, "nobody takes a busy service for a dead one"
    assert reached == ["/collections/a/search", "/healthz"]
    assert heavy.inside == LEAST
