"""What was measured of the models that ship, written into their files, where ``embedstore models show`` finds it.

``python -m benchmarks.cards`` reads ``benchmarks/results/*.json`` as :mod:`benchmarks.encoders_page` does. Figures
whose results are not there stay, as do the tensors; where a card changes, the file changes, and so its digest.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.encoders_page import read
from embedstore.errors import EncoderError
from indexer.encoders import model_file
from indexer.encoders.pretrained import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.encoders_page import Rows

HALF = "half of the channels"
WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "clip:small": (
        (
            "One vector for colour, radar and coherence of a place, so that one finds the other: arXiv 2310.00119 "
            "with three small ViTs, trained on simulated land alone for half an hour of one CPU core."
        ),
        (
            "Likeness of colour pictures: `rcf` finds more of the same class and of the same place.",
            "Pixels of other than about 10 m, sensors other than Sentinel-1 and Sentinel-2.",
            (
                "Chips that lack a sensor, for a classifier that learned from chips that had all: shares of a cover "
                "(R2) may be lost altogether. Let it learn from chips that lack the same sensor."
            ),
            (
                "The architecture was chosen among eight by 2,000 chips of the tested land of region alpha, whose "
                "figures flatter by that; those of beta do not. Of alpha, beta and gamma only the land not tested on "
                "was trained on."
            ),
        ),
    ),
    "mpmae:small": (
        (
            "Vectors of all twelve bands of Sentinel-2: arXiv 2405.02771 with ConvNeXt V2 atto and every pretext task, "
            "trained on simulated land alone for 73 minutes of one CPU core."
        ),
        (
            (
                "The best vectors that there are: `rcf` is better on most of what was measured. "
                "This is the recipe at its smallest, at a third of its own schedule."
            ),
            "Scenes that lack one of the twelve bands, pixels of other than about 10 m.",
            (
                "Vectors are means of what the last layer gives: bring each number to mean 0 and spread 1 before a "
                "linear layer learns from them."
            ),
        ),
    ),
    "dense:small": (
        (
            "A unit vector for every pixel of Sentinel-2, and their mean for a chip: after the idea of arXiv "
            "2203.06041, a small U-Net, trained on simulated land alone for 66 minutes of one CPU core."
        ),
        (
            "The best vectors of chips: it is made for pixels, `rcf` is better on most of what was measured of chips.",
            "Segmentation of real images from one mask: nothing was gained over a random start.",
            "Pixels of other than about 10 m.",
        ),
    ),
}
"""Summary and limits of each shipped model, by name."""


def measured(name: str, found: Mapping[str, Rows]) -> dict[str, Any]:
    """Return what results say of an encoder, by the name of the measure."""
    return {key: value for key, value in _measured(name, found) if value is not None}


def _measured(name: str, found: Mapping[str, Rows]) -> Iterator[tuple[str, Any]]:
    own = {what: [row for row in rows if row["encoder"] == name] for what, rows in found.items()}
    for row in own.get("retrieval", ()):
        yield f"{row['set']}, {row['measure']}", f"{row['score']}, chance {row['chance']:.3g}"
    for row in own.get("linear_probe", ()):
        yield f"{row['task']}, {row['measure']}, {row['learner']}", row["score"]
    for row in own.get("segmentation", ()):
        yield f"{row['set']}, mean IoU from {'all' if row['all'] else row['images']} images", row["mIoU"]
    gone = [row for row in own.get("missing", ()) if row["missing"] != "nothing"]
    for measure, half in product(dict.fromkeys(row["measure"] for row in gone), (False, True)):
        falls = [row["fall"] for row in gone if row["measure"] == measure and (row["missing"] == HALF) == half]
        yield f"{measure}, most that it falls without {HALF if half else 'one sensor'}", f"{max(falls):.0%}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write what was measured into the cards of shipped models.")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    found = read(args.results)
    for path in sorted(SHIPPED.glob("*.safetensors")):
        name = path.stem.replace("-", ":", 1)
        if name not in WORDS:
            raise EncoderError(f"{path} ships without words: add its summary and limits to benchmarks/cards.py.")
        summary, limits = WORDS[name]
        model = model_file.read(path)
        metrics = {**model.card.metrics, **measured(name, found)}
        card = replace(model.card, summary=summary, limits=limits, metrics=metrics)
        if card != model.card:
            model_file.write(path, replace(model, card=card))
        print(f"{name}: {len(metrics)} figures")


if __name__ == "__main__":
    main()
