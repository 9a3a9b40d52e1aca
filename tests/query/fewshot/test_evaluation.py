"""Spatial cross-validation: what it keeps apart, and that it is not flattered as a random split is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from embedstore.errors import LabelError, QueryError
from query import Engine
from query.example import distance
from query.fewshot import METHODS, Labelled, estimator, evaluate
from query.fewshot.blocks import FOLDS, blocks, folds, random_splits, spatial_splits
from query.fewshot.evaluation import _intervals
from tests.embedstore import make
from tests.query.fewshot.conftest import CLASSES, SIDE, Landscape, collection, feature

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def labelled(engine: Engine, landscape: Landscape) -> Labelled:
    """A third of all chips."""
    return Labelled.read(engine, landscape.labels(np.random.default_rng(1).permutation(SIDE**2)[:190]))


def test_what_overlaps_or_touches_is_never_on_both_sides(labelled: Labelled) -> None:
    tested = []
    for train, test in spatial_splits(labelled, blocks(labelled)):
        assert len(train)
        lon, lat = labelled.lon, labelled.lat
        apart = distance(lon[train][:, None], lat[train][:, None], lon[test], lat[test])
        assert (apart > labelled.radius[train][:, None] + labelled.radius[test]).all()
        tested += test.tolist()
    assert sorted(tested) == list(range(len(labelled)))


def test_a_random_split_does_put_neighbours_on_both_sides(labelled: Labelled) -> None:
    train, test = next(iter(random_splits(labelled)))
    lon, lat = labelled.lon, labelled.lat
    apart = distance(lon[train][:, None], lat[train][:, None], lon[test], lat[test])
    assert (apart < labelled.radius[0] * 2).any()


def test_blocks_stay_whole_and_classes_are_spread_over_the_folds(labelled: Labelled) -> None:
    made = blocks(labelled)
    assert made.edge >= 2 * np.sqrt(2) * labelled.radius[0] * 0.99
    of = folds(made.of, labelled.classes)
    assert all(len(set(of[made.of == block].tolist())) == 1 for block in range(made.count))
    assert set(of.tolist()) == set(range(FOLDS))
    for code in range(len(CLASSES)):
        share = np.bincount(of[labelled.classes == code], minlength=FOLDS) / (labelled.classes == code).sum()
        assert share.max() < 0.5


def test_random_folds_hold_each_class_evenly(labelled: Labelled) -> None:
    of = folds(np.arange(len(labelled)), labelled.classes)
    counts = np.stack([np.bincount(of[labelled.classes == c], minlength=FOLDS) for c in range(len(CLASSES))])
    assert (np.ptp(counts, axis=1) <= 1).all()


def test_a_small_shape_is_never_cut(engine: Engine, landscape: Landscape) -> None:
    shapes = [feature(landscape.square(i, 2.2), CLASSES[n % 2]) for n, i in enumerate(range(26, 500, 67))]
    labelled = Labelled.read(engine, collection(*shapes))
    assert len(labelled) > len(shapes)
    of = blocks(labelled).of
    assert all(len(set(of[labelled.feature == f].tolist())) == 1 for f in range(len(shapes)))


@pytest.mark.parametrize("method", METHODS)
def test_a_random_split_flatters(labelled: Labelled, method: str) -> None:
    score = evaluate(labelled, method)
    assert score.spatial.accuracy.value < score.random.accuracy.value - 0.05
    assert score.random.accuracy.value > 0.8
    assert score.spatial.accuracy.low <= score.spatial.accuracy.value <= score.spatial.accuracy.high
    assert score.spatial.tested == score.random.tested == len(labelled)


def test_the_spatial_score_is_what_a_new_place_gives(engine: Engine, landscape: Landscape) -> None:
    """Labels of the western half: what their score promises, the eastern half keeps, give or take."""
    col = np.arange(SIDE**2) % SIDE
    west = Labelled.read(engine, landscape.labels(np.flatnonzero(col < SIDE // 2 - 1)[::2]))
    east = Labelled.read(engine, landscape.labels(np.flatnonzero(col > SIDE // 2)))
    truth = (estimator("knn").fit(west.vectors, west.targets).predict(east.vectors) == east.targets).mean()
    score = evaluate(west)
    assert abs(score.spatial.accuracy.value - truth) < abs(score.random.accuracy.value - truth)


def test_figures_are_scikit_learns(labelled: Labelled) -> None:
    score = evaluate(labelled, "knn").spatial
    confusion = np.array(score.confusion)
    true, given = (np.repeat(axis.ravel(), confusion.ravel()) for axis in np.indices(confusion.shape))
    assert score.accuracy.value == pytest.approx(accuracy_score(true, given))
    assert score.macro_f1.value == pytest.approx(f1_score(true, given, average="macro"))
    for i, name in enumerate(labelled.names):
        assert score.classes[name]["f1"] == pytest.approx(f1_score(true, given, labels=[i], average="macro"))
        assert score.classes[name]["chips"] == (labelled.classes == i).sum()


def test_the_curve_is_what_each_threshold_gives(labelled: Labelled) -> None:
    score = evaluate(labelled, "knn")
    curve = score.curve
    assert curve["threshold"][0] == 0
    assert curve["threshold"][-1] == 1
    assert curve["coverage"][0] == 1
    assert curve["precision"][0] == curve["recall"][0] == pytest.approx(score.spatial.accuracy.value)
    assert (np.diff(curve["coverage"]) <= 0).all()
    assert (np.diff(curve["recall"]) <= 0).all()
    for name, part in curve["classes"].items():
        assert part["recall"][0] == pytest.approx(score.spatial.classes[name]["recall"])
        assert part["precision"][0] == pytest.approx(score.spatial.classes[name]["precision"])
    json.dumps(score.to_dict(), allow_nan=False)


def test_intervals_of_blocks_are_wider_than_of_chips() -> None:
    """Ten blocks that are right or wrong as a whole say less than their hundred chips seem to."""
    groups = np.repeat(np.arange(10), 10)
    true = np.zeros(100, np.int64)
    given = (groups % 2).astype(np.int64)
    low, high = _intervals(true, given, groups, 2)
    chip_low, chip_high = _intervals(true, given, np.arange(100), 2)
    assert high[0] - low[0] > 2 * (chip_high[0] - chip_low[0])


def test_a_class_of_one_place_is_not_tested_and_is_named(engine: Engine, landscape: Landscape) -> None:
    shapes = [feature(landscape.square(i), CLASSES[n % 2]) for n, i in enumerate(range(0, 500, 49))]
    lonely = feature(landscape.square(560, 1.2), "lonely")
    score = evaluate(Labelled.read(engine, collection(lonely, *shapes)))
    assert score.spatial.untested == {"lonely": 1}
    assert "lonely" not in score.spatial.classes
    assert score.spatial.tested == len(shapes)


@pytest.mark.parametrize("method", ["knn", "probe", "forest", "prototype"])
def test_who_has_learned_one_class_only_tests_nothing(tmp_path: Path, method: str) -> None:
    """Of a town of two classes at random, and one chip elsewhere, all of that chip's class would be right."""
    town = [make.chip_id(f"t{i}") for i in range(20)]
    store = make.store(tmp_path / "s")
    store.append(make.chips([f"t{i}" for i in range(20)], box=(10.0, 45.0, 10.004, 45.003)))
    store.append(make.chips(["lone"], box=(12.0, 47.0, 12.1, 47.1)))
    classes = np.random.default_rng(1).permutation(["a"] * 10 + ["b"] * 10).tolist()
    with Engine(store.path) as engine:
        labelled = Labelled.read(engine, dict(zip(town, classes, strict=True)) | {make.chip_id("lone"): "a"})
        with pytest.raises(LabelError, match="too few places can be tested"):
            evaluate(labelled, method)


