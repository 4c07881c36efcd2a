"""Weight clipping, Arjovsky, Chintala, Bottou 2017 (WGAN).

Algorithm 1: c = .01, five critic turns, RMSprop at 5e-5, batch 64; the authors' code adds a warm-up of 100 critic turns
in the first 25 steps and at every 500th. Kept on the plane: clipping after the step, RMSprop, the warm-up. Changed: the
box (in the paper's box a 3 x 128 perceptron is nearly constant) and the rates.
On pictures nothing is changed: the paper's numbers, on DCGAN's networks.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game, Schedule
from ..networks import DCGAN, MLP, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Arjovsky, Chintala, Bottou 2017, Wasserstein GAN"


def wgan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    bound: float = 0.3,
    n_critic: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The clipped Wasserstein game."""
    return play(
        data,
        networks,
        objectives.wasserstein,
        critic=optimizers.rmsprop(lr),
        constraints=(constraints.Clip(bound),),
        schedule=Schedule(n_critic, warm, warm_steps, warm_every),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def wgan_pictures(
    data: Shaped,
    networks: Maker = DCGAN(),
    *,
    lr: float = 5e-5,
    bound: float = 0.01,
    n_critic: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "constant",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The clipped Wasserstein game on pictures."""
    return play(
        data,
        networks,
        objectives.wasserstein,
        critic=optimizers.rmsprop(lr),
        constraints=(constraints.Clip(bound),),
        schedule=Schedule(n_critic, warm, warm_steps, warm_every),
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
