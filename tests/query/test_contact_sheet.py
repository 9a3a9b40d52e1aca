from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from embedstore import schema
from query import contact_sheet
from query.contact_sheet import ACCENT, COLUMNS, HEADER, MARGIN, NO_PICTURE, PAPER, TILE, Tile

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "webp", lossless=True)
    return out.getvalue()


def plain(colour: tuple[int, int, int], side: int = 32) -> bytes:
    return picture(np.full((side, side, 3), colour, np.uint8))


def sheet(hits: list[Tile]) -> Image.Image:
    return contact_sheet.draw(Tile(plain((0, 0, 255)), "query", ""), hits, "A title", "below it", "whose data")


def centre(tile: int) -> tuple[int, int]:
    x = MARGIN + (tile % COLUMNS) * (TILE + contact_sheet.GAP) + TILE // 2
    return x, MARGIN + HEADER + (tile // COLUMNS) * (TILE + contact_sheet.CAPTION) + TILE // 2


def test_the_query_comes_first_in_a_coloured_frame_and_hits_follow_in_order() -> None:
    image = sheet([Tile(plain((i, 255 - i, 0)), str(i), "") for i in range(0, 250, 50)])
    assert image.getpixel(centre(0)) == (0, 0, 255)
    assert image.getpixel((MARGIN - 3, centre(0)[1])) == ACCENT
    for i in range(5):
        assert image.getpixel(centre(i + 1)) == (50 * i, 255 - 50 * i, 0)
        assert image.getpixel((centre(i + 1)[0] - TILE // 2 - 3, centre(i + 1)[1])) != ACCENT


def test_a_chip_without_picture_is_grey() -> None:
    assert sheet([Tile(None, "1", "")]).getpixel(centre(1)) == NO_PICTURE


@pytest.mark.parametrize("hits", [0, 3, 4, 11])
def test_there_is_a_row_for_every_four_tiles_and_a_margin_on_every_side(hits: int) -> None:
    image = sheet([Tile(plain((9, 9, 9)), "1", "")] * hits)
    assert image.height == sheet([]).height + (hits // COLUMNS) * (TILE + contact_sheet.CAPTION)
    pixels = np.asarray(image)
    edge = MARGIN - contact_sheet.FRAME - 2
    for border in (pixels[:edge], pixels[:, :edge], pixels[:, -edge:], pixels[-16:]):
        assert (border == PAPER).all()


def test_pixels_stay_sharp() -> None:
    checks = np.zeros((32, 32, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    image = sheet([Tile(picture(checks), "1", "")])
    x, y = centre(1)
    inside = np.asarray(image)[y - TILE // 2 + 1 : y + TILE // 2 - 1, x - TILE // 2 + 1 : x + TILE // 2 - 1]
    assert set(np.unique(inside).tolist()) == {0, 255}


def test_pictures_of_other_sizes_fill_the_tile() -> None:
    for side in (48, 300):
        assert sheet([Tile(plain((1, 2, 3), side), "1", "")]).getpixel(centre(1)) == (1, 2, 3)


def test_tiles_of_hits_say_rank_score_place_and_date() -> None:
    hits = pa.table(
        {
            "score": pa.array([0.98765, 0.5], pa.float32()),
            "lon": [13.3712, -70.5],
            "lat": [45.768, -12.25],
            "datetime": pa.array([datetime(2019, 4, 16, tzinfo=UTC), None], schema.TIME),
            "thumbnail": pa.array([b"webp", None], pa.binary()),
        }
    )
    assert contact_sheet.tiles(hits) == [
        Tile(b"webp", "1  ·  0.988", "45.768 N  13.371 E   2019-04-16"),
        Tile(None, "2  ·  0.500", "12.250 S  70.500 W"),
    ]
