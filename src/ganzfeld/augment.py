r"""Differentiable augmentation: both sides of every comparison, in both players' turns, go through the same random map
T before the critic sees them.

.. math:: V(D, G) = E\,f\big(D(T(x))\big) - E\,f^*\big(D(T(G(z)))\big)

With few pictures a critic learns them by heart; through T it cannot, and because the generator's gradient passes
through T as well, its pictures do not come out augmented (augmenting the real side alone would teach it T).
Penalties on slopes are taken at T(x) and T(G(z)), and by these: what a constraint sees is what the critic sees.
Source: Zhao et al. 2020, Differentiable augmentation for data-efficient GAN training, eq. 4 and its code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor

from .core.names import split_names
from .core.randomness import Need

Policy = Literal["colour", "translation", "cutout"]
POLICIES: tuple[str, ...] = get_args(Policy)
State = Mapping[str, Tensor]
NOTHING: State = MappingProxyType({})


class Augmentation:
    """What both sides of a comparison go through: a frozen record of numbers. What it remembers, such as a probability
    that follows the critic's scores of real samples (ADA), is state in the game's tree. need: noise of one side."""

    need: Need

    def init(self) -> State:
        """What it remembers before the first turn."""
        return {}

    def remember(self, state: State, real_scores: Tensor, number: int | Tensor) -> State:
        """After a turn of the critic, 1, 2, ...: its scores of all augmented real samples, of all ranks."""
        return state

    def __call__(self, side: tuple[Tensor, ...], rng: Tensor, state: State) -> tuple[Tensor, ...]:
        """A side () of a turn that reads no data stays ()."""
        raise NotImplementedError


@dataclass(frozen=True)
class Augment(Augmentation):
    """policies: some of colour, translation and cutout, applied in that order. Sees pictures [B, C, H, W]."""

    policies: tuple[str, ...] = POLICIES
    need: Need = Need("uniform", (7,))

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", split_names(self.policies))
        for policy in self.policies:
            if policy not in POLICIES:
                raise ValueError(f"no augmentation named {policy!r}; there are {', '.join(POLICIES)}")

    def __call__(self, side: tuple[Tensor, ...], rng: Tensor, state: State = NOTHING) -> tuple[Tensor, ...]:
        """rng: uniform [B, 7]."""
        if not side:
            return side
        x, *others = side
        if "colour" in self.policies:
            x = colour(x, rng[:, :3])
        if "translation" in self.policies:
            x = translation(x, rng[:, 3:5])
        if "cutout" in self.policies:
            x = cutout(x, rng[:, 5:])
        return (x, *others)


def colour(x: Tensor, rng: Tensor) -> Tensor:
    """Brightness by up to a half either way, saturation times 0 to 2, contrast times .5 to 1.5."""
    brightness, saturation, contrast = (d.view(-1, 1, 1, 1) for d in rng.unbind(1))
    x = x + brightness - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * saturation * (x - grey)
    level = x.mean((1, 2, 3), keepdim=True)
    return level + (contrast + 0.5) * (x - level)


def translation(x: Tensor, rng: Tensor, share: float = 0.125) -> Tensor:
    """A shift by up to ``share`` of the side along both axes; what comes in is 0, the middle grey."""
    _, _, height, width = x.shape
    down, right = (_whole(d, size, share) for d, size in zip(rng.unbind(1), (height, width), strict=True))
    rows, columns = _places(down, height), _places(right, width)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    member = torch.arange(len(x), device=x.device).view(-1, 1, 1)
    moved = padded.permute(0, 2, 3, 1)[member, rows.unsqueeze(2), columns.unsqueeze(1)]
    return moved.permute(0, 3, 1, 2)


def _whole(rng: Tensor, size: int, share: float) -> Tensor:
    """A whole number of pixels, each of -most .. most equally likely."""
    most = _pixels(size, share)
    return (rng * (2 * most + 1)).floor().long() - most


def _pixels(size: int, share: float) -> int:
    """A share of a side in whole pixels; halves go up, as in the authors' code, and not to the even one."""
    return math.floor(size * share + 0.5)


def _places(shift: Tensor, size: int) -> Tensor:
    """[B, size]: where each pixel of a line comes from, in the line with one 0 before and one behind it."""
    places = torch.arange(size, device=shift.device) + 1 - shift.unsqueeze(1)
    return places.clamp(0, size + 1)


def cutout(x: Tensor, rng: Tensor, share: float = 0.5) -> Tensor:
    """A square of ``share`` of the side, its centre anywhere in the picture, becomes 0.

    The centre of an even square lies between pixels, and may lie on the edge: there is one place more than there are
    pixels, and the law is the same from either end.
    """
    _, _, height, width = x.shape
    holes = []
    for d, size in zip(rng.unbind(1), (height, width), strict=True):
        side = _pixels(size, share)
        first = (d * (size + 1 - side % 2)).floor().unsqueeze(1) - side // 2
        place = torch.arange(size, device=x.device)
        holes.append((place >= first) & (place < first + side))
    hole = holes[0].unsqueeze(2) & holes[1].unsqueeze(1)
    return x * ~hole.unsqueeze(1)
