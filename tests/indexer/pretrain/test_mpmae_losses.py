from __future__ import annotations

import math

import pytest
import torch

from indexer.pretrain.recipes.mpmae_losses import Term, cross_entropy, normalised, square_error, weighed

NAN = float("nan")


def test_square_error_leaves_nan_out() -> None:
    told = torch.tensor([[1.0, 5.0], [2.0, 0.0]], requires_grad=True)
    term = square_error(told, torch.tensor([[0.0, NAN], [4.0, NAN]]))
    term.loss.backward()
    assert term.known
    assert float(term.loss.detach()) == pytest.approx((1 + 4) / 2)
    assert told.grad is not None
    assert told.grad.tolist() == [[1.0, 0.0], [-2.0, 0.0]]


def test_cross_entropy_leaves_unknown_classes_out() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [9.0, 0.0, 0.0]], requires_grad=True)
    term = cross_entropy(logits, torch.tensor([2, -1, 0]))
    expected = torch.nn.functional.cross_entropy(logits.detach(), torch.tensor([2, -1, 0]), ignore_index=-1)
    term.loss.backward()
    assert float(term.loss.detach()) == pytest.approx(float(expected))
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert logits.grad[0].any()


def test_what_is_not_known_at_all_is_no_term() -> None:
    told = torch.ones(2, 3, requires_grad=True)
    for term in (square_error(told, torch.full((2, 3), NAN)), cross_entropy(told, torch.tensor([-1, -1]))):
        assert not term.known
        assert float(term.loss.detach()) == 0
        (gradient,) = torch.autograd.grad(term.loss, told)
        assert torch.equal(gradient, torch.zeros(2, 3))


def test_patches_are_normalised_one_by_one_over_what_they_hold() -> None:
    patches = torch.randn(2, 3, 4, 9, generator=torch.Generator().manual_seed(0)) * 5 + 20
    patches[0, 1, 2] = NAN
    patches[1, 2] = NAN
    out = normalised(patches)
    assert torch.equal(out.isnan(), patches.isnan())
    for chip, patch in ((0, 0), (0, 1), (1, 0)):
        held = out[chip, patch][out[chip, patch].isfinite()]
        assert float(held.mean()) == pytest.approx(0, abs=1e-5)
        assert float(held.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_terms_are_weighed_by_their_variance() -> None:
    variances = {name: torch.tensor(s, requires_grad=True) for name, s in (("a", 0.5), ("b", -1.0), ("absent", 3.0))}
    known = torch.tensor(True)
    terms = {
        "a": Term(torch.tensor(2.0), known),
        "b": Term(torch.tensor(4.0), known),
        "absent": Term(torch.tensor(0.0), ~known),
    }
    total = weighed(terms, variances)
    total.backward()
    assert float(total.detach()) == pytest.approx(math.exp(-0.5) * 2 + 0.5 + math.exp(1) * 4 - 1)
    gradients = {name: float(s.grad) for name, s in variances.items() if s.grad is not None}
    assert gradients == pytest.approx({"a": 1 - math.exp(-0.5) * 2, "b": 1 - math.exp(1) * 4, "absent": 0})
