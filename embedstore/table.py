"""The Delta table: which GeoParquet files make up which version.

Every change is one commit of add and remove actions. Idempotence is Delta's own: a commit carries application
transactions (https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers), and of two commits
that began together and name the same application, the second is refused.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from embedstore import schema
from embedstore.cloud import plain, why
from embedstore.errors import ConflictError, DamageError, NotAStoreError, StorageError, StoreExistsError
from embedstore.home import Home, home_of
from embedstore.log import POINTER, Log, checkpoint_name, commit_name
from embedstore.spec import EncoderSpec, GridSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from embedstore.geoparquet import Part

APPENDS = "embedstore.appends"
"""Application that every append names, so that appends are serial and no id is committed twice."""
DELETIONS = "embedstore.deletions"
"""Application that every delete names; its version counts them."""
MARK = "embedstore.commit"
"""In what a commit says of itself: by this its writer knows it again."""
CHECKPOINT = 100
"""Commits after which the log is summed up in one file, so that a table of many commits opens as quickly."""

REMEMBERED = 168
"""Hours for which checkpoints keep removals, Delta's ``deletedFileRetentionDuration`` where nothing else is set."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file of one version: path relative to the store, partition cell, bytes, rows."""

    path: str
    cell: str
    size: int
    rows: int


