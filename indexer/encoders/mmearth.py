"""Checkpoints of MMEarth (Nedungadi et al. 2024) as models of ours: names, layout, bands and units.

The authors pre-train with sparse convolutions, whose kernels are (positions, in, out), position counting columns
first. Only the encoder is taken; what decodes is dropped. The weights themselves are the user's to get: the authors'
repository carries the licence of ConvNeXt V2's pre-trained weights, CC BY-NC 4.0.
"""

from __future__ import annotations

import argparse
import pathlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import BandError, EncoderError
from embedstore.spec import Modality
from indexer.encoders import model_file
from indexer.encoders.model_file import Card, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from numpy.typing import NDArray

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B08", "B09", "B11", "B12")
"""As MMEarth stores them: B8A before B08."""
MEAN = (
    1349.3978, 1479.9522, 1720.3688, 1899.1849, 2253.9310, 2808.2002,
    3003.4241, 3149.5365, 3110.8406, 3213.7636, 2399.0862, 1811.7986,
)  # fmt: skip
STD = (
    2340.2916, 2375.8721, 2256.8998, 2354.1811, 2292.9957, 2033.2167,
    1920.1736, 1816.6152, 1988.1938, 1947.9032, 1473.2248, 1390.6782,
)  # fmt: skip
"""Of digital numbers, reflectance times 10,000: published with mmearth-bench for its encoder."""
BGR = ("B02", "B03", "B04")
GSD = 10.0

BRIGHTEST_MEDIAN = 20_000.0
DARKEST_MAXIMUM = 255.0
REFLECTANCE_MAXIMUM = 2.0
REMEDY = (
    "The model has statistics of its own, for Sentinel-2's digital numbers: reflectance times 10,000. Set the scale of "
    "the bands so that what is stored times the scale is that: `gdal_edit.py -scale 10000 FILE` for reflectance from 0 "
    "to 1, `-scale 0.152590` for reflectance times 65,535. Stretched bytes cannot be brought back."
)
DROPPED = ("proj.", "mask_token", "decoder_dict.", "pred_dict.", "layer_norm_tmp.", "loss_fn.")
"""What only pre-training needs, by how its names begin."""
PREFIX = "encoder."


def convert(path: Path, padding: int = 0) -> Model:
    """Return the encoder of a published checkpoint as a model of ours.

    Parameters
    ----------
    path
        The file, e.g. ``checkpoint-199.pth``.
    padding
        0: vectors are those of the dense encoder that the authors published. 1: cells are as they were while it was
        pre-trained, and the border of a chip is seen. The two are not to be compared with one another, and have
        different fingerprints.

    Raises
    ------
    EncoderError
        If the file holds no such checkpoint, more than tensors and settings, or tensors that are missing, unknown or
        of another shape; each is named.
    """
    from indexer.networks.convnextv2 import SIZES, ConvNeXtV2  # noqa: PLC0415

    state = {name: tensor for name, tensor in _read(path).items() if not name.startswith(DROPPED)}
    bands, width, kernel = _sizes(path, state)
    size = next((name for name, (_, first) in SIZES.items() if first == width), None)
    patch = {1: 8, 4: 16}.get(kernel)
    known = {len(BANDS): BANDS, len(BGR): BGR}.get(bands)
    if size is None or patch is None or known is None:
        raise EncoderError(
            f"{path} holds an encoder of {bands} bands, {width} channels and a stem of {kernel} positions; known are "
            f"{len(BANDS)} or {len(BGR)} bands, {' or '.join(f'{w} ({n})' for n, (_, w) in SIZES.items())} channels, "
            "and 1 or 4 positions."
        )
    network = ConvNeXtV2(bands, size, patch, padding)
    at = [BANDS.index(band) for band in known]
    return Model(
        "mpmae",
        {"size": size, "patch": patch, "padding": padding},
        (Modality("optical", known, tuple(MEAN[i] for i in at), tuple(STD[i] for i in at)),),
        7 * patch,
        GSD,
        network.dimension,
        "mean",
        _tensors(path, state, network),
        model_file.FIXED,
        Card(
            "mpmae",
            "published",
            f"The encoder of the MMEarth checkpoint {path.name} (arXiv 2405.02771), converted.",
            "MMEarth (Sentinel-2 of 2017 to 2020, 14 biomes), or the part of it that the file's name says.",
            "Of the authors: their repository carries that of ConvNeXt V2's pre-trained weights, CC BY-NC 4.0.",
            limits=(
                "Scenes that are not Sentinel-2's digital numbers (reflectance times 10,000).",
                "Commercial use, unless the authors allow it.",
            ),
        ),
    )


def check_units(values: NDArray[np.float32]) -> None:
    """Refuse scenes whose numbers cannot be digital numbers of Sentinel-2.

    Parameters
    ----------
    values
        Of a sample of the scenes, where they hold data.

    Raises
    ------
    BandError
        If all are as small as reflectances or bytes, or half of them are negative or brighter than any surface.
    """
    middle, most = float(np.median(values)), float(values.max())
    if most <= DARKEST_MAXIMUM or not 0 <= middle <= BRIGHTEST_MEDIAN:
        raise BandError(f"the scenes' numbers have median {middle:.6g} and maximum {most:.6g}. {REMEDY}")


