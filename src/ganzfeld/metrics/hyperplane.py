r"""The geometric reading of an adversarial round.

With scores :math:`o = \langle w, \Phi(x)\rangle + b` a round is three steps: find a separating hyperplane of
the features; move the features away from it, real ones with weight s and fake ones with weight t; move the
generator along its normal w with weight r. Each objective is its scale factors,

.. math:: s = \partial V / \partial o_{real}, \qquad t = -\partial V / \partial o_{fake}, \qquad
          r = -\partial C / \partial o_{fake},

where the critic ascends V and the generator descends C. They tell who counts: all samples alike (Wasserstein,
McGAN), the badly classified ones (GAN), or the violators of a margin alone, the support vectors (hinge). With
r = 1 nothing stops a sample at the hyperplane: it moves along the normal and may cross.
Source: Lim and Ye 2017 (Geometric GAN); the factors are derived here by differentiation, not copied from its
table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..objectives import Objective

Term = Callable[[Tensor, Tensor], Tensor]  # (real, fake) scores [B] -> [B]


class Factors(NamedTuple):
    """s, t, r: [B] each."""

    real: Tensor
    fake: Tensor
    generator: Tensor


def scale_factors(objective: Objective | tuple[Term, Term], real: Tensor, fake: Tensor) -> Factors:
    r"""The factors (s, t, r), [B] each, of an objective at real and fake scores [B].

    objective: an `Objective`, or a pair of terms: what the critic ascends and what the generator descends,
    each from (real, fake) scores to one number per sample. A term that leaves a score out has factor 0 there.
    Source: Lim and Ye 2017 (Geometric GAN).
    """
    critic, generator = objective[:2]
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    s, minus_t = _slopes(critic(real, fake), real, fake)
    _, minus_r = _slopes(generator(real, fake), real, fake)
    return Factors(s, -minus_t, -minus_r)


def _slopes(term: Tensor, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    # some terms leave a score out: its factor is 0, not missing
    slopes = torch.autograd.grad(term.sum(), (real, fake), allow_unused=True, materialize_grads=True)
    return slopes[0], slopes[1]


def soft_margin(w: Tensor, b: Tensor | float, real: Tensor, fake: Tensor, cost: float) -> Tensor:
    r"""The soft-margin SVM's primal objective [] of features: real ones with label +1, fake ones with -1.

    .. math:: \tfrac12\|w\|^2 + C\Big(\sum_i \max(0, 1 - o(x_i)) + \sum_j \max(0, 1 + o(g_j))\Big)

    w: [m]. real, fake: features [n, m]. cost: C > 0. Divided by nC, for n of each, it is the mean hinge loss
    plus :math:`\|w\|^2 / 2nC`.
    Source: Cortes and Vapnik 1995; Lim and Ye 2017 (Geometric GAN).
    """
    slack = torch.relu(1 - (real @ w + b)).sum() + torch.relu(1 + (fake @ w + b)).sum()
    return w.square().sum() / 2 + cost * slack


def hyperplane_distance(w: Tensor, b: Tensor | float, features: Tensor) -> Tensor:
    r"""The signed distance [n] of features [n, m] from the hyperplane, positive on the real side.

    .. math:: (\langle w, \Phi\rangle + b) / \|w\|

    In the features' units, whatever the scale of w. Raises ValueError for w = 0, which is normal to no
    hyperplane.
    """
    if not w.any():
        raise ValueError("w = 0 is normal to no hyperplane")
    return (features @ w + b) / w.norm()
