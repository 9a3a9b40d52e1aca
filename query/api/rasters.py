"""The store's own scenes as pictures: which there are, and PNG tiles of them in the colours of the thumbnails."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter
from PIL import Image
from rasterio.errors import RasterioError
from rio_tiler.constants import WGS84_CRS
from rio_tiler.errors import NoOverviewWarning, RioTilerError, TileOutsideBounds
from rio_tiler.io import Reader
from starlette.responses import JSONResponse, Response

from embedstore.errors import InputError
from embedstore.spec import Modality
from indexer import acquisition
from indexer.bands import describe
from indexer.rasters import opened
from indexer.thumbnails import COLOURS, Painter
from query.api import answers, openapi
from query.api.mvt import Tile
from query.api.problems import Problem
from query.api.service import Of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from query.api.collections import Collection
    from query.api.scenes import Scene

router = APIRouter(tags=["Tiles"])
LOG = logging.getLogger("embedstore.service")
PNG = "image/png"
HOUR = "private, max-age=3600"
SIDE = 256


@router.get("/collections/{c}/rasters", response_class=Response, responses=openapi.plain(answers.Rasters))
def list_rasters(of: Of) -> JSONResponse:
    """List the scenes whose files are still there."""
    found = [_about(scene) for scene in of.scenes().values()]
    return JSONResponse({"rasters": [one for one in found if one is not None]})


@router.get(
    "/collections/{c}/rasters/{item}/{z}/{x}/{y}.png", response_class=Response, responses=openapi.ok((PNG, None))
)
def raster_tile(of: Of, item: str, z: int, x: int, y: int) -> Response:
    """Draw a tile of a scene, 256 pixels wide."""
    tile = Tile(z, x, y)
    scene = of.scenes().get(item)
    if scene is None:
        raise Problem(404, f"there is no scene {item!r}; GET /collections/{of.id}/rasters lists them.")
    return Response(_draw(of, scene, tile), media_type=PNG, headers={"Cache-Control": HOUR})


def _about(scene: Scene) -> dict[str, Any] | None:
    """Return what there is to know of a scene; None if its file is gone or cannot be read."""
    try:
        with _opened(scene) as source:
            tags = source.dataset.tags()
            when = acquisition.from_tags(tags) or acquisition.from_name(source.dataset.name.rpartition("/")[2])
            return {
                "item": scene.item,
                "datetime": when.isoformat().replace("+00:00", "Z") if when else None,
                "bbox": list(source.get_geographic_bounds(WGS84_CRS)),
                "minzoom": source.minzoom,
                "maxzoom": source.maxzoom,
            }
    except Problem:
        return None


def _draw(of: Collection, scene: Scene, tile: Tile) -> bytes:
    shown = _shown(next(m for m in of.engine.store.encoder.modalities if m.name == scene.modality))
    with _opened(scene) as source:
        bands = describe(source.dataset, source.dataset.name).select(shown.bands, scene.item)
        image = source.tile(tile.x, tile.y, tile.z, tilesize=SIDE, indexes=bands.indexes)
    valid = np.asarray(image.mask) > 0
    return _png(Painter(shown, bands, 1).stretch(np.asarray(image.array.data), valid), valid)


@contextmanager
def _opened(scene: Scene) -> Iterator[Any]:
    """Open a scene's file; whatever keeps it from being drawn is a 404."""
    if scene.path is None:
        raise Problem(404, f"the file of the scene {scene.item} is not where it was when it was encoded.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoOverviewWarning)
            with opened(scene.path) as dataset, Reader(None, dataset=dataset) as source:
                yield source
    except TileOutsideBounds:
        raise Problem(404, f"the scene {scene.item} does not reach into this tile.") from None
    except (RioTilerError, RasterioError, OSError, InputError) as error:
        LOG.warning("scene cannot be drawn", extra={"fields": {"item": scene.item, "error": str(error)}})
        raise Problem(404, f"the scene {scene.item} cannot be drawn; its file is damaged or was replaced.") from error


def _shown(modality: Modality) -> Modality:
    """Return the bands of a modality that make its colours, as its thumbnails have them."""
    names = next((c for c in COLOURS if set(c) <= set(modality.bands)), modality.bands[:3])
    at = [modality.bands.index(name) for name in (names if len(names) == 3 else names[:1])]
    mean, std = tuple(modality.mean[i] for i in at), tuple(modality.std[i] for i in at)
    return Modality(modality.name, tuple(modality.bands[i] for i in at), mean, std)


def _png(light: NDArray[np.uint8], valid: NDArray[np.bool_]) -> bytes:
    colours = light if light.shape[2] == 3 else np.repeat(light, 3, axis=2)
    out = io.BytesIO()
    Image.fromarray(np.dstack([colours, valid.astype(np.uint8) * 255])).save(out, "PNG")
    return out.getvalue()
