r"""Rules: optimisers as pairs of pure functions, and the moving average of weights.

A rule sees all weights of one role as one vector [n] (a stack of games: [members, n]): ``init(weights) -> state`` and
``step(gradient, state, tempo) -> (move, state)``; the game subtracts the move. One vector instead of a list of
tensors, because a small game is bound by the number of operations, not by their size.

What depends on the turn's number alone (the rate, Adam's corrections) is not computed there but by
``tempo(turn, pace)``, in plain numbers: a state holds nothing but vectors, a rule acts alike on one game and on a
stack, and a compiled turn does not raise beta to the turn's power once for every weight.

Each rule equals its namesake in ``torch.optim``; optimistic Adam has none and equals its paper's algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

State = dict[str, Tensor]


Tempo = Sequence[float] | Sequence[Tensor]  # the numbers of one turn; [] each inside a compiled graph


class Rule(NamedTuple):
    """init(weights) -> state; tempo(turn, pace) -> numbers, with turn 1, 2, ... of its role and pace the factor on the
    rate; step(gradient, state, tempo) -> (what to subtract from the weights, state)."""

    init: Callable[[Tensor], State]
    tempo: Callable[[int, float], tuple[float, ...]]
    step: Callable[[Tensor, State, Tempo], tuple[Tensor, State]]
    rate: float
    momentum: float = 0.0  # the share of the past in the direction: clipping and momentum do not mix well


def sgd(rate: float, momentum: float = 0.0) -> Rule:
    """Gradient descent, with classical momentum as in torch.optim.SGD."""
    _check(rate, momentum=momentum)

    def init(weights):
        return {"velocity": torch.zeros_like(weights)} if momentum else {}

    def tempo(turn, pace):
        return (rate * pace,)

    def step(g, state, tempo):
        (scale,) = tempo
        if momentum:
            g = momentum * state["velocity"] + g
            state = {"velocity": g}
        return scale * g, state

    return Rule(init, tempo, step, rate, momentum)


def rmsprop(rate: float, decay: float = 0.99, eps: float = 1e-8) -> Rule:
    """RMSprop as in torch.optim.RMSprop, without centring or momentum."""
    _check(rate, decay=decay)

    def init(weights):
        return {"square": torch.zeros_like(weights)}

    def tempo(turn, pace):
        return (rate * pace,)

    def step(g, state, tempo):
        (scale,) = tempo
        square = torch.mul(state["square"], decay).addcmul_(g, g, value=1 - decay)
        return torch.mul(g, scale).div_(square.sqrt().add_(eps)), {"square": square}

    return Rule(init, tempo, step, rate)


def adam(rate: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Rule:
    """Adam as in torch.optim.Adam. Source: Kingma and Ba 2015, Algorithm 1."""
    _check(rate, beta1=betas[0], beta2=betas[1])

    def init(weights):
        return {"mean": torch.zeros_like(weights), "square": torch.zeros_like(weights)}

    def tempo(turn, pace):
        # both corrections folded into the rate, eps scaled to match: two passes over the vector fewer
        correction = math.sqrt(1 - betas[1] ** turn)
        return (rate * pace * correction / (1 - betas[0] ** turn), eps * correction)

    def step(g, state, tempo):
        scale, least = tempo
        mean = torch.lerp(state["mean"], g, 1 - betas[0])
        square = torch.mul(state["square"], betas[1]).addcmul_(g, g, value=1 - betas[1])
        # in place on what was just made: a fresh vector costs as much as the arithmetic that fills it
        return torch.mul(mean, scale).div_(square.sqrt().add_(least)), {"mean": mean, "square": square}

    return Rule(init, tempo, step, rate, betas[0])


def optimistic_adam(rate: float, betas: tuple[float, float] = (0.5, 0.9), eps: float = 1e-8) -> Rule:
    """Adam that steps twice along the new direction and takes back the last: it spirals into equilibria that plain
    descent circles. Source: Daskalakis et al. 2018, Algorithm 1."""
    inner = adam(rate, betas, eps)

    def init(weights):
        return {**inner.init(weights), "last": torch.zeros_like(weights)}

    def step(g, state, tempo):
        move, moments = inner.step(g, state, tempo)
        return 2 * move - state["last"], {**moments, "last": move}

    return Rule(init, inner.tempo, step, rate, betas[0])


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

    def share(self, turn: int) -> float:
        """The weight of the present in turn 1, 2, ...; the average starts as the weights themselves."""
        half_life = min(self.half_life, self.ramp * self.batch_size * turn)
        return 1 - 2 ** (-self.batch_size / half_life)

    @staticmethod
    def step(weights: Tensor, average: Tensor, share: float | Tensor) -> Tensor:
        """The average after one more turn."""
        return torch.lerp(average, weights, share)


TABLE = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam, "optimistic-adam": optimistic_adam}
