"""Least squares, Mao et al. 2017 (LSGAN), eq. 9: targets 0, 1, 1.

The paper's pictures: Adam 1e-3 with beta1 = .5 (LSUN), batch 64. On the plane: Adam (0, .99), batch 128.
On pictures: DCGAN's networks, with its rate and betas.
"""

from __future__ import annotations

from .. import objectives, optimizers
from ..game import Game
from ..networks import DCGAN, MLP, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Mao et al. 2017, Least squares generative adversarial networks"


def lsgan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The least-squares game."""
    return play(
        data,
        networks,
        objectives.least_squares,
        critic=optimizers.adam(lr, betas),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def lsgan_pictures(
    data: Shaped,
    networks: Maker = DCGAN(),
    *,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "constant",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The least-squares game on pictures."""
    return play(
        data,
        networks,
        objectives.least_squares,
        critic=optimizers.adam(lr, betas),
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
