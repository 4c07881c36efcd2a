r"""Against the best discriminator the game measures the Jensen-Shannon divergence.

Put the optimal discriminator p / (p + q) back into the value of the game. What is left depends on the two laws alone:
-log 4 plus twice the Jensen-Shannon divergence between the data p and the generator's q. The divergence is 0 for equal
laws and log 2 for laws that share no point, so the value runs from -log 4 to 0, and -log 4 is reached only where q = p:
it exceeds that by at least the square of the total variation. Any other discriminator gives less, so the value of a
trained one is a lower bound. At the optimum D need not be differentiated, and the generator's gradient is that of 2 JS.

As a function of the density q the value is convex. If D is optimal at every step and q itself is what moves, descent
ends at q = p: this is the convergence that the paper proves. A network moves weights instead, and in weights the same
value need not be convex. A single Gaussian that descends towards two unequal bumps can stay at the smaller one,
although D is exact at every step. In practice D is also never optimal. Its value is a lower bound, so a change of the
number that is printed may come from the discriminator alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from .. import metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Law, Line, Panel, above, below, near, paragraphs
from .play import Match, cosine, critic, gaussian_quantiles, match, minimax_value, random_laws

LOG4 = math.log(4)
GAUSSIANS = ((0, 1), (1, 1), (2, 1), (4, 1), (0, 2), (1, 2), (10, 1))  # mean and deviation of q; p is N(0, 1)
DIVERGENCES = (0, 0.1114214822, 0.3368308203, 0.6327201937, 0.0927333817, 0.1281749731, 0.6931463174)  # their JS
VALUES = (
    -1.3862943611, -1.1634513968, -0.7126327204, -0.1208539736, -1.2008275978, -1.1299444150, -1.7263e-06,
)  # fmt: skip
ENDS = (-25.0, 35.0)  # beyond, none of these laws has mass that counts
Score = Callable[[Tensor], Tensor]


def prove(fast: bool) -> Evidence:
    trained, panels = _trained(*(((0, 1, 3), 110, 128) if fast else ((0, 0.5, 1, 2, 3, 4), 300, 512)))
    checks = (*_table(), _atoms(), _envelope(), *_least(), *trained, *_descents(60 if fast else 300))
    return checks, panels


def _table() -> tuple[Check, Check, Check]:
    """Seven pairs of Gaussians: the divergence and the value by quadrature, and the objective at log p / q."""
    laws = [metrics.gaussian(*law) for law in GAUSSIANS]
    p, truth = metrics.gaussian(0, 1), torch.tensor(VALUES)
    js = torch.tensor([metrics.on_line(metrics.jensen_shannon, p, q, *ENDS) for q in laws])
    v = torch.tensor([metrics.on_line(metrics.optimal_discriminator_value, p, q, *ENDS) for q in laws])
    at_best = torch.stack([_value(_log_ratio(*law), *law) for law in GAUSSIANS])
    return (
        near("JS of seven pairs of Gaussians", js, torch.tensor(DIVERGENCES), 1e-8),
        near("their V(D*, G)", v, truth, 1e-8),
        near("the objective at o = log p / q", at_best, truth, 1e-8),
    )


def _log_ratio(mean: float, std: float) -> Score:
    """The optimal raw score for N(0, 1) against N(mean, std^2)."""
    return lambda x: Normal(0.0, 1.0).log_prob(x) - Normal(float(mean), float(std)).log_prob(x)


def _value(score: Score, mean: float, std: float, points: int = 4_000) -> Tensor:
    """V of a discriminator of N(0, 1) against N(mean, std^2), the objective integrated by quadrature."""
    x, w = metrics.nodes(*ENDS, points)
    return minimax_value(score(x), w * metrics.gaussian(0, 1)(x), w * metrics.gaussian(mean, std)(x)).detach()


def _atoms() -> Check:
    """Four atoms, one of which the data never shows."""
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    return near("V(D*, G) on four atoms", metrics.optimal_discriminator_value(p, q), -0.9433483923290, 1e-10)


def _envelope() -> Check:
    """D stays put while the generator's mean moves, and still the slope is that of 2 JS."""
    slopes = torch.stack([_slope(theta) for theta in (0.5, 1.0, 2.0)])
    return near("slope at fixed D*, and of 2 JS", slopes, torch.tensor([0.2352635, 0.3979729, 0.4495995]), 1e-5)


def _slope(theta: float) -> Tensor:
    e, w = metrics.nodes(-12, 12)
    mean = torch.tensor(theta, requires_grad=True)
    cost = objectives.minimax.generator(None, _log_ratio(theta, 1)(mean + e))
    return torch.autograd.grad((w * metrics.gaussian(0, 1)(e) * cost).sum(), mean)[0]


def _least() -> tuple[Check, Check]:
    """-log 4 at equality, and above it elsewhere by the square of the total variation (Pinsker, to the mixture)."""
    p, q = (random_laws(1_000, seed) for seed in (0, 1))
    gaps = [metrics.optimal_discriminator_value(a, b) + LOG4 for a, b in zip(p, q, strict=True)]
    equal = torch.tensor([metrics.optimal_discriminator_value(a, a) for a in p])
    return (
        near("1,000 times q = p: the value", equal, -LOG4, 1e-12),
        above("1,000 pairs: V + log 4 - TV²", torch.tensor(gaps) - ((p - q).abs().sum(1) / 2) ** 2, 0),
    )


