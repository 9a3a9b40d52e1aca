from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import BandError, EncoderError
from indexer.encoders import model_file, registry
from indexer.encoders.base import PixelEncoder, preprocess
from tests.indexer import dense_model
from tests.indexer.encoders.test_encoders import drawn, made
from tests.indexer.scenes import noise, write

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.sample import Sample


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return drawn(write(tmp_path_factory.mktemp("scene") / "x.tif", noise()))


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"dense@{dense_model.drawn(tmp_path / 'm.safetensors')}"


def test_vectors_are_unit_whole_or_chip_by_chip(name: str, few: Sample, tmp_path: Path) -> None:
    encoder = made(name, few, tmp_path / "e")
    valid = few.valid[:9].copy()
    valid[1, :10] = False
    whole = encoder.encode({"optical": few.pixels[:9]}, valid)
    ones = [encoder.encode({"optical": few.pixels[i : i + 1]}, valid[i : i + 1]) for i in range(9)]
    assert whole.shape == (9, 8)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(9), abs=1e-5)
    assert np.abs(np.concatenate(ones) - whole).max() < 1e-5


def test_a_chip_is_the_mean_of_its_pixels(name: str, few: Sample, tmp_path: Path) -> None:
    encoder = made(name, few, tmp_path / "e")
    assert isinstance(encoder, PixelEncoder)
    pixels, valid = {"optical": few.pixels[:3]}, few.valid[:3].copy()
    valid[0, :12] = False
    vectors = encoder.encode(pixels, valid)
    axes = np.stack([encoder.similarity(pixels, valid, axis) for axis in np.eye(8, dtype=np.float32)], axis=-1)
    assert np.array_equal(np.isnan(axes).all(-1), ~valid)
    assert np.linalg.norm(axes[valid], axis=1) == pytest.approx(np.ones(valid.sum()), abs=1e-5)
    mean = np.nanmean(axes.reshape(3, -1, 8), axis=1)
    assert mean / np.linalg.norm(mean, axis=1, keepdims=True) == pytest.approx(vectors, abs=1e-5)
    query = vectors[1]
    # what a search scores is the mean of the pixels' similarities, but for the length of the mean
    shares = np.nanmean(encoder.similarity(pixels, valid, query).reshape(3, -1), axis=1)
    assert shares / np.linalg.norm(mean, axis=1) == pytest.approx(vectors @ query, abs=1e-5)


def test_what_lies_under_nodata_does_not_matter(name: str, few: Sample, tmp_path: Path) -> None:
    encoder = made(name, few, tmp_path / "e")
    valid = few.valid[:2].copy()
    valid[:, 5:9, 5:9] = False
    other = few.pixels[:2].copy()
    other[:, :, 5:9, 5:9] = 1e4
    assert np.array_equal(*(encoder.encode({"optical": p}, valid) for p in (few.pixels[:2], other)))


def test_a_missing_band_is_its_mean(name: str, tmp_path: Path) -> None:
    scene = noise(3)
    three = drawn(write(tmp_path / "three.tif", scene[[0, 2, 1]], names=("B02", "B04", "B03")))
    with pytest.raises(BandError, match="order B02,B03,B04"):
        made(name, three, tmp_path / "no")
    three = drawn(write(tmp_path / "three.tif", scene[:2], names=("B02", "B08")))
    encoder = made(name, three, tmp_path / "three")
    assert encoder.spec.modalities[0].bands == ("B02", "B08")
    whole = made(name, drawn(write(tmp_path / "four.tif", noise())), tmp_path / "four")
    z = preprocess(three.pixels, three.valid, encoder.spec.modalities[0])
    mean, std = (
        np.array(v, np.float32)[:, None, None] for v in (whole.spec.modalities[0].mean, whole.spec.modalities[0].std)
    )
    filled = np.repeat(mean[None], len(z), axis=0) * np.ones_like(z[:, :1])
    filled[:, [0, 3]] += z * std[[0, 3]]
    got, wanted = encoder.encode({"optical": three.pixels}, three.valid), whole.encode({"optical": filled}, three.valid)
    assert got == pytest.approx(wanted, abs=1e-4)


def test_the_toy_model_gives_the_bands(few: Sample, tmp_path: Path) -> None:
    encoder = made(f"dense@{dense_model.of_bands(tmp_path / 'm.safetensors')}", few, tmp_path / "e")
    z = preprocess(few.pixels[:1], few.valid[:1], encoder.spec.modalities[0])
    assert isinstance(encoder, PixelEncoder)
    first = encoder.similarity({"optical": few.pixels[:1]}, few.valid[:1], np.eye(8, dtype=np.float32)[0])
    assert first == pytest.approx(z[:, 0] / np.linalg.norm(z, axis=1), abs=1e-4)


def test_model_files_that_do_not_fit_are_refused(few: Sample, tmp_path: Path) -> None:
    model = model_file.read(dense_model.drawn(tmp_path / "m.safetensors"))
    for change, tensors in (
        ("extra", {**model.tensors, "head.weight": model.tensors["unet.stem.bias"]}),
        ("missing", {k: v for k, v in model.tensors.items() if k != "unet.stem.bias"}),
    ):
        path = dense_model.write(tmp_path / f"{change}.safetensors", tensors)
        with pytest.raises(EncoderError, match="does not fit its network"):
            made(f"dense@{path}", few, tmp_path / change)
    with pytest.raises(EncoderError, match="no model 'dense:none'"):
        registry.make("dense:none", few, tmp_path)
    blue = drawn(write(tmp_path / "x.tif", noise(2), names=("B02", "B11")))
    with pytest.raises(BandError, match="unknown: B11"):
        made(f"dense@{tmp_path / 'm.safetensors'}", blue, tmp_path / "b11")


@pytest.mark.gpu
def test_cuda_gives_the_vectors_of_the_cpu(name: str, few: Sample, tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cpu = made(name, few, tmp_path / "e")
    cuda = registry.load(tmp_path / "e", cpu.spec, "cuda")
    a, b = (e.encode({"optical": few.pixels}, few.valid) for e in (cpu, cuda))
    assert (a * b).sum(axis=1).min() >= 0.999
    assert isinstance(cpu, PixelEncoder)
    assert isinstance(cuda, PixelEncoder)
    one, two = (e.similarity({"optical": few.pixels[:2]}, few.valid[:2], a[0]) for e in (cpu, cuda))
    assert np.abs(one - two).max() < 0.05
