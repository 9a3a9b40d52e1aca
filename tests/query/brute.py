"""What the engine is held against: all rows of a store, compared one by one, and filters as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from hypothesis import strategies as st

from embedstore import grid, segment_rows
from embedstore.geoparquet import read_part
from indexer import build as build_module
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path

    from embedstore.store import Store

ROWS = 3000


@dataclass
class Truth:
    """All rows of a store as its data files hold them."""

    ids: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    h3: np.ndarray
    when: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, store: Store) -> Truth:
        tables = [read_part(store.path / f.path) for f in store.table.files()]
        columns = [segment_rows.columns_of(t) for t in tables]
        join = lambda name: np.concatenate([c[name] for c in columns])  # noqa: E731
        vectors = np.concatenate([segment_rows.matrix(t["embedding"], store.encoder.dimension) for t in tables])
        return cls(join("id"), join("lon"), join("lat"), join("h3"), join("datetime"), vectors)

    def best(self, vector: np.ndarray, mask: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the k best rows, and all scores by row."""
        scores = np.where(mask, self.vectors @ (vector / np.linalg.norm(vector)), -np.inf)
        return -np.sort(-scores[mask])[:k], scores


def build_store(path: Path, kind: str) -> Store:
    store = make.store(path)
    if kind == "flat":
        store.append(make.chips(list(range(700))))
        return store
    store.append(make.chips(list(range(ROWS))))
    build_module.build(path)
    if kind == "worn":
        store.append(make.chips(list(range(ROWS, ROWS + 300)), item="later"))
        store.append(make.chips(list(range(ROWS + 300, ROWS + 400)), box=(-180.0, -1.0, -179.5, 1.0)))
        store.append(make.chips(list(range(ROWS + 400, ROWS + 500)), box=(179.5, -1.0, 180.0, 1.0)))
        store.delete(ids=[chip_id(i) for i in range(0, 400, 3)])
        store.compact()
        store.delete(within=[11, 45.5, 11.5, 46])
    store.refresh()
    return store


degrees = st.tuples(st.floats(9.9, 14.1), st.floats(44.9, 48.1), st.floats(0.01, 3), st.floats(0.01, 3))


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    """One or more filters, as people write them."""
    kinds = draw(st.sets(st.sampled_from(["bbox", "seam", "within", "cells", "between", "where"]), max_size=3))
    out: dict[str, Any] = {}
    x, y, w, h = draw(degrees)
    if "seam" in kinds:
        out["bbox"] = (179.6, -0.5, -179.7, 0.8)
    elif "bbox" in kinds:
        out["bbox"] = (x, y, x + w, y + h)
    if "within" in kinds:
        turn = np.linspace(0, 2 * np.pi, draw(st.integers(4, 60)))[:-1]
        r = 0.3 + np.random.default_rng(draw(st.integers(0, 99))).uniform(0, 1, len(turn))
        out["within"] = shapely.Polygon(np.column_stack([x + w * r * np.cos(turn), y + h * r * np.sin(turn)]))
    if "cells" in kinds:
        centre = (np.array([x]), np.array([y]))
        out["cells"] = [
            grid.to_text(int(grid.cells(*centre, r)[0])) for r in draw(st.lists(st.integers(2, 5), min_size=1))
        ]
    if "between" in kinds:
        first = draw(st.integers(0, 900))
        span = np.datetime64("2020-01-01") + np.array([first, first + draw(st.integers(0, 400))])
        out["between"] = "/".join(str(d) for d in span)
    if "where" in kinds:
        out["where"] = draw(st.sampled_from(["lon > 12", "lat < 46 AND lon < 13", "year(datetime) = 2021", "false"]))
    return out


def mask_of(truth: Truth, asked: dict[str, Any]) -> np.ndarray:
    """The same filters by brute force."""
    mask = np.ones(len(truth.ids), bool)
    if "bbox" in asked:
        w, s, e, n = asked["bbox"]
        in_lon = (truth.lon >= w) & (truth.lon <= e) if w <= e else (truth.lon >= w) | (truth.lon <= e)
        mask &= in_lon & (truth.lat >= s) & (truth.lat <= n)
    if "within" in asked:
        mask &= shapely.intersects_xy(asked["within"], truth.lon, truth.lat)
    if "cells" in asked:
        inside = np.zeros(len(mask), bool)
        for cell in asked["cells"]:
            value = int(cell, 16)
            inside |= grid.parents(truth.h3, (value >> 52) & 15) == value
        mask &= inside
    if "between" in asked:
        first, last = (np.datetime64(d) for d in asked["between"].split("/"))
        mask &= (truth.when >= first) & (truth.when < last + 1)
    where = asked.get("where")
    if where == "lon > 12":
        mask &= truth.lon > 12
    elif where == "lat < 46 AND lon < 13":
        mask &= (truth.lat < 46) & (truth.lon < 13)
    elif where == "year(datetime) = 2021":
        mask &= truth.when.astype("M8[Y]") == np.datetime64("2021")
    elif where == "false":
        mask[:] = False
    return mask
