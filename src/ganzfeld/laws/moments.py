r"""Integral probability metrics and matched moments.

.. math::
    \sup_{\lVert v \rVert_p \le 1} \langle v, \delta \rangle = \lVert \delta \rVert_q, \quad \frac{1}{p} +
    \frac{1}{q} = 1, \qquad \sup_{U^T U = V^T V = I_k} \operatorname{Tr} U^T \Delta V = \sum_{j \le k}
    \sigma_j(\Delta)

Source: Mroueh, Sercu, Goel 2017 (McGAN); Arjovsky, Chintala, Bottou 2017 (WGAN).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from .. import constraints, metrics, networks, objectives, optimizers
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import match

NORMS = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}  # q, and the p of the ball that v lives in
BATCHES = (64, 512, 4_096)
FEATURES = 6
SPREADS = (1.6, 0.3, 1.25, 0.4, 0.5, 0.3), (0.3, 1.4, 0.4, 0.5, 0.3, 0.4)  # each law wider in some directions


def prove(fast: bool) -> Evidence:
    real, fake = _features(60, SPREADS[0], 0) + torch.tensor((0.2, -0.2) * 3), _features(60, SPREADS[1], 1)
    clouds, blind = _blindness()
    panel, biased = _bias(100 if fast else 1_000)
    checks = (
        *_mean(real, fake, 2_000 if fast else 20_000),
        *_ascents(real, fake, 30 if fast else 100),
        *_covariance(real, fake, 100 if fast else 1_000),
        *_retraction(real, fake, 100 if fast else 400),
        _both_moments(real, fake),
        _moved_cloud(),
        *blind,
        *biased,
    )
    return checks, (clouds, panel)


def _features(n: int, spread: tuple[float, ...], seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, len(spread), generator=rng) * torch.tensor(spread)


def _maximiser(delta: Tensor, q: float) -> Tensor:
    """Hölder's equality: the v of the ball that reaches the norm."""
    if q == 1:
        return delta.sign()
    if q == 2:
        return delta / delta.square().sum().sqrt()
    return torch.where(delta.abs() == delta.abs().max(), delta.sign(), 0.0)


def _mean(real: Tensor, fake: Tensor, draws: int) -> tuple[Check, Check]:
    """The dual of mean matching beside its primal at the optimum and at random."""
    delta = real.mean(0) - fake.mean(0)
    dual = torch.stack([objectives.mean_matching(q).critic(real, fake) for q in NORMS])
    primal = torch.stack([_maximiser(delta, q) @ delta for q in NORMS])
    v = torch.randn(draws, FEATURES, generator=torch.Generator().manual_seed(2))
    others = [(v / torch.linalg.vector_norm(v, p, 1, keepdim=True)) @ delta for p in NORMS.values()]
    return (
        near("mean matching and <v*, δ>, q = 1, 2, inf", dual, primal, 1e-12),
        below("random v of the balls: excess over it", torch.stack(others) - dual[:, None], 0, 1e-12),
    )


def _ascents(real: Tensor, fake: Tensor, steps: int) -> tuple[Check, Check]:
    """The primal as it is played: ascent of a linear critic, projected on a ball or clipped to a box."""
    delta = (real.mean(0) - fake.mean(0)).numpy()
    found = [_linear(real, fake, constraints.Ball(q), steps) for q in NORMS]
    truth = torch.tensor([np.linalg.norm(delta, q) for q in NORMS])
    clipped = _linear(real, fake, constraints.Clip(0.01), steps)
    return (
        near("projected ascent of v reaches it, q = 1, 2, inf", torch.tensor(found), truth, 1e-9),
        near("WGAN, a linear critic clipped at c: c |δ|_1", clipped, 0.01 * np.abs(delta).sum(), 1e-9),
    )


def _linear(real: Tensor, fake: Tensor, bound: constraints.Constraint, steps: int) -> float:
    critic = networks.Critic(nn.Identity(), FEATURES)
    game = match(objectives.wasserstein, critic, real, fake, (bound,), optimizers.sgd(4.0))
    game.play("critic", steps)
    return game.value


def _difference(real: Tensor, fake: Tensor) -> np.ndarray:
    """Of the second moments, sample by sample."""
    moments = [sum(np.outer(x, x) for x in side.numpy()) / len(side) for side in (real, fake)]
    return np.asarray(moments[0] - moments[1])


