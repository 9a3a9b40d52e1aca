"""A store in an object store: S3, Google Cloud Storage, Azure, through obstore.

Files are written into the local folder first and sent before anything names them, each request whole or not at all, so
the promises are those of a disk. What never changes is copied once into the local folder (:mod:`embedstore.cache`) and
mapped from there. The one file that changes, ``_index/CURRENT``, is read each time and replaced by a conditional put
on its ETag: where a disk takes a lock, every machine sees the same compare-and-swap here.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
import time
import uuid
import weakref
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError

from embedstore import cache
from embedstore.cloud import refusals
from embedstore.errors import DamageError, StorageError, storage_errors
from embedstore.ranges import Ranges
from embedstore.sealed import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from embedstore.cloud import Address

PIECE = 8 << 20
"""Bytes of one request: large enough that the wait for an answer is a small part of it."""
AT_ONCE = 8
"""Requests under way at a time."""
SMALL = 4 << 20
"""A file up to this size is copied when a part of it is asked for: one request more or less is all the difference."""
AGAIN = 3
"""Likewise a file of any size that is asked for so often."""
FRESH_S = 2.0
"""Seconds for which nobody looks again whether there is something new."""
HELD = 256
"""Segments that are kept from being removed, those opened last."""


class Bucket:
    """A store in an object store.

    Parameters
    ----------
    address
        Where it lies.
    folder
        Where copies go; a folder of this store's in the cache if None.
    """

    def __init__(self, address: Address, folder: Path | None = None) -> None:
        self._address = address
        self.path: Path | str = str(address)
        self.delta_options: dict[str, str] | None = address.delta_options()
        self._store = address.connect()
        self.folder = folder or cache.home().absolute() / _name(address)
        self._cache = cache.Cache(cache.home() if folder is None else folder, cache.most_bytes())
        with storage_errors("make a folder for copies (EMBEDSTORE_CACHE_DIR)", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._asked: Counter[Path] = Counter()
        self._signature: object = None
        self._looked = -FRESH_S
        self._held: OrderedDict[Path, int] = OrderedDict()
        self._lock = threading.Lock()
        weakref.finalize(self, _let_go, self._held)

    def __str__(self) -> str:
        return str(self.path)

    def has_table(self) -> bool:
        """Tell whether a table was made here."""
        with refusals("open a store at", self):
            names = (str(one["path"]) for page in obstore.list(self._store, "_delta_log") for one in page)
            return any(name.endswith((".json", ".parquet")) for name in names)

    def here(self, path: Path) -> Path:
        """Copy a file, unless it was; return `path`, where nothing is if the store has no such file."""
        if path.is_file():
            cache.used(path)
        else:
            try:
                with refusals(f"read {self._key(path)} of", self):
                    size = int(obstore.head(self._store, self._key(path))["size"])
                    self._copy(path, size)
            except FileNotFoundError:
                return path
        return path

    def whole(self, folder: Path) -> bool:
        """Copy a folder, unless it was, and keep it from being removed; return whether the store has it."""
        for _ in range(2):  # another process may make room between the copy and the hold
            if not (folder / cache.MANIFEST).is_file() and not self._copy_folder(folder):
                return False
            try:
                self._hold(folder)
            except OSError:
                continue
            cache.used(folder / cache.MANIFEST)
            return True
        raise StorageError(f"the copy of {self} has no room for {folder.name}; set a larger EMBEDSTORE_CACHE_GB.")

    def readable(self, path: Path) -> Path | BinaryIO:
        """Return a copy of a file that is small or often asked for, else the file by ranges."""
        self._asked[path] += 1
        if path.is_file() or self._asked[path] >= AGAIN:
            return self.here(path)
        try:
            with refusals(f"read {self._key(path)} of", self):
                size = int(obstore.head(self._store, self._key(path))["size"])
        except FileNotFoundError:
            return path
        return self.here(path) if size <= SMALL else Ranges(self._store, self._key(path), size, self)  # type: ignore[return-value]

    def pointer(self, path: Path) -> dict[str, Any] | None:
        """Read sealed JSON, None if there is none."""
        found = self._get(path)
        return None if found is None else unseal(found[0], f"{self}/{self._key(path)}")

    def swap(self, path: Path, body: dict[str, Any], still: Callable[[], bool]) -> bool:
        """Write sealed JSON if `still` holds and nobody else wrote since it was asked."""
        before = self._get(path)
        if not still():
            return False
        mode: Any = "create" if before is None else before[1]
        try:
            with refusals(f"write {self._key(path)} of", self):
                obstore.put(self._store, self._key(path), seal(body), mode=mode)
        except StorageError as error:
            if isinstance(error.__cause__, (AlreadyExistsError, PreconditionError)):
                return False
            raise
        return True

    def keep(self, paths: Iterable[Path]) -> None:
        """Send files, and folders with what describes them last; each is in the store when this returns."""
        files: list[Path] = []
        last: list[Path] = []
        for path in paths:
            inside = sorted(path.iterdir()) if path.is_dir() else [path]
            files += [file for file in inside if file.name != cache.MANIFEST]
            last += [file for file in inside if file.name == cache.MANIFEST]
        with refusals("write to", self), ThreadPoolExecutor(AT_ONCE) as pool:
            for group in (files, last):
                list(pool.map(self._send, group))

    def confirm(self, path: Path) -> None:
        """Do nothing: an object store answers when the bytes are safe."""

    def remove(self, path: Path) -> None:
        """Remove a file or folder from the store, and its copy."""
        key = self._key(path)
        with refusals(f"remove {key} of", self):
            names = [str(one["path"]) for page in obstore.list(self._store, key) for one in page]
            for name in names or [key]:
                try:
                    obstore.delete(self._store, name)
                except FileNotFoundError:
                    continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def glob(self, pattern: str) -> dict[Path, float]:
        """Return files and folders by a pattern; a folder was written when the last of its files was."""
        parts = pattern.split("/")
        fixed = [part for part in parts if not any(c in part for c in "*?[")]
        prefix = "/".join(parts[: len(fixed)]) if parts[: len(fixed)] == fixed else ""
        found: dict[Path, float] = {}
        with refusals("list", self):
            for page in obstore.list(self._store, prefix or None):
                for one in page:
                    names = PurePosixPath(str(one["path"])).parts[: len(parts)]
                    if len(names) == len(parts) and all(map(fnmatch.fnmatchcase, names, parts)):
                        path = self.folder.joinpath(*names)
                        found[path] = max(found.get(path, 0.0), one["last_modified"].timestamp())
        return found

    def digest(self, path: Path) -> tuple[int, str] | None:
        """Return a file's bytes in the store and their SHA-256, None if it is missing."""
        key, digest = self._key(path), hashlib.sha256()
        try:
            with refusals(f"read {key} of", self):
                size = int(obstore.head(self._store, key)["size"])
                for start in range(0, size, PIECE):
                    digest.update(obstore.get_range(self._store, key, start=start, end=min(start + PIECE, size)))
        except FileNotFoundError:
            return None
        return size, digest.hexdigest()

    def afresh(self) -> Bucket:
        """Return the same store with no copies, in a folder that goes with it."""
        folder = Path(tempfile.mkdtemp(prefix="embedstore-"))
        other = Bucket(self._address, folder)
        weakref.finalize(other, shutil.rmtree, folder, ignore_errors=True)
        return other

    def signature(self, version: int) -> object:
        """Return the newest commit and the live index: two small requests, and none for :data:`FRESH_S` seconds."""
        if time.monotonic() - self._looked < FRESH_S:
            return self._signature
        log, offset = "_delta_log", f"_delta_log/{version:020}.json"
        with refusals("look at", self):
            names = (str(one["path"]) for page in obstore.list(self._store, log, offset=offset) for one in page)
            newest = max((name for name in names if name.endswith(".json")), default=offset)
        current = self._get(self.folder / "_index" / "CURRENT")
        self._signature, self._looked = (newest, current and current[1]["e_tag"]), time.monotonic()
        return self._signature

    def _key(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _get(self, path: Path) -> tuple[bytes, Any] | None:
        """Return a small file's bytes, and what names just these."""
        key = self._key(path)
        try:
            with refusals(f"read {key} of", self):
                answer = obstore.get(self._store, key)
                name = {"e_tag": answer.meta["e_tag"], "version": answer.meta["version"]}
                return bytes(answer.bytes()), {key: value for key, value in name.items() if value is not None}
        except FileNotFoundError:
            return None

    def _send(self, path: Path) -> None:
        obstore.put(self._store, self._key(path), path, chunk_size=PIECE, max_concurrency=2)
        cache.sent(path)
        self._cache.added(path.stat().st_size)

    def _copy_folder(self, folder: Path) -> bool:
        """Copy all files under a name, which then appear at once."""
        with refusals(f"read {self._key(folder)} of", self):
            pages = obstore.list(self._store, self._key(folder))
            sizes = {PurePosixPath(str(one["path"])).name: int(one["size"]) for page in pages for one in page}
        if cache.MANIFEST not in sizes:
            return False
        draft = folder.with_name(f".draft-{uuid.uuid4().hex}")
        with storage_errors("copy a part of the index", self.folder):
            draft.mkdir(parents=True)
        try:
            with refusals(f"read {self._key(folder)} of", self):
                for name, size in sizes.items():
                    self._fetch(f"{self._key(folder)}/{name}", draft / name, size)
            cache.sent(draft / cache.MANIFEST)
            self._cache.added(sum(sizes.values()))
            draft.rename(folder)
        except OSError as error:
            if isinstance(error, FileNotFoundError):  # it was removed from the store meanwhile
                return False
            if not (folder / cache.MANIFEST).is_file():  # else another process copied it: the same bytes
                raise StorageError(f"could not copy {self._key(folder)} to {self.folder}: {error}.") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return True

    def _copy(self, path: Path, size: int) -> None:
        """Copy one file, which then appears whole; one that carries its digest in its name must have it."""
        with storage_errors("copy a file", self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".draft-{uuid.uuid4().hex}")
        try:
            self._fetch(self._key(path), draft, size)
            promised = re.search(r"-([0-9a-f]{32})\.(?:parquet|arrow)$", path.name)
            if promised:
                with draft.open("rb") as file:
                    if not hashlib.file_digest(file, "sha256").hexdigest().startswith(promised[1]):
                        raise DamageError(
                            f"the file {self}/{self._key(path)} is damaged: its digest is not the one in its name. "
                            "Run `embedstore verify`."
                        )
            cache.sent(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self._cache.added(size)

    def _fetch(self, key: str, to: Path, size: int) -> None:
        """Read an object by pieces, several at a time, into a file."""
        with to.open("wb") as file:
            handle = file.fileno()

            def piece(start: int) -> None:
                part = obstore.get_range(self._store, key, start=start, end=min(start + PIECE, size))
                os.pwrite(handle, part, start)

            starts = range(0, size, PIECE)
            if len(starts) <= 1:
                list(map(piece, starts))
            else:
                with ThreadPoolExecutor(min(len(starts), AT_ONCE)) as pool:
                    list(pool.map(piece, starts))

    def _hold(self, folder: Path) -> None:
        with self._lock:
            if folder in self._held:
                self._held.move_to_end(folder)
            elif not (folder / cache.MANIFEST).stat().st_mode & stat.S_IWUSR:
                self._held[folder] = cache.hold(folder)
                while len(self._held) > HELD:
                    os.close(self._held.popitem(last=False)[1])


def _name(address: Address) -> str:
    """Return the folder of a store's copies: legible, and another for another server."""
    digest = hashlib.sha256(f"{address.endpoint} {address}".encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', str(address))}-{digest[:16]}"


def _let_go(held: OrderedDict[Path, int]) -> None:
    for handle in held.values():
        os.close(handle)
