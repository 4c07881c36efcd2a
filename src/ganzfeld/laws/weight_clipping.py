r"""Weight clipping.

.. math::
    \lVert f \rVert_{Lip} \le \prod_{l} c \sqrt{n_l \, n_{l+1}}, \qquad \max_{\lVert w \rVert_\infty \le c} \langle
    w, \mu_p - \mu_q \rangle = c \, \lVert \mu_p - \mu_q \rVert_1

Source: Arjovsky, Chintala and Bottou 2017, algorithm 1; Gulrajani et al. 2017, section 3.1 and figure 1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from .. import constraints, metrics, objectives
from ..core.tree import Tree
from ..optimizers import rmsprop, sgd
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Match, chords, clouds, cosine, critic, match

F = Callable[[Tensor], Tensor]

DELTA = (3.0, -4.0, 0.5)  # between the means of two clouds
TIGHT, MIDDLE, LOOSE = 0.01, 0.1, 0.5  # bounds c of a deep critic
WIDTH, DEPTH = 16, 8  # of its hidden layers


class Sizes(NamedTuple):
    """turns of the critics that are trained; samples of each cloud; random critics; width of those of random signs."""

    turns: int
    deep: int
    samples: int
    critics: int
    width: int


def prove(fast: bool) -> Evidence:
    sizes = Sizes(80, 40, 64, 10, 64) if fast else Sizes(400, 200, 256, 30, 128)
    shallow, weights = _shallow(sizes)
    deep, gradients = _deep(sizes)
    return (*_linear(), *shallow, *_box(sizes), *_random_signs(sizes), *deep), (weights, gradients)


def _linear() -> tuple[Check, ...]:
    """A critic <w, x> in the box, by the game and by a linear program, on a cloud and itself moved by DELTA."""
    from scipy.optimize import linprog

    fake = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    real, bounds = fake + torch.tensor(DELTA), (0.1, 1.0)
    values = [_linear_value(real, fake, c) for c in bounds]
    best = [-linprog([-d for d in DELTA], bounds=[(-c, c)] * 3).fun for c in bounds]
    moved = sum(abs(d) for d in DELTA)
    return (
        near("a linear critic: its value, and the best in the box", torch.tensor(values), torch.tensor(best), 1e-12),
        near("c times the l1 norm of the mean difference", torch.tensor(values), torch.tensor(bounds) * moved, 1e-12),
        above("c = 0.1: W1, less that value", metrics.w1(real, fake) - values[0], 4),
        above("c = 1: that value, less W1", values[1] - metrics.w1(real, fake), 2),
    )


def _linear_value(real: Tensor, fake: Tensor, c: float) -> float:
    linear = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    game = match(objectives.wasserstein, linear, real, fake, (constraints.Clip(c),), optimizer=sgd(0.2))
    game.play("critic", 30)
    return game.value


def _boxed_game(sizes: Sizes, c: float, width: int, depth: int) -> Match:
    """A game between the clouds, its critic in the box; the rate is a share of the box."""
    real, fake = clouds(sizes.samples)
    box = (constraints.Clip(c),)
    return match(objectives.wasserstein, critic(2, width, depth), real, fake, box, optimizer=rmsprop(c / 20))


def _shallow(sizes: Sizes) -> tuple[tuple[Check, ...], Panel]:
    """A trained critic of two hidden layers: it stays in the box, and most of it ends at the walls."""
    game = _boxed_game(sizes, TIGHT, 32, 2)
    _, sides = game.play("critic", sizes.turns, cosine, lambda: float(_flatten(game).abs().max()), looks=sizes.turns)
    weights, share = _flatten(game), metrics.share_at_bound(_weights(game), TIGHT)
    checks = (
        below("the largest weight after each of the critic's turns", torch.tensor(sides[1:]), TIGHT),
        above("the share of weights at the bound", share, 0.6),
        near("that share, counted otherwise", share, float(np.isclose(weights.abs(), TIGHT).mean()), 1e-12),
        below("value / (steepest chord times W1)", _share_of_w1(game), 1, 1e-12),
    )
    edges = torch.linspace(-TIGHT, TIGHT, 42)
    counts, _ = torch.histogram(weights.clamp(-TIGHT, TIGHT), edges)
    bars = Line("weights of a critic", (edges[1:] + edges[:-1]) / 2, counts, "bars")
    return checks, Panel("weight", "count", (bars,), f"In the box, c = {TIGHT}", low=0)


def _weights(game: Match) -> Tree:
    return game.state["params"]["critic"]


def _flatten(game: Match) -> Tensor:
    return torch.cat([w.flatten() for w in _weights(game).values()])


def _share_of_w1(game: Match) -> Tensor:
    """What the critic would be worth at slope 1, in units of W1: its steepest chord is a lower bound on its K."""
    points = torch.cat([game.real, game.fake])
    steepest = torch.tensor(metrics.difference_quotient(game.score, *chords(points)))
    return game.value / (steepest * metrics.w1(game.real, game.fake))


def _box(sizes: Sizes) -> tuple[Check, ...]:
    """The bound of the box: no critic exceeds it, and one whose weights are all c attains it."""
    c, rng = 0.3, torch.Generator().manual_seed(1)
    net, bound = critic(2, 12, 3), math.prod(c * math.sqrt(n * m) for n, m in ((2, 12), (12, 12), (12, 12), (12, 1)))
    x, y = torch.rand(2, 400, 2, generator=rng) * 4
    chords, slopes = [], []
    for shift in torch.linspace(0, 0.6, sizes.critics):  # the further, the more weights share a corner
        weights = _project(net, c, partial(_shifted_normal, float(shift), rng))
        chords.append(metrics.difference_quotient(_function(net, weights), x, y))
        slopes.append(float(metrics.gradient_norms(_function(net, weights), x).max()))
    full = _project(net, c, lambda w: torch.full_like(w, 1e6) if w.dim() > 1 else torch.zeros_like(w))
    # along the diagonal the input lies in the direction that every layer of equal weights stretches most
    corner = metrics.gradient_norms(_function(net, full), x)
    return (
        below("clipped critics: steepest chord / bound of the box", torch.tensor(chords) / bound, 1),
        below("steepest gradient / bound of the box", torch.tensor(slopes) / bound, 1),
        near("a critic in the corner of the box: slope / bound", corner / bound, 1, 1e-12),
        near("its product of norms / bound", metrics.product_bound(full) / bound, 1, 1e-12),
    )


def _shifted_normal(shift: float, rng: torch.Generator, w: Tensor) -> Tensor:
    return shift + torch.randn(w.shape, generator=rng) / 2


def _project(net: nn.Module, c: float, draw: F) -> Tree:
    return constraints.Clip(c).project({name: draw(w.detach()) for name, w in net.named_parameters()})


def _function(net: nn.Module, weights: Tree) -> F:
    return lambda x: functional_call(net, weights, (x,))


def _random_signs(sizes: Sizes) -> tuple[Check, ...]:
    """Critics whose weights are all at the bound, with random signs and no biases."""
    n, rng, bounds = sizes.width, torch.Generator().manual_seed(2), (0.01, 0.1, 1.0)
    net = critic(2, n, DEPTH)
    raw = {name: torch.randn(w.shape, generator=rng) * 1e6 * (w.dim() > 1) for name, w in net.named_parameters()}
    real, fake = clouds(sizes.samples)
    truth = _sign_network(raw, real).mean() - _sign_network(raw, fake).mean()
    ratios = []
    for c in bounds:
        f = _function(net, constraints.Clip(c).project(raw))
        ratios.append(float(objectives.wasserstein.critic(f(real), f(fake)).mean()) / (truth * c ** (DEPTH + 1)))
    factor = torch.tensor([_factor(n, seed, real) for seed in range(sizes.critics)]).log().mean().exp()
    return (
        near("weights all at c: value / (c^L times that at c = 1)", torch.tensor(ratios), 1, 1e-9),
        near("random signs: factor a layer / (c √(n / 2))", factor, 1, 0.05),
    )


def _sign_network(raw: dict[str, Tensor], x: Tensor) -> np.ndarray:
    """The critic of the weights' signs, in plain arithmetic."""
    h = x.numpy()
    *hidden, last = (np.sign(w.numpy()) for w in raw.values() if w.dim() > 1)
    for w in hidden:
        h = np.maximum(h @ w.T, 0)
    return (h @ last.T)[:, 0]


