r"""What reaches the generator.

With :math:`D = \sigma(o)`: :math:`\partial\log(1 - D) = -D\,\partial o`, and
:math:`\partial(-\log D) = -(1 - D)\,\partial o`.
The factor D(1 - D) is the probability's own derivative, not the payoff's, which divides by 1 - D or by D.
Where the critic is sure of a fake, D is nearly 0: the minimax payoff's gradient vanishes and the
non-saturating one's does not; their ratio is :math:`e^{-o}`.

Payoffs are taken from raw scores as :math:`\log D = -\mathrm{softplus}(-o)` and
:math:`\log(1 - D) = -\mathrm{softplus}(o)`: in float32 the naive :math:`\log(1 - \sigma(o))` is infinite, and
its gradient nan, from o = 17.
Source: Goodfellow et al. 2014, section 3; Arjovsky and Bottou 2017, theorem 2.4 (the vanishing gradient).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Saturation(NamedTuple):
    """Mean gradient norm at the fakes under each payoff, and the mean factors D and 1 - D."""

    minimax: float
    non_saturating: float
    d: float
    one_minus_d: float


def payoff_factors(o: Tensor) -> tuple[Tensor, Tensor]:
    r"""The factors (D, 1 - D) [B] of raw scores o [B], by which the minimax and the non-saturating payoff
    scale the critic's gradient.

    The second is :math:`\sigma(-o)`: the difference 1 - D would lose every digit of it for a large o.
    """
    return torch.sigmoid(o), torch.sigmoid(-o)


def saturation(f: Callable[[Tensor], Tensor], fake: Tensor) -> Saturation:
    r"""What a critic f: [B, ...] -> raw scores [B] sends back to fakes [B, ...] under each of the two
    payoffs.

    .. math:: \frac1B\sum_i \|\nabla \log(1 - D)(x_i)\|, \qquad \frac1B\sum_i \|\nabla \log D(x_i)\|

    Norms over all dimensions of a sample, in score units per unit of x.
    Source: Goodfellow et al. 2014, eq. 1 and section 3.
    """
    minimax = torch.func.grad(lambda x: -softplus(f(x)).sum())(fake)
    other = torch.func.grad(lambda x: softplus(-f(x)).sum())(fake)
    d, rest = payoff_factors(f(fake).detach())
    return Saturation(_mean_norm(minimax), _mean_norm(other), float(d.mean()), float(rest.mean()))


def _mean_norm(gradient: Tensor) -> float:
    return float(gradient.detach().flatten(1).norm(dim=1).mean())
