"""A picture of an answer: the query and its hits, tile by tile."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

TILE = 224
"""Side of a tile in pixels."""
COLUMNS = 4
MARGIN = 56
GAP = 32
CAPTION = 72
HEADER = 108
FOOTER = 64
FRAME = 6

PAPER = (255, 255, 255)
INK = (24, 28, 34)
FAINT = (112, 119, 128)
EDGE = (206, 211, 217)
NO_PICTURE = (222, 225, 229)
ACCENT = (214, 69, 33)


@dataclass(frozen=True)
class Tile:
    """One picture and what stands below it.

    Parameters
    ----------
    picture
        An encoded image (WebP, PNG, ...); None draws plain grey.
    title, note
        The first line, set bold by its size and ink, and the faint second one.
    """

    picture: bytes | None
    title: str
    note: str


def tiles(hits: pa.Table) -> list[Tile]:
    """Return a tile for each hit: rank and score, then place and date.

    Parameters
    ----------
    hits
        Columns score, lon, lat, datetime and thumbnail.
    """
    return [
        Tile(row["thumbnail"], f"{rank}  ·  {row['score']:.3f}", place(row["lon"], row["lat"], row["datetime"]))
        for rank, row in enumerate(hits.select(["score", "lon", "lat", "datetime", "thumbnail"]).to_pylist(), 1)
    ]


def place(lon: float, lat: float, when: Any) -> str:
    """Return a position and a date as people write them: ``45.768 N  13.371 E  2019-04-16``."""
    position = f"{abs(lat):.3f} {'N' if lat >= 0 else 'S'}  {abs(lon):.3f} {'E' if lon >= 0 else 'W'}"
    return f"{position}   {when.date().isoformat()}" if when else position


def draw(query: Tile, hits: Sequence[Tile], title: str, subtitle: str, attribution: str) -> Image.Image:
    """Return the contact sheet: the query first, in a coloured frame, then the hits, best first."""
    shown = [query, *hits]
    rows = -(-len(shown) // COLUMNS)
    width = 2 * MARGIN + COLUMNS * TILE + (COLUMNS - 1) * GAP
    height = MARGIN + HEADER + rows * (TILE + CAPTION) + FOOTER
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 8), title, INK, _font(34))
    pen.text((MARGIN, MARGIN + 42), subtitle, FAINT, _font(18))
    for i, tile in enumerate(shown):
        x = MARGIN + (i % COLUMNS) * (TILE + GAP)
        y = MARGIN + HEADER + (i // COLUMNS) * (TILE + CAPTION)
        _draw_tile(sheet, pen, tile, (x, y), ACCENT if i == 0 else None)
    pen.text((MARGIN, height - FOOTER + 16), attribution, FAINT, _font(15))
    return sheet


def _draw_tile(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, at: tuple[int, int], frame: tuple[int, int, int] | None
) -> None:
    x, y = at
    box = (x, y, x + TILE - 1, y + TILE - 1)
    if frame:
        pen.rectangle((x - FRAME, y - FRAME, x + TILE - 1 + FRAME, y + TILE - 1 + FRAME), frame)
    if tile.picture:
        sheet.paste(_enlarged(tile.picture), at)
    else:
        pen.rectangle(box, NO_PICTURE)
    if not frame:
        pen.rectangle(box, outline=EDGE)
    pen.text((x, y + TILE + 9), tile.title, frame or INK, _font(20))
    pen.text((x, y + TILE + 35), tile.note, FAINT, _font(14))


def _enlarged(picture: bytes) -> Image.Image:
    """Return a picture at the size of a tile, its pixels sharp: whole steps first, then a gentle fit."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    steps = max(1, TILE // max(image.size))
    image = image.resize((image.width * steps, image.height * steps), Image.Resampling.NEAREST)
    return image.resize((TILE, TILE), Image.Resampling.LANCZOS) if image.size != (TILE, TILE) else image


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
