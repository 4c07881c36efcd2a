r"""Where two samples lie: fidelity and diversity apart, by nearest neighbours among features.

A sample's *manifold* is the union of balls around its rows, each reaching to the k-th nearest other row of the same
sample,

.. math:: M_k(y) = \bigcup_j B(y_j, r_k(y_j)), \qquad r_k(y_j) = \|y_j - NN_k(y_j)\|.

Precision is the share of generated rows inside the data's manifold (do they look real?), recall the share of real rows
inside the generated one (is everything there?). One outlier has a wide ball, which pleases both; density and coverage
are the cure: the first counts *how many* balls of the data hold a generated row, the second asks which of the data's
own balls hold any.

All depend on the counts and on the features: compare at equal counts, beside held-out data. Distances come from inner
products in float64, so rows closer than a millionth of their length count as one.
Sources: Kynkaanniemi et al. 2019; Naeem et al. 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .features import CHUNK_PRODUCTS, all_finite, check_features

ROUNDING = 1e-12  # of a squared distance, against the squared lengths it is the difference of
TIE = 1e-9  # a row on the rim of a ball stays there, on whichever side its rounding falls


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """density: 0 or more, 1 in the mean for samples of the data's own law. coverage: a share in [0, 1]."""

    density: float
    coverage: float


class Neighbours(NamedTuple):
    """distances, indices: [n, k], nearest first."""

    distances: Tensor
    indices: Tensor


def precision_recall(x: Tensor, y: Tensor, k: int = 3) -> PrecisionRecall:
    r"""Precision and recall of samples x [n, m] of the data y [l, m], both features.

    .. math:: \frac1n \#\{i : x_i \in M_k(y)\}, \qquad \frac1l \#\{j : y_j \in M_k(x)\}

    with closed balls. nan where a feature is not finite. Raises ValueError on features of different widths, and where
    either has no more than k rows.
    Source: Kynkaanniemi et al. 2019, eq. 1 and 2, and their k.
    """
    x, y = check_features(x, y)
    if not all_finite(x, y):
        return PrecisionRecall(math.nan, math.nan)
    reach_x, reach_y = _squared_radii(x, k) * (1 + TIE), _squared_radii(y, k) * (1 + TIE)
    real = torch.cat([(d <= reach_y).any(1) for d in _squared_distances(x, y)])
    kept = torch.cat([(d <= reach_x).any(1) for d in _squared_distances(y, x)])
    return PrecisionRecall(_share(real), _share(kept))


def density_coverage(x: Tensor, y: Tensor, k: int = 5) -> DensityCoverage:
    r"""Density and coverage of samples x [n, m] of the data y [l, m], both features.

    .. math:: \frac1{kn} \sum_{ij} 1[\|x_i - y_j\| < r_k(y_j)], \qquad
              \frac1l \#\{j : \min_i \|x_i - y_j\| < r_k(y_j)\}

    with open balls, as the authors' code has them: then a sample that equals the data has density 1. A density above
    1 says that samples crowd where the data are dense. nan where a feature is not finite. Raises ValueError on features
    of different widths, and where the data have no more than k rows.
    Source: Naeem et al. 2020, sections 3.1 and 3.2; their k.
    """
    x, y = check_features(x, y)
    if not all_finite(x, y):
        return DensityCoverage(math.nan, math.nan)
    inside = torch.zeros(len(y), dtype=torch.float64)  # samples in each of the data's balls
    reach = _squared_radii(y, k) * (1 - TIE)
    for d in _squared_distances(x, y):
        inside += (d < reach).sum(0)
    return DensityCoverage(float(inside.sum()) / (k * len(x)), _share(inside > 0))


def nearest_neighbours(x: Tensor, y: Tensor | Iterable[Tensor], k: int = 1) -> Neighbours:
    """The k nearest rows of y [l, m] to each row of x [n, m], and their Euclidean distances, in float64.

    y: rows, or blocks of them, one after the other, so that more than fits the memory can be searched; indices count
    through all blocks. The distances of what was found are exact (a copy is at 0). Raises ValueError where y has fewer
    than k rows in all, or x or y is not [rows, m].
    """
    x, start = x.detach().double(), 0
    found = Neighbours(torch.empty(len(x), 0, dtype=torch.float64), torch.empty(len(x), 0, dtype=torch.long))
    for block in y.split(max(1, CHUNK_PRODUCTS // max(1, len(x)))) if isinstance(y, Tensor) else y:
        near = _search_block(x, block.detach().double(), k)
        found = _merge(found, Neighbours(near.distances, near.indices + start), k)
        start += len(block)
    if start < k:
        raise ValueError(f"{k} nearest neighbours need as many rows, not {start}")
    return found


def _search_block(x: Tensor, block: Tensor, k: int) -> Neighbours:
    """Of one block: found by inner products, measured by differences, which lose no digits between near rows."""
    if x.dim() != 2 or block.dim() != 2 or x.shape[1] != block.shape[1]:
        raise ValueError(f"rows [n, m] and [l, m] must share m, not {tuple(x.shape)} and {tuple(block.shape)}")
    indices = torch.cat([d.topk(min(k, len(block)), largest=False).indices for d in _squared_distances(x, block)])
    columns = [(x - block[column]).norm(dim=1) for column in indices.T]
    return Neighbours(torch.stack(columns, 1), indices)


def _merge(a: Neighbours, b: Neighbours, k: int) -> Neighbours:
    distances, indices = torch.cat([a.distances, b.distances], 1), torch.cat([a.indices, b.indices], 1)
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return Neighbours(distances.gather(1, order), indices.gather(1, order))


def _squared_radii(x: Tensor, k: int) -> Tensor:
    """The squared distance [n] of each row from its k-th nearest other row."""
    if not 1 <= k < len(x):
        raise ValueError(f"balls that reach to the neighbour k = {k} need more than {k} rows, not {len(x)}")
    return torch.cat([d.topk(k + 1, largest=False).values[:, k] for d in _squared_distances(x, x)])


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Squared distances, block of rows by block of rows: [n, l] in all. Equal rows are at 0, whatever the rounding."""
    centre = y.mean(0)  # a common offset costs digits and changes no distance
    x, y = x - centre, y - centre
    lengths = y.square().sum(1)
    for part in x.split(max(1, CHUNK_PRODUCTS // len(y))):
        sums = part.square().sum(1, keepdim=True) + lengths
        d = torch.addmm(sums, part, y.T, alpha=-2)
        yield torch.where(d > ROUNDING * sums, d, 0.0)


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
