"""How many labels are enough: score against number of labels, places held out, for every encoder and learner.

``python -m benchmarks.labels --encoder band-statistics,rcf --data FOLDER --json F``

Frozen vectors and classical learners (kNN, linear, random forest), as arXiv 2310.00119 does it: from 5 to all labels,
ten random draws each, on places that were not learned from; the score of a random split with all labels stands beside
it. ``n90`` is the number of labels that reach 90 % of the score with all of them. Data sets: :mod:`benchmarks.tasks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import curve, report
from benchmarks.learners import LEARNERS
from benchmarks.tasks import known
from benchmarks.vectors_of import CACHE, together
from embedstore.errors import EmbedstoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.tasks.task import Task


def rows_of(
    task: Task, encoder: str, vectors: NDArray[np.float32], learners: Sequence[str], draws: int
) -> list[dict[str, Any]]:
    """Return a row for each target and learner: the curve, what is enough, and the random split."""
    counts = curve.A_CLASS if task.balanced else curve.COUNTS
    whole = round(np.mean([len(train) for train, _ in task.splits]))
    rows = []
    for what in curve.targets(task):
        for learner in learners:
            points = curve.curve(task, what, vectors, learner, counts, draws)
            random = (
                curve.score(task, what, vectors, learner, task.random_splits, None, 1).value
                if task.random_splits
                else None
            )
            each = len(task.classes) if task.balanced else 1
            numbered = [curve.Point(p.labels and p.labels * each, p.figure) for p in points]
            rows.append(
                {
                    "task": task.name,
                    "measure": curve.named(task, what),
                    "encoder": encoder,
                    "learner": learner,
                    **{f"n{share:.0%}"[:-1]: round(curve.enough(numbered, share, whole)) for share in curve.ENOUGH},
                    "all labels": str(points[-1].figure),
                    "random split": random,
                    "points": [
                        {
                            "labels": p.labels or whole,
                            "value": p.figure.value,
                            "low": p.figure.low,
                            "high": p.figure.high,
                        }
                        for p in numbered
                    ],
                    "what": [task.title],
                }
            )
    return rows


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Score against number of labels.")
    parser.add_argument("--encoder", default="band-statistics,rcf,timm:convnextv2_atto@random", help="several by comma")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--tasks", default=",".join(known.REAL), help=f"of {', '.join(known.REAL)}, {known.HELP}")
    parser.add_argument("--chips", type=int, default=known.CHIPS, help="simulated chips to learn from")
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of vectors kept")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for task in known.read(args.data, args.tasks.split(","), args.chips):
        for encoder in args.encoder.split(","):
            try:
                vectors = together(encoder, task, args.cache)
            except EmbedstoreError as error:
                print(f"{encoder} does not take {task.name}: {error}")
                continue
            rows += rows_of(task, encoder, vectors, args.learners.split(","), args.draws)
    report.write("score against number of labels", rows, figures(rows), args.json)


def figures(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the score with all labels and the number of labels for 95 % of it, of each row."""
    found: dict[str, float] = {}
    for row in rows:
        key = "/".join(str(row[c]) for c in ("task", "measure", "encoder", "learner"))
        last = row["points"][-1]
        found |= {f"{key}/all": last["value"], f"{key}/low": last["low"], f"{key}/high": last["high"]}
        found |= {f"{key}/n95": float(row["n95"])}
    return found


if __name__ == "__main__":
    main()
