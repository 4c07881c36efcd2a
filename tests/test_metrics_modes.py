"""Mode coverage: ceilings and floors of a perfect sampler, and the faults that a count alone would miss."""

import math

import pytest
import torch

from ganzfeld import metrics

CENTRES = torch.cartesian_prod(*2 * [torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)])
STD = 0.05


def perfect(n, seed=0, centres=CENTRES, std=STD):
    rng = torch.Generator().manual_seed(seed)
    mode = torch.randint(len(centres), (n,), generator=rng)
    return centres[mode] + std * torch.randn(n, centres.shape[1], generator=rng, dtype=torch.float64)


def test_ceiling_is_the_mass_within_three_deviations_in_the_plane():
    assert pytest.approx(0.988891, abs=5e-7) == metrics.HIGH_QUALITY_CEILING
    assert metrics.high_quality_radius(STD, 2) == pytest.approx(3 * STD, rel=1e-12)
    assert metrics.high_quality_radius(1.0, 1) < 3 < metrics.high_quality_radius(1.0, 3)


@pytest.mark.parametrize("seed", range(5))
def test_perfect_sampler_reaches_the_ceiling_within_three_binomial_deviations(seed):
    n = 2_500
    found = metrics.mode_coverage(perfect(n, seed), CENTRES, STD)
    share = metrics.HIGH_QUALITY_CEILING
    assert found.modes == 25
    assert abs(found.high_quality - share) < 3 * math.sqrt(share * (1 - share) / n)
    assert not found.over_concentrated


def test_radius_holds_the_same_mass_in_seven_hundred_dimensions_where_three_deviations_hold_none():
    centres = torch.zeros(1, 700, dtype=torch.float64)
    x = perfect(2_500, 1, centres, 1.0)
    found = metrics.mode_coverage(x, centres, 1.0)
    assert found.high_quality == pytest.approx(metrics.HIGH_QUALITY_CEILING, abs=0.0063)
    assert x.norm(dim=1).mean() == pytest.approx(26.5, abs=0.1)
    assert not (x.norm(dim=1) <= 3).any()


def test_noise_in_a_subspace_is_judged_by_its_own_dimensions():
    rng = torch.Generator().manual_seed(2)
    basis = torch.linalg.qr(torch.randn(40, 5, generator=rng, dtype=torch.float64)).Q
    x = perfect(2_500, 3, torch.zeros(1, 5, dtype=torch.float64), 1.0) @ basis.T
    centre = torch.zeros(1, 40, dtype=torch.float64)
    found = metrics.mode_coverage(x, centre, 1.0, dimensions=5)
    assert found.high_quality == pytest.approx(metrics.HIGH_QUALITY_CEILING, abs=0.0063)
    assert metrics.mode_coverage(x, centre, 1.0).over_concentrated


def test_reverse_kl_of_a_perfect_sampler_has_its_floor_as_mean():
    n, seeds = 1_000, 200
    found = [metrics.mode_coverage(perfect(n, seed), CENTRES, STD) for seed in range(seeds)]
    kl = torch.tensor([f.reverse_kl for f in found], dtype=torch.float64)
    floor = found[0].reverse_kl_floor
    assert floor == 24 / 2_000
    # 2n KL is chi square of 24 degrees; only high-quality samples count, so n is a little smaller
    expected = floor / metrics.HIGH_QUALITY_CEILING
    assert abs(kl.mean() - expected) < 4 * expected * math.sqrt(2 / 24 / seeds)
    assert (kl > 0).all()


def test_reverse_kl_is_the_log_of_the_lost_share_of_modes():
    x = CENTRES[:5].repeat(20, 1)
    found = metrics.mode_coverage(x, CENTRES, STD)
    assert found.modes == 5
    assert found.reverse_kl == pytest.approx(math.log(5), abs=1e-12)
    assert metrics.mode_coverage(CENTRES, CENTRES, STD).reverse_kl == pytest.approx(0, abs=1e-12)


def test_nearest_mode_without_high_quality_covers_nothing():
    strays = CENTRES + torch.tensor([4 * STD, 0.0])
    found = metrics.mode_coverage(strays, CENTRES, STD)
    by_nearest_alone = torch.cdist(strays, CENTRES).argmin(1).unique().numel()
    assert by_nearest_alone == 25
    assert (found.modes, found.high_quality, found.reverse_kl) == (0, 0.0, math.inf)


def test_strays_do_not_tilt_the_frequencies():
    strays = CENTRES[:1].repeat(500, 1) + 4 * STD
    found = metrics.mode_coverage(torch.cat([CENTRES, strays]), CENTRES, STD)
    assert found.reverse_kl == pytest.approx(0, abs=1e-12)
    assert found.high_quality == 25 / 525


def test_narrow_modes_are_called_over_concentrated_and_true_ones_are_not():
    narrow = CENTRES[torch.arange(2_500) % 25] + 0.5 * (perfect(2_500, 4, CENTRES[:1]) - CENTRES[:1])
    assert metrics.mode_coverage(narrow, CENTRES, STD).over_concentrated
    assert not metrics.mode_coverage(perfect(2_500, 4), CENTRES, STD).over_concentrated


def test_a_thousand_modes_have_the_floor_of_stacked_mnist():
    found = metrics.mode_coverage(torch.zeros(26_000, 1), 100 * torch.arange(1_000.0)[:, None], 1.0)
    assert found.reverse_kl_floor == pytest.approx(0.0192, abs=5e-5)
    assert found.reverse_kl == pytest.approx(math.log(1_000), abs=1e-9)


def test_chunks_change_nothing(monkeypatch):
    x = perfect(1_000, 5)
    whole = metrics.mode_coverage(x, CENTRES, STD)
    monkeypatch.setattr("ganzfeld.metrics.modes.CHUNK_SAMPLES", 7)
    assert metrics.mode_coverage(x, CENTRES, STD) == whole


def test_samples_that_are_not_finite_are_of_no_quality():
    x = torch.cat([CENTRES, torch.full((25, 2), math.nan), torch.full((25, 2), math.inf)])
    found = metrics.mode_coverage(x, CENTRES, STD)
    assert (found.modes, found.high_quality) == (25, pytest.approx(1 / 3))


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"share d, not \(3, 4\) and \(25, 2\)"):
        metrics.mode_coverage(torch.zeros(3, 4), CENTRES, STD)
    with pytest.raises(ValueError, match="at least one sample"):
        metrics.mode_coverage(torch.zeros(0, 2), CENTRES, STD)
