"""What a recipe is: a network with a loss, how it is optimised, and what of it becomes an encoder."""

from __future__ import annotations

import importlib
import inspect
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from embedstore.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from embedstore.spec import Modality
    from indexer.encoders.model_file import Model
    from indexer.pretrain.sources.batch import Batch

CONFIGS = ("small", "paper")
"""`small` trains on a CPU in minutes and ships; `paper` is what the paper had, as far as that is known."""
_OURS = ("clip", "mpmae", "dense")
_RECIPES: dict[str, type[Recipe]] = {}


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is optimised: AdamW, linear warm-up, then half a cosine to zero.

    Parameters
    ----------
    batch
        Chips of one step of the optimiser, over all devices and accumulated passes.
    steps, warmup
        Steps in all, and of the warm-up.
    lr, weight_decay, betas
        Of AdamW; the highest rate.
    clip
        Greatest norm of the gradient, or 0 for any.
    """

    batch: int
    steps: int
    warmup: int
    lr: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 0.0

    def __post_init__(self) -> None:
        if self.batch < 1 or self.steps < 1 or not 0 <= self.warmup <= self.steps:
            raise SpecError(f"a schedule needs a batch, steps and no more warm-up than steps, not {self}.")
        if not self.lr > 0 or self.weight_decay < 0 or self.clip < 0:
            raise SpecError(
                f"a schedule needs a learning rate above 0 and no negative weight decay or clip, not {self}."
            )

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return self.lr * (1 + math.cos(math.pi * (step - self.warmup) / (self.steps - self.warmup))) / 2

    def scaled(self, steps: int | None = None, batch: int | None = None) -> Schedule:
        """Return it for other steps, with the same share of warm-up, and another batch, with the rate in proportion.

        The rate follows the batch as in Goyal et al. 2017, "Accurate, large minibatch SGD".

        Raises
        ------
        SpecError
            If one of them is below 1.
        """
        steps, batch = self.steps if steps is None else steps, self.batch if batch is None else batch
        warmup = round(self.warmup * steps / self.steps)
        return replace(self, steps=steps, batch=batch, warmup=warmup, lr=self.lr * max(batch, 1) / self.batch)


class Recipe(Protocol):
    """One way of pretraining, made for a configuration: ``Recipe(config, **options)``.

    Attributes
    ----------
    size, dates
        What a draw must give: side of the chips in pixels, and acquisitions of each.
    schedule
        Where nobody says another.
    """

    size: int
    dates: int
    schedule: Schedule

    def __init__(self, config: str, **options: Any) -> None: ...

    def network(self, statistics: dict[str, Modality]) -> torch.nn.Module:
        """Return everything that is trained, with parameters drawn from torch's own generator.

        Parameters
        ----------
        statistics
            Mean and standard deviation of each pixel modality of the data.
        """
        ...

    def loss(
        self, network: torch.nn.Module, batches: tuple[Batch, ...], generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the loss under ``loss`` and its parts under names of their own.

        All chance (masks, dropped channels, sampled pixels) comes from the generator, which lives on the CPU; the
        batches go to the device of the network's parameters.
        """
        ...

    def model(self, network: torch.nn.Module) -> Model:
        """Return what becomes an encoder, without a card."""
        ...


R = TypeVar("R", bound="Recipe")


def register(name: str) -> Callable[[type[R]], type[R]]:
    """Register a recipe under a name."""

    def keep(recipe: type[R]) -> type[R]:
        _RECIPES[name] = recipe
        return recipe

    return keep


def find(name: str) -> type[Recipe]:
    """Return the recipe of a name.

    Raises
    ------
    SpecError
        If there is none.
    """
    if name not in _RECIPES:
        for module in _OURS:
            importlib.import_module(f"indexer.pretrain.recipes.{module}")
    if name not in _RECIPES:
        raise SpecError(f"there is no recipe {name!r}; known are {', '.join(sorted(_RECIPES))}.")
    return _RECIPES[name]


def name_of(recipe: Recipe) -> str:
    """Return the name under which a recipe is registered, or that of its class if it is not."""
    return next((name for name, known in _RECIPES.items() if type(recipe) is known), type(recipe).__name__)


def make(name: str, config: str, options: Mapping[str, Any]) -> Recipe:
    """Make a recipe for a configuration.

    Raises
    ------
    SpecError
        If there is no such recipe or configuration, or the recipe has no such option.
    """
    recipe = find(name)
    if config not in CONFIGS:
        raise SpecError(f"there is no configuration {config!r}; choose {' or '.join(CONFIGS)}.")
    try:
        inspect.signature(recipe).bind(config, **options)
    except TypeError as error:
        known = ", ".join(list(inspect.signature(recipe).parameters)[1:]) or "none"
        raise SpecError(
            f"recipe {name} does not take {', '.join(options)} ({error}); its options are: {known}."
        ) from error
    return recipe(config, **options)
