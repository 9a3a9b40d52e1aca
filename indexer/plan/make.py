"""From an area and a catalogue to a plan: what `embedstore plan` does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from embedstore import area, grid
from embedstore.errors import GeometryError, PlanError, SpecError
from indexer import cells
from indexer.encoders import registry
from indexer.plan import catalogue, choose, file, periods
from indexer.plan.catalogue import Fault, Question
from indexer.plan.estimate import Coefficients, Cost, estimate
from indexer.plan.scenes import Candidate, Wanted, candidates
from indexer.plan.work import WorkUnit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

DAYS = 12
"""Between modalities at most, unless said otherwise: Sentinel-1 comes back over a place after as many."""
AT_ONCE = 8
"""Cells of work units that are given to scenes at once; memory stays flat however large the area."""


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What was planned.

    Parameters
    ----------
    estimate
        What it will take; see :func:`indexer.plan.estimate.estimate`.
    faults
        What of the catalogue could not be used, and why.
    too_cloudy
        Items left out for their clouds, or because they do not say how many there are.
    alone
        Chips without one or more of the modalities beside the first.
    """

    estimate: dict[str, Any]
    faults: tuple[Fault, ...]
    too_cloudy: int
    alone: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return {**asdict(self), "faults": [asdict(fault) for fault in self.faults]}

    def __str__(self) -> str:
        said = self.estimate
        parts = [
            f"planned {said['chips']:,} chips of {said['scenes']:,} scenes in {said['units']:,} units",
            f"about {_bytes(said['bytes_to_read'])} to read, {_bytes(said['bytes_to_store'])} to store",
            f"about {_duration(said['seconds'])}",
        ]
        if self.too_cloudy:
            parts.append(f"{self.too_cloudy:,} Items left out for clouds")
        if self.alone:
            parts.append(f"{self.alone:,} chips without every modality")
        return "; ".join(parts)


def plan(
    aoi: Any,
    stac: str,
    datetime: str,
    out: str | Path,
    encoder: str = "rcf",
    chip_size: int | None = None,
    stride: int | None = None,
    max_cloud: float | None = None,
    period: str = "season",
    modalities: Sequence[str] = (),
    days: float = DAYS,
    coefficients: str | Path | None = None,
) -> PlanReport:
    """Decide which chips of an area are encoded from which scenes, and write that to a plan file.

    Parameters
    ----------
    aoi
        Area of interest, anything that :func:`embedstore.area.parse` takes: chips whose centre lies inside.
    stac
        The catalogue; see :func:`indexer.plan.catalogue.items`.
    datetime
        ``A/B``, both days included.
    out
        The plan file.
    encoder
        Name in the registry.
    chip_size, stride
        In pixels; the encoder's own, and the side of a chip, if None.
    max_cloud
        Per cent of a scene of the first modality that clouds may cover (``eo:cloud_cover``).
    period
        ``month``, ``season`` (meteorological), ``year`` or ``all``: each place is encoded once for each.
    modalities
        Where the catalogue has them, as :meth:`indexer.plan.scenes.Wanted.parse` reads them, the one whose grid the
        chips lie on first; the encoder's own, under their own names, if none.
    days
        Between a scene of the first modality and those of the others, at most.
    coefficients
        JSON file of :class:`indexer.plan.estimate.Coefficients`.

    Raises
    ------
    GeometryError, FilterError, SpecError
        If the area, the dates or a parameter make no sense, or no chip lies in the area.
    PlanError, MissingExtraError
        If the catalogue cannot be read, or nothing in it can be used.
    """
    by = Coefficients.read(coefficients) if coefficients is not None else Coefficients()
    shape = area.parse(aoi)
    start, end = periods.interval(datetime)
    wanted = _wanted(encoder, modalities)
    size = registry.chip_size(encoder) if chip_size is None else chip_size
    work = _Work(shape, start, end, period, size, size if stride is None else stride, timedelta(days=days))
    question = Question(shape, start, end, _collections(wanted))
    faults: list[Fault] = []
    first, *others, cloudy = _ask(stac, question, wanted, max_cloud, faults)
    made = sorted(work.units(first, others), key=lambda unit: (unit.period, unit.cell, unit.name, unit.cells))
    if not made:
        raise GeometryError(
            f"no chip of {size} pixels has its centre in the area of interest "
            f"({', '.join(f'{v:.4f}' for v in shape.bounds)}), though {len(first)} Items touch it. Is it larger than "
            "a chip?"
        )
    costs = {(c.source.modality, c.source.item): _cost(c) for c in (*first, *(c for other in others for c in other))}
    expected = estimate(made, [[costs[s.modality, s.item] for s in unit.sources] for unit in made], by)
    parameters = {
        "aoi": shapely.to_geojson(shape),
        "stac": stac,
        "datetime": [start.isoformat(), end.isoformat()],
        "encoder": registry.canonical(encoder),
        "chip_size": work.size,
        "stride": work.stride,
        "max_cloud": max_cloud,
        "period": period,
        "modalities": [asdict(w) for w in wanted],
        "days": days,
    }
    file.write(out, made, parameters, expected)
    alone = sum(unit.chips for unit in made if len(unit.sources) < len(wanted))
    return PlanReport(expected, tuple(faults), cloudy, alone)


