from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from embedstore.errors import BandError, EncoderError
from indexer import sample
from indexer.chips import ChipPlan
from indexer.encode import encode
from indexer.encoders import mmearth, model_file, registry
from indexer.networks.convnextv2 import ConvNeXtV2
from indexer.rasters import open_raster
from tests.indexer.encoders import published
from tests.indexer.scenes import noise, write

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.encoders.base import Encoder

ESA = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
TO_MMEARTH = [0, 1, 2, 3, 4, 5, 6, 8, 7, 9, 10, 11]


def model(patch: int = 8, padding: int = 1) -> model_file.Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvNeXtV2(12, "atto", patch, padding)
    modality = mmearth_modality()
    options = {"size": "atto", "patch": patch, "padding": padding}
    return model_file.Model("mpmae", options, (modality,), 7 * patch, 10.0, 320, "mean", network.state_dict())


def mmearth_modality() -> model_file.Modality:
    return model_file.Modality("optical", mmearth.BANDS, mmearth.MEAN, mmearth.STD)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "ours.safetensors"
    model_file.write(path, model())
    return f"mpmae@{path}"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("theirs")
    tensors = published.state()
    converted = mmearth.convert(published.save(folder / "x.pth", tensors))
    model_file.write(folder / "theirs.safetensors", converted, half=False)
    return f"mpmae@{folder / 'theirs.safetensors'}", tensors


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digital numbers, each band with a level of its own."""
    pixels = noise(12, 128, 128).astype("uint16") * 40 + (np.arange(12, dtype="uint16") * 200)[:, None, None]
    return write(tmp_path_factory.mktemp("scene") / "s2.tif", pixels, names=ESA)


def drawn(scene: Path, bands: tuple[str, ...] = mmearth.BANDS, size: int = 56) -> sample.Sample:
    return sample.draw([ChipPlan(open_raster(scene), "optical", size, size)], bands)


def made(name: str, scene: Path, folder: Path, size: int = 56) -> Encoder:
    folder.mkdir()
    return registry.load(folder, registry.make(name, drawn(scene, size=size), folder), "cpu")


def test_a_converted_model_encodes_a_scene_as_its_authors_would(
    theirs: tuple[str, dict[str, torch.Tensor]], scene: Path, tmp_path: Path
) -> None:
    name, tensors = theirs
    assert registry.bands(name) == mmearth.BANDS
    assert registry.chip_size(name) == 56
    encoder = made(name, scene, tmp_path / "e")
    assert encoder.spec.modalities == (mmearth_modality(),)
    seen = drawn(scene)
    vectors = encoder.encode({"optical": seen.pixels[:3]}, seen.valid[:3])
    stored = drawn(scene, ESA).pixels[:3]
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (mmearth.MEAN, mmearth.STD))
    z = torch.from_numpy((stored[:, TO_MMEARTH] - mean) / std)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(published.forward(tensors, z).mean((2, 3))).numpy()
        swapped = torch.nn.functional.normalize(published.forward(tensors, z[:, TO_MMEARTH]).mean((2, 3))).numpy()
    assert np.abs(vectors - expected).max() < 1e-5
    assert np.abs(vectors - swapped).max() > 1e-3


def test_our_models_take_the_statistics_of_the_scenes(ours: str, scene: Path, tmp_path: Path) -> None:
    encoder = made(ours, scene, tmp_path / "e")
    seen = drawn(scene)
    assert encoder.spec.modalities[0] == seen.modality("optical")
    vectors = encoder.encode({"optical": seen.pixels[:3]}, seen.valid[:3])
    assert vectors.shape == (3, 320)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_encode_finds_the_bands_in_their_order(ours: str, scene: Path, tmp_path: Path) -> None:
    from embedstore.store import Store

    assert encode([scene], tmp_path / "store", ours, device="cpu").chips == 4
    spec = Store.open(tmp_path / "store").encoder
    assert spec.modalities[0].bands == mmearth.BANDS
    assert spec.name == registry.canonical(ours)


@pytest.mark.parametrize(
    ("patch", "padding", "size", "enough"),
    [(8, 1, 8, True), (8, 1, 7, False), (8, 0, 10, True), (8, 0, 9, False), (16, 1, 16, True), (16, 0, 15, False)],
)
def test_chips_of_any_size_that_give_a_cell(
    patch: int, padding: int, size: int, enough: bool, scene: Path, tmp_path: Path
) -> None:
    model_file.write(tmp_path / "m.safetensors", model(patch, padding))
    name = f"mpmae@{tmp_path / 'm.safetensors'}"
    if enough:
        encoder = made(name, scene, tmp_path / "e", size)
        seen = drawn(scene, size=size)
        assert encoder.encode({"optical": seen.pixels[:2]}, seen.valid[:2]).shape == (2, 320)
    else:
        with pytest.raises(EncoderError, match="--chip-size"):
            made(name, scene, tmp_path / "e", size)


def test_what_lies_under_nodata_does_not_matter_even_nan(ours: str, scene: Path, tmp_path: Path) -> None:
    encoder = made(ours, scene, tmp_path / "e")
    seen = drawn(scene)
    valid = seen.valid[:1].copy()
    valid[:, 5:20, 5:9] = False
    nan = np.where(valid[:, None], seen.pixels[:1], np.float32(np.nan))
    a, b = (encoder.encode({"optical": p}, valid) for p in (seen.pixels[:1], nan))
    assert np.array_equal(a, b)


def test_pixels_that_cannot_be_encoded(ours: str, theirs: tuple[str, object], scene: Path, tmp_path: Path) -> None:
    encoder = made(ours, scene, tmp_path / "ours")
    seen = drawn(scene)
    holed = seen.pixels[:2].copy()
    holed[1, 4] = np.nan
    with pytest.raises(BandError, match="pixels of B05 are NaN"):
        encoder.encode({"optical": holed}, seen.valid[:2])
    with pytest.raises(BandError, match=r"takes 12 bands .* the chips have 4"):
        encoder.encode({"optical": seen.pixels[:2, :4]}, seen.valid[:2])
    fixed = made(theirs[0], scene, tmp_path / "theirs")
    with pytest.raises(BandError, match="reflectance times 10,000"):
        fixed.encode({"optical": seen.pixels[:2] / np.float32(1e4)}, seen.valid[:2])


def test_scenes_that_do_not_suit(ours: str, theirs: tuple[str, object], scene: Path, tmp_path: Path) -> None:
    with pytest.raises(BandError, match=r"in the order B01,.*B8A,B08"):
        registry.make(ours, drawn(scene, ESA), tmp_path)
    with pytest.raises(BandError, match="missing: B12"):
        registry.make(ours, drawn(scene, mmearth.BANDS[:-1]), tmp_path)
    digital = drawn(scene)
    for factor in (1e-4, 20):
        other = replace(digital, pixels=digital.pixels * np.float32(factor))
        with pytest.raises(BandError, match="gdal_edit"):
            registry.make(theirs[0], other, tmp_path)
        registry.make(ours, other, tmp_path)
    # What lies under nodata says nothing about the units.
    valid = digital.valid.copy()
    valid[:, :40] = False
    pixels = np.where(valid[:, None], digital.pixels, np.float32(60_000))
    registry.make(theirs[0], replace(digital, pixels=pixels, valid=valid), tmp_path)


def test_files_whose_tensors_are_not_those_of_the_network(scene: Path, tmp_path: Path) -> None:
    good = model()
    torn = tmp_path / "torn.safetensors"
    model_file.write(torn, good)
    torn.write_bytes(torn.read_bytes()[:-100])
    fewer = dict(good.tensors)
    fewer.pop("stem.0.bias")
    for file, tensors, told in (
        ("fewer", fewer, "stem.0.bias"),
        ("more", good.tensors | {"head.weight": torch.zeros(3)}, "head.weight"),
        ("turned", good.tensors | {"stem.0.weight": torch.zeros(40, 12, 5, 5)}, "stem.0.weight"),
    ):
        path = tmp_path / f"{file}.safetensors"
        model_file.write(path, replace(good, tensors=tensors))
        with pytest.raises(EncoderError, match=told):
            registry.make(f"mpmae@{path}", drawn(scene), tmp_path)
    with pytest.raises(EncoderError, match="no model file"):
        registry.make(f"mpmae@{torn}", drawn(scene), tmp_path)
