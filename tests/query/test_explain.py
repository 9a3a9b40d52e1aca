"""Which pixels made a chip a hit: told where they can be read again, and why not where they cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import geopandas
import numpy as np
import pytest
import shapely

from embedstore.errors import QueryError, UnknownIdError
from query import Engine, explained
from query.explain import EXPLAINED
from query.output import feature_collection, render, save
from tests.indexer import dense_model
from tests.indexer.scenes import UTM
from tests.query import halves
from tests.query.halves import chips

if TYPE_CHECKING:
    from pathlib import Path

SIDE = dense_model.SIDE


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return halves.store(tmp_path_factory.mktemp("explained"), nodata=True)[0]


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """A store and its scene, which may be changed."""
    return halves.store(tmp_path)


def test_the_half_that_matches_is_found(made: Path) -> None:
    with Engine(made) as engine:
        water, wood, both = chips(engine)
        hits = engine.search(id=wood, k=3)
        assert hits.ids == [wood, both, water]
        found = engine.explain(hits, id=wood)
    assert found.schema == EXPLAINED
    assert found["id"].to_pylist() == hits.ids
    assert found["reason"].null_count == 3
    grids = [np.reshape(one["scores"], (SIDE, SIDE)) for one in found.to_pylist()]
    assert (grids[0] > 0.9).all()
    assert (grids[2] < 0).all()
    assert np.isnan(grids[1][:4]).all()
    assert (grids[1][4:, SIDE // 2 :] > 0.9).all()
    assert (grids[1][4:, : SIDE // 2] < 0).all()
    row = found.to_pylist()[1]
    levels = np.array(explained.levels(row))
    assert set(levels[:4].ravel()) == {0}
    assert set(levels[4:, : SIDE // 2].ravel()) == {1}
    assert levels[4:, SIDE // 2 :].min() > 1 + 0.9 * 253
    assert explained.share(row) == 0.5


def test_what_matches_lies_where_the_pixels_lie(made: Path) -> None:
    with Engine(made) as engine:
        _, wood, both = chips(engine)
        (row,) = engine.explain([both], id=wood).to_pylist()
    area = geopandas.GeoSeries([explained.matching(row)], crs="OGC:CRS84").to_crs("EPSG:32633")[0]
    left, top = UTM * (5 * SIDE / 2, 4)
    right, bottom = UTM * (3 * SIDE, SIDE)
    assert area.symmetric_difference(shapely.box(left, bottom, right, top)).area < 1e-4 * area.area


def test_a_chip_on_the_antimeridian_is_cut_there() -> None:
    corners = [[179.99, 1.0], [-179.99, 1.0], [-179.99, 0.98], [179.99, 0.98]]
    one = {"rows": 1, "cols": 4, "scores": [0.0, 1.0, 1.0, 0.0], "corners": corners, "reason": None}
    area = explained.matching(one)
    assert area.geom_type == "MultiPolygon"
    assert area.bounds == (-180.0, 0.98, 180.0, 1.0)
    assert area.area == pytest.approx(0.01 * 0.02)


def test_scenes_that_are_gone_or_changed_or_torn(own: tuple[Path, Path]) -> None:
    store, scene = own
    with Engine(store) as engine:
        wood = chips(engine)[1]

        def reasons() -> set[str | None]:
            return set(engine.explain(engine.search(id=wood, k=3), id=wood)["reason"].to_pylist())

        assert reasons() == {None}
        whole = scene.read_bytes()
        halves.scene(scene, nodata=True)
        assert reasons() == {"its scene own.tif has changed since it was encoded"}
        scene.write_bytes(whole[:500])
        assert reasons() == {"its scene own.tif cannot be read"}
        scene.rename(scene.with_name("moved.tif"))
        assert reasons() == {"its scene own.tif is not where it was when it was encoded"}
        scene.write_bytes(whole)
        assert reasons() == {None}


def test_scenes_are_hashed_once(own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer import rasters

    opened = []
    open_raster = rasters.open_raster
    monkeypatch.setattr(rasters, "open_raster", lambda path: opened.append(path) or open_raster(path))
    with Engine(own[0]) as engine:
        wood = chips(engine)[1]
        for _ in range(3):
            engine.explain(chips(engine), id=wood)
        assert len(opened) == 1


def test_another_family_and_an_encoder_that_is_damaged(store: Path, own: tuple[Path, Path]) -> None:
    with Engine(store) as engine:
        hits = engine.search(at=(13.367, 45.767), k=2)
        for one in engine.explain(hits, at=(13.367, 45.767)).to_pylist():
            assert "rcf gives no vectors of pixels" in one["reason"]
            assert one["scores"] is None
    with Engine(own[0]) as engine:
        (engine.store.encoder_folder / "weights.safetensors").write_bytes(b"")
        (one,) = engine.explain(chips(engine)[:1], id=chips(engine)[0]).to_pylist()
        assert "cannot be had" in one["reason"]


def test_what_makes_no_sense_is_refused(made: Path) -> None:
    with Engine(made) as engine:
        ids = chips(engine)
        assert engine.explain([], id=ids[0]).num_rows == 0
        with pytest.raises(UnknownIdError, match="holds no chip '0000"):
            engine.explain([ids[0], "0" * 32], id=ids[0])
        with pytest.raises(QueryError, match="nothing to look for"):
            engine.explain(ids)


def test_every_format_tells_it(made: Path, own: tuple[Path, Path], tmp_path: Path) -> None:
    with Engine(made) as engine:
        wood = chips(engine)[1]
        hits = engine.search(id=wood, k=3)
        found = engine.explain(hits, id=wood)
    assert [line.split()[-2:] for line in render(hits, "table", found).splitlines()[1:]] == [
        ["100", "%"],
        ["50", "%"],
        ["0", "%"],
    ]
    read = json.loads(render(hits, "json", found))["hits"]
    assert [one["explain"]["matching"] for one in read] == [1.0, 0.5, 0.0]
    assert np.shape(read[1]["explain"]["grid"]) == (SIDE, SIDE)
    assert len(read[1]["explain"]["corners"]) == 4
    made_of = feature_collection(hits, found)["features"]
    assert [one["properties"]["explain"] for one in made_of] == [{"matching": s} for s in (1.0, 0.5, 0.0)]
    footprint = shapely.from_wkb(hits.to_arrow(geometry=True)["geometry"][1].as_py())
    part = shapely.geometry.shape(made_of[1]["geometry"])
    assert part.area == pytest.approx(footprint.area * 0.5 * 28 / 32, rel=1e-3)
    assert footprint.buffer(1e-6).contains(part)
    assert made_of[2]["geometry"] is None
    save(hits, "geoparquet", tmp_path / "hits.parquet", found)
    kept = geopandas.read_parquet(tmp_path / "hits.parquet")
    assert len(kept["explain"][0]["scores"]) == SIDE * SIDE
    own[1].unlink()
    with Engine(own[0]) as engine:
        wood = chips(engine)[1]
        hits = engine.search(id=wood, k=3)
        found = engine.explain(hits, id=wood)
    assert "-" in render(hits, "table", found).splitlines()[1].split()
    assert json.loads(render(hits, "json", found))["hits"][0]["explain"].keys() == {"reason"}
    assert feature_collection(hits, found)["features"][0]["geometry"]["type"] == "Polygon"
