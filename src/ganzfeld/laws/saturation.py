r"""Saturation.

.. math::
    \nabla D = D (1 - D) \nabla o, \qquad \nabla \log(1 - D) = -D \, \nabla o, \qquad \nabla \left( -\log D \right)
    = -(1 - D) \nabla o

Source: Goodfellow et al. 2014, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, above, law, near
from .play import Match, cosine, critic, logistic, match


def prove(fast: bool) -> Evidence:
    trained, right = _training(*((100, 64) if fast else (1_200, 256)))
    return (*_factors(), *_ratios(), *_single_precision(), *trained), (_factor_panel(), right)


def _sigmoid(o: Tensor) -> Tensor:
    """SciPy's, in float64."""
    from scipy.special import expit

    return torch.from_numpy(expit(o.detach().double().numpy()))


def _factors() -> tuple[Check, ...]:
    """What reaches the generator from scores in [-100, 100], from the objectives themselves."""
    o = torch.linspace(-100, 100, 4_001)
    d, rest = _sigmoid(o), _sigmoid(-o)
    slope = torch.func.grad(lambda o: torch.sigmoid(o).sum())(o)
    minimax, other = (metrics.scale_factors(kind, o, o).generator for kind in logistic())
    known = metrics.payoff_factors(o)
    return (
        near("d D / d o, and D (1 − D), |o| <= 100", slope, known[0] * known[1], 1e-12),
        near("minimax: the factor, and D", minimax, d, 1e-12),
        near("non-saturating: the factor, and 1 − D", other, rest, 1e-12),
        near("both as they are reported, over SciPy's", torch.stack(known) / torch.stack([d, rest]), 1, 1e-12),
    )


def _ratios() -> tuple[Check, Check]:
    """The non-saturating factor over the minimax one."""
    o = torch.tensor([-10.0, *np.linspace(-100, 100, 401)])
    minimax, other = (metrics.scale_factors(kind, o, o).generator for kind in logistic())
    return (
        near("their ratio at o = −10", (other / minimax)[0], 22026.4657948, 1e-4),
        near("log of their ratio, and −o, |o| <= 100", (other / minimax).log(), -o, 1e-9),
    )


def _single_precision() -> tuple[Check, ...]:
    """In single precision: the payoff in two steps, and the objective from the raw score."""
    sure = torch.arange(17, 101, dtype=torch.float32)
    naive = torch.log(1 - torch.sigmoid(sure))
    o = torch.linspace(-100, 100, 4_001, dtype=torch.float32)
    seen = [metrics.scale_factors(kind, o, o).generator for kind in logistic()]
    seen += [kind.generator(None, o) for kind in logistic()]
    return (
        near("log(1 − D) in two steps, o = 17 ... 100: finite", naive.isfinite().sum(), 0, 0),
        near("from the raw score, at o = 17", objectives.minimax.generator(None, sure[0]), -17, 1e-6),
        near("from the raw score: not finite", (~torch.stack(seen).isfinite()).sum(), 0, 0),
    )


class Arrival(NamedTuple):
    """At one moment of a training, means over the fakes of the norms of what arrives at each: under minimax, under the
    other cost, and D (1 - D) times the discriminator's slope; and how far both are from factor times slope."""

    minimax: float
    other: float
    product: float
    off: float


def _training(steps: int, samples: int) -> tuple[tuple[Check, ...], Panel]:
    """A discriminator learns to tell two laws well apart while the fakes stand still."""
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(samples, 2, generator=rng) + torch.tensor([x, 0.0]) for x in (-3, 3))
    game, twin = (
        match(kind, critic(2, activation="tanh"), real, fake, optimizer=adam(1e-2, (0.9, 0.99))) for kind in logistic()
    )
    seen: list[Arrival] = []

    def look() -> float:
        seen.append(_arrival(game, twin))
        return seen[-1].minimax

    turns, _ = game.play("critic", steps, cosine, look, looks=50)
    last, given = seen[-1], metrics.saturation(game.score, fake)
    return (
        near("in training: gradient at a fake, and factor times slope", torch.tensor([a.off for a in seen]), 0, 1e-12),
        near("in training: what is reported", torch.tensor(given[:2]), torch.tensor([last.minimax, last.other]), 1e-12),
        above("minimax gradient: fell, by a factor of", seen[0].minimax / last.minimax, 10),
        above("non-saturating gradient: rose, by a factor of", last.other / seen[0].other, 1),
        above("non-saturating gradient over D (1 − D) |grad o|", last.other / last.product, 50),
    ), _arrival_panel(turns, seen)


def _arrival(game: Match, twin: Match) -> Arrival:
    """The gradients that each game hands to the generator, whose weights are the fakes, beside an independent one."""
    arrived = [_gradient(optimizers, game).norm(dim=1) for optimizers in (game, twin)]
    fake = game.fake.detach().requires_grad_()
    o = game.score(fake)
    slope = torch.autograd.grad(o.sum(), fake)[0].norm(dim=1)
    expected = [_sigmoid(side) * slope for side in (o, -o)]
    off = max(float((a - e).abs().max()) for a, e in zip(arrived, expected, strict=True))
    minimax, other, product = (float(x.mean()) for x in (*arrived, _sigmoid(o) * expected[1]))
    return Arrival(minimax, other, product, off)


def _gradient(optimizers: Match, game: Match) -> Tensor:
    """Of each fake [n, d], under one game's rules in the other's state; the game's cost is a mean over n."""
    gradients, _ = optimizers.game.gradient("generator", game.state, (game.real,), game.noise)
    return gradients["generator"]["points"] * len(game.fake)


def _factor_panel() -> Panel:
    """The three factors."""
    o = torch.linspace(-10, 10, 161)
    d, rest = metrics.payoff_factors(o)
    lines = (
        Line("D (minimax)", o, d),
        Line("1 − D (non-saturating)", o, rest),
        Line("D (1 − D)", o, d * rest, "dashes"),
    )
    return Panel("raw score o of a fake", "factor on grad o", lines, "What the loss multiplies", low=0, high=1)


def _arrival_panel(turns: list[int], seen: list[Arrival]) -> Panel:
    """What arrives at the fakes along the discriminator's training."""
    lines = (
        Line("minimax", turns, [a.minimax for a in seen]),
        Line("non-saturating", turns, [a.other for a in seen]),
        Line("D (1 − D) |grad o|", turns, [a.product for a in seen], "dashes"),
    )
    return Panel("turns of the discriminator", "mean gradient at a fake", lines, "What arrives", log_y=True)


LAW = law("saturation", __doc__, prove)
