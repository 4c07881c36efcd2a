"""Covariance feature matching, Mroueh, Sercu, Goel 2017 (McGAN), IPM_Sigma with the truncated nuclear norm.

``form`` "dual" takes the k largest singular values of the difference of uncentred second moments; "primal" trains U and
V, kept orthonormal by QR after every step. The paper: k = 16, clipping at .01, RMSprop 5e-5. Changed on the plane: the
box, the rates and, as for `mcgan_mean`, the primal form.
On pictures: DCGAN's networks without batch norm in the critic, whose last layer gives m = 64 features; the paper's
numbers.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game, Schedule
from ..networks import DCGAN, MLP, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Mroueh, Sercu, Goel 2017, McGAN: mean and covariance feature matching GAN"


def mcgan_cov(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    k: int = 16,
    form: str = "primal",
    bound: float = 0.1,
    n_critic: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The covariance-matching game."""
    return play(
        data,
        networks,
        objectives.covariance_matching(k) if form == "dual" else objectives.wasserstein,
        critic=optimizers.rmsprop(lr),
        constraints=_bind(form, bound),
        schedule=Schedule(n_critic, warm, warm_steps, warm_every),
        head="features" if form == "dual" else "bilinear",
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )


def _bind(form: str, bound: float) -> tuple[constraints.Constraint, ...]:
    if form not in ("dual", "primal"):
        raise ValueError(f"the form of mcgan-cov is dual or primal, not {form!r}")
    clip = constraints.Clip(bound, spare=("head",))
    return (clip,) if form == "dual" else (clip, constraints.Orthonormal())


def mcgan_cov_pictures(
    data: Shaped,
    networks: Maker = DCGAN(critic_norm="none", features=64),
    *,
    lr: float = 5e-5,
    k: int = 16,
    form: str = "dual",
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
    """The covariance-matching game on pictures."""
    return play(
        data,
        networks,
        objectives.covariance_matching(k) if form == "dual" else objectives.wasserstein,
        critic=optimizers.rmsprop(lr),
        constraints=_bind(form, bound),
        schedule=Schedule(n_critic, warm, warm_steps, warm_every),
        head="features" if form == "dual" else "bilinear",
        classes=classes,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=CITATION,
    )
