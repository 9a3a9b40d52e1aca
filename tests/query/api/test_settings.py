"""Every setting that is documented has a test that hits it, and the default that is documented."""

from __future__ import annotations

import ast
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from query.api import Settings
from query.cli import serve as command
from tests.embedstore import make
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fastapi.testclient import TestClient

ROOT = Path(__file__).parents[3]
HERE, API = "tests/query/api/test_settings.py", "tests/query/api"
HIT = {
    "EMBEDSTORE_THREADS": f"{HERE}::test_so_many_quick_questions_are_worked_on_at_once",
    "EMBEDSTORE_HEAVY_THREADS": f"{HERE}::test_so_many_heavy_questions_are_worked_on_at_once",
    "EMBEDSTORE_MAX_IN_FLIGHT": f"{API}/test_service.py::test_too_many_requests_are_told_to_come_again",
    "EMBEDSTORE_REQUEST_SECONDS": f"{API}/test_patience.py::"
    "test_an_answer_that_takes_too_long_is_given_up_and_its_work_ends",
    "EMBEDSTORE_STOP_SECONDS": f"{API}/test_patience.py::test_told_to_end_it_does_not_wait_for_ever",
    "EMBEDSTORE_MAX_BODY_BYTES": f"{API}/test_service.py::"
    "test_bodies_are_bounded_whether_or_not_they_say_how_long_they_are",
    "EMBEDSTORE_MAX_UPLOAD_BYTES": f"{API}/test_uploads.py::test_limits_of_pixels_bands_and_bytes",
    "EMBEDSTORE_MAX_UPLOAD_PIXELS": f"{API}/test_uploads.py::test_limits_of_pixels_bands_and_bytes",
    "EMBEDSTORE_MAX_UPLOAD_BANDS": f"{API}/test_uploads.py::test_limits_of_pixels_bands_and_bytes",
    "EMBEDSTORE_MAX_UPLOAD_DECODED_BYTES": f"{API}/test_uploads.py::test_limits_of_pixels_bands_and_bytes",
    "EMBEDSTORE_MAX_K": f"{API}/test_search.py::test_limits_are_settings",
    "EMBEDSTORE_MAX_EXAMPLES": f"{API}/test_search.py::test_limits_are_settings",
    "EMBEDSTORE_MAX_VERTICES": f"{API}/test_search.py::test_limits_are_settings",
    "EMBEDSTORE_MAX_CELLS": f"{API}/test_search.py::test_limits_are_settings",
    "EMBEDSTORE_MAX_LABELS": f"{API}/test_labels.py::test_too_many_labels",
    "EMBEDSTORE_MAX_EXPLAINED": f"{API}/test_explain.py::test_grids_over_http",
    "EMBEDSTORE_MAX_PAGE": f"{HERE}::test_a_page_is_cut",
    "EMBEDSTORE_MAX_HEAT_CELLS": f"{API}/test_search.py::test_limits_are_settings",
    "EMBEDSTORE_MAX_TILE_FEATURES": f"{API}/test_tiles.py::test_cells_where_chips_would_be_too_small_or_too_many",
    "EMBEDSTORE_SYNC_CHIPS": f"{API}/test_killed.py::test_a_job_killed_with_its_server_is_done_by_the_next",
    "EMBEDSTORE_SQL_SECONDS": f"{API}/test_labels.py::test_sql_within_limits",
    "EMBEDSTORE_SQL_MEMORY_MB": f"{HERE}::test_a_statement_s_memory_is_bounded",
    "EMBEDSTORE_SQL_ROWS": f"{API}/test_labels.py::test_sql_within_limits",
    "EMBEDSTORE_SQL_ANSWER_MB": f"{HERE}::test_a_statement_s_answer_is_bounded",
    "EMBEDSTORE_CACHE_MB": f"{HERE}::test_what_was_read_is_kept_within_bounds",
    "EMBEDSTORE_TILE_CACHE_MB": f"{HERE}::test_tiles_are_kept_within_bounds",
    "EMBEDSTORE_REFRESH_SECONDS": f"{API}/test_reload.py::"
    "test_no_request_fails_while_rows_come_and_go_and_indexes_change",
    "EMBEDSTORE_JOBS_FOLDER": f"{API}/test_killed.py::test_a_job_killed_with_its_server_is_done_by_the_next",
    "EMBEDSTORE_JOBS_AT_ONCE": f"{API}/test_jobs.py::test_a_stopped_server_leaves_its_job_to_the_next",
    "EMBEDSTORE_MAX_JOBS": f"{API}/test_jobs.py::test_old_results_make_room",
    "EMBEDSTORE_JOB_HOURS": f"{API}/test_jobs.py::test_results_are_kept_for_hours",
    "EMBEDSTORE_KEY_FILE": f"{API}/test_service.py::test_settings_come_from_the_environment",
    "EMBEDSTORE_CORS_ORIGINS": f"{API}/test_service.py::test_other_web_sites_may_not_ask_unless_allowed",
    "EMBEDSTORE_CACHE_DIR": "tests/remote/test_bucket.py::test_where_copies_are_and_how_much_they_take_are_settings",
    "EMBEDSTORE_CACHE_GB": "tests/remote/test_bucket.py::test_where_copies_are_and_how_much_they_take_are_settings",
}
"""By documented variable, the test that fails if the setting does nothing."""
ROW = re.compile(r"^\| `(EMBEDSTORE_[A-Z_]+)` \|(.*)\|$", re.MULTILINE)


