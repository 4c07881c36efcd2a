"""The squared Hellinger member of f-GAN, Nowozin, Cseke, Tomioka 2016.

The paper's MNIST numbers (Adam 2e-4 with beta1 = .5, batch 4096) are for pictures; rates here were found by a search
under benchmarks/. ``alternative``: the generator raises E g_f(v) (section 3.2) instead of lowering the bound.
"""

from __future__ import annotations

from .. import divergences, objectives, optimizers
from ..game import Game
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def fgan_hellinger(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    alternative: bool = False,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The squared Hellinger game."""
    return play(
        data,
        networks,
        objectives.fgan(divergences.hellinger, alternative),
        critic=optimizers.adam(lr, betas),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Nowozin, Cseke, Tomioka 2016, f-GAN",
    )
