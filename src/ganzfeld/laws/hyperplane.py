r"""The geometric reading: a hyperplane and its normal.

.. math::
    s = \frac{\partial V}{\partial o_{real}}, \quad t = -\frac{\partial V}{\partial o_{fake}}, \quad r =
    -\frac{\partial C}{\partial o_{fake}}, \qquad \Delta \phi(G(z)) = \eta \, r \, w

Source: Lim and Ye 2017 (Geometric GAN); Cortes and Vapnik 1995.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from .. import constraints, divergences, metrics, networks, objectives, optimizers
from ..core.tree import Tree
from ..draws import Role
from .law import Check, Evidence, Line, Panel, above, law, near
from .play import Match, cosine, match

Factor = Callable[[Tensor], Tensor]
POINTS, COST, STEP = 40, 1.0, 0.04  # of each law; C; how far along w a turn takes each fake


def _one(o: Tensor) -> Tensor:
    return torch.ones_like(o)


def _complement(o: Tensor) -> Tensor:
    return torch.sigmoid(-o)


def _bell(o: Tensor) -> Tensor:
    return 2 * torch.sigmoid(o) * torch.sigmoid(-o)


UNPAIRED: dict[str, tuple[Factor, Factor, Factor]] = {  # s, t, r of one score
    "minimax": (_complement, torch.sigmoid, torch.sigmoid),
    "non-saturating": (_complement, torch.sigmoid, _complement),
    "tanh": (_complement, torch.sigmoid, _bell),
    "least-squares": (lambda o: 2 * (1 - o), lambda o: 2 * o, lambda o: 2 * (1 - o)),
    "wasserstein": (_one, _one, _one),
    "hinge": (lambda o: (o < 1).double(), lambda o: (o > -1).double(), _one),
}
BOUNDS: dict[str, tuple[Factor, Factor]] = {  # s and t of the f-divergences; r is t, or s for the alternative
    "kl": (_one, lambda o: torch.exp(o - 1)),
    "rkl": (lambda o: torch.exp(-o), _one),
    "pearson": (_one, lambda o: o / 2 + 1),
    "neyman": (lambda o: torch.exp(-o), lambda o: torch.exp(-o / 2)),
    "hellinger": (lambda o: torch.exp(-o), torch.exp),
    "js": (_complement, torch.sigmoid),
    "gan": (_complement, torch.sigmoid),
    "tv": (lambda o: 1 / (2 * torch.cosh(o) ** 2), lambda o: 1 / (2 * torch.cosh(o) ** 2)),
}
PAIRED: dict[str, tuple[Factor, Factor, Factor]] = {  # of the difference real - fake
    "relativistic": (_complement, _complement, torch.sigmoid),
    "relativistic-tanh": (_complement, _complement, _bell),
}


def prove(fast: bool) -> Evidence:
    game = _game()
    game.play("critic", 400 if fast else 1_500, cosine)
    machine = _support_vectors(game)  # before the fakes move
    plane, moves = _moves(game, 16)
    checks = (
        *_factors(13 if fast else 301),
        *machine,
        *_scaling(),
        _features_move(),
        *_met_margins(),
        *moves,
        *_least_loss(401 if fast else 4_001),
    )
    return checks, (plane, *_curves())


def _factors(n: int) -> tuple[Check, ...]:
    """Every objective's factors by differentiation, beside those worked out by hand; between the kinks."""
    real, fake = torch.linspace(-3.1, 2.9, n), torch.linspace(2.7, -3.3, n)
    truth = {name: (s(real), t(fake), r(fake)) for name, (s, t, r) in UNPAIRED.items()}
    truth |= {f"fgan-{name}": (s(real), t(fake), t(fake)) for name, (s, t) in BOUNDS.items()}
    truth |= {name: (s(real - fake), t(real - fake), r(real - fake)) for name, (s, t, r) in PAIRED.items()}
    found = {name: metrics.scale_factors(objectives.TABLE[name], real, fake) for name in truth}
    checks = [
        near(f"{factor} of {len(truth)} objectives", _side(found, i), _side(truth, i), 1e-12)
        for i, factor in enumerate(("s, of a real one,", "t, of a fake one,", "r, of the generator,"))
    ]
    return (*checks, _alternative(fake))


