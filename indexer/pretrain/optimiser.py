"""AdamW as the recipes want it: no weight decay on what only shifts or scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from indexer.pretrain.recipe import Schedule


def adamw(network: torch.nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """Return the optimiser of a network.

    Parameters that are vectors but for axes of length 1 (biases, gains of norms, learned tokens and weights of losses)
    are not decayed, as is the field's practice.
    """
    import torch  # noqa: PLC0415

    trained = [p for p in network.parameters() if p.requires_grad]
    plain = [p for p in trained if sum(side > 1 for side in p.shape) <= 1]
    matrices = [p for p in trained if sum(side > 1 for side in p.shape) > 1]
    groups = [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=schedule.lr, betas=schedule.betas, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate
