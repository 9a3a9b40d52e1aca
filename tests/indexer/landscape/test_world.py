from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import SpecError
from indexer.landscape import REGIONS, SIZE, Landscape, ground, optical, radar, seasons
from indexer.landscape.materials import INDEX
from indexer.landscape.noise import Noise
from indexer.landscape.world import MARGIN, SIMULATOR
from indexer.pretrain.modalities import BIOMES, CLASSES, DYNAMIC_WORLD, LABELS, LAND_COVER, OPTICAL, PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from indexer.landscape import Tile


def where(tile: Tile, *names: str) -> NDArray[np.bool_]:
    return np.isin(tile.classes["land_cover"], [LAND_COVER.index(n) for n in names])


def layers(tile: Tile) -> Iterable[tuple[str, NDArray[np.float32]]]:
    yield from tile.pixels.items()
    for scene in tile.scenes:
        yield from scene.pixels.items()


@pytest.mark.parametrize("region", REGIONS)
def test_every_layer_is_there_and_physical(tiles: dict[str, Tile], region: str) -> None:
    tile = tiles[region]
    assert [s.month for s in tile.scenes] == [1, 7]
    assert {name for name, _ in layers(tile)} == set(PIXELS)
    for name, values in layers(tile):
        assert values.shape == (len(PIXELS[name]), SIZE, SIZE)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    for scene in tile.scenes:
        assert 0 < scene.pixels["optical"].min() < scene.pixels["optical"].max() < 1.25
        assert 0 <= scene.pixels["coherence"].min() < scene.pixels["coherence"].max() <= 1
        assert -35 < scene.pixels["sar"].min() < scene.pixels["sar"].max() < 25
    for name, classes in CLASSES.items():
        held = tile.classes[name]
        assert held.shape == (SIZE, SIZE)
        assert held.min() >= 0
        assert held.max() < len(classes)
    assert 0 <= tile.labels["biome"] < BIOMES
    assert 0 <= tile.labels["ecoregion"] < LABELS["ecoregion"]


