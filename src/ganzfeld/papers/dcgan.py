"""Deep convolutional pictures, Radford, Metz, Chintala 2016 (DCGAN): the non-saturating game on strided convolutions.

Changed: z is normal, not uniform; batches of 64, shared by both turns, as in the public PyTorch form. Added: a moving
average of the generator's weights, by which samples are made (Yazici et al. 2018; ema_half_life=0 leaves it out).
"""

from .defaults import PICTURES
from .paper import Number, Paper, Record

ADAM = {
    "lr": Number(2e-4, "Radford et al. 2016, section 4"),
    "betas": Number((0.5, 0.999), "Radford et al. 2016, section 4"),
}

dcgan = Paper(
    "dcgan",
    "The convolutional game on pictures.",
    "Radford, Metz, Chintala 2016, Unsupervised representation learning with DCGANs",
    "non-saturating",
    {
        "pictures": Record(
            "dcgan",
            {
                **PICTURES,
                **ADAM,
                "share_fakes": Number(True, "the public PyTorch form, whose two turns share one fake batch"),
                "batch_size": Number(64, "changed from 128 to that of the public PyTorch form"),
            },
        )
    },
)
