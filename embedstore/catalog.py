"""Which index is live.

``_index/CURRENT`` names one folder, ``_index/<uuid>/``, whose ``index.json`` lists the segments of that index, its
codebook and its calibration. Publishing is compare-and-swap: it succeeds only while ``CURRENT`` still names the
index that the builder started from. Segments stand in ``_index/segments/<uuid>/``, apart from the indexes that list
them, because appends write them before any index exists and one index hands them on to the next.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from embedstore.errors import DamageError, storage_errors
from embedstore.home import Folder, Home
from embedstore.sealed import digest_of, read_json, sha256, sync_file, sync_folder, write_json

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Codebook:
    """A trained codebook: coarse centroids, rotation, quantiser.

    Parameters
    ----------
    name
        Folder under ``_index`` that holds ``codebook.faiss``.
    sha256
        Digest of that file; FAISS files carry none, so it is checked before FAISS reads a byte.
    factory
        FAISS factory string.
    lists
        Number of inverted lists.
    trained_rows
        Rows of the store when it was trained.
    error
        Mean squared distance between unit vectors and what their codes stand for, on some held back from training.
    """

    name: str
    sha256: str
    factory: str
    lists: int
    trained_rows: int
    error: float


@dataclass(frozen=True, slots=True)
class Effort:
    """One point of the calibration: what it costs to reach a recall.

    Parameters
    ----------
    probes
        Inverted lists probed.
    candidates
        Best codes re-ranked exactly.
    recall
        Recall@k measured on held-back queries, ties counted.
    k
        Hits asked for.
    """

    probes: int
    candidates: int
    recall: float
    k: int = 10


@dataclass(frozen=True, slots=True)
class FilteredEffort:
    """The same under a filter that so many rows pass, or more.

    Parameters
    ----------
    rows
        Rows in the stretches of the Earth that it was measured on. Of more rows, a smaller share will do.
    share
        Share of the candidates that the probed lists hold together, nearest lists first.
    candidates
        Best codes re-ranked exactly.
    recall
        Recall@10 measured on held-back queries that looked into stretches other than their own.
    """

    rows: int
    share: float
    candidates: int
    recall: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What searching takes on the machine that built the index, in nanoseconds.

    Parameters
    ----------
    exact_ns, gathered_ns, scattered_ns
        An exact score: of rows that stand together, of rows in runs, and of each run on its own.
    base_ns
        A filtered probe, whatever it does.
    candidate_ns
        Each candidate of a filtered probe: to find out in which list it is.
    list_ns, code_ns, depth_ns
        Each list probed, code compared, and code re-ranked.
    """

    exact_ns: float
    gathered_ns: float
    scattered_ns: float
    base_ns: float
    candidate_ns: float
    list_ns: float
    code_ns: float
    depth_ns: float

    def scan_ns(self, count: int, runs: float) -> float:
        """Return what exact scores of so many rows take, in so many runs of neighbours."""
        if runs <= 1:
            return count * self.exact_ns
        return count * self.gathered_ns + runs * max(0.0, self.scattered_ns - self.gathered_ns)

    def probe_ns(self, candidates: float, lists: float, codes: float, depth: float) -> float:
        """Return what a filtered probe takes."""
        each = candidates * self.candidate_ns + lists * self.list_ns + codes * self.code_ns + depth * self.depth_ns
        return self.base_ns + each


