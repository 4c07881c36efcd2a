"""The gradient penalty, Gulrajani et al. 2017 (WGAN-GP).

Algorithm 1: lambda 10, five critic turns, Adam 1e-4 (0, .9), batch 64. Their toy script takes lambda .1 at batch 256,
3 x 512 ReLU, and we follow it in lambda. Changed on the plane: 3 x 128, batch 128, one critic turn, the rate, beta2.
"""

from __future__ import annotations

from .. import constraints, objectives, rules
from ..game import Game, Turns
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def wgan_gp(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    rate: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    weight: float = 0.1,
    critic_turns: int = 1,
    pace: str = "linear",
    batch_size: int = 128,
    half_life: float = HALF_LIFE,
) -> Game:
    """The Wasserstein game under a gradient penalty."""
    return play(
        data,
        networks,
        objectives.wasserstein,
        critic=rules.adam(rate, betas),
        constraints=(constraints.GradientPenalty(weight),),
        schedule=Turns(critic_turns),
        pace=pace,
        batch_size=batch_size,
        half_life=half_life,
        citation="Gulrajani et al. 2017, Improved training of Wasserstein GANs",
    )
