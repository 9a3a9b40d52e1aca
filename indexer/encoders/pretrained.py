"""What the encoders of the three papers share: `NAME:MODEL` ships with the package, `NAME@FILE` is a model file.

A store's spec names the bands that its scenes have, in the model's order. Their mean and standard deviation are those
of the scenes that the store began with, as they were those of the data in training, so that reflectances, digital
numbers and stretched bytes all serve; models whose file says ``fixed`` keep their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from embedstore.errors import BandError, EncoderError
from embedstore.sealed import sha256
from embedstore.spec import EncoderSpec, Modality
from indexer.encoders import model_file
from indexer.encoders.base import WEIGHTS

if TYPE_CHECKING:
    from indexer.encoders.model_file import Model
    from indexer.sample import Sample

SHIPPED = Path(__file__).parent / "weights"
GSD_RATIO = 2.0
"""Scenes may be this much finer or coarser than what a model was trained on."""


class Pretrained:
    """The part of :class:`indexer.encoders.base.Architecture` that is the same for all; a family adds ``load``."""

    family: ClassVar[str]
    needs_every_band: ClassVar[bool] = True
    """Whether a scene must have all bands of the model; a family that was trained with bands missing needs one."""

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name by which a store knows it: a file is named by its digest, never by its path."""
        _, shipped, file = _parse(name)
        if shipped or _is_digest(file):
            return name
        return f"{cls.family}@{sha256(locate(name))[:12]}"

    @classmethod
    def chip_size(cls, name: str) -> int:
        """Return the side of the chips that it was trained on."""
        return int(model_file.describe(locate(name))["chip_size"])

    @classmethod
    def modalities(cls, name: str) -> dict[str, tuple[str, ...]]:
        """Return the modalities that it was trained on, in order, each with its bands."""
        return {m["name"]: tuple(m["bands"]) for m in model_file.describe(locate(name))["modalities"]}

    @classmethod
    def make(cls, name: str, sample: Sample, folder: Path) -> EncoderSpec:
        """Fit a model to the scenes of a new store, and put its file there."""
        path = locate(name)
        model = model_file.read(path)
        if model.architecture != cls.family:
            raise EncoderError(f"{path} holds a model of {model.architecture!r}, not of {cls.family!r}.")
        if not 1 / GSD_RATIO <= sample.gsd / model.gsd <= GSD_RATIO:
            raise EncoderError(
                f"{name} was trained on pixels of {model.gsd:g} m and the scenes have {sample.gsd:g} m. Resample them, "
                "or choose another encoder."
            )
        modalities = tuple(cls.fit(model, one) for one in (sample, *sample.beside))
        (folder / WEIGHTS).write_bytes(path.read_bytes())
        return EncoderSpec(
            cls.canonical(name),
            modalities,
            sample.chip_size,
            sample.gsd,
            model.dimension,
            model.pooling,
            sha256(folder / WEIGHTS),
        )

    @classmethod
    def fit(cls, model: Model, sample: Sample) -> Modality:
        """Return the modality that the scenes are, in the model's order of bands.

        Raises
        ------
        BandError
            If bands are missing, or others are there.
        """
        known = next((m for m in model.modalities if set(sample.bands) <= set(m.bands)), None)
        wanted = model.modalities[0]
        if known is None or (cls.needs_every_band and set(known.bands) != set(sample.bands)):
            missing = [b for b in wanted.bands if b not in sample.bands]
            extra = [b for b in sample.bands if b not in wanted.bands]
            told = [f"missing: {','.join(missing)}"] * bool(missing) + [f"unknown: {','.join(extra)}"] * bool(extra)
            raise BandError(
                f"the model takes the bands {','.join(wanted.bands)}; {'; '.join(told)}. Name bands with --bands, and "
                "call those of the scenes as the model does (GDAL band descriptions)."
            )
        order = tuple(b for b in known.bands if b in sample.bands)
        if order != sample.bands:
            raise BandError(
                f"the model takes the bands in the order {','.join(order)}, not {','.join(sample.bands)}; give "
                f"--bands {','.join(order)}."
            )
        if model.normalisation == model_file.SCENES:
            return sample.modality(known.name)
        at = [known.bands.index(b) for b in sample.bands]
        return Modality(known.name, sample.bands, tuple(known.mean[i] for i in at), tuple(known.std[i] for i in at))


def _parse(name: str) -> tuple[str, str, str]:
    """Return family, name of a shipped model or "", file or ""."""
    family, at, file = name.partition("@")
    if at:
        return family, "", file
    family, _, shipped = name.partition(":")
    return family, shipped, ""


def locate(name: str) -> Path:
    """Return the file of a model by its name, ``FAMILY:MODEL`` or ``FAMILY@FILE``.

    Raises
    ------
    EncoderError
        If it is nowhere.
    """
    family, shipped, file = _parse(name)
    if _is_digest(file):
        raise EncoderError(f"{name!r} names a model by its digest, and only a store has it; give its file.")
    path = Path(file) if file else SHIPPED / f"{family}-{shipped}.safetensors"
    if not path.is_file():
        ships = ", ".join(
            sorted(p.stem.replace("-", ":", 1) for p in SHIPPED.glob("*") if p.stem.startswith(f"{family}-"))
        )
        raise EncoderError(f"there is no model {name!r}; {f'known are {ships}, and ' if ships else ''}{family}@FILE.")
    return path


def _is_digest(source: str) -> bool:
    return len(source) == 12 and set(source) <= set("0123456789abcdef") and not Path(source).exists()
