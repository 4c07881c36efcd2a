"""The Frechet distance: against the matrix square root, torchmetrics and closed forms; and its bias."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from ganzfeld import metrics


def rows(n, m, seed=0, rank=None):
    """Correlated features, in a subspace where a rank is given."""
    dice = torch.Generator().manual_seed(seed)
    mix = torch.randn(rank or m, m, generator=dice, dtype=torch.float64)
    return torch.randn(n, rank or m, generator=dice, dtype=torch.float64) @ mix + mix[0]


def by_matrix_root(x, y):
    x, y = x.numpy(), y.numpy()
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)


@pytest.mark.parametrize("m", [2, 5, 30])
def test_frechet_equals_the_matrix_square_root(m):
    x, y = rows(200, m), 0.7 * rows(150, m, 1) + 0.2
    assert metrics.frechet_distance(x, y) == pytest.approx(by_matrix_root(x, y), rel=1e-9)


def test_frechet_equals_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid", exc_type=ImportError)
    x, y = rows(100, 8), rows(100, 8, 1)
    theirs = fid._compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T))
    assert metrics.frechet_distance(x, y) == pytest.approx(float(theirs), rel=1e-9)


def test_frechet_of_commuting_gaussians_is_the_distance_of_means_and_deviations():
    m1, m2 = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.5]], dtype=torch.float64)
    s1, s2 = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.5, 0.0]], dtype=torch.float64)
    q = torch.linalg.qr(rows(3, 3)).Q
    turn = lambda s: q @ (s**2).diag() @ q.T  # noqa: E731
    exact = float((m1 - m2).square().sum() + (s1 - s2).square().sum())
    assert metrics.gaussian_frechet(m1, turn(s1), m2, turn(s2)) == pytest.approx(exact, abs=1e-12)


def test_on_the_line_frechet_is_the_squared_distance_of_quantile_functions():
    x = rows(300, 1)
    found = metrics.frechet_distance(x, 3 * x + 2)
    m, s = float(x.mean()), float(x.std())
    assert found == pytest.approx((2 * m + 2) ** 2 + (2 * s) ** 2, rel=1e-10)


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_singular_covariances_of_one_law_are_at_distance_zero(rank):
    """Roots of eigenvalues of the product bring their rounding back as its square root."""
    x = rows(400, 64, rank=rank)
    scale = float(x.var(0).sum())
    assert abs(metrics.frechet_distance(x, x.flip(0))) < 1e-12 * scale


def test_fewer_rows_than_features_are_judged_as_the_full_decomposition_judges_them():
    """With centred rows X and Y, the trace of the root is the nuclear norm of X Y^T, whatever the rank."""
    x, y = rows(20, 50), rows(30, 50, 1)
    a, b = (x - x.mean(0)) / math.sqrt(19), (y - y.mean(0)) / math.sqrt(29)
    spread = a.square().sum() + b.square().sum() - 2 * torch.linalg.matrix_norm(a @ b.T, "nuc")
    exact = float((x.mean(0) - y.mean(0)).square().sum() + spread)
    assert metrics.frechet_distance(x, y) == pytest.approx(exact, rel=1e-10)


def test_a_point_mass_is_at_the_squared_distance_of_its_mean_plus_the_spread():
    x, point = rows(100, 4), torch.ones(100, 4, dtype=torch.float64)
    exact = float((x.mean(0) - 1).square().sum() + x.var(0).sum())
    assert metrics.frechet_distance(x, point) == pytest.approx(exact, rel=1e-12)


def test_frechet_is_symmetric_not_negative_and_blind_to_turns():
    q = torch.linalg.qr(rows(6, 6)).Q
    for seed in range(20):
        x, y = rows(40, 6, seed), rows(40, 6, seed + 100)
        found = metrics.frechet_distance(x, y)
        assert found > 0
        assert found == pytest.approx(metrics.frechet_distance(y, x), rel=1e-10)
        assert found == pytest.approx(metrics.frechet_distance(x @ q, y @ q), rel=1e-10)


def test_frechet_sees_two_moments_only():
    u = torch.linspace(-1, 1, 400, dtype=torch.float64)[:, None]
    two = torch.sign(u) * u.std()
    two = two * u.std() / two.std()
    assert metrics.frechet_distance(u, two) == pytest.approx(0, abs=1e-12)
    assert metrics.w1(u, two) > 0.1


def test_frechet_is_biased_upwards_and_less_on_more_rows():
    bias = []
    for n in (50, 200, 800):
        dice = torch.Generator().manual_seed(n)
        pairs = torch.randn(20, 2, n, 8, generator=dice, dtype=torch.float64)
        bias.append(sum(metrics.frechet_distance(x, y) for x, y in pairs) / 20)
    assert bias[0] > 3 * bias[1] > 9 * bias[2] > 0


def test_features_that_cannot_be_compared_are_refused_or_nan():
    x = rows(10, 3)
    for other in (x[:, :2], x[:1], x[0]):
        with pytest.raises(ValueError, match="two or more rows"):
            metrics.frechet_distance(x, other)
    broken = x.clone()
    broken[0, 0] = math.inf
    assert math.isnan(metrics.frechet_distance(x, broken))
