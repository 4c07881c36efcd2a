r"""The non-saturating game.

.. math::
    \nabla_{\theta} \, \mathbb{E}_{q_\theta} \left[ -\log D^* \right] = \nabla_{\theta} \left(
    \operatorname{KL}(q_\theta \Vert p) - 2 \operatorname{JS}(p, q_\theta) \right) = \nabla_{\theta} \; 2
    \operatorname{KL}\left( \frac{p + q_\theta}{2} \, \Vert \, p \right)

Source: the loss: Goodfellow et al. 2014, section 3; its gradient: Arjovsky and Bottou 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from .. import metrics, objectives
from .law import Check, Evidence, Line, Panel, above, law, near
from .play import logistic, optimal_slope, random_laws

ENDS = (-20.0, 22.0)  # beyond, none of these laws has mass that counts
NARROW, APART = 0.5, 1.5  # two bumps N(-1.5, 0.5^2) and N(1.5, 0.5^2), which no Gaussian is


def prove(fast: bool) -> Evidence:
    return (
        *_slopes(),
        *_identity(1_000 if fast else 10_000),
        *_equilibrium(40 if fast else 200),
        *_far_away(),
        *_bumps(),
    ), _panels(25 if fast else 81)


def _twice_js(p: Tensor, q: Tensor) -> float:
    return 2 * metrics.jensen_shannon(p, q)


def _kl_less_js(p: Tensor, q: Tensor) -> float:
    """KL(q || p) - 2 JS."""
    return metrics.kullback_leibler(q, p) - _twice_js(p, q)


def _gauge(measure: Callable[[Tensor, Tensor], float], mean: float, std: float = 1.0) -> float:
    """A measure of N(0, 1) and N(mean, std^2)."""
    return metrics.measure_on_line(measure, metrics.gaussian(0, 1), metrics.gaussian(mean, std), *ENDS, 1_200)


def _difference(f: Callable[[float], float], x: float, h: float = 2e-3) -> float:
    """The derivative by differences over five points."""
    return (f(x - 2 * h) - 8 * f(x - h) + 8 * f(x + h) - f(x + 2 * h)) / (12 * h)


def _slopes() -> tuple[Check, ...]:
    """Both gradients at the optimal D, and the derivatives of the two divergences."""
    minimax = torch.stack([optimal_slope(objectives.minimax, t, 1)[0] for t in (0.5, 1, 2)])
    published = torch.tensor([0.2352635, 0.3979729, 0.4495995])
    laws = ((0.5, 1), (1, 1), (2, 1), (1, 2), (0, 0.5))
    found = torch.stack([optimal_slope(objectives.non_saturating, *law) for law in laws])
    truth = torch.tensor([_divergence_slopes(*law) for law in laws])
    return (
        near("minimax slope at .5, 1, 2, and that of 2 JS", minimax, published, 1e-5),
        near("non-saturating slope at 1", found[1, 0], 0.6020271, 1e-5),
        near("its gradient at five laws, and of KL − 2 JS", found, truth, 1e-7),
    )


def _divergence_slopes(mean: float, std: float) -> tuple[float, float]:
    """The derivatives of KL - 2 JS in mean and width."""
    return _difference(lambda m: _gauge(_kl_less_js, m, std), mean), _difference(
        lambda s: _gauge(_kl_less_js, mean, s), std
    )


def _identity(count: int) -> tuple[Check, Check]:
    """Pairs of laws on six atoms: the difference of divergences is a divergence itself."""
    from scipy.stats import entropy

    p, q = (random_laws(count, seed) for seed in (0, 1))
    found = torch.tensor([_kl_less_js(a, b) for a, b in zip(p, q, strict=True)])
    truth = 2 * torch.from_numpy(entropy((p + q).numpy() / 2, p.numpy(), axis=1))
    return (
        near("random pairs: KL − 2 JS, and 2 KL((p+q)/2 || p)", found, truth, 1e-12),
        above("random pairs: KL − 2 JS, the least", found, 0),
    )


def _equilibrium(shifts: int) -> tuple[Check, Check]:
    """Along N(theta, 1) both point home from everywhere, and near home they agree."""
    thetas = torch.linspace(0.05, 4, shifts).tolist()
    thetas += [-t for t in thetas]
    home = torch.stack([optimal_slope(kind, t, 1)[0] / t for t in thetas for kind in logistic()])
    close = [optimal_slope(kind, 0.01, 1)[0] for kind in logistic()]
    return (
        above("both slopes over θ, |θ| in .05 ... 4", home, 0.01),
        near("their ratio at θ = 0.01", close[1] / close[0], 1, 1e-4),
    )


def _far_away() -> tuple[Check, ...]:
    """Further off, neither size nor direction is the same; and the slope is not that of the cost it is taken from."""
    pairs = [[optimal_slope(kind, t, 1)[0] for kind in logistic()] for t in (0.5, 2)]
    ratios = [float(other / minimax) for minimax, other in pairs]
    first, second = (optimal_slope(kind, 1, 1) for kind in logistic())
    angle = math.degrees(math.acos(torch.cosine_similarity(first, second, dim=0)))
    whole = _difference(lambda t: _gauge(_mean_cost, t), 1)
    return (
        above("ratio at θ = 2, over that at 1/2", ratios[1] / ratios[0], 2),
        above("N(1, 1): degrees between the gradients", angle, 30),
        above("N(1, 1): slopes in the width, apart by", float(second[1] - first[1]), 0.3),
        above("N(1, 1): slope of E[−log D*] is steeper by", whole - float(second[0]), 0.1),
    )


def _mean_cost(p: Tensor, q: Tensor) -> float:
    """The mean of -log D under q, D optimal."""
    return float((q * objectives.non_saturating.generator(None, p.log() - q.log())).sum())


def _bumps() -> tuple[Check, ...]:
    """A centred Gaussian against two bumps: the widths at which the two games come to rest, and the minima of the two
    divergences by a solver."""
    from scipy.optimize import brentq, minimize_scalar

    def resting_width(objective: objectives.Objective) -> float:
        return brentq(lambda s: float(optimal_slope(objective, 0, s, _log_bumps)[1]), 0.5, 4, xtol=1e-10)

    def least_width(measure: Callable[[Tensor, Tensor], float]) -> float:
        def f(s: float) -> float:
            return metrics.measure_on_line(measure, lambda x: _log_bumps(x).exp(), metrics.gaussian(0, s), -16, 16, 800)

        return minimize_scalar(f, bounds=(0.5, 4), method="bounded", options={"xatol": 1e-7}).x

    minimax, other = (resting_width(kind) for kind in logistic())
    return (
        near("two bumps: minimax rests at width, least 2 JS", minimax, least_width(_twice_js), 1e-5),
        near("two bumps: the other, and least KL − 2 JS", other, least_width(_kl_less_js), 1e-5),
        above("the two widths differ by", minimax - other, 0.1),
    )


def _log_bumps(x: Tensor) -> Tensor:
    sides = [Normal(side, NARROW).log_prob(x) for side in (-APART, APART)]
    return torch.logaddexp(*sides) - math.log(2)


def _panels(points: int) -> tuple[Panel, Panel]:
    """The two divergences against the shift, and the two slopes."""
    theta = torch.linspace(0, 4, points)
    worth = [[_gauge(measure, float(t)) for t in theta] for measure in (_twice_js, _kl_less_js)]
    slope = [_difference(lambda t: _gauge(_kl_less_js, t), float(t)) for t in theta]
    minimax, other = (torch.stack([optimal_slope(kind, float(t), 1)[0] for t in theta]) for kind in logistic())
    left = (Line("2 JS", theta, worth[0]), Line("KL − 2 JS", theta, worth[1]))
    right = (
        Line("minimax", theta, minimax),
        Line("non-saturating", theta, other),
        Line("slope of KL − 2 JS", theta, slope, "dashes"),
    )
    return (
        Panel("shift θ", "nats", left, "What is descended", levels=((math.log(4), "log 4"),)),
        Panel("shift θ", "slope at the optimal D", right, "What the generator feels", low=0),
    )


LAW = law("non-saturating", __doc__, prove)
