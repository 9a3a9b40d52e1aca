"""A store in S3 keeps the promises of one on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore import cache
from embedstore.errors import DamageError, NotAStoreError, StorageError, StoreExistsError
from embedstore.store import Store
from indexer import build as indexer_build
from query import Engine
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.loopback import Loopback

BOX = (10.0, 45.0, 10.2, 45.2)
WRITER = """
import sys
from embedstore.store import Store
from tests.embedstore import make
store = Store.open(sys.argv[1])
for i in range(int(sys.argv[3])):
    names = [f"{sys.argv[2]}-{i}-{j}" for j in range(5)]
    store.append(make.chips(names, box=(10, 45, 10.2, 45.2)), f"{sys.argv[2]}{i}")
    print(i, flush=True)
"""


def names(start: int, stop: int) -> list[object]:
    return list(range(start, stop))


def filled(uri: str, rows: int = 60) -> Store:
    store = Store.create(uri, make.ENCODER, make.GRID)
    store.append(make.chips(names(0, rows), box=BOX))
    return store


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From here on this is another machine: nothing was copied to it."""
    monkeypatch.setenv("EMBEDSTORE_CACHE_DIR", str(folder))


def ids(store: Store) -> list[str]:
    return sorted(p.segment.column("id")[r].tobytes().hex() for p in store.snapshot().pieces for r in p.live_rows())


def test_a_store_lives_there(uri: str, s3: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not Store.exists(uri)
    with pytest.raises(NotAStoreError, match=f"no store at {uri.replace('[', '.')}"):
        Store.open(uri)
    store = filled(uri)
    with pytest.raises(StoreExistsError):
        Store.create(uri, make.ENCODER, make.GRID)
    assert store.append(make.chips(names(50, 80), box=BOX)) == 20, "ids that are there are not added twice"
    indexer_build.build(uri)
    local = Store.create(tmp_path / "local", make.ENCODER, make.GRID)
    local.append(make.chips(names(0, 80), box=BOX))

    elsewhere(monkeypatch, tmp_path / "other")
    engine, right = Engine(uri), Engine(tmp_path / "local")
    query = np.random.default_rng(1).normal(size=make.DIMENSION)
    s3.asked()
    hits = engine.search(query, k=9, bbox=(10.0, 45.0, 10.15, 45.2))
    assert s3.asked() == [], "a search asks nobody"
    assert hits.to_arrow()["id"].equals(right.search(query, k=9, bbox=(10.0, 45.0, 10.15, 45.2)).to_arrow()["id"])
    assert hits.to_arrow(geometry=True)["geometry"].null_count == 0

    assert store.delete(ids=[chip_id(3)]) == 1
    assert store.compact().files_before > 1
    engine.refresh()
    assert chip_id(3) not in engine.search(query, k=80).to_arrow()["id"].to_pylist()
    assert engine.snapshot.degraded == []
    assert engine.store.verify() == []
    assert Store.open(uri, version=1).rows == 60
    assert store.vacuum(grace_hours=0).data_files > 0
    assert Store.open(uri).verify() == []
    assert Engine(uri).search(query, k=79).to_arrow().num_rows == 79
    assert store.info()["path"] == uri


def test_opening_copies_by_few_requests_and_then_not_again(
    uri: str, s3: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    filled(uri, 2000)
    elsewhere(monkeypatch, tmp_path / "other")
    s3.asked()
    Engine(uri)
    first = s3.asked()
    Engine(uri)
    second = s3.asked()
    segments = [one for one in first if "/segments/" in one["path"]]
    assert len(segments) == 6, "one request a file"
    assert not [one for one in second if "/segments/" in one["path"]]
    assert sum(one["bytes"] for one in second) < 50_000


def test_two_writers_at_once(uri: str) -> None:
    Store.create(uri, make.ENCODER, make.GRID)

    def write(name: str) -> int:
        return subprocess.run([sys.executable, "-c", WRITER, uri, name, "4"], check=False).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, ["a", "b"])) == [0, 0]
    store = Store.open(uri)
    assert ids(store) == sorted({chip_id(f"{w}-{i}-{j}") for w in "ab" for i in range(4) for j in range(5)})
    assert store.version == 8
    assert store.verify() == []


def test_two_that_publish_at_once(uri: str) -> None:
    from embedstore.catalog import Index

    store = filled(uri, 5)
    indexes = [Index(c * 32, store.encoder.fingerprint, ()) for c in "abcd"]
    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(lambda one: Store.open(uri).catalog.publish(one, None), indexes))
    assert won.count(True) == 1
    assert store.catalog.live_name() == indexes[won.index(True)].name
    assert store.catalog.publish(Index("e" * 32, store.encoder.fingerprint, ()), indexes[won.index(True)].name)
    assert not store.catalog.publish(indexes[0], indexes[1].name)


