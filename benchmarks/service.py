"""What HTTP adds to a search, and whether the service stands two hundred requests at once.

``python -m benchmarks.service --store DIR --json F``

The server is a process of its own on the loopback. A search by HTTP is timed next to `Engine.search` of the same
question, in turns, over one connection that is kept open. Then clients keep two hundred requests in flight, of every
kind that the map sends, and the server's memory is watched; who is told to come again does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from benchmarks import landscape, report
from embedstore.extras import faiss
from indexer.build import build
from query import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTIONS = 500
IN_FLIGHT = 200
SECONDS = 60.0
WARM = 0.25
"""Share of the time after which memory is looked at: by then every thread has worked and every cache is filled."""
K = 10


@contextmanager
def served(store: Path) -> Iterator[tuple[str, int]]:
    """Serve a store; yields the address and the process id."""
    with tempfile.TemporaryDirectory() as scratch, Path(scratch, "log").open("w") as log:
        port = _free_port()
        command = [sys.executable, "-c", "from query.cli import main; main()", "serve", str(store), "--port", str(port)]
        environment = os.environ | {"EMBEDSTORE_JOBS_FOLDER": str(Path(scratch, "jobs"))}
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")


def overhead(store: Path, address: str) -> dict[str, list[float]]:
    """Return milliseconds of the same questions, asked of the engine and over HTTP in turns."""
    engine, collection = Engine(store), store.absolute().name
    faiss().omp_set_num_threads(1)
    ids = some_ids(engine, 2 * QUESTIONS)
    url = f"{address}/collections/{collection}/search"
    times: dict[str, list[float]] = {"Engine.search": [], "POST search": []}
    with httpx.Client() as client:
        for number, id_ in enumerate(ids):
            began = time.perf_counter()
            engine.search(id=id_, k=K)
            between = time.perf_counter()
            client.post(url, json={"id": id_, "k": K}).raise_for_status()
            ended = time.perf_counter()
            if number >= QUESTIONS:  # the first half warms both
                times["Engine.search"].append((between - began) * 1e3)
                times["POST search"].append((ended - between) * 1e3)
    return times


def some_ids(engine: Engine, count: int) -> list[str]:
    """Return ids from all over the store."""
    piece = max(engine.snapshot.pieces, key=lambda p: p.count)
    rows = np.random.default_rng(5).choice(piece.live_rows(), count)
    raw = piece.segment.take("id", rows).tobytes().hex()
    return [raw[i : i + 32] for i in range(0, len(raw), 32)]


def requests(collection: str, ids: list[str], bbox: list[float]) -> list[tuple[str, str, Any]]:
    """Return requests as the map sends them: mostly searches, some pages, pictures and tiles."""
    root = f"/collections/{collection}"
    west, south, east, north = bbox
    box = [west, south, (west + east) / 2, (south + north) / 2]
    made: list[tuple[str, str, Any]] = []
    for number, id_ in enumerate(ids):
        kind = number % 10
        if kind < 5:
            made.append(("POST", f"{root}/search", {"id": id_, "k": K}))
        elif kind == 5:
            made.append(("POST", f"{root}/search", {"id": id_, "k": K, "bbox": box}))
        elif kind == 6:
            made.append(("GET", f"{root}/items/{id_}", None))
        elif kind == 7:
            made.append(("GET", f"{root}/items?limit=10&bbox={','.join(map(str, box))}", None))
        elif kind == 8:
            made.append(("GET", f"{root}/footprints/tiles/4/8/5.mvt", None))
        else:
            made.append(("GET", "/collections", None))
    return made


async def storm(address: str, made: list[tuple[str, str, Any]], pid: int) -> dict[str, Any]:
    """Keep requests in flight for a while; return how many were answered, what failed, and the memory over time."""
    statuses: dict[str, int] = {}
    memory: list[tuple[float, float]] = []
    began = time.perf_counter()
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=120.0) as client:

        async def one(number: int) -> None:
            while time.perf_counter() - began < SECONDS:
                method, path, body = made[number % len(made)]
                number += IN_FLIGHT + 1
                try:
                    status = str((await client.request(method, path, json=body)).status_code)
                except httpx.HTTPError as error:
                    status = type(error).__name__
                statuses[status] = statuses.get(status, 0) + 1
                if status == "503":
                    await asyncio.sleep(1)  # as Retry-After says

        async def watch() -> None:
            while time.perf_counter() - began < SECONDS:
                memory.append((time.perf_counter() - began, anonymous_mb(pid)))
                await asyncio.sleep(1)

        await asyncio.gather(watch(), *(one(i) for i in range(IN_FLIGHT)))
    return {"statuses": statuses, "memory": memory, "seconds": time.perf_counter() - began}


def anonymous_mb(pid: int) -> float:
    """Return the memory of a process that is not of mapped files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1e3


def main() -> None:
    """Run from the command line."""
    parser = report.parser("What HTTP adds to a search, and two hundred requests at once.")
    parser.add_argument("--store", type=Path, help="a store that is there; else one is made of --rows simulated chips")
    parser.add_argument("--rows", type=int, default=200_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = args.store or Path(scratch) / "store"
        if args.store is None:
            landscape.store(store, args.rows, 256)
            build(store)
        with served(store) as (address, pid):
            times = overhead(store, address)
            about = httpx.get(f"{address}/collections").json()["collections"][0]
            made = requests(about["id"], some_ids(Engine(store), 2_000), about["extent"]["spatial"]["bbox"][0])
            load = asyncio.run(storm(address, made, pid))
    answered = sum(load["statuses"].values())
    refused = load["statuses"].get("503", 0)
    wrong = answered - refused - load["statuses"].get("200", 0)
    settled = [mb for second, mb in load["memory"] if second >= WARM * SECONDS]
    quarter = max(len(settled) // 4, 1)
    rows: list[dict[str, Any]] = [
        {"what": name, "p50 ms": statistics.median(ms), "p95 ms": float(np.percentile(ms, 95)), "per second": None}
        for name, ms in times.items()
    ]
    rows.append(
        {
            "what": f"{IN_FLIGHT} requests in flight",
            "p50 ms": None,
            "p95 ms": None,
            "per second": answered / load["seconds"],
            "answers": load["statuses"],
            "memory_mb": load["memory"],
        }
    )
    figures = {
        "search_overhead_ms": statistics.median(times["POST search"]) - statistics.median(times["Engine.search"]),
        "errors": float(wrong),
        "refused": float(refused),
        "memory_growth_mb": statistics.median(settled[-quarter:]) - statistics.median(settled[:quarter]),
    }
    report.write(f"The service on {about['chips']:,} chips, k = {K}", rows, figures, args.json)


if __name__ == "__main__":
    main()
