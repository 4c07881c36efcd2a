"""Mean and covariance feature matching together, Mroueh, Sercu, Goel 2017 (McGAN), IPM_{mu, Sigma}, dual form.

Changed on the plane: as for `mcgan_mean` and `mcgan_cov`.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game, Schedule
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def mcgan(
    data: Shaped,
    networks: MLP = MLP(features=32),
    *,
    lr: float = 1e-3,
    q: float = 2.0,
    k: int = 16,
    bound: float = 0.1,
    n_critic: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The game of both moments."""
    return play(
        data,
        networks,
        objectives.mean_and_covariance_matching(q, k),
        critic=optimizers.rmsprop(lr),
        constraints=(constraints.Clip(bound),),
        schedule=Schedule(n_critic, warm, warm_steps, warm_every),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Mroueh, Sercu, Goel 2017, McGAN: mean and covariance feature matching GAN",
    )
