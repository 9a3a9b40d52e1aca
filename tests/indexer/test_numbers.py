"""What Items say of stored numbers is applied, once, and the same whichever way a scene comes in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from embedstore.errors import RasterError
from indexer.items import open_item
from indexer.numbers import Numbers, said
from indexer.plan import file
from indexer.plan.open import open_unit
from tests.indexer.plan import world
from tests.indexer.plan.test_encode import planned

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.rasters import Raster

S2 = {"s2:processing_baseline": "05.10"}
OLD = {"s2:processing_baseline": "02.14"}
TAKEN = {"earthsearch:boa_offset_applied": True}
REFLECTANCE = [{"scale": 0.0001, "offset": -0.1}]


@pytest.mark.parametrize(
    ("properties", "asset", "expected"),
    [
        ({}, {}, Numbers()),
        ({}, {"raster:bands": REFLECTANCE}, Numbers((0.0001,), (-0.1,), shifted=False)),
        ({}, {"bands": [{"raster:scale": 2}, {}]}, Numbers((2.0, 1.0))),
        ({}, {"raster:scale": 0.5, "raster:offset": 3}, Numbers((0.5,), (3.0,), shifted=False)),
        ({}, {"bands": [{"name": "red"}]}, Numbers()),
        (S2 | TAKEN, {"raster:bands": REFLECTANCE}, Numbers((0.0001,), shifted=False)),
        (S2, {"raster:bands": REFLECTANCE}, Numbers((0.0001,), (-0.1,), shifted=False)),
        (S2, {}, Numbers(shifted=True)),
        (OLD, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, Numbers((0.0001,), shifted=False)),
        ({"platform": "Sentinel-2B", "processing:version": "05.11"}, {}, Numbers(shifted=True)),
        ({"platform": "landsat-8", "processing:version": "5"}, {}, Numbers()),
        (S2 | {"s2:processing_baseline": "new"}, {}, Numbers()),
    ],
)
def test_what_is_said(properties: dict[str, Any], asset: dict[str, Any], expected: Numbers) -> None:
    assert said({"properties": properties}, asset) == expected


@pytest.mark.parametrize("told", [{"scale": 0}, {"offset": float("inf")}, {"scale": "much"}, {"offset": [1]}])
def test_what_cannot_be(told: dict[str, Any]) -> None:
    with pytest.raises(RasterError, match="mend it"):
        said({}, {"raster:bands": [told]})


def first_values(raster: Raster) -> Any:
    with raster.reader(raster.bands.names) as reader:
        return reader.read(0, 0, 64, 64)[0]


@pytest.mark.parametrize(
    ("properties", "told"),
    [(S2, REFLECTANCE), (S2 | TAKEN, REFLECTANCE), (S2, None), ({}, [{"scale": 0.5}])],
)
def test_a_plan_reads_as_the_item_alone(tmp_path: Path, properties: dict[str, Any], told: Any) -> None:
    for assets, modalities in ((("optical",), ["optical"]), (("red", "nir"), ["optical=red,nir"])):
        folder = tmp_path / "-".join(assets)
        folder.mkdir()
        item = world.item(folder, "one", assets=assets, bands=1)
        item["properties"] |= properties
        for asset in item["assets"].values():
            asset.update({} if told is None else {"raster:bands": told})
        (unit, *_) = file.units(planned(folder, [item], modalities=modalities))
        read = first_values(open_unit(unit, folder).raster)
        (folder / "item.json").write_text(json.dumps(item))
        alone = np.concatenate([first_values(r) for r in open_item(folder / "item.json", assets).values()])
        stored = np.concatenate([world.pixels(folder / f"one-{a}.tif") for a in assets]).astype(float)
        scale, offset = (told[0].get("scale", 1), told[0].get("offset", 0)) if told else (1, 0)
        if properties == S2 and told is None:
            expected = np.maximum(stored - 1000, 0)
        else:
            expected = stored * scale + (0 if properties.keys() >= TAKEN.keys() else offset)
        np.testing.assert_allclose(read, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(alone, expected, rtol=1e-5, atol=1e-5)


def test_a_file_is_believed_before_its_item(tmp_path: Path) -> None:
    item = world.item(tmp_path, "one", bands=1)
    with rasterio.open(tmp_path / "one-optical.tif", "r+") as scene:
        scene.scales = (0.25,)
    item["assets"]["optical"]["raster:bands"] = [{"scale": 0.5, "offset": 7}]
    (tmp_path / "item.json").write_text(json.dumps(item))
    (raster,) = open_item(tmp_path / "item.json", ["optical"]).values()
    assert (raster.bands.scale, raster.bands.offset) == ((0.25,), (0.0,))


@pytest.mark.parametrize(
    ("properties", "told", "offset", "shift"),
    [
        ({}, {"scale": 0.25, "offset": -7}, -7.0, 0.0),
        ({}, {"scale": 0.5, "offset": -7}, 0.0, 0.0),
        (S2, None, 0.0, 1000.0),
        (S2 | TAKEN, None, 0.0, 0.0),
        (OLD, None, 0.0, 0.0),
    ],
)
def test_a_file_with_the_scale_alone_leaves_the_rest_to_its_item(
    tmp_path: Path, properties: dict[str, Any], told: dict[str, float] | None, offset: float, shift: float
) -> None:
    item = world.item(tmp_path, "one", bands=1)
    with rasterio.open(tmp_path / "one-optical.tif", "r+") as scene:
        scene.scales = (0.25,)
    item["properties"] |= properties
    if told:
        item["assets"]["optical"]["raster:bands"] = [told]
    (tmp_path / "item.json").write_text(json.dumps(item))
    (raster,) = open_item(tmp_path / "item.json", ["optical"]).values()
    assert (raster.bands.scale, raster.bands.offset, raster.bands.shift) == ((0.25,), (offset,), (shift,))


def test_an_item_that_speaks_of_other_bands(tmp_path: Path) -> None:
    item = world.item(tmp_path, "one", bands=2)
    item["assets"]["optical"]["raster:bands"] = [{"scale": 1}, {"scale": 2}, {"scale": 3}]
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(RasterError, match="speaks of 3 bands"):
        open_item(tmp_path / "item.json", ["optical"])
