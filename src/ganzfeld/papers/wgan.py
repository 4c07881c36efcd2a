"""Weight clipping, Arjovsky, Chintala, Bottou 2017 (WGAN).

Kept on the plane: clipping after the step, RMSprop, the warm-up of the authors' code. On pictures the paper's numbers,
on DCGAN's networks. Added on both: a moving average of the generator's weights, by which samples are made
(ema_half_life=0 leaves it out).
"""

from .defaults import CLIPPED, PICTURES, PLANE, SEARCH
from .paper import Number, Paper, Record, part

wgan = Paper(
    "wgan",
    "The clipped Wasserstein game.",
    "Arjovsky, Chintala, Bottou 2017, Wasserstein GAN",
    "wasserstein",
    {
        "vectors": Record(
            "mlp",
            {
                **PLANE,
                **CLIPPED,
                "lr": Number(1e-3, SEARCH),
                "bound": Number(0.3, "changed: in the paper's box of .01 a perceptron of 3 x 128 is nearly constant"),
            },
            "rmsprop",
        ),
        "pictures": Record(
            "dcgan",
            {
                **PICTURES,
                **CLIPPED,
                "lr": Number(5e-5, "Algorithm 1"),
                "bound": Number(0.01, "Algorithm 1"),
                "batch_size": Number(64, "Algorithm 1"),
            },
            "rmsprop",
        ),
    },
    (part("clip", "bound"),),
)
