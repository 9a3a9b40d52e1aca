from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from embedstore.catalog import Calibration, Catalog, Codebook, Costs, Effort, FilteredEffort, Index
from embedstore.errors import DamageError
from embedstore.sealed import read_json, write_json
from embedstore.store import Store
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path

CODEBOOK = Codebook("c" * 32, "d" * 64, "OPQ2,IVF16,PQ2", 16, 1000, 0.1)
CALIBRATION = Calibration(
    (Effort(2, 10, 0.9),), (FilteredEffort(4096, 0.1, 20, 0.9),), Costs(9.5, 30.0, 80.0, 5e4, 1, 3e3, 5, 90)
)


def index(name: str) -> Index:
    return Index(name * 32, make.ENCODER.fingerprint, ("1" * 32, "2" * 32), CODEBOOK, CALIBRATION)


def test_what_was_published_is_live(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "_index")
    assert catalog.current() is None
    assert catalog.live_name() is None
    assert catalog.publish(index("a"), None)
    assert Catalog(tmp_path / "_index").current() == index("a")
    assert catalog.publish(index("b"), index("a").name)
    assert catalog.current() == index("b")


def test_the_second_of_two_that_began_together_is_refused(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "_index")
    assert catalog.publish(index("a"), None)
    assert not catalog.publish(index("b"), None)
    assert not catalog.publish(index("b"), "e" * 32)
    assert catalog.current() == index("a")


def test_of_many_publishers_one_wins(tmp_path: Path) -> None:
    names = [format(i, "x") for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(lambda n: Catalog(tmp_path / "_index").publish(index(n), None), names))
    assert sum(won) == 1
    assert Catalog(tmp_path / "_index").current() == index(names[won.index(True)])


@pytest.mark.parametrize("file", ["CURRENT", "index.json"])
@pytest.mark.parametrize("how", ["flip", "empty", "other json"])
def test_damage_is_found_and_published_over(tmp_path: Path, file: str, how: str) -> None:
    catalog = Catalog(tmp_path / "_index")
    catalog.publish(index("a"), None)
    path = next((tmp_path / "_index").rglob(file))
    whole = path.read_bytes()
    broken = {"flip": bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]]), "empty": b"", "other json": b'{"index": "x"}'}
    path.write_bytes(broken[how])
    with pytest.raises(DamageError, match=file):
        catalog.current()
    assert catalog.live_name() is None
    assert catalog.publish(index("b"), None)
    assert catalog.current() == index("b")


def test_an_index_of_another_version_says_so(tmp_path: Path) -> None:
    catalog = make.store(tmp_path / "s").catalog
    assert catalog.publish(index("a"), None)
    path = catalog.folder / ("a" * 32) / "index.json"
    body = read_json(path)
    del body["codebook"]["error"]
    write_json(path, body)
    with pytest.raises(DamageError, match="another version"):
        catalog.current()


def test_a_codebook_is_checked_before_it_is_read(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "_index")
    path = catalog.new_codebook_file()
    path.write_bytes(b"codebook")
    made = catalog.seal_codebook(path, "OPQ2,IVF16,PQ2", 16, 1000, 0.1)
    assert catalog.codebook_file(made) == path
    path.write_bytes(b"codeboox")
    with pytest.raises(DamageError, match="codebook"):
        catalog.codebook_file(made)
    path.unlink()
    with pytest.raises(DamageError, match="missing"):
        catalog.codebook_file(made)


def test_two_stores_that_merge_at_once_lose_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedstore import housekeeping

    one = make.store(tmp_path / "s")
    monkeypatch.setattr(housekeeping, "MOST_SEGMENTS", 100)
    for i in range(5):
        one.append(make.chips([i]))
    monkeypatch.setattr(housekeeping, "MOST_SEGMENTS", 3)
    two = Store.open(tmp_path / "s")
    two.snapshot()
    housekeeping.merge_flat_segments(one)
    live = one.catalog.live_name()
    assert live
    housekeeping.merge_flat_segments(two)
    assert two.catalog.live_name() == live, "the second began from an index that is no longer live"
    assert Store.open(tmp_path / "s").held([make.chip_id(i) for i in range(5)]).all()
    assert one.verify() == []
