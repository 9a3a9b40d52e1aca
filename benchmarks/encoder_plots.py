"""Curves of the encoders' page: score against number of labels, mean IoU against number of labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def over_labels(file: Path, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Draw one task: a panel for each measure and learner, a curve for each encoder, with intervals.

    A cross at the right end is the score of a random split, where there is one.

    Parameters
    ----------
    file
        Where to; its name is returned.
    rows
        Of :mod:`benchmarks.labels`, of one task.
    names
        What each encoder is called.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    measures, learners = (list(dict.fromkeys(r[c] for r in rows)) for c in ("measure", "learner"))
    figure, panels = _figure(len(measures), len(learners))
    colours = {e: f"C{i}" for i, e in enumerate(dict.fromkeys(r["encoder"] for r in rows))}
    for row in rows:
        axes = panels[measures.index(row["measure"])][learners.index(row["learner"])]
        _curve(axes, row["points"], "labels", colours[row["encoder"]], names[row["encoder"]])
        if row["random split"] is not None:
            axes.plot(row["points"][-1]["labels"], row["random split"], "x", color=colours[row["encoder"]])
        axes.set_title(row["learner"], fontsize=9)
        axes.set(xscale="log", xlabel="labels", ylabel=row["measure"])
        if row["measure"] == "R2":
            axes.set_ylim(bottom=max(-0.5, min(p["value"] for r in rows if r["measure"] == "R2" for p in r["points"])))
    return _save(figure, panels, file)


def over_covers(file: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw one region: a panel for each cover and sensor, macro F1 by each learner; see :func:`over_labels`."""
    rows = [r for r in rows if r["measure"] == "macro F1"]
    covers, sensors = (list(dict.fromkeys(r["task"].split("/")[i] for r in rows)) for i in (1, 2))
    learners = list(dict.fromkeys(r["learner"] for r in rows))
    figure, panels = _figure(len(covers), len(sensors))
    for row in rows:
        _, cover, sensor = row["task"].split("/")
        axes = panels[covers.index(cover)][sensors.index(sensor)]
        _curve(axes, row["points"], "labels", f"C{learners.index(row['learner'])}", row["learner"])
        axes.set_title(f"{cover}, {sensor}", fontsize=9)
        axes.set(xscale="log", xlabel="labels", ylabel="macro F1", ylim=(0.3, 1))
    return _save(figure, panels, file)


def over_images(file: Path, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Draw one set of images: mean IoU against labelled images, a curve for each encoder; see :func:`over_labels`."""
    figure, panels = _figure(1, 1)
    for i, encoder in enumerate(dict.fromkeys(r["encoder"] for r in rows)):
        points = [{"labels": r["images"], **r["numbers"]} for r in rows if r["encoder"] == encoder]
        _curve(panels[0][0], points, "labels", f"C{i}", names[encoder])
    counts = sorted({r["images"] for r in rows})
    panels[0][0].set(xscale="log", xlabel="labelled images", ylabel="mean IoU")
    panels[0][0].set_xticks(counts, map(str, counts))
    panels[0][0].minorticks_off()
    return _save(figure, panels, file)


def _figure(down: int, across: int) -> tuple[Any, Any]:
    require("matplotlib", "matplotlib").use("Agg")
    plt = require("matplotlib.pyplot", "matplotlib")
    size = max(4.8, 3.6 * across), 3.2 * down
    return plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)  # type: ignore[no-any-return]


def _curve(axes: Any, points: Sequence[Mapping[str, float]], x: str, colour: str, name: str) -> None:
    at = [p[x] for p in points]
    axes.plot(at, [p["value"] for p in points], marker="o", markersize=3, color=colour, label=name)
    axes.fill_between(
        at, [p["low"] for p in points], [p["high"] for p in points], color=colour, alpha=0.12, linewidth=0
    )
    axes.grid(visible=True, which="major", alpha=0.3)


def _save(figure: Any, panels: Any, file: Path) -> str:
    panels[0][0].legend(fontsize=7)
    # Without the version of matplotlib the file is the same for the same results.
    figure.savefig(file, dpi=80, metadata={"Software": None})
    require("matplotlib.pyplot", "matplotlib").close(figure)
    return file.name
