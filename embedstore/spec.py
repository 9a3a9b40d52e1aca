"""What a store is made of, said once: frozen specifications that are valid from birth.

A specification is plain data. It turns into JSON and back, and its fingerprint (SHA-256 of its canonical JSON)
tells whether two vectors are of the same making.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from embedstore.errors import SpecError

PREPROCESSING = 1
"""Version of the way from pixels to network input. Raised whenever stored vectors would come out different."""


def canonical_json(value: object) -> bytes:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: object) -> str:
    """Return the hex SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


@dataclass(frozen=True, slots=True)
class Modality:
    """One kind of input to an encoder.

    Parameters
    ----------
    name
        ``optical``, ``sar``, ``coherence``, ….
    bands
        Band names in the order in which the network takes them.
    mean, std
        Per band, in the units of the pixels after scale and offset; the network sees ``(x - mean) / std``,
        and 0 (the mean) where there is no data.
    """

    name: str
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.bands:
            raise SpecError(f"modality {self.name!r} names no bands; give at least one.")
        if len(set(self.bands)) != len(self.bands):
            raise SpecError(f"modality {self.name!r} names a band twice: {', '.join(self.bands)}.")
        if not len(self.bands) == len(self.mean) == len(self.std):
            raise SpecError(
                f"modality {self.name!r} has {len(self.bands)} bands, {len(self.mean)} means and "
                f"{len(self.std)} standard deviations; give one of each a band."
            )
        try:
            finite = all(map(math.isfinite, (*self.mean, *self.std)))
        except TypeError:
            finite = False
        if not finite:
            raise SpecError(f"modality {self.name!r} has a mean or standard deviation that is no number.")
        if any(not s > 0 for s in self.std):
            raise SpecError(f"modality {self.name!r} has a standard deviation that is not above 0: {self.std}.")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """The making of a vector, whole: two vectors compare if and only if their fingerprints are equal.

    Parameters
    ----------
    name
        Name in the encoder registry, e.g. ``rcf`` or ``timm:convnextv2_atto``.
    modalities
        The inputs, in the order of the bits of the table's ``modalities`` column.
    chip_size
        Side of the square chip in pixels.
    gsd
        Ground sample distance of a pixel in metres.
    dimension
        Length of the vector.
    pooling
        How a feature map became one vector.
    weights_sha256
        Digest of the weights file, or "" if there are none.
    options
        What else the architecture needs to be built again.
    preprocessing
        Version of the preprocessing, :data:`PREPROCESSING` when the encoder was made.
    """

    name: str
    modalities: tuple[Modality, ...]
    chip_size: int
    gsd: float
    dimension: int
    pooling: str
    weights_sha256: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    preprocessing: int = PREPROCESSING

    def __post_init__(self) -> None:
        if not 1 <= len(self.modalities) <= 31:
            raise SpecError(f"encoder {self.name!r} has {len(self.modalities)} modalities; it takes 1 to 31.")
        names = [m.name for m in self.modalities]
        if len(set(names)) != len(names):
            raise SpecError(f"encoder {self.name!r} names a modality twice: {', '.join(names)}.")
        if self.chip_size < 1 or self.dimension < 1 or not self.gsd > 0:
            raise SpecError(
                f"encoder {self.name!r} needs chip size, dimension and ground sample distance above 0; "
                f"it has {self.chip_size}, {self.dimension} and {self.gsd}."
            )

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the canonical JSON of this specification."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from :meth:`to_dict`."""
        modalities = tuple(
            Modality(m["name"], tuple(m["bands"]), tuple(m["mean"]), tuple(m["std"])) for m in data["modalities"]
        )
        return cls(**{**data, "modalities": modalities})


