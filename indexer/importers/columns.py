"""Columns as others write them, brought to the types that a store has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embedstore import schema
from embedstore.errors import EmbeddingsError
from indexer import acquisition

if TYPE_CHECKING:
    from pathlib import Path


def flat_lists(column: Any, path: Path) -> Any:
    """Return an array of lists of real numbers from tensors, fixed lists, and lists in lists of one."""
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    while True:
        if isinstance(lists, pa.ExtensionArray):
            lists = lists.storage
        kind = lists.type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise EmbeddingsError(f"the vectors of {path} are of type {kind}; they must be lists of real numbers.")
        inner = kind.value_type
        if not (pa.types.is_list(inner) or pa.types.is_large_list(inner) or pa.types.is_fixed_size_list(inner)):
            break
        lists = lists.flatten()
    if not pa.types.is_floating(inner):
        raise EmbeddingsError(
            f"the vectors of {path} are of {inner}, and the file does not say how to make real numbers of them; "
            "dequantise them first."
        )
    return lists


def utc(column: pa.ChunkedArray, path: Path) -> pa.Array:
    """Return dates, times and ISO 8601 texts as moments; without a zone they are UTC.

    Raises
    ------
    EmbeddingsError
        If one is no moment.
    """
    array = column.combine_chunks()
    try:
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            return pa.array([None if t is None else acquisition.parse(t) for t in array.to_pylist()], schema.TIME)
        naive = array.cast(pa.timestamp("us"), safe=False)
    except (pa.ArrowException, ValueError) as error:
        raise EmbeddingsError(f"the times of {path} cannot be read: {error}.") from error
    return naive.cast(pa.int64()).cast(schema.TIME)
