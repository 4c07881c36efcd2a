r"""Layers for pictures, fast by exact algebra.

Each computes what its plain counterpart computes, to rounding, with fewer or larger products:

* a transposed convolution of a 1 x 1 input, and a k x k convolution of a k x k input, are matrix products
  (`FirstTransposed`; `Flat` and a linear head);
* a transposed convolution to the few channels of a picture is a product, summed where kernels overlap (`Transposed`);
* a 3 x 3 convolution followed by 2 x 2 average pooling is one 4 x 4 convolution of stride 2, whose kernel is the mean
  of the four shifts of the padded 3 x 3 kernel: 2.25 times fewer products (`PooledConv`);
* a 3 x 3 convolution of a nearest upsampling is the transpose of that, with as much saved (`UpConv`);
* a 1 x 1 convolution commutes with nearest upsampling and with average pooling, so it runs on the small side;
* the mask of a leaky ReLU is a constant of every backward pass (`Leaky`): a second backward finds nothing in it;
* the second derivative of a convolution is made of convolutions' first ones (`convolve`).

Activations lie channels last, the layout in which a processor's convolutions read them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from ..core.autodiff import inside_transform
from .convolution import channels_last, convolve, turn_kernel

THIN_CHANNELS = 4  # channels of a picture: a transposed convolution to so few is slow

Init = Callable[[Tensor], object]  # named functions and their arguments: a module goes into a pickle with its layers


def normal(std: float) -> Init:
    """N(0, std^2), DCGAN's start."""
    return partial(nn.init.normal_, mean=0.0, std=std)


def glorot(gain: float = 1.0) -> Init:
    """Uniform with std gain sqrt(2 / (fan_in + fan_out)). Source: Glorot and Bengio 2010."""
    return partial(nn.init.xavier_uniform_, gain=gain)


def he(gain: float = 1.0) -> Init:
    """N(0, gain^2 / fan_in). Source: He et al. 2015, gain sqrt(2) before a ReLU."""
    return partial(_start_he, gain=gain)


def _start_he(weight: Tensor, gain: float) -> Tensor:
    return nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))


zeros: Init = nn.init.zeros_  # a residual branch that starts as nothing


class _Weighted(nn.Module):
    """A weight, started by ``init``, and perhaps a bias, started at 0."""

    def __init__(self, shape: tuple[int, ...], bias: int | None, init: Init):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(bias)) if bias else None
        self.init = init
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.init(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Conv(_Weighted):
    """A convolution [B, inputs, H, W] -> [B, outputs, ...] with a start of its own."""

    def __init__(self, inputs, outputs, kernel=3, stride=1, padding=1, *, init: Init, bias=True, groups=1):
        super().__init__((outputs, inputs // groups, kernel, kernel), outputs if bias else None, init)
        self.stride, self.padding, self.groups = stride, padding, groups

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, self.stride, self.padding, self.groups)


class Transposed(_Weighted):
    """A transposed convolution of stride 2 that doubles the side: kernel 4 (padding 1) or 5 (padding 2, output
    padding 1). The overlaps of kernel 4 are even, those of 5 are not (4, 6 or 9 contributions a pixel)."""

    def __init__(self, inputs, outputs, kernel=4, *, init: Init, bias=False):
        super().__init__((inputs, outputs, kernel, kernel), outputs if bias else None, init)
        self.padding, self.extra = (1, 0) if kernel == 4 else (2, 1)

    def forward(self, x: Tensor) -> Tensor:
        inputs, outputs, kernel, _ = self.weight.shape
        if outputs > THIN_CHANNELS or self.bias is not None:
            return F.conv_transpose2d(x, turn_kernel(self.weight, x), self.bias, 2, self.padding, self.extra)
        # a thin output: the product of every place with the kernels, summed where they overlap
        patches = (x.permute(0, 2, 3, 1).flatten(1, 2) @ self.weight.flatten(1)).transpose(1, 2)
        return F.fold(patches, (2 * x.shape[2], 2 * x.shape[3]), kernel, padding=self.padding, stride=2)


class ConvTransposed(_Weighted):
    """A transposed convolution without padding: a side s becomes (s - 1) stride + kernel."""

    def __init__(self, inputs, outputs, kernel, stride=1, *, init: Init):
        super().__init__((inputs, outputs, kernel, kernel), None, init)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, turn_kernel(self.weight, x), stride=self.stride)


class FirstTransposed(_Weighted):
    """z [B, inputs] -> [B, outputs, side, side]: the transposed convolution of a 1 x 1 input, as a product."""

    def __init__(self, inputs, outputs, side=4, *, init: Init, bias=False):
        super().__init__((inputs, outputs, side, side), outputs if bias else None, init)

    def forward(self, z: Tensor) -> Tensor:
        inputs, outputs, side, _ = self.weight.shape
        # the product is written channels last, so that what follows reads it in order
        out = z @ self.weight.permute(0, 2, 3, 1).reshape(inputs, -1)
        out = out.view(-1, side, side, outputs).permute(0, 3, 1, 2)
        return out if self.bias is None else out + self.bias.view(-1, 1, 1)


class Dense(_Weighted):
    """A linear layer [B, inputs] -> [B, outputs] with a start of its own."""

    def __init__(self, inputs, outputs, *, init: Init, bias=True):
        super().__init__((outputs, inputs), outputs if bias else None, init)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class PooledConv(Conv):
    """A 3 x 3 convolution, then 2 x 2 average pooling, in one."""

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, four_shifts(self.weight) / 4, self.bias, 2, 1)


