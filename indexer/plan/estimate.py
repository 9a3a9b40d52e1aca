"""What a plan will take, before a pixel is read: a linear model of time and bytes, with measured coefficients."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from embedstore.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.plan.work import WorkUnit


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What one encoder costs on one machine; ``python -m benchmarks.plan --coefficients F`` measures all of them.

    The defaults are for ``rcf`` on two cores without a GPU: together they give the 1,111 chips of 64 pixels and 12
    bands a second that ``python -m benchmarks.encode`` measured there, and bytes are what ``benchmarks.plan`` counted.
    With another encoder, a GPU or a busy machine, seconds differ many times over.

    Parameters
    ----------
    seconds_per_unit
        To open the files of a work unit and to commit it.
    seconds_per_chip
        To cut, encode and write a chip, whatever its size.
    seconds_per_sample
        To read and encode one pixel of one band.
    bytes_per_sample
        Of the scenes' files, compressed, for one pixel of one band; where an Item says ``file:size``, that counts.
    bytes_per_chip
        Of the store: vector, thumbnail, columns and flat segment.
    """

    seconds_per_unit: float = 0.1
    seconds_per_chip: float = 1e-4
    seconds_per_sample: float = 1.6e-8
    bytes_per_sample: float = 1.1
    bytes_per_chip: float = 2000.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise SpecError(f"the coefficient {field.name} is {value!r}; it must be a number of at least 0.")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read them from a JSON file; those that it leaves out are the defaults.

        Raises
        ------
        SpecError
            If it cannot be read, or holds something else.
        """
        known = [field.name for field in fields(cls)]
        try:
            said = json.loads(Path(path).read_bytes())
            return cls(**said)
        except (OSError, ValueError, TypeError) as error:
            raise SpecError(
                f"the coefficients {path} cannot be read: {error}. Give a JSON object with some of {', '.join(known)}."
            ) from error


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a scene's pixels costs: its bands, and bytes of its files for one pixel, if the catalogue says."""

    bands: int
    bytes_per_pixel: float | None


def estimate(units: Sequence[WorkUnit], costs: Sequence[Sequence[Cost]], by: Coefficients) -> dict[str, Any]:
    """Return chips, scenes, pixels, bytes and seconds of work units.

    Parameters
    ----------
    units
        The work.
    costs
        For each unit, of each of its sources.
    by
        What things cost.
    """
    chips = read = seconds = 0.0
    for unit, sources in zip(units, costs, strict=True):
        # Chips that overlap share pixels; those that lie apart leave some out.
        pixels = unit.chips * min(unit.stride, unit.chip_size) ** 2
        samples = unit.chips * unit.chip_size**2 * sum(cost.bands for cost in sources)
        chips += unit.chips
        read += sum(
            pixels * (c.bands * by.bytes_per_sample if c.bytes_per_pixel is None else c.bytes_per_pixel)
            for c in sources
        )
        seconds += by.seconds_per_unit + unit.chips * by.seconds_per_chip + samples * by.seconds_per_sample
    return {
        "units": len(units),
        "scenes": len({source.item for unit in units for source in unit.sources}),
        "chips": int(chips),
        "bytes_to_read": round(read),
        "bytes_to_store": round(chips * by.bytes_per_chip),
        "seconds": round(seconds, 3),
        "coefficients": asdict(by),
    }
