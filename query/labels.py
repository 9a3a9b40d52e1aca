"""Labelled examples: vectors and the classes that people gave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from embedstore.errors import QueryError
from embedstore.vectors import to_unit
from query import example

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.snapshot import Snapshot

NONE = "there are no labels; give at least one chip of each class."


@dataclass(frozen=True, eq=False)
class Labels:
    """Labelled examples.

    Parameters
    ----------
    vectors
        Unit length, float32, shape (n, d).
    codes
        Number of each one's class, int64, shape (n,).
    names
        Names of the classes, sorted.
    """

    vectors: NDArray[np.float32]
    codes: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def parse(cls, labels: Any, snapshot: Snapshot) -> Self:
        """Read labels as people have them.

        Parameters
        ----------
        labels
            ``{id: class}`` of stored chips; an Arrow table with columns ``id`` and ``class``; or a pair (vectors of
            shape (n, d), n classes).
        snapshot
            Where ids are looked up.

        Raises
        ------
        QueryError
            If there are none, one has no class, an id has two, or vectors do not fit the store's.
        UnknownIdError
            If an id is not stored.
        """
        if isinstance(labels, pa.Table):
            if missing := {"id", "class"} - set(labels.column_names):
                raise QueryError(f"the table of labels has no column {min(missing)!r}; it needs id and class.")
            pairs = list(zip(labels["id"].to_pylist(), labels["class"].to_pylist(), strict=True))
        elif isinstance(labels, Mapping):
            pairs = list(labels.items())
        else:
            try:
                vectors, classes = labels
            except (TypeError, ValueError):
                raise QueryError("labels are {id: class}, a table of id and class, or (vectors, classes).") from None
            return cls._make(to_unit(vectors, snapshot.encoder.dimension), list(classes))
        given: dict[str, Any] = {}
        for id_, class_ in pairs:
            if given.setdefault(id_, class_) != class_:
                raise QueryError(f"chip {id_!r} is labelled {given[id_]!r} and {class_!r}; take one label away.")
        if not given:
            raise QueryError(NONE)
        return cls._make(example.stored(snapshot, list(given)), list(given.values()))

    @classmethod
    def _make(cls, vectors: NDArray[np.float32], classes: list[Any]) -> Self:
        if len(vectors) != len(classes):
            raise QueryError(f"there are {len(vectors)} vectors and {len(classes)} classes; each needs one.")
        if not classes:
            raise QueryError(NONE)
        if any(c is None or str(c) == "" for c in classes):
            raise QueryError(f"label number {[c is None or str(c) == '' for c in classes].index(True)} has no class.")
        names, codes = np.unique([str(c) for c in classes], return_inverse=True)
        return cls(vectors, codes.astype(np.int64), tuple(names.tolist()))
