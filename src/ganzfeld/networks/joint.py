r"""Networks of inference: an encoder beside the generator, and a critic of pairs (x, z).

A critic of pairs must read both parts together: one that hardly reads z, or hardly x, would leave the other's joint law
unseen. Two forms are known: `Injected` hands z to every layer of a perceptron over x; `Trunks` extracts features of x
and of z apart, and reads them together.

An encoder's batch norm would read a sample's neighbours, and its standing statistics data that are not at hand when it
is used: none of these has one.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from functools import reduce

import torch
from torch import Tensor, nn

from .critic import Critic, Head
from .layers import Dense, Leaky, glorot, he

MAX_WIDTH = 512  # of the features of z: ALI's 1 x 1 convolutions
Triple = tuple[nn.Module, nn.Module, Critic]


class Encoder(nn.Module):
    r"""x -> z. Stochastic: :math:`\mu(x) + \sigma(x)\,e` for e ~ N(0, I) [B, latent], and the mean without e (Dumoulin
    et al. 2017, eq. 4); else a function of x alone. last: the layer to 2 latent numbers, or latent ones."""

    def __init__(self, trunk: nn.Module, last: nn.Module, stochastic: bool):
        super().__init__()
        self.trunk, self.last, self.stochastic = trunk, last, stochastic

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [B, latent] of z given x."""
        mean, log_std = self.last(self.trunk(x)).chunk(2, 1)
        return mean, log_std.exp()

    def forward(self, x: Tensor, e: Tensor | None = None) -> Tensor:
        if not self.stochastic:
            return self.last(self.trunk(x))
        mean, std = self.moments(x)
        return mean if e is None else torch.addcmul(mean, std, e)


class Implicit(nn.Module):
    """x -> z by a trunk into which the noise enters, E(x, e), of any law at all: posteriors of the plane's modes are
    regions, and a Gaussian is none. Without e the code at e = 0. Source: the authors' mixture experiment (ALI)."""

    def __init__(self, trunk: nn.Module, last: nn.Module, noise: int):
        super().__init__()
        self.trunk, self.last, self.noise = trunk, last, noise

    def forward(self, x: Tensor, e: Tensor | None = None) -> Tensor:
        return self.last(self.trunk(x, x.new_zeros(len(x), self.noise) if e is None else e))


class Injected(nn.Module):
    """:math:`h_k = a(W_k h_{k-1} + U_k z + b_k)`, from h_0 = x flattened: z enters every layer linearly. Source:
    Donahue et al. 2017 (BiGAN), appendix C.1."""

    def __init__(self, blocks: list[nn.Module]):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h = x.flatten(1)
        for block in self.blocks:
            h = block(torch.cat([h, z], 1))
        return h


class Trunks(nn.Module):
    """Features of x and of z, then of both: D(x), D(z) and D(x, z) of Dumoulin et al. 2017 (ALI), table 3."""

    def __init__(self, of_x: nn.Module, of_z: nn.Module, of_both: nn.Module):
        super().__init__()
        self.of_x, self.of_z, self.of_both = of_x, of_z, of_both

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.of_both(torch.cat([self.of_x(x), self.of_z(z)], 1))


class Maxout(nn.Module):
    """[B, pieces m, ...] -> [B, m, ...], the largest of the pieces. Source: Goodfellow et al. 2013."""

    def __init__(self, pieces: int = 2):
        super().__init__()
        self.pieces = pieces

    def forward(self, h: Tensor) -> Tensor:
        return reduce(torch.maximum, h.chunk(self.pieces, 1))


class PairMaker(ABC):
    """A frozen record of sizes whose encoder is made like its critic. latent, rank: of z, and of a bilinear head."""

    latent: int
    rank: int

    def latent_of(self, shape: tuple[int, ...]) -> int:
        return self.latent

    @abstractmethod
    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]: ...

    def triple(self, shape: tuple[int, ...], head: Head = "score", stochastic: bool = True) -> Triple:
        """Generator, encoder and critic of pairs from a pair: its critic's features are the encoder's, and the trunk
        of x in the critic of pairs."""
        generator, eye = self.pair(shape, "features")
        # sum pooling and the like leave features of any size, and a standard deviation is the exponential of theirs
        out = Dense(eye.width, self.latent * (1 + stochastic), init=glorot())
        encoder = Encoder(copy.deepcopy(eye.features), nn.Sequential(nn.LayerNorm(eye.width), out), stochastic)
        wide = min(MAX_WIDTH, eye.width)
        of_z, of_both = dense_layers([self.latent, wide, wide]), dense_layers([eye.width + wide, 2 * wide, 2 * wide])
        features = Trunks(eye.features, of_z, of_both)
        return generator, encoder, Critic(features, 2 * wide, head, self.rank, Dense(2 * wide, 1, init=glorot()))


def dense_layers(sizes: list[int], pieces: int = 1) -> nn.Sequential:
    """Linear layers with a leaky ReLU, or the largest of so many pieces, behind each."""
    layers: list[nn.Module] = []
    for n, m in zip(sizes, sizes[1:], strict=False):
        layers += [Dense(n, pieces * m, init=he(2**0.5)), nonlinearity(pieces, 0.2)]
    return nn.Sequential(*layers)


def nonlinearity(pieces: int, slope: float) -> nn.Module:
    """The largest of several pieces, or of one a leaky ReLU."""
    return Maxout(pieces) if pieces > 1 else Leaky(slope)
