"""Why a chip is a hit: how like the query each of its pixels is.

A chip keeps one vector and the window of its scene that it was cut from. Where the encoder's vectors are means over
pixels (the family `dense`), and the scene can still be read and is what it was, its pixels are encoded again; where
not, the reason is told, chip by chip.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore import deadline
from embedstore.errors import EncoderError, InputError, UnknownIdError
from embedstore.snapshot import id_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from embedstore.snapshot import Snapshot
    from embedstore.spec import Modality
    from indexer.encoders.base import PixelEncoder
    from indexer.rasters import Raster

EXPLAINED = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("rows", pa.int32()),
        pa.field("cols", pa.int32()),
        pa.field("scores", pa.list_(pa.field("element", pa.float32()))),
        pa.field("corners", pa.list_(pa.field("element", pa.list_(pa.field("element", pa.float64()))))),
        pa.field("reason", pa.string()),
    ]
)
"""Of an explanation: cosine similarities row by row, NaN where there is no data; longitude and latitude of the upper
left, upper right, lower right and lower left corner; or, if there is none, the reason alone."""
DECIMALS = 7
"""Of a degree: about a centimetre."""


class Scenes:
    """Scene files as they are now, each hashed again only when it, or a file that it names, has changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Any, ...], Raster]] = {}
        self._lock = threading.Lock()

    def find(self, href: str, item: str) -> Raster | str:
        """Return the scene that a chip was cut from, or the reason why it cannot be had."""
        from indexer import remote  # noqa: PLC0415 - GDAL is needed for explanations only

        name = Path(href).name
        elsewhere = remote.url(href)
        if elsewhere:
            return f"its scene lies at {elsewhere}; only scenes on this machine are read again"
        if not Path(href).is_file():
            return f"its scene {name or item} is not where it was when it was encoded"
        try:
            raster = self._open(href)
        except (InputError, OSError):
            return f"its scene {name} cannot be read"
        return raster if raster.item == item else f"its scene {name} has changed since it was encoded"

    def _open(self, href: str) -> Raster:
        from indexer.rasters import open_raster, opened  # noqa: PLC0415 - GDAL is needed for explanations only

        with opened(Path(href)) as source:
            stats = [Path(file).stat() for file in source.files]
        seen = tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)
        with self._lock:
            before, raster = self._known.get(href, (None, None))
        if raster is None or before != seen:
            raster = open_raster(href)
            with self._lock:
                self._known[href] = (seen, raster)
        return raster


def explain(
    snapshot: Snapshot, load: Callable[[], Any], scenes: Scenes, ids: Sequence[str], query: NDArray[np.float32]
) -> pa.Table:
    """Return how like a query the pixels of some chips are, in the order given; see :data:`EXPLAINED`.

    Parameters
    ----------
    snapshot
        Where the chips are.
    load
        Returns the store's encoder; called only if it can tell pixels apart.
    scenes
        The files.
    ids
        Of the chips.
    query
        Unit vector, shape (1, d).

    Raises
    ------
    UnknownIdError
        If a chip is not stored.
    DamageError
        If the table is damaged.
    """
    modality = snapshot.encoder.modalities[0]
    inputs = _inputs(snapshot, ids, modality.name)
    encoder = _pixel_encoder(snapshot, load)
    found: list[dict[str, Any]] = [{"reason": encoder} for _ in ids]
    of_scene: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(inputs):
        of_scene.setdefault((one["href"] or "", one["item"] or ""), []).append(at)
    if not isinstance(encoder, str):
        for (href, item), members in of_scene.items():
            grids = _grids(scenes.find(href, item), [inputs[i] for i in members], modality, encoder, query)
            for at, grid in zip(members, grids, strict=True):
                found[at] = grid
    return pa.Table.from_pylist([{"id": i, **one} for i, one in zip(ids, found, strict=True)], EXPLAINED)


def _inputs(snapshot: Snapshot, ids: Sequence[str], modality: str) -> list[dict[str, Any]]:
    """Return what each chip was cut from: the input of one modality, with its window."""
    files, rows = [""] * len(ids), np.zeros(len(ids), np.int64)
    for piece, at, held in snapshot.find(id_bytes(ids)):
        names, places = snapshot.place(piece, held)
        rows[at] = places
        for i, name in zip(at.tolist(), names, strict=True):
            files[i] = name
    if "" in files:
        raise UnknownIdError(f"the store {snapshot.home} holds no chip {ids[files.index('')]!r}.")
    parts = snapshot.fetch(files, rows, ("inputs",), ids)["inputs"].to_pylist()
    nothing = {"href": "", "item": ""}
    return [next((one for one in part if one["modality"] == modality), nothing) for part in parts]


def _pixel_encoder(snapshot: Snapshot, load: Callable[[], Any]) -> PixelEncoder | str:
    """Return the store's encoder, or the reason why it cannot tell pixels apart."""
    from indexer.encoders import registry  # noqa: PLC0415 - torch is needed for explanations only
    from indexer.encoders.base import PixelEncoder  # noqa: PLC0415

    name = snapshot.encoder.name
    try:
        if issubclass(registry.find(name), PixelEncoder):
            return load()  # type: ignore[no-any-return]
    except EncoderError as error:
        return f"the store's encoder cannot be had: {error}"
    return f"the store's encoder {name} gives no vectors of pixels; those of the family dense do"


def _grids(
    raster: Raster | str,
    windows: list[dict[str, Any]],
    modality: Modality,
    encoder: PixelEncoder,
    query: NDArray[np.float32],
) -> list[dict[str, Any]]:
    """Return an explanation of each window of a scene."""
    if isinstance(raster, str):
        return [{"reason": raster}] * len(windows)
    found = []
    try:
        with raster.reader(modality.bands) as reader:
            for one in windows:
                deadline.check()
                pixels, valid = reader.read(one["row"], one["col"], one["height"], one["width"])
                scores = encoder.similarity({modality.name: pixels[None]}, valid[None], query)[0]
                found.append(
                    {
                        "rows": one["height"],
                        "cols": one["width"],
                        "scores": scores.ravel().tolist(),
                        "corners": _corners(raster, one),
                    }
                )
    except InputError:
        found += [{"reason": f"its scene {raster.path.name} cannot be read"}] * (len(windows) - len(found))
    return found


def _corners(raster: Raster, window: dict[str, Any]) -> list[list[float]]:
    across, down = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    lon, lat = raster.lonlat(window["col"] + across * window["width"], window["row"] + down * window["height"])
    return np.round(np.column_stack([lon, lat]), DECIMALS).tolist()  # type: ignore[no-any-return]
