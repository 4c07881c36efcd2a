r"""The Frechet distance of two Gaussians fitted to features.

.. math:: \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\big(\Sigma_1 + \Sigma_2 - 2(\Sigma_1\Sigma_2)^{1/2}\big)

On Inception features it is the FID of Heusel et al. 2017; on any other it is called fd, and never compared with one.
Biased upwards on small samples: compare at equal counts only.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Of features [n, m] and [k, m], with unbiased covariances, in float64; nan where a feature is not finite."""
    x, y = x.double(), y.double()
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        return float("nan")
    return gaussian_frechet(x.mean(0), torch.atleast_2d(torch.cov(x.T)), y.mean(0), torch.atleast_2d(torch.cov(y.T)))


def gaussian_frechet(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Of N(mean1, cov1) and N(mean2, cov2), singular covariances allowed.

    The trace of the root is taken from the symmetric form of the product, whose eigenvalues are real and not negative.
    """
    root = _root(cov1)
    product = torch.linalg.eigvalsh(root @ cov2 @ root).clamp(min=0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * product)


def _root(cov: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
