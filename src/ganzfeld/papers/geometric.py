"""The geometric game, Lim and Ye 2017 (geometric GAN): a soft-margin hyperplane on the critic's features.

Hinge, an SVM's weight decay on the last layer only, the features' weights clipped, the generator along the normal. The
authors' toy: RMSprop at 1e-3, batch 500, latent 4, 3 x 128. Changed: on the plane Adam; on pictures one turn each.
Added on both: a moving average of the generator's weights, by which samples are made (ema_half_life=0 leaves it out).
"""

from .defaults import PICTURES, PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part

COST = {"cost": Number(1.0, "the authors' code, C = 1")}

geometric = Paper(
    "geometric",
    "The support-vector game.",
    "Lim and Ye 2017, Geometric GAN",
    "hinge",
    {
        "vectors": Record(
            "mlp",
            {
                **PLANE_ADAM,
                **COST,
                "lr": Number(2e-3, SEARCH),
                "bound": Number(1.0, "changed: the box is wider, with Adam in the place of RMSprop; " + SEARCH),
                "batch_size": Number(128, "changed from 500, as for every paper on the plane"),
            },
        ),
        "pictures": Record(
            "dcgan",
            {
                **PICTURES,
                **COST,
                "lr": Number(2e-4, "the authors' scripts"),
                "bound": Number(1.0, "as on the plane"),
                "n_critic": Number(1, "changed: one turn each, where the authors' scripts take ten of the generator"),
            },
            "rmsprop",
        ),
    },
    (part("margin", "cost", points="batch_size"), part("clip", "bound", spare=("head",))),
)
