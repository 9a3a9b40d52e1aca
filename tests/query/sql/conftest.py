"""A store that has been through appends and deletions, in files of many row groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import shapely

from embedstore.geoparquet import read_part
from query import Engine
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 900
BOX = shapely.box(11, 46, 12.5, 47)
DELETED = tuple(make.chip_id(i) for i in range(0, 90, 3))
WEST_OF_180, EAST_OF_180 = (179.0, -1.0, 180.0, 1.0), (-180.0, -1.0, -179.0, 1.0)


@pytest.fixture(scope="package")
def worn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 900 chips in 70 places of the Alps and 40 on either side of the antimeridian; 30 were deleted."""
    path = tmp_path_factory.mktemp("sql") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedstore.geoparquet.ROW_GROUP", 16)
        store = make.store(path)
        store.append(make.chips(list(range(ROWS // 2))))
        store.append(make.chips(list(range(ROWS // 2, ROWS)), item="it's"))
        store.append(make.chips([f"west {i}" for i in range(40)], box=WEST_OF_180))
        store.append(make.chips([f"east {i}" for i in range(40)], box=EAST_OF_180))
        store.delete(ids=list(DELETED))
    return path


@pytest.fixture(scope="package")
def engine(worn: Path) -> Iterator[Engine]:
    with Engine(worn) as opened:
        yield opened


@pytest.fixture(scope="module")
def truth(engine: Engine) -> pa.Table:
    """All rows as the data files hold them, by id."""
    parts = [read_part(engine.store.path / file.path) for file in engine.snapshot.files]
    return pa.concat_tables(parts).sort_by("id")


def ids(table: pa.Table) -> set[str]:
    return set(table["id"].to_pylist())
