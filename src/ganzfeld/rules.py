r"""Rules: optimisers as pairs of pure functions, and the moving average of weights.

A rule sees all weights of one role as one vector [n] (a stack of games: [members, n]): ``init(weights) -> state`` and
``step(gradient, state, clock) -> (move, state)``; the game subtracts the move. One vector instead of a list of
tensors, because a small game is bound by the number of operations, not by their size. The `Clock` comes from
outside: which turn of its role this is, and the factor on the rate. So a state holds nothing but vectors, and a rule
acts alike on one game and on a stack.

Each rule equals its namesake in ``torch.optim``; optimistic Adam has none and equals its paper's algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

State = dict[str, Tensor]


class Clock(NamedTuple):
    """turn []: 1 for a role's first turn, float64. pace []: the factor on the rate, 1 without a schedule."""

    turn: Tensor
    pace: Tensor


class Rule(NamedTuple):
    """init(weights) -> state; step(gradient, state, clock) -> (what to subtract from the weights, state)."""

    init: Callable[[Tensor], State]
    step: Callable[[Tensor, State, Clock], tuple[Tensor, State]]
    rate: float
    momentum: float = 0.0  # the share of the past in the direction: clipping and momentum do not mix well


def sgd(rate: float, momentum: float = 0.0) -> Rule:
    """Gradient descent, with classical momentum as in torch.optim.SGD."""
    _check(rate, momentum=momentum)

    def init(weights):
        return {"velocity": torch.zeros_like(weights)} if momentum else {}

    def step(g, state, clock):
        if momentum:
            g = momentum * state["velocity"] + g
            state = {"velocity": g}
        return rate * clock.pace * g, state

    return Rule(init, step, rate, momentum)


def rmsprop(rate: float, decay: float = 0.99, eps: float = 1e-8) -> Rule:
    """RMSprop as in torch.optim.RMSprop, without centring or momentum."""
    _check(rate, decay=decay)

    def init(weights):
        return {"square": torch.zeros_like(weights)}

    def step(g, state, clock):
        square = decay * state["square"] + (1 - decay) * g * g
        return rate * clock.pace * g / (square.sqrt() + eps), {"square": square}

    return Rule(init, step, rate)


def adam(rate: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Rule:
    """Adam as in torch.optim.Adam. Source: Kingma and Ba 2015, Algorithm 1."""
    _check(rate, beta1=betas[0], beta2=betas[1])

    def init(weights):
        return {"mean": torch.zeros_like(weights), "square": torch.zeros_like(weights)}

    def step(g, state, clock):
        mean = torch.lerp(state["mean"], g, 1 - betas[0])
        square = betas[1] * state["square"] + (1 - betas[1]) * g * g
        # both corrections are numbers: one division of the vector instead of three
        scale = rate * clock.pace / (1 - betas[0] ** clock.turn)
        root = square.sqrt() / (1 - betas[1] ** clock.turn).sqrt() + eps
        return scale * mean / root, {"mean": mean, "square": square}

    return Rule(init, step, rate, betas[0])


def optimistic_adam(rate: float, betas: tuple[float, float] = (0.5, 0.9), eps: float = 1e-8) -> Rule:
    """Adam that steps twice along the new direction and takes back the last: it spirals into equilibria that plain
    descent circles. Source: Daskalakis et al. 2018, Algorithm 1."""
    inner = adam(rate, betas, eps)

    def init(weights):
        return {**inner.init(weights), "last": torch.zeros_like(weights)}

    def step(g, state, clock):
        move, moments = inner.step(g, state, clock)
        return 2 * move - state["last"], {**moments, "last": move}

    return Rule(init, step, rate, betas[0])


def _check(rate: float, **shares: float) -> None:
    if not 0 < rate < float("inf"):
        raise ValueError(f"a learning rate must be a positive number, not {rate}")
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name} must lie in [0, 1), not {share}")


class Average(NamedTuple):
    r"""The moving average of a role's weights, its half-life in samples.

    The weight of the past is :math:`2^{-B/h}`, with h at most a twentieth of the samples seen so far, so that a short
    run is not an average of its beginning (the ramp of EDM, Karras et al. 2022). Averaging damps the cycling of
    games: Yazici et al. 2018.
    """

    half_life: float
    batch_size: int
    ramp: float = 0.05

    def step(self, weights: Tensor, average: Tensor, clock: Clock) -> Tensor:
        """The average after one more turn; it starts as the weights themselves."""
        half_life = (self.ramp * self.batch_size * clock.turn).clamp(max=self.half_life)
        return average + (1 - torch.exp2(-self.batch_size / half_life)) * (weights - average)


TABLE = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam, "optimistic-adam": optimistic_adam}
