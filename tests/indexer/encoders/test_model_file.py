"""Model files: written whole, read as they were, in half precision or not, and refused where they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from embedstore.errors import EncoderError, SpecError
from embedstore.spec import Modality
from indexer.encoders import model_file
from indexer.encoders.model_file import FIXED, KEY, Card, Model

if TYPE_CHECKING:
    from pathlib import Path

CARD = Card("mpmae", "small", "what", "data", "licence", {"steps": 3}, {"accuracy": 0.5}, ("one", "two"))


def model(**changes: Any) -> Model:
    optical = Modality("optical", ("B02", "B03"), (0.1, 0.2), (0.05, 0.06))
    tensors = {"a.weight": torch.linspace(-1, 1, 101).reshape(1, 101), "count": torch.arange(5)}
    whole = Model("mpmae", {"size": "atto", "depths": [2, 2]}, (optical,), 56, 10.0, 320, "avg", tensors, FIXED, CARD)
    return replace(whole, **changes)


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model_file.write(tmp_path / "m.safetensors", model(), half=False)
    found = model_file.read(tmp_path / "m.safetensors")
    assert all(torch.equal(found.tensors[k], t) for k, t in model().tensors.items())
    assert found.tensors["count"].dtype == torch.int64
    assert replace(found, tensors={}) == replace(model(), tensors={})
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"], "no draft is left"


def test_half_precision_rounds_floating_point_tensors_and_no_others(tmp_path: Path) -> None:
    model_file.write(tmp_path / "half", model())
    model_file.write(tmp_path / "whole", model(), half=False)
    assert (tmp_path / "half").stat().st_size + 202 == (tmp_path / "whole").stat().st_size
    found = model_file.read(tmp_path / "half").tensors
    assert found["a.weight"].dtype == torch.float32
    assert torch.equal(found["a.weight"], model().tensors["a.weight"].half().float())
    assert torch.equal(found["count"], torch.arange(5))


@pytest.mark.parametrize(("value", "half"), [(70_000.0, True), (float("nan"), True), (float("inf"), False)])
def test_numbers_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path, value: float, half: bool) -> None:
    bad = model(tensors={"fine": torch.zeros(3), "bad.weight": torch.tensor([1.0, value])})
    with pytest.raises(EncoderError, match=r"bad.weight"):
        model_file.write(tmp_path / "m", bad, half=half)
    assert not list(tmp_path.iterdir())


def test_large_numbers_fit_where_they_are_not_halved(tmp_path: Path) -> None:
    model_file.write(tmp_path / "m", model(tensors={"w": torch.tensor([70_000.0])}), half=False)
    assert model_file.read(tmp_path / "m").tensors["w"].item() == 70_000


def test_a_view_of_a_larger_tensor_is_written_alone(tmp_path: Path) -> None:
    large = torch.arange(12.0).reshape(3, 4)
    model_file.write(tmp_path / "m", model(tensors={"w": large[:, 1:3].T}), half=False)
    assert torch.equal(model_file.read(tmp_path / "m").tensors["w"], large[:, 1:3].T)


def test_what_it_says_is_read_without_its_tensors(tmp_path: Path) -> None:
    model_file.write(tmp_path / "m", model())
    said = model_file.describe(tmp_path / "m")
    assert json.loads(json.dumps(said)) == said
    assert said["modalities"][0]["bands"] == ["B02", "B03"]
    assert said["card"]["limits"] == ["one", "two"]
    assert "tensors" not in said


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        model_file.write(tmp_path / name, model())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    model_file.write(tmp_path / "m", model())
    whole = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(EncoderError, match=f"{tmp_path / 'm'}"):
        model_file.read(tmp_path / "m")


@pytest.mark.parametrize("what", ["absent", "folder", "text", "plain safetensors"])
def test_other_files_are_refused(tmp_path: Path, what: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "m"
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("text")
    elif what == "plain safetensors":
        save_file({"w": torch.zeros(2)}, path, {"format": "pt"})
    for read in (model_file.describe, model_file.read):
        with pytest.raises(EncoderError, match="is no model file"):
            read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2; this release reads 1"),
        ({"modalities": []}, "not whole"),
        ({"modalities": [{"name": "optical"}]}, "not whole"),
        ({"dimension": 0}, "not whole"),
        ({"normalisation": "none"}, "not whole"),
        ({"mood": "good"}, "not whole"),
        ({"card": {"mood": "good"}}, "not whole"),
    ],
    ids=str,
)
def test_a_header_that_makes_no_sense(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    from safetensors.torch import save_file

    save_file(model().tensors, tmp_path / "m", {KEY: json.dumps({**model().describe(), **change})})
    with pytest.raises(EncoderError, match=words):
        model_file.read(tmp_path / "m")


@pytest.mark.parametrize(
    "change", [{"modalities": ()}, {"chip_size": 0}, {"gsd": 0.0}, {"dimension": 0}, {"normalisation": "none"}], ids=str
)
def test_models_that_make_no_sense(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        model(**change)
