"""Who may ask what."""

from __future__ import annotations

import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import Headers

from embedstore.errors import InputError, SpecError, StorageError
from query.api import access, keys
from query.api.access import Access
from query.api.budget import Budgets
from query.api.keys import Key
from query.api.observe import JsonFormatter
from tests.keys import key_file
from tests.query.api.conftest import KEY, READER, C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from fastapi.testclient import TestClient

WRITER, GONE = "w" * 32, "g" * 32
OPEN = ("/", "/healthz", "/readyz", "/openapi.json", "/docs", "/conformance")


@pytest.fixture(scope="module")
def locked(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    roles: dict[str, Any] = {
        "keeper": KEY,
        "writer": (WRITER, {"role": "write"}),
        "reader": (READER, {"role": "read"}),
        "gone": (GONE, {"expires": "2026-02-01T00:00:00+00:00"}),
    }
    with serve(store, key_file=key_file(tmp_path_factory.mktemp("keys"), **roles), sync_chips=10) as client:
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
        {"X-API-Key": GONE},
        {"X-API-Key": "0" * 64},
    ],
)
def test_anything_else_does_not(locked: TestClient, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert locked.get("/collections", headers=raw).status_code == 401


def test_every_key_is_compared_whatever_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compared, real = [], hmac.compare_digest

    def compare(a: str, b: str) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(access.hmac, "compare_digest", compare)
    known = Access(key_file(tmp_path, one=KEY, two="a" * 16, three=READER))
    for given, name in ((KEY, "one"), (READER, "three"), ("x", None)):
        compared.clear()
        found = known.key_of(Headers({"x-api-key": given}))
        assert (found and found.name) == name
        assert len(compared) == 3
        assert {len(one) for pair in compared for one in pair} == {64}, "digests of one length are compared"


def started(locked: TestClient, headers: dict[str, str]) -> Any:
    """Ask for a classification that is a job."""
    found = locked.get(f"{C}/items", params={"limit": 100}, headers=headers).json()["features"]
    labels = {one["id"]: "ab"[number % 2] for number, one in enumerate(found[:8])}
    return locked.post(f"{C}/classify", json={"labels": labels}, headers=headers)


def test_what_each_role_may(locked: TestClient) -> None:
    reader, writer, keeper = ({"X-API-Key": key} for key in (READER, WRITER, KEY))
    found = locked.get(f"{C}/items", params={"limit": 100}, headers=reader).json()["features"]
    labels = {one["id"]: "ab"[number % 2] for number, one in enumerate(found[:8])}
    assert locked.post(f"{C}/search", json={"id": found[0]["id"]}, headers=reader).status_code == 200
    few = locked.post(f"{C}/classify", json={"labels": labels, "ids": list(labels)}, headers=reader)
    assert few.status_code == 200, few.text
    assert started(locked, reader).status_code == 403
    job = started(locked, writer).json()["job"]
    assert locked.get(f"/jobs/{job}", headers=writer).status_code == 200
    assert locked.get(f"/jobs/{job}", headers=keeper).status_code == 200
    for path in (f"/jobs/{job}", f"/jobs/{job}/result"):
        assert locked.get(path, headers=reader).status_code == 404, "it is not known that there is one"
    assert locked.delete(f"/jobs/{job}", headers=reader).status_code == 403
    theirs = started(locked, keeper).json()["job"]
    assert locked.delete(f"/jobs/{theirs}", headers=writer).status_code == 404
    assert locked.delete(f"/jobs/{theirs}", headers=keeper).status_code == 204
    assert locked.delete(f"/jobs/{job}", headers=writer).status_code == 204
    assert [locked.get("/metrics", headers=h).status_code for h in (reader, writer, keeper)] == [403, 403, 200]


def test_what_is_in_the_log_names_the_key_and_does_not_tell_it(
    locked: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "embedstore.service"):
        locked.get("/collections", headers={"X-API-Key": WRITER})
        locked.get(f"/collections?key={WRITER}", headers={"X-API-Key": "wrong-" + WRITER})
    told = [JsonFormatter().format(record) for record in caplog.records]
    assert any('"key": "writer"' in line for line in told)
    assert not any(WRITER in line for line in told)


def test_a_key_that_is_taken_away_ends_while_the_service_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK", 0.0)
    file = tmp_path / "keys.json"
    one, two = keys.add(file, "one"), keys.add(file, "two", "write")
    known = Access(file)

    def name(secret: str) -> str | None:
        found = known.key_of(Headers({"authorization": f"Bearer {secret}"}))
        return found.name if found else None

    assert (name(one), name(two)) == ("one", "two")
    assert keys.revoke(file, "two") == 1
    assert (name(one), name(two)) == ("one", None)
    file.write_text("{")
    assert name(one) == "one", "a broken file neither opens nor shuts the door"
    file.unlink()
    assert name(one) == "one"
    assert keys.add(file, "three") != one
    assert name(one) is None


def test_nobody_gets_in_once_the_last_key_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK", 0.0)
    file = tmp_path / "keys.json"
    secret = keys.add(file, "one", "admin")
    known, headers = Access(file), Headers({"x-api-key": secret})
    assert known.key_of(headers)
    assert keys.revoke(file, "one") == 1
    assert known.key_of(headers) is None
    assert known.key_of(Headers({})) is None


def test_a_rotation_lets_both_keys_in_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first = keys.add(file, "one", "write", rate=5, budget=100)
    second = keys.rotate(file, "one", hours=1)
    old, new = keys.read(file)
    assert (old.sha256, new.sha256) == (keys.digest(first), keys.digest(second))
    now = datetime.now(UTC)
    assert old.lives(now)
    assert not old.lives(now + timedelta(hours=1.1))
    assert (new.role, new.rate, new.budget, new.expires) == ("write", 5, 100, None)
    third = keys.rotate(file, "one", hours=0)
    (last,) = keys.read(file)
    assert last.sha256 == keys.digest(third)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(secret in file.read_text() for secret in (first, second, third))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_this_machine_needs_no_key(host: str) -> None:
    access.refuse_open_door(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])  # noqa: S104 - refused
