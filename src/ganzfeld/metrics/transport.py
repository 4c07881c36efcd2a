r"""Wasserstein-1 distances between point clouds.

.. math:: W_1(p, q) = \min_{\pi} E\,\|x - y\|

Between clouds of equal size an optimal plan is an assignment, so W1 is exact by the Hungarian algorithm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..noise import generator


def w1(x: Tensor, y: Tensor) -> float:
    """Exact W1 of x, y [n, d], in their units. Cost n^3. Raises ValueError on unequal shapes."""
    from scipy.optimize import linear_sum_assignment

    if x.shape != y.shape or x.dim() != 2:
        raise ValueError(f"the assignment needs clouds of one shape [n, d], not {tuple(x.shape)} and {tuple(y.shape)}")
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        return math.nan
    cost = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").numpy()
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def w1_line(x: Tensor, y: Tensor) -> float:
    """Exact W1 of x, y [n] on the line: the mean gap of the order statistics."""
    if x.shape != y.shape or x.dim() != 1:
        raise ValueError(f"the order statistics need equal counts [n], not {tuple(x.shape)} and {tuple(y.shape)}")
    return float((x.double().sort().values - y.double().sort().values).abs().mean())


def sliced_w1(x: Tensor, y: Tensor, directions: int = 256, seed: int = 0) -> float:
    """The mean of W1 over projections on random directions, of x, y [n, d]. Bonneel et al. 2015."""
    if x.shape != y.shape:
        raise ValueError(f"the order statistics need equal counts, not {len(x)} and {len(y)}")
    sphere = torch.randn(x.shape[1], directions, generator=generator(seed, "directions"), dtype=torch.float64)
    sphere = sphere / sphere.norm(dim=0)
    gaps = (x.double() @ sphere).sort(0).values - (y.double() @ sphere).sort(0).values
    return float(gaps.abs().mean())


def w1_gaussians(m1: float, s1: float, m2: float, s2: float) -> float:
    """W1 of two Gaussians on the line, by the quantile integral: E |m1 - m2 + (s1 - s2) Z|, a folded normal's mean."""
    m, s = m1 - m2, abs(s1 - s2)
    if s == 0:
        return abs(m)
    phi = math.erf(m / (s * math.sqrt(2)))
    return s * math.sqrt(2 / math.pi) * math.exp(-(m**2) / (2 * s**2)) + m * phi
