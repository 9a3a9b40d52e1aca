"""Real vectors: random convolutional features of windows of real scenes, a few pixels apart.

The responses of every filter are computed once for a whole scene and averaged over windows by way of running sums, so
each vector is what `embedstore encode` with the encoder `rcf` gives for that window, at a thousandth of the cost. Bands
are standardised in each scene, so that scenes in other units can stand beside the bundled one.

Times and the attribute are drawn: a scene has but one time. Half of what they say depends on the place, as in archives.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from benchmarks import stores
from benchmarks.peers.rows import Rows
from indexer import demo_scene
from indexer.encoders.rcf import RandomConvolutionalFeatures
from indexer.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SIZE = 64
HELD_OUT = 0.15
"""Share of each scene's width that no stored window touches: a strip in the middle, where half the queries lie."""


@dataclass(frozen=True)
class Scene:
    """Pixels and what lies where.

    ``pixels`` is standardised float32, shape (bands, height, width); ``valid`` is bool, shape (height, width).
    """

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    transform: Any


@dataclass(frozen=True)
class Windows:
    """Vectors of windows, unit length, float32, shape (n, 256), and the centres in degrees."""

    vectors: NDArray[np.float32]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    def __getitem__(self, rows: Any) -> Windows:
        return Windows(self.vectors[rows], self.lon[rows], self.lat[rows])

    def rows(self, seed: int) -> Rows:
        """Return them with times and an attribute."""
        return Rows(self.vectors, self.lon, self.lat, *stores.drawn(self.lon, seed))


def real(count: int, queries: int, scenes: Path | None = None) -> tuple[Rows, Rows]:
    """Return about `count` windows to store, in random order, and windows to ask for.

    Half of the queries lie between stored windows; half touch none of them.

    Parameters
    ----------
    scenes
        A folder of further GeoTIFF scenes in degrees; the bands that all of them name are used.
    """
    paths = [demo_scene.path(), *(sorted(scenes.glob("*.tif")) if scenes else [])]
    opened = _read(paths)
    with tempfile.TemporaryDirectory() as folder:
        weights = _fit(opened, Path(folder))
    area = sum(s.valid.shape[0] * s.valid.shape[1] for s in opened)
    stored, near, apart = [], [], []
    rng = np.random.default_rng(5)
    for scene in _mosaic(opened):
        height, width = scene.valid.shape
        step = float(np.sqrt(area * (1 - HELD_OUT) / count))
        left, right = int(width * (0.5 - HELD_OUT / 2)), int(width * (0.5 + HELD_OUT / 2))
        rows = np.unique(np.arange(0, height - SIZE, step).astype(int))
        cols = np.unique(np.arange(0, width - SIZE, step).astype(int))
        grid = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
        outside = (grid[:, 1] + SIZE <= left) | (grid[:, 1] >= right)
        share = max(2, round(queries * height * width / area / 2))
        other = np.column_stack([rng.integers(0, height - SIZE, 4 * share), rng.integers(0, width - SIZE, 4 * share)])
        off = (other[:, 1] + SIZE <= left) | (other[:, 1] >= right)
        strip = np.column_stack(
            [rng.integers(0, height - SIZE, share), rng.integers(left, max(right - SIZE, left + 1), share)]
        )
        at = np.concatenate([grid[outside], other[off][:share], strip])
        windows, whole = _pool(scene, weights, at)
        n, m = int(outside.sum()), int(outside.sum()) + len(other[off][:share])
        numbers = np.arange(len(at))
        stored.append(windows[whole & (numbers < n)])
        near.append(windows[whole & (numbers >= n) & (numbers < m)])
        apart.append(windows[whole & (numbers >= m)])
    kept, asked = _join(stored), _join([*near, *apart])
    return kept[rng.permutation(len(kept.lon))].rows(7), asked[rng.permutation(len(asked.lon))].rows(8)


def _mosaic(scenes: Sequence[Scene]) -> Iterator[Scene]:
    """Lay scenes side by side, so that a filter may reach from one into the next."""
    _, _, west, _, _, north = tuple(scenes[0].transform)[:6]
    for scene in scenes:
        a, b, _, d, e, _ = tuple(scene.transform)[:6]
        yield replace(scene, transform=(a, b, west, d, e, north))
        west += a * scene.valid.shape[1]


