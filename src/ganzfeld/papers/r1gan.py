"""The non-saturating game with a zero-centred penalty on the data, Mescheder, Geiger, Nowozin 2018.

The paper's pictures: gamma 10 (their code's 10 stands without the 1/2), RMSprop 1e-4, one critic turn, averaged
weights.
"""

from .defaults import PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part

r1gan = Paper(
    "r1gan",
    "The R1 game.",
    "Mescheder, Geiger, Nowozin 2018, Which training methods for GANs do actually converge?",
    "non-saturating",
    {
        "vectors": Record(
            "mlp", {**PLANE_ADAM, "lr": Number(2e-3, SEARCH), "gamma": Number(0.1, "changed from 10: " + SEARCH)}
        )
    },
    (part("r1", "gamma"),),
)
