from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from embedstore.errors import QueryError, SpecError
from embedstore.spec import EncoderSpec, Modality
from embedstore.vectors import round_mantissa, round_unit, to_unit

floats = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=st.floats(-1, 1, width=32)
)


@given(floats)
def test_rounding_is_that_of_float16_and_happens_once(x: np.ndarray) -> None:
    rounded = round_mantissa(x)
    normal = np.abs(x) > 1e-4
    assert (rounded[normal] == x[normal].astype(np.float16).astype(np.float32)).all()
    assert (round_mantissa(rounded) == rounded).all()
    assert (np.abs(rounded - x) <= np.abs(x) * 2.0**-11 + 1e-40).all()


@given(floats)
def test_unit_vectors_have_length_one(x: np.ndarray) -> None:
    if (x == 0).all(axis=1).any():
        with pytest.raises(QueryError, match="direction"):
            to_unit(x)
    else:
        assert np.abs(np.linalg.norm(to_unit(x).astype(np.float64), axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-40, 1.0, 1e40, 1e200, 1e308])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_direction_does_not_depend_on_length(scale: float, rows: int) -> None:
    x = np.tile([0.5, -1.0, 0.25], (rows, 1)) * scale
    tolerance = 1e-6 if scale > 1e-300 else 1e-3  # denormal numbers are coarse
    assert to_unit(x) == pytest.approx(to_unit(np.tile([0.5, -1.0, 0.25], (rows, 1))), abs=tolerance)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_without_direction_are_refused(bad: float) -> None:
    for rows in (1, 2):
        x = np.ones((rows, 3))
        x[-1, 1] = bad
        with pytest.raises(QueryError, match=f"vector {rows - 1} of {rows} holds NaN"):
            to_unit(x)


ENCODER = EncoderSpec(
    "a", (Modality("optical", ("B02", "B03"), (1.0, 2.0), (3.0, 4.0)),), 32, 10.0, 8, "mean", "ab", {"k": 3}
)


def test_specs_survive_json() -> None:
    again = EncoderSpec.from_dict(json.loads(json.dumps(ENCODER.to_dict())))
    assert again == ENCODER
    assert again.fingerprint == ENCODER.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"chip_size": 33},
        {"gsd": 20.0},
        {"dimension": 9},
        {"pooling": "max"},
        {"weights_sha256": "cd"},
        {"options": {"k": 5}},
        {"preprocessing": 99},
        {"modalities": (Modality("optical", ("B03", "B02"), (1.0, 2.0), (3.0, 4.0)),)},
        {"modalities": (Modality("optical", ("B02", "B03"), (1.0, 2.1), (3.0, 4.0)),)},
    ],
)
def test_whatever_changes_the_vectors_changes_the_fingerprint(change: dict[str, object]) -> None:
    assert dataclasses.replace(ENCODER, **change).fingerprint != ENCODER.fingerprint  # type: ignore[arg-type]


def test_specs_refuse_what_contradicts_itself() -> None:
    with pytest.raises(SpecError, match="twice"):
        Modality("optical", ("B02", "B02"), (0.0, 0.0), (1.0, 1.0))
    with pytest.raises(SpecError, match="one of each"):
        Modality("optical", ("B02",), (0.0, 1.0), (1.0,))
    with pytest.raises(SpecError, match="deviation"):
        Modality("optical", ("B02",), (0.0,), (0.0,))
    with pytest.raises(SpecError, match="above 0"):
        dataclasses.replace(ENCODER, dimension=0)


def test_rounded_unit_vectors_keep_their_length_and_direction() -> None:
    rng = np.random.default_rng(0)
    spiky = to_unit(rng.normal(size=(300, 200)) * np.geomspace(1, 0.001, 200))
    one = to_unit(np.eye(4)[:2])
    plain = np.linalg.norm(round_mantissa(spiky).astype(np.float64), axis=1)
    kept = round_unit(spiky)
    assert np.abs(plain - 1).max() > 1e-4
    assert np.linalg.norm(kept.astype(np.float64), axis=1) == pytest.approx(np.ones(300), abs=5e-6)
    assert np.einsum("ij,ij->i", kept, spiky).min() > 1 - 5e-6
    assert (round_mantissa(kept) == kept).all()
    assert (round_mantissa(to_unit(kept)) == kept).all()  # what an append does to them
    assert (round_unit(one) == one).all()
