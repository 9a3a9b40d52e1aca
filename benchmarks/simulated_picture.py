"""One tile of each region through every sensor: ``python -m benchmarks.simulated_picture docs/landscape.png``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from indexer.landscape import SIZE, Landscape
from indexer.pretrain.modalities import OPTICAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape import Tile

SHOWN = {"alpha": (36, 53, 7), "beta": (115, 18, 6), "gamma": (13, 111, 9), "delta": (60, 6, 1)}
"""Region: row, column, month."""
SIDE, GAP, HEAD = 158, 3, 14
"""Pixels: of a picture, cut from the middle of its tile; between pictures; above them."""
TITLES = ("natural colour", "near infrared", "radar VV, VH, VV-VH", "coherence 12, 24, 48 d", "elevation", "land cover")
COVER = np.array(
    [
        *((0, 100, 0), (255, 187, 34), (255, 255, 76), (240, 150, 255), (250, 0, 0), (180, 180, 180)),
        *((240, 240, 240), (0, 100, 200), (0, 150, 160), (0, 207, 117), (250, 230, 160)),
    ]
)
"""The colours of ESA WorldCover's legend."""


def views(tile: Tile) -> list[NDArray[np.float64]]:
    """Return the pictures of a tile, each of shape (256, 256, 3), 0 to 1."""
    scene = tile.scenes[0].pixels
    radar, coherence, height = scene["sar"], scene["coherence"], tile.pixels["terrain"][0]
    south, east = np.gradient(height)
    facing = -(east + south) / max(float(np.percentile(np.abs(east + south), 98)), 1.0)
    low, high = np.percentile(height, (2, 98))
    light = 0.15 + 0.6 * np.clip((height - low) / (high - low), 0, 1) + 0.2 * np.clip(facing, -1, 1)
    return [
        _stretched(scene["optical"], ("B04", "B03", "B02")),
        _stretched(scene["optical"], ("B08", "B04", "B03")),
        np.stack([(radar[0] + 22) / 20, (radar[1] + 29) / 20, (radar[0] - radar[1] - 2) / 14], axis=-1),
        np.stack([coherence[0], coherence[1], coherence[3]], axis=-1) * 1.2,
        np.repeat(light[..., None], 3, axis=2),
        COVER[tile.classes["land_cover"]] / 255,
    ]


def _stretched(pixels: NDArray[np.float32], bands: tuple[str, ...]) -> NDArray[np.float64]:
    chosen = np.stack([pixels[OPTICAL.index(b)] for b in bands], axis=-1).astype(np.float64)
    high = np.percentile(chosen, 98, axis=(0, 1)) if bands[0] == "B08" else np.percentile(chosen, 98)
    return np.asarray(np.clip(chosen / (1.1 * high), 0, 1) ** 0.8)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description="Draw one tile of each region through every sensor.")
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    step = SIDE + GAP
    sheet = Image.new("RGB", (len(TITLES) * step - GAP, HEAD + len(SHOWN) * step - GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, title in enumerate(TITLES):
        pen.text((number * step + 2, 1), title, fill="black")
    at = (SIZE - SIDE) // 2
    for line, (region, (row, col, month)) in enumerate(SHOWN.items()):
        for number, view in enumerate(views(Landscape(region).tile(row, col, (month,)))):
            cut = np.clip(view[at : at + SIDE, at : at + SIDE], 0, 1)
            place = (number * step, HEAD + line * step)
            sheet.paste(Image.fromarray((cut * 255).astype(np.uint8)), place)
            if number == 0:
                pen.text((place[0] + 4, place[1] + 2), region, fill="white", stroke_width=2, stroke_fill="black")
    sheet.quantize(200, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    main()
