"""Adversarially learned inference, Dumoulin et al. 2017 (ALI).

The paper: a Gaussian encoder by reparametrisation; generator and encoder descend the non-saturating cost of both sides
together, -log D of a generated pair and -log(1 - D) of an encoded one; Adam 1e-4 (.5), batch 100, critic and generator
side moved at once. Its toy, 25 Gaussians: z in the plane, Adam 1e-4 (.8), 200 epochs.
Changed on the plane: the house's perceptrons, z entering every layer of the critic as the noise does in the encoder
(the authors' toy has it in the first); the critic first, then the generator side; rate, betas and pace of `ns_gan`. On
pictures: the paper's networks, fewer layers for small pictures. On both R1 (Mescheder et al. 2018) binds the critic, in
the place of the paper's dropout.
"""

from __future__ import annotations

from ..game import Game
from ..networks import ALI, MLP, Maker
from .board import HALF_LIFE, Shaped, inference

CITATION = "Dumoulin et al. 2017, Adversarially learned inference"


def ali(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    gamma: float = 0.1,
    cycle: float = 0.0,
    cycle_z: float = 0.0,
    n_critic: int = 1,
    at_once: bool = False,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """Inference with a stochastic encoder; ``cycle`` and ``cycle_z`` weigh reconstruction (ALICE)."""
    return inference(
        data,
        networks,
        stochastic=True,
        lr=lr,
        betas=betas,
        gamma=gamma,
        cycle=cycle,
        cycle_z=cycle_z,
        n_critic=n_critic,
        at_once=at_once,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def ali_pictures(
    data: Shaped,
    networks: Maker = ALI(),
    *,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    gamma: float = 1.0,
    cycle: float = 0.0,
    cycle_z: float = 0.0,
    n_critic: int = 1,
    at_once: bool = True,
    augment: str = "",
    lr_schedule: str = "constant",
    batch_size: int = 100,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """Inference with a stochastic encoder, on pictures."""
    return inference(
        data,
        networks,
        stochastic=True,
        lr=lr,
        betas=betas,
        gamma=gamma,
        cycle=cycle,
        cycle_z=cycle_z,
        n_critic=n_critic,
        at_once=at_once,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
