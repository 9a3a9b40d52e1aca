"""What an import reads: a source is one file of vectors of one model, and gives them in units of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import shapely

from embedstore import schema
from embedstore.errors import EmbeddingsError
from embedstore.spec import EncoderSpec, Modality
from embedstore.vectors import round_unit, to_unit
from indexer.encoders.imported import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

UNKNOWN = "unknown"
"""What the inputs of models are called that nobody here can run."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller says about files that do not say it themselves.

    Parameters
    ----------
    model
        Name of the model that made the vectors.
    coordinates
        File of the places of a bare array's rows.
    chip_size
        Side in pixels of the chips that pixels are averaged to; every pixel is a chip if None.
    chip_metres
        Side on the ground of what a vector describes, where only its centre is known.
    span
        First and last moment that the vectors tell of, UTC.
    """

    model: str | None = None
    coordinates: Path | None = None
    chip_size: int | None = None
    chip_metres: float | None = None
    span: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Which model made vectors, as far as their file tells.

    Parameters
    ----------
    name, version, source
        As the file has them.
    dimension
        Of the vectors.
    chip_size
        Side of a chip in pixels.
    gsd
        Metres a pixel; measured where the file does not say, so that it is no part of the identity.
    pooling
        How pixels became one vector here; ``unknown`` where the model did it.
    """

    name: str
    dimension: int
    chip_size: int
    gsd: float
    version: str = ""
    source: str = ""
    pooling: str = UNKNOWN

    def spec(self) -> EncoderSpec:
        """Return the encoder of a store for these vectors: named after the model, of unknown inputs."""
        inputs = (Modality(UNKNOWN, (UNKNOWN,), (0.0,), (1.0,)),)
        options = {"version": self.version, "source": self.source}
        return EncoderSpec(
            PREFIX + self.name, inputs, self.chip_size, self.gsd, self.dimension, self.pooling, options=options
        )

    def differs(self, spec: EncoderSpec) -> str:
        """Return in what a store's encoder is another one, "" if in nothing."""
        mine = self.spec()
        for what, here, there in (
            ("model", mine.name, spec.name),
            ("version", self.version, str(spec.options.get("version", ""))),
            ("dimension", self.dimension, spec.dimension),
            ("chip size", self.chip_size, spec.chip_size),
            ("pooling", self.pooling, spec.pooling),
        ):
            if here != there:
                return f"{what} {there}, not {here}"
        return ""


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows that are read and committed together.

    Parameters
    ----------
    key
        What tells it from every other unit, as JSON has it.
    rows
        How many there are at most.
    read
        Returns the rows that have vectors, columns of :data:`embedstore.schema.CHIPS`.
    """

    key: list[Any]
    rows: int
    read: Callable[[], pa.Table]


class Source(Protocol):
    """One file of vectors.

    Attributes
    ----------
    path
        The file.
    layout
        What it was recognised as.
    model
        Who made its vectors.
    notes
        What the caller should know about how it was read.
    """

    path: Path
    layout: str
    model: Model
    notes: list[str]

    def units(self) -> Iterator[Unit]:
        """Yield its units of work; nothing is read before a unit is asked to."""
        ...


def chips(
    ids: list[str],
    shapes: NDArray[Any],
    times: tuple[pa.Array, pa.Array],
    origin: dict[str, Any],
    valid_fraction: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> pa.Table:
    """Return rows of :data:`embedstore.schema.CHIPS`, each of one input.

    Parameters
    ----------
    ids
        32 hex digits each.
    shapes
        Footprints (shapely, degrees).
    times
        First and last moment of each.
    origin
        Of the input: any of item, href, row, col, height, width; one value each.
    valid_fraction
        Share of each chip that held data.
    vectors
        Shape (n, d).
    """
    n = len(ids)
    vectors = round_unit(to_unit(vectors))
    known = {"modality": pa.array([UNKNOWN] * n, pa.string()), "datetime": times[0], **origin}
    fields = [pa.nulls(n, f.type) if f.name not in known else pa.array(known[f.name], f.type) for f in schema.INPUT]
    inputs = pa.StructArray.from_arrays(fields, fields=list(schema.INPUT))
    columns = {
        "id": pa.array(ids, pa.string()),
        "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
        "datetime": times[0],
        "datetime_end": times[1],
        "inputs": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32), inputs).cast(
            schema.CHIPS.field("inputs").type
        ),
        "modalities": pa.array(np.ones(n, np.int32)),
        "valid_fraction": pa.array(valid_fraction, pa.float32()),
        "thumbnail": pa.nulls(n, pa.binary()),
        "embedding": pa.ListArray.from_arrays(
            np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32), pa.array(vectors.ravel())
        ).cast(schema.CHIPS.field("embedding").type),
    }
    return pa.table(columns, schema=schema.CHIPS)


def check_vectors(vectors: NDArray[np.float32], first: NDArray[np.int64], path: Path) -> None:
    """Raise EmbeddingsError if a vector has no direction; `first` holds the rows' numbers in the file."""
    good = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    if not good.all():
        raise EmbeddingsError(
            f"row {first[np.argmin(good)]} of {path} has a vector with NaN or infinity, or of zeros only "
            f"({np.count_nonzero(~good)} such rows near it). Leave such rows out of the file."
        )


def moments(span: tuple[datetime, datetime] | None, n: int) -> tuple[pa.Array, pa.Array]:
    """Return the ends of one span for n rows, nulls if there is none."""
    ends = span or (None, None)
    return pa.array([ends[0]] * n, schema.TIME), pa.array([ends[1]] * n, schema.TIME)
