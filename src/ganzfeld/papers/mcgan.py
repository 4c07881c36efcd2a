"""Matching moments of features, Mroueh, Sercu, Goel 2017 (McGAN): of the first order in the norm l_q (IPM_mu), of the
second in the truncated nuclear norm (IPM_Sigma), and of both.

``form`` dual takes the best critic of the features in closed form; primal trains it, the vector v kept in its unit ball
by projection, U and V orthonormal by QR after every step. The paper: features bound by clipping at .01, RMSprop 5e-5,
WGAN's turns. A dual vector that is always the best one turns with every turn, and on the plane the game circles the
modes without settling on them: the primal form is the default there. In the primal form the head has as many columns as
the networks' ``rank``; k is the dual form's. Added on both: a moving average of the generator's weights, by which
samples are made (ema_half_life=0 leaves it out).
"""

from .defaults import CLIPPED, OURS, PICTURES, PLANE, SEARCH
from .paper import Choice, Number, Paper, Record, part

CITATION = "Mroueh, Sercu, Goel 2017, McGAN: mean and covariance feature matching GAN"
FEATURES = part("clip", "bound", spare=("head",))  # the head has a bound of its own
PRIMAL = {"form": Number("primal", "changed from dual, which circles the modes: " + SEARCH)}
BOX = "changed from .01, in which a perceptron of 3 x 128 is nearly constant: " + SEARCH
MEAN = {"q": Number(2.0, "section 3; the paper compares 1, 2 and inf")}
COVARIANCE = {"k": Number(16, "the paper, k = 16")}
PLAIN = {**PLANE, **CLIPPED, "lr": Number(1e-3, SEARCH)}

mcgan_mean = Paper(
    "mcgan-mean",
    "The mean-matching game.",
    CITATION,
    Choice("form", {"dual": part("mean", "q"), "primal": "wasserstein"}),
    {"vectors": Record("mlp", {**PLAIN, **PRIMAL, **MEAN, "bound": Number(0.3, BOX)}, "rmsprop")},
    (FEATURES, Choice("form", {"dual": None, "primal": part("ball", "q")})),
)

mcgan_cov = Paper(
    "mcgan-cov",
    "The covariance-matching game.",
    CITATION,
    Choice("form", {"dual": part("covariance", "k"), "primal": "wasserstein"}),
    {
        "vectors": Record("mlp", {**PLAIN, **PRIMAL, **COVARIANCE, "bound": Number(0.1, BOX)}, "rmsprop"),
        "pictures": Record(
            "dcgan",
            {
                **PICTURES,
                **CLIPPED,
                **COVARIANCE,
                "form": Number("dual", "section 4: the form without a max over U and V"),
                "lr": Number(5e-5, "the paper, as in WGAN"),
                "bound": Number(0.01, "the paper, as in WGAN"),
            },
            "rmsprop",
            {
                "critic_norm": Number("none", OURS + ": no batch norm in a clipped critic"),
                "features": Number(64, OURS + ": the critic's last layer gives m = 64 features"),
            },
        ),
    },
    (FEATURES, Choice("form", {"dual": None, "primal": "orthonormal"})),
    head=Choice("form", {"dual": "features", "primal": "bilinear"}),
)

mcgan = Paper(
    "mcgan",
    "The game of both moments.",
    CITATION,
    part("mean-covariance", "q", "k"),
    {
        "vectors": Record(
            "mlp",
            {**PLAIN, **MEAN, **COVARIANCE, "bound": Number(0.1, BOX)},
            "rmsprop",
            {"features": Number(32, OURS + ": m = 32, twice k")},
        )
    },
    (part("clip", "bound"),),
)
