"""A recipe and a source as small as can be: a few numbers are put together again from a few of them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import SpecError
from indexer.encoders.model_file import Card, Model
from indexer.pretrain import recipe as recipes
from indexer.pretrain.modalities import OPTICAL
from indexer.pretrain.recipe import Schedule
from indexer.pretrain.sources.batch import Batch

if TYPE_CHECKING:
    import torch

    from embedstore.spec import Modality

SIZE = 8


class Speckle:
    """Chips of noise whose bands hang together; no two dates alike."""

    def __init__(self, name: str = "speckle", slow: float = 0.0, bands: tuple[str, ...] = OPTICAL) -> None:
        self.name, self.slow, self.bands = name, slow, bands

    def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:
        time.sleep(self.slow if count <= 8 else 0)  # not where statistics are drawn
        lon, lat = rng.uniform(-10, 10, count), rng.uniform(40, 50, count)
        batches = []
        for _ in range(dates):
            light = rng.uniform(0.05, 0.5, (count, 1, size, size))
            pixels = (light + rng.normal(0, 0.01, (count, len(self.bands), size, size))).astype(np.float32)
            pixels[0, 0, 0, 0] = np.nan
            batches.append(Batch({"optical": pixels}, {}, {}, {}, lon, lat, 10.0))
        return tuple(batches)

    def describe(self) -> str:
        return f"noise ({self.name})"


class Tiny:
    """Fill in masked bands."""

    def __init__(self, config: str, width: int = 4, lr: float = 1e-2) -> None:
        if not isinstance(width, int) or width < 1:
            raise SpecError(f"width must be 1 or more, not {width!r}.")
        self.size, self.dates, self.width = SIZE, 1 if config == "small" else 2, width
        self.schedule = Schedule(batch=8, steps=12, warmup=2, lr=lr, clip=1.0)
        self._modality: Modality | None = None

    def network(self, statistics: dict[str, Modality]) -> torch.nn.Module:
        import torch

        self._modality = statistics["optical"]
        bands = len(OPTICAL)
        return torch.nn.ModuleDict(
            {
                "encoder": torch.nn.Conv2d(bands, self.width, 1),
                "drop": torch.nn.Dropout(0.1),
                "norm": torch.nn.GroupNorm(1, self.width),
                "decoder": torch.nn.Conv2d(self.width, bands, 1),
            }
        )

    def loss(
        self, network: torch.nn.Module, batches: tuple[Batch, ...], generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        import torch

        assert len(batches) == self.dates
        modules: Any = network
        modality = self._modality
        assert modality is not None
        x = torch.from_numpy(batches[0].pixels["optical"])
        z = (x - torch.tensor(modality.mean).view(-1, 1, 1)) / torch.tensor(modality.std).view(-1, 1, 1)
        z = z.nan_to_num(0)
        keep = torch.rand(len(z), z.shape[1], 1, 1, generator=generator) > 0.5
        out = modules["decoder"](modules["norm"](modules["drop"](modules["encoder"](z * keep))))
        fill = ((out - z) ** 2).mean()
        size = out.square().mean()
        return {"loss": fill + 0.01 * size, "fill": fill, "size": size}

    def model(self, network: torch.nn.Module) -> Model:
        assert self._modality is not None
        modules: Any = network
        tensors = modules["encoder"].state_dict()
        card = Card("", "", summary="A test's own.", limits=("anything",))
        return Model(
            "tiny", {"width": self.width}, (self._modality,), SIZE, 10.0, self.width, "avg", tensors, card=card
        )


recipes.register("tiny")(Tiny)


def main() -> None:
    """Train in a process of its own: OUT STEPS SLOW [MICRO_BATCH]; the environment says more, as torchrun does."""
    import torch

    from indexer.pretrain.loop import train

    torch.set_num_threads(1)
    out, steps, slow = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    micro = int(sys.argv[4]) if len(sys.argv) > 4 else None
    train(
        Tiny("small"), Speckle(slow=slow), out, config="small", steps=steps, micro_batch=micro, device="cpu",
        checkpoint_steps=5,
    )  # fmt: skip


if __name__ == "__main__":
    main()
