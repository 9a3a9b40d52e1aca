from __future__ import annotations

import numpy as np
import pytest

from embedstore.errors import SpecError
from indexer.landscape.tasks import SPLITS, TASKS, THRESHOLDS, fractions, presence, split
from indexer.pretrain.modalities import LAND_COVER

WIDTH = 2000.0
ACROSS = WIDTH / 6_371_000.0 * 180 / np.pi
"""Degrees of latitude across a band."""


def chip(**counts: int) -> np.ndarray:
    codes = [LAND_COVER.index(n) for n, count in counts.items() if n != "unknown" for _ in range(count)]
    return np.array(codes + [-1] * counts.get("unknown", 0)).reshape(1, 2, -1)


def test_fractions_are_of_what_is_known() -> None:
    found = fractions(np.concatenate([chip(trees=2, grass=1, crops=1), chip(built=1, water=1, unknown=2)]))
    assert list(found) == list(TASKS)
    assert found["vegetation"].tolist() == [0.75, 0]
    assert found["cropland"].tolist() == [0.25, 0]
    assert found["built"].tolist() == [0, 0.5]
    assert found["water"].tolist() == [0, 0.5]
    assert presence(found)["built"].tolist() == [False, True]
    assert set(THRESHOLDS) == set(TASKS)


def test_a_chip_of_which_nothing_is_known_is_an_error() -> None:
    with pytest.raises(SpecError, match="chip 1"):
        fractions(np.concatenate([chip(trees=4), chip(unknown=4)]))


def test_three_of_five_bands_in_a_row_are_to_learn_from() -> None:
    lat = 40 + (np.arange(1000) + 0.5) * ACROSS
    parts = split(np.full(1000, 15.0), lat, angle=0, width=WIDTH)
    first = int(np.floor(np.radians(lat[0]) * 6_371_000 / WIDTH)) % 5
    rows = parts[5 - first :][:900].reshape(-1, 5)
    assert (np.sort(rows, axis=1) == [0, 0, 0, 1, 2]).all()
    assert len(np.unique(rows, axis=0)) > 10  # not always in the same order
    assert len(SPLITS) == 3


def test_bands_run_at_their_angle() -> None:
    lon = np.linspace(14.9, 15.1, 200)
    along = split(lon, np.full(200, 45.0), angle=0, width=20_000)
    assert len(set(along.tolist())) == 1
    across = split(lon, np.full(200, 45.0), angle=90, width=500)
    assert len(set(across.tolist())) == 3


def test_the_split_of_a_place_does_not_depend_on_others() -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-179, 179, 50), rng.uniform(-80, 80, 50)
    assert (split(lon, lat) == [int(split(a, b)) for a, b in zip(lon, lat, strict=True)]).all()
