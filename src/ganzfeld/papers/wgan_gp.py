"""The gradient penalty, Gulrajani et al. 2017 (WGAN-GP).

Algorithm 1: lambda 10, five critic turns, Adam 1e-4 (0, .9), batch 64. Their toy script takes 3 x 512 ReLU at batch
256. On pictures the authors' CIFAR-10 script. Changed there: the generator's batch, 64 as the critic's. Added on both:
a moving average of the generator's weights, by which samples are made (ema_half_life=0 leaves it out).
"""

from .defaults import PICTURES, PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part

SCRIPT = "the authors' CIFAR-10 script"

wgan_gp = Paper(
    "wgan-gp",
    "The Wasserstein game under a gradient penalty.",
    "Gulrajani et al. 2017, Improved training of Wasserstein GANs",
    "wasserstein",
    {
        "vectors": Record(
            "mlp",
            {**PLANE_ADAM, "lr": Number(2e-3, SEARCH), "weight": Number(0.1, "the authors' toy script; search agrees")},
        ),
        "pictures": Record(
            "resnet",
            {
                **PICTURES,
                "lr": Number(2e-4, SCRIPT),
                "betas": Number((0.0, 0.9), SCRIPT),
                "weight": Number(10.0, "Algorithm 1 and " + SCRIPT),
                "n_critic": Number(5, "Algorithm 1 and " + SCRIPT),
                "lr_schedule": Number("linear", SCRIPT),
                "batch_size": Number(64, SCRIPT + "; changed for the generator, whose batch there is 128"),
            },
            sizes={"width": Number(128, SCRIPT), "pool": Number("mean", SCRIPT)},
        ),
    },
    (part("gradient-penalty", "weight"),),
)