def documented() -> dict[str, list[str]]:
    """Return the other columns of every table of the documentation that has settings."""
    found: dict[str, list[str]] = {}
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        for name, rest in ROW.findall(page.read_text(encoding="utf-8")):
            assert name not in found, f"{name} is documented twice"
            found[name] = [column.strip() for column in rest.split("|")]
    return found


def test_every_setting_that_is_documented_has_a_test() -> None:
    assert documented().keys() == HIT.keys()


@pytest.mark.parametrize("name", HIT)
def test_the_test_of_a_setting_is_there_and_sets_it(name: str) -> None:
    file, _, wanted = HIT[name].partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    sources = [
        ast.get_source_segment(text, one)
        for one in ast.parse(text).body
        if isinstance(one, ast.FunctionDef) and one.name == wanted
    ]
    assert sources, f"there is no {HIT[name]}"
    field = name.removeprefix("EMBEDSTORE_").lower()
    assert re.search(rf"\b({field}|{name})\b", sources[0] or ""), f"{HIT[name]} does not set {name}"


def test_defaults_are_those_documented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    defaults = Settings()
    for one in fields(Settings):
        told = documented()[f"EMBEDSTORE_{one.name.upper()}"][0]
        value = getattr(defaults, one.name)
        if "threads" in one.name:
            continue  # test_threads_are_as_many_as_cores
        if isinstance(value, (int, float)):
            assert float(told) == value, one.name
        elif isinstance(value, Path):
            assert told.strip("`").replace("~", str(tmp_path)) == str(value)
        else:
            assert told == "none", one.name
            assert not value


