"""The benchmarks of encoders from end to end at a toy size, and the page that is made of them."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import (
    curve,
    encoders_page,
    encoders_simulated,
    encoders_verdict,
    labels,
    learners,
    linear_probe,
    measures,
    missing,
    retrieval,
    segmentation,
    vectors_of,
)
from benchmarks.band_statistics import NAME, statistics
from benchmarks.tasks import simulated
from benchmarks.tasks.task import Chips
from embedstore.errors import EncoderError
from indexer.pretrain.modalities import LAND_COVER
from tests.benchmarks import published

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

BOTH = ("--encoder", f"{NAME},rcf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("evaluation")
    for write in (published.aid, published.fires, published.floods, published.world, published.dubai):
        write(made / "data")
    published.carolina(made / "data")
    return made


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "TREES", 5)
    monkeypatch.setattr(measures, "RESAMPLES", 50)
    monkeypatch.setattr(retrieval, "NEIGHBOURS", 3)
    monkeypatch.setattr(curve, "COUNTS", (5, 10))
    monkeypatch.setattr(curve, "A_CLASS", (2, 5))


def run(
    module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str, cached: bool = True
) -> dict[str, Any]:
    """Run a benchmark's main as its command would, and return what it wrote."""
    name = module.__name__.rpartition(".")[2]
    out = folder / f"{name}.json"
    cache = ["--cache", str(folder / "cache")] if cached else []
    command = [f"benchmarks.{name}", "--data", str(folder / "data"), "--json", str(out), *cache, *more]
    monkeypatch.setattr(sys, "argv", command)
    module.main()
    made: dict[str, Any] = json.loads(out.read_text())
    made["command"] = f"python -m benchmarks.{name} --data FOLDER"
    out.write_text(json.dumps(made))
    return made


