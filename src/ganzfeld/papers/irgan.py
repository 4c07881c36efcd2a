"""IRGAN: a policy picks documents to be taken for relevant, Wang et al. 2017; and its pairwise form, section 2.3, whose
critic judges which of two documents is the relevant one, D = sigmoid(f(d) - f(d')), and whose policy picks d' to be
preferred to a known d.

The paper, items: factors of rank 5, plain descent of rate .001 a pair, decay .1 a pair on the critic and none on the
policy; 15 rounds of 100 critic and 50 policy epochs. LETOR: 46 tanh units, is_lambda .5, rate .001, decay .01. Its code
trains the critic on the first round's negatives for ever, and chooses the epoch on the test set; here the epoch is
chosen by validation. As the code has it, on MovieLens: rank 5, optimizer sgd, n_critic 100, n_generator 50,
critic_temperature .2, critic_decay .1, critic_start false.
"""

from .defaults import BOTH_RATES, OURS, VALIDATION
from .dns import DESCENT, RANK
from .paper import Choice, Number, Paper, Record, part

CITATION = "Wang et al. 2017, IRGAN: a minimax game for unifying generative and discriminative information retrieval"
BY_KIND = "what the kind of ranker asks for"
CODE = "the authors' code"
SETTINGS = (
    "temperature", "critic_temperature", "exact", "draws", "replace", "baseline", "is_lambda", "pool", "per_positive",
    "negatives", "exclude", "pull", "likelihood",
)  # fmt: skip

NUMBERS = {
    **BOTH_RATES,
    "lr": Number(None, BY_KIND),
    "critic_lr": Number(None, BY_KIND + ", unless lr is given"),
    "generator_lr": Number(None, BY_KIND + ", unless lr is given"),
    "critic_decay": Number(None, BY_KIND),
    "start": Number(None, BY_KIND + "; the paper starts from DNS"),
    "optimizer": Number("adam", "changed from sgd, pair by pair: a turn meets all pairs or all queries"),
    "n_critic": Number(2, "changed: 100 epochs to 50 in the paper's rounds, in turns of all pairs"),
    "n_generator": Number(1, "changed: 100 epochs to 50 in the paper's rounds, in turns of all queries"),
    "temperature": Number(1.0, CODE + ", the policy's turn on items"),
    "critic_temperature": Number(None, "changed from .2: as the policy's"),
    "exact": Number(True, "changed: the sum over all documents has no variance"),
    "draws": Number(16, OURS),
    "replace": Number(True, CODE),
    "baseline": Number("mean", "changed from none: of less variance"),
    "is_lambda": Number(0.0, "changed from .2 (items) and .5 (LETOR): the policy itself"),
    "pool": Number(0, "all documents"),
    "per_positive": Number(1, CODE),
    "negatives": Number("live", "Algorithm 1; the code keeps those of the first round"),
    "exclude": Number(False, "section 2.2: the policy is over all documents"),
    "pull": Number(0.0, "no such term in the paper"),
    "likelihood": Number(0.0, "no such term in the paper"),
    "bias_only": Number(False, "the whole policy"),
    "start_steps": Number(120, VALIDATION),
    "critic_start": Number(True, "changed: the critic starts where the policy does"),
    "lr_schedule": Number("constant", "the paper's rates stay"),
    "batch_size": Number(0, "changed: a turn meets all pairs or all queries"),
}
TANH = Number("tanh", CODE + ": 2 sigmoid(f) - 1; the paper's softplus(f) is a choice")
POINTWISE = {**NUMBERS, "reward": TANH, "averaged": Number(False, "every user has rewards of its own")}
PAIRWISE = {**NUMBERS, "reward": Number("log-sigmoid", CODE)}
COLDER = {"temperature": Number(0.2, "the authors' code on LETOR")}

# what a kind of ranker asks for where a setting is None
USUAL = {
    "factors": {
        "start": Number("dns", "the paper's policy starts from a DNS model"),
        "generator_lr": Number(1e-4, VALIDATION),
        "critic_lr": Number(1e-3, VALIDATION),
        "critic_decay": Number(0.03, VALIDATION),
    },
    "item-item": {
        "start": Number("ease", "the best ranker in closed form"),
        "generator_lr": Number(3e-4, VALIDATION),
        "critic_lr": Number(3e-4, VALIDATION),
        "critic_decay": Number(1e-5, VALIDATION),
    },
    "perceptron": {
        "start": Number("", "the paper's LETOR starts afresh"),
        "generator_lr": Number(1e-3, "the paper's rate on LETOR"),
        "critic_lr": Number(1e-3, "the paper's rate on LETOR"),
        "critic_decay": Number(1e-4, "changed from .01, for Adam"),
    },
}

DECAY = part("decay", weight="critic_decay", optional=True)

irgan = Paper(
    "irgan",
    "The minimax game of retrieval: a critic of single documents against a policy that picks them.",
    CITATION,
    Choice("reward", {"softplus": "minimax", "tanh": "tanh", "log-sigmoid": "non-saturating", "constant": "constant"}),
    {
        "interactions": Record("factors", POINTWISE, DESCENT, RANK),
        "letor": Record("perceptron", {**POINTWISE, **COLDER}, DESCENT),
    },
    (DECAY,),
    part("retrieve", *SETTINGS, "averaged"),
    usual=USUAL,
)

irgan_pairwise = Paper(
    "irgan-pairwise",
    "The minimax game of retrieval with a critic of pairs.",
    CITATION,
    Choice("reward", {"tanh": "relativistic-tanh", "log-sigmoid": "relativistic"}),
    {
        "interactions": Record("factors", PAIRWISE, DESCENT, RANK),
        "letor": Record("perceptron", {**PAIRWISE, **COLDER}, DESCENT),
    },
    (DECAY,),
    part("retrieve", *SETTINGS, paired=True),
    usual=USUAL,
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
