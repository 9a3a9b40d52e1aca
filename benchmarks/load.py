"""What the service does as more is asked of it than it can answer, while its index changes, and for half an hour.

``python -m benchmarks.load --store DIR --chip F --minutes 30 --json F``

Requests of all kinds come at random moments at a given mean rate, whether or not those before them were answered; each
is timed from the moment at which it was due. The server and the clients share this machine, so what counts are the
ratios: the rate that it sustains (all answered, p99 at most five times that of single requests), what it still answers
at four times as much, and how: medians of rounds in which single requests, the sustained rate, more, and four times as
much take turns. Then the index is built anew under load, and at last half of the sustainable rate goes on for
`--minutes`, during which memory, open files and threads are watched.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from benchmarks import landscape, report
from benchmarks.service import anonymous_mb, served, some_ids
from benchmarks.storm import SEED, Asked, Client, Load, alone, request, storm
from indexer.build import build
from query import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

K = 10
PATIENCE = 5.0
"""How many times as long as alone a request may take, p99 against p99."""
ANSWERED = 0.98
"""Share of requests that is answered at a rate that is sustained."""
STEP, MOST_STEPS, TRIES = 1.4, 14, 2
OVERLOAD = 4.0
SINGLE = 400
ROUNDS = 3
MIX = {"search": 60, "filtered": 15, "item": 8, "sql": 6, "classify": 5, "upload": 6}
"""Requests of each kind, of a hundred."""
HELD = ("mb", "workers_mb", "files", "threads")


def questions(engine: Engine, address: str, collection: str, chip: Path | None) -> list[Asked]:
    """Return requests of all kinds, in the proportions of :data:`MIX`; no uploads without a chip."""
    rng = random.Random(SEED)  # noqa: S311 - draws questions
    ids, extent = some_ids(engine, 4_000), _extent(engine)
    kinds = [kind for kind, share in MIX.items() if kind != "upload" or chip for _ in range(10 * share)]
    made = []
    for kind in kinds:
        method, path, body = _question(kind, rng, ids, extent, chip)
        made.append(request(kind, method, f"{address}/collections/{collection}{path}", **body))
    rng.shuffle(made)
    return made


def _question(
    kind: str, rng: random.Random, ids: list[str], extent: list[float], chip: Path | None
) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and body of a request to a collection."""
    id_ = rng.choice(ids)
    if kind == "item":
        return "GET", f"/items/{id_}", {}
    if kind == "sql":
        where = f"valid_fraction > {rng.random()}"
        return "POST", "/sql", {"json": {"sql": f"FROM embeddings SELECT count(*) AS chips WHERE {where}"}}
    if kind == "classify":
        some = rng.sample(ids, 40)
        labels = {one: "ab"[n % 2] for n, one in enumerate(some[:10])}
        return "POST", "/classify", {"json": {"labels": labels, "ids": some, "method": "knn"}}
    if kind == "upload":
        assert chip is not None
        files = {"file": (chip.name, chip.read_bytes(), "image/tiff")}
        return "POST", "/search", {"files": files, "data": {"query": json.dumps({"k": K})}}
    asked: dict[str, Any] = {"id": id_, "k": K}
    if kind == "filtered":
        west, south, east, north = extent
        x, y = rng.uniform(west, (west + east) / 2), rng.uniform(south, (south + north) / 2)
        asked["bbox"] = [x, y, x + (east - west) / 3, y + (north - south) / 3]
    return "POST", "/search", {"json": asked}


def _extent(engine: Engine) -> list[float]:
    columns = [piece.segment.column(c) for piece in engine.snapshot.pieces for c in ("lon", "lat")]
    lon, lat = np.concatenate(columns[::2]), np.concatenate(columns[1::2])
    return [float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())]


async def sustained(client: Client, made: Sequence[Asked], single: Load, seconds: float) -> tuple[Load, list[Load]]:
    """Raise the rate until, twice in a row, not all is answered in time; return the last load that was, and all."""
    tried: list[Load] = []
    best, rate = single, max(1.0, single.rate / 2)
    for _ in range(MOST_STEPS):
        loads = [load async for load in _tries(client, made, rate, seconds, single)]
        tried += loads
        if not _stood(loads[-1], single):
            break
        best, rate = loads[-1], rate * STEP
    return best, tried


async def _tries(
    client: Client, made: Sequence[Asked], rate: float, seconds: float, single: Load
) -> AsyncIterator[Load]:
    """Yield loads of one rate until one was stood, or there were enough."""
    for _ in range(TRIES):
        yield (load := await storm(client, made, rate, seconds))
        if _stood(load, single):
            return


def _stood(load: Load, single: Load) -> bool:
    enough = load.answered >= ANSWERED * sum(load.statuses.values())
    return enough and load.quantile(0.99) <= PATIENCE * single.quantile(0.99)


