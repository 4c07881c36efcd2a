r"""Circles and collapse.

.. math::
    \begin{cases} \dot\psi = -\theta / 2 - \gamma \psi \\ \dot\theta = \psi / 2 \end{cases} \quad \Rightarrow \quad
    \lambda^2 + \gamma \lambda + \frac{1}{4} = 0

Source: Mescheder, Geiger and Nowozin 2018; Daskalakis et al. 2018, algorithm 1, for the optimistic step.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .. import constraints, draws, metrics, objectives, optimizers
from ..core import tree
from ..game import Game
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Cloud, Match, critic, match

LOG4 = math.log(4)


def prove(fast: bool) -> Evidence:
    played, ways = _trajectories(60 if fast else 120)
    clouds, curves = _clouds(*((1, 8) if fast else (3, 10)))
    return (*_spectra(), *_moduli(), *played, *clouds), (ways, curves)


def _dirac(
    objective: str = "minimax", optimizer: optimizers.Optimizer | None = None, *bound: constraints.Constraint
) -> Game:
    """G(z) = theta and D(x) = psi x, as a raw score."""
    optimizer, slope = optimizer or optimizers.sgd(0.1), nn.Sequential(nn.Linear(1, 1, bias=False), nn.Flatten(0))
    return Game(
        getattr(objectives, objective), draws.Generate(1), {"generator": Cloud(torch.zeros(1, 1))}, slope,
        {"critic": optimizer, "generator": optimizer}, bound, batch_size=1, shape=(1,),
    )  # fmt: skip


def _state_at(game: Game, psi: Tensor, theta: Tensor) -> tree.Tree:
    params = {"critic": {"0.weight": psi.view(1, 1)}, "generator": {"points": theta.view(1, 1)}}
    return {**game.init(0), "params": params}


def _point(state: tree.Tree) -> Tensor:
    return torch.cat([state["params"]["critic"]["0.weight"][0], state["params"]["generator"]["points"][0]])


def _batch() -> tuple[tuple[Tensor], dict[str, Tensor]]:
    return (torch.zeros(1, 1),), {"z": torch.zeros(1, 1)}


def _step_at_once(game: Game, state: tree.Tree, turn: int = 1) -> tree.Tree:
    """Both step, from gradients that are taken before either moves."""
    slopes = {role: game.gradient(role, state, *_batch()) for role in game.roles}
    for role, (gradient, (memory, _)) in slopes.items():
        state = game.update(role, state, tree.vector(gradient), memory, game.step_sizes(role, turn, 1.0))
    return state


def _step_in_turn(game: Game, state: tree.Tree, turn: int = 1) -> tree.Tree:
    for role in game.roles:
        state, _ = game.turn(role, state, *_batch(), game.step_sizes(role, turn, 1.0))
    return state


def _spectrum(game: Game) -> Tensor:
    """Eigenvalues of the flow at the origin: minus the Jacobian of what both descend."""

    def descent(point: Tensor) -> Tensor:
        state = _state_at(game, point[0], point[1])
        slopes = (game.gradient(role, state, *_batch())[0] for role in game.roles)
        return torch.cat([tree.vector(slope) for slope in slopes])

    return _sort_complex(torch.linalg.eigvals(-torch.func.jacrev(descent)(torch.zeros(2))).tolist())


def _sort_complex(values: list[complex]) -> Tensor:
    """Real and imaginary parts [n, 2] of numbers in order."""
    ranked = sorted(values, key=lambda value: (round(value.imag, 6), value.real))
    return torch.tensor([[value.real, value.imag] for value in ranked])


def _spectra() -> tuple[Check, ...]:
    logistic = torch.stack([_spectrum(_dirac(name)) for name in ("minimax", "non_saturating", "relativistic")])
    wide = constraints.Clip(1e6)  # a box too wide to matter
    linear = torch.stack([_spectrum(_dirac("wasserstein", None, wide)), _spectrum(_dirac("hinge"))])
    gammas = (0.1, 1.0, 2.0)
    found = torch.stack([_spectrum(_dirac("minimax", None, constraints.R1(gamma))) for gamma in gammas])
    return (
        near("eigenvalues of the flow, and i/2, −i/2", logistic, torch.tensor([[0, -0.5], [0, 0.5]]), 1e-8),
        near("of the Wasserstein and hinge games, and i, −i", linear, torch.tensor([[0.0, -1.0], [0.0, 1.0]]), 1e-8),
        near("with R1, and roots of l² + γ l + 1/4", found, torch.stack([_roots(g) for g in gammas]), 1e-7),
        below("their largest real part", found[:, :, 0], -0.04),
    )


def _roots(gamma: float) -> Tensor:
    root = cmath.sqrt(gamma**2 - 1)
    return _sort_complex([(-gamma - root) / 2, (-gamma + root) / 2])


def _moduli() -> tuple[Check, ...]:
    together = torch.stack([_modulus(_step_at_once, lr) for lr in (0.1, 0.5)])
    in_turn = torch.stack([_modulus(_step_in_turn, lr) for lr in (0.1, 0.5)])
    published = torch.tensor([[1.00124922], [1.03077641]])
    return (
        near("a step at once, h = 0.1 and 0.5: its modulus", together, published, 1e-7),
        near("a step each in turn: its modulus", in_turn, 1, 1e-8),
    )


def _modulus(step: Callable[[Game, tree.Tree], tree.Tree], lr: float) -> Tensor:
    """Of the eigenvalues of one round at the origin."""
    game = _dirac("minimax", optimizers.sgd(lr))
    jacobian = torch.func.jacrev(lambda point: _point(step(game, _state_at(game, point[0], point[1]))))(torch.zeros(2))
    return torch.linalg.eigvals(jacobian).abs()


H, GAMMA = 0.35, 0.5
START = (0.0, 1.0)  # psi, theta
WAYS = ("at once", "in turn", "with R1", "optimistic")


def _trajectories(rounds: int) -> tuple[tuple[Check, ...], Panel]:
    found = torch.stack([_play(way, rounds) for way in WAYS])
    truth = torch.tensor([_recur(way, rounds) for way in WAYS])
    once, in_turn, bound, optimistic = found.norm(dim=2)
    checks = (
        near("the game's ways, and plain recurrences", found, truth, 1e-5),
        above("at once: distance after 60 rounds, from 1", once[60], 1.5),
        near("in turn: distance in all rounds", in_turn, 1, 0.1),
        below("with R1: distance after 60 rounds", bound[60], 0.01),
        below("optimistic: the same", optimistic[60], 0.6),
    )
    lines = [Line(way, places[:61, 0], places[:61, 1]) for way, places in zip(WAYS, found, strict=True)]
    return checks, Panel(
        "critic: ψ", "generator: θ", (*lines, Line("equilibrium", [0], [0], "dots")), "Two numbers", plane=True
    )


def _play(way: str, rounds: int) -> Tensor:
    """Places [rounds + 1, 2] of the package's game."""
    # Adam without memory and with an eps that dwarfs every gradient is plain descent
    optimizer = optimizers.optimistic_adam(H * 1e7, (0.0, 0.0), 1e7) if way == "optimistic" else optimizers.sgd(H)
    game = _dirac("minimax", optimizer, *((constraints.R1(GAMMA),) if way == "with R1" else ()))
    state = _state_at(game, *torch.tensor(START))
    step = _step_in_turn if way in ("in turn", "with R1") else _step_at_once
    places = [_point(state)]
    for turn in range(1, rounds + 1):
        state = step(game, state, turn)
        places.append(_point(state))
    return torch.stack(places)


