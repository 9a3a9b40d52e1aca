"""Plan files: GeoParquet, one row a work unit, with the plan's parameters and estimate in the footer."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from embedstore import schema, spec
from embedstore.errors import PlanError, storage_errors
from embedstore.sealed import write_bytes
from indexer import cells
from indexer.numbers import Numbers
from indexer.plan.work import Grid, Source, WorkUnit

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
"""Of the file format: raised whenever an older release would misread a newer plan."""
KEY = b"embedstore:plan"
ROW_GROUP = 4096
UNSEALED = "0" * 64
"""Stands where the file's digest will."""

ASSET = pa.struct(
    [
        ("name", pa.string()),
        ("href", pa.string()),
        ("scale", pa.list_(pa.float64())),
        ("offset", pa.list_(pa.float64())),
        ("shifted", pa.bool_()),
    ]
)
SOURCE = pa.struct(
    [
        ("modality", pa.string()),
        ("item", pa.string()),
        ("assets", pa.list_(ASSET)),
        ("datetime", schema.TIME),
        ("cloud", pa.float64()),
    ]
)
GRID = pa.struct(
    [("crs", pa.string()), ("transform", pa.list_(pa.float64())), ("width", pa.int32()), ("height", pa.int32())]
)
SCHEMA = pa.schema(
    [
        pa.field("cell", pa.int64(), nullable=False),
        pa.field("period", pa.string(), nullable=False),
        pa.field("sources", pa.list_(SOURCE), nullable=False),
        pa.field("grid", GRID, nullable=False),
        pa.field("cells", pa.list_(pa.int64()), nullable=False),
        pa.field("within", pa.binary()),
        pa.field("chip_size", pa.int32(), nullable=False),
        pa.field("stride", pa.int32(), nullable=False),
        pa.field("chips", pa.int32(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
        pa.field("bbox", schema.BBOX, nullable=False),
    ]
)
"""Columns of a plan. Those of :class:`indexer.plan.work.WorkUnit` by name, and the hull of its cells."""


@dataclass(frozen=True)
class Plan:
    """A plan, read or just made.

    Parameters
    ----------
    units
        Its work units, in the order of their cells; each is decoded when it is asked for.
    parameters
        What it was made with: area, catalogue, dates, encoder, chip size, ….
    estimate
        What it will take; see :mod:`indexer.plan.estimate`.
    """

    units: Sequence[WorkUnit]
    parameters: dict[str, Any]
    estimate: dict[str, Any]

    @property
    def chips(self) -> int:
        """Number of chips in all."""
        return int(self.estimate["chips"])


def units(path: str | Path) -> Sequence[WorkUnit]:
    """Return the work units of a plan file; see :func:`read`."""
    return read(path).units


def write(path: str | Path, work: Iterable[WorkUnit], parameters: dict[str, Any], estimate: dict[str, Any]) -> None:
    """Write a plan file; it appears whole or not at all, and the same plan gives the same bytes.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    rows = [_row(unit) for unit in work]
    shapes = shapely.from_wkb([row["geometry"] for row in rows])
    types = sorted({shape.geom_type for shape in shapes})
    geo = schema.geo_key(tuple(float(v) for v in shapely.total_bounds(shapes)), types)  # type: ignore[arg-type]
    table = pa.Table.from_pylist(rows, SCHEMA)
    said = {"version": VERSION, "parameters": parameters, "estimate": estimate, "sha256": UNSEALED}
    data = _parquet(table, {b"geo": json.dumps(geo).encode(), KEY: spec.canonical_json(said)})
    with storage_errors("write the plan", path):
        write_bytes(Path(path), _with_seal(data, UNSEALED, _digest(data)))


def read(path: str | Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    PlanError
        If it is not there, is no plan, is damaged, or is of another version.
    """
    try:
        data = Path(path).read_bytes()
        with pq.ParquetFile(io.BytesIO(data)) as file:
            said = json.loads((file.metadata.metadata or {}).get(KEY, b"{}"))
            table = file.read().cast(SCHEMA).combine_chunks() if said.get("version") == VERSION else None
    except (OSError, pa.ArrowException, ValueError, AttributeError) as error:
        raise PlanError(f"the plan {path} cannot be read: {error}. Make it again with `embedstore plan`.") from error
    if not said:
        raise PlanError(f"{path} is Parquet, but no plan; make one with `embedstore plan`.")
    if table is None:
        raise PlanError(
            f"{path} is a plan of format {said.get('version')}, and this release reads format {VERSION}. Make it again "
            "with `embedstore plan`, or use the release that made it."
        )
    seal = str(said.get("sha256"))
    if len(seal) != len(UNSEALED) or _digest(_with_seal(data, seal, UNSEALED)) != seal:
        raise PlanError(f"the plan {path} is not as it was written. Make it again with `embedstore plan`.")
    parameters, estimate = said.get("parameters"), said.get("estimate")
    if not (isinstance(parameters, dict) and isinstance(estimate, dict)):
        raise PlanError(f"the plan {path} does not say what it was made with. Make it again with `embedstore plan`.")
    return Plan(_Units(table), parameters, estimate)


def _parquet(table: pa.Table, metadata: dict[bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd", row_group_size=ROW_GROUP)
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _with_seal(data: bytes, old: str, new: str) -> bytes:
    """Return a file with another digest in its footer: it is that of the file with :data:`UNSEALED` in its place."""
    before, _, after = data.rpartition(old.encode())
    return b"".join((before, new.encode(), after))


class _Units(Sequence[WorkUnit]):
    """Work units in the form of Arrow, which takes a fraction of the memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.drop_columns(["geometry", "bbox"])

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, at: int) -> WorkUnit: ...
    @overload
    def __getitem__(self, at: slice) -> list[WorkUnit]: ...
    def __getitem__(self, at: int | slice) -> WorkUnit | list[WorkUnit]:
        rows = range(len(self))[at]  # checks the bounds, and counts from the end as lists do
        return [self[i] for i in rows] if isinstance(rows, range) else self._unit(rows)

    def _unit(self, at: int) -> WorkUnit:
        try:
            return _unit(self._table.slice(at, 1).to_pylist()[0])
        except (TypeError, AttributeError, ValueError) as error:  # sealed, but by somebody else
            raise PlanError(
                f"work unit {at} of the plan makes no sense: {error}. Make the plan again with `embedstore plan`."
            ) from error


def _row(unit: WorkUnit) -> dict[str, Any]:
    outline = cells.hull(unit.cells)
    row = {name: getattr(unit, name) for name in SCHEMA.names if name not in {"geometry", "bbox"}}
    sources = [_source(s) for s in unit.sources]
    bbox = dict(zip(("xmin", "ymin", "xmax", "ymax"), outline.bounds, strict=True))
    return {**row, "sources": sources, "grid": asdict(unit.grid), "geometry": shapely.to_wkb(outline), "bbox": bbox}


def _source(source: Source) -> dict[str, Any]:
    """Return a source as a row has it, where each asset carries what is known of its numbers."""
    told = source.numbers or (Numbers(),) * len(source.assets)
    named = zip(source.assets, told, strict=True)
    assets = [{"name": name, "href": href, **asdict(numbers)} for (name, href), numbers in named]
    return {name: assets if name == "assets" else getattr(source, name) for name in SOURCE.names}


def _unit(row: dict[str, Any]) -> WorkUnit:
    sources = tuple(
        Source(
            s["modality"],
            s["item"],
            tuple((a["name"], a["href"]) for a in s["assets"]),
            s["datetime"].astimezone(UTC),
            s["cloud"],
            tuple(Numbers(tuple(a["scale"]), tuple(a["offset"]), a["shifted"]) for a in s["assets"]),
        )
        for s in row["sources"]
    )
    grid = Grid(**{**row["grid"], "transform": tuple(row["grid"]["transform"])})
    return WorkUnit(**{**row, "sources": sources, "grid": grid, "cells": tuple(row["cells"])})
