"""A draw turns players, a batch of data and noise into a `Scene`. It names the noise it needs; it never rolls dice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from ..core.randomness import Need, Noise

Role = Literal["critic", "generator"]
Baseline = Literal["none", "mean", "optimal"]
Players = Mapping[str, Callable[..., Tensor]]
Batch = tuple[Tensor, ...]


class Scene(NamedTuple):
    """The two sides. given: what the critic is told beside either side (labels), and is not differentiated by.
    cost [B]: what the generator side descends besides.

    Fakes that are reparametrised let the gradient flow through them. Discrete ones do not; of them is known either
    log_prob [B] or [B, k], of those that were drawn, with an importance weight, the baseline that their costs are held
    against and square, the squared norm of the gradient of log_prob, for the optimal one; or prob [B, D], of all that
    could have been drawn, where the fakes are all.
    """

    real: Batch
    fake: Batch
    log_prob: Tensor | None = None
    weight: Tensor | float = 1.0
    given: Batch = ()
    cost: Tensor | None = None
    prob: Tensor | None = None
    baseline: Baseline = "mean"
    square: Tensor | None = None


class Draw:
    """labelled: a batch ends with the labels of its rows. encodes: the real side, too, depends on the generator side's
    weights. discrete: its fakes are picked, not made, and no gradient flows through them. anchored: the generator
    side's first weights play along, under the name ``start``. averaged: what a candidate costs is its mean over the
    queries of the batch."""

    labelled: bool = False
    averaged: bool = False
    encodes: ClassVar[bool] = False
    discrete: ClassVar[bool] = False

    @property
    def anchored(self) -> bool:
        return False

    def needs(self, role: Role) -> dict[str, Need]:
        """The noise of one turn of a role."""
        return {}

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Of the parts of one sample that the critic scores, for data of a shape."""
        return (shape,)

    def still(self, players: Players, batch: Batch, role: Role) -> dict[str, Tensor]:
        """What a turn of the role reads of players that stand still in it: worked out once for turns in a row that
        meet one batch, and handed over beside their noise."""
        return {}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        raise NotImplementedError
