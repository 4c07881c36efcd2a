r"""Adversarial inference.

.. math::
    \min_{G, E} \max_D \; \mathbb{E}_{q(x, z)} \log D + \mathbb{E}_{p(x, z)} \log(1 - D) = -\log 4 \;
    \Leftrightarrow \; q = p

Source: Dumoulin et al. 2017 (ALI), equation 2; Donahue et al. 2017 (BiGAN), theorems 1 and 2.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from .. import draws, metrics, networks, objectives, optimizers
from ..core import tree
from ..game import Game
from .law import Check, Evidence, Line, Panel, above, law, near
from .play import Table, atoms

LOG4 = math.log(4)
A, S = 2.0, 0.5  # x = A z + S s
SPREAD = math.sqrt(A**2 + S**2)
SLOPE, DEVIATION = A / SPREAD**2, S / SPREAD  # of z given x
COVARIANCE = torch.tensor([[4.25, 2.0], [2.0, 1.0]], dtype=torch.float64)


def prove(fast: bool) -> Evidence:
    enumerated, ranked = _enumeration()
    gaussian, plane = _gaussian(*((100, 2_048) if fast else (400, 16_384)))
    return (*enumerated, _table(40 if fast else 80), *gaussian, *_generator_turn(), _swapped_labels()), (ranked, plane)


PX, PZ = (5, 3, 2), (2, 3, 5)  # tenths
INVERSE = (2, 1, 0)
MAPS = tuple(itertools.product(range(3), repeat=3))


def _rows(counts: tuple[int, ...]) -> Tensor:
    """Points as unit vectors, each as often as in ten draws of its law."""
    return torch.eye(3)[atoms(counts)[:, 0].long()]


def _scene(g: tuple[int, ...], e: tuple[int, ...], cycle: float = 0.0) -> draws.Scene:
    players = {"generator": lambda z: z @ torch.eye(3)[list(g)], "encoder": lambda x: x @ torch.eye(3)[list(e)]}
    return draws.Infer(3, stochastic=False, cycle=cycle)(players, (_rows(PX),), {"z": _rows(PZ)}, "critic")


def _values(g: tuple[int, ...], e: tuple[int, ...]) -> tuple[float, float, float]:
    """The objective at log q / p, the metric of that name, and -log 4 + 2 JS of laws that were written down by hand."""
    scene = _scene(g, e)
    q, p = (x.T @ z / 10 for x, z in (scene.real, scene.fake))
    best = q.log() - p.log()
    scores = (best[x.argmax(1), z.argmax(1)] for x, z in (scene.real, scene.fake))
    value = float(objectives.minimax.critic(*scores).mean())
    return value, metrics.optimal_discriminator_value(q, p), _written_value(g, e)


def _written_value(g: tuple[int, ...], e: tuple[int, ...]) -> float:
    from scipy.spatial.distance import jensenshannon

    q, p = torch.zeros(3, 3), torch.zeros(3, 3)
    for i in range(3):
        q[i, e[i]] += PX[i] / 10
        p[g[i], i] += PZ[i] / 10
    return -LOG4 + 2 * float(jensenshannon(q.flatten(), p.flatten())) ** 2


def _enumeration() -> tuple[tuple[Check, ...], Panel]:
    pairs = list(itertools.product(MAPS, MAPS))
    values, measured, by_hand = torch.tensor([_values(g, e) for g, e in pairs]).T
    least = int(values.argmin())
    ranked = values.sort().values
    cycle = _scene(*pairs[least], cycle=1.0).cost
    assert cycle is not None
    checks = (
        near("729 pairs of maps: V at log q/p", values, by_hand, 1e-10),
        near("the metric of the same, 729 pairs", measured, by_hand, 1e-10),
        near("the least of them, and −log 4", ranked[0], -LOG4, 1e-10),
        near("pairs of maps that reach it", float((values < -LOG4 + 1e-9).sum()), 1, 0),
        near("that pair, and G = E = (2, 1, 0)", torch.tensor(pairs[least]).double(), torch.tensor(INVERSE), 0),
        near("its mean (x − G(E(x)))²", cycle.mean(), 0, 1e-12),
        above("the second least lies above it by", ranked[1] - ranked[0], 0.02),
    )
    return checks, Panel(
        "pairs of maps, by their value", "V at the best critic",
        (Line("all 729 pairs", torch.arange(1, 730), ranked), Line("G and E inverse", [1], ranked[:1], "dots")),
        "Deterministic maps", levels=((-LOG4, "−log 4"),),
    )  # fmt: skip


Q, P = (5, 3, 4, 2, 6, 4, 3, 4, 5), (3, 4, 2, 6, 4, 3, 5, 4, 5)  # thirty-sixths of nine pairs (x, z), row by row


class NoiseMap(nn.Module):
    """A map whose noise decides all: its last argument without the first columns, times a weight."""

    def __init__(self, skipped: int):
        super().__init__()
        self.skipped, self.weight = skipped, nn.Parameter(torch.ones(1))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, *parts: Tensor) -> Tensor:
        return self.weight * parts[-1][:, self.skipped :]


class Pairs(nn.Module):
    """One score for each of nine pairs of a sample and the first number of its code."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(9)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.table(3 * x + z[:, :1])