def _factor(n: int, seed: int, x: Tensor) -> float:
    """By how much a layer stretches the gradient, in units of c sqrt(n / 2), in the mean of a critic's layers."""
    c, rng = 0.02, torch.Generator().manual_seed(seed)
    net = critic(2, n, DEPTH)
    signs = _project(net, c, lambda w: torch.randn(w.shape, generator=rng) * 1e6 * (w.dim() > 1))
    bottom, *between, top = _gradients(net, signs, x)[1:]
    return (bottom / top) ** (1 / (len(between) + 1)) / (c * math.sqrt(n / 2))


def _gradients(net: nn.Module, weights: Tree, x: Tensor) -> list[float]:
    """The mean norm of the score's gradient by the input of each hidden layer, and by the last layer's."""
    net = copy.deepcopy(net)
    net.load_state_dict(weights)
    features, head = net.children()
    layers, norms = [*features.children(), head], []
    for k in range(0, len(layers), 2):
        onward = nn.Sequential(*layers[k:], nn.Flatten(0))
        norms.append(float(metrics.gradient_norms(onward, x).detach().square().mean().sqrt()))
        x = nn.Sequential(*layers[k : k + 2])(x).detach()
    return norms


def _deep(sizes: Sizes) -> tuple[tuple[Check, ...], Panel]:
    """Trained critics of many layers: what of the gradient at the top arrives at the bottom."""
    games = {c: _boxed_game(sizes, c, WIDTH, DEPTH) for c in (TIGHT, MIDDLE, LOOSE)}
    norms = {}
    for c, game in games.items():
        game.play("critic", sizes.deep, cosine)
        norms[c] = _gradients(game.game.critic, _weights(game), game.real)
    shares = torch.stack([_share_of_w1(game) for game in games.values()])
    checks = (
        below(f"{DEPTH} trained layers, c = {TIGHT}: gradient, bottom / top", norms[TIGHT][0] / norms[TIGHT][-1], 1e-6),
        above(f"c = {LOOSE}: gradient, bottom / top", norms[LOOSE][0] / norms[LOOSE][-1], 100),
        below(f"c = {TIGHT}: its mean slope", norms[TIGHT][0], 1e-6),
        above(f"c = {LOOSE}: its mean slope", norms[LOOSE][0], 100),
        below("all three: value / (steepest chord times W1)", shares, 1, 1e-12),
    )
    lines = tuple(Line(f"c = {c}", range(1, DEPTH + 2), norms[c]) for c in games)
    return checks, Panel("layer", "gradient norm", lines, f"{DEPTH} trained layers", log_y=True)


LAW = law("weight-clipping", __doc__, prove)
