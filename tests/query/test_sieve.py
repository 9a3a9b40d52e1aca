"""Every way through the sieve against brute force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from embedstore.piece import Piece
from query import sieve
from query.filters import Filter
from query.predicate import Predicate
from tests.embedstore import make

if TYPE_CHECKING:
    from embedstore.segment import Segment

ROWS = 1_300
BOX = (10.0, 45.0, 11.0, 46.0)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[Piece]:
    """A segment of rows of one moment or none, and one of rows seen over some days; both with deletions, too."""
    made = []
    for name, column in (("moments", "datetime"), ("days", "datetime_end")):
        store = make.store(tmp_path_factory.mktemp("sieve") / name)
        chips = make.chips(list(range(ROWS)), box=BOX)
        when = [None if i % 9 == 0 else t for i, t in enumerate(chips["datetime"].to_pylist())]
        if column == "datetime":
            at = {"datetime": when, "datetime_end": when}
        else:
            at = {"datetime_end": [t and t.replace(hour=23) for t in when]}
        rng = np.random.default_rng(5)
        at |= {"valid_fraction": rng.random(ROWS), "modalities": rng.integers(1, 4, ROWS)}
        for field, values in at.items():
            of = chips.schema.field(field)
            chips = chips.set_column(chips.schema.get_field_index(field), of, pa.array(values, of.type))
        store.append(chips)
        (piece,) = store.snapshot().pieces
        made += [piece, Piece(piece.segment, np.random.default_rng(3).random(ROWS) < 0.7)]
    assert [p.segment.instants for p in made] == [True, True, False, False]
    return made


def truth(segment: Segment, alive: np.ndarray | None, asked: dict[str, Any]) -> np.ndarray:
    lon, lat = segment.column("lon"), segment.column("lat")
    passing = np.ones(ROWS, bool) if alive is None else alive.copy()
    if "bbox" in asked:
        west, south, east, north = asked["bbox"]
        passing &= (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    if "within" in asked:
        passing &= shapely.intersects_xy(asked["within"], lon, lat)
    if "between" in asked:
        first, last = segment.column("datetime"), segment.column("datetime_end")
        passing &= (first <= asked["between"][1]) & (np.where(np.isnat(last), first, last) >= asked["between"][0])
    if "where" in asked:
        share = segment.column("valid_fraction")
        passing &= share > 0.5 if "0.5" in asked["where"] else segment.column("modalities") % 2 == 1
    return np.flatnonzero(passing)


def places(draw: Any) -> tuple[float, float, float]:
    lon, lat = draw(st.floats(BOX[0], BOX[2])), draw(st.floats(BOX[1], BOX[3]))
    return lon, lat, draw(st.sampled_from([1e-4, 0.02, 0.2, 0.6, 3.0]))


@st.composite
def filters(draw: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if draw(st.booleans()):
        lon, lat, half = places(draw)
        asked["bbox"] = (lon - half, lat - half, lon + half, lat + half)
    if draw(st.booleans()):
        lon, lat, half = places(draw)
        asked["within"] = shapely.Point(lon, lat).buffer(half)
    if draw(st.booleans()):
        days = sorted(draw(st.lists(st.integers(0, 800), min_size=2, max_size=2)))
        first, last = (np.datetime64("2019-01-01", "us") + np.timedelta64(day, "D") for day in days)
        asked["between"] = (first, last)
    if draw(st.booleans()):
        asked["where"] = draw(st.sampled_from(["valid_fraction > 0.5", "modalities % 2 = 1"]))
    return asked


@settings(max_examples=150)
@given(asked=filters(), few=st.sampled_from([0, 300]), many=st.sampled_from([0, 600, 10**6]), number=st.integers(0, 3))
def test_what_passes_is_what_brute_force_lets_pass(
    pieces: list[Piece], asked: dict[str, Any], few: int, many: int, number: int
) -> None:
    piece = pieces[number]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve, "FEW", few)
        patch.setattr(sieve, "MANY", many)
        found = sieve.sift(Filter.parse(**asked), piece, Predicate())
    expected = truth(piece.segment, piece.alive, asked)
    if found is None:
        assert len(expected) == ROWS
    else:
        assert found.rows.tolist() == expected.tolist()
        assert found.count == len(expected)
