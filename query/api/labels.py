"""What clients may ask about labels: classify, and what to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat

from embedstore.errors import LimitError
from query.api.geojson import FeatureCollection
from query.api.questions import Filters, Id, Place

if TYPE_CHECKING:
    from query.api.settings import Settings

Method = Literal["knn", "probe", "forest", "prototype"]
Class = Annotated[str, Field(min_length=1, max_length=200)]
PLACES: Any = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [13.371, 45.768]},
            "properties": {"class": "town"},
        },
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [13.46, 45.75]},
            "properties": {"class": "field"},
        },
    ],
}


class Labelling(Filters):
    """Labels, how to learn from them, and which chips to look at."""

    labels: FeatureCollection | dict[Id, Class] = Field(
        union_mode="left_to_right", description="Class of stored chips by id, or GeoJSON points and polygons."
    )
    column: str = Field(default="class", max_length=200, description="The features' property that holds the class.")
    method: Method = "knn"
    k: int | None = Field(
        default=None, ge=1, le=1_000, description="Neighbours that vote, where the method has any; 5, or all labels."
    )

    def source(self, settings: Settings) -> dict[str, Any]:
        """Return the labels as `query.fewshot` takes them.

        Raises
        ------
        LimitError
            If there are more, or they have more corners, than are allowed.
        """
        if isinstance(self.labels, FeatureCollection):
            count, corners = len(self.labels.features), self.labels.corners
        else:
            count, corners = len(self.labels), 0
        if count > settings.max_labels:
            raise LimitError(f"there are {count} labels; {settings.max_labels} are allowed. Leave some out.")
        if corners > settings.max_vertices:
            raise LimitError(f"the labels have {corners} corners; {settings.max_vertices} are allowed. Simplify them.")
        return self.labels.model_dump() if isinstance(self.labels, FeatureCollection) else dict(self.labels)


class Classify(Labelling):
    """A classification of ids, of places, or of an area."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"labels": PLACES, "bbox": [13.35, 45.75, 13.4, 45.79], "evaluate": True}]},
    )
    abstain_below: FiniteFloat = Field(
        default=0.0, ge=0, le=1, description="Confidence below which a chip gets no class."
    )
    ids: list[Id] | None = Field(default=None, description="Stored chips to classify.")
    points: list[Place] | None = Field(default=None, description="Places whose chips to classify.")
    evaluate: bool = Field(
        default=False, description="Whether to estimate how good the classes are, by spatial blocks."
    )


class Suggest(Labelling):
    """What to label next."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"labels": PLACES, "n": 5}]})
    n: int = Field(default=10, ge=1, le=1_000, description="How many chips to suggest.")
