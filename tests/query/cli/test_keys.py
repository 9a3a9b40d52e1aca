"""`embedstore keys`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


def test_a_key_from_its_making_to_its_end(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    made = run("keys", "add", file, "alice", "--role", "write", "--days", 30, "--rate", 5, "--budget", 600)
    secret = made.out.strip()
    assert secret.startswith("es_")
    assert "cannot be shown again" in made.err
    assert json.loads(run("keys", "add", file, "bob", "--json").out)["name"] == "bob"
    listed = run("keys", "list", file).out.splitlines()
    assert [line.split()[:2] for line in listed] == [["alice", "write"], ["bob", "read"]]
    (alice, _) = json.loads(run("keys", "list", file, "--json").out)["keys"]
    assert (alice["rate"], alice["budget"]) == (5, 600)
    assert secret not in run("keys", "list", file, "--json").out
    assert run("keys", "rotate", file, "alice", "--overlap", 1).out.strip() != secret
    assert "2 keys of alice" in run("keys", "revoke", file, "alice").out
    run("keys", "revoke", file, "alice").refused("no key of alice")
    run("keys", "add", file, "carol", "--role", "king").refused("king", "admin")
    run("keys", "list", tmp_path / "none").refused("read the keys", code=1)
