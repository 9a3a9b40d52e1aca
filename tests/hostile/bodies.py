"""JSON and GeoJSON that is too deep, too large, no number, no polygon or not on the Earth."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.hostile.case import JSON, C, Case, post

SQUARE = [[13.0, 45.0], [14.0, 45.0], [14.0, 46.0], [13.0, 46.0], [13.0, 45.0]]
DEEP = 100_000


def search(name: str, status: int, **asked: Any) -> Case:
    """Return a case that searches for what is like a stored chip, and something more."""
    return post(name, status, "search", {"id": "@id", **asked})


def within(name: str, status: int, coordinates: Any, kind: str = "Polygon") -> Case:
    """Return a case that searches inside a geometry."""
    return search(name, status, within={"type": kind, "coordinates": coordinates})


def labelled(name: str, status: int, geometry: Any, **properties: Any) -> Case:
    """Return a case that classifies by one feature."""
    feature = {"type": "Feature", "geometry": geometry, "properties": properties or {"class": "a"}}
    labels = {"type": "FeatureCollection", "features": [feature]}
    return post(name, status, "classify", {"labels": labels, "bbox": [13.3566, 45.7435, 13.3567, 45.7436]})


def ring(corners: int, radius: float = 0.1) -> list[list[float]]:
    """Return a round polygon's ring."""
    angle = np.linspace(0, 2 * np.pi, corners)
    around = [[13.4 + radius * x, 45.7 + radius * y] for x, y in zip(np.cos(angle), np.sin(angle), strict=True)]
    return [*around[:-1], around[0]]


TEXTS = tuple(
    post(f"for JSON, {what}", status, "search", text)
    for what, status, text in (
        ("nothing", 422, b""),
        ("half a brace", 422, "{"),
        ("a list", 422, "[]"),
        ("null", 422, "null"),
        ("a number", 422, "1"),
        ("a text", 422, '"SELECT 1"'),
        ("lists in lists without end", 422, "[" * DEEP),
        ("objects in objects without end", 422, '{"within":' * DEEP),
        ("lists in lists that do end", 422, '{"vector": ' + "[" * 5000 + "]" * 5000 + "}"),
        ("bytes that are no text", 422, b'{"id": "\xff\xfe\xfd"}'),
        ("overlong UTF-8", 422, b'{"id": "\xc0\xaf"}'),
        ("UTF-16", 422, '{"id": "a"}'.encode("utf-16")),
        ("half a character", 422, r'{"id": "\ud800"}'),
        ("NUL", 422, b'{"id": "a"}\0'),
        ("two objects", 422, '{"id": "a"} {"id": "b"}'),
        ("a comment", 422, '{"id": "a" /* b */}'),
        ("NaN", 422, '{"at": [NaN, 45]}'),
        ("infinity", 422, '{"id": "@id", "spread": Infinity}'),
        ("a number beyond all numbers", 422, '{"id": "@id", "spread": 1e999}'),
        ("a whole number of a hundred thousand digits", 422, '{"id": "@id", "k": ' + "9" * 100_000 + "}"),
        ("a name twice, the second time wrong", 422, '{"k": 1, "id": "@id", "k": 0}'),
        ("a name that nobody knows", 422, '{"id": "@id", "__proto__": {"k": 1}}'),
        ("ten thousand names that nobody knows", 422, json.dumps({f"x{i}": i for i in range(10_000)})),
        ("a text of three megabytes", 422, json.dumps({"id": "a" * 3_000_000})),
        ("five megabytes", 413, json.dumps({"id": "a" * 5_000_000})),
        ("a number for a text", 422, '{"id": 1}'),
        ("a word for a number", 422, '{"id": "@id", "k": "ten"}'),
    )
)

TO_SQL = (
    Case("for JSON of a statement, lists without end", 400, "POST", f"{C}/sql", b"[" * DEEP, JSON),
    Case("for JSON of a statement, a number of many digits", 400, "POST", f"{C}/sql", b"9" * DEEP, JSON),
    Case("for JSON of a statement, bytes that are no text", 400, "POST", f"{C}/sql", b'{"sql": "\xff"}', JSON),
    Case("for JSON of a statement, half a character", 422, "POST", f"{C}/sql", rb'{"sql": "SELECT 1 -- \ud800"}', JSON),
)

