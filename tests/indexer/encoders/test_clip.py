from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from embedstore.errors import BandError, EncoderError
from embedstore.spec import EncoderSpec
from indexer.encoders import registry
from indexer.networks.vit import towers
from indexer.pretrain.recipes.clip import TOWERS
from indexer.sample import Sample
from tests.indexer import clip_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from indexer.encoders.base import Encoder

SIDE = clip_model.SIZE.image


def pixels(n: int = 5, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    shape = (n, SIDE, SIDE)
    return {m: random.normal(3, 2, (n, len(b), *shape[1:])).astype(np.float32) for m, b in TOWERS.items()}


def sample(*names: str, bands: tuple[str, ...] = ()) -> Sample:
    drawn = pixels(20, seed=1)
    valid = np.ones((20, SIDE, SIDE), bool)
    parts = []
    for name in names:
        chosen = tuple(b for b in TOWERS[name] if not bands or b in bands)
        at = [TOWERS[name].index(b) for b in chosen]
        parts.append(Sample(chosen, drawn[name][:, at], valid, 10.0))
    return Sample(parts[0].bands, parts[0].pixels, valid, 10.0, tuple(parts[1:]))


def loaded(folder: Path, of: Sample, normalisation: str = "scenes") -> Encoder:
    file = clip_model.drawn(folder / "m.safetensors", normalisation)
    (folder / "e").mkdir()
    return registry.load(folder / "e", registry.make(f"clip@{file}", of, folder / "e"), "cpu")


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return loaded(tmp_path, sample(*TOWERS))


def all_valid(n: int = 5) -> NDArray[np.bool_]:
    return np.ones((n, SIDE, SIDE), bool)


def test_the_store_knows_one_modality_for_each_tower(encoder: Encoder) -> None:
    assert [(m.name, m.bands) for m in encoder.spec.modalities] == list(TOWERS.items())
    assert encoder.spec.modalities[1].mean == pytest.approx((3,) * 4, abs=0.2)
    assert encoder.spec.modalities[1].std == pytest.approx((2,) * 4, abs=0.2)
    assert encoder.spec.name.startswith("clip@")
    assert EncoderSpec.from_dict(encoder.spec.to_dict()) == encoder.spec


def test_a_vector_is_the_mean_of_those_of_its_modalities(encoder: Encoder) -> None:
    x = pixels()
    alone = {name: encoder.encode({name: x[name]}, all_valid()) for name in TOWERS}
    for names in (("optical", "sar"), ("coherence", "optical"), tuple(TOWERS)):
        mean = np.mean([alone[name] for name in names], axis=0)
        expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        assert encoder.encode({name: x[name] for name in names}, all_valid()) == pytest.approx(expected, abs=1e-5)
    assert np.abs(alone["sar"] - alone["coherence"]).max() > 0.1


def test_a_modality_alone_is_its_tower_on_z_scores(encoder: Encoder, tmp_path: Path) -> None:
    from indexer.encoders import model_file
    from indexer.encoders.base import preprocess

    network = towers({name: len(b) for name, b in TOWERS.items()}, clip_model.SIZE).eval()
    network.load_state_dict(model_file.read(tmp_path / "m.safetensors").tensors)
    x = pixels()
    for modality in encoder.spec.modalities:
        z = preprocess(x[modality.name], all_valid(), modality)
        with torch.inference_mode():
            expected = network[modality.name](torch.from_numpy(z)).numpy()
        assert encoder.encode({modality.name: x[modality.name]}, all_valid()) == pytest.approx(expected, abs=1e-5)


def test_holes_count_as_missing_chip_by_chip(encoder: Encoder) -> None:
    x = pixels()
    x["sar"][1] = np.nan
    x["optical"][2] = x["coherence"][2] = np.nan
    x["optical"][3, :, :4] = np.nan
    found = encoder.encode(x, all_valid())
    without = encoder.encode({name: x[name][1:2] for name in ("optical", "coherence")}, all_valid(1))
    only = encoder.encode({"sar": x["sar"][2:3]}, all_valid(1))
    assert found[1] == pytest.approx(without[0], abs=1e-5)
    assert found[2] == pytest.approx(only[0], abs=1e-5)
    assert np.isfinite(found).all()
    seen = all_valid()
    seen[3, :4] = False  # the same hole as one of the mask
    filled = {"optical": np.nan_to_num(x["optical"], nan=77)[3:4]}
    masked = encoder.encode(filled, seen[3:4])
    assert encoder.encode({"optical": x["optical"][3:4]}, all_valid(1)) == pytest.approx(masked, abs=1e-5)


def test_no_modality_is_refused(encoder: Encoder) -> None:
    x = {name: np.full_like(p, np.nan) if name != "sar" else p for name, p in pixels().items()}
    x["sar"][4] = np.nan
    with pytest.raises(EncoderError, match="1 of 5 chips have no data in any of optical, sar, coherence"):
        encoder.encode(x, all_valid())
    with pytest.raises(EncoderError, match="5 of 5 chips"):
        encoder.encode({}, all_valid())
    masked = all_valid()
    masked[0] = False
    with pytest.raises(EncoderError, match="1 of 5 chips"):
        encoder.encode(pixels(), masked)


def test_a_missing_band_is_the_mean(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "all").mkdir()
    some = loaded(tmp_path / "some", sample("sar", bands=("VV_asc", "VH_desc")), "fixed")
    every = loaded(tmp_path / "all", sample("sar"), "fixed")
    assert some.spec.modalities[0].bands == ("VV_asc", "VH_desc")
    x = pixels()["sar"]
    blank = x.copy()
    blank[:, 1:3] = 0  # the model's own mean
    expected = every.encode({"sar": blank}, all_valid())
    assert some.encode({"sar": x[:, [0, 3]]}, all_valid()) == pytest.approx(expected, abs=1e-5)
    nothing = x.copy()
    nothing[:, 1:3] = np.nan
    assert every.encode({"sar": nothing}, all_valid()) == pytest.approx(expected, abs=1e-5)


def test_other_bands_are_refused(tmp_path: Path) -> None:
    valid = np.ones((2, SIDE, SIDE), bool)
    wrong = Sample(("B04", "B11"), np.ones((2, 2, SIDE, SIDE), np.float32), valid, 10.0)
    with pytest.raises(BandError, match="unknown: B11"):
        loaded(tmp_path, wrong)


def test_chips_of_another_size(tmp_path: Path) -> None:
    bands = TOWERS["sar"]
    drawn = np.random.default_rng(0).normal(0, 1, (4, 4, 30, 30)).astype(np.float32)
    valid = np.ones((4, 30, 30), bool)
    encoder = loaded(tmp_path, Sample(bands, drawn, valid, 10.0))
    assert encoder.spec.chip_size == 30
    assert encoder.encode({"sar": drawn}, valid).shape == (4, 12)


def test_a_file_that_lacks_a_tower_is_refused(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from embedstore.sealed import sha256

    spec = loaded(tmp_path, sample("sar")).spec
    weights = tmp_path / "e" / "weights.safetensors"
    with safe_open(weights, "numpy") as file:
        metadata = file.metadata()
    save_file({k: t for k, t in load_file(weights).items() if "sar" not in k}, weights, metadata)
    torn = EncoderSpec.from_dict({**spec.to_dict(), "weights_sha256": sha256(weights)})
    with pytest.raises(EncoderError, match="does not hold the towers"):
        registry.load(tmp_path / "e", torn, "cpu")
