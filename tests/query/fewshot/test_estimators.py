"""The classifiers: scikit-learn's own checks, wrong and unequal labels, abstention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from query.fewshot.estimators import KNN, FewShot, Forest, Probe, Prototype
from query.fewshot.weights import nearest, weigh
from query.fewshot.whitening import Whitening

SMALL: list[FewShot] = [KNN(), Probe(), Forest(n_estimators=10), Prototype()]
IDS = [type(e).__name__ for e in SMALL]


@parametrize_with_checks(SMALL)
@pytest.mark.filterwarnings("ignore")  # some checks warn on purpose
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def clouds(
    seed: int, counts: tuple[int, ...], dimension: int = 24, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Classes whose members differ most along directions that say nothing, as encoders' features do."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(len(counts), dimension))
    nuisance = np.linspace(0.2, 3.0, dimension)
    turn = np.linalg.qr(random.normal(size=(dimension, dimension)))[0]
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(counts)), counts)
    noise = random.normal(size=(len(codes), dimension)) * nuisance * spread
    vectors = (centres[codes] + noise) @ turn
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), codes


TEST = clouds(99, (200, 200, 200, 200))


def macro_f1(estimator: Any, vectors: np.ndarray, codes: np.ndarray) -> float:
    return float(f1_score(TEST[1], estimator.fit(vectors, codes).predict(TEST[0]), average="macro"))


@pytest.mark.parametrize("estimator", SMALL, ids=IDS)
def test_learns_from_ten_labels_a_class(estimator: FewShot) -> None:
    assert macro_f1(estimator, *clouds(1, (10, 10, 10, 10))) > 0.4  # 0.25 by chance


def test_the_metric_learned_beats_plain_cosine() -> None:
    ours, plain = [], []
    for seed in range(6):
        vectors, codes = clouds(seed, (20, 20, 20, 20))
        ours.append(macro_f1(KNN(), vectors, codes))
        plain.append(macro_f1(KNeighborsClassifier(5, weights="distance", metric="cosine"), vectors, codes))
    assert np.mean(ours) > np.mean(plain) + 0.05


def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.fewshot.estimators.base.weigh", lambda _, codes: np.ones(len(codes)))


@pytest.mark.parametrize("estimator", [KNN(), Probe(), Forest(n_estimators=50)], ids=["KNN", "Probe", "Forest"])
def test_rare_classes_are_not_forgotten(estimator: FewShot, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [clouds(seed, (80, 40, 8, 5)) for seed in range(4)]
    weighed = np.mean([macro_f1(estimator, *d) for d in drawn])
    without_weights(monkeypatch)
    assert weighed > np.mean([macro_f1(estimator, *d) for d in drawn]) + 0.02


@pytest.mark.parametrize("estimator", [KNN(), Probe(), Prototype()], ids=["KNN", "Probe", "Prototype"])
def test_wrong_labels_harm_less_than_they_would(estimator: FewShot, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for seed in range(6):
        vectors, codes = clouds(seed, (25, 25, 25, 25))
        random = np.random.default_rng(seed)
        wrong = random.random(len(codes)) < 0.25
        drawn.append((vectors, np.where(wrong, random.integers(0, 4, len(codes)), codes)))
    weighed = np.mean([macro_f1(estimator, *d) for d in drawn])
    without_weights(monkeypatch)
    assert weighed > np.mean([macro_f1(estimator, *d) for d in drawn])


@pytest.mark.parametrize("estimator", SMALL, ids=IDS)
def test_clean_even_labels_are_not_harmed(estimator: FewShot, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [clouds(seed, (25, 25, 25, 25)) for seed in range(4)]
    weighed = np.mean([macro_f1(estimator, *d) for d in drawn])
    without_weights(monkeypatch)
    assert weighed > np.mean([macro_f1(estimator, *d) for d in drawn]) - 0.02


def test_weights_make_classes_equal_and_doubtful_labels_half() -> None:
    vectors, codes = clouds(3, (40, 10), spread=0.1)
    codes[0] = 1  # a wrong one, amid its own
    weights = weigh(vectors, codes)
    assert weights.mean() == pytest.approx(1)
    assert weights[codes == 0].sum() == pytest.approx(weights[codes == 1].sum())
    assert weights[0] == pytest.approx(weights[codes == 1].max() / 2, rel=0.05)


def test_abstains_below_a_confidence_and_not_above() -> None:
    vectors, codes = clouds(1, (10, 10, 10, 10))
    names = np.array(["a", "b", "c", "d"])[codes]
    sure = KNN().fit(vectors, names).predict_proba(TEST[0]).max(axis=1)
    limit = float(np.median(sure))
    answers = KNN(abstain_below=limit).fit(vectors, names).predict(TEST[0])
    assert ((answers == None) == (sure < limit)).all()  # noqa: E711 - elementwise
    right = names[np.searchsorted(codes, TEST[1])] == answers
    assert (
        right[sure >= limit].mean()
        > (KNN().fit(vectors, names).predict(TEST[0]) == np.array(list("abcd"))[TEST[1]]).mean()
    )


def test_one_label_a_class_is_enough() -> None:
    vectors, codes = clouds(1, (1, 1, 1))
    for estimator in SMALL:
        assert estimator.fit(vectors, codes).predict(vectors).tolist() == [0, 1, 2]


def test_whitening_evens_out_the_classes_own_variation() -> None:
    vectors, codes = clouds(2, (400, 400, 400))
    metric = Whitening.fit(vectors, codes)
    turned = (vectors - metric.centre) @ metric.axes
    within = turned - np.stack([turned[codes == c].mean(axis=0) for c in range(3)])[codes]
    raw = vectors - np.stack([vectors[codes == c].mean(axis=0) for c in range(3)])[codes]
    assert np.ptp(within.std(axis=0)) / within.std() < 0.4
    assert np.ptp(raw.std(axis=0)) / raw.std() > 0.4
    assert np.linalg.norm(metric(vectors), axis=1) == pytest.approx(np.ones(1200))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("labels", "size"), [(4, 16), (10, 256), (40, 32), (32, 32), (300, 24)])
def test_whitening_is_the_inverse_of_the_shrunk_covariance(labels: int, size: int, dtype: type) -> None:
    rng = np.random.default_rng(labels)
    vectors = rng.normal(size=(labels, size)) @ np.diag(np.linspace(0.2, 2, size))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(dtype)
    codes = np.arange(labels) % 2
    metric = Whitening.fit(vectors, codes)
    within = np.concatenate([(v := vectors[codes == c]) - v.mean(axis=0) for c in (0, 1)]) / np.sqrt(labels)
    found = metric.axes @ metric.axes.T
    assert found.dtype == dtype
    expected = np.linalg.inv(ledoit_wolf(within, assume_centered=True)[0])
    assert found / np.trace(found) == pytest.approx(expected / np.trace(expected), rel=1e-3, abs=1e-5)


def test_nearest_equals_brute_force_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.fewshot.weights.BLOCK", 7)
    vectors, _ = clouds(4, (30, 20))
    at, distances = nearest(vectors, vectors, 4, themselves=True)
    scores = vectors @ vectors.T - 9 * np.eye(50)
    assert at.tolist() == np.argsort(-scores, axis=1)[:, :4].tolist()
    assert distances == pytest.approx(1 - np.sort(scores, axis=1)[:, ::-1][:, :4])


def test_a_senseless_count_of_neighbours_is_refused() -> None:
    with pytest.raises(ValueError, match="n_neighbors = 0"):
        KNN(0).fit(*clouds(1, (3, 3)))