def test_a_public_address_needs_one(host: str) -> None:
    with pytest.raises(InputError, match="--keys"):
        access.refuse_open_door(host, None)
    access.refuse_open_door(host, Path("keys.json"))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    for text in (
        '{"keys": []}',
        "",
        "[]",
        "k" * 64,
        '{"keys": [{"name": "a"}]}',
        '{"keys": ["a"]}',
        '{"keys": {"a": 1}}',
        "[" * 100_000,
        json.dumps({"keys": [{"name": "a", "role": "king", "sha256": "0" * 64, "created": "2026-01-01"}]}),
        json.dumps({"keys": [{"name": "a", "role": "read", "sha256": "0", "created": "2026-01-01"}]}),
        json.dumps({"keys": [{"name": "a", "role": "read", "sha256": "0" * 64, "created": "never"}]}),
        json.dumps({"keys": [{"name": "a/b", "role": "read", "sha256": "0" * 64, "created": "2026-01-01"}]}),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=r"keys\.json"):
            Access(file)
    with pytest.raises(StorageError, match="read the keys"):
        Access(tmp_path / "nowhere")


def test_what_makes_no_sense_of_a_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys.add(file, "one", days=30)
    before = file.read_bytes()
    wrong: list[dict[str, Any]] = [{"role": "king"}, {"days": 0}, {"days": 1e300}, {"days": float("nan")}, {"rate": 0}]
    for more in [*wrong, {"rate": float("inf")}, {"budget": -1}]:
        with pytest.raises(SpecError):
            keys.add(file, "two", **more)
    for name in ("", "a b", "../a", "a" * 65):
        with pytest.raises(SpecError, match="names nobody"):
            keys.add(file, name)
    with pytest.raises(InputError, match="already"):
        keys.add(file, "one")
    for name, hours in (("two", 1), ("one", -1), ("one", float("nan"))):
        with pytest.raises(InputError):
            keys.rotate(file, name, hours)
    with pytest.raises(InputError, match="no key of two"):
        keys.revoke(file, "two")
    assert file.read_bytes() == before


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: keys.add(file, f"n{n}"), range(24)))
    assert {keys.digest(secret) for secret in made} == {key.sha256 for key in keys.read(file)}


