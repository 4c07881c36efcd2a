r"""Optimizers as pairs of pure functions, how their rates change over a run, and the moving average of weights.

An optimizer sees all weights of one role as one vector [n] (a stack of games: [members, n]): ``init(weights) -> state``
and ``step(gradient, state, sizes) -> (move, state)``; the game subtracts the move. One vector instead of a list of
tensors, because a small game is bound by the number of operations, not by their size.

What depends on the turn's number alone (the rate, Adam's corrections) is not computed there but by
``step_sizes(turn, factor)``, in plain numbers: a state holds nothing but vectors, an optimizer acts alike on one game
and on a stack, and a compiled turn does not raise beta to the turn's power once for every weight.

Each optimizer equals its namesake in ``torch.optim``; optimistic Adam has none and equals its paper's algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .core.names import find
from .core.values import Betas, Count, Positive, Share, check, check_fields

State = dict[str, Tensor]

StepSizes = Sequence[float] | Sequence[Tensor]  # the numbers of one turn; [] each inside a compiled graph


class Optimizer(NamedTuple):
    """init(weights) -> state; step_sizes(turn, factor) -> numbers, with turn 1, 2, ... of its role and the factor of
    the rate's schedule; step(gradient, state, sizes) -> (what to subtract from the weights, state)."""

    init: Callable[[Tensor], State]
    step_sizes: Callable[[int, float], tuple[float, ...]]
    step: Callable[[Tensor, State, StepSizes], tuple[Tensor, State]]
    lr: float
    momentum: float = 0.0  # the share of the past in the direction: clipping and momentum do not mix well


def sgd(lr: float, momentum: float = 0.0) -> Optimizer:
    """Gradient descent, with classical momentum as in torch.optim.SGD."""
    check("lr", lr, Positive)
    check("momentum", momentum, Share)

    def init(weights):
        return {"velocity": torch.zeros_like(weights)} if momentum else {}

    def step_sizes(turn, factor):
        return (lr * factor,)

    def step(g, state, sizes):
        (scale,) = sizes
        if momentum:
            g = momentum * state["velocity"] + g
            state = {"velocity": g}
        return scale * g, state

    return Optimizer(init, step_sizes, step, lr, momentum)


def rmsprop(lr: float, decay: float = 0.99, eps: float = 1e-8) -> Optimizer:
    """RMSprop as in torch.optim.RMSprop, without centring or momentum."""
    check("lr", lr, Positive)
    check("decay", decay, Share)
    check("eps", eps, Positive)

    def init(weights):
        return {"square": torch.zeros_like(weights)}

    def step_sizes(turn, factor):
        return (lr * factor,)

    def step(g, state, sizes):
        (scale,) = sizes
        square = torch.mul(state["square"], decay).addcmul_(g, g, value=1 - decay)
        return torch.mul(g, scale).div_(square.sqrt().add_(eps)), {"square": square}

    return Optimizer(init, step_sizes, step, lr)


def adam(lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Optimizer:
    """Adam as in torch.optim.Adam. Source: Kingma and Ba 2015, Algorithm 1."""
    check("lr", lr, Positive)
    check("betas", betas, Betas)
    check("eps", eps, Positive)

    def init(weights):
        return {"mean": torch.zeros_like(weights), "square": torch.zeros_like(weights)}

    def step_sizes(turn, factor):
        # both corrections folded into the rate, eps scaled to match: two passes over the vector fewer
        correction = math.sqrt(1 - betas[1] ** turn)
        return (lr * factor * correction / (1 - betas[0] ** turn), eps * correction)

    def step(g, state, sizes):
        scale, least = sizes
        mean = torch.lerp(state["mean"], g, 1 - betas[0])
        square = torch.mul(state["square"], betas[1]).addcmul_(g, g, value=1 - betas[1])
        # in place on what was just made: a fresh vector costs as much as the arithmetic that fills it
        return torch.mul(mean, scale).div_(square.sqrt().add_(least)), {"mean": mean, "square": square}

    return Optimizer(init, step_sizes, step, lr, betas[0])


def optimistic_adam(lr: float, betas: tuple[float, float] = (0.5, 0.9), eps: float = 1e-8) -> Optimizer:
    """Adam that steps twice along the new direction and takes back the last: it spirals into equilibria that plain
    descent circles. Source: Daskalakis et al. 2018, Algorithm 1."""
    inner = adam(lr, betas, eps)

    def init(weights):
        return {**inner.init(weights), "last": torch.zeros_like(weights)}

    def step(g, state, sizes):
        move, moments = inner.step(g, state, sizes)
        return 2 * move - state["last"], {**moments, "last": move}

    return Optimizer(init, inner.step_sizes, step, lr, betas[0])


class Average(NamedTuple):
    r"""The moving average of a role's weights, its half-life in samples.

    The weight of the past is :math:`2^{-B/h}`, with h at most a twentieth of the samples seen so far, so that a short
    run is not an average of its beginning (the ramp of EDM, Karras et al. 2022). Averaging damps the cycling of
    games: Yazici et al. 2018.
    """

    half_life: float
    batch_size: int
    ramp: float = 0.05

    def share(self, turn: int) -> float:
        """The weight of the present in turn 1, 2, ...; the average starts as the weights themselves."""
        half_life = min(self.half_life, self.ramp * self.batch_size * turn)
        return 1 - 2 ** (-self.batch_size / half_life)

    @staticmethod
    def step(weights: Tensor, average: Tensor, share: float | Tensor) -> Tensor:
        """The average after one more turn."""
        return torch.lerp(average, weights, share)


@dataclass(frozen=True)
class LRSchedule:
    """The factor on the learning rates of a step: a rise over the first ``warm_up`` steps, then, from 1, a curve.

    kind: one of `LR_SCHEDULES`. Raises ValueError for an unknown kind.
    """

    kind: str = "constant"
    warm_up: Count = 0

    def __post_init__(self) -> None:
        find("learning-rate schedule", self.kind, LR_SCHEDULES)
        check_fields(self)

    def __call__(self, step: int, steps: int) -> float:
        """The factor of step 0, 1, ... of a schedule of so many steps; later ones have the last one's."""
        step = min(step, steps - 1)
        if step < self.warm_up:
            return (step + 1) / (self.warm_up + 1)
        return LR_SCHEDULES[self.kind]((step - self.warm_up) / max(1, steps - self.warm_up))


LR_SCHEDULES: dict[str, Callable[[float], float]] = {  # of the share of the way that is behind
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}

TABLE = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam, "optimistic-adam": optimistic_adam}
