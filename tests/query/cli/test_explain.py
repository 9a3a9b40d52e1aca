from __future__ import annotations

import json
from typing import TYPE_CHECKING

from query import Engine
from tests.query import halves

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


def test_the_command_line_tells_it(tmp_path: Path, run: Callable[..., Ran]) -> None:
    store, scene = halves.store(tmp_path)
    with Engine(store) as engine:
        wood = halves.chips(engine)[1]
    ran = run("search", store, "--id", wood, "-k", 2, "--explain")
    assert ran.code == 0
    assert ran.out.splitlines()[0].split()[-1] == "match"
    assert "cannot be explained" not in ran.err
    scene.unlink()
    ran = run("search", store, "--id", wood, "-k", 2, "--explain", "--json")
    assert ran.code == 0
    assert len(json.loads(ran.out)["hits"]) == 2
    assert "warning: 2 hits cannot be explained: its scene own.tif is not where it was" in ran.err
