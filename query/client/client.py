"""The client: questions as the engine takes them, answers as Arrow tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pyarrow as pa
import shapely

from embedstore import area
from embedstore.errors import RasterError, StoreError
from query.client.jobs import Job
from query.client.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import httpx
    from numpy.typing import ArrayLike

PAGE = 1_000
"""Items asked for at a time."""
NO_CLASSES = pa.schema(
    {
        "id": pa.string(),
        "class": pa.string(),
        "confidence": pa.float64(),
        "distance": pa.float64(),
        "neighbours": pa.list_(pa.string()),
        "lon": pa.float64(),
        "lat": pa.float64(),
    }
).empty_table()
"""What a classification of no chips answers."""


class Client:
    """Asks one collection of a service what :class:`query.engine.Engine` asks a store.

    Parameters
    ----------
    url
        Where the service is.
    collection
        Id of the collection; the only one if None.
    key
        To send along, if the service asks for one.
    timeout
        Seconds to wait for an answer.
    http
        The HTTP client to use, for instance one with a proxy; one is made if None.

    Raises
    ------
    StoreError
        If the service cannot be reached, or has several collections and none is named.

    Examples
    --------
    >>> with Client("http://127.0.0.1:8000", "store") as client:
    ...     client.search(at=(13.37, 45.77), k=5).to_pandas()
    """

    def __init__(
        self,
        url: str,
        collection: str | None = None,
        *,
        key: str | None = None,
        timeout: float = 60.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(url, key, timeout, http)
        self.collection = collection or self._only()
        self._path = f"/collections/{quote(self.collection, safe='')}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def collections(self) -> list[dict[str, Any]]:
        """Return what there is to know about every collection."""
        found: list[dict[str, Any]] = self._transport.json("GET", "/collections")["collections"]
        return found

    def describe(self) -> dict[str, Any]:
        """Return what there is to know about this collection."""
        found: dict[str, Any] = self._transport.json("GET", self._path)
        return found

    def items(
        self, bbox: Sequence[float] | None = None, datetime: str | None = None, page: int = PAGE
    ) -> Iterator[dict[str, Any]]:
        """Yield chips as GeoJSON features, page after page.

        Parameters
        ----------
        bbox
            West, south, east, north in degrees.
        datetime
            A time, or "A/B".
        page
            Chips asked for at a time.
        """
        given = {"limit": page, "bbox": bbox and ",".join(map(str, bbox)), "datetime": datetime}
        query = {name: value for name, value in given.items() if value is not None}
        found = self._transport.json("GET", f"{self._path}/items", params=query)
        while True:
            yield from found["features"]
            token = next((_token(link["href"]) for link in found["links"] if link["rel"] == "next"), None)
            if token is None:
                return
            found = self._transport.json("GET", f"{self._path}/items", params={**query, "token": token})

    def thumbnail(self, id: str) -> bytes:  # noqa: A002 - the column's name
        """Return a chip's picture, WebP."""
        return self._transport.ask("GET", f"{self._path}/items/{id}/thumbnail").content

    def search(
        self,
        vector: ArrayLike | None = None,
        *,
        chip: str | Path | None = None,
        id: str | None = None,  # noqa: A002 - the column's name
        at: tuple[float, float] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        k: int = 10,
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
        recall: float | str = 0.95,
        spread: float | None = None,
    ) -> pa.Table:
        """Return the stored chips most like the examples, best first.

        Parameters are those of :meth:`query.engine.Engine.search`. The columns are id, score, lon, lat, h3, datetime,
        datetime_end, modalities, valid_fraction and geometry; the report is in the schema's metadata.

        Raises
        ------
        EmbedstoreError
            What the engine would raise.
        """
        body = {
            **_examples(vector, id, at, like, unlike),
            **_filters(bbox, within, cells, between, where),
            **_given(k=k, recall=recall, spread=spread),
        }
        if chip is None:
            return self._transport.arrow(f"{self._path}/search", body)
        try:
            raw = Path(chip).read_bytes()
        except OSError as error:
            raise RasterError(f"the chip {chip} cannot be read: {error.strerror}. Give a GeoTIFF or PNG.") from error
        form = {"files": {"file": (Path(chip).name, raw)}, "data": {"query": json.dumps(body)}}
        return self._transport.arrow(f"{self._path}/search", **form)

    def explain(
        self,
        ids: Sequence[str],
        vector: ArrayLike | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the column's name
        at: tuple[float, float] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Return which pixels of chips are like the examples: a grid for each, or the reason why there is none.

        Parameters are those of :meth:`query.engine.Engine.explain`; grids are those of the service's documentation.
        """
        body = {"ids": [ids] if isinstance(ids, str) else list(ids), **_examples(vector, id, at, like, unlike)}
        found: list[dict[str, Any]] = self._transport.json("POST", f"{self._path}/explain", body)["explained"]
        return found

    def heat_map(
        self,
        vector: ArrayLike | None = None,
        *,
        resolution: int | None = None,
        id: str | None = None,  # noqa: A002 - the column's name
        at: tuple[float, float] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
    ) -> pa.Table:
        """Return how like the examples each H3 cell is: columns h3, chips, mean and best.

        Parameters are those of :meth:`query.engine.Engine.heat_map`; without a resolution the service chooses one.
        """
        body = {
            **_examples(vector, id, at, like, unlike),
            **_filters(bbox, within, cells, between, where),
            **_given(resolution=resolution),
        }
        found = self._transport.json("POST", f"{self._path}/heatmap", body)["cells"]
        return pa.table(
            {
                "h3": pa.array([int(cell["h3"], 16) for cell in found], pa.int64()),
                "chips": pa.array([cell["chips"] for cell in found], pa.int64()),
                "mean": pa.array([cell["mean"] for cell in found], pa.float32()),
                "best": pa.array([cell["best"] for cell in found], pa.float32()),
            }
        )

    def sql(self, statement: str) -> pa.Table:
        """Return what one SELECT on the view `embeddings` answers."""
        return self._transport.arrow(f"{self._path}/sql", {"sql": statement})

    def classify(
        self,
        labels: Mapping[str, Any],
        *,
        column: str = "class",
        method: str = "knn",
        k: int | None = None,
        abstain_below: float = 0.0,
        ids: Sequence[str] | None = None,
        points: Sequence[tuple[float, float]] | None = None,
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
    ) -> pa.Table | Job:
        """Give chips the class that labels suggest: a table, or a job where there are many.

        Parameters
        ----------
        labels
            ``{id: class}``, or a GeoJSON FeatureCollection of points and polygons.
        column
            The features' property that holds the class.
        method, k, abstain_below
            See :func:`query.fewshot.classify_area`.
        ids, points
            Chips to classify one by one, instead of an area.
        bbox, within, cells, between, where
            Which chips; see :meth:`search`.
        """
        body = {
            "labels": labels,
            "column": column,
            "method": method,
            "abstain_below": abstain_below,
            **_given(
                k=k,
                ids=None if ids is None else [str(one) for one in ids],
                points=None if points is None else [[float(x), float(y)] for x, y in points],
            ),
            **_filters(bbox, within, cells, between, where),
        }
        found = self._transport.json("POST", f"{self._path}/classify", body)
        if "job" in found:
            return Job(found["job"], self._transport)
        chips = found["chips"]
        return pa.Table.from_pylist(chips) if chips else NO_CLASSES

    def suggest(
        self,
        labels: Mapping[str, Any],
        n: int = 10,
        *,
        column: str = "class",
        method: str = "knn",
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
    ) -> pa.Table:
        """Return the chips whose labels would teach most: id, lon, lat, why, confidence, uncertainty."""
        body = {"labels": labels, "n": n, "column": column, "method": method}
        body |= _filters(bbox, within, cells, between, where)
        return pa.Table.from_pylist(self._transport.json("POST", f"{self._path}/suggest", body)["suggestions"])

    def change(
        self,
        a: str,
        b: str,
        *,
        k: int = 100,
        bbox: Sequence[float] | None = None,
        within: Any = None,
        where: str | None = None,
    ) -> pa.Table:
        """Return the places that changed most between two times; see :func:`query.change.change`."""
        body = {"a": a, "b": b, "k": k, **_filters(bbox, within, None, None, where)}
        return pa.Table.from_pylist(self._transport.json("POST", f"{self._path}/change", body)["pairs"])

    def _only(self) -> str:
        found = [one["id"] for one in self.collections()]
        if len(found) != 1:
            raise StoreError(f"the service has the collections {', '.join(found)}; name one of them.")
        return str(found[0])


def _examples(
    vector: ArrayLike | None,
    id_: str | None,
    at: tuple[float, float] | None,
    like: Sequence[str],
    unlike: Sequence[str],
) -> dict[str, Any]:
    return _given(
        vector=None if vector is None else np.asarray(vector, np.float64).ravel().tolist(),
        id=id_,
        at=None if at is None else list(at),
        positives=[like] if isinstance(like, str) else list(like),
        negatives=[unlike] if isinstance(unlike, str) else list(unlike),
    )


def _filters(
    bbox: Sequence[float] | None, within: Any, cells: Iterable[str | int] | None, between: Any, where: str | None
) -> dict[str, Any]:
    return _given(
        bbox=None if bbox is None else [float(v) for v in bbox],
        within=None if within is None else json.loads(shapely.to_geojson(area.parse(within))),
        cells=None if cells is None else [cell if isinstance(cell, str) else f"{cell:x}" for cell in cells],
        between=between
        if between is None or isinstance(between, str)
        else "/".join(str(end or "..") for end in between),
        where=where,
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _token(href: str) -> str:
    return parse_qs(urlsplit(href).query)["token"][0]
