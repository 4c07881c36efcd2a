"""The geometric game, Lim and Ye 2017 (geometric GAN): a soft-margin hyperplane on the critic's features.

Hinge, an SVM's weight decay on the last layer only (C = 1 in the authors' code), the features' weights clipped, the
generator along the normal. The authors' toy: RMSprop at 1e-3, batch 500, latent 4, 3 x 128. Changed on the plane:
Adam (0, .99), batch 128, the box.
On pictures: DCGAN's networks, RMSprop 2e-4 as in the authors' scripts; those take ten generator turns a critic turn,
here it is one.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game
from ..networks import DCGAN, MLP, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Lim and Ye 2017, Geometric GAN"


def geometric(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    cost: float = 1.0,
    bound: float = 1.0,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The support-vector game."""
    return play(
        data,
        networks,
        objectives.hinge,
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.Margin(cost, batch_size), constraints.Clip(bound, spare=("head",))),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def geometric_pictures(
    data: Shaped,
    networks: Maker = DCGAN(),
    *,
    lr: float = 2e-4,
    cost: float = 1.0,
    bound: float = 1.0,
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "constant",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The support-vector game on pictures."""
    return play(
        data,
        networks,
        objectives.hinge,
        critic=optimizers.rmsprop(lr),
        constraints=(constraints.Margin(cost, batch_size), constraints.Clip(bound, spare=("head",))),
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
