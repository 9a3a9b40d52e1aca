"""The data files of a store, as DuckDB opens them: each is checked first, and copied here if it is in an object store.

DuckDB reads Parquet without looking at the checksums of its pages, so a file must be known to be what was written. It
chooses the files of a statement by partition and asks for these alone; each is checked once. It has no network of its
own: what it can open is what this answers for, the files of one snapshot and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from embedstore.snapshot import Snapshot

PROTOCOL = "embedstore"


class SnapshotFiles(AbstractFileSystem):  # type: ignore[misc]
    """The files of one snapshot, read-only, under ``embedstore://``.

    Parameters
    ----------
    snapshot
        The version whose files these are.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._home = snapshot.home
        self._sizes = {file.path: file.size for file in snapshot.files}

    @classmethod
    def called(cls, name: str) -> type[SnapshotFiles]:
        """Return the same under a protocol of its own, for another store in the same connection."""
        return type("AttachedFiles", (cls,), {"protocol": f"{PROTOCOL}-{name.replace('_', '-')}"})

    @classmethod
    def uri(cls, path: str) -> str:
        """Return what a statement calls a data file."""
        return f"{cls.protocol}://{path}"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix(f"{cls.protocol}://")

    def open(self, path: str, mode: str = "rb", **_: Any) -> mmap:
        """Map a data file: DuckDB closes nothing, and a map needs no closing.

        Raises
        ------
        DamageError
            If it is not what was written.
        """
        name = self._strip_protocol(path)
        if mode != "rb" or name not in self._sizes:
            raise PermissionError(f"{name} is no file of this version of the store.")
        with self._home.here(self._home.folder / name).open("rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)

    def size(self, path: str) -> int:
        """Return a data file's bytes."""
        return self._sizes[self._strip_protocol(path)]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return a data file's name and size."""
        name = self._strip_protocol(path)
        if name not in self._sizes:
            raise FileNotFoundError(name)
        return {"name": name, "size": self._sizes[name], "type": "file"}

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - the same for all
        """Return a moment that never changes, as the files do not."""
        return datetime.fromtimestamp(0, UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the path itself if it is a data file's; there are no patterns."""
        name = self._strip_protocol(path)
        return [name] if name in self._sizes else []
