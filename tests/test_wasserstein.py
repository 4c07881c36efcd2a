"""W1 and its duals; clipping, gradient penalties, and where a critic's value is not a distance."""

import math

import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance
from torch import nn

from ganzfeld import constraints, metrics, objectives
from ganzfeld.constraints import R1, R2, Clip, Dragan, GradientPenalty, slopes
from ganzfeld.networks import MLP

F64 = torch.float64


def cloud(n, d, seed):
    return torch.randn(n, d, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_order_statistics_equal_assignment_and_scipy_on_the_line():
    x, y = cloud(60, 1, 0), 2 * cloud(60, 1, 1) + 1
    exact = wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert metrics.w1_line(x[:, 0], y[:, 0]) == pytest.approx(exact, abs=1e-10)
    assert metrics.w1(x, y) == pytest.approx(exact, abs=1e-10)


def test_assignment_equals_optimal_transport():
    ot = pytest.importorskip("ot", reason="POT is the oracle")
    x, y = cloud(40, 3, 2), cloud(40, 3, 3) + 0.5
    weights = torch.full((40,), 1 / 40, dtype=F64).numpy()
    exact = ot.emd2(weights, weights, torch.cdist(x, y).numpy())
    assert metrics.w1(x, y) == pytest.approx(float(exact), abs=1e-10)


def test_kantorovich_rubinstein_dual_equals_the_primal():
    x, y = cloud(12, 2, 4), cloud(12, 2, 5) + 1
    points = torch.cat([x, y])
    distance = torch.cdist(points, points)
    rows, bounds = [], []
    for i in range(24):
        for j in range(24):
            if i != j:
                row = [0.0] * 24
                row[i], row[j] = 1.0, -1.0
                rows.append(row)
                bounds.append(float(distance[i, j]))
    gain = [-1 / 12] * 12 + [1 / 12] * 12
    best = linprog(gain, A_ub=rows, b_ub=bounds, bounds=[(None, None)] * 24)
    assert -best.fun == pytest.approx(metrics.w1(x, y), abs=1e-9)


def test_w1_of_gaussians_on_the_line():
    assert metrics.w1_gaussians_1d(0, 1, 3, 1) == pytest.approx(3)
    assert metrics.w1_gaussians_1d(0, 1, 0, 2) == pytest.approx(math.sqrt(2 / math.pi), abs=1e-10)
    assert metrics.w1_gaussians_1d(0, 1, 1, 2) == pytest.approx(1.1666309431, abs=1e-6)
    z, w = metrics.nodes(-12, 12)
    by_quantiles = (w * metrics.gaussian(0, 1)(z) * (1 + z).abs()).sum()  # (1 + 2z) - z
    assert float(by_quantiles) == pytest.approx(1.1666309431, abs=1e-6)


@pytest.mark.parametrize("theta", [0.001, 0.5, -3.0])
def test_w1_moves_where_jensen_shannon_jumps(theta):
    zero, moved = torch.zeros(4, 1, dtype=F64), torch.full((4, 1), theta, dtype=F64)
    assert metrics.w1(zero, moved) == pytest.approx(abs(theta))
    p, q = torch.tensor([1.0, 0.0], dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    assert metrics.jensen_shannon(p, q) == pytest.approx(math.log(2))
    assert metrics.jensen_shannon(p, p) == 0


def test_boxed_linear_critic_reaches_the_l1_norm_not_w1():
    delta = torch.tensor([3.0, -4.0, 0.5], dtype=F64)
    w = torch.zeros(3, dtype=F64)
    for _ in range(50):
        w = Clip(0.1).project({"w": w + delta})["w"]
    assert float(w @ delta) == pytest.approx(0.1 * 7.5, abs=1e-12)
    assert abs(float(w @ delta) - float(delta.norm())) > 1


def test_clipped_perceptron_keeps_its_lipschitz_bound():
    torch.manual_seed(0)
    _, critic = MLP(width=8, depth=2).pair((2,))
    c, sizes = 0.2, [2, 8, 8, 1]
    params = Clip(c).project({n: 5 * p.detach() for n, p in critic.named_parameters()})
    assert all(p.abs().max() <= c for p in params.values())
    bound = math.prod(c * math.sqrt(n * m) for n, m in zip(sizes, sizes[1:], strict=False))
    f = lambda x: torch.func.functional_call(critic, params, (x,))  # noqa: E731
    x, y = cloud(500, 2, 1).float(), cloud(500, 2, 2).float()
    assert 0 < metrics.difference_quotient(f, x, y) <= bound
    assert metrics.difference_quotient(f, x, y) <= metrics.product_bound(params) * (1 + 1e-5) <= bound * (1 + 1e-4)


def linear(w):
    return lambda x: x.flatten(1) @ w


def penalised(w, weight, real, fake):
    term = GradientPenalty(weight).penalty(
        linear(w), {}, (real,), (fake,), {"mix": torch.full((len(real),), 0.3).to(real)}
    )
    return -objectives.wasserstein.critic(linear(w)(real), linear(w)(fake)).mean() + term.mean()


def test_penalised_linear_critic_overshoots_w1():
    real, fake = torch.tensor([[3.0, 4.0]], dtype=F64), torch.zeros(1, 2, dtype=F64)
    w = torch.tensor([0.1, 0.1], dtype=F64, requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def close():
        optimiser.zero_grad()
        loss = penalised(w, 10.0, real, fake)
        loss.backward()
        return loss

    optimiser.step(close)
    w = w.detach()
    assert float(w.norm()) == pytest.approx(1.25, abs=1e-3)
    assert float(-penalised(w, 10.0, real, fake)) == pytest.approx(5.625, abs=1e-3)
    assert float((real - fake)[0] @ w) == pytest.approx(6.25, abs=1e-3)  # printed as W1, which is 5


def test_penalty_vanishes_for_unit_slope_and_the_norm_over_one_axis_bites():
    w = torch.full((3 * 8 * 8,), 1 / math.sqrt(3 * 8 * 8), dtype=F64)
    x = cloud(4, 3 * 64, 0).view(4, 3, 8, 8)
    term = GradientPenalty(1.0).penalty(linear(w), {}, (x,), (x + 1,), {"mix": torch.rand(4, dtype=F64)})
    assert torch.allclose(term, torch.zeros(4, dtype=F64), atol=1e-9)
    gradient = torch.func.grad(lambda x: linear(w)(x).sum())(x)
    faulty = (gradient.norm(dim=1) - 1).square().mean()
    assert float(faulty) == pytest.approx(0.765625, abs=1e-9)


def test_penalty_mixes_each_sample_by_one_number():
    real, fake = torch.zeros(6, 2, 3), torch.ones(6, 2, 3)
    seen = []

    def f(x):
        seen.append(x)
        return x.flatten(1).sum(1)

    GradientPenalty().penalty(f, {}, (real,), (fake,), {"mix": torch.linspace(0, 1, 6)})
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
        return GradientPenalty(10.0).penalty(f, named, (real,), (fake,), {"mix": mix}).mean()

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
    assert torch.allclose(R1(3.0).penalty(quadratic, {}, (real,), (fake,), {}), 1.5 * real.square().sum(1))
    assert torch.allclose(R2(3.0).penalty(quadratic, {}, (real,), (fake,), {}), 1.5 * fake.square().sum(1))
    mix, shift = torch.rand(6, dtype=F64), torch.rand(6, 2, dtype=F64)
    near = real + mix[:, None] * 0.5 * real.std() * shift
    term = Dragan(10.0).penalty(quadratic, {}, (real,), (fake,), {"mix": mix, "shift0": shift})
    assert torch.allclose(term, 10 * (near.norm(dim=1) - 1).square())


@pytest.mark.parametrize(
    ("norm", "mixes"),
    [(nn.LayerNorm(4), False), (nn.Identity(), False), (nn.BatchNorm1d(4, track_running_stats=False), True)],
)
def test_samples_mix_only_through_batch_norm(norm, mixes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), norm, nn.Tanh(), nn.Linear(4, 1)).double()
    seen = metrics.sample_mixing(lambda x: net(x).squeeze(-1), cloud(6, 3, 1))
    assert (seen > 1e-3) if mixes else (seen == 0)


def test_trained_critic_points_from_fake_to_real_with_unit_slope():
    torch.manual_seed(0)
    _, critic = MLP(width=32, depth=2).pair((2,))
    real, fake = torch.tensor([[1.0, 0.0]]).repeat(64, 1), torch.tensor([[-1.0, 0.0]]).repeat(64, 1)
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(400):
        mix = torch.rand(64)
        term = GradientPenalty(10.0).penalty(critic, {}, (real,), (fake,), {"mix": mix})
        loss = -objectives.wasserstein.critic(critic(real), critic(fake)).mean() + term.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = torch.stack([torch.linspace(-0.8, 0.8, 9), torch.zeros(9)], 1)
    gradient = torch.func.grad(lambda x: critic(x).sum())(x)
    angle = torch.rad2deg(torch.atan2(gradient[:, 1].abs(), gradient[:, 0]))
    assert angle.max() < 5
    assert ((gradient.norm(dim=1) - 1 - 2 / 20).abs() < 0.1).all()  # 1 + |delta| / (2 lambda)


class TestDiracGan:
    """D(x) = psi x, data at 0, generator at theta, logistic payoff (Mescheder et al. 2018)."""

    @staticmethod
    def field(psi, theta, gamma=0.0):
        """The ascent of the critic and descent of the generator, from the objective itself."""
        psi, theta = (torch.tensor(float(v), dtype=F64, requires_grad=True) for v in (psi, theta))
        zero = torch.zeros((), dtype=F64)
        value = objectives.non_saturating.critic(psi * zero, psi * theta) - gamma / 2 * psi**2
        cost = objectives.non_saturating.generator(None, psi * theta)
        return torch.autograd.grad(value, psi)[0], -torch.autograd.grad(cost, theta)[0]

    def jacobian(self, gamma=0.0, h=1e-6):
        columns = []
        for dp, dt in ((h, 0), (0, h)):
            up, down = self.field(dp, dt, gamma), self.field(-dp, -dt, gamma)
            columns.append(torch.stack([(a - b) / (2 * h) for a, b in zip(up, down, strict=True)]))
        return torch.stack(columns, 1)

    def test_the_field_turns_in_circles(self):
        eigenvalues = torch.linalg.eigvals(self.jacobian())
        assert torch.allclose(eigenvalues.real, torch.zeros(2, dtype=F64), atol=1e-8)
        assert torch.allclose(eigenvalues.imag.abs(), torch.full((2,), 0.5, dtype=F64), atol=1e-8)

    @pytest.mark.parametrize(("h", "modulus"), [(0.1, 1.00124922), (0.5, 1.03077641)])
    def test_simultaneous_steps_diverge_and_alternating_ones_orbit(self, h, modulus):
        j = self.jacobian()
        eye = torch.eye(2, dtype=F64)
        assert torch.linalg.eigvals(eye + h * j).abs() == pytest.approx([modulus] * 2, abs=1e-7)
        critic, generator = eye.clone(), eye.clone()
        critic[0] += h * j[0]
        generator[1] += h * j[1]
        assert torch.linalg.eigvals(generator @ critic).abs() == pytest.approx([1.0] * 2, abs=1e-7)

    @pytest.mark.parametrize("gamma", [0.1, 1.0, 2.0])
    def test_r1_makes_it_converge(self, gamma):
        found = sorted(torch.linalg.eigvals(self.jacobian(gamma)).tolist(), key=lambda z: (z.real, z.imag))
        root = (gamma**2 - 1 + 0j) ** 0.5
        expected = sorted([(-gamma - root) / 2, (-gamma + root) / 2], key=lambda z: (z.real, z.imag))
        for a, b in zip(found, expected, strict=True):
            assert abs(a - b) < 1e-4 if gamma == 1 else abs(a - b) < 1e-8  # a double root is ill-conditioned
            assert a.real < 0
        assert self.jacobian(gamma)[0, 0] == pytest.approx(-gamma, abs=1e-8)

    def test_the_r1_of_the_house_is_the_one_in_the_field(self):
        term = R1(3.0).penalty(lambda x: 0.7 * x[:, 0], {}, (torch.zeros(2, 1),), (), {})
        assert torch.allclose(term, torch.full((2,), 1.5 * 0.49))
