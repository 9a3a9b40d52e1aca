"""The most that is allowed: an answer comes, whatever it is, because the work is bounded by what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.query.api.conftest import C

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

MOST = 20_000
WEST, SOUTH, EAST, NORTH = 13.29, 45.70, 13.52, 45.80
"""Round the tests' scene."""


def round_(corners: int, radius: Any) -> list[list[float]]:
    """A ring whose corners lie at a radius each, in degrees, round the middle of the scene."""
    angle = np.linspace(0, 2 * np.pi, corners)[:-1]
    far = np.broadcast_to(radius, angle.shape)
    around = np.column_stack([13.4 + far * np.cos(angle), 45.75 + far * np.sin(angle)]).tolist()
    return [*around, around[0]]


def comb() -> list[list[float]]:
    """A ring of teeth as thin as rounding allows, all of which every box of chips touches."""
    x = np.linspace(WEST, EAST, MOST - 3)
    teeth = np.column_stack([x, np.where(np.arange(len(x)) % 2, NORTH, SOUTH + 0.01)]).tolist()
    return [*teeth, [EAST, SOUTH], [WEST, SOUTH], teeth[0]]


def crumbs(side: float) -> list[Any]:
    """Thousands of squares."""
    lon, lat = np.meshgrid(np.linspace(WEST, EAST, 80), np.linspace(SOUTH, NORTH, 50))
    return [
        [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]
        for x, y in zip(lon.ravel().tolist(), lat.ravel().tolist(), strict=True)
    ]


def sieve() -> list[Any]:
    """A square with thousands of holes."""
    outer = [[13.0, 45.0], [14.0, 45.0], [14.0, 46.0], [13.0, 46.0], [13.0, 45.0]]
    return [outer, *(parts[0] for parts in crumbs(0.0005)[:3990])]


def moved(rings: list[Any], east: float) -> list[Any]:
    """Rings somewhere else."""
    return [[[x + east, y] for x, y in ring] for ring in rings]


star = round_(MOST, np.where(np.arange(MOST - 1) % 2, 0.1, 1e-9))
SHAPES: dict[str, tuple[str, Any, bool]] = {
    "a round polygon of the most corners": ("Polygon", [round_(MOST, 0.1)], True),
    "a star whose points all but touch": ("Polygon", [star], True),
    "a comb": ("Polygon", [comb()], True),
    "thousands of squares": ("MultiPolygon", crumbs(0.001), True),
    "thousands of squares that overlap": ("MultiPolygon", crumbs(0.05), True),
    "a sieve": ("Polygon", sieve(), True),
    "the whole Earth and no more": ("Polygon", [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]], True),
    "a sieve across the antimeridian": ("Polygon", moved(sieve()[:500], 166.5), True),
    "a comb across the antimeridian": ("Polygon", moved([comb()], 166.6), True),
    "an area that numbers cannot tell from none": ("Polygon", [round_(1000, 1e-13)], True),
    "a star that crosses itself everywhere": ("Polygon", [round_(MOST, 0.1)[:: MOST // 2 - 1] * 3], False),
    "a ring that goes round a thousand times": ("Polygon", [round_(20, 0.1)[:-1] * 1000 + round_(20, 0.1)[:1]], False),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("to", ["search", "heatmap"])
def test_a_polygon_as_hard_as_it_may_be_is_answered(client: TestClient, ids: list[str], name: str, to: str) -> None:
    kind, coordinates, right = SHAPES[name]
    answer = client.post(f"{C}/{to}", json={"id": ids[0], "within": {"type": kind, "coordinates": coordinates}})
    assert answer.status_code in ({200, 400} if right else {400}), answer.text[:300]
    if name == "the whole Earth and no more":
        assert answer.status_code == 200
        assert len(answer.json()["hits" if to == "search" else "cells"]) > 5


WIDE = {
    "the most letters of a number": "lon > " + "9" * 1_990,
    "parentheses": "(" * 990 + "lon" + ")" * 990,
    "signs": "lon > " + "- " * 990 + "1",
    "NOT": "NOT " * 490 + "(lon > 1)",
    "AND": " AND ".join(["lon<99"] * 170),
    "OR of AND": " OR ".join(["lon<1 AND lat<1"] * 100),
    "a list": "lon IN (" + ",".join("9" for _ in range(990)) + ")",
    "CASE in CASE": "CASE WHEN lon > 1 THEN " * 58 + "1" + " ELSE 0 END" * 58 + " = 1",
    "functions in functions": "abs(" * 390 + "lon" + ")" * 390 + " > 0",
    "a likeness of many wild cards": "hex(id) LIKE '" + "%a" * 950 + "'",
    "a likeness that goes back and back": "upper(lower(hex(id))) LIKE '" + "%0_" * 600 + "%'",
    "casts": "lon" + "::DOUBLE" * 240 + " > 1",
    "powers without end": "exp(exp(exp(exp(exp(exp(lon)))))) > 0",
    "a shift without end": "(modalities << 62) << 62 > 0",
}


@pytest.mark.parametrize("name", WIDE)
def test_a_condition_as_long_as_it_may_be_is_answered(client: TestClient, ids: list[str], name: str) -> None:
    assert len(WIDE[name]) <= 2_000
    answer = client.post(f"{C}/search", json={"id": ids[0], "where": WIDE[name], "k": 3})
    assert answer.status_code in {200, 400}, answer.text[:300]


REGEX = {
    "a regular expression that goes back and back": "regexp_matches(repeat('a', 100000) || '!', '^(a+)+$')",
    "a regular expression of choices": "regexp_matches(repeat('a', 100000), '^(a|a|a)*b$')",
    "a regular expression of a thousand thousand states": "regexp_matches('a', '((a{1,100}){1,100}){1,100}')",
    "a likeness of many wild cards": "repeat('a', 1000000) LIKE '" + "%a" * 2000 + "b'",
    "a distance of long texts": "levenshtein(repeat('x', 100000), repeat('y', 100000)) > 0",
    "a polygon with its like": (
        "ST_Area(ST_Union(ST_Buffer(ST_Point(0, 0), 1, 10000), ST_Buffer(ST_Point(1, 0), 1, 10000))) > 0"
    ),
}


@pytest.mark.parametrize("name", REGEX)
def test_a_statement_as_hard_as_it_may_be_is_answered(client: TestClient, name: str) -> None:
    answer = client.post(f"{C}/sql", json={"sql": f"SELECT {REGEX[name]}"})
    assert answer.status_code in {200, 400, 413}, answer.text[:300]
    assert client.post(f"{C}/sql", json={"sql": "SELECT 1 AS one"}).json()["rows"] == [[1]]
