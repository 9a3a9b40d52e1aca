"""Limits, problems, logs and metrics of the service as a whole."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import query.api.items
from embedstore import errors
from embedstore.cores import cores
from embedstore.errors import DamageError, InputError, NotAStoreError, SpecError
from query.api import Settings, create_app, problems
from query.api.observe import JsonFormatter
from tests.keys import key_file
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"


def test_not_ready_without_its_store(own_store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    with serve(own_store) as client:
        (own_store / "_delta_log").rename(own_store / "gone")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert client.get("/healthz").status_code == 200
        (own_store / "gone").rename(own_store / "_delta_log")


def test_metrics_count_by_route(client: TestClient, ids: list[str]) -> None:
    for id_ in ids[:3]:
        client.get(f"{C}/items/{id_}")
    text = client.get("/metrics").text
    assert 'embedstore_requests_total{method="GET",route="/collections/{c}/items/{id}",status="200"}' in text
    assert 'embedstore_collection_chips{collection="store"} 100.0' in text
    assert ids[0] not in text


def test_every_status_has_a_class_of_errors_and_every_error_a_status() -> None:
    ours = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.EmbedstoreError)]
    assert {problems.status_of(e("x")) for e in ours} == {400, 404, 413, 500, 503}
    assert problems.status_of(ValueError()) == 500


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("the store /data/stores/italy holds no chip 'a'.", "the store italy holds no chip 'a'."),
        ("cannot read /etc/passwd: no", "cannot read passwd: no"),
        ("between 2019-01-01/2019-12-31 and ../x", "between 2019-01-01/2019-12-31 and ../x"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("a\n  b", "a b"),
    ],
)
def test_folders_are_not_told(message: str, told: str) -> None:
    assert problems.public(message) == told


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DamageError("the file /secret/place is damaged"), 503),
        (RuntimeError("a bug in /secret/place"), 500),
        (OSError(28, "No space left", "/secret/place"), 500),
        (RecursionError(), 400),
    ],
)
def test_no_error_tells_more_than_it_may(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, status: int
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(query.api.items, "_columns", fail)
    logging.getLogger("embedstore").propagate = True
    with caplog.at_level(logging.INFO, "embedstore.service"):
        answer = client.get(f"{C}/items/{'0' * 32}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert line["status"] == status
    assert line["request"] == answer.headers["x-request-id"]
    if status >= 500:
        assert line["level"] == "error"
        assert "/secret/place" in line["error"]
    assert ("traceback" in line) == (status == 500)


def test_every_answer_is_told_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("embedstore").propagate = True
    with caplog.at_level(logging.INFO, "embedstore.service"):
        client.get("/nowhere?secret=1")
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["method"], line["path"], line["status"], line["event"]) == ("GET", "/nowhere", 404, "request")
    assert line["ms"] > 0
    assert "secret" not in json.dumps(line)


def test_bodies_are_bounded_whether_or_not_they_say_how_long_they_are(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    with serve(store, max_body_bytes=1000) as client:
        body = json.dumps({"vector": [0.125] * 1000}).encode()
        said = client.post(f"{C}/search", content=body)
        unsaid = client.post(f"{C}/search", content=iter([body[:500], body[500:]]))
        typed = client.post(f"{C}/heatmap", content=iter([body]), headers={"Content-Type": "application/json"})
        form = {"Content-Type": "multipart/form-data; boundary=a"}
        posing = [client.post(f"{C}/{to}", content=body, headers=form) for to in ("sql", "classify")]
    for answer in (said, unsaid, typed, *posing):
        assert answer.status_code == 413, answer.text
        assert "1000 bytes" in answer.json()["detail"]


def test_too_many_requests_are_told_to_come_again(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(store, max_in_flight=1) as client:
        inner: list[Any] = []
        real = query.api.items._with_links

        def meanwhile(*args: Any) -> Any:
            if not inner:
                inner.extend(client.get(path) for path in ("/collections", "/healthz"))
            return real(*args)

        monkeypatch.setattr(query.api.items, "_with_links", meanwhile)
        assert client.get(C).status_code == 200
    assert [one.status_code for one in inner] == [503, 200], "who keeps the service is answered"
    assert inner[0].headers["retry-after"] == "1"


def test_libraries_keep_to_the_thread_that_asks_while_the_service_runs(store: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from threadpoolctl import threadpool_info
from query.api import Settings, create_app

def threads():
    return {one["num_threads"] for one in threadpool_info() if one.get("threading_layer") == "pthreads"}

with TestClient(create_app([Path(sys.argv[1])], Settings(jobs_folder=Path(sys.argv[2])))):
    print(threads())
print(max(threads()))
"""
    # in a process of its own: threadpoolctl lets only the first thread that set OpenBLAS's number set it again; that of
    # FAISS has OpenMP's threads, whose number is each thread's own
    if cores() < 2:
        pytest.skip("with one core there is one thread anyway")
    told = subprocess.run(
        [sys.executable, "-c", code, str(store), str(tmp_path)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split("\n")[:2] == ["{1}", "2"]


def test_other_web_sites_may_not_ask_unless_allowed(
    store: Path, client: TestClient, serve: Callable[..., AbstractContextManager[TestClient]], tmp_path: Path
) -> None:
    origin = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    assert "access-control-allow-origin" not in client.get("/collections", headers=origin).headers
    with serve(store, cors_origins=("https://example.org",), key_file=key_file(tmp_path, someone="k" * 32)) as open_:
        assert open_.options("/collections", headers=origin).headers["access-control-allow-origin"] == origin["Origin"]
        other = {**origin, "Origin": "https://example.com"}
        assert "access-control-allow-origin" not in open_.options("/collections", headers=other).headers


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_run_no_script_but_the_package_s(client: TestClient, path: str) -> None:
    page = client.get(path, headers={"Accept": "text/html"})
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert "<script>" not in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"


def test_stores_of_one_name_and_folders_without_a_store(store: Path, own_store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two stores are named 'store'"):
        create_app([store, own_store])
    with pytest.raises(NotAStoreError):
        create_app([tmp_path])


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    given = {
        "EMBEDSTORE_MAX_K": "7",
        "EMBEDSTORE_SQL_SECONDS": "1.5",
        "EMBEDSTORE_JOBS_FOLDER": str(tmp_path),
        "EMBEDSTORE_CORS_ORIGINS": "https://a.org, https://b.org",
        "EMBEDSTORE_KEY_FILE": str(tmp_path / "keys.json"),
        "HOME": "elsewhere",
    }
    read = Settings.from_environment(given)
    assert (read.max_k, read.sql_seconds, read.jobs_folder) == (7, 1.5, tmp_path)
    assert read.cors_origins == ("https://a.org", "https://b.org")
    assert read.key_file == tmp_path / "keys.json"
    assert Settings.from_environment(given, key_file=tmp_path / "other").key_file == tmp_path / "other"
    for name, value in (("MAX_K", "many"), ("MAX_K", "0"), ("SQL_SECONDS", "nan"), ("THREADS", "-1")):
        with pytest.raises(SpecError, match=name.lower() if value != "many" else name):
            Settings.from_environment({f"EMBEDSTORE_{name}": value})


def test_libraries_are_there_before_anybody_asks(store: Path, tmp_path: Path) -> None:
    """A classification fails in SciPy if it runs while an upload imports torch, so neither may be the first to."""
    serve = f"""
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from query.api import Settings, create_app
app = create_app([Path({str(store)!r})], Settings(jobs_folder=Path({str(tmp_path)!r})))
assert "torch" not in sys.modules, "this test proves nothing"
libraries = ("torch", "sklearn.covariance", "sklearn.linear_model", "faiss")
jobs, seen = app.state.service.jobs, []
start = jobs.start
type(jobs).start = lambda _: (seen.extend(one in sys.modules for one in libraries), start())
with TestClient(app):
    assert seen == [True] * 4, seen
"""
    done = subprocess.run([sys.executable, "-c", serve], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
