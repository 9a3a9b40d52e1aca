"""The page of measurements, ``docs/benchmarks.md`` and its plots, from the JSON that the benchmarks wrote.

``python -m benchmarks.page`` reads ``benchmarks/results/*.json``; sections without results there stay as they are.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import plots, sections
from benchmarks.report import text

if TYPE_CHECKING:
    from collections.abc import Sequence

GOALS: dict[str, dict[str, tuple[str, float]]] = {
    "search": {
        "recall_at_10": ("≥", 0.97),
        "p50_over_faiss": ("≤", 1.3),
        "lancedb_over_ours": ("≥", 10),
        "hnsw_over_ours": ("≥", 1),
        "resident_over_hnsw": ("≤", 0.25),
        "batch_qps_over_faiss": ("≥", 0.9),
    },
    "filtered": {
        "worst_cell_recall": ("≥", 0.99),
        "short_answers": ("≤", 0),
        "worst_spatial_over_unfiltered": ("≤", 3),
        "worst_cell_p50_ms": ("≤", 3),
        "worst_cell_peer_over_ours": ("≥", 5),
    },
    "recall": {"worst_recall_shortfall": ("≤", 0.01), "p50_090_over_099": ("≤", 0.7)},
    "build": {"build_over_faiss": ("≤", 1.1), "build_over_lancedb": ("≤", 0.5), "build_peak_gb": ("≤", 1.5)},
    "scale": {
        "build_peak_gb": ("≤", 12),
        "resident_gb": ("≤", 1.5),
        "p50_over_1m": ("≤", 4),
        "first_answer_ms": ("≤", 500),
    },
    "classify": {"classify_over_gemm": ("≤", 2), "sklearn_over_ours": ("≥", 5)},
    "concurrency": {"concurrency_over_faiss": ("≥", 0.9), "differing_answers": ("≤", 0)},
    "sql": {"nearest_over_search": ("≤", 1.5), "bbox_bytes_share": ("≤", 0.05), "bbox_ms": ("≤", 50)},
    "service": {"search_overhead_ms": ("≤", 3), "errors": ("≤", 0)},
    "load": {
        "overload_goodput_over_peak": ("≥", 0.8),
        "overload_p99_over_alone": ("≤", 5),
        "overload_failures": ("≤", 0),
        "refusals_without_retry_after": ("≤", 0),
        "failed_while_swapped": ("≤", 0),
        "failed_in_soak": ("≤", 0),
        "soak_growth_mb": ("≤", 0.05),
        "soak_growth_files": ("≤", 0.05),
        "soak_growth_threads": ("≤", 0.05),
    },
}
"""What each benchmark's figures should be, on two cores; those of `scale` at ten million rows of 256 dimensions."""
ORDER = (
    "search",
    "filtered",
    "recall",
    "build",
    "scale",
    "classify",
    "concurrency",
    "cold_start",
    "encode",
    "sql",
    "service",
    "load",
    "fewshot",
)
HEAD = """# Benchmarks

Made by `python -m benchmarks.page` from the JSON that the commands below write; do not edit.

Every time stands beside the recall it was measured at. Recall is that of scores: a hit counts if its exact score is at
least the true tenth less 1e-5; `id recall` counts only the very rows. Truth is exact search over the stored vectors.
Simulated vectors are a procedural landscape (`benchmarks/landscape.py`); real ones are random convolutional features
of windows of real scenes (`benchmarks/vectors.py`). Ratios compare medians of rounds asked in turn in one run.
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write the page of measurements.")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    args = parser.parse_args()
    results = read(args.results)
    pictures = args.out.parent / args.out.stem
    pictures.mkdir(parents=True, exist_ok=True)
    drawn = {name: plots.draw(name, some, pictures) for name, some in results.items()}
    made = "\n".join(_section(name, some, drawn[name], pictures.name) for name, some in results.items())
    sections.write(args.out, HEAD, ORDER, made)


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the results of each benchmark of this page, in its order; ``name`` is the file's.

    A person may add a ``note`` to a file, of what the machine did besides.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        result["name"] = file.stem
        found.setdefault(_benchmark(result), []).append(result)
    return {name: found[name] for name in ORDER if name in found}


def _benchmark(result: dict[str, Any]) -> str:
    """Return which benchmark wrote a result: the module in its command, else its file's name."""
    words = shlex.split(result.get("command", ""))
    modules = [w.removeprefix("benchmarks.") for w in words if w.startswith("benchmarks.")]
    return modules[0] if modules else str(result["name"])


def _section(name: str, results: Sequence[dict[str, Any]], drawn: Sequence[str], folder: str) -> str:
    lines = [f"## {name}", ""]
    lines += [f"![{picture.removesuffix('.png').replace('-', ' ')}]({folder}/{picture})\n" for picture in drawn]
    for result in results:
        lines += [f"### {result['title'][0].upper()}{result['title'][1:]}", ""]
        if "command" in result:
            lines += [f"`{result['command']}`, {result['date']}", ""]
        lines += [f"{result['machine']}. {result.get('note', '')}".rstrip(), ""]
        if versions := result.get("versions"):
            lines += [", ".join(f"{library} {version}" for library, version in versions.items()) + ".", ""]
        lines += [*_figures(name, result["figures"]), "", *_rows(result["rows"]), ""]
    return "\n".join(lines)


def _figures(name: str, figures: dict[str, float]) -> list[str]:
    """Return figures with goals first."""
    goals = GOALS.get(name, {})
    lines = ["| figure | goal | measured | |", "|---|---|---|---|"]
    for figure in sorted(figures, key=lambda f: f not in goals):
        value = figures[figure]
        sign, goal = goals.get(figure, ("", 0.0))
        met = "" if not sign else "met" if (value >= goal if sign == "≥" else value <= goal) else "not met"
        lines.append(f"| `{figure}` | {f'{sign} {goal:g}' if sign else ''} | {text(float(value))} | {met} |")
    return lines


def _rows(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    columns = [name for name, value in rows[0].items() if not isinstance(value, (list, dict))]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(text(row.get(c)) for c in columns)} |" for row in rows]


if __name__ == "__main__":
    main()
