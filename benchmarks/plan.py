"""What the coefficients of a plan's estimate are here, and how far off its estimate is then.

``python -m benchmarks.plan --coefficients F --json G``; ``embedstore plan --coefficients F`` takes them. The scenes are
the bundled one laid side by side, once or many times. Plans of several kinds (many small chips of four bands, large
chips of twelve, units of few chips) are encoded with ``rcf``, each in a store that is there already, and a non-negative
least-squares fit of their seconds gives what a unit, a chip and a sample cost. The check is a plan four times as large
as any of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks import report
from benchmarks.encode import write_scene
from indexer.encoders import registry
from indexer.plan import encode, file, make
from indexer.plan.estimate import Coefficients
from indexer.rasters import open_raster

FOUR = ("B02", "B03", "B04", "B08")


@dataclass(frozen=True)
class Case:
    """A plan to encode.

    Its name, bands (all if none), side of its chips, how often the bundled scene is laid side by side, and scenes.
    """

    name: str
    bands: tuple[str, ...]
    size: int
    times: int
    scenes: int = 1


CASES = (
    Case("small chips", FOUR, 16, 2),
    Case("large chips", (), 64, 2),
    Case("large chips, few bands", FOUR, 64, 3),
    Case("small units", FOUR, 64, 1, 24),
)
CHECK = Case("check", FOUR, 32, 8)


def catalogue(case: Case, folder: Path) -> str:
    """Write a case's scenes and an ItemCollection that names them; return its path."""
    features = []
    for number in range(case.scenes):
        path = folder / f"{case.name}-{number}.tif"
        write_scene(path, case.times, case.bands)
        raster = open_raster(path)
        lon, lat = raster.lonlat(np.array([0, 0, 1, 1, 0]) * raster.width, np.array([0, 1, 1, 0, 0]) * raster.height)
        # Scenes of one place are taken on days of their own, each the best of its month.
        when = f"{2001 + number // 12}-{number % 12 + 1:02}-15T10:00:00Z" if case.scenes > 1 else "2019-04-16T10:00:00Z"
        asset = {"href": str(path), "roles": ["data"], "bands": [{}] * len(raster.bands.names)}
        outline = {"type": "Polygon", "coordinates": [np.stack([lon, lat], axis=1).tolist()]}
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.1.0",
                "id": path.stem,
                "geometry": outline,
                "properties": {"datetime": when},
                "links": [],
                "assets": {"optical": asset | {"file:size": path.stat().st_size}},
            }
        )
    (folder / f"{case.name}.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(folder / f"{case.name}.json")


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Plan and encode a case; return what it took, and what was planned."""
    source = catalogue(case, folder)
    out, where = folder / "plan.parquet", (12.0, 44.0, 16.0, 47.0)
    began = time.perf_counter()
    planned = make.plan(where, source, "2000-01-01/2019-12-31", out, chip_size=case.size, period="month")
    planning = time.perf_counter() - began
    units = file.units(out)
    store = encode.open_store(folder / case.name, units, "rcf")
    encoder = registry.load(store.encoder_folder, store.encoder)
    began = time.perf_counter()
    outcome = encode.encode_units(units, store, encoder)
    seconds = time.perf_counter() - began
    assert outcome.chips + outcome.skipped_empty == planned.estimate["chips"], outcome
    files = [p for p in (folder / case.name).rglob("*") if p.is_file() and "_encoder" not in p.parts]
    bands = len(store.encoder.modalities[0].bands)
    size = sum(p.stat().st_size for p in folder.glob(f"{case.name}-*.tif"))
    return {
        "case": case.name,
        "units": len(units),
        "chips": outcome.chips,
        "samples": outcome.chips * case.size**2 * bands,
        "planning_s": planning,
        "seconds": seconds,
        "bytes_per_chip": sum(p.stat().st_size for p in files) / outcome.chips,
        "bytes_per_sample": size / (outcome.chips * case.size**2 * bands),
    }


def fit(rows: list[dict[str, Any]]) -> Coefficients:
    """Return the coefficients that explain some runs, each weighing the same."""
    seconds = np.array([row["seconds"] for row in rows])
    counts = np.array([[row["units"], row["chips"], row["samples"]] for row in rows], float)
    # Columns of very unlike size are scaled for the solver, rows so that relative errors count.
    scale = counts.max(axis=0)
    (unit, chip, sample), _ = nnls(counts / scale / seconds[:, None], np.ones(len(rows)))
    by_unit, by_chip, by_sample = (float(f"{v:.3g}") for v in np.array([unit, chip, sample]) / scale)
    mean = {key: float(f"{np.mean([row[key] for row in rows]):.3g}") for key in ("bytes_per_sample", "bytes_per_chip")}
    return Coefficients(by_unit, by_chip, by_sample, mean["bytes_per_sample"], mean["bytes_per_chip"])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coefficients", type=Path, help="where to write them")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="embedstore-") as folder:
        run(CASES[0], Path(tempfile.mkdtemp(dir=folder)))  # the first run of a process pays for its imports
        rows = [run(case, Path(folder)) for case in (*CASES, CHECK)]
    by = fit(rows[:-1])
    for row in rows:
        row["estimated_s"] = (
            row["units"] * by.seconds_per_unit
            + row["chips"] * by.seconds_per_chip
            + row["samples"] * by.seconds_per_sample
        )
    off = rows[-1]["estimated_s"] / rows[-1]["seconds"] - 1
    report.write("coefficients of a plan", rows, {**asdict(by), "check_relative_error": off}, asked.json)
    if asked.coefficients:
        asked.coefficients.write_text(json.dumps(asdict(by), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
