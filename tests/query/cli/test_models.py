"""`embedstore models`: what there is, its cards, published checkpoints, export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from embedstore.errors import EncoderError
from embedstore.spec import Modality
from indexer.encoders import model_file, pretrained
from indexer.encoders.model_file import Card, Model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran

CARD = Card(
    "clip",
    "small",
    summary="A model of a test.",
    data="noise | more noise",
    licence="Apache-2.0",
    cost={"steps": 1000, "seconds": 12.5, "device": "cpu"},
    metrics={"training_loss": 0.25},
    limits=("telling a port from a quarry",),
)


def model(normalisation: str = model_file.SCENES) -> Model:
    optical = Modality("optical", ("B04", "B03", "B02"), (0.1, 0.2, 0.3), (0.05, 0.05, 0.05))
    sar = Modality("sar", ("VV_asc", "VH_asc"), (-10.0, -17.0), (4.0, 5.0))
    tensors = {"w": torch.linspace(0, 1, 6)}
    return Model("clip", {"depth": 2}, (optical, sar), 64, 10.0, 6, "mean", tensors, normalisation, CARD)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "SHIPPED", folder)
    model_file.write(folder / "clip-small.safetensors", model())
    return folder


def test_list(run: Callable[..., Ran], shipped: Path) -> None:
    (found,) = json.loads(run("models", "list", "--json").out)["models"]
    assert found["name"] == "clip:small"
    assert found["architecture"] == "clip"
    assert found["dimension"] == 6
    assert found["bands"] == ["B04", "B03", "B02"]
    assert found["modalities"]["sar"] == ["VV_asc", "VH_asc"]
    assert found["chip_size"] == 64
    assert found["bytes"] == (shipped / "clip-small.safetensors").stat().st_size
    (line,) = run("models", "list").out.splitlines()
    assert line.startswith("clip:small")
    assert "optical: B04 B03 B02; sar: VV_asc VH_asc" in line


def test_list_of_none(run: Callable[..., Ran], shipped: Path) -> None:
    (shipped / "clip-small.safetensors").unlink()
    assert run("models", "list").out == "no models ship with this release\n"
    assert json.loads(run("models", "list", "--json").out) == {"models": []}


def test_show_is_the_card(run: Callable[..., Ran], shipped: Path) -> None:
    text = run("models", "show", "clip:small").out
    assert text == run("models", "show", shipped / "clip-small.safetensors").out
    for words in (
        "A model of a test.",
        "noise | more noise",
        "| optical | B04 | 0.1 | 0.05 |",
        "| sar | VH_asc | -17 | 5 |",
        "of the scenes that a store begins with",
        "| licence | Apache-2.0 |",
        "| training loss | 0.25 |",
        "| steps | 1,000 |",
        "| seconds | 12.5 |",
        "- telling a port from a quarry",
        "depth=2",
        "64 x 64 pixels of 10 m",
    ):
        assert words in text, words
    said = json.loads(run("models", "show", "clip:small", "--json").out)
    assert said["card"]["metrics"] == {"training_loss": 0.25}
    assert said["modalities"][0]["mean"] == [0.1, 0.2, 0.3]


def test_the_card_of_a_model_with_numbers_of_its_own_says_so(run: Callable[..., Ran], tmp_path: Path) -> None:
    model_file.write(tmp_path / "m.safetensors", model(model_file.FIXED))
    assert "must come in the same units" in run("models", "show", tmp_path / "m.safetensors").out


def test_export(run: Callable[..., Ran], shipped: Path, tmp_path: Path) -> None:
    ran = run("models", "export", "clip:small", "-o", tmp_path / "new" / "folder", "--json")
    said = json.loads(ran.out)
    assert (tmp_path / "new" / "folder" / "clip-small.safetensors").read_bytes() == (
        shipped / "clip-small.safetensors"
    ).read_bytes()
    assert said["card"].endswith("clip-small.md")
    assert "Not good for" in (tmp_path / "new" / "folder" / "clip-small.md").read_text()
    assert run("models", "export", shipped / "clip-small.safetensors", "-o", shipped).code == 0, "onto itself"
    model_file.read(shipped / "clip-small.safetensors")


def test_convert_writes_what_the_converter_gives(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from indexer.encoders import mmearth

    asked = []
    monkeypatch.setattr(mmearth, "convert", lambda *arguments: asked.append(arguments) or model())
    ran = run("models", "convert", tmp_path / "f.pth", "-o", tmp_path / "f.safetensors", "--padding", 1)
    assert asked == [(tmp_path / "f.pth", 1)]
    assert f"clip@{tmp_path / 'f.safetensors'}" in ran.out
    assert torch.equal(model_file.read(tmp_path / "f.safetensors").tensors["w"], model().tensors["w"]), "not halved"


def test_what_cannot_be_converted(run: Callable[..., Ran], tmp_path: Path) -> None:
    out = tmp_path / "f.safetensors"
    run("models", "convert", tmp_path / "absent.pth", "-o", out).refused("absent.pth", code=1)
    (tmp_path / "text.pth").write_text("text")
    run("models", "convert", tmp_path / "text.pth", "-o", out).refused("text.pth", code=1)
    assert not out.exists()


def test_models_that_are_not_there(run: Callable[..., Ran], shipped: Path, tmp_path: Path) -> None:
    run("models", "show", "clip:large").refused("clip:large", "clip:small", code=1)
    run("models", "export", tmp_path / "absent", "-o", tmp_path).refused("absent", code=1)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((shipped / "clip-small.safetensors").read_bytes()[:-3])
    run("models", "show", broken).refused("broken.safetensors", code=1)
    with pytest.raises(EncoderError):
        model_file.read(broken)
