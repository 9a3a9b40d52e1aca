"""Jobs: they end whole, are cancelled, survive the server, and never leave half a file."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from embedstore.sealed import read_json, write_json
from query.api import Settings, worker
from query.api.job import DELETED, STATE
from query.api.keys import ANYBODY
from query.api.problems import Problem
from query.api.worker import Jobs
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.02)
    pytest.fail("it never came true")


class Paced:
    """Work that waits to be let on at every step, and then writes its request as its result."""

    def __init__(self, steps: int = 3) -> None:
        self.steps, self.turn, self.begun = steps, threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, request: dict[str, Any], result: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        self.begun.release()
        draft = result.with_name(f".{result.name}.draft.tmp")
        draft.write_text("half")
        for step in range(self.steps):
            while not self.turn.acquire(timeout=0.02):
                progress(step, self.steps)
            progress(step + 1, self.steps)
        draft.unlink()
        result.write_text(json.dumps(request))
        return {"steps": self.steps}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[..., Jobs]]:
    """Return a way to start the jobs of a folder; whatever is running at the end is stopped."""
    running = []

    def start(work: Any, mine: Callable[[Any], bool] = lambda _: True, **settings: Any) -> Jobs:
        jobs = Jobs(Settings(jobs_folder=folder, **settings), work, mine)
        jobs.start()
        running.append(jobs)
        return jobs

    yield start
    for jobs in running:
        jobs.stop()


def test_a_job_goes_from_waiting_to_done(started: Callable[..., Jobs]) -> None:
    work = Paced(4)
    jobs = started(work)
    id_ = jobs.submit({"n": 1}, ANYBODY)
    assert work.begun.acquire(timeout=10)
    assert jobs.view(id_, ANYBODY)["status"] == "running"
    with pytest.raises(Problem) as early:
        jobs.result(id_, ANYBODY)
    assert early.value.status_code == 409
    work.turn.release(2)
    until(lambda: jobs.view(id_, ANYBODY)["progress"] == 0.5)
    work.turn.release(2)
    until(lambda: jobs.view(id_, ANYBODY)["status"] == "done")
    seen = jobs.view(id_, ANYBODY)
    assert seen["progress"] == 1
    assert seen["summary"] == {"steps": 4}
    assert seen["result"] == f"/jobs/{id_}/result"
    assert json.loads(jobs.result(id_, ANYBODY).read_text()) == {"n": 1}


def test_a_stopped_server_leaves_its_job_to_the_next(started: Callable[..., Jobs], folder: Path) -> None:
    first, second = Paced(), Paced()
    jobs = started(first, jobs_at_once=1)
    running, waiting = jobs.submit({"n": 1}, ANYBODY), jobs.submit({"n": 2}, ANYBODY)
    assert first.begun.acquire(timeout=10)
    jobs.stop()
    assert not list(folder.glob("*/result.parquet"))
    after = started(second)
    second.turn.release(6)
    for id_, number in ((running, 1), (waiting, 2)):
        until(lambda id_=id_: after.view(id_, ANYBODY)["status"] == "done")  # type: ignore[misc]
        assert json.loads(after.result(id_, ANYBODY).read_text()) == {"n": number}
        assert not list((folder / id_).glob("*.tmp"))


def test_to_be_stopped_often_says_nothing_of_a_job(started: Callable[..., Jobs]) -> None:
    work = Paced()
    jobs = started(work)
    id_ = jobs.submit({"n": 1}, ANYBODY)
    for _ in range(worker.ATTEMPTS + 1):
        assert work.begun.acquire(timeout=10)
        jobs.stop()
        jobs = started(work)
    work.turn.release(3)
    until(lambda: jobs.view(id_, ANYBODY)["status"] == "done")


def test_two_servers_share_a_folder_but_no_job(started: Callable[..., Jobs]) -> None:
    work, other = Paced(), Paced()
    one = started(work)
    id_ = one.submit({"n": 1}, ANYBODY)
    assert work.begun.acquire(timeout=10)
    two = started(other)
    assert two.view(id_, ANYBODY)["status"] == "running"
    with pytest.raises(Problem) as refused:
        two.delete(id_, ANYBODY)
    assert refused.value.status_code == 409
    work.turn.release(3)
    until(lambda: two.view(id_, ANYBODY)["status"] == "done")
    assert not other.begun.acquire(blocking=False)
    two.delete(id_, ANYBODY)
    with pytest.raises(Problem):
        one.view(id_, ANYBODY)


def test_a_server_takes_up_the_jobs_of_one_that_ends_beside_it(started: Callable[..., Jobs]) -> None:
    work, other = Paced(), Paced()
    one = started(work)
    id_ = one.submit({"n": 1}, ANYBODY)
    assert work.begun.acquire(timeout=10)
    two = started(other)
    two.look()
    assert not other.begun.acquire(blocking=False), "it is worked on"
    one.stop()
    two.look()
    other.turn.release(3)
    until(lambda: two.view(id_, ANYBODY)["status"] == "done")
    assert json.loads(two.result(id_, ANYBODY).read_text()) == {"n": 1}


def test_a_deleted_job_does_not_come_back(started: Callable[..., Jobs], folder: Path) -> None:
    jobs = started(Paced(), jobs_at_once=1)
    running, waiting = jobs.submit({"n": 1}, ANYBODY), jobs.submit({"n": 2}, ANYBODY)
    jobs.delete(waiting, ANYBODY)
    jobs.stop()
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [running]
    (folder / running / DELETED).touch()  # as a server leaves it that is killed before its worker has looked
    work = Paced()
    after = started(work)
    with pytest.raises(Problem):
        after.view(running, ANYBODY)
    assert not [path for path in folder.iterdir() if path.is_dir()]
    assert not work.begun.acquire(blocking=False)


def test_a_job_that_ends_every_server_is_reported(started: Callable[..., Jobs], folder: Path) -> None:
    work = Paced()
    jobs = started(work)
    id_ = jobs.submit({"n": 1}, ANYBODY)
    state = folder / id_ / STATE
    for _ in range(worker.ATTEMPTS):
        assert work.begun.acquire(timeout=10)
        left = state.read_bytes()
        jobs.stop()
        state.write_bytes(left)  # as a server leaves it that is killed
        jobs = started(work)
    until(lambda: jobs.view(id_, ANYBODY)["status"] == "failed")
    assert "begun 3 times" in jobs.view(id_, ANYBODY)["message"]
    assert not (folder / id_ / "result.parquet").exists()


def test_a_job_that_fails_says_so_without_folders(started: Callable[..., Jobs]) -> None:
    def fail(*_: Any) -> Any:
        raise OSError(28, "no space", "/secret/place")

    jobs = started(fail)
    id_ = jobs.submit({}, ANYBODY)
    until(lambda: jobs.view(id_, ANYBODY)["status"] == "failed")
    assert "secret" not in json.dumps(jobs.view(id_, ANYBODY))
    with pytest.raises(Problem, match="has no result"):
        jobs.result(id_, ANYBODY)


def test_cancelling_ends_a_job_that_runs_or_waits(started: Callable[..., Jobs], folder: Path) -> None:
    work = Paced()
    jobs = started(work, jobs_at_once=1)
    running, waiting = jobs.submit({"n": 1}, ANYBODY), jobs.submit({"n": 2}, ANYBODY)
    assert work.begun.acquire(timeout=10)
    for id_ in (waiting, running):
        jobs.delete(id_, ANYBODY)
        with pytest.raises(Problem):
            jobs.view(id_, ANYBODY)
    until(lambda: not [path for path in folder.iterdir() if path.is_dir()])
    third = jobs.submit({"n": 3}, ANYBODY)
    work.turn.release(3)
    until(lambda: jobs.view(third, ANYBODY)["status"] == "done")


def test_old_results_make_room(started: Callable[..., Jobs], folder: Path) -> None:
    work = Paced(0)
    jobs = started(work, max_jobs=3)
    first = jobs.submit({"n": 0}, ANYBODY)
    until(lambda: jobs.view(first, ANYBODY)["status"] == "done")
    for number in range(1, 4):
        last = jobs.submit({"n": number}, ANYBODY)
        until(lambda last=last: jobs.view(last, ANYBODY)["status"] == "done")  # type: ignore[misc]
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 3
    with pytest.raises(Problem):
        jobs.view(first, ANYBODY)
    old = read_json(folder / last / "state.json")
    write_json(folder / last / "state.json", {**old, "changed": 0.0})
    work.steps = 3
    for number in range(4, 7):
        jobs.submit({"n": number}, ANYBODY)
    with pytest.raises(Problem) as full:
        jobs.submit({"n": 7}, ANYBODY)
    assert full.value.status_code == 503
    with pytest.raises(Problem):
        jobs.view(last, ANYBODY)


@pytest.mark.parametrize(("job_hours", "kept"), [(1.0, False), (3.0, True)])
def test_results_are_kept_for_hours(started: Callable[..., Jobs], folder: Path, job_hours: float, kept: bool) -> None:
    work = Paced(0)
    jobs = started(work, job_hours=job_hours)
    id_ = jobs.submit({"n": 0}, ANYBODY)
    until(lambda: jobs.view(id_, ANYBODY)["status"] == "done")
    state = read_json(folder / id_ / "state.json")
    write_json(folder / id_ / "state.json", {**state, "changed": time.time() - 2 * 3600})
    jobs.submit({"n": 1}, ANYBODY)
    assert (folder / id_).exists() == kept


def test_jobs_of_other_stores_are_left_alone(started: Callable[..., Jobs], folder: Path) -> None:
    work = Paced()
    jobs = started(work, lambda request: request["n"] == 1)
    id_ = jobs.submit({"n": 1}, ANYBODY)
    assert work.begun.acquire(timeout=10)
    jobs.stop()
    other = started(Paced(), lambda request: request["n"] == 2)
    with pytest.raises(Problem):
        other.view(id_, ANYBODY)
    assert (folder / id_).is_dir()


@pytest.mark.parametrize("id_", ["", "..", "0" * 32, "../../etc/passwd", "%2e%2e", "\0" * 32, "é" * 32])
def test_an_unknown_job_is_not_found(started: Callable[..., Jobs], id_: str) -> None:
    jobs = started(Paced())
    for ask in (jobs.view, jobs.result, jobs.delete):
        with pytest.raises(Problem) as unknown:
            ask(id_, ANYBODY)
        assert unknown.value.status_code == 404


def test_what_killed_servers_left_is_cleared_away(started: Callable[..., Jobs], folder: Path) -> None:
    for name, age in ((".old", 7200), (".new", 0)):
        (folder / name).mkdir(parents=True)
        then = time.time() - age
        os.utime(folder / name, (then, then))
    started(Paced())
    assert [path.name for path in folder.iterdir()] == [".new"]


def test_a_damaged_state_is_no_server_error(started: Callable[..., Jobs], folder: Path) -> None:
    jobs = started(Paced(0))
    id_ = jobs.submit({"n": 1}, ANYBODY)
    until(lambda: jobs.view(id_, ANYBODY)["status"] == "done")
    (folder / id_ / "state.json").write_text("{")
    with pytest.raises(Problem):
        jobs.view(id_, ANYBODY)
    assert jobs.count() == {"running": 0, "done": 0, "failed": 0}
    started(Paced(0))


def test_a_large_area_becomes_a_job_with_a_file(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]], tmp_path: Path, ids: list[str]
) -> None:
    labels = {id_: "ab"[number % 2] for number, id_ in enumerate(ids[:12])}
    with serve(store, sync_chips=50) as client:
        answer = client.post(f"{C}/classify", json={"labels": labels, "evaluate": True})
        assert answer.status_code == 202, answer.text
        href = answer.json()["href"]
        assert answer.headers["location"] == href
        until(lambda: client.get(href).json()["status"] == "done")
        seen = client.get(href).json()
        assert seen["summary"]["chips"] == 100
        file = client.get(seen["result"])
        assert file.headers["content-type"] == "application/vnd.apache.parquet"
        (tmp_path / "result.parquet").write_bytes(file.content)
        table = pq.read_table(tmp_path / "result.parquet")
        assert sorted(table["id"].to_pylist()) == sorted(ids)
        assert client.delete(href).status_code == 204
        assert client.get(href).status_code == 404
