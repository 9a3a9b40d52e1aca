"""`embedstore models list · show · convert · export`: the pretrained encoders that there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from embedstore.errors import EncoderError, storage_errors
from query.cli.screen import emit, size
from query.cli.values import AsJson

Name = Annotated[str, typer.Argument(help="A model that ships, like clip:small, or a model file.", metavar="NAME|FILE")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    models = typer.Typer(no_args_is_help=True)
    models.command("list", epilog="Example: embedstore models list")(list_)
    models.command(epilog="Example: embedstore models show clip:small")(show)
    models.command(epilog="Example: embedstore models convert checkpoint-199.pth -o mmearth.safetensors")(convert)
    models.command(epilog="Example: embedstore models export clip:small -o models")(export)
    app.add_typer(
        models,
        name="models",
        help="Pretrained encoders: list them, read their cards, convert published ones, export.",
        epilog="Example: embedstore models list",
    )


def list_(as_json: AsJson = False) -> None:
    """List the models that ship with the package."""
    from indexer.encoders import model_file
    from indexer.encoders.pretrained import SHIPPED

    files = sorted(SHIPPED.glob("*.safetensors"))
    models = [_about(path.stem.replace("-", ":", 1), path, model_file.describe(path)) for path in files]
    lines = [
        f"{m['name']:16}  {m['dimension']:5} dimensions  {m['chip_size']:4} px of {m['gsd']:g} m  "
        f"{size(m['bytes']):>8}  " + "; ".join(f"{n}: {' '.join(b)}" for n, b in m["modalities"].items())
        for m in models
    ]
    emit({"models": models}, lines or ["no models ship with this release"], as_json)


def show(name: Name, as_json: AsJson = False) -> None:
    """Print the card of a model: what it learned from, its bands, licence, cost and limits."""
    from indexer.encoders import card, model_file

    path = _path(name)
    said = model_file.describe(path)
    emit({**_about(name, path, said), **said}, card.markdown(said, path).splitlines(), as_json)


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of MMEarth.", metavar="F.pth", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The model file.", metavar="F.safetensors")],
    padding: Annotated[
        int, typer.Option(help="Of the first convolution: 0 as published, 1 as in pre-training.", min=0, max=1)
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Turn a published checkpoint of MMEarth into a model file. Nothing of it is run or trusted but its tensors."""
    from indexer.encoders import mmearth, model_file

    model = mmearth.convert(checkpoint, padding)
    with storage_errors("write the model", out):
        model_file.write(out, model, half=False)
    about = _about(str(out), out, model.describe())
    line = f"wrote {out}: use it with --encoder {model.architecture}@{out}"
    emit(about, [line], as_json)


def export(
    name: Name,
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder; made if it is not there.", metavar="FOLDER")],
    as_json: AsJson = False,
) -> None:
    """Write a model's safetensors file and its card as Markdown into a folder."""
    from embedstore.sealed import write_bytes
    from indexer.encoders import card, model_file

    path = _path(name)
    said = model_file.describe(path)
    weights, about = out / path.name, out / f"{path.stem}.md"
    with storage_errors("export the model", out):
        out.mkdir(parents=True, exist_ok=True)
        if not weights.exists() or not weights.samefile(path):
            write_bytes(weights, path.read_bytes())
        write_bytes(about, card.markdown(said, weights).encode())
    emit({"weights": str(weights), "card": str(about)}, [f"wrote {weights} and {about}"], as_json)


def _path(name: str) -> Path:
    """Return the file of a model that is named, or is a file."""
    from indexer.encoders.pretrained import locate

    if Path(name).is_file():
        return Path(name)
    if ":" not in name and "@" not in name:
        raise EncoderError(f"there is no model file {name}; see `embedstore models list` for those that ship.")
    return locate(name)


def _about(name: str, path: Path, said: dict[str, Any]) -> dict[str, Any]:
    from embedstore.sealed import sha256

    return {
        "name": name,
        "architecture": said["architecture"],
        "dimension": said["dimension"],
        "bands": list(said["modalities"][0]["bands"]),
        "modalities": {m["name"]: list(m["bands"]) for m in said["modalities"]},
        "chip_size": said["chip_size"],
        "gsd": said["gsd"],
        "normalisation": said["normalisation"],
        "licence": said["card"]["licence"],
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "path": str(path),
    }