@dataclass(frozen=True, slots=True)
class GridSpec:
    """Where rows go: fixed when the store is made.

    Parameters
    ----------
    h3_resolution
        Resolution of the ``h3`` column, the spatial order of rows.
    partition_resolution
        Resolution of the ``h3_cell`` partition.
    """

    h3_resolution: int
    partition_resolution: int

    def __post_init__(self) -> None:
        if not 0 <= self.partition_resolution <= self.h3_resolution <= 15:
            raise SpecError(
                f"a grid needs 0 <= partition resolution <= h3 resolution <= 15, not "
                f"{self.partition_resolution} and {self.h3_resolution}."
            )

    @classmethod
    def for_chips(cls, side: float) -> Self:
        """Choose resolutions for square chips.

        A fine cell is no wider than a chip; a partition holds about 200,000 chips laid side by side.

        Parameters
        ----------
        side
            Side of a chip on the ground in metres.
        """
        area = side * side
        fine = next((r for r in range(16) if _CELL_AREA[r] <= area), 15)
        partition = max((r for r in range(16) if _CELL_AREA[r] >= 100_000 * area), default=0)
        return cls(fine, min(partition, fine))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from :meth:`to_dict`."""
        return cls(**data)


# Mean area of an H3 cell in m², by resolution: resolution 0 has 122 cells, each level has seven times as many
# (the surface of the sphere, 5.1e14 m², over 2 + 120·7^r).
_CELL_AREA = tuple(5.10066e14 / (2 + 120 * 7**r) for r in range(16))


QUANTIZERS = ("rabitq", "pq")


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """How vectors are quantised for search.

    Parameters
    ----------
    factory
        FAISS index factory string of the codebook, e.g. ``RR256,IVF1024,RaBitQ``.
    metric
        Always ``cosine``: vectors are unit length and compared by inner product.
    """

    factory: str
    metric: str = "cosine"

    def __post_init__(self) -> None:
        if self.metric != "cosine":
            raise SpecError(f"metric {self.metric!r} is not known; vectors are compared by 'cosine'.")

    @property
    def quantizer(self) -> str:
        """Its quantiser, as :meth:`for_rows` names it."""
        return "rabitq" if "RaBitQ" in self.factory else "pq"

    @staticmethod
    def check_quantizer(name: str) -> None:
        """Raise SpecError if there is no quantiser of this name."""
        if name not in QUANTIZERS:
            raise SpecError(f"quantizer {name!r} is not known; choose {' or '.join(map(repr, QUANTIZERS))}.")

    @classmethod
    def for_rows(cls, rows: int, dimension: int, fineness: int = 0, quantizer: str = "rabitq") -> Self:
        """Choose how to quantise this many vectors.

        Parameters
        ----------
        rows
            About 4·√rows inverted lists, rounded down to a power of two.
        dimension
            Of the vectors.
        fineness
            How often to double the bits of a code, for vectors that are hard to quantise.
        quantizer
            ``rabitq`` (RaBitQ, Gao & Long 2024, after a random rotation: one bit a dimension, more below 64
            dimensions) or ``pq`` (a product quantiser after a trained rotation, OPQ, Ge et al. 2013: a byte for eight
            dimensions or more, at most 64 bytes).

        Raises
        ------
        SpecError
            If the quantiser is another.
        """
        cls.check_quantizer(quantizer)
        lists = 1 << max(4, round(4 * rows**0.5).bit_length() - 1)
        if quantizer == "rabitq":
            bits = 1 << max(0, min(3, (63 // dimension).bit_length()))
            bits = min(8, bits << fineness)
            return cls(f"RR{dimension},IVF{lists},RaBitQ{bits if bits > 1 else ''}")
        fitting = [m for m in range(1, dimension + 1) if dimension % m == 0]
        codes = max((m for m in fitting if m <= 64 and dimension >= 8 * m), default=1) if dimension >= 16 else dimension
        finer = [m for m in fitting if codes < m <= codes << fineness]
        codes = max(finer, default=codes)
        return cls(f"OPQ{codes},IVF{lists},PQ{codes}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from :meth:`to_dict`."""
        return cls(**data)
