from __future__ import annotations

import numpy as np
import pytest

from indexer.landscape.noise import Noise, above, normal, uniform

WIDE, INNER = Noise("w", 1000, -300, 120), Noise("w", 1030, -260, 50)
CUT = np.s_[30:80, 40:90]


@pytest.mark.parametrize(
    "field",
    [
        lambda n: n.white("a"),
        lambda n: n.smooth("a", 17.0),
        lambda n: n.fractal("a", 40, 5),
        lambda n: n.at("a", 23.0, n.rows + 3 * n.smooth("w", 9), n.cols + n.smooth("v", 9)),
        lambda n: n.cells("a", 21, 0.9).edge,
        lambda n: n.cells("a", 21, 0.9, n.rows + n.smooth("w", 9), n.cols + n.smooth("v", 9)).down,
    ],
    ids=["white", "smooth", "fractal", "at", "cells", "bent cells"],
)
def test_windows_that_overlap_agree(field: object) -> None:
    assert np.allclose(field(WIDE)[CUT], field(INNER), atol=1e-4)  # type: ignore[operator]


def test_cells_name_the_same_site_in_every_window() -> None:
    assert (WIDE.cells("a", 21, 0.9).ident[CUT] == INNER.cells("a", 21, 0.9).ident).all()


def test_a_pixel_belongs_to_the_nearest_site() -> None:
    cells = Noise("w", 0, 0, 90).cells("a", 15, 0.8)
    assert np.allclose(np.hypot(cells.down, cells.right), cells.distance, atol=1e-3)
    sites = {
        int(i): (r - d, c - e)
        for i, r, c, d, e in zip(
            cells.ident.ravel(),
            np.repeat(np.arange(90), 90),
            np.tile(np.arange(90), 90),
            cells.down.ravel(),
            cells.right.ravel(),
            strict=True,
        )
    }
    nearest = np.min([np.hypot(45 - r, 45 - c) for r, c in sites.values()])
    assert cells.distance[45, 45] == pytest.approx(nearest, abs=1e-3)


def test_fields_have_unit_variance_and_names_of_their_own() -> None:
    noise = Noise("w", 0, 0, 400)
    for field in (noise.white("a"), noise.smooth("a", 6), noise.fractal("a", 8, 3)):
        assert field.std() == pytest.approx(1, abs=0.1)
        assert field.mean() == pytest.approx(0, abs=0.1)
    assert abs(np.corrcoef(noise.white("a").ravel(), noise.white("b").ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise.white("a").ravel(), Noise("x", 0, 0, 400).white("a").ravel())[0, 1]) < 0.02


def test_a_field_at_its_own_pixels_is_the_smooth_one() -> None:
    rows, cols = np.broadcast_arrays(WIDE.rows, WIDE.cols)
    assert np.allclose(WIDE.at("a", 13.0, rows, cols), WIDE.smooth("a", 13.0), atol=1e-4)


def test_numbers_of_keys_are_spread_as_they_should_be() -> None:
    keys = np.arange(20_000)
    assert np.histogram(uniform(keys, 3), bins=10, range=(0, 1))[0].min() > 1800
    drawn = normal(keys, 3)
    assert (drawn > above(0.1)).mean() == pytest.approx(0.1, abs=0.01)
    assert abs(np.corrcoef(uniform(keys, 3)[1:], uniform(keys, 3)[:-1])[0, 1]) < 0.02
