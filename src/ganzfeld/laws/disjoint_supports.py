r"""Laws without a common point.

.. math::
    \operatorname{JS}(p, q_\theta) = \begin{cases} \log 2 & \theta \neq 0 \\ 0 & \theta = 0 \end{cases}, \qquad
    W_1(p, q_\theta) = |\theta|

Source: Arjovsky, Chintala and Bottou 2017, example 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .. import constraints, metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Match, cosine, critic, match

LAMBDA = 10.0
Measure = Callable[[Tensor, Tensor], float]


def prove(fast: bool) -> Evidence:
    slopes, free = _train_critics(*(((0.25, 1.0), 60, 32) if fast else ((0.1, 0.25, 0.5, 1.0, 2.0), 150, 48)))
    samples = _samples(*((300, 64) if fast else (1_500, 128)))
    return (*_values(), *_quotients(), *_penalised(slopes), *free, *samples), (_distances(), _slopes(slopes))


def _points(x: float, points: int = 16) -> Tensor:
    """Points [n, 2] that stand for the even law on the line between (x, 0) and (x, 1)."""
    return torch.stack([torch.full((points,), x), (torch.arange(points) + 0.5) / points], 1)


def _shuffle(points: Tensor, seed: int = 0) -> Tensor:
    """The same points in another order."""
    return points[torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))]


def _shares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The masses that two clouds give to the points of either."""
    _, where = torch.unique(torch.cat([x, y]), dim=0, return_inverse=True)
    count = int(where.max()) + 1
    p, q = (torch.bincount(side, minlength=count) / len(side) for side in where.split([len(x), len(y)]))
    return p.double(), q.double()


def _divergence(measure: Measure, theta: float) -> float:
    """A divergence of the two lines, by the masses of their points."""
    return measure(*_shares(_points(0), _shuffle(_points(theta))))


def _w1(theta: float) -> float:
    """The exact W1 of the two lines, by assignment."""
    return metrics.w1(_points(0), _shuffle(_points(theta)))


THETAS = (-2.0, -0.5, 0.001, 0.1, 1.0, 3.0)


def _values() -> tuple[Check, ...]:
    """Every measure at distances between 0.001 and 3."""
    kinds = (metrics.jensen_shannon, metrics.total_variation, metrics.kullback_leibler)
    js, tv, kl = (torch.tensor([_divergence(kind, theta) for theta in THETAS]) for kind in kinds)
    return (
        near("JS at six distances", js, math.log(2), 1e-12),
        near("total variation there", tv, 1, 1e-12),
        near("KL there", kl, math.inf, 0),
        near("all three at θ = 0", torch.tensor([_divergence(kind, 0) for kind in kinds]), 0, 1e-12),
        near("W1 there, and |θ|", torch.tensor([_w1(t) for t in THETAS]), torch.tensor(THETAS).abs(), 1e-12),
    )


def _quotients(h: float = 1e-4) -> tuple[Check, Check]:
    """The slopes in theta, by differences."""
    w1 = torch.tensor([(_w1(t + h) - _w1(t - h)) / (2 * h) for t in THETAS])
    js = [_divergence(metrics.jensen_shannon, t + d) for t in THETAS for d in (h, -h)]
    return (
        near("slope of W1, and the sign of θ", w1, torch.tensor(THETAS).sign(), 1e-9),
        near("slope of JS", torch.tensor(js).view(-1, 2).diff() / (2 * h), 0, 1e-9),
    )


class Slopes(NamedTuple):
    """What a generator at distance theta feels of a trained critic, the slope in theta of what it descends: under the
    penalty in the Wasserstein and in the minimax game, and without in the latter; how many degrees the first points
    away from the data."""

    theta: float
    wasserstein: float
    bound: float
    free: float
    degrees: float


def _train_critics(thetas: tuple[float, ...], steps: int, points: int) -> tuple[list[Slopes], tuple[Check, Check]]:
    """Critics trained at every distance, and how the free one's pull fades at the last."""
    slopes = []
    for theta in thetas:
        wasserstein, _ = _play(objectives.wasserstein, theta, steps, points, LAMBDA)
        bound, _ = _play(objectives.minimax, theta, steps, points, LAMBDA)
        free, pulls = _play(objectives.minimax, theta, 2 * steps, points)
        slopes.append(Slopes(theta, _pull(wasserstein), _pull(bound), _pull(free), _degrees(wasserstein)))
    other = match(objectives.non_saturating, critic(2), free.real, free.fake)
    return slopes, (
        above("a free D: its minimax slope fell by a factor of", max(pulls) / pulls[-1], 20),
        above("the same D under −log D: the slope", _pull(free, other), 1),
    )


