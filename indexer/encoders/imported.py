"""Models whose vectors were imported: known by name, and not here to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from embedstore.errors import AbsentModelError
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from pathlib import Path

    from embedstore.spec import EncoderSpec
    from indexer.encoders.base import Encoder
    from indexer.sample import Sample

PREFIX = "imported:"
"""Begins the names of their encoders, so that none is taken for one of ours."""


def refuse(name: str) -> NoReturn:
    """Raise AbsentModelError, which says what can be done instead of encoding."""
    raise AbsentModelError(
        f"the model {name.removeprefix(PREFIX)} is not here: its vectors were imported. Search by id, place or "
        "vector; encode chips and scenes into a store of their own."
    )


@register(PREFIX + "*")
class Imported:
    """Answers every wish for such a model by saying that it is not here."""

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name."""
        return name

    @classmethod
    def chip_size(cls, name: str) -> int:
        """Refuse."""
        refuse(name)

    @classmethod
    def modalities(cls, name: str) -> dict[str, tuple[str, ...]]:
        """Refuse."""
        refuse(name)

    @classmethod
    def make(cls, name: str, sample: Sample, folder: Path) -> EncoderSpec:  # noqa: ARG003 - the protocol's names
        """Refuse."""
        refuse(name)

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> Encoder:  # noqa: ARG003 - the protocol's names
        """Refuse."""
        refuse(spec.name)
