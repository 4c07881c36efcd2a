"""Spectral normalisation: what the power iteration estimates, and where the bound holds."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, normalize
from torch.nn.utils.parametrizations import spectral_norm

from ganzfeld import metrics
from ganzfeld.constraints import Spectral
from ganzfeld.networks import MLP

F64 = torch.float64


def matrix(n, m, seed=0):
    return torch.randn(n, m, dtype=F64, generator=torch.Generator().manual_seed(seed))


def random_start(weight, seed=1):
    v = normalize(matrix(weight.shape[1], 1, seed)[:, 0], dim=0)
    return {"w.u": normalize(weight @ v, dim=0), "w.v": v}


def test_power_iteration_approaches_from_below():
    weight = matrix(20, 30)
    sigma = torch.linalg.svdvals(weight)
    state, estimates = random_start(weight), []
    for _ in range(100):
        dressed, state = Spectral().dress({"w": weight}, state, advance=True)
        estimates.append(float((weight / dressed["w"]).mean()))
    assert all(e <= float(sigma[0]) * (1 + 1e-12) for e in estimates)
    assert estimates[-1] == pytest.approx(float(sigma[0]), abs=1e-6)
    assert estimates[0] < 0.99 * float(sigma[0])  # so one step leaves a norm above 1
    gaps = [float(sigma[0]) - e for e in estimates[40:42]]
    assert gaps[1] / gaps[0] == pytest.approx(float(sigma[1] / sigma[0]) ** 4, rel=0.05)  # a Rayleigh quotient's rate


def test_it_starts_at_the_exact_norm_and_advances_only_when_told():
    params = {"w": matrix(6, 4), "b": torch.zeros(6, dtype=F64)}
    spectral = Spectral()
    state = spectral.init(params)
    dressed, same = spectral.dress(params, state, advance=False)
    assert float(torch.linalg.matrix_norm(dressed["w"], 2)) == pytest.approx(1, abs=1e-12)
    assert dressed["b"] is params["b"]
    assert all(same[k] is state[k] for k in state)
    _, moved = spectral.dress({**params, "w": matrix(6, 4, 9)}, state, advance=True)
    assert not torch.allclose(moved["w.u"], state["w.u"])


def test_gradient_is_the_papers_formula():
    weight = matrix(5, 7)
    h, delta = matrix(9, 7, 2), matrix(9, 5, 3)
    state = Spectral().init({"w": weight})

    def loss(w):
        return (h @ Spectral().dress({"w": w}, state, False)[0]["w"].T * delta).sum()

    gradient = torch.func.grad(loss)(weight)
    u, s, vt = torch.linalg.svd(weight)
    full = delta.T @ h
    lam = (delta * (h @ (weight / s[0]).T)).sum()
    assert torch.allclose(gradient, (full - lam * torch.outer(u[:, 0], vt[0])) / s[0], atol=1e-10)


def test_it_equals_torchs_own():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(4, 3).double(), n_power_iterations=1)
    vectors = layer.parametrizations.weight[0]
    state = {"w.u": vectors._u.clone(), "w.v": vectors._v.clone()}
    raw = layer.parametrizations.weight.original.detach()
    for _ in range(3):
        dressed, state = Spectral().dress({"w": raw}, state, advance=True)
        assert torch.allclose(layer.weight, dressed["w"], atol=1e-12)


def operator(kernel, n, circular):
    """The matrix of a convolution on n x n pictures, by convolving the identity."""
    eye = torch.eye(kernel.shape[1] * n * n, dtype=F64).view(-1, kernel.shape[1], n, n)
    pad = kernel.shape[-1] // 2
    if circular:
        out = conv2d(nn.functional.pad(eye, [pad] * 4, mode="circular"), kernel)
    else:
        out = conv2d(eye, kernel, padding=pad)
    return out.flatten(1).T


def test_flattened_kernel_is_not_the_convolution():
    ones = torch.ones(1, 1, 3, 3, dtype=F64)
    assert metrics.spectral_norms({"k": ones})["k"] == pytest.approx(3, abs=1e-9)
    assert float(torch.linalg.matrix_norm(operator(ones, 8, True), 2)) == pytest.approx(9, abs=1e-9)
    assert float(torch.linalg.matrix_norm(operator(ones, 16, False), 2)) == pytest.approx(8.797, abs=1e-3)
    kernel = matrix(4, 27).view(4, 3, 3, 3)
    exact = float(torch.linalg.matrix_norm(operator(kernel, 10, True), 2))
    by_frequency = torch.linalg.svdvals(torch.fft.fft2(kernel, (10, 10)).permute(2, 3, 0, 1)).max()
    assert exact == pytest.approx(float(by_frequency), abs=1e-10)
    reshaped = metrics.spectral_norms({"k": kernel})["k"]
    assert reshaped < exact <= 3 * reshaped


def test_what_other_layers_do_to_the_bound():
    eye = torch.eye(64, dtype=F64).view(64, 1, 8, 8)
    pool = avg_pool2d(eye, 2).flatten(1).T
    assert float(torch.linalg.matrix_norm(pool, 2)) == pytest.approx(0.5, abs=1e-9)
    assert float(torch.linalg.matrix_norm(eye.sum((2, 3)).T, 2)) == pytest.approx(8, abs=1e-9)
    weight = matrix(5, 5)
    weight = weight @ weight.T
    normal = weight / torch.linalg.matrix_norm(weight, 2)
    assert float(torch.linalg.matrix_norm(torch.eye(5, dtype=F64) + normal, 2)) == pytest.approx(2, abs=1e-9)


@pytest.mark.parametrize(("norm", "result"), [(1.0, 1.0), (2.0, 2.0)])
def test_small_weights_are_scaled_up(norm, result):
    params = {"w": 0.01 * torch.eye(4, dtype=F64)}
    dressed, _ = Spectral(norm).dress(params, Spectral(norm).init(params), True)
    assert float(torch.linalg.matrix_norm(dressed["w"], 2)) == pytest.approx(result, abs=1e-9)


@pytest.mark.parametrize("norm", [1.0, 1.5])
def test_dressed_perceptron_keeps_the_product_bound(norm):
    torch.manual_seed(0)
    _, critic = MLP(width=16, depth=3).pair((2,))
    critic = critic.double()
    params = {n: 3 * p.detach() for n, p in critic.named_parameters()}
    spectral = Spectral(norm)
    dressed, _ = spectral.dress(params, spectral.init(params), False)
    f = lambda x: torch.func.functional_call(critic, dressed, (x,))  # noqa: E731
    x, y = matrix(400, 2, 1), matrix(400, 2, 2)
    bound = metrics.product_bound(dressed)
    assert bound == pytest.approx(norm**4, rel=1e-9)
    assert 0 < metrics.difference_quotient(f, x, y) <= bound * (1 + 1e-5)
    assert float(metrics.gradient_norms(f, x).max()) <= bound * (1 + 1e-5)
    naked = lambda x: torch.func.functional_call(critic, params, (x,))  # noqa: E731
    assert metrics.difference_quotient(naked, x, y) > metrics.difference_quotient(f, x, y)
