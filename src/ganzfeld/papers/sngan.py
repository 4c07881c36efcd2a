"""Spectral normalisation, Miyato et al. 2018 (SNGAN): one power iteration a critic turn.

The paper's best pictures: Adam 2e-4 (0, .9), five critic turns, batch 64; with the residual pair that is
``--network resnet`` with those betas and turns. On pictures the standard CNN under setting C. Changed on the plane:
c = 2. Added on both: a moving average of the generator's weights, by which samples are made (ema_half_life=0 leaves it
out).
"""

from .defaults import PICTURES, PLANE_ADAM, SEARCH
from .paper import Choice, Number, Paper, Record, part

PAYOFF = {"payoff": Number("hinge", "eq. 16 and 17")}
SETTING_C = "table 1, setting C"

sngan = Paper(
    "sngan",
    "The spectrally normalised game.",
    "Miyato et al. 2018, Spectral normalization for generative adversarial networks",
    Choice("payoff", {"hinge": "hinge", "non-saturating": "non-saturating"}),
    {
        "vectors": Record(
            "mlp",
            {
                **PLANE_ADAM,
                **PAYOFF,
                "lr": Number(2e-3, SEARCH),
                "spectral_norm": Number(2.0, "changed from 1: a slope of 1 cannot tell modes of width .01 apart"),
            },
        ),
        "pictures": Record(
            "sndcgan",
            {
                **PICTURES,
                **PAYOFF,
                "lr": Number(2e-4, SETTING_C),
                "betas": Number((0.5, 0.999), SETTING_C),
                "n_critic": Number(1, SETTING_C),
                "spectral_norm": Number(1.0, "eq. 8: c = 1"),
                "lr_schedule": Number("linear", "the authors' code"),
                "batch_size": Number(64, "section 4"),
            },
        ),
    },
    (part("spectral", norm="spectral_norm"),),
)
