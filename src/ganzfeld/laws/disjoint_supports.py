r"""Laws without a common point: Jensen-Shannon jumps, Wasserstein moves.

Put the data evenly on a line in the plane and the generator on a parallel line at distance theta. As long as theta is
not 0 the two share no point. Their total variation is 1, their Jensen-Shannon divergence log 2 and the Kullback-Leibler
divergence infinite, whether theta is 2 or 0.001; at theta = 0 all three drop to 0. None tells a generator which way to
move, since no slope in theta points anywhere. Wasserstein's distance asks how far mass has to be carried. It is
|theta|, it is continuous, and its slope is 1 in size at every distance. A critic under the gradient penalty learns that
slope, a little too steep: 1 + theta / (2 lambda).

This compares divergences of the laws themselves, and a network computes none of them. A free discriminator grows sure
and its minimax gradient fades, but the same discriminator under -log D still sends a large one. With the gradient
penalty the minimax game has a steady slope too: what moves the generator is the bound on the critic's slope, not the
name of the divergence. Samples blur both. Two samples of one law share no point either, so their JS is log 2. Their W1
is not 0: its mean falls as 1 / sqrt(n) on a line, and only as n to the power -1/d in d > 2 dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .. import constraints, metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Law, Line, Panel, above, below, near, paragraphs
from .play import Match, cosine, critic, match

LAMBDA = 10.0
Measure = Callable[[Tensor, Tensor], float]


def prove(fast: bool) -> Evidence:
    felt, free = _felt(*(((0.25, 1.0), 60, 32) if fast else ((0.1, 0.25, 0.5, 1.0, 2.0), 150, 48)))
    return (*_known(), *_differences(), *_trained(felt), *free, *_samples(*((300, 64) if fast else (1_500, 128)))), (
        _distances(),
        _slopes(felt),
    )


def _line(x: float, points: int = 16) -> Tensor:
    """Points [n, 2] that stand for the even law on the line between (x, 0) and (x, 1)."""
    return torch.stack([torch.full((points,), x), (torch.arange(points) + 0.5) / points], 1)


def _mixed(points: Tensor, seed: int = 0) -> Tensor:
    """The same points in another order."""
    return points[torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))]


def _shares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The masses that two clouds give to the points of either."""
    _, where = torch.unique(torch.cat([x, y]), dim=0, return_inverse=True)
    count = int(where.max()) + 1
    p, q = (torch.bincount(side, minlength=count) / len(side) for side in where.split([len(x), len(y)]))
    return p.double(), q.double()


def _apart(measure: Measure, theta: float) -> float:
    """A divergence of the two lines, by the masses of their points."""
    return measure(*_shares(_line(0), _mixed(_line(theta))))


def _w1(theta: float) -> float:
    """The exact W1 of the two lines, by assignment."""
    return metrics.w1(_line(0), _mixed(_line(theta)))


THETAS = (-2.0, -0.5, 0.001, 0.1, 1.0, 3.0)


def _known() -> tuple[Check, ...]:
    """Every measure at distances between 0.001 and 3."""
    kinds = (metrics.jensen_shannon, metrics.total_variation, metrics.kullback_leibler)
    js, tv, kl = (torch.tensor([_apart(kind, theta) for theta in THETAS]) for kind in kinds)
    return (
        near("JS at six distances", js, math.log(2), 1e-12),
        near("total variation there", tv, 1, 1e-12),
        near("KL there", kl, math.inf, 0),
        near("all three at theta = 0", torch.tensor([_apart(kind, 0) for kind in kinds]), 0, 1e-12),
        near("W1 there, and |theta|", torch.tensor([_w1(t) for t in THETAS]), torch.tensor(THETAS).abs(), 1e-12),
    )


def _differences(h: float = 1e-4) -> tuple[Check, Check]:
    """The slopes in theta, by differences."""
    w1 = torch.tensor([(_w1(t + h) - _w1(t - h)) / (2 * h) for t in THETAS])
    js = [(_apart(metrics.jensen_shannon, t + h) - _apart(metrics.jensen_shannon, t - h)) / (2 * h) for t in THETAS]
    return (
        near("slope of W1, and the sign of theta", w1, torch.tensor(THETAS).sign(), 1e-9),
        near("slope of JS", torch.tensor(js), 0, 1e-9),
    )


class Felt(NamedTuple):
    """What a generator at distance theta feels of a trained critic, the slope in theta of what it descends: under the
    penalty in the Wasserstein and in the minimax game, and without in the latter; how many degrees the first points
    away from the data."""

    theta: float
    wasserstein: float
    bound: float
    free: float
    degrees: float