class Table:
    """One version of the table, and the means to commit the next.

    Parameters
    ----------
    home
        The store's files, or its path or URI.
    version
        The version to read; the newest if None.

    Raises
    ------
    NotAStoreError
        If there is no table, or it is not one of ours, or the version does not exist.
    DamageError
        If a file of its log that the version is read from is not what was written.
    """

    def __init__(self, home: Home | Path | str, version: int | None = None) -> None:
        self.home: Home = home_of(home) if isinstance(home, Path | str) else home
        self.root = self.home.folder
        root = self.home
        self._log = Log(root)
        if not root.has_table():
            self._refuse_damage()
            what = "a file" if self.root.is_file() else "no store"
            raise NotAStoreError(
                f"there is {what} at {root}. Make a store with `embedstore encode SCENE… --store {root}`."
            )
        try:
            self._delta = DeltaTable(root.path, version=version, storage_options=root.delta_options)
        except (DeltaError, TableNotFoundError, OSError, OverflowError) as error:
            if isinstance(error, OSError) and root.delta_options is not None:
                raise StorageError(f"could not open the store at {root}: {why(error, root)}") from error
            self._refuse_damage()
            asked = "" if version is None else f" at version {version}"
            raise NotAStoreError(f"the store at {root} cannot be opened{asked}: {plain(error)}.") from error
        self._log.check(self.version, newest=version is None)
        try:
            about = json.loads(self._delta.metadata().description or "")
            self.encoder = EncoderSpec.from_dict(about["encoder"])
            self.grid = GridSpec.from_dict(about["grid"])
        except (ValueError, KeyError, TypeError) as error:
            raise NotAStoreError(
                f"the Delta table at {root} was not made by embedstore: it names no encoder."
            ) from error

    @classmethod
    def create(cls, home: Home | Path | str, encoder: EncoderSpec, grid: GridSpec) -> Self:
        """Make an empty table, atomically.

        Raises
        ------
        StoreExistsError
            If a table is there.
        DamageError
            If there was one, and its log is gone.
        StorageError
            If the disk refuses.
        """
        root: Home = home_of(home) if isinstance(home, Path | str) else home
        about = json.dumps({"encoder": encoder.to_dict(), "grid": grid.to_dict()})
        log = Log(root)
        faults = [] if root.has_table() else log.faults()
        if faults:
            raise DamageError(" ".join(faults))
        try:
            create_table_with_add_actions(
                str(root),
                DeltaSchema.from_arrow(schema.TABLE),
                [],
                "error",
                [schema.PARTITION],
                "embedstore",
                about,
                storage_options=root.delta_options,
            )
        except (DeltaError, OSError) as error:
            if "already exists" in str(error):
                raise StoreExistsError(
                    f"there is a store at {root} already; open it, or choose another path."
                ) from error
            raise StorageError(f"could not make a store at {root}: {why(error, root)}") from error
        log.confirm([0])
        log.seal([commit_name(0)])
        return cls(root)

    @property
    def version(self) -> int:
        """Version of the table that this object shows."""
        return int(self._delta.version())

    def refresh(self) -> None:
        """Move on to the newest version.

        Raises
        ------
        DamageError
            If a file of the log is not what was written; the version stays.
        StorageError
            If the disk or an object store refuses.
        """
        before = self.version
        self._move_on()
        if self.version > before:
            try:
                self._log.check_commits(before + 1, self.version)
            except DamageError:
                self._delta = DeltaTable(self.home.path, version=before, storage_options=self.home.delta_options)
                raise

    def _move_on(self) -> None:
        with self._reading():
            self._delta.update_incremental()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say what hinders deltalake, which reads the log again and again."""
        try:
            yield
        except (DeltaError, OSError) as error:
            self._refuse_damage()
            raise StorageError(f"could not read the log of {self.home}: {why(error, self.home)}") from error

    def _seal_after(self, before: int) -> None:
        """Move on after a commit of ours on a version, and seal it."""
        self._move_on()
        if self.version == before + 1:  # it is ours; else others' are among them, which they may have sealed
            self._log.seal([commit_name(self.version)])
        else:
            self._log.check_commits(before + 1, self.version)
            self._log.seal([])

    def _refuse_damage(self) -> None:
        """Raise what is wrong with the log, if something is."""
        faults = self.log_faults()
        if faults:
            raise DamageError(" ".join(faults))

    def log_faults(self) -> list[str]:
        """Return what is wrong with the files of the log, those that this version needs and others."""
        return self._log.faults()

    def actions(self) -> pa.Table:
        """Return the log's entries of the data files of this version, flat, with Delta's statistics."""
        with self._reading():
            return pa.table(self._delta.get_add_actions(flatten=True))

    def files(self) -> list[DataFile]:
        """Return the data files of this version, sorted by path."""
        actions = self.actions()
        columns = (
            actions[c].to_pylist() for c in ("path", f"partition.{schema.PARTITION}", "size_bytes", "num_records")
        )
        return sorted((DataFile(*row) for row in zip(*columns, strict=True)), key=lambda f: f.path)

    def application(self, name: str) -> int:
        """Return the version that an application last committed, 0 if it never did."""
        with self._reading():
            return self._delta.transaction_version(name) or 0

    def commit(
        self,
        added: Sequence[Part],
        removed: Sequence[DataFile],
        applications: dict[str, int],
        *,
        changes_data: bool = True,
    ) -> bool:
        """Try to commit the next version.

        Parameters
        ----------
        added, removed
            Files that enter and leave the table.
        applications
            Application transactions that this commit names.
        changes_data
            False for a compaction, whose rows stay what they were.

        Returns
        -------
        Whether it was committed; False if another commit came between, in which case nothing changed.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        now, mark = int(time.time() * 1000), uuid.uuid4().hex
        actions: list[Any] = [
            RemoveAction(f.path, changes_data, now, f.size, {schema.PARTITION: f.cell}) for f in removed
        ]
        actions += [AddAction(p.path, p.size, {schema.PARTITION: p.cell}, now, changes_data, p.stats) for p in added]
        try:
            self._delta.create_write_transaction(
                actions,
                "append",
                self._delta.schema(),
                [schema.PARTITION],
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(name, version) for name, version in applications.items()],
                    custom_metadata={MARK: mark},
                    max_commit_retries=15,
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except CommitFailedError:
            if not self._holds(mark):
                return False
        except (DeltaError, OSError) as error:
            if not self._holds(mark):
                raise StorageError(
                    f"could not commit to the table at {self.home}: {why(error, self.home)} Nothing was changed."
                ) from error
        before = self.version
        self._seal_after(before)
        self._log.confirm(range(before + 1, self.version + 1))  # ours, and what others committed around it
        if before // CHECKPOINT < self.version // CHECKPOINT:
            self.checkpoint()
        return True

    def _holds(self, mark: str) -> bool:
        """Tell whether a commit stands that failed as far as we were told.

        An object store may take a commit and its answer be lost; tried again, it is refused because it is there.

        Raises
        ------
        StorageError
            If nobody can tell.
        """
        try:
            newest = DeltaTable(self.home.path, storage_options=self.home.delta_options)
            since = int(newest.version()) - self.version
            return since > 0 and any(one.get(MARK) == mark for one in newest.history(since))
        except (DeltaError, OSError) as error:
            raise StorageError(
                f"a commit to the table at {self.home} failed, and whether it stands cannot be told: "
                f"{why(error, self.home)} Run it again; what is there already is not done twice."
            ) from error

    def checkpoint(self) -> None:
        """Sum up the log in one file, unless the disk refuses: the log is longer to read then, that is all."""
        with suppress(DeltaError, OSError):
            self._delta.create_checkpoint()
            self._log.seal([checkpoint_name(self.version), POINTER])

    def vacuum(self, grace_hours: float) -> list[str]:
        """Delete data files that no version younger than the grace period needs; return their paths."""
        pattern, version = f"{schema.PARTITION}=*/*", self.version
        before = self.home.glob(pattern)
        try:
            self._delta.vacuum(
                retention_hours=math.ceil(grace_hours),
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=self._kept(grace_hours),
            )
        except (DeltaError, OSError) as error:
            raise StorageError(f"could not vacuum the store at {self.home}: {why(error, self.home)}") from error
        self._seal_after(version)  # deltalake commits that it begins and ends
        self._log.sweep()
        # Delta's own list names files again that an earlier vacuum deleted
        return sorted(str(path.relative_to(self.root)) for path in before.keys() - self.home.glob(pattern).keys())

    def _kept(self, grace_hours: float) -> list[int] | None:
        """Return the version that a grace period begins with, if the log may not tell any more what it needs.

        A checkpoint drops removals that are older than :data:`REMEMBERED`; a vacuum takes the files for such as nobody
        ever named, and judges them by their age alone. What later versions need was written later.
        """
        if grace_hours <= REMEMBERED:
            return None
        begin = (time.time() - grace_hours * 3600) * 1000
        before = [one["version"] for one in self._delta.history() if one.get("timestamp", 0) <= begin]
        return [max(before, default=0)]


def gave_up(home: Home, doing: str) -> ConflictError:
    """Return the error of a writer that lost every race."""
    return ConflictError(
        f"could not {doing} at {home}: other writers came first each time. Nothing was changed; run it again."
    )
