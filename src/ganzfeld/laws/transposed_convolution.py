r"""Transposed convolution: an adjoint, its overlaps and the checkerboard.

.. math::
    \langle C x, y \rangle = \langle x, C^T y \rangle, \qquad s_{out} = (s_{in} - 1) \cdot 2 - 2 p + k + e

Source: Radford, Metz, Chintala 2016 (DCGAN).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .. import networks
from ..core.randomness import global_seed
from ..networks import layers
from .law import Check, Evidence, Line, Panel, above, law, near

KERNELS = (3, 4, 5)
PADDING = {3: 0, 4: 1, 5: 2}
EXTRA = {3: 0, 4: 0, 5: 1}  # output padding
SETS = {3: (4, 2, 2, 1), 4: (4, 4, 4, 4), 5: (9, 6, 6, 4)}  # even and odd rows by even and odd columns
WEIGHTS = {"generator": 3_576_704, "critic": 2_765_568}  # of the public DCGAN, width 64, 64 pixels


def prove(fast: bool) -> Evidence:
    seeds = 16 if fast else 96
    untrained = {kernel: _start_variance(kernel, seeds) for kernel in (4, 5)}
    checks = (
        _adjoint(),
        _transpose(),
        *_zeros_between(),
        *(_sides(kernel) for kernel in (4, 5)),
        _whole_pictures(),
        *(_overlaps(kernel) for kernel in KERNELS),
        *(_layer(kernel, 12 if fast else 100) for kernel in (4, 5)),
        *(_checkerboard(kernel, variance) for kernel, variance in untrained.items()),
        _not_the_inverse(),
        *_sizes(),
    )
    return checks, (_rows(), _grid(untrained))


def _upsampling(kernel: int, inputs: int, outputs: int, init: layers.Init) -> layers.ConvTransposed | layers.Transposed:
    """The package's transposed convolution of stride 2."""
    if kernel == 3:
        return layers.ConvTransposed(inputs, outputs, 3, 2, init=init)
    return layers.Transposed(inputs, outputs, kernel, init=init)


def _pair(kernel: int, inputs: int, outputs: int) -> tuple[layers.Conv, layers.ConvTransposed | layers.Transposed]:
    """A convolution [outputs, 2 s, 2 s] -> [inputs, s, s] and the transposed one, of one random kernel."""
    with global_seed("pair", kernel, inputs, outputs):
        up = _upsampling(kernel, inputs, outputs, layers.normal(1.0))
    down = layers.Conv(outputs, inputs, kernel, 2, PADDING[kernel], init=layers.zeros, bias=False)
    down.weight = up.weight
    return down, up


def _output_side(kernel: int, side: int) -> int:
    return (side - 1) * 2 - 2 * PADDING[kernel] + kernel + EXTRA[kernel]


def _adjoint() -> Check:
    """For outputs as thin as a picture, which the package sums by hand, and for wider ones."""
    rng, there, back = torch.Generator().manual_seed(0), [], []
    for kernel in KERNELS:
        for outputs in (2, 6):
            down, up = _pair(kernel, 3, outputs)
            x = torch.randn(2, outputs, *[_output_side(kernel, 5)] * 2, generator=rng)
            y = torch.randn(2, 3, 5, 5, generator=rng)
            there.append((down(x) * y).sum())
            back.append((x * up(y)).sum())
    return near("<conv x, y> and <x, transposed y>, kernels 3, 4, 5", torch.stack(there), torch.stack(back), 1e-10)


def _matrix(layer: nn.Module, channels: int, side: int) -> Tensor:
    """Column by column: what becomes of each unit vector."""
    units = torch.eye(channels * side * side).unflatten(1, (channels, side, side))
    return layer(units).flatten(1).T


def _transpose() -> Check:
    gaps = []
    for kernel in KERNELS:
        down, up = _pair(kernel, 3, 2)
        gaps.append((_matrix(down, 2, _output_side(kernel, 3)) - _matrix(up, 3, 3).T).abs().max())
    return near("the matrix of one less the other's transpose", torch.stack(gaps), 0, 1e-12)


def _zeros_between() -> tuple[Check, Check]:
    """Zeros between the inputs, then SciPy's convolution, which flips the kernel."""
    gaps = []
    for kernel in KERNELS:
        for outputs in (2, 6):
            _, up = _pair(kernel, 3, outputs)
            y = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(1))
            found, truth = up(y)[0], _convolve(y[0], up.weight, PADDING[kernel], _output_side(kernel, 5))
            gaps.append((found - truth).abs().max())
    with global_seed("first"):
        first = layers.FirstTransposed(3, 2, init=layers.normal(1.0))
    z = torch.tensor([[0.5, -2.0, 1.0]])
    truth = _convolve(z[0, :, None, None], first.weight, 0, 4)
    return (
        near("zeros between, flipped kernel: largest gap", torch.stack(gaps), 0, 1e-12),
        near("the first layer, a product, and that of 1 x 1", first(z)[0], truth, 1e-12),
    )


def _convolve(y: Tensor, weight: Tensor, padding: int, large: int) -> Tensor:
    from scipy.signal import convolve2d

    spread = np.zeros((len(y), 2 * y.shape[1] - 1, 2 * y.shape[2] - 1))
    spread[:, ::2, ::2] = y.numpy()
    kernels, inside = weight.detach().numpy(), slice(padding, padding + large)
    full = [sum(convolve2d(a, k) for a, k in zip(spread, kernels[:, o], strict=True)) for o in range(kernels.shape[1])]
    return torch.from_numpy(np.stack(full)[:, inside, inside])


