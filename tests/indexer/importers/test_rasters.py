from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedstore.errors import EmbeddingsError, EncoderMismatchError
from embedstore.store import Store
from indexer.importers.run import run
from query import Engine
from tests.indexer.importers import files

if TYPE_CHECKING:
    from pathlib import Path


def rows(store: Path) -> list[dict[str, Any]]:
    with Engine(store) as engine:
        said = "id, bbox, datetime, datetime_end, valid_fraction, inputs[1] AS input, embedding"
        return engine.sql(f"SELECT {said} FROM embeddings ORDER BY inputs[1].row, inputs[1].col").to_pylist()


def test_alphaearth_pixels_become_chips_where_they_lie(tmp_path: Path) -> None:
    folder = tmp_path / "2024" / "33N"
    folder.mkdir(parents=True)
    values = files.unit_vectors(20, 24)
    report = run([files.alphaearth(folder / "x.tiff", values)], tmp_path / "s")
    assert (report.chips, report.without_vector, report.model) == (20 * 24 - 1, 1, "imported:alphaearth")
    found = {(r["input"]["row"], r["input"]["col"]): r for r in rows(tmp_path / "s")}
    assert (0, 0) not in found  # -128 is no data
    assert found[3, 7]["embedding"] == pytest.approx(values[:, 3, 7], abs=0.01)
    assert (found[3, 7]["datetime"].year, found[3, 7]["datetime_end"].year) == (2024, 2025)
    # the raster is south up: its last row lies north of its first
    assert found[19, 7]["bbox"]["ymin"] > found[0, 7]["bbox"]["ymax"]


def test_dequantisation_is_the_published_one() -> None:
    from indexer.importers import alphaearth

    for stored in (-127, -64, -1, 0, 1, 64, 127):
        expected = (stored / 127.5) ** 2 * np.sign(stored)
        assert alphaearth.DEQUANTISED[stored % 256] == pytest.approx(expected)


@pytest.mark.parametrize("south_up", [True, False])
def test_pixels_are_averaged_to_chips_if_asked(tmp_path: Path, south_up: bool) -> None:
    values = files.unit_vectors(20, 24)
    values[:] = values[:, :1, :1]  # one vector everywhere, but for a corner
    values[:, :, 8:] = files.unit_vectors(1, 1, seed=9)
    path = files.alphaearth(tmp_path / "x.tif", values, south_up=south_up)
    run([path], tmp_path / "s", chip_size=8, datetime="2023")
    found = rows(tmp_path / "s")
    assert [(r["input"]["row"], r["input"]["col"]) for r in found] == [(y, x) for y in (0, 8) for x in (0, 8, 16)]
    assert found[0]["valid_fraction"] == pytest.approx(63 / 64)
    assert found[1]["embedding"] == pytest.approx(values[:, 0, 10], abs=0.01)
    assert found[0]["datetime"].year == 2023
    assert (found[3]["bbox"]["ymin"] > found[0]["bbox"]["ymin"]) is south_up
    encoder = Store.open(tmp_path / "s").encoder
    assert (encoder.chip_size, encoder.gsd, encoder.pooling) == (8, 10.0, "mean of pixels")
    with pytest.raises(EncoderMismatchError, match="chip size 8, not 1"):
        run([path], tmp_path / "s", datetime="2023")
    assert run([path], tmp_path / "s", chip_size=8, datetime="2023").already_there == 6
    assert run([path], tmp_path / "s", chip_size=8, datetime="2024").chips == 6  # another year


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"dtype": "uint8", "nodata": 0}, "data type is uint8 and not int8"),
        ({"nodata": -1}, "nodata value is -1 and not -128"),
        ({"nodata": None}, "nodata value is none"),
    ],
)
def test_wrong_dequantisation_metadata_is_refused(tmp_path: Path, profile: dict[str, Any], said: str) -> None:
    with pytest.raises(EmbeddingsError, match=said):
        run([files.alphaearth(tmp_path / "x.tif", **profile)], tmp_path / "s")


def test_a_scale_or_a_linear_quantisation_is_refused(tmp_path: Path) -> None:
    import rasterio

    scaled = files.alphaearth(tmp_path / "scaled.tif")
    with rasterio.open(scaled, "r+") as out:
        out.scales = (1 / 127.5,) * 64
    with pytest.raises(EmbeddingsError, match=r"scale is 0\.00784314 and not 1"):
        run([scaled], tmp_path / "s")
    unit = files.unit_vectors(20, 24)
    linear = files.alphaearth(tmp_path / "linear.tif", unit * np.abs(unit))  # stored so that its root is linear
    with pytest.raises(EmbeddingsError, match="vectors of AlphaEarth have length 1; dequantised, those of"):
        run([linear], tmp_path / "s")
    with pytest.raises(EmbeddingsError, match="has 1 bands"):
        run([files.tessera(tmp_path, np.ones((4, 4, 8), np.int8), np.ones((4, 4), np.float32)).parents[3]
             / "global_0.1_degree_tiff_all" / "grid_12.45_43.25.tiff"], tmp_path / "s")  # fmt: skip