class UpConv(Conv):
    """Nearest upsampling by 2, then a 3 x 3 convolution, in one."""

    def forward(self, x: Tensor) -> Tensor:
        # a transposed convolution turns its kernel round
        kernel = four_shifts(self.weight).transpose(0, 1).flip(2, 3)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


def four_shifts(weight: Tensor) -> Tensor:
    """[o, i, 3, 3] -> [o, i, 4, 4]: the sum of the kernel's four shifts by 0 or 1."""
    return sum(F.pad(weight, (a, 1 - a, b, 1 - b)) for a in (0, 1) for b in (0, 1))  # type: ignore[return-value]


class Leaky(nn.Module):
    """max(h, slope h), its mask a constant of the backward pass: a second backward finds nothing in it and stops there,
    where the plain one carries zeros through the whole network, a seventh of a gradient penalty's work."""

    def __init__(self, slope: float = 0.2):
        super().__init__()
        self.slope = slope

    def forward(self, h: Tensor) -> Tensor:
        return torch.where(h > 0, h, self.slope * h) if inside_transform() else _Leaky.apply(h, self.slope)


class _Leaky(Function):
    @staticmethod
    def forward(ctx, h: Tensor, slope: float) -> Tensor:
        out = F.leaky_relu(h, slope)
        ctx.save_for_backward(out)  # of h's sign, and kept by the next layer anyway
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx, gradient):
        (out,) = ctx.saved_tensors
        return torch.ops.aten.leaky_relu_backward(gradient, out.detach(), ctx.slope, True), None


class Blur(nn.Module):
    """Downsampling by 2 with the kernel (1, 3, 3, 1)/8 along each side, the transpose of bilinear upsampling but for
    the edges: three averages of two, the last in steps of two."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 2, 1), 2, 1), 2)


class SumPool(nn.Module):
    """[B, C, H, W] -> [B, C], the sum over places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


class MeanPool(nn.Module):
    """[B, C, H, W] -> [B, C], the mean over places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Flat(nn.Module):
    """[B, C, H, W] -> [B, H W C], in the order in which the numbers lie."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Shaped(nn.Module):
    """[B, H W C] -> [B, C, H, W], the inverse of `Flat`."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.side, self.side, -1)).permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """The same numbers in channels-last order."""

    def forward(self, x: Tensor) -> Tensor:
        return channels_last(x)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm on the statistics of its batch alone; its gains start at N(1, gain_std^2)."""

    def __init__(self, channels: int, gain_std: float = 0.0):
        self.gain_std = gain_std
        super().__init__(channels, track_running_stats=False)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.gain_std:
            nn.init.normal_(self.weight, 1.0, self.gain_std)


class ClassNorm(nn.Module):
    """Batch norm with a gain and a shift for every class. Source: de Vries et al. 2017; SNGAN's generators."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False, track_running_stats=False)
        self.gain = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.gain)
        nn.init.zeros_(self.shift)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return torch.addcmul(self.shift[label][:, :, None, None], self.norm(x), self.gain[label][:, :, None, None])


def norm(channels: int, classes: int = 0, gain_std: float = 0.0) -> nn.Module:
    """A generator's batch norm, by class where there are classes."""
    return ClassNorm(channels, classes) if classes else BatchNorm(channels, gain_std)


class Told(nn.Module):
    """z [B, n] and behind it what is learned of its label, [B, n + width], which starts as normal as z: for a generator
    without norms. Source: Mirza and Osindero 2014, section 3.2; an embedding as in the networks of R3GAN."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.classes = Dense(width, classes, init=normal(1.0), bias=False)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return torch.cat([z, self.classes.weight[label]], 1)


class Chain(nn.Sequential):
    """Layers one after the other; the label, where there is one, goes to those that ask for it."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, label) if isinstance(layer, (ClassNorm, Told, Chain, Residual)) else layer(x)
        return x


class Residual(nn.Module):
    """The sum of two ways through; either may be a chain."""

    def __init__(self, straight: nn.Module, way: Chain):
        super().__init__()
        self.straight, self.way = straight, way

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.straight(x) + self.way(x, label)


def doublings(side: int, start: int = 4) -> int:
    """How often ``start`` doubles to ``side``."""
    return round(math.log2(side / start))
