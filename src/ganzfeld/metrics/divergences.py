r"""Divergences of known laws: discrete ones by sums, densities on the line by quadrature.

.. math:: V(D^*, G) = -\log 4 + 2\,JS(p, q), \qquad D^* = p / (p + q)

In nats. Source: Goodfellow et al. 2014, theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..divergences import Divergence

Density = Callable[[Tensor], Tensor]


def kullback_leibler(p: Tensor, q: Tensor) -> float:
    """sum p log(p / q) of probability vectors; inf where q misses mass of p."""
    return float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """The mean KL to the mixture (p + q) / 2, in [0, log 2]."""
    m = (p + q) / 2
    return (kullback_leibler(p, m) + kullback_leibler(q, m)) / 2


def total_variation(p: Tensor, q: Tensor) -> float:
    """Half the l1 distance, in [0, 1]."""
    return float((p - q).abs().sum() / 2)


def optimal_value(p: Tensor, q: Tensor) -> float:
    """The minimax value against the optimal discriminator, term by term."""
    s = p + q
    terms = (
        torch.special.xlogy(p, p) - torch.special.xlogy(p, s) + torch.special.xlogy(q, q) - torch.special.xlogy(q, s)
    )
    return float(terms.sum())


def f_divergence(divergence: Divergence, p: Density, q: Density, low: float, high: float, points: int = 4_000) -> float:
    """int q f(p / q) over [low, high], by Gauss-Legendre in float64."""
    x, w = nodes(low, high, points)
    return float((w * q(x) * divergence.f(p(x) / q(x))).sum())


def nodes(low: float, high: float, points: int = 4_000) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on an interval, composite in panels of 20."""
    x, w = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(low, high, points // 20 + 1)
    half = (edges[1:] - edges[:-1]) / 2
    grid = (edges[:-1] + half)[:, None] + half[:, None] * x
    return torch.from_numpy(grid.ravel()), torch.from_numpy((half[:, None] * w).ravel())


def gaussian(mean: float, std: float) -> Density:
    """The normal density."""
    return lambda x: torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
