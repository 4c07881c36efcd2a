"""Adversarially learned inference, Dumoulin et al. 2017 (ALI), and numbers that `bigan`, the same game with a
deterministic encoder, shares.

Generator and encoder descend the non-saturating cost of both sides together, -log D of a generated pair and
-log(1 - D) of an encoded one. ALI's toy, 25 Gaussians: z in the plane, Adam 1e-4 (.8), 200 epochs.
Changed on the plane: the house's perceptrons, z entering every layer of the critic as the noise does in the encoder
(the authors' toy has it in the first); the critic first, then the generator side. On pictures: the paper's networks,
fewer layers for small pictures. On both R1 (Mescheder et al. 2018) binds the critic, in the place of the dropout, and a
moving average of both players' weights is added, by which codes and samples are made (ema_half_life=0 leaves it out).
"""

from .defaults import PICTURES, PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part

CYCLE = {
    "cycle": Number(0.0, "no reconstruction; Li et al. 2017 (ALICE), eq. 6, for more"),
    "cycle_z": Number(0.0, "no reconstruction"),
    "share_fakes": Number(True, "Dumoulin et al. 2017, Algorithm 1: one batch of pairs for both players"),
}
ON_PLANE = {
    **PLANE_ADAM,
    **CYCLE,
    "lr": Number(1e-3, "that of ns-gan"),
    "gamma": Number(0.1, SEARCH),
    "at_once": Number(False, "changed: the critic first; " + SEARCH),
}
ON_PICTURES = {
    **{name: number for name, number in PICTURES.items() if name != "classes"},
    **CYCLE,
    "gamma": Number(1.0, "Mescheder et al. 2018, in the place of the paper's dropout and weight decay"),
    "at_once": Number(True, "Dumoulin et al. 2017, Algorithm 1: both gradients are taken before either moves"),
}

ali = Paper(
    "ali",
    "Inference with a stochastic encoder; cycle and cycle_z weigh reconstruction (ALICE).",
    "Dumoulin et al. 2017, Adversarially learned inference",
    "non-saturating",
    {
        "vectors": Record("mlp", ON_PLANE),
        "pictures": Record(
            "ali",
            {
                **ON_PICTURES,
                "lr": Number(1e-4, "appendix A, tables of hyperparameters"),
                "betas": Number((0.5, 0.999), "appendix A, tables of hyperparameters"),
                "batch_size": Number(100, "appendix A, tables of hyperparameters"),
            },
        ),
    },
    (part("r1", "gamma", optional=True),),
    part("infer", "cycle", "cycle_z", stochastic=True),
)
