"""The losses of MP-MAE: each is a mean over what is known, and the known ones are weighed by learned variances."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

PATCH_EPS = 1e-6


class Term(NamedTuple):
    """One part of the loss.

    Parameters
    ----------
    loss
        Mean over what is known; 0 if nothing is.
    known
        Whether anything is: bool, no dimension.
    """

    loss: torch.Tensor
    known: torch.Tensor


def square_error(prediction: torch.Tensor, target: torch.Tensor) -> Term:
    """Return the mean square error over the values that are no NaN; both of one shape."""
    known = target.isfinite()
    error = (prediction - target.where(known, 0)) * known
    return Term(error.square().sum() / known.sum().clamp(min=1), known.any())


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> Term:
    """Return the mean cross-entropy over the classes that are not -1.

    Parameters
    ----------
    logits
        Shape (..., k).
    classes
        int64, shape (...).
    """
    known = classes >= 0
    likelihood = logits.log_softmax(-1).gather(-1, classes.clamp(min=0)[..., None])[..., 0]
    return Term(-(likelihood * known).sum() / known.sum().clamp(min=1), known.any())


def normalised(patches: torch.Tensor) -> torch.Tensor:
    """Return patches with mean 0 and variance 1 each, over all channels and pixels that are no NaN.

    He et al. 2022, "Masked autoencoders are scalable vision learners".

    Parameters
    ----------
    patches
        Shape (n, patches, channels, pixels).
    """
    known = patches.isfinite()
    count = known.sum((2, 3), keepdim=True).clamp(min=1)
    centred = patches - patches.where(known, 0).sum((2, 3), keepdim=True) / count
    variance = centred.where(known, 0).square().sum((2, 3), keepdim=True) / count
    return centred / (variance + PATCH_EPS).sqrt()


def weighed(terms: Mapping[str, Term], log_variances: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the sum of ``exp(-s) * loss + s`` over the terms that are known, s being a term's log variance.

    Kendall et al. 2018, "Multi-task learning using uncertainty to weigh losses for scene geometry and semantics". What
    is not known has a gradient of zero rather than none, so that processes that saw other chips can add up theirs.
    """
    total: torch.Tensor = sum(  # type: ignore[assignment]
        (log_variances[name].neg().exp() * term.loss + log_variances[name]) * term.known for name, term in terms.items()
    )
    return total
