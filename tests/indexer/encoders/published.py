"""Checkpoints in the layout that MMEarth published, with random numbers, and what its dense encoder makes of a chip.

Written from the layout alone, without a line of ours, so that the two can be compared.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as fn

if TYPE_CHECKING:
    from torch import Tensor

DIMS = {"atto": (40, 80, 160, 320), "tiny": (96, 192, 384, 768)}
DEPTHS = {"atto": (2, 2, 6, 2), "tiny": (3, 3, 9, 3)}


def layout(size: str = "atto", bands: int = 12, patch: int = 8) -> dict[str, tuple[int, ...]]:
    dims = DIMS[size]
    shapes: dict[str, tuple[int, ...]] = {
        "initial_conv.0.kernel": (9, bands, dims[0]),
        "initial_conv.0.bias": (1, dims[0]),
        "stem.0.kernel": ((patch // 8) ** 2, dims[0]),
        "stem.0.bias": (1, dims[0]),
    }
    for name in ("initial_conv.1", "stem.1"):
        shapes |= {f"{name}.ln.weight": (dims[0],), f"{name}.ln.bias": (dims[0],)}
    for i in range(3):
        name = f"downsample_layers.{i}"
        shapes |= {f"{name}.0.ln.weight": (dims[i],), f"{name}.0.ln.bias": (dims[i],)}
        shapes |= {f"{name}.1.kernel": (4, dims[i], dims[i + 1]), f"{name}.1.bias": (1, dims[i + 1])}
    for i, c in enumerate(dims):
        for j in range(DEPTHS[size][i]):
            block = {
                "dwconv.kernel": (49, c),
                "dwconv.bias": (1, c),
                "norm.ln.weight": (c,),
                "norm.ln.bias": (c,),
                "pwconv1.linear.weight": (4 * c, c),
                "pwconv1.linear.bias": (4 * c,),
                "pwconv2.linear.weight": (c, 4 * c),
                "pwconv2.linear.bias": (c,),
                "grn.gamma": (1, 4 * c),
                "grn.beta": (1, 4 * c),
            }
            shapes |= {f"stages.{i}.{j}.{name}": shape for name, shape in block.items()}
    return {f"encoder.{name}": shape for name, shape in shapes.items()}


def state(size: str = "atto", bands: int = 12, patch: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Tensors of the encoder, and some of what only pre-training needs."""
    random = torch.Generator().manual_seed(seed)

    def draw(name: str, shape: tuple[int, ...]) -> Tensor:
        reach = math.prod(shape[:-1]) if name.endswith("kernel") else shape[-1] if len(shape) == 2 else 4
        about = 1.0 if name.endswith("ln.weight") else 0.0
        return torch.randn(shape, generator=random) / math.sqrt(reach) + about

    tensors = {name: draw(name, shape) for name, shape in layout(size, bands, patch).items()}
    return tensors | {
        "proj.weight": torch.zeros(512, DIMS[size][3], 1, 1),
        "mask_token": torch.zeros(1, 512, 1, 1),
        "decoder_dict.sentinel2.0.dwconv.weight": torch.zeros(512, 1, 7, 7),
        "pred_dict.sentinel2.weight": torch.zeros(8, 512, 1, 1),
        "layer_norm_tmp.weight": torch.ones(512),
        "loss_fn.log_vars": torch.zeros(12),
    }


def save(path: Path, model: dict[str, Tensor], **more: object) -> Path:
    """Write a checkpoint as the authors' training does."""
    settings = argparse.Namespace(
        model="convnextv2_atto", patch_size=8, output_dir=Path("out"), data=PurePosixPath("d")
    )
    torch.save({"model": model, "optimizer": {"step": 3}, "epoch": 199, "scaler": {}, "args": settings, **more}, path)
    return path


def spatial(kernel: Tensor) -> Tensor:
    """A kernel's positions count down the columns: position = column x side + row."""
    kernel = kernel.unsqueeze(1) if kernel.dim() == 2 else kernel
    side = math.isqrt(len(kernel))
    weight = torch.zeros(kernel.shape[2], kernel.shape[1], side, side)
    for column in range(side):
        for row in range(side):
            weight[:, :, row, column] = kernel[column * side + row].T
    return weight


def forward(tensors: dict[str, Tensor], x: Tensor, patch: int = 8, padding: int = 0, eps: float = 1e-4) -> Tensor:
    """The feature map of the authors' dense encoder; padding 1 is that of the sparse one with nothing hidden."""

    def conv(name: str, x: Tensor, **how: int) -> Tensor:
        return fn.conv2d(x, spatial(tensors[f"encoder.{name}.kernel"]), tensors[f"encoder.{name}.bias"][0], **how)

    def norm(name: str, x: Tensor) -> Tensor:
        weight, bias = (tensors[f"encoder.{name}.ln.{part}"][:, None, None] for part in ("weight", "bias"))
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        return (x - mean) / (variance + 1e-6).sqrt() * weight + bias

    def linear(name: str, x: Tensor) -> Tensor:
        weight, bias = (tensors[f"encoder.{name}.linear.{part}"] for part in ("weight", "bias"))
        return fn.conv2d(x, weight[:, :, None, None], bias)

    size = next(name for name, dims in DIMS.items() if dims[0] == tensors["encoder.stem.0.bias"].numel())
    step = patch // 8
    x = fn.gelu(norm("initial_conv.1", conv("initial_conv.0", x, padding=padding)))
    x = conv("stem.0", x, stride=step, padding=0 if padding else step // 2, groups=x.shape[1])
    x = norm("stem.1", x)
    for i, depth in enumerate(DEPTHS[size]):
        if i:
            name = f"downsample_layers.{i - 1}"
            x = conv(f"{name}.1", norm(f"{name}.0", x), stride=2)
        for j in range(depth):
            name = f"stages.{i}.{j}"
            y = norm(f"{name}.norm", conv(f"{name}.dwconv", x, padding=3, groups=x.shape[1]))
            y = fn.gelu(linear(f"{name}.pwconv1", y))
            strength = y.square().sum((2, 3), keepdim=True).sqrt()
            share = strength / (strength.mean(1, keepdim=True) + eps)
            gamma, beta = (tensors[f"encoder.{name}.grn.{part}"][0][:, None, None] for part in ("gamma", "beta"))
            x = x + linear(f"{name}.pwconv2", gamma * (y * share) + beta + y)
    return x
