"""What MP-MAE predicts: the targets of MMEarth, as far as a batch has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedstore.errors import SpecError
from indexer.pretrain.modalities import CLASSES, LABELS, PIXELS, VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from embedstore.spec import Modality
    from indexer.pretrain.sources.batch import Batch

PRETEXTS = {
    "all": (
        "optical",
        "sar",
        "terrain",
        "canopy",
        "land_cover",
        "dynamic_world",
        "climate",
        "lat",
        "lon",
        "month",
        "biome",
        "ecoregion",
    ),
    "optical": ("optical",),
}
"""The twelve targets of the paper, and the pretext without other sensors that it compares with. Coherence is not among
them. Sentinel-1 has four channels here and eight there, of which most are missing in any one place."""

CLIMATE_MEAN = (12, 6, 18, 70) * 2 + (12, 6, 18, 850)
CLIMATE_STD = (12, 12, 12, 80) * 2 + (12, 12, 12, 700)
"""Of land, roughly: statistics come for pixels only, and a z-score needs no more than the order of magnitude."""


def pixel_targets(pretext: str) -> dict[str, int]:
    """Return the numbers to tell of each pixel, by target: channels of layers, classes of maps."""
    sizes = {name: len(known) for name, known in (PIXELS | CLASSES).items()}
    return {name: sizes[name] for name in PRETEXTS[pretext] if name in sizes}


def chip_targets(pretext: str) -> dict[str, int]:
    """Return the numbers to tell of each chip, by target."""
    sizes = VALUES | LABELS
    return {name: sizes[name] for name in PRETEXTS[pretext] if name in sizes}


def scores(batch: Batch, modality: Modality, bands: Sequence[str], device: torch.device) -> torch.Tensor:
    """Return the z-scores of a pixel modality, NaN where there is no data.

    Raises
    ------
    SpecError
        If the batch has other channels than the statistics.
    """
    import torch  # noqa: PLC0415

    pixels = torch.from_numpy(batch.pixels[modality.name]).to(device)
    if pixels.shape[1] != len(modality.bands):
        raise SpecError(
            f"chips of {modality.name} have {pixels.shape[1]} channels, and {len(modality.bands)} are known: "
            f"{', '.join(modality.bands)}."
        )
    at = [modality.bands.index(band) for band in bands]
    mean, std = (torch.tensor([v[i] for i in at], device=device)[:, None, None] for v in (modality.mean, modality.std))
    return (pixels[:, at] - mean) / std


def targets(
    batch: Batch, pretext: str, size: int, statistics: Mapping[str, Modality], device: torch.device
) -> dict[str, torch.Tensor]:
    """Return every target; what the batch lacks is unknown everywhere, so that each step computes the same.

    Returns
    -------
    By name: z-scores (n, channels, size, size), NaN where unknown; classes (n, size, size), -1; values (n, k), NaN;
    labels (n,), -1.
    """
    import torch  # noqa: PLC0415

    n = len(batch)

    def unknown(*shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.full((n, *shape), float("nan") if kind.is_floating_point else -1, dtype=kind, device=device)

    def one(name: str) -> torch.Tensor:
        if name in PIXELS:
            if name in batch.pixels and name in statistics:
                return scores(batch, statistics[name], PIXELS[name], device)
            return unknown(len(PIXELS[name]), size, size)
        if name in VALUES:
            values = batch.values.get(name)
            if values is None:
                return unknown(VALUES[name])
            told = torch.from_numpy(values).to(device)
            if name == "climate":
                mean, std = (torch.tensor(v, device=device) for v in (CLIMATE_MEAN, CLIMATE_STD))
                told = (told - mean) / std
            return told
        held = batch.classes.get(name) if name in CLASSES else batch.labels.get(name)
        if held is None:
            return unknown(*((size, size) if name in CLASSES else ()), kind=torch.int64)
        return torch.from_numpy(held).to(device)

    return {name: one(name) for name in PRETEXTS[pretext]}


def patches(x: torch.Tensor, patch: int) -> torch.Tensor:
    """Return (n, channels, size, size) cut into patches, row by row: (n, patches, channels, patch²)."""
    n, channels, height, width = x.shape
    cut = x.reshape(n, channels, height // patch, patch, width // patch, patch).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(n, -1, channels, patch * patch)
