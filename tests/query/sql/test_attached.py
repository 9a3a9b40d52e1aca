from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import NotAStoreError, SqlError
from query import Engine
from query.sql import Limits, Session
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDE = 24


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores of the same places and of vectors of 16 and 24 dimensions, and an empty one."""
    folder = tmp_path_factory.mktemp("stores")
    make.store(folder / "ours").append(make.chips(list(range(40))))
    make.store(folder / "theirs", WIDE).append(make.chips(list(range(30)), dimension=WIDE))
    make.store(folder / "none")
    return folder


@pytest.fixture(scope="module")
def session(stores: Path) -> Iterator[Session]:
    with (
        Engine(stores / "ours") as engine,
        Session(engine, attached={"theirs": stores / "theirs", "none_yet": stores / "none"}) as opened,
    ):
        yield opened


def one(session: Session, statement: str) -> object:
    return next(iter(session.query(statement).to_pylist()[0].values()))


def test_each_store_has_its_own_rows(session: Session) -> None:
    assert one(session, "SELECT count(*) FROM embeddings") == 40
    assert one(session, "SELECT count(*) FROM theirs.embeddings") == 30
    assert one(session, "SELECT count(*) FROM none_yet.embeddings") == 0
    assert one(session, "SELECT len(embedding) FROM theirs.embeddings LIMIT 1") == WIDE
    joined = "FROM embeddings o JOIN theirs.embeddings t USING (id) WHERE o.bbox.xmin = t.bbox.xmin"
    assert one(session, f"SELECT count(*) {joined}") == 30


def test_each_store_answers_for_itself(session: Session, stores: Path) -> None:
    chip = make.chip_id(7)
    found = session.query(f"SELECT id FROM theirs.nearest(theirs.chip_vector('{chip}'), 5) ORDER BY score DESC")
    with Engine(stores / "theirs") as engine:
        assert found["id"].to_pylist() == engine.search(id=chip, k=5).ids
        vector = engine.vectors([chip])[0]
    stored = session.query(f"SELECT embedding FROM theirs.embeddings WHERE id = '{chip}'")["embedding"][0].as_py()
    assert np.array(stored, np.float32) == pytest.approx(vector, abs=1e-3)
    assert one(session, f"SELECT theirs.similarity(theirs.chip_vector('{chip}'), theirs.chip_vector('{chip}'))") == (
        pytest.approx(1, abs=1e-4)
    )
    assert one(session, "SELECT count(*) FROM theirs.embeddings_in_box(-180, -90, 180, 90)") == 30
    assert one(session, "SELECT count(*) FROM theirs.embeddings_in(ST_MakeEnvelope(0, 0, 90, 90))") == 30


def test_vectors_of_other_dimensions_do_not_meet(session: Session) -> None:
    with pytest.raises(SqlError):
        session.query(f"SELECT * FROM nearest(theirs.chip_vector('{make.chip_id(1)}'), 3)")


def test_names_and_strangers_are_checked(stores: Path) -> None:
    with Engine(stores / "ours") as engine:
        for name in ("main", "Theirs", 'x"; DROP', "", "1a"):
            with pytest.raises(SqlError, match="cannot be attached as"):
                Session(engine, attached={name: stores / "theirs"})
        with pytest.raises(SqlError, match="see one store"):
            Session(engine, Limits(), attached={"theirs": stores / "theirs"})
        with pytest.raises(NotAStoreError):
            Session(engine, attached={"theirs": stores / "nowhere"})
