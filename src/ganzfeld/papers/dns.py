"""Dynamic negative sampling, Zhang et al. 2013 (DNS), and with one candidate BPR, Rendle et al. 2009.

The non-adversarial relative of IRGAN, and what its policy starts from: a critic of pairs that meets, for every
positive, the document it likes best among a few drawn uniformly. The few are a policy that is not learned: the more
there are, the harder it picks, and the more often it picks what is relevant and not known to be.
The papers descend plainly, pair by pair.
"""

from .defaults import OURS, RATES, VALIDATION
from .paper import Choice, Number, Paper, Piece, Record, part

DESCENT: Piece = Choice("optimizer", {"adam": "adam", "sgd": "sgd"})
RANK = {"rank": Number(64, VALIDATION)}
NUMBERS = {
    **RATES,
    "lr": Number(0.02, VALIDATION),
    "optimizer": Number("adam", "changed from sgd, pair by pair: a turn meets all pairs"),
    "start": Number("", "weights begin afresh"),
    "lr_schedule": Number("linear", OURS),
    "batch_size": Number(0, OURS + ": all pairs"),
}
CANDIDATES = {"candidates": Number(5, VALIDATION)}
DECAY = part("decay", weight="decay", optional=True)

dns = Paper(
    "dns",
    "A critic of pairs against the hardest of a few uniform negatives.",
    "Zhang et al. 2013, Optimizing top-N collaborative filtering via dynamic negative item sampling",
    "relativistic",
    {
        "interactions": Record("factors", {**NUMBERS, **CANDIDATES, "decay": Number(0.03, VALIDATION)}, DESCENT, RANK),
        "letor": Record(
            "perceptron", {**NUMBERS, **CANDIDATES, "lr": Number(0.01, OURS), "decay": Number(1e-4, OURS)}, DESCENT
        ),
    },
    (DECAY,),
    part("hardest", "candidates"),
)

bpr = Paper(
    "bpr",
    "A critic of pairs against uniform negatives.",
    "Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback",
    "relativistic",
    {"interactions": Record("factors", {**NUMBERS, "decay": Number(0.02, VALIDATION)}, DESCENT, RANK)},
    (DECAY,),
    part("hardest", candidates=1),
)