@dataclass(frozen=True, slots=True)
class Calibration:
    """What each recall costs in an index, measured on the machine that built it.

    Parameters
    ----------
    efforts
        Without a filter, from few hits to many, each cheapest first; of more hits than any, the last are stretched.
    filtered
        With one, from few rows to many, each cheapest first; of fewer rows than any, searches are exact.
    costs
        By which a filtered search is planned.
    """

    efforts: tuple[Effort, ...]
    filtered: tuple[FilteredEffort, ...]
    costs: Costs

    @property
    def best(self) -> float:
        """The highest recall@10 that probing reaches."""
        return max(e.recall for e in self.efforts if e.k == self.efforts[0].k)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from plain data."""
        efforts = tuple(Effort(**e) for e in data["efforts"])
        filtered = tuple(FilteredEffort(**e) for e in data["filtered"])
        return cls(efforts, filtered, Costs(**data["costs"]))


@dataclass(frozen=True, slots=True)
class Index:
    """One published index.

    Parameters
    ----------
    name
        Its uuid.
    encoder
        Fingerprint of the encoder of its vectors.
    segments
        Names of its segments.
    codebook
        The codebook of those segments that have lists, if any.
    calibration
        None while there is no codebook.
    """

    name: str
    encoder: str
    segments: tuple[str, ...]
    codebook: Codebook | None = None
    calibration: Calibration | None = None


class Catalog:
    """The folder ``_index`` of a store.

    Parameters
    ----------
    folder
        That folder, or where copies of it go.
    home
        The store's files; those of a local folder if None.
    """

    def __init__(self, folder: Path, home: Home | None = None) -> None:
        self.home: Home = home or Folder(folder.parent)
        self.folder = folder
        self.segments = folder / "segments"
        self.moves = folder / "moves"

    def current(self) -> Index | None:
        """Return the live index, or None before the first.

        Raises
        ------
        DamageError
            If ``CURRENT`` or what it names is damaged.
        """
        pointer = self.home.pointer(self.folder / "CURRENT")
        if pointer is None:
            return None
        return self.read(self.folder / pointer["index"] / "index.json")

    def read(self, path: Path) -> Index:
        """Return what an index says of itself; raises as :meth:`current`."""
        body = read_json(self.home.here(path))
        try:
            index = _from_dict(body)
        except (TypeError, KeyError) as error:
            raise DamageError(f"{path} is of another version of embedstore. Run `embedstore index`.") from error
        if index.name != path.parent.name:
            raise DamageError(f"{path} is that of another index. Run `embedstore index` to rebuild it.")
        return index

    def publish(self, index: Index, instead_of: str | None) -> bool:
        """Make an index live if the live one is still the one named; return whether it was.

        Parameters
        ----------
        index
            Its segments and codebook are on disk already.
        instead_of
            Name of the index that was live when the work began, None if there was none. A damaged ``CURRENT``
            names nothing.
        """
        with storage_errors("publish the index", self.folder):
            self.folder.mkdir(exist_ok=True)
            home = self.folder / index.name
            home.mkdir(exist_ok=True)
            write_json(home / "index.json", asdict(index))
            sync_folder(self.folder)
            self.home.keep([home / "index.json"])
            still = partial(self._is_live, instead_of)
            return self.home.swap(self.folder / "CURRENT", {"index": index.name}, still)

    def _is_live(self, name: str | None) -> bool:
        return self.live_name() == name

    def live_name(self) -> str | None:
        """Return the name of the live index, None if there is none or it cannot be read."""
        try:
            index = self.current()
        except DamageError:
            return None
        return index.name if index else None

    def codebook_file(self, codebook: Codebook) -> Path:
        """Return the path of a codebook, checked.

        Raises
        ------
        DamageError
            If the file is missing or is not what was written.
        """
        path = self.home.here(self.folder / codebook.name / "codebook.faiss")
        if digest_of(path) != codebook.sha256:
            raise DamageError(f"the codebook {path} is damaged or missing. Run `embedstore index` to rebuild it.")
        return path

    def new_codebook_file(self) -> Path:
        """Return the path for a new codebook, its folder made."""
        with storage_errors("write the codebook", self.folder):
            home = self.folder / uuid.uuid4().hex
            home.mkdir(parents=True)
        return home / "codebook.faiss"

    def seal_codebook(self, path: Path, factory: str, lists: int, trained_rows: int, error: float) -> Codebook:
        """Make a written codebook durable, part of the store, and describe it."""
        with storage_errors("write the codebook", path):
            sync_file(path)
            sync_folder(path.parent)
            self.home.keep([path])
            return Codebook(path.parent.name, sha256(path), factory, lists, trained_rows, error)

    def row_map(self, batch: str) -> Path | None:
        """Return the row map of a commit, if it wrote one."""
        return self.row_maps().get(batch)

    def row_maps(self) -> dict[str, Path]:
        """Return the row map of every commit that wrote one; :meth:`embedstore.home.Home.here` has its bytes."""
        paths = self.home.glob("_index/moves/*.arrow")
        return {path.name.partition("-")[0]: path for path in paths if not path.name.startswith(".")}


def _from_dict(data: dict[str, Any]) -> Index:
    codebook = Codebook(**data["codebook"]) if data["codebook"] else None
    calibration = Calibration.from_dict(data["calibration"]) if data["calibration"] else None
    return Index(data["name"], data["encoder"], tuple(data["segments"]), codebook, calibration)
