r"""Mode coverage on a Gaussian mixture whose centres and width are known.

A sample is of *high quality* within three standard deviations of its nearest centre, and a mode is *covered*
if at least one high-quality sample is nearest to it; nearest alone would count strays. In the plane a perfect
sampler reaches

.. math:: P(\|x - c\| \le 3\sigma) = 1 - e^{-9/2} = .98889,

not the .997 of one dimension; a share above .993 means modes narrower than the data's, a symptom of collapse.

The rule of three deviations breaks in d dimensions, where the mass of a Gaussian lies on a shell of radius
:math:`\sigma\sqrt d` (26.5 :math:`\sigma` for d = 700) and a perfect sampler would score 0. The radius here
is the quantile of the chi law that holds the same .98889, which is exactly :math:`3\sigma` for d = 2.

Sources: Srivastava et al. 2017 (VEEGAN), the metric; Lin et al. 2018 (PacGAN), the reverse KL. Published
numbers on nominally equal mixtures disagree wildly: compare only what one harness measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

HIGH_QUALITY_CEILING = 1 - math.exp(-4.5)
OVER_CONCENTRATED = 0.993
CHUNK_SAMPLES = 8_192  # samples whose distances to all centres are held at once


class ModeCoverage(NamedTuple):
    """modes: covered, each by at least one high-quality sample. high_quality: share of samples. reverse_kl:
    of the modes' frequencies among high-quality samples from the uniform ones, in nats, inf without any.
    reverse_kl_floor: what a perfect sampler shows on average at this count, (K - 1) / 2n; much less is luck
    or a fault. over_concentrated: the share is above .993."""

    modes: int
    high_quality: float
    reverse_kl: float
    reverse_kl_floor: float
    over_concentrated: bool


def high_quality_radius(std: float, dimensions: int) -> float:
    r"""The distance from a centre that holds .98889 of its mode, in the units of std.

    .. math:: r = \sigma \sqrt{F^{-1}_{\chi^2_d}(1 - e^{-9/2})}, \qquad r = 3\sigma \text{ for } d = 2
    """
    from scipy.stats import chi2

    return std * math.sqrt(float(chi2.ppf(HIGH_QUALITY_CEILING, dimensions)))


def mode_coverage(samples: Tensor, centres: Tensor, std: float, dimensions: int | None = None) -> ModeCoverage:
    r"""Which modes samples [n, d] cover, of centres [K, d] with isotropic noise std, all in the same units.

    .. math:: KL(\hat p \,\|\, u) = \sum_k \hat p_k \log(K \hat p_k),

    with the frequencies of the nearest modes among *high-quality* samples: a stray belongs to no mode, and
    its share is already told by ``high_quality``. The floor is the mean of the likelihood-ratio statistic
    over 2n.

    dimensions: of the noise around a centre, d unless it fills a subspace only. A sample that is not finite
    is not of high quality. Raises ValueError without samples and on shapes that do not match.
    Source: Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN), whose reverse KL this is.
    """
    if samples.dim() != 2 or centres.dim() != 2 or samples.shape[1] != centres.shape[1]:
        shapes = f"{tuple(samples.shape)} and {tuple(centres.shape)}"
        raise ValueError(f"samples [n, d] and centres [K, d] must share d, not {shapes}")
    if not len(samples):
        raise ValueError("mode coverage needs at least one sample")
    counts = _counts(samples, centres, high_quality_radius(std, dimensions or centres.shape[1]))
    n, k, good = len(samples), len(centres), float(counts.sum())
    kl = float(torch.special.xlogy(counts / good, counts / good * k).sum()) if good else math.inf
    share = good / n
    return ModeCoverage(int((counts > 0).sum()), share, kl, (k - 1) / (2 * n), share > OVER_CONCENTRATED)


def _counts(samples: Tensor, centres: Tensor, radius: float) -> Tensor:
    """High-quality samples by nearest mode, [K]."""
    counts = torch.zeros(len(centres), dtype=torch.float64)
    for part in samples.split(CHUNK_SAMPLES):
        distance, nearest = torch.cdist(part.double(), centres.double()).min(1)
        counts += torch.bincount(nearest[distance <= radius], minlength=len(centres))
    return counts
