"""Networks: pairs of a generator and a critic, that return raw scores and know no game.

A *maker* is a frozen record of sizes; ``maker.pair(shape, head)`` builds the two modules for samples of a shape. The
head says what the critic returns: ``"score"`` [B], ``"features"`` [B, m] (the last hidden layer, for McGAN's dual),
or ``"bilinear"`` [B] (McGAN's primal covariance form).
"""

from __future__ import annotations

from .critic import Critic, Head
from .mlp import MLP
from .norm import mixes_samples, standing, treats_samples_separately

TABLE: dict[str, type[MLP]] = {"mlp": MLP}

__all__ = ["MLP", "TABLE", "Critic", "Head", "mixes_samples", "standing", "treats_samples_separately"]
