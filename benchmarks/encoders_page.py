"""The page of encoders, ``docs/encoders.md`` and its curves, from the JSON that the benchmarks wrote.

``python -m benchmarks.encoders_page`` reads ``benchmarks/results/*.json`` of :mod:`benchmarks.labels`,
:mod:`benchmarks.linear_probe`, :mod:`benchmarks.retrieval`, :mod:`benchmarks.segmentation` and
:mod:`benchmarks.missing`. A benchmark may have been run in parts: where two files hold a figure, the newer one counts.
Sections whose results are not there stay as the page has them: all of it takes many hours to measure.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import encoder_plots, encoders_simulated, encoders_verdict, sections
from benchmarks.encoders_verdict import called, encoders, task_of
from benchmarks.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Rows = list[dict[str, Any]]

KEYS = {
    "labels": ("task", "measure", "encoder", "learner"),
    "linear_probe": ("task", "measure", "encoder", "learner"),
    "retrieval": ("set", "measure", "encoder"),
    "segmentation": ("set", "encoder", "images"),
    "missing": ("region", "cover", "encoder", "measure", "missing"),
}
"""What makes a row of each benchmark itself."""
POINTS = "points"
"""Stands in the measure of differences between trainings."""
TITLES = (
    "The default",
    "All labels, one linear layer",
    "Trainings against each other",
    "Few labels",
    encoders_simulated.TITLE,
    encoders_simulated.FOREST,
    "Search by example",
    "Search across sensors, simulated regions",
    "A class for every pixel",
    "Missing sensors and channels",
)
"""Of the sections, in order."""
HEAD = """# Encoders

Made by `python -m benchmarks.encoders_page` from the JSON that the commands below write; do not edit.

Which encoder turns chips into the most useful vectors, on real data and on simulated areas, and which one is the
default? Vectors are frozen; plain learners (kNN with k = 5 and cosine, a linear layer, a random forest) learn from
them. Every test is on places that were not learned from: whole fires, whole blocks of land, whole tiles. Scores are
macro F1 for classes (accuracy for AID, as is usual there) and R2 for the share of a chip that is covered. In brackets
is the interval that holds 95 of 100 resamples of draws and of whole places.

Encoders learn what the bands look like from the chips, without their labels, as for a new store, and are told that a
pixel has 10 m, whatever it has: AID has 3 to 50 m, Harvey about 0.5 m, the fires 20 m. `band-statistics` is the mean,
the standard deviation and three percentiles of each band, standardised; it stands for what needs no network at all.
`timm:convnextv2_atto@random` is a network that never learned anything. A dash means that the encoder does not take such
chips, for want of bands.
"""
NOTES = """## Several sensors, one vector

`clip:small`, which ships, and `clip@FILE` make one vector of what there is of colour, radar and coherence. They take a
STAC Item, `embedstore encode item.json --encoder clip:small --store S`, whose assets are named `optical`, `sar` and
`coherence` and lie on one grid; where one of them has no data, the vector is that of the others. The table's column
`modalities` has a bit for each modality that a chip had, the store's first modality the lowest: `--where "modalities =
7"` asks for chips with all three, `--where "modalities & 2 = 2"` for those with the second. The architecture was chosen
among eight by 2,000 of the chips that region alpha is tested on, so its figures there flatter; those of beta do not.

## What to know of the data

- AID: baselines measured elsewhere on this split are 0.233, 0.386 and 0.268 for band statistics (kNN with 10 labels a
  class, with all labels, precision@10), 0.243, 0.428 and 0.282 for random convolutional features, and 0.131, 0.160 and
  0.147 for a random ConvNeXt V2 atto. How these were made is not known. `band-statistics` has percentiles because so
  it agrees best with the first; mean and standard deviation alone give 0.202, 0.318 and 0.228. The last differ by about
  what another random start may. `rcf` scores higher here, and by kNN the same as in [few labels](fewshot.md).
- Fires: in 13 of the 20 scenes the bands called B02, B03 and B04 are, by their values, red, green and blue of an 8-bit
  true-colour picture, cut off at 255. They are put in order and scaled here (2000 / 255), which is a guess at how they
  were made; the near and the short-wave infrared are as they should be.
- Sen1Floods11 is one image and Slovenia one place of a kilometre, so their intervals are of few places and say little
  about others. North Carolina is 23 polygons. Of the ten dates of 2018 the two cloudy ones are left out.
- The trainings set against each other are MP-MAE's `small`, cut to 800 steps of 16 chips of alpha and beta (its own
  schedule has 12,000), in bfloat16 on one core each for 10 to 13 minutes, with a linear layer on 1,000 chips of gamma.
  The paper's claim is not borne out: on cropland every target together gains 2.6 points of macro F1 over optical
  bands alone (1.0, from -2.4 to +4.5, in six trainings before these by torch 2.14.1), on built-up nothing. On cropland
  all six are above the network that never learned, and two of six above the statistics of bands; on built-up all score
  about what naming every chip alike would, below both. That network is timm's, not MP-MAE's own at its start. So short
  a training decides nothing.
