"""Spectral normalisation: what the power iteration estimates, and where the bound holds."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganzfeld.constraints import Spectral

F64 = torch.float64


def matrix(n, m, seed=0):
    return torch.randn(n, m, dtype=F64, generator=torch.Generator().manual_seed(seed))


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


def test_it_equals_torchs_own():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(4, 3).double(), n_power_iterations=1)
    vectors = layer.parametrizations.weight[0]
    state = {"w.u": vectors._u.clone(), "w.v": vectors._v.clone()}
    raw = layer.parametrizations.weight.original.detach()
    for _ in range(3):
        dressed, state = Spectral().dress({"w": raw}, state, advance=True)
        assert torch.allclose(layer.weight, dressed["w"], atol=1e-12)
