"""Rows in memory: the one shape of a data set whose samples are plain vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..noise import generator

Kind = Literal["plane", "digits", "vectors"]


@dataclass(frozen=True)
class Units:
    """The affine map between network units and the data's own: x = shift + scale * u, columnwise."""

    shift: Tensor
    scale: Tensor

    @property
    def shared(self) -> bool:
        """Whether all columns have one scale, so that a distance between network units is one between the data's."""
        return bool((self.scale == self.scale[0]).all())

    def strip(self, x: Tensor) -> Tensor:
        return (x - self.shift) / self.scale

    def restore(self, u: Tensor) -> Tensor:
        return self.shift + self.scale * u


@dataclass(frozen=True)
class Mixture:
    """Gaussian modes of equal weight. centres [K, d] and std in the data's units; dimensions: of the noise around a
    centre, where it fills a subspace only."""

    centres: Tensor
    std: float
    dimensions: int


@dataclass(frozen=True, eq=False)
class Data:
    """train, valid, test: [n, d] in network units. truth: the mixture the rows were drawn from, where it is known.
    kind: how samples are drawn as a picture."""

    name: str
    train: Tensor
    valid: Tensor
    test: Tensor
    units: Units
    kind: Kind = "vectors"
    truth: Mixture | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.train.shape[1:])

    @property
    def rows(self) -> int:
        """Of the training part, the only one a game is played on."""
        return len(self.train)

    def take(self, rows: Tensor) -> Tensor:
        """Training rows by index [...] -> [..., d]."""
        return self.train.index_select(0, rows.flatten()).unflatten(0, rows.shape)

    def restored(self, part: Literal["train", "valid", "test"]) -> Tensor:
        """A part in the data's own units."""
        return self.units.restore(getattr(self, part))

    def replaced(self, **parts: Tensor) -> Data:
        """The same with other validation or test rows."""
        return replace(self, **parts)  # type: ignore[arg-type]

    @property
    def fingerprint(self) -> str:
        """A digest of the rows of all parts and their units."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.valid, self.test, self.units.shift, self.units.scale):
            digest.update(repr(tuple(part.shape)).encode())
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()


def split(x: Tensor, seed: int, share: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Train, validation and test rows, cut by a permutation of the seed; at least one row each."""
    held = max(1, round(share * len(x)))
    if len(x) < 3:
        raise ValueError(f"{len(x)} rows cannot be cut into train, validation and test: give at least 3")
    x = x[torch.randperm(len(x), generator=generator(seed, "split"))]
    return x[2 * held :], x[:held], x[held : 2 * held]


def standard(x: Tensor, columnwise: bool) -> Units:
    """Units in which the rows have mean 0 and unit spread, per column or altogether; a constant column keeps 1."""
    shift = x.mean(0)
    scale = (x - shift).square().mean(0 if columnwise else None).sqrt().expand_as(shift)
    return Units(shift, torch.where(scale > 0, scale, torch.ones_like(scale)).contiguous())
