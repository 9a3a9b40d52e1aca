"""Segmentation by fine-tuning: a U-Net that was pretrained, or one that begins at random, learns masks of classes.

Both begin the same way but for their weights, so that what pretraining is worth can be told: the same network, crops,
changes, rate and steps. The recipe is the field's usual one: a 1x1 convolution on the features of every pixel,
cross-entropy over the pixels that have a label, AdamW with a warm-up and half a cosine, all weights trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import LabelError
from indexer.encoders.device import kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from indexer.encoders.model_file import Model

IGNORE = -1
"""Label of a pixel whose class is not known."""
LR, WEIGHT_DECAY = 1e-3, 0.05
WARMUP = 0.1
"""Share of the steps."""
STRENGTH = 0.1
"""How much colours vary; see :func:`indexer.pretrain.recipes.views.recolour`."""
WINDOW, MARGIN = 384, 64
"""Sides of what is predicted at once, and of what is looked at around it, in pixels."""


@dataclass(frozen=True, eq=False)
class Segmenter:
    """What was learned.

    Parameters
    ----------
    network
        Torch module from z-scores (n, bands, h, w) to scores (n, classes, h, w).
    mean, std
        Of the bands of the images that it learned from, float32, shape (bands, 1, 1).
    device
        Where it runs.
    """

    network: Any
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    device: str

    def predict(self, image: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the class of every pixel, shape (h, w), of an image of shape (bands, h, w); NaN is no data."""
        import torch  # noqa: PLC0415

        z = torch.from_numpy(_z_scores(image, self.mean, self.std))
        out = np.empty(image.shape[1:], np.int64)
        with torch.inference_mode():
            for rows, inner_rows in _windows(image.shape[1]):
                for cols, inner_cols in _windows(image.shape[2]):
                    top, left = max(0, rows.start - MARGIN), max(0, cols.start - MARGIN)
                    around = z[None, :, top : rows.stop + MARGIN, left : cols.stop + MARGIN].to(self.device)
                    found = self.network(around)[0].argmax(0).cpu().numpy()
                    out[rows, cols] = found[inner_rows, inner_cols]
        return out


def fine_tune(
    model: Model | None,
    images: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.integer[Any]]],
    classes: int,
    *,
    bands: Sequence[str],
    unlabelled: Sequence[NDArray[np.float32]] = (),
    steps: int = 400,
    batch: int = 8,
    side: int = 64,
    seed: int = 0,
    device: str = "auto",
) -> Segmenter:
    """Learn to predict masks.

    Parameters
    ----------
    model
        Of family ``dense``, whose U-Net goes on learning; None for the U-Net of the configuration ``small``, at random.
    images
        float32, shape (bands, h, w) each, in any units (bands are brought to z-scores by the mean and standard
        deviation of these and the unlabelled), NaN where there is no data.
    masks
        Classes 0 to `classes` - 1, shape (h, w) each; :data:`IGNORE` where the class is not known.
    classes
        How many there are.
    bands
        Names of the images' bands, in order; a model must know them.
    unlabelled
        More images of the kind, without masks. One labelled image tells the mean and spread of its own ground, which
        is not that of the next; these make them those of all.
    steps, batch
        Of the optimiser, and crops of each.
    side
        Of a crop in pixels. Every crop holds a labelled pixel.
    seed
        Of everything random.
    device
        ``cpu``, ``cuda`` or ``auto``.

    Returns
    -------
    The same on the CPU, whenever it is made with the same number of threads.

    Raises
    ------
    LabelError
        If images and masks do not fit, a class is out of range, or no pixel has a label.
    BandError, EncoderError
        If the model does not know a band, its tensors are not those of its network, or there is no such device.
    """
    import torch  # noqa: PLC0415
    from torch.nn import functional as fn  # noqa: PLC0415

    where = kind(device)
    masks = _checked(images, masks, classes, len(bands))
    for i, image in enumerate(unlabelled):
        if image.ndim != 3 or len(image) != len(bands):
            raise LabelError(f"unlabelled image {i} has shape {image.shape}; with {len(bands)} bands, give that many.")
    mean, std = _statistics([*images, *unlabelled])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(model, tuple(bands), classes).to(memory_format=torch.channels_last).to(where)
    z = [_z_scores(image, mean, std) for image in images]
    crops = _crops(z, masks, batch, side, seed)
    optimiser = torch.optim.AdamW(network.parameters(), LR, weight_decay=WEIGHT_DECAY)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    network.train()
    for _ in range(steps):
        x, wanted = next(crops)
        optimiser.zero_grad()
        loss = fn.cross_entropy(network(x.to(where)), wanted.to(where), ignore_index=IGNORE)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    return Segmenter(network.eval(), mean, std, where)


