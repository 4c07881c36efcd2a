"""McGAN: mean and covariance matching, their duals, their balls, their bias."""

import math

import pytest
import torch

from ganzfeld import objectives
from ganzfeld.constraints import Ball
from ganzfeld.networks import Critic
from ganzfeld.objectives import ky_fan, mean_matching, second_moment

F64 = torch.float64
NORMS = pytest.mark.parametrize("q", [1.0, 2.0, math.inf])


def features(n, m, seed, shift=0.0, scale=1.0):
    return shift + scale * torch.randn(n, m, dtype=F64, generator=torch.Generator().manual_seed(seed))


def feasible(q, m, rng):
    """Random points on the unit sphere of the dual norm."""
    v = torch.randn(20_000, m, dtype=F64, generator=rng)
    p = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[q]
    return v / torch.linalg.vector_norm(v, p, dim=1, keepdim=True)


@NORMS
def test_ball_is_the_nearest_point(q):
    rng = torch.Generator().manual_seed(4)
    v = 1.5 * torch.randn(1, 3, dtype=F64, generator=rng)
    near = Ball(q).project({"head.weight": v})["head.weight"]
    p = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[q]
    assert float(torch.linalg.vector_norm(near, p)) <= 1 + 1e-12
    others = feasible(q, 3, rng) * torch.rand(20_000, 1, dtype=F64, generator=rng) ** (1 / 3)
    assert float((near - v).norm()) <= float((others - v).norm(dim=1).min()) + 1e-12
    inside = {"head.weight": 0.1 * near}
    assert torch.allclose(Ball(q).project(inside)["head.weight"], inside["head.weight"])


def test_unknown_balls_are_refused():
    with pytest.raises(ValueError, match="q = 1, 2 and inf"):
        Ball(3.0)
    with pytest.raises(ValueError, match="q must be a number of at least 1"):
        mean_matching(0.5)


def test_bilinear_critic_is_the_sample_form_of_the_trace():
    torch.manual_seed(0)
    critic = Critic(torch.nn.Identity(), 6, "bilinear", 3).double()
    real, fake = features(40, 6, 7), features(40, 6, 8, 0.2)
    value = objectives.wasserstein.critic(critic(real), critic(fake)).mean()
    difference = second_moment(real) - second_moment(fake)
    assert float(value.detach()) == pytest.approx(
        float((critic.head.u.T @ difference @ critic.head.v).trace().detach()), abs=1e-10
    )


def test_ky_fan_norm_of_what_is_not_finite_is_nan_and_does_not_raise():
    broken = torch.eye(4, dtype=torch.float64)
    broken[1, 2] = broken[2, 1] = torch.inf
    assert ky_fan(broken, 2).isnan()
    assert float(ky_fan(1e25 * torch.eye(4), 2)) == pytest.approx(2e25)  # beyond what single precision can square
    alike = torch.full((32, 32), 90.75768280029297)  # single-precision LAPACK gave up on this one
    assert float(ky_fan(alike, 16)) == pytest.approx(32 * 90.75768, rel=1e-6)
