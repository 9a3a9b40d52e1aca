"""`embedstore simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.query.cli.conftest import Ran


def test_simulate_writes_a_collection(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("simulate", tmp_path, "--region", "beta", "--tiles", "1", "--months", "6", "--json")
    made = json.loads(ran.out)
    (item,) = made["items"]
    assert Path(item).is_file()
    assert json.loads(Path(made["collection"]).read_bytes())["id"] == "simulated-beta"


def test_what_makes_no_sense_is_refused(run: Callable[..., Ran], tmp_path: Path) -> None:
    run("simulate", tmp_path, "--region", "omega").refused("omega", "alpha")
    run("simulate", tmp_path, "--region", "alpha", "--months", "April").refused("--months", "4,7")
    run("simulate", tmp_path, "--region", "alpha", "--months", "13").refused("month 13")
    run("simulate", tmp_path, "--region", "alpha", "--tiles", "0").refused("tiles")
