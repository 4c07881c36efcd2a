r"""The gradient penalty.

.. math::
    \max_w \; \langle w, d \rangle - \lambda \left( \lVert w \rVert - 1 \right)^2 = \lVert d \rVert + \frac{\lVert d
    \rVert^2}{4 \lambda} \quad \text{at} \quad \lVert w \rVert = 1 + \frac{\lVert d \rVert}{2 \lambda}

Source: Gulrajani et al. 2017, algorithm 1 and the optimal critic that justifies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .. import constraints, metrics, objectives
from ..constraints import CriticTurn
from ..optimizers import adam, sgd
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Match, cosine, critic, match

F = Callable[[Tensor], Tensor]

REAL, FAKE = (3.0, 4.0), (0.0, 0.0)  # W1 is 5
GAP = 1.0  # between two parallel lines


def prove(fast: bool) -> Evidence:
    linear, overshoot = _linear((1.0, 5.0, 20.0) if fast else (1.0, 2.0, 5.0, 20.0, 50.0, 100.0))
    lines, along = _parallel_lines(*((200, 64, 32) if fast else (600, 192, 48)))
    checks = (*linear, *_known_slopes(), _penalised_points(), *lines, *_differentiate(4 if fast else 40), *_mixing())
    return checks, (along, overshoot)


def _penalised_linear(weight: float) -> Match:
    """A critic <w, x> + b on one real and one fake point, played until it rests."""
    linear = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    penalty = (constraints.GradientPenalty(weight),)
    distance = math.dist(REAL, FAKE)
    optimizer = sgd(1.5 / (2 * weight + distance), 0.5)  # the sum bounds the loss's curvature
    game = match(objectives.wasserstein, linear, torch.tensor([REAL]), torch.tensor([FAKE]), penalty, optimizer)
    game.play("critic", 120)
    return game


def _linear(weights: tuple[float, ...]) -> tuple[tuple[Check, ...], Panel]:
    """The overshoot at lambda 10 and at others, against its closed form."""
    distance, game = metrics.w1(torch.tensor([REAL]), torch.tensor([FAKE])), _penalised_linear(10.0)
    slope = game.state["params"]["critic"]["0.weight"].norm()
    printed = torch.tensor([_penalised_linear(weight).value for weight in weights])
    theory = distance * (1 + distance / (2 * torch.tensor(weights)))
    checks = (
        near("a linear critic, λ 10, shift (3, 4): slope", slope, 1.25, 1e-3),
        near("its objective, penalty included", _objective(game), 5.625, 1e-3),
        near("what it prints", game.value, 6.25, 1e-3),
        above("what it prints, less W1", game.value - distance, 1.2),
        near("other lambdas: |d| (1 + |d| / (2 λ))", printed, theory, 1e-3),
    )
    return checks, _overshoot(distance, weights, printed)


def _objective(game: Match) -> Tensor:
    """What the critic's side of the game raises: the value less the penalty."""
    costs, _ = game.game.costs(("critic",), {}, game.state, (game.real,), game.noise)
    return -costs["critic"]


def _overshoot(distance: float, weights: tuple[float, ...], printed: Tensor) -> Panel:
    weight = torch.logspace(0, 2, 81)
    lines = (
        Line("theory", weight, distance * (1 + distance / (2 * weight)), "dashes"),
        Line("printed difference", weights, printed, "dots"),
    )
    return Panel("λ", "difference", lines, "Linear critics", log_x=True, levels=((distance, "W1"),), low=0)


def _known_slopes() -> tuple[Check, ...]:
    """What critics of known slope on pictures are charged at lambda 1, and the pixel by pixel charge of the first."""
    unit = torch.full((3, 8, 8), 192**-0.5)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 8, 8, generator=rng)
    pixels, channels = x.permute(0, 2, 3, 1).reshape(-1, 3), unit[:, 0, 0]
    return (
        near("3 x 8 x 8 pictures, slope 1: penalty", _charge(lambda x: (x * unit).sum((1, 2, 3)), x), 0, 1e-9),
        near("each pixel a sample of its own: penalty", _charge(lambda x: x @ channels, pixels), 0.765625, 1e-9),
        near("slope 8, one in every pixel: penalty", _charge(lambda x: 8 * (x * unit).sum((1, 2, 3)), x), 49, 1e-9),
        near("slope 1/2: penalty", _charge(lambda x: (x * unit).sum((1, 2, 3)) / 2, x), 0.25, 1e-9),
        near("slope 1/2, one-sided: penalty", _charge(lambda x: (x * unit).sum((1, 2, 3)) / 2, x, True), 0, 0),
    )


def _charge(f: F, x: Tensor, one_sided: bool = False) -> Tensor:
    mix = torch.rand(len(x), generator=torch.Generator().manual_seed(1))
    return constraints.GradientPenalty(1.0, one_sided).penalty(CriticTurn(f, {}, (x,), (x + 1,), {"mix": mix}))


