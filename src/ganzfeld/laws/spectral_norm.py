r"""Spectral normalisation.

.. math::
    \lVert f \rVert_{Lip} \le \prod_{l} \sigma(W_l), \qquad \bar{W} = \frac{W}{\sigma(W)}, \qquad \hat{\sigma} = u^T
    W v \le \sigma(W)

Source: Miyato et al. 2018, algorithm 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from .. import constraints, metrics, objectives
from ..core.tree import Tree
from ..networks import layers
from ..optimizers import adam
from .law import Check, Evidence, Line, Panel, above, below, law, near
from .play import Match, constant, critic, match

STEPS = 100  # of power iteration
SIDE = 8  # of the pictures that operators act on


def prove(fast: bool) -> Evidence:
    checks = (
        *_iteration(),
        *_random_matrices(3 if fast else 30),
        *_norms(),
        _gradient(),
        *_perceptron(*((60, 16, 200) if fast else (600, 64, 1_000))),
        *_kernels(5 if fast else 50),
        *_other_layers(),
    )
    return checks, (_estimates(), _operators())


def _matrix(values: Tensor, columns: int, seed: int) -> tuple[Tensor, Tensor]:
    """A matrix of known singular values, and its right singular vectors [columns, rank]."""
    rng = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(n, len(values), generator=rng))[0] for n in (len(values), columns))
    return left @ torch.diag(values) @ right.T, right


def _iterate(weight: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Critic's turns of the constraint on a weight that stands still: estimates [STEPS], vectors v, dressed weights."""
    state = {"w.u": weight @ start / (weight @ start).norm(), "w.v": start / start.norm()}
    estimates, vectors, dressed = [], [], []
    for _ in range(STEPS):
        params, state = constraints.Spectral().dress({"w": weight}, state, advance=True)
        estimates.append((weight * params["w"]).sum() / params["w"].square().sum())  # weight = estimate * dressed
        vectors.append(state["w.v"])
        dressed.append(params["w"])
    return torch.stack(estimates), torch.stack(vectors), torch.stack(dressed)


