r"""Estimators: how what the fakes cost becomes the number that the generator side descends.

The number's gradient is that of the expected cost :math:`E_p\,c`. Where fakes are a smooth function of noise the
gradient flows through them (`Reparametrised`). Where they are picked it does not, and their cost is a *number* to the
generator side,

.. math:: \nabla E_p\, c = \sum_d c_d \nabla p_d = E_p\,[(c - b) \nabla \log p],

the first where all that could have been picked is priced (`Expectation`: no variance), the second of draws
(`ScoreFunction`). A scene carries the one that fits what it shows; `torch.distributions` decides by ``has_rsample``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Baseline = Literal["none", "mean", "optimal"]


class Estimator(Protocol):
    """cost, unreduced -> [], to be descended."""

    def __call__(self, cost: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Reparametrised:
    """The mean cost [B] -> []: the gradient flows through the fakes."""

    def __call__(self, cost: Tensor) -> Tensor:
        return cost.mean()


@dataclass(frozen=True, eq=False)
class Expectation:
    r""":math:`\sum_d p_d c_d` of all that could be picked, a mean over the B rows of prob [B, D]. cost: [B, D] or
    [1, D]. averaged: what a candidate costs is its mean over the rows."""

    prob: Tensor
    averaged: bool = False

    def __call__(self, cost: Tensor) -> Tensor:
        cost = (cost.mean(0) if self.averaged else cost).detach()
        return torch.dot(self.prob.flatten(), cost.expand_as(self.prob).flatten()) / len(self.prob)


@dataclass(frozen=True, eq=False)
class ScoreFunction:
    r"""The surrogate :math:`E\,w\,(c - b) \log p` of draws: log_prob and cost [B] or, of each row, [B, k]; weight w of
    each draw; square: the squared norm of the gradient of its log_prob, which the optimal baseline reads."""

    log_prob: Tensor
    weight: Tensor | float = 1.0
    baseline: Baseline = "mean"
    square: Tensor | None = None

    def __call__(self, cost: Tensor) -> Tensor:
        cost = cost.detach()
        return (self.weight * (cost - self.held_against(cost)) * self.log_prob).mean()

    def held_against(self, cost: Tensor) -> Tensor | float:
        r"""The baseline b of each draw, from the others of its row: with itself in it a cost would be shrunk. The mean
        is not always better than none; the optimal constant :math:`E[w^2 s c] / E[w^2 s]` is, with s the squared norm
        of the gradient of log p, where the others are enough to estimate it."""
        if self.baseline == "none" or cost.shape[-1] < 2:
            return 0.0
        share = torch.ones_like(cost)
        if self.baseline == "optimal":
            assert self.square is not None
            share = torch.as_tensor(self.weight).square() * self.square
        others = share.sum(-1, keepdim=True) - share
        return ((share * cost).sum(-1, keepdim=True) - share * cost) / others.clamp(min=torch.finfo(cost.dtype).tiny)