def _table(turns: int) -> Check:
    """Stochastic maps on three points and three codes. Numbers two: a code, and what the decoder's dice say."""
    q, p = (atoms(counts) for counts in (Q, P))
    game = Game(
        objectives.minimax, draws.Infer(2), {"generator": NoiseMap(1), "encoder": NoiseMap(0)}, Pairs(),
        {"critic": optimizers.sgd(12.0), "generator": optimizers.sgd(1.0)}, batch_size=36, shape=(1,),
    )  # fmt: skip
    noise = {"e": torch.cat([q % 3, q * 0], 1), "z": torch.cat([p % 3, p // 3], 1)}
    state = game.init(0)
    for _ in range(turns):
        state, _ = game.turn("critic", state, (q // 3,), noise, (12.0,))
    found = state["params"]["critic"]["table.scores"].sigmoid()
    ratio = torch.tensor(Q) / (torch.tensor(Q) + torch.tensor(P))
    return near("a table trained on stochastic pairs: D, and q/(q+p)", found, ratio, 1e-10)


class Quadratic(nn.Module):
    """Scores x and the first number of z, in coordinates in which generated pairs are standard normal; the second is
    the decoder's own noise."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        x, u = x[:, 0] / SPREAD, (z[:, 0] - SLOPE * x[:, 0]) / DEVIATION
        return self.head(torch.stack([x, u, x * x, x * u, u * u], 1))[:, 0]


def _game(
    a: float, s: float, share: float, cycle: float = 0.0, objective: str = "minimax", lr: float = 0.1
) -> tuple[Game, tree.Tree]:
    """The game of a decoder a z + s noise and the encoder with this share of the posterior's deviation, 0 for a
    deterministic one."""
    slope, deviation = a / (a * a + s * s), s / math.sqrt(a * a + s * s)  # of z given x
    game = Game(
        getattr(objectives, objective), draws.Infer(2, stochastic=share > 0, cycle=cycle),
        {
            "generator": nn.Linear(2, 1, bias=False),
            "encoder": networks.Encoder(nn.Identity(), nn.Linear(1, 4), stochastic=True),
        },
        Quadratic(), {"critic": optimizers.adam(lr, (0.5, 0.99)), "generator": optimizers.sgd(1.0)}, shape=(1,),
    )  # fmt: skip
    state = game.init(0)
    state["params"] |= {
        "generator": {"weight": torch.tensor([[a, s]])},
        "encoder": {
            "last.weight": torch.tensor([[slope], [0.0], [0.0], [0.0]]),
            "last.bias": torch.tensor([0.0, 0.0, math.log((share or 1.0) * deviation), 0.0]),
        },
        "critic": tree.map(torch.zeros_like, state["params"]["critic"]),
    }
    return game, state


def _deal(n: int, a: float, s: float) -> tuple[tuple[Tensor], dict[str, Tensor]]:
    """x, and the noise of a turn, whose sample moments to the second are those of its law: means of squares and
    products over them are expectations."""
    even = torch.quasirandom.SobolEngine(6, scramble=True, seed=0).draw(n, dtype=torch.float64)
    unit = torch.special.ndtri(even.clamp(min=1e-9, max=1 - 1e-9))
    unit = unit - unit.mean(0)
    unit = torch.linalg.solve_triangular(torch.linalg.cholesky(unit.T @ unit / n), unit.T, upper=False).T
    return (a * unit[:, :1] + s * unit[:, 1:2],), {"z": unit[:, 2:4], "e": unit[:, 4:]}


def _sides(a: float, s: float, share: float, n: int) -> list[Tensor]:
    """Encoded and generated pairs [n, 2] of x and z."""
    game, state = _game(a, s, share)
    scene = game.scene(state["params"], "critic", *_deal(n, a, s))
    return [torch.cat([x, z[:, :1]], 1) for x, z in (scene.real, scene.fake)]


def _covariances(a: float, s: float, share: float) -> Tensor:
    return torch.stack([side.T @ side / len(side) for side in _sides(a, s, share, 1_000)])


def _gaussian(turns: int, n: int) -> tuple[tuple[Check, ...], Panel]:
    still = _covariances(A, S, 0.0)
    game, state = _game(A, S, 1.0)
    slopes, _ = game.gradient("critic", state, *_deal(n, A, S))
    checks = (
        near("matched noise: covariances of both joints", _covariances(A, S, 1.0), COVARIANCE, 1e-12),
        near("what a quadratic critic can still gain there", tree.vector(slopes).abs(), 0, 1e-12),
        near("deterministic encoder: variance of its codes", still[0, 1, 1], A**2 / SPREAD**2, 1e-12),
        above("its joint: value of a trained critic", _reached_value(0.0, turns, n), -1.0),
        near("half the noise: a trained critic's value", _reached_value(0.5, turns, n), _narrow_value(0.5), 0.005),
        *_copies(),
    )
    return checks, _picture()


def _reached_value(share: float, turns: int, n: int) -> float:
    """The value that a critic reaches against an encoder with this share of the right deviation."""
    game, state = _game(A, S, share)
    batch, noise = _deal(n, A, S)
    for turn in range(turns):
        state, record = game.turn("critic", state, batch, noise, game.step_sizes("critic", turn + 1, 1 - turn / turns))
    return float(record["critic_value"])


def _narrow_value(share: float) -> float:
    """-log 4 + 2 JS of two joints that differ in the deviation of z given x alone, by an adaptive quadrature."""
    from scipy.integrate import quad

    def density(u: float, std: float) -> float:
        return math.exp(-((u / std) ** 2) / 2) / std / math.sqrt(2 * math.pi)

    def term(u: float) -> float:
        q, p = density(u, share), density(u, 1.0)
        return q * math.log(q / (q + p)) + p * math.log(p / (q + p))

    return 2 * quad(term, 0, 12, epsabs=1e-12, points=[1.0, 3.0])[0]


def _copies() -> tuple[Check, ...]:
    """Copies of samples at equal joints: drawn anew from the law of x given their code."""
    apart, alone = SPREAD, torch.tensor([[SPREAD**2, 0.0], [0.0, 1.0]])
    return (
        near("matched noise: mean (x − G(E(x)))², and 2 s²", _copy_error(A, S), 2 * S**2, 1e-12),
        near("maps that ignore each other: both covariances", _covariances(0.0, apart, 1.0), alone, 1e-12),
        near("their mean (x − G(E(x)))², and 2 Var x", _copy_error(0.0, apart), 2 * SPREAD**2, 1e-12),
        above("so equal joints leave it open by", _copy_error(0.0, apart) - _copy_error(A, S), 7.9),
    )


def _copy_error(a: float, s: float) -> float:
    game, state = _game(a, s, 1.0, cycle=1.0)
    cost = game.scene(state["params"], "generator", *_deal(1_000, a, s)).cost
    assert cost is not None
    return float(cost.mean())


def _picture() -> Panel:
    encoded, made = _sides(A, S, 1.0, 128)
    line, _ = _sides(A, S, 0.0, 128)
    line = line[line[:, 0].argsort()]
    return Panel("x", "z", (
        Line("generated (G(z), z)", made[:, 0], made[:, 1], "dots"),
        Line("encoded, matched noise", encoded[:, 0], encoded[:, 1], "dots"),
        Line("encoded, no noise", line[:, 0], line[:, 1]),
    ), "A noisy decoder")  # fmt: skip


def _generator_turn() -> tuple[Check, ...]:
    game, state = _game(A, S, 0.7, objective="non_saturating")
    rng = torch.Generator().manual_seed(3)
    state["params"]["critic"] = {
        name: torch.randn(w.shape, generator=rng) / 4 for name, w in state["params"]["critic"].items()
    }
    deal = _deal(200, A, S)
    gradients, _ = game.gradient("generator", state, *deal)
    after, _ = game.turn("generator", state, *deal, game.step_sizes("generator", 1, 1.0))
    moved = tree.vector(after["params"]["critic"]) - tree.vector(state["params"]["critic"])
    sizes = torch.stack([tree.vector(gradients[name]).norm() for name in ("generator", "encoder")])
    found = tree.vector({name: gradients[name] for name in ("generator", "encoder")})
    return (
        near("gradients of G and E in one turn, and autograd's", found, _autograd(state["params"], *deal), 1e-10),
        above("the smaller of their norms", sizes, 0.01),
        near("how far the critic moves in that turn", moved.abs(), 0, 0),
    )


def _autograd(params: tree.Tree, batch: tuple[Tensor], noise: dict[str, Tensor]) -> Tensor:
    """Of cross-entropy with its labels swapped, written out for these maps."""
    leaves = {name: {key: w.clone().requires_grad_() for key, w in params[name].items()} for name in params}
    (x,), z, e = batch, noise["z"], noise["e"]
    generator, encoder = leaves["generator"], leaves["encoder"]
    mean, log_std = (x @ encoder["last.weight"].T + encoder["last.bias"]).split(2, 1)

    def score(x: Tensor, z: Tensor) -> Tensor:
        x, u = x[:, :1] / SPREAD, (z[:, :1] - SLOPE * x[:, :1]) / DEVIATION
        head = leaves["critic"]
        return torch.cat([x, u, x**2, x * u, u**2], 1) @ head["head.weight"][0] + head["head.bias"]

    real, fake = score(x, mean + log_std.exp() * e), score(z @ generator["weight"].T, z)
    cost = cross_entropy(real, torch.zeros_like(real)) + cross_entropy(fake, torch.ones_like(fake))
    side = tree.leaves({name: leaves[name] for name in ("generator", "encoder")})
    return torch.cat([g.flatten() for g in torch.autograd.grad(cost, side)])


def _swapped_labels() -> Check:
    real, fake = torch.randn(2, 1_000, generator=torch.Generator().manual_seed(2)) * 8
    truth = cross_entropy(real, torch.zeros(1_000), reduction="none")
    truth = truth + cross_entropy(fake, torch.ones(1_000), reduction="none")
    found = objectives.non_saturating.generator(real, fake)
    return near("cost of G and E, and cross-entropy of swapped labels", found, truth, 1e-7)


LAW = law("inference", __doc__, prove)
