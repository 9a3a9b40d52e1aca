"""What all encoders of model files share: names, and the fit of scenes to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from embedstore.errors import BandError, EncoderError
from embedstore.sealed import sha256
from embedstore.spec import Modality
from indexer.encoders import model_file, pretrained
from indexer.encoders.model_file import FIXED, SCENES, Model
from indexer.encoders.pretrained import Pretrained
from indexer.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

BANDS = ("B02", "B03", "B04", "B08")


class Whole(Pretrained):
    """A family that needs every band."""

    family = "whole"


class Some(Pretrained):
    """A family that was trained with bands missing."""

    family = "some"
    needs_every_band = False


def write(path: Path, architecture: str = "whole", normalisation: str = SCENES) -> Path:
    optical = Modality("optical", BANDS, (0.1, 0.2, 0.3, 0.4), (0.01, 0.02, 0.03, 0.04))
    sar = Modality("sar", ("VV_asc", "VH_asc"), (-10.0, -17.0), (4.0, 5.0))
    tensors = {"w": torch.zeros(2)}
    model_file.write(path, Model(architecture, {}, (optical, sar), 56, 10.0, 8, "avg", tensors, normalisation))
    return path


def sample(*bands: str, gsd: float = 10.0, size: int = 64) -> Sample:
    rng = np.random.default_rng(0)
    pixels = (1000 + 100 * rng.normal(size=(6, len(bands), size, size))).astype(np.float32)
    return Sample(bands, pixels, np.ones((6, size, size), bool), gsd)


def test_a_model_takes_the_statistics_of_the_scenes(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors")
    (tmp_path / "store").mkdir()
    scenes = sample(*BANDS, gsd=14.0)
    spec = Whole.make(f"whole@{path}", scenes, tmp_path / "store")
    assert spec.modalities == (scenes.modality("optical"),)
    assert (spec.dimension, spec.pooling, spec.chip_size, spec.gsd) == (8, "avg", 64, 14.0)
    weights = tmp_path / "store" / "weights.safetensors"
    assert weights.read_bytes() == path.read_bytes()
    assert spec.weights_sha256 == sha256(weights)
    assert spec.name == f"whole@{sha256(path)[:12]}", "never its path"


def test_a_model_with_numbers_of_its_own_keeps_them(tmp_path: Path) -> None:
    model = model_file.read(write(tmp_path / "m", normalisation=FIXED))
    assert Whole.fit(model, sample(*BANDS)) == model.modalities[0]
    some = Some.fit(model, sample("B03", "B08"))
    assert (some.bands, some.mean, some.std) == (("B03", "B08"), (0.2, 0.4), (0.02, 0.04))


def test_the_modality_is_the_one_that_has_the_bands(tmp_path: Path) -> None:
    model = model_file.read(write(tmp_path / "m"))
    assert Whole.fit(model, sample("VV_asc", "VH_asc")).name == "sar"
    assert Some.fit(model, sample("VH_asc")).name == "sar"


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        (("B02", "B03", "B04"), "missing: B08"),
        (("B02", "B03", "B04", "B08", "B11"), "unknown: B11"),
        (("B02", "B03", "B04", "B8A"), "missing: B08; unknown: B8A"),
        (("1", "2", "3", "4"), "missing: B02,B03,B04,B08; unknown: 1,2,3,4"),
        (("B08", "B02", "B03", "B04"), "give --bands B02,B03,B04,B08"),
        (("VH_asc", "VV_asc"), "give --bands VV_asc,VH_asc"),
    ],
    ids=",".join,
)
def test_wrong_bands_and_wrong_order_are_refused(tmp_path: Path, bands: tuple[str, ...], words: str) -> None:
    model = model_file.read(write(tmp_path / "m"))
    with pytest.raises(BandError) as refused:
        Whole.fit(model, sample(*bands))
    assert words in str(refused.value)


def test_a_family_that_needs_some_bands_needs_known_ones_in_order(tmp_path: Path) -> None:
    model = model_file.read(write(tmp_path / "m"))
    with pytest.raises(BandError, match="unknown: B11"):
        Some.fit(model, sample("B02", "B11"))
    with pytest.raises(BandError, match="give --bands B02,B08"):
        Some.fit(model, sample("B08", "B02"))


@pytest.mark.parametrize("gsd", [4.9, 20.1, 0.5])
def test_pixels_much_finer_or_coarser_are_refused(tmp_path: Path, gsd: float) -> None:
    path = write(tmp_path / "m")
    with pytest.raises(EncoderError, match=f"10 m and the scenes have {gsd:g} m"):
        Whole.make(f"whole@{path}", sample(*BANDS, gsd=gsd), tmp_path)


def test_a_model_of_another_family_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m", "some")
    with pytest.raises(EncoderError, match="'some', not of 'whole'"):
        Whole.make(f"whole@{path}", sample(*BANDS), tmp_path)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path)
    path = write(tmp_path / "whole-small.safetensors")
    digest = sha256(path)[:12]
    assert Whole.canonical("whole:small") == "whole:small"
    assert Whole.canonical(f"whole@{path}") == f"whole@{digest}" == Whole.canonical(f"whole@{digest}")
    for name in ("whole:small", f"whole@{path}"):
        assert Whole.chip_size(name) == 56
        assert Whole.modalities(name) == {"optical": BANDS, "sar": ("VV_asc", "VH_asc")}
        assert pretrained.locate(name) == path
    for name, words in (
        ("whole:large", "known are whole:small, and whole@FILE"),
        (f"whole@{tmp_path / 'absent'}", "absent"),
        (f"whole@{digest}", "only a store has it"),
        ("other:small", r"no model 'other:small'; other@FILE"),
    ):
        with pytest.raises(EncoderError, match=words):
            Whole.chip_size(name)


def test_a_damaged_model_makes_no_encoder(tmp_path: Path) -> None:
    path = write(tmp_path / "m")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EncoderError, match="is no model file"):
        Whole.make(f"whole@{path}", sample(*BANDS), tmp_path)


def test_modalities_of_a_spec_are_valid(tmp_path: Path) -> None:
    flat: Any = sample(*BANDS)
    flat.pixels[:] = 5
    assert Whole.fit(model_file.read(write(tmp_path / "m")), flat).std == (1.0,) * 4, "a constant band becomes 0"
