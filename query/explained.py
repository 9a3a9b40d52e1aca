"""Explanations as people and programs take them: a grid of bytes, the share of a chip that matches, its outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from embedstore import footprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MATCH = 0.5
"""Cosine similarity from which a pixel is said to match: it then points to within 60 degrees of the query."""
LEVELS = 254
"""Steps of a similarity from 0 to 1 in a grid of bytes."""


def beside(hits: pa.Table, explanations: pa.Table) -> pa.Table:
    """Return hits with a column ``explain`` that holds the rest of their explanations as structs."""
    rest = explanations.drop_columns(["id"])
    return hits.append_column("explain", pa.chunked_array([rest.to_struct_array().combine_chunks()]))


def levels(one: Mapping[str, Any]) -> list[list[int]]:
    """Return an explanation as rows of bytes: 0 for no data, 1 for a similarity of 0 or less, up to 255 for 1."""
    scores = _scores(one)
    steps = np.rint(np.nan_to_num(scores).clip(0, 1) * LEVELS) + 1
    return np.where(np.isnan(scores), 0, steps).astype(int).tolist()  # type: ignore[no-any-return]


def share(one: Mapping[str, Any]) -> float:
    """Return the share of an explained chip's pixels with data that match."""
    scores = _scores(one)
    known = ~np.isnan(scores)
    return round(float((scores[known] >= MATCH).mean()), 4)


def percent(one: Mapping[str, Any]) -> str:
    """Return the share in per cent, a dash where there is no explanation."""
    return "-" if one["reason"] is not None else f"{100 * share(one):.0f} %"


def matching(one: Mapping[str, Any]) -> Any:
    """Return the area of the pixels that match as a shapely polygon in degrees, empty if none does."""
    from rasterio.features import shapes  # noqa: PLC0415 - GDAL is needed for explanations only

    mask = (_scores(one) >= MATCH).astype(np.uint8)
    parts = [shapely.geometry.shape(part) for part, _ in shapes(mask, mask=mask > 0)]
    corners = np.array(one["corners"])
    corners[:, 0] = np.unwrap(corners[:, 0], period=360)
    upper_left, upper_right, lower_right, lower_left = corners

    def ground(place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring columns and rows to degrees; over one chip, straight lines between its corners will do."""
        x, y = place[:, :1] / mask.shape[1], place[:, 1:] / mask.shape[0]
        upper, lower = upper_left * (1 - x) + upper_right * x, lower_left * (1 - x) + lower_right * x
        return np.asarray(upper * (1 - y) + lower * y)

    area = shapely.transform(shapely.union_all(parts), ground)
    return footprint.split(area) if parts else area


def areas(footprints: NDArray[Any], explanations: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Return what matches of each chip, and the footprint of a chip that is not explained."""
    shapes = [
        shape if one["reason"] is not None else matching(one)
        for shape, one in zip(footprints, explanations, strict=True)
    ]
    return np.array(shapes, object)


def summary(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return the share that matches, or the reason why there is no explanation."""
    return {"matching": share(one)} if one["reason"] is None else {"reason": one["reason"]}


def plain(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return an explanation as plain data: a summary, and a grid with its corners if there is one."""
    if one["reason"] is not None:
        return summary(one)
    return {
        **summary(one),
        "rows": one["rows"],
        "cols": one["cols"],
        "corners": one["corners"],
        "grid": levels(one),
    }


def _scores(one: Mapping[str, Any]) -> NDArray[np.float32]:
    return np.array(one["scores"], np.float32).reshape(one["rows"], one["cols"])
