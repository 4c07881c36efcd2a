"""Relativistic pairing with R1 and R2, Huang et al. 2024 (R3GAN).

The paper: Adam (0, .9 to .99), rate 2e-4 falling to 5e-5, gamma by data set (CIFAR-10 .05 falling to .005), averaged
weights, no normalisation layer. Changed on the plane: gamma and the rate.
On pictures: the paper's residual pair, small, its rate and betas and CIFAR-10's first gamma.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game
from ..networks import MLP, R3, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Huang et al. 2024, The GAN is dead; long live the GAN!"


def r3gan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    gamma: float = 0.1,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The R3 game."""
    return play(
        data,
        networks,
        objectives.relativistic,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.R1(gamma), constraints.R2(gamma)),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def r3gan_pictures(
    data: Shaped,
    networks: Maker = R3(),
    *,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.0, 0.99),
    gamma: float = 0.05,
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "linear",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The relativistic game on pictures."""
    return play(
        data,
        networks,
        objectives.relativistic,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.R1(gamma), constraints.R2(gamma)),
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