NUMBERS = (
    search("no hit", 422, k=0),
    search("fewer hits than none", 422, k=-1),
    search("hits without end", 413, k=10**9),
    search("more hits than any machine counts", 413, k=10**30),
    search("half a hit", 422, k=1.5),
    search("a recall of nothing", 422, recall=0),
    search("a recall of more than all", 422, recall=2),
    search("a recall in words", 422, recall="all"),
    search("a distance below zero", 422, spread=-1),
    post("nothing to look for", 400, "search", {}),
    post("two things to look for", 400, "search", {"id": "@id", "at": [13.4, 45.7]}),
    post("a chip that is not there", 404, "search", {"id": "0" * 32}),
    post("a chip of NULs", 404, "search", {"id": "\0" * 32}),
    post("an id that is too long", 422, "search", {"id": "0" * 65}),
    post("a place beyond the Earth", 422, "search", {"at": [1e308, 45]}),
    post("a place of three numbers", 422, "search", {"at": [1, 2, 3]}),
    post("a vector of no number", 400, "search", {"vector": []}),
    post("a vector of too many numbers", 422, "search", {"vector": [0.1] * 65_537}),
    post("a vector of another length", 400, "search", {"vector": [0.1] * 3}),
    post("a vector without direction", 400, "search", {"vector": [0.0] * 256}),
    post("examples that are not there", 404, "search", {"positives": ["0" * 32] * 3}),
    post("more examples than are allowed", 413, "search", {"positives": ["@id"] * 1001}),
    search("a box of three numbers", 422, bbox=[0, 0, 1]),
    search("a box from north to south", 400, bbox=[0, 10, 1, 0]),
    search("a box beyond the Earth", 400, bbox=[-1e300, -90, 1e300, 90]),
    search("a time in words", 400, between="yesterday"),
    search("a time of one end", 400, between="2020-01-01"),
    search("a time that runs backwards", 400, between="2021-01-01/2020-01-01"),
    search("a time of a thousand letters", 422, between="2" * 1000),
    search("a time beyond the calendar", 400, between="0001-01-01T00:00:00+23:59/.."),
    search("a cell that is none", 400, cells=["0"]),
    search("a cell in words", 400, cells=["../../etc"]),
    search("a cell of all bits", 400, cells=["f" * 16]),
    search("a cell of thousands of digits", 400, cells=["8" * 10_000]),
    search("more cells than are allowed", 413, cells=["861ea7707ffffff"] * 10_001),
    post("chips to explain: none", 422, "explain", {"ids": [], "id": "@id"}),
    post("chips to explain: too many", 413, "explain", {"ids": ["@id"] * 101, "id": "@id"}),
    post("chips to explain: not there", 404, "explain", {"ids": ["0" * 32], "id": "@id"}),
    post("cells of a heat map that are none", 422, "heatmap", {"id": "@id", "resolution": 16}),
    post("a heat map of nothing", 400, "heatmap", {}),
    post("a change between a time and itself", 400, "change", {"a": "2019-01-01/..", "b": "2019-01-01/.."}),
    post("a change of more places than allowed", 413, "change", {"a": "../2019-01-01", "b": "2020-01-01/..",
                                                               "k": 10**6}),
)  # fmt: skip

