"""The geometric reading: each objective's factors, and the support vector machine behind the hinge."""

import math

import pytest
import torch
from torch.nn.functional import softplus

from ganzfeld import metrics, objectives

O_REAL = torch.linspace(-3.1, 2.9, 13, dtype=torch.float64)
O_FAKE = torch.linspace(2.7, -3.3, 13, dtype=torch.float64)
ONE = torch.ones(13, dtype=torch.float64)

classify = lambda real, fake: -softplus(-real) - softplus(fake)  # noqa: E731
sigmoid, exp = torch.sigmoid, torch.exp

ROWS = {  # critic's term, generator's term, and s(o_real), t(o_fake), r(o_fake)
    "minimax": (classify, lambda r, f: -softplus(f), lambda o: 1 - sigmoid(o), sigmoid, sigmoid),
    "non_saturating": (
        classify, lambda r, f: softplus(-f),
        lambda o: 1 - sigmoid(o), sigmoid, lambda o: 1 - sigmoid(o),
    ),
    "wasserstein": (lambda r, f: r - f, lambda r, f: -f, lambda o: ONE, lambda o: ONE, lambda o: ONE),
    "hinge": (
        lambda r, f: -torch.relu(1 - r) - torch.relu(1 + f), lambda r, f: -f,
        lambda o: (o < 1).double(), lambda o: (o > -1).double(), lambda o: ONE,
    ),
    "least_squares": (
        lambda r, f: -((r - 1) ** 2) - f**2, lambda r, f: (f - 1) ** 2,
        lambda o: 2 * (1 - o), lambda o: 2 * o, lambda o: 2 * (1 - o),
    ),
    "kl": (
        lambda r, f: r - exp(f - 1), lambda r, f: -exp(f - 1),
        lambda o: ONE, lambda o: exp(o - 1), lambda o: exp(o - 1),
    ),
    "reverse_kl": (
        lambda r, f: -exp(-r) - (f - 1), lambda r, f: -(f - 1),
        lambda o: exp(-o), lambda o: ONE, lambda o: ONE,
    ),
    "pearson": (
        lambda r, f: r - (f**2 / 4 + f), lambda r, f: -(f**2 / 4 + f),
        lambda o: ONE, lambda o: o / 2 + 1, lambda o: o / 2 + 1,
    ),
    "hellinger": (
        lambda r, f: 1 - exp(-r) - (exp(f) - 1), lambda r, f: -(exp(f) - 1),
        lambda o: exp(-o), exp, exp,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_factors_are_those_of_the_table(name):
    critic, generator, s, t, r = ROWS[name]
    found = metrics.scale_factors((critic, generator), O_REAL, O_FAKE)
    exact = torch.stack([s(O_REAL), t(O_FAKE), r(O_FAKE)])
    assert torch.stack(found) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_an_objective_of_the_library_is_its_two_terms(name):
    objective = getattr(objectives, name)
    found = metrics.scale_factors(objective, O_REAL, O_FAKE)
    exact = metrics.scale_factors(ROWS[name], O_REAL, O_FAKE)
    assert torch.stack(found) == pytest.approx(torch.stack(exact), abs=1e-12)


def test_pearson_pushes_a_far_fake_the_wrong_way():
    critic, generator, *_ = ROWS["pearson"]
    t = metrics.scale_factors((critic, generator), O_REAL, O_FAKE).fake
    assert torch.equal(t < 0, O_FAKE < -2)


def test_factors_carry_the_gradient_of_a_round():
    """The critic's features move by s <w, dPhi(x)> - t <w, dPhi(g)>."""
    rng = torch.Generator().manual_seed(0)
    x, g, w = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((5, 3), (5, 3), (4,)))
    a = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    score = lambda a, x: torch.tanh(x @ a.T) @ w  # noqa: E731
    whole = torch.func.grad(lambda a: classify(score(a, x), score(a, g)).sum())(a)
    s, t, _ = metrics.scale_factors((classify, lambda r, f: -f), score(a, x), score(a, g))
    real, fake = torch.func.jacrev(score)(a, x), torch.func.jacrev(score)(a, g)
    found = torch.einsum("b,bij->ij", s, real) - torch.einsum("b,bij->ij", t, fake)
    assert found == pytest.approx(whole, abs=1e-12)


def features(n=40, m=3, seed=0):
    x = torch.randn(2, n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x[0] + 0.8, x[1] - 0.8


def machine(real, fake, cost=1.0):
    svm = pytest.importorskip("sklearn.svm")
    x, y = torch.cat([real, fake]).numpy(), [1] * len(real) + [-1] * len(fake)
    return svm.SVC(kernel="linear", C=cost, tol=1e-10).fit(x, y)


@pytest.mark.parametrize("cost", [0.1, 1.0])
def test_soft_margin_is_least_at_the_support_vector_machine_and_meets_its_dual(cost):
    real, fake = features()
    found = machine(real, fake, cost)
    w, b = torch.tensor(found.coef_[0]), float(found.intercept_[0])
    primal = float(metrics.soft_margin(w, b, real, fake, cost))
    dual = abs(found.dual_coef_).sum() - float(w @ w) / 2
    assert primal == pytest.approx(dual, abs=1e-6)
    rng = torch.Generator().manual_seed(1)
    for _ in range(50):
        off = 0.1 * torch.randn(3, generator=rng, dtype=torch.float64)
        shift = float(torch.randn((), generator=rng, dtype=torch.float64))
        assert float(metrics.soft_margin(w + off, b + 0.1 * shift, real, fake, cost)) > primal


def test_soft_margin_over_nc_is_the_mean_hinge_with_decay_on_the_normal():
    real, fake = features(seed=2)
    w, b, cost, n = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64), 0.1, 0.7, 40
    hinge = torch.relu(1 - real @ w - b).mean() + torch.relu(1 + fake @ w + b).mean()
    scaled = metrics.soft_margin(w, b, real, fake, cost) / (n * cost)
    assert float(scaled) == pytest.approx(float(hinge + w @ w / (2 * n * cost)), abs=1e-12)


def test_hyperplane_distance_is_signed_and_blind_to_the_scale_of_the_normal():
    w = torch.tensor([3.0, 4.0], dtype=torch.float64)
    x = torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    exact = torch.tensor([2.4, 1.0], dtype=torch.float64)
    assert metrics.hyperplane_distance(w, 5.0, x) == pytest.approx(exact)
    assert metrics.hyperplane_distance(10 * w, 50.0, x) == pytest.approx(exact)
    assert metrics.hyperplane_distance(-w, -5.0, x) == pytest.approx(-exact)
    with pytest.raises(ValueError, match="no hyperplane"):
        metrics.hyperplane_distance(0 * w, 5.0, x)


def test_hyperplane_distance_is_the_distance_to_the_nearest_point_of_the_plane():
    real, _ = features(seed=3)
    w, b = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64), 0.4
    distance = metrics.hyperplane_distance(w, b, real)
    foot = real - distance[:, None] * w / w.norm()
    assert foot @ w + b == pytest.approx(torch.zeros(40), abs=1e-12)
    assert (real - foot).norm(dim=1) == pytest.approx(distance.abs(), abs=1e-12)


def test_support_vectors_of_the_machine_lie_within_its_margin():
    real, fake = features(seed=4)
    found = machine(real, fake)
    w, b = torch.tensor(found.coef_[0]), float(found.intercept_[0])
    side = torch.cat([metrics.hyperplane_distance(w, b, real), -metrics.hyperplane_distance(w, b, fake)])
    inside = set(torch.nonzero(side <= 1 / math.sqrt(float(w @ w)) + 1e-6).ravel().tolist())
    assert set(found.support_.tolist()) == inside
