r"""A convolution that can be differentiated twice at the price of convolutions.

:math:`y = x * w` is linear in x and in w, so its derivatives are two more products of the same three tensors, with
:math:`g = \partial/\partial y`:

.. math:: \frac{\partial}{\partial x} = X(g, w), \qquad \frac{\partial}{\partial w} = W(x, g),

and the derivatives of X and W are again among ``*``, X and W: the family is closed. A gradient penalty differentiates
X(g, w) by w, which is W(h, g), with h what arrives at X. Written so, it is one call to a convolution's backward pass;
torch's own second derivative transposes both tensors and convolves with a kernel as large as the picture, at more than
twice the time.

A pass by the samples alone, the first of a penalty, has no use for W, though the weights ask for a gradient of their
own later: what a pass is after is asked of the engine of autograd.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from ..core.autodiff import inside_transform, needs_gradient


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """``F.conv2d``: x [B, I, H, W], weight [O, I / groups, k, k], bias [O] -> [B, O, H', W']."""
    weight = turn_kernel(weight, x)
    if inside_transform():
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)
    # as views: of a leaf it cannot be told whether it is what a backward pass is after
    return _Product.apply(x[...], weight[...], None if bias is None else bias[...], stride, padding, groups)


def channels_last(x: Tensor) -> Tensor:
    """The same numbers [B, C, H, W] in the order in which convolutions read them."""
    return x.contiguous(memory_format=torch.channels_last)


def turn_kernel(weight: Tensor, x: Tensor) -> Tensor:
    """The kernel channels last, once instead of again in each of the passes; as it is where it has more places than the
    picture, since turning it then costs more than it saves."""
    return channels_last(weight) if weight[0, 0].numel() <= x[0, 0].numel() else weight


class _Product(Function):
    """x * w + b."""

    @staticmethod
    def forward(ctx, x, w, b, *how):
        ctx.save_for_backward(x, w)
        ctx.biased, ctx.how = b is not None, how
        stride, padding, groups = how
        return F.conv2d(x, w, b, stride, padding, groups=groups)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        by_x, by_w, by_b = (needs_gradient(ctx, i) for i in range(3))
        if not torch.is_grad_enabled():  # nobody will differentiate again
            return *_slopes(g, x, w, ctx.how, by_x, by_w, by_b), None, None, None
        of_x = _ByInput.apply(g, w, x.detach(), *ctx.how) if by_x else None
        of_w, of_b = _ByWeight.apply(x, g, w.detach(), ctx.biased, *ctx.how) if by_w or by_b else (None, None)
        return of_x, of_w, of_b, None, None, None


class _ByInput(Function):
    """X(g, w), of the shape of x."""

    @staticmethod
    def forward(ctx, g, w, x, *how):
        ctx.save_for_backward(g, w)
        ctx.how = how
        return _slopes(g, x, w, how, True, False, False)[0]

    @staticmethod
    def backward(ctx, h):
        g, w = ctx.saved_tensors
        by_g = _Product.apply(h, w, None, *ctx.how) if needs_gradient(ctx, 0) else None
        by_w = _ByWeight.apply(h, g, w.detach(), False, *ctx.how)[0] if needs_gradient(ctx, 1) else None
        return by_g, by_w, None, None, None, None


class _ByWeight(Function):
    """W(x, g), of the shape of w, and, where there is a bias, the sum of g over samples and places."""

    @staticmethod
    def forward(ctx, x, g, w, biased, *how):
        ctx.save_for_backward(x, g)
        ctx.how = how
        return _slopes(g, x, w, how, False, True, biased)[1:]

    @staticmethod
    def backward(ctx, h, of_bias):
        x, g = ctx.saved_tensors
        by_x = _ByInput.apply(g, h, x.detach(), *ctx.how) if needs_gradient(ctx, 0) else None
        by_g = _Product.apply(x, h, of_bias, *ctx.how) if needs_gradient(ctx, 1) else None
        return by_x, by_g, None, None, None, None, None


def _slopes(g: Tensor, x: Tensor, w: Tensor, how: tuple[int, ...], by_x: bool, by_w: bool, by_b: bool):
    """X(g, w), W(x, g) and the bias's, where they are asked for. Of the one whose own is asked for alone, x or w, only
    the shape is read."""
    stride, padding, groups = how
    return torch.ops.aten.convolution_backward(
        g, x, w, [len(w)] if by_b else None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups,
        [by_x, by_w, by_b],
    )  # fmt: skip