- `mpmae:small` has every target, 4,200 steps in bfloat16 (67,200 chips, 73 minutes of one core), one training. Against
  800 steps of the same seed it is better on built-up, and on cropland by no more than places differ by; by macro F1 of
  built-up it cannot be told from the network that never learned.
- `dense:small` is the dense recipe's `small`, cut to 3,500 of 4,000 steps on alpha and beta; gamma it never saw.
  Segmentation is fine-tuned for 100 steps only. On simulated land pretraining gains 4 to 12 points of mean IoU at every
  number of labels, on gamma too, but more with more labels, where arXiv 2203.06041 has the gain shrink. On real images
  it gains nothing from one label (fires: 9 points less) and 8 points (Dubai) and none (fires) from all, within what
  places differ by.
- Chips side by side look alike, so a random split flatters: the cross at the right end of a curve is the score of a
  random split with all labels.
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write the page of encoders.")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--out", type=Path, default=Path("docs/encoders.md"))
    args = parser.parse_args()
    found = read(args.results)
    pictures = args.out.parent / args.out.stem
    pictures.mkdir(parents=True, exist_ok=True)
    sections.write(args.out, HEAD, TITLES, "".join(_written(found, pictures)), NOTES)


def _written(found: Mapping[str, Rows], pictures: Path) -> Iterator[str]:
    """Yield the sections that there are results for."""

    def of(name: str, part: Callable[[Mapping[str, Any]], bool]) -> tuple[Rows, Rows]:
        rows = found.get(name, [])
        return [r for r in rows if not part(r)], [r for r in rows if part(r)]

    probe, trainings = of("linear_probe", lambda r: encoders_simulated.is_simulated(r["task"]))
    labels, simulated = of("labels", lambda r: encoders_simulated.is_simulated(r["task"]))
    found_by, across = of("retrieval", lambda r: " to " in r["set"])
    parts: list[tuple[Rows, Callable[[Rows, Path], str]]] = [
        ([*probe, *found_by] if probe and found_by else [], _verdict),
        (probe, _probe),
        (trainings, _trainings),
        (labels, _labels),
        (simulated, encoders_simulated.sections),
        (found_by, _retrieval),
        (across, _across),
        (found.get("segmentation", []), _segmentation),
        (found.get("missing", []), _missing),
    ]
    yield from (write(rows, pictures) for rows, write in parts if rows)


def read(folder: Path) -> dict[str, Rows]:
    """Return the rows of each benchmark that has results, the newest of each."""
    found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json"), key=lambda f: f.stat().st_mtime):
        result = json.loads(file.read_text(encoding="utf-8"))
        command = result.get("command", "")
        for name in (n for n in KEYS if f"benchmarks.{n} " in f"{command} "):
            found.setdefault(name, {}).update({tuple(r[k] for k in KEYS[name]): r for r in result["rows"]})
    return {name: list(rows.values()) for name, rows in found.items()}


def _verdict(rows: Rows, _: Path) -> str:
    return encoders_verdict.section(rows)


def _pivot(rows: Rows, keys: Sequence[str], shown: Callable[[Mapping[str, Any]], str]) -> list[str]:
    """Return a table with a column for each encoder."""
    names = encoders(rows)
    cells = {(tuple(r[k] for k in keys), r["encoder"]): shown(r) for r in rows}
    lines = [f"| {' | '.join([*keys, *(f'`{called(n)}`' for n in names)])} |", "|---" * (len(keys) + len(names)) + "|"]
    return lines + [
        f"| {' | '.join([*map(str, key), *(cells.get((key, n), '-') for n in names)])} |"
        for key in dict.fromkeys(k for k, _ in cells)
    ]


