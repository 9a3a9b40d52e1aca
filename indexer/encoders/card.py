"""Model cards: what a model file says of its model, as Markdown (Mitchell et al. 2019, "Model cards")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedstore.sealed import sha256
from indexer.encoders.model_file import FIXED, Card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def markdown(described: dict[str, Any], path: Path) -> str:
    """Return the card of a model.

    Parameters
    ----------
    described
        As :func:`indexer.encoders.model_file.describe` gives it.
    path
        Its file.
    """
    return "\n".join(_lines(described, path)) + "\n"


def _lines(said: dict[str, Any], path: Path) -> Iterator[str]:
    card = Card.from_dict(said["card"])
    yield f"# {path.stem}"
    yield ""
    yield card.summary or f"A model of the recipe `{card.recipe or said['architecture']}`."
    yield ""
    yield from _table(
        {
            "architecture": said["architecture"],
            "recipe": " ".join(f"{card.recipe} ({card.config})".replace("()", "").split()),
            "options": ", ".join(f"{k}={v}" for k, v in said["options"].items()),
            "vectors": f"{said['dimension']} dimensions, pooling {said['pooling']}",
            "chips": f"{said['chip_size']} x {said['chip_size']} pixels of {said['gsd']:g} m",
            "file": f"{path.name}, {path.stat().st_size:,} bytes, SHA-256 {sha256(path)}",
            "licence": card.licence,
        }
    )
    yield from ("", "## Data", "", card.data or "Unknown.")
    yield from ("", "## Bands", "")
    if said["normalisation"] == FIXED:
        yield "Bands are brought to z-scores with these numbers, so scenes must come in the same units."
    else:
        yield (
            "Bands are brought to z-scores with the mean and standard deviation of the scenes that a store begins "
            "with; these numbers are those of the training data."
        )
    yield from ("", "| modality | band | mean | standard deviation |", "|---|---|---|---|")
    for modality in said["modalities"]:
        for band, mean, std in zip(modality["bands"], modality["mean"], modality["std"], strict=True):
            yield f"| {modality['name']} | {band} | {mean:g} | {std:g} |"
    for title, numbers in (("Metrics", card.metrics), ("Cost", card.cost)):
        if numbers:
            yield from ("", f"## {title}", "")
            yield from _table(numbers)
    yield from ("", "## Not good for", "")
    yield from (
        f"- {limit}" for limit in card.limits or ("Nothing is known of its limits: measure before you trust it.",)
    )


def _table(rows: dict[str, Any]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for name, value in rows.items():
        if value is not None and value != "":
            shown = f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
            yield f"| {name.replace('_', ' ')} | {str(shown).replace('|', chr(92) + '|')} |"
