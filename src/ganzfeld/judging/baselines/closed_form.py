r"""Rankers in closed form: what an adversary has to beat.

Of training positives X [U, I], 1 where a user has an item, each finds scores [U, I], or an item-item matrix B [I, I]
whose scores are ``x.double() @ b``: row j of B is what having item j says of all others. None is drawn or trained: with
its options fixed, each is one number per data set, without a seed. The options are chosen as a learned ranker's are, by
validation. One that does not beat nearest neighbours and EASE has shown nothing; many published ones do not.

The diagonal of B is 0: an item says nothing of itself, for what a user has is not asked for. It is scored like all
else: who ranks leaves it out of the candidates. A *cold* item, that no user has, scores 0.
Sources: Sarwar et al. 2001; Steck 2019; Dacrema et al. 2019 (of the strength of such baselines).
"""

from __future__ import annotations

import torch
from torch import Tensor

CLOSED_FORM = ("popularity", "item-knn", "ease")  # what they are called in tables


def popularity(x: Tensor) -> Tensor:
    r"""How many users have an item, for every user the same: scores [U, I] of positives x [U, I], bool.

    .. math:: s_{ui} = \sum_v X_{vi}

    Blind to the user. A cold item scores 0, the least there is. Raises ValueError on anything but a bool matrix.
    """
    _check_positives(x)
    return x.sum(0).double().repeat(len(x), 1)


def item_knn(x: Tensor, neighbours: int | None = 100, shrinkage: float = 0.0) -> Tensor:
    r"""The cosines of items, of each item the largest: B [I, I] of positives x [U, I], bool.

    .. math:: B_{ji} = \frac{G_{ji}}{\sqrt{G_{jj} G_{ii}} + h} \text{ for } j \in N_k(i), \qquad G = X^T X,

    and 0 otherwise: an item is scored by those of its own k nearest items that the user has. The k are the largest of
    a *column*; the largest of a row would let popular items, which are near to all, crowd into every list. Of equal
    ones those with the smaller index.

    neighbours: k, or None for all items. shrinkage: h, in users; it damps a cosine that few users make. A cold item
    scores 0, the least there is, as does what is near to nothing that the user has. Raises ValueError for k < 1, h < 0
    and on anything but a bool matrix.
    Source: Sarwar et al. 2001, section 3.1.1, 3.2.1; Dacrema et al. 2019, the shrinkage.
    """
    if (neighbours is not None and neighbours < 1) or not shrinkage >= 0:
        raise ValueError(f"neighbours (1 or more) and shrinkage (0 or more), not {neighbours} and {shrinkage}")
    together = _count_together(x)
    counts = together.diagonal()
    # a cold item was with no one: its 0 / 0 is a cosine of 0 / 1
    cosines = together / (torch.outer(counts, counts).clamp(min=1).sqrt() + shrinkage)
    cosines.fill_diagonal_(0)
    if neighbours is None:
        return cosines
    nearest = cosines.argsort(dim=1, descending=True, stable=True)[:, :neighbours]
    return torch.zeros_like(cosines).scatter(1, nearest, cosines.gather(1, nearest)).T


def ease(x: Tensor, weight: float = 400.0) -> Tensor:
    r"""Every item from all others by ridge regression: B [I, I] of positives x [U, I], bool.

    .. math:: \min_B \|X - XB\|_F^2 + \lambda \|B\|_F^2 \text{ with } B_{ii} = 0: \qquad
              B_{ij} = -P_{ij} / P_{jj}\ (i \ne j), \qquad P = (X^T X + \lambda 1)^{-1}

    weight: the penalty lambda, in users; what EASE needs for a choice. Weights may be negative, so a cold item, which
    scores 0, stands above what the user's items speak against. In float64; O(I^3) once. Raises ValueError for a weight
    that is not positive, which a cold item or two alike would leave without an inverse, and on anything but a bool
    matrix.
    Source: Steck 2019 (Embarrassingly Shallow Autoencoders), eq. 8, algorithm 1.
    """
    if not weight > 0:
        raise ValueError(f"the penalty's weight must be positive, not {weight}")
    penalised = _count_together(x)
    penalised.diagonal().add_(weight)
    p = torch.cholesky_inverse(torch.linalg.cholesky(penalised))
    return (-p / p.diagonal()).fill_diagonal_(0)


def _count_together(x: Tensor) -> Tensor:
    """How many users have both of two items, [I, I]."""
    x = _check_positives(x).double()
    return x.T @ x


def _check_positives(x: Tensor) -> Tensor:
    if x.dim() != 2 or x.dtype != torch.bool:
        raise ValueError(f"training positives are a bool matrix [U, I], not {tuple(x.shape)} of {x.dtype}")
    return x