def _side(factors: Mapping[str, tuple[Tensor, Tensor, Tensor]], i: int) -> Tensor:
    return torch.stack([three[i] for three in factors.values()])


def _alternative(fake: Tensor) -> Check:
    rows = divergences.TABLE
    found = [metrics.scale_factors(objectives.fgan(rows[name], alternative=True), fake, fake)[2] for name in BOUNDS]
    truth = [s(fake) for s, _ in BOUNDS.values()]
    return near("r of the f-divergences' alternative", torch.stack(found), torch.stack(truth), 1e-12)


def _points() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    real, fake = 0.8 * torch.randn(2, POINTS, 2, generator=rng)
    centre = torch.tensor([0.9, 0.5])
    return real + centre, fake - centre


def _game() -> Match:
    """A linear critic on the plane with the hinge and the margin's penalty."""
    critic, bound = networks.Critic(nn.Identity(), 2), constraints.Margin(COST, POINTS)
    return match(objectives.hinge, critic, *_points(), (bound,), optimizers.sgd(1.0), optimizers.sgd(STEP * POINTS))


def _hyperplane(game: Match) -> tuple[Tensor, Tensor]:
    params = game.state["params"]["critic"]
    return params["head.weight"][0], params["head.bias"][0]


def _primal(w: Tensor, b: float, real: Tensor, fake: Tensor, cost: float) -> float:
    """The soft-margin objective as a textbook writes it."""
    x, y = np.concatenate([real.numpy(), fake.numpy()]), np.repeat([1.0, -1.0], [len(real), len(fake)])
    slack = np.maximum(0, 1 - y * (x @ w.numpy() + b))
    return float(w.numpy() @ w.numpy() / 2 + cost * slack.sum())


def _support_vectors(game: Match) -> tuple[Check, Check, Check]:
    """The game's hyperplane beside scikit-learn's, whose normal is spanned by its support vectors."""
    from sklearn.svm import SVC

    real, fake = _points()
    svm = SVC(kernel="linear", C=COST, tol=1e-10)
    svm.fit(torch.cat([real, fake]).numpy(), [1] * POINTS + [-1] * POINTS)
    normal, offset = torch.from_numpy((svm.dual_coef_ @ svm.support_vectors_)[0]), float(svm.intercept_[0])
    w, b = _hyperplane(game)
    return (
        near("hinge game: w, and that of the support vectors", w, normal, 1e-3),
        near("hinge game: its soft-margin objective", _primal(w, float(b), real, fake, COST),
             _primal(normal, offset, real, fake, COST), 1e-3),
        near("hinge game: its loss, and that over n C", _loss(game),
             _primal(normal, offset, real, fake, COST) / (POINTS * COST), 1e-3 / POINTS),
    )  # fmt: skip


def _loss(game: Match) -> Tensor:
    _, (_, record) = game.game.gradient("critic", game.state, (game.real,), game.noise)
    return record["penalty"] - record["critic_value"]


def _scaling() -> tuple[Check, Check]:
    """Mean hinge losses and |w|^2 / (2 n C) are the machine's objective over n C, for any hyperplane."""
    real, fake = _points()
    w, b, cost = torch.tensor([0.3, -0.2]), 0.1, 0.7
    truth = _primal(w, b, real, fake, cost)
    turn = constraints.CriticTurn(lambda x: x @ w, {"head.weight": w[None]}, (real,), (fake,))
    margin = constraints.Margin(cost, POINTS).penalty(turn)
    hinge = margin - objectives.hinge.critic(real @ w + b, fake @ w + b).mean()
    return (
        near("hinge and margin penalty, times n C", hinge * POINTS * cost, truth, 1e-12),
        near("soft margin of a hyperplane", metrics.soft_margin(w, b, real, fake, cost), truth, 1e-12),
    )


