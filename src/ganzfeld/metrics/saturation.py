r"""What reaches the generator.

With :math:`D = \sigma(o)`: :math:`\partial\log(1 - D) = -D\,\partial o`, and
:math:`\partial(-\log D) = -(1 - D)\,\partial o`.
The factor D(1 - D) is the probability's own derivative, not the payoff's. Where the critic is sure of a fake, D is
nearly 0: the minimax payoff's gradient vanishes and the non-saturating one's does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class Saturation(NamedTuple):
    """Mean gradient norm at the fakes under each payoff, and the mean factors D and 1 - D."""

    minimax: float
    non_saturating: float
    d: float
    one_minus_d: float


def payoff_factors(o: Tensor) -> tuple[Tensor, Tensor]:
    """The factors D and 1 - D of raw scores o, by which the minimax and the non-saturating payoff scale the critic's
    gradient."""
    return torch.sigmoid(o), torch.sigmoid(-o)


def saturation(f: Callable[[Tensor], Tensor], fake: Tensor) -> Saturation:
    """Of a critic f: [B, ...] -> raw scores [B], at fakes [B, ...]."""
    minimax = torch.func.grad(lambda x: logsigmoid(-f(x)).sum())(fake)
    other = torch.func.grad(lambda x: -logsigmoid(f(x)).sum())(fake)
    d, rest = payoff_factors(f(fake).detach())
    mean = lambda g: float(g.flatten(1).norm(dim=1).mean())  # noqa: E731
    return Saturation(mean(minimax), mean(other), float(d.mean()), float(rest.mean()))
