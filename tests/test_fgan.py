"""f-divergences: their scores in single precision, and shifts of a Gaussian. Their law holds the rest."""

import math

import pytest
import torch

from ganzfeld import metrics
from ganzfeld.divergences import TABLE

F64 = torch.float64
ROWS = pytest.mark.parametrize("name", TABLE)


@ROWS
def test_composition_survives_where_nesting_does_not(name):
    v = torch.tensor([-80.0, -30.0, 30.0, 80.0])
    assert torch.isfinite(TABLE[name].bound(v)).all()
    if name in ("gan", "js"):
        assert not torch.isfinite(TABLE[name].conjugate(TABLE[name].activation(v))).all()


@pytest.mark.parametrize("m", [0.5, 1.5])
def test_shifts_of_a_gaussian(m):
    p, q = metrics.gaussian(0, 1), metrics.gaussian(m, 1)
    assert metrics.f_divergence(TABLE["pearson"], p, q, -14, 14) == pytest.approx(math.exp(m**2) - 1, abs=1e-7)
    hellinger = 2 * (1 - math.exp(-(m**2) / 8))
    assert metrics.f_divergence(TABLE["hellinger"], p, q, -14, 14) == pytest.approx(hellinger, abs=1e-7)
