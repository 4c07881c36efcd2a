r"""f-divergences as games.

.. math::
    D_f(P \Vert Q) = \int q \, f\left(\frac{p}{q}\right) = \sup_T \; \mathbb{E}_P T - \mathbb{E}_Q f^*(T), \qquad
    f^*(t) = \sup_u \; u t - f(u)

Source: Nowozin, Cseke, Tomioka 2016 (f-GAN).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import divergences, metrics, objectives
from ..divergences import Divergence
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Table, atoms, cosine, match

NAMES = ("kl", "rkl", "pearson", "neyman", "hellinger", "js", "gan", "tv")
TRAINED = ("kl", "js", "pearson", "rkl", "neyman", "hellinger", "gan")  # that of tv is at infinity
LABELS = {"kl": "KL", "rkl": "reverse KL", "pearson": "Pearson", "js": "JS", "gan": "GAN"}
GAUSSIAN = {  # N(0, 1) against N(1, 1)
    "kl": 0.5, "rkl": 0.5, "pearson": math.e - 1, "neyman": math.e - 1, "hellinger": 0.2350061948,
    "js": 0.2228429644, "gan": -1.1634513968, "tv": math.erf(math.sqrt(1 / 8)),
}  # fmt: skip
SLOPES = {"kl": 1.0, "rkl": -1.0, "pearson": 0.0, "neyman": 0.0, "hellinger": 0.0, "js": 0.0, "gan": -math.log(2)}
P, Q = (2, 5, 3, 6), (6, 1, 5, 4)  # sixteenths that two laws give to four atoms


def prove(fast: bool) -> Evidence:
    curves, *trained = _tables(TRAINED[:2] if fast else TRAINED, 250 if fast else 600)
    checks = (
        *_conjugates(4 if fast else 25),
        *_bounds(2_000 if fast else 20_000),
        *trained,
        *_gaussians(4_000 if fast else 8_000),
        *_thresholds(),
        *_equal_laws(),
        *_pearson(),
    )
    return checks, (_shapes(), curves)


def _rows() -> list[Divergence]:
    return [divergences.TABLE[name] for name in NAMES]


def _masses() -> tuple[Tensor, Tensor]:
    return torch.tensor(P) / 16, torch.tensor(Q) / 16


def _literature(p: Tensor, q: Tensor) -> Tensor:
    """Each row's divergence of two discrete laws as its own literature writes it."""
    mixture = 2 * _jensen_shannon(p, q)
    return torch.stack([
        (p * (p / q).log()).sum(), (q * (q / p).log()).sum(),
        ((p - q) ** 2 / q).sum(), ((p - q) ** 2 / p).sum(),
        2 - 2 * (p * q).sqrt().sum(),
        mixture, mixture - math.log(4),
        (p - q).abs().sum() / 2,
    ])  # fmt: skip


def _jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """By entropies: that of the mixture less the mean of the two."""
    entropies = [torch.special.entr(law).sum() for law in ((p + q) / 2, p, q)]
    return entropies[0] - (entropies[1] + entropies[2]) / 2


def _conjugates(n: int) -> tuple[Check, Check]:
    """f* of the table beside a search for the highest of u t - f(u), and its composition with g_f."""
    v = torch.linspace(-1.5, 1.2, n)
    found = torch.stack([row.conjugate(row.activation(v)) for row in _rows()])
    truth = torch.tensor([[_supremum(row, float(t)) for t in row.activation(v)] for row in _rows()])
    wide = torch.linspace(-3, 3, 61)
    composed = torch.stack([row.bound(wide) for row in _rows()])
    nested = torch.stack([row.conjugate(row.activation(wide)) for row in _rows()])
    return (
        near("f* and the highest u t − f(u), 8 rows", found, truth, 1e-6),
        near("f*(g_f(v)), written out and nested", composed, nested, 1e-12),
    )


def _supremum(row: Divergence, t: float) -> float:
    """By search over log u; at u = 0 as well, where some conjugates end."""
    from scipy.optimize import minimize_scalar

    def loss(log_u: float) -> float:
        u = torch.tensor(math.exp(log_u))
        return float(row.f(u) - u * t)

    return -float(minimize_scalar(loss, bounds=(-25, 12), method="bounded", options={"xatol": 1e-12}).fun)


