"""One hostile request, sent byte for byte as it stands: a library for clients would refuse to send most of them."""

from __future__ import annotations

import json
import select
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

C = "/collections/store"
READER, WRITER, KEEPER, GONE = ("r" * 32, "w" * 32, "k" * 32, "g" * 32)
"""Keys that the server under attack knows; the last one has ended."""
PATIENCE = 120.0
"""Seconds after which a request hangs. The service ends all work long before by limits of its own."""
HUNG_UP = 0
"""For a status, where a server hung up on a request whose head does not end."""
JSON = (("Content-Type", "application/json"),)


@dataclass(frozen=True)
class Case:
    """A request, and the status with which it is refused.

    Parameters
    ----------
    name
        What is tried.
    status
        That must come back.
    method, path, body, headers
        Of the request. ``@id`` in path and body becomes the id of a stored chip, ``@job`` that of somebody's job.
    key
        Sent as ``X-API-Key``; none if None.
    raw
        The whole request, where its framing itself is hostile.
    parsed
        Whether it reaches the service. What is no HTTP is refused by the server under it, in words of its own.
    """

    name: str
    status: int
    method: str = "GET"
    path: str = C
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    key: str | None = WRITER
    raw: bytes | None = None
    parsed: bool = True

    def sent(self, words: dict[str, str]) -> bytes:
        """Return the request as bytes, its places for ids filled."""
        if self.raw is not None:
            return self.raw
        path, body = self.path, self.body
        for name, word in words.items():
            path, body = path.replace(name, word), body.replace(name.encode(), word.encode())
        lines = [f"{self.method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        lines += [f"X-API-Key: {self.key}"] if self.key else []
        lines += [f"{name}: {value}" for name, value in self.headers]
        if (body or self.method == "POST") and "Content-Length" not in dict(self.headers):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def post(name: str, status: int, to: str, body: Any, **more: Any) -> Case:
    """Return a case that posts JSON to an endpoint of the collection; text and bytes go as they are."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return Case(name, status, "POST", f"{C}/{to}", raw, JSON, **more)


def ask(port: int, request: bytes) -> Answer:
    """Send a request and return the answer; a server may answer, and hang up, before it has heard all."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        left = memoryview(request)
        while left:
            heard, free, _ = select.select([connection], [connection], [], PATIENCE)
            if heard or not free:
                break
            try:
                left = left[connection.send(left[: 1 << 16]) :]
            except OSError:
                break
        with HTTPResponse(connection) as response:
            try:
                response.begin()
                return Answer(response.status, response.headers.get("content-type", ""), response.read())
            except ConnectionResetError:  # it did not read to the end, so its answer may be lost on the way
                return Answer(HUNG_UP, "", b"")
