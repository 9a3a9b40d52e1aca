"""The part of the encoders' page on few labels in simulated regions: how much of the score a few hundred reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import encoder_plots
from benchmarks.encoders_verdict import called

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Rows = Sequence[Mapping[str, Any]]

FEW = 500
CLAIM = 0.95
TITLE = "Few labels, simulated regions"
FOREST = f"{TITLE}, random forests"


def is_simulated(task: str) -> bool:
    """Tell whether a task is of a simulated region, ``REGION/COVER/SENSOR``."""
    return task.count("/") == 2


def sections(rows: Rows, pictures: Path) -> str:
    """Return the sections that there are results for and draw their pictures, one a region and encoder.

    Forests have one of their own: they take so long to learn that they are measured apart.

    Parameters
    ----------
    rows
        Of :mod:`benchmarks.labels`, of simulated tasks.
    pictures
        Folder to draw into.
    """
    others = [row for row in rows if row["learner"] != "forest"]
    forests = [row for row in rows if row["learner"] == "forest"]
    made = ((TITLE, "", others), (FOREST, "-forest", forests))
    return "\n".join(_section(title, ending, some, pictures) for title, ending, some in made if some)


def _section(title: str, ending: str, rows: Rows, pictures: Path) -> str:
    lines = [_head(title, {row["learner"] for row in rows}, {row["points"][-1]["labels"] for row in rows})]
    kinds = {(row["encoder"], row["task"].partition("/")[0]): None for row in rows}
    for encoder, region in sorted(kinds):
        some = [r for r in rows if r["encoder"] == encoder and r["task"].startswith(f"{region}/")]
        name = called(encoder)
        file = pictures / f"few-{name.replace(':', '-').replace('@', '-')}-{region}{ending}.png"
        drawn, shown = encoder_plots.over_covers(file, some), f"`{name}`, region {region}"
        lines += [f"{shown}:", "", *_table(some), "", f"![{shown}]({pictures.name}/{drawn})", ""]
    return "\n".join(lines)


def _head(title: str, learners: set[str], labels: set[int]) -> str:
    if len(labels) > 1:
        raise SystemExit(f"{title}: measured with {sorted(labels)} labels in all; show one of them on the page.")
    (whole,) = labels
    return f"""## {title}

`python -m benchmarks.labels --encoder ENCODER,… --tasks 'alpha/*/*' --learners {",".join(sorted(learners))}
--chips {whole} --data FOLDER --json F`

The claim of arXiv 2310.00119 is that a few hundred labels reach what all of them do. Each cell: the share of the score
with {whole:,} labels that {FEW} of them reach (ten draws), and that score; bands of land are held out. Asked for is
{CLAIM:.0%}. Where the score with all labels is below 0.1 there is no share.
"""


def share(row: Mapping[str, Any]) -> float | None:
    """Return the share of the score with all labels that :data:`FEW` reach, None where there is no score."""
    few = next((p["value"] for p in row["points"] if p["labels"] == FEW), None)
    whole = row["points"][-1]["value"]
    return None if few is None or whole < 0.1 else few / whole


def _table(rows: Rows) -> list[str]:
    sensors = list(dict.fromkeys(row["task"].split("/")[2] for row in rows))
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        _, cover, sensor = row["task"].split("/")
        part = share(row)
        told = f"{'-' if part is None else f'{part:.0%}'} of {row['points'][-1]['value']:.2f}"
        cells.setdefault((cover, row["measure"], row["learner"]), {})[sensor] = told
    lines = [f"| cover | measure | learner | {' | '.join(sensors)} |", "|" + "---|" * (3 + len(sensors))]
    return lines + [
        f"| {' | '.join(key)} | {' | '.join(found.get(s, '-') for s in sensors)} |" for key, found in cells.items()
    ]
