"""Perceptrons, for samples that are plain vectors; a picture is read as one, as in the first GAN (Goodfellow et al.
2014), whose generators end in tanh then."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import nn

from ..core.values import Depth, Size, check_fields
from .critic import Critic, Head
from .joint import Encoder, Implicit, Injected, Triple
from .layers import Chain

Norm = Literal["none", "batch", "layer"]
Activation = Literal["relu", "leaky", "tanh", "elu"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}


@dataclass(frozen=True)
class MLP:
    """A generator latent -> width x depth -> sample and a critic sample -> width x depth -> head.

    norm acts in the generator (``"batch"`` is the toy setting of ALI and geometric GAN), critic_norm in the critic;
    features: the width of the critic's last hidden layer, where it differs (McGAN's m); rank: of a bilinear head.

    Weights start as PyTorch's linear layers do, uniform with variance 1 / (3 fan-in): the small start matters. With
    He's the non-saturating game lost one or two of eight modes on the ring in every seed tried.
    """

    width: Size = 128
    depth: Depth = 3
    latent: Size | None = None
    activation: Activation = "relu"
    norm: Norm = "none"
    critic_norm: Norm = "none"
    features: Size | None = None
    rank: Size = 16

    def __post_init__(self) -> None:
        check_fields(self)

    def latent_of(self, shape: tuple[int, ...]) -> int:
        """The dimension of z: the samples' own, at most 32, unless it was given."""
        return self.latent or min(32, math.prod(shape))

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]:
        """The two modules for samples of a shape [d] or [C, H, W]."""
        if classes:
            raise ValueError("perceptrons have no labelled form here; use --network dcgan, sndcgan, resnet or r3")
        dimension, picture = math.prod(shape), len(shape) > 1
        hidden = [self.width] * self.depth
        generator = Chain(
            *_layers([self.latent_of(shape), *hidden], self.activation, self.norm),
            nn.Linear(hidden[-1], dimension),
            *([nn.Unflatten(1, shape), nn.Tanh()] if picture else []),
        )
        top = self.features or self.width
        features = _layers([dimension, *hidden[:-1], top], self.activation, self.critic_norm)
        flat = [nn.Flatten()] if picture else []
        return generator, Critic(nn.Sequential(*flat, *features), top, head, self.rank)

    def triple(self, shape: tuple[int, ...], head: Head = "score", stochastic: bool = True) -> Triple:
        """The generator, an encoder of the critic's form, and a critic of pairs into whose every layer z enters, as the
        noise does into the encoder's."""
        generator, seen = self.pair(shape, "features")
        latent = self.latent_of(shape)
        last = nn.Linear(seen.width, latent)
        sizes = [math.prod(shape), *[self.width] * (self.depth - 1), seen.width]
        encoder: nn.Module = Encoder(seen.features, last, stochastic=False)
        if stochastic:
            encoder = Implicit(self._injected(sizes, latent), last, latent)
        return generator, encoder, Critic(self._injected(sizes, latent), seen.width, head, self.rank)

    def _injected(self, sizes: list[int], extra: int) -> Injected:
        layers = (_layers([n + extra, m], self.activation, self.critic_norm) for n, m in pairwise(sizes))
        return Injected([nn.Sequential(*layer) for layer in layers])


def _layers(sizes: list[int], activation: str, norm: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers.append(nn.Linear(n, m, bias=norm != "batch"))
        if norm == "batch":
            layers.append(nn.BatchNorm1d(m, track_running_stats=False))
        elif norm == "layer":
            layers.append(nn.LayerNorm(m))
        layers.append(ACTIVATIONS[activation]())
    return layers
