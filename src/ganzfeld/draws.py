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
    through them. weight: importance weight [B] of sampled fakes. given: what the critic is told beside either side
    (labels), and is not differentiated by."""

    real: Batch
    fake: Batch
    log_prob: Tensor | None = None
    weight: Tensor | float = 1.0
    given: Batch = ()


class Draw(Protocol):
    @property
    def labelled(self) -> bool:
        """Whether a batch ends with the labels of its rows."""
        ...

    def needs(self, role: Role) -> dict[str, Need]:
        """The noise of one turn of a role."""
        ...

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene: ...


@dataclass(frozen=True)
class Generate:
    """Data x against G(z) with z ~ N(0, I): the draw of the original game. ``batch`` is (x,), or () where the turn
    reads no data. labelled: G(z, y) with the labels y of the batch, that the critic is told as well."""

    latent: int
    labelled: bool = False

    def needs(self, role: Role) -> dict[str, Need]:
        return {"z": Need("normal", (self.latent,))}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        given = batch[-1:] if self.labelled else ()
        real = batch[:-1] if self.labelled else batch
        return Scene(real=real, fake=(players["generator"](noise["z"], *given),), given=given)
