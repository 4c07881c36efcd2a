"""Bidirectional GAN, Donahue, Kraehenbuehl, Darrell 2017 (BiGAN).

The paper: a deterministic encoder; the inverse objective, labels swapped, for generator and encoder; critic and
generator side moved at once. Its permutation-invariant MNIST: perceptrons 1024-1024, leaky ReLU, z uniform in 50
dimensions, entering every layer of the critic linearly; Adam 2e-4 (.5), batch 128, 400 epochs.
Changed: z is normal, so that codes and latents have one geometry throughout the house; no weight decay; R1 (Mescheder
et al. 2018) binds the critic; on the plane the house's perceptrons, one player after the other, rate, betas and pace of
`ns_gan`.
"""

from __future__ import annotations

from ..game import Game
from ..networks import MLP, Maker
from .board import HALF_LIFE, Shaped, inference

CITATION = "Donahue, Kraehenbuehl, Darrell 2017, Adversarial feature learning"


def bigan(
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
    """Inference with a deterministic encoder, which at the optimum inverts the generator."""
    return inference(
        data,
        networks,
        stochastic=False,
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


def bigan_pictures(
    data: Shaped,
    networks: Maker = MLP(width=1024, depth=2, latent=50, activation="leaky", norm="batch"),
    *,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    gamma: float = 1.0,
    cycle: float = 0.0,
    cycle_z: float = 0.0,
    n_critic: int = 1,
    at_once: bool = True,
    augment: str = "",
    lr_schedule: str = "constant",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """Inference with a deterministic encoder, on pictures read as vectors."""
    return inference(
        data,
        networks,
        stochastic=False,
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
