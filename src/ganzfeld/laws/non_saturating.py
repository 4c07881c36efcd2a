r"""The non-saturating game is another game.

Let the generator descend -log D instead of log(1 - D), and hold D at the optimal p / (p + q). Its gradient is then that
of KL(q || p) - 2 JS(p, q), not of 2 JS. The minus sign looks as if something pushed the two laws apart. It does
not: the whole equals 2 KL((p + q) / 2 || p), which is positive unless q = p. So both games come to rest at q = p,
and close to it they even agree, since D = 1 - D = 1/2 there. Further off they differ in size and in direction. From
N(1, 1) towards N(0, 1), one widens q and the other narrows it; a q that cannot reach p settles at another width.

The statement is about one gradient step with D held fixed at its optimum. There is no envelope theorem here, because D
does not maximise what this generator descends: if D follows q, then the mean of -log D has a different slope. The game
has two losses that do not sum to zero, so no single value describes it. In training D is a network and never optimal,
and the gradient need not be that of any divergence. What remains in practice is the factor: it does not vanish where
the fakes are found out, which is why this loss is the usual choice. The two games are not equivalent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from .. import metrics, objectives
from .law import Check, Evidence, Law, Line, Panel, above, near, paragraphs
from .play import random_laws

ENDS = (-20.0, 22.0)  # beyond, none of these laws has mass that counts
NARROW, APART = 0.5, 1.5  # two bumps N(-1.5, 0.5^2) and N(1.5, 0.5^2), which no Gaussian is
Ratio = Callable[[Tensor], Tensor]


def prove(fast: bool) -> Evidence:
    return (
        *_slopes(),
        *_identity(1_000 if fast else 10_000),
        *_rest(40 if fast else 200),
        *_apart(),
        *_bumps(),
    ), _panels(25 if fast else 81)


def _slope(objective: objectives.Objective, mean: float, std: float, log_p: Ratio | None = None) -> Tensor:
    """The slope [2], in mean and width, of what N(mean, std^2) costs with D held at its best against p, N(0, 1) unless
    given: points mean + std e, and the objective at log p / q."""
    e, w = metrics.nodes(-10, 10, 800)
    moved = torch.tensor([mean, std], dtype=torch.float64, requires_grad=True)
    x = moved[0] + moved[1] * e
    log_p = log_p or Normal(0.0, 1.0).log_prob
    cost = objective.generator(None, log_p(x) - Normal(float(mean), float(std)).log_prob(x))
    return torch.autograd.grad((w * metrics.gaussian(0, 1)(e) * cost).sum(), moved)[0]


def _twice_js(p: Tensor, q: Tensor) -> float:
    return 2 * metrics.jensen_shannon(p, q)


def _other(p: Tensor, q: Tensor) -> float:
    """KL(q || p) - 2 JS."""
    return metrics.kullback_leibler(q, p) - _twice_js(p, q)


def _at(measure: Callable[[Tensor, Tensor], float], mean: float, std: float = 1.0) -> float:
    """A measure of N(0, 1) and N(mean, std^2)."""
    return metrics.on_line(measure, metrics.gaussian(0, 1), metrics.gaussian(mean, std), *ENDS, 1_200)


def _difference(f: Callable[[float], float], x: float, h: float = 2e-3) -> float:
    """The derivative by differences over five points."""
    return (f(x - 2 * h) - 8 * f(x - h) + 8 * f(x + h) - f(x + 2 * h)) / (12 * h)


def _slopes() -> tuple[Check, ...]:
    """Both gradients at the optimal D, and the derivatives of the two divergences."""
    minimax = torch.stack([_slope(objectives.minimax, t, 1)[0] for t in (0.5, 1, 2)])
    laws = ((0.5, 1), (1, 1), (2, 1), (1, 2), (0, 0.5))
    found = torch.stack([_slope(objectives.non_saturating, *law) for law in laws])
    truth = torch.tensor([_differences(*law) for law in laws])
    return (
        near(
            "minimax slope at .5, 1, 2, and that of 2 JS",
            minimax,
            torch.tensor([0.2352635, 0.3979729, 0.4495995]),
            1e-5,
        ),
        near("non-saturating slope at 1", found[1, 0], 0.6020271, 1e-5),
        near("its gradient at five laws, and of KL - 2 JS", found, truth, 1e-7),
    )


def _differences(mean: float, std: float) -> tuple[float, float]:
    """The derivatives of KL - 2 JS in mean and width."""
    return _difference(lambda m: _at(_other, m, std), mean), _difference(lambda s: _at(_other, mean, s), std)


def _identity(count: int) -> tuple[Check, Check]:
    """Pairs of laws on six atoms: the difference of divergences is a divergence itself."""
    from scipy.stats import entropy

    p, q = (random_laws(count, seed) for seed in (0, 1))
    found = torch.tensor([_other(a, b) for a, b in zip(p, q, strict=True)])
    truth = 2 * torch.from_numpy(entropy((p + q).numpy() / 2, p.numpy(), axis=1))
    return (
        near("random pairs: KL - 2 JS, and 2 KL((p+q)/2 || p)", found, truth, 1e-12),
        above("random pairs: KL - 2 JS, the least", found, 0),
    )


def _rest(shifts: int) -> tuple[Check, Check]:
    """Along N(theta, 1) both point home from everywhere, and near home they agree."""
    thetas = torch.linspace(0.05, 4, shifts).tolist()
    thetas += [-t for t in thetas]
    home = torch.stack([_slope(kind, t, 1)[0] / t for t in thetas for kind in _both()])
    close = [_slope(kind, 0.01, 1)[0] for kind in _both()]
    return (
        above("both slopes over theta, |theta| in .05 ... 4", home, 0.01),
        near("their ratio at theta = 0.01", close[1] / close[0], 1, 1e-4),
    )


def _both() -> tuple[objectives.Objective, objectives.Objective]:
    return objectives.minimax, objectives.non_saturating


def _apart() -> tuple[Check, ...]:
    """Further off, neither size nor direction is the same; and the slope is not that of the cost it is taken from."""
    ratios = [float(_slope(objectives.non_saturating, t, 1)[0] / _slope(objectives.minimax, t, 1)[0]) for t in (0.5, 2)]
    first, second = (_slope(kind, 1, 1) for kind in _both())
    angle = math.degrees(math.acos(torch.cosine_similarity(first, second, dim=0)))
    whole = _difference(lambda t: _at(_price, t), 1)
    return (
        above("ratio at theta = 2, over that at 1/2", ratios[1] / ratios[0], 2),
        above("N(1, 1): degrees between the gradients", angle, 30),
        above("N(1, 1): slopes in the width, apart by", float(second[1] - first[1]), 0.3),
        above("N(1, 1): slope of E[-log D*] is steeper by", whole - float(second[0]), 0.1),
    )


def _price(p: Tensor, q: Tensor) -> float:
    """The mean of -log D under q, D optimal."""
    return float((q * objectives.non_saturating.generator(None, p.log() - q.log())).sum())


def _bumps() -> tuple[Check, ...]:
    """A centred Gaussian against two bumps: the widths at which the two games come to rest, and the minima of the two
    divergences by a solver."""
    from scipy.optimize import brentq, minimize_scalar

    def settled(objective: objectives.Objective) -> float:
        return brentq(lambda s: float(_slope(objective, 0, s, _log_bumps)[1]), 0.5, 4, xtol=1e-10)

    def least(measure: Callable[[Tensor, Tensor], float]) -> float:
        def f(s: float) -> float:
            return metrics.on_line(measure, lambda x: _log_bumps(x).exp(), metrics.gaussian(0, s), -16, 16, 800)

        return minimize_scalar(f, bounds=(0.5, 4), method="bounded", options={"xatol": 1e-7}).x

    minimax, other = (settled(kind) for kind in _both())
    return (
        near("two bumps: minimax rests at width, least 2 JS", minimax, least(_twice_js), 1e-5),
        near("two bumps: the other, and least KL - 2 JS", other, least(_other), 1e-5),
        above("the two widths differ by", minimax - other, 0.1),
    )


def _log_bumps(x: Tensor) -> Tensor:
    sides = [Normal(side, NARROW).log_prob(x) for side in (-APART, APART)]
    return torch.logaddexp(*sides) - math.log(2)


def _panels(points: int) -> tuple[Panel, Panel]:
    """The two divergences against the shift, and the two slopes."""
    theta = torch.linspace(0, 4, points)
    worth = [[_at(measure, float(t)) for t in theta] for measure in (_twice_js, _other)]
    minimax, other = (torch.stack([_slope(kind, float(t), 1)[0] for t in theta]) for kind in _both())
    left = (Line("2 JS", theta, worth[0]), Line("KL - 2 JS", theta, worth[1]))
    right = (
        Line("minimax", theta, minimax),
        Line("non-saturating", theta, other),
        Line("slope of KL - 2 JS", theta, [_difference(lambda t: _at(_other, t), float(t)) for t in theta], "dashes"),
    )
    return (
        Panel("shift theta", "nats", left, "What is descended", levels=((math.log(4), "log 4"),)),
        Panel("shift theta", "slope at the optimal D", right, "What the generator feels", low=0),
    )


LAW = Law(
    name="non-saturating",
    title="The non-saturating game",
    statement="With D held at its optimum, the non-saturating gradient is that of KL(q || p) - 2 JS(p, q) and not of "
    "2 JS.",
    formula=r"\nabla_{\theta} \, \mathbb{E}_{q_\theta} \left[ -\log D^* \right] = \nabla_{\theta} \left( "
    r"\operatorname{KL}(q_\theta \Vert p) - 2 \operatorname{JS}(p, q_\theta) \right) = \nabla_{\theta} \; "
    r"2 \operatorname{KL}\left( \frac{p + q_\theta}{2} \, \Vert \, p \right)",
    source="the loss: Goodfellow et al. 2014, section 3; its gradient: Arjovsky and Bottou 2017",
    assumes=("D is held at p / (p + q) while the generator moves", "p and q have densities with the same support"),
    oracle="slopes of 2 JS to seven digits; differences of divergences by quadrature; SciPy's relative entropy and "
    "solvers",
    said="It is said to be the same objective with better gradients. It shares the fixed point, but at N(1, 1) against "
    "N(0, 1) the two gradients are 45 degrees apart. It is also said that -2 JS pushes the laws apart; the whole is a "
    "divergence all the same, 2 KL((p + q) / 2 || p).",
    caption="N(theta, 1) against N(0, 1). Left: the two divergences; one is bounded by log 4, the other is not. Right: "
    "the slopes that reach the generator with D held at its optimum; the dashes are the derivative of KL - 2 JS.",
    words=paragraphs(__doc__),
    prove=prove,
)
