"""Land-cover polygons on the coast of North Carolina, scored as a user does it: a store, labels, spatial folds."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING

import shapely

from indexer.encode import encode
from query import Engine
from query.fewshot import Labelled, evaluate

if TYPE_CHECKING:
    from pathlib import Path

    from query.fewshot.evaluation import Evaluation

SCENE, LABELS = "scenes/rachelcarson_nc_20181013_S2L1C_8b_u8.tif", "labels/rachelcarson_landcover.geojson"
COLUMN = "Classname"
STRIDES = {8: 4, 32: 8}
"""Pixels from one chip to the next, by the side of a chip. Most polygons are smaller than a hectare: chips of 8 pixels
(64 m) suit them, which not every network takes; chips of 32 pixels (256 m) hold much besides what is labelled."""
MARGIN = 0.003
"""Degrees around the polygons in which chips are encoded: more than a chip's side."""


def carolina(data: Path, encoder: str, size: int, methods: tuple[str, ...]) -> dict[str, Evaluation]:
    """Return what each method reaches with chips of a size in :data:`STRIDES`, by an encoder made from the scene.

    Raises
    ------
    EmbedstoreError
        If the encoder does not take the scene.
    """
    labels = data / LABELS
    shapes = [shapely.from_geojson(json.dumps(f["geometry"])) for f in json.loads(labels.read_text())["features"]]
    around = shapely.union_all(shapely.buffer(shapes, MARGIN))
    with tempfile.TemporaryDirectory() as folder:
        encode([data / SCENE], folder, encoder, around, size, STRIDES[size])
        with Engine(folder) as engine:
            labelled = Labelled.read(engine, str(labels), COLUMN)
            return {method: evaluate(labelled, method) for method in methods}