def test_tessera_tiles_are_scaled_and_lie_where_their_mask_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stored = rng.integers(-127, 128, (10, 12, 16)).astype(np.int8)
    scales = rng.uniform(0.01, 0.1, (10, 12)).astype(np.float32)
    scales[2, 3], scales[4, 5] = 0, np.nan
    path = files.tessera(tmp_path, stored, scales)
    report = run([path], tmp_path / "s")
    assert (report.chips, report.without_vector) == (118, 2)
    found = {(r["input"]["row"], r["input"]["col"]): r for r in rows(tmp_path / "s")}
    one = stored[7, 8] * scales[7, 8]
    assert found[7, 8]["embedding"] == pytest.approx(one / np.linalg.norm(one), abs=2e-3)
    assert found[7, 8]["datetime"].year == 2024
    assert found[0, 0]["bbox"]["ymin"] > found[9, 0]["bbox"]["ymax"]
    by_dimension = files.tessera(tmp_path / "b", stored, np.repeat(np.nan_to_num(scales)[..., None], 16, axis=2))
    run([by_dimension], tmp_path / "t", chip_size=2)
    assert Store.open(tmp_path / "t").rows == 30


@pytest.mark.parametrize(
    ("stored", "scales", "mask", "said"),
    [
        (np.ones((4, 4, 8), np.int8), np.ones((4, 5), np.float32), True, "do not fit"),
        (np.ones((4, 4, 8), np.int8), np.ones((4, 4), np.int8), True, "do not fit"),
        (np.ones((4, 4, 8), np.int8), -np.ones((4, 4), np.float32), True, "numbers below 0"),
        (np.ones((4, 4, 8), np.uint8), np.ones((4, 4), np.float32), True, "no tile of TESSERA: uint8"),
        (np.ones((4, 4, 8), np.int8), np.ones((4, 4), np.float32), False, "needs its land mask"),
    ],
)
def test_tiles_that_do_not_go_together_are_refused(
    tmp_path: Path, stored: Any, scales: Any, mask: bool, said: str
) -> None:
    with pytest.raises(EmbeddingsError, match=said):
        run([files.tessera(tmp_path, stored, scales, mask=mask)], tmp_path / "s")


def test_the_next_year_of_an_array_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", files.vectors())
    for year in (2020, 2021):
        lines = [f"{i},{10 + 0.01 * i},45.0,{year}-06-01" for i in range(files.ROWS)]
        (tmp_path / f"{year}.csv").write_text("\n".join(["id,lon,lat,datetime", *lines]))
        for added in (files.ROWS, 0):
            at = tmp_path / f"{year}.csv"
            report = run([tmp_path / "v.npy"], tmp_path / "s", model="mine", coordinates=at, chip_metres=320)
            assert (report.chips, report.already_there) == (added, files.ROWS - added)


def test_arrays_with_coordinates(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", files.vectors())
    at = np.column_stack([10 + 0.01 * np.arange(files.ROWS), np.full(files.ROWS, 45.0)])
    np.save(tmp_path / "at.npy", at)
    np.save(tmp_path / "boxes.npy", np.column_stack([at - 0.002, at + 0.002]))
    lines = [f"{i},{lon},{lat},2020-01-0{1 + i % 9}" for i, (lon, lat) in enumerate(at.tolist())]
    (tmp_path / "at.csv").write_text("\n".join(["id,lon,lat,datetime", *lines]))
    vectors = [tmp_path / "v.npy"]
    run(vectors, tmp_path / "points", model="mine", coordinates=tmp_path / "at.npy", chip_metres=320, datetime="2020")
    run(vectors, tmp_path / "table", model="mine", coordinates=tmp_path / "at.csv", chip_metres=320)
    run(vectors, tmp_path / "boxes", model="mine", coordinates=tmp_path / "boxes.npy")
    for store in ("points", "table", "boxes"):
        with Engine(tmp_path / store) as engine:
            hit = engine.search(at=(10.05, 45.0), k=1)
            assert engine.vectors(hit.ids)[0] @ files.vectors()[5] == pytest.approx(
                np.linalg.norm(files.vectors()[5]), rel=1e-3
            )
            assert engine.store.encoder.name == "imported:mine"
            if store == "table":
                assert str(hit.datetime[0])[:10] == "2020-01-06"
    with pytest.raises(EmbeddingsError, match="give --coordinates F and --model NAME"):
        run(vectors, tmp_path / "x")
    with pytest.raises(EmbeddingsError, match="say by --chip-metres"):
        run(vectors, tmp_path / "x", model="mine", coordinates=tmp_path / "at.npy")
    np.save(tmp_path / "few.npy", at[:3])
    with pytest.raises(EmbeddingsError, match=r"12 vectors, .* 3 places"):
        run(vectors, tmp_path / "x", model="mine", coordinates=tmp_path / "few.npy", chip_metres=9)
    np.save(tmp_path / "off.npy", at + 50)
    with pytest.raises(EmbeddingsError, match=r"row 0 .* no place in degrees"):
        run(vectors, tmp_path / "x", model="mine", coordinates=tmp_path / "off.npy", chip_metres=9)
    np.save(tmp_path / "int.npy", np.ones((3, 4), np.int8))
    with pytest.raises(EmbeddingsError, match="vectors are real numbers"):
        run([tmp_path / "int.npy"], tmp_path / "x", model="mine", coordinates=tmp_path / "few.npy")
