"""A pretrained model as one safetensors file: its tensors, how to build the network again, and its card."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from embedstore.errors import EncoderError, SpecError
from embedstore.sealed import write_bytes
from embedstore.spec import Modality, canonical_json

if TYPE_CHECKING:
    from pathlib import Path

    import torch

KEY = "embedstore"
"""Under which the header of the file holds ours."""
FORMAT = 1
SCENES, FIXED = "scenes", "fixed"
"""Mean and standard deviation of the bands are those of the scenes that a store begins with, or those of the model."""


@dataclass(frozen=True, slots=True)
class Card:
    """What people should know of a model before they trust it.

    Parameters
    ----------
    recipe, config
        How it was trained.
    summary
        What it is, in a sentence or two.
    data
        What it learned from.
    licence
        Of the weights, with what must be attributed.
    cost
        Steps, chips, seconds, chips per second, device.
    metrics
        What it reached, by name of the measure.
    limits
        What it is not good for.
    """

    recipe: str
    config: str
    summary: str = ""
    data: str = ""
    licence: str = ""
    cost: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts = (self.recipe, self.config, self.summary, self.data, self.licence, *self.limits)
        if not all(isinstance(t, str) for t in texts) or not all(
            isinstance(d, dict) for d in (self.cost, self.metrics)
        ):
            raise SpecError("the card of the model holds something else than texts, costs and metrics.")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from plain data."""
        return cls(**{**data, "limits": tuple(data.get("limits", ()))})


@dataclass(frozen=True, slots=True)
class Model:
    """A network that can be built again.

    Parameters
    ----------
    architecture
        Name of the family: ``clip``, ``mpmae``, ``dense``.
    options
        What its network is built from.
    modalities
        Its inputs: bands in order, with mean and standard deviation of what it was trained on.
    chip_size, gsd
        Side of the chips that it was trained on, in pixels, and metres to a pixel.
    dimension
        Length of its vectors.
    pooling
        How a feature map becomes one vector.
    tensors
        The state of the network, by name.
    normalisation
        :data:`SCENES` or :data:`FIXED`.
    card
        What is known of it.
    """

    architecture: str
    options: dict[str, Any]
    modalities: tuple[Modality, ...]
    chip_size: int
    gsd: float
    dimension: int
    pooling: str
    tensors: dict[str, torch.Tensor]
    normalisation: str = SCENES
    card: Card = field(default_factory=lambda: Card("", ""))

    def __post_init__(self) -> None:
        if not isinstance(self.options, dict) or not isinstance(self.architecture, str):
            raise SpecError(f"a model has a name and options; this one has {self.architecture!r} and {self.options!r}.")
        if not self.modalities or self.chip_size < 1 or self.dimension < 1 or not self.gsd > 0:
            raise SpecError(
                f"a model needs a modality, and chip size, dimension and gsd above 0; {self.architecture!r} has "
                f"{len(self.modalities)}, {self.chip_size}, {self.dimension} and {self.gsd}."
            )
        if self.normalisation not in {SCENES, FIXED}:
            raise SpecError(f"normalisation is {SCENES!r} or {FIXED!r}, not {self.normalisation!r}.")

    def describe(self) -> dict[str, Any]:
        """Return all but the tensors, as plain data."""
        held = {name: getattr(self, name) for name in self.__slots__ if name not in {"tensors", "modalities", "card"}}
        return {
            "format": FORMAT,
            **held,
            "modalities": [asdict(m) for m in self.modalities],
            "card": asdict(self.card),
        }


def write(path: Path, model: Model, *, half: bool = True) -> None:
    """Write a model; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file.
    model
        What to write.
    half
        Whether floating point tensors are kept in half precision.

    Raises
    ------
    EncoderError
        If a tensor holds what is not finite, or is too large for half precision.
    """
    import torch  # noqa: PLC0415
    from safetensors.torch import save  # noqa: PLC0415

    kept = {
        name: (t.to(torch.float16) if half and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in model.tensors.items()
    }
    for name, tensor in kept.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise EncoderError(
                f"tensor {name} of model {model.architecture!r} holds numbers that are not finite"
                f"{' in half precision' if half else ''}; nothing was written to {path}."
            )
    write_bytes(path, save(kept, {KEY: canonical_json(model.describe()).decode()}))


def describe(path: Path) -> dict[str, Any]:
    """Return all that a file says of its model but the tensors, without reading them.

    Raises
    ------
    EncoderError
        If it is no such file.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, "numpy") as file:
            said = json.loads((file.metadata() or {})[KEY])
        if said["format"] != FORMAT:
            raise EncoderError(f"{path} is a model file of format {said['format']}; this release reads {FORMAT}.")
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise EncoderError(
            f"{path} is no model file of embedstore ({_reason(error)}). `embedstore models convert` makes one of a "
            "published checkpoint, `embedstore pretrain` trains one."
        ) from error
    try:
        whole: dict[str, Any] = json.loads(canonical_json(_model(said, {}).describe()))
    except (ValueError, LookupError, TypeError, RecursionError, SpecError) as error:
        raise _not_whole(path, error) from error
    return whole  # what the file leaves out has its usual value


def read(path: Path) -> Model:
    """Read a model; floating point tensors come as float32.

    Raises
    ------
    EncoderError
        If it is no such file, or it is not whole.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    said = describe(path)
    try:
        tensors = {k: t.float() if t.is_floating_point() else t for k, t in load_file(path).items()}
        return _model(said, tensors)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        raise _not_whole(path, error) from error


def _model(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Model:
    """Return the model that a file speaks of; whatever it may raise, the file is none."""
    modalities = tuple(
        Modality(m["name"], tuple(m["bands"]), tuple(m["mean"]), tuple(m["std"])) for m in said["modalities"]
    )
    rest = {k: v for k, v in said.items() if k not in {"format", "modalities", "card"}}
    return Model(**rest, modalities=modalities, tensors=tensors, card=Card.from_dict(said["card"]))


def _not_whole(path: Path, error: Exception) -> EncoderError:
    return EncoderError(f"the model file {path} is not whole ({_reason(error)}). Get it again.")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