def _known_spectrum(ratio: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Estimates for singular values 3 (1, ratio, .3, ...), what they are in closed form, the vectors, the true one."""
    values = 3 * torch.tensor([1.0, ratio, *[0.3] * 18])
    weight, right = _matrix(values, 30, 0)
    start = torch.randn(30, generator=torch.Generator().manual_seed(1))
    estimates, vectors, _ = _iterate(weight, start)
    k = torch.arange(1, STEPS + 1)[:, None]
    share = (right.T @ start).square() * (values / 3) ** (4 * k)
    return estimates, 3 * (share.sum(1) / (share / (values / 3) ** 2).sum(1)).sqrt(), vectors, right[:, 0]


def _iteration() -> tuple[Check, ...]:
    """Singular values of which the second is nine tenths of the first: the estimates, and two rates."""
    estimates, truth, vectors, best = _known_spectrum(0.9)
    cosines = (vectors @ best).abs()
    tangent, short = (vectors - (vectors @ best)[:, None] * best).norm(dim=1) / cosines, 1 - estimates / 3
    return (
        near("power iteration, every step: estimate, closed form", estimates, truth, 1e-12),
        below("estimate / σ", estimates / 3, 1, 1e-12),
        near("error of the vector, a step: (s2 / s1)²", tangent[30:50] / tangent[29:49], 0.9**2, 1e-6),
        near("error of the estimate, a step: (s2 / s1)⁴", short[45] / short[44], 0.9**4, 1e-6),
    )


def _random_matrices(count: int) -> tuple[Check, ...]:
    """Gaussian 20 x 30 weights from a random vector: below the exact norm, above 1 when divided, exact in the end."""
    last, norms = [], []
    for seed in range(count):
        rng = torch.Generator().manual_seed(seed)
        weight, start = torch.randn(20, 30, generator=rng), torch.randn(30, generator=rng)
        estimates, _, dressed = _iterate(weight, start)
        first, second, *_ = torch.linalg.svdvals(weight)
        if second < 0.95 * first:  # else 100 steps do not suffice
            last.append(estimates[-1] / first)
        norms.append(torch.linalg.matrix_norm(dressed, 2))
    return (
        near("random weights, s2 < .95 s1, 100 steps: estimate / σ", torch.stack(last), 1, 1e-6),
        above("random weights when divided: norms, every step", torch.stack(norms), 1, 1e-12),
        above("random weights when divided: norms after one step", torch.stack(norms)[:, 0], 1.1),
    )


def _normalise(weight: Tensor, norm: float = 1.0, at: Tensor | None = None) -> Tensor:
    """A weight as it is played with, by vectors that are the exact ones, of itself or of another."""
    spectral = constraints.Spectral(norm)
    return spectral.dress({"w": weight}, spectral.init({"w": weight if at is None else at}), advance=False)[0]["w"]


def _norms() -> tuple[Check, ...]:
    """What is left of large, small and wanted norms."""
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    scales, wanted = (0.01, 1.0, 100.0), torch.tensor([0.5, 1.0, 2.0])
    norms = [metrics.spectral_norms({"w": _normalise(scale * weight)})["w"] for scale in scales]
    others = [metrics.spectral_norms({"w": _normalise(weight, float(c))})["w"] for c in wanted]
    small = _normalise(0.01 * torch.eye(4))
    return (
        near("exact vectors: norm of the divided weight", torch.tensor(norms), 1, 1e-9),
        near("norms c that were asked for", torch.tensor(others), wanted, 1e-9),
        near("0.01 I becomes I", small, torch.eye(4), 1e-12),
    )


def _gradient() -> Check:
    """The derivative of sum delta^T (W / sigma) h by W, and the formula (delta h^T - lambda u v^T) / sigma."""
    rng = torch.Generator().manual_seed(2)
    weight, h, delta = (torch.randn(n, m, generator=rng) for n, m in ((5, 7), (9, 7), (9, 5)))
    gradient = torch.func.grad(lambda w: (h @ _normalise(w, at=weight).T * delta).sum())(weight)
    u, s, vt = torch.linalg.svd(weight)
    pull = (delta * (h @ weight.T)).sum() / s[0]
    return near("gradient through σ", gradient, (delta.T @ h - pull * torch.outer(u[:, 0], vt[0])) / s[0], 1e-10)


def _perceptron(turns: int, width: int, chords: int) -> tuple[Check, ...]:
    """A critic trained under the constraint: while it moves its norms are a little above 1; at rest the bound holds."""
    rng = torch.Generator().manual_seed(3)
    real, fake = torch.randn(2, 64, 2, generator=rng)
    net = critic(2, width, 3)
    game = match(objectives.hinge, net, real + 1, fake, (constraints.Spectral(),), optimizer=adam(1e-2, (0.0, 0.99)))
    _, products = game.play("critic", turns, constant, lambda: _product(game.weights), looks=turns)
    weights = _settle(game)
    x, y = torch.randn(2, chords, 2, generator=rng) * 2
    f = lambda x: functional_call(net, weights, (x,))  # noqa: E731
    between = torch.lerp(x[:, None], y[:, None], torch.linspace(0, 1, 101)[:, None]).flatten(0, 1)
    steepest = float(metrics.gradient_norms(f, between).detach().max())
    return (
        above("a moving perceptron: product of its norms, largest", max(products), 1.001),
        near("at rest: the product of norms", metrics.product_bound(weights), _product(weights), 1e-12),
        near("at rest: that product is", metrics.product_bound(weights), 1, 1e-5),
        below("at rest: steepest gradient / product", steepest / _product(weights), 1, 1e-5),
        below("at rest: steepest chord / steepest gradient", metrics.difference_quotient(f, x, y) / steepest, 1, 1e-5),
        above("at rest: steepest chord", metrics.difference_quotient(f, x, y), 0.5),
    )


def _settle(game: Match) -> Tree:
    """The weights after more power iteration while nothing else moves."""
    weights, memory = game.state["params"]["critic"], game.state["constraints"]
    for _ in range(300):
        dressed, memory = game.game.dress(weights, memory, advance=True)
    return dressed


def _product(weights: Tree) -> float:
    return math.prod(float(torch.linalg.svdvals(w.detach().flatten(1))[0]) for w in weights.values() if w.dim() > 1)


def _operator(f, channels: int = 1, side: int = SIDE) -> Tensor:
    """The matrix of a linear map of pictures, by its values on the unit pictures."""
    eye = torch.eye(channels * side * side).view(-1, channels, side, side)
    return f(eye).detach().flatten(1).T


def _norm(matrix: Tensor) -> Tensor:
    return torch.linalg.svdvals(matrix)[..., 0]


def _by_frequency(kernel: Tensor) -> Tensor:
    """The norm of a convolution on a torus: the largest over the frequencies of its transformed kernel."""
    return _norm(torch.fft.fft2(kernel, (SIDE, SIDE)).permute(2, 3, 0, 1)).max()


def _conv(kernel: Tensor, padding: int = 1) -> nn.Module:
    return layers.Conv(kernel.shape[1], len(kernel), padding=padding, bias=False, init=_start_at(kernel))


def _start_at(values: Tensor) -> layers.Init:
    return lambda weight: weight.data.copy_(values)


def _kernels(count: int) -> tuple[Check, ...]:
    """Kernels whose flattened norm is 1, and the operators they stand for."""
    ones, rng = torch.ones(1, 1, 3, 3), torch.Generator().manual_seed(4)
    random = [_normalise(torch.randn(8, 8, 3, 3, generator=rng)) for _ in range(count)]
    ratios = torch.stack([_by_frequency(kernel) for kernel in random])
    torus = _conv(random[0], padding=0)
    wrapped = _norm(_operator(lambda x: torus(pad(x, [1] * 4, mode="circular")), 8))
    return (
        near("3 x 3 kernel of ones: flattened norm", metrics.spectral_norms({"w": ones})["w"], 3, 1e-9),
        near("divided by it, on a torus", _by_frequency(_normalise(ones)) * 3, 9, 1e-9),
        near("with edges of 0, 16 x 16", _norm(_operator(_conv(ones), side=16)), 8.797, 1e-3),
        near("a random kernel on a torus: matrix, and Fourier", wrapped, ratios[0], 1e-9),
        below("random kernels of norm 1: operator", ratios, 3, 1e-9),
        above("random kernels of norm 1: operator, smallest", ratios, 1.2),
    )


def _other_layers() -> tuple[Check, ...]:
    """What has no weight to divide, or two ways to add up; and a critic of such layers."""
    f = nn.Sequential(_conv(_normalise(torch.ones(1, 1, 3, 3))), layers.SumPool(), nn.Flatten(0))
    slope = metrics.gradient_norms(f, torch.zeros(1, 1, SIDE, SIDE))
    bound = metrics.product_bound(dict(f.named_parameters()))
    return (
        near("mean over 2 x 2 places", _norm(_operator(_mean_pool())), 0.5, 1e-9),
        near("sum over 8 x 8 places", _norm(_operator(layers.SumPool())), 8, 1e-9),
        near("x + SN(x), at most", _norm(_residual()), 2, 1e-9),
        near("a kernel of ones, then a sum: product of norms", bound, 1, 1e-9),
        above("its slope", slope, 20),
    )


def _mean_pool() -> nn.Module:
    """A convolution that does nothing, then 2 x 2 average pooling: the family's fused layer."""
    same = torch.zeros(1, 1, 3, 3)
    same[0, 0, 1, 1] = 1
    return layers.PooledConv(1, 1, bias=False, init=_start_at(same))


def _residual() -> Tensor:
    """The matrix of the family's residual sum with a normalised weight that shares a direction with the identity."""
    root = torch.randn(5, 5, generator=torch.Generator().manual_seed(5))
    weight = _normalise(root @ root.T)
    way = layers.Chain(layers.Dense(5, 5, bias=False, init=_start_at(weight)))
    return layers.Residual(nn.Identity(), way)(torch.eye(5)).detach().T


def _estimates() -> Panel:
    turns = range(1, 21)
    lines = []
    for ratio in (0.9, 0.6):
        estimates, truth, *_ = _known_spectrum(ratio)
        lines.append(Line(f"closed form, {ratio}", turns, truth[:20] / 3, "dashes"))
        lines.append(Line(f"s2 / s1 = {ratio}", turns, estimates[:20] / 3, "dots"))
    return Panel("steps", "estimate / σ", tuple(lines), "Power iteration", levels=((1.0, "σ"),))


def _operators() -> Panel:
    """The true norms of layers that spectral normalisation leaves with norm 1, or does not see."""
    norms = {
        "dense": _norm(_normalise(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))),
        "3 x 3 kernel": _by_frequency(_normalise(torch.ones(1, 1, 3, 3))),
        "x + SN(x)": _norm(_residual()),
        "sum, 8 x 8": _norm(_operator(layers.SumPool())),
        "mean, 2 x 2": _norm(_operator(_mean_pool())),
    }
    bars = tuple(Line(name, [i], [float(norm)], "bars") for i, (name, norm) in enumerate(norms.items()))
    return Panel("layer", "true norm", bars, "Where the bound fails", levels=((1.0, "norm 1"),), low=0)


LAW = law("spectral-norm", __doc__, prove)
