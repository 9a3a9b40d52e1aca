"""What one linear layer on frozen vectors reaches with all labels, places held out; and several seeds against others.

``python -m benchmarks.linear_probe --encoder rcf --data FOLDER --json F``

Logistic regression for classes, ridge regression for shares. The polygons of North Carolina are scored as a user would
do it: a store, then `query.fewshot`'s spatial cross-validation, by kNN and by probe.

``--against all=mpmae@A,mpmae@B,mpmae@C optical=mpmae@D,mpmae@E,mpmae@F`` compares trainings, seed by seed, as arXiv
2405.02771 compares pretext tasks: in points (hundredths of macro F1), with a 95 % interval of the difference over seeds
(Student's t). If no tasks are asked for, those are :data:`NAMED`, the two that were named before anything was trained.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import curve, report
from benchmarks.measures import Figure
from benchmarks.tasks import known
from benchmarks.tasks.carolina import STRIDES, carolina
from benchmarks.vectors_of import CACHE, together
from embedstore.errors import EmbedstoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.tasks.task import Task

CAROLINA = {f"carolina-{size}": size for size in STRIDES}
METHODS = ("knn", "probe")
NAMED = ("gamma/cropland/optical", "gamma/built/optical")


def probe(task: Task, encoder: str, cache: Path) -> Iterator[dict[str, Any]]:
    """Yield what an encoder reaches on a task: classes, and shares where there are any."""
    vectors = together(encoder, task, cache)
    for what in curve.targets(task):
        figure = curve.score(task, what, vectors, "linear", task.splits, None, 1)
        yield _row(task.name, encoder, "linear", curve.named(task, what), figure, task.title)


def polygons(data: Path, encoder: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield what an encoder reaches on the coast of North Carolina, places held out and at random."""
    size = CAROLINA[name]
    for method, found in carolina(data, encoder, size, METHODS).items():
        title = f"North Carolina: {found.labels} chips of {8 * size} m, {len(found.spatial.classes)} classes tested"
        for measure, score in (("accuracy", found.spatial.accuracy), ("macro F1", found.spatial.macro_f1)):
            yield _row(name, encoder, method, measure, score, f"{title}, spatial cross-validation")
        yield _row(name, encoder, method, "accuracy, random split", found.random.accuracy, title)


def _row(task: str, encoder: str, learner: str, measure: str, figure: Any, title: str) -> dict[str, Any]:
    numbers = figure.numbers() if isinstance(figure, Figure) else asdict(figure)
    return {"task": task, "encoder": encoder, "learner": learner, "measure": measure, "score": str(figure),
            "numbers": numbers, "what": [title]}  # fmt: skip


def against(rows: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yield for each task how far the first group of encoders is above each other one, in points.

    Parameters
    ----------
    rows
        Of linear probes of all of them.
    groups
        Encoders by the name of their training, one a seed; as many in each.
    """
    from scipy.stats import t

    values = {(r["task"], r["measure"], r["encoder"]): 100 * r["numbers"]["value"] for r in rows}
    first, *others = groups
    for task, measure in dict.fromkeys((r["task"], r["measure"]) for r in rows if r["learner"] == "linear"):
        if any((task, measure, e) not in values for group in groups.values() for e in group):
            continue  # one of them does not take such chips
        mine = np.array([values[task, measure, e] for e in groups[first]])
        for other in others:
            theirs = np.array([values[task, measure, e] for e in groups[other]])
            above = mine.mean() - theirs.mean()
            error = np.sqrt(mine.var(ddof=1) / len(mine) + theirs.var(ddof=1) / len(theirs))
            reach = float(t.ppf(0.975, len(mine) + len(theirs) - 2) * error)
            yield {
                "task": task,
                "encoder": f"{first} - {other}",
                "learner": "linear",
                "measure": f"{measure}, points",
                "score": f"{above:+.1f} ({above - reach:+.1f} to {above + reach:+.1f})",
                "numbers": {"value": float(above), "low": float(above - reach), "high": float(above + reach)},
                "what": [f"{first} {_listed(mine)}, {other} {_listed(theirs)}"],
            }


def _listed(values: NDArray[np.float64]) -> str:
    return " ".join(f"{v:.1f}" for v in values)


def main() -> None:
    """Run from the command line."""
    parser = report.parser("A linear layer on frozen vectors.")
    parser.add_argument("--encoder", default="band-statistics,rcf,timm:convnextv2_atto@random", help="several by comma")
    parser.add_argument("--against", nargs="*", default=[], metavar="NAME=ENCODER,…", help="trainings to compare")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument(
        "--tasks",
        default="",
        help=f"of {', '.join([*known.REAL, *CAROLINA])}, {known.HELP}",
    )
    parser.add_argument("--chips", type=int, default=known.CHIPS, help="simulated chips to learn from")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of vectors kept")
    args = parser.parse_args()
    groups = {name: tuple(listed.split(",")) for name, _, listed in (g.partition("=") for g in args.against)}
    encoders = list(dict.fromkeys([*filter(None, args.encoder.split(",")), *(e for g in groups.values() for e in g)]))
    tasks = args.tasks.split(",") if args.tasks else [*NAMED] if groups else [*known.REAL, *CAROLINA]
    rows: list[dict[str, Any]] = []
    for task in known.read(args.data, [t for t in tasks if t not in CAROLINA], args.chips):
        for encoder in encoders:
            rows += _left_out(probe(task, encoder, args.cache), encoder, task.name)
    for name in (t for t in tasks if t in CAROLINA):
        for encoder in encoders:
            rows += _left_out(polygons(args.data, encoder, name), encoder, name)
    rows += list(against(rows, groups)) if groups else []
    figures = {"/".join(r[c] for c in ("task", "measure", "encoder", "learner")): r["numbers"]["value"] for r in rows}
    report.write("linear probe, all labels", rows, figures, args.json)


def _left_out(found: Iterator[dict[str, Any]], encoder: str, task: str) -> list[dict[str, Any]]:
    try:
        return list(found)
    except EmbedstoreError as error:
        print(f"{encoder} does not take {task}: {error}")
        return []


if __name__ == "__main__":
    main()
