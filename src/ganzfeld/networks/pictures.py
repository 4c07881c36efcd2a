"""Networks for square pictures [C, S, S], S = 8, 16, 32, 64 or 128, any number of channels.

`DCGAN` and `SNDCGAN` are plain stacks of strided convolutions, `ResNet` and `R3` are residual. Generators end in tanh
(`R3` is linear), so that pictures live in [-1, 1]. Every maker is a frozen record of sizes; what the papers fix
(starts, slopes, where norms stand) is written here, what they vary is a field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core.values import Depth, Size, check_fields
from .critic import Critic, Head
from .joint import Encoder, PairMaker, Triple, Trunks, dense_layers, nonlinearity
from .layers import (
    BatchNorm,
    Blur,
    Chain,
    ChannelsLast,
    Conv,
    ConvTransposed,
    Dense,
    FirstTransposed,
    Flat,
    Leaky,
    MeanPool,
    PooledConv,
    Residual,
    Shaped,
    SumPool,
    Told,
    Transposed,
    UpConv,
    doublings,
    glorot,
    he,
    norm,
    normal,
    zeros,
)

SIDES = (8, 16, 32, 64, 128)
Norm = Literal["none", "batch", "layer"]


def picture_sizes(shape: tuple[int, ...]) -> tuple[int, int]:
    """(channels, side) of a shape these networks are made for. Raises ValueError for any other."""
    if len(shape) != 3 or shape[1] != shape[2] or shape[2] not in SIDES:
        raise ValueError(
            f"these networks are for square pictures of side {', '.join(map(str, SIDES))}, not for samples of shape "
            f"{tuple(shape)}; use --network mlp, or another --size"
        )
    return shape[0], shape[2]


def _norm(kind: Norm, channels: int, gain_std: float = 0.0) -> list[nn.Module]:
    if kind == "batch":
        return [BatchNorm(channels, gain_std)]
    return [nn.GroupNorm(1, channels)] if kind == "layer" else []  # one group: layer norm over places and channels


@dataclass(frozen=True)
class DCGAN(PairMaker):
    """Radford, Metz, Chintala 2016: strided convolutions for pooling, batch norm but for the two ends, ReLU up and
    leaky ReLU down, no hidden layer fully connected, every weight from N(0, .02).

    width: channels of the layer next to the picture; the side doubles (down: halves) as the channels halve (double).
    kernel 4 is the public PyTorch variant (at width 64 and 64 pixels 3,576,704 and 2,765,568 weights), kernel 5 the
    authors', whose first norm is over units; its overlaps are uneven. features: reduce the critic's last layer to as
    many numbers (McGAN's m).
    """

    width: Size = 64
    latent: Size = 100
    kernel: int = 4
    critic_norm: Norm = "batch"
    features: Size | None = None
    rank: Size = 16

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kernel not in (4, 5):
            raise ValueError(f"the kernel of dcgan is 4 or 5, not {self.kernel}")

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]:
        channels, side = picture_sizes(shape)
        widths = [self.width * 2**i for i in range(doublings(side))]  # from the picture inwards
        return self._generator(channels, widths, classes), self._critic(channels, widths, head, classes)

    def _generator(self, channels: int, widths: list[int], classes: int) -> nn.Module:
        init, top = normal(0.02), widths[-1]
        layers: list[nn.Module]
        if self.kernel == 4:
            layers = [FirstTransposed(self.latent, top, init=init), norm(top, classes, 0.02), nn.ReLU()]
        else:
            first = nn.BatchNorm1d(16 * top, track_running_stats=False)
            layers = [Dense(self.latent, 16 * top, init=init, bias=False), first, nn.ReLU(), Shaped(4)]
        for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
            layers += [Transposed(wide, narrow, self.kernel, init=init), norm(narrow, classes, 0.02), nn.ReLU()]
        return Chain(*layers, Transposed(widths[0], channels, self.kernel, init=init), nn.Tanh())

    def _critic(self, channels: int, widths: list[int], head: Head, classes: int) -> Critic:
        init, bias = normal(0.02), self.critic_norm != "batch"
        padding = 1 if self.kernel == 4 else 2
        layers: list[nn.Module] = [ChannelsLast()]
        for i, (narrow, wide) in enumerate(zip([channels, *widths], widths, strict=False)):
            layers.append(Conv(narrow, wide, self.kernel, 2, padding, init=init, bias=bias))
            layers += [*(_norm(self.critic_norm, wide, 0.02) if i else []), Leaky(0.2)]
        layers.append(Flat())
        size = 16 * widths[-1]
        if self.features:
            layers.append(Dense(size, self.features, init=init))
            size = self.features
        return Critic(Chain(*layers), size, head, self.rank, Dense(size, 1, init=init, bias=bias), classes)


@dataclass(frozen=True)
class SNDCGAN(PairMaker):
    """The standard CNN of Miyato et al. 2018, table 3: the critic alternates 3 x 3 and strided 4 x 4 convolutions,
    leaky ReLU .1, no norm (it is made for spectral normalisation). width: the first layer's, 64 in the paper. Public
    copies differ: 64, 128, 128, 256, 256, 512, 512. Weights start at N(0, .02)."""

    width: Size = 64
    latent: Size = 128
    critic_norm: Norm = "none"
    rank: Size = 16

    def __post_init__(self) -> None:
        check_fields(self)

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]:
        channels, side = picture_sizes(shape)
        init, w, base = normal(0.02), self.width, side // 8
        up: list[nn.Module] = [Dense(self.latent, base * base * 8 * w, init=init, bias=False), Shaped(base)]
        up += [norm(8 * w, classes), nn.ReLU()]
        for wide in (8 * w, 4 * w, 2 * w):
            up += [Transposed(wide, wide // 2, init=init), norm(wide // 2, classes), nn.ReLU()]
        generator = Chain(*up, Conv(w, channels, init=init), nn.Tanh())
        down: list[nn.Module] = [ChannelsLast()]
        plan = [(channels, w, 3), (w, w, 4), (w, 2 * w, 3), (2 * w, 2 * w, 4), (2 * w, 4 * w, 3), (4 * w, 4 * w, 4)]
        for narrow, wide, kernel in [*plan, (4 * w, 8 * w, 3)]:
            bias = self.critic_norm != "batch"
            down += [Conv(narrow, wide, kernel, kernel - 2, init=init, bias=bias), *_norm(self.critic_norm, wide)]
            down.append(Leaky(0.1))
        size = base * base * 8 * w
        return generator, Critic(
            Chain(*down, Flat()), size, head, self.rank, Dense(size, 1, init=init), classes
        )  # fmt: skip


@dataclass(frozen=True)
class ResNet(PairMaker):
    """The residual pair of SNGAN (Miyato et al. 2018, table 4: width 256, pool sum) and of WGAN-GP (Gulrajani et al.
    2017: width 128, pool mean), with Glorot starts, gain sqrt(2) inside blocks.

    The generator doubles 4 x 4 up to the side; the critic halves it to 8 x 8 (at least once), then two plain blocks.
    Resampling is folded into its convolutions, shortcuts run on the small side. No layer of the generator but the last
    has a bias: all meet a batch norm at the end, which would take it away again.
    """

    width: Size = 256
    critic_width: Size = 128
    latent: Size = 128
    pool: Literal["sum", "mean"] = "sum"
    critic_norm: Norm = "none"
    rank: Size = 16

    def __post_init__(self) -> None:
        check_fields(self)

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]:
        channels, side = picture_sizes(shape)
        blocks = [self._up_block(classes) for _ in range(doublings(side))]
        generator = Chain(
            Dense(self.latent, 16 * self.width, init=glorot(), bias=False), Shaped(4), *blocks,
            norm(self.width, classes), nn.ReLU(), Conv(self.width, channels, init=glorot()), nn.Tanh(),
        )  # fmt: skip
        halvings = max(1, doublings(side, 8))
        down = [self._first_block(channels), *(self._down_block() for _ in range(halvings - 1))]
        pool = SumPool() if self.pool == "sum" else MeanPool()
        features = Chain(ChannelsLast(), *down, self._plain_block(), self._plain_block(), nn.ReLU(), pool)
        w = self.critic_width
        return generator, Critic(features, w, head, self.rank, Dense(w, 1, init=glorot()), classes)

    def _up_block(self, classes: int) -> Residual:
        w, gain = self.width, glorot(2**0.5)
        way = Chain(
            norm(w, classes), nn.ReLU(), UpConv(w, w, init=gain, bias=False),
            norm(w, classes), nn.ReLU(), Conv(w, w, init=gain, bias=False),
        )  # fmt: skip
        return Residual(Chain(Conv(w, w, 1, padding=0, init=glorot(), bias=False), nn.Upsample(scale_factor=2)), way)

    def _first_block(self, channels: int) -> Residual:
        w, gain = self.critic_width, glorot(2**0.5)
        way = Chain(Conv(channels, w, init=gain), nn.ReLU(), PooledConv(w, w, init=gain))
        return Residual(Chain(nn.AvgPool2d(2), Conv(channels, w, 1, padding=0, init=glorot())), way)

    def _down_block(self) -> Residual:
        w, gain = self.critic_width, glorot(2**0.5)
        way = Chain(*self._activation(), Conv(w, w, init=gain), *self._activation(), PooledConv(w, w, init=gain))
        return Residual(Chain(nn.AvgPool2d(2), Conv(w, w, 1, padding=0, init=glorot())), way)

    def _plain_block(self) -> Residual:
        w, gain = self.critic_width, glorot(2**0.5)
        way = Chain(*self._activation(), Conv(w, w, init=gain), *self._activation(), Conv(w, w, init=gain))
        return Residual(nn.Identity(), way)

    def _activation(self) -> list[nn.Module]:
        return [*_norm(self.critic_norm, self.critic_width), nn.ReLU()]


@dataclass(frozen=True)
class R3(PairMaker):
    """The modern residual pair of Huang et al. 2024 (R3GAN), small: no normalisation; blocks of a 1 x 1, a grouped
    3 x 3 and a 1 x 1 convolution around leaky ReLU .2, the last started at 0; smooth resampling; He's start, divided by
    the fourth root of the number of blocks so that depth does not blow the signal up (fix-up).

    width: channels at the largest side, doubled at every halving up to ``most``; blocks: at every side; expand: of the
    inner channels; groups: their number of channels.
    """

    width: Size = 32
    most: Size = 128
    blocks: Depth = 1
    expand: Size = 2
    groups: Size = 16
    latent: Size = 64
    rank: Size = 16

    def __post_init__(self) -> None:
        check_fields(self)

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]:
        channels, side = picture_sizes(shape)
        widths = [min(self.most, self.width * 2**i) for i in range(doublings(side) + 1)]
        top, first = widths[-1], widths[0]
        told = [Told(classes, self.latent)] if classes else []
        seen = self.latent * (1 + len(told))
        up: list[nn.Module] = [*told, FirstTransposed(seen, top, init=he()), *self._stage(top, widths)]
        for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
            up += [*_change_width(wide, narrow), nn.Upsample(scale_factor=2, mode="bilinear")]
            up += self._stage(narrow, widths)
        down: list[nn.Module] = [ChannelsLast(), Conv(channels, first, 1, padding=0, init=he(), bias=False)]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            down += [*self._stage(narrow, widths), Blur(), *_change_width(narrow, wide)]
        # a depthwise 4 x 4 kernel reads the last side of every channel
        last = [*self._stage(top, widths), Conv(top, top, 4, padding=0, init=he(), bias=False, groups=top), Flat()]
        generator = Chain(*up, Conv(first, channels, 1, padding=0, init=he(), bias=False))
        score = Dense(top, 1, init=he(), bias=False)
        return generator, Critic(Chain(*down, *last), top, head, self.rank, score, classes)

    def _stage(self, width: int, widths: list[int]) -> list[nn.Module]:
        start = he(2**0.5 * (len(widths) * self.blocks) ** -0.25)
        inner = width * self.expand
        # as many groups as divide the channels: each has that many of them, or a few more
        groups = next(n for n in range(max(1, inner // self.groups), 0, -1) if inner % n == 0)
        return [
            Residual(
                nn.Identity(),
                Chain(
                    Conv(width, inner, 1, padding=0, init=start), Leaky(),
                    Conv(inner, inner, init=start, groups=groups), Leaky(),
                    Conv(inner, width, 1, padding=0, init=zeros, bias=False),
                ),
            )
            for _ in range(self.blocks)
        ]  # fmt: skip


def _change_width(narrow: int, wide: int) -> list[nn.Module]:
    return [] if narrow == wide else [Conv(narrow, wide, 1, padding=0, init=he(), bias=False)]


@dataclass(frozen=True)
class ALI:
    """The networks of Dumoulin et al. 2017 (ALI), table 3 (CIFAR-10): convolutions without padding, 32 channels at the
    picture and twice as many at each next layer, down to one place; batch norm and leaky ReLU .1 in the generator, no
    norm and the largest of two pieces in the critic, which reads z beside x.

    Theirs are for 32 pixels; for 16 and 8 the kernels are fewer and smaller. Changed: layer norm in place of the
    encoder's batch norm; no dropout in the critic; He's start (the paper's N(0, .01) with biases); tanh.
    pieces: 1 for a leaky ReLU in the critic, as in the paper's SVHN networks, at half the work.
    """

    width: Size = 32
    latent: Size = 64
    pieces: Size = 2
    rank: Size = 16

    def __post_init__(self) -> None:
        check_fields(self)

    def latent_of(self, shape: tuple[int, ...]) -> int:
        return self.latent

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]:
        if classes:
            raise ValueError("ali's networks have no labelled form here; use --network dcgan, sndcgan, resnet or r3")
        channels, plan, widths = self._plan(shape)
        top = widths[-1]
        features = Chain(*self._down_layers(channels, plan, widths), *dense_layers([top, top], self.pieces))
        return self._generator(channels, plan, widths), Critic(features, top, head, self.rank)

    def triple(self, shape: tuple[int, ...], head: Head = "score", stochastic: bool = True) -> Triple:
        channels, plan, widths = self._plan(shape)
        top = widths[-1]
        seen: list[nn.Module] = self._down_layers(channels, plan, widths, encodes=True)
        seen += [Dense(top, top, init=he(2**0.5)), nn.LayerNorm(top), Leaky(0.1)]
        last = Dense(top, self.latent * (1 + stochastic), init=glorot())
        of_x = Chain(*self._down_layers(channels, plan, widths))
        of_z = dense_layers([self.latent, top, top], self.pieces)
        of_both = dense_layers([2 * top, 2 * top, 2 * top], self.pieces)
        critic = Critic(Trunks(of_x, of_z, of_both), 2 * top, head, self.rank, Dense(2 * top, 1, init=glorot()))
        return self._generator(channels, plan, widths), Encoder(Chain(*seen), last, stochastic), critic

    def _plan(self, shape: tuple[int, ...]) -> tuple[int, tuple[tuple[int, int], ...], list[int]]:
        """Channels, (kernel, stride) from the picture inwards, and the width behind each."""
        channels, side = picture_sizes(shape)
        plans = {8: ((3, 1), (3, 1)), 16: ((4, 1), (4, 1), (4, 2)), 32: ((5, 1), (4, 2), (4, 1), (4, 2))}
        if side not in plans:
            raise ValueError(f"ali's networks are for sides 8, 16 and 32, not {side}; use --network dcgan")
        return channels, plans[side], [self.width * 2**i for i in range(len(plans[side]) + 1)]

    def _down_layers(self, channels: int, plan, widths: list[int], encodes: bool = False) -> list[nn.Module]:
        """To one place [B, widths[-1]]; the last kernel, 4 on 4 places, is a product."""
        init, pieces = he(2**0.5), 1 if encodes else self.pieces
        layers: list[nn.Module] = [ChannelsLast()]
        for (kernel, stride), narrow, wide in zip(plan, [channels, *widths], widths, strict=False):
            layers.append(Conv(narrow, pieces * wide, kernel, stride, 0, init=init))
            layers += [nn.GroupNorm(1, wide)] if encodes else []
            layers.append(nonlinearity(pieces, 0.1))
        layers += [Flat(), Dense(16 * widths[-2], pieces * widths[-1], init=init)]
        layers += [nn.LayerNorm(widths[-1])] if encodes else []
        return [*layers, nonlinearity(pieces, 0.1)]

    def _generator(self, channels: int, plan, widths: list[int]) -> nn.Module:
        init, first = he(2**0.5), widths[-2]
        layers: list[nn.Module] = [FirstTransposed(self.latent, first, init=he()), norm(first), Leaky(0.1)]
        outwards = [*widths[-3::-1], self.width]
        for (kernel, stride), wide, narrow in zip(plan[::-1], widths[-2::-1], outwards, strict=True):
            layers += [ConvTransposed(wide, narrow, kernel, stride, init=init), norm(narrow), Leaky(0.1)]
        layers += [Conv(self.width, self.width, 1, padding=0, init=init, bias=False), norm(self.width), Leaky(0.1)]
        return Chain(*layers, Conv(self.width, channels, 1, padding=0, init=glorot()), nn.Tanh())
