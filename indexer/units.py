"""Units of work: a block of chips on its way from pixels to one commit."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import shapely

from embedstore import schema, spec
from indexer import remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from indexer.chips import Block, ChipPlan

TILE = 1024
"""Pixels along a side of what is read at once: whole blocks of any tiled GeoTIFF, and small beside memory."""


class Ledger(Protocol):
    """What units need to know of a :class:`embedstore.store.Store`, and where they go."""

    @property
    def deletions(self) -> int:
        """How often rows were deleted."""
        ...

    def unit_done(self, unit: str) -> bool:
        """Tell whether a unit of work is committed."""
        ...

    def held(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which chips are there."""
        ...

    def append_units(self, units: Sequence[tuple[str | None, pa.Table]]) -> int:
        """Append the chips of some units; return how many were new."""
        ...


@dataclass(eq=False)
class Scene:
    """A plan under way.

    Parameters
    ----------
    plan
        Its chips.
    error
        Why it was given up, if it was.
    with_data, without_data
        How many chips were found to hold a pixel of data, or none.
    """

    plan: ChipPlan
    error: Exception | None = None
    with_data: int = 0
    without_data: int = 0


@dataclass(eq=False)
class Unit:
    """A block of chips and what is known of them so far.

    Parameters
    ----------
    scene
        Whose chips.
    name
        Digest of the work: encoder, deletions so far, chips.
    block
        The chips to encode.
    left
        How many are neither encoded nor skipped yet.
    """

    scene: Scene
    name: str
    block: Block
    left: int = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.block)
        self.left = n
        self._lock = threading.Lock()
        self._vectors: list[Any] = [None] * n
        self._thumbnails: list[bytes | None] = [None] * n
        self._fraction = np.zeros(n, np.float32)
        self._present = np.zeros(n, np.int32)

    def tiles(self) -> Iterator[Tile]:
        """Yield the chips in groups that are read at once."""
        size, stride = self.block.plan.size, self.block.plan.stride
        step = max(1, (TILE - size) // stride + 1) * stride
        if not len(self.block):
            return
        origin = self.block.row.min(), self.block.col.min()
        place = np.stack([(self.block.row - origin[0]) // step, (self.block.col - origin[1]) // step], axis=1)
        tiles, number = np.unique(place, axis=0, return_inverse=True)
        for i in range(len(tiles)):
            yield Tile(self, np.flatnonzero(number.ravel() == i))

    def skip(self) -> bool:
        """Leave out a chip without data; return whether that was the last one left."""
        return self._less(1)

    def read(self, at: int, present: int, fraction: float, thumbnail: bytes) -> None:
        """Note what the reader saw of a chip; `present` has the bits of the modalities that hold data."""
        self._present[at] = present
        self._fraction[at] = fraction
        self._thumbnails[at] = thumbnail

    def encoded(self, at: list[int], vectors: NDArray[np.float32]) -> bool:
        """Note the vectors of some chips; return whether they were the last ones left."""
        for i, vector in zip(at, vectors, strict=True):
            self._vectors[i] = vector
        return self._less(len(at))

    def _less(self, count: int) -> bool:
        with self._lock:
            self.left -= count
            return self.left == 0

    def table(self) -> pa.Table:
        """Return the encoded chips as rows of :data:`embedstore.schema.CHIPS`."""
        shapes = self.block.footprints()
        keep = np.array([v is not None and s is not None for v, s in zip(self._vectors, shapes, strict=True)], bool)
        kept = np.flatnonzero(keep)
        block, plan, n = self.block.where(kept), self.block.plan, len(kept)
        ids = self.block.ids
        first, last = plan.interval
        rasters = plan.layers.values()
        each = len(rasters)
        fields = {
            "modality": pa.array([*plan.layers] * n, pa.string()),
            "item": pa.array([r.item for r in rasters] * n, pa.string()),
            "href": pa.array([remote.href(r.href or r.path) for r in rasters] * n, pa.string()),
            "row": pa.array(block.row.repeat(each), pa.int32()),
            "col": pa.array(block.col.repeat(each), pa.int32()),
            "height": pa.array([plan.size] * n * each, pa.int32()),
            "width": pa.array([plan.size] * n * each, pa.int32()),
            "datetime": pa.array([r.datetime for r in rasters] * n, schema.TIME),
        }
        inputs = pa.StructArray.from_arrays(list(fields.values()), fields=list(schema.INPUT))
        values = np.concatenate([self._vectors[i] for i in kept]) if n else np.empty(0, np.float32)
        columns = {
            "id": pa.array([ids[i] for i in kept], pa.string()),
            "geometry": pa.array(shapely.to_wkb(shapes[kept]), pa.binary()),
            "datetime": pa.array([first] * n, schema.TIME),
            "datetime_end": pa.array([last] * n, schema.TIME),
            "inputs": pa.ListArray.from_arrays(
                pa.array(np.arange(n + 1) * each, pa.int32()), inputs, type=schema.CHIPS.field("inputs").type
            ),
            "modalities": pa.array(self._present[kept]),
            "valid_fraction": pa.array(self._fraction[kept]),
            "thumbnail": pa.array([self._thumbnails[i] for i in kept], pa.binary()),
            "embedding": pa.ListArray.from_arrays(
                pa.array(np.linspace(0, len(values), n + 1).astype(np.int32)),
                pa.array(values),
                type=schema.CHIPS.field("embedding").type,
            ),
        }
        return pa.table(columns, schema=schema.CHIPS)


@dataclass(frozen=True)
class Tile:
    """Chips of a unit that lie together: positions in its block, int64."""

    unit: Unit
    at: NDArray[np.int64]

    def window(self) -> tuple[int, int, int, int]:
        """Return row, col, height, width of the pixels that hold all of the chips."""
        row, col = self.unit.block.row[self.at], self.unit.block.col[self.at]
        size = self.unit.block.plan.size
        top, left = int(row.min()), int(col.min())
        return top, left, int(row.max()) + size - top, int(col.max()) + size - left


def pending(scene: Scene, store: Ledger, fingerprint: str) -> Iterator[tuple[Unit | None, int]]:
    """Yield for each block the unit of what is still to do (None if nothing), and how many chips are done already.

    Parameters
    ----------
    scene
        Whose blocks; it ends early once the scene is given up.
    store
        Asked for what is committed; no other thread may use this object meanwhile.
    fingerprint
        Of the encoder.
    """
    for block in scene.plan.blocks():
        if scene.error:
            return
        name = spec.digest([fingerprint, store.deletions, block.ids])
        if store.unit_done(name):
            yield None, len(block)
            continue
        held = store.held(block.ids)
        yield Unit(scene, name, block.where(~held)), int(held.sum())
