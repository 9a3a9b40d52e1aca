"""`embedstore index · delete · info · verify · compact · vacuum`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from embedstore.store import Store
from tests.embedstore import make
from tests.query.cli.conftest import CHIPS, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


def test_info_as_text_and_json(run: Callable[..., Ran], vectors: Path) -> None:
    text = run("info", vectors).out
    assert f"{CHIPS} chips" in text
    assert "test, 16 dimensions" in text
    known = json.loads(run("info", vectors, "--json").out)
    assert known["rows"] == CHIPS
    assert known["encoder"]["dimension"] == make.DIMENSION


def test_delete_by_id_item_and_area(run: Callable[..., Ran], own_vectors: Path, tmp_path: Path) -> None:
    assert run("delete", own_vectors, "--id", FIRST, "--id", make.chip_id(1)).out == "deleted 2 chips\n"
    assert json.loads(run("delete", own_vectors, "--item", "second", "--json").out) == {"deleted": CHIPS // 2}
    assert Store.open(own_vectors).rows == CHIPS // 2 - 2
    area = tmp_path / "area.wkt"
    area.write_text("POLYGON ((0 40, 20 40, 20 50, 0 50, 0 40))")
    assert run("delete", own_vectors, "--within", area).out == f"deleted {CHIPS // 2 - 2} chips\n"
    assert run("delete", own_vectors, "--within", area).out == "deleted 0 chips\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "exactly one"),
        (["--id", FIRST, "--item", "second"], "exactly one"),
        (["--id", "f" * 32], "f" * 32),
        (["--within", "absent.geojson"], "absent.geojson"),
        (["--item", "third"], "third"),
    ],
)
def test_a_delete_that_makes_no_sense_changes_nothing(
    run: Callable[..., Ran], vectors: Path, options: list[str], words: str
) -> None:
    before = Store.open(vectors).version
    run("delete", vectors, *options).refused(words)
    assert Store.open(vectors).version == before


def test_verify_is_quiet_about_a_sound_store(run: Callable[..., Ran], vectors: Path) -> None:
    ran = run("verify", vectors)
    assert ran.code == 0
    assert ran.out.startswith("sound")
    assert json.loads(run("verify", vectors, "--json").out) == {"sound": True, "faults": []}


def test_verify_lists_faults_and_exits_with_1(run: Callable[..., Ran], own_vectors: Path) -> None:
    files = sorted(own_vectors.glob("h3_cell=*/*.parquet"))[:2]
    for file in files:
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
    ran = run("verify", own_vectors)
    assert ran.code == 1
    assert all(any(file.name in line for line in ran.out.splitlines()) for file in files)
    faults = json.loads(run("verify", own_vectors, "--json").out)
    assert faults["sound"] is False
    assert len(faults["faults"]) >= 2


def test_compact_then_vacuum(run: Callable[..., Ran], own_vectors: Path) -> None:
    before = json.loads(run("info", own_vectors, "--json").out)
    done = json.loads(run("compact", own_vectors, "--json").out)
    assert done["files_after"] < done["files_before"] <= before["files"]
    assert run("compact", own_vectors).out == "nothing to join\n"
    assert json.loads(run("vacuum", own_vectors, "--json").out)["data_files"] == 0
    assert json.loads(run("vacuum", own_vectors, "--grace", 0, "--json").out)["data_files"] == done["files_before"]
    assert run("verify", own_vectors).code == 0
    assert json.loads(run("info", own_vectors, "--json").out)["rows"] == CHIPS


def test_index_prints_stages_to_stderr_and_its_report_to_stdout(run: Callable[..., Ran], own_vectors: Path) -> None:
    ran = run("index", own_vectors, "--device", "cpu", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["rows"] == CHIPS
    assert all(line.endswith(" ...") for line in ran.err.splitlines())
    text = run("index", own_vectors).out
    assert text.startswith(f"indexed {CHIPS} chips")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"), [(["--recall", "1.5"], "1.5"), (["--recall", "0"], "0"), (["--device", "tpu"], "tpu")]
)
def test_an_index_that_cannot_be_is_refused(
    run: Callable[..., Ran], vectors: Path, options: list[str], words: str
) -> None:
    run("index", vectors, *options).refused(words)
