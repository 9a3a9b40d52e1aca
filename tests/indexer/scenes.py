"""Small scenes made in a test's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def noise(bands: int = 4, height: int = 160, width: int = 192, dtype: str = "uint16", seed: int = 0) -> NDArray[Any]:
    """Smooth fields with some texture, values 1 and above."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 32
    layers = [np.sin(x * (b + 1) + y) * 40 + random.normal(0, 12, (height, width)) + 120 for b in range(bands)]
    return np.clip(np.stack(layers), 1, 250).astype(dtype)


def write(
    path: Path,
    pixels: NDArray[Any],
    *,
    crs: str | None = "EPSG:32633",
    transform: Affine | None = UTM,
    names: Sequence[str] = ("B02", "B03", "B04", "B08"),
    tags: dict[str, str] | None = None,
    mask: NDArray[Any] | None = None,
    **profile: Any,
) -> Path:
    """Write a GeoTIFF and return its path."""
    profile = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"} | profile
    count, height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=pixels.dtype,
        count=count,
        height=height,
        width=width,
        crs=crs,
        transform=transform,
        **profile,
    ) as target:
        target.write(pixels)
        for number, name in enumerate(names[:count], 1):
            target.set_band_description(number, name)
        target.update_tags(**(tags or {}))
        if mask is not None:
            target.write_mask(mask)
    return path


def damage(path: Path) -> None:
    """Overwrite a stretch of the pixels of a GeoTIFF; it opens, and some of it cannot be read."""
    whole = path.read_bytes()
    path.write_bytes(
        whole[: len(whole) // 4] + b"\xff" * (len(whole) // 8) + whole[len(whole) // 4 + len(whole) // 8 :]
    )
