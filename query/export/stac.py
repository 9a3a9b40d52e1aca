"""Chips as a static STAC catalogue: a Collection, an Item for each H3 partition, and its vectors as GeoParquet.

Sources: STAC 1.0.0 (https://stacspec.org) and its proposed extension for embeddings, 0.0.1
(https://github.com/geo-embeddings/embeddings-stac-specification), which builds on STAC 1.0.0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from embedstore import grid
from embedstore.errors import InputError
from query.export import parquet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec
    from query.rows import Rows

VERSION = "1.0.0"
EXTENSION = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
PARQUET = "application/vnd.apache.parquet"
JSON, GEOJSON = "application/json", "application/geo+json"
_ASSET = {"type": PARQUET, "roles": ["data"], "title": "Vectors and footprints of chips, GeoParquet"}


@dataclass(frozen=True)
class _Extent:
    """Where and when some chips lie: west, south, east, north (west > east across 180°), first and last moment."""

    box: tuple[float, float, float, float]
    first: str
    last: str

    @property
    def geometry(self) -> Any:
        """The box, cut at the antimeridian."""
        west, south, east, north = self.box
        pieces = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        boxes = [shapely.box(a, south, b, north) for a, b in pieces]
        return json.loads(shapely.to_geojson(boxes[0] if len(boxes) == 1 else shapely.MultiPolygon(boxes)))


def write(chips: Rows, folder: Path, name: str, partition: int, licence: str) -> None:
    """Write a catalogue whose links are relative, so that it may lie anywhere.

    Parameters
    ----------
    chips
        At least one.
    folder
        An empty one.
    name
        Id of the Collection.
    partition
        H3 resolution of an Item.
    licence
        SPDX identifier, or ``proprietary`` or ``various`` as STAC has them.

    Raises
    ------
    InputError
        If there are no chips, or some have no time, which STAC wants.
    """
    if not len(chips):
        raise InputError("no chip passes the filter, and a STAC Collection needs an extent; widen it.")
    encoder, whole = chips.snapshot.encoder, _extent(chips)
    cells = grid.parents(chips.column("h3"), partition)
    extents = {}
    for cell in np.unique(cells).tolist():
        here = chips.take(cells == cell)
        item = f"{name}-{grid.to_text(cell)}"
        (folder / item).mkdir()
        parquet.write(here, folder / item / "embeddings.parquet")
        extents[item] = _extent(here)
        _write(folder / item / f"{item}.json", _item(item, name, extents[item], encoder))
    _write(folder / "encoder.json", encoder.to_dict())
    _write(folder / "sources.json", _sources(chips))
    _write(folder / "collection.json", _collection(name, extents, whole, encoder, licence))


def _item(item: str, collection: str, extent: _Extent, encoder: EncoderSpec) -> dict[str, Any]:
    moment = extent.first if extent.first == extent.last else None
    runtime = {
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
        "bands": {m.name: list(m.bands) for m in encoder.modalities},
        "chip_size": encoder.chip_size,
    }
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [EXTENSION],
        "id": item,
        "collection": collection,
        "bbox": list(extent.box),
        "geometry": extent.geometry,
        "properties": {
            "datetime": moment,
            "start_datetime": extent.first,
            "end_datetime": extent.last,
            "emb:runtime_parameters": runtime,
            "emb:quantization": {
                "method": "unit length, mantissa rounded to 10 bits",
                "original_dtype": "float32",
                "quantized_dtype": "float32",
            },
        },
        "links": [{"rel": rel, "href": "../collection.json", "type": JSON} for rel in ("root", "parent", "collection")],
        "assets": {"embeddings": {"href": "./embeddings.parquet", **_ASSET}},
    }


def _collection(
    name: str, items: dict[str, _Extent], whole: _Extent, encoder: EncoderSpec, licence: str
) -> dict[str, Any]:
    imported = encoder.name.startswith("imported:")
    model = str(encoder.options.get("source") or "") if imported else ""
    kind = "pixel" if imported and encoder.chip_size == 1 else "chip"
    layout = {
        "layout_type": "variable_grid" if imported else "regular_grid",
        "chip_size": [encoder.chip_size, encoder.chip_size],
    }
    links = [
        {"rel": "root", "href": "./collection.json", "type": JSON},
        {"rel": "emb:model", "href": model or "./encoder.json", "title": encoder.name},
        {"rel": "emb:source-data", "href": "./sources.json", "type": JSON, "title": "What the vectors were made from"},
        *({"rel": "item", "href": f"./{item}/{item}.json", "type": GEOJSON} for item in items),
    ]
    said = {"emb:type": kind, "emb:dimensions": encoder.dimension, "data_type": "float32", "gsd": encoder.gsd}
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": [EXTENSION],
        "id": name,
        "title": name.replace("_", " "),
        "description": f"Embeddings of {encoder.name}, {encoder.dimension} dimensions, as GeoParquet by H3 cell.",
        "license": licence,
        "extent": {
            "spatial": {"bbox": [list(whole.box), *(list(e.box) for e in items.values() if len(items) > 1)]},
            "temporal": {"interval": [[whole.first, whole.last]]},
        },
        **said,
        "emb:chip_layout": layout,
        "item_assets": {"embeddings": _ASSET},
        "summaries": {key: [value] for key, value in said.items()},
        "links": links,
    }


def _extent(chips: Rows) -> _Extent:
    first, last = chips.column("datetime"), chips.column("datetime_end")
    last = np.where(np.isnat(last), first, last)
    if np.isnat(first).any():
        raise InputError(
            f"{np.count_nonzero(np.isnat(first)):,} chips have no time, and STAC wants one of each; export those that "
            "have one by --between ../.., or import or encode the others with --datetime."
        )
    ends = (f"{np.datetime_as_string(t, 's')}Z" for t in (first.min(), last.max()))
    return _Extent(_box(chips.footprints()), *ends)


def _box(shapes: NDArray[Any]) -> tuple[float, float, float, float]:
    """Return the box of footprints; across the antimeridian where that is the smaller one."""
    parts = shapely.bounds(shapely.get_parts(shapes))
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    order = np.argsort(parts[:, 0])
    begins, reach = parts[order, 0], np.maximum.accumulate(parts[order, 2])
    gaps = begins[1:] - reach[:-1]
    if len(gaps) and gaps.max() > 360 - (east - west):
        at = int(np.argmax(gaps))
        west, east = float(begins[at + 1]), float(reach[at])
    return west, south, east, north


def _sources(chips: Rows) -> dict[str, Any]:
    """Return every input once, by modality and item."""
    from query.export.chips import blocks  # noqa: PLC0415 - only its reading is needed

    seen: dict[tuple[str, str], str] = {}
    for block in blocks(chips, ("inputs",)):
        for part in block["inputs"].combine_chunks().flatten().to_pylist():
            seen.setdefault((part["modality"] or "", part["item"] or ""), part["href"] or "")
    return {"inputs": [{"modality": m, "item": i, "href": href} for (m, i), href in sorted(seen.items())]}


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
