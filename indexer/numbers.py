"""What a STAC Item says of the stored numbers of its assets, for files that do not say it themselves.

COGs of catalogues often keep scale and offset in the Item alone (STAC raster extension, versions 1 and 2), and
Sentinel-2's processing baseline too. Scenes of one store that were read in different units would have vectors that
must not be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embedstore.errors import RasterError
from indexer.bands import S2_SHIFT

if TYPE_CHECKING:
    from indexer.rasters import Raster

SHIFT_TAKEN = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Properties that say that the file's numbers are without the shift, whatever offset stands beside them."""
BASELINE = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
SHIFTED_SINCE = 4.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """How the stored numbers of an asset become physical ones.

    Parameters
    ----------
    scale, offset
        One each for every band, or one for all; none if the Item does not say. A stored number n means
        ``n * scale + offset``.
    shifted
        Whether :data:`indexer.bands.S2_SHIFT` stands in the stored numbers; None if the Item does not say.
    """

    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    shifted: bool | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.scale, *self.offset))) or 0 in self.scale:
            raise RasterError(f"the Item says scale {self.scale} and offset {self.offset}, which cannot be; mend it.")


def said(item: dict[str, Any], asset: dict[str, Any]) -> Numbers:
    """Return what an Item says of an asset.

    Raises
    ------
    RasterError
        If it says what cannot be.
    """
    properties = item.get("properties") or {}
    bands = asset.get("raster:bands") or asset.get("bands") or [{}]
    scale, offset = (_each(bands, asset, name) for name in ("scale", "offset"))
    if any(properties.get(name) is True for name in SHIFT_TAKEN):
        return Numbers(scale, (), shifted=False)
    if any(offset):
        return Numbers(scale, offset, shifted=False)
    baseline = next((properties[name] for name in BASELINE if name in properties), None)
    platform = str(properties.get("constellation") or properties.get("platform") or "")
    is_sentinel2 = "s2:processing_baseline" in properties or platform.lower().startswith("sentinel-2")
    known = baseline if is_sentinel2 else None
    return Numbers(scale, (), None if known is None else _is_shifted(known))


def applied(numbers: Numbers, raster: Raster) -> Raster:
    """Return a raster that is read with what its Item says; a scale or an offset in the file is believed before it.

    A file may have the scale alone and leave the offset, or that the numbers are shifted, to the Item.

    Raises
    ------
    RasterError
        If the Item speaks of another number of bands.
    """
    bands, count = raster.bands, len(raster.bands.names)
    if any(bands.offset):
        return raster
    scale, offset = (_spread(v, count, raster) for v in (numbers.scale or (1.0,), numbers.offset or (0.0,)))
    if any(s != 1 for s in bands.scale):
        same = all(map(math.isclose, bands.scale, scale))
        scale, offset = bands.scale, offset if same else (0.0,) * count  # an offset is in the units of its own scale
    shift = bands.shift
    if numbers.shifted is not None:
        shift = (S2_SHIFT if numbers.shifted and raster.dtype == "uint16" else 0.0,) * count
    return replace(raster, bands=replace(bands, scale=scale, offset=offset, shift=shift))


def _each(bands: list[Any], asset: dict[str, Any], name: str) -> tuple[float, ...]:
    """Return a number of every band, none if no band has it."""
    whole = asset.get(f"raster:{name}")
    found = [band.get(name, band.get(f"raster:{name}", whole)) for band in bands if isinstance(band, dict)]
    if all(value is None for value in found):
        return ()
    try:
        return tuple((1.0 if name == "scale" else 0.0) if value is None else float(value) for value in found)
    except (TypeError, ValueError) as error:
        raise RasterError(f"the Item says {name} {found}, which is no number; mend it.") from error


def _is_shifted(baseline: object) -> bool | None:
    try:
        return float(str(baseline)) >= SHIFTED_SINCE
    except ValueError:
        return None


def _spread(values: tuple[float, ...], count: int, raster: Raster) -> tuple[float, ...]:
    if len(set(values)) == 1:
        return values[:1] * count
    if len(values) != count:
        raise RasterError(f"the Item speaks of {len(values)} bands of {raster.path}, which has {count}; mend it.")
    return values
