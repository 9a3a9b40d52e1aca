"""GeoJSON that is taken: areas and labels, checked before anything is done with them (RFC 7946)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

Position = Annotated[list[FiniteFloat], Field(min_length=2, max_length=4)]
Ring = Annotated[list[Position], Field(min_length=4)]
Rings = Annotated[list[Ring], Field(min_length=1)]

SQUARE: Any = [[[13.36, 45.76], [13.39, 45.76], [13.39, 45.78], [13.36, 45.78], [13.36, 45.76]]]


class Polygon(BaseModel):
    """A polygon in degrees, longitude first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "Polygon", "coordinates": SQUARE}]})
    type: Literal["Polygon"]
    coordinates: Rings

    @property
    def corners(self) -> int:
        """How many."""
        return sum(len(ring) for ring in self.coordinates)


class MultiPolygon(BaseModel):
    """Several polygons."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Rings], Field(min_length=1)]

    @property
    def corners(self) -> int:
        """How many."""
        return sum(len(ring) for rings in self.coordinates for ring in rings)


class Point(BaseModel):
    """A position."""

    type: Literal["Point"]
    coordinates: Position

    @property
    def corners(self) -> int:
        """One."""
        return 1


class MultiPoint(BaseModel):
    """Several positions."""

    type: Literal["MultiPoint"]
    coordinates: Annotated[list[Position], Field(min_length=1)]

    @property
    def corners(self) -> int:
        """How many."""
        return len(self.coordinates)


Area = Annotated[Polygon | MultiPolygon, Field(discriminator="type")]
Geometry = Annotated[Point | MultiPoint | Polygon | MultiPolygon, Field(discriminator="type")]


def _as_utf8(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties; a ValueError if one holds half a character, of which no answer and no file could be made."""
    json.dumps(properties, ensure_ascii=False).encode()
    return properties


class Feature(BaseModel):
    """A labelled place."""

    type: Literal["Feature"]
    geometry: Geometry
    properties: Annotated[dict[str, Any], AfterValidator(_as_utf8)]


class FeatureCollection(BaseModel):
    """Labelled places."""

    type: Literal["FeatureCollection"]
    features: list[Feature]
    crs: dict[str, Any] | None = None

    @property
    def corners(self) -> int:
        """How many."""
        return sum(feature.geometry.corners for feature in self.features)
