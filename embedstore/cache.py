"""Copies of remote files on this machine, under a size cap: what was not used for longest goes first.

A name in a store never means other bytes: data files, row maps and codebooks carry their digest, segments are named by
a uuid that is used once and hold their digests. So a copy that was whole when it came is right for ever.

A copy is marked as one by being read-only; what a writer has not sent yet is writable, and stays. A segment's mark is
its manifest's. Who has a segment open holds a lock on that manifest, which the kernel lets go of with the process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from embedstore.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_GB = 50.0
MANIFEST = "manifest.json"
SPARED_S = 60
"""Seconds for which a copy stays after it was last asked for: whoever asked must have the time to open it."""
ABANDONED_S = 86_400
"""Seconds after which what a writer began and never sent is taken to be a dead one's."""
SLACK = 64
"""The cap is looked after each time that this part of it has come in."""


def home() -> Path:
    """Return the folder of all copies: EMBEDSTORE_CACHE_DIR, or the user's cache folder."""
    chosen = os.environ.get("EMBEDSTORE_CACHE_DIR")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedstore"


def most_bytes() -> int:
    """Return the size cap: EMBEDSTORE_CACHE_GB, or 50.

    Raises
    ------
    InputError
        If the variable holds no number of gigabytes above 0.
    """
    text = os.environ.get("EMBEDSTORE_CACHE_GB", str(DEFAULT_GB))
    try:
        most = float(text)
    except ValueError:
        most = 0.0
    if not 0 < most < float("inf"):
        raise InputError(f"EMBEDSTORE_CACHE_GB={text} is no size in gigabytes; set it to a number like 20.")
    return int(most * 1e9)


class Cache:
    """The copies, as one process adds to them.

    Parameters
    ----------
    root
        Folder of all copies, of all stores.
    most
        Bytes that they may take.
    """

    def __init__(self, root: Path, most: int) -> None:
        self.root = root
        self._most = most
        self._since = most  # so that the first copy looks after the cap, which another process may have left exceeded

    def added(self, size: int) -> None:
        """Note that so many bytes came in, and make room if it is time."""
        self._since += size
        if self._since >= self._most // SLACK:
            self._since = 0
            self.make_room()

    def make_room(self) -> None:
        """Remove copies until the rest fits."""
        entries = sorted(_entries(self.root))
        total = sum(size for _, size, _ in entries)
        for used, size, path in entries:
            if total <= self._most or used > time.time() - SPARED_S:
                return
            if _removed(path):
                total -= size


def used(path: Path) -> None:
    """Note that a copy is in use now."""
    with suppress(OSError):
        os.utime(path)


def sent(path: Path) -> None:
    """Mark a file as a copy of what the store has."""
    path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)


def hold(segment: Path) -> int:
    """Keep a copied segment from being removed until the descriptor returned is closed.

    Raises
    ------
    OSError
        If it is gone.
    """
    handle = os.open(segment / MANIFEST, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    if not (segment / MANIFEST).exists():  # removed between the two lines
        os.close(handle)
        raise FileNotFoundError(segment)
    return handle


def _entries(root: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each copy was last used, its bytes, and the copy: a segment's folder, or a file."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        try:
            if here.parent.name == "segments" or here.name.startswith(".draft-"):
                folders.clear()
                mark = here / MANIFEST
                about = mark.stat() if mark.exists() else here.stat()
                if _may_go(about):
                    yield about.st_mtime, sum((here / name).stat().st_size for name in names), here
                continue
            for name in names:
                about = (here / name).stat()
                if _may_go(about):
                    yield about.st_mtime, about.st_size, here / name
        except OSError:  # another process removed it
            continue


def _may_go(about: os.stat_result) -> bool:
    copied = stat.S_ISREG(about.st_mode) and not about.st_mode & stat.S_IWUSR
    return copied or about.st_mtime < time.time() - ABANDONED_S


def _removed(path: Path) -> bool:
    """Remove a copy unless it is held; return whether it is gone."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    mark = path / MANIFEST
    if mark.exists():
        with mark.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            mark.unlink(missing_ok=True)  # first: who comes now sees that it is going
            shutil.rmtree(path, ignore_errors=True)
            return True
    shutil.rmtree(path, ignore_errors=True)
    return True
