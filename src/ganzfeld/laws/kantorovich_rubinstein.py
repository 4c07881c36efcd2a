r"""Transport and its dual.

.. math::
    W_1(p, q) = \inf_{\pi} \mathbb{E}_{\pi} \lVert x - y \rVert = \sup_{\lVert f \rVert_{Lip} \le 1} \mathbb{E}_p f
    - \mathbb{E}_q f

Source: Kantorovich and Rubinstein's duality; for GANs Arjovsky, Chintala and Bottou 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import constraints, metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Match, chords, clouds, cosine, critic, match

F = Callable[[Tensor], Tensor]

N = 12  # points of each cloud


class Dual(NamedTuple):
    """values: of the best 1-Lipschitz f on the points [2 N], real ones first; gap: of its means."""

    values: Tensor
    gap: float


def prove(fast: bool) -> Evidence:
    real, fake = clouds(N)
    partner, cost = _transport(real, fake)
    trained, curve = _train(real, fake, *((250, 48, 2) if fast else (1_000, 64, 3)))
    checks = (
        *_programs(real, fake, partner, cost, 1_000 if fast else 10_000),
        *_line_distances(100 if fast else 10_000),
        *trained,
    )
    return checks, (_plan(real, fake, partner), curve)


def _transport(real: Tensor, fake: Tensor) -> tuple[Tensor, float]:
    """The best of all couplings, by a linear program that knows of no permutations: whose mass goes where, the cost."""
    from scipy.optimize import linprog

    cost = (real[:, None] - fake).square().sum(-1).sqrt()
    rows, columns = np.kron(np.eye(N), np.ones(N)), np.kron(np.ones(N), np.eye(N))
    found = linprog(cost.numpy().ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.full(2 * N, 1 / N))
    return torch.from_numpy(found.x).view(N, N).argmax(1), found.fun


def _dual(real: Tensor, fake: Tensor) -> Dual:
    """The best of all functions on the points whose every chord has slope at most 1, by another linear program."""
    from scipy.optimize import linprog

    points = torch.cat([real, fake]).numpy()
    i, j = np.nonzero(~np.eye(2 * N, dtype=bool))
    chords = np.eye(2 * N)[i] - np.eye(2 * N)[j]
    lengths = np.sqrt(((points[i] - points[j]) ** 2).sum(1))
    gap = np.repeat([-1 / N, 1 / N], N)
    found = linprog(gap, A_ub=chords, b_ub=lengths, bounds=[(0, 0), *[(None, None)] * (2 * N - 1)])
    return Dual(torch.from_numpy(found.x), -found.fun)


def _programs(real: Tensor, fake: Tensor, partner: Tensor, cost: float, others: int) -> tuple[Check, ...]:
    """Primal, assignment and dual; what the optimal function looks like, and that no other is worth more."""
    distance, dual = metrics.w1(real, fake), _dual(real, fake)
    points = torch.cat([real, fake])
    f = _lookup(points, dual.values)
    matched = [metrics.difference_quotient(f, x[None], y[None]) for x, y in zip(real, fake[partner], strict=True)]
    worth = torch.stack([_gap_of_means(_cones(points, seed), real, fake) for seed in range(others)])
    return (
        near("two clouds: W1, and the best of all couplings", distance, cost, 1e-9),
        near("W1, and the best of all 1-Lipschitz functions", distance, dual.gap, 1e-9),
        near("what the objective says that function is worth", _gap_of_means(f, real, fake), distance, 1e-9),
        near("its slope along every matched pair", torch.tensor(matched), 1.0, 1e-9),
        below("its slope along every chord", metrics.difference_quotient(f, *chords(points)), 1.0, 1e-9),
        below("other 1-Lipschitz functions: what they are worth", worth, distance),
    )


def _lookup(points: Tensor, values: Tensor) -> F:
    """The function on the points that has these values, by nearest point."""
    return lambda x: values[(x[:, None] - points).square().sum(-1).argmin(1)]


def _cones(points: Tensor, seed: int) -> F:
    """A 1-Lipschitz function of the plane: the upper edge of cones of slope 1 on the points, of random heights."""
    heights = torch.randn(len(points), generator=torch.Generator().manual_seed(seed)) * 2
    return lambda x: (heights - (x[:, None] - points).square().sum(-1).sqrt()).amax(1)


def _gap_of_means(f: F, real: Tensor, fake: Tensor) -> Tensor:
    return objectives.wasserstein.critic(f(real), f(fake)).mean()


def _line_distances(n: int) -> tuple[Check, ...]:
    """Sorted samples against SciPy, Gaussians against their published number, closed form and quantile integrals."""
    from scipy.stats import wasserstein_distance

    x, y = (torch.randn(n, generator=torch.Generator().manual_seed(seed)) for seed in (4, 5))
    y = 2 * y + 1
    widths = ((1.0, 2.0), (0.3, 0.1), (5.0, 1.0))
    scales = torch.tensor([metrics.w1_gaussians_1d(2, a, 2, b) for a, b in widths])
    gaps = torch.tensor([abs(a - b) for a, b in widths])
    laws = ((0, 1, 1, 2), (-1, 0.3, 2, 1.7), (5, 1, 0, 1.1))
    found, truth = (torch.tensor([w1(*law) for law in laws]) for w1 in (metrics.w1_gaussians_1d, _by_quantiles))
    return (
        near("on the line: sorted W1, and SciPy's", metrics.w1_line(x, y), wasserstein_distance(x, y), 1e-10),
        near("N(0, 1) and N(1, 4)", metrics.w1_gaussians_1d(0, 1, 1, 2), 1.1666309431, 1e-6),
        near("equal means: W1, and |s1 − s2| √(2 / π)", scales, gaps * math.sqrt(2 / math.pi), 1e-12),
        near("three pairs of Gaussians: W1, and the quantile integral", found, truth, 1e-8),
    )


def _by_quantiles(m1: float, s1: float, m2: float, s2: float) -> float:
    """The area between two distribution functions, cut where they cross."""
    from scipy.integrate import quad
    from scipy.special import ndtr

    def gap(x: float) -> float:
        return abs(ndtr((x - m1) / s1) - ndtr((x - m2) / s2))

    cuts = sorted((-60, (m1 * s2 - m2 * s1) / (s2 - s1), m1, m2, 60))
    return sum(quad(gap, a, b, epsabs=1e-11, limit=200)[0] for a, b in zip(cuts, cuts[1:], strict=False))


def _train(real: Tensor, fake: Tensor, turns: int, width: int, depth: int) -> tuple[tuple[Check, ...], Panel]:
    """A critic under a gradient penalty, on every pair of a real and a fake point."""
    distance = metrics.w1(real, fake)
    game = match(
        objectives.wasserstein, critic(2, width, depth), real.repeat_interleave(N, 0), fake.repeat(N, 1),
        (constraints.GradientPenalty(10.0),), optimizer=adam(1e-2, (0.9, 0.99)),
    )  # fmt: skip
    taken, values, steepest = _watch(game, turns, chords(torch.cat([real, fake])))
    bounds = values / steepest
    checks = (
        below("a trained critic: value / steepest chord", bounds, distance, 1e-12),
        above("its share of W1 after training", bounds[-1] / distance, 0.9),
        above("its steepest slope in the plane", metrics.gradient_norms(game.score, _grid()).max(), 1.05),
        above("its printed value, less W1", values[-1] - distance, 0.1),
    )
    lines = Line("printed value", taken, values), Line("value / steepest chord", taken, bounds)
    return checks, Panel("turns of the critic", "value", lines, "A critic's value", levels=((distance, "W1"),), low=0)


def _watch(game: Match, turns: int, chords: tuple[Tensor, Tensor]) -> tuple[list[int], Tensor, Tensor]:
    """What the game prints along the training, and the critic's steepest slope between any two points of the clouds."""
    steepest: list[float] = []

    def look() -> float:
        steepest.append(metrics.difference_quotient(game.score, *chords))
        return game.value

    taken, values = game.play("critic", turns, cosine, look)
    return taken, torch.tensor(values), torch.tensor(steepest)


def _grid() -> Tensor:
    side = torch.linspace(-3, 4, 50)
    return torch.cartesian_prod(side, side)


def _plan(real: Tensor, fake: Tensor, partner: Tensor) -> Panel:
    """Both clouds and who is carried where; a nan lifts the pen between two segments."""
    ends = torch.stack([real, fake[partner], torch.full((N, 2), math.nan)], 1).flatten(0, 1)
    return Panel(
        "x1", "x2", (
            Line("optimal plan", ends[:, 0], ends[:, 1]),
            Line("real", real[:, 0], real[:, 1], "dots"),
            Line("fake", fake[:, 0], fake[:, 1], "dots"),
        ), "The cheapest transport", plane=True,
    )  # fmt: skip


LAW = law("kantorovich-rubinstein", __doc__, prove)
