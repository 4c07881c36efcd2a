"""The non-saturating game with a zero-centred penalty on the data, Mescheder, Geiger, Nowozin 2018.

The paper's pictures: gamma 10 (their code's 10 stands without the 1/2), RMSprop 1e-4, one critic turn, averaged
weights. Changed on the plane: gamma, Adam and the rate.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def r1gan(
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
    """The R1 game."""
    return play(
        data,
        networks,
        objectives.non_saturating,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.R1(gamma),),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Mescheder, Geiger, Nowozin 2018, Which training methods for GANs do actually converge?",
    )
