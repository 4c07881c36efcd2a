"""The Frechet distance: against the matrix square root, torchmetrics and closed forms; and its bias."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from ganzfeld import metrics


def rows(n, m, seed=0, rank=None):
    """Correlated features, in a subspace where a rank is given."""
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(rank or m, m, generator=rng, dtype=torch.float64)
    return torch.randn(n, rank or m, generator=rng, dtype=torch.float64) @ mix + mix[0]


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
        rng = torch.Generator().manual_seed(n)
        pairs = torch.randn(20, 2, n, 8, generator=rng, dtype=torch.float64)
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


def kernel(x, y):
    """The cubic kernel of two rows, by a loop."""
    return (sum(float(a) * float(b) for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3


def discrepancy(x, y, diagonal=False):
    """The squared MMD by loops over pairs; with the diagonal it is the biased one."""

    def within(rows):
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if diagonal or i != j]
        return sum(kernel(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    return within(x) + within(y) - 2 * sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))


def test_kernel_distance_equals_the_loop_over_pairs_and_not_the_biased_one():
    x, y = rows(12, 4), rows(9, 4, 1)
    found = metrics.kernel_distance(x, y)
    assert found == pytest.approx(discrepancy(x, y), rel=1e-12)
    assert found != pytest.approx(discrepancy(x, y, diagonal=True), rel=0.01)


def test_kernel_distance_does_not_depend_on_how_much_is_held_at_once(monkeypatch):
    x, y = rows(50, 3), rows(40, 3, 1)
    whole = metrics.kernel_distance(x, y)
    monkeypatch.setattr("ganzfeld.metrics.features.CHUNK_PRODUCTS", 120)
    assert metrics.kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_kernel_distance_equals_torchmetrics():
    kid = pytest.importorskip("torchmetrics.image.kid", exc_type=ImportError)
    x, y = rows(80, 8), rows(80, 8, 1)
    theirs = kid.KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=80)
    theirs.update(x, real=False)
    theirs.update(y, real=True)
    assert metrics.kernel_distance(x, y) == pytest.approx(float(theirs.compute()[0]), rel=1e-10)


@pytest.mark.parametrize("n", [4, 40])
def test_kernel_distance_of_one_law_is_zero_in_the_mean_at_every_count(n):
    pairs = torch.randn(400, 2, n, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    found = torch.tensor([metrics.kernel_distance(x, y) for x, y in pairs], dtype=torch.float64)
    assert abs(found.mean()) < 3 * found.std() / math.sqrt(400)
    assert found.min() < 0


def test_kernel_distance_of_subsets_is_dealt_by_the_seed_and_has_the_mean_of_the_whole():
    x, y = rows(60, 3), 1.2 * rows(60, 3, 1)
    whole, few = metrics.kernel_distance(x, y), metrics.kernel_distance(x, y, size=20, subsets=400)
    assert metrics.kernel_distance(x, y, size=20, subsets=400) == few
    assert metrics.kernel_distance(x, y, size=20, subsets=400, seed=1) != few
    assert few == pytest.approx(whole, rel=0.15)
    assert metrics.kernel_distance(x, y, size=60, subsets=1) == pytest.approx(whole, rel=1e-10)


def test_the_kernel_sees_a_skew_that_two_moments_do_not():
    rng = torch.Generator().manual_seed(0)
    x = torch.empty(4_000, 1, dtype=torch.float64).exponential_(generator=rng)
    x = (x - x.mean()) / x.std()
    assert metrics.frechet_distance(x, -x) == pytest.approx(0, abs=1e-12)
    exact = 2 * 4 * x.pow(3).mean() ** 2  # of (xy + 1)^3, the third moments alone differ: (m3 + m3)^2
    assert metrics.kernel_distance(x, -x) == pytest.approx(float(exact) / 2, rel=0.05)


def test_subsets_that_cannot_be_drawn_are_refused_and_what_is_not_finite_is_nan():
    x = rows(10, 3)
    for size in (1, 11):
        with pytest.raises(ValueError, match=f"subsets of {size} rows cannot be drawn from 20 and 10"):
            metrics.kernel_distance(rows(20, 3), x, size=size)
    with pytest.raises(ValueError, match="two or more rows"):
        metrics.kernel_distance(x, x[:1])
    assert math.isnan(metrics.kernel_distance(x, x * math.nan))
