from __future__ import annotations

import numpy as np
import pytest

from embedstore.lists import Coarse


class _Codebook(Coarse):
    """Five centroids on a line, as they score for a query."""

    def __init__(self, scores: list[float]) -> None:
        self.centroids = np.array(scores, np.float32)[:, None]
        self.lists = len(scores)


@pytest.mark.parametrize(("enough", "lists"), [(1, [1]), (3, [1]), (4, [1, 3]), (7, [1, 3]), (8, [1, 3, 4])])
def test_lists_without_candidates_are_passed_over(enough: int, lists: list[int]) -> None:
    coarse = _Codebook([0.9, 0.8, 0.7, 0.6, 0.5])
    found, scores = coarse.holding(np.ones((1, 1), np.float32), np.array([0, 3, 0, 4, 5]), enough)
    assert found.tolist() == [lists]
    assert np.allclose(scores, coarse.centroids[lists, 0])
    both, _ = coarse.holding(np.array([[1], [-1]], np.float32), np.array([0, 3, 0, 4, 5]), 5)
    assert both.tolist() == [[1, 3], [4, -1]]
    few, _ = coarse.holding(np.ones((1, 1), np.float32), np.array([0, 0, 0, 0, 2]), 100)
    assert few.tolist() == [[4]]
