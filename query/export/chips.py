"""The chips of a filter in the order of the ground, with all their columns, a few thousand at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedstore import schema
from query.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from query.filters import Filter
    from query.searcher import Searcher

BLOCK = 1 << 14
"""Rows of a block."""
PLAIN = tuple(n for n in schema.FILE.names if n not in {"thumbnail", "embedding"})
"""Columns that are text and numbers."""


def of(searcher: Searcher, filter_: Filter) -> Rows:
    """Return the chips that pass a filter, sorted by fine H3 cell."""
    found = Rows.of(searcher.snapshot, [selection.candidates for selection in searcher.select(filter_)])
    alive = [p.alive for p in searcher.snapshot.pieces]
    if any(marks is not None for marks in alive):
        keep = np.ones(len(found), bool)
        for number, marks in enumerate(alive):
            here = found.piece == number
            if marks is not None:
                keep[here] = marks[found.row[here]]
        found = found.take(keep)
    return found.take(np.argsort(found.column("h3"), kind="stable"))


def blocks(chips: Rows, columns: Sequence[str] = tuple(schema.FILE.names)) -> Iterator[pa.Table]:
    """Yield columns of :data:`embedstore.schema.FILE`; of local paths among the inputs, the names of the files alone.

    Raises
    ------
    DamageError
        If a data file cannot be read.
    """
    for start in range(0, len(chips), BLOCK):
        some = chips.take(slice(start, start + BLOCK))
        files, places = [""] * len(some), np.zeros(len(some), np.int64)
        for number in np.unique(some.piece).tolist():
            here = np.flatnonzero(some.piece == number)
            names, rows = chips.snapshot.place(chips.snapshot.pieces[number], some.row[here])
            places[here] = rows
            for at, name in zip(here.tolist(), names, strict=True):
                files[at] = name
        table = chips.snapshot.fetch(files, places, columns, some.ids().to_pylist())
        yield _without_folders(table) if "inputs" in columns else table


def _without_folders(table: pa.Table) -> pa.Table:
    """Return the table without the folders that scenes lay in, which are nobody else's business; URLs stay."""
    inputs = table["inputs"].combine_chunks()
    href = inputs.flatten().field("href")
    names = pc.if_else(pc.match_substring(href, "://"), href, pc.replace_substring_regex(href, r"^.*[/\\]", ""))
    fields = [names if f.name == "href" else inputs.flatten().field(f.name) for f in schema.INPUT]
    told = pa.StructArray.from_arrays(fields, fields=list(schema.INPUT))
    lengths = pc.list_value_length(inputs).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(offsets, told).cast(schema.FILE.field("inputs").type)
    return table.set_column(table.schema.get_field_index("inputs"), schema.FILE.field("inputs"), lists)