def _trained(shifts: tuple[float, ...], steps: int, samples: int) -> tuple[tuple[Check, ...], tuple[Panel, Panel]]:
    """Perceptrons on N(0, 1) against N(m, 1), judged under the laws themselves and not on their samples."""
    curves = {m: _training(m, steps, samples) for m in shifts}
    reached = torch.tensor([curves[m][1][-1] for m in shifts])
    along = torch.tensor([curves[m][1] for m in shifts])
    bests = torch.tensor([_best(m) for m in shifts])
    checks = (
        below("trained discriminators: V(D) - V* on the way", along - bests[:, None], 0),
        near("at the end: V(D), and V*", reached, bests, 2e-3),
    )
    return checks, (_across(shifts, reached), _rise(*curves[1], _best(1)))


def _best(m: float, points: int = 4_000) -> float:
    """V* of N(0, 1) against N(m, 1)."""
    p, q = metrics.gaussian(0, 1), metrics.gaussian(m, 1)
    return metrics.on_line(metrics.optimal_discriminator_value, p, q, *ENDS, points)


def _training(m: float, steps: int, samples: int) -> tuple[list[int], list[float]]:
    """V along the turns of one discriminator."""
    real, fake = gaussian_quantiles(0, 1, samples), gaussian_quantiles(m, 1, samples)
    game = match(objectives.minimax, critic(1, activation="tanh"), real, fake, optimizer=adam(2e-2, (0.9, 0.99)))
    return game.play("critic", steps, cosine, lambda: _judged(game, m), looks=steps // 5)


def _judged(game: Match, m: float) -> float:
    with torch.no_grad():
        return float(_value(lambda x: game.score(x[:, None]), m, 1, 1_200))


def _across(shifts: tuple[float, ...], reached: Tensor) -> Panel:
    """The value against the shift."""
    m = torch.linspace(0, 6, 61)
    lines = (
        Line("-log 4 + 2 JS", m, [_best(float(x), 800) for x in m], "dashes"),
        Line("trained", shifts, reached, "dots"),
    )
    return Panel("shift m", "V", lines, "N(0, 1) against N(m, 1)", levels=((-LOG4, "-log 4"), (0, "0")))


def _rise(turns: list[int], values: list[float], best: float) -> Panel:
    """The value of one discriminator at the beginning of its training, where it rises."""
    lines = (Line("V(D)", turns[:21], values[:21]),)
    return Panel("turns of the discriminator", "V", lines, "Along it, m = 1", levels=((best, "V*"), (-LOG4, "-log 4")))


def _descents(turns: int) -> tuple[Check, Check]:
    """The same value, D exact at every step: q itself arrives; the mean of a Gaussian stays at the bump it meets."""
    p, q = torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([0.05, 0.05, 0.1, 0.8])
    for _ in range(turns):
        q = q * (-objectives.minimax.generator(None, p.log() - q.log())).exp()
        q = q / q.sum()
    return (
        near("D exact, q itself moves: q, and p", q, p, 1e-8),
        above("D exact, a mean moves: V right - V left", _rest(3.6, turns) - _rest(-3.6, turns), 0.1),
    )


def _bumps(x: Tensor) -> Tensor:
    """Two bumps: a larger one on the left."""
    return 0.7 * metrics.gaussian(-3, 0.5)(x) + 0.3 * metrics.gaussian(3, 0.5)(x)


def _rest(start: float, turns: int) -> float:
    """The value where a Gaussian as wide as a bump comes to rest, its mean descending from a start."""
    theta = torch.tensor(start)
    for _ in range(turns):
        theta = theta - 0.3 * _pull(_bumps, theta)
    law = metrics.gaussian(float(theta), 0.5)
    return metrics.on_line(metrics.optimal_discriminator_value, _bumps, law, -8, 8, 800)


def _pull(p: Score, theta: Tensor) -> Tensor:
    """The slope in the mean of a Gaussian's cost against p, D fixed at its best."""
    e, w = metrics.nodes(-4, 4, 200)
    q, mean = metrics.gaussian(float(theta), 0.5), theta.clone().requires_grad_()
    x = mean + e
    cost = objectives.minimax.generator(None, p(x).log() - q(x).log())
    return torch.autograd.grad((w * metrics.gaussian(0, 0.5)(e) * cost).sum(), mean)[0]


LAW = Law(
    name="jensen-shannon",
    title="The value is the Jensen-Shannon divergence",
    statement="Against the optimal discriminator the game is worth -log 4 + 2 JS(p, q), least where q = p alone.",
    formula=r"V(D^*, G) = -\log 4 + 2 \operatorname{JS}(p, q), \qquad \operatorname{JS}(p, q) = "
    r"\frac{1}{2} \operatorname{KL}\left(p \,\Vert\, \frac{p + q}{2}\right) + "
    r"\frac{1}{2} \operatorname{KL}\left(q \,\Vert\, \frac{p + q}{2}\right)",
    source="Goodfellow et al. 2014, theorem 1; convergence: proposition 2",
    assumes=("D is optimal for the q at hand", "for convergence: q itself moves, not the weights that make it"),
    oracle="values to ten digits of seven pairs of Gaussians and one of four atoms; slopes of 2 JS to seven digits",
    said="That the game converges to q = p is often quoted without its setting. It is proved for a D that is optimal "
    "at every step and a q that moves itself; a Gaussian's mean, under the same exact D, can stop at the smaller of "
    "two bumps.",
    caption="Left: the value against the shift between two Gaussians, from equal laws (-log 4) towards laws that are "
    "told apart (0). Right: one discriminator in training, always below V*.",
    words=paragraphs(__doc__),
    prove=prove,
)
