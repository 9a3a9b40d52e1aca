"""Encoders by name: `rcf`, `timm:convnextv2_atto@random`, ….

An encoder is made once, from a sample of the scenes, as a spec and a weights file; the store keeps both, and from then
on everybody loads it from there.
"""

from __future__ import annotations

import fnmatch
import importlib
from typing import TYPE_CHECKING, TypeVar

from embedstore.errors import EncoderError
from embedstore.sealed import digest_of
from embedstore.spec import PREPROCESSING
from indexer.encoders.base import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedstore.spec import EncoderSpec
    from indexer.encoders.base import Architecture, Encoder
    from indexer.sample import Sample

A = TypeVar("A", bound="Architecture")

_ARCHITECTURES: dict[str, type[Architecture]] = {}
_OURS = ("rcf", "timm_backbone", "dense", "clip", "mpmae", "imported")


def register(pattern: str) -> Callable[[type[A]], type[A]]:
    """Register an architecture under a name, which may hold wildcards (``timm:*``)."""

    def keep(architecture: type[A]) -> type[A]:
        _ARCHITECTURES[pattern] = architecture
        return architecture

    return keep


def find(name: str) -> type[Architecture]:
    """Return the architecture of a name.

    Raises
    ------
    EncoderError
        If there is none.
    """
    for module in _OURS:
        importlib.import_module(f"indexer.encoders.{module}")
    found = [a for pattern, a in _ARCHITECTURES.items() if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        known = sorted(pattern for pattern in _ARCHITECTURES if not pattern.startswith("imported:"))
        raise EncoderError(f"there is no encoder {name!r}; known are {', '.join(known)}.")
    return found[0]


def canonical(name: str) -> str:
    """Return the name by which a store knows an encoder: a weights file is named by its digest, never by its path.

    Raises
    ------
    EncoderError
        If there is no such architecture, or no such file.
    """
    return find(name).canonical(name)


def chip_size(name: str) -> int:
    """Return the side of an encoder's chips in pixels, where nobody says another.

    Raises
    ------
    EncoderError
        If there is no such encoder.
    """
    return find(name).chip_size(name)


def modalities(name: str) -> dict[str, tuple[str, ...]]:
    """Return the modalities that an encoder takes, in order, each with the bands that it was trained on.

    A modality without bands takes any.

    Raises
    ------
    EncoderError
        If there is no such encoder.
    """
    return find(name).modalities(name)


def bands(name: str) -> tuple[str, ...]:
    """Return the bands of an encoder's first modality, in order; none if any will do.

    Raises
    ------
    EncoderError
        If there is no such encoder.
    """
    return next(iter(modalities(name).values()))


def make(name: str, sample: Sample, folder: Path) -> EncoderSpec:
    """Make an encoder for scenes like the sample; its weights go into `folder`.

    Raises
    ------
    EncoderError
        If there is no such encoder, or its weights cannot be had.
    """
    return find(name).make(name, sample, folder)


def load(folder: Path, spec: EncoderSpec, device: str = "auto") -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    folder
        Where its weights are, :attr:`embedstore.store.Store.encoder_folder`.
    spec
        What it must be.
    device
        ``cpu``, ``cuda``, or ``auto``: CUDA if there is any.

    Raises
    ------
    EncoderError
        If the weights are missing or not those of the spec, or another version of the preprocessing made it; or the
        store's vectors were imported, and their model is not here.
    """
    if spec.name.startswith("imported:"):
        return find(spec.name).load(spec, folder, device)
    if spec.preprocessing != PREPROCESSING:
        raise EncoderError(
            f"encoder {spec.name} was made for version {spec.preprocessing} of the preprocessing; this is version "
            f"{PREPROCESSING}. Use the release of embedstore that made the store."
        )
    weights = folder / WEIGHTS
    if digest_of(weights) != spec.weights_sha256:
        raise EncoderError(
            f"{weights} is missing or not what encoder {spec.name} was made with. Restore it from a copy of the store."
        )
    return find(spec.name).load(spec, folder, device)
