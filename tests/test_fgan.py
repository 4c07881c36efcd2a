"""f-divergences: conjugates, tightness, thresholds, for every row of the table."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from ganzfeld import divergences, metrics, objectives
from ganzfeld.divergences import TABLE

F64 = torch.float64
ROWS = pytest.mark.parametrize("name", TABLE)
V = torch.linspace(-4, 4, 41, dtype=F64)
P, Q = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([0.2, 0.3, 0.5], dtype=F64)


def number(value):
    return float(torch.as_tensor(value))


@ROWS
@pytest.mark.parametrize("v", [-1.5, -0.3, 0.4, 1.2])
def test_conjugate_is_fenchel_dual(name, v):
    row = TABLE[name]
    t = number(row.activation(torch.tensor(v, dtype=F64)))
    gain = lambda log_u: -(math.exp(log_u) * t - number(row.f(torch.tensor(math.exp(log_u), dtype=F64))))  # noqa: E731
    best = minimize_scalar(gain, bounds=(-25, 12), method="bounded", options={"xatol": 1e-12})
    assert -best.fun == pytest.approx(number(row.conjugate(torch.tensor(t, dtype=F64))), abs=1e-6)


def test_pearsons_formula_leaves_the_conjugate_below_minus_two():
    row = TABLE["pearson"]
    sup = max(u * -3 - (u - 1) ** 2 for u in (i / 1000 for i in range(5_000)))
    assert sup == pytest.approx(-1)
    assert number(row.conjugate(torch.tensor(-3.0, dtype=F64))) == pytest.approx(-0.75)  # a valid bound, and looser


@ROWS
def test_composition_equals_nesting(name):
    row = TABLE[name]
    assert torch.allclose(row.bound(V), row.conjugate(row.activation(V)), rtol=1e-11, atol=1e-12)


@ROWS
def test_composition_survives_where_nesting_does_not(name):
    v = torch.tensor([-80.0, -30.0, 30.0, 80.0])
    assert torch.isfinite(TABLE[name].bound(v)).all()
    if name in ("gan", "js"):
        assert not torch.isfinite(TABLE[name].conjugate(TABLE[name].activation(v))).all()


def of(row, p, q):
    return number((q * row.f(p / q)).sum())


@ROWS
def test_bound_is_tight_at_the_derivative_and_never_exceeded(name):
    row = TABLE[name]
    value = of(row, P, Q)
    best = row.slope(P / Q)
    assert number((P * best - Q * row.conjugate(best)).sum()) == pytest.approx(value, abs=1e-10)
    objective = objectives.fgan(row)
    rng = torch.Generator().manual_seed(0)
    for _ in range(2_000):
        v = 2 * torch.randn(3, dtype=F64, generator=rng)
        assert number((P * row.activation(v) - Q * row.bound(v)).sum()) <= value + 1e-12
    assert torch.allclose(objective.critic(V, V.flip(0)), row.activation(V) - row.bound(V.flip(0)))


@ROWS
def test_slope_is_the_derivative(name):
    u = torch.tensor([0.2, 0.7, 1.3, 4.0], dtype=F64, requires_grad=True)
    row = TABLE[name]
    (derivative,) = torch.autograd.grad(row.f(u).sum(), u)
    assert torch.allclose(derivative, row.slope(u.detach()), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kl", 0.5), ("rkl", 0.5), ("pearson", math.e - 1), ("neyman", math.e - 1), ("hellinger", 0.2350061948),
        ("js", 0.2228429644), ("gan", -1.1634513968),
        ("tv", 2 * (0.5 * (1 + math.erf(0.5 / math.sqrt(2)))) - 1),
    ],
)  # fmt: skip
def test_unit_shift_of_a_gaussian_has_its_closed_form(name, value):
    found = metrics.f_divergence(TABLE[name], metrics.gaussian(0, 1), metrics.gaussian(1, 1), -14, 14, 8_000)
    assert found == pytest.approx(value, abs=1e-6 if name == "tv" else 1e-8)  # |u - 1| has a kink


@pytest.mark.parametrize("m", [0.5, 1.5])
def test_shifts_of_a_gaussian(m):
    p, q = metrics.gaussian(0, 1), metrics.gaussian(m, 1)
    assert metrics.f_divergence(TABLE["pearson"], p, q, -14, 14) == pytest.approx(math.exp(m**2) - 1, abs=1e-7)
    hellinger = 2 * (1 - math.exp(-(m**2) / 8))
    assert metrics.f_divergence(TABLE["hellinger"], p, q, -14, 14) == pytest.approx(hellinger, abs=1e-7)


@ROWS
def test_threshold_is_where_the_optimal_critic_is_undecided(name):
    row = TABLE[name]
    if name == "tv":  # f has a kink at 1: any T in [-1/2, 1/2], and 0 by symmetry
        assert number(row.activation(torch.tensor(row.threshold, dtype=F64))) == 0
        return
    at = number(row.activation(torch.tensor(row.threshold, dtype=F64)))
    assert at == pytest.approx(number(row.slope(torch.ones((), dtype=F64))), abs=1e-12)


def test_scale_factors_of_every_row():
    o = torch.linspace(-1.5, 1.5, 7, dtype=F64)
    sigma, e = torch.sigmoid, torch.exp
    one = torch.ones_like(o)
    expected = {
        "kl": (one, e(o - 1)), "rkl": (e(-o), one), "pearson": (one, o / 2 + 1), "hellinger": (e(-o), e(o)),
        "js": (1 - sigma(o), sigma(o)), "gan": (1 - sigma(o), sigma(o)), "neyman": (e(-o), e(-o / 2)),
        "tv": ((1 - o.tanh() ** 2) / 2,) * 2,
    }  # fmt: skip
    for name, (s, t) in expected.items():
        found = metrics.scale_factors(objectives.fgan(TABLE[name]), o, o)
        assert torch.allclose(found.real, s, atol=1e-12), name
        assert torch.allclose(found.fake, t, atol=1e-12), name
        assert torch.allclose(found.generator, t, atol=1e-12), name
        other = metrics.scale_factors(objectives.fgan(TABLE[name], alternative=True), o, o)
        assert torch.allclose(other.generator, s, atol=1e-12), name


@ROWS
def test_equal_laws_are_worth_f_of_one(name):
    row = TABLE[name]
    at_one = number(row.f(torch.ones((), dtype=F64)))
    assert of(row, P, P) == pytest.approx(at_one, abs=1e-12)
    assert at_one == pytest.approx(-math.log(4) if name == "gan" else 0, abs=1e-12)


def test_swapped_arguments():
    assert of(TABLE["kl"], P, Q) == pytest.approx(of(TABLE["rkl"], Q, P), abs=1e-12)
    assert of(TABLE["pearson"], P, Q) == pytest.approx(of(TABLE["neyman"], Q, P), abs=1e-12)
    assert of(TABLE["js"], P, Q) == pytest.approx(2 * metrics.jensen_shannon(P, Q), abs=1e-12)
    assert of(TABLE["tv"], P, Q) == pytest.approx(metrics.total_variation(P, Q), abs=1e-12)
    assert of(TABLE["kl"], P, Q) == pytest.approx(metrics.kullback_leibler(P, Q), abs=1e-12)


def test_a_flipped_output_sign_bites():
    wrong = divergences.reverse_kl._replace(activation=lambda v: -v.exp())
    with pytest.raises(AssertionError):
        assert torch.allclose(wrong.bound(V), wrong.conjugate(wrong.activation(V)))
