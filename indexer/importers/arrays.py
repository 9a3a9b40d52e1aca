"""Bare arrays: an .npy of vectors, and a file that says where each of them belongs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from embedstore import footprint, schema, spec
from embedstore.errors import EmbeddingsError
from indexer.identity import digest_by_pieces
from indexer.importers import footprints
from indexer.importers.columns import utc
from indexer.importers.parquet import BATCH_BYTES, MOST_ROWS
from indexer.importers.source import Model, Options, Unit, check_vectors, chips, moments
from indexer.importers.streaming import readable
from indexer.importers.tessera import mapped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "array"


@dataclass
class ArraySource:
    """Vectors in an .npy, of real numbers and shape (n, d), and their places.

    Places are an .npy of shape (n, 2), longitude and latitude, or (n, 4), west, south, east, north; or CSV or Parquet
    with columns lon and lat, and if there are any, id and datetime.

    Raises
    ------
    EmbeddingsError
        If the two do not go together, or the caller leaves out what nobody else knows.
    """

    path: Path
    options: Options
    notes: list[str] = field(default_factory=list)
    layout: str = NAME

    def __post_init__(self) -> None:
        vectors, told = mapped(self.path), self.options
        if vectors.ndim != 2 or vectors.dtype.kind != "f":
            raise EmbeddingsError(
                f"{self.path} is {vectors.dtype} of shape {vectors.shape}; vectors are real numbers of shape (n, d)."
            )
        if told.coordinates is None or told.model is None:
            raise EmbeddingsError(f"{self.path} says neither where nor what: give --coordinates F and --model NAME.")
        self._vectors, self._places = vectors, _places(told.coordinates)
        if len(self._places) != len(vectors):
            raise EmbeddingsError(
                f"{self.path} has {len(vectors):,} vectors, {told.coordinates} {len(self._places):,} places; each "
                "vector needs one."
            )
        if "west" not in self._places.column_names and not told.chip_metres:
            raise EmbeddingsError(
                f"{told.coordinates} has centres only; say by --chip-metres how large the ground of a vector is."
            )
        side = told.chip_metres or self._side()
        self.model = Model(told.model, vectors.shape[1], 1, float(f"{side:.3g}"))
        self._check_identities()

    def _side(self) -> float:
        return footprints.side(self._shapes(0, min(64, len(self._places)))) if len(self._places) else 1.0

    def _check_identities(self) -> None:
        if "id" in self._places.column_names and len(self._places["id"].unique()) < len(self._places):
            raise EmbeddingsError(f"{self.options.coordinates} has the same id twice; keep one of each.")

    def units(self) -> Iterator[Unit]:
        """Yield stretches of rows."""
        key = [digest_by_pieces(self.path), digest_by_pieces(self.options.coordinates)]  # type: ignore[arg-type]
        step = max(1, min(MOST_ROWS, BATCH_BYTES // (4 * self.model.dimension)))
        for start in range(0, len(self._vectors), step):
            stop = min(start + step, len(self._vectors))
            yield Unit(
                [*key, str(self.options.span), start, stop], stop - start, partial(self._chips, start, stop, key)
            )
        if not len(self._vectors):
            yield Unit([*key, 0, 0], 0, schema.CHIPS.empty_table)

    def _chips(self, start: int, stop: int, key: list[str]) -> pa.Table:
        with readable(self.options.coordinates or self.path):
            return self._read(start, stop, key)

    def _read(self, start: int, stop: int, key: list[str]) -> pa.Table:
        numbers = np.arange(start, stop)
        vectors = np.asarray(self._vectors[start:stop], np.float32)
        check_vectors(vectors, numbers, self.path)
        places = self._places.slice(start, stop - start)
        own = places["id"].to_pylist() if "id" in places.column_names else None
        names: list[list[Any]] = [[str(o)] for o in own] if own else [[*key, n] for n in numbers.tolist()]
        times = moments(self.options.span, len(names))
        if not self.options.span and "datetime" in places.column_names:
            times = (utc(places["datetime"], self.path),) * 2
            # the next year's file may have the same ids
            names = [[*name, str(when)] for name, when in zip(names, times[0].to_pylist(), strict=True)]
        ids = [spec.digest([NAME, self.model.name, str(self.options.span), *name])[:32] for name in names]
        origin = {"item": [str(o) for o in own] if own else [self.path.name] * len(ids)}
        return chips(ids, self._shapes(start, stop), times, origin, np.ones(len(ids), np.float32), vectors)

    def _shapes(self, start: int, stop: int) -> NDArray[Any]:
        places = self._places.drop_columns([c for c in ("id", "datetime") if c in self._places.column_names])
        numbers = (column.to_numpy()[start:stop].astype(np.float64) for column in places.columns)
        cut = dict(zip(places.column_names, numbers, strict=True))
        lon = cut["lon"] if "lon" in cut else cut["west"]
        lat = cut["lat"] if "lat" in cut else np.maximum(np.abs(cut["south"]), np.abs(cut["north"]))
        good = np.isfinite([*cut.values()]).all(axis=0) & (np.abs(lon) <= 360) & (np.abs(lat) <= 90)
        if not good.all():
            row = start + int(np.argmin(good))
            raise EmbeddingsError(f"row {row} of {self.options.coordinates} is no place in degrees, longitude first.")
        if "lon" in cut:
            assert self.options.chip_metres is not None
            return footprints.squares(lon, lat, self.options.chip_metres)
        west, south, east, north = (cut[name] for name in ("west", "south", "east", "north"))
        return footprint.footprints(np.stack([west, east, east, west], 1), np.stack([south, south, north, north], 1))


def _places(path: Path) -> pa.Table:
    """Return columns lon and lat, or west, south, east and north, and what else there is of id and datetime."""
    try:
        if path.suffix == ".npy":
            found = mapped(path)
            names = {2: ("lon", "lat"), 4: ("west", "south", "east", "north")}.get(found.shape[-1], ())
            if found.ndim != 2 or not names:
                raise EmbeddingsError(f"the places {path} have shape {found.shape}; give (n, 2) or (n, 4).")
            return pa.table({name: np.asarray(found[:, i], np.float64) for i, name in enumerate(names)})
        table = pq.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowException) as error:
        raise EmbeddingsError(f"the places {path} cannot be read: {error}. Give .npy, .csv or .parquet.") from error
    if not {"lon", "lat"} <= set(table.column_names):
        raise EmbeddingsError(
            f"the places {path} lack the columns lon and lat; it has {', '.join(table.column_names)}."
        )
    return table.select([c for c in ("lon", "lat", "id", "datetime") if c in table.column_names])
