"""What reaches the generator: the factors D and 1 - D, and payoffs that stay finite where naive ones fail."""

import math

import pytest
import torch

from ganzfeld import metrics

SCORES = torch.linspace(-100, 100, 401, dtype=torch.float64)


def slope(payoff, o):
    return torch.func.grad(lambda o: payoff(o).sum())(o)


def test_factors_sum_to_one_and_keep_their_digits_at_both_ends():
    d, rest = metrics.payoff_factors(SCORES)
    assert d + rest == pytest.approx(torch.ones(401), abs=1e-15)
    assert rest / d == pytest.approx(torch.exp(-SCORES), rel=1e-12)
    assert float(rest[-1]) > 0 == float(1 - d[-1])


def test_saturation_is_the_mean_norm_of_the_scaled_slope():
    """For a linear critic each gradient is its factor times w; the mean is over norms, not over gradients."""
    w = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    f = lambda x: (x * w).sum((1, 2, 3))  # noqa: E731
    fake = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 4
    d, rest = metrics.payoff_factors(f(fake))
    found = metrics.saturation(f, fake)
    assert found.minimax == pytest.approx(float(d.mean() * w.norm()), rel=1e-12)
    assert found.non_saturating == pytest.approx(float(rest.mean() * w.norm()), rel=1e-12)
    assert (found.d, found.one_minus_d) == pytest.approx((float(d.mean()), float(rest.mean())))


@pytest.mark.parametrize("o", [17.0, 90.0, -90.0])
def test_saturation_is_finite_in_single_precision_where_the_naive_form_is_not(o):
    x = torch.full((1, 1), o)
    found = metrics.saturation(lambda x: x[:, 0], x)
    d, rest = metrics.payoff_factors(torch.tensor(o, dtype=torch.float64))
    assert found.minimax == pytest.approx(float(d), rel=1e-5, abs=1e-30)
    assert found.non_saturating == pytest.approx(float(rest), rel=1e-5, abs=1e-30)
    naive = slope(lambda x: torch.log(1 - torch.sigmoid(x)) - torch.log(torch.sigmoid(x)), x)
    assert not torch.isfinite(naive).all()


def test_a_sure_critic_starves_the_minimax_generator_only():
    sure = torch.full((4, 1), -30.0, dtype=torch.float64)
    found = metrics.saturation(lambda x: x[:, 0], sure)
    assert found.minimax < 1e-12
    assert found.non_saturating == pytest.approx(1, abs=1e-12)


def test_a_critic_with_weights_and_inputs_that_need_gradients_gives_plain_numbers():
    w = torch.ones(2, requires_grad=True)
    found = metrics.saturation(lambda x: x @ w, torch.zeros(3, 2, requires_grad=True))
    assert all(type(number) is float for number in found)
    assert found.minimax == found.non_saturating == pytest.approx(math.sqrt(0.5))
