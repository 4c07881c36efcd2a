r"""Divergences of known laws: discrete ones by sums, densities on the line by quadrature.

.. math:: V(D^*, G) = -\log 4 + 2\,JS(p, q), \qquad D^* = p / (p + q)

All in nats. Each measure below is a sum over atoms that is homogeneous in (p, q), so it becomes its integral
when the atoms are the masses :math:`w_i p(x_i)` of quadrature nodes: `measure_on_line` needs no second set of
formulas.

Gauss-Legendre converges fast only where the integrand is smooth. Total variation has a kink wherever p = q,
so panels are cut at the crossings; a kink of a density's own (Laplace) still costs digits.
Source: Goodfellow et al. 2014, proposition 1 and theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..divergences import Divergence

Density = Callable[[Tensor], Tensor]
Measure = Callable[[Tensor, Tensor], float]

PANEL_NODES = 20  # nodes of one Gauss-Legendre panel


def kullback_leibler(p: Tensor, q: Tensor) -> float:
    r"""The relative entropy :math:`\sum_i p_i \log(p_i / q_i)` of probability vectors [m].

    inf where q misses mass of p. Source: Kullback and Leibler 1951.
    """
    return float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    r"""The mean divergence of p and q [m] to their mixture, in [0, log 2].

    .. math:: JS = \tfrac12 KL(p \| m) + \tfrac12 KL(q \| m), \qquad m = (p + q) / 2

    Half of what the row ``js`` of f-GAN's table gives. Source: Lin 1991.
    """
    m = (p + q) / 2
    return (kullback_leibler(p, m) + kullback_leibler(q, m)) / 2


def total_variation(p: Tensor, q: Tensor) -> float:
    r"""Half the l1 distance :math:`\tfrac12 \sum_i |p_i - q_i|` of p, q [m], in [0, 1]."""
    return float((p - q).abs().sum() / 2)


def optimal_discriminator_value(p: Tensor, q: Tensor) -> float:
    r"""The minimax value of p, q [m] against the optimal discriminator, term by term, in [-log 4, 0].

    .. math:: V(D^*, G) = \sum_i p_i \log\frac{p_i}{p_i + q_i} + q_i \log\frac{q_i}{p_i + q_i}

    Atoms that neither law reaches count nothing. Source: Goodfellow et al. 2014, proposition 1.
    """
    s = p + q
    real = torch.special.xlogy(p, p) - torch.special.xlogy(p, s)
    fake = torch.special.xlogy(q, q) - torch.special.xlogy(q, s)
    return float((real + fake).sum())


def measure_on_line(measure: Measure, p: Density, q: Density, low: float, high: float, points: int = 4_000) -> float:
    """A discrete measure above (or any other that is homogeneous in p, q) of two densities on [low, high].

    p, q: from points [N] to densities [N], in float64. The interval must hold all mass that counts; beyond
    about 38 standard deviations a Gaussian is 0 in float64, and a q that is 0 where p is not makes KL
    infinite. For smooth densities accurate to 1e-9.
    """
    x, w = nodes(low, high, points, crossings(p, q, low, high, points))
    return measure(w * p(x), w * q(x))


def f_divergence(divergence: Divergence, p: Density, q: Density, low: float, high: float, points: int = 4_000) -> float:
    r"""The f-divergence :math:`\int q\, f(p/q)` of two densities over [low, high], by the same quadrature.

    Neither density may be 0 inside. Source: Nowozin, Cseke, Tomioka 2016 (f-GAN), eq. 2.
    """
    x, w = nodes(low, high, points, crossings(p, q, low, high, points))
    return float((w * q(x) * divergence.f(p(x) / q(x))).sum())


def nodes(low: float, high: float, points: int = 4_000, breaks: Sequence[float] = ()) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights [N] of [low, high], float64: panels of 20 that also end at breaks."""
    x, w = np.polynomial.legendre.leggauss(PANEL_NODES)
    edges = np.union1d(np.linspace(low, high, points // PANEL_NODES + 1), np.asarray(breaks, dtype=float))
    half = (edges[1:] - edges[:-1]) / 2
    grid = (edges[:-1] + half)[:, None] + half[:, None] * x
    return torch.from_numpy(grid.ravel()), torch.from_numpy((half[:, None] * w).ravel())


def crossings(p: Density, q: Density, low: float, high: float, points: int = 4_000) -> list[float]:
    """Where p - q changes sign between neighbours of an even grid, by bisection to the last bit."""
    grid = torch.linspace(low, high, points, dtype=torch.float64)
    sign = torch.sign(p(grid) - q(grid))
    grid, sign = grid[sign != 0], sign[sign != 0]  # a crossing may lie on a node, and both tails may be 0
    change = sign[:-1] * sign[1:] < 0
    left, right, start = grid[:-1][change], grid[1:][change], sign[:-1][change]
    for _ in range(60):
        middle = (left + right) / 2
        before = torch.sign(p(middle) - q(middle)) == start
        left, right = torch.where(before, middle, left), torch.where(before, right, middle)
    return right.tolist()


def gaussian(mean: float, std: float) -> Density:
    """The density of N(mean, std^2)."""
    return lambda x: torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
