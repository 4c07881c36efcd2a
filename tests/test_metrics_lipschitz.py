"""Slopes of critics: spectral norms, gradients over all of a sample, and critics that mix their samples."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from ganzfeld import metrics


@pytest.fixture(autouse=True)
def exact():
    """Float64 throughout, and dice of this test's own."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(before)


def mlp(*sizes, act=nn.ReLU):
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), act())][:-1]
    return nn.Sequential(*layers, nn.Flatten(0))


def test_spectral_norm_is_the_largest_singular_value_of_the_flattened_weight():
    params = {"dense": torch.randn(20, 30), "conv": torch.randn(8, 5, 3, 3), "bias": torch.randn(20)}
    found = metrics.spectral_norms(params)
    assert list(found) == ["dense", "conv"]
    for name, norm in found.items():
        gram = params[name].reshape(len(params[name]), -1)
        assert norm == pytest.approx(float(torch.linalg.eigvalsh(gram @ gram.T)[-1].sqrt()), rel=1e-12)


def test_product_bound_holds_for_perceptrons_and_is_reached_by_linear_ones():
    f = mlp(5, 16, 16, 1)
    bound = metrics.product_bound(dict(f.named_parameters()))
    x, y = torch.randn(500, 5), torch.randn(500, 5)
    assert 0 < metrics.difference_quotient(f, x, y) <= bound
    assert 0 < float(metrics.gradient_quantiles(f, x)[-1]) <= bound
    w = torch.randn(1, 5)
    linear = metrics.product_bound({"w": w})
    assert metrics.gradient_norms(lambda x: (x @ w.T)[:, 0], x) == pytest.approx(torch.full((500,), linear))


def test_gradient_norm_is_joint_over_all_inputs():
    """A critic of pairs (ALI, BiGAN) has one gradient, not one per input."""
    a, b = torch.randn(2, 3, 4), torch.randn(6)
    f = lambda x, z: (x * a).sum((1, 2, 3)) + z @ b  # noqa: E731
    norms = metrics.gradient_norms(f, torch.randn(7, 2, 3, 4), torch.randn(7, 6))
    assert norms == pytest.approx(torch.cat([a.flatten(), b]).norm().expand(7))
    assert float(norms[0]) > float(a.norm())


def test_gradient_norm_equals_finite_differences():
    f, x, h = mlp(3, 16, 1, act=nn.Tanh), torch.randn(9, 3), 1e-6
    slope = torch.stack([(f(x + h * e) - f(x - h * e)).detach() / (2 * h) for e in torch.eye(3)], 1)
    assert metrics.gradient_norms(f, x).detach() == pytest.approx(slope.norm(dim=1), rel=1e-6)


def test_gradient_norm_of_a_flat_critic_is_zero_and_differentiable():
    x = torch.zeros(4, 3)
    f = mlp(3, 8, 1, act=nn.Tanh)
    flat = {name: torch.zeros_like(w, requires_grad=True) for name, w in f.named_parameters()}
    norms = metrics.gradient_norms(lambda x: functional_call(f, flat, (x,)), x)
    assert norms.eq(0).all()
    slopes = torch.autograd.grad((norms - 1).square().sum(), tuple(flat.values()), allow_unused=True)
    found = [slope for slope in slopes if slope is not None]
    assert found and all(torch.isfinite(slope).all() for slope in found)  # the root of a sum would be nan


def test_gradient_quantiles_are_those_of_the_norms():
    f = lambda x: x.square().sum(1) / 2  # noqa: E731
    x = torch.arange(101.0)[:, None] * torch.tensor([[0.6, 0.8]])
    assert metrics.gradient_quantiles(f, x) == pytest.approx(torch.tensor([5.0, 50.0, 95.0, 100.0]))
    assert metrics.gradient_quantiles(f, x, q=(0.0,)) == pytest.approx(torch.zeros(1))
    pair = lambda x, z: f(x) + z[:, 0]  # noqa: E731
    assert metrics.gradient_quantiles(pair, x, torch.zeros(101, 1), q=(0.0,)) == pytest.approx(torch.ones(1))


def test_difference_quotient_is_the_steepest_chord():
    f = lambda x: x[:, 0].abs()  # noqa: E731
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [-1.0], [2.5]])
    assert metrics.difference_quotient(f, x, y) == 1  # the first pair coincides, the second is level
    assert metrics.difference_quotient(f, x[:2], y[:2]) == 0
    with pytest.raises(ValueError, match="coincides"):
        metrics.difference_quotient(f, x, x)


def test_sample_mixing_is_the_largest_foreign_derivative():
    a = torch.tensor([[9.0, -2.0, 0.5], [0.0, 9.0, 1.0], [0.0, 0.0, 9.0]])
    pictures = torch.randn(3, 1, 2, 2)
    assert metrics.sample_mixing(lambda x: a @ x[:, 0, 1, 0], pictures) == 2
    assert metrics.sample_mixing(lambda x: a.diagonal() * x[:, 0, 1, 0], pictures) == 0
    with pytest.raises(ValueError, match="two or more"):
        metrics.sample_mixing(lambda x: x[:, 0], torch.randn(1, 2))


def test_share_at_bound_counts_the_corners_of_the_box():
    corner = 0.01 * (1 - 1e-7)
    params = {"w": torch.tensor([[0.01, -0.01], [0.0099, 0.0]]), "b": torch.tensor([corner, 0.005])}
    assert metrics.share_at_bound(params, 0.01) == pytest.approx(0.5)
    assert metrics.share_at_bound(params, 0.01, tolerance=0.02) == pytest.approx(4 / 6)
    assert metrics.share_at_bound(params, 0.02) == 0
    single = {"w": torch.randn(100, dtype=torch.float32).clamp(-0.01, 0.01)}
    inside = float((single["w"].abs() < 0.01 * (1 - 1e-5)).double().mean())
    assert metrics.share_at_bound(single, 0.01) == pytest.approx(1 - inside)
    assert math.isnan(metrics.share_at_bound({}, 0.01))


def test_what_is_measured_carries_no_graph():
    f = mlp(3, 8, 1)
    params = dict(f.named_parameters())
    x = torch.randn(4, 3, requires_grad=True)
    for number in (
        metrics.product_bound(params),
        metrics.share_at_bound(params, 0.1),
        metrics.sample_mixing(f, x),
        metrics.difference_quotient(f, x, x.detach() + 1),
    ):
        assert type(number) is float
