"""Draws: what makes the two sides that the critic compares.

Every member of the family that differs in *what* is compared differs here and nowhere else: `Generate` samples from
noise, `Infer` pairs of samples and codes (ALI, BiGAN), `Retrieve` documents from a policy (IRGAN), `Hardest` the
document that the critic itself likes best of a few (DNS).
"""

from .draw import Batch, Draw, Pieces, Players, Price, Role, Scene
from .estimators import Baseline, Estimator, Expectation, Reparametrised, ScoreFunction
from .generate import Generate
from .infer import Infer
from .retrieve import Hardest, Retrieve

__all__ = [
    "Baseline", "Batch", "Draw", "Estimator", "Expectation", "Generate", "Hardest", "Infer", "Pieces", "Players",
    "Price", "Reparametrised", "Retrieve", "Role", "Scene", "ScoreFunction",
]  # fmt: skip
