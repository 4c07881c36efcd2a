"""IRGAN, pairwise: the critic judges which of two documents is the relevant one, Wang et al. 2017, section 2.3.

D of a pair is sigmoid(f(d) - f(d')); the policy picks d' to be preferred to a known d. Reward: log sigmoid of the
difference, as the paper's code; or tanh. Settings and what was changed: as `irgan`.
"""

from __future__ import annotations

from ..draws import Baseline, Retrieve
from ..draws.retrieve import Negatives
from ..game import Game, Schedule
from ..networks import Factorised, Featured, RankerMaker
from .board import PAIRED, Collected, PairReward, Stepper, adapted, retrieval
from .irgan import CITATION


def irgan_pairwise(
    data: Collected,
    networks: RankerMaker = Factorised(64),
    *,
    reward: PairReward = "log-sigmoid",
    optimizer: Stepper = "adam",
    generator_lr: float | None = None,
    critic_lr: float | None = None,
    critic_decay: float | None = None,
    n_critic: int = 2,
    n_generator: int = 1,
    temperature: float = 1.0,
    critic_temperature: float | None = None,
    exact: bool = True,
    draws: int = 16,
    replace: bool = True,
    baseline: Baseline = "mean",
    is_lambda: float = 0.0,
    pool: int = 0,
    per_positive: int = 1,
    negatives: Negatives = "live",
    exclude: bool = False,
    pull: float = 0.0,
    likelihood: float = 0.0,
    bias_only: bool = False,
    start: str | None = None,
    start_steps: int = 120,
    critic_start: bool = True,
    lr_schedule: str = "constant",
    batch_size: int = 0,
) -> Game:
    """The minimax game of retrieval with a critic of pairs."""
    draw = Retrieve(
        data.collection, temperature, critic_temperature, exact, draws, replace, baseline, is_lambda, pool,
        per_positive, negatives, exclude, paired=True, pull=pull, likelihood=likelihood,
    )  # fmt: skip
    return retrieval(
        data, networks, draw, PAIRED[reward], optimizer=optimizer, generator_lr=generator_lr, critic_lr=critic_lr,
        critic_decay=critic_decay, schedule=Schedule(n_critic, generator=n_generator), start=start,
        bias_only=bias_only, lr_schedule=lr_schedule, batch_size=batch_size, citation=CITATION,
    )  # fmt: skip


irgan_pairwise_letor = adapted(
    irgan_pairwise,
    "The minimax game of retrieval with a critic of pairs, on documents with features.",
    networks=Featured(),
    temperature=0.2,
)
