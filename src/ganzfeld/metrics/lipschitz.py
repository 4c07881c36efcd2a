r"""How steep a critic is: what the product of its layers' norms allows, and what its gradients show.

.. math:: \frac{|f(x) - f(y)|}{\|x - y\|} \le \sup_x \|\nabla f(x)\| = \|f\|_{Lip} \le \prod_l \|W_l\|

The left is seen on data and underestimates; the right holds for dense layers with 1-Lipschitz activations,
and overestimates. It fails elsewhere: a flattened kernel's norm is not its convolution's, which may be larger
by the root of the kernel's area; batch norm is unbounded; a residual sum of two 1-Lipschitz branches is
2-Lipschitz; global sum pooling over 8 x 8 has norm 8.

A gradient penalty speaks of one sample's score, so it is legitimate only if no score depends on another
sample: `sample_mixing` measures that.
Sources: Miyato et al. 2018 (SNGAN), section 2; Gulrajani et al. 2017 (WGAN-GP), sections 2.3 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Score = Callable[..., Tensor]  # tensors [B, ...] -> [B]


def spectral_norms(params: Mapping[str, Tensor]) -> dict[str, float]:
    r"""The largest singular value of each weight of two or more dimensions, flattened to [out, rest].

    .. math:: \sigma(W) = \max_{\|h\| = 1} \|W h\|

    By a full decomposition, not by power iteration, which approaches it from below. A transposed convolution
    keeps its inputs in the first dimension, so its number is that of another flattening.
    Source: Miyato et al. 2018 (SNGAN), eq. 6.
    """
    weights = {name: w.detach() for name, w in params.items() if w.dim() > 1}
    return {name: float(torch.linalg.matrix_norm(w.flatten(1), 2)) for name, w in weights.items()}


def product_bound(params: Mapping[str, Tensor]) -> float:
    """The product of the spectral norms: an upper bound on the slope of a perceptron.

    Its activations must be 1-Lipschitz, and its weights all of ``params``.
    Source: Miyato et al. 2018 (SNGAN), eq. 7.
    """
    return math.prod(spectral_norms(params).values())


def gradient_norms(f: Score, *xs: Tensor) -> Tensor:
    r"""The norm [B] of each score's gradient, over all dimensions of all inputs of its own sample.

    .. math:: \|\nabla f\|_i = \Big(\sum_k \|\partial f(x^1, x^2, \ldots)_i / \partial x^k_i\|_2^2\Big)^{1/2}

    f: from inputs [B, ...] to scores [B]; the norms stay differentiable in what f closes over. A norm over
    one axis of a picture is another quantity, per pixel, and its unit value is a steeper critic. Where a
    score depends on other samples, the gradient is that of the sum of scores.
    Source: Gulrajani et al. 2017 (WGAN-GP), eq. 3.
    """
    slopes = torch.func.grad(lambda *xs: f(*xs).sum(), argnums=tuple(range(len(xs))))(*xs)
    return torch.cat([slope.flatten(1) for slope in slopes], 1).norm(dim=1)


def gradient_quantiles(f: Score, *xs: Tensor, q: Sequence[float] = (0.05, 0.5, 0.95, 1.0)) -> Tensor:
    """Quantiles [len(q)] of `gradient_norms` over a batch; the one at 1 is a lower bound on the slope."""
    norms = gradient_norms(f, *xs).detach()
    return torch.quantile(norms, torch.tensor(q, dtype=norms.dtype))


def difference_quotient(f: Score, x: Tensor, y: Tensor) -> float:
    r"""The largest :math:`|f(x_i) - f(y_i)| / \|x_i - y_i\|` of x, y [B, ...], a lower bound on the slope.

    Rows that coincide say nothing and are left out. Raises ValueError if all do.
    """
    gap = (x - y).flatten(1).norm(dim=1)
    apart = gap > 0
    if not apart.any():
        raise ValueError("every pair of rows coincides; a difference quotient needs two points")
    return float(((f(x) - f(y)).detach().abs()[apart] / gap.detach()[apart]).max())


def sample_mixing(f: Score, x: Tensor) -> float:
    r"""The largest entry of the scores' derivatives by *other* samples: 0 without batch norm or the like.

    .. math:: \max_{i \ne j} \|\partial f(x)_i / \partial x_j\|_\infty

    f: from x to scores [B]. x: [B, ...] of two or more samples; the Jacobian is held whole, so a few suffice.
    Where it is not 0, a per-sample gradient penalty is not one. A batch norm that keeps running statistics is
    refused by ``torch.func``, since it changes when called: set ``track_running_stats=False``. Raises
    ValueError for a single sample.
    Source: Gulrajani et al. 2017 (WGAN-GP), section 4, "No critic batch normalization".
    """
    if len(x) < 2:
        raise ValueError("whether samples mix shows on two or more of them, not one")
    jacobian = torch.func.jacrev(f)(x).detach().flatten(2).abs().amax(-1)
    return float(jacobian.fill_diagonal_(0).max())


def share_at_bound(params: Mapping[str, Tensor], bound: float, tolerance: float = 1e-6) -> float:
    """The share of weights whose size is within a relative tolerance of a clipping bound; nan without any.

    A clipped critic drives its weights to the corners of the box, and a share near 1 leaves it little to say.
    Source: Gulrajani et al. 2017 (WGAN-GP), section 3.1 and figure 1.
    """
    flat = [w.detach().flatten().abs() for w in params.values()]
    return float((torch.cat(flat) >= bound * (1 - tolerance)).double().mean()) if flat else math.nan
