"""The OpenAPI document: complete, with examples, and true whatever is sent."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from query.api import Settings, create_app
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient

LONGEST = 5_000
"""Characters of a query; of a line longer than 64 KiB the server reads no more, and hangs up."""
CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def address(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server in a thread of this process."""
    limits = Settings(jobs_folder=tmp_path_factory.mktemp("jobs"), sync_chips=50, sql_seconds=1.0)
    config = uvicorn.Config(create_app([store], limits), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    running = threading.Thread(target=server.run)
    running.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    running.join()


@pytest.fixture(scope="module")
def document(address: str) -> Any:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def ask(case: Any, address: str) -> None:
    """Send a case, most of them about what is there."""
    if len(str(case.query)) > LONGEST:
        return
    found = httpx.get(f"{address}{C}/items", params={"limit": 3}).json()["features"]
    if "c" in case.path_parameters:
        case.path_parameters["c"] = "store"
        if "id" in case.path_parameters and len(str(case.path_parameters["id"])) % 2:
            case.path_parameters["id"] = found[0]["id"]
    if isinstance(case.body, dict) and len(case.body) % 2:
        for name in ("id", "at", "vector"):
            if case.body.get(name) is not None:
                case.body.pop(name)
                case.body["id"] = found[1]["id"]
    case.call_and_validate(checks=CHECKS)


def send_many(document: Any, address: str, examples: int) -> None:
    """Send cases that fit the document, and cases that do not, to every operation."""
    sent = 0
    for found in document.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:

            @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @seed(examples)
            @given(case=operation.as_strategy(generation_mode=mode))
            def one(case: Any) -> None:
                nonlocal sent
                sent += 1
                ask(case, address)

            with suppress(Unsatisfiable):  # what takes no input has no wrong one
                one()
    assert sent > 10 * examples


def test_whatever_is_sent_is_answered_as_documented(document: Any, address: str) -> None:
    send_many(document, address, 3)


@pytest.mark.slow
def test_whatever_is_sent_for_long(document: Any, address: str) -> None:
    send_many(document, address, 200)


def test_everything_is_documented_with_examples(client: TestClient) -> None:
    made = client.get("/openapi.json").json()
    schemas = made["components"]["schemas"]
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"].endswith("."), where
            assert {"401", "404", "422", "503"} <= operation["responses"].keys(), where
            good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            assert all(answer.get("content") for answer in good) or method == "delete", where
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                name = body["schema"].get("$ref", "").rpartition("/")[2]
                assert schemas[name]["examples"] if name else kind == "multipart/form-data", where
    assert made["components"]["securitySchemes"].keys() == {"bearer", "key"}


def test_the_examples_are_accepted(client: TestClient) -> None:
    made = client.get("/openapi.json").json()
    for path, operations in made["paths"].items():
        body = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if body:
            name = body["schema"]["$ref"].rpartition("/")[2]
            for example in made["components"]["schemas"][name]["examples"]:
                answer = client.post(path.replace("{c}", "store"), json=example)
                assert answer.status_code in {200, 202, 400, 404}, (path, answer.text)
                assert answer.status_code != 400 or "makes no sense" not in answer.text


def test_the_documentation_page_is_there(client: TestClient) -> None:
    page = client.get("/docs")
    assert 'id="docs"' in page.text
    assert "://" not in page.text  # nothing is loaded from elsewhere