def test_labels(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(
        labels, folder, monkeypatch, *BOTH, "--tasks", "aid,fires,harvey", "--draws", "2", "--learners", "knn,linear"
    )
    assert "left out: harvey" in capsys.readouterr().out
    assert len(made["rows"]) == 2 * 2 * (1 + 2)
    for row in made["rows"]:
        assert [p["labels"] for p in row["points"]][:2] == ([6, 15] if row["task"] == "aid" else [5, 10])
        assert row["n50"] <= row["n90"] <= row["n95"]
    assert made["figures"][f"fires/macro F1/{NAME}/knn/all"] > 0.9
    assert made["figures"]["fires/R2/rcf/linear/all"] > 0.8
    assert made["figures"]["aid/accuracy/rcf/linear/all"] > 0.8


def test_linear_probe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    seeds = ["--against", f"ours={NAME},rcf", f"theirs=rcf,{NAME}"]
    made = run(linear_probe, folder, monkeypatch, *BOTH, "--tasks", "fires,carolina-32", *seeds)
    figures = made["figures"]
    assert figures["fires/macro F1/rcf/linear"] > 0.9
    assert figures["carolina-32/accuracy/rcf/knn"] > 0.9
    assert figures["fires/macro F1, points/ours - theirs/linear"] == pytest.approx(0, abs=1e-9)


def test_the_difference_of_seeds_is_students() -> None:
    def row(encoder: str, value: float) -> dict[str, Any]:
        return {"task": "t", "measure": "m", "encoder": encoder, "learner": "linear", "numbers": {"value": value}}

    rows = [row(e, v) for e, v in zip("abcxyz", (0.50, 0.52, 0.54, 0.40, 0.42, 0.44), strict=True)]
    (found,) = linear_probe.against(rows, {"one": "abc", "two": "xyz"})
    # standard error sqrt(4 / 3 + 4 / 3) points, t of 4 degrees of freedom 2.776
    assert found["numbers"]["value"] == pytest.approx(10)
    assert found["numbers"]["high"] == pytest.approx(10 + 2.776445 * np.sqrt(8 / 3))


def test_retrieval(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(retrieval, folder, monkeypatch, *BOTH)
    assert f"left out: {NAME} on pairs" in capsys.readouterr().out
    figures = made["figures"]
    assert figures["halves/mean rank/rcf"] == 1
    assert figures[f"crops/P@10/{NAME}"] > 0.9
    assert figures["dates/mean rank/rcf"] < 1.5
    assert figures["aid/P@10/rcf"] > 0.7


def test_segmentation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--counts", "1", "--steps", "2", "--batch", "1")
    made = run(segmentation, folder, monkeypatch, "--sets", "dubai", *few, cached=False)
    figures = made["figures"]
    assert figures["dubai/pixels/all"] > 0.9
    assert figures.keys() == {f"dubai/{e}/{n}" for e in ("pixels", "random") for n in (1, "all")}


def test_the_page(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    if len(list(folder.glob("*.json"))) < 4:
        pytest.skip("the benchmarks above were not run")
    out = tmp_path / "encoders.md"
    monkeypatch.setattr(sys, "argv", ["page", "--results", str(folder), "--out", str(out)])
    encoders_page.main()
    text = out.read_text()
    for line in (
        "The default is `rcf`",
        "## All labels",
        "## Few labels",
        "## Search by example",
        "## A class for every",
    ):
        assert line in text
    assert str(folder) not in text
    for picture in ("labels-aid.png", "labels-fires.png", "segmentation-dubai.png"):
        assert f"(encoders/{picture})" in text
        assert (tmp_path / "encoders" / picture).read_bytes()[:4] == b"\x89PNG"

    some = tmp_path / "some"
    some.mkdir()
    shutil.copy(folder / "segmentation.json", some)
    monkeypatch.setattr(sys, "argv", ["page", "--results", str(some), "--out", str(out)])
    encoders_page.main()
    assert out.read_text() == text  # what was not measured again stays as it was


def test_simulated_regions_say_what_a_few_labels_reach_of_all(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    def row(learner: str, whole: int, few: float) -> dict[str, Any]:
        points = [{"labels": n, "value": v, "low": v, "high": v} for n, v in ((500, few), (whole, 0.8))]
        of = {"task": "alpha/water/sar", "measure": "macro F1", "encoder": "rcf", "learner": learner}
        return {**of, "points": points}

    both = encoders_simulated.sections([row("knn", 20_000, 0.72), row("forest", 5_000, 0.4)], tmp_path)
    plain, forests = both.split(f"## {encoders_simulated.FOREST}")
    assert "with 20,000 labels" in plain
    assert "| water | macro F1 | knn | 90% of 0.80 |" in plain
    assert "with 5,000 labels" in forests
    assert "| water | macro F1 | forest | 50% of 0.80 |" in forests
    assert {f.name for f in tmp_path.iterdir()} == {"few-rcf-alpha.png", "few-rcf-alpha-forest.png"}
    with pytest.raises(SystemExit, match="5000, 20000"):
        encoders_simulated.sections([row("knn", 20_000, 0.72), row("knn", 5_000, 0.7)], tmp_path)
    assert encoders_simulated.FOREST not in encoders_simulated.sections([row("knn", 20_000, 0.72)], tmp_path)


def test_better_is_clear_only_beyond_both_intervals() -> None:
    def row(encoder: str, value: float, measure: str = "macro F1", task: str = "fires") -> dict[str, Any]:
        numbers = {"value": value, "low": value - 0.05, "high": value + 0.05}
        return {"task": task, "measure": measure, "encoder": encoder, "learner": "linear", "numbers": numbers}

    rows = [row("a", 0.8), row("b", 0.7), row("a", 0.5, "R2"), row("b", 0.54, "R2")]
    rows += [row("a", 3, "mean rank"), row("b", 2, "mean rank"), row("a", 0.9, task="aid"), row("b", 0.1, task="aid")]
    assert encoders_verdict.compare(rows, "a", "b") == (["fires macro F1 linear"], ["fires mean rank linear"])
    paired = [row("a", 0.74), row("b", 0.70)]
    for r, level in zip(paired, (0.74, 0.70), strict=True):
        r["numbers"]["resamples"] = [level + step / 100 for step in range(-5, 6)]
    assert encoders_verdict.compare(paired, "a", "b") == (["fires macro F1 linear"], [])
    paired[1]["numbers"]["resamples"].reverse()
    assert encoders_verdict.compare(paired, "a", "b") == ([], [])
    assert encoders_verdict.called("clip@/somewhere/clip-small.safetensors") == "clip@clip-small"


def test_vectors_are_kept_and_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    chips = Chips.whole("x", ("B04", "B03"), rng.normal(100, 20, (12, 2, 16, 16)))
    first = vectors_of.vectors_of(NAME, chips, np.arange(12), tmp_path)
    assert np.linalg.norm(first, axis=1) == pytest.approx(1, abs=1e-5)

    def refuse(*_: Any) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(vectors_of.registry, "load", refuse)
    assert (vectors_of.vectors_of(NAME, chips, np.arange(12), tmp_path) == first).all()
    with pytest.raises(AssertionError, match="encoded again"):
        vectors_of.vectors_of(NAME, chips.select(("B04",)), np.arange(12), tmp_path)


def test_statistics_see_valid_pixels_only() -> None:
    z = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    valid = np.ones((1, 4, 4), bool)
    assert statistics(z, valid)[0] == pytest.approx([7.5, np.std(np.arange(16)), 1.5, 7.5, 13.5])
    valid[0, 0] = False
    z[0, 0, 0] = 1e6
    assert statistics(z, valid)[0] == pytest.approx([9.5, np.std(np.arange(4, 16)), 5.1, 9.5, 13.9])


COVERS = [LAND_COVER.index(c) for c in ("trees", "crops", "built", "water")]


class Landscape:
    """A region of squares of a chip's size, whose sensors all see one thing: crops are bright."""

    def __init__(self, region: str) -> None:
        assert region == "alpha"
        self.made = 0

    def corners(self, row: int, col: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        lon, lat = 10 + 0.03 * col, 50 - 0.03 * row
        return np.array([lon, lon + 0.03, lon + 0.03, lon]), np.array([lat, lat, lat - 0.03, lat - 0.03])

    def tile(self, row: int, col: int, months: tuple[int, ...]) -> Any:
        rng = np.random.default_rng((row, col, *months))
        cover = rng.choice(COVERS, (4, 4)).repeat(64, axis=0).repeat(64, axis=1)
        crops = cover == LAND_COVER.index("crops")
        pixels = {s: rng.normal(crops, 0.2, (len(b), 256, 256)).astype(np.float32) for s, b in simulated.BANDS.items()}
        scene = type("Scene", (), {"pixels": pixels})
        return type("Tile", (), {"scenes": (scene,), "classes": {"land_cover": cover}})


def test_simulated_tasks_keep_bands_of_land_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "Landscape", Landscape)
    made = simulated.tasks("alpha", 60, tmp_path)
    assert set(made) == {f"alpha/{t}/{s}" for t in simulated.TASKS for s in (*simulated.BANDS, "every")}
    task = made["alpha/cropland/optical"]
    ((train, test),) = task.splits
    assert (len(train), len(test)) == (60, 30)
    assert task.fractions is not None
    assert set(task.fractions) == {0, 1}
    bright = task.chips.pixels.astype(np.float32).mean(axis=(1, 2, 3)) > 0.5
    assert (bright == task.labels).all()
    assert len(made["alpha/water/every"].beside) == 2
    again = simulated.world("alpha", 60, tmp_path)
    assert (again.tile == task.places).all()
    (_, far) = again.split()
    assert (far == test).all()
    whole, some = again.chips("sar"), again.chips("sar", at=test)
    assert len({whole.digest, some.digest, again.chips("optical").digest}) == 3


def test_what_is_missing_is_half_and_one_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing.half(("a", "b", "c"), 0) in {("a",), ("b",), ("c",)}
    assert len(missing.half(("a", "b", "c", "d"), 1)) == 2
    monkeypatch.setattr(simulated, "Landscape", Landscape)
    world = simulated.world("alpha", 40, tmp_path)
    with pytest.raises(EncoderError, match="one sensor"):
        next(missing.variants(NAME, world, tmp_path))


def test_sensors_are_averaged_if_the_encoder_brings_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.eye(2, dtype=np.float32)[None].repeat(2, axis=0)
    b = b[::-1]
    assert vectors_of.joined(NAME, [a, b]).shape == (2, 4)
    monkeypatch.setattr(vectors_of, "aligned", lambda _: True)
    assert vectors_of.joined("clip@x", [a, b]) == pytest.approx(np.full((2, 2), np.sqrt(0.5)))
    assert (vectors_of.joined("clip@x", [a]) == a).all()


def test_an_encoder_of_several_sensors_is_asked_without_some(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.indexer import clip_model

    name = f"clip@{clip_model.drawn(tmp_path / 'tiny.safetensors')}"
    monkeypatch.setattr(simulated, "Landscape", Landscape)
    monkeypatch.setattr(simulated, "FOLDER", tmp_path)
    rows = list(missing.rows_of(name, "alpha", 40, tmp_path / "cache", tmp_path))
    gone = ["nothing", "optical", "sar", "coherence", "half of the channels"]
    assert [r["missing"] for r in rows if (r["cover"], r["measure"]) == ("cropland", "R2")] == gone
    for row in rows:
        assert (row["fall"] == 0) if row["missing"] == "nothing" else np.isfinite(row["score"])
        assert (row["learned alike"] is None) == (row["missing"] in {"nothing", "half of the channels"})
    assert missing.worst(rows).keys() == {
        f"{name}/{m}/worst_fall_{w}" for m in ("R2", "macro F1") for w in ("sensor", "half")
    }
    across = list(retrieval.across("alpha", name, 40, tmp_path / "cache", tmp_path))
    assert len(across) == 6
    assert all(r["chance"] == 3 / 20 for r in across)
    assert len(retrieval.rows_of("pairs", folder / "data", name, tmp_path / "cache")) == 2