def test_a_key_asks_for_as_much_as_it_may(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]], tmp_path: Path
) -> None:
    few: dict[str, Any] = {
        "often": (WRITER, {"role": "read", "rate": 0.001}),
        "much": (READER, {"role": "read", "budget": 25}),
    }
    with serve(store, key_file=key_file(tmp_path, keeper=KEY, **few)) as client:
        answers = [client.get("/collections", headers={"X-API-Key": WRITER}) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 429, 429]
        assert 900 < int(answers[1].headers["retry-after"]) <= 1000
        assert answers[1].headers["content-type"] == "application/problem+json"
        statement = {"sql": "SELECT count(*) FROM embeddings"}
        told = [client.post(f"{C}/sql", json=statement, headers={"X-API-Key": READER}).status_code for _ in range(3)]
        assert told == [200, 200, 429]
        assert client.get("/collections", headers={"X-API-Key": READER}).status_code == 200, "five points are left"
        assert all(client.get("/collections", headers={"X-API-Key": KEY}).status_code == 200 for _ in range(20))
        assert client.get("/healthz", headers={"X-API-Key": WRITER}).status_code == 429
        assert client.get("/healthz").status_code == 200


def test_buckets_fill_again() -> None:
    budgets = Budgets()
    key = Key("a", "read", "0" * 64, "2026-01-01", rate=2.0, budget=60.0)
    assert [budgets.wait(key, "/x", 0.0) for _ in range(5)] == [0, 0, 0, 0, 1]
    assert budgets.wait(key, "/x", 0.6) == 0
    assert budgets.wait(key, "/x", 0.6) == 1
    assert [budgets.wait(key, "/collections/c/sql/", 10.0 + n) for n in range(6)] == [0, 0, 0, 0, 0, 0]
    assert budgets.wait(key, "/collections/c/sql", 16.0) == 4, "six points are there then, and ten are asked"
    assert budgets.wait(key, "/collections/c/sql", 20.0) == 0


def test_a_rotated_key_has_no_second_budget() -> None:
    budgets = Budgets()
    old = Key("a", "read", "0" * 64, "2026-01-01", budget=1.0)
    new = Key("a", "read", "1" * 64, "2026-01-02", budget=1.0)
    assert (budgets.wait(old, "/x", 0.0), budgets.wait(new, "/x", 0.0)) == (0, 60)
    assert budgets.wait(Key("b", "read", "1" * 64, "2026-01-02", budget=1.0), "/x", 0.0) == 0
    dear = Key("c", "read", "1" * 64, "2026-01-02", budget=1.0)
    tiles = Key("d", "read", "0" * 64, "2026-01-01", budget=60.0)
    tile = "/collections/c/heatmap/tiles/0/0/0.mvt"
    assert [budgets.wait(tiles, tile, 0.0) for _ in range(13)] == [0] * 12 + [5], "a tile costs five"
    assert budgets.wait(dear, "/heatmap", 0.0) == 0, "a full bucket is enough for anything"
    assert budgets.wait(dear, "/x", 60.0) > 60, "and is in debt then"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_without_keys_this_machine_is_answered(client: TestClient, host: str) -> None:
    assert client.get("/collections", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1.example.org", "127.0.0.1@example.org", "[::1", "", "10.0.0.1"]
)
def test_without_keys_a_page_elsewhere_reads_nothing_by_a_name_of_its_own(client: TestClient, host: str) -> None:
    for path in ("/collections", "/", "/healthz"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"


def test_with_keys_any_name_will_do(locked: TestClient) -> None:
    headers = {"Host": "maps.example.org", "X-API-Key": READER}
    assert locked.get("/collections", headers=headers).status_code == 200
