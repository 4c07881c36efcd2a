r"""Two players circle.

The smallest game has one real point at 0, one fake at theta and a critic psi x. Its only equilibrium is the origin.
Near it each player turns the other: the flow has eigenvalues i/2 and -i/2, so it circles for ever. Steps that both take
at once leave the circle outwards, by a factor sqrt(1 + h^2 / 4) a step; steps in turn stay near it. Convergence has to
be added. R1 charges the critic for its slope at the real point and moves the eigenvalues to the roots of l^2 + gamma l
+ 1/4, whose real parts are negative. An optimistic step goes twice along the new direction, takes back the last one,
and spirals in without any penalty.

The eigenvalues speak of a neighbourhood and of exact gradients. Far away, with noise or with Adam, anything may happen,
and a penalty that helps here costs speed there. The cloud shows the same illness at work: 32 points begin at one of
four modes. A critic that may be as steep as it likes knows where the points are now, and they chase it from mode to
mode. With R1 and the same turns the field is smooth and the cloud divides. So a sharper critic is not always a better
one. Mode collapse has other causes too, above all in generators whose samples cannot move on their own.
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
from .law import Check, Evidence, Law, Line, Panel, above, below, near, paragraphs
from .play import Match, critic, match

LOG4 = math.log(4)


def prove(fast: bool) -> Evidence:
    played, ways = _ways(60 if fast else 120)
    clouds, curves = _clouds(*((1, 8) if fast else (3, 10)))
    return (*_spectra(), *_moduli(), *played, *clouds), (ways, curves)


# --- the Dirac game ---


class Point(nn.Module):
    """G(z) = theta."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.theta)

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1)


class Slope(nn.Module):
    """D(x) = psi x, as a raw score."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.psi)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.psi)[:, 0]


def _dirac(
    objective: str = "minimax", optimizer: optimizers.Optimizer | None = None, *bound: constraints.Constraint
) -> Game:
    optimizer = optimizer or optimizers.sgd(0.1)
    return Game(
        getattr(objectives, objective), draws.Generate(1), {"generator": Point()}, Slope(),
        {"critic": optimizer, "generator": optimizer}, bound, batch_size=1, shape=(1,),
    )  # fmt: skip


def _at(game: Game, psi: Tensor, theta: Tensor) -> tree.Tree:
    params = {"critic": {"psi": psi.reshape(1)}, "generator": {"theta": theta.reshape(1)}}
    return {**game.init(0), "params": params}


def _place(state: tree.Tree) -> Tensor:
    return torch.cat([state["params"]["critic"]["psi"], state["params"]["generator"]["theta"]])


def _batch() -> tuple[tuple[Tensor], dict[str, Tensor]]:
    return (torch.zeros(1, 1),), {"z": torch.zeros(1, 1)}


def _together(game: Game, state: tree.Tree, turn: int = 1) -> tree.Tree:
    """Both step, from gradients that are taken before either moves."""
    slopes = {role: game.gradient(role, state, *_batch()) for role in game.roles}
    for role, (gradient, (memory, _)) in slopes.items():
        state = game.update(role, state, tree.vector(gradient), memory, game.step_sizes(role, turn, 1.0))
    return state


def _in_turn(game: Game, state: tree.Tree, turn: int = 1) -> tree.Tree:
    for role in game.roles:
        state, _ = game.turn(role, state, *_batch(), game.step_sizes(role, turn, 1.0))
    return state


# --- near the equilibrium ---


def _spectrum(game: Game) -> Tensor:
    """Eigenvalues of the flow at the origin: minus the Jacobian of what both descend."""

    def descended(point: Tensor) -> Tensor:
        state = _at(game, point[0], point[1])
        slopes = (game.gradient(role, state, *_batch())[0] for role in game.roles)
        return torch.cat([tree.vector(slope) for slope in slopes])

    return _ordered(torch.linalg.eigvals(-torch.func.jacrev(descended)(torch.zeros(2))).tolist())


def _ordered(values: list[complex]) -> Tensor:
    """Real and imaginary parts [n, 2] of numbers in order."""
    ranked = sorted(values, key=lambda value: (round(value.imag, 6), value.real))
    return torch.tensor([[value.real, value.imag] for value in ranked])


def _spectra() -> tuple[Check, ...]:
    logistic = torch.stack([_spectrum(_dirac(name)) for name in ("minimax", "non_saturating", "relativistic")])
    linear = _spectrum(_dirac("wasserstein", None, constraints.Clip(1e6)))  # a box too wide to matter
    gammas = (0.1, 1.0, 2.0)
    found = torch.stack([_spectrum(_dirac("minimax", None, constraints.R1(gamma))) for gamma in gammas])
    return (
        near("eigenvalues of the flow, and i/2, -i/2", logistic, torch.tensor([[0, -0.5], [0, 0.5]]), 1e-8),
        near("of the Wasserstein game, and i, -i", linear, torch.tensor([[0.0, -1.0], [0.0, 1.0]]), 1e-8),
        near("with R1, and roots of l² + gamma l + 1/4", found, torch.stack([_roots(g) for g in gammas]), 1e-7),
        below("their largest real part", found[:, :, 0], -0.04),
    )


def _roots(gamma: float) -> Tensor:
    root = cmath.sqrt(gamma**2 - 1)
    return _ordered([(-gamma - root) / 2, (-gamma + root) / 2])


def _moduli() -> tuple[Check, ...]:
    together = torch.stack([_modulus(_together, lr) for lr in (0.1, 0.5)])
    in_turn = torch.stack([_modulus(_in_turn, lr) for lr in (0.1, 0.5)])
    published = torch.tensor([[1.00124922], [1.03077641]])
    return (
        near("a step at once, h = 0.1 and 0.5: its modulus", together, published, 1e-7),
        near("a step each in turn: its modulus", in_turn, 1, 1e-8),
    )


def _modulus(step: Callable[[Game, tree.Tree], tree.Tree], lr: float) -> Tensor:
    """Of the eigenvalues of one round at the origin."""
    game = _dirac("minimax", optimizers.sgd(lr))
    jacobian = torch.func.jacrev(lambda point: _place(step(game, _at(game, point[0], point[1]))))(torch.zeros(2))
    return torch.linalg.eigvals(jacobian).abs()


# --- the game as it is played ---

H, GAMMA = 0.35, 0.5
START = (0.0, 1.0)  # psi, theta
WAYS = ("at once", "in turn", "with R1", "optimistic")


def _ways(rounds: int) -> tuple[tuple[Check, ...], Panel]:
    found = torch.stack([_played(way, rounds) for way in WAYS])
    truth = torch.tensor([_by_hand(way, rounds) for way in WAYS])
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
        "critic: psi", "generator: theta", (*lines, Line("equilibrium", [0], [0], "dots")), "Two numbers", plane=True
    )


def _played(way: str, rounds: int) -> Tensor:
    """Places [rounds + 1, 2] of the package's game."""
    # Adam without memory and with an eps that dwarfs every gradient is plain descent
    optimizer = optimizers.optimistic_adam(H * 1e7, (0.0, 0.0), 1e7) if way == "optimistic" else optimizers.sgd(H)
    game = _dirac("minimax", optimizer, *((constraints.R1(GAMMA),) if way == "with R1" else ()))
    state = _at(game, *torch.tensor(START))
    step = _in_turn if way in ("in turn", "with R1") else _together
    places = [_place(state)]
    for turn in range(1, rounds + 1):
        state = step(game, state, turn)
        places.append(_place(state))
    return torch.stack(places)


