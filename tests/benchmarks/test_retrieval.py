"""Ranks and precision against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import retrieval
from indexer.encoders.base import unit


def test_ranks() -> None:
    answers = np.eye(4, dtype=np.float32)
    queries = np.array([[1, 0, 0, 0], [0.5, 0.4, 0, 0], [0, 0.3, 0.2, 0.9], [0, 0, 0, 0]], np.float32)
    # the first is nearest; one is nearer; two are nearer; all tie, so each is in the middle
    assert retrieval.ranks(queries, answers).tolist() == [1, 2, 3, 2.5]


def test_a_useless_vector_ranks_as_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, answers = rng.normal(size=(2, 400, 16)).astype(np.float32)
    whole = retrieval.ranks(queries, answers)
    assert whole.mean() == pytest.approx(200.5, abs=15)
    monkeypatch.setattr(retrieval, "CHUNK", 37)
    assert (retrieval.ranks(queries, answers) == whole).all()
    itself = unit(queries, "x")
    assert (retrieval.ranks(itself, itself) == 1).all()


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "NEIGHBOURS", 2)
    angle = np.radians([0, 1, 2, 90, 91, 92])
    vectors = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    labels = np.array([0, 0, 1, 1, 1, 1])
    asked, known = labels[[0, 5]], labels[1:5]
    assert retrieval.precision(vectors[[0, 5]], asked, vectors[1:5], known).tolist() == [0.5, 1]
    for chunk in (1, 4, 1000):
        monkeypatch.setattr(retrieval, "CHUNK", chunk)
        found = retrieval.precision(vectors, labels, vectors, labels, same=True)
        assert found.tolist() == [0.5, 0.5, 0, 1, 1, 1]
