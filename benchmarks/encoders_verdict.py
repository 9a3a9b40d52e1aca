"""The part of the encoders' page that chooses the default: which encoder is clearly better on real Sentinel-2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.encode import DEFAULT_ENCODER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BASELINES = ("band-statistics", "timm:convnextv2_atto@random", "rcf")
SENTINEL = ("fires", "floods-s2", "slovenia", "carolina-8", "carolina-32", "crops", "halves", "dates")
"""Real Sentinel-2, by which the default encoder is chosen."""
LOW_IS_GOOD = "mean rank"
RULE = f"""Another encoder takes its place if it is clearly better on more than half of {len(SENTINEL)} sets
of real Sentinel-2 ({", ".join(SENTINEL)}) and clearly worse on none of them.
A set that it does not take counts as not better: a default has to take the bands that scenes have. Clearly means that
the interval of the difference, over the same resamples of places and draws, leaves out zero; for North Carolina, where
there are no such pairs, that each score lies outside the interval of the other. All labels are learned from; what few
labels give is further down."""


def section(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how each encoder does against the default, and what follows."""
    rows = [r for r in rows if "random split" not in r["measure"]]
    names = [e for e in encoders(rows) if e != DEFAULT_ENCODER]
    total = len({key_of(r) for r in rows if task_of(r) in SENTINEL})
    lines = [
        "## The default",
        "",
        f"The default is `{DEFAULT_ENCODER}`. {RULE}",
        "",
        f"Of the scores below {total} are of real Sentinel-2. Against `{DEFAULT_ENCODER}`:",
        "",
        "| encoder | sets taken | clearly better | clearly worse |",
        "|---|---|---|---|",
    ]
    fit = []
    for name in names:
        better, worse = compare(rows, name, DEFAULT_ENCODER)
        taken = {task_of(r) for r in rows if r["encoder"] == name} & set(SENTINEL)
        lines.append(f"| `{called(name)}` | {len(taken)} | {_counted(better)} | {_counted(worse)} |")
        if len({b.split()[0] for b in better}) > len(SENTINEL) / 2 and not worse:
            fit.append(f"`{called(name)}`")
    lines += [
        "",
        f"By that rule {' and '.join(fit)} could take its place." if fit else f"So `{DEFAULT_ENCODER}` stays.",
    ]
    if not set(names) - set(BASELINES):
        lines += ["No pretrained encoder has been measured yet: these are the scores that one has to beat."]
    return "\n".join([*lines, ""])


def _counted(scores: Sequence[str]) -> str:
    return f"{len(scores)}: {', '.join(scores)}" if scores else "0"


def compare(rows: Sequence[Mapping[str, Any]], encoder: str, other: str) -> tuple[list[str], list[str]]:
    """Return the real Sentinel-2 scores on which one encoder is clearly better, and clearly worse, than another."""
    better: list[str] = []
    worse: list[str] = []
    scores = {(key_of(r), r["encoder"]): r["numbers"] for r in rows if task_of(r) in SENTINEL}
    for key in dict.fromkeys(k for k, e in scores if e == encoder):
        if (key, other) in scores:
            ahead = _ahead(scores[key, encoder], scores[key, other]) * (-1 if LOW_IS_GOOD in key else 1)
            if ahead:
                (better if ahead > 0 else worse).append(" ".join(key))
    return better, worse


def _ahead(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> int:
    """Return 1 or -1 if one score is clearly above or below another, else 0.

    Clearly: the interval of the difference over the same resamples leaves out 0. Where there are no resamples, each
    score must lie outside the interval of the other, which asks for more.
    """
    pairs = list(zip(mine.get("resamples", ()), theirs.get("resamples", ()), strict=False))
    gaps = [a - b for a, b in pairs if a is not None and b is not None]
    if gaps:
        low, high = np.quantile(gaps, [0.025, 0.975])
        return int(low > 0) - int(high < 0)
    apart = not (theirs["low"] <= mine["value"] <= theirs["high"] or mine["low"] <= theirs["value"] <= mine["high"])
    return apart * (1 if mine["value"] > theirs["value"] else -1)


def called(encoder: str) -> str:
    """Return what an encoder is called on the page: a model file by its name, without its folder."""
    family, at, file = encoder.partition("@")
    return f"{family}@{Path(file).stem}" if at and file != "random" else encoder


def encoders(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the encoders of rows, baselines first."""
    names = list(dict.fromkeys(r["encoder"] for r in rows))
    return sorted(names, key=lambda n: (n not in BASELINES, BASELINES.index(n) if n in BASELINES else 0))


def task_of(row: Mapping[str, Any]) -> str:
    """Return the task, or the data set, of a row."""
    return str(row.get("task") or row["set"])


def key_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a row is the score of."""
    return (task_of(row), row["measure"], *([row["learner"]] if "learner" in row else []))
