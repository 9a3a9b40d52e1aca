"""A run under way in one process: steps, checkpoints, and in the end the model."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from embedstore.errors import DamageError, EncoderError, storage_errors
from embedstore.sealed import write_bytes
from indexer.encoders import card, model_file
from indexer.pretrain import checkpoint
from indexer.pretrain.checkpoint import Checkpoint
from indexer.pretrain.losses import Losses
from indexer.pretrain.optimiser import adamw, set_rate
from indexer.pretrain.run import CARD, CHECKPOINT, LOSSES, MODEL
from indexer.pretrain.sources.draws import Piece, ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from indexer.pretrain.distributed import Ranks
    from indexer.pretrain.recipe import Recipe
    from indexer.pretrain.run import Begun
    from indexer.pretrain.sources.batch import Batch, Source

LICENCE = "Apache-2.0, as embedstore; what the data ask to be named stands with the data."
CHECKPOINT_SHARE = 0.02
"""No more of the time goes into checkpoints, however large they are and slow the disk, unless they are asked for."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is.

    Parameters
    ----------
    step, steps
        Done, of how many.
    loss
        Of the last step that was looked at; NaN before the first.
    chips_per_second
        Of this process's run so far.
    waiting
        Share of the time in which the network waited for chips.
    """

    step: int
    steps: int
    loss: float
    chips_per_second: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, over all processes that worked on it one after another.

    Parameters
    ----------
    model
        The file.
    steps, chips, seconds, chips_per_second
        In all.
    waiting
        Share of the time in which the network waited for chips.
    loss
        Of the last step.
    device
        Where it ran last.
    """

    model: str
    steps: int
    chips: int
    seconds: float
    chips_per_second: float
    waiting: float
    loss: float
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return asdict(self)


