r"""f-divergences and their variational form (Nowozin, Cseke, Tomioka 2016, f-GAN).

For a convex, lower semicontinuous :math:`f` with :math:`f(1) = 0`,

.. math:: D_f(P \| Q) = \int q\, f(p/q) \;\ge\; \sup_T\; E_P\,T - E_Q\,f^*(T),

tight at :math:`T^* = f'(p/q)`. A network's raw output :math:`v` is mapped onto the domain of the conjugate by an
output activation :math:`T = g_f(v)`, so the value a critic raises is :math:`E_P\,g_f(v) - E_Q\,f^*(g_f(v))`.

The composition :math:`f^* \circ g_f` is written out for every row: nesting the two overflows where the composition
is a softplus. What the table of the paper leaves unsaid, and the code must say:

* the row ``js`` is *twice* the Jensen-Shannon divergence;
* the row ``gan`` has :math:`f(1) = -\log 4`: its value is :math:`2\,JS - \log 4`, not a divergence;
* a critic calls a sample real where :math:`T > f'(1)`: at :math:`v > 1` for KL, :math:`v > 0` for all others;
* Pearson's conjugate holds for :math:`t \ge -2`; below it the bound stays valid but loosens.

Rows and conjugates: f-GAN, tables 1, 2 and 6. Neyman and total variation are derived here from the same recipe and
checked against their numerical conjugates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import softplus

LOG2 = math.log(2.0)


class Divergence(NamedTuple):
    """One row: everything acts elementwise and keeps shapes.

    f: on u = p/q > 0. conjugate: f* on its domain. activation: g_f, R onto that domain.
    bound: f*(g_f(v)) on raw outputs v. threshold: the v at which T = f'(1). slope: f', the optimal T at u = p/q.
    """

    f: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]
    bound: Callable[[Tensor], Tensor]
    threshold: float = 0.0


kl = Divergence(
    f=lambda u: u * u.log(),
    slope=lambda u: 1 + u.log(),
    conjugate=lambda t: (t - 1).exp(),
    activation=lambda v: v,
    bound=lambda v: (v - 1).exp(),
    threshold=1.0,
)

reverse_kl = Divergence(
    f=lambda u: -u.log(),
    slope=lambda u: -1 / u,
    conjugate=lambda t: -1 - (-t).log(),
    activation=lambda v: -(-v).exp(),
    bound=lambda v: v - 1,
)

pearson = Divergence(
    f=lambda u: (u - 1) ** 2,
    slope=lambda u: 2 * (u - 1),
    conjugate=lambda t: t**2 / 4 + t,
    activation=lambda v: v,
    bound=lambda v: v**2 / 4 + v,
)

neyman = Divergence(
    f=lambda u: (1 - u) ** 2 / u,
    slope=lambda u: 1 - u**-2,
    conjugate=lambda t: 2 - 2 * (1 - t).sqrt(),
    activation=lambda v: 1 - (-v).exp(),
    bound=lambda v: 2 - 2 * (-v / 2).exp(),
)

hellinger = Divergence(  # squared, without the factor 1/2
    f=lambda u: (u.sqrt() - 1) ** 2,
    slope=lambda u: 1 - u**-0.5,
    conjugate=lambda t: t / (1 - t),
    activation=lambda v: 1 - (-v).exp(),
    bound=lambda v: v.exp() - 1,
)

js = Divergence(  # 2 JS
    f=lambda u: u * u.log() - (u + 1) * ((1 + u) / 2).log(),
    slope=lambda u: LOG2 + u.log() - (1 + u).log(),
    conjugate=lambda t: -(2 - t.exp()).log(),
    activation=lambda v: LOG2 - softplus(-v),
    bound=lambda v: softplus(v) - LOG2,
)

gan = Divergence(  # 2 JS - log 4
    f=lambda u: u * u.log() - (u + 1) * (u + 1).log(),
    slope=lambda u: u.log() - (1 + u).log(),
    conjugate=lambda t: -(1 - t.exp()).log(),
    activation=lambda v: -softplus(-v),
    bound=lambda v: softplus(v),
)

total_variation = Divergence(
    f=lambda u: (u - 1).abs() / 2,
    slope=lambda u: (u - 1).sign() / 2,
    conjugate=lambda t: t,
    activation=lambda v: v.tanh() / 2,
    bound=lambda v: v.tanh() / 2,
)

TABLE: dict[str, Divergence] = {
    "kl": kl,
    "rkl": reverse_kl,
    "pearson": pearson,
    "neyman": neyman,
    "hellinger": hellinger,
    "js": js,
    "gan": gan,
    "tv": total_variation,
}
