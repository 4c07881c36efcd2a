"""W1 and its duals; clipping, gradient penalties, and where a critic's value is not a distance."""

import torch

from ganzfeld import constraints
from ganzfeld.constraints import R1, R2, CriticTurn, Dragan, GradientPenalty, slopes
from ganzfeld.networks import MLP

F64 = torch.float64


def cloud(n, d, seed):
    return torch.randn(n, d, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_penalty_mixes_each_sample_by_one_number():
    real, fake = torch.zeros(6, 2, 3), torch.ones(6, 2, 3)
    seen = []

    def f(x):
        seen.append(x)
        return x.flatten(1).sum(1)

    GradientPenalty().penalty(CriticTurn(f, {}, (real,), (fake,), {"mix": torch.linspace(0, 1, 6)}))
    spread = torch.func.vmap(lambda x: x)(torch.stack([1 - torch.linspace(0, 1, 6)] * 6, 1).view(6, 2, 3))
    points = constraints._mix(torch.linspace(0, 1, 6), real, fake)
    assert torch.equal(points, spread)
    assert seen


def test_double_backward_is_right():
    torch.manual_seed(1)
    _, critic = MLP(width=5, depth=2, activation="tanh").pair((3,))
    critic = critic.double()
    params = {n: p.detach() for n, p in critic.named_parameters()}
    real, fake, mix = cloud(4, 3, 1), cloud(4, 3, 2), torch.rand(4, dtype=F64)
    names = list(params)

    def loss(*values):
        named = dict(zip(names, values, strict=True))
        f = lambda x: torch.func.functional_call(critic, named, (x,))  # noqa: E731
        return GradientPenalty(10.0).penalty(CriticTurn(f, named, (real,), (fake,), {"mix": mix})).mean()

    values = tuple(p.clone().requires_grad_() for p in params.values())
    assert torch.autograd.gradcheck(loss, values, rtol=1e-4)
    assert torch.autograd.gradgradcheck(loss, values, rtol=1e-4)
    assert sum(float(g.abs().sum()) for g in torch.autograd.grad(loss(*values), values, materialize_grads=True)) > 1e-3


def test_slope_at_a_flat_point_is_zero_and_differentiable():
    a = torch.zeros((), dtype=F64, requires_grad=True)
    norms = slopes(lambda x: a * x.sum(1), (torch.ones(3, 2, dtype=F64),))
    (gradient,) = torch.autograd.grad(norms.sum(), a)
    assert torch.equal(norms, torch.zeros(3, dtype=F64))
    assert torch.isfinite(gradient)


def test_joint_slope_is_taken_over_all_parts():
    x, z = cloud(5, 3, 1), cloud(5, 2, 2)
    norms = slopes(lambda x, z: 3 * x[:, 0] + 4 * z[:, 1], (x, z))
    assert torch.allclose(norms, torch.full((5,), 5.0, dtype=F64))


def test_r1_r2_and_dragan_on_known_critics():
    real, fake = cloud(6, 2, 1), cloud(6, 2, 2)
    quadratic = lambda x: x.square().sum(1) / 2  # noqa: E731
    assert torch.allclose(R1(3.0).penalty(CriticTurn(quadratic, {}, (real,), (fake,), {})), 1.5 * real.square().sum(1))
    assert torch.allclose(R2(3.0).penalty(CriticTurn(quadratic, {}, (real,), (fake,), {})), 1.5 * fake.square().sum(1))
    mix, shift = torch.rand(6, dtype=F64), torch.rand(6, 2, dtype=F64)
    near = real + mix[:, None] * 0.5 * real.std() * shift
    term = Dragan(10.0).penalty(CriticTurn(quadratic, {}, (real,), (fake,), {"mix": mix, "shift0": shift}))
    assert torch.allclose(term, 10 * (near.norm(dim=1) - 1).square())
