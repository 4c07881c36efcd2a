"""Nearest neighbours, and precision, recall, density and coverage: against loops, scikit-learn and made-up clouds."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ganzfeld import metrics
from ganzfeld.metrics import manifold


def cloud(n, m=4, seed=0, shift=0.0):
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def by_loops(x, y, k_manifold=3, k_density=5, itself=False):
    """(precision, recall, density, coverage) as their definitions read; ``itself``: the fault of counting a row among
    its own neighbours."""

    def reach(rows, k):
        far = [sorted(math.dist(a, b) for j, b in enumerate(rows) if itself or i != j) for i, a in enumerate(rows)]
        return [distances[k - 1] for distances in far]

    x, y = x.tolist(), y.tolist()
    rx, ry, wide = reach(x, k_manifold), reach(y, k_manifold), reach(y, k_density)
    precision = np.mean([any(math.dist(a, b) <= r for b, r in zip(y, ry, strict=True)) for a in x])
    recall = np.mean([any(math.dist(a, b) <= r for b, r in zip(x, rx, strict=True)) for a in y])
    density = np.sum([math.dist(a, b) < r for a in x for b, r in zip(y, wide, strict=True)]) / (k_density * len(x))
    coverage = np.mean([min(math.dist(a, b) for a in x) < r for b, r in zip(y, wide, strict=True)])
    return precision, recall, density, coverage


def all_four(x, y):
    return (*metrics.precision_recall(x, y), *metrics.density_coverage(x, y))


def test_all_four_equal_their_definitions_and_a_row_is_no_neighbour_of_its_own():
    x, y = cloud(60, shift=0.4), 1.1 * cloud(45, seed=1)
    assert all_four(x, y) == pytest.approx(by_loops(x, y), rel=1e-12)
    faulty = by_loops(x, y, itself=True)
    assert all(a != b for a, b in zip(all_four(x, y), faulty, strict=True))


def test_all_four_do_not_depend_on_how_much_is_held_at_once(monkeypatch):
    x, y = cloud(60, shift=0.4), cloud(45, seed=1)
    whole, near = all_four(x, y), metrics.nearest_neighbours(x, y, 7)
    monkeypatch.setattr(manifold, "CHUNK_PRODUCTS", 200)
    assert all_four(x, y) == whole
    again = metrics.nearest_neighbours(x, y, 7)
    assert torch.equal(again.indices, near.indices)
    assert torch.equal(again.distances, near.distances)


def test_a_sample_that_equals_the_data_is_perfect():
    x = cloud(200)
    assert all_four(x, x.flip(0)) == (1, 1, 1, 1)


def test_far_clouds_have_nothing_in_common():
    assert all_four(cloud(50), cloud(40, seed=1, shift=100.0)) == (0, 0, 0, 0)


def test_samples_of_the_same_law_have_density_one_in_the_mean():
    found = [metrics.density_coverage(cloud(150, seed=i), cloud(150, seed=100 + i)).density for i in range(30)]
    assert np.mean(found) == pytest.approx(1, abs=3 * np.std(found) / math.sqrt(30))


def test_density_exceeds_one_where_samples_crowd_in_the_middle_of_the_data():
    """In many dimensions the middle is a neighbour of all."""
    found = metrics.density_coverage(0.1 * cloud(100, m=32), cloud(300, m=32, seed=1))
    assert found.density > 2


def test_a_dropped_half_costs_recall_and_coverage_and_not_precision():
    y = torch.cat([cloud(100), cloud(100, seed=1, shift=20.0)])
    x = cloud(200, seed=2)
    precision, recall, _, coverage = all_four(x, y)
    assert precision > 0.9
    assert recall < 0.55
    assert coverage < 0.55


def test_one_outlier_pleases_precision_and_not_density():
    """Its ball reaches back to the cloud, so everything near it is inside one ball of the data, of k."""
    y = torch.cat([cloud(99), torch.full((1, 4), 50.0, dtype=torch.float64)])
    x = cloud(80, seed=1, shift=50.0)
    assert metrics.precision_recall(x, y).precision == 1
    assert metrics.density_coverage(x, y) == pytest.approx((1 / 5, 1 / 100))


def test_all_four_are_blind_to_turns_shifts_and_scale():
    x, y = cloud(60, shift=0.4), cloud(45, seed=1)
    q = torch.linalg.qr(cloud(4, seed=5)).Q
    assert all_four(3 * x @ q + 1e7, 3 * y @ q + 1e7) == all_four(x, y)


def test_copies_are_at_distance_zero_even_where_balls_are_points():
    """Inner products of long rows leave a rest between a row and its copy."""
    x = 1e4 * cloud(50, m=2_048)
    rest = x.square().sum(1)[:, None] + x.square().sum(1) - 2 * x @ x.T
    assert rest.diagonal().abs().max() > 0 == torch.cat(list(manifold._squared_distances(x, x))).diagonal().abs().max()
    y = (1e4 * cloud(10, m=64)).repeat_interleave(5, 0)
    assert metrics.precision_recall(y[::5].repeat(5, 1), y) == (1, 1)
    assert metrics.precision_recall(y[::5].repeat(5, 1) + 1, y) == (0, 0)


def test_nearest_neighbours_are_those_of_scikit_learn():
    x, y = cloud(40, m=20), cloud(300, m=20, seed=1)
    y[123] = x[7]
    distances, indices = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(y.numpy()).kneighbors(x.numpy())
    found = metrics.nearest_neighbours(x, y, 4)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9, atol=1e-6)
    assert (found.distances[7, 0], found.indices[7, 0]) == (0, 123)


def test_neighbours_are_found_among_blocks_as_among_the_whole():
    x, y = cloud(10), cloud(100, seed=1)
    whole, blocks = metrics.nearest_neighbours(x, y, 5), metrics.nearest_neighbours(x, iter(y.split(3)), 5)
    assert torch.equal(whole.indices, blocks.indices)
    assert torch.equal(whole.distances, blocks.distances)


def test_single_precision_features_are_measured_in_double():
    x, y = cloud(30).float(), cloud(40, seed=1).float()
    assert all_four(x, y) == all_four(x.double(), y.double())


def test_what_has_no_neighbours_is_refused_and_what_is_not_finite_is_nan():
    x = cloud(5)
    with pytest.raises(ValueError, match="k = 5 need more than 5 rows, not 5"):
        metrics.density_coverage(x, x)
    with pytest.raises(ValueError, match="k = 0 need more than 0 rows"):
        metrics.precision_recall(x, x, k=0)
    with pytest.raises(ValueError, match="two or more rows"):
        metrics.precision_recall(x, x[:, :2])
    with pytest.raises(ValueError, match="6 nearest neighbours need as many rows, not 5"):
        metrics.nearest_neighbours(x, x, 6)
    with pytest.raises(ValueError, match="must share m"):
        metrics.nearest_neighbours(x, x[:, :2])
    broken = torch.cat([x, x + math.nan])
    assert all(math.isnan(v) for v in all_four(broken, cloud(9)))
