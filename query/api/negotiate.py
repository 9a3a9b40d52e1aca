"""Which of the forms that an answer can take the client wants: RFC 9110, section 12.5.1."""

from __future__ import annotations

from query.api.problems import Problem

JSON = "application/json"
GEOJSON = "application/geo+json"
ARROW = "application/vnd.apache.arrow.stream"
MVT = "application/vnd.mapbox-vector-tile"
PARQUET = "application/vnd.apache.parquet"


def choose(accept: str | None, offered: tuple[str, ...]) -> str:
    """Return the media type offered that is wanted most; of equals the first offered.

    Parameters
    ----------
    accept
        The request's header.
    offered
        Media types, the usual one first.

    Raises
    ------
    Problem
        406 if none is wanted.
    """
    wanted = [_range(part) for part in (accept or "*/*").split(",") if part.strip()]
    best = max(offered, key=lambda one: (_weight(one, wanted), -offered.index(one)))
    if not _weight(best, wanted):
        raise Problem(406, f"the answer can be had as {', '.join(offered)}; none of them is in the Accept header.")
    return best


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip() for piece in part.lower().split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = min(max(float(value), 0.0), 1.0)
            except ValueError:
                weight = 0.0
    return kind, weight


def _weight(offered: str, wanted: list[tuple[str, float]]) -> float:
    """Return the weight of the most precise range that the media type falls into."""
    family = offered.partition("/")[0] + "/*"
    for name in (offered, family, "*/*"):
        for kind, weight in wanted:
            if kind == name:
                return weight
    return 0.0
