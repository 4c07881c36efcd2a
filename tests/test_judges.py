"""Judges: every number with its spread, its counts and what a perfect sampler would show."""

import pytest
import torch

import ganzfeld as gz
from ganzfeld import metrics
from ganzfeld.judging import judges


def samples(world, n=2_500, part="train"):
    return world.restore(part)[:n]


def test_metrics_are_those_of_their_functions_on_the_stated_counts():
    ring = gz.data.ring8()
    x = samples(ring)
    out = judges.judge([x], ring)
    held = ring.restore("test")
    found = metrics.mode_coverage(x, ring.truth.centres, 0.01)
    value = {name: fact["per_member"][0] for name, fact in out["metrics"].items()}
    assert value["modes"] == found.modes == 8
    assert value["high_quality"] == found.high_quality
    assert value["w1"] == metrics.w1(x[:1_000], held[:1_000])
    assert value["sliced_w1"] == metrics.sliced_w1(x, held[:2_500])
    told = out["provenance"]
    assert (told["samples"], told["held_out"], told["w1"]["samples"]) == (2_500, 2_500, 1_000)
    assert told["fingerprint"] == ring.fingerprint
    assert told["reverse_kl_floor"] == pytest.approx(7 / 5_000)
    assert told["high_quality_ceiling"] == pytest.approx(0.98889, abs=1e-5)


def test_a_perfect_sampler_is_as_good_as_the_floor_and_a_shifted_one_is_not():
    grid = gz.data.grid25()
    perfect = judges.judge([samples(grid)], grid)
    shifted = judges.judge([samples(grid) + 0.5], grid)
    floor = perfect["provenance"]["perfect"]
    for name in ("w1", "sliced_w1"):
        assert perfect["metrics"][name]["mean"] < 2 * floor[name]
        assert shifted["metrics"][name]["mean"] > 2 * floor[name]
    assert shifted["metrics"]["high_quality"]["mean"] == 0.0


def test_members_have_their_mean_and_spread():
    ring = gz.data.ring8()
    x = samples(ring)
    out = judges.judge([x, x[ring.restore("train")[:2_500, 0] > 0]], ring, ["modes"])["metrics"]["modes"]
    assert out["per_member"] == [8, pytest.approx(5, abs=1)]
    assert out["std"] == pytest.approx(torch.tensor(out["per_member"]).double().std().item())


def test_frechet_distance_to_held_out_digits_tells_digits_from_noise():
    digits = gz.data.digits()
    real = judges.judge([digits.restore("train")], digits)
    noise = judges.judge([torch.rand(1_000, 64) * 2 - 1], digits)
    assert real["provenance"]["fd"]["extractor"] == "values"
    assert real["metrics"]["fd"]["mean"] < 1.5 < 10 < noise["metrics"]["fd"]["mean"]


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        judges.judge([torch.zeros(10, 3)], gz.data.ring8())