AREAS = (
    within("a polygon of no ring", 422, []),
    within("a polygon of an empty ring", 422, [[]]),
    within("a polygon of three corners", 422, [SQUARE[:3]]),
    within("a ring that is open", 400, [SQUARE[:4]]),
    within("a ring that crosses itself", 400, [[[13, 45], [14, 46], [14, 45], [13, 46], [13, 45]]]),
    within("a ring without area", 400, [[[13, 45]] * 5]),
    within("a ring that goes there and back", 400, [[[13, 45], [14, 45], [13, 45], [14, 45], [13, 45]]]),
    within("a hole that crosses itself", 400, [SQUARE, [[13.1, 45.1], [13.2, 45.2], [13.2, 45.1], [13.1, 45.2],
                                                       [13.1, 45.1]]]),
    within("corners past a pole", 400, [[[0, 80], [1, 80], [1, 100], [0, 100], [0, 80]]]),
    within("corners beyond all Earths", 400, [[[-1e300, -80], [1e300, -80], [1e300, 80], [-1e300, 80], [-1e300, -80]]]),
    within("corners of one number", 422, [[[1]] * 4]),
    within("corners of five numbers", 422, [[[1, 2, 3, 4, 5]] * 4]),
    within("corners of words", 422, [[["a", "b"]] * 4]),
    within("corners of nothing", 422, [[[None, None]] * 4]),
    within("corners nested too deeply", 422, [[[[[[13, 45]]]]]]),
    within("corners that are objects", 422, {"0": {"0": [1, 2]}}),
    within("more corners than are allowed", 413, [ring(20_001)]),
    within("more parts than are allowed", 413, [[SQUARE]] * 4001, "MultiPolygon"),
    within("many polygons, and one crosses itself", 400,
           [[SQUARE], [[[1, 1], [2, 2], [2, 1], [1, 2], [1, 1]]]], "MultiPolygon"),
    within("no polygon of many", 422, [], "MultiPolygon"),
    within("a point", 422, [13, 45], "Point"),
    within("a line", 422, SQUARE, "LineString"),
    within("a circle, which GeoJSON does not have", 422, [13, 45], "Circle"),
    search("a collection of geometries", 422, within={"type": "GeometryCollection", "geometries": []}),
    search("a feature", 422, within={"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}),
    search("a path for an area", 422, within="/etc/passwd"),
    search("WKT for an area", 422, within="POLYGON((0 0,1 0,1 1,0 0))"),
    search("an area of no kind", 422, within={"coordinates": [SQUARE]}),
    search("an area of two kinds", 422, within={"type": ["Polygon", "Point"], "coordinates": [SQUARE]}),
    post("corners without end in a label", 413, "classify", {"labels": {
        "type": "FeatureCollection", "features": [{
            "type": "Feature", "properties": {"class": "a"},
            "geometry": {"type": "Polygon", "coordinates": [ring(20_001)]}}]}}),
)  # fmt: skip

LABELS = (
    labelled("a label at no place", 422, None),
    labelled("a label in a collection of geometries", 422, {"type": "GeometryCollection", "geometries": []}),
    labelled("a label beyond the Earth", 400, {"type": "Point", "coordinates": [1e300, 1e300]}),
    labelled("a label of a ring that is open", 400, {"type": "Polygon", "coordinates": [SQUARE[:4]]}),
    labelled("a label without its class", 400, {"type": "Point", "coordinates": [13.4, 45.7]}, other="a"),
    labelled("a label whose class is an object", 400, {"type": "Point", "coordinates": [13.4, 45.7]}, **{"class": {}}),
    labelled("a label whose class is half a character", 422, {"type": "Point", "coordinates": [13.4, 45.7]},
             **{"class": "\ud800"}),
    post("a path for labels", 422, "classify", {"labels": "/etc/passwd"}),
    post("labels of no class", 422, "classify", {"labels": {"@id": ""}}),
    post("labels of one class", 400, "classify", {"labels": {"@id": "a"}, "ids": ["@id"]}),
    post("a class of two hundred letters and one", 422, "classify", {"labels": {"@id": "a" * 201}}),
    post("a class of half a character", 422, "classify", {"labels": {"@id": "\udfff"}}),
    post("labels of chips that are not there", 404, "classify", {"labels": {"0" * 32: "a", "1" * 32: "b"},
                                                               "ids": ["0" * 32]}),
    post("more labels than are allowed", 413, "classify", {"labels": {f"{i:032x}": "a" for i in range(20_001)}}),
    post("a way to learn that would be loaded", 422, "classify", {"labels": {"@id": "a"}, "method": "os.system"}),
    post("neighbours without end", 422, "classify", {"labels": {"@id": "a"}, "k": 10**9}),
    post("suggestions without end", 422, "suggest", {"labels": {"@id": "a"}, "n": 10**9}),
    post("a column that is a path", 400, "classify", {"labels": {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"class": "a"}, "geometry": {"type": "Point", "coordinates": [13, 45]}}]},
        "column": "../../etc/passwd", "bbox": [13.3566, 45.7435, 13.3567, 45.7436]}),
)  # fmt: skip

CASES = (*TEXTS, *TO_SQL, *NUMBERS, *AREAS, *LABELS)
