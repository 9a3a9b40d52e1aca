"""What a search by example finds: chips of the same class, of the same place, on another date, by another sensor.

``python -m benchmarks.retrieval --encoder band-statistics,rcf --data FOLDER --json F``

Precision@10 counts neighbours that share the query's class (AID) or the chip that both were cut from. Where one chip
only is right, its mean rank is told, beside what chance gives, and how often it is the first or among ten. Cosine
similarity; ties count half. ``--regions alpha`` adds simulated chips that encoders of several sensors find across
sensors, among 10,000 of bands of land held out. Data sets: :mod:`benchmarks.tasks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import report
from benchmarks.measures import Figure
from benchmarks.tasks import known, pictures, simulated, views
from benchmarks.tasks.task import Chips
from benchmarks.vectors_of import CACHE, aligned, vectors_of
from embedstore.errors import EmbedstoreError, EncoderError
from indexer.encoders import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.tasks.views import Views

NEIGHBOURS = 10
AMONG = 10_000
RESAMPLES = 1000
CHUNK = 1000
SETS = ("aid", "crops", *views.KNOWN)


def precision(
    queries: NDArray[np.float32],
    asked: NDArray[np.int64],
    answers: NDArray[np.float32],
    known: NDArray[np.int64],
    *,
    same: bool = False,
) -> NDArray[np.float64]:
    """Return for each query the share of its ten nearest answers that have its label, shape (n,).

    `same` says that queries and answers are the same chips, so that no query finds itself.
    """
    shares = []
    for start in range(0, len(queries), CHUNK):
        scores = queries[start : start + CHUNK] @ answers.T
        if same:
            at = np.arange(len(scores))
            scores[at, start + at] = -np.inf
        nearest = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        shares.append((known[nearest] == asked[start : start + CHUNK, None]).mean(axis=1))
    return np.concatenate(shares)


def ranks(queries: NDArray[np.float32], answers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the rank, from 1, of the answer at each query's own position, shape (n,); ties count half."""
    found = []
    for start in range(0, len(queries), CHUNK):
        scores = queries[start : start + CHUNK] @ answers.T
        own = scores[np.arange(len(scores)), start + np.arange(len(scores))][:, None]
        found.append(1 + (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2)
    return np.concatenate(found)


def mean(values: NDArray[np.float64]) -> Figure:
    """Return the mean of values of n queries, and the interval that holds 95 of 100 resamples of them."""
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    return Figure.of(float(values.mean()), drawn)


def of_views(seen: Views, encoder: str, cache: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean rank of each place and share of times it was first, over all ordered pairs of views, shape (n,)."""
    vectors = _encode(seen.views, encoder, cache)
    rank = np.stack([ranks(a, b) for i, a in enumerate(vectors) for j, b in enumerate(vectors) if i != j])
    return rank.mean(axis=0), (rank == 1).mean(axis=0)


def _encode(seen: Sequence[Chips], encoder: str, cache: Path) -> list[NDArray[np.float32]]:
    """Encode views of one sensor together, those of several each by itself."""
    if len({v.bands for v in seen}) > 1:
        made = [vectors_of(encoder, v, np.arange(len(v)), cache) for v in seen]
        if not aligned(encoder):
            raise EncoderError(f"{encoder} has no common space for {' and '.join(v.name for v in seen)}")
        return made
    pixels, valid = np.concatenate([v.pixels for v in seen]), np.concatenate([v.valid for v in seen])
    together = Chips(seen[0].name, seen[0].bands, pixels, valid)
    return np.split(vectors_of(encoder, together, np.arange(len(together)), cache), len(seen))


def across(region: str, encoder: str, chips: int, cache: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield how a simulated chip seen by one sensor finds itself seen by another, for each ordered pair of sensors.

    Raises
    ------
    EncoderError
        If the encoder is not one of several sensors.
    """
    if not aligned(encoder):
        raise EncoderError(f"{encoder} takes one sensor only, and finds nothing across sensors.")
    world = simulated.world(region, chips, folder)
    test = world.split()[1][:AMONG]
    sensors = [s for s in registry.modalities(encoder) if s in simulated.BANDS]
    vectors = {s: vectors_of(encoder, world.chips(s, at=test), np.arange(len(test)), cache) for s in sensors}
    for a in sensors:
        for b in sensors:
            if a != b:
                rank = ranks(vectors[a], vectors[b])
                title = f"simulated region {region}: {a} finds {b} among {len(test):,}"
                found = (rank <= NEIGHBOURS).astype(np.float64)
                yield _row(f"{region} {a} to {b}", title, encoder, "recall@10", found, NEIGHBOURS / len(test))


def rows_of(name: str, data: Path, encoder: str, cache: Path) -> list[dict[str, Any]]:
    """Return what one encoder finds in one set."""
    if name == "aid":
        task = pictures.aid(data)
        vectors, (train, test) = vectors_of(encoder, task.chips, task.fitted_on, cache), task.splits[0]
        found = precision(vectors[test], task.labels[test], vectors[train], task.labels[train])
        chance = float(np.mean([(task.labels[train] == c).mean() for c in task.labels[test]]))
        return [_row(name, "test chips of AID find training chips of their class", encoder, "P@10", found, chance)]
    if name == "crops":
        chips, of = views.crops(data)
        vectors = vectors_of(encoder, chips, np.arange(len(chips)), cache)
        found = precision(vectors, of, vectors, of, same=True)
        chance = float(np.mean([((of == c).sum() - 1) / (len(of) - 1) for c in of]))
        return [_row(name, "crops of Sentinel-2 chips find crops of the same chip", encoder, "P@10", found, chance)]
    seen = views.KNOWN[name](data)
    rank, first = of_views(seen, encoder, cache)
    count = len(seen.views[0])
    return [
        _row(name, seen.title, encoder, "mean rank", rank, (count + 1) / 2),
        _row(name, seen.title, encoder, "first", first, 1 / count),
    ]


def _row(
    name: str, title: str, encoder: str, measure: str, values: NDArray[np.float64], chance: float
) -> dict[str, Any]:
    figure = mean(values)
    numbers = figure.numbers()
    return {"set": name, "measure": measure, "encoder": encoder, "score": str(figure), "chance": chance,
            "numbers": numbers, "what": [title]}  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = report.parser("What a search by example finds.")
    parser.add_argument("--encoder", default="band-statistics,rcf,timm:convnextv2_atto@random", help="several by comma")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--sets", default=",".join(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--regions", default="", help="simulated, by comma")
    parser.add_argument("--chips", type=int, default=known.CHIPS, help="simulated; half as many are searched")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of vectors kept")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in filter(None, args.sets.split(",")):
        for encoder in args.encoder.split(","):
            try:
                rows += rows_of(name, args.data, encoder, args.cache)
            except (EmbedstoreError, OSError, ValueError) as error:
                print(f"left out: {encoder} on {name} ({error})")
    for region in filter(None, args.regions.split(",")):
        for encoder in args.encoder.split(","):
            try:
                rows += across(region, encoder, args.chips, args.cache, simulated.FOLDER)
            except EmbedstoreError as error:
                print(f"left out: {encoder} on {region} ({error})")
    figures = {f"{r['set']}/{r['measure']}/{r['encoder']}": r["numbers"]["value"] for r in rows}
    report.write("retrieval by example", rows, figures, args.json)


if __name__ == "__main__":
    main()
