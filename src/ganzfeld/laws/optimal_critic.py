r"""The optimal discriminator.

.. math::
    D^*(x) = \operatorname{argmax}_y \; p(x) \log y + q(x) \log(1 - y) = \frac{p(x)}{p(x) + q(x)}

Source: Goodfellow et al. 2014, proposition 1.
"""

from __future__ import annotations

import torch

from .. import metrics, objectives
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, below, law, near
from .play import Table, atoms, cosine, critic, gaussian_quantiles, match, minimax_value

P, Q = (2, 5, 3, 6), (6, 1, 5, 4)  # sixteenths that two laws give to four atoms


def prove(fast: bool) -> Evidence:
    panel, curve, error = _network(*((300, 128) if fast else (1_000, 1_024)))
    checks = (
        _integrand(),
        *_table(300 if fast else 600),
        below("a network on two Gaussians: mean |D − p/(p+q)|", error, 0.01),
    )
    return checks, (panel, curve)


def _integrand() -> Check:
    """The objective's own integrand, by a solver that knows nothing of it."""
    from scipy.optimize import minimize_scalar

    pairs = torch.rand(20, 2, generator=torch.Generator().manual_seed(0)) * 5 + 0.05

    def best(a: float, b: float) -> float:
        def loss(y: float) -> float:
            return -float(minimax_value(torch.logit(torch.tensor(y)), torch.tensor(a), torch.tensor(b)))

        return minimize_scalar(loss, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-10}).x

    found = torch.tensor([best(float(a), float(b)) for a, b in pairs])
    return near("argmax of a log y + b log(1-y), 20 pairs", found, pairs[:, 0] / pairs.sum(1), 1e-6)


def _table(steps: int) -> tuple[Check, Check, Check]:
    """A critic that is a table, on four atoms: nothing but the game is between it and its optimum."""
    real, fake = (atoms(counts) for counts in (P, Q))
    game = match(objectives.minimax, Table(4), real, fake, optimizer=adam(0.05, (0.9, 0.99)))
    game.play("critic", steps, cosine)
    p, q = torch.tensor(P) / 16, torch.tensor(Q) / 16
    best = metrics.optimal_discriminator_value(p, q)
    rng = torch.Generator().manual_seed(1)
    others = torch.stack([minimax_value(torch.randn(4, generator=rng) * 2, p, q) for _ in range(1_000)])
    return (
        near("a table trained on four atoms: D", game.score(torch.arange(4.0)[:, None]).sigmoid(), p / (p + q), 1e-6),
        near("its value, and −log 4 + 2 JS", game.value, best, 1e-10),
        below("1,000 other discriminators: their value", others, best),
    )


def _network(steps: int, samples: int) -> tuple[Panel, Panel, float]:
    """A perceptron on N(-1, 1) and N(1, 0.6^2): its error under both laws, along the training."""
    real, fake = gaussian_quantiles(-1, 1, samples), gaussian_quantiles(1, 0.6, samples)
    p, q = metrics.gaussian(-1, 1), metrics.gaussian(1, 0.6)
    game = match(objectives.minimax, critic(1, activation="tanh"), real, fake)
    both = torch.cat([real, fake])
    truth = (p(both) / (p(both) + q(both)))[:, 0]

    def error() -> float:
        return float((game.score(both).detach().sigmoid() - truth).abs().mean())

    turns, errors = game.play("critic", steps, cosine, error)
    x = torch.linspace(-4, 3, 141)[:, None]
    shape = Panel(
        "x", "D", (
            Line("p / (p + q)", x[:, 0], (p(x) / (p(x) + q(x)))[:, 0], "dashes"),
            Line("trained", x[:, 0], game.score(x).detach().sigmoid()),
        ), "After training", low=0, high=1,
    )  # fmt: skip
    curve = Panel(
        "turns of the critic", "mean error", (Line("mean |D − p/(p+q)|", turns, errors),), "Along it", log_y=True
    )
    return shape, curve, errors[-1]


LAW = law("optimal-critic", __doc__, prove)
