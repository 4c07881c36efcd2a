"""Wasserstein-1: against linear programs, POT, SciPy and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from ganzfeld import metrics


def clouds(n, d, seed=0, shift=0.5):
    rng = torch.Generator().manual_seed(seed)
    draw = lambda: torch.randn(n, d, generator=rng, dtype=torch.float64)  # noqa: E731
    return draw(), 1.3 * draw() + shift


@pytest.mark.parametrize("d", [1, 2, 5])
def test_exact_w1_equals_pot(d):
    ot = pytest.importorskip("ot", exc_type=ImportError)
    x, y = clouds(60, d)
    cost = np.linalg.norm(x.numpy()[:, None] - y.numpy()[None], axis=-1)
    mass = np.full(60, 1 / 60)
    assert metrics.w1(x, y) == pytest.approx(ot.emd2(mass, mass, cost), abs=1e-10)


def test_on_the_line_sorting_equals_assignment_and_scipy():
    x, y = clouds(200, 1)
    exact = stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert metrics.w1_line(x[:, 0], y[:, 0]) == pytest.approx(exact, abs=1e-12)
    assert metrics.w1(x, y) == pytest.approx(exact, abs=1e-12)
    assert metrics.sliced_w1(x, y, directions=3) == pytest.approx(exact, abs=1e-12)  # only +1 and -1 exist


def test_w1_is_a_metric_of_laws_not_of_orders():
    x, y = clouds(40, 3)
    z = clouds(40, 3, 7)[1]
    assert metrics.w1(x, x.flip(0)) == 0 < (x - x.flip(0)).norm(dim=1).mean()
    assert metrics.w1(x, y) == pytest.approx(metrics.w1(y, x), abs=1e-12)
    assert metrics.w1(x, y) < metrics.w1(x, z) + metrics.w1(z, y)


def test_a_shift_costs_its_length_and_a_scale_scales():
    x, y = clouds(50, 2)
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert metrics.w1(x, x + shift) == pytest.approx(5, abs=1e-12)
    assert metrics.w1(7 * x, 7 * y) == pytest.approx(7 * metrics.w1(x, y), rel=1e-12)


def test_near_points_keep_their_digits():
    """Far from the origin the product form of the distance has lost them."""
    x = 1e4 + torch.rand(40, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = x + torch.tensor([1e-6, 0.0])
    assert metrics.w1(x, y) == pytest.approx(1e-6, rel=1e-5)
    product = torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist").diagonal().mean()
    assert product != pytest.approx(1e-6, rel=1e-2)


def test_samples_of_gaussians_approach_their_distance():
    u = torch.special.ndtri((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000)
    assert metrics.w1_line(u, 1 + 2 * u) == pytest.approx(metrics.w1_gaussians_1d(0, 1, 1, 2), abs=1e-3)


def test_sliced_w1_of_a_shift_is_the_mean_length_of_its_projection():
    """On the circle the mean of the absolute cosine is 2 / pi; on the sphere it is 1 / 2."""
    for d, share in ((2, 2 / math.pi), (3, 0.5)):
        x = clouds(50, d)[0]
        found = metrics.sliced_w1(x, x + torch.eye(d, dtype=torch.float64)[0], directions=40_000)
        assert found == pytest.approx(share, abs=5e-3)


def test_sliced_w1_stays_below_w1_and_follows_its_seed():
    x, y = clouds(80, 3)
    assert 0 < metrics.sliced_w1(x, y) < metrics.w1(x, y)
    state = torch.get_rng_state()
    first, again, other = (metrics.sliced_w1(x, y, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)  # no dice but the seed's


def test_unequal_sizes_are_refused_and_samples_that_are_not_finite_have_no_distance():
    x, y = clouds(10, 2)
    for refuse in (metrics.w1, metrics.sliced_w1):
        with pytest.raises(ValueError, match=r"\(10, 2\) and \(9, 2\)"):
            refuse(x, y[:9])
        with pytest.raises(ValueError, match="one shape"):
            refuse(x[:, 0], y[:, 0])
    with pytest.raises(ValueError, match="equal counts"):
        metrics.w1_line(x[:, 0], y[:9, 0])
    y[3, 0] = math.nan
    assert math.isnan(metrics.w1(x, y))
