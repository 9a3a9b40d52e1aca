"""`mpmae:atto`, `mpmae@FILE`: ConvNeXt V2 pre-trained to tell hidden patches, other sensors and maps (MP-MAE).

The vector of a chip is the mean of the last feature map, without a final norm, as in MMEarth. Chips of any size will
do that give a cell: one patch, and two pixels more for converted models of patch 8 without padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedstore.errors import BandError, EncoderError
from indexer.encoders import mmearth, model_file
from indexer.encoders.base import WEIGHTS, unit
from indexer.encoders.device import Runner
from indexer.encoders.pretrained import Pretrained
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec, Modality
    from indexer.encoders.model_file import Model
    from indexer.sample import Sample


@register("mpmae[:@]*")
class MaskedAutoencoder(Pretrained):
    """See the module."""

    family: ClassVar[str] = "mpmae"

    def __init__(self, spec: EncoderSpec, folder: Path, device: str) -> None:
        model = model_file.read(folder / WEIGHTS)
        self.spec = spec
        self._fixed = model.normalisation == model_file.FIXED
        self._run = Runner(build(model), spec.modalities[0], device, chip_size=spec.chip_size, half=True)
        self.device, self.lanes, self.batch = self._run.device, self._run.lanes, self._run.batch

    @classmethod
    def fit(cls, model: Model, sample: Sample) -> Modality:
        """Return the modality that the scenes are; see :meth:`Pretrained.fit`.

        Raises
        ------
        BandError
            As there, or if the model has statistics of its own and the scenes other units.
        EncoderError
            If the chips are too small.
        """
        modality = super().fit(model, sample)
        least = build(model).least
        if sample.chip_size < least:
            raise EncoderError(
                f"chips of {sample.chip_size} pixels are too small for a model of patches of {model.options['patch']}; "
                f"give --chip-size {least} or more."
            )
        if model.normalisation == model_file.FIXED:
            mmearth.check_units(sample.pixels.swapaxes(0, 1)[:, sample.valid])
        return modality

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> MaskedAutoencoder:
        """Load an encoder from its folder."""
        return cls(spec, folder, device)

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors; see :class:`indexer.encoders.base.Encoder`.

        Raises
        ------
        BandError
            If there are more or fewer bands than the encoder's, pixels are NaN that are said to hold data, or a model
            with statistics of its own gets reflectance from 0 to 1.
        """
        (modality,) = self.spec.modalities
        chips = pixels[modality.name]
        if chips.shape[1] != len(modality.bands):
            raise BandError(
                f"encoder {self.spec.name} takes {len(modality.bands)} bands ({','.join(modality.bands)}), and the "
                f"chips have {chips.shape[1]}."
            )
        lost = ~np.isfinite(chips)
        if lost.any():
            bands = [modality.bands[i] for i in np.unique(np.nonzero(lost & valid[:, None])[1])]
            if bands:
                raise BandError(
                    f"pixels of {','.join(bands)} are NaN where they are said to hold data; mark them as nodata."
                )
            chips = np.where(lost, np.float32(0), chips)
        if self._fixed:
            mmearth.check_chips(chips)
        return unit(self._run(chips, valid), self.spec.name)


def build(model: Model) -> Any:
    """Return the network of a model, with its weights.

    Raises
    ------
    EncoderError
        If the tensors are not those of the network that the file names.
    """
    from indexer.networks.convnextv2 import ConvNeXtV2  # noqa: PLC0415

    try:
        network = ConvNeXtV2(len(model.modalities[0].bands), **model.options)
        network.load_state_dict(model.tensors)
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise EncoderError(f"the model file of {model.architecture} does not fit its network: {reason}.") from error
    return network
