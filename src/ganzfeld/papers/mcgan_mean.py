"""Mean feature matching, Mroueh, Sercu, Goel 2017 (McGAN), IPM_mu for q = 1, 2, inf.

``form`` "dual" compares the means of the features in the l_q norm; "primal" trains the dual vector v as a linear head,
kept in its unit ball by projection. The paper binds the feature map by clipping at .01 with RMSprop 5e-5, five critic
turns and WGAN's warm-up. Changed on the plane: the box and the rates, as for `wgan`, and the primal form: a dual vector
that is always the best one turns with every turn, and the game circles the modes without settling on them.
"""

from __future__ import annotations

from .. import constraints, objectives, optimizers
from ..game import Game, Schedule
from ..networks import MLP
from .board import HALF_LIFE, Shaped, play


def mcgan_mean(
    data: Shaped,
    networks: MLP = MLP(),
    *,
    lr: float = 1e-3,
    q: float = 2.0,
    form: str = "primal",
    bound: float = 0.3,
    n_critic: int = 5,
    warm: int = 100,
    warm_steps: int = 25,
    warm_every: int = 500,
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
) -> Game:
    """The mean-matching game."""
    return play(
        data,
        networks,
        objectives.mean_matching(q) if form == "dual" else objectives.wasserstein,
        critic=optimizers.rmsprop(lr),
        constraints=_bind(form, q, bound),
        schedule=Schedule(n_critic, warm, warm_steps, warm_every),
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation="Mroueh, Sercu, Goel 2017, McGAN: mean and covariance feature matching GAN",
    )


def _bind(form: str, q: float, bound: float) -> tuple[constraints.Constraint, ...]:
    if form not in ("dual", "primal"):
        raise ValueError(f"the form of mcgan-mean is dual or primal, not {form!r}")
    clip = constraints.Clip(bound, spare=("head",))
    return (clip,) if form == "dual" else (clip, constraints.Ball(q))
