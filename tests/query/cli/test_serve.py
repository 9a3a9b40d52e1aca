"""`embedstore serve`: what it refuses before it listens, and how it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran

KEY = "k" * 32


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What uvicorn was asked to run."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **more: calls.append({"app": app, **more}))
    monkeypatch.setattr("query.api.observe.log_as_json", lambda: None)
    monkeypatch.setenv("EMBEDSTORE_JOBS_FOLDER", str(tmp_path / "jobs"))
    return calls


def test_it_serves_stores_on_this_machine(
    run: Callable[..., Ran], vectors: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSTORE_MAX_K", "7")
    ran = run("serve", vectors, "--port", 8123)
    assert ran.code == 0
    assert "http://127.0.0.1:8123" in ran.err
    (call,) = started
    assert (call["host"], call["port"], call["access_log"]) == ("127.0.0.1", 8123, False)
    service = call["app"].state.service
    assert [one.id for one in service.collections] == ["store"]
    assert service.settings.max_k == 7


def test_a_public_address_needs_a_key(
    run: Callable[..., Ran], vectors: Path, started: list[dict[str, Any]], tmp_path: Path
) -> None:
    run("serve", vectors, "--host", "0.0.0.0").refused("0.0.0.0", "--keys")  # noqa: S104 - refused
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": []}')
    run("serve", vectors, "--host", "0.0.0.0", "--keys", keys).refused("holds no key")  # noqa: S104
    assert not started
    keys.unlink()
    assert run("keys", "add", keys, "someone").code == 0
    assert run("serve", vectors, "--host", "0.0.0.0", "--keys", keys).code == 0  # noqa: S104
    assert started[0]["app"].state.service.settings.key_file == keys


def test_what_makes_no_sense_is_told_before_it_listens(
    run: Callable[..., Ran],
    vectors: Path,
    started: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("serve", tmp_path).refused("no store", code=1)
    run("serve", vectors, vectors).refused("two stores are named")
    run("serve", vectors, "--keys", tmp_path / "none").refused("read the keys", code=1)
    monkeypatch.setenv("EMBEDSTORE_MAX_K", "many")
    run("serve", vectors).refused("EMBEDSTORE_MAX_K")
    assert not started
