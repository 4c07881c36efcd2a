"""Divergences of known laws: closed forms, and adaptive quadrature."""

import math

import pytest
import torch
from scipy import integrate, stats

from ganzfeld import divergences, metrics
from ganzfeld.metrics import gaussian, measure_on_line

LINE = (-30.0, 34.0)
P = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
Q = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def laws(n, m=6, seed=0):
    x = torch.rand(2, n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[0, :, 0] = 0  # an atom that p misses
    return x / x.sum(-1, keepdim=True)


def test_discrete_fixture_has_its_value():
    assert metrics.jensen_shannon(P, Q) == pytest.approx(0.2214729843954257, abs=1e-15)  # by 40 digits
    assert metrics.optimal_discriminator_value(P, Q) == pytest.approx(-0.9433483923290, abs=1e-12)


def test_quadrature_of_gaussians_equals_closed_forms():
    (m1, s1), (m2, s2) = (0.3, 1.0), (1.1, 1.4)
    kl = math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5
    found = measure_on_line(metrics.kullback_leibler, gaussian(m1, s1), gaussian(m2, s2), *LINE)
    assert found == pytest.approx(kl, abs=1e-9)


@pytest.mark.parametrize("shift", [0.25, 1.0, 3.0])
def test_total_variation_keeps_its_digits_across_the_kink(shift):
    """Between equal widths it is 2 Phi(shift / 2) - 1; panels that ignore the crossing lose five digits."""
    p, q, exact = gaussian(0, 1), gaussian(shift, 1), 2 * stats.norm.cdf(shift / 2) - 1
    assert measure_on_line(metrics.total_variation, p, q, *LINE) == pytest.approx(exact, abs=1e-12)
    x, w = metrics.nodes(*LINE)
    assert abs(metrics.total_variation(w * p(x), w * q(x)) - exact) > 1e-9


def test_crossings_of_two_widths_are_found_even_on_a_node():
    found = metrics.crossings(gaussian(0, 1), gaussian(1, 1), -1, 2, points=7)
    assert found == pytest.approx([0.5], abs=1e-15)
    root = math.sqrt(8 / 3 * math.log(2))
    found = metrics.crossings(gaussian(0, 1), gaussian(0, 2), *LINE)
    assert found == pytest.approx([-root, root], abs=1e-14)
    assert metrics.crossings(gaussian(0, 1), gaussian(0, 1), *LINE) == []


@pytest.mark.parametrize(
    "measure, integrand",
    [
        (metrics.kullback_leibler, lambda p, q: p * math.log(p / q)),
        (metrics.total_variation, lambda p, q: abs(p - q) / 2),
        (
            metrics.jensen_shannon,
            lambda p, q: (p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q))) / 2,
        ),
    ],
)
def test_quadrature_equals_adaptive_quadrature_on_a_bimodal_law(measure, integrand):
    half, other = gaussian(-2, 0.5), gaussian(1, 1.5)
    p, q = (lambda x: (half(x) + other(x)) / 2), gaussian(0, 2)
    at = lambda x: torch.tensor(x, dtype=torch.float64)  # noqa: E731
    f = lambda x: integrand(float(p(at(x))), float(q(at(x))))  # noqa: E731
    breaks = metrics.crossings(p, q, -20, 20)
    exact, _ = integrate.quad(f, -20, 20, points=breaks, epsabs=1e-12, limit=400)
    assert measure_on_line(measure, p, q, -20, 20) == pytest.approx(exact, abs=1e-9)


def test_divergences_of_known_gaussians_by_the_table_of_f():
    p, q = gaussian(0, 1), gaussian(1, 1)
    rows = {"kl": 0.5, "reverse_kl": 0.5, "pearson": math.e - 1, "hellinger": 0.2350061948}
    for name, exact in rows.items():
        found = metrics.f_divergence(getattr(divergences, name), p, q, -30, 31)
        assert found == pytest.approx(exact, abs=1e-8), name
    found = metrics.f_divergence(divergences.js, p, q, -30, 31)
    assert found == pytest.approx(0.2228429644, abs=1e-8)
    assert found == pytest.approx(2 * measure_on_line(metrics.jensen_shannon, p, q, -30, 31), abs=1e-12)


def test_discrete_divergences_equal_scipy_and_keep_their_ranges():
    for p, q in zip(*laws(200), strict=True):
        assert metrics.kullback_leibler(p, q) == pytest.approx(stats.entropy(p, q), abs=1e-13)
        js, tv = metrics.jensen_shannon(p, q), metrics.total_variation(p, q)
        assert 0 < js < math.log(2) and 0 < tv < 1
        assert tv**2 / 2 <= js <= tv * math.log(2)  # Pinsker's inequality to the mixture; Lin's bound
        assert 2 * tv**2 <= metrics.kullback_leibler(p, q)
        assert js == pytest.approx(metrics.jensen_shannon(q, p), abs=1e-15)


def test_equal_laws_are_at_zero_and_disjoint_ones_at_the_end_of_the_range():
    e = torch.eye(2, dtype=torch.float64)
    ends = {"jensen_shannon": math.log(2), "total_variation": 1, "kullback_leibler": math.inf}
    for name, end in ends.items():
        measure = getattr(metrics, name)
        assert measure(P, P) == 0
        assert measure(e[0], e[1]) == pytest.approx(end)
    assert metrics.optimal_discriminator_value(e[0], e[1]) == 0
    assert metrics.optimal_discriminator_value(P, P) == pytest.approx(-math.log(4), abs=1e-15)


def test_nodes_integrate_polynomials_exactly():
    for breaks in ((), (0.1234, 0.9)):
        x, w = metrics.nodes(-1, 2, points=100, breaks=breaks)
        for k in (0, 1, 7, 30):
            exact = (2 ** (k + 1) - (-1) ** (k + 1)) / (k + 1)
            assert float((w * x**k).sum()) == pytest.approx(exact, rel=1e-12)
