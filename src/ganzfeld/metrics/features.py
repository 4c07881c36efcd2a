r"""Distances of two samples of features: by two moments, and by a kernel.

The Frechet distance of the Gaussians fitted to them,

.. math:: d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\big(\Sigma_1 + \Sigma_2 - 2(\Sigma_1\Sigma_2)^{1/2}\big),

is the squared 2-Wasserstein distance of the two Gaussians, and sees nothing of a law but its first two
moments. On Inception features it is the FID of Heusel et al. 2017; on any other it is called fd, and never
compared with one. Biased upwards on small samples (two samples of one law are not at distance 0): compare at
equal counts only.

The squared maximum mean discrepancy of the cubic kernel,

.. math:: \mathrm{MMD}^2 = E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y), \qquad k(x, y) = (x \cdot y / m + 1)^3,

sees the first three moments, and has an estimate without bias: its mean is the same at every count, and over
samples of one law it is 0, so that a single value may be negative. On Inception features it is the KID of
Binkowski et al. 2018, elsewhere kd.
Sources: Frechet 1957; Dowson and Landau 1982, the formula; Gretton et al. 2012, the unbiased estimate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.randomness import generator

CHUNK_PRODUCTS = 2**24  # products of rows held at once: 128 MB


def check_features(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Features [n, m] and [k, m] in float64. Raises ValueError on features of different widths or a single row."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            "the distance needs features [n, m] and [k, m] of two or more rows, not "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    return x.detach().double(), y.detach().double()


def all_finite(x: Tensor, y: Tensor) -> bool:
    """Whether every feature is."""
    return bool(torch.isfinite(x).all() and torch.isfinite(y).all())


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """The Frechet distance of features x [n, m] and y [k, m], with unbiased covariances, in float64.

    In squared units of the features; nan where a feature is not finite. Raises ValueError on features of
    different widths or a single row, which has no covariance.
    Source: Heusel et al. 2017 (TTUR), eq. 6.
    """
    x, y = check_features(x, y)
    if not all_finite(x, y):
        return math.nan
    cov_x, cov_y = torch.atleast_2d(torch.cov(x.T)), torch.atleast_2d(torch.cov(y.T))
    return gaussian_frechet(x.mean(0), cov_x, y.mean(0), cov_y)


def gaussian_frechet(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    r"""The Frechet distance of N(mean1, cov1) and N(mean2, cov2): means [m], covariances [m, m], singular
    ones allowed.

    .. math:: \mathrm{tr}(\Sigma_1\Sigma_2)^{1/2} = \mathrm{tr}(\Sigma_1^{1/2}\Sigma_2\Sigma_1^{1/2})^{1/2}
              = \|\Sigma_1^{1/2}\Sigma_2^{1/2}\|_*

    The product is not symmetric, so a Schur root of it may turn complex on singular covariances; the middle
    form is symmetric, and its root eigenvalues are the singular values on the right, which never square and
    root a rounding error (1e-16 would come back as 1e-8). Not negative, up to rounding.
    """
    fidelity = torch.linalg.svdvals(_square_root(cov1) @ _square_root(cov2)).sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * fidelity)


def _square_root(cov: Tensor) -> Tensor:
    """The symmetric root; eigenvalues below the decomposition's own rounding count as 0."""
    values, vectors = torch.linalg.eigh(cov)
    rounding = len(cov) * torch.finfo(cov.dtype).eps * values[-1].abs()
    return vectors * torch.where(values > rounding, values, 0.0).sqrt() @ vectors.T


def kernel_distance(x: Tensor, y: Tensor, size: int | None = None, subsets: int = 100, seed: int = 0) -> float:
    r"""The unbiased squared MMD of features x [n, m] and y [l, m] under the cubic kernel, in float64.

    .. math:: \frac{\sum_{i \ne j} k(x_i, x_j)}{n(n - 1)} + \frac{\sum_{i \ne j} k(y_i, y_j)}{l(l - 1)}
              - \frac{2 \sum_{ij} k(x_i, y_j)}{nl}, \qquad k(x, y) = (x \cdot y / m + 1)^3

    Of all rows, unless a ``size`` is given: then the mean over ``subsets`` pairs of random subsets of that
    many rows, drawn by the seed. Published KID takes 100 subsets of 1,000; both have one mean, and the
    whole sample has the smaller variance. Not blind to the features' scale. May be negative; nan where a feature is
    not finite. Raises ValueError on features of different widths, a single row, or a size below 2 or above either
    count.
    Source: Binkowski et al. 2018 (Demystifying MMD GANs), section 4; Gretton et al. 2012, eq. 3.
    """
    x, y = check_features(x, y)
    if not all_finite(x, y):
        return math.nan
    if size is None:
        return _discrepancy(x, y)
    if not 2 <= size <= min(len(x), len(y)):
        raise ValueError(f"subsets of {size} rows cannot be drawn from {len(x)} and {len(y)}")
    rng = generator(seed, "subsets")
    draw = lambda rows: rows[torch.randperm(len(rows), generator=rng)[:size]]  # noqa: E731
    return sum(_discrepancy(draw(x), draw(y)) for _ in range(subsets)) / subsets


def _discrepancy(x: Tensor, y: Tensor) -> float:
    return _mean_within(x) + _mean_within(y) - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def _mean_within(x: Tensor) -> float:
    """The mean kernel of two different rows: with the diagonal, a row and itself, it would be biased upwards."""
    diagonal = (x.square().sum(1) / x.shape[1] + 1).pow(3).sum()
    return (_kernel_sum(x, x) - float(diagonal)) / (len(x) * (len(x) - 1))


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    """The sum of the kernel over all pairs."""
    parts = x.split(max(1, CHUNK_PRODUCTS // len(y)))
    return sum(float((part @ y.T / x.shape[1] + 1).pow(3).sum()) for part in parts)
