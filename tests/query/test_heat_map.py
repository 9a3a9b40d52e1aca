"""Similarity by H3 cell, against brute force with h3 itself."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import h3.api.basic_int as h3
import numpy as np
import pytest

from embedstore import segment_rows
from embedstore.errors import QueryError
from embedstore.geoparquet import read_part
from query import Engine, stream
from tests.embedstore import make
from tests.embedstore.make import chip_id


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    store = make.store(tmp_path_factory.mktemp("heat") / "store")
    store.append(make.chips(list(range(500))))
    store.append(make.chips(list(range(500, 700)), item="later", box=(179.9, -1, 180, 1)))
    store.delete(ids=[chip_id(i) for i in range(0, 500, 7)])
    return Engine(store.path)


@pytest.mark.parametrize("resolution", [0, 3, 9, 11])
@pytest.mark.parametrize("filter_", [{}, {"bbox": (11.0, 45.0, 13.0, 47.0)}])
def test_equals_brute_force(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, resolution: int, filter_: dict[str, Any]
) -> None:
    monkeypatch.setattr(stream, "BLOCK", 64)  # so that cells span blocks
    got = engine.heat_map(id=chip_id(1), resolution=resolution, **filter_)
    cells: dict[int, list[float]] = defaultdict(list)
    tables = [read_part(engine.store.path / f.path) for f in engine.store.table.files()]
    dimension = engine.store.encoder.dimension
    query = next(
        segment_rows.matrix(t["embedding"], dimension)[t["id"].to_pylist().index(chip_id(1))]
        for t in tables
        if chip_id(1) in t["id"].to_pylist()
    )
    for table in tables:
        columns = segment_rows.columns_of(table)
        scores = segment_rows.matrix(table["embedding"], dimension) @ query
        for lon, lat, fine, score in zip(columns["lon"], columns["lat"], columns["h3"], scores, strict=True):
            if filter_ and not (11 <= lon <= 13 and 45 <= lat <= 47):
                continue
            cell = h3.cell_to_parent(int(fine), resolution) if resolution <= 9 else h3.latlng_to_cell(lat, lon, 11)
            cells[cell].append(score)
    assert got["h3"].to_pylist() == sorted(cells)
    assert got["chips"].to_pylist() == [len(cells[c]) for c in sorted(cells)]
    assert np.allclose(got["mean"], [np.mean(cells[c]) for c in sorted(cells)], atol=1e-3)
    assert np.allclose(got["best"], [np.max(cells[c]) for c in sorted(cells)], atol=1e-3)


def test_nothing_passes(engine: Engine) -> None:
    got = engine.heat_map(id=chip_id(1), resolution=5, bbox=(50, 0, 51, 1))
    assert got.num_rows == 0
    assert got.column_names == ["h3", "chips", "mean", "best"]


@pytest.mark.parametrize("resolution", [-1, 16, 2.5, True])
def test_no_such_resolution(engine: Engine, resolution: Any) -> None:
    with pytest.raises(QueryError, match="0 to 15"):
        engine.heat_map(id=chip_id(1), resolution=resolution)
