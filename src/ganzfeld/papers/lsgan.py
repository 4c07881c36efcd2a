"""Least squares, Mao et al. 2017 (LSGAN), eq. 9: targets 0, 1, 1.

The paper's pictures: Adam 1e-3 with beta1 = .5 (LSUN), batch 64. Changed: on pictures DCGAN's networks with its rate.
Added: a moving average of the generator's weights, by which samples are made (ema_half_life=0 leaves it out).
"""

from .dcgan import ADAM
from .defaults import PICTURES, PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record

lsgan = Paper(
    "lsgan",
    "The least-squares game.",
    "Mao et al. 2017, Least squares generative adversarial networks",
    "least-squares",
    {
        "vectors": Record("mlp", {**PLANE_ADAM, "lr": Number(1e-3, SEARCH)}),
        "pictures": Record(
            "dcgan",
            {
                **PICTURES,
                **ADAM,
                "lr": Number(2e-4, "changed from 1e-3 to the rate of DCGAN, whose networks these are"),
                "batch_size": Number(64, "the paper's pictures"),
            },
        ),
    },
)
