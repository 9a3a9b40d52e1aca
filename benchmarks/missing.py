"""What is lost when a sensor, or half of the channels, is missing from chips that are asked about.

``python -m benchmarks.missing --encoder clip@FILE --regions alpha,beta --json F``

For encoders of several sensors (arXiv 2310.00119 claims that both may be missing). A linear layer learns from all
labels of the training bands of a simulated region with every sensor there; then chips of the test bands come whole,
without one of the sensors, or with half of the channels of each (rounded down; the mean of three draws). ``fall`` is
relative to the score with everything. ``learned alike`` is the score when the labelled chips lack the same sensor.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import curve, report
from benchmarks.tasks import known, simulated
from benchmarks.vectors_of import CACHE, aligned, joined, vectors_of
from embedstore.errors import EncoderError
from indexer.encoders import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from benchmarks.tasks.simulated import World

DRAWS = 3


def half(bands: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Return half of the bands, rounded down but at least one, in their order."""
    kept = np.random.default_rng(seed).choice(len(bands), max(1, len(bands) // 2), replace=False)
    return tuple(bands[i] for i in sorted(kept.tolist()))


def variants(encoder: str, world: World, cache: Path) -> Iterator[tuple[str, list[NDArray[np.float32]], bool]]:
    """Yield what is missing, vectors of all chips (one array, or one a draw), and whether training chips lack it too.

    Raises
    ------
    EncoderError
        If the encoder is not one of several sensors.
    """
    if not aligned(encoder):
        raise EncoderError(f"{encoder} takes one sensor only, so none can be missing.")
    train, test = world.split()
    sensors = {s: b for s, b in registry.modalities(encoder).items() if s in simulated.BANDS}
    whole = {s: vectors_of(encoder, world.chips(s), train, cache) for s in sensors}
    full = joined(encoder, list(whole.values()))
    yield "nothing", [full], False
    for gone in sensors:
        rest = joined(encoder, [v for s, v in whole.items() if s != gone])
        yield gone, [_tested(full, rest[test], test)], False
        yield gone, [rest], True
    drawn = []
    for draw in range(DRAWS):
        some = [
            vectors_of(encoder, world.chips(s, half(b, draw), test), np.arange(len(test)), cache)
            for s, b in sensors.items()
        ]
        drawn.append(_tested(full, joined(encoder, some), test))
    yield "half of the channels", drawn, False


def rows_of(encoder: str, region: str, chips: int, cache: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each cover, measure and what is missing."""
    world = simulated.world(region, chips, folder)
    tasks = {
        n.split("/")[1]: t for n, t in simulated.tasks(region, chips, folder).items() if n.endswith(simulated.EVERY)
    }
    alike: dict[tuple[str, str, str], float] = {}
    scores: dict[tuple[str, str, str], float] = {}
    for gone, vectors, learned_alike in variants(encoder, world, cache):
        for cover, task in tasks.items():
            for what in curve.targets(task):
                found = [curve.score(task, what, v, "linear", task.splits, None, 1).value for v in vectors]
                (alike if learned_alike else scores)[cover, what, gone] = float(np.mean(found))
    for (cover, what, gone), value in scores.items():
        yield {
            "region": region,
            "cover": cover,
            "encoder": encoder,
            "measure": "R2" if what == curve.FRACTION else "macro F1",
            "missing": gone,
            "score": value,
            "fall": 1 - value / scores[cover, what, "nothing"],
            "learned alike": alike.get((cover, what, gone)),
        }


def _tested(learned: NDArray[np.float32], tested: NDArray[np.float32], test: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return vectors to learn from with others in place of those that are tested."""
    both = learned.copy()
    both[test] = tested
    return both


def worst(rows: list[dict[str, Any]]) -> Mapping[str, float]:
    """Return the largest fall of one sensor and of half of the channels, by measure."""
    found: dict[str, float] = {}
    for row in rows:
        if row["missing"] != "nothing":
            which = "half" if row["missing"].startswith("half") else "sensor"
            key = f"{row['encoder']}/{row['measure']}/worst_fall_{which}"
            found[key] = max(found.get(key, -1.0), row["fall"])
    return found


def main() -> None:
    """Run from the command line."""
    parser = report.parser("What missing sensors and channels cost.")
    parser.add_argument("--encoder", required=True, help="clip:small or clip@FILE; several by comma")
    parser.add_argument("--regions", default="alpha,beta", help="simulated, by comma")
    parser.add_argument("--chips", type=int, default=known.CHIPS, help="simulated chips to learn from")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of vectors kept")
    parser.add_argument("--simulated", type=Path, default=simulated.FOLDER, help="folder of simulated chips kept")
    args = parser.parse_args()
    rows = [
        row
        for encoder in args.encoder.split(",")
        for region in args.regions.split(",")
        for row in rows_of(encoder, region, args.chips, args.cache, args.simulated)
    ]
    report.write("missing sensors and channels, simulated regions", rows, worst(rows), args.json)


if __name__ == "__main__":
    main()
