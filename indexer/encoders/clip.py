"""`clip:small`, `clip@FILE`: what :mod:`indexer.pretrain.recipes.clip` trains; one vector of whatever is there.

A chip's vector is the mean of the unit vectors of the modalities that it has, scaled to length one. A store's spec
names the modalities that its first scenes have, and of each the bands that they have; a band that the model knows and
the scenes lack is 0 after z-score, which the towers have met in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import EncoderError
from indexer.encoders import model_file
from indexer.encoders.base import WEIGHTS, unit
from indexer.encoders.device import Runner
from indexer.encoders.pretrained import Pretrained
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec


@register("clip[:@]*")
class Clip(Pretrained):
    """See the module."""

    family = "clip"
    needs_every_band = False

    def __init__(self, spec: EncoderSpec, folder: Path, device: str) -> None:
        towers, bands = _towers(folder)
        self.spec = spec
        self._run = {
            m.name: Runner(
                _among(towers[m.name], bands[m.name], m.bands), m, device, chip_size=spec.chip_size, half=True
            )
            for m in spec.modalities
        }
        one = next(iter(self._run.values()))
        self.device, self.lanes, self.batch = one.device, one.lanes, one.batch

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> Clip:
        """Load an encoder from its folder."""
        return cls(spec, folder, device)

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors; see :class:`indexer.encoders.base.Encoder`.

        Raises
        ------
        EncoderError
            If a chip has no modality.
        """
        total = np.zeros((len(valid), self.spec.dimension), np.float32)
        seen = np.zeros(len(valid), bool)
        for modality in self.spec.modalities:
            if modality.name not in pixels:
                continue
            x = pixels[modality.name]
            holes = np.isnan(x)
            has = (~holes & valid[:, None]).any(axis=(1, 2, 3))
            if holes.any():
                x = np.where(holes, np.array(modality.mean, np.float32)[:, None, None], x)
            if has.any():
                total[has] += unit(self._run[modality.name](x[has], valid[has]), self.spec.name)
            seen |= has
        if not seen.all():
            raise EncoderError(
                f"{np.count_nonzero(~seen)} of {len(valid)} chips have no data in any of "
                f"{', '.join(m.name for m in self.spec.modalities)}; a chip without a modality has no vector. Leave "
                "such chips out."
            )
        return unit(total, self.spec.name)


def _towers(folder: Path) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """Return the towers of the model in a folder, and the bands that each was trained on."""
    from indexer.networks.vit import Size, towers  # noqa: PLC0415

    model = model_file.read(folder / WEIGHTS)
    built = towers({m.name: len(m.bands) for m in model.modalities}, Size(**model.options))
    try:
        built.load_state_dict(model.tensors)
    except RuntimeError as error:
        raise EncoderError(
            f"{folder / WEIGHTS} does not hold the towers that it says: {str(error).splitlines()[0]} Get it again."
        ) from error
    return built, {m.name: m.bands for m in model.modalities}


def _among(tower: Any, known: tuple[str, ...], given: tuple[str, ...]) -> Any:
    """Return a network that takes some of a tower's bands and shows it 0 in place of the others."""
    import torch  # noqa: PLC0415

    if known == given:
        return tower

    class Among(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = tower
            self.at = [known.index(b) for b in given]

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            whole = z.new_zeros(len(z), len(known), *z.shape[2:])
            whole[:, self.at] = z
            return tower(whole)  # type: ignore[no-any-return]

    return Among()