def _titles(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a list of what the tasks are."""
    titles = dict.fromkeys((task_of(r), r["what"][0]) for r in rows)
    return [f"- `{name}`: {title}" for name, title in titles]


def _headed(title: str, command: str) -> list[str]:
    """Return how a section begins: its heading, and the command that its figures are of."""
    return [f"## {title}", "", f"`python -m benchmarks.{command} --json F`", ""]


def _probe(rows: Rows, _: Path) -> str:
    lines = [
        *_headed("All labels, one linear layer", "linear_probe --encoder ENCODER,… --data FOLDER"),
        *_titles({task_of(r): r for r in rows}.values()),
        "",
        *_pivot(rows, ("task", "measure", "learner"), lambda r: r["score"]),
    ]
    return "\n".join([*lines, ""])


def _trainings(rows: Rows, _: Path) -> str:
    differences = [r for r in rows if POINTS in r["measure"]]
    lines = [
        *_headed("Trainings against each other", "linear_probe --against NAME=ENCODER,… NAME=ENCODER,… --data FOLDER"),
        "All labels, one linear layer, on simulated land; then the difference of two kinds of training in points",
        "(hundredths of the score), a training for each seed, with a 95 % interval over seeds.",
        "",
        *_titles({task_of(r): r for r in rows if r not in differences}.values()),
        "",
        *_pivot([r for r in rows if r not in differences], ("task", "measure", "learner"), lambda r: r["score"]),
    ]
    if differences:
        lines += ["", *_pivot(differences, ("task", "measure"), lambda r: f"{r['score']}; {r['what'][0]}")]
    return "\n".join([*lines, ""])


def _labels(rows: Rows, pictures: Path) -> str:
    lines = [
        *_headed("Few labels", "labels --encoder ENCODER,… --data FOLDER"),
        (
            "Ten random draws of labels. Each cell: the score with all labels, and after `n95` how many labels reach "
            "95 % of it (which is easy for a poor score)."
        ),
        "",
        *_pivot(rows, ("task", "measure", "learner"), lambda r: f"{r['points'][-1]['value']:.3f}, n95 {r['n95']:,}"),
        "",
        *_aid(rows),
    ]
    for task in dict.fromkeys(r["task"] for r in rows):
        some = [r for r in rows if r["task"] == task]
        names = {r["encoder"]: called(r["encoder"]) for r in some}
        drawn = encoder_plots.over_labels(pictures / f"labels-{task.replace('/', '-')}.png", some, names)
        title = some[0]["what"][0]
        lines += [f"{title}:", "", f"![{title}]({pictures.name}/{drawn})", ""]
    return "\n".join(lines)


def _aid(rows: Rows) -> list[str]:
    """Return the two figures of AID that others quote, by kNN: with ten labels a class, and with all."""
    quoted = [r for r in rows if r["task"] == "aid" and r["learner"] == "knn"]
    if not quoted:
        return []
    lines = ["AID by kNN, accuracy:", "", "| encoder | 10 labels a class | all training labels |", "|---|---|---|"]
    for row in quoted:
        ten = next((p for p in row["points"] if p["labels"] == 300), None)
        cell = f"{ten['value']:.3f} ({ten['low']:.3f} to {ten['high']:.3f})" if ten else "-"
        lines.append(f"| `{called(row['encoder'])}` | {cell} | {row['all labels']} |")
    return [*lines, ""]


def _retrieval(rows: Rows, _: Path) -> str:
    lines = [
        *_headed("Search by example", "retrieval --encoder ENCODER,… --data FOLDER"),
        *_titles({task_of(r): r for r in rows}.values()),
        "",
        *_pivot([{**r, "chance": text(r["chance"])} for r in rows], ("set", "measure", "chance"), lambda r: r["score"]),
    ]
    if not any(r["set"] == "pairs" for r in rows):
        lines += [
            "",
            "Pairs of Sentinel-1 and Sentinel-2 need an encoder of both; chance puts the true partner of 15 at rank 8.",
        ]
    return "\n".join([*lines, ""])


def _across(rows: Rows, _: Path) -> str:
    lines = [
        *_headed(
            "Search across sensors, simulated regions",
            "retrieval --encoder ENCODER,… --sets '' --regions REGION,… --data FOLDER",
        ),
        "A chip of one sensor finds the same place by another's among 10,000 of land held out; chance is 0.001.",
        "",
        *_pivot(rows, ("set", "measure"), lambda r: r["score"]),
    ]
    return "\n".join([*lines, ""])


def _segmentation(rows: Rows, pictures: Path) -> str:
    lines = [
        *_headed("A class for every pixel", "segmentation --encoder pixels,random,dense@FILE --data FOLDER"),
        (
            "Mean IoU against labelled images. `random` is the U-Net of the dense recipe from a random start; `pixels` "
            "is a random forest on bands and their surroundings."
        ),
        "",
        *_titles({task_of(r): r for r in rows}.values()),
        "",
        *_pivot(rows, ("set", "images"), lambda r: r["mIoU"]),
        "",
    ]
    for name in dict.fromkeys(r["set"] for r in rows):
        some = [r for r in rows if r["set"] == name]
        drawn = encoder_plots.over_images(
            pictures / f"segmentation-{name}.png", some, {r["encoder"]: called(r["encoder"]) for r in some}
        )
        lines += [f"![mean IoU against labelled images, {name}]({pictures.name}/{drawn})", ""]
    return "\n".join(lines)


def _missing(rows: Rows, _: Path) -> str:
    return "\n".join(
        [
            *_headed("Missing sensors and channels", "missing --encoder clip@FILE --regions REGION,…"),
            (
                "Learned with every sensor, asked without some of it: the score, how far it fell relative to nothing "
                "missing, and the score where what was learned from lacked the same sensor."
            ),
            "",
            *_pivot(
                rows,
                ("region", "cover", "measure", "missing"),
                _fallen,
            ),
            "",
        ]
    )


def _fallen(row: Mapping[str, Any]) -> str:
    if row["missing"] == "nothing":
        return f"{row['score']:.3f}"
    alike = row["learned alike"]
    return f"{row['score']:.3f} ({-100 * row['fall']:+.0f} %)" + ("" if alike is None else f"; {alike:.3f}")


if __name__ == "__main__":
    main()