def check_chips(pixels: NDArray[np.float32]) -> None:
    """Refuse chips that are reflectance from 0 to 1: dark water has larger digital numbers.

    Raises
    ------
    BandError
        If they are.
    """
    most = float(pixels.max())
    if 0 < most <= REFLECTANCE_MAXIMUM:
        raise BandError(f"the chips' greatest number is {most:.6g}. {REMEDY}")


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint; nothing in the file is run.

    Besides tensors the authors keep the settings of the run, of which paths are read as plain ones.
    """
    import pickle  # noqa: PLC0415 - for its error only

    import torch  # noqa: PLC0415

    paths = [
        (pathlib.PurePosixPath if "Posix" in name else pathlib.PureWindowsPath, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    ]
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *paths]):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{path} was refused, since reading it would run what it holds: {_reason(error)} A published checkpoint "
            "holds tensors, numbers and an argparse.Namespace only; get it from its authors again."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise EncoderError(f"{path} cannot be read as a checkpoint of torch: {_reason(error)}") from error
    state = held.get("model") if isinstance(held, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise EncoderError(f"{path} holds no tensors under 'model', as the checkpoints of MMEarth do.")
    return state


def _reason(error: Exception) -> str:
    """Return torch's one line that says what was not allowed, or the first."""
    lines = str(error).splitlines() or [type(error).__name__]
    return next((line.strip() for line in lines if "Unsupported" in line), lines[0])[:300]


def _sizes(path: Path, state: dict[str, torch.Tensor]) -> tuple[int, int, int]:
    """Return bands, channels and positions of the stem."""
    first, stem = (state.get(f"{PREFIX}{name}.0.kernel") for name in ("initial_conv", "stem"))
    if first is None or stem is None or first.dim() != 3 or stem.dim() != 2:
        raise EncoderError(
            f"{path} has no kernels {PREFIX}initial_conv.0.kernel (positions, in, out) and {PREFIX}stem.0.kernel "
            "(positions, channels), as the checkpoints of MMEarth do."
        )
    return first.shape[1], first.shape[2], stem.shape[0]


def _tensors(path: Path, state: dict[str, torch.Tensor], network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of our network, once every tensor is there and none else."""
    wanted = {theirs: (ours, shape, turn) for theirs, ours, shape, turn in _layout(network)}
    faults = [f"missing {name}" for name in wanted if name not in state]
    faults += [f"unknown {name}" for name in state if name not in wanted]
    faults += [
        f"{name} is {list(state[name].shape)} instead of {list(shape)}"
        for name, (_, shape, _) in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if faults:
        raise EncoderError(f"{path} is no checkpoint of this encoder: {'; '.join(faults)}.")
    return {ours: turn(state[theirs].float()).contiguous() for theirs, (ours, _, turn) in wanted.items()}


def _layout(network: Any) -> Iterator[tuple[str, str, tuple[int, ...], Callable[[torch.Tensor], torch.Tensor]]]:
    """Yield for every tensor of our network: its published name, ours, its published shape, and theirs to ours."""
    import torch  # noqa: PLC0415

    from indexer.networks.convnextv2 import GlobalResponseNorm  # noqa: PLC0415

    for ours, module in network.named_modules():
        name = PREFIX + _published(ours)
        if isinstance(module, torch.nn.Conv2d):
            out, each, side, _ = module.weight.shape
            shape = (side * side, out) if module.groups > 1 else (side * side, each, out)
            yield f"{name}.kernel", f"{ours}.weight", shape, _kernel
            yield f"{name}.bias", f"{ours}.bias", (1, out), torch.flatten
        elif isinstance(module, GlobalResponseNorm):
            yield f"{name}.gamma", f"{ours}.weight", (1, len(module.weight)), torch.flatten
            yield f"{name}.beta", f"{ours}.bias", (1, len(module.bias)), torch.flatten
        elif isinstance(module, torch.nn.LayerNorm | torch.nn.Linear):
            inner = "ln" if isinstance(module, torch.nn.LayerNorm) else "linear"
            for part, tensor in module.named_parameters():
                yield f"{name}.{inner}.{part}", f"{ours}.{part}", tuple(tensor.shape), torch.clone


def _published(ours: str) -> str:
    """Return the published name of a layer of ours."""
    match ours.split("."):
        case ["stem", at]:
            return f"initial_conv.{at}" if int(at) < 3 else f"stem.{int(at) - 3}"
        case ["stages", stage, "downsample", at]:
            return f"downsample_layers.{int(stage) - 1}.{at}"
        case ["stages", stage, "blocks", block, *rest]:
            layers = {"conv_dw": "dwconv", "norm": "norm", "fc1": "pwconv1", "fc2": "pwconv2", "grn": "grn"}
            return f"stages.{stage}.{block}.{layers.get(rest[-1] if rest else '', '')}"
    return ours


def _kernel(kernel: torch.Tensor) -> torch.Tensor:
    """Return (positions, in, out), or (positions, channels) of a depthwise kernel, as (out, in, rows, columns)."""
    if kernel.dim() == 2:
        kernel = kernel[:, None]
    side = round(len(kernel) ** 0.5)
    columns_first = kernel.permute(2, 1, 0).reshape(kernel.shape[2], kernel.shape[1], side, side)
    return columns_first.transpose(2, 3)