def _felt(thetas: tuple[float, ...], steps: int, points: int) -> tuple[list[Felt], tuple[Check, Check]]:
    """Critics trained at every distance, and how the free one's pull fades at the last."""
    felt = []
    for theta in thetas:
        wasserstein, bound = (_play(kind, theta, steps, points, LAMBDA)[0] for kind in _penalised())
        free, pulls = _play(objectives.minimax, theta, 2 * steps, points)
        felt.append(Felt(theta, _pull(wasserstein), _pull(bound), _pull(free), _degrees(wasserstein)))
    other = match(objectives.non_saturating, critic(2), free.real, free.fake)
    return felt, (
        above("a free D: its minimax slope fell by a factor of", max(pulls) / pulls[-1], 20),
        above("the same D under -log D: the slope", _pull(free, other), 1),
    )


def _penalised() -> tuple[objectives.Objective, objectives.Objective]:
    return objectives.wasserstein, objectives.minimax


def _play(
    objective: objectives.Objective, theta: float, steps: int, points: int, weight: float = 0
) -> tuple[Match, list[float]]:
    """A critic trained between the lines, and the generator's slope along the way."""
    bound = (constraints.GradientPenalty(weight),) if weight else ()
    optimizer = adam(2e-2, (0.8, 0.9))
    game = match(objective, critic(2, activation="leaky"), _line(0, points), _line(theta, points), bound, optimizer)
    if weight:
        game.noise = {**game.noise, "0.mix": _mixed(torch.linspace(0, 1, points))}  # evenly, both ends included
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


def _trained(felt: list[Felt]) -> tuple[Check, ...]:
    """The critics under the penalty, and the slopes that are best for their objectives."""
    found = torch.tensor(felt)
    theta, wasserstein, bound, degrees = found[:, 0], found[:, 1], found[:, 2], found[:, 4]
    truth = torch.tensor([_best_bound(float(t)) for t in theta])
    return (
        near("a critic under the penalty: slope, 1 + theta / 20", wasserstein, 1 + theta / (2 * LAMBDA), 0.03),
        below("its angle from the way to the data, degrees", degrees, 5),
        near("minimax under the penalty: slope, and the best", bound, truth, 0.02),
    )


def _best_bound(theta: float) -> float:
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
        near("their W1 times sqrt(n), in the mean", w1.mean() * n**0.5, math.sqrt(math.pi) / 4, 0.03),
        above("W1 of 64 and 64 samples of N(0, I) in 8-d", torch.tensor([metrics.w1(x, y) for x, y in wide]), 1),
    )


def _distances() -> Panel:
    """Jensen-Shannon and W1 against the distance."""
    theta = torch.linspace(-2, 2, 81)
    js = torch.tensor([_apart(metrics.jensen_shannon, float(t)) for t in theta])
    js[40] = math.nan  # theta = 0, where it jumps
    lines = (
        Line("W1", theta, [_w1(float(t)) for t in theta]),
        Line("JS", theta, js),
        Line("JS at 0", [0.0], [_apart(metrics.jensen_shannon, 0)], "dots"),
    )
    return Panel("theta", "distance", lines, "Two parallel lines", levels=((math.log(2), "log 2"),), low=0)


def _slopes(felt: list[Felt]) -> Panel:
    """What the generator feels of trained critics, against the distance."""
    theta = [f.theta for f in felt]
    lines = (
        Line("critic, penalty", theta, [f.wasserstein for f in felt], "dots"),
        Line("D, penalty", theta, [f.bound for f in felt], "dots"),
        Line("D, free", theta, [f.free for f in felt], "dots"),
    )
    return Panel(
        "theta",
        "slope that is descended",
        lines,
        "After training",
        levels=((1, "slope of W1"), (0, "slope of JS")),
        low=0,
    )


LAW = Law(
    name="disjoint-supports",
    title="Laws without a common point",
    statement="On parallel lines at distance theta, JS is log 2 for every theta but 0, and W1 is |theta|.",
    formula=r"\operatorname{JS}(p, q_\theta) = \begin{cases} \log 2 & \theta \neq 0 \\ 0 & \theta = 0 \end{cases}, "
    r"\qquad W_1(p, q_\theta) = |\theta|",
    source="Arjovsky, Chintala and Bottou 2017, example 1",
    assumes=("the supports share no point", "the divergences are those of the laws, not of a network or a sample"),
    oracle="log 2, 1, infinity and |theta| themselves; the best slope under the penalty; the mean W1 of uniform "
    "samples, sqrt(pi / 16 n)",
    said="JS is called useless and W1 the remedy. The minimax game under the same gradient penalty has a steady slope "
    "as well, and two samples of 64 from one law in eight dimensions are about 2 apart in W1: disease and remedy are "
    "not the divergence's alone.",
    caption="Left: both distances of two parallel lines. Right: the slope in theta that trained critics hand to the "
    "generator; D is a discriminator in the minimax game, free or under the gradient penalty.",
    words=paragraphs(__doc__),
    prove=prove,
)