def _covariance(real: Tensor, fake: Tensor, pairs: int) -> tuple[Check, ...]:
    """The dual of covariance matching beside the singular vectors' primal, and random orthonormal pairs."""
    delta, ranks = _difference(real, fake), (1, 3, FEATURES)
    u, _, vt = np.linalg.svd(delta)
    dual = torch.stack([objectives.covariance_matching(k).critic(real, fake) for k in ranks])
    primal = torch.tensor([np.trace(u[:, :k].T @ delta @ vt[:k].T) for k in ranks])
    rng = np.random.default_rng(3)
    others = torch.tensor([[_trace(delta, k, rng) for _ in range(pairs)] for k in ranks])
    nuclear = float(np.linalg.norm(delta, "nuc"))
    alike = np.linalg.eigvalsh(delta)[-3:].sum()  # the largest that U = V can reach
    return (
        near("covariance matching and Tr U'DV of the SVD, k = 1, 3, 6", dual, primal, 1e-10),
        below("random orthonormal U, V: excess over it", others - dual[:, None], 0, 1e-10),
        near("k = m: the nuclear norm", dual[2], nuclear, 1e-10),
        above("what forcing U = V loses, k = 3", dual[1] - alike, 0.1),
    )


def _trace(delta: np.ndarray, k: int, rng: np.random.Generator) -> float:
    u, v = (np.linalg.qr(rng.standard_normal((FEATURES, k)))[0] for _ in range(2))
    return float(np.trace(u.T @ delta @ v))


def _retraction(real: Tensor, fake: Tensor, steps: int) -> tuple[Check, Check]:
    """The primal of covariance matching as it is played: a bilinear head, kept orthonormal."""
    critic = networks.Critic(nn.Identity(), FEATURES, "bilinear", 3)
    game = match(objectives.wasserstein, critic, real, fake, (constraints.Orthonormal(),), optimizers.sgd(0.5))
    game.play("critic", steps)
    columns = [game.state["params"]["critic"][name] for name in ("head.u", "head.v")]
    truth = np.linalg.svd(_difference(real, fake), compute_uv=False)[:3].sum()
    return (
        near("ascent of U and V with retraction reaches it, k = 3", game.value, truth, 1e-6),
        near("U'U and V'V after it", torch.stack([c.T @ c for c in columns]), torch.eye(3), 1e-10),
    )


def _both_moments(real: Tensor, fake: Tensor) -> Check:
    value = objectives.mean_and_covariance_matching(2.0, 3).critic(real, fake)
    mean = np.linalg.norm((real.mean(0) - fake.mean(0)).numpy())
    truth = mean + np.linalg.svd(_difference(real, fake), compute_uv=False)[:3].sum()
    return near("both together: the sum of the two", value, truth, 1e-10)


def _moved_cloud() -> Check:
    """One cloud and the same cloud moved: equal covariances, and moments that differ by a square of the means."""
    cloud = _features(200, (1.0, 2.0, 0.5), 4)
    cloud, shift = cloud - cloud.mean(0), torch.tensor([0.6, -0.3, 0.2])
    value = objectives.covariance_matching(1).critic(cloud + shift, cloud)
    return near("a cloud moved by μ, equal covariances: |μ|²", value, shift @ shift, 1e-10)


def _blindness() -> tuple[Panel, tuple[Check, Check, Check]]:
    """Two clouds with one mean: a critic that is linear in these features has nothing to say about them."""
    real, fake = (x - x.mean(0) for x in (_features(150, (1.8, 0.5), 5), _features(150, (0.5, 1.8), 6)))
    means = torch.stack([objectives.mean_matching(q).critic(real, fake) for q in NORMS])
    panel = Panel(
        "φ 1", "φ 2", (Line("real", real[:, 0], real[:, 1], "dots"), Line("fake", fake[:, 0], fake[:, 1], "dots")),
        "Equal means", plane=True,
    )  # fmt: skip
    return panel, (
        near("equal means: mean matching", means, 0, 1e-12),
        above("the same clouds: covariance matching", objectives.covariance_matching(2).critic(real, fake), 0.1),
        above("the same clouds: W1, the metric of WGAN", metrics.w1(real, fake), 0.1),
    )


def _length(n: int) -> float:
    """The mean length of a difference of two batch means, N(0, 2/n) in each of m features."""
    return math.sqrt(2 / n) * math.sqrt(2) * math.gamma((FEATURES + 1) / 2) / math.gamma(FEATURES / 2)


def _bias(repeats: int) -> tuple[Panel, tuple[Check, ...]]:
    """What the dual says of two batches of one law."""
    sizes = (16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096)
    seen = {n: _equal_laws(n, repeats) for n in sizes}
    panel = Panel(
        "batch size n", "value", (
            Line("formula", sizes, [_length(n) for n in sizes], "dashes"),
            Line("measured", sizes, [seen[n] for n in sizes], "dots"),
        ), "Equal laws", log_x=True, log_y=True,
    )  # fmt: skip
    checks = (near(f"equal laws, n = {n}: the mean value", seen[n], _length(n), _length(n) / 10) for n in BATCHES)
    return panel, tuple(checks)


def _equal_laws(n: int, repeats: int) -> float:
    rng, value = torch.Generator().manual_seed(n), objectives.mean_matching(2.0).critic
    batches = (torch.randn(2, n, FEATURES, generator=rng) for _ in range(repeats))
    return sum(float(value(*pair)) for pair in batches) / repeats


LAW = law("moments", __doc__, prove)
