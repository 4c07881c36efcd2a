"""McGAN: mean and covariance matching, their duals, their balls, their bias."""

import math

import pytest
import torch

from ganzfeld import objectives
from ganzfeld.constraints import Ball, Orthonormal
from ganzfeld.networks import Critic
from ganzfeld.objectives import covariance_matching, ky_fan, mean_matching, second_moment

F64 = torch.float64
NORMS = pytest.mark.parametrize("q", [1.0, 2.0, math.inf])


def features(n, m, seed, shift=0.0, scale=1.0):
    return shift + scale * torch.randn(n, m, dtype=F64, generator=torch.Generator().manual_seed(seed))


def best_v(delta, q):
    if q == 1:
        return delta.sign()
    if q == 2:
        return delta / delta.norm()
    return torch.where(delta.abs() == delta.abs().max(), delta.sign(), 0.0)


def feasible(q, m, rng):
    """Random points on the unit sphere of the dual norm."""
    v = torch.randn(20_000, m, dtype=F64, generator=rng)
    p = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[q]
    return v / torch.linalg.vector_norm(v, p, dim=1, keepdim=True)


@NORMS
def test_dual_norm_is_the_supremum_over_the_ball(q):
    real, fake = features(50, 4, 0, 0.3), features(50, 4, 1)
    value = float(mean_matching(q).critic(real, fake))
    delta = real.mean(0) - fake.mean(0)
    assert float(best_v(delta, q) @ delta) == pytest.approx(value, abs=1e-12)
    assert float((feasible(q, 4, torch.Generator().manual_seed(2)) @ delta).max()) <= value + 1e-12


@NORMS
def test_projected_ascent_on_the_primal_reaches_the_dual(q):
    delta = features(1, 5, 3)[0]
    ball, v = Ball(q), torch.zeros(1, 5, dtype=F64)
    for _ in range(3_000):
        v = ball.project({"head.weight": v + 0.05 * delta})["head.weight"]
    assert float(v[0] @ delta) == pytest.approx(float(torch.linalg.vector_norm(delta, q)), abs=1e-6)


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
    with pytest.raises(ValueError, match="q >= 1"):
        mean_matching(0.5)


def test_ky_fan_norm_is_the_supremum_over_orthonormal_pairs():
    real, fake = features(60, 6, 5, scale=1.5), features(60, 6, 6)
    difference = second_moment(real) - second_moment(fake)
    u, s, vt = torch.linalg.svd(difference)
    for k in (1, 3, 6):
        value = float(covariance_matching(k).critic(real, fake))
        assert value == pytest.approx(float(s[:k].sum()), abs=1e-10)
        assert float((u[:, :k].T @ difference @ vt[:k].T).trace()) == pytest.approx(value, abs=1e-10)
        for seed in range(200):
            a, b = (torch.linalg.qr(features(6, k, 100 * seed + i)).Q for i in (0, 1))
            assert float((a.T @ difference @ b).trace()) <= value + 1e-10
    assert float(ky_fan(difference, 6)) == pytest.approx(float(torch.linalg.matrix_norm(difference, "nuc")), abs=1e-10)


def test_equal_u_and_v_lose_the_negative_directions():
    difference = torch.diag(torch.tensor([3.0, -2.0, 0.1], dtype=F64))
    assert float(ky_fan(difference, 2)) == pytest.approx(5)
    symmetric = float(torch.linalg.eigvalsh(difference).topk(2).values.sum())  # sup over U = V
    assert symmetric == pytest.approx(3.1)


def test_bilinear_critic_is_the_sample_form_of_the_trace():
    torch.manual_seed(0)
    critic = Critic(torch.nn.Identity(), 6, "bilinear", 3).double()
    real, fake = features(40, 6, 7), features(40, 6, 8, 0.2)
    value = objectives.wasserstein.critic(critic(real), critic(fake)).mean()
    difference = second_moment(real) - second_moment(fake)
    assert float(value.detach()) == pytest.approx(
        float((critic.head.u.T @ difference @ critic.head.v).trace().detach()), abs=1e-10
    )


def test_retraction_keeps_orthonormal_columns_and_ascends_to_the_dual():
    difference = second_moment(features(60, 5, 9, scale=2.0)) - second_moment(features(60, 5, 10))
    params = {"head.u": torch.linalg.qr(features(5, 2, 11)).Q, "head.v": torch.linalg.qr(features(5, 2, 12)).Q}
    for _ in range(2_000):
        u, v = params["head.u"], params["head.v"]
        params = Orthonormal().project({"head.u": u + 0.05 * difference @ v, "head.v": v + 0.05 * difference.T @ u})
        eye = params["head.u"].T @ params["head.u"]
        assert float((eye - torch.eye(2, dtype=F64)).norm()) < 1e-6
    reached = float((params["head.u"].T @ difference @ params["head.v"]).trace())
    assert reached == pytest.approx(float(ky_fan(difference, 2)), abs=1e-6)
    still = Orthonormal().project(params)
    assert torch.allclose(still["head.u"], params["head.u"])  # the sign of R is fixed: nothing jumps


@pytest.mark.parametrize(("n", "value"), [(64, 0.4154), (512, 0.147), (4096, 0.052)])
def test_equal_laws_do_not_give_zero_on_a_minibatch(n, value):
    m = 6
    closed = math.sqrt(2 / n) * math.sqrt(2) * math.gamma((m + 1) / 2) / math.gamma(m / 2)
    assert closed == pytest.approx(value, rel=0.01)
    seen = [float(mean_matching(2).critic(features(n, m, 2 * i), features(n, m, 2 * i + 1))) for i in range(60)]
    assert sum(seen) / len(seen) == pytest.approx(closed, rel=0.1)


def test_the_mean_is_blind_where_the_covariance_sees():
    real = features(2_000, 3, 13, scale=2.0)
    fake = features(2_000, 3, 14)
    real, fake = real - real.mean(0), fake - fake.mean(0)
    assert float(mean_matching(2).critic(real, fake)) == pytest.approx(0, abs=1e-12)
    assert float(covariance_matching(3).critic(real, fake)) > 5


def test_centring_the_second_moment_bites():
    real, fake = features(500, 3, 15, shift=1.0), features(500, 3, 16)
    assert float(covariance_matching(1).critic(real, fake)) > 1
    centred = torch.cov(real.T) - torch.cov(fake.T)
    assert float(ky_fan(centred, 1)) < 0.5


def test_both_moments_together_are_the_sum():
    real, fake = features(50, 4, 17, 0.5), features(50, 4, 18)
    both = objectives.mean_and_covariance_matching(2.0, 3).critic(real, fake)
    parts = mean_matching(2).critic(real, fake) + covariance_matching(3).critic(real, fake)
    assert torch.allclose(both, parts)


def test_ky_fan_norm_of_what_is_not_finite_is_nan_and_does_not_raise():
    broken = torch.eye(4, dtype=torch.float64)
    broken[1, 2] = broken[2, 1] = torch.inf
    assert ky_fan(broken, 2).isnan()
    assert float(ky_fan(1e25 * torch.eye(4), 2)) == pytest.approx(2e25)  # beyond what single precision can square
    alike = torch.full((32, 32), 90.75768280029297)  # single-precision LAPACK gave up on this one
    assert float(ky_fan(alike, 16)) == pytest.approx(32 * 90.75768, rel=1e-6)