async def rounds(client: Client, made: Sequence[Asked], rate: float, seconds: float) -> dict[str, list[Load]]:
    """Let single requests and loads take turns."""
    taken: dict[str, list[Load]] = {"alone": [], "sustained": [], "more": [], "overload": []}
    for _ in range(ROUNDS):
        taken["alone"].append(await alone(client, made, SINGLE))
        for name, times in (("sustained", 1.0), ("more", STEP), ("overload", OVERLOAD)):
            taken[name].append(await storm(client, made, times * rate, seconds))
    return taken


def held(pid: int) -> dict[str, float]:
    """Return what a process holds: anonymous memory in MB, open files, threads; and the memory of its SQL workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return {
        "mb": anonymous_mb(pid),
        "workers_mb": sum(anonymous_mb(int(child)) for child in children),
        "files": len(open_files(pid)),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
    }


def open_files(pid: int) -> list[str]:
    """Return what a process has open, without connections: those are as many as the clients keep."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(one.readlink()))
    return [name for name in found if not name.startswith("socket:")]


async def soak(
    client: Client, made: Sequence[Asked], rate: float, minutes: float, pid: int
) -> tuple[Load, list[dict[str, float]]]:
    """Ask at a rate for minutes, and watch the server."""
    watched: list[dict[str, float]] = []
    began = time.perf_counter()

    async def watch() -> None:
        while time.perf_counter() - began < minutes * 60:
            watched.append({"minute": (time.perf_counter() - began) / 60, **held(pid)})
            await asyncio.sleep(min(10.0, minutes * 6))

    return await storm(client, made, rate, minutes * 60, watch), watched


def growth(watched: Sequence[dict[str, float]], what: str) -> float:
    """Return how much more was held in the last quarter than in the second, relatively."""
    values = [one[what] for one in watched]
    quarter = max(1, len(values) // 4)
    before, after = float(np.median(values[quarter : 2 * quarter])), float(np.median(values[-quarter:]))
    return after / before - 1


async def rebuilt(store: Path) -> None:
    """Build the index anew, in a process of its own that gives way, and wait until the service has moved on."""
    code = "import sys; from indexer import build; build.GROWTH = 0.0; build.build(sys.argv[1])"
    process = await asyncio.create_subprocess_exec("nice", sys.executable, "-c", code, str(store))
    if await process.wait():
        raise SystemExit("the index could not be built under load")
    await asyncio.sleep(15)  # the service looks every ten seconds


async def measure(store: Path, address: str, pid: int, made: list[Asked], minutes: float, seconds: float) -> Any:
    """Do all of it; return rows and figures."""
    async with Client(address) as client:
        await alone(client, made, SINGLE)  # warms everything
        single = await alone(client, made, SINGLE)
        best, tried = await sustained(client, made, single, seconds)
        taken = await rounds(client, made, best.rate, seconds)
        swap = await storm(client, made, best.rate / 2, seconds, lambda: rebuilt(store))
        long, watched = await soak(client, made, best.rate / 2, minutes, pid)
    rows = [
        *(load.row("rising") for load in tried),
        *(load.row(name) for name, loads in taken.items() for load in loads),
        swap.row("while the index is built anew"),
        {**long.row(f"{minutes:g} minutes"), "watched": watched},
    ]
    over = taken["overload"]
    figures = {
        "sustained_per_second": best.goodput,
        **_overload(taken),
        "refusals_without_retry_after": sum(load.without_retry for load in over),
        "overload_failures": sum(load.failed for load in over),
        "failed_while_swapped": sum(swap.statuses.values()) - swap.answered,
        "failed_in_soak": sum(long.statuses.values()) - long.answered,
        **{f"soak_growth_{what}": growth(watched, what) for what in HELD},
    }
    return rows, figures


def _overload(taken: dict[str, list[Load]]) -> dict[str, float]:
    """Return goodput under overload over the best goodput, and p99 over that of single requests; medians of rounds."""
    goodput = {name: statistics.median(load.goodput for load in loads) for name, loads in taken.items()}
    late = {name: statistics.median(load.quantile(0.99) for load in loads) for name, loads in taken.items()}
    return {
        "overload_goodput_over_peak": goodput["overload"] / max(goodput.values()),
        "overload_p99_over_alone": late["overload"] / late["alone"],
        "sustained_p99_over_alone": late["sustained"] / late["alone"],
    }


def main() -> None:
    """Run from the command line."""
    parser = report.parser("The service under rising load, overload, a new index, and for a long time.")
    parser.add_argument("--store", type=Path, help="a store that may be changed; else one of --rows simulated chips")
    parser.add_argument("--chip", type=Path, help="a raster to upload; without one nothing is uploaded")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the last run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = args.store or Path(scratch) / "store"
        if args.store is None:
            landscape.store(store, args.rows, 256)
            build(store)
        with served(store) as (address, pid):
            about = httpx.get(f"{address}/collections").json()["collections"][0]
            made = questions(Engine(store), address, about["id"], args.chip)
            rows, figures = asyncio.run(measure(store, address, pid, made, args.minutes, args.seconds))
    report.write(f"The service under load, {about['chips']:,} chips", rows, figures, args.json)


if __name__ == "__main__":
    main()