def _penalised_points() -> Check:
    """Where the penalty looks: how far its points lie off the line from the fake to the real sample."""
    rng, seen = torch.Generator().manual_seed(2), []
    real, fake = torch.randn(2, 50, 3, 4, generator=rng)

    def f(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum((1, 2))

    mix = torch.rand(50, generator=rng)
    constraints.GradientPenalty().penalty(CriticTurn(f, {}, (real,), (fake,), {"mix": mix}))
    lengths = [(end - seen[0]).flatten(1).norm(dim=1) for end in (real, fake)]
    detour = (lengths[0] + lengths[1]) / (real - fake).flatten(1).norm(dim=1) - 1
    return near("50 pairs: how far off their lines it looks", detour, 0, 1e-12)


def _parallel_lines(turns: int, samples: int, width: int) -> tuple[tuple[Check, ...], Panel]:
    """A perceptron between two parallel lines, whose optimal plan goes straight across."""
    height = (torch.arange(samples) + 0.5) / samples * 2 - 1
    fake, real = (torch.stack([torch.full_like(height, x), height], 1) for x in (-GAP / 2, GAP / 2))
    net, penalty = critic(2, width, activation="elu"), (constraints.GradientPenalty(10.0),)
    game = match(objectives.wasserstein, net, real, fake, penalty, adam(1e-2, (0.9, 0.99)))
    # the golden section spreads the penalised points evenly over the area between the lines
    game.noise = {**game.noise, "0.mix": torch.arange(samples) * (math.sqrt(5) - 1) / 2 % 1}
    game.play("critic", turns, cosine)
    across = torch.cartesian_prod(torch.linspace(-0.5, 0.5, 11) * GAP, torch.linspace(-0.9, 0.9, 11))
    away = torch.cartesian_prod(torch.linspace(-3, 3, 31), torch.linspace(-3, 3, 31))
    gradient = torch.func.grad(lambda x: game.score(x).sum())(across).detach()
    angle = torch.rad2deg(torch.atan2(gradient[:, 1].abs(), gradient[:, 0]))
    checks = (
        near("between two lines: gradient norm", metrics.gradient_norms(game.score, across), 1, 0.1),
        below("angle to the real end, degrees", angle, 5),
        near("what it prints: W1 (1 + W1 / (2 λ))", game.value / metrics.w1(real, fake), 1 + GAP / 20, 0.01),
        above("off the lines: largest |slope − 1|", (metrics.gradient_norms(game.score, away) - 1).abs().max(), 0.1),
    )
    return checks, _profile(game)


def _profile(game: Match) -> Panel:
    """The critic and its slope on the line through one pair, and beyond it."""
    x = torch.stack([torch.linspace(-1.5, 1.5, 121), torch.zeros(121)], 1)
    ends = torch.tensor([[-GAP / 2, 0.0], [GAP / 2, 0.0]])
    middle = game.score(ends).detach().mean()
    lines = (
        Line("critic f", x[:, 0], game.score(x).detach() - middle),
        Line("slope |grad f|", x[:, 0], metrics.gradient_norms(game.score, x).detach()),
        Line("fake and real", ends[:, 0], game.score(ends).detach() - middle, "dots"),
    )
    return Panel("along a pair", "f, slope", lines, "A trained critic", levels=((1.0, "slope 1"),))


def _differentiate(directions: int) -> tuple[Check, Check]:
    """The derivative of the critic's whole loss by its weights, both ways in which a game takes it, and a difference
    quotient: a second derivative of the critic is in it."""
    rng = torch.Generator().manual_seed(3)
    real, fake = torch.randn(2, 8, 3, generator=rng)
    game = match(objectives.wasserstein, critic(3, 8, activation="tanh"), real, fake, (constraints.GradientPenalty(),))
    ratios = torch.stack([_derivatives(_loss_along(game, rng)) for _ in range(directions)])
    return (
        near("derivative by the weights / difference quotient", ratios[:, 0], 1, 1e-4),
        near("the same by function transforms", ratios[:, 1], 1, 1e-4),
    )


def _loss_along(game: Match, rng: torch.Generator) -> F:
    """What the critic descends, on a line through its weights in a random direction."""
    weights = game.state["params"]["critic"]
    way = {name: torch.randn(w.shape, generator=rng) for name, w in weights.items()}

    def loss(t: Tensor) -> Tensor:
        moved = {name: w + t * way[name] for name, w in weights.items()}
        costs, _ = game.game.costs(("critic",), {"critic": moved}, game.state, (game.real,), game.noise)
        return costs["critic"]

    return loss


def _derivatives(f: F, h: float = 1e-5) -> Tensor:
    """By autograd and by ``torch.func`` at 0, in units of the central difference."""
    zero = torch.zeros((), requires_grad=True)
    quotient = (f(torch.tensor(h)) - f(torch.tensor(-h))).detach() / (2 * h)
    (slope,) = torch.autograd.grad(f(zero), zero)
    return torch.stack([slope, torch.func.grad(f)(torch.zeros(()))]) / quotient


def _mixing() -> tuple[Check, ...]:
    """Which norms let a score see its neighbours, and whether the game lets the penalty meet them."""
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(4))

    def mixed(norm: str) -> float:
        net = critic(3, 16, critic_norm=norm)
        return metrics.sample_mixing(match(objectives.non_saturating, net, x, x).score, x)

    unmixed = [mixed(norm) for norm in ("none", "layer")]
    refused = torch.tensor([_refuses(norm) for norm in ("none", "layer", "batch")])
    return (
        near("no norm, layer norm: a score's slope by other samples", torch.tensor(unmixed), 0, 0),
        above("batch norm: a score's slope by other samples", mixed("batch"), 0.1),
        near("the game refuses none, layer, batch: 0, 0, 1", refused, torch.tensor([0.0, 0.0, 1.0]), 0),
    )


def _refuses(norm: str) -> float:
    x = torch.zeros(4, 3)
    try:
        match(objectives.wasserstein, critic(3, 16, critic_norm=norm), x, x, (constraints.GradientPenalty(),))
    except ValueError:
        return 1.0
    return 0.0


LAW = law("gradient-penalty", __doc__, prove)
