"""The data sets as tasks: what is in a chip, and that no place lies on both sides of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.tasks import known, masks, pictures, places, scenes, views, windows
from benchmarks.tasks.task import Chips
from embedstore.errors import SpecError
from tests.benchmarks import published

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.tasks.task import Task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for write in (published.aid, published.harvey, published.fires, published.floods, published.slovenia):
        write(folder)
    published.world(folder)
    published.dubai(folder)
    return folder


def each(data: Path) -> list[Task]:
    return list(known.read(data, list(known.REAL)))


def test_every_task_is_there_and_a_missing_one_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [t.name for t in each(data)] == list(known.REAL)
    assert not list(known.read(tmp_path, ["aid", "fires"]))
    assert "left out: aid" in capsys.readouterr().out
    with pytest.raises(SpecError, match="no task 'aids'"):
        list(known.read(tmp_path, ["aids"]))


def test_splits_hold_places_apart_and_test_no_chip_twice(data: Path) -> None:
    for task in each(data):
        tested = np.concatenate([test for _, test in task.splits])
        assert len(np.unique(tested)) == len(tested)
        if task.name != "aid":
            assert len(tested) == len(task.chips)
        for train, test in task.splits:
            assert not set(task.places[train]) & set(task.places[test])
        assert len(task.random_splits) == (0 if task.name == "aid" else len(task.splits))


def test_a_random_split_does_put_places_on_both_sides(data: Path) -> None:
    task = pictures.harvey(data)
    train, test = task.random_splits[0]
    assert set(task.places[train]) & set(task.places[test])


def test_harvey_learns_nothing_near_what_it_tests(data: Path) -> None:
    task = pictures.harvey(data)
    spots = np.random.default_rng(1)
    at = np.column_stack([spots.uniform(-96, -95, 30), spots.uniform(29, 30, 30)]).repeat(2, axis=0)
    for train, test in task.splits:
        away = np.abs(at[train][:, None] - at[test][None]).max(axis=2)
        assert away.min() >= pictures.GAP - 1e-9


def test_a_gap_drops_what_is_near_and_keeps_the_rest() -> None:
    at = np.column_stack([np.arange(100.0), np.zeros(100)])
    of = places.blocks(at[:, 0], at[:, 1], 20)
    assert of.tolist() == (np.arange(100) // 20).tolist()
    labels = np.zeros(100, np.int64)
    for train, test in places.rotate(of, labels, at, 5):
        assert np.abs(at[train][:, None] - at[test][None]).max(axis=2).min() >= 5
    assert sum(len(train) for train, _ in places.rotate(of, labels, at, 5)) > 300
    assert sum(len(train) for train, _ in places.rotate(of, labels)) == 400


def test_fires_with_true_colour_are_brought_to_the_numbers_of_the_others(data: Path) -> None:
    task = scenes.fires(data)
    assert task.chips.bands == scenes.FIRE_BANDS
    first, second = (task.chips.pixels[task.places == i].mean(axis=(0, 2, 3)) for i in (0, 1))
    assert second == pytest.approx(first, rel=0.1)
    assert first[0] < first[1] < first[2]


def test_fractions_are_those_of_the_mask_and_labels_a_threshold(data: Path) -> None:
    task = scenes.fires(data)
    assert task.fractions is not None
    one = task.fractions[task.places == 0].reshape(3, 3)
    assert one == pytest.approx(np.tile([1, 0.5, 0], (3, 1)))
    assert task.labels[task.places == 0].tolist() == [1, 1, 0] * 3


def test_floods_leave_unknown_pixels_out_and_blocks_do_not_touch(data: Path) -> None:
    task = scenes.floods_s2(data)
    assert "B10" not in task.chips.bands
    assert not task.chips.valid[0, 0, 0]
    assert len(np.unique(task.places)) == 4
    side = 256 // scenes.SIZE
    at = np.stack(np.divmod(np.arange(len(task.chips)), side), axis=1)
    for train, test in task.splits:
        assert np.abs(at[train][:, None] - at[test][None]).max(axis=2).min() >= 2


def test_dates_of_slovenia_share_a_fold(data: Path) -> None:
    task = scenes.slovenia(data)
    half = len(task.chips) // 2
    assert (task.places[:half] == task.places[half:]).all()


def test_windows_without_data_are_left_out() -> None:
    valid = np.ones((64, 64), bool)
    valid[:32, :32] = False
    valid[:32, 32:40] = False
    of = np.zeros((64, 64), bool)
    of[:32, 40:52] = True
    found = windows.cut(np.zeros((2, 64, 64)), valid, of, 32, 32)
    assert found.at.tolist() == [[0, 32], [32, 0], [32, 32]]
    assert found.fraction.tolist() == [0.5, 0, 0]


def test_chips_are_known_by_their_content() -> None:
    pixels = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    chips = Chips.whole("x", ("a", "b", "c"), pixels)
    assert chips.digest == Chips.whole("y", ("a", "b", "c"), pixels.copy()).digest
    assert chips.select(("c", "a")).pixels[0, 0, 0, 0] == pixels[0, 2, 0, 0]
    other = pixels.copy()
    other[1, 1, 1, 1] += 1
    hole = np.ones((2, 4, 4), bool)
    hole[0, 0, 0] = False
    digests = {
        chips.digest,
        chips.select(("c", "a")).digest,
        Chips.whole("x", ("a", "b", "c"), other).digest,
        Chips("x", ("a", "b", "c"), pixels, hole).digest,
    }
    assert len(digests) == 4
    with pytest.raises(ValueError, match="2 bands"):
        Chips.whole("x", ("a", "b"), pixels)


def test_views_are_the_same_places_in_the_same_order(data: Path) -> None:
    left, right = views.halves(data).views
    assert left.pixels.shape == (12, 12, 64, 64)
    level = left.pixels.mean(axis=(2, 3)) - right.pixels.mean(axis=(2, 3))
    assert np.abs(level).max() < 20
    assert len(views.dates(data).views) == 3
    radar, optical = views.pairs(data).views
    assert radar.bands == ("VV_asc", "VH_asc")
    assert radar.pixels.mean() == pytest.approx(-12, abs=0.5)
    assert len(radar) == len(optical) == 12
    chips, of = views.crops(data)
    assert np.bincount(of).tolist() == [4] * 12
    assert len(chips) == 48


def test_masks_split_by_tile_and_by_fire(data: Path) -> None:
    for task in (masks.dubai(data), masks.fires(data)):
        splits = task.splits()
        assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(task.images)))
        for train, test in splits:
            assert not set(task.places[train]) & set(task.places[test])
    dubai = masks.dubai(data)
    assert dubai.images[0].shape == (3, 32, 32)
    assert set(np.unique(dubai.masks[0])) == {-1, 1, 3}
    assert np.bincount(dubai.places).tolist() == [2, 2, 2]
