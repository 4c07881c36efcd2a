"""Deep convolutional pictures, Radford, Metz, Chintala 2016 (DCGAN).

The paper: the non-saturating game, Adam 2e-4 with beta1 .5, batch 128, z uniform in 100 dimensions, weights from
N(0, .02). Changed: batch 64 and normal z, as in its public PyTorch form, whose two turns share one fake batch; a moving
average of the weights (Yazici et al. 2018).
"""

from __future__ import annotations

from .. import objectives, optimizers
from ..game import Game
from ..networks import DCGAN, Maker
from .board import HALF_LIFE, Shaped, play


def dcgan(
    data: Shaped,
    networks: Maker = DCGAN(),
    *,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    share_fakes: bool = True,
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "constant",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The convolutional game on pictures."""
    return play(
        data,
        networks,
        objectives.non_saturating,
        critic=optimizers.adam(lr, betas),
        share_fakes=share_fakes,
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Radford, Metz, Chintala 2016, Unsupervised representation learning with DCGANs",
    )
