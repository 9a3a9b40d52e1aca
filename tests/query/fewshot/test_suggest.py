"""What to label next: what is uncertain, unlike the labels, and unlike each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import QueryError
from query.fewshot import METHODS, Labelled, evaluate, suggest
from tests.query.fewshot.conftest import PATCH, SIDE, Landscape

if TYPE_CHECKING:
    from query import Engine


def patch(number: int) -> tuple[int, int]:
    return number // SIDE // PATCH, number % SIDE // PATCH


@pytest.fixture
def few(landscape: Landscape) -> dict[str, str]:
    """Two patches of each class, two chips each."""
    at = [i for c in range(3) for i in np.flatnonzero(landscape.classes == c)]
    seen: dict[tuple[int, int], list[int]] = {}
    for i in at:
        seen.setdefault(patch(i), []).append(i)
    chosen = [p for c in range(3) for p in [p for p, i in seen.items() if landscape.classes[i[0]] == c][:2]]
    return landscape.labels(i for p in chosen for i in seen[p][:2])


@pytest.mark.parametrize("method", METHODS)
def test_each_is_of_another_patch_that_has_no_label(
    engine: Engine, landscape: Landscape, few: dict[str, str], method: str
) -> None:
    found = suggest(engine, Labelled.read(engine, few), 8, method=method)
    assert found.column_names == ["id", "lon", "lat", "why", "class", "confidence", "uncertainty"]
    at = [landscape.ids.index(i) for i in found["id"].to_pylist()]
    patches = [patch(i) for i in at]
    known = {patch(landscape.ids.index(i)) for i in few}
    assert len(set(patches)) >= 7
    assert len(known & set(patches)) <= 1
    assert found["lon"].to_numpy() == pytest.approx(landscape.lon[at])
    assert set(found["why"].to_pylist()) <= {"uncertain", "unlike any label"}
    assert ((found["uncertainty"].to_numpy() >= 0) & (found["uncertainty"].to_numpy() <= 1)).all()


def test_following_them_teaches_more_than_labelling_at_random(
    engine: Engine, landscape: Landscape, few: dict[str, str]
) -> None:
    def accuracy(labels: dict[str, str]) -> float:
        known = Labelled.read(engine, labels)
        from query.fewshot import classify_ids

        answers = classify_ids(engine, known, "knn", landscape.ids)["class"].to_pylist()
        return float(np.mean(np.array(answers) == np.array(list(landscape.labels(range(SIDE**2)).values()))))

    truth = landscape.labels(range(SIDE**2))
    found = suggest(engine, Labelled.read(engine, few), 12)["id"].to_pylist()
    led = accuracy(few | {i: truth[i] for i in found})
    random = np.random.default_rng(0)
    drawn = [
        accuracy(few | {landscape.ids[i]: truth[landscape.ids[i]] for i in random.permutation(SIDE**2)[:12]})
        for _ in range(8)
    ]
    assert led > np.mean(drawn) + 0.05


def test_labelled_chips_are_never_suggested_and_filters_hold(
    engine: Engine, landscape: Landscape, few: dict[str, str]
) -> None:
    labels = few | landscape.labels(range(0, SIDE**2, 2))
    area = landscape.square(300, 3.2)
    found = suggest(engine, Labelled.read(engine, labels), 50, within=area)["id"].to_pylist()
    around = {landscape.ids[300 + row * SIDE + col] for row in (-1, 0, 1) for col in (-1, 0, 1)}
    assert set(found) == around - set(labels)
    assert len(found) == len(set(found))
    with pytest.raises(QueryError, match="labelled already"):
        suggest(engine, Labelled.read(engine, landscape.labels(range(SIDE**2))))
    with pytest.raises(QueryError, match="no chip lies in the area"):
        suggest(engine, Labelled.read(engine, labels), bbox=(0, 0, 1, 1))
    with pytest.raises(QueryError, match="n = 0"):
        suggest(engine, Labelled.read(engine, labels), 0)


def test_what_no_label_is_like_is_called_so(engine: Engine, landscape: Landscape) -> None:
    """With only fields and forests labelled, everywhere, the water stands out."""
    labels = {i: c for i, c in landscape.labels(range(0, SIDE**2, 2)).items() if c != "water"}
    known = Labelled.read(engine, labels)
    found = suggest(engine, known, 6).to_pylist()
    assert all(landscape.classes[landscape.ids.index(row["id"])] == 2 for row in found[:4])
    assert found[0]["why"] == "unlike any label"
    assert evaluate(known).spatial.tested == len(known)
