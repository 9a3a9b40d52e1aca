"""Where a store's files are kept: a local folder, or an object store, of which a local folder then holds copies.

Everything that reads or writes a store names its files by their paths under one folder, and asks its home to have them
there, to keep what was written there, or to remove it. On a local disk the folder is the store, and most of this does
nothing; see :mod:`embedstore.bucket` for the other kind.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Protocol

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from embedstore import cloud
from embedstore.errors import StorageError, storage_errors
from embedstore.geoparquet import DATA, check_digest
from embedstore.sealed import WHOLE, digest_of, locked, read_json, sync_file, sync_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO


class Home(Protocol):
    """The files of one store.

    Attributes
    ----------
    path
        Of the store, as :meth:`embedstore.store.Store.open` takes it: a folder, or a URI. So is ``str`` of a home.
    folder
        Where the files lie on this machine; every path below is under it.
    delta_options
        ``storage_options`` of deltalake.
    """

    path: Path | str
    folder: Path
    delta_options: dict[str, str] | None

    def has_table(self) -> bool:
        """Tell whether a table was made here."""

    def here(self, path: Path) -> Path:
        """Have a file that never changes under `folder`, if the store has it; return `path`."""

    def whole(self, folder: Path) -> bool:
        """Have a folder of files that never change under `folder`; return whether the store has it."""

    def readable(self, path: Path) -> Path | BinaryIO:
        """Return what to read scattered parts of a file from."""

    def pointer(self, path: Path) -> dict[str, Any] | None:
        """Read sealed JSON that may change, None if there is none; raises DamageError."""

    def swap(self, path: Path, body: dict[str, Any], still: Callable[[], bool]) -> bool:
        """Write sealed JSON if `still` holds, as one step; return whether it was written."""

    def keep(self, paths: Iterable[Path]) -> None:
        """Make files and folders that were written under `folder` part of the store, in this order."""

    def confirm(self, path: Path) -> None:
        """Make a file that deltalake wrote, or the names in a folder of its, outlast a power failure."""

    def remove(self, path: Path) -> None:
        """Remove a file or folder, if it is there."""

    def glob(self, pattern: str) -> dict[Path, float]:
        """Return files and folders by a pattern from `folder`, and when each was last written, seconds since 1970."""

    def digest(self, path: Path) -> tuple[int, str] | None:
        """Return the bytes of a file as the store has it now, and their SHA-256 in hex; None if it is missing.

        Raises DamageError if it cannot be read.
        """

    def afresh(self) -> Home:
        """Return the same files, read anew: no copy made before is believed."""

    def signature(self, version: int) -> object:
        """Return what differs once there is a version after this one, or another live index."""


class Folder:
    """A store in a local folder.

    Parameters
    ----------
    path
        The folder.
    """

    delta_options: dict[str, str] | None = None

    def __init__(self, path: Path) -> None:
        self.path: Path | str = path
        self.folder = path
        self._sound: set[Path] = set()

    def __str__(self) -> str:
        return str(self.folder)

    def has_table(self) -> bool:
        """Tell whether a table was made here; a log without a commit was left by a process that died making one."""
        with storage_errors("open a store", self.folder):
            if not (self.folder / "_delta_log").is_dir():
                return False
            try:
                return DeltaTable.is_deltatable(str(self.folder))
            except DeltaError as error:
                raise StorageError(f"could not open a store at {self.folder}: {cloud.plain(error)}.") from error

    def here(self, path: Path) -> Path:
        """Return `path`; a data file is checked against the digest in its name when it is first asked for."""
        if path.suffix == DATA and path not in self._sound:
            check_digest(path)
            self._sound.add(path)
        return path

    def whole(self, folder: Path) -> bool:
        """Tell whether the folder is there."""
        return folder.is_dir()

    def readable(self, path: Path) -> Path | BinaryIO:
        """Return `path`; a data file that is not large is checked whole when it is first asked for."""
        try:
            large = path.stat().st_size > WHOLE
        except OSError:
            return path  # who reads it will say so
        return path if large else self.here(path)

    def pointer(self, path: Path) -> dict[str, Any] | None:
        """Read sealed JSON, None if there is none."""
        return read_json(path) if path.exists() else None

    def swap(self, path: Path, body: dict[str, Any], still: Callable[[], bool]) -> bool:
        """Write sealed JSON if `still` holds, under a lock beside it."""
        with locked(path.with_name("lock")):
            if not still():
                return False
            write_json(path, body)
        return True

    def keep(self, paths: Iterable[Path]) -> None:
        """Do nothing: who wrote them made them durable."""

    def confirm(self, path: Path) -> None:
        """Sync a file or a folder."""
        (sync_folder if path.is_dir() else sync_file)(path)

    def remove(self, path: Path) -> None:
        """Remove a file or folder, if it is there."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def glob(self, pattern: str) -> dict[Path, float]:
        """Return files and folders by a pattern, and when each was last written."""
        found = {}
        for path in self.folder.glob(pattern):
            try:
                found[path] = path.stat().st_mtime
            except OSError:  # another process removed it
                continue
        return found

    def digest(self, path: Path) -> tuple[int, str] | None:
        """Return a file's bytes and their SHA-256, None if it is missing."""
        digest = digest_of(path)
        return None if digest is None else (path.stat().st_size, digest)

    def afresh(self) -> Folder:
        """Return itself: there are no copies."""
        return self

    def signature(self, version: int) -> object:  # noqa: ARG002 - the log's time tells without it
        """Return when the log and the live index last changed."""
        current = self.folder / "_index" / "CURRENT"
        return (self.folder / "_delta_log").stat().st_mtime_ns, current.stat().st_mtime_ns if current.exists() else 0


def home_of(path: str | Path) -> Home:
    """Return the home at a path or URI, whether there is a store or not.

    Raises
    ------
    InputError
        If the URI makes no sense.
    MissingExtraError
        If it needs obstore, which is not installed.
    """
    address = cloud.parse(path)
    if isinstance(address, cloud.Address):
        from embedstore.bucket import Bucket  # noqa: PLC0415 - needs an extra

        return Bucket(address)
    return Folder(address)
