"""Work whose deadline passes stops at the next look, and reads nothing more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedstore import exact
from embedstore.deadline import Deadline, Stopped, bounded, check
from embedstore.errors import LimitError
from embedstore.segment import Segment
from query import Engine, stream
from query.change import change
from query.fewshot import Labelled, classify_area, evaluate, suggest
from query.sql import Limits
from tests.embedstore import make
from tests.embedstore.make import chip_id
from tests.query import halves
from tests.query.fewshot.conftest import chips
from tests.query.test_change import day, later, places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 640


class Looks(Deadline):
    """Passes at the n-th look, and counts what is read from then on."""

    def __init__(self, last: float) -> None:
        super().__init__()
        self.left, self.looks, self.read_after = last, 0, 0

    @property
    def passed(self) -> bool:
        return self.left <= 0

    def check(self) -> None:
        self.looks += 1
        self.left -= 1
        super().check()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    store = make.store(tmp_path_factory.mktemp("deadline") / "store")
    for start in range(0, ROWS, ROWS // 2):
        store.append(make.chips(list(range(start, start + ROWS // 2))))
    return Engine(store.path)


LABELS = {chip_id(n): "ab"[n % 2] for n in range(24)}
WORK: dict[str, Callable[[Engine, Path], Any]] = {
    "search": lambda engine, _: engine.search(id=chip_id(1), recall="exact"),
    "filtered search": lambda engine, _: engine.search(id=chip_id(1), recall="exact", where="valid_fraction > 0.5"),
    "heat map": lambda engine, _: engine.heat_map(id=chip_id(1), resolution=5),
    "classify all": lambda engine, path: engine.classify_all(LABELS, path / "all.parquet"),
    "classify an area": lambda engine, path: classify_area(
        engine, Labelled.read(engine, LABELS), "knn", path / "area.parquet"
    ),
    "suggest": lambda engine, _: suggest(engine, Labelled.read(engine, LABELS)),
    "evaluate": lambda engine, _: evaluate(Labelled.read(engine, LABELS)),
}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BLOCK", 64)
    monkeypatch.setattr(exact, "CHUNK", 64)
    monkeypatch.setattr(sys.modules["query.change"], "BLOCK", 4)  # the package has the function under this name


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[Looks]:
    """The deadline that reads are counted for."""
    current = [Looks(np.inf)]

    def counted(real: Any) -> Any:
        def read(*arguments: Any) -> Any:
            current[0].read_after += current[0].passed
            return real(*arguments)

        return read

    for name in ("read_vectors", "check_vectors"):
        monkeypatch.setattr(Segment, name, counted(getattr(Segment, name)))
    return current


def stops_everywhere(work: Callable[[], Any], now: list[Looks], least: int) -> None:
    """Do it once to count the looks, and once for each with a deadline that passes there."""
    for _ in range(2):  # the first compiles filters, and the engine remembers them
        now[:] = [whole := Looks(np.inf)]
        with bounded(whole):
            work()
    assert whole.looks >= least, "long work looks often"
    for last in range(1, whole.looks + 1):
        now[:] = [Looks(last)]
        with bounded(now[0]), pytest.raises(Stopped):
            work()
        assert (now[0].looks, now[0].read_after) == (last, 0)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", WORK)
def test_work_stops_at_every_look_and_reads_nothing_more(
    engine: Engine, now: list[Looks], tmp_path: Path, name: str
) -> None:
    stops_everywhere(lambda: WORK[name](engine, tmp_path), now, ROWS // 64)
    assert not list(tmp_path.glob(".*.tmp")), "no draft is left"


@pytest.mark.usefixtures("small_blocks")
def test_change_stops(now: list[Looks], tmp_path: Path) -> None:
    lon, lat, vectors = places()
    made = make.store(tmp_path / "store")
    made.append(chips("a", lon, lat, vectors, day(2020)))
    made.append(chips("b", lon, lat, later(vectors), day(2021)))
    engine = Engine(made.path)
    stops_everywhere(lambda: change(engine, "2020-06-01", "2021-06-01"), now, len(lon) // 4)


def test_explanations_stop(now: list[Looks], tmp_path: Path) -> None:
    engine = Engine(halves.store(tmp_path)[0])
    ids = halves.chips(engine)
    stops_everywhere(lambda: engine.explain(ids, id=ids[0]), now, len(ids))


def test_a_statement_ends_with_its_deadline_and_the_next_is_answered(engine: Engine) -> None:
    limits = Limits(seconds=600)
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1"
    assert engine.sql("SELECT 1 AS one", limits)["one"].to_pylist() == [1]
    with bounded(Deadline(0.2)), pytest.raises(Stopped):
        engine.sql(endless, limits)
    with bounded(Deadline(0)), pytest.raises(Stopped):
        engine.sql("SELECT 1", limits)
    assert engine.sql("SELECT count(*) AS n FROM embeddings", limits)["n"].to_pylist() == [ROWS]
    with pytest.raises(LimitError):
        engine.sql(endless, Limits(seconds=0.3))


def test_without_a_deadline_there_is_time() -> None:
    check()
    with bounded(Deadline()):
        check()
    deadline = Deadline(1e9)
    with bounded(deadline):
        check()
        deadline.cancel()
        with pytest.raises(Stopped):
            check()
        with bounded(Deadline()):
            check()
    check()
    assert Deadline(0).passed
