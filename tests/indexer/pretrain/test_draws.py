"""Chips drawn ahead: in order, no more than asked, the same from everywhere, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedstore.errors import RasterError
from indexer.pretrain.sources import handover
from indexer.pretrain.sources.draws import Piece, ahead
from tests.indexer.pretrain.tiny import Speckle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.pretrain.sources.batch import Batch

PARENT = """
import sys
from pathlib import Path
from indexer.pretrain.sources import handover
from indexer.pretrain.sources.draws import Piece, ahead
from tests.indexer.pretrain.tiny import Speckle

if __name__ == "__main__":
    handover.MEMORY = Path(sys.argv[1])
    pieces = (Piece(4, 8, 1, 0, step, 0) for step in range(10_000))
    with ahead(Speckle(), pieces, 1) as draws:
        next(draws)
        print("drawing", flush=True)
        sys.stdin.read()
"""


def pieces(count: int, seed: int = 0) -> Iterator[Piece]:
    return (Piece(4, 8, 2, seed, step, number) for step in range(count) for number in range(2))


def pixels(batches: tuple[Batch, ...]) -> np.ndarray[Any, Any]:
    return np.stack([b.pixels["optical"] for b in batches])


class Failing(Speckle):
    def draw(self, *_: Any) -> Any:
        raise RasterError("a scene is damaged")


@pytest.mark.parametrize("workers", [0, 2])
def test_pieces_come_in_order_and_are_those_of_their_numbers(workers: int) -> None:
    with ahead(Speckle(), pieces(4), workers) as draws:
        drawn = [pixels(batches) for batches in draws]
    expected = [pixels(piece.draw(Speckle())) for piece in pieces(4)]
    assert len(drawn) == 8
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(drawn, expected, strict=True))
    assert len({a.tobytes() for a in drawn}) == 8


def test_seed_step_and_number_all_matter() -> None:
    chances = {Piece(1, 1, 1, *numbers).chance for numbers in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1))}
    assert len(chances) == 5


def test_no_more_is_drawn_than_is_wanted_soon() -> None:
    begun = []

    def watched() -> Iterator[Piece]:
        for piece in pieces(50):
            begun.append(piece)
            yield piece

    with ahead(Speckle(), watched(), 0) as draws:
        next(draws)
        time.sleep(0.05)
        assert len(begun) == 2
        next(draws)
        assert len(begun) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_come_through(workers: int) -> None:
    with ahead(Failing(), pieces(2), workers) as draws, pytest.raises(RasterError, match="a scene is damaged"):
        next(draws)


def test_values_are_handed_over_whole_and_may_be_written_to() -> None:
    value = {"a": np.arange(1000.0).reshape(10, 100), "b": (np.zeros(0), np.ones((3, 3), np.int8)), "c": "text"}
    with handover.folder() as folder:
        path = handover.put(value, folder)
        found = handover.take(path)
        assert not list(folder.iterdir())
    assert not folder.exists()
    assert np.array_equal(found["a"], value["a"])
    assert found["b"][0].shape == (0,)
    assert (found["b"][1] == 1).all()
    assert found["c"] == "text"
    found["a"][:] = 0


def test_workers_of_a_killed_process_end_and_leave_nothing(tmp_path: Path) -> None:
    from os import environ

    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = str(Path(__file__).parents[3])
    settings = {**environ, "TMPDIR": str(tmp_path), "PYTHONPATH": root}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=settings,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "drawing\n"
        (folder,) = tmp_path.glob("embedstore-*")
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 20
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not folder.exists()
