"""Plots of results: recall against latency, latency against selectivity, cost against rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SIDE = {"inside": "-", "anywhere": ":", "outside": "--"}


def draw(benchmark: str, results: Sequence[dict[str, Any]], folder: Path) -> list[str]:
    """Write the pictures of a benchmark's results into a folder; return their names.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    if benchmark == "search":
        return [_picture(folder / f"{r['name']}-recall-latency.png", r["title"], _tuning, r) for r in results]
    if benchmark == "filtered":
        return [_picture(folder / f"{r['name']}-selectivity.png", r["title"], _selectivity, r) for r in results]
    if benchmark == "scale":
        return [_picture(folder / "scale-rows.png", "cost against rows, simulated vectors", _cost, list(results))]
    return []


def _picture(file: Path, title: str, plot: Callable[[Any, Any], None], what: Any) -> str:
    """Draw on axes of a new figure and save it."""
    require("matplotlib", "matplotlib").use("Agg")
    plt = require("matplotlib.pyplot", "matplotlib")
    figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
    axes.set_title(title.partition(";")[0], fontsize=9)
    axes.grid(visible=True, which="both", alpha=0.3)
    plot(axes, what)
    axes.legend(fontsize=8)
    # Without the version of matplotlib the file is the same for the same results.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return file.name


def _tuning(axes: Any, result: dict[str, Any]) -> None:
    """Plot every setting that no other of the same peer beats; 1 - recall on a falling logarithmic scale."""
    for row in result["rows"]:
        best, points = 0.0, []
        for point in sorted(row["sweep"], key=lambda p: p["p50_ms"]):
            if point["recall"] > best:
                best = point["recall"]
                points.append((point["p50_ms"], max(1 - best, 1e-4)))
        style = {"linewidth": 2.5, "color": "black"} if row["peer"] == "ours" else {}
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=row["peer"], **style)
    axes.set(xscale="log", yscale="log", xlabel="p50 of a query, ms", ylabel="recall@10 missed (1 - recall)")
    axes.invert_yaxis()


def _selectivity(axes: Any, result: dict[str, Any]) -> None:
    """Plot ours by kind and side, and peers where they reach their recall at all, at the median over the kinds."""
    base, *cells = result["rows"]
    for number, kind in enumerate(dict.fromkeys(c["kind"] for c in cells)):
        for side, line in SIDE.items():
            some = sorted((c for c in cells if (c["kind"], c["filter"]) == (kind, side)), key=lambda c: c["matches"])
            axes.plot(
                [c["matches"] for c in some],
                [c["p50 ms"] for c in some],
                line,
                color=f"C{number}",
                label=f"ours, {kind}" if side == "inside" else None,
            )
    axes.axhline(base["p50 ms"], color="black", linewidth=1, label="ours, no filter")
    for name, marker in zip((n for n in base if n.endswith(" ms") and n not in _OWN), "xv^sd*", strict=False):
        seen = [(c["matches"], c[name]) for c in cells if c.get(name) is not None]
        if seen:
            axes.plot(
                *zip(*seen, strict=True), marker, color="grey", markersize=4, label=name.removesuffix(" ms"), alpha=0.6
            )
    axes.set(xscale="log", yscale="log", xlabel="rows that pass", ylabel="p50 of a query, ms")


_OWN = ("p50 ms", "again ms")


def _cost(axes: Any, results: list[dict[str, Any]]) -> None:
    rows = sorted((row for result in results for row in result["rows"]), key=lambda r: r["rows"])
    for name in ("p50_ms", "first_answer_ms", "anon_gb", "file_gb", "disk GB", "build s", "build peak GB"):
        points = [(r["rows"], r[name]) for r in rows if r.get(name) is not None and math.isfinite(r[name])]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name.replace("_", " "))
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="ms, s or GB, as named")