@pytest.mark.parametrize(("cores", "quick", "heavy"), [(1, 2, 1), (2, 2, 1), (5, 5, 2), (64, 8, 4)])
def test_threads_are_as_many_as_cores(cores: int, quick: int, heavy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.api.settings.cores", lambda: cores)
    assert (Settings().threads, Settings().heavy_threads) == (quick, heavy)
    told = documented()
    assert told["EMBEDSTORE_THREADS"][0] == "cores, 2 to 8"
    assert told["EMBEDSTORE_HEAVY_THREADS"][0] == "half of those"


def test_every_setting_is_read_from_its_variable(tmp_path: Path) -> None:
    given = {
        one.name: "7" if str(one.type) in {"int", "float"} else str(tmp_path / one.name) for one in fields(Settings)
    }
    read = Settings.from_environment({f"EMBEDSTORE_{name.upper()}": value for name, value in given.items()})
    for name, value in given.items():
        found = getattr(read, name)
        assert found == (value,) if name == "cors_origins" else str(found).removesuffix(".0") == value, name


def test_every_option_of_serve_is_documented() -> None:
    text = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    for name in command.serve.__annotations__.keys() - {"stores", "return"}:
        assert f"--{name} " in text, name


class Crowd:
    """Work that waits for the test, and tells how much of it there was at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock, self.go = threading.Lock(), threading.Event()

    def work(self, *_: Any) -> dict[str, Any]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(60)
        with self.lock:
            self.inside -= 1
        return {}

    def gathers(self, ask: Callable[[], int], asked: int, at_once: int) -> None:
        with ThreadPoolExecutor(asked) as pool:
            answers = [pool.submit(ask) for _ in range(asked)]
            for _ in range(600):
                if self.inside >= at_once:
                    break
                time.sleep(0.02)
            time.sleep(0.3)  # more would come in now
            assert self.most == at_once
            self.go.set()
            assert [one.result() for one in answers] == [200] * asked
        assert self.most == at_once


def test_so_many_quick_questions_are_worked_on_at_once(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd()
    monkeypatch.setattr("query.api.items._item", crowd.work)
    with serve(store, threads=2) as client:
        crowd.gathers(lambda: client.get(f"{C}/items/{'0' * 32}").status_code, 4, at_once=2)


def test_so_many_heavy_questions_are_worked_on_at_once(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.responses import JSONResponse

    crowd = Crowd()
    monkeypatch.setattr("query.api.heatmap._answer", lambda *_: JSONResponse(crowd.work()))
    with serve(store, heavy_threads=3) as client:
        crowd.gathers(lambda: client.post(f"{C}/heatmap", json={"id": "0" * 32}).status_code, 6, at_once=3)


def test_a_page_is_cut(store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    with serve(store, max_page=3) as client:
        page = client.get(f"{C}/items", params={"limit": 50}).json()
    assert (page["numberReturned"], page["numberMatched"]) == (3, 100)
    assert [link["rel"] for link in page["links"]] == ["self", "next"]


def test_a_statement_s_memory_is_bounded(store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    statement = {"sql": "SELECT length(list(range)::VARCHAR) AS n FROM range(6000000)"}
    with serve(store, sql_memory_mb=64, sql_seconds=60) as client:
        answer = client.post(f"{C}/sql", json=statement)
        assert answer.status_code == 413, answer.text
        assert "memory" in answer.json()["detail"]
    with serve(store, sql_memory_mb=2048, sql_seconds=60) as client:
        assert client.post(f"{C}/sql", json=statement).status_code == 200


def test_a_statement_s_answer_is_bounded(store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    with serve(store, sql_answer_mb=1, sql_seconds=60) as client:
        for letters, status in ((900, 200), (1_001, 413)):
            asked = {"sql": f"SELECT repeat('x', {letters}) AS x FROM range(1000)"}
            for form in ("json", "arrow"):
                answer = client.post(f"{C}/sql", json={**asked, "format": form})
                assert answer.status_code == status, answer.text
                assert status == 200 or "1 MB" in answer.json()["detail"]


@pytest.mark.parametrize(("cache_mb", "reads"), [(1, 3), (16, 2)])
def test_what_was_read_is_kept_within_bounds(
    tmp_path: Path,
    serve: Callable[..., AbstractContextManager[TestClient]],
    monkeypatch: pytest.MonkeyPatch,
    cache_mb: int,
    reads: int,
) -> None:
    made = make.store(tmp_path / "store")
    for name, box in (("a", (10.0, 45.0, 10.1, 45.1)), ("b", (30.0, 45.0, 30.1, 45.1))):
        chips = make.chips([name], box=box)
        picture = pa.array([bytes(800_000)], chips.schema.field("thumbnail").type)
        made.append(
            chips.set_column(chips.schema.get_field_index("thumbnail"), chips.schema.field("thumbnail"), picture)
        )
    read: list[Any] = []
    real = pq.ParquetFile.read_row_group
    with serve(made.path, cache_mb=cache_mb) as client:
        monkeypatch.setattr(
            pq.ParquetFile, "read_row_group", lambda *given, **more: (read.append(given), real(*given, **more))[1]
        )
        for name in "aba":
            answer = client.get(f"{C}/items/{make.chip_id(name)}/thumbnail")
            assert (answer.status_code, len(answer.content)) == (200, 800_000)
    assert len(read) == reads


@pytest.mark.parametrize(("tile_cache_mb", "drawn"), [(1, 3), (4, 2)])
def test_tiles_are_kept_within_bounds(
    store: Path,
    serve: Callable[..., AbstractContextManager[TestClient]],
    monkeypatch: pytest.MonkeyPatch,
    tile_cache_mb: int,
    drawn: int,
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("query.api.tiles._footprints", lambda *given: (made.append(given), bytes(700_000))[1])
    with serve(store, tile_cache_mb=tile_cache_mb) as client:
        for x in (0, 1, 0):
            assert len(client.get(f"{C}/footprints/tiles/3/{x}/2.mvt").content) == 700_000
    assert len(made) == drawn
