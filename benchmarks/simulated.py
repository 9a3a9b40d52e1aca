"""How like real scenes simulated ones are, and that what they ask is not answered by the mean of a band.

``python -m benchmarks.simulated scene.tif:65535 other.tif:10000 --json F``

Scenes are Sentinel-2 files whose bands are named in their descriptions; after the colon stands what stored numbers are
divided by to be reflectance. Both kinds are looked at in chips of 64 pixels. Then, for each region, ridge regression on
the mean and standard deviation of every band of a chip predicts the fractions of land cover. It learns from bands of
land of the training part and is tested on those of the test part. The scenes go to a file beside F, ``F_scenes.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from benchmarks import report
from indexer.bands import normalise
from indexer.landscape import REGIONS, SIZE, Landscape
from indexer.landscape.tasks import SPLITS, TASKS, fractions, split
from indexer.landscape.world import pick
from indexer.pretrain.modalities import OPTICAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

CHIP = 64
LAGS = (20.0, 50.0, 100.0, 200.0)
"""Metres apart at which pixels are compared."""
SHOWN = ("B02", "B04", "B08", "B11")
PAIRS = (("B02", "B04"), ("B04", "B08"), ("B08", "B11"), ("B11", "B12"))
PENALTIES = np.logspace(-2, 4, 13)


@dataclass(frozen=True)
class Look:
    """What chips look like.

    Parameters
    ----------
    bands
        Their names.
    mean, std, within
        Of all pixels by band, and the median standard deviation within a chip.
    correlation
        Between bands, over all pixels.
    likeness
        Correlation of pixels of a chip that are each of :data:`LAGS` apart, shape (lags, bands); NaN where a lag is
        less than a pixel.
    """

    bands: tuple[str, ...]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    within: NDArray[np.float64]
    correlation: NDArray[np.float64]
    likeness: NDArray[np.float64]


def look(chips: NDArray[np.float32], bands: tuple[str, ...], gsd: float) -> Look:
    """Return what chips look like; reflectance, shape (n, bands, h, w)."""
    flat = chips.transpose(1, 0, 2, 3).reshape(len(bands), -1).astype(np.float64)
    within = np.median(chips.std(axis=(2, 3)), axis=0).astype(np.float64)
    alike = [_likeness(chips, lag / gsd) for lag in LAGS]
    return Look(bands, flat.mean(axis=1), flat.std(axis=1), within, np.corrcoef(flat), np.array(alike))


def _likeness(chips: NDArray[np.float32], lag: float) -> NDArray[np.float64]:
    """Return the correlation of pixels a lag apart within chips, between those of the two nearest whole lags."""
    low = int(np.floor(lag))
    if low < 1:
        return np.full(chips.shape[1], np.nan)
    centred = chips - chips.mean(axis=(2, 3), keepdims=True)
    power = (centred**2).mean(axis=(0, 2, 3))

    def at(step: int) -> NDArray[np.float64]:
        down = (centred[:, :, step:] * centred[:, :, :-step]).mean(axis=(0, 2, 3))
        right = (centred[..., step:] * centred[..., :-step]).mean(axis=(0, 2, 3))
        return np.asarray((down + right) / 2 / power, np.float64)

    return at(low) + (lag - low) * (at(low + 1) - at(low))


def real(text: str) -> tuple[str, Look]:
    """Return the name and the look of ``FILE:DIVISOR``."""
    name, _, divisor = text.rpartition(":")
    with rasterio.open(name) as source:
        held = [normalise(d or "") for d in source.descriptions]
        bands = tuple(b for b in OPTICAL if b in held)
        pixels = source.read([held.index(b) + 1 for b in bands]).astype(np.float32) / float(divisor)
        degrees = 111_000 if source.crs and source.crs.is_geographic else 1
        gsd = abs(source.transform.e) * degrees
    size = min(CHIP, *pixels.shape[1:])
    chips = [c for c in _cut(pixels, size) if (c > 0).all()]
    return Path(name).stem, look(np.stack(chips), bands, gsd)


def _cut(pixels: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    for row in range(0, pixels.shape[-2] - size + 1, size):
        for col in range(0, pixels.shape[-1] - size + 1, size):
            yield pixels[..., row : row + size, col : col + size]


@dataclass(frozen=True)
class Sample:
    """Chips of a region as numbers.

    Parameters
    ----------
    optical
        Some whole chips, shape (n, 12, 64, 64).
    means
        Mean and standard deviation of the bands of every chip, by sensor, shape (n, 2 * channels).
    truth
        Fractions by task.
    part
        Position in :data:`indexer.landscape.tasks.SPLITS`.
    """

    optical: NDArray[np.float32]
    means: dict[str, NDArray[np.float32]]
    truth: dict[str, NDArray[np.float32]]
    part: NDArray[np.int8]


def sample(region: str, tiles: int, months: Sequence[int]) -> Sample:
    """Return the chips of tiles spread over a region, each in one month."""
    land = Landscape(region)
    optical, cover, part = [], [], []
    means: dict[str, list[NDArray[np.float32]]] = {"optical": [], "sar": [], "coherence": []}
    starts = np.arange(0, SIZE, CHIP)
    rows, cols = (m.ravel() + CHIP / 2 for m in np.meshgrid(starts, starts, indexing="ij"))
    for number in range(tiles):
        tile = land.tile(*pick(0, region, number), (months[number % len(months)],))
        for name, kept in means.items():
            chips = np.stack(list(_cut(tile.scenes[0].pixels[name], CHIP)))
            kept.append(np.concatenate([chips.mean(axis=(2, 3)), chips.std(axis=(2, 3))], axis=1))
            if name == "optical":
                optical.append(chips[number % len(chips) :: len(chips)])
        cover.append(np.stack(list(_cut(tile.classes["land_cover"], CHIP))))
        part.append(split(*tile.lonlat(rows, cols)))
    return Sample(
        np.concatenate(optical),
        {name: np.concatenate(kept) for name, kept in means.items()},
        fractions(np.concatenate(cover)),
        np.concatenate(part),
    )


def ridge(features: NDArray[np.float32], truth: NDArray[np.float32], part: NDArray[np.int8]) -> float:
    """Return R2 on the test part; the penalty is chosen on the validation part."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    train, val, test = (part == k for k in range(len(SPLITS)))
    scaled = (features - features[train].mean(axis=0)) / (features[train].std(axis=0) + 1e-6)

    def fitted(penalty: float) -> Ridge:
        return Ridge(penalty).fit(scaled[train], truth[train])

    best = max(PENALTIES, key=lambda p: r2_score(truth[val], fitted(p).predict(scaled[val])))
    return float(r2_score(truth[test], fitted(best).predict(scaled[test])))


