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
from ..game import Game, Turns
from ..networks import Factorised, Featured, RankerMaker
from .board import Collected, Stepper, adapted, paced, step

CITATION = "Zhang et al. 2013, Optimizing top-N collaborative filtering via dynamic negative item sampling"
BPR = "Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback"


def dns(
    data: Collected,
    networks: RankerMaker = Factorised(64),
    *,
    candidates: int = 5,
    rule: Stepper = "adam",
    rate: float = 0.02,
    decay: float = 0.03,
    start: str = "",
    pace: str = "linear",
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
        rules={"critic": step(rule, rate, batch_size or collection.side("critic").rows)},
        constraints=(Decay(decay),) if decay else (),
        schedule=Turns(generator=0),
        pace=paced(pace),
        batch_size=batch_size,
        shape=data.shape,
        citation=CITATION if candidates > 1 else BPR,
        start=start,
    )


dns_letor = adapted(
    dns,
    "A critic of pairs against the hardest of a few, on documents with features.",
    networks=Featured(),
    rate=0.01,
    decay=1e-4,
)


def bpr(
    data: Collected,
    networks: RankerMaker = Factorised(64),
    *,
    rule: Stepper = "adam",
    rate: float = 0.02,
    decay: float = 0.02,
    pace: str = "linear",
    batch_size: int = 0,
) -> Game:
    """A critic of pairs against uniform negatives."""
    return dns(data, networks, candidates=1, rule=rule, rate=rate, decay=decay, pace=pace, batch_size=batch_size)
