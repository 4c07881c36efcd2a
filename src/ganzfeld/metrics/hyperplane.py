r"""The geometric reading of an adversarial round (Lim and Ye 2017).

The critic's features move away from a separating hyperplane, real ones with weight s and fake ones with weight t, and
the generator moves along its normal with weight r. An objective is its scale factors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..objectives import Objective


class Factors(NamedTuple):
    """s, t, r: [B]."""

    real: Tensor
    fake: Tensor
    generator: Tensor


def scale_factors(objective: Objective, real: Tensor, fake: Tensor) -> Factors:
    """s = dV/do of a real score, t = -dV/do of a fake one, r = -d(generator's cost)/do, for scores [B] each."""
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    s, t = torch.autograd.grad(objective.critic(real, fake).sum(), (real, fake))
    (r,) = torch.autograd.grad(objective.generator(real, fake).sum(), fake)
    return Factors(s, -t, -r)


def soft_margin(w: Tensor, b: Tensor | float, real: Tensor, fake: Tensor, cost: float) -> Tensor:
    r"""The SVM's primal :math:`\frac12\|w\|^2 + C \sum \xi` of features real, fake [n, m] with labels +1 and -1."""
    slack = torch.relu(1 - (real @ w + b)).sum() + torch.relu(1 + (fake @ w + b)).sum()
    return w.square().sum() / 2 + cost * slack
