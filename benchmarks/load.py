"""What the service does as more is asked of it than it can answer, while its index changes, and for half an hour.

``python -m benchmarks.load --store DIR --minutes 30 --json F``

Requests of all kinds come at random moments at a given mean rate, whether or not those before them were answered; each
is timed from the moment at which it was due. The server and the clients share this machine, so what counts are the
ratios: the rate that it sustains (all answered, p99 at most five times that of single requests), what it still answers
at four times as much, and how. Then the index is built anew under load, and at last half of the sustainable rate goes
on for `--minutes`, during which memory, open files and threads are watched.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from benchmarks import landscape, report
from benchmarks.service import anonymous_mb, served, some_ids
from indexer.build import build
from query import Engine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Asked = dict[str, Any]

K = 10
PATIENCE = 5.0
"""How many times as long as alone a request may take, p99 against p99."""
ANSWERED = 0.98
"""Share of requests that is answered at a rate that is sustained."""
STEP, MOST_STEPS = 1.4, 14
OVERLOAD = 4.0
ALONE = 400
SEED = 7
MIX = {"search": 60, "filtered": 15, "item": 8, "sql": 6, "classify": 5, "upload": 6}
"""Requests of each kind, of a hundred."""
CONNECTIONS = 2_000
"""More than the service lets in, so that it is the service that refuses."""


@dataclass
class Load:
    """What came of some requests."""

    rate: float
    seconds: float
    took: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    without_retry: int = 0

    @property
    def answered(self) -> int:
        """How many were answered as asked."""
        return self.statuses["200"]

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def quantile(self, share: float) -> float:
        """Return the milliseconds within which a share of the answers came."""
        return float(np.quantile(self.took, share)) * 1e3 if self.took else float("nan")

    def row(self, what: str) -> dict[str, Any]:
        """Return a row of the report."""
        told = {"what": what, "asked/s": self.rate, "answered/s": self.goodput}
        return {
            **told,
            "p50 ms": self.quantile(0.5),
            "p99 ms": self.quantile(0.99),
            "refused": sum(n for status, n in self.statuses.items() if status in ("429", "503")),
            "failed": sum(n for status, n in self.statuses.items() if status not in ("200", "429", "503")),
            "statuses": dict(self.statuses),
        }


def questions(engine: Engine, collection: str, chip: Path | None) -> list[Asked]:
    """Return requests of all kinds, in the proportions of :data:`MIX`."""
    rng = random.Random(SEED)  # noqa: S311 - draws questions
    ids = some_ids(engine, 4_000)
    root = f"/collections/{collection}"
    west, south, east, north = _extent(engine)
    made: list[Asked] = []
    for kind, share in MIX.items():
        for _ in range(10 * share):
            id_ = rng.choice(ids)
            if kind == "search":
                made.append({"method": "POST", "url": f"{root}/search", "json": {"id": id_, "k": K}})
            elif kind == "filtered":
                x, y = rng.uniform(west, (west + east) / 2), rng.uniform(south, (south + north) / 2)
                box = [x, y, x + (east - west) / 3, y + (north - south) / 3]
                made.append({"method": "POST", "url": f"{root}/search", "json": {"id": id_, "k": K, "bbox": box}})
            elif kind == "item":
                made.append({"method": "GET", "url": f"{root}/items/{id_}"})
            elif kind == "sql":
                what = f"count(*) AS chips FROM embeddings WHERE valid_fraction > {rng.random()}"
                statement = f"SELECT {what}"
                made.append({"method": "POST", "url": f"{root}/sql", "json": {"sql": statement}})
            elif kind == "classify":
                some = rng.sample(ids, 40)
                labels = {one: "ab"[n % 2] for n, one in enumerate(some[:10])}
                body = {"labels": labels, "ids": some, "method": "knn"}
                made.append({"method": "POST", "url": f"{root}/classify", "json": body})
            elif chip is not None:
                files = {"file": (chip.name, chip.read_bytes(), "image/tiff")}
                made.append(
                    {"method": "POST", "url": f"{root}/search", "files": files, "data": {"query": json.dumps({"k": K})}}
                )
    rng.shuffle(made)
    return made


def _extent(engine: Engine) -> list[float]:
    columns = [piece.segment.column(c) for piece in engine.snapshot.pieces for c in ("lon", "lat")]
    lon, lat = np.concatenate(columns[::2]), np.concatenate(columns[1::2])
    return [float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())]


async def _one(client: httpx.AsyncClient, asked: Asked, due: float, load: Load) -> None:
    try:
        answer = await client.request(**asked)
        status = str(answer.status_code)
        if status in ("429", "503") and "retry-after" not in answer.headers:
            load.without_retry += 1
    except httpx.HTTPError as error:
        status = type(error).__name__
    load.statuses[status] += 1
    if status == "200":
        load.took.append(time.perf_counter() - due)


async def alone(client: httpx.AsyncClient, made: Sequence[Asked]) -> Load:
    """Ask one after the other."""
    load, began = Load(0.0, 0.0), time.perf_counter()
    for number in range(2 * ALONE):
        if number == ALONE:  # the first half warms everything
            load, began = Load(0.0, 0.0), time.perf_counter()
        await _one(client, made[number % len(made)], time.perf_counter(), load)
    load.seconds = time.perf_counter() - began
    load.rate = ALONE / load.seconds
    return load


async def storm(
    client: httpx.AsyncClient,
    made: Sequence[Asked],
    rate: float,
    seconds: float,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Load:
    """Ask at a rate for a while, whatever becomes of it."""
    rng = random.Random(SEED + round(rate))  # noqa: S311 - draws moments
    load, began = Load(rate, seconds), time.perf_counter()
    beside = asyncio.ensure_future(meanwhile()) if meanwhile else None
    tasks: set[asyncio.Task[None]] = set()
    due = 0.0
    number = rng.randrange(len(made))
    while due < seconds or (beside and not beside.done()):
        wait = began + due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(_one(client, made[number % len(made)], began + due, load))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
        due += rng.expovariate(rate)
    await asyncio.gather(*tasks)
    if beside:
        await beside
    load.seconds = time.perf_counter() - began
    return load


async def sustained(
    client: httpx.AsyncClient, made: Sequence[Asked], single: Load, seconds: float
) -> tuple[Load, list[Load]]:
    """Raise the rate until not all is answered in time; return the last load that was, and all."""
    tried: list[Load] = []
    best, rate = single, max(1.0, single.rate / 2)
    for _ in range(MOST_STEPS):
        load = await storm(client, made, rate, seconds)
        tried.append(load)
        asked = sum(load.statuses.values())
        if load.answered < ANSWERED * asked or load.quantile(0.99) > PATIENCE * single.quantile(0.99):
            break
        best, rate = load, rate * STEP
    return best, tried


def held(pid: int) -> dict[str, float]:
    """Return what a process holds: anonymous memory in MB, open files, threads."""
    return {
        "mb": anonymous_mb(pid),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
    }


async def soak(
    client: httpx.AsyncClient, made: Sequence[Asked], rate: float, minutes: float, pid: int
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
    """Return how much more was held in the last fifth than in the second, relatively."""
    values = [one[what] for one in watched]
    fifth = max(1, len(values) // 5)
    before, after = float(np.median(values[fifth : 2 * fifth])), float(np.median(values[-fifth:]))
    return after / before - 1


async def rebuilt(store: Path) -> None:
    """Build the index anew, in a process of its own, and wait until the service has moved on."""
    code = "import sys; from indexer import build; build.GROWTH = 0.0; build.build(sys.argv[1])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(store))
    if await process.wait():
        raise SystemExit("the index could not be built under load")
    await asyncio.sleep(15)  # the service looks every ten seconds


async def measure(store: Path, address: str, pid: int, made: list[Asked], minutes: float, seconds: float) -> Any:
    """Do all of it; return rows and figures."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=120.0) as client:
        single = await alone(client, made)
        best, tried = await sustained(client, made, single, seconds)
        over = await storm(client, made, OVERLOAD * best.rate, seconds)
        swap = await storm(client, made, best.rate / 2, seconds, lambda: rebuilt(store))
        long, watched = await soak(client, made, best.rate / 2, minutes, pid)
    peak = max(load.goodput for load in (*tried, over))
    rows = [
        single.row("one after the other"),
        *(load.row("rising") for load in tried),
        over.row(f"{OVERLOAD:g} times what is sustained"),
        swap.row("while the index is built anew"),
        {**long.row(f"{minutes:g} minutes"), "watched": watched},
    ]
    figures = {
        "sustained_per_second": best.goodput,
        "overload_goodput_over_peak": over.goodput / peak,
        "overload_p99_over_alone": over.quantile(0.99) / single.quantile(0.99),
        "refusals_without_retry_after": over.without_retry,
        "overload_failures": over.row("")["failed"],
        "failed_while_swapped": sum(swap.statuses.values()) - swap.answered,
        "failed_in_soak": sum(long.statuses.values()) - long.answered,
        **{f"soak_growth_{what}": growth(watched, what) for what in ("mb", "files", "threads")},
    }
    return rows, figures


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
            made = questions(Engine(store), about["id"], args.chip)
            rows, figures = asyncio.run(measure(store, address, pid, made, args.minutes, args.seconds))
    report.write(f"The service under load, {about['chips']:,} chips", rows, figures, args.json)


if __name__ == "__main__":
    main()