def _play(
    objective: objectives.Objective, theta: float, steps: int, points: int, weight: float = 0
) -> tuple[Match, list[float]]:
    """A critic trained between the lines, and the generator's slope along the way."""
    bound = (constraints.GradientPenalty(weight),) if weight else ()
    optimizer = adam(2e-2, (0.8, 0.9))
    game = match(objective, critic(2, activation="leaky"), _points(0, points), _points(theta, points), bound, optimizer)
    if weight:
        game.noise = {**game.noise, "0.mix": _shuffle(torch.linspace(0, 1, points))}  # evenly, both ends included
    _, pulls = game.play("critic", steps, cosine, lambda: _pull(game), looks=10)
    return game, pulls


def _pull(game: Match, optimizers: Match | None = None) -> float:
    """The slope in theta of the generator's cost, by another game's rules where given: all points move along x."""
    gradients, _ = (optimizers or game).game.gradient("generator", game.state, (game.real,), game.noise)
    return float(gradients["generator"]["points"][:, 0].sum())


def _degrees(game: Match) -> float:
    """The largest angle between the critic's slope at a fake and the direction of the data."""
    slope = torch.func.grad(lambda x: game.score(x).sum())(game.fake)
    return float(torch.rad2deg(torch.atan2(slope[:, 1].abs(), -slope[:, 0])).max())


def _penalised(slopes: list[Slopes]) -> tuple[Check, ...]:
    """The critics under the penalty, and the slopes that are best for their objectives."""
    found = torch.tensor(slopes)
    theta, wasserstein, bound, degrees = found[:, 0], found[:, 1], found[:, 2], found[:, 4]
    truth = torch.tensor([_best_slope(float(t)) for t in theta])
    return (
        near("a critic under the penalty: slope, 1 + θ / 20", wasserstein, 1 + theta / (2 * LAMBDA), 0.03),
        below("its angle from the way to the data, degrees", degrees, 5),
        near("minimax under the penalty: slope, and the best", bound, truth, 0.02),
    )


def _best_slope(theta: float) -> float:
    """The minimax generator's slope at the best discriminator of one slope s, which scores s theta / 2 on the data and
    the opposite on the fakes: 2 log sigmoid(s theta / 2) - lambda (s - 1)^2 is largest."""
    from scipy.optimize import minimize_scalar
    from scipy.special import expit, log_expit

    def loss(s: float) -> float:
        return LAMBDA * (s - 1) ** 2 - 2 * log_expit(s * theta / 2)

    s = minimize_scalar(loss, bounds=(0, 3), method="bounded", options={"xatol": 1e-10}).x
    return float(s * expit(-s * theta / 2))


def _samples(draws: int, n: int) -> tuple[Check, ...]:
    """Two samples of one law, between which every distance should be 0."""
    rng = torch.Generator().manual_seed(0)
    pairs = torch.rand(draws, 2, n, 1, generator=rng)
    w1 = torch.tensor([metrics.w1_line(x[:, 0], y[:, 0]) for x, y in pairs])
    wide = torch.randn(10, 2, 64, 8, generator=rng)
    return (
        near("two samples of one line: JS", metrics.jensen_shannon(*_shares(*pairs[0])), math.log(2), 1e-12),
        near("their W1 times √(n), in the mean", w1.mean() * n**0.5, math.sqrt(math.pi) / 4, 0.03),
        above("W1 of 64 and 64 samples of N(0, I) in 8-d", torch.tensor([metrics.w1(x, y) for x, y in wide]), 1),
    )


def _distances() -> Panel:
    """Jensen-Shannon and W1 against the distance."""
    theta = torch.linspace(-2, 2, 81)
    js = torch.tensor([_divergence(metrics.jensen_shannon, float(t)) for t in theta])
    js[40] = math.nan  # theta = 0, where it jumps
    lines = (
        Line("W1", theta, [_w1(float(t)) for t in theta]),
        Line("JS", theta, js),
        Line("JS at 0", [0.0], [_divergence(metrics.jensen_shannon, 0)], "dots"),
    )
    return Panel("θ", "distance", lines, "Two parallel lines", levels=((math.log(2), "log 2"),), low=0)


def _slopes(slopes: list[Slopes]) -> Panel:
    """What the generator feels of trained critics, against the distance."""
    theta = [f.theta for f in slopes]
    lines = (
        Line("critic, penalty", theta, [f.wasserstein for f in slopes], "dots"),
        Line("D, penalty", theta, [f.bound for f in slopes], "dots"),
        Line("D, free", theta, [f.free for f in slopes], "dots"),
    )
    return Panel(
        "θ", "slope that is descended", lines, "After training", levels=((1, "slope of W1"), (0, "slope of JS")), low=0
    )


LAW = law("disjoint-supports", __doc__, prove)
