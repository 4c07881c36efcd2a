"""IRGAN: a policy picks documents to be taken for relevant, Wang et al. 2017.

The paper: reward softplus(f); its code 2 sigmoid(f) - 1, no baseline. Items: factors of rank 5, plain descent of rate
.001 a pair, decay .1 a pair on the critic and none on the policy; 15 rounds of 100 critic and 50 policy epochs; the
critic's negatives at temperature .2, the policy's turn at 1, from the proposal .8 p + .2 / |positives|; the policy
starts from a DNS model. LETOR: 46 tanh units, temperature .2, is_lambda .5, rate .001, decay .01. Its code trains the
critic on the first round's negatives for ever, and chooses the epoch on the test set.
Changed here: negatives are live; the policy's gradient is exact; Adam; a turn meets all pairs or all queries; the
critic starts where the policy does; the epoch is chosen by validation. As the code has it, on MovieLens: rank 5, rule
sgd, critic_turns 100, policy_turns 50, critic_temperature .2, critic_decay .1, critic_start false.
"""

from __future__ import annotations

from ..draws import Baseline, Retrieve
from ..draws.retrieve import Negatives
from ..game import Game, Schedule
from ..networks import Factorised, Featured, RankerMaker
from .board import OBJECTIVES, Collected, Reward, Stepper, adapted, retrieval

CITATION = "Wang et al. 2017, IRGAN: a minimax game for unifying generative and discriminative information retrieval"


def irgan(
    data: Collected,
    networks: RankerMaker = Factorised(64),
    *,
    reward: Reward = "tanh",
    averaged: bool = False,
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
    """The minimax game of retrieval: a critic of single documents against a policy that picks them."""
    draw = Retrieve(
        data.collection, temperature, critic_temperature, exact, draws, replace, baseline, is_lambda, pool,
        per_positive, negatives, exclude, averaged=averaged, pull=pull, likelihood=likelihood,
    )  # fmt: skip
    return retrieval(
        data, networks, draw, OBJECTIVES[reward], optimizer=optimizer, generator_lr=generator_lr, critic_lr=critic_lr,
        critic_decay=critic_decay, schedule=Schedule(n_critic, generator=n_generator), start=start,
        bias_only=bias_only, lr_schedule=lr_schedule, batch_size=batch_size, citation=CITATION,
    )  # fmt: skip


irgan_letor = adapted(
    irgan, "The minimax game of retrieval, on documents with features.", networks=Featured(), temperature=0.2
)


# what `compare --ablate` takes away or puts in its place, one thing at a time
ABLATIONS: dict[str, dict[str, object]] = {
    "frozen negatives": {"negatives": "frozen"},
    "uniform negatives": {"negatives": "uniform"},
    "constant reward": {"reward": "constant"},
    "constant reward, sampled": {"reward": "constant", "exact": False, "baseline": "none"},
    "user-averaged reward": {"averaged": True},
    "bias-only policy": {"bias_only": True},
    "sampled gradient": {"exact": False},
    "sampled, no baseline": {"exact": False, "baseline": "none"},
    "sampled, optimal baseline": {"exact": False, "baseline": "optimal"},
    "softplus reward": {"reward": "softplus"},
    "log-sigmoid reward": {"reward": "log-sigmoid"},
    "temperature .5": {"temperature": 0.5},
    "temperature 2": {"temperature": 2.0},
    "likelihood alone": {"reward": "constant", "likelihood": 1.0},
}
