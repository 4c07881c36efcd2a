"""A gradient penalty around the data, Kodali et al. 2017 (DRAGAN).

The paper: lambda 10, c = .5 of the batch's spread, Adam 2e-4 (.5, .999), one critic turn, the classification objective.
Changed on the plane: rate, betas, and lambda.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def dragan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    weight: float = 0.1,
    spread: float = 0.5,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The non-saturating game under the penalty of DRAGAN."""
    return play(
        data,
        networks,
        objectives.non_saturating,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.Dragan(weight, spread),),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Kodali et al. 2017, On convergence and stability of GANs",
    )
