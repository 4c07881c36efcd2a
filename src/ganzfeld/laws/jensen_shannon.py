r"""The value is the Jensen-Shannon divergence.

.. math::
    V(D^*, G) = -\log 4 + 2 \operatorname{JS}(p, q), \qquad \operatorname{JS}(p, q) = \frac{1}{2}
    \operatorname{KL}\left(p \,\Vert\, \frac{p + q}{2}\right) + \frac{1}{2} \operatorname{KL}\left(q \,\Vert\,
    \frac{p + q}{2}\right)

Source: Goodfellow et al. 2014, theorem 1; convergence: proposition 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from .. import metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Match, cosine, critic, gaussian_quantiles, match, minimax_value, optimal_slope, random_laws

LOG4 = math.log(4)
GAUSSIANS = ((0, 1), (1, 1), (2, 1), (4, 1), (0, 2), (1, 2), (10, 1))  # mean and deviation of q; p is N(0, 1)
DIVERGENCES = (0, 0.1114214822, 0.3368308203, 0.6327201937, 0.0927333817, 0.1281749731, 0.6931463174)  # their JS
VALUES = (
    -1.3862943611, -1.1634513968, -0.7126327204, -0.1208539736, -1.2008275978, -1.1299444150, -1.7263e-06,
)  # fmt: skip
ENDS = (-25.0, 35.0)  # beyond, none of these laws has mass that counts
Score = Callable[[Tensor], Tensor]


def prove(fast: bool) -> Evidence:
    trained, panels = _train_all(*(((0, 1, 3), 110, 128) if fast else ((0, 0.5, 1, 2, 3, 4), 300, 512)))
    checks = (*_table(), _atoms(), _envelope(), *_minimum(), *trained, *_descents(60 if fast else 300))
    return checks, panels


def _table() -> tuple[Check, Check, Check]:
    """Seven pairs of Gaussians: the divergence and the value by quadrature, and the objective at log p / q."""
    laws = [metrics.gaussian(*law) for law in GAUSSIANS]
    p, truth = metrics.gaussian(0, 1), torch.tensor(VALUES)
    js = torch.tensor([metrics.measure_on_line(metrics.jensen_shannon, p, q, *ENDS) for q in laws])
    v = torch.tensor([metrics.measure_on_line(metrics.optimal_discriminator_value, p, q, *ENDS) for q in laws])
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
    slopes = torch.stack([optimal_slope(objectives.minimax, theta, 1)[0] for theta in (0.5, 1.0, 2.0)])
    return near("slope at fixed D*, and of 2 JS", slopes, torch.tensor([0.2352635, 0.3979729, 0.4495995]), 1e-5)


def _minimum() -> tuple[Check, Check]:
    """-log 4 at equality, and above it elsewhere by the square of the total variation (Pinsker, to the mixture)."""
    p, q = (random_laws(1_000, seed) for seed in (0, 1))
    gaps = [metrics.optimal_discriminator_value(a, b) + LOG4 for a, b in zip(p, q, strict=True)]
    equal = torch.tensor([metrics.optimal_discriminator_value(a, a) for a in p])
    return (
        near("1,000 times q = p: the value", equal, -LOG4, 1e-12),
        above("1,000 pairs: V + log 4 − TV²", torch.tensor(gaps) - ((p - q).abs().sum(1) / 2) ** 2, 0),
    )


def _train_all(shifts: tuple[float, ...], steps: int, samples: int) -> tuple[tuple[Check, ...], tuple[Panel, Panel]]:
    """Perceptrons on N(0, 1) against N(m, 1), judged under the laws themselves and not on their samples."""
    curves = {m: _train(m, steps, samples) for m in shifts}
    reached = torch.tensor([curves[m][1][-1] for m in shifts])
    along = torch.tensor([curves[m][1] for m in shifts])
    bests = torch.tensor([_best_value(m) for m in shifts])
    checks = (
        below("trained discriminators: V(D) − V* on the way", along - bests[:, None], 0),
        near("at the end: V(D), and V*", reached, bests, 2e-3),
    )
    return checks, (_shift_panel(shifts, reached), _rise_panel(*curves[1], _best_value(1)))


def _best_value(m: float, points: int = 4_000) -> float:
    """V* of N(0, 1) against N(m, 1)."""
    p, q = metrics.gaussian(0, 1), metrics.gaussian(m, 1)
    return metrics.measure_on_line(metrics.optimal_discriminator_value, p, q, *ENDS, points)


def _train(m: float, steps: int, samples: int) -> tuple[list[int], list[float]]:
    """V along the turns of one discriminator."""
    real, fake = gaussian_quantiles(0, 1, samples), gaussian_quantiles(m, 1, samples)
    game = match(objectives.minimax, critic(1, activation="tanh"), real, fake, optimizer=adam(2e-2, (0.9, 0.99)))
    return game.play("critic", steps, cosine, lambda: _true_value(game, m), looks=steps // 5)


def _true_value(game: Match, m: float) -> float:
    with torch.no_grad():
        return float(_value(lambda x: game.score(x[:, None]), m, 1, 1_200))


def _shift_panel(shifts: tuple[float, ...], reached: Tensor) -> Panel:
    """The value against the shift."""
    m = torch.linspace(0, 6, 61)
    lines = (
        Line("−log 4 + 2 JS", m, [_best_value(float(x), 800) for x in m], "dashes"),
        Line("trained", shifts, reached, "dots"),
    )
    return Panel("shift m", "V", lines, "N(0, 1) against N(m, 1)", levels=((-LOG4, "−log 4"), (0, "0")))


def _rise_panel(turns: list[int], values: list[float], best: float) -> Panel:
    """The value of one discriminator at the beginning of its training, where it rises."""
    lines = (Line("V(D)", turns[:21], values[:21]),)
    return Panel("turns of the discriminator", "V", lines, "Along it, m = 1", levels=((best, "V*"), (-LOG4, "−log 4")))


def _descents(turns: int) -> tuple[Check, Check]:
    """The same value, D exact at every step: q itself arrives; the mean of a Gaussian stays at the bump it meets."""
    p, q = torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([0.05, 0.05, 0.1, 0.8])
    for _ in range(turns):
        q = q * (-objectives.minimax.generator(None, p.log() - q.log())).exp()
        q = q / q.sum()
    return (
        near("D exact, q itself moves: q, and p", q, p, 1e-8),
        above("D exact, a mean moves: V right − V left", _resting_value(3.6, turns) - _resting_value(-3.6, turns), 0.1),
    )


def _bumps(x: Tensor) -> Tensor:
    """Two bumps: a larger one on the left."""
    return 0.7 * metrics.gaussian(-3, 0.5)(x) + 0.3 * metrics.gaussian(3, 0.5)(x)


def _resting_value(start: float, turns: int) -> float:
    """The value where a Gaussian as wide as a bump comes to rest, its mean descending from a start."""
    theta = torch.tensor(start)
    for _ in range(turns):
        theta = theta - 0.3 * optimal_slope(objectives.minimax, float(theta), 0.5, lambda x: _bumps(x).log())[0]
    law = metrics.gaussian(float(theta), 0.5)
    return metrics.measure_on_line(metrics.optimal_discriminator_value, _bumps, law, -8, 8, 800)


LAW = law("jensen-shannon", __doc__, prove)