def test_regions_lie_in_utm_zones_of_their_own_where_they_say(tiles: dict[str, Tile]) -> None:
    assert len({t.region.epsg for t in tiles.values()}) == len(REGIONS) >= 3
    for tile in tiles.values():
        lon, lat = tile.lonlat([SIZE / 2], [SIZE / 2])
        zone = tile.region.epsg % 100
        assert int(lon[0] // 6) + 31 == zone
        assert (lat[0] < 0) == (tile.region.epsg > 32700)


def test_a_tile_is_the_same_whatever_was_asked_before(tiles: dict[str, Tile]) -> None:
    land = Landscape("alpha")
    land.tile(3, 4, (5,))
    again = land.tile(36, 53, (7,))
    assert (again.scenes[0].pixels["sar"] == tiles["alpha"].scenes[1].pixels["sar"]).all()
    assert (again.classes["land_cover"] == tiles["alpha"].classes["land_cover"]).all()


def test_another_seed_is_another_world(tiles: dict[str, Tile]) -> None:
    other = Landscape("alpha", seed=1).tile(36, 53, ())
    assert (other.classes["land_cover"] != tiles["alpha"].classes["land_cover"]).mean() > 0.3


def test_tiles_fit_together() -> None:
    land = Landscape("alpha")
    left, right = land.tile(50, 60, (7,)), land.tile(50, 61, (7,))
    # The same ground in a window that lies across the border of both.
    noise = Noise(f"{SIMULATOR}/0/alpha", 50 * SIZE + 40, 61 * SIZE - 60, 120)
    across = ground.survey(noise, land.region)
    surface = seasons.dress(across, 7)
    inner = np.s_[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    rows, half = slice(40 + MARGIN, 160 - MARGIN), 60 - MARGIN

    def of_both(values: tuple[NDArray[np.float32], NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate([values[0][..., rows, -half:], values[1][..., rows, :half]], axis=-1)

    scenes = left.scenes[0].pixels, right.scenes[0].pixels
    for name, seen in (
        ("optical", optical.see(across, surface, 7, land._lat(50), 0)),
        ("sar", radar.backscatter(across, surface, 7)),
        ("coherence", radar.coherences(across, surface, 7)),
    ):
        assert np.allclose(of_both((scenes[0][name], scenes[1][name])), seen[inner], atol=2e-3), name
    both = of_both((left.classes["land_cover"], right.classes["land_cover"]))
    assert (both == across.land_cover[inner]).mean() > 0.999


def test_a_pixel_is_made_of_all_its_parts() -> None:
    for region in REGIONS.values():
        land = ground.survey(Noise("s", 4000, 4000, 80), region)
        for month in (1, 5, 9):
            shares = seasons.dress(land, month).shares
            assert shares.min() > -1e-4
            assert np.allclose(shares.sum(axis=0), 1, atol=0.12)
        assert np.allclose(land.soils.sum(axis=0), 1, atol=1e-4)


def test_woods_are_green_in_their_summer(tiles: dict[str, Tile]) -> None:
    red, nir = OPTICAL.index("B04"), OPTICAL.index("B08")

    def greenness(tile: Tile, at: int) -> float:
        pixels = tile.scenes[at].pixels["optical"][:, where(tile, "trees")]
        return float(((pixels[nir] - pixels[red]) / (pixels[nir] + pixels[red])).mean())

    assert greenness(tiles["alpha"], 1) > greenness(tiles["alpha"], 0) + 0.2
    assert greenness(tiles["delta"], 0) > greenness(tiles["delta"], 1) + 0.05  # south of the equator


def test_radar_tells_water_woods_and_towns_apart(tiles: dict[str, Tile]) -> None:
    for tile in tiles.values():
        seen = tile.scenes[1].pixels
        town, trees, water = (where(tile, n) for n in ("built", "trees", "water"))
        assert town.sum() > 1000
        assert seen["sar"][0, town].mean() > seen["sar"][0, trees].mean() > seen["sar"][0, water].mean() + 3
        assert seen["coherence"][0, town].mean() > seen["coherence"][0, trees].mean() + 0.15
        crops = seen["coherence"][:, where(tile, "crops")].mean(axis=1)
        assert (np.diff(crops) < 0).all()  # the longer the wait, the less is left


def test_bands_of_60_and_20_metres_are_smoother(tiles: dict[str, Tile]) -> None:
    pixels = tiles["delta"].scenes[0].pixels["optical"]
    rough = np.abs(np.diff(pixels, axis=2)).mean(axis=(1, 2)) / pixels.std(axis=(1, 2))
    fine, middle, coarse = (rough[OPTICAL.index(b)] for b in ("B08", "B8A", "B09"))
    assert fine > 1.2 * middle > 1.2 * 1.2 * coarse


def test_trees_are_tall_and_fields_are_not(tiles: dict[str, Tile]) -> None:
    tile = tiles["alpha"]
    height = tile.pixels["canopy"][0]
    assert height[where(tile, "trees")].mean() > 8
    assert height[where(tile, "water")].max() >= 0
    assert height[where(tile, "crops")].mean() < 1


def test_dynamic_world_agrees_mostly_with_land_cover(tiles: dict[str, Tile]) -> None:
    for tile in tiles.values():
        expected = ground.TO_DYNAMIC_WORLD[tile.classes["land_cover"]]
        assert 0.7 < (expected == tile.classes["dynamic_world"]).mean() < 0.995
        assert (tile.classes["dynamic_world"] == DYNAMIC_WORLD.index("built")).any()


def test_mountains_are_cold_and_summers_warm(tiles: dict[str, Tile]) -> None:
    tile = tiles["alpha"]
    heights = np.array([100, 2100], np.float32)
    january, july = tile.climate(heights, 1), tile.climate(heights, 7)
    assert january.shape == (2, 12)
    assert january[0, 4] - january[1, 4] == pytest.approx(13, abs=0.1)
    assert july[0, 4] > january[0, 4] + 15
    assert (january[:, 5] < january[:, 4]).all()
    assert (january[:, 6] > january[:, 4]).all()
    assert (july[:, 8:11] == january[:, 8:11]).all()  # the year is the same in every month


def test_snow_lies_in_winter_on_heights() -> None:
    land = ground.survey(Noise(f"{SIMULATOR}/0/alpha", 88 * SIZE, 65 * SIZE, 64), REGIONS["alpha"])
    assert land.terrain.elevation.mean() > 900
    january, july = (seasons.dress(land, m).shares[INDEX["snow"]].mean() for m in (1, 7))
    assert january > july + 0.3


def test_clouds_hide_and_shade(tiles: dict[str, Tile]) -> None:
    clear = tiles["beta"].scenes[1].pixels["optical"]
    cloudy = Landscape("beta", clouds=0.4).tile(115, 18, (7,)).scenes[0].pixels["optical"]
    blue = cloudy[1] - clear[1]
    assert 0.05 < (blue > 0.1).mean() < 0.95
    assert (blue < -0.01).any()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Landscape("omega"), "no region 'omega'"),
        (lambda: Landscape("alpha", clouds=1.0), "share of the sky"),
        (lambda: Landscape("alpha").tile(0, 160), "no tile"),
        (lambda: Landscape("alpha").tile(-1, 0), "no tile"),
        (lambda: Landscape("alpha").tile(0, 0, (13,)), "no month 13"),
    ],
)
def test_what_is_not_there_is_an_error(made: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        made()  # type: ignore[operator]


def test_the_world_of_this_simulator_is_this_one(tiles: dict[str, Tile]) -> None:
    """Whoever changes what comes out of a seed raises SIMULATOR, and writes the new numbers here."""
    assert SIMULATOR == 1
    tile = tiles["alpha"]
    shares = np.bincount(tile.classes["land_cover"].ravel(), minlength=len(LAND_COVER)) / SIZE**2
    known = [0.5024, 0.0044, 0.0464, 0.0433, 0.1604, 0.1751, 0, 0.0511, 0.0168, 0, 0]
    assert np.allclose(shares, known, atol=1e-3)
    pixels = tile.scenes[1].pixels
    assert np.allclose(pixels["optical"].mean(axis=(1, 2))[:4], [0.0616, 0.0671, 0.0854, 0.0820], atol=5e-4)
    assert np.allclose(pixels["sar"].mean(axis=(1, 2)), [-10.673, -17.653, -7.520, -15.044], atol=0.02)
    assert np.allclose(pixels["coherence"].mean(axis=(1, 2)), [0.428, 0.3819, 0.361, 0.344], atol=2e-3)
