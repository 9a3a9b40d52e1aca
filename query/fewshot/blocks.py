"""Splits of labelled chips into training and test that keep neighbours on one side.

Chips next to each other look alike, and overlapping ones share pixels. A random split puts such twins on both sides and
measures memory, not skill. So whole blocks, parents of the chips in H3, are held out, and training leaves out what
overlaps or touches the chips that are tested (Roberts et al. 2017, "Cross-validation strategies for data with temporal,
spatial, hierarchical, or phylogenetic structure").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import numpy as np

from embedstore import grid
from embedstore.errors import LabelError
from query.rows import on_sphere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from query.fewshot.labelled import Labelled

FOLDS = 5
SIDES = 2.0
"""Sides of a chip that the edge of a block has at least."""
TOUCHING = 1.05
"""Chips whose corners are this near, in their radii, count as touching."""
SEED = 0


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which block each labelled chip lies in.

    Parameters
    ----------
    of
        Number of each chip's block, int64, shape (n,).
    resolution
        H3 resolution of the blocks.
    """

    of: NDArray[np.int64]
    resolution: int

    @property
    def count(self) -> int:
        """How many blocks hold labels."""
        return int(self.of.max()) + 1

    @property
    def edge(self) -> float:
        """Mean edge of a block in metres."""
        return float(h3.average_hexagon_edge_length(self.resolution, unit="m"))


def blocks(labelled: Labelled) -> Blocks:
    """Return the largest blocks of which no class lies in fewer than it must, up to one a fold.

    Raises
    ------
    LabelError
        If all labels lie in one block.
    """
    side = float(np.median(labelled.radius)) * np.sqrt(2)
    candidates = [r for r in range(16) if h3.average_hexagon_edge_length(r, unit="m") >= SIDES * side] or [0]
    fine = grid.cells(labelled.lon, labelled.lat, candidates[-1])
    several = [r for r in candidates if len(np.unique(grid.parents(fine, r))) > 1] or candidates[-1:]
    spread = [_spread(grid.parents(fine, r), labelled.classes) for r in several]
    resolution = several[spread.index(max(spread))]
    cells = grid.parents(fine, resolution)
    made = Blocks(_uncut(labelled, cells, h3.average_hexagon_edge_length(resolution, unit="m")), resolution)
    if made.count < 2:
        raise LabelError(
            f"all {len(labelled)} labelled chips lie in one block of {made.edge:,.0f} m, so no score can be measured "
            "on places that were not learned from. Label a second place."
        )
    return made


def _uncut(labelled: Labelled, cells: NDArray[np.int64], edge: float) -> NDArray[np.int64]:
    """Return the number of each chip's block; what one shape labels stays in one, unless it is wider than an edge."""
    _, first, of = np.unique(labelled.feature, return_index=True, return_inverse=True)
    at = on_sphere(labelled.lon, labelled.lat)
    wide = np.zeros(len(first))
    np.maximum.at(wide, of, np.linalg.norm(at - at[first][of], axis=1))
    whole = (wide <= edge)[of]
    _, number = np.unique(np.where(whole, cells[first][of], cells), return_inverse=True)
    return number.astype(np.int64)


def _spread(cells: NDArray[np.int64], codes: NDArray[np.int64]) -> int:
    """Return in how many blocks the classes lie, each counted up to the number of folds."""
    pairs = np.unique(np.stack([codes, cells]), axis=1)
    return int(np.minimum(np.bincount(pairs[0]), FOLDS).sum())


def folds(groups: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each chip: groups stay whole, and each class is spread evenly over the folds."""
    count, classes = int(groups.max()) + 1, int(codes.max()) + 1
    share = np.zeros((count, classes))
    np.add.at(share, (groups, codes), 1 / np.bincount(codes)[codes])
    order = np.random.default_rng(SEED).permutation(count)
    order = order[np.argsort(-share.sum(axis=1)[order], kind="stable")]
    held = np.zeros((min(FOLDS, count), classes))
    of = np.empty(count, np.int64)
    for group in order.tolist():
        clash = held @ share[group]
        of[group] = np.lexsort((held.sum(axis=1), clash.round(12)))[0]
        held[of[group]] += share[group]
    return of[groups]


def random_splits(labelled: Labelled) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield positions to learn from and to test on, split without a thought for place."""
    of = folds(np.arange(len(labelled)), labelled.classes)
    for fold in range(int(of.max()) + 1):
        yield np.flatnonzero(of != fold), np.flatnonzero(of == fold)


def spatial_splits(labelled: Labelled, made: Blocks) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield positions to learn from and to test on: whole blocks, and nothing learned that touches what is tested."""
    of = folds(made.of, labelled.classes)
    for fold in range(int(of.max()) + 1):
        test, train = np.flatnonzero(of == fold), np.flatnonzero(of != fold)
        yield train[~_touching(labelled, train, test)], test


def _touching(labelled: Labelled, some: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which of some chips overlap or touch any of others."""
    from scipy.spatial import cKDTree  # noqa: PLC0415 - slow to import

    at, radius = on_sphere(labelled.lon, labelled.lat), labelled.radius
    tree = cKDTree(at[others])
    reach = TOUCHING * (radius[some] + radius[others].max(initial=0))
    near = tree.query_ball_point(at[some], reach, return_length=True)
    return np.asarray(near) > 0
