"""From examples to a query vector: chips, ids, positions and vectors, for and against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import QueryError, UnknownIdError
from embedstore.snapshot import id_bytes
from embedstore.vectors import to_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot

EARTH = 6_371_008.8
"""Mean radius of the Earth in metres (IUGG)."""
AGAINST = 0.5
"""Weight of the mean negative against the mean positive, as in Rocchio's relevance feedback."""


def question(
    snapshot: Snapshot,
    encode: Callable[[str | Path], NDArray[np.float32]],
    vector: ArrayLike | None,
    chip: str | Path | None,
    id_: str | None,
    at: tuple[float, float] | None,
    like: Sequence[str],
    unlike: Sequence[str],
) -> tuple[NDArray[np.float32], tuple[Piece, int] | None]:
    """Return the query vector, shape (1, d), and the one stored chip that it is of, if it is: piece and row.

    Parameters
    ----------
    encode
        Makes a unit vector, shape (1, d), of a raster file.
    vector, chip, id_, at, like, unlike
        See :meth:`query.engine.Engine.search`.

    Raises
    ------
    QueryError
        If there is nothing to look for, or the examples cancel out.
    UnknownIdError
        If an id is not stored.
    """
    dimension = snapshot.encoder.dimension
    positive: list[NDArray[np.float32]] = []
    ids = ([id_] if id_ is not None else []) + ([like] if isinstance(like, str) else list(like))
    against = [unlike] if isinstance(unlike, str) else list(unlike)
    if vector is not None:
        positive.append(to_unit(vector, dimension))
    if chip is not None:
        positive.append(encode(chip))
    if at is not None:
        ids.append(nearest_chip(snapshot, float(at[0]), float(at[1])))
    if ids:
        positive.append(stored(snapshot, ids))
    if not positive:
        raise QueryError("there is nothing to look for; give a chip, a position, an id or a vector.")
    negative = stored(snapshot, against) if against else np.empty((0, dimension), np.float32)
    examples = np.concatenate(positive)
    one = own(snapshot, ids[0]) if len(examples) == len(ids) == 1 and not against else None
    return combine(examples, negative), one


def combine(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one unit query vector, shape (1, d), from unit examples for and against, each of shape (n, d)."""
    if len(positive) == 1 and not len(negative):
        return positive
    vector = positive.mean(axis=0)
    if len(negative):
        vector = vector - AGAINST * negative.mean(axis=0)
    if not np.linalg.norm(vector) > 1e-6:
        raise QueryError("the examples cancel out: their sum has no direction. Leave out a negative.")
    return to_unit(vector)


def stored(snapshot: Snapshot, ids: Sequence[str]) -> NDArray[np.float32]:
    """Return the stored vectors of ids, shape (n, d), unit length.

    Raises
    ------
    UnknownIdError
        If the snapshot holds no such id.
    """
    out = np.zeros((len(ids), snapshot.encoder.dimension), np.float32)
    known = np.zeros(len(ids), bool)
    for piece, at, rows in snapshot.find(id_bytes(ids)):
        out[at] = piece.segment.take_vectors(rows)
        known[at] = True
    if not known.all():
        raise UnknownIdError(f"the store {snapshot.home} holds no chip {ids[int(np.argmin(known))]!r}.")
    return to_unit(out)


def own(snapshot: Snapshot, id_: str) -> tuple[Piece, int] | None:
    """Return where a stored id stands: piece and row."""
    found = snapshot.find(id_bytes([id_]))
    return (found[0][0], int(found[0][2][0])) if found else None


def nearest_chip(snapshot: Snapshot, lon: float, lat: float) -> str:
    """Return the id of the chip whose centre is nearest to a position.

    Raises
    ------
    QueryError
        If the position makes no sense, or no chip lies within two chip sides of it.
    """
    if not (np.isfinite(lon) and -90 <= lat <= 90 and abs(lon) <= 360):
        raise QueryError(f"{lon},{lat} is no position; give longitude, latitude in degrees.")
    lon = (lon + 180) % 360 - 180
    candidates = [_nearest_in(piece, lon, lat) for piece in snapshot.pieces]
    if not candidates:
        raise QueryError(f"the store {snapshot.home} is empty; encode a scene first.")
    metres, piece, row = min(candidates, key=lambda c: c[0])
    reach = 2 * snapshot.encoder.chip_size * snapshot.encoder.gsd
    if metres > reach:
        raise QueryError(
            f"no chip lies near {lon:.5f},{lat:.5f}: the nearest centre is {metres / 1000:.1f} km away. "
            "Give a position inside the encoded area."
        )
    return bytes(piece.segment.take("id", np.array([row]))[0]).hex()


def _nearest_in(piece: Piece, lon: float, lat: float) -> tuple[float, Piece, int]:
    rows = piece.live_rows()
    d = distance(piece.segment.column("lon")[rows], piece.segment.column("lat")[rows], lon, lat)
    at = int(np.argmin(d))
    return float(d[at]), piece, int(rows[at])


def distance(lon: NDArray[np.float64], lat: NDArray[np.float64], to_lon: Any, to_lat: Any) -> NDArray[np.float64]:
    """Return great-circle distances in metres (haversine) between positions in degrees."""
    x1, y1, x2, y2 = (np.radians(v) for v in (lon, lat, to_lon, to_lat))
    h = np.sin((y2 - y1) / 2) ** 2 + np.cos(y1) * np.cos(y2) * np.sin((x2 - x1) / 2) ** 2
    return np.asarray(2 * EARTH * np.arcsin(np.sqrt(np.minimum(h, 1.0))))


def spread(lon: NDArray[np.float64], lat: NDArray[np.float64], metres: float, k: int) -> NDArray[np.int64]:
    """Return positions of the first k hits, in order, that keep a distance from every better one kept."""
    kept: list[int] = []
    left = np.arange(len(lon))
    while len(left) and len(kept) < k:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        left = left[distance(lon[left], lat[left], lon[best], lat[best]) >= metres]
    return np.array(kept, np.int64)
