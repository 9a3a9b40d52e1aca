"""One way out for every format: the chips of a filter, written whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstore.errors import InputError, storage_errors
from query.export import bundle, chips, geojson, parquet, stac
from query.filters import Filter
from query.output import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from query.engine import Engine
    from query.searcher import Searcher

FORMATS = ("geoparquet", "geojson", "stac", "map")
FOLDERS = ("stac", "map")
_BY_SUFFIX = {".parquet": "geoparquet", ".geoparquet": "geoparquet", ".geojson": "geojson", ".json": "geojson"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Parameters
    ----------
    chips
        How many.
    format
        Of :data:`FORMATS`.
    path
        File, or folder.
    """

    chips: int
    format: str
    path: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def choose_format(name: str | None, path: Path) -> str:
    """Return the format asked for by name, else by the suffix of the file.

    Raises
    ------
    InputError
        If there is no such format, or nothing tells which.
    """
    chosen = name or _BY_SUFFIX.get(path.suffix.lower(), "")
    if chosen not in FORMATS:
        asked = f"there is no format {name!r}" if name else f"{path} does not tell its format by its name"
        raise InputError(f"{asked}; choose one of {', '.join(FORMATS)} by --format.")
    return chosen


def export(
    engine: Engine,
    path: str | Path,
    form: str | None = None,
    *,
    bbox: Sequence[float] | None = None,
    within: Any = None,
    cells: Iterable[str | int] | None = None,
    between: Any = None,
    where: str | None = None,
    licence: str = "proprietary",
) -> Exported:
    """Write the chips of a filter to a file, or to a folder that appears whole or not at all.

    Parameters
    ----------
    engine
        Of the store.
    path
        File for ``geoparquet`` and ``geojson``; for ``stac`` and ``map`` a folder that is not there, or
        empty.
    form
        One of :data:`FORMATS`; by the suffix of the path if None.
    bbox, within, cells, between, where
        Which chips; see :meth:`query.engine.Engine.search`. All if none is given.
    licence
        What STAC says of it: an SPDX identifier, ``proprietary`` or ``various``.

    Raises
    ------
    InputError
        If a part of the question makes no sense.
    StorageError
        If the disk refuses.
    DamageError
        If the table is damaged.
    LimitError
        If there are more chips than a map in a browser takes.
    """
    path = Path(path)
    chosen = choose_format(form, path)
    filter_ = Filter.parse(bbox, within, cells, between, where)
    if chosen in FOLDERS and path.exists() and (path.is_file() or any(path.iterdir())):
        raise InputError(f"{path} is there already; this format goes to a folder that is not there, or empty.")

    def of(searcher: Searcher) -> Exported:
        found = chips.of(searcher, filter_)
        if chosen in FOLDERS:
            name = Path(str(engine.store.path)).name
            with _whole(path) as draft:
                if chosen == "stac":
                    stac.write(found, draft, name, engine.store.grid.partition_resolution, licence)
                else:
                    bundle.write(found, draft, name)
        else:
            write = parquet.write if chosen == "geoparquet" else geojson.write
            replace_file(path, lambda draft: write(found, draft))
        return Exported(len(found), chosen, str(path))

    return engine.ask(of)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield a draft that takes a folder's place when all is written."""
    draft = folder.absolute().parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp"
    with storage_errors("write", folder):
        try:
            draft.mkdir(parents=True)
            yield draft
            if folder.is_dir():
                folder.rmdir()
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
