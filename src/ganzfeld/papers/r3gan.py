"""Relativistic pairing with R1 and R2, Huang et al. 2024 (R3GAN).

The paper: Adam (0, .9 to .99), rate 2e-4 falling to 5e-5, gamma by data set (CIFAR-10 .05 falling to .005), averaged
weights, no normalisation layer. On pictures the paper's residual pair, small. Changed: the rate falls to 0 along a
line, and all other numbers stay.
"""

from .defaults import PICTURES, PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part

r3gan = Paper(
    "r3gan",
    "The R3 game.",
    "Huang et al. 2024, The GAN is dead; long live the GAN!",
    "relativistic",
    {
        "vectors": Record(
            "mlp", {**PLANE_ADAM, "lr": Number(2e-3, SEARCH), "gamma": Number(0.1, "changed: " + SEARCH)}
        ),
        "pictures": Record(
            "r3",
            {
                **PICTURES,
                "lr": Number(2e-4, "the paper's first rate"),
                "betas": Number((0.0, 0.99), "the paper's last; it begins at beta2 = .9"),
                "gamma": Number(0.05, "the paper's first for CIFAR-10"),
                "lr_schedule": Number("linear", "changed: to 0, where the paper falls by cosine to 5e-5"),
            },
        ),
    },
    (part("r1", "gamma"), part("r2", "gamma")),
)
