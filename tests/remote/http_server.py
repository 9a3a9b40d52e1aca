"""A web server on this machine that answers ranges, and badly where it is told to."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Fault:
    """What the next `count` answers are: a status, a body cut in half, or late."""

    count: int
    status: int = 0
    cut: bool = False
    sleep: float = 0.0


class Web:
    """Files by path, what was asked for, and faults to come."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.faults: list[Fault] = []
        self.ranges = True

    def fault(self) -> Fault:
        for fault in self.faults:
            if fault.count:
                fault.count -= 1
                return fault
        return Fault(0)


@contextmanager
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range") if state.ranges else None
            state.asked.append((self.path, wanted))
            fault, body = state.fault(), state.files.get(self.path)
            time.sleep(fault.sleep)
            if fault.status or body is None:
                self._answer(fault.status or 404, b"", {})
            elif wanted:
                start, stop = re.match(r"bytes=(\d+)-(\d*)", wanted).groups()  # type: ignore[union-attr]
                last = min(int(stop or len(body)), len(body) - 1)
                where = f"bytes {start}-{last}/{len(body)}"
                self._answer(206, body[int(start) : last + 1], {"Content-Range": where}, cut=fault.cut)
            else:
                self._answer(200, body, {"Accept-Ranges": "bytes"}, cut=fault.cut)

        def _answer(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if cut else body)
            except OSError:  # whoever asked has heard enough
                self.close_connection = True
            self.close_connection = self.close_connection or cut

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Web(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