@dataclass(frozen=True)
class _Work:
    """What is planned, and for when."""

    area: Any
    start: datetime
    end: datetime
    period: str
    size: int
    stride: int
    days: timedelta

    def __post_init__(self) -> None:
        periods.namer(self.period)
        if self.size < 1 or self.stride < 1 or self.days < timedelta(0):
            raise SpecError(
                f"chip size {self.size} and stride {self.stride} must be at least one pixel, and days at least 0."
            )

    def units(self, first: Sequence[Candidate], others: Sequence[Sequence[Candidate]]) -> Iterator[WorkUnit]:
        """Yield the work units, those without chips left out."""
        side = self.size * min(candidate.gsd for candidate in first)
        resolution = choose.unit_resolution(side)
        all_cells = cells.cover(self.area, resolution)
        name = periods.namer(self.period)
        for period in sorted({name(c.source.datetime) for c in first}):
            ranked = sorted((c for c in first if name(c.source.datetime) == period), key=self._rank)
            for at in range(0, len(all_cells), AT_ONCE):
                coverages = [c.coverage for c in ranked]
                owned = choose.owners(all_cells[at : at + AT_ONCE], coverages, side, self.area)
                owned.pop(choose.NOBODY, None)
                for scene, theirs in owned.items():
                    yield from self._of_scene(period, ranked[scene], theirs, others, side, resolution)

    def _rank(self, candidate: Candidate) -> tuple[float, timedelta, str]:
        """Return what is small for a good scene: few clouds, then near the middle of the period, then by name."""
        source = candidate.source
        middle = periods.middle(self.period, source.datetime, self.start, self.end)
        cloud = float("inf") if source.cloud is None else source.cloud
        return cloud, abs(source.datetime - middle), source.item

    def _of_scene(
        self,
        period: str,
        lead: Candidate,
        theirs: NDArray[np.int64],
        others: Sequence[Sequence[Candidate]],
        side: float,
        resolution: int,
    ) -> Iterator[WorkUnit]:
        """Yield the units of one scene: for each cell, and for each choice of other modalities."""
        assert lead.grid is not None
        above = grid.parents(theirs, resolution)
        for cell in np.unique(above).tolist():
            joined = [((lead.source,), theirs[above == cell])]
            for other in others:
                near = self._near(lead, other)
                joined = [
                    ((*sources, *(() if at == choose.NOBODY else (near[at].source,))), mine)
                    for sources, some in joined
                    for at, mine in choose.owners(some, [c.coverage for c in near], side).items()
                ]
            disc = cells.discs([cell])[0]
            within = None if shapely.covers(self.area, disc) else shapely.to_wkb(shapely.intersection(self.area, disc))
            for sources, mine in joined:
                owned = tuple(cells.compact(mine.tolist()).tolist())
                unit = WorkUnit(cell, period, sources, lead.grid, owned, within, self.size, self.stride, 0)
                chips = sum(map(len, unit.expected().blocks()))
                if chips:
                    yield replace(unit, chips=chips)

    def _near(self, lead: Candidate, others: Sequence[Candidate]) -> list[Candidate]:
        """Return what was taken near a scene in place and time, the nearest in time first."""

        def apart(candidate: Candidate) -> timedelta:
            return abs(candidate.source.datetime - lead.source.datetime)

        near = [c for c in others if apart(c) <= self.days and shapely.intersects(lead.coverage, c.coverage)]
        return sorted(near, key=lambda c: (apart(c), c.source.item))


def _wanted(encoder: str, modalities: Sequence[str]) -> list[Wanted]:
    """Return the modalities to look for, all of which the encoder takes."""
    known = registry.modalities(encoder)
    wanted = [Wanted.parse(text) for text in modalities] or [Wanted(name) for name in known]
    names = [w.name for w in wanted]
    if set(names) - set(known) or len(set(names)) < len(names):
        raise SpecError(
            f"the modalities {', '.join(names)} do not suit the encoder {encoder}, which takes each of "
            f"{', '.join(known)} once."
        )
    return wanted


def _collections(wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """Return the collections to ask for; any if one modality may come from any."""
    names = tuple(dict.fromkeys(w.collection for w in wanted))
    return names if all(names) else ()


def _ask(stac: str, question: Question, wanted: Sequence[Wanted], max_cloud: float | None, faults: list[Fault]) -> Any:
    """Return the candidates of each modality, and then how many of the first are too cloudy."""
    if max_cloud is not None and not 0 <= max_cloud <= 100:
        raise SpecError(f"the most clouds are {max_cloud} %; give a number from 0 to 100.")
    items = list(catalogue.items(stac, question, faults))
    found = [candidates(items, w, question, faults, lead=w is wanted[0]) for w in wanted]
    clear = [c for c in found[0] if max_cloud is None or (c.source.cloud is not None and c.source.cloud <= max_cloud)]
    cloudy = len(found[0]) - len(clear)
    if not clear:
        why = (
            f"{cloudy} Items have more than {max_cloud:g} % clouds or do not say"
            if cloudy
            else (f"of {len(items)} Items, none covers the area at these dates with {wanted[0].name}")
        )
        reasons = f"; the first of {len(faults)} that cannot be used is {faults[0]}" if faults else ""
        raise PlanError(
            f"nothing in {stac} can be planned: {why}{reasons}. Check --aoi (longitude first), --datetime and "
            "--modality."
        )
    return [clear, *found[1:], cloudy]


def _cost(candidate: Candidate) -> Cost:
    size = candidate.grid.width * candidate.grid.height if candidate.grid else 0
    return Cost(candidate.bands, candidate.bytes / size if size and candidate.bytes is not None else None)


def _bytes(count: float) -> str:
    """Return an amount as people read it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _duration(seconds: float) -> str:
    """Return a time as people read it."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.3g} {unit}"
    return f"{seconds:.3g} seconds"
