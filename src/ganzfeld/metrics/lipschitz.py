r"""How steep a critic is: what the product of its layers' norms allows, and what its gradients show.

:math:`\|f\|_{Lip} \le \prod_l \|W_l\|` for dense layers with 1-Lipschitz activations; a flattened kernel's norm is not
its convolution's, and batch norm, residual sums and sum pooling break the product (Miyato et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # [B, ...] -> [B]


def spectral_norms(params: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest singular value of every weight of two or more dimensions, flattened to [out, rest]."""
    return {name: float(torch.linalg.matrix_norm(w.flatten(1), 2)) for name, w in params.items() if w.dim() > 1}


def product_bound(params: Mapping[str, Tensor]) -> float:
    """The product of the layers' norms: an upper bound on the slope of a perceptron."""
    return math.prod(spectral_norms(params).values())


def gradient_norms(f: Score, x: Tensor) -> Tensor:
    """The norm [B] of each score's gradient over all dimensions of its own sample."""
    return torch.func.grad(lambda x: f(x).sum())(x).flatten(1).norm(dim=1)


def gradient_quantiles(f: Score, x: Tensor, q: Sequence[float] = (0.05, 0.5, 0.95, 1.0)) -> Tensor:
    """Quantiles of the gradient norms over a batch; the last is the steepest seen."""
    norms = gradient_norms(f, x)
    return torch.quantile(norms, torch.tensor(q, dtype=norms.dtype))


def difference_quotient(f: Score, x: Tensor, y: Tensor) -> float:
    """The largest |f(x) - f(y)| / |x - y| over pairs of rows."""
    return float(((f(x) - f(y)).abs() / (x - y).flatten(1).norm(dim=1)).max())


def sample_mixing(f: Score, x: Tensor) -> float:
    """The largest entry of the scores' derivative by *other* samples: 0 where a per-sample penalty is legitimate,
    not 0 with batch norm."""
    jacobian = torch.func.jacrev(f)(x).flatten(2).abs().amax(-1)
    return float((jacobian - torch.diag(jacobian.diagonal())).max())


def share_at_bound(params: Mapping[str, Tensor], bound: float, tolerance: float = 1e-6) -> float:
    """The share of weights whose size is within a relative tolerance of a clipping bound; nan without weights."""
    flat = [w.flatten().abs() for w in params.values()]
    return float((torch.cat(flat) >= bound * (1 - tolerance)).double().mean()) if flat else math.nan
