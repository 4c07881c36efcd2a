"""A gradient penalty around the data, Kodali et al. 2017 (DRAGAN).

The paper: lambda 10, Adam 2e-4 (.5, .999), one critic turn, the classification objective.
"""

from .defaults import PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part

dragan = Paper(
    "dragan",
    "The non-saturating game under the penalty of DRAGAN.",
    "Kodali et al. 2017, On convergence and stability of GANs",
    "non-saturating",
    {
        "vectors": Record(
            "mlp",
            {
                **PLANE_ADAM,
                "n_critic": Number(1, "Algorithm 1"),
                "lr": Number(2e-3, SEARCH),
                "weight": Number(0.1, "changed from 10: " + SEARCH),
                "spread": Number(0.5, "Algorithm 1 and the authors' code: c = .5"),
            },
        )
    },
    (part("dragan", "weight", "spread"),),
)
