"""Spectral normalisation, Miyato et al. 2018 (SNGAN).

Hinge or non-saturating payoff; one power iteration a critic turn. The paper's best pictures: Adam 2e-4 (0, .9), five
critic turns, batch 64. On the plane a critic of Lipschitz bound 1 cannot tell modes of width .01 apart: every
layer is given ``spectral_norm`` instead, a bound of its fourth power on the slope.
On pictures nothing is changed: the standard CNN under the paper's setting C (Adam 2e-4 (.5, .999), one critic turn),
spectral norm 1; the residual pair is ``--network resnet`` with betas (0, .9) and five critic turns.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game, Schedule
from ..networks import MLP, SNDCGAN, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Miyato et al. 2018, Spectral normalization for generative adversarial networks"


def sngan(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    payoff: str = "hinge",
    n_critic: int = 1,
    spectral_norm: float = 2.0,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The spectrally normalised game; ``payoff`` is hinge or non-saturating."""
    return play(
        data,
        networks,
        _payoff(payoff),
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.Spectral(spectral_norm),),
        schedule=Schedule(n_critic),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def _payoff(name: str) -> objectives.Objective:
    table = {"hinge": objectives.hinge, "non-saturating": objectives.non_saturating}
    if name not in table:
        raise ValueError(f"the payoff of sngan is hinge or non-saturating, not {name!r}")
    return table[name]


def sngan_pictures(
    data: Shaped,
    networks: Maker = SNDCGAN(),
    *,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    payoff: str = "hinge",
    n_critic: int = 1,
    spectral_norm: float = 1.0,
    classes: int = 0,
    augment: str = "",
    lr_schedule: str = "linear",
    batch_size: int = 64,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The spectrally normalised game on pictures."""
    return play(
        data,
        networks,
        _payoff(payoff),
        critic=optimizers.adam(lr, betas),
        constraints=(constraints.Spectral(spectral_norm),),
        schedule=Schedule(n_critic),
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
