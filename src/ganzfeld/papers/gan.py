"""The original game, Goodfellow et al. 2014: minimax value, Algorithm 1 as displayed (k = 1 critic turn).

The paper's MNIST numbers (maxout critic 240 x 5, SGD at 0.1 with momentum .5 to .7, batch 100; from the authors' code)
are for pictures. On the plane: perceptrons 3 x 128 and Adam (0, .99), with rates found by a search under benchmarks/.
The displayed generator step saturates where the critic is sure; the authors' own code plays `ns_gan`.
"""

from __future__ import annotations

from .. import objectives, optimizers
from ..game import Game
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def gan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The minimax game."""
    return play(
        data,
        networks,
        objectives.minimax,
        critic=optimizers.adam(lr, betas),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Goodfellow et al. 2014, Generative adversarial nets",
    )
