"""A client that asks at random moments, whether or not what it asked before was answered, and takes little time itself.

Requests are bytes that were made before, and answers are read no further than needed, so that it is the server that is
measured. Each request is timed from the moment at which it was due.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import httpx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

SEED = 7
CONNECTIONS = 500
"""Kept open at most; more than the service lets in, so that it is the service that refuses."""
PATIENCE = 120.0
REFUSED = ("429", "503")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is sent, and its kind."""

    kind: str
    raw: bytes


@dataclass
class Load:
    """What came of some requests."""

    rate: float
    seconds: float
    took: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    without_retry: int = 0

    @property
    def answered(self) -> int:
        """How many were answered as asked."""
        return self.statuses["200"]

    @property
    def refused(self) -> int:
        """How many were told to come again."""
        return sum(self.statuses[status] for status in REFUSED)

    @property
    def failed(self) -> int:
        """How many were neither answered nor refused."""
        return sum(self.statuses.values()) - self.answered - self.refused

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def quantile(self, share: float, kind: str | None = None) -> float:
        """Return the milliseconds within which a share of the answers came, of all kinds or of one."""
        took = [one for one, of in zip(self.took, self.kinds, strict=True) if kind in (None, of)]
        return float(np.quantile(took, share)) * 1e3 if took else float("nan")

    def row(self, what: str) -> dict[str, Any]:
        """Return a row of the report."""
        return {
            "what": what,
            "asked/s": self.rate,
            "answered/s": self.goodput,
            "p50 ms": self.quantile(0.5),
            "p99 ms": self.quantile(0.99),
            "refused": self.refused,
            "failed": self.failed,
            "client late ms": float(np.quantile(self.late, 0.99)) * 1e3 if self.late else float("nan"),
            "statuses": dict(self.statuses),
            "p99 of": {kind: self.quantile(0.99, kind) for kind in sorted(set(self.kinds))},
        }


class Client:
    """Connections to a server that are kept open and shared.

    Parameters
    ----------
    address
        ``http://HOST:PORT``.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname, parts.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._places = asyncio.Semaphore(CONNECTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for _, writer in self._idle:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._idle.clear()

    async def ask(self, asked: Asked, due: float, load: Load) -> None:
        """Send a request and note what comes."""
        async with self._places:
            load.late.append(time.perf_counter() - due)
            try:
                async with asyncio.timeout(PATIENCE):
                    status, head = await self._answer(asked.raw)
            except (OSError, EOFError, TimeoutError) as error:
                status, head = type(error).__name__, b""
        load.statuses[status] += 1
        if status == "200":
            load.took.append(time.perf_counter() - due)
            load.kinds.append(asked.kind)
        elif status in REFUSED and b"\r\nretry-after:" not in head:
            load.without_retry += 1

    async def _answer(self, raw: bytes) -> tuple[str, bytes]:
        kept = bool(self._idle)
        reader, writer = self._idle.pop() if kept else await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(raw)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except (OSError, EOFError):
            writer.close()
            if kept:  # the server had closed it meanwhile: as every client does, ask again on another
                return await self._answer(raw)
            raise
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        if b"\r\nconnection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return head[9:12].decode(), head


async def storm(
    client: Client,
    made: Sequence[Asked],
    rate: float,
    seconds: float,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Load:
    """Ask at random moments, at a mean rate, for a time and until what is done meanwhile is done."""
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
        task = asyncio.create_task(client.ask(made[number % len(made)], began + due, load))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
        due += rng.expovariate(rate)
    await asyncio.gather(*tasks)
    if beside:
        await beside
    load.seconds = time.perf_counter() - began
    return load


async def alone(client: Client, made: Sequence[Asked], count: int) -> Load:
    """Ask one after the other."""
    load, began = Load(0.0, 0.0), time.perf_counter()
    for number in range(count):
        await client.ask(made[number % len(made)], time.perf_counter(), load)
    load.seconds = time.perf_counter() - began
    load.rate = load.goodput
    return load


def request(kind: str, method: str, url: str, **body: Any) -> Asked:
    """Return a request as bytes; `body` as httpx takes it."""
    made = httpx.Request(method, url, **body)
    headers = b"".join(b"%s: %s\r\n" % (name, value) for name, value in made.headers.raw)
    return Asked(kind, b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode(), made.url.raw_path, headers, made.read()))
