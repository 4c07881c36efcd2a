"""Lim and Ye's reading: a separating hyperplane, the features away from it, the generator along its normal."""

import numpy as np
import pytest
import torch

from ganzfeld import metrics, objectives
from ganzfeld.constraints import Margin

F64 = torch.float64
O = torch.linspace(-3, 3, 13, dtype=F64)  # noqa: E741
D = O.sigmoid()
ONE = torch.ones_like(O)

FACTORS = {
    "minimax": (1 - D, D, D),
    "non-saturating": (1 - D, D, 1 - D),
    "wasserstein": (ONE, ONE, ONE),
    "hinge": ((O < 1).double(), (O > -1).double(), ONE),
    "least-squares": (2 * (1 - O), 2 * O, 2 * (1 - O)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_objectives_are_their_scale_factors(name):
    o = O + 1e-3  # off the kinks of the hinge
    shifted = {"hinge": ((o < 1).double(), (o > -1).double(), ONE), "least-squares": (2 * (1 - o), 2 * o, 2 * (1 - o))}
    d = o.sigmoid()
    shifted |= {"minimax": (1 - d, d, d), "non-saturating": (1 - d, d, 1 - d)}
    s, t, r = shifted.get(name, FACTORS[name])
    found = metrics.scale_factors(objectives.TABLE[name], o, o)
    assert torch.allclose(found.real, s, atol=1e-12)
    assert torch.allclose(found.fake, t, atol=1e-12)
    assert torch.allclose(found.generator, r, atol=1e-12)


@pytest.fixture(scope="module")
def machine():
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    real, fake = rng.normal(0.6, 1, (40, 3)), rng.normal(-0.6, 1, (40, 3))
    x, y = np.vstack([real, fake]), np.r_[np.ones(40), -np.ones(40)]
    svc = SVC(kernel="linear", C=1.0, tol=1e-10).fit(x, y)
    return torch.from_numpy(real), torch.from_numpy(fake), x, y, svc


def test_hyperplane_is_spanned_by_the_support_vectors(machine):
    *_, svc = machine
    w = svc.dual_coef_ @ svc.support_vectors_
    assert np.allclose(w, svc.coef_, atol=1e-12)


def test_duality_gap_closes(machine):
    real, fake, x, y, svc = machine
    w, b = torch.from_numpy(svc.coef_[0].copy()), float(svc.intercept_[0])
    primal = float(metrics.soft_margin(w, b, real, fake, 1.0))
    alpha = np.abs(svc.dual_coef_[0]).sum()
    dual = alpha - 0.5 * float(w @ w)
    assert 0 <= primal - dual + 1e-9 < 1e-6


def test_hinge_and_margin_find_the_machines_hyperplane(machine):
    real, fake, _, _, svc = machine
    w = torch.zeros(1, 3, dtype=F64, requires_grad=True)
    b = torch.zeros(1, dtype=F64, requires_grad=True)
    margin = Margin(cost=1.0, points=40)
    optimiser = torch.optim.Adam([w, b], 3e-3)

    def loss():
        f = lambda x: (x @ w.T + b)[:, 0]  # noqa: E731
        term = margin.penalty(f, {"head.weight": w}, (real,), (fake,), {})
        return term - objectives.hinge.critic(f(real), f(fake)).mean()

    for step in range(6_000):
        optimiser.param_groups[0]["lr"] = 3e-2 * (1 - step / 6_000) + 1e-6
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    found, exact = w.detach()[0], torch.from_numpy(svc.coef_[0].copy())
    mine = float(metrics.soft_margin(found, b.detach(), real, fake, 1.0))
    best = float(metrics.soft_margin(exact, float(svc.intercept_[0]), real, fake, 1.0))
    assert mine == pytest.approx(best, abs=1e-3)
    assert torch.allclose(found, exact, atol=1e-3)
    assert float(loss().detach()) == pytest.approx(mine / 40, abs=1e-12)  # hinge + margin = SVM / (n C)


def test_points_beyond_the_margin_do_not_matter(machine):
    from sklearn.svm import SVC

    *_, x, y, svc = machine
    again = SVC(kernel="linear", C=1.0, tol=1e-10).fit(x[svc.support_], y[svc.support_])
    assert np.allclose(again.coef_, svc.coef_, atol=1e-5)


def test_satisfied_margins_stop_the_features_and_not_the_generator():
    real, fake = torch.full((4,), 2.0, dtype=F64), torch.full((4,), -2.0, dtype=F64)
    found = metrics.scale_factors(objectives.hinge, real, fake)
    assert found.real.abs().max() == 0
    assert found.fake.abs().max() == 0
    assert torch.equal(found.generator, torch.ones(4, dtype=F64))


def test_hinge_optimum_is_twice_one_minus_total_variation():
    p, q = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=F64), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)
    grid = torch.linspace(-2, 2, 401, dtype=F64)
    least = (p[:, None] * (1 - grid).relu() + q[:, None] * (1 + grid).relu()).min(1)
    assert float(least.values.sum()) == pytest.approx(2 * (1 - metrics.total_variation(p, q)), abs=1e-9)
    sign = (p - q).sign()
    value = -(p * (1 - sign).relu() + q * (1 + sign).relu()).sum()
    assert float(value) == pytest.approx(-float(least.values.sum()), abs=1e-9)


def test_generator_moves_along_the_normal():
    w = torch.tensor([2.0, -1.0, 0.5], dtype=F64)
    fake = torch.randn(6, 3, dtype=F64, requires_grad=True)
    cost = objectives.hinge.generator(None, fake @ w).sum()
    (gradient,) = torch.autograd.grad(cost, fake)
    with torch.no_grad():
        moved = (fake - 0.1 * gradient) @ w - fake @ w
    assert torch.allclose(moved, torch.full((6,), 0.1 * float(w @ w), dtype=F64), atol=1e-12)
