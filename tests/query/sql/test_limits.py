"""What a statement from a stranger may use, and what becomes of the worker that ran it."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from embedstore.errors import LimitError, QueryError, SqlError
from query.sql import Limits, Session

if TYPE_CHECKING:
    import subprocess

    from query import Engine


@pytest.mark.parametrize(
    "given",
    [
        {"seconds": 0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"memory_mb": 1},
        {"memory_mb": 100.0},
        {"rows": 0},
        {"rows": True},
        {"answer_mb": 0},
        {"temp_mb": -1},
    ],
)
def test_limits_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=next(iter(given))):
        Limits(**given)


def test_as_many_rows_as_allowed_and_not_one_more(engine: Engine) -> None:
    limits = Limits(rows=3000)
    assert engine.sql("SELECT * FROM range(3000)", limits).num_rows == 3000
    with pytest.raises(LimitError, match="3,000 rows"):
        engine.sql("SELECT * FROM range(3001)", limits)
    with pytest.raises(LimitError, match="3,001"):
        engine.sql("SELECT * FROM nearest((SELECT any_value(embedding) FROM embeddings), 3001)", limits)


def test_an_answer_that_grows_as_it_is_written(engine: Engine) -> None:
    bits = "SELECT list_transform(range(10000), x -> x % 2 = 0) AS bits FROM range({})"
    with Session(engine, Limits(seconds=60, memory_mb=256, rows=10_000)) as session:
        assert session.answer(bits.format(1), "json")[:12] == b'{"columns": '
        with pytest.raises(LimitError, match="memory"):
            session.answer(bits.format(10_000), "json")
        assert json.loads(bytes(session.answer("SELECT 1 AS one", "json")))["rows"] == [[1]]


def test_an_answer_is_no_larger_than_allowed(engine: Engine) -> None:
    with Session(engine, Limits(seconds=60, answer_mb=1)) as session:
        for form in ("json", "arrow"):
            assert session.answer("SELECT repeat('x', 900000) AS x", form)
            with pytest.raises(LimitError, match="1 MB"):
                session.answer("SELECT repeat('x', 1000000) AS x", form)
    told = engine.sql("SELECT id, geometry FROM embeddings ORDER BY id LIMIT 2")
    with Session(engine, Limits()) as stranger, Session(engine) as owner:
        for form in ("json", "geojson", "arrow"):
            bodies = [
                bytes(s.answer("SELECT id, geometry FROM embeddings ORDER BY id LIMIT 2", form))
                for s in (stranger, owner)
            ]
            assert bodies[0] == bodies[1]
        assert pa.ipc.open_stream(bodies[0]).read_all().equals(told)


SORT = "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY hash(range)) AS n FROM range(2500000))"


def test_disk_takes_what_memory_cannot_hold_where_that_is_allowed(engine: Engine) -> None:
    with Session(engine, Limits(seconds=60, memory_mb=64, temp_mb=2000)) as session:
        assert session.query(SORT)[0].to_pylist() == [2_500_000]
    with Session(engine, Limits(seconds=60, memory_mb=64)) as session, pytest.raises(LimitError, match="memory"):
        session.query(SORT)


def processes(session: Session) -> list[subprocess.Popen[bytes]]:
    """Return the processes of a session's workers that are not asked at the moment."""
    return [worker._process for worker in session._answers._idle]  # type: ignore[union-attr]


def test_as_many_workers_as_statements_run_at_once_are_started_ahead(engine: Engine) -> None:
    with Session(engine, Limits(seconds=30)) as session, ThreadPoolExecutor(2) as pool:
        ahead = {process.pid for process in processes(session)}
        assert len(ahead) == 2
        list(pool.map(session.query, ["SELECT count(*) FROM range(20000000)"] * 8))
        assert {process.pid for process in processes(session)} == ahead


def test_a_worker_that_died_is_replaced(engine: Engine) -> None:
    with Session(engine, Limits()) as session:
        ask = "SELECT count(*) AS n FROM embeddings"
        expected = session.query(ask)
        for process in processes(session):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert session.query(ask).equals(expected)


def test_who_comes_after_a_lost_worker_does_not_wait_for_the_one_in_its_place(engine: Engine) -> None:
    with Session(engine, Limits(seconds=30)) as session:
        session.query("SELECT 1")
        first, second = processes(session)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        session.query("SELECT 1")  # takes the place of the lost one, at the end
        in_its_place = processes(session)[-1]
        assert (processes(session)[0], in_its_place == first) == (second, False)
        session.query("SELECT 1")
        assert processes(session) == [in_its_place, second]


def test_more_statements_than_workers_wait_their_turn(engine: Engine) -> None:
    with Session(engine, Limits(seconds=30)) as session, ThreadPoolExecutor(6) as pool:
        asked = [f"SELECT {i} AS i, count(*) AS n FROM embeddings" for i in range(12)]
        assert [table["i"][0].as_py() for table in pool.map(session.query, asked)] == list(range(12))
        assert len(processes(session)) == 2


def test_a_slow_statement_does_not_wait_for_ever_for_a_worker(engine: Engine) -> None:
    with Session(engine, Limits(seconds=0.2)) as session, ThreadPoolExecutor(3) as pool:
        asked = ["SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 < b.range % 5"] * 3
        for done in [pool.submit(session.query, one) for one in asked]:
            with pytest.raises(LimitError):
                done.result()


def test_a_closed_session_says_so_and_leaves_no_process(engine: Engine) -> None:
    session = Session(engine, Limits())
    session.query("SELECT 1")
    started = processes(session)
    session.close()
    assert all(process.poll() is not None for process in started)
    with pytest.raises(SqlError, match="closed"):
        session.query("SELECT 1")


def test_a_session_that_is_forgotten_leaves_no_process(engine: Engine) -> None:
    session = Session(engine, Limits())
    started = processes(session)
    del session
    for _ in range(100):
        if all(process.poll() is not None for process in started):
            break
        time.sleep(0.05)
    assert all(process.poll() is not None for process in started)
