"""The training loop: it learns, goes on bit by bit where it was killed, and refuses what it cannot do."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from embedstore.errors import ConflictError, DamageError, EmbedstoreError, EncoderError, InputError, LimitError
from indexer.encoders import model_file
from indexer.pretrain.distributed import Ranks
from indexer.pretrain.loop import train
from indexer.pretrain.optimiser import adamw
from indexer.pretrain.run import held
from indexer.pretrain.sources.batch import Batch
from tests.indexer.pretrain.tiny import Speckle, Tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexer.pretrain.training import Report, Status


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(out: Path, *, recipe: Any = None, source: Any = None, **settings: Any) -> Report:
    settings = {"config": "small", "device": "cpu", "checkpoint_steps": 5} | settings
    return train(recipe or Tiny("small"), source or Speckle(), out, **settings)


def losses(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]


def tensors(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "checkpoint.pt", weights_only=True)["network"]


def child(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.indexer.pretrain.tiny", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_and_writes_losses_model_and_card(tmp_path: Path) -> None:
    seen: list[Status] = []
    report = run(tmp_path / "out", steps=60, progress=seen.append)
    curve = losses(tmp_path / "out")
    assert [line["step"] for line in curve] == list(range(60))
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert curve[0].keys() == {"step", "rate", "loss", "fill", "size", "gradient"}
    assert [s.step for s in seen] == list(range(1, 61))
    assert report.steps == 60
    assert report.chips == 480
    assert 0 <= report.waiting <= 1
    model = model_file.read(tmp_path / "out" / "model.safetensors")
    assert model.card.recipe == "tiny"
    assert model.card.data == "noise (speckle)"
    assert model.card.limits == ("anything",)
    assert model.card.cost["chips"] == 480
    assert model.card.cost["waiting"] == report.waiting
    assert model.card.metrics["training_loss"] == pytest.approx(curve[-1]["loss"])
    assert "noise (speckle)" in (tmp_path / "out" / "model.md").read_text()


def test_the_rate_rises_and_falls_as_the_schedule_says(tmp_path: Path) -> None:
    run(tmp_path / "out")
    rates = [line["rate"] for line in losses(tmp_path / "out")]
    assert rates[:3] == pytest.approx([0.005, 0.01, 0.01])
    assert all(b < a for a, b in itertools.pairwise(rates[2:]))
    assert rates[-1] == pytest.approx(0.01 * (1 + np.cos(np.pi * 9 / 10)) / 2)


def test_products_in_bfloat16_learn_the_same_within_rounding(tmp_path: Path) -> None:
    for precision in ("auto", "float32", "bfloat16"):
        run(tmp_path / precision, precision=precision)
    auto, whole, halved = ([line["loss"] for line in losses(tmp_path / p)] for p in ("auto", "float32", "bfloat16"))
    assert auto == whole
    assert halved != whole
    assert halved == pytest.approx(whole, rel=0.05)
    assert {t.dtype for t in tensors(tmp_path / "bfloat16").values()} == {torch.float32}


def test_another_batch_and_other_steps_scale_rate_and_warm_up() -> None:
    schedule = Tiny("small").schedule.scaled(120, 16)
    assert (schedule.steps, schedule.batch, schedule.warmup, schedule.lr) == (120, 16, 20, 0.02)


def test_a_killed_run_goes_on_with_the_same_losses_bit_by_bit(tmp_path: Path) -> None:
    run(tmp_path / "whole", steps=20)
    killed = tmp_path / "killed"
    with child(killed, 20, 0.05) as process:
        while not (killed / "checkpoint.pt").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.005)
        time.sleep(0.12)
        process.kill()
    assert torch.load(killed / "checkpoint.pt", weights_only=True)["step"] < 20, "it was done before it was killed"
    run(killed, steps=20)
    assert (killed / "losses.jsonl").read_bytes() == (tmp_path / "whole" / "losses.jsonl").read_bytes()
    assert same(tensors(killed), tensors(tmp_path / "whole"))


def test_a_run_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert run(tmp_path) == first
    assert len(losses(tmp_path)) == 12


def test_gradients_of_several_passes_are_those_of_the_batch(tmp_path: Path) -> None:
    class Alike(Speckle):
        def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:  # noqa: ARG002
            (one,) = super().draw(1, size, dates, np.random.default_rng(0))
            pixels = {"optical": np.repeat(one.pixels["optical"], count, axis=0)}
            return (Batch(pixels, {}, {}, {}, one.lon.repeat(count), one.lat.repeat(count), 10.0),)

    class Plain(Tiny):
        def loss(self, network: Any, batches: Any, generator: Any) -> dict[str, torch.Tensor]:  # noqa: ARG002
            x = torch.from_numpy(batches[0].pixels["optical"]).nan_to_num(0)
            return {"loss": (network["decoder"](network["encoder"](x)) - x).square().mean()}

    for passes in (1, 4):
        run(tmp_path / f"{passes}", recipe=Plain("small"), source=Alike(), micro_batch=8 // passes, steps=4)
    one, four = tensors(tmp_path / "1"), tensors(tmp_path / "4")
    assert all(torch.allclose(one[k], four[k], atol=1e-5) for k in one)
    assert losses(tmp_path / "1")[0]["gradient"] == pytest.approx(losses(tmp_path / "4")[0]["gradient"], rel=1e-5)


def test_drawing_in_processes_gives_the_same_losses(tmp_path: Path) -> None:
    run(tmp_path / "thread", steps=4)
    run(tmp_path / "processes", steps=4, workers=2)
    assert (tmp_path / "thread" / "losses.jsonl").read_bytes() == (tmp_path / "processes" / "losses.jsonl").read_bytes()


def test_two_processes_learn_what_one_learns_in_two_passes(tmp_path: Path) -> None:
    run(tmp_path / "one", steps=6, micro_batch=4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    both = [child(tmp_path / "two", 6, 0, RANK=str(r), LOCAL_RANK=str(r), **where) for r in range(2)]
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert all(torch.allclose(one[k], two[k], atol=1e-5) for k in one)
    assert [a["loss"] for a in losses(tmp_path / "one")] == pytest.approx(
        [b["loss"] for b in losses(tmp_path / "two")], rel=1e-5
    )


def test_a_slow_source_shows_as_waiting(tmp_path: Path) -> None:
    assert run(tmp_path, steps=3, source=Speckle(slow=0.2)).waiting > 0.5


def test_vectors_and_scalars_are_not_decayed() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.LayerNorm(4))
    network.token = torch.nn.Parameter(torch.zeros(1, 4, 1, 1))  # type: ignore[assignment]
    decayed = [
        (sum(p.numel() for p in g["params"]), g["weight_decay"])
        for g in adamw(network, Tiny("small").schedule).param_groups
    ]
    assert decayed == [(12, 0.05), (4 + 4 + 4 + 4, 0.0)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 1}, "seed"),
        ({"steps": 13}, "steps"),
        ({"batch": 16}, "batch"),
        ({"micro_batch": 4}, "piece"),
        ({"source": Speckle("another")}, "noise (another)"),
        ({"config": "paper"}, "config"),
        ({"options": {"width": 4}}, "options"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    run(tmp_path, steps=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match="another run") as refused:
        run(tmp_path, **{"steps": 2, **change})
    assert word in str(refused.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "a", steps=2)
    run(tmp_path / "b", steps=2, seed=1)
    (tmp_path / "a" / "checkpoint.pt").write_bytes((tmp_path / "b" / "checkpoint.pt").read_bytes())
    with pytest.raises(InputError, match="another run"):
        run(tmp_path / "a", steps=2)


@pytest.mark.parametrize("fault", ["truncated", "text", "pickle", "run.json", "losses"])
def test_damaged_files_are_refused(tmp_path: Path, fault: str) -> None:
    run(tmp_path, steps=2)
    file = tmp_path / {"run.json": "run.json", "losses": "losses.jsonl"}.get(fault, "checkpoint.pt")
    if fault == "text":
        file.write_text("text")
    elif fault == "pickle":
        torch.save({"step": print}, file)
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DamageError, match=file.name):
        run(tmp_path, steps=2)


def test_losses_after_the_checkpoint_are_cut_off(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    whole = (tmp_path / "losses.jsonl").read_bytes()
    (tmp_path / "losses.jsonl").write_bytes(whole + b'{"step": 2, "lo')
    run(tmp_path, steps=2)
    assert (tmp_path / "losses.jsonl").read_bytes() == whole


def astray(part: str, step: int) -> Tiny:
    class Astray(Tiny):
        def loss(self, network: Any, batches: Any, generator: Any) -> dict[str, torch.Tensor]:
            parts = super().loss(network, batches, generator)
            self.seen = getattr(self, "seen", -1) + 1
            if self.seen == step:
                parts[part] = parts[part] * float("nan")
                parts["loss"] = parts["loss"] + parts[part]
            return parts

    return Astray("small")


@pytest.mark.parametrize(("part", "step"), [("size", 3), ("fill", 11), ("size", 7)])
def test_a_loss_that_is_not_a_number_stops_the_run_and_is_not_kept(tmp_path: Path, part: str, step: int) -> None:
    with pytest.raises(EncoderError, match=rf"step {step} .*'{part}'"):
        run(tmp_path, recipe=astray(part, step))
    kept = tmp_path / "checkpoint.pt"
    assert not kept.exists() or all(t.isfinite().all() for t in tensors(tmp_path).values())
    assert not (tmp_path / "model.safetensors").exists()


def test_a_parameter_that_is_not_a_number_is_not_kept(tmp_path: Path) -> None:
    class Broken(Tiny):
        def loss(self, network: Any, batches: Any, generator: Any) -> dict[str, torch.Tensor]:
            parts = super().loss(network, batches, generator)
            network["encoder"].bias.register_hook(lambda grad: grad * float("nan"))
            return parts

    broken = Broken("small")
    broken.schedule = dataclasses.replace(broken.schedule, clip=0.0)
    with pytest.raises(EncoderError, match="not finite"):
        run(tmp_path, recipe=broken, steps=1)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no CUDA device"):
        run(tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"device": "tpu"},
        {"precision": "float8"},
        {"steps": 0},
        {"batch": 0},
        {"micro_batch": 3},
        {"micro_batch": 0},
        {"seed": -1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(EmbedstoreError):
        run(tmp_path, **bad)


def test_more_than_the_memory_holds(tmp_path: Path) -> None:
    class Big(Tiny):
        def loss(self, *_: Any) -> dict[str, torch.Tensor]:
            raise torch.OutOfMemoryError

    with pytest.raises(LimitError, match="--micro-batch"):
        run(tmp_path, recipe=Big("small"))


def test_two_runs_in_one_folder_at_once(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(ConflictError, match="another process"):
        run(tmp_path)


def test_an_error_of_the_source_comes_through(tmp_path: Path) -> None:
    class Failing(Speckle):
        def draw(self, *arguments: Any) -> Any:
            if arguments[0] == 8:
                raise InputError("no more chips")
            return super().draw(*arguments)

    with pytest.raises(InputError, match="no more chips"):
        run(tmp_path, source=Failing())


def test_one_process_has_nobody_to_average_with() -> None:
    network = torch.nn.Linear(2, 2)
    Ranks(0, 1, torch.device("cpu")).average(network)
    assert network.weight.grad is None


@pytest.mark.gpu
def test_training_on_a_gpu_in_bfloat16(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")

    class OnGpu(Tiny):
        def loss(self, network: Any, batches: Any, _: Any) -> dict[str, torch.Tensor]:
            x = torch.from_numpy(batches[0].pixels["optical"]).nan_to_num(0).cuda()
            out = network["decoder"](network["norm"](network["drop"](network["encoder"](x))))
            assert network["encoder"](x).dtype == torch.bfloat16
            return {"loss": (out.float() - x).square().mean()}

    report = run(tmp_path, recipe=OnGpu("small"), device="cuda", steps=6)
    assert "cpu" not in report.device
    assert losses(tmp_path)[-1]["loss"] < losses(tmp_path)[0]["loss"]
