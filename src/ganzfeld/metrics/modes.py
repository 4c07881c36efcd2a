r"""Mode coverage on a Gaussian mixture whose centres and width are known (Srivastava et al. 2017, VEEGAN; Lin et al.
2018, PacGAN).

A sample is of *high quality* within three standard deviations of its nearest centre. In the plane a perfect sampler
reaches :math:`1 - e^{-9/2} = .98889`, not the .997 of one dimension; a share above .993 means modes narrower than the
data's, a symptom of collapse. In d dimensions mass lies at radius :math:`\sigma\sqrt d` and three deviations hold
nothing; the radius here is the quantile that holds the same .98889, which is :math:`3\sigma` for d = 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

HIGH_QUALITY_CEILING = 1 - math.exp(-4.5)
OVER_CONCENTRATED = 0.993


class ModeCoverage(NamedTuple):
    """modes: covered, each by at least one high-quality sample. high_quality: share of samples. reverse_kl: of the
    modes' frequencies among high-quality samples from the uniform ones, in nats, inf without any. reverse_kl_floor:
    what a perfect sampler shows at this count, (K - 1) / 2n."""

    modes: int
    high_quality: float
    reverse_kl: float
    reverse_kl_floor: float
    over_concentrated: bool


def high_quality_radius(std: float, dimensions: int) -> float:
    """The distance from a centre that holds .98889 of a mode, in the units of std; 3 std in two dimensions."""
    from scipy.stats import chi2

    return std * math.sqrt(float(chi2.ppf(HIGH_QUALITY_CEILING, dimensions)))


def mode_coverage(samples: Tensor, centres: Tensor, std: float, dimensions: int | None = None) -> ModeCoverage:
    """Which modes samples [n, d] cover, of centres [K, d].

    dimensions: of the noise around a centre, d unless it fills a subspace only. Raises ValueError on other shapes.
    """
    if samples.dim() != 2 or samples.shape[1] != centres.shape[1]:
        raise ValueError(f"samples {tuple(samples.shape)} and centres {tuple(centres.shape)} differ in dimension")
    radius = high_quality_radius(std, dimensions or centres.shape[1])
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)
    counts = torch.bincount(nearest[distance <= radius], minlength=len(centres)).double()
    n, k, good = len(samples), len(centres), float(counts.sum())
    kl = float(torch.special.xlogy(counts / good, counts / good * k).sum()) if good else math.inf
    share = good / n
    return ModeCoverage(int((counts > 0).sum()), share, kl, (k - 1) / (2 * n), share > OVER_CONCENTRATED)