def _features_move() -> Check:
    """The gradient of a hidden layer in a minimax round is the two factors' sum, written out."""
    critic = networks.Critic(nn.Sequential(nn.Linear(2, 3, bias=False), nn.Tanh()), 3)
    game = match(objectives.minimax, critic, *_points())
    params = game.state["params"]["critic"]
    a, w, b = (params[name] for name in ("features.0.weight", "head.weight", "head.bias"))
    truth = torch.zeros_like(a)
    for x, sign in zip(_points(), (1, -1), strict=True):
        phi = torch.tanh(x @ a.T)
        weight = torch.sigmoid(-sign * (phi @ w[0] + b))  # s = 1 - D of a real one, t = D of a fake one
        truth += sign * (weight[:, None] * (1 - phi**2) * w).T @ x / POINTS
    gradient, _ = game.game.gradient("critic", game.state, (game.real,), game.noise)
    found = -gradient["critic"]["features.0.weight"]
    return near("ascent of a hidden layer: mean of s w dphi − t w dphi", found, truth, 1e-12)


def _met_margins() -> tuple[Check, Check, Check]:
    """Real and fake features far on their sides: the hinge has nothing to improve, and the generator goes on."""
    real, fake = (0.2 * x + shift for x, shift in zip(_points(), (3, -3), strict=True))
    a, w = torch.tensor([[1.0, 0.5], [-0.5, 1.0]]), torch.tensor([[1.5, 0.3]])
    params = {"features.weight": a, "features.bias": torch.zeros(2), "head.weight": w, "head.bias": torch.zeros(1)}
    hinge, logistic = (
        match(objective, networks.Critic(nn.Linear(2, 2), 2), real, fake)
        for objective in (objectives.hinge, objectives.minimax)
    )
    moves = _gradient(hinge, "generator", params)["generator"]["points"]
    still, others = (_gradient(game, "critic", params)["critic"]["features.weight"] for game in (hinge, logistic))
    return (
        near("hinge, all margins met: gradient of the features", still.abs().max(), 0, 0),
        near("the generator's there: −A'w / n of each fake", moves, -(a.T @ w[0]) / POINTS, 1e-12),
        above("minimax in the same place: gradient of the features", others.abs().max(), 1e-3),
    )


def _gradient(game: Match, role: Role, critic: Tree) -> Tree:
    """What a role would descend against a critic of these weights."""
    state = {**game.state, "params": {**game.state["params"], "critic": critic}}
    return game.game.gradient(role, state, (game.real,), game.noise)[0]


def _moves(game: Match, turns: int) -> tuple[Panel, tuple[Check, ...]]:
    """The generator's turns against a critic that stands still."""
    w, b = _hyperplane(game)
    before = game.fake.clone()
    game.play("generator", 1)
    once = game.fake - before
    game.play("generator", turns - 1)
    panel = _plane(game, before)
    game.play("generator", 100 - turns)
    first, last = (metrics.hyperplane_distance(w, b, x) for x in (before, game.fake))
    normal = w / w.square().sum().sqrt()
    farthest = before[int((before @ w).argmin())]
    return panel, (
        near("one turn: every fake's o rises by η |w|²", once @ w, STEP * (w @ w), 1e-12),
        near("its move across the normal", once - (once @ normal)[:, None] * normal, 0, 1e-12),
        near("100 turns: every distance, by 100 η |w|", last - first, 100 * STEP * (w @ normal), 1e-10),
        near("distance of the farthest fake before", first.min(), (farthest @ w + b) / (w @ normal), 1e-12),
        above("its o after: across, and beyond the margin", (game.fake @ w + b).min(), 1),
    )


