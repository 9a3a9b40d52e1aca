"""Labelled chips: which they are, what people say they show, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from embedstore.errors import LabelError, UnknownIdError
from query.example import distance
from query.fewshot import places, sources
from query.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.snapshot import Snapshot
    from query.engine import Engine
    from query.fewshot.sources import Ids, Shapes
    from query.searcher import Searcher

MOST = 10_000
"""Chips of all classes together that are learned from: a large polygon says the same thing many times."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled chips, in the order of their ids.

    Parameters
    ----------
    ids
        32 hexadecimal digits each, n of them.
    vectors
        Unit length, float32, shape (n, d).
    classes
        Number of each one's class, int64, shape (n,).
    names
        Names of the classes, sorted.
    lon, lat
        Centres in degrees, float64, shape (n,).
    h3
        Fine cell of the centre, int64, shape (n,).
    radius
        From the centre to a corner in metres, float64, shape (n,).
    feature
        Number of the shape that labels it, int64, shape (n,); ids are a shape each.
    notes
        What the reader should know, such as labels that lie where there is no chip.
    """

    ids: tuple[str, ...]
    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    h3: NDArray[np.int64]
    radius: NDArray[np.float64]
    feature: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise LabelError(
                f"all labels are of one class, {self.names[0]!r}: nothing can be told apart. Label a second class."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def targets(self) -> NDArray[np.str_]:
        """The name of each one's class."""
        return np.array(self.names)[self.classes]

    @classmethod
    def read(cls, engine: Engine, source: Any, column: str = "class") -> Labelled:
        """Read labels and look up the chips that they are of.

        Points label the chip that holds them (of overlapping ones the nearest; of several dates each); polygons label
        the chips whose centre they hold.

        Parameters
        ----------
        engine
            Of the store.
        source
            Path of a GeoJSON or GeoParquet file, or of a Parquet, CSV or JSON file of ids; a GeoJSON
            FeatureCollection; ``{id: class}``; or an Arrow table with a column ``id``.
        column
            The property or column that holds the class.

        Raises
        ------
        LabelError
            If they cannot be read, one has no class, no chip is labelled, a chip gets two classes, or there is only
            one class.
        UnknownIdError
            If an id is not stored.
        DamageError
            If the store's own files are damaged.
        """
        given = sources.read(source, column)

        def of(searcher: Searcher) -> Labelled:
            snapshot = searcher.snapshot
            found = _by_id(snapshot, given) if isinstance(given, sources.Ids) else _by_place(snapshot, given)
            return cls._make(*found)

        return engine.ask(of)

    @classmethod
    def _make(
        cls, rows: Rows, classes: NDArray[np.str_], feature: NDArray[np.int64], notes: tuple[str, ...]
    ) -> Labelled:
        kept = _thin(classes)
        if len(kept) < len(classes):
            notes = (*notes, f"{len(classes):,} chips are labelled; {len(kept):,}, evenly spread, are learned from")
        kept = kept[np.argsort(rows.take(kept).column("id").view("S16"), kind="stable")]
        rows = rows.take(kept)
        names, codes = np.unique(classes[kept], return_inverse=True)
        return cls(
            tuple(rows.ids().to_pylist()),
            rows.vectors(),
            codes.astype(np.int64),
            tuple(names.tolist()),
            rows.column("lon"),
            rows.column("lat"),
            rows.column("h3"),
            _radius(rows),
            feature[kept],
            notes,
        )


Found = tuple[Rows, "NDArray[np.str_]", "NDArray[np.int64]", tuple[str, ...]]


def _by_id(snapshot: Snapshot, given: Ids) -> Found:
    """Return labelled chips, their classes, and the numbers of their labels."""
    ids = list(given.classes)
    rows = Rows.find(snapshot, ids)
    if (unknown := np.flatnonzero(rows.piece < 0)).size:
        raise UnknownIdError(
            f"{len(unknown)} of {len(ids)} labelled ids are not in the store {snapshot.home}; the first is "
            f"{ids[unknown[0]]!r}."
        )
    return rows, np.array(list(given.classes.values())), np.arange(len(ids)), ()


def _by_place(snapshot: Snapshot, given: Shapes) -> Found:
    """Return the chips that shapes label, their classes, and the numbers of the shapes."""
    marks = places.find(snapshot, given)
    count, hit = len(given.classes), len(np.unique(marks.feature))
    if not hit:
        raise LabelError(
            f"none of the {count} labels lies on a chip of the store {snapshot.home}; label places inside the "
            "encoded area, in degrees, longitude first."
        )
    notes = (f"{count - hit} of {count} labels lie where the store has no chip",) if hit < count else ()
    classes = np.array(given.classes)[marks.feature]
    chips = np.stack([marks.rows.piece, marks.rows.row])
    _, first, at = np.unique(chips, axis=1, return_index=True, return_inverse=True)
    other = first[at.ravel()]
    if (torn := np.flatnonzero(classes != classes[other])).size:
        _refuse_conflict(marks, classes, torn, other)
    return marks.rows.take(first), classes[first], marks.feature[first], notes


def _refuse_conflict(
    marks: places.Marks, classes: NDArray[np.str_], torn: NDArray[np.int64], other: NDArray[np.int64]
) -> None:
    chips, one, two = len(np.unique(other[torn])), int(torn[0]), int(other[torn[0]])
    chip = marks.rows.take(torn[:1])
    raise LabelError(
        f"{chips} labelled chip{'s get' if chips > 1 else ' gets'} two classes: {chip.ids()[0].as_py()} at "
        f"{chip.column('lon')[0]:.5f},{chip.column('lat')[0]:.5f} is {str(classes[two])!r} by feature "
        f"{marks.feature[two] + 1} and {str(classes[one])!r} by feature {marks.feature[one] + 1}. Take one of them "
        "away, or encode smaller chips."
    )


def _radius(rows: Rows) -> NDArray[np.float64]:
    """Return how far the farthest corner of each footprint is from its centre, in metres."""
    corners, of = shapely.get_coordinates(rows.footprints(), return_index=True)
    radius = np.zeros(len(rows))
    far = distance(corners[:, 0], corners[:, 1], rows.column("lon")[of], rows.column("lat")[of])
    np.maximum.at(radius, of, far)
    return radius


def _thin(classes: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return positions of no more than :data:`MOST` labels, evenly spread; rare classes stay whole."""
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    share, left, room = np.zeros(len(counts), np.int64), len(counts), MOST
    for number in np.argsort(counts).tolist():
        share[number] = min(int(counts[number]), room // left)
        room -= share[number]
        left -= 1
    kept = [
        np.flatnonzero(codes == number)[np.linspace(0, count - 1, take).round().astype(np.int64)]
        for number, (count, take) in enumerate(zip(counts.tolist(), share.tolist(), strict=True))
    ]
    return np.sort(np.concatenate(kept))
