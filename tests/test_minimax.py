"""The original game: its value, its optimal discriminator, and what reaches the generator."""

import math

import pytest
import torch

from ganzfeld import divergences, metrics, objectives
from ganzfeld.metrics import gaussian, nodes

F64 = torch.float64


def test_losses_of_an_undecided_critic():
    zero = torch.zeros(1)
    assert float(-objectives.minimax.critic(zero, zero)) == pytest.approx(2 * math.log(2), abs=1e-7)
    assert float(objectives.non_saturating.generator(None, zero)) == pytest.approx(math.log(2), abs=1e-7)


def slope(f, o):
    o = o.clone().requires_grad_()
    return torch.autograd.grad(f(o).sum(), o)[0]


def test_payoffs_scale_the_gradient_by_d_and_one_minus_d():
    o = torch.linspace(-100, 100, 2_001, dtype=F64)
    d, rest = metrics.payoff_factors(o)
    assert torch.allclose(slope(torch.sigmoid, o), d * rest, atol=1e-12)
    assert torch.allclose(slope(lambda o: objectives.minimax.generator(None, o), o), -d, atol=1e-12)
    assert torch.allclose(slope(lambda o: objectives.non_saturating.generator(None, o), o), -rest, atol=1e-12)
    for objective in (objectives.minimax, objectives.non_saturating):
        single = o.float()
        assert torch.isfinite(objective.generator(None, single)).all()
        assert torch.isfinite(slope(lambda o, f=objective: f.generator(None, o), single)).all()


def test_stable_form_survives_where_the_naive_one_does_not():
    o = torch.tensor([17.0], requires_grad=True)
    naive = (1 - o.sigmoid()).log()
    assert torch.isinf(naive).all()
    assert torch.isnan(torch.autograd.grad(naive.sum(), o)[0]).all()
    assert float(objectives.minimax.generator(None, o.detach())) == pytest.approx(-17, abs=1e-6)
    low = torch.tensor([-90.0])
    assert float(objectives.non_saturating.generator(None, low)) == pytest.approx(90, abs=1e-5)


def test_no_expected_gradient_where_the_laws_agree():
    e, w = nodes(-12, 12)
    for objective in (objectives.minimax, objectives.non_saturating):
        x = e.clone().requires_grad_()
        cost = (w * gaussian(0, 1)(e) * objective.generator(None, 0 * x)).sum()
        assert float(torch.autograd.grad(cost, x)[0].abs().max()) == 0


def test_gan_row_of_the_f_divergences_is_the_same_value():
    assert objectives.fgan(divergences.gan).critic(torch.tensor(0.3), torch.tensor(-0.2)) == pytest.approx(
        float(objectives.minimax.critic(torch.tensor(0.3), torch.tensor(-0.2))), abs=1e-6
    )
