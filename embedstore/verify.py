"""Whether a store is what was written: every checksum, every count, the index against the table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from embedstore import rowmap, schema, segment_rows
from embedstore.errors import DamageError, StorageError
from embedstore.geoparquet import DATA, DIGEST, name_batch, name_digest, read_part
from embedstore.sealed import digest_of, read_json
from embedstore.segment import Segment
from embedstore.snapshot import Snapshot
from embedstore.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from embedstore.catalog import Catalog
    from embedstore.home import Home
    from embedstore.piece import Piece
    from embedstore.store import Store
    from embedstore.table import DataFile


def faults(store: Store) -> list[str]:
    """Return every fault found; see :meth:`embedstore.store.Store.verify`."""
    store.refresh()
    home = store.home.afresh()
    if home is not store.home:
        store = type(store)(Table(home, store.version))
    snapshot = Snapshot(store.table, store.catalog)
    found = [
        *store.table.log_faults(),
        *encoder_faults(store),
        *damaged_index_parts(store.catalog).values(),
        *snapshot.degraded,
    ]
    for file in snapshot.files:
        found += file_faults(store, file)
    found += _faults_of_old_files(store, {store.home.folder / file.path for file in snapshot.files})
    if not found:
        found += _duplicates(snapshot)
        for piece in snapshot.pieces:
            found += _against_table(store, snapshot, piece)
    return list(dict.fromkeys(found))


def encoder_faults(store: Store) -> Iterator[str]:
    """Yield what is wrong with the encoder that a store keeps."""
    folder = store.encoder_folder
    try:
        if read_json(folder / "spec.json") != store.encoder.to_dict():
            yield f"{folder / 'spec.json'} is not the encoder that the table names."
    except DamageError as error:
        yield str(error)
    weights = folder / "weights.safetensors"
    try:
        if store.encoder.weights_sha256 and digest_of(weights) != store.encoder.weights_sha256:
            yield f"{weights} is damaged or missing; queries by chip cannot be encoded. Restore it from a copy."
    except DamageError as error:
        yield str(error)


def damaged_index_parts(catalog: Catalog) -> dict[Path, str]:
    """Check every byte under ``_index``, used or not; return what is damaged and why."""
    home = catalog.home
    checks: dict[Path, Callable[[], object]] = {catalog.folder / "CURRENT": catalog.current}
    for path in _visible(home, "_index/*/index.json"):
        checks[path.parent] = partial(_index, catalog, path)
    for folder in _visible(home, "_index/segments/*"):
        checks[folder] = partial(_whole_segment, home, folder)
    for path in _visible(home, "_index/moves/*"):
        checks[path] = partial(_row_map, home, path)
    found = {}
    for path, check in checks.items():
        fault = _fault(check)
        if fault:
            found[path] = fault
    return found


def _index(catalog: Catalog, path: Path) -> None:
    index = catalog.read(path)
    if index.codebook:
        catalog.codebook_file(index.codebook)


def _row_map(home: Home, path: Path) -> None:
    rowmap.read(home.here(path))


def _whole_segment(home: Home, folder: Path) -> None:
    if home.whole(folder) or folder.exists():  # else a writer died sending it, or has not finished: it is none yet
        Segment(folder).check_all()


def _visible(home: Home, pattern: str) -> list[Path]:
    """Return what matches and is not in the making."""
    return sorted(p for p in home.glob(pattern) if "/." not in f"/{p.relative_to(home.folder)}")


def _fault(check: Callable[[], object]) -> str | None:
    try:
        check()
    except DamageError as error:
        return str(error)
    return None


def file_faults(store: Store, file: DataFile, *, readable: bool = False) -> Iterator[str]:
    """Yield what is wrong with a data file.

    Raises
    ------
    StorageError
        If it cannot be read and must be: it may be whole all the same.
    """
    path = f"{store.home}/{file.path}"
    try:
        found = store.home.digest(store.home.folder / file.path)
    except DamageError as error:
        if readable:
            raise StorageError(str(error)) from error
        yield str(error)
        return
    if found is None:
        yield f"the data file {path} is missing: {file.rows} rows are lost. Restore it from a copy."
    elif found[0] != file.size:
        yield f"the data file {path} has {found[0]} bytes, not {file.size}. Restore it from a copy."
    elif found[1][:DIGEST] != name_digest(file.path):
        yield f"the data file {path} is damaged: its digest is not the one in its name. Restore it from a copy."


def _faults_of_old_files(store: Store, live: set[Path]) -> Iterator[str]:
    """Yield what is wrong with data files that only older versions hold."""
    for path in sorted(store.home.glob(f"{schema.PARTITION}=*/*{DATA}").keys() - live):
        try:
            found = store.home.digest(path)
        except DamageError as error:
            yield str(error)
            continue
        if found and name_batch(path.name) and found[1][:DIGEST] != name_digest(path.name):
            yield f"the data file {path}, which only older versions hold, is damaged. Vacuum removes it."


def _duplicates(snapshot: Snapshot) -> Iterator[str]:
    ids = [p.segment.column("id")[p.live_rows()] for p in snapshot.pieces]
    if ids:
        halves = np.concatenate(ids).view(">u8").reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        twice = int((halves[order][1:] == halves[order][:-1]).all(axis=1).sum())
        if twice:
            yield f"{twice} ids stand in the table more than once."
    covered = sum(p.count for p in snapshot.pieces) + sum(f.rows for f in snapshot.uncovered)
    if covered != snapshot.rows:
        yield f"the segments hold {covered} rows of version {snapshot.version}; the table holds {snapshot.rows}."


def _against_table(store: Store, snapshot: Snapshot, piece: Piece) -> Iterator[str]:
    """Compare every row of a piece with the table's: ids and vectors, file by file."""
    live = piece.live_rows()
    files, places = snapshot.place(piece, live)
    names, number = np.unique(np.array(files, object).astype(str), return_inverse=True)
    for i, name in enumerate(names.tolist()):
        here = number == i
        table = read_part(store.home.readable(store.home.folder / name), ["id", "embedding"])
        at, rows = places[here], live[here]
        ids = np.frombuffer(bytes.fromhex("".join(table["id"].to_pylist())), "V16")
        vectors = segment_rows.matrix(table["embedding"], piece.segment.dimension).astype(np.float16)
        if (ids[at] != piece.segment.column("id")[rows]).any():
            yield f"the segment {piece.segment.folder} and the data file {name} disagree on ids."
        elif (vectors[at] != piece.segment.take_vectors(rows)).any():
            yield f"the segment {piece.segment.folder} and the data file {name} disagree on vectors."
