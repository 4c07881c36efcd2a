"""Relativistic pairing with R1 and R2, Huang et al. 2024 (R3GAN).

The paper: Adam (0, .9 to .99), rate 2e-4 falling to 5e-5, gamma by data set (CIFAR-10 .05 falling to .005), averaged
weights, no normalisation layer. Changed on the plane: gamma and the rate.
"""

from __future__ import annotations

from .. import constraints, objectives, rules
from ..game import Game
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def r3gan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    rate: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    gamma: float = 0.1,
    pace: str = "linear",
    batch_size: int = 128,
    half_life: float = HALF_LIFE,
) -> Game:
    """The R3 game."""
    return play(
        data,
        networks,
        objectives.relativistic,
        critic=rules.adam(rate, betas),
        constraints=(constraints.R1(gamma), constraints.R2(gamma)),
        pace=pace,
        batch_size=batch_size,
        half_life=half_life,
        citation="Huang et al. 2024, The GAN is dead; long live the GAN!",
    )