def _recur(way: str, rounds: int) -> list[tuple[float, float]]:
    """The same by the formulas of the two gradients."""
    (psi, theta), last = START, (0.0, 0.0)
    places = [(psi, theta)]
    for _ in range(rounds):
        charge = GAMMA * psi if way == "with R1" else 0.0
        move = H * (theta / (1 + math.exp(-psi * theta)) + charge)
        ahead = psi - move if way in ("in turn", "with R1") else psi
        answer = -H * ahead / (1 + math.exp(-ahead * theta))
        if way == "optimistic":
            psi, theta, last = psi - 2 * move + last[0], theta - 2 * answer + last[1], (move, answer)
        else:
            psi, theta = psi - move, theta - answer
        places.append((psi, theta))
    return places


MODES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)


def _clouds(seeds: int, rounds: int) -> tuple[tuple[Check, ...], Panel]:
    steep, smooth = ([_cloud(seed, rounds, bound) for seed in range(seeds)] for bound in ((), (constraints.R1(0.3),)))
    free, cured = (torch.tensor([uneven for uneven, _ in runs]) for runs in (steep, smooth))
    slopes = torch.tensor([a / b for (_, a), (_, b) in zip(steep, smooth, strict=True)])
    half = rounds // 2 + 1
    checks = (
        above("any critic: KL of shares of modes from equal", free[:, half:].mean(), 0.2),
        below("a critic under R1: the same", cured[:, half:].mean(), 0.15),
        above("least difference between the two", (free - cured)[:, half:].mean(1), 0.1),
        above("slope of the one over that of the other", slopes, 3),
    )
    lines = (Line("any critic", range(rounds + 1), free[0]), Line("a critic under R1", range(rounds + 1), cured[0]))
    return checks, Panel(
        "rounds: 20 critic turns, 5 of the points", "KL of shares of modes", lines, "A cloud and four modes", low=0,
        levels=((LOG4, "log 4: one mode"),),
    )  # fmt: skip


def _cloud(seed: int, rounds: int, bound: tuple[constraints.Constraint, ...]) -> tuple[list[float], float]:
    """How uneven the shares of the modes are, at the beginning and after each round, and the critic's mean slope at
    the end."""
    rng = torch.Generator().manual_seed(seed)
    real = MODES.repeat(8, 1) + 0.05 * torch.randn(32, 2, generator=rng)
    fake = MODES[0] + 0.02 * torch.randn(32, 2, generator=rng)
    fast, plain = optimizers.adam(0.05, (0.5, 0.99)), optimizers.sgd(6.4)
    game = match(objectives.non_saturating, critic(2), real, fake, bound, fast, plain, seed)
    uneven = [_unevenness(game)]
    for _ in range(rounds):
        game.play("critic", 20)
        game.play("generator", 5)
        uneven.append(_unevenness(game))
    return uneven, float(metrics.gradient_norms(game.score, torch.cat([real, game.fake.detach()])).mean())


def _unevenness(game: Match) -> float:
    """At most that of a cloud in one mode: where no point is near any, nothing is covered either."""
    return min(metrics.mode_coverage(game.fake.detach(), MODES, 0.25).reverse_kl, LOG4)


LAW = law("dynamics", __doc__, prove)
