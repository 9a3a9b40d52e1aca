from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.query.cli.conftest import CHIPS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


def test_export_tells_what_it_wrote(run: Callable[..., Ran], vectors: Path, tmp_path: Path) -> None:
    ran = run("export", vectors, "-o", tmp_path / "a.parquet")
    assert (ran.code, ran.out) == (0, f"wrote {CHIPS} chips to {tmp_path / 'a.parquet'} (geoparquet)\n")
    told = json.loads(run("export", vectors, "-o", tmp_path / "c", "--format", "stac", "--json").out)
    assert told == {"chips": CHIPS, "format": "stac", "path": str(tmp_path / "c")}
    some = run("export", vectors, "-o", tmp_path / "b.geojson", "--bbox", "10,45,12,46", "--between", "2020-01-01/..")
    assert 0 < int(some.out.split()[1]) < CHIPS
    run("export", vectors, "-o", tmp_path / "a.xyz").refused("does not tell its format")
    run("export", vectors, "-o", tmp_path / "a.parquet", "--bbox", "1,2").refused("is no box")
