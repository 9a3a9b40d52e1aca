"""Which partitions and files a version of the table has, and what ground each covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

from embedstore import schema
from embedstore.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.snapshot import Snapshot

_WORLD = {"min.xmin": -np.inf, "min.ymin": -np.inf, "max.xmax": np.inf, "max.ymax": np.inf}


@dataclass(frozen=True, eq=False)
class Partitions:
    """The H3 partitions of one version, and the bounds of their footprints.

    Parameters
    ----------
    cells
        Partition cells as hexadecimal text.
    bounds
        West, south, east, north of the footprints in each, degrees; shape (n, 4).
    """

    cells: tuple[str, ...]
    bounds: NDArray[np.float64]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Read the bounds that Delta's log gives each file; a file without them may lie anywhere."""
        actions = Table(snapshot.home, snapshot.version).actions()
        sides = []
        for name, anywhere in _WORLD.items():
            end, _, side = name.partition(".")
            column = f"{end}.bbox.{side}"
            if column in actions.column_names:
                values = actions[column].to_numpy(zero_copy_only=False).astype(np.float64)
            else:
                values = np.full(len(actions), np.nan)
            sides.append(np.where(np.isnan(values), anywhere, values))
        of_file = actions[f"partition.{schema.PARTITION}"].to_numpy(zero_copy_only=False)
        cells, number = np.unique(of_file.astype(str), return_inverse=True)
        bounds = np.tile([np.inf, np.inf, -np.inf, -np.inf], (len(cells), 1))
        for i, values in enumerate(sides):
            (np.minimum if i < 2 else np.maximum).at(bounds[:, i], number, values)
        return cls(tuple(cells.tolist()), bounds)

    def near(self, area: Any) -> list[str]:
        """Return the partitions whose bounds a shapely geometry's parts touch with theirs; never one too few."""
        if area is None:
            return []
        parts = shapely.bounds(shapely.get_parts(area))
        low, high = self.bounds[:, None, :2], self.bounds[:, None, 2:]
        touched = ((low <= parts[None, :, 2:]) & (high >= parts[None, :, :2])).all(axis=2).any(axis=1)
        return [cell for cell, hit in zip(self.cells, touched.tolist(), strict=True) if hit]