def _value(row: Divergence, v: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """The objective's bound for raw outputs v [..., atoms]."""
    value, none = objectives.fgan(row).critic, torch.zeros(())
    return (p * value(v, none) + q * value(none, v)).sum(-1) - value(none, none)


def _bounds(draws: int) -> tuple[Check, ...]:
    """D_f of four atoms, its bound at the slope, and the bound at random critics."""
    p, q = _masses()
    truth = _literature(p, q)
    direct = torch.stack([(q * row.f(p / q)).sum() for row in _rows()])
    slopes = [row.slope(p / q) for row in _rows()]
    bounds = torch.stack([(p * t - q * row.conjugate(t)).sum() for row, t in zip(_rows(), slopes, strict=True)])
    v = 2 * torch.randn(draws, len(P), generator=torch.Generator().manual_seed(0))
    others = torch.stack([_value(row, v, p, q) for row in _rows()])
    swapped = torch.stack([(p * divergences.TABLE[name].f(q / p)).sum() for name in ("rkl", "neyman")])
    return (
        near("D_f of four atoms, and each by its own formula", direct, truth, 1e-10),
        near("the bound at T = f'(p / q), and D_f", bounds, truth, 1e-10),
        below("random critics: their bound less D_f", others - truth[:, None], 0, 1e-12),
        near("KL(P, Q) and RKL(Q, P); Pearson and Neyman", swapped, truth[[0, 2]], 1e-12),
    )


def _tables(names: tuple[str, ...], steps: int) -> tuple[Panel, Check, Check, Check]:
    """Critics that are tables, trained by the game on four atoms: each bound rises to its divergence."""
    p, q = _masses()
    truth = dict(zip(NAMES, _literature(p, q), strict=True))
    lines, seen, found = [], [], []
    for name in names:
        turns, values, scores = _train(divergences.TABLE[name], steps)
        seen.append(torch.tensor(values) - truth[name])
        found.append(scores - _best_output(name, p / q))
        if name in TRAINED[:3]:
            lines.append(Line(LABELS[name], turns[:26], values[:26]))  # the rest is level
    gaps = torch.stack(seen)
    levels = tuple((float(truth[line]), LABELS[line]) for line in names[: len(lines)])
    panel = Panel("turns of the critic", "bound", tuple(lines), "A table's bound", levels=levels)
    return (
        panel,
        near("tables trained on four atoms: the bound less D_f", gaps[:, -1], 0, 1e-6),
        below("along their training: the bound less D_f", gaps, 0, 1e-12),
        near("their raw output less that of log p / q", torch.stack(found), 0, 1e-4),
    )


def _train(row: Divergence, steps: int) -> tuple[list[int], list[float], Tensor]:
    real, fake = (atoms(counts) for counts in (P, Q))
    game = match(objectives.fgan(row), Table(4), real, fake, optimizer=adam(0.1, (0.9, 0.99)))
    turns, values = game.play("critic", steps, cosine, lambda: game.value, 100)
    return turns, values, game.score(torch.arange(4.0)[:, None]).detach()


def _best_output(name: str, u: Tensor) -> Tensor:
    """The raw output at which the slope is f'(u), solved for by hand."""
    log = u.log()
    return {"kl": 1 + log, "pearson": 2 * (u - 1), "neyman": 2 * log, "hellinger": log / 2}.get(name, log)


def _gaussians(points: int) -> tuple[Check, Check, Check]:
    """By quadrature, beside closed forms and published numbers."""
    p, q = metrics.gaussian(0, 1), metrics.gaussian(1, 1)
    found = {name: metrics.f_divergence(divergences.TABLE[name], p, q, -14, 14, points) for name in NAMES}
    values, truth = torch.tensor(list(found.values())), torch.tensor([GAUSSIAN[name] for name in NAMES])
    usual = metrics.measure_on_line(metrics.jensen_shannon, p, q, -14, 14, points)
    return (
        near("N(0, 1) and N(1, 1): closed forms, 8 rows", values, truth, 1e-8),
        near("row JS, and twice the Jensen-Shannon divergence", found["js"], 2 * usual, 1e-10),
        above("row JS less the Jensen-Shannon divergence", found["js"] - usual, 0.1),
    )


def _thresholds() -> tuple[Check, Check, Check]:
    """Where an undecided critic stands: at f'(1), which is not always v = 0."""
    rows = [divergences.TABLE[name] for name in SLOPES]
    truth, one = torch.tensor(list(SLOPES.values())), torch.ones(())
    reached = [row.activation(torch.tensor(row.threshold)) for row in rows]
    kl = divergences.TABLE["kl"]
    return (
        near("f'(1), 7 rows", torch.stack([row.slope(one) for row in rows]), truth, 1e-12),
        near("g_f at the threshold, and f'(1)", torch.stack(reached), truth, 1e-12),
        above("KL: how far g_f(0) is from f'(1)", (kl.activation(torch.zeros(())) - kl.slope(one)).abs(), 0.1),
    )


def _equal_laws() -> tuple[Check, Check]:
    p, _ = _masses()
    same = torch.stack([(p * row.f(p / p)).sum() for row in _rows()])
    truth = torch.tensor([-math.log(4) if name == "gan" else 0.0 for name in NAMES])
    undecided = torch.stack([_value(row, torch.full((4,), row.threshold), p, p) for row in _rows()])
    return (
        near("D_f(P, P): 0, and −log 4 for GAN", same, truth, 1e-12),
        near("the game's value there, critic undecided", undecided, truth, 1e-12),
    )


def _pearson() -> tuple[Check, Check]:
    """Below t = -2 the highest u t - (u - 1)^2 is at u = 0, where it is -1."""
    t, conjugate = torch.linspace(-6, -2, 41), divergences.TABLE["pearson"].conjugate
    return (
        below("Pearson's f* below −2: −1 less the formula", -1 - conjugate(t), 0, 1e-12),
        near("its formula at t = −3: above −1 by 1/4", conjugate(torch.tensor(-3.0)) + 1, 0.25, 1e-12),
    )


def _shapes() -> Panel:
    u = torch.linspace(0.05, 3, 119)
    lines = (Line(label, u, divergences.TABLE[name].f(u)) for name, label in LABELS.items())
    return Panel("u = p / q", "f(u)", tuple(lines), "All but GAN are 0 at 1")


LAW = law("f-divergences", __doc__, prove)
