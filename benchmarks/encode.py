"""How much of the network's own speed is left when chips are read, cut, encoded and committed.

``python -m benchmarks.encode --json F``. The scene is the bundled one, mirrored side by side until it is large enough,
in the same compression. The pipeline is what `encode` does once the network is loaded, from opening the scene to the
last commit in an empty store; the bare forward is the same encoder on the same chips, ready in memory, with all of its
lanes busy. Both are run in turn, and the median of the rounds' ratios is reported.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from benchmarks import report
from embedstore.spec import GridSpec
from embedstore.store import Store
from indexer import demo_scene, sample
from indexer.chips import ChipPlan
from indexer.encoders import registry
from indexer.pipeline import Pipeline
from indexer.rasters import open_raster
from indexer.units import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.encoders.base import Encoder

GOAL = "timm:convnextv2_atto@random"
ON_CPU = (GOAL, "rcf")
ON_CUDA = (*ON_CPU, "timm:convnextv2_tiny@random", "timm:vit_base_patch16_224@random")


@dataclass(frozen=True)
class Chips:
    """A scene's chips in memory, in batches of (pixels, valid)."""

    batches: list[tuple[NDArray[np.float32], NDArray[np.bool_]]]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(valid) for _, valid in self.batches)


def write_scene(path: Path, times: int) -> None:
    """Write the bundled scene, mirrored `times` by `times`."""
    with rasterio.open(demo_scene.path()) as source:
        pixels, profile, names, scales = source.read(), source.profile, source.descriptions, source.scales
    row = np.concatenate([pixels[:, :, :: 1 - 2 * (i % 2)] for i in range(times)], axis=2)
    whole = np.concatenate([row[:, :: 1 - 2 * (i % 2)] for i in range(times)], axis=1)
    profile.update(width=whole.shape[2], height=whole.shape[1], predictor=2, bigtiff="IF_SAFER")
    with rasterio.open(path, "w", **profile) as target:
        target.write(whole)
        target.scales = scales
        for number, name in enumerate(names, 1):
            target.set_band_description(number, name)


def read_chips(scene: Path, size: int, batch: int) -> Chips:
    """Read every chip of a scene."""
    raster = open_raster(scene)
    blocks = list(ChipPlan(raster, "optical", size, size).blocks())
    row, col = np.concatenate([b.row for b in blocks]), np.concatenate([b.col for b in blocks])
    with raster.reader(raster.bands.names) as reader:
        pixels, valid = reader.read(0, 0, raster.height, raster.width)
    windows = [(slice(r, r + size), slice(c, c + size)) for r, c in zip(row.tolist(), col.tolist(), strict=True)]
    batches = []
    for start in range(0, len(windows), batch):
        part = windows[start : start + batch]
        batches.append((np.stack([pixels[:, *w] for w in part]), np.stack([valid[w] for w in part])))
    return Chips(batches)


def forward(encoder: Encoder, chips: Chips) -> float:
    """Return chips per second of the encoder alone."""
    name = encoder.spec.modalities[0].name
    with ThreadPoolExecutor(encoder.lanes) as lanes:
        began = time.perf_counter()
        list(lanes.map(lambda b: encoder.encode({name: b[0]}, b[1]), chips.batches))
        return chips.count / (time.perf_counter() - began)


def pipeline(scene: Path, prepared: Path, store: Path, encoder: Encoder) -> tuple[float, float]:
    """Return chips per second from scene to last commit, into a copy of an empty store, and bytes of table a chip."""
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(prepared, store)
    opened = Store.open(store)
    began = time.perf_counter()
    plan = ChipPlan(open_raster(scene), "optical", encoder.spec.chip_size, encoder.spec.chip_size)
    run = Pipeline([Scene(plan)], encoder, opened, Store.open(store))
    run.run(lambda _: None)
    seconds = time.perf_counter() - began
    size = sum(p.stat().st_size for p in store.glob("h3_cell=*/*.parquet"))
    return run.tally.written / seconds, size / run.tally.written


def prepare(name: str, scene: Path, size: int, folder: Path) -> tuple[Path, Encoder]:
    """Make an encoder and an empty store that holds it."""
    raster = open_raster(scene)
    weights = folder / "made"
    weights.mkdir(parents=True)
    spec = registry.make(name, sample.draw([ChipPlan(raster, "optical", size, size)], raster.bands.names), weights)
    store = Store.create(folder / "empty", spec, GridSpec.for_chips(size * spec.gsd), weights / "weights.safetensors")
    return store.path, registry.load(store.encoder_folder, spec)


def main() -> None:
    """Measure and report."""
    parser = report.parser(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=4, help="copies of the bundled scene along a side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chip-size", type=int, default=64)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="embedstore-bench-") as temporary:
        folder = Path(temporary)
        scene = folder / "scene_20190416.tif"
        write_scene(scene, options.times)
        todo = list(ON_CPU)
        for number, name in enumerate(todo):
            empty, encoder = prepare(name, scene, options.chip_size, folder / str(number))
            if number == 0 and encoder.device != "cpu":
                todo.extend(ON_CUDA[len(ON_CPU) :])
            chips = read_chips(scene, options.chip_size, encoder.batch)
            forward(encoder, chips)
            rounds = []
            for _ in range(options.rounds):
                bare = forward(encoder, chips)
                whole, per_chip = pipeline(scene, empty, folder / "store", encoder)
                rounds.append((bare, whole, whole / bare))
            bare, whole, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
            rows.append(
                {
                    "encoder": name,
                    "device": encoder.device,
                    "chips": chips.count,
                    "forward chips/s": bare,
                    "pipeline chips/s": whole,
                    "ratio": ratio,
                    "lowest": min(r[2] for r in rounds),
                    "bytes/chip": per_chip,
                }
            )
            short = name.partition(":")[2].partition("@")[0] or name
            figures[f"{short}_chips_per_second"] = whole
            figures[f"{short}_over_forward"] = ratio
            if name == GOAL:
                figures["pipeline_over_forward"] = ratio
                figures["forward_chips_per_second"] = bare
                figures["bytes_per_chip"] = per_chip
    report.write("encode: the whole pipeline against the bare forward pass", rows, figures, options.json)


if __name__ == "__main__":
    main()
