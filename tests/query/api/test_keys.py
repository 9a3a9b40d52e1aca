"""Who may ask what."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest

from embedstore.errors import InputError, SpecError, StorageError
from query.api import Settings, keys
from tests.query.api.conftest import KEY, READER, C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient

OPEN = ("/", "/healthz", "/readyz", "/openapi.json", "/docs", "/conformance")


@pytest.fixture(scope="module")
def locked(store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> Iterator[TestClient]:
    with serve(store, api_keys=(KEY,), read_only_keys=(READER,), sync_chips=10) as client:
        yield client


def test_without_a_key_only_the_page_and_the_documentation_are_there(locked: TestClient) -> None:
    for path in OPEN:
        assert locked.get(path).status_code == 200, path
    shut = [path for path in locked.get("/openapi.json").json()["paths"] if path not in OPEN]
    for path in [*shut, "/nowhere", "/assets", "/healthz/", "/assets/../collections"]:
        answer = locked.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer {KEY}"},
        {"X-API-Key": KEY},
        {"X-API-Key": READER},
    ],
)
def test_a_key_opens(locked: TestClient, headers: dict[str, str]) -> None:
    assert locked.get("/collections", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": "Bearer"},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY + "k"},
        {"X-API-Key": "ké"},
    ],
)
def test_anything_else_does_not(locked: TestClient, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert locked.get("/collections", headers=raw).status_code == 401


def test_every_key_is_compared_whatever_came(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, real = [], hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    known = keys.Keys(Settings(api_keys=(KEY, "a" * 16), read_only_keys=(READER,)))
    from starlette.datastructures import Headers

    for given, role in ((KEY, "full"), (READER, "read-only"), ("x", None)):
        compared.clear()
        assert known.role(Headers({"x-api-key": given})) == role
        assert len(compared) == 3
        assert {len(one) for pair in compared for one in pair} == {32}, "digests of one length are compared"


def test_a_reading_key_searches_and_may_not_start_or_delete_jobs(locked: TestClient) -> None:
    reader, full = {"X-API-Key": READER}, {"X-API-Key": KEY}
    found = locked.get(f"{C}/items", params={"limit": 100}, headers=reader).json()["features"]
    labels = {one["id"]: "ab"[number % 2] for number, one in enumerate(found[:8])}
    assert locked.post(f"{C}/search", json={"id": found[0]["id"]}, headers=reader).status_code == 200
    few = locked.post(f"{C}/classify", json={"labels": labels, "ids": list(labels)}, headers=reader)
    assert few.status_code == 200, few.text
    refused = locked.post(f"{C}/classify", json={"labels": labels}, headers=reader)
    assert refused.status_code == 403
    job = locked.post(f"{C}/classify", json={"labels": labels}, headers=full).json()["job"]
    assert locked.get(f"/jobs/{job}", headers=reader).status_code == 200
    assert locked.delete(f"/jobs/{job}", headers=reader).status_code == 403
    assert locked.delete(f"/jobs/{job}", headers=full).status_code == 204


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_this_machine_needs_no_key(host: str) -> None:
    keys.refuse_open_door(host, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])  # noqa: S104 - refused
def test_a_public_address_needs_one(host: str) -> None:
    with pytest.raises(InputError, match="--api-key-file"):
        keys.refuse_open_door(host, ())
    keys.refuse_open_door(host, (KEY,))


def test_key_files(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the laboratory\n\n{KEY}\n  {READER}  \n")
    assert keys.read_keys(file) == (KEY, READER)
    assert keys.read_keys(None) == ()
    file.write_text("# none\n")
    with pytest.raises(InputError, match="holds no key"):
        keys.read_keys(file)
    with pytest.raises(StorageError, match="read the keys"):
        keys.read_keys(tmp_path / "nowhere")


def test_a_short_key_is_refused_and_keys_are_not_shown() -> None:
    with pytest.raises(SpecError, match="shorter than 16"):
        Settings(api_keys=("secret",))
    assert KEY not in repr(Settings(api_keys=(KEY,), read_only_keys=(READER,)))
