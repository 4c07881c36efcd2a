"""The gradient penalty, Gulrajani et al. 2017 (WGAN-GP).

Algorithm 1: lambda 10, five critic turns, Adam 1e-4 (0, .9), batch 64. Their toy script takes lambda .1 at batch 256,
3 x 512 ReLU, and we follow it in lambda. Changed on the plane: 3 x 128, batch 128, one critic turn, the rate, beta2.
On pictures nothing is changed but the generator's batch, 64 as the critic's: the authors' CIFAR-10 script (residual
networks of width 128, Adam 2e-4 (0, .9), weight 10, five critic turns, linear decay).
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game, Schedule
from ..networks import MLP, Maker, ResNet
from .board import HALF_LIFE, Shaped, play

CITATION = "Gulrajani et al. 2017, Improved training of Wasserstein GANs"


def wgan_gp(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    weight: float = 0.1,
    n_critic: int = 1,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The Wasserstein game under a gradient penalty."""
    return play(
        data,
        networks,
        objectives.wasserstein,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.GradientPenalty(weight),),
        schedule=Schedule(n_critic),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def wgan_gp_pictures(
    data: Shaped,
    networks: Maker = ResNet(width=128, pool="mean"),
    *,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    weight: float = 10.0,
    n_critic: int = 5,
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "linear",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The gradient-penalised Wasserstein game on pictures."""
    return play(
        data,
        networks,
        objectives.wasserstein,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.GradientPenalty(weight),),
        schedule=Schedule(n_critic),
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
