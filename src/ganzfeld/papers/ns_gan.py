"""The non-saturating game, Goodfellow et al. 2014, section 3: the generator raises log D(G(z)).

It is what the authors' code trains. Same fixed point as the minimax game, another vector field: at the optimal critic
its gradient is that of KL - 2 JS. On the plane: perceptrons 3 x 128 and Adam (0, .99), found by a search under
benchmarks/.
"""

from __future__ import annotations

from .. import objectives, optimizers
from ..game import Game
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def ns_gan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The non-saturating game."""
    return play(
        data,
        networks,
        objectives.non_saturating,
        critic=optimizers.adam(lr, betas),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Goodfellow et al. 2014, Generative adversarial nets",
    )
