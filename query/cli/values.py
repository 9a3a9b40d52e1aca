"""Values as they are typed: stores, positions, boxes, lists, vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from embedstore.errors import FilterError, GeometryError, QueryError

StoreFolder = Annotated[Path, typer.Argument(help="The store's folder.", metavar="STORE", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

VECTOR_BYTES = 1 << 20
"""No vector file is larger than this."""


def numbers(text: str, names: str) -> tuple[float, ...]:
    """Read comma-separated numbers, as many as `names` has.

    Raises
    ------
    ValueError
        If there are more or fewer, or one is no number.
    """
    values = tuple(float(v) for v in text.split(","))
    if len(values) != len(names.split(",")):
        raise ValueError(text)
    return values


def position(text: str | None) -> tuple[float, float] | None:
    """Read LON,LAT.

    Raises
    ------
    GeometryError
        If it is no position.
    """
    if text is None:
        return None
    try:
        lon, lat = numbers(text, "LON,LAT")
    except ValueError as error:
        raise GeometryError(
            f"--at {text!r} is no position; write LON,LAT in degrees, like --at 13.37,45.77."
        ) from error
    return lon, lat


def box(text: str | None) -> tuple[float, ...] | None:
    """Read W,S,E,N.

    Raises
    ------
    GeometryError
        If it is no box.
    """
    if text is None:
        return None
    try:
        return numbers(text, "W,S,E,N")
    except ValueError as error:
        raise GeometryError(
            f"--bbox {text!r} is no box; write west,south,east,north in degrees, like --bbox 13.3,45.7,13.4,45.8."
        ) from error


def words(text: str | None) -> list[str] | None:
    """Read comma-separated names."""
    return None if text is None else [w.strip() for w in text.split(",") if w.strip()]


def vector(path: Path | None) -> Any:
    """Read a vector from a .npy file or a JSON list of numbers.

    Raises
    ------
    QueryError
        If the file is not there or holds no list of numbers.
    """
    if path is None:
        return None
    import numpy as np

    try:
        with path.open("rb") as file:
            raw = np.load(file, allow_pickle=False) if path.suffix == ".npy" else json.loads(file.read(VECTOR_BYTES))
        found = np.asarray(raw, dtype=np.float32)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise QueryError(f"the vector file {path} cannot be read: {error}. Give a .npy file or a JSON list.") from error
    if found.ndim != 1:
        raise QueryError(f"the vector file {path} holds an array of shape {found.shape}; give one list of numbers.")
    return found


def exactly_one(**given: object) -> None:
    """Insist on exactly one of several options.

    Raises
    ------
    FilterError
        If none or more than one is given.
    """
    names = ", ".join(f"--{name}" for name in given)
    if sum(bool(v) for v in given.values()) != 1:
        raise FilterError(f"give exactly one of {names}.")
