"""The scenes that a store's chips were cut from: which they are, and where their files lie."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from embedstore.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedstore.home import Home

FIELDS = ("item", "href", "modality")


@dataclass(frozen=True, slots=True, order=True)
class Scene:
    """A file that chips were cut from.

    Parameters
    ----------
    item
        Its identity in the store.
    href
        Where the store says that it lies.
    modality
        What the encoder took it for.
    """

    item: str
    href: str
    modality: str

    @property
    def path(self) -> Path | None:
        """The file, if it is a local one and still there."""
        path = Path(self.href)
        return path if self.href and path.is_file() else None


class Scenes:
    """The scenes of a store. Data files never change, so each is looked through once.

    Parameters
    ----------
    home
        The store's files.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._of_file: dict[str, frozenset[Scene]] = {}
        self._lock = threading.Lock()

    def of(self, files: Iterable[str]) -> dict[str, Scene]:
        """Return the scenes of some data files, by item.

        Raises
        ------
        DamageError
            If a data file cannot be read.
        """
        with self._lock:
            found: set[Scene] = set()
            for file in files:
                if file not in self._of_file:
                    self._of_file[file] = _read(self._home.readable(self._home.folder / file), file)
                found |= self._of_file[file]
        return {scene.item: scene for scene in sorted(found)}


def _read(source: Path | BinaryIO, path: str) -> frozenset[Scene]:
    found: set[Scene] = set()
    columns = [f"inputs.list.element.{name}" for name in FIELDS]
    try:
        with pq.ParquetFile(source, pre_buffer=not isinstance(source, Path)) as file:
            for batch in file.iter_batches(columns=columns):
                inputs = batch.column("inputs").flatten()
                table = pa.table({name: inputs.field(name) for name in FIELDS}).group_by(list(FIELDS)).aggregate([])
                found |= {
                    Scene(row["item"] or "", row["href"] or "", row["modality"] or "") for row in table.to_pylist()
                }
    except (OSError, pa.ArrowException, LookupError, UnicodeDecodeError) as error:
        raise DamageError(f"the data file {path} cannot be read ({error}). Run `embedstore verify`.") from error
    return frozenset(found)
