r"""The Frechet distance of two Gaussians fitted to features.

.. math:: d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\big(\Sigma_1 + \Sigma_2 - 2(\Sigma_1\Sigma_2)^{1/2}\big)

It is the squared 2-Wasserstein distance of the two Gaussians, and sees nothing of a law but its first two
moments. On Inception features it is the FID of Heusel et al. 2017; on any other it is called fd, and never
compared with one. Biased upwards on small samples (two samples of one law are not at distance 0): compare at
equal counts only.
Source: Frechet 1957; Dowson and Landau 1982, the formula.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """The Frechet distance of features x [n, m] and y [k, m], with unbiased covariances, in float64.

    In squared units of the features; nan where a feature is not finite. Raises ValueError on features of
    different widths or a single row, which has no covariance.
    Source: Heusel et al. 2017 (TTUR), eq. 6.
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            "the distance needs features [n, m] and [k, m] of two or more rows, not "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    x, y = x.detach().double(), y.detach().double()
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        return float("nan")
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
    fidelity = torch.linalg.svdvals(_root(cov1) @ _root(cov2)).sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * fidelity)


def _root(cov: Tensor) -> Tensor:
    """The symmetric root; eigenvalues below the decomposition's own rounding count as 0."""
    values, vectors = torch.linalg.eigh(cov)
    rounding = len(cov) * torch.finfo(cov.dtype).eps * values[-1].abs()
    return vectors * torch.where(values > rounding, values, 0.0).sqrt() @ vectors.T