def _sides(kernel: int) -> Check:
    """The sides that a generator for 64 pixels runs through, and (s - 1) 2 - 2 p + k + extra."""
    generator, _ = networks.DCGAN(width=2, latent=3, kernel=kernel).pair((3, 64, 64))
    x, sides = torch.randn(2, 3, generator=torch.Generator().manual_seed(2)), [0.0]
    for layer in generator.children():
        x = layer(x)
        if x.dim() == 4 and x.shape[-1] != sides[-1]:
            sides.append(float(x.shape[-1]))
    truth = [4]
    while len(truth) < 5:
        truth.append(_output_side(kernel, truth[-1]))
    return near(f"DCGAN, kernel {kernel}: 4, 8, 16, 32, 64", torch.tensor(sides[1:]), torch.tensor(truth), 0)


def _overlap_counts(kernel: int, side: int) -> Tensor:
    """How many copies of the kernel meet at each pixel, by a kernel of ones."""
    return _upsampling(kernel, 1, 1, nn.init.ones_)(torch.ones(1, 1, side, side)).detach()[0, 0]


def _whole_pictures() -> Check:
    """Whole pictures, the border too, beside a count of the places that reach each row and column."""
    gaps = []
    for kernel in KERNELS:
        reach = torch.zeros(_output_side(kernel, 8))
        for place in range(8):
            for step in range(kernel):
                row = 2 * place + step - PADDING[kernel]
                if 0 <= row < len(reach):
                    reach[row] += 1
        gaps.append((_overlap_counts(kernel, 8) - torch.outer(reach, reach)).abs().max())
    return near("overlaps of whole pictures less those counted", torch.stack(gaps), 0, 0)


def _by_parity(picture: Tensor) -> Tensor:
    """Means [4] over the inner pixels of even and odd rows and columns."""
    inner = picture[4:-4, 4:-4]
    return torch.stack([inner[i::2, j::2].mean() for i in (0, 1) for j in (0, 1)])


def _overlaps(kernel: int) -> Check:
    sets = {3: "4, 2, 1", 4: "4 alone", 5: "9, 6, 4"}
    return near(
        f"overlaps of kernel {kernel}, stride 2: {sets[kernel]}",
        _by_parity(_overlap_counts(kernel, 8)), torch.tensor(SETS[kernel]), 0,
    )  # fmt: skip


def _shares(kernel: int) -> Tensor:
    """Each parity's overlaps over their mean."""
    counts = torch.tensor(SETS[kernel]).double()
    return counts / counts.mean()


def _layer(kernel: int, seeds: int) -> Check:
    """One layer at its start on independent inputs: the variance of a pixel is proportional to its overlaps."""
    rng, variance = torch.Generator().manual_seed(3), torch.zeros(4)
    for seed in range(seeds):
        with global_seed("layer", kernel, seed):
            layer = layers.Transposed(64, 3, kernel, init=layers.normal(0.02))
        picture = layer(torch.randn(16, 64, 8, 8, generator=rng)).detach()
        variance += _by_parity(picture.square().mean((0, 1)))
    return near(f"a layer at its start, kernel {kernel}: variances", variance / variance.mean(), _shares(kernel), 0.05)


def _start_variance(kernel: int, seeds: int) -> Tensor:
    """The variance [16, 16] of each pixel over z, a mean over channels and starts of DCGAN's generator."""
    total = torch.zeros(())
    for seed in range(seeds):
        with global_seed("untrained", kernel, seed):
            generator, _ = networks.DCGAN(width=32, latent=16, kernel=kernel).pair((3, 16, 16))
        z = torch.randn(48, 16, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            total = total + generator(z).var(0).mean(0)
    return total / seeds


def _checkerboard(kernel: int, variance: Tensor) -> Check:
    found = _by_parity(variance)
    return near(f"an untrained DCGAN, kernel {kernel}: variances", found / found.mean(), _shares(kernel), 0.1)


def _not_the_inverse() -> Check:
    """The best multiple of what comes back, where the convolution has kept twice as many numbers as the picture had."""
    rng, left = torch.Generator().manual_seed(4), []
    for kernel in KERNELS:
        down, up = _pair(kernel, 8, 1)
        x = torch.randn(1, 1, *[_output_side(kernel, 4)] * 2, generator=rng)
        back = up(down(x)).detach()
        back = back * (back * x).sum() / back.square().sum()
        left.append((back - x).norm() / x.norm())
    return above("conv, then its transpose: what is lost of x", torch.stack(left), 0.1)


def _sizes() -> tuple[Check, ...]:
    with torch.device("meta"):
        pair = networks.DCGAN(width=64, kernel=4).pair((3, 64, 64))
    counts = [float(sum(p.numel() for p in net.parameters())) for net in pair]
    return tuple(
        near(f"weights of DCGAN's {name}", count, WEIGHTS[name], 0) for name, count in zip(WEIGHTS, counts, strict=True)
    )


def _rows() -> Panel:
    """Overlaps along a row, through the pixels that get most."""
    lines = (Line(f"kernel {k}", range(16), _overlap_counts(k, 8)[8, :16]) for k in KERNELS)
    return Panel("pixel of a row", "overlapping kernels", tuple(lines), "Overlaps, stride 2", low=0)


def _grid(untrained: dict[int, Tensor]) -> Panel:
    rows = ((kernel, variance[len(variance) // 2].sqrt()) for kernel, variance in untrained.items())
    lines = (Line(f"kernel {kernel}", range(len(row)), row) for kernel, row in rows)
    return Panel("pixel of a row", "standard deviation", tuple(lines), "Untrained generators", low=0)


LAW = law("transposed-convolution", __doc__, prove)
