"""The original game: its value, its optimal discriminator, and what reaches the generator."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from ganzfeld import divergences, metrics, objectives
from ganzfeld.metrics import gaussian, nodes

F64 = torch.float64
LOG4 = math.log(4)
GAUSSIANS = [  # (m, s) of G's law against N(0, 1), JS in nats
    (0.0, 1.0, 0.0),
    (1.0, 1.0, 0.1114214822),
    (2.0, 1.0, 0.3368308203),
    (4.0, 1.0, 0.6327201937),
    (0.0, 2.0, 0.0927333817),
    (1.0, 2.0, 0.1281749731),
    (10.0, 1.0, 0.6931463174),
]
P, Q = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=F64), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)


def value(o, p, q):
    """V of a table of raw scores on a discrete pair."""
    real = objectives.minimax.critic(o, torch.full_like(o, -math.inf))  # log D + log 1
    fake = objectives.minimax.critic(torch.full_like(o, math.inf), o)
    return (p * real + q * fake).sum()


@pytest.mark.parametrize("seed", range(20))
def test_a_log_y_plus_b_log_one_minus_y_is_maximal_at_a_over_a_plus_b(seed):
    a, b = np.random.default_rng(seed).uniform(0.05, 5, 2)
    best = minimize_scalar(
        lambda y: -(a * np.log(y) + b * np.log1p(-y)),
        bounds=(1e-9, 1 - 1e-9),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert best.x == pytest.approx(a / (a + b), abs=1e-6)


def test_trained_table_reaches_the_optimal_discriminator_and_jensen_shannon():
    p, q = P.clone(), Q.clone()
    p[3] = 1e-3
    p = p / p.sum()
    o = torch.zeros(4, dtype=F64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [o], max_iter=500, tolerance_grad=1e-14, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def close():
        optimiser.zero_grad()
        loss = -value(o, p, q)
        loss.backward()
        return loss

    optimiser.step(close)
    o = o.detach()
    assert torch.allclose(o.sigmoid(), p / (p + q), atol=1e-6, rtol=0)
    assert float(value(o, p, q)) == pytest.approx(-LOG4 + 2 * metrics.jensen_shannon(p, q), abs=1e-10)


def test_discrete_fixture_has_its_value():
    assert metrics.jensen_shannon(P, Q) == pytest.approx(0.2214729843854, abs=1e-10)
    assert metrics.optimal_discriminator_value(P, Q) == pytest.approx(-0.9433483923290, abs=1e-10)


@pytest.mark.parametrize(("m", "s", "js"), GAUSSIANS)
def test_value_at_the_optimal_discriminator_is_two_js_minus_log_four(m, s, js):
    p, q = gaussian(0, 1), gaussian(m, s)
    x, w = nodes(-25, 35)
    o = (p(x) + 1e-300).log() - (q(x) + 1e-300).log()
    terms = p(x) * objectives.minimax.critic(o, torch.full_like(o, -math.inf)) + q(x) * -torch.nn.functional.softplus(o)
    v = float((w * terms).sum())
    mixture = (p(x) + q(x)) / 2
    by_definition = (
        float((w * (torch.special.xlogy(p(x), p(x) / mixture) + torch.special.xlogy(q(x), q(x) / mixture))).sum()) / 2
    )
    assert by_definition == pytest.approx(js, abs=1e-8)
    assert v == pytest.approx(-LOG4 + 2 * js, abs=2e-8)


def test_no_discriminator_beats_the_optimal_one():
    rng = torch.Generator().manual_seed(0)
    p, q = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([0.1, 0.3, 0.6], dtype=F64)
    best = metrics.optimal_discriminator_value(p, q)
    values = [float(value(3 * torch.randn(3, dtype=F64, generator=rng), p, q)) for _ in range(1_000)]
    assert max(values) < best
    assert float(value((p / q).log(), p, q)) == pytest.approx(best, abs=1e-12)


def test_losses_of_an_undecided_critic():
    zero = torch.zeros(1)
    assert float(-objectives.minimax.critic(zero, zero)) == pytest.approx(2 * math.log(2), abs=1e-7)
    assert float(objectives.non_saturating.generator(None, zero)) == pytest.approx(math.log(2), abs=1e-7)


def generator_gradient(objective, theta):
    """d/dtheta of the expected cost of N(theta, 1) against N(0, 1) at the fixed optimal critic, by quadrature."""
    e, w = nodes(-12, 12)
    t = torch.tensor(theta, dtype=F64, requires_grad=True)
    x = t + e
    o = -(x**2) / 2 + (x - theta) ** 2 / 2  # log p - log q, with q held at theta
    cost = (w * gaussian(0, 1)(e) * objective.generator(None, o)).sum()
    return float(torch.autograd.grad(cost, t)[0])


@pytest.mark.parametrize(("theta", "gradient"), [(0.5, 0.2352635), (1.0, 0.3979729), (2.0, 0.4495995)])
def test_minimax_gradient_at_the_optimal_critic_is_that_of_two_js(theta, gradient):
    assert generator_gradient(objectives.minimax, theta) == pytest.approx(gradient, abs=1e-5)


@pytest.mark.parametrize("theta", [0.5, 1.0, 2.0])
def test_non_saturating_gradient_is_that_of_kl_minus_two_js(theta):
    kl = theta  # d/dtheta of theta^2 / 2
    two_js = generator_gradient(objectives.minimax, theta)
    assert generator_gradient(objectives.non_saturating, theta) == pytest.approx(kl - two_js, abs=1e-5)
    assert abs(generator_gradient(objectives.non_saturating, theta) - two_js) > 1e-2  # another game


def test_non_saturating_fixture():
    assert generator_gradient(objectives.non_saturating, 1.0) == pytest.approx(0.6020271, abs=1e-5)


def slope(f, o):
    o = o.clone().requires_grad_()
    return torch.autograd.grad(f(o).sum(), o)[0]


def test_payoffs_scale_the_gradient_by_d_and_one_minus_d():
    o = torch.linspace(-100, 100, 2_001, dtype=F64)
    d, rest = metrics.payoff_factors(o)
    assert torch.allclose(slope(torch.sigmoid, o), d * rest, atol=1e-12)
    assert torch.allclose(slope(lambda o: objectives.minimax.generator(None, o), o), -d, atol=1e-12)
    assert torch.allclose(slope(lambda o: objectives.non_saturating.generator(None, o), o), -rest, atol=1e-12)
    for objective in (objectives.minimax, objectives.non_saturating):
        single = o.float()
        assert torch.isfinite(objective.generator(None, single)).all()
        assert torch.isfinite(slope(lambda o, f=objective: f.generator(None, o), single)).all()


def test_ratio_of_the_payoffs_is_exponential():
    o = torch.tensor([-10.0], dtype=F64)
    ratio = slope(lambda o: objectives.non_saturating.generator(None, o), o) / slope(
        lambda o: objectives.minimax.generator(None, o), o
    )
    assert float(ratio) == pytest.approx(22026.4658, rel=1e-6)


def test_stable_form_survives_where_the_naive_one_does_not():
    o = torch.tensor([17.0], requires_grad=True)
    naive = (1 - o.sigmoid()).log()
    assert torch.isinf(naive).all()
    assert torch.isnan(torch.autograd.grad(naive.sum(), o)[0]).all()
    assert float(objectives.minimax.generator(None, o.detach())) == pytest.approx(-17, abs=1e-6)
    low = torch.tensor([-90.0])
    assert float(objectives.non_saturating.generator(None, low)) == pytest.approx(90, abs=1e-5)


def test_no_expected_gradient_where_the_laws_agree():
    e, w = nodes(-12, 12)
    for objective in (objectives.minimax, objectives.non_saturating):
        x = e.clone().requires_grad_()
        cost = (w * gaussian(0, 1)(e) * objective.generator(None, 0 * x)).sum()
        assert float(torch.autograd.grad(cost, x)[0].abs().max()) == 0


def test_saturation_reports_both_payoffs():
    f = lambda x: x[:, 0] - 10  # noqa: E731
    seen = metrics.saturation(f, torch.zeros(5, 2, dtype=F64))
    d = 1 / (1 + math.exp(10))
    assert seen.minimax == pytest.approx(d, rel=1e-9)
    assert seen.non_saturating == pytest.approx(1 - d, rel=1e-9)
    assert (seen.d, seen.one_minus_d) == pytest.approx((d, 1 - d), rel=1e-9)


def test_gan_row_of_the_f_divergences_is_the_same_value():
    assert objectives.fgan(divergences.gan).critic(torch.tensor(0.3), torch.tensor(-0.2)) == pytest.approx(
        float(objectives.minimax.critic(torch.tensor(0.3), torch.tensor(-0.2))), abs=1e-6
    )
