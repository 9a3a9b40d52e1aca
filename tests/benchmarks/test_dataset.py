"""Vectors are those that a store keeps, truth is what brute force finds, and recall counts ties."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import dataset
from benchmarks.peers.rows import Rows
from benchmarks.truth import MANY, recall, truth
from embedstore.errors import SpecError
from embedstore.vectors import round_mantissa, to_unit

if TYPE_CHECKING:
    from pathlib import Path

K = 10


def arguments(data: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    dataset.add_arguments(parser)
    return parser.parse_args(["--data", str(data), *more])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dataset.Dataset:
    return dataset.load(arguments(tmp_path_factory.mktemp("data"), "--rows", "70000", "--dim", "32"))


def test_simulated_vectors_are_as_a_store_keeps_them(made: dataset.Dataset) -> None:
    assert len(made.rows) == 70_000
    assert len(made.queries) == dataset.QUERIES
    for rows in (made.rows, made.queries):
        # A last one in thousands has a component whose rounding goes on and on.
        assert (round_mantissa(to_unit(rows.vectors)) == rows.vectors).all(axis=1).mean() > 0.9995
        assert rows.when.dtype == np.dtype("M8[us]")
    assert len(np.unique(made.rows.when)) > 0.99 * len(made.rows)
    assert made.title == "70,000 simulated vectors of 32 dimensions"


def test_queries_are_not_among_the_rows(made: dataset.Dataset) -> None:
    assert not np.isin(made.queries.lon, made.rows.lon).any()


def test_a_second_run_uses_the_same_files(made: dataset.Dataset) -> None:
    before = (made.folder / "vectors.npy").stat().st_mtime_ns
    again = dataset.load(arguments(made.folder.parent, "--rows", "70000", "--dim", "32"))
    assert (again.folder / "vectors.npy").stat().st_mtime_ns == before
    assert [p.name for p in made.folder.parent.iterdir()] == ["simulated-70000-32"]


def test_real_vectors_have_the_dimension_that_they_have(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="256"):
        dataset.load(arguments(tmp_path, "--vectors", "real", "--dim", "32"))


@pytest.mark.parametrize("share", [None, 0.5, 0.01, 0.0001, 0.0])
def test_truth_is_what_brute_force_finds(made: dataset.Dataset, share: float | None) -> None:
    rng = np.random.default_rng(0)
    queries = made.queries.vectors[:9]
    passing = [np.ones(len(made.rows), np.bool_)] * 9 if share is None else list(rng.random((9, 70_000)) < share)
    exact = truth(made.rows, queries, K, None if share is None else passing)
    for i in range(9):
        rows = np.flatnonzero(passing[i])
        scores = made.rows.vectors[rows] @ queries[i]
        order = np.argsort(-scores)[:K]
        assert exact.wanted[i] == len(order)
        if len(order):
            assert exact.kth[i] == pytest.approx(scores[order[-1]], abs=1e-6)
            assert np.intersect1d(exact.ids[i], rows[order]).size >= len(order) - 1
    answers = [ids[ids >= 0] for ids in exact.ids]
    found = recall(made.rows, queries, answers, exact, passing)
    assert (found.recall, found.id_recall, found.short) == (1.0, 1.0, 0)


def few_rows(scores: list[float]) -> Rows:
    vectors = np.zeros((len(scores), 2), np.float32)
    vectors[:, 0] = scores
    nothing = np.zeros(len(scores))
    return Rows(vectors, nothing, nothing, nothing.astype("M8[us]"), nothing.astype(np.float32))


ONE = np.array([[1.0, 0.0]], np.float32)


def test_a_tie_counts_by_score_and_not_by_id() -> None:
    rows = few_rows([0.9, 0.8, 0.5, 0.5 - 5e-6, 0.4])
    exact = truth(rows, ONE, 3)
    right = recall(rows, ONE, [np.array([0, 1, 3])], exact)
    assert right.recall == 1.0
    assert right.id_recall == pytest.approx(2 / 3)
    assert recall(rows, ONE, [np.array([0, 1, 4])], exact).recall == pytest.approx(2 / 3)


def test_repeated_short_and_forbidden_hits_count_nothing() -> None:
    rows = few_rows([0.9, 0.8, 0.7, 0.6])
    mask = [np.array([False, True, True, True])]
    exact = truth(rows, ONE, 2, mask)
    for answer in ([1, 1], [0, 1], [1]):
        found = recall(rows, ONE, [np.array(answer)], exact, mask)
        assert (found.recall, found.short) == (0.5, 1), answer
    fewer = truth(rows, ONE, 9, mask)
    assert fewer.wanted.tolist() == [3]
    assert recall(rows, ONE, [np.array([3, 2, 1])], fewer, mask).recall == 1.0


@pytest.mark.parametrize("count", [MANY, MANY + 1, 5 * MANY])
def test_queries_with_many_ties_stand_apart(count: int) -> None:
    rows = few_rows([0.9, 0.8, *[0.5] * (count + 1), 0.1])
    exact = truth(rows, ONE, 3)
    assert exact.tied.tolist() == [count > MANY]
    found = recall(rows, ONE, [np.array([0, 1, count])], exact)
    assert (found.tied, found.recall) == (int(count > MANY), 1.0)