def _join(parts: Sequence[Windows]) -> Windows:
    return Windows(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("vectors", "lon", "lat")))


def _read(paths: Sequence[Path]) -> list[Scene]:
    """Read the bands that all scenes name, standardised in each."""
    names = []
    for path in paths:
        with rasterio.open(path) as source:
            names.append(source.descriptions)
    common = [b for b in names[0] if all(b in of for of in names)]
    scenes = []
    for path, of in zip(paths, names, strict=True):
        with rasterio.open(path) as source:
            pixels = source.read([of.index(b) + 1 for b in common]).astype(np.float32)
            valid = source.dataset_mask() > 0
            transform = source.transform
        mean, std = pixels[:, valid].mean(axis=1), pixels[:, valid].std(axis=1)
        z = (pixels - mean[:, None, None]) / np.maximum(std, 1e-6)[:, None, None]
        scenes.append(Scene(np.where(valid, z, 0).astype(np.float32), valid, transform))
    return scenes


def _fit(scenes: Sequence[Scene], folder: Path) -> dict[str, NDArray[np.float32]]:
    """Make the encoder from chips spread over the scenes, and return its weights."""
    from safetensors.numpy import load_file

    rng = np.random.default_rng(6)
    chips, valid = [], []
    for scene in scenes:
        height, width = scene.valid.shape
        for _ in range(256 // len(scenes)):
            row, col = rng.integers(0, height - SIZE), rng.integers(0, width - SIZE)
            window = np.s_[row : row + SIZE, col : col + SIZE]
            chips.append(scene.pixels[:, *window])
            valid.append(scene.valid[window])
    bands = tuple(f"B{i:02d}" for i in range(chips[0].shape[0]))
    spec = RandomConvolutionalFeatures.make("rcf", Sample(bands, np.stack(chips), np.stack(valid), 10.0), folder)
    weights = load_file(folder / "weights.safetensors")
    (modality,) = spec.modalities
    return {**weights, "band_mean": np.array(modality.mean, np.float32), "band_std": np.array(modality.std, np.float32)}


def _pool(
    scene: Scene, weights: dict[str, NDArray[np.float32]], at: NDArray[np.int64]
) -> tuple[Windows, NDArray[np.bool_]]:
    """Return the windows whose first pixels are given, and which of them hold data everywhere."""
    import torch
    from torch.nn import functional as fn

    z = (scene.pixels - weights["band_mean"][:, None, None]) / weights["band_std"][:, None, None]
    patch = weights["filters"].shape[-1]
    inner = SIZE - patch + 1
    row, col = at.T
    corners = (row + inner, col + inner), (row, col + inner), (row + inner, col), (row, col)

    def mean(plane: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
        sums[1:, 1:] = plane.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
        a, b, c, d = (sums[corner] for corner in corners)
        pooled: NDArray[np.float64] = (a - b - c + d) / inner**2
        return pooled

    half = len(weights["filters"])
    features = np.empty((len(at), 2 * half), np.float32)
    image = torch.from_numpy(z[None])
    for i in range(half):
        response = fn.conv2d(image, torch.from_numpy(weights["filters"][i : i + 1]))[0, 0].numpy()
        for sign, column in ((1, i), (-1, half + i)):
            bias = weights["bias"][0 if sign > 0 else 1, i]
            features[:, column] = mean(np.maximum(sign * (response - bias), 0))
    features = (features - weights["mean"]) / weights["std"]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    sums = np.zeros((scene.valid.shape[0] + 1, scene.valid.shape[1] + 1))
    sums[1:, 1:] = scene.valid.cumsum(axis=0).cumsum(axis=1)
    whole = sums[row + SIZE, col + SIZE] - sums[row, col + SIZE] - sums[row + SIZE, col] + sums[row, col] == SIZE**2
    a, b, c, d, e, f = tuple(scene.transform)[:6]
    x, y = col + SIZE / 2, row + SIZE / 2
    return Windows(features, a * x + b * y + c, d * x + e * y + f), whole
