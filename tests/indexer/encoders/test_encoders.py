from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import EncoderError
from embedstore.spec import Modality
from indexer import sample
from indexer.chips import ChipPlan
from indexer.encoders import registry
from indexer.encoders.base import preprocess
from indexer.rasters import open_raster
from tests.indexer.scenes import noise, write

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.encoders.base import Encoder
    from indexer.sample import Sample

TINY = "timm:test_convnext@random"


def drawn(path: Path, size: int = 32) -> Sample:
    raster = open_raster(path)
    return sample.draw([ChipPlan(raster, "optical", size, size)], raster.bands.names)


def made(name: str, sample_: Sample, folder: Path) -> Encoder:
    folder.mkdir()
    return registry.load(folder, registry.make(name, sample_, folder), "cpu")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return drawn(write(tmp_path_factory.mktemp("scene") / "x.tif", noise()))


def test_z_scores_are_zero_where_there_is_no_data() -> None:
    pixels = np.full((1, 2, 3, 3), 7, np.float32)
    valid = np.ones((1, 3, 3), bool)
    valid[0, 1, 1] = False
    z = preprocess(pixels, valid, Modality("optical", ("a", "b"), (1.0, 7.0), (2.0, 1.0)))
    assert np.array_equal(z[0, 0], np.where(valid[0], 3, 0))
    assert not z[0, 1].any()


def test_a_sample_knows_its_bands(few: Sample) -> None:
    modality = few.modality("optical")
    z = preprocess(few.pixels, few.valid, modality)
    assert np.abs(z.mean(axis=(0, 2, 3))).max() < 1e-3
    assert z.std(axis=(0, 2, 3)) == pytest.approx(np.ones(4), abs=1e-3)


@pytest.mark.parametrize("name", ["rcf", TINY])
def test_vectors_are_unit_and_the_same_however_they_are_batched(name: str, few: Sample, tmp_path: Path) -> None:
    encoder = made(name, few, tmp_path / "e")
    valid = few.valid.copy()
    valid[0, :10] = False
    whole = encoder.encode({"optical": few.pixels}, valid)
    assert whole.dtype == np.float32
    assert whole.shape == (len(valid), encoder.spec.dimension)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(len(whole)), abs=1e-5)
    with ThreadPoolExecutor(3) as threads:
        ones = list(
            threads.map(lambda i: encoder.encode({"optical": few.pixels[i : i + 1]}, valid[i : i + 1]), range(9))
        )
    assert np.abs(np.concatenate(ones) - whole[:9]).max() < 1e-4


@pytest.mark.parametrize("name", ["rcf", TINY])
def test_what_lies_under_nodata_does_not_matter(name: str, few: Sample, tmp_path: Path) -> None:
    encoder = made(name, few, tmp_path / "e")
    valid = few.valid[:2].copy()
    valid[:, 5:9, 5:9] = False
    other = few.pixels[:2].copy()
    other[:, :, 5:9, 5:9] = 1e4
    a, b = (encoder.encode({"optical": p}, valid) for p in (few.pixels[:2], other))
    assert np.array_equal(a, b)


def test_rcf_tells_chips_apart(few: Sample, tmp_path: Path) -> None:
    vectors = made("rcf", few, tmp_path / "e").encode({"optical": few.pixels}, few.valid)
    cosine = (vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)]
    assert cosine.mean() < 0.5


FIT = """
import sys, torch, pathlib, tempfile
torch.set_num_threads(int(sys.argv[2]))
from tests.indexer.encoders.test_encoders import drawn
from indexer.encoders import registry
print(registry.make("rcf", drawn(pathlib.Path(sys.argv[1])), pathlib.Path(tempfile.mkdtemp())).fingerprint)
"""


def test_two_processes_fit_the_same_rcf(tmp_path: Path) -> None:
    scene = write(tmp_path / "x.tif", noise())
    prints = {
        subprocess.run(
            [sys.executable, "-c", FIT, str(scene), threads],
            env={"OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": ".", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(prints) == 1


def test_weights_come_from_a_file(few: Sample, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    first = made(TINY, few, tmp_path / "a")
    kept = tmp_path / "a" / "weights.safetensors"
    torch.save({"state_dict": load_file(kept)}, tmp_path / "w.pth")
    for file in (kept, tmp_path / "w.pth"):
        name = f"timm:test_convnext@{file}"
        again = made(name, few, tmp_path / file.suffix)
        assert again.spec.name == registry.canonical(name)
        assert str(tmp_path) not in again.spec.name
        assert np.array_equal(
            *(e.encode({"optical": few.pixels[:2]}, few.valid[:2]) for e in (first, again)),
        )


def test_a_vision_transformer_takes_the_chip_size(few: Sample, tmp_path: Path) -> None:
    encoder = made("timm:test_vit@random", few, tmp_path / "e")
    assert encoder.encode({"optical": few.pixels[:1]}, few.valid[:1]).shape == (1, encoder.spec.dimension)


def test_chips_too_small_for_a_network_are_refused(tmp_path: Path) -> None:
    tiny = drawn(write(tmp_path / "x.tif", noise()), 8)
    with pytest.raises(EncoderError, match="cannot take chips of 8 pixels"):
        registry.make("timm:convnextv2_atto@random", tiny, tmp_path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("pwned",)


def test_encoders_that_cannot_be_had(
    few: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "torn.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, message in (
        ("clip", "no encoder 'clip'"),
        ("timm:resnot", "no model 'resnot'"),
        ("timm:test_convnext", "@random"),
        (f"timm:test_convnext@{tmp_path / 'absent.pth'}", "no weights"),
        (f"timm:test_convnext@{tmp_path / 'evil.pth'}", "no weights that can be read"),
        (f"timm:test_convnext@{tmp_path / 'torn.safetensors'}", "torn"),
        ("timm:test_convnext@0123456789ab", "digest"),
    ):
        with pytest.raises(EncoderError, match=message):
            registry.make(name, few, tmp_path)
    assert "pwned" not in capsys.readouterr().out


def test_damaged_weights_are_refused(few: Sample, tmp_path: Path) -> None:
    encoder = made("rcf", few, tmp_path / "e")
    file = tmp_path / "e" / "weights.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(EncoderError, match="missing or not what"):
        registry.load(tmp_path / "e", encoder.spec)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["rcf", "timm:convnextv2_atto@random", "timm:vit_tiny_patch16_224@random"])
def test_cuda_gives_the_vectors_of_the_cpu(name: str, few: Sample, tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cpu = made(name, few, tmp_path / "e")
    cuda = registry.load(tmp_path / "e", cpu.spec, "cuda")
    a, b = (e.encode({"optical": few.pixels}, few.valid) for e in (cpu, cuda))
    assert (a * b).sum(axis=1).min() >= 0.999
