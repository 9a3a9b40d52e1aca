"""The seals of the Delta log: the digest of each of its files, kept as the name of an empty file.

A bit that changes in the log can hide rows, or bring deleted ones back, and nothing in its format tells. So whoever
commits leaves ``_log/<name of the log file>-<digest>``, and whoever opens the table compares. What has no seal yet,
because another library committed it or a writer died in between, is believed; the next of our writers that has read it
seals it. Of a store in an object store nothing is sealed: that keeps checksums itself, and a seal would be a request.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from embedstore.errors import DamageError, StorageError
from embedstore.sealed import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from embedstore.home import Home

POINTER = "_last_checkpoint"
_VERSION = re.compile(r"(\d{20})\.(json|checkpoint\..*)")
_AGAIN_S = 0.1
"""A checkpoint may be written over by one that knows as much; its new seal follows at once."""


def commit_name(version: int) -> str:
    """Return the name of the log file of a commit."""
    return f"{version:020}.json"


def checkpoint_name(version: int) -> str:
    """Return the name of the log file that sums up all commits up to one."""
    return f"{version:020}.checkpoint.parquet"


def _version(name: str) -> int:
    """Return the version that a log file belongs to, -1 if to none."""
    found = _VERSION.fullmatch(name)
    return int(found[1]) if found else -1


def _newest_checkpoint(names: Iterable[str]) -> int:
    """Return the version of the newest checkpoint among log files, -1 if there is none."""
    sums_up = (name for name in names if name.endswith(".checkpoint.parquet"))
    return max((_version(name) for name in sums_up if name == checkpoint_name(_version(name))), default=-1)


def _superfluous(name: str, checkpoint: int) -> bool:
    """Tell whether the newest version can do without a log file, as a checkpoint says the same."""
    return 0 <= _version(name) <= checkpoint and name != checkpoint_name(checkpoint)


class Log:
    """The log of a store and its seals.

    Parameters
    ----------
    home
        Of the store.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._folder = home, home.folder / "_delta_log"
        self._seals = home.folder / "_log"
        self._local = home.delta_options is None
        self._unsealed: set[str] = set()

    def check(self, version: int, *, newest: bool) -> None:
        """Make sure of the files that one version was read from.

        Parameters
        ----------
        version
            The version.
        newest
            Whether it was taken for the newest, so that none may be missing after it.

        Raises
        ------
        DamageError
            If one is damaged or missing.
        """
        if not self._local:
            return
        sealed = self._sealed()  # before the log is looked at: what is sealed now must be there then
        there = self._names()
        start = _newest_checkpoint(name for name in there if name[:20] <= commit_name(version)[:20])
        since = commit_name(start)[:20]
        known = {name for name in there | sealed.keys() if start < 0 or name >= since}
        last = max([version, *map(_version, known & sealed.keys())]) if newest else version
        used = {name for name in known & there if start <= _version(name) <= last}
        gone = {name for name in known - there if name.endswith(".json") and start < _version(name) <= last}
        self._demand(sorted(used | gone), sealed)

    def check_commits(self, first: int, last: int) -> None:
        """Make sure of the files of commits that were read after others; raises as :meth:`check`."""
        if self._local:
            sums_up = (checkpoint_name(v) for v in range(first, last + 1))
            there = [name for name in sums_up if (self._folder / name).exists()]
            self._demand([*map(commit_name, range(first, last + 1)), *there], None)

    def confirm(self, versions: Iterable[int]) -> None:
        """Make commits durable.

        Raises
        ------
        StorageError
            If the disk does not say that they are.
        """
        version = 0
        try:
            for version in versions:
                self._home.confirm(self._folder / commit_name(version))
            self._home.confirm(self._folder)
        except OSError as error:
            raise StorageError(
                f"the commit of version {version} to {self._home} stands, but the disk does not confirm it "
                f"({error.strerror or error}); it may not outlast a power failure. Check the disk."
            ) from error

    def seal(self, names: Iterable[str]) -> None:
        """Seal files that we wrote, and those that we have read and nobody has sealed.

        A disk that refuses is no fault of the commit; the next writer tries again.
        """
        if not self._local:
            return
        with suppress(OSError):
            self._seals.mkdir(exist_ok=True)
            for name in (*names, *self._unsealed):
                (self._seals / f"{name}-{self._digest(name)}").touch()
                self._unsealed.discard(name)

    def faults(self) -> list[str]:
        """Return what is wrong with the files of the log, used or not, one sentence each."""
        return [fault for _, fault in self._faults()]

    def mend(self) -> list[str]:
        """Remove damaged checkpoints if the commits that they sum up are there, whole; return what was removed.

        A checkpoint says nothing that the commits do not say.
        """
        found = dict(self._faults())
        gone = [name for name in found if not name.endswith(".json")]
        if not gone:
            return []
        sound = self._names() - found.keys()
        base = _newest_checkpoint(sound)
        last = max(_version(name) for name in sound | found.keys())
        if not all(commit_name(v) in sound for v in range(base + 1, last + 1)):
            return []
        self._forget({*gone, POINTER})  # which may name what is gone
        return [f"{self._folder / name} was given up: the commits say the same." for name in gone]

    def sweep(self) -> None:
        """Remove the seals of files that a newer checkpoint made superfluous and another library removed."""
        if self._local:
            sealed, there = self._sealed(), self._names()
            self._forget({name for name in sealed.keys() - there if _superfluous(name, _newest_checkpoint(there))})

    def _faults(self) -> list[tuple[str, str]]:
        if not self._local:
            return []
        sealed = self._sealed()
        there = self._names()
        gone = {name for name in sealed.keys() - there if not _superfluous(name, _newest_checkpoint(there))}
        names = sorted(gone | {name for name in there if _version(name) >= 0 or name == POINTER})
        return [(name, fault) for name in names if (fault := self._fault(name, sealed))]

    def _demand(self, names: Iterable[str], sealed: dict[str, set[str]] | None) -> None:
        """Raise what is wrong with files, and note which have no seal; seals are listed only if one is not found."""
        found = []
        for name in names:
            with suppress(OSError):
                if (self._seals / f"{name}-{self._digest(name)}").exists():
                    continue
            sealed = self._sealed() if sealed is None else sealed
            fault = self._fault(name, sealed)
            if fault:
                found.append(fault)
            else:
                self._unsealed.add(name)
        if found:
            raise DamageError(" ".join(found))

    def _fault(self, name: str, sealed: dict[str, set[str]]) -> str | None:
        """Return what is wrong with a file of the log."""
        path = self._folder / name
        what_to_do = (
            "Restore it from a copy; the versions before it can be opened without it."
            if name.endswith(".json")
            else "Run `embedstore repair`, which does without it if the commits are there."
        )
        try:
            if name not in sealed or self._digest(name) in sealed[name]:
                path.open("rb").close()
                return None
            time.sleep(_AGAIN_S)
            if (self._seals / f"{name}-{self._digest(name)}").exists():
                return None
        except FileNotFoundError:
            return f"the file {path} of the log is missing. {what_to_do}"
        except OSError as error:
            return f"the file {path} of the log cannot be read ({error.strerror or error}). {what_to_do}"
        return f"the file {path} of the log is damaged: it is not what was sealed. {what_to_do}"

    def _digest(self, name: str) -> str:
        return sha256(self._folder / name)[:32]

    def _names(self) -> set[str]:
        return _names(self._folder)

    def _sealed(self) -> dict[str, set[str]]:
        """Return the digests of every file that has some: one, unless a checkpoint was written again."""
        sealed: dict[str, set[str]] = {}
        for seal in _names(self._seals):
            name, _, digest = seal.rpartition("-")
            sealed.setdefault(name, set()).add(digest)
        return sealed

    def _forget(self, names: Iterable[str]) -> None:
        """Remove files of the log and their seals."""
        sealed = self._sealed()
        for name in names:
            for path in (self._folder / name, *(self._seals / f"{name}-{digest}" for digest in sealed.get(name, ()))):
                path.unlink(missing_ok=True)


def _names(folder: Path) -> set[str]:
    """Return the names in a folder, none if it is not there.

    Raises
    ------
    DamageError
        If it cannot be read.
    """
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - ten thousand paths take ten times as long as their names
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise DamageError(
            f"the folder {folder} cannot be read ({error.strerror or error}). Fix the disk or its permissions."
        ) from error