def kill_after(uri: str, seconds: float, name: str) -> int:
    """Kill a writer some time after its first commit; return how many commits it told of."""
    with subprocess.Popen([sys.executable, "-c", WRITER, uri, name, "99"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.kill()
        return 1 + len(child.stdout.readlines())


def check_after_kill(uri: str, name: str, told: int) -> None:
    """What was told is there, whole units only, and a second run goes on."""
    store = Store.open(uri)
    found = set(ids(store))
    done = [i for i in range(99) if chip_id(f"{name}-{i}-0") in found]
    assert done == list(range(len(done)))
    assert told <= len(done) <= told + 1
    assert all(chip_id(f"{name}-{i}-{j}") in found for i in done for j in range(5))
    assert store.verify() == []
    subprocess.run([sys.executable, "-c", WRITER, uri, name, str(len(done) + 1)], check=True, capture_output=True)
    store.refresh()
    assert len(ids(store)) == len(found) + 5


def test_a_writer_killed_in_the_middle(uri: str) -> None:
    Store.create(uri, make.ENCODER, make.GRID)
    check_after_kill(uri, "a", kill_after(uri, 0.3, "a"))
    store = Store.open(uri)
    store.vacuum(grace_hours=0)
    assert Store.open(uri).verify() == []


@pytest.mark.slow
def test_many_writers_killed(uri: str) -> None:
    Store.create(uri, make.ENCODER, make.GRID)
    for i, wait in enumerate(np.random.default_rng(0).uniform(0, 0.6, 20).tolist()):
        check_after_kill(uri, f"w{i}", kill_after(uri, wait, f"w{i}"))


def _with_its_answer_lost(s3: Loopback, version: int, status: int, change: Callable[[], int]) -> int:
    s3.refuse(method="PUT", path=f"_delta_log/{version:020}.json", status=status, done=True)
    done = change()
    s3.reset()
    return done


@pytest.mark.parametrize("status", [500, 503])
def test_a_commit_whose_answer_is_lost_is_known_again(uri: str, s3: Loopback, status: int) -> None:
    """Tried again, it is refused because it is there: it must not be taken for another writer's."""
    store = make.store(uri)
    assert _with_its_answer_lost(s3, 1, status, lambda: store.append(make.chips(list(range(50))))) == 50
    assert _with_its_answer_lost(s3, 2, status, lambda: store.delete(ids=[chip_id(1)])) == 1
    reopened = Store.open(uri)
    assert len(ids(reopened)) == 49
    assert reopened.verify() == []
    assert reopened.append(make.chips([60])) == 1


def test_a_refused_upload_commits_nothing(uri: str, s3: Loopback) -> None:
    store = filled(uri, 10)
    for path in ("/part-", "/manifest.json", "_delta_log/"):
        s3.refuse(method="PUT", path=path, status=403, count=1000)
        with pytest.raises(StorageError, match=r"credentials were refused .* Check AWS_ACCESS_KEY_ID") as refused:
            store.append(make.chips(names(10, 20), box=BOX))
        assert "secret-of-the-test" not in str(refused.value)
        s3.reset()
        assert Store.open(uri).rows == 10
    assert store.append(make.chips(names(10, 20), box=BOX)) == 10
    assert store.verify() == []


def test_answers_that_fail_or_end_early_are_asked_again(
    uri: str, s3: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    filled(uri)
    elsewhere(monkeypatch, tmp_path / "other")
    s3.refuse(method="GET", path="vectors.f16", status=503, count=2)
    s3.refuse(method="GET", path="rows.arrow", status=0)
    store = Store.open(uri)
    assert len(ids(store)) == 60
    assert store.snapshot().degraded == []


def test_damage_there_is_found(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = filled(uri)
    home = store.home
    data = home.folder / store.table.files()[0].path
    (segment,) = (p.segment.folder for p in store.snapshot().pieces)
    for path, word in ((data, "data file"), (segment / "vectors.f16", "vectors.f16")):
        raw = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(raw[:200] + bytes([raw[200] ^ 1]) + raw[201:])
        home.keep([path])
        assert any(word in fault for fault in Store.open(uri).verify())
        path.chmod(0o644)
        path.write_bytes(raw)
        home.keep([path])
    assert Store.open(uri).verify() == []
    path = home.folder / store.table.files()[0].path
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    home.keep([path])
    elsewhere(monkeypatch, tmp_path / "other")
    other = Store.open(uri)
    with pytest.raises(DamageError, match="its digest is not the one in its name"):
        other.home.here(other.home.folder / store.table.files()[0].path)


def test_copies_stay_under_their_cap(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: Loopback) -> None:
    filled(uri, 500)
    assert s3
    elsewhere(monkeypatch, tmp_path / "other")
    held = Store.open(uri)
    assert len(ids(held)) == 500
    old = time.time() - 3600
    for path in (tmp_path / "other").rglob("*"):
        os.utime(path, (old, old))
    segment = held.snapshot().pieces[0].segment.folder
    draft = segment.parent / "unsent"
    shutil.copytree(segment, draft)
    (draft / "manifest.json").chmod(0o644)
    os.utime(draft / "manifest.json", (old, old))
    cache.Cache(tmp_path / "other", 1).make_room()
    assert segment.is_dir(), "what is open stays"
    assert draft.is_dir(), "what was not sent stays"
    del held
    cache.Cache(tmp_path / "other", 1).make_room()
    assert not segment.is_dir()
    assert len(ids(Store.open(uri))) == 500, "and is fetched again"
    monkeypatch.setenv("EMBEDSTORE_CACHE_GB", "much")
    with pytest.raises(Exception, match="EMBEDSTORE_CACHE_GB=much is no size"):
        Store.open(uri)


def test_where_copies_are_and_how_much_they_take_are_settings(
    uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: Loopback
) -> None:
    filled(uri, 500)
    assert s3
    for cap, kept in (("1", True), ("0.000001", False)):
        folder = tmp_path / cap
        monkeypatch.setenv("EMBEDSTORE_CACHE_DIR", str(folder))
        monkeypatch.setenv("EMBEDSTORE_CACHE_GB", cap)
        first = Store.open(uri).snapshot().pieces[0].segment.folder
        assert folder in first.parents
        old = time.time() - 3600
        for path in folder.rglob("*"):
            os.utime(path, (old, old))
        other = f"{uri}-{cap}"
        filled(other)
        assert len(ids(Store.open(other))) == 60
        assert first.is_dir() == kept
