"""Ray against the local engine: the same scenes, encoder and cores, in rounds that take turns.

``python -m benchmarks.engines --tiles 64 --rounds 3 --json F``. The figure is Ray's throughput over the local
engine's, whole runs of ``encode`` on a Ray that has started: its actors start within the clock, as they do for users.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import report
from benchmarks.continent import names, render
from embedstore.store import Store
from indexer import engines
from indexer.encode import encode


def main() -> None:
    """Measure and report."""
    parser = report.parser(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiles", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chip-size", type=int, default=32)
    parser.add_argument("--encoder", default="rcf")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    ratios = []
    with tempfile.TemporaryDirectory(prefix="embedstore-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        scenes = [folder / f"{name}.tif" for name in names(options.tiles)]
        for path in scenes:
            path.write_bytes(render(path.stem))
        empty = folder / "empty"
        encode(scenes[:1], empty, options.encoder, chip_size=options.chip_size)
        started = {name: stack.enter_context(engines.choose(name)) for name in ("local", "ray")}
        for number in range(options.rounds):
            speed = {}
            for name, engine in started.items():
                store = folder / name
                shutil.rmtree(store, ignore_errors=True)
                shutil.copytree(empty, store)
                done = encode(scenes, store, engine=engine)
                assert Store.open(store).rows == done.chips + done.already_there
                speed[name] = done.chips_per_second
                rows.append({"round": number, "engine": name, "chips": done.chips, "chips/s": done.chips_per_second})
            ratios.append(speed["ray"] / speed["local"])
    figures = {"ray_over_local": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    report.write("encoding on Ray against here", rows, figures, options.json)


if __name__ == "__main__":
    main()
