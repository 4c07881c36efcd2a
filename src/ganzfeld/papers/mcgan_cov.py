"""Covariance feature matching, Mroueh, Sercu, Goel 2017 (McGAN), IPM_Sigma with the truncated nuclear norm.

``form`` "dual" takes the k largest singular values of the difference of uncentred second moments; "primal" trains U and
V, kept orthonormal by QR after every step. The paper: k = 16, clipping at .01, RMSprop 5e-5. Changed on the plane: the
box, the rates and, as for `mcgan_mean`, the primal form.
On pictures: DCGAN's networks without batch norm in the critic, whose last layer gives m = 64 features; the paper's
numbers.
"""

from __future__ import annotations

from .. import constraints, objectives, rules
from ..game import Game, Turns
from ..networks import DCGAN, MLP, Maker
from .board import HALF_LIFE, Shaped, play

CITATION = "Mroueh, Sercu, Goel 2017, McGAN: mean and covariance feature matching GAN"


def mcgan_cov(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    rate: float = 1e-3,
    k: int = 16,
    form: str = "primal",
    bound: float = 0.1,
    critic_turns: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    pace: str = "linear",
    batch_size: int = 128,
    half_life: float = HALF_LIFE,
) -> Game:
    """The covariance-matching game."""
    return play(
        data,
        networks,
        objectives.covariance_matching(k) if form == "dual" else objectives.wasserstein,
        critic=rules.rmsprop(rate),
        constraints=_bind(form, bound),
        schedule=Turns(critic_turns, warm, warm_steps, warm_every),
        head="features" if form == "dual" else "bilinear",
        pace=pace,
        batch_size=batch_size,
        half_life=half_life,
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
    rate: float = 5e-5,
    k: int = 16,
    form: str = "dual",
    bound: float = 0.01,
    critic_turns: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    classes: int = 0,
    augment: str = "",
    pace: str = "constant",
    batch_size: int = 64,
    half_life: float = HALF_LIFE,
) -> Game:
    """The covariance-matching game on pictures."""
    return play(
        data,
        networks,
        objectives.covariance_matching(k) if form == "dual" else objectives.wasserstein,
        critic=rules.rmsprop(rate),
        constraints=_bind(form, bound),
        schedule=Turns(critic_turns, warm, warm_steps, warm_every),
        head="features" if form == "dual" else "bilinear",
        classes=classes,
        augment=augment,
        pace=pace,
        batch_size=batch_size,
        half_life=half_life,
        citation=CITATION,
    )
