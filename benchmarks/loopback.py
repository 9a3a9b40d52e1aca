"""An S3 server on this machine, in a process of its own, that counts what it is asked.

It is moto's (https://docs.getmoto.org/en/latest/docs/server_mode.html). Requests are answered one at a time, so that a
conditional put is one step, as S3 promises and moto's threads do not. A process of its own, because delta-rs holds
Python's lock while it waits for some answers.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUCKET = "bucket"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test", "AWS_REGION": "us-east-1"}
CONTROL = "/-/"
"""Paths that are this server's own, not S3's."""


class Loopback:
    """The server as those see it who use it.

    Parameters
    ----------
    endpoint
        Its address.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def environment(self) -> dict[str, str]:
        """What to set so that S3 means this server."""
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.endpoint}

    def asked(self) -> list[dict[str, Any]]:
        """Return what was asked since the last call: method, path, range, and bytes sent; in order."""
        return self._control("asked")  # type: ignore[no-any-return]

    def refuse(self, **rule: Any) -> None:
        """Answer the next requests badly: ``count`` of those whose method and path match, after ``skip`` of them.

        ``method`` and ``path`` must be in the request's; ``status`` is answered, or the body is cut in half if it is 0;
        ``sleep`` seconds come first. With ``done``, what was asked is done all the same.
        """
        self._control("refuse", rule)

    def reset(self) -> None:
        """Forget what was asked, and what was to be answered badly."""
        self._control("reset")

    def _control(self, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.endpoint}{CONTROL}{what}", data=data), timeout=30) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())


@contextmanager
def serving() -> Iterator[Loopback]:
    """Run a server with an empty bucket :data:`BUCKET` until the block ends."""
    command = [sys.executable, "-m", "benchmarks.loopback"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT}) as process:
        try:
            assert process.stdout is not None
            yield Loopback(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


class _Server:
    """The WSGI application: moto's, one request at a time, with counts and faults."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._asked: list[dict[str, Any]] = []
        self._rules: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith(CONTROL):
            return self._control(path.removeprefix(CONTROL), environ, start)
        with self._lock:
            rule = self._rule(method, path)
            if not rule:
                body = list(self._moto(environ, start))
        if not rule:
            self._note(environ, body)
            return body
        time.sleep(rule.get("sleep", 0))
        if rule.get("done"):
            with self._lock:
                list(self._moto(environ, lambda *_, **__: None))
        if rule["status"]:
            start(f"{rule['status']} Refused", [("Content-Length", "0")])
            body = []
        else:
            with self._lock:
                body = [b"".join(self._moto(environ, start))]
            body = [body[0][: len(body[0]) // 2]]  # Content-Length says more
        self._note(environ, body)
        return body

    def _rule(self, method: str, path: str) -> dict[str, Any] | None:
        for rule in self._rules:
            if rule.get("method", method) == method and rule.get("path", "") in path:
                if rule.get("skip", 0):
                    rule["skip"] -= 1
                elif rule.get("count", 1):
                    rule["count"] = rule.get("count", 1) - 1
                    return rule
        return None

    def _note(self, environ: dict[str, Any], body: list[bytes]) -> None:
        self._asked.append(
            {
                "method": environ["REQUEST_METHOD"],
                "path": environ["PATH_INFO"],
                "range": environ.get("HTTP_RANGE"),
                "bytes": sum(map(len, body)),
            }
        )

    def _control(self, what: str, environ: dict[str, Any], start: Any) -> list[bytes]:
        answer: list[dict[str, Any]] = []
        if what in {"asked", "reset"}:
            answer, self._asked = self._asked, []
            self._rules = [] if what == "reset" else self._rules
        else:
            self._rules.append(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


def _main() -> None:
    """Serve until killed; the port stands in the first line of the output."""
    import boto3
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, _Server(), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.port}").create_bucket(Bucket=BUCKET)
    print(server.port, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    _main()
