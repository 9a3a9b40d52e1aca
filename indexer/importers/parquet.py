"""GeoParquet of others, read in batches: what a layout's columns mean is the layout's to say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from embedstore import schema, spec
from embedstore.errors import EmbeddingsError
from indexer.identity import digest_by_pieces
from indexer.importers import footprints
from indexer.importers.columns import flat_lists
from indexer.importers.source import Model, Options, Unit, check_vectors, chips, moments
from indexer.importers.streaming import Stream, open_parquet, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BATCH_BYTES = 32 << 20
"""Vectors of one unit take no more than this."""
MOST_ROWS = 16_384
HEX_ID = re.compile(r"[0-9a-f]{32,}")


@dataclass(frozen=True)
class TableLayout:
    """What the columns of somebody's GeoParquet mean.

    Parameters
    ----------
    name
        What it is called.
    required
        Columns that a file must have.
    one_of
        Columns of which a file must have one, if there are any.
    vectors
        Column of the vectors.
    identity
        Columns whose values together tell a row from every other; those that a file lacks do not count.
    model
        Who made the vectors.
    optional
        Columns that are understood, too.
    missing_percent
        Column of the share of a chip without data, in percent; chips are whole where it is not there.
    valid
        Column of the share of a chip that held data, in place of that.
    times
        First and last moment of each row.
    origin
        What the vectors were made from; see :func:`indexer.importers.source.chips`.
    """

    name: str
    required: tuple[str, ...]
    vectors: str
    identity: tuple[str, ...]
    model: Callable[[ParquetSource], Model]
    times: Callable[[pa.Table, ParquetSource], tuple[pa.Array, pa.Array]]
    origin: Callable[[pa.Table], dict[str, Any]]
    one_of: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    missing_percent: str = ""
    valid: str = ""

    def missing(self, columns: set[str]) -> str:
        """Return what a file lacks to be of this layout, "" if nothing."""
        lack = [c for c in self.required if c not in columns]
        if self.one_of and not columns & set(self.one_of):
            lack.append(" or ".join(self.one_of))
        return ", ".join(lack)


@dataclass
class ParquetSource:
    """A GeoParquet file of a layout.

    Parameters
    ----------
    path
        The file.
    table_layout
        What its columns mean.
    options
        What the caller says.

    Raises
    ------
    EmbeddingsError
        If the file cannot be read, does not say what its vectors are, or has two rows of one identity.
    """

    path: Path
    table_layout: TableLayout
    options: Options
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layout = self.table_layout.name
        self._file = open_parquet(self.path)
        self._schema = self._file.schema_arrow
        layout = self.table_layout
        mine = {*layout.required, *layout.one_of, *layout.optional, layout.missing_percent, layout.valid}
        self._columns = [c for c in self._schema.names if c in mine]
        ignored = [c for c in self._schema.names if c not in mine]
        if ignored:
            self.notes.append(f"{self.path.name}: the table has no place for {', '.join(ignored)}; left out")
        self._crs = footprints.crs_of(self.geo, self.path)
        self.model = self.table_layout.model(self)
        self._check_identities()

    @cached_property
    def geo(self) -> dict[str, Any]:
        """The ``geo`` footer, empty if there is none."""
        return self._footer(b"geo")

    @cached_property
    def emb(self) -> dict[str, Any]:
        """The ``emb`` footer, empty if there is none."""
        return self._footer(b"emb")

    def _footer(self, key: bytes) -> dict[str, Any]:
        text = (self._schema.metadata or {}).get(key, b"{}")
        try:
            found = json.loads(text)
        except ValueError as error:
            raise EmbeddingsError(f"the footer {key.decode()!r} of {self.path} is no JSON: {error}.") from error
        return found if isinstance(found, dict) else {}

    @property
    def names(self) -> set[str]:
        """Names of all columns."""
        return set(self._schema.names)

    @cached_property
    def first(self) -> pa.Table:
        """The first few rows, without their vectors."""
        columns = [c for c in self._columns if c != self.table_layout.vectors]
        for batch in self._file.iter_batches(64, columns=columns):
            return pa.Table.from_batches([batch])
        return pa.schema([self._schema.field(c) for c in columns]).empty_table()

    @cached_property
    def side(self) -> float | None:
        """Side of a footprint in metres, measured on the first few; None if there are none."""
        shapes = self._shapes(self.first, np.arange(len(self.first)))
        return footprints.side(shapes) if len(shapes) else None

    @cached_property
    def dimension(self) -> int:
        """Length of the first vector, or what the column's type or the ``emb`` footer says."""
        kind = self._schema.field(self.table_layout.vectors).type
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        for batch in self._file.iter_batches(256, columns=[self.table_layout.vectors]):
            lists = flat_lists(batch.column(0).drop_null(), self.path)
            if len(lists):
                return len(lists[0])
        stated = self.emb.get("embedding", {}).get("dim") or self.emb.get("emb:dimensions")
        if not isinstance(stated, int):
            raise EmbeddingsError(f"{self.path} holds no vector and does not say their dimension; nothing to import.")
        return stated

    def one_value(self, column: str) -> Any:
        """Return the one value that a column has in the first few rows, None if there is no such column."""
        if column not in self.first.column_names:
            return None
        values = pc.unique(self.first[column].drop_null()).to_pylist()
        if len(values) > 1:
            raise EmbeddingsError(
                f"{self.path} mixes vectors of different making: {column} is {values[0]} and {values[1]}. Split it."
            )
        return values[0] if values else None

    def _check_identities(self) -> None:
        """Refuse two rows of one identity; sixteen bytes a row are held."""
        columns = [c for c in self.table_layout.identity if c in self.names]
        seen = [
            np.array([i.encode() for i in self._ids(pa.Table.from_batches([batch]))], "S32")
            for batch in self._file.iter_batches(MOST_ROWS, columns=columns)
        ]
        ids = np.concatenate([np.empty(0, "S32"), *seen])
        order = np.argsort(ids, kind="stable")
        same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
        if len(same):
            first, second = sorted(order[same[0] : same[0] + 2].tolist())
            raise EmbeddingsError(
                f"rows {first} and {second} of {self.path} have the same {' and '.join(columns)} ({len(same):,} rows "
                "repeat another); keep one of each."
            )

    def _ids(self, rows: pa.Table) -> list[str]:
        """Return an id for each row: its own if that is a hash already, else a hash of its identity.

        Where one time is said of all rows, it is part of their identity: the next year's file may have the same ids.
        """
        columns = [c for c in self.table_layout.identity if c in rows.column_names]
        when = str(self.options.span or self.emb.get("start_datetime") or self.emb.get("datetime"))
        if len(columns) == 1 and rows[columns[0]].type == pa.string() and when == str(None):
            own = rows[columns[0]].to_pylist()
            if all(text and HEX_ID.fullmatch(text) for text in own):
                return [text[:32] for text in own]
        values = (rows[c].to_pylist() for c in columns)
        return [
            spec.digest([self.layout, when, *(v.hex() if isinstance(v, bytes) else str(v) for v in row)])[:32]
            for row in zip(*values, strict=True)
        ]

    def units(self) -> Iterator[Unit]:
        """Yield batches of each row group."""
        item = [digest_by_pieces(self.path), str(self.options.span)]
        step = max(1, min(MOST_ROWS, BATCH_BYTES // (4 * self.model.dimension)))
        before = 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            stream = Stream(self._file, group, step, self._columns)
            for start in range(0, rows, step):
                count = min(step, rows - start)
                yield Unit([*item, before + start, count], count, _Reading(self, stream, start, count, before))
            before += rows
        if before == 0:
            yield Unit([*item, 0, 0], 0, schema.CHIPS.empty_table)

    def chips(self, rows: pa.Table, numbers: NDArray[np.int64]) -> pa.Table:
        """Return the rows that have a vector as chips; `numbers` are theirs in the file."""
        has = pc.is_valid(rows[self.table_layout.vectors]).to_numpy()
        rows, numbers = rows.filter(pa.array(has)), numbers[has]
        vectors = self._matrix(rows[self.table_layout.vectors], numbers)
        check_vectors(vectors, numbers, self.path)
        shapes = self._shapes(rows, numbers)
        times = moments(self.options.span, len(rows)) if self.options.span else self.table_layout.times(rows, self)
        valid = np.ones(len(rows), np.float32)
        if self.table_layout.missing_percent in self._columns:
            percent = pc.fill_null(rows[self.table_layout.missing_percent].cast(pa.float32()), 0)
            valid -= percent.to_numpy() / 100
        if self.table_layout.valid in self._columns:
            valid = rows[self.table_layout.valid].cast(pa.float32()).to_numpy()
        made = chips(self._ids(rows), shapes, times, self.table_layout.origin(rows), valid, vectors)
        if "thumbnail" in self._columns:
            at = made.column_names.index("thumbnail")
            made = made.set_column(at, schema.CHIPS.field(at), rows["thumbnail"].cast(pa.binary()))
        return made

    def _shapes(self, rows: pa.Table, numbers: NDArray[np.int64]) -> NDArray[Any]:
        wkb = np.array(rows["geometry"].to_pylist(), object)
        try:
            shapes = np.asarray(shapely.from_wkb(wkb), object)
        except (shapely.errors.ShapelyError, TypeError) as error:
            raise EmbeddingsError(f"the geometries of {self.path} are no WKB: {error}.") from error
        crs = self._crs
        if crs != footprints.CRS84 and footprints.is_in_degrees(shapes, crs):
            note = f"{self.path.name}: its geometries are declared to be in {crs} and are in degrees; taken as degrees"
            self.notes += [note] if note not in self.notes else []
            crs = footprints.CRS84
        return footprints.polygons(shapes, crs, numbers, self.path)

    def _matrix(self, column: pa.ChunkedArray, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return vectors, shape (n, dimension)."""
        lists = flat_lists(column.combine_chunks(), self.path)
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != self.model.dimension)
        if len(wrong):
            raise EmbeddingsError(
                f"row {numbers[wrong[0]]} of {self.path} has a vector of dimension {lengths[wrong[0]]}, others have "
                f"{self.model.dimension}; vectors of different making are never compared. Split the file."
            )
        flat: NDArray[np.float32] = lists.flatten().to_numpy(zero_copy_only=False)
        return flat.astype(np.float32, copy=False).reshape(-1, self.model.dimension)


@dataclass(frozen=True)
class _Reading:
    """The reading of one unit, put off until it is called."""

    source: ParquetSource
    stream: Stream
    start: int
    count: int
    before: int

    def __call__(self) -> pa.Table:
        with readable(self.source.path):
            rows = self.stream.take(self.start, self.count)
            return self.source.chips(rows, np.arange(self.count) + self.before + self.start)
