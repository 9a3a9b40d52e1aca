"""Hundreds of hostile requests to a real server: each is refused, says nothing of the machine, and harms nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.hostile import addresses, bodies, forms, statements, transport
from tests.hostile.case import GONE, HUNG_UP, KEEPER, READER, WRITER, C, Case, ask
from tests.keys import key_file

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = (*addresses.CASES, *transport.CASES, *bodies.CASES, *forms.CASES, *statements.CASES)
GROWTH = 256 << 20
"""Bytes by which all of them together may make the server larger than honest questions have made it."""


@dataclass(frozen=True)
class Server:
    """A server of its own process, and what is known of it.

    Parameters
    ----------
    port
        Where it listens.
    process
        It.
    log
        What it said on stderr.
    secrets
        What no answer may hold: folders of the machine, and what files outside the store say.
    words
        Ids for the cases.
    """

    port: int
    process: psutil.Process
    log: Path
    secrets: tuple[str, ...]
    words: dict[str, str]

    def honest(self) -> None:
        """Ask honest questions of each kind, and insist on right answers."""
        for case in (
            Case("items", 200, path=f"{C}/items?limit=100"),
            Case("search", 200, "POST", f"{C}/search", b'{"id": "@id", "k": 3}'),
            Case("sql", 200, "POST", f"{C}/sql", b'{"sql": "SELECT count(*) FROM embeddings"}',
                 (("Content-Type", "application/json"),)),
        ):  # fmt: skip
            answer = ask(self.port, case.sent(self.words))
            assert answer.status == case.status, answer.text
            said = json.loads(answer.body)
            if case.name == "items":
                assert said["numberMatched"] == 100
            elif case.name == "search":
                assert said["hits"][0]["id"] == self.words["@id"]
                assert len(said["hits"]) == 3
            else:
                assert said["rows"] == [[100]]

    def memory(self) -> int:
        """Bytes that the server itself holds; its workers for SQL have limits of their own, and come and go."""
        return int(self.process.memory_info().rss)


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("attacked")
    ended = (GONE, {"expires": "2026-02-01T00:00:00+00:00"})
    roles = {"reader": (READER, {"role": "read"}), "writer": (WRITER, {"role": "write"}), "gone": ended}
    held = key_file(folder, keeper=KEEPER, **roles)  # type: ignore[arg-type]
    settings = {"JOBS_FOLDER": str(folder / "jobs"), "SYNC_CHIPS": "50", "SQL_SECONDS": "1", "SQL_MEMORY_MB": "256"}
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    log = folder / "log"
    command = [sys.executable, "-c", "from query.cli import main; main()", "serve", str(store), "--port", str(port)]
    environment = os.environ | {f"EMBEDSTORE_{name}": value for name, value in settings.items()}
    with log.open("w") as out:
        process = subprocess.Popen([*command, "--keys", str(held)], env=environment, stderr=out)
    try:
        while True:
            assert process.poll() is None, log.read_text()
            try:
                ask(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                break
            except OSError:
                time.sleep(0.1)
        secrets = (str(store), str(store.parent), str(folder), str(Path.cwd()), sys.prefix, "site-packages", "root:x:0")
        yield Server(port, psutil.Process(process.pid), log, secrets, _words(port))
    finally:
        process.kill()
        process.wait()


def _words(port: int) -> dict[str, str]:
    """Return the id of a stored chip, and of a job that the keeper asked for."""
    items = ask(port, Case("", 200, path=f"{C}/items?limit=20").sent({}))
    ids = [feature["id"] for feature in json.loads(items.body)["features"]]
    labels = {id_: "ab"[number % 2] for number, id_ in enumerate(ids)}
    job = Case("", 202, "POST", f"{C}/classify", json.dumps({"labels": labels}).encode(),
               (("Content-Type", "application/json"),), KEEPER)  # fmt: skip
    return {"@id": ids[0], "@job": json.loads(ask(port, job.sent({})).body)["job"]}


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.fixture(scope="module")
def warm(server: Server) -> int:
    """Bytes that the server holds after honest questions, and after a chip was encoded."""
    server.honest()
    chip = next(case for case in forms.FILES if case.name == "a TIFF of the wrong bands")
    assert ask(server.port, chip.sent(server.words)).status == chip.status
    return server.memory()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(server: Server, case: Case) -> None:
    answer = ask(server.port, case.sent(server.words))
    endless = not case.parsed and len(case.raw or b"") > 1 << 16
    assert answer.status == case.status or (endless and answer.status == HUNG_UP), answer.text[:500]
    assert not [secret for secret in server.secrets if secret in answer.text], answer.text[:500]
    assert "Traceback" not in answer.text
    if not case.parsed:
        assert len(answer.body) < 200
    elif case.method != "HEAD":
        told = json.loads(answer.body)
        assert answer.kind == "application/problem+json"
        assert told["status"] == case.status
        assert told["detail"]
        assert len(answer.body) < 40_000


def test_afterwards_the_server_is_as_it_was(server: Server, warm: int) -> None:
    server.honest()
    grown = server.memory() - warm
    assert grown < GROWTH, f"the server has grown by {grown >> 20} MiB"
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) >= len(CASES) - len(transport.FRAMING)
    assert not [line for line in requests if line["status"] >= 500]
    assert not [line for line in lines if "traceback" in line]
