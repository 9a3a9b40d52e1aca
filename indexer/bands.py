"""The bands of a raster: what they are called, and how their stored numbers become physical ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embedstore.errors import BandError, RasterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUMBERED = re.compile(r"B0*(\d{1,2})(A?)(?=$|[\s,;:(])", re.IGNORECASE)
SPECTRAL = re.compile(
    r"[RGBN]|coastal|blue|green|yellow|red|nir|pan|cirrus|red_?edge\d*|nir0?\d+|swir\d+", re.IGNORECASE
)
"""Bands of images by colour, and as STAC calls them (``common_name``, ``eo:common_name``)."""
COLOURS = {"red": "R", "green": "G", "blue": "B", "nir": "N"}
BASELINE_TAGS = ("PROCESSING_BASELINE", "processing_baseline", "s2:processing_baseline")
PRODUCT_TAGS = ("PRODUCT_URI", "PRODUCT_URI_1C", "PRODUCT_URI_2A", "DATATAKE_IDENTIFIER")
BASELINE_TOKEN = re.compile(r"(?:^|_)N(0\d{3})(?=_|\.|$)")
S2_SHIFT = 1000.0
"""Added to every digital number of Sentinel-2 since processing baseline 04.00, of 25 January 2022 (ESA, Sentinel-2
Products Specification Document, RADIO_ADD_OFFSET and BOA_ADD_OFFSET)."""


@dataclass(frozen=True)
class Bands:
    """Bands of one raster, in the order in which they are read.

    A stored number n becomes ``max(n - shift, 0) * scale + offset`` where there is a shift, ``n * scale + offset``
    where there is none.

    Parameters
    ----------
    names
        What they are called, each name once.
    indexes
        Their numbers in the file, from 1.
    scale, offset
        As GDAL has them, one of each a band.
    shift
        Digital numbers taken away before scaling, one a band.
    """

    names: tuple[str, ...]
    indexes: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    shift: tuple[float, ...]

    def select(self, wanted: Sequence[str], where: object) -> Self:
        """Return some of the bands in the order asked for, by name or by number from 1.

        Raises
        ------
        BandError
            If one is not there, or is asked for twice; `where` names the raster in the message.
        """
        at = [self._find(name, where) for name in wanted]
        if not at or len(set(at)) != len(at):
            raise BandError(f"the bands {','.join(wanted)!r} of {where} must be at least one, each once.")

        def pick(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[i] for i in at)

        return type(self)(pick(self.names), pick(self.indexes), pick(self.scale), pick(self.offset), pick(self.shift))

    def physical(self, stored: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Write stored numbers as physical ones.

        Parameters
        ----------
        stored
            Shape (bands, h, w), as they stand in the file.
        out
            Of the same shape. Where there is no data it gets some finite number.
        """
        if len(set(self.scale)) == 1 and not any(self.offset) and not any(self.shift):
            np.multiply(stored, np.float32(self.scale[0]), out=out, casting="unsafe", dtype=np.float32)
        else:
            for numbers, values, scale, offset, shift in zip(
                stored, out, self.scale, self.offset, self.shift, strict=True
            ):
                np.subtract(numbers, np.float32(shift), out=values, casting="unsafe", dtype=np.float32)
                if shift:
                    np.maximum(values, 0, out=values)
                np.multiply(values, np.float32(scale), out=values)
                np.add(values, np.float32(offset), out=values)
        if stored.dtype.kind == "f":
            np.copyto(out, 0, where=~np.isfinite(out))

    def _find(self, name: str, where: object) -> int:
        plain = normalise(name)
        if plain in self.names:
            return self.names.index(plain)
        if name.isdecimal() and int(name) in self.indexes:
            return self.indexes.index(int(name))
        raise BandError(f"{where} has no band {name!r}; it has {', '.join(self.names)}. Choose with --bands.")


def normalise(name: str) -> str:
    """Return a band's name as it is compared: ``B1`` and ``b01, coastal`` are ``B01``, ``B8A`` stays."""
    name = name.strip()
    numbered = NUMBERED.match(name)
    return f"B{int(numbered[1]):02}{numbered[2].upper()}".replace("B08A", "B8A") if numbered else name


def describe(source: Any, name: str) -> Bands:
    """Return the bands of an open rasterio dataset; a nameless alpha band is a mask, not a band.

    Parameters
    ----------
    source
        The dataset.
    name
        The file's name, which may say the processing baseline.

    Raises
    ------
    RasterError
        If it holds no bands of real numbers.
    """
    # rasterio asks all bands for each of these, so each is asked for once
    colours, scales, offsets = [c.name for c in source.colorinterp], source.scales, source.offsets
    named = alpha_is_a_band(source)
    indexes = tuple(i for i in source.indexes if colours[i - 1] != "alpha" or named)
    complex_ = [t for t in source.dtypes if t.startswith("complex")]
    if complex_ or not indexes:
        what = f"complex numbers ({complex_[0]})" if complex_ else "no bands"
        raise RasterError(f"{source.name} holds {what}; encode needs bands of real numbers.")
    names = _names(source, indexes, colours)
    shifted = has_shift(source, name)
    return Bands(
        names,
        indexes,
        tuple(float(scales[i - 1]) for i in indexes),
        tuple(float(offsets[i - 1]) for i in indexes),
        tuple(S2_SHIFT if shifted and is_reflectance(n) else 0.0 for n in names),
    )


def is_reflectance(name: str) -> bool:
    """Tell whether a band of Sentinel-2 is an image; others are classes, angles or times."""
    return bool(name.isdecimal() or NUMBERED.match(name) or SPECTRAL.fullmatch(name))


def alpha_is_a_band(source: Any) -> bool:
    """Tell whether what GDAL calls alpha has a name of its own: GDAL calls the fourth band of any uint8 file alpha."""
    alphas = [d for d, c in zip(source.descriptions, source.colorinterp, strict=True) if c.name == "alpha"]
    return bool(alphas) and all(alphas)


def _names(source: Any, indexes: tuple[int, ...], colours: list[str]) -> tuple[str, ...]:
    descriptions = source.descriptions
    described = [normalise(descriptions[i - 1] or "") for i in indexes]
    if all(described) and len(set(described)) == len(described):
        return tuple(described)
    shades = [COLOURS.get(colours[i - 1], "") for i in indexes]
    if shades[:3] == ["R", "G", "B"] and len(shades) == 4:
        shades[3] = "N"
    if all(shades) and len(set(shades)) == len(shades):
        return tuple(shades)
    numbers = [str(i) for i in indexes]
    mixed = [d or n for d, n in zip(described, numbers, strict=True)]
    return tuple(mixed if len(set(mixed)) == len(mixed) else numbers)


def has_shift(source: Any, name: str) -> bool:
    """Tell whether the numbers are Sentinel-2's of baseline 04.00 or later, not yet brought back."""
    if set(source.dtypes) != {"uint16"} or any(source.offsets):
        return False
    tags = source.tags()
    stated = [tags[t] for t in BASELINE_TAGS if t in tags]
    if stated:
        try:
            return float(stated[0]) >= 4
        except ValueError:
            return False
    tokens = [BASELINE_TOKEN.search(text) for text in (*(tags[t] for t in PRODUCT_TAGS if t in tags), name)]
    return any(int(t[1]) >= 400 for t in tokens if t)
