"""Games of which everything is known: the players that laws train.

Samples that stand for a law are its quantiles, so that means over them are quadratures; a generator that is its own
samples shows where each is sent; a critic that is a table has no architecture that could hide its optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from .. import metrics, objectives
from ..constraints import Constraint
from ..core.randomness import fill
from ..core.tree import Tree
from ..draws import Generate, Role
from ..game import Game
from ..networks import MLP
from ..objectives import Objective
from ..optimizers import Optimizer, adam

LrSchedule = Callable[[float], float]


def constant(progress: float) -> float:
    """A rate that stays."""
    return 1.0


class Cloud(nn.Module):
    """A generator that is its own samples [n, d], whatever z: each point moves by itself."""

    def __init__(self, points: Tensor):
        super().__init__()
        self.start = points.detach().clone()
        self.points = nn.Parameter(self.start.clone())

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.points.copy_(self.start)

    def forward(self, z: Tensor) -> Tensor:
        return self.points


class Table(nn.Module):
    """A critic of atoms 0 ... n - 1, given as [B, 1]: one raw score each, at first 0."""

    def __init__(self, atoms: int):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(atoms))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.scores)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores[x[:, 0].long()]


def critic(dimension: int, width: int = 32, depth: int = 2, **settings) -> nn.Module:
    """The family's perceptron critic for samples [B, dimension]."""
    return MLP(width, depth, **settings).pair((dimension,))[1]


@dataclass
class Match:
    """A game on one batch of real samples [n, d] against a `Cloud` of fakes [m, d], and its state. All chance is dealt
    once: ``noise`` holds what constraints need, by the game's names (``0.mix``)."""

    game: Game
    real: Tensor
    state: Tree
    noise: Mapping[str, Tensor] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)

    def play(
        self,
        role: Role,
        steps: int,
        lr_schedule: LrSchedule = constant,
        look: Callable[[], float] | None = None,
        looks: int = 20,
    ) -> tuple[list[int], list[float]]:
        """Turns of one role on the whole batch; lr_schedule: progress in [0, 1) -> factor on the rate. look: what to
        measure at the beginning and after each of ``looks`` equal stretches; returns after how many turns, and what it
        was."""
        turns, seen = [0], [look()] if look else []
        for step in range(steps):
            self.turns[role] = self.turns.get(role, 0) + 1
            sizes = self.game.step_sizes(role, self.turns[role], lr_schedule(step / steps))
            self.state, _ = self.game.turn(role, self.state, (self.real,), self.noise, sizes, self.turns[role])
            if look and (step + 1) * looks // steps > step * looks // steps:
                turns.append(step + 1)
                seen.append(look())
        return turns, seen

    def score(self, *x: Tensor) -> Tensor:
        """The critic's raw scores, as it plays: dressed by its constraints."""
        return torch.func.functional_call(self.game.critic, self.weights, x)

    @property
    def weights(self) -> Tree:
        """The critic's weights, as it plays with them."""
        return self.game.dress(self.state["params"]["critic"], self.state["constraints"], advance=False)[0]

    @property
    def fake(self) -> Tensor:
        return self.state["params"]["generator"]["points"]

    @property
    def value(self) -> float:
        """What the critic's side of the objective is worth now."""
        return float(self.game.objective.critic(self.score(self.real), self.score(self.fake)).mean())


def match(
    objective: Objective,
    critic: nn.Module,
    real: Tensor,
    fake: Tensor,
    constraints: tuple[Constraint, ...] = (),
    optimizer: Optimizer | None = None,
    generator_optimizer: Optimizer | None = None,
    seed: int = 0,
) -> Match:
    """A `Match` at its beginning. optimizer: of the critic, Adam at 1e-2 unless given; generator_optimizer: of the
    points, the same unless given."""
    optimizer = optimizer or adam(1e-2, (0.9, 0.99))
    shape = tuple(real.shape[1:])
    game = Game(
        objective, Generate(1), {"generator": Cloud(fake)}, critic,
        {"critic": optimizer, "generator": generator_optimizer or optimizer}, constraints,
        batch_size=len(real), shape=shape,
    )  # fmt: skip
    rng = torch.Generator().manual_seed(seed)
    noise = {"z": torch.zeros(len(fake), 1)}
    for name, need in game.needs("critic").items():
        if name != "z":
            noise[name] = fill(torch.empty(len(fake), *need.shape), need.law, rng)
    return Match(game, real, game.init(seed), noise)


def logistic() -> tuple[Objective, Objective]:
    """The two objectives whose critic is the same and whose generators are not; looked up when they are asked for."""
    return objectives.minimax, objectives.non_saturating


def optimal_slope(
    objective: Objective, mean: float, std: float, log_p: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """The slope [2], in mean and width, of what N(mean, std^2) costs with D held at its best against p, N(0, 1) unless
    given: points mean + std e, and the objective at log p / q."""
    e, w = metrics.nodes(-10, 10, 800)
    moved = torch.tensor([mean, std], dtype=torch.float64, requires_grad=True)
    x = moved[0] + moved[1] * e
    log_p = log_p or Normal(0.0, 1.0).log_prob
    cost = objective.generator(None, log_p(x) - Normal(float(mean), float(std)).log_prob(x))
    return torch.autograd.grad((w * metrics.gaussian(0, 1)(e) * cost).sum(), moved)[0]


def gaussian_quantiles(mean: float, std: float, n: int) -> Tensor:
    """n samples [n, 1] that stand for N(mean, std^2): its quantiles at the middles of n equal shares."""
    return mean + std * torch.special.ndtri((torch.arange(n) + 0.5) / n)[:, None]


def atoms(counts: tuple[int, ...]) -> Tensor:
    """Samples [n, 1] of atoms 0, 1, ..., each as often as its count says."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).double()[:, None]


def random_laws(count: int, seed: int) -> Tensor:
    """Laws [count, 6] on six atoms."""
    shares = torch.rand(count, 6, generator=torch.Generator().manual_seed(seed))
    return shares / shares.sum(1, keepdim=True)


def clouds(n: int) -> tuple[Tensor, Tensor]:
    """Two samples [n, 2] in the plane, the second narrower and to the upper right."""
    rng = torch.Generator().manual_seed(3)
    return torch.randn(n, 2, generator=rng), torch.randn(n, 2, generator=rng) * 0.6 + torch.tensor([2.0, 1.0])


def chords(points: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of every line between two of the points."""
    i, j = torch.triu_indices(len(points), len(points), 1)
    return points[i], points[j]


def minimax_value(scores: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """V of raw scores under masses p and q: the objective on one side, while a score that is certain costs the other
    nothing."""
    value, certain = objectives.minimax.critic, torch.tensor(torch.inf)
    return (p * value(scores, -certain) + q * value(certain, scores)).sum()


def cosine(progress: float) -> float:
    """A rate that falls to 0, so that what is trained comes to rest."""
    return float(torch.cos(torch.tensor(progress * torch.pi)) + 1) / 2