def _plane(game: Match, before: Tensor) -> Panel:
    """The points, the hyperplane with its margins, and where the fakes have gone."""
    w, b = _hyperplane(game)
    along = torch.tensor([-w[1], w[0]]) / (w @ w).sqrt()
    ends = [torch.stack([(c - b) * w / (w @ w) + t * along for t in (-2.6, 2.6)]) for c in (0, 1, -1)]
    gap = torch.full((1, 2), torch.nan)
    margins = torch.cat([ends[1], gap, ends[2]])
    lift = torch.full_like(before, torch.nan)
    moves = torch.stack([before, game.fake, lift], 1).flatten(0, 1)
    real = game.real
    return Panel(
        "φ 1", "φ 2", (
            Line("real", real[:, 0], real[:, 1], "dots"),
            Line("fake", before[:, 0], before[:, 1], "dots"),
            Line("hyperplane", ends[0][:, 0], ends[0][:, 1]),
            Line("margins", margins[:, 0], margins[:, 1], "dashes"),
            Line("generator's moves", moves[:, 0], moves[:, 1]),
        ), "One round", plane=True,
    )  # fmt: skip


def _least_loss(grid: int) -> tuple[Check, Check]:
    """The least hinge loss of a critic that is free at each of four atoms."""
    p, q = torch.tensor([0.5, 0.3, 0.15, 0.05]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    o, far = torch.linspace(-2, 2, grid), torch.tensor(3.0)  # beyond its margin a score costs nothing
    value = objectives.hinge.critic
    loss = -(p[:, None] * value(o, -far) + q[:, None] * value(far, o))
    overlap = torch.minimum(p, q).sum()  # 1 - TV
    return (
        near("hinge at its best on four atoms: 2 (1 − TV)", loss.min(1).values.sum(), 2 * overlap, 1e-9),
        near("where: the sign of p − q", o[loss.argmin(1)], (p - q).sign(), 1e-9),
    )


CURVES: dict[str, dict[str, str]] = {  # of objectives with one and the same factor the first is drawn
    "Factor s, of real samples": {
        "GAN losses, JS": "minimax", "Wasserstein, KL, Pearson": "wasserstein", "hinge": "hinge",
        "least squares": "least-squares", "reverse KL, Hellinger, Neyman": "fgan-rkl", "total variation": "fgan-tv",
    },
    "Factor t, of fakes": {
        "GAN losses, JS": "minimax", "Wasserstein, reverse KL": "wasserstein", "hinge": "hinge",
        "least squares": "least-squares", "KL": "fgan-kl", "Pearson": "fgan-pearson", "Hellinger": "fgan-hellinger",
        "Neyman": "fgan-neyman", "total variation": "fgan-tv",
    },
    "Factor r, of the generator": {
        "minimax, JS": "minimax", "Wasserstein, hinge, reverse KL": "wasserstein", "non-saturating": "non-saturating",
        "least squares": "least-squares", "KL": "fgan-kl", "Pearson": "fgan-pearson", "Hellinger": "fgan-hellinger",
        "Neyman": "fgan-neyman", "total variation": "fgan-tv", "tanh": "tanh",
    },
}  # fmt: skip


def _curves() -> tuple[Panel, ...]:
    """Who counts: the factors of every objective of one score, as far as they stay in the frame."""
    o, panels = torch.linspace(-3, 3, 121), []
    for i, (title, named) in enumerate(CURVES.items()):
        curves = [(label, metrics.scale_factors(objectives.TABLE[name], o, o)[i]) for label, name in named.items()]
        lines = tuple(Line(label, o, torch.where((-1 <= y) & (y <= 3), y, torch.nan)) for label, y in curves)
        panels.append(Panel("score o", "factor", lines, title, low=-1, high=3))
    return tuple(panels)


LAW = law("hyperplane", __doc__, prove)
