"""The part of the encoders' page on few labels in simulated regions: how much of the score a few hundred reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import encoder_plots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Rows = Sequence[Mapping[str, Any]]

FEW = 500
CLAIM = 0.95
TITLE = "Few labels, simulated regions"
HEAD = f"""## {TITLE}

`python -m benchmarks.labels --encoder ENCODER,… --tasks 'alpha/*/*' --data FOLDER --json F`

The claim of arXiv 2310.00119 is that a few hundred labels reach what all of them do. Each cell: the share of the score
with 20,000 labels that {FEW} of them reach (ten draws), and that score; bands of land are held out. Asked for is
{CLAIM:.0%}. Where the score with all labels is below 0.1 there is no share.
"""


def is_simulated(task: str) -> bool:
    """Tell whether a task is of a simulated region, ``REGION/COVER/SENSOR``."""
    return task.count("/") == 2


def section(rows: Rows, names: Mapping[str, str], pictures: Path) -> str:
    """Return the section and draw its pictures, one a region and encoder.

    Parameters
    ----------
    rows
        Of :mod:`benchmarks.labels`, of simulated tasks.
    names
        What each encoder is called.
    pictures
        Folder to draw into.
    """
    lines = [HEAD]
    kinds = {(row["encoder"], row["task"].partition("/")[0]): None for row in rows}
    for encoder, region in sorted(kinds):
        some = [r for r in rows if r["encoder"] == encoder and r["task"].startswith(f"{region}/")]
        title = f"`{names[encoder]}`, region {region}"
        file = pictures / f"few-{names[encoder].replace(':', '-').replace('@', '-')}-{region}.png"
        drawn = encoder_plots.over_covers(file, some)
        lines += [f"{title}:", "", *_table(some), "", f"![{title}]({pictures.name}/{drawn})", ""]
    return "\n".join(lines)


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
