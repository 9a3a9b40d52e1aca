from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from embedstore.errors import BandError, EncoderError
from indexer.encoders import mmearth, model_file
from indexer.encoders.mpmae import build
from tests.indexer.encoders import published

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return published.state()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, torch.Tensor]) -> Path:
    return published.save(tmp_path_factory.mktemp("mmearth") / "checkpoint-199.pth", tensors)


@pytest.mark.parametrize(
    ("size", "bands", "patch", "padding"),
    [("atto", 12, 8, 0), ("atto", 12, 8, 1), ("atto", 12, 16, 0), ("atto", 3, 16, 1), ("tiny", 12, 8, 0)],
)
def test_our_encoder_is_theirs(size: str, bands: int, patch: int, padding: int, tmp_path: Path) -> None:
    tensors = published.state(size, bands, patch)
    model = mmearth.convert(published.save(tmp_path / "x.pth", tensors), padding)
    assert model.options == {"size": size, "patch": patch, "padding": padding}
    x = torch.randn(2, bands, 7 * patch + 3, 7 * patch, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        theirs = published.forward(tensors, x, patch, padding)
        network = build(model).eval()
        assert (network.features(x) - theirs).abs().max() < 1e-4
        assert (network(x) - theirs.mean((2, 3))).abs().max() < 1e-4
    assert theirs.std() > 0.1
    assert model.dimension == theirs.shape[1]


def test_a_kernel_counts_down_its_columns(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    kernel = torch.zeros(9, 12, 40)
    kernel[1, 3, 5] = 2.0  # the second place of the first column: left of the middle
    depthwise = torch.zeros(49, 40)
    depthwise[2 * 7 + 3, 7] = 3.0  # the fourth place of the third column: one left of the middle
    changed = tensors | {"encoder.initial_conv.0.kernel": kernel, "encoder.stages.0.0.dwconv.kernel": depthwise}
    changed["encoder.stages.0.0.dwconv.bias"] = torch.zeros(1, 40)
    network = build(mmearth.convert(published.save(tmp_path / "x.pth", changed), padding=1)).requires_grad_(False)
    chip = torch.zeros(1, 12, 8, 8)
    chip[0, 3, 2, 4] = 1.0
    out = network.stem[0](chip) - changed["encoder.initial_conv.0.bias"].view(1, -1, 1, 1)
    assert out[0, 5, 2, 5] == pytest.approx(2.0, abs=1e-6)  # one to the right of the pixel, not one below it
    assert out.abs().sum() == pytest.approx(2.0, abs=1e-4)
    image = torch.zeros(1, 40, 8, 8)
    image[0, 7, 2, 4] = 1.0
    out = network.stages[0].blocks[0].conv_dw(image)
    assert out[0, 7, 2, 5] == pytest.approx(3.0, abs=1e-6)
    assert out.abs().sum() == pytest.approx(3.0, abs=1e-5)


def test_swapped_axes_would_be_seen(tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1, 12, 24, 24, generator=torch.Generator().manual_seed(2))
    right = published.forward(tensors, x)
    spatial = published.spatial
    monkeypatch.setattr(published, "spatial", lambda kernel: spatial(kernel).transpose(2, 3))
    assert (published.forward(tensors, x) - right).abs().max() > 0.1


def test_grn_has_the_epsilon_of_the_dense_encoder(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    # Small activations before GRN, where the epsilon weighs, and large weights of it.
    faint = {k: v * 1e-4 if "pwconv1" in k else v * 1e4 if "gamma" in k else v for k, v in tensors.items()}
    x = torch.randn(1, 12, 16, 16, generator=torch.Generator().manual_seed(3))
    right, other = (published.forward(faint, x, eps=eps) for eps in (1e-4, 1e-6))
    assert (right - other).abs().max() > 1e-2
    network = build(mmearth.convert(published.save(tmp_path / "x.pth", faint)))
    with torch.inference_mode():
        assert (network.features(x) - right).abs().max() < 1e-4


def test_bands_are_in_the_authors_order_with_their_statistics(checkpoint: Path, tmp_path: Path) -> None:
    model = mmearth.convert(checkpoint)
    (optical,) = model.modalities
    standard = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    assert optical.bands == tuple(standard[i] for i in (0, 1, 2, 3, 4, 5, 6, 8, 7, 9, 10, 11))
    assert dict(zip(optical.bands, optical.mean, strict=True))["B8A"] == 3149.5365
    assert dict(zip(optical.bands, optical.std, strict=True))["B08"] == 1988.1938
    assert model.normalisation == model_file.FIXED
    assert (model.chip_size, model.gsd, model.pooling) == (56, 10.0, "mean")
    blue = mmearth.convert(published.save(tmp_path / "rgb.pth", published.state(bands=3, patch=16))).modalities[0]
    assert blue.bands == ("B02", "B03", "B04")
    assert blue.mean == optical.mean[1:4]


def test_padding_is_recorded_and_changes_the_grid(checkpoint: Path) -> None:
    plain, padded = (mmearth.convert(checkpoint, padding) for padding in (0, 1))
    assert plain.describe() != padded.describe()
    chip = torch.zeros(1, 12, 56, 56)
    with torch.inference_mode():
        assert build(plain).features(chip).shape[2:] == (6, 6)
        assert build(padded).features(chip).shape[2:] == (7, 7)


def test_only_the_encoder_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    model = mmearth.convert(checkpoint)
    assert sum(t.numel() for t in model.tensors.values()) == 3_389_320
    model_file.write(tmp_path / "m.safetensors", model, half=False)
    again = model_file.read(tmp_path / "m.safetensors")
    assert again.describe() == model.describe()
    assert all(torch.equal(model.tensors[name], again.tensors[name]) for name in model.tensors)


class Unexpected:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("pwned",)


class Custom(argparse.Namespace):
    pass


@pytest.mark.parametrize("held", [Unexpected(), Custom(a=1)])
def test_a_pickle_that_would_run_something_is_refused(
    held: object, tensors: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = published.save(tmp_path / "evil.pth", tensors, extra=held)
    with pytest.raises(EncoderError, match=r"was refused.*Unsupported.*(print|Custom)"):
        mmearth.convert(path)
    assert not capsys.readouterr().out


def test_what_is_allowed_is_allowed_only_here(checkpoint: Path) -> None:
    import pickle

    mmearth.convert(checkpoint)
    with pytest.raises(pickle.UnpicklingError, match="Namespace"):
        torch.load(checkpoint, weights_only=True)


def test_every_wrong_tensor_is_named(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    wrong = dict(tensors)
    del wrong["encoder.stages.2.5.grn.gamma"], wrong["encoder.downsample_layers.1.1.bias"]
    wrong["encoder.norm.weight"] = torch.zeros(320)
    wrong["head.bias"] = torch.zeros(10)
    wrong["encoder.stages.3.1.dwconv.kernel"] = torch.zeros(25, 320)
    wrong["encoder.stages.0.0.pwconv1.linear.weight"] = torch.zeros(40, 160)
    with pytest.raises(EncoderError) as error:
        mmearth.convert(published.save(tmp_path / "x.pth", wrong))
    for told in (
        "missing encoder.stages.2.5.grn.gamma",
        "missing encoder.downsample_layers.1.1.bias",
        "unknown encoder.norm.weight",
        "unknown head.bias",
        "encoder.stages.3.1.dwconv.kernel is [25, 320] instead of [49, 320]",
        "encoder.stages.0.0.pwconv1.linear.weight is [40, 160] instead of [160, 40]",
    ):
        assert told in str(error.value)


def test_files_that_are_no_such_checkpoint(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torn = tmp_path / "torn.pth"
    torn.write_bytes(published.save(tmp_path / "x.pth", tensors).read_bytes()[:100_000])
    torch.save({"state_dict": tensors}, tmp_path / "other.pth")
    torch.save({"model": {"encoder.stem.0.weight": torch.zeros(1)}}, tmp_path / "dense.pth")
    for path, told in (
        (tmp_path / "absent.pth", "No such file"),
        (torn, "cannot be read"),
        (tmp_path / "other.pth", "no tensors under 'model'"),
        (tmp_path / "dense.pth", "encoder.initial_conv.0.kernel"),
        (published.save(tmp_path / "five.pth", published.state(bands=5)), "5 bands"),
    ):
        with pytest.raises(EncoderError, match=told):
            mmearth.convert(path)


@pytest.mark.parametrize(
    ("factor", "right"), [(1e-4, False), (1.0, True), (0.01, False), (65535 / 1e4, True), (20, False), (-1, False)]
)
def test_scenes_must_be_digital_numbers(factor: float, right: bool) -> None:
    numbers = np.random.default_rng(0).gamma(2, 1000, 5_000).astype(np.float32) * np.float32(factor)
    if right:
        mmearth.check_units(numbers)
        mmearth.check_chips(numbers)
    else:
        with pytest.raises(BandError, match=r"gdal_edit\.py -scale 10000"):
            mmearth.check_units(numbers)
