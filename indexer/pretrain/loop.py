"""The training loop: what `embedstore pretrain` does."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstore.cores import cores
from embedstore.errors import InputError, LimitError
from indexer.pretrain import recipe as recipes
from indexer.pretrain.distributed import ranks
from indexer.pretrain.run import Begun, Run, held, piece_of
from indexer.pretrain.sources.statistics import statistics
from indexer.pretrain.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from indexer.pretrain.distributed import Ranks
    from indexer.pretrain.recipe import Recipe
    from indexer.pretrain.sources.batch import Source
    from indexer.pretrain.training import Report, Status

CHECKPOINT_SECONDS = 10.0
MOST_WORKERS = 16
PRECISIONS = ("auto", "float32", "bfloat16")


def train(
    recipe: Recipe,
    source: Source,
    out: str | Path,
    *,
    config: str = "",
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    micro_batch: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    checkpoint_steps: int | None = None,
    progress: Callable[[Status], None] | None = None,
) -> Report:
    """Train a recipe and write its model; called again after an interruption, it goes on where it stopped.

    The losses of a run that was interrupted are those of one that was not: bit by bit on the CPU with one thread, and
    within rounding elsewhere. A run may go on with another number of processes or on another device.

    Parameters
    ----------
    recipe
        What to train, made for a configuration.
    source
        What from.
    out
        The run's folder; see :mod:`indexer.pretrain.run`.
    config, options
        What the recipe was made for, to be told in the model's card and to know the run again.
    steps, batch
        Instead of the recipe's; see :meth:`Schedule.scaled`.
    micro_batch
        Chips that go through the network at once; gradients of several passes are summed up to a batch. The batch's
        share of a process if None, or what the run was begun with. Losses that compare chips with one another see
        those of one pass.
    seed
        Of all chance.
    device
        ``cpu``, ``cuda``, or ``auto``.
    precision
        In what matrices are multiplied: ``float32``, ``bfloat16``, or ``auto``, which is bfloat16 on CUDA alone. Newer
        processors gain by bfloat16 too.
    workers
        Processes that draw chips, 0 for a thread of this process; by default a thread for the CPU, and for a GPU
        as many processes as there are cores to spare.
    checkpoint_seconds, checkpoint_steps
        How often the run's state is written: after so many seconds, or longer where writing takes long, and after every
        so many steps.
    progress
        Called after every step.

    Raises
    ------
    InputError
        If the folder holds another run, the source cannot serve the recipe, or there is no such precision.
    EncoderError
        If there is no such device, or the loss is not finite.
    DamageError
        If the run's files are damaged.
    LimitError
        If the GPU's memory does not suffice.
    """
    import torch  # noqa: PLC0415

    if precision not in PRECISIONS:
        raise InputError(f"there is no precision {precision!r}; choose {', '.join(PRECISIONS)}.")
    out = Path(out)
    with ranks(device) as here, held(out) if here.first else nullcontext():
        schedule = recipe.schedule.scaled(steps, batch)
        run = Run(
            recipes.name_of(recipe),
            config,
            dict(options or {}),
            recipe.size,
            recipe.dates,
            schedule,
            _piece(out, schedule.batch, here.world) if micro_batch is None else micro_batch,
            source.describe(),
            seed,
        )
        if schedule.batch // run.piece % here.world:
            raise InputError(
                f"{schedule.batch // run.piece} passes of {run.piece} chips cannot be shared by {here.world} processes "
                "evenly; give another --micro-batch or --batch."
            )
        begun = Begun.open(out, run, lambda: statistics(source, recipe.size, seed), writes=here.first)
        with torch.random.fork_rng([here.device] if here.device.type == "cuda" else []):
            halved = precision == "bfloat16" or (precision == "auto" and here.device.type == "cuda")
            training = Training(recipe, begun, here, halved=halved)
            try:
                training.go(
                    source,
                    _workers(here) if workers is None else workers,
                    checkpoint_seconds,
                    checkpoint_steps or schedule.steps,
                    progress or (lambda _: None),
                )
            except torch.OutOfMemoryError as error:
                raise LimitError(
                    f"{run.piece} chips at once do not fit the memory of {here.device}; give a smaller --micro-batch."
                ) from error
            return training.finish()


def _piece(out: Path, batch: int, world: int) -> int:
    """Return how many chips go through the network at once where nobody says it."""
    kept = piece_of(out)
    return kept if kept and batch % kept == 0 else max(1, batch // world)


def _workers(here: Ranks) -> int:
    """Return how many processes draw where nobody says it."""
    if here.device.type == "cpu":
        return 0
    return max(1, min(MOST_WORKERS, cores() // here.world - 1))
