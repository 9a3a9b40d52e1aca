"""The store: one folder, local or remote, that holds a table of embeddings and what makes it searchable."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embedstore import append, housekeeping, repair, rewrite, verify
from embedstore.catalog import Catalog
from embedstore.errors import EncoderMismatchError, NotAStoreError, StoreExistsError, storage_errors
from embedstore.geoparquet import read_part
from embedstore.home import Home, home_of
from embedstore.sealed import sha256, sync_file, sync_folder, write_json
from embedstore.snapshot import Snapshot, id_bytes
from embedstore.table import DELETIONS, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec, GridSpec

WEIGHTS = "weights.safetensors"


class Store:
    """A store of embeddings, opened at one version of its table.

    Use :meth:`create` and :meth:`open`. Writers see their own commits at once and others' after :meth:`refresh`.

    Attributes
    ----------
    path
        The store's folder; its URI, as text, if it lies in an object store.
    home
        Its files.
    encoder
        What made its vectors.
    grid
        Where its rows go.
    """

    def __init__(self, table: Table) -> None:
        self.home: Home = table.home
        self.path: Path | str = table.home.path
        self.table = table
        self.encoder: EncoderSpec = table.encoder
        self.grid: GridSpec = table.grid
        self.catalog = Catalog(self.home.folder / "_index", self.home)
        self._snapshot: Snapshot | None = None

    @classmethod
    def create(cls, path: str | Path, encoder: EncoderSpec, grid: GridSpec, weights: Path | None = None) -> Self:
        """Make an empty store.

        Parameters
        ----------
        path
            Its folder, which may exist if it holds no store, or a URI: ``s3://``, ``gs://``, ``az://``, ``file://``.
        encoder, grid
            Fixed for the life of the store.
        weights
            The encoder's safetensors file; kept in the store so that queries can be encoded. Its digest must be the
            one that `encoder` names.

        Raises
        ------
        StoreExistsError
            If there is a store already.
        NotAStoreError
            If the path is a file.
        EncoderMismatchError
            If the weights are not those of the encoder.
        StorageError
            If the disk or the object store refuses.
        """
        home = home_of(path)
        if cls._there(home):
            raise StoreExistsError(f"there is a store at {home} already; open it, or choose another path.")
        if (sha256(weights) if weights else "") != encoder.weights_sha256:
            raise EncoderMismatchError(f"the weights {weights} are not those that encoder {encoder.name} names.")
        with storage_errors("make a store", home.folder):
            home.folder.mkdir(parents=True, exist_ok=True)
            _keep_encoder(home, encoder, weights)
        return cls(Table.create(home, encoder, grid))

    @classmethod
    def exists(cls, path: str | Path) -> bool:
        """Tell whether there is a store at a path or URI.

        Raises
        ------
        NotAStoreError
            If there is a file.
        StorageError
            If it may not be looked at.
        """
        return cls._there(home_of(path))

    @staticmethod
    def _there(home: Home) -> bool:
        if home.folder.is_file():
            raise NotAStoreError(f"{home} is a file; a store is a folder. Choose another path.")
        return home.has_table()

    @classmethod
    def open(cls, path: str | Path, version: int | None = None) -> Self:
        """Open a store at its newest version, or at an older one.

        Raises
        ------
        NotAStoreError
            If there is none, or it has no such version.
        DamageError
            If its log is damaged.
        StorageError
            If an object store refuses.
        """
        return cls(Table(path, version))

    @property
    def version(self) -> int:
        """Version of the table that this object shows."""
        return self.table.version

    @property
    def rows(self) -> int:
        """Number of rows of this version."""
        return self.snapshot().rows

    @property
    def encoder_folder(self) -> Path:
        """Folder of the encoder's specification and weights, on this machine."""
        folder = self.home.folder / "_encoder" / self.encoder.fingerprint
        for name in ("spec.json", WEIGHTS) if self.encoder.weights_sha256 else ("spec.json",):
            self.home.here(folder / name)
        return folder

    @property
    def deletions(self) -> int:
        """How often rows were deleted. Part of every unit of work, so that encoding after a delete looks again."""
        return self.table.application(DELETIONS)

    def refresh(self) -> None:
        """Move on to the newest version."""
        self.table.refresh()
        self._snapshot = None

    def snapshot(self, without: frozenset[str] = frozenset()) -> Snapshot:
        """Return the rows of this version, found in segments other than those named."""
        if self._snapshot is None or self._snapshot.without != without:
            self._snapshot = Snapshot(self.table, self.catalog, without)
        return self._snapshot

    def unit_done(self, unit: str) -> bool:
        """Tell whether a unit of work is committed in the newest version."""
        self.refresh()
        return self.table.application(unit) > 0

    def held(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which ids this version holds."""
        out = np.zeros(len(ids), bool)
        if not len(ids):
            return out
        snapshot = self.snapshot()
        for _, at, _ in snapshot.find(id_bytes(ids)):
            out[at] = True
        for file in snapshot.uncovered:
            there = set(read_part(self.home.readable(self.home.folder / file.path), ["id"])["id"].to_pylist())
            out |= np.fromiter((i in there for i in ids), bool, len(ids))
        return out

    def append(self, chips: pa.Table, unit: str | None = None) -> int:
        """Append chips whose ids the store does not hold yet, in one commit.

        Parameters
        ----------
        chips
            Columns of :data:`embedstore.schema.CHIPS`. May be empty, to record a unit that yielded nothing.
        unit
            Digest of the work that made these chips. It is recorded in the same commit; a unit that is recorded
            already adds nothing.

        Returns
        -------
        How many rows were added.

        Raises
        ------
        SpecError, EncoderMismatchError, QueryError
            If the chips are not what the table takes.
        ConflictError
            If other writers won every race.
        StorageError
            If the disk refuses; nothing is committed then.
        """
        return self.append_units([(unit, chips)])

    def append_units(self, units: Sequence[tuple[str | None, pa.Table]]) -> int:
        """Append the chips of several units of work in one commit: each is recorded with its chips, or none is.

        Parameters
        ----------
        units
            Digest of the work, or None, and its chips, as :meth:`append` takes them.

        Returns
        -------
        How many rows were added. A chip that several units hold is added once.

        Raises
        ------
        SpecError, EncoderMismatchError, QueryError, ConflictError, StorageError
            As :meth:`append`.
        """
        added = append.append(self, units)
        housekeeping.merge_flat_segments(self)
        return added

    def delete(self, ids: Iterable[str] | None = None, within: Any = None, item: str | None = None) -> int:
        """Delete rows by id, by area, or by input item, in one commit; return how many.

        Parameters
        ----------
        ids
            Ids to delete.
        within
            Rows whose centre lies in this area; anything that :func:`embedstore.area.parse` takes.
        item
            Rows with this item among their inputs; of a raster that is no STAC Item, its file's name will do.

        Raises
        ------
        InputError
            If not exactly one is given, an id is unknown, or several scenes have the name.
        """
        return rewrite.delete(self, ids, within, item)

    def compact(self) -> rewrite.Compaction:
        """Join small data files of each partition; rows stay findable without a new index."""
        return rewrite.compact(self)

    def vacuum(self, grace_hours: float = 168.0) -> housekeeping.Vacuumed:
        """Delete files that no version of the last `grace_hours` needs.

        Raises
        ------
        DamageError
            If a part of the index cannot be read, so that what it needs is not known; nothing of the index is deleted.
        InputError, StorageError
            If the hours make no sense, or the disk refuses.
        """
        return housekeeping.vacuum(self, grace_hours)

    def verify(self) -> list[str]:
        """Check every checksum and count; return the faults found, one sentence each."""
        return verify.faults(self)

    @classmethod
    def repair(cls, path: str | Path, forget_lost: bool = False) -> repair.Repaired:
        """Make anew what the table says, and name the data files that are lost; the index is mended by building it.

        Parameters
        ----------
        path
            Of the store, which may be too damaged to be opened.
        forget_lost
            Whether the table forgets the rows of lost files. Without them it serves again, and encoding their scenes
            again brings them back. Else they stay in it, so that a copy can be put in their place.

        Raises
        ------
        NotAStoreError
            If there is no store.
        DamageError
            If commits are lost, so that nobody knows what the table holds.
        ConflictError, StorageError
            If other writers won every race, or the disk refuses.
        """
        mended = repair.mend_log(home_of(path))
        return repair.repair(cls.open(path), mended, forget_lost)

    def info(self) -> dict[str, Any]:
        """Return what there is to know at a glance, as plain data."""
        return housekeeping.info(self)


def _keep_encoder(home: Home, encoder: EncoderSpec, weights: Path | None) -> None:
    """Write the encoder's folder, named by its fingerprint: whole, or not there."""
    folder = home.folder / "_encoder"
    target = folder / encoder.fingerprint
    if not target.is_dir():
        _write_encoder(folder, target, encoder, weights)
    home.keep([*([target / WEIGHTS] if weights else []), target / "spec.json"])


def _write_encoder(folder: Path, target: Path, encoder: EncoderSpec, weights: Path | None) -> None:
    folder.mkdir(exist_ok=True)
    draft = folder / f".draft-{uuid.uuid4().hex}"
    draft.mkdir()
    try:
        write_json(draft / "spec.json", encoder.to_dict())
        if weights:
            shutil.copyfile(weights, draft / WEIGHTS)
            sync_file(draft / WEIGHTS)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # another process wrote the same folder: the same bytes
                raise
        sync_folder(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
