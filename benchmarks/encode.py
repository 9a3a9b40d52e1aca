"""How much of the network's own speed is left when chips are read, cut, encoded and committed.

``python -m benchmarks.encode --json F``. The scene is the bundled one, mirrored side by side until it is large enough,
in the same compression, holding the bands that are encoded, one after another as Sentinel-2 delivers them. The goal is
on the backbone as its authors made it, three bands and chips of 224 pixels; small chips of twelve bands, where reading
weighs most, are shown beside it.

The pipeline is what `encode` does once the network is loaded, from opening the scene to the last commit in an empty
store; the bare forward is the same encoder on the same chips, ready in memory, with all of its lanes busy. Both are
run in turn, and the median of the rounds' ratios is reported.
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


@dataclass(frozen=True)
class Case:
    """What to encode, and with what.

    A name, the bands it takes (all if empty), the side of its chips (its own if 0), and how often the bundled scene is
    laid side by side each way.
    """

    encoder: str
    bands: tuple[str, ...] = ()
    chip_size: int = 0
    times: int = 4

    def __str__(self) -> str:
        bands = ",".join(self.bands) or "all bands"
        return f"{self.encoder.partition('@')[0]}, {bands}, {self.size} px"

    @property
    def size(self) -> int:
        """Side of the chips in pixels."""
        return self.chip_size or registry.chip_size(self.encoder)


RGB = ("B04", "B03", "B02")
GOAL = Case("timm:convnextv2_atto@random", RGB, times=10)  # 12,000 x 6,890 pixels: most of a Sentinel-2 tile
ON_CPU = (GOAL, Case("timm:convnextv2_atto@random", (), 64), Case("rcf"))
ON_CUDA = (Case("timm:convnextv2_tiny@random", RGB, times=20), Case("timm:vit_base_patch16_224@random", RGB, times=20))


@dataclass(frozen=True)
class Chips:
    """A scene's chips in memory, in batches of (pixels, valid)."""

    batches: list[tuple[NDArray[np.float32], NDArray[np.bool_]]]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(valid) for _, valid in self.batches)


def write_scene(path: Path, times: int, bands: tuple[str, ...]) -> None:
    """Write bands of the bundled scene (all if none are named), mirrored `times` by `times`."""
    with rasterio.open(demo_scene.path()) as source:
        numbers = [source.descriptions.index(b) + 1 for b in bands] or list(source.indexes)
        pixels, profile = source.read(numbers), source.profile
        names, scales = ([of[n - 1] for n in numbers] for of in (source.descriptions, source.scales))
    row = np.concatenate([pixels[:, :, :: 1 - 2 * (i % 2)] for i in range(times)], axis=2)
    whole = np.concatenate([row[:, :: 1 - 2 * (i % 2)] for i in range(times)], axis=1)
    profile.update(
        count=len(whole),
        width=whole.shape[2],
        height=whole.shape[1],
        predictor=2,
        interleave="band",
        bigtiff="IF_SAFER",
    )
    with rasterio.open(path, "w", **profile) as target:
        target.write(whole)
        target.scales = scales
        for number, name in enumerate(names, 1):
            target.set_band_description(number, name)


def read_chips(scene: Path, case: Case, batch: int) -> Chips:
    """Read every chip of a scene."""
    raster, size = open_raster(scene), case.size
    blocks = list(ChipPlan(raster, "optical", size, size).blocks())
    row, col = np.concatenate([b.row for b in blocks]), np.concatenate([b.col for b in blocks])
    with raster.reader(case.bands or raster.bands.names) as reader:
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


def prepare(case: Case, scene: Path, folder: Path) -> tuple[Path, Encoder]:
    """Make an encoder and an empty store that holds it."""
    raster, size = open_raster(scene), case.size
    weights = folder / "made"
    weights.mkdir(parents=True)
    drawn = sample.draw([ChipPlan(raster, "optical", size, size)], case.bands or raster.bands.names)
    spec = registry.make(case.encoder, drawn, weights)
    store = Store.create(folder / "empty", spec, GridSpec.for_chips(size * spec.gsd), weights / "weights.safetensors")
    return store.home.folder, registry.load(store.encoder_folder, spec)


def main() -> None:
    """Measure and report."""
    parser = report.parser(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="embedstore-bench-") as temporary:
        folder = Path(temporary)
        todo = list(ON_CPU)
        for number, case in enumerate(todo):
            scene = folder / str(number) / "scene_20190416.tif"
            scene.parent.mkdir()
            write_scene(scene, case.times, case.bands)
            empty, encoder = prepare(case, scene, scene.parent)
            if number == 0 and encoder.device != "cpu":
                todo.extend(ON_CUDA)
            chips = read_chips(scene, case, encoder.batch)
            forward(encoder, chips)
            pipeline(scene, empty, folder / "store", encoder)  # both once before the clock counts
            rounds = []
            for _ in range(options.rounds):
                bare = forward(encoder, chips)
                whole, per_chip = pipeline(scene, empty, folder / "store", encoder)
                rounds.append((bare, whole, whole / bare))
            bare, whole, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
            rows.append(
                {
                    "encoder": str(case),
                    "device": encoder.device,
                    "chips": chips.count,
                    "forward chips/s": bare,
                    "pipeline chips/s": whole,
                    "ratio": ratio,
                    "lowest": min(r[2] for r in rounds),
                    "bytes/chip": per_chip,
                }
            )
            short = case.encoder.partition(":")[2].partition("@")[0] or case.encoder
            figures[f"{short}_{case.size}px_{len(case.bands) or 12}bands_over_forward"] = ratio
            figures[f"{short}_{case.size}px_{len(case.bands) or 12}bands_chips_per_second"] = whole
            if case == GOAL:
                figures["pipeline_over_forward"] = ratio
            if case.encoder == "rcf":
                figures["bytes_per_chip"] = per_chip
    report.write("encode: the whole pipeline against the bare forward pass", rows, figures, options.json)


if __name__ == "__main__":
    main()
