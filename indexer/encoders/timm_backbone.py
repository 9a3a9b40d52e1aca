"""`timm:MODEL`: any backbone of timm (PyTorch Image Models) as an encoder.

``timm:MODEL`` takes the weights that timm names for it, ``timm:MODEL@FILE`` takes a file (safetensors, or a torch
state dict), ``timm:MODEL@random`` a seeded random start. The first convolution is fitted to the number of bands as
timm does it, and features are pooled as the model pools them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstore.errors import EncoderError
from embedstore.sealed import sha256
from embedstore.spec import EncoderSpec
from indexer.encoders.base import WEIGHTS, unit
from indexer.encoders.device import Runner
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from indexer.sample import Sample

SEED = 20220110


@register("timm:*")
class TimmBackbone:
    """See the module."""

    def __init__(self, spec: EncoderSpec, folder: Path, device: str) -> None:
        from safetensors.torch import load_file  # noqa: PLC0415

        model, _ = _parse(spec.name)
        network = _create(model, len(spec.modalities[0].bands), spec.chip_size)
        network.load_state_dict(load_file(folder / WEIGHTS))
        self.spec = spec
        self._run = Runner(network, spec.modalities[0], device, chip_size=spec.chip_size, half=True)
        self.device, self.lanes, self.batch = self._run.device, self._run.lanes, self._run.batch

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name by which a store knows it."""
        model, source = _parse(name)
        if source in {"", "random"} or _is_digest(source):
            return name
        path = Path(source)
        if not path.is_file():
            raise EncoderError(f"there is no weights file {path}; give timm:{model}@FILE or timm:{model}@random.")
        return f"timm:{model}@{sha256(path)[:12]}"

    @classmethod
    def chip_size(cls, name: str) -> int:
        """Return the side of the images that the model was made for."""
        model = _parse(name)[0]
        return int(_known(model).input_size[-1])

    @classmethod
    def modalities(cls, name: str) -> dict[str, tuple[str, ...]]:  # noqa: ARG003 - the protocol's name
        """Return the one: any number of bands will do."""
        return {"optical": ()}

    @classmethod
    def make(cls, name: str, sample: Sample, folder: Path) -> EncoderSpec:
        """Create the network, fill it, and write its weights."""
        import torch  # noqa: PLC0415
        from safetensors.torch import save_file  # noqa: PLC0415

        model, source = _parse(name)
        if _is_digest(source):
            raise EncoderError(f"{name!r} names weights by their digest, and only a store has them; give their file.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = _create(model, len(sample.bands), sample.chip_size, **_weights(source)).eval()
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / WEIGHTS)
        size = sample.chip_size
        try:
            with torch.inference_mode():
                dimension = int(network(torch.zeros(1, len(sample.bands), size, size)).shape[1])
        except RuntimeError as error:
            raise EncoderError(
                f"the model {model} cannot take chips of {size} pixels: {error} Give a larger --chip-size."
            ) from error
        return EncoderSpec(
            cls.canonical(name),
            (sample.modality("optical"),),
            sample.chip_size,
            sample.gsd,
            dimension,
            str(getattr(network, "global_pool", "") or "avg"),
            sha256(folder / WEIGHTS),
        )

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> TimmBackbone:
        """Load an encoder from its folder."""
        return cls(spec, folder, device)

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors; see :class:`indexer.encoders.base.Encoder`."""
        return unit(self._run(pixels[self.spec.modalities[0].name], valid), self.spec.name)


def _parse(name: str) -> tuple[str, str]:
    """Return model and source of the weights; the source is "" for timm's own."""
    model, _, source = name.removeprefix("timm:").partition("@")
    return model, source


def _known(model: str) -> Any:
    """Return what timm knows of a model.

    Raises
    ------
    EncoderError
        If it knows none of this name.
    """
    import timm  # noqa: PLC0415

    if not timm.is_model(model.partition(".")[0]):
        near = ", ".join(timm.list_models(f"*{model.partition('_')[0]}*")[:5])
        raise EncoderError(
            f"timm has no model {model!r}{f'; near are {near}' if near else ''}. See timm.list_models()."
        )
    return timm.models.get_pretrained_cfg(model)


def _weights(source: str) -> dict[str, Any]:
    """Return how timm is told where the weights are."""
    if source == "random":
        return {}
    overlay = {"pretrained_cfg_overlay": {"state_dict": _read(Path(source))}} if source else {}
    return {"pretrained": True, **overlay}


def _is_digest(source: str) -> bool:
    return len(source) == 12 and set(source) <= set("0123456789abcdef") and not Path(source).exists()


def _create(model: str, bands: int, size: int, **pretrained: Any) -> Any:
    """Build a network without a classifier; those with a fixed input size get the size of a chip.

    Raises
    ------
    EncoderError
        If timm has no such model, it cannot take such chips, or its weights cannot be had.
    """
    import timm  # noqa: PLC0415

    _known(model)
    try:
        try:
            return timm.create_model(model, num_classes=0, in_chans=bands, img_size=size, **pretrained)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            return timm.create_model(model, num_classes=0, in_chans=bands, **pretrained)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        remedy = "give another --chip-size or model"
        if pretrained.get("pretrained"):
            remedy = f"give timm:{model}@FILE.safetensors with weights of your own, or timm:{model}@random"
        raise EncoderError(
            f"the model {model} with {bands} bands and chips of {size} pixels cannot be had: {reason}; {remedy}."
        ) from error


def _read(path: Path) -> dict[str, Any]:
    """Read a state dict; never unpickle anything but tensors.

    Raises
    ------
    EncoderError
        If the file holds none.
    """
    import pickle  # noqa: PLC0415 - for its error only

    import torch  # noqa: PLC0415
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415
    from timm.models import clean_state_dict  # noqa: PLC0415

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model"):
            held = held.get(key, held)
        return dict(clean_state_dict(held))
    except (OSError, RuntimeError, AttributeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise EncoderError(
            f"{path} holds no weights that can be read: {reason}. Give safetensors, or a torch file of tensors only."
        ) from error
