"""Draws: what makes the two sides that the critic compares.

A draw turns players, a batch of data and noise into a `Scene`. It names the noise it needs; it never rolls dice.
Every member of the family that differs in *what* is compared differs here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from .noise import Need, Noise

Role = Literal["critic", "generator"]
Players = Mapping[str, Callable[..., Tensor]]
Batch = tuple[Tensor, ...]


class Scene(NamedTuple):
    """The two sides. log_prob [B]: of sampled fakes; None where they are reparametrised, so that the gradient flows
    through them. weight: importance weight [B] of sampled fakes."""

    real: Batch
    fake: Batch
    log_prob: Tensor | None = None
    weight: Tensor | float = 1.0


class Draw(Protocol):
    def needs(self, role: Role) -> dict[str, Need]:
        """The noise of one turn of a role."""
        ...

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene: ...


@dataclass(frozen=True)
class Generate:
    """Data x against G(z) with z ~ N(0, I): the draw of the original game. ``batch`` is (x,), or () where the turn
    reads no data."""

    latent: int

    def needs(self, role: Role) -> dict[str, Need]:
        return {"z": Need("normal", (self.latent,))}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        return Scene(real=batch, fake=(players["generator"](noise["z"]),))