class Training:
    """A run under way in this process.

    Parameters
    ----------
    recipe
        What to train.
    begun
        Its run.
    here
        Which of the run's processes this is.
    halved
        Whether matrices are multiplied in bfloat16.
    """

    def __init__(self, recipe: Recipe, begun: Begun, here: Ranks, *, halved: bool) -> None:
        import torch  # noqa: PLC0415

        self._recipe, self._begun, self._here, self._halved = recipe, begun, here, halved
        self._schedule = begun.run.schedule
        torch.manual_seed(begun.run.seed)
        self._network = recipe.network(begun.statistics).to(here.device).train()
        self._optimiser = adamw(self._network, self._schedule)
        self._step, self._seconds, self._waited = 0, 0.0, 0.0
        self._restore()
        here.agree(self._network)
        self._loss = float("nan")

    def go(
        self,
        source: Source,
        workers: int,
        every_seconds: float,
        every_steps: int,
        progress: Callable[[Status], None],
    ) -> None:
        """Do the steps that are left; see :func:`train`."""
        first = self._step
        began = saved = time.monotonic()
        before, waited, pause = self._seconds, self._waited, every_seconds
        pieces = (p for step in range(first, self._schedule.steps) for p in self._pieces(step))
        path = self._begun.folder / LOSSES if self._here.first else None
        with closing(Losses(path, first)) as losses, ahead(source, pieces, workers) as draws:
            while self._step < self._schedule.steps:
                self._train_step(draws, losses)
                self._step += 1
                now = time.monotonic()
                self._seconds = before + now - began
                chips = (self._step - first) * self._schedule.batch
                share = (self._waited - waited) / (now - began)
                progress(Status(self._step, self._schedule.steps, losses.last, chips / (now - began), share))
                if self._step % every_steps == 0 or now - saved >= pause:
                    self._save(losses)
                    saved = time.monotonic()
                    pause = max(every_seconds, (saved - now) / CHECKPOINT_SHARE)
            self._save(losses)
            self._loss = losses.last

    def finish(self) -> Report:
        """Write the model with its card."""
        run, chips = self._begun.run, self._step * self._schedule.batch
        seconds = max(self._seconds, 1e-9)
        path = self._begun.folder / MODEL
        report = Report(
            str(path),
            self._step,
            chips,
            round(seconds, 1),
            round(chips / seconds, 1),
            round(self._waited / seconds, 4),
            self._loss,
            _device_name(self._here),
        )
        if self._here.first:
            model = self._recipe.model(self._network.eval())
            told = {"model": None, "loss": None}
            model = replace(
                model,
                card=replace(
                    model.card,
                    recipe=run.recipe,
                    config=", ".join([run.config, *(f"{k}={v}" for k, v in run.options.items())]),
                    data=run.data,
                    licence=model.card.licence or LICENCE,
                    cost={k: v for k, v in report.to_dict().items() if k not in told},
                    metrics={"training_loss": report.loss, **model.card.metrics},
                ),
            )
            with storage_errors("write the model", path):
                model_file.write(path, model)
                write_bytes(self._begun.folder / CARD, card.markdown(model.describe(), path).encode())
        self._here.wait()
        return report

    def _pieces(self, step: int) -> Iterator[Piece]:
        """Yield this process's pieces of a step."""
        run, here = self._begun.run, self._here
        for number in range(here.rank, self._schedule.batch // run.piece, here.world):
            yield Piece(run.piece, run.size, run.dates, run.seed, step, number)

    def _train_step(self, draws: Iterator[tuple[Batch, ...]], losses: Losses) -> None:
        import torch  # noqa: PLC0415

        parts: dict[str, list[torch.Tensor]] = {}
        pieces = list(self._pieces(self._step))
        for piece in pieces:
            began = time.monotonic()
            batches = next(draws)
            self._waited += time.monotonic() - began
            for name, value in self._backward(piece, batches, len(pieces)).items():
                parts.setdefault(name, []).append(value)
        self._here.average(self._network)
        means = {name: torch.stack(values).mean() for name, values in parts.items()}
        means["loss"] = self._here.mean(means["loss"])
        if self._schedule.clip:
            means["gradient"] = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._schedule.clip)
        rate = self._schedule.rate(self._step)
        set_rate(self._optimiser, rate)
        self._optimiser.step()
        self._optimiser.zero_grad()
        losses.put(self._step, rate, means)

    def _backward(self, piece: Piece, batches: tuple[Batch, ...], passes: int) -> dict[str, torch.Tensor]:
        """Add the gradients of one pass; return its losses."""
        import torch  # noqa: PLC0415

        torch.manual_seed(piece.chance)  # what networks drop at random comes from torch's own generator
        generator = torch.Generator().manual_seed(piece.chance)
        with torch.autocast(self._here.device.type, torch.bfloat16, enabled=self._halved):
            losses = self._recipe.loss(self._network, batches, generator)
        (losses["loss"] / passes).backward()  # type: ignore[no-untyped-call]
        return {name: value.detach().float() for name, value in losses.items()}

    def _restore(self) -> None:
        """Go back to the checkpoint, if there is one."""
        path = self._begun.folder / CHECKPOINT
        found = checkpoint.read(path, self._begun.run.digest)
        if found is None:
            return
        try:
            self._network.load_state_dict(found.network)
            self._optimiser.load_state_dict(found.optimiser)
        except (RuntimeError, ValueError, KeyError) as error:
            raise DamageError(
                f"the checkpoint {path} does not fit the network ({str(error).splitlines()[0][:200]}). Resume with the "
                "release that began the run, or begin anew in another --out."
            ) from error
        self._step, self._seconds, self._waited = found.step, found.seconds, found.waited

    def _save(self, losses: Losses) -> None:
        """Write losses and checkpoint."""
        losses.sync()
        for name, tensor in self._network.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise EncoderError(
                    f"parameter {name} is not finite after step {self._step - 1}; nothing of it was kept. Begin anew "
                    "with a lower learning rate, or a schedule that clips gradients."
                )
        if self._here.first:
            Checkpoint(
                self._begun.run.digest,
                self._step,
                self._seconds,
                self._waited,
                self._network.state_dict(),
                self._optimiser.state_dict(),
            ).write(self._begun.folder / CHECKPOINT)


def _device_name(here: Ranks) -> str:
    import torch  # noqa: PLC0415

    if here.device.type == "cuda":
        return f"{here.world} x {torch.cuda.get_device_name(here.device)}"
    return f"cpu, {here.world * torch.get_num_threads()} threads"