def look_row(name: str, seen: Look) -> dict[str, object]:
    """Return a row of the table."""
    row: dict[str, object] = {"scene": name}

    def of(values: NDArray[np.float64], band: str) -> float | None:
        return float(values[seen.bands.index(band)]) if band in seen.bands else None

    for band in SHOWN:
        row |= {f"{band} mean": of(seen.mean, band), f"{band} within": of(seen.within, band)}
    for a, b in PAIRS:
        both = a in seen.bands and b in seen.bands
        row[f"r {a} {b}"] = float(seen.correlation[seen.bands.index(a), seen.bands.index(b)]) if both else None
    for lag, values in zip(LAGS, seen.likeness, strict=True):
        row[f"B08 {lag:g} m"] = of(values, "B08")
    row["all"] = {
        "bands": seen.bands,
        **{k: getattr(seen, k).round(4).tolist() for k in ("mean", "std", "within", "correlation", "likeness")},
    }
    return row


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Compare simulated scenes with real ones, and ask the tasks of raw band statistics.")
    parser.add_argument("scenes", nargs="*", help="FILE:DIVISOR, Sentinel-2", metavar="SCENE")
    parser.add_argument("--tiles", type=int, default=100, help="of each region")
    parser.add_argument("--months", default="4,7,9", help="one a tile, in turn")
    args = parser.parse_args()
    months = [int(m) for m in args.months.split(",")]
    rows = [look_row(*real(scene)) for scene in args.scenes]
    figures: dict[str, float] = {}
    asked = []
    for region in REGIONS:
        chips = sample(region, args.tiles, months)
        rows.append(look_row(f"simulated {region}", look(chips.optical, OPTICAL, 10.0)))
        every = np.concatenate(list(chips.means.values()), axis=1)
        for task in TASKS:
            truth = chips.truth[task]
            scores = {
                "optical": ridge(chips.means["optical"], truth, chips.part),
                "all": ridge(every, truth, chips.part),
            }
            asked.append({"region": region, "task": task, "mean": float(truth.mean()), **scores})
            figures |= {f"{region}_{task}_r2_{name}": score for name, score in scores.items()}
    beside = Path(args.json).with_stem(f"{Path(args.json).stem}_scenes") if args.json else None
    report.write("simulated and real scenes", rows, {}, beside)
    report.write("R2 of ridge on band statistics, an oracle has 1", asked, figures, args.json)


if __name__ == "__main__":
    main()
