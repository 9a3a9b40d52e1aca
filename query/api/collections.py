"""The stores that are served: an engine each, kept at the newest version, and what there is to know about it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from embedstore.errors import InputError
from embedstore.extras import faiss
from query.api.problems import Problem
from query.api.scenes import Scenes
from query.api.shelf import Shelf
from query.api.tilecache import Tiles
from query.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from query.api.scenes import Scene
    from query.api.settings import Settings
    from query.searcher import Searcher
    from query.sql import Limits, Session

T = TypeVar("T")
LOG = logging.getLogger("embedstore.service")
METRES_A_DEGREE = 111_195.0
"""Of latitude, on the mean sphere."""


class Collection:
    """A store as the service shows it.

    Parameters
    ----------
    path
        The store's folder; its name is the collection's id.
    settings
        The limits.

    Raises
    ------
    NotAStoreError
        If there is no store.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.id = path.absolute().name
        self.path = path
        self.engine = Engine(path)
        self.shelf = Shelf(self.engine.store.home, settings.cache_mb << 20)
        self.tiles = Tiles(lambda: self.version, settings.tile_cache_mb << 20)
        self._scenes = Scenes(self.engine.store.home)
        self._seen = self._signature()
        self._moving = threading.Lock()
        self._described: tuple[int, dict[str, Any]] | None = None
        self._sessions: list[Session] = []

    @property
    def version(self) -> int:
        """Version of the table that is answered from."""
        return self.engine.snapshot.version

    @property
    def chip_metres(self) -> float:
        """Side of a chip on the ground."""
        encoder = self.engine.store.encoder
        return encoder.chip_size * encoder.gsd

    def ask(self, of: Callable[[Searcher], T]) -> T:
        """Answer from one searcher; see :class:`query.engine.Engine`."""
        one_thread()
        return self.engine.ask(of)

    @property
    def bounded(self) -> Engine:
        """The engine, for one thread of the service's own."""
        one_thread()
        return self.engine

    def refresh(self) -> None:
        """Move on to the newest version and index, if there is one that was not seen."""
        with self._moving:
            signature = self._signature()
            if signature != self._seen:
                self.engine.refresh()
                self._seen = signature
                LOG.info("moved on", extra={"fields": {"collection": self.id, "version": self.version}})

    def _signature(self) -> object:
        """Return what changes with every commit and every index."""
        return self.engine.store.home.signature(self.version)

    def session(self, limits: Limits) -> Session:
        """Return the SQL session of the version that is answered from; the one before lives on for its statements."""
        from query.sql import Session  # noqa: PLC0415 - only statements need it

        with self._moving:
            if not self._sessions or self._sessions[-1].version != self.version:
                self._sessions.append(Session(self.engine, limits))
            for old in self._sessions[:-2]:
                old.close()
            del self._sessions[:-2]
            return self._sessions[-1]

    def close(self) -> None:
        """End what runs beside the service."""
        with self._moving:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def scenes(self) -> dict[str, Scene]:
        """Return the scenes that the chips were cut from, by item."""
        return self._scenes.of(file.path for file in self.engine.snapshot.files)

    def describe(self) -> dict[str, Any]:
        """Return what ``GET /collections/{c}`` says, without links."""
        version = self.version
        if self._described is None or self._described[0] != version:
            self._described = (version, self.ask(self._describe))
        return self._described[1]

    def _describe(self, searcher: Searcher) -> dict[str, Any]:
        encoder, pieces = self.engine.store.encoder, searcher.snapshot.pieces
        return {
            "id": self.id,
            "title": self.id.replace("_", " "),
            "itemType": "feature",
            "crs": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"],
            "chips": sum(piece.count for piece in pieces),
            "extent": {
                "spatial": {"bbox": [self._bounds(searcher)]},
                "temporal": {"interval": [_span(searcher)]},
            },
            "encoder": {
                "name": encoder.name,
                "dimension": encoder.dimension,
                "fingerprint": encoder.fingerprint,
                "modalities": [{"name": m.name, "bands": list(m.bands)} for m in encoder.modalities],
                "chip_size": encoder.chip_size,
                "gsd": encoder.gsd,
            },
            "chip_metres": self.chip_metres,
            "version": searcher.snapshot.version,
        }

    def _bounds(self, searcher: Searcher) -> list[float]:
        """Return west, south, east, north of all chips: of their centres, widened by half a chip's diagonal."""
        found = [_extremes(lon, lat) for lon, lat in _columns(searcher, "lon", "lat") if len(lon)]
        if not found:
            return [-180.0, -90.0, 180.0, 90.0]
        west, south = np.min(found, axis=0)[:2]
        east, north = np.max(found, axis=0)[2:]
        up = self.chip_metres * 0.5**0.5 / METRES_A_DEGREE
        across = up / max(np.cos(np.radians(max(abs(south), abs(north)))), 0.01)
        box = (max(west - across, -180), max(south - up, -90), min(east + across, 180), min(north + up, 90))
        return [round(float(v), 6) for v in box]


def _columns(searcher: Searcher, *names: str) -> Iterator[list[NDArray[Any]]]:
    for piece in searcher.snapshot.pieces:
        columns = [piece.segment.column(name) for name in names]
        yield columns if piece.alive is None else [column[piece.alive] for column in columns]


def _extremes(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[float, float, float, float]:
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def _span(searcher: Searcher) -> list[str | None]:
    """Return the first and the last moment of acquisition, None where no time is known."""
    first, last = np.datetime64("NaT", "us"), np.datetime64("NaT", "us")
    for begin, end in _columns(searcher, "datetime", "datetime_end"):
        if len(begin):
            first = np.fmin(first, np.fmin.reduce(begin))
            last = np.fmax(last, np.fmax(np.fmax.reduce(begin), np.fmax.reduce(end)))
    return [None if np.isnat(t) else f"{np.datetime_as_string(t, 's')}Z" for t in (first, last)]


class Collections:
    """All of them by id.

    Parameters
    ----------
    paths
        Folders of stores.
    settings
        The limits.

    Raises
    ------
    NotAStoreError
        If one is no store.
    InputError
        If two have one name.
    """

    def __init__(self, paths: Sequence[Path], settings: Settings) -> None:
        self._by_id: dict[str, Collection] = {}
        for path in paths:
            one = Collection(path, settings)
            if one.id in self._by_id:
                raise InputError(f"two stores are named {one.id!r}, and the name is the collection's id; rename one.")
            self._by_id[one.id] = one

    def __iter__(self) -> Iterator[Collection]:
        return iter(self._by_id.values())

    def __getitem__(self, id_: str) -> Collection:
        try:
            return self._by_id[id_]
        except KeyError:
            raise Problem(404, f"there is no collection {id_!r}; GET /collections lists them.") from None

    @property
    def by_id(self) -> Mapping[str, Collection]:
        """The same as a mapping."""
        return self._by_id


_LOCAL = threading.local()


def one_thread() -> None:
    """Keep FAISS to the calling thread: the service's threads are its parallelism."""
    if not getattr(_LOCAL, "bounded", False):
        faiss().omp_set_num_threads(1)
        _LOCAL.bounded = True
