"""How work is sent elsewhere and comes back, without Ray: the other side is a copy made by pickle."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedstore.errors import EncoderError, InputError, RasterError
from embedstore.store import Store
from indexer import encode as encoding
from indexer import engines
from indexer.engines import scatter
from indexer.engines.local import Local
from tests.indexer import scenes
from tests.indexer.engines.tables import rows_of, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from indexer.pipeline import Tally
    from indexer.units import Scene

BANDS = ["B02", "B03", "B04", "B08"]


def travelled(thing: Any) -> Any:
    """Return what comes out at the other end."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - pickled in the same line


class Elsewhere(Local):
    """Sends everything through pickle, the last first; may lose some of it, or do it twice."""

    slots = 2

    def __init__(self, lose: Sequence[int] = (), *, twice: bool = False) -> None:
        self.lose, self.twice = lose, twice

    def map(
        self,
        make: Callable[[], Callable[[Any], Any]],
        items: Iterable[Any],
        *,
        cuda: bool = False,
        ordered: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        assert not cuda
        work = travelled(make)()
        sent = list(enumerate(items))
        for position, item in sent if ordered else reversed(sent):
            if position not in self.lose:
                for _ in range(1 + self.twice):
                    yield position, travelled(work(travelled(item)))

    def encode(
        self, scenes: Sequence[Scene], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Tally:
        assert device == "auto"
        make = scatter.worker(store, "cpu", 1)
        return scatter.encode(self, scenes, store, make, progress or (lambda _: None), cuda=False)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two scenes of 20 x 24 chips of 8 pixels, in blocks of 16 x 16 chips."""
    monkeypatch.setattr("indexer.chips.BLOCK", 16)
    return [scenes.write(tmp_path / f"scene{i}.tif", scenes.noise(seed=i)) for i in range(2)]


run = partial(encoding.encode, chip_size=8, bands=BANDS)


def test_the_same_table_as_here(paths: list[Path], tmp_path: Path) -> None:
    here, there = run(paths, tmp_path / "here"), run(paths, tmp_path / "there", engine=Elsewhere())
    assert (there.chips, there.skipped_empty, there.already_there) == (here.chips, 0, 0) == (960, 0, 0)
    same(rows_of(tmp_path / "here"), rows_of(tmp_path / "there"))


def test_files_are_named_so_that_another_folder_finds_them(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run([paths[0].name], tmp_path / "store", engine=Elsewhere())
    assert rows_of(tmp_path / "store")["inputs"][0][0]["href"].as_py() == str(paths[0])


def test_what_is_lost_is_told_and_done_by_the_next_run(paths: list[Path], tmp_path: Path) -> None:
    report = run(paths, tmp_path / "store", engine=Elsewhere(lose=[0, 3]))
    assert [p for p, _ in report.scenes_failed] == [str(paths[0])]
    assert "every worker that tried was lost" in report.scenes_failed[0][1]
    assert report.chips < 960
    seen: list[tuple[int, int]] = []
    again = run(paths, tmp_path / "store", engine=Elsewhere(), progress=lambda *at: seen.append(at))
    assert again.chips + report.chips == 960
    assert again.already_there == report.chips
    assert seen[-1] == (960, 960)
    run(paths, tmp_path / "here")
    same(rows_of(tmp_path / "here"), rows_of(tmp_path / "store"))


def test_work_that_is_done_twice_is_kept_once(paths: list[Path], tmp_path: Path) -> None:
    run(paths, tmp_path / "store", engine=Elsewhere(twice=True))
    assert len(set(rows_of(tmp_path / "store")["id"].to_pylist())) == Store.open(tmp_path / "store").rows == 960


def test_everything_lost_is_an_error(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="tries again what is missing"):
        run(paths, tmp_path / "store", engine=Elsewhere(lose=range(99)))


def test_a_scene_that_cannot_be_read_fails_alone(paths: list[Path], tmp_path: Path) -> None:
    run(paths[:1], tmp_path / "store")
    scenes.damage(paths[1])
    report = run(paths, tmp_path / "store", engine=Elsewhere())
    assert [p for p, _ in report.scenes_failed] == [str(paths[1])]
    assert report.chips < 480 == report.already_there


def test_a_scene_without_data_says_so(tmp_path: Path) -> None:
    pixels = np.zeros((4, 64, 64), np.uint16)
    empty = scenes.write(tmp_path / "empty.tif", pixels, nodata=0)
    full = scenes.write(tmp_path / "full.tif", scenes.noise(height=64, width=64), nodata=0)
    report = run([full, empty], tmp_path / "store", engine=Elsewhere())
    assert (report.chips, report.skipped_empty) == (64, 64)
    assert "holds a pixel of data" in report.scenes_failed[0][1]


def test_chips_with_data_that_are_there_already_count(tmp_path: Path) -> None:
    pixels = scenes.noise(height=64, width=64)
    pixels[:, :32] = 0
    path = scenes.write(tmp_path / "half.tif", pixels, nodata=0)
    run([path], tmp_path / "store", engine=Elsewhere())
    held = set(rows_of(tmp_path / "store")["id"].to_pylist())
    other = scenes.write(tmp_path / "other.tif", scenes.noise(height=64, width=64, seed=3), nodata=0)
    run([other], tmp_path / "store", engine=Elsewhere())
    store = Store.open(tmp_path / "store")
    store.delete(ids=[i for i in rows_of(tmp_path / "store")["id"].to_pylist() if i not in held][:1])
    report = run([path], tmp_path / "store", engine=Elsewhere())
    assert (report.scenes_failed, report.already_there, report.skipped_empty) == ((), 32, 32)


def test_chips_that_are_there_are_not_done_again(paths: list[Path], tmp_path: Path) -> None:
    sent: list[int] = []

    class Counting(Elsewhere):
        def map(self, make: Any, items: Iterable[Any], **how: Any) -> Iterator[tuple[int, Any]]:
            kept = list(items)
            sent.extend(len(part.row) for part in kept)
            return super().map(make, kept, **how)

    run(paths[:1], tmp_path / "store")
    Store.open(tmp_path / "store").delete(ids=rows_of(tmp_path / "store")["id"].to_pylist()[:3])
    run(paths[:1], tmp_path / "store", engine=Counting())
    assert sum(sent) == 3
    assert Store.open(tmp_path / "store").rows == 480


def test_engines_by_name() -> None:
    assert isinstance(engines.choose(), Local)
    with pytest.raises(InputError, match="choose one of local, ray"):
        engines.choose("spark")
    with pytest.raises(InputError, match="has no address"):
        engines.choose("local", "auto")
    with pytest.raises(EncoderError, match="0 GPUs"):
        engines.choose("ray", gpus=0)
