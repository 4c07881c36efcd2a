"""Dynamic negative sampling, Zhang et al. 2013 (DNS), and with one candidate BPR, Rendle et al. 2009.

The non-adversarial relative of IRGAN, and what its policy starts from: a critic of pairs that meets, for every
positive, the document it likes best among a few drawn uniformly. The few are a policy that is not learned: the more
there are, the harder it picks, and the more often it picks what is relevant and not known to be.
Numbers: rank, rate, decay and candidates were chosen by the validation part of MovieLens-100K; the papers descend
plainly, pair by pair.
"""

from __future__ import annotations

from .. import objectives
from ..constraints import Decay
from ..draws import Hardest
from ..game import Game, Schedule
from ..networks import Factorised, Featured, RankerMaker
from .board import Collected, Stepper, adapted, schedule_named, step

CITATION = "Zhang et al. 2013, Optimizing top-N collaborative filtering via dynamic negative item sampling"
BPR = "Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback"


def dns(
    data: Collected,
    networks: RankerMaker = Factorised(64),
    *,
    candidates: int = 5,
    optimizer: Stepper = "adam",
    lr: float = 0.02,
    decay: float = 0.03,
    start: str = "",
    lr_schedule: str = "linear",
    batch_size: int = 0,
) -> Game:
    """A critic of pairs against the hardest of a few uniform negatives."""
    collection = data.collection
    critic, _ = networks.pair(collection)
    return Game(
        objective=objectives.relativistic,
        draw=Hardest(collection, candidates),
        generators={},
        critic=critic,
        optimizers={"critic": step(optimizer, lr, batch_size or collection.side("critic").rows)},
        constraints=(Decay(decay),) if decay else (),
        schedule=Schedule(generator=0),
        lr_schedule=schedule_named(lr_schedule),
        batch_size=batch_size,
        shape=data.shape,
        citation=CITATION if candidates > 1 else BPR,
        start=start,
    )


dns_letor = adapted(
    dns,
    "A critic of pairs against the hardest of a few, on documents with features.",
    networks=Featured(),
    lr=0.01,
    decay=1e-4,
)


def bpr(
    data: Collected,
    networks: RankerMaker = Factorised(64),
    *,
    optimizer: Stepper = "adam",
    lr: float = 0.02,
    decay: float = 0.02,
    lr_schedule: str = "linear",
    batch_size: int = 0,
) -> Game:
    """A critic of pairs against uniform negatives."""
    return dns(
        data,
        networks,
        candidates=1,
        optimizer=optimizer,
        lr=lr,
        decay=decay,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
    )
