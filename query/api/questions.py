"""What clients may ask: examples, filters, and the limits of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from embedstore.errors import LimitError
from query import conditions
from query.api.geojson import SQUARE, Area

if TYPE_CHECKING:
    from query.api.settings import Settings

Id = Annotated[str, Field(max_length=64, examples=["0b5c8d1e2f3a4b5c6d7e8f9a0b1c2d3e"])]
Longitude = Annotated[FiniteFloat, Field(ge=-180, le=180)]
Latitude = Annotated[FiniteFloat, Field(ge=-90, le=90)]
Place = Annotated[tuple[Longitude, Latitude], Field(examples=[[13.371, 45.768]])]
Box = Annotated[
    tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat],
    Field(
        description="West, south, east, north; west > east crosses the antimeridian.",
        examples=[[13.3, 45.7, 13.5, 45.8]],
    ),
]


class Body(BaseModel):
    """A request's JSON; a name that is not known is a mistake and not ignored."""

    model_config = ConfigDict(extra="forbid")


class Filters(Body):
    """Which chips may answer; all that is given, together."""

    bbox: Box | None = None
    within: Area | None = Field(default=None, description="Polygon that holds a chip's centre.")
    cells: list[str] | None = Field(
        default=None, description="H3 cells that hold a chip's centre.", examples=[["861ea7707ffffff"]]
    )
    between: str | None = Field(
        default=None,
        max_length=128,
        description="Times A/B; .. leaves an end open.",
        examples=["2019-01-01/2019-12-31"],
    )
    where: str | None = Field(
        default=None,
        max_length=2_000,
        description="SQL condition on id, lon, lat, h3, datetime, datetime_end, modalities, valid_fraction.",
        examples=["valid_fraction > 0.9"],
    )

    def arguments(self, settings: Settings) -> dict[str, Any]:
        """Return the filter as the engine takes it.

        Raises
        ------
        LimitError
            If the polygon has more corners, or there are more cells, than are allowed.
        FilterError
            If the condition is more than a condition.
        """
        if self.within is not None and self.within.corners > settings.max_vertices:
            raise LimitError(
                f"the polygon has {self.within.corners} corners; {settings.max_vertices} are allowed. Simplify it."
            )
        if self.cells is not None and len(self.cells) > settings.max_cells:
            raise LimitError(f"there are {len(self.cells)} cells; {settings.max_cells} are allowed. Give coarser ones.")
        if self.where is not None:
            conditions.check(self.where)
        return {
            "bbox": self.bbox,
            "within": None if self.within is None else self.within.model_dump(),
            "cells": self.cells,
            "between": self.between,
            "where": self.where,
        }


class Examples(Body):
    """What to look for; several are averaged."""

    id: Id | None = Field(default=None, description="A stored chip.")
    at: Place | None = Field(default=None, description="Longitude and latitude: the chip at this place.")
    vector: list[FiniteFloat] | None = Field(default=None, max_length=65_536, description="Of the encoder's dimension.")
    positives: list[Id] = Field(default=[], description="Stored chips to look for.")
    negatives: list[Id] = Field(default=[], description="Stored chips to look away from.")

    def examples(self, settings: Settings) -> dict[str, Any]:
        """Return the examples as the engine takes them.

        Raises
        ------
        LimitError
            If there are more than are allowed.
        """
        count = len(self.positives) + len(self.negatives)
        if count > settings.max_examples:
            raise LimitError(f"there are {count} examples; {settings.max_examples} are allowed. Leave some out.")
        return {
            "vector": self.vector,
            "id": self.id,
            "at": self.at,
            "like": self.positives,
            "unlike": self.negatives,
        }


class Search(Examples, Filters):
    """A search."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"at": [13.371, 45.768], "k": 5, "spread": 500},
                {
                    "at": [13.371, 45.768],
                    "within": {"type": "Polygon", "coordinates": SQUARE},
                    "between": "2019-01-01/..",
                },
            ]
        },
    )
    k: int = Field(default=10, ge=1, description="How many hits.")
    recall: Annotated[FiniteFloat, Field(gt=0, le=1)] | Literal["exact"] = Field(
        default=0.95, description="Share of the true neighbours to deliver, or exact."
    )
    spread: FiniteFloat | None = Field(
        default=None, ge=0, description="Least distance between two hits on the ground, metres."
    )


class Explain(Examples):
    """Chips to explain, and the examples that they are like."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"ids": ["0b5c8d1e2f3a4b5c6d7e8f9a0b1c2d3e"], "at": [13.371, 45.768]}]},
    )
    ids: list[Id] = Field(min_length=1, description="Stored chips, mostly hits of a search with the same examples.")


class HeatMap(Examples, Filters):
    """A heat map."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"at": [13.371, 45.768], "resolution": 8}]}
    )
    resolution: int | None = Field(
        default=None, ge=0, le=15, description="Of the H3 cells; without it, as the extent suggests."
    )