def test_wrong_labels_are_pointed_at(engine: Engine, landscape: Landscape) -> None:
    labels = landscape.labels(range(0, SIDE**2, 2))
    wrong = {i: CLASSES[(CLASSES.index(labels[i]) + 1) % 3] for i in list(labels)[5::29]}
    doubtful = evaluate(Labelled.read(engine, labels | wrong), "knn").doubtful
    flagged = {d["id"] for d in doubtful}
    right = set(labels) - set(wrong)
    assert len(flagged & set(wrong)) / len(wrong) > 3 * len(flagged & right) / len(right)
    assert all(d["label"] != d["prediction"] and d["confidence"] >= 0.8 for d in doubtful)
    assert [d["confidence"] for d in doubtful] == sorted((d["confidence"] for d in doubtful), reverse=True)


def test_labels_of_one_place_give_no_score(engine: Engine, landscape: Landscape) -> None:
    labels = {landscape.ids[0]: "a", landscape.ids[1]: "b"}
    with pytest.raises(LabelError, match="Label a second place"):
        evaluate(Labelled.read(engine, labels))
    with pytest.raises(LabelError, match="too few places can be tested"):
        evaluate(Labelled.read(engine, {landscape.ids[0]: "a", landscape.ids[-1]: "b"}))


def test_senseless_methods_are_refused(labelled: Labelled) -> None:
    with pytest.raises(QueryError, match="no method 'magic'; choose one of knn, probe, forest, prototype"):
        evaluate(labelled, "magic")
    with pytest.raises(QueryError, match="k = 0"):
        evaluate(labelled, k=0)
