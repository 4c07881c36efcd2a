"""Bidirectional GAN, Donahue, Kraehenbuehl, Darrell 2017 (BiGAN).

A deterministic encoder; the inverse objective, labels swapped, for generator and encoder. The paper's
permutation-invariant MNIST: z uniform in 50 dimensions, entering every layer of the critic linearly, 400 epochs.
Changed: z is normal, so that codes and latents have one geometry throughout the house; no weight decay; R1 (Mescheder
et al. 2018) binds the critic; on the plane the house's perceptrons, one player after the other. Added: a moving average
of both players' weights, by which codes and samples are made (ema_half_life=0 leaves it out).
"""

from .ali import ON_PICTURES, ON_PLANE
from .paper import Number, Paper, Record, part

MNIST = "the paper's permutation-invariant MNIST, appendix"

bigan = Paper(
    "bigan",
    "Inference with a deterministic encoder, which at the optimum inverts the generator.",
    "Donahue, Kraehenbuehl, Darrell 2017, Adversarial feature learning",
    "non-saturating",
    {
        "vectors": Record("mlp", ON_PLANE),
        "pictures": Record(
            "mlp",
            {
                **ON_PICTURES,
                "lr": Number(2e-4, MNIST),
                "betas": Number((0.5, 0.999), MNIST),
                "batch_size": Number(128, MNIST),
            },
            sizes={
                "width": Number(1024, MNIST),
                "depth": Number(2, MNIST),
                "latent": Number(50, MNIST),
                "activation": Number("leaky", MNIST),
                "norm": Number("batch", MNIST),
            },
        ),
    },
    (part("r1", "gamma", optional=True),),
    part("infer", "cycle", "cycle_z", stochastic=False),
)
