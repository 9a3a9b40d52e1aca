"""`embedstore pretrain`: a model from a folder of scenes, resumed, and what it refuses."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from indexer.encoders import model_file
from query.cli import progress
from tests.indexer.pretrain import tiny
from tests.indexer.scenes import write
from tests.query.cli.test_progress import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.query.cli.conftest import Ran

assert tiny  # its recipe is registered


@pytest.fixture(autouse=True)
def _few_chips_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import indexer.pretrain.sources.statistics

    monkeypatch.setattr(indexer.pretrain.sources.statistics.statistics, "__defaults__", (40,))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(500, 4000, (12, 64, 64)).astype(np.uint16)
    write(folder / "x.tif", pixels, names=tiny.OPTICAL)
    (folder / "scenes.json").write_text('{"scale": {"*": 0.0001}}')
    return folder


@pytest.fixture
def pretrain(run: Callable[..., Ran], scenes: Path, tmp_path: Path) -> Callable[..., Ran]:
    return lambda *options: run(
        "pretrain", "tiny", "--data", scenes, "--out", tmp_path / "run", "--device", "cpu", *options
    )


def test_from_scenes_to_a_model_and_again(
    pretrain: Callable[..., Ran], run: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = pretrain("--json", "--option", "width=3")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["steps"], said["chips"]) == (12, 96)
    model = model_file.read(tmp_path / "run" / "model.safetensors")
    assert model.options == {"width": 3}
    assert model.card.config == "small, width=3"
    again = pretrain("--option", "width=3")
    assert again.out.startswith("trained 12 steps")
    assert len(again.out.splitlines()) == 1
    assert again.err == ""
    pretrain("--option", "width=4").refused("another run", "width")
    shown = run("models", "show", tmp_path / "run" / "model.safetensors")
    assert "1 scenes of 1 places (optical)" in shown.out


def test_steps_batch_and_passes(pretrain: Callable[..., Ran], tmp_path: Path) -> None:
    ran = pretrain("--json", "--steps", 3, "--batch", 4, "--micro-batch", 2, "--seed", 7)
    assert json.loads(ran.out)["chips"] == 12
    assert len((tmp_path / "run" / "losses.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--option", "depth=3"], "its options are: width, lr"),
        (["--option", "width=many"], "width must be"),
        (["--option", "width"], "KEY=VALUE"),
        (["--config", "huge"], "huge"),
        (["--steps", "0"], "steps"),
        (["--seed", "-1"], "seed"),
        (["--micro-batch", "3"], "passes of 3"),
        (["--precision", "half"], "half"),
        (["--data", "simulated:nowhere"], "nowhere"),
        (["--data", "simulated:alpha:many"], "number of tiles"),
        (["--data", "simulated:alpha,beta:1"], "a tile of each"),
        (["--data", "absent"], "absent"),
    ],
)
def test_bad_options_are_refused(pretrain: Callable[..., Ran], tmp_path: Path, options: list[str], words: str) -> None:
    pretrain(*options).refused(words)
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_unknown_recipe_and_no_data(run: Callable[..., Ran], scenes: Path, tmp_path: Path) -> None:
    run("pretrain", "jigsaw", "--data", scenes, "--out", tmp_path / "run").refused("jigsaw", "clip, dense, mpmae")
    run("pretrain", "tiny", "--out", tmp_path / "run").refused("--data")
    run("pretrain", "tiny", "--data", scenes).refused("--out")


def test_a_folder_without_scenes(run: Callable[..., Ran], tmp_path: Path) -> None:
    run("pretrain", "tiny", "--data", tmp_path, "--out", tmp_path / "run").refused("holds no scenes")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none(run: Callable[..., Ran], scenes: Path, tmp_path: Path) -> None:
    run("pretrain", "tiny", "--data", scenes, "--out", tmp_path / "run", "--device", "cuda").refused(
        "no CUDA device", code=1
    )


def test_only_one_of_several_processes_speaks(pretrain: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    pretrain("--steps", 2)
    monkeypatch.setenv("RANK", "1")
    ran = pretrain("--steps", 2)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_progress_on_a_terminal_and_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from indexer.pretrain.training import Status

    clock = iter([0.0, 10.0, 40.0, 40.0, 80.0, 80.0])
    with monkeypatch.context() as patch:
        patch.setattr(progress.time, "monotonic", lambda: next(clock))
        with progress.steps() as update:
            update(Status(1, 1000, 2.5, 800.0, 0.25))
            update(Status(4, 1000, 2.34567, 1800.0, 0.031))
            update(Status(5, 1000, float("nan"), 1800.0, 0.031))
    assert capsys.readouterr().err.splitlines() == [
        "step 4 of 1,000, loss 2.346, 1,800 chips/s, 3% waiting for chips",
        "step 5 of 1,000, 1,800 chips/s, 3% waiting for chips",
    ]
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    with progress.steps() as update:
        update(Status(999, 1000, 2.5, 800.0, 0.25))
        update(Status(1000, 1000, 2.25, 800.0, 0.25))
    assert "1000/1000" in screen.getvalue()
    assert "loss 2.25, 800 chips/s, 25% waiting" in screen.getvalue()