def _by_hand(way: str, rounds: int) -> list[tuple[float, float]]:
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


# --- a cloud of points and four modes ---

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
    game = match(
        objectives.non_saturating,
        critic(2),
        real,
        fake,
        bound,
        optimizers.adam(0.05, (0.5, 0.99)),
        optimizers.sgd(6.4),
        seed,
    )
    uneven = [_uneven(game)]
    for _ in range(rounds):
        game.play("critic", 20)
        game.play("generator", 5)
        uneven.append(_uneven(game))
    return uneven, float(metrics.gradient_norms(game.score, torch.cat([real, game.fake.detach()])).mean())


def _uneven(game: Match) -> float:
    """At most that of a cloud in one mode: where no point is near any, nothing is covered either."""
    return min(metrics.mode_coverage(game.fake.detach(), MODES, 0.25).reverse_kl, LOG4)


LAW = Law(
    name="dynamics",
    title="Circles and collapse",
    statement="Near its equilibrium an unregularised game circles; R1 or an optimistic step makes it converge.",
    formula=r"\begin{cases} \dot\psi = -\theta / 2 - \gamma \psi \\ \dot\theta = \psi / 2 \end{cases} \quad "
    r"\Rightarrow \quad \lambda^2 + \gamma \lambda + \frac{1}{4} = 0",
    source="Mescheder, Geiger and Nowozin 2018; Daskalakis et al. 2018, algorithm 1, for the optimistic step",
    assumes=("a neighbourhood of the equilibrium", "exact gradients", "equal and constant rates"),
    oracle="the eigenvalues in closed form; recurrences in plain numbers",
    said="Long training is said to reach the equilibrium, and a better critic to help. Plain steps at once end twice "
    "as far from it as they began, and the critic that is free to be steep keeps the cloud from covering four modes.",
    caption="Left: 60 rounds of one game from the same start. Right: how unequally a cloud of points covers four "
    "modes, 0 for equal shares.",
    words=paragraphs(__doc__),
    prove=prove,
)