def confusion(predicted: NDArray[Any], truth: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return how many pixels of each true class (rows) were given each class (columns), ignoring the unlabelled."""
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mean_iou(counts: NDArray[np.int64]) -> float:
    """Return the mean intersection over union of the classes that are there or were given, from a confusion matrix.

    Raises
    ------
    LabelError
        If it holds no pixel.
    """
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    if not either.any():
        raise LabelError("no pixel has a label, so there is nothing to measure; give masks with labels.")
    return float((both[either > 0] / either[either > 0]).mean())


def _checked(
    images: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[Any]], classes: int, bands: int
) -> list[NDArray[np.int64]]:
    """Return the masks, without the labels of pixels that have no data.

    Raises
    ------
    LabelError
        If images and masks do not fit, a class is out of range, or no pixel has a label.
    """
    if len(images) != len(masks):
        raise LabelError(f"there are {len(images)} images and {len(masks)} masks; give one mask an image.")
    checked = []
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if image.shape != (bands, *mask.shape):
            raise LabelError(
                f"image {i} has shape {image.shape} and its mask {mask.shape}; with {bands} bands, give "
                f"({bands}, h, w) and (h, w)."
            )
        strange = np.setdiff1d(mask, [IGNORE, *range(classes)])
        if len(strange):
            raise LabelError(
                f"mask {i} holds the class {strange[0]}; of {classes} classes, 0 to {classes - 1} are possible, and "
                f"{IGNORE} where none is known."
            )
        checked.append(np.where(np.isfinite(image).any(axis=0), mask, IGNORE).astype(np.int64))
    if not any((mask != IGNORE).any() for mask in checked):
        raise LabelError("no pixel with data has a label, so there is nothing to learn; give masks with labels.")
    return checked


def _statistics(images: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of the bands over all pixels with data, shape (bands, 1, 1) each."""
    pixels = np.concatenate([image.reshape(len(image), -1) for image in images], axis=1)
    known = np.isfinite(pixels)
    count = np.maximum(known.sum(1), 1)
    mean = np.where(known, pixels, 0).sum(1, dtype=np.float64) / count
    spread = np.where(known, pixels - mean[:, None], 0)
    std = np.sqrt((spread**2).sum(1) / count)
    std[std == 0] = 1.0  # a constant band says nothing; it becomes 0
    return mean[:, None, None].astype(np.float32), std[:, None, None].astype(np.float32)


def _z_scores(image: NDArray[np.float32], mean: NDArray[np.float32], std: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return z-scores, 0 where there is no data."""
    z: NDArray[np.float32] = np.nan_to_num((image - mean) / std, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    return z


def _network(model: Model | None, bands: tuple[str, ...], classes: int) -> torch.nn.Sequential:
    """Return a U-Net and a 1x1 convolution from its features to classes."""
    import torch  # noqa: PLC0415

    from indexer.encoders.dense import network_of  # noqa: PLC0415
    from indexer.networks.unet import UNet  # noqa: PLC0415
    from indexer.pretrain.recipes.dense import CONFIGS  # noqa: PLC0415

    small = CONFIGS["small"]
    unet = (
        UNet(len(bands), small.widths, small.depths, small.kernel, small.expansion)
        if model is None
        else network_of(model, bands).unet
    )
    return torch.nn.Sequential(unet, torch.nn.Conv2d(unet.stem.out_channels, classes, 1))


def _rate(step: int, steps: int) -> float:
    """Return the share of the highest rate: linear warm-up, then half a cosine to zero."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _crops(
    images: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.int64]],
    batch: int,
    side: int,
    seed: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield z-scores and classes of square crops that hold a labelled pixel, turned, mirrored and recoloured."""
    import torch  # noqa: PLC0415

    from indexer.pretrain.recipes.views import recolour  # noqa: PLC0415

    labelled = np.concatenate([np.insert(np.argwhere(mask != IGNORE), 0, i, axis=1) for i, mask in enumerate(masks)])
    random = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    while True:
        x = np.zeros((batch, len(images[0]), side, side), np.float32)
        wanted = np.full((batch, side, side), IGNORE, np.int64)
        for one, (i, row, col) in enumerate(labelled[random.integers(len(labelled), size=batch)].tolist()):
            top, left = row - random.integers(side), col - random.integers(side)
            height, width = masks[i].shape
            rows, cols = slice(max(0, top), min(height, top + side)), slice(max(0, left), min(width, left + side))
            here = slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)
            x[one, :, *here] = images[i][:, rows, cols]
            wanted[one, *here] = masks[i][rows, cols]
            way = int(random.integers(8))
            x[one], wanted[one] = (_turned(array, way) for array in (x[one], wanted[one]))
        there = torch.from_numpy(x != 0)
        yield recolour(torch.from_numpy(x), STRENGTH, generator) * there, torch.from_numpy(wanted)


def _turned(array: NDArray[Any], way: int) -> NDArray[Any]:
    """Return one of the eight turned and mirrored copies of an array's last two axes."""
    turned = np.rot90(array, way % 4, axes=(-2, -1))
    return np.flip(turned, -1).copy() if way >= 4 else turned.copy()


def _windows(length: int) -> Iterator[tuple[slice, slice]]:
    """Yield parts of an axis, and where each lies in what is looked at around it."""
    for start in range(0, length, WINDOW):
        stop = min(start + WINDOW, length)
        before = min(start, MARGIN)
        yield slice(start, stop), slice(before, before + stop - start)
