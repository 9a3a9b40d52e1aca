"""Row maps: where the rows of rewritten files came from.

Compaction and deletion write new files from old ones. The map stands beside the index under the name of the commit,
``_index/moves/<uuid>-<digest>.arrow``, so that segments which cover the old files still find every row.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from embedstore.errors import DamageError, storage_errors
from embedstore.sealed import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Origin:
    """Where the rows of one new file came from: old file and row, in the order of the new rows."""

    file: NDArray[np.object_]
    row: NDArray[np.int64]


def write(folder: Path, batch: str, origins: dict[str, Origin]) -> Path:
    """Write the map of one commit durably.

    Parameters
    ----------
    folder
        ``_index/moves``.
    batch
        The uuid that the new files' names share.
    origins
        New file → origin of its rows.
    """
    new = np.repeat(np.array(list(origins), object), [len(o.row) for o in origins.values()])
    table = pa.table(
        {
            "file": pa.array(new, pa.string()).dictionary_encode(),
            "old_file": pa.array(np.concatenate([o.file for o in origins.values()]), pa.string()).dictionary_encode(),
            "old_row": pa.array(np.concatenate([o.row for o in origins.values()]), pa.int64()),
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    with storage_errors("write a row map", folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{batch}-{hashlib.sha256(data).hexdigest()[:32]}.arrow"
        write_bytes(path, data)
    return path


def read(path: Path) -> dict[str, Origin]:
    """Read the map of one commit.

    Raises
    ------
    DamageError
        If a byte is not what was written.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamageError(f"the row map {path} cannot be read: {error}. Run `embedstore index`.") from error
    if hashlib.sha256(data).hexdigest()[:32] != path.stem.partition("-")[2]:
        raise DamageError(f"the row map {path} is damaged. Run `embedstore index` to do without it.")
    try:
        table = pa.ipc.open_stream(data).read_all()
        table.validate(full=True)
        new = table["file"].combine_chunks()
        code = new.indices.to_numpy()
        old, row = table["old_file"].to_numpy(zero_copy_only=False), table["old_row"].to_numpy()
    except (OSError, pa.ArrowException, ValueError, LookupError, AttributeError) as error:
        raise DamageError(f"the row map {path} is none ({error}). Run `embedstore index` to do without it.") from error
    # the rows of one new file stand together
    edges = [0, *(np.flatnonzero(np.diff(code)) + 1).tolist(), len(code)]
    return {str(new[a]): Origin(old[a:b], row[a:b]) for a, b in pairwise(edges) if b > a}
