r"""The Dirac game: data at 0, the generator at theta, the critic psi x. Its vector field near the equilibrium is known.

Mescheder, Geiger, Nowozin 2018: eigenvalues :math:`\pm i f'(0)`; simultaneous descent diverges by
:math:`\sqrt{1 + h^2 f'(0)^2}` a step, alternating descent orbits, R1 converges with the roots of
:math:`\lambda^2 + \gamma\lambda + f'(0)^2`.
"""

import math

import pytest
import torch
from torch import nn

import ganzfeld as gz
from ganzfeld import optimizers

F64 = torch.float64


class Point(nn.Module):
    """G(z) = theta."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1, dtype=F64))

    def reset_parameters(self):
        nn.init.zeros_(self.theta)

    def forward(self, z):
        return self.theta.expand(len(z), 1)


class Slope(nn.Module):
    """D(x) = psi x."""

    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(1, dtype=F64))

    def reset_parameters(self):
        nn.init.zeros_(self.psi)

    def forward(self, x):
        return (x * self.psi).squeeze(-1)


def dirac(objective=gz.objectives.minimax, lr=0.1, constraints=()):
    rule = optimizers.sgd(lr)
    return gz.Game(
        objective, gz.Generate(1), {"generator": Point()}, Slope(), {"critic": rule, "generator": rule},
        constraints=constraints, batch_size=2, shape=(1,),
    )  # fmt: skip


NOISE = {"z": torch.zeros(2, 1, dtype=F64)}
BATCH = (torch.zeros(2, 1, dtype=F64),)


def state(game, psi, theta):
    held = game.init(0)
    held["params"] = {"critic": {"psi": psi.view(1)}, "generator": {"theta": theta.view(1)}}
    return held


def field(game):
    """(psi, theta) -> what both descend, the gradients of both roles side by side."""

    def v(point):
        held = state(game, point[0], point[1])
        critic, _ = game.gradient("critic", held, BATCH, NOISE)
        generator, _ = game.gradient("generator", held, BATCH, NOISE)
        return torch.cat([critic["critic"]["psi"], generator["generator"]["theta"]])

    return v


def spectrum(game):
    """Eigenvalues of the flow, minus the Jacobian of what is descended, at the equilibrium."""
    jacobian = torch.func.jacrev(field(game))(torch.zeros(2, dtype=F64))
    return sorted(torch.linalg.eigvals(-jacobian).tolist(), key=lambda z: (z.imag, z.real))


@pytest.mark.parametrize(
    ("objective", "slope"),
    [("minimax", 0.5), ("non-saturating", 0.5), ("wasserstein", 1.0), ("hinge", 1.0), ("relativistic", 0.5)],
)
def test_the_flow_circles_at_the_slope_of_the_payoff(objective, slope):
    low, high = spectrum(dirac(gz.objectives.TABLE[objective]) if objective != "wasserstein" else bound())
    assert low == pytest.approx(complex(0, -slope), abs=1e-8)
    assert high == pytest.approx(complex(0, slope), abs=1e-8)


def bound():
    """The Wasserstein game in a box too wide to matter."""
    return dirac(gz.objectives.wasserstein, constraints=(gz.Clip(1e6),))


@pytest.mark.parametrize(("lr", "modulus"), [(0.1, 1.00124922), (0.5, 1.03077641)])
def test_simultaneous_descent_diverges_and_alternating_descent_orbits(lr, modulus):
    game = dirac(lr=lr)
    jacobian = torch.func.jacrev(field(game))(torch.zeros(2, dtype=F64))
    together = torch.eye(2, dtype=F64) - lr * jacobian
    assert torch.linalg.eigvals(together).abs().tolist() == pytest.approx([modulus] * 2, abs=1e-7)
    assert modulus == pytest.approx(math.sqrt(1 + lr**2 / 4), abs=1e-7)

    def round_(point):
        held = state(game, point[0], point[1])
        for role in ("critic", "generator"):
            held, _ = game.turn(role, held, BATCH if role == "critic" else (), NOISE, (lr,))
        return torch.cat([held["params"]["critic"]["psi"], held["params"]["generator"]["theta"]])

    alternating = torch.func.jacrev(round_)(torch.zeros(2, dtype=F64))
    assert torch.linalg.eigvals(alternating).abs().tolist() == pytest.approx([1.0] * 2, abs=1e-8)


@pytest.mark.parametrize("gamma", [0.1, 1.0, 2.0])
def test_r1_makes_it_converge_with_the_known_roots(gamma):
    found = spectrum(dirac(constraints=(gz.R1(gamma),)))
    root = complex(gamma**2 - 1) ** 0.5
    expected = sorted([(-gamma - root) / 2, (-gamma + root) / 2], key=lambda z: (z.imag, z.real))
    assert all(z.real < 0 for z in found)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-7)  # the double root at gamma = 1 loses half the digits


def test_r1_without_its_half_bites():
    class Whole(gz.R1):
        def penalty(self, f, params, real, fake, rng):
            return 2 * super().penalty(f, params, real, fake, rng)

    found = spectrum(dirac(constraints=(Whole(0.1),)))
    assert found[0].real != pytest.approx(-0.05, abs=1e-3)


def test_optimistic_steps_spiral_in_where_plain_ones_spiral_out():
    """Gradient descent that steps twice along the new direction and takes back the last: Daskalakis et al. 2018."""
    v, lr = field(dirac()), 0.5
    plain = ahead = last = torch.tensor([0.1, 0.1], dtype=F64)
    last = lr * v(ahead)
    for _ in range(200):
        plain = plain - lr * v(plain)
        move = lr * v(ahead)
        ahead, last = ahead - 2 * move + last, move
    assert ahead.norm() < 0.01 < 0.15 < plain.norm()
