"""One run on several devices: ``torchrun --no-python embedstore pretrain …`` starts a process for each.

Every process holds the whole network and takes its own pieces of each step's batch; gradients are averaged once a
step. The recipes call parts of a network by themselves, where the hooks of torch's DistributedDataParallel do not
reach, and with accumulated passes there is one exchange a step in any case.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedstore.errors import EncoderError
from indexer.encoders.device import kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

BUCKET = 32 << 20
"""Numbers that are exchanged at once."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run.

    Parameters
    ----------
    rank, world
        Which one this is, of how many.
    device
        Where it computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def average(self, network: torch.nn.Module) -> None:
        """Average the gradients over all processes; a parameter without gradient counts as 0 where others have one."""
        if self.world == 1:
            return
        import torch  # noqa: PLC0415

        parameters = [p for p in network.parameters() if p.requires_grad]
        used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=self.device)
        torch.distributed.all_reduce(used)
        reached = [p for p, anywhere in zip(parameters, used.tolist(), strict=True) if anywhere]
        for bucket in _buckets(reached):
            grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([g.reshape(-1) for g in grads])
            torch.distributed.all_reduce(flat)
            flat /= self.world
            for parameter, mean in zip(bucket, torch.split(flat, [p.numel() for p in bucket]), strict=True):
                parameter.grad = mean.view_as(parameter).clone()

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Return the mean of a number over all processes."""
        if self.world > 1:
            import torch  # noqa: PLC0415

            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.world
        return value

    def agree(self, network: torch.nn.Module) -> None:
        """Give every process the parameters and buffers of the first."""
        if self.world > 1:
            import torch  # noqa: PLC0415

            for tensor in network.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            import torch  # noqa: PLC0415

            torch.distributed.barrier()


def _buckets(parameters: list[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    bucket: list[torch.nn.Parameter] = []
    for parameter in parameters:
        if bucket and (
            sum(p.numel() for p in bucket) + parameter.numel() > BUCKET or parameter.dtype != bucket[0].dtype
        ):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


@contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, or be the only one.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, or ``auto``: CUDA if there is any.

    Raises
    ------
    EncoderError
        If there is no such device.
    """
    import torch  # noqa: PLC0415

    cuda = kind(device) == "cuda"
    rank, world, local = (int(os.environ.get(k, d)) for k, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    if cuda and local >= torch.cuda.device_count():
        raise EncoderError(
            f"process {rank} wants GPU {local}, and there are {torch.cuda.device_count()}; start as many processes."
        )
    where = torch.device("cuda", local) if cuda else torch.device("cpu")
    if world == 1:
        yield Ranks(0, 1, where)
        return
    if cuda:
        torch.cuda.set_device(where)
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(rank, world, where)
    finally:
        torch.distributed.destroy_process_group()
