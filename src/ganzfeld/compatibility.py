"""Which objectives, constraints and critics can be one game.

An impossible pair is refused with the way out; a doubtful one warns once and plays.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from torch import nn

from . import constraints as c
from . import networks
from .draws import Role
from .objectives import Objective
from .optimizers import Optimizer


class Doubtful(UserWarning):
    """A pairing that plays, and that its authors or later work advise against."""


def check(
    objective: Objective,
    constraints: Sequence[c.Constraint],
    critic: nn.Module,
    optimizers: Mapping[Role, Optimizer],
    alone: bool = False,
) -> None:
    """Raises ValueError for the impossible, warns `Doubtful` for the doubtful. alone: there is no generator side."""
    mixing = networks.mixes_samples(critic)
    for role in ("critic", "generator"):
        if role not in optimizers and not (role == "generator" and alone):
            raise ValueError(f"a game needs an optimizer for the {role}")
    if isinstance(critic, networks.Critic) and critic.scores == objective.features:
        raise ValueError(
            "this objective compares features [B, m]: build the critic with head='features'"
            if objective.features
            else "this objective compares scores [B]: build the critic with head='score', not 'features'"
        )
    for constraint in constraints:
        name = type(constraint).__name__
        if constraint.scalar and objective.features:
            raise ValueError(
                f"{name} needs one score per sample, but this objective compares features [B, m]; "
                "use Clip or Spectral, or an objective of scores (wasserstein)"
            )
        if mixing and isinstance(constraint, c.GradientPenalty):
            raise ValueError(
                f"{name} holds the gradient at each sample alone, but batch norm mixes the critic's samples; "
                "use layer norm or none in the critic (critic_norm='layer')"
            )
        if mixing and constraint.per_sample:
            _doubt(f"{name} with batch norm in the critic penalises a gradient that runs through other samples")
        if mixing and isinstance(constraint, c.Spectral):
            _doubt("batch norm in the critic rescales what Spectral normalised: the bound is gone")
        if isinstance(constraint, c.Clip) and optimizers["critic"].momentum:
            _doubt(
                f"momentum {optimizers['critic'].momentum:g} with weight clipping was reported unstable; "
                "use rmsprop, or adam with betas=(0, .99)"
            )
    names = dict(critic.named_parameters())
    for constraint in constraints:
        for layer in [getattr(constraint, "layer", None), *getattr(constraint, "layers", ())]:
            if layer is not None and not c.parts_of_layer(layer, names):
                raise ValueError(
                    f"{type(constraint).__name__} binds {layer!r}, which this critic does not have; "
                    f"it has {', '.join(names)}"
                )
    if mixing and objective.features:
        _doubt("batch norm fixes the features' means: mean matching sees nothing through it")
    if not objective.bounded and not constraints:
        _doubt("nothing binds this critic and its objective has no optimum: add a constraint (gradient-penalty)")


def _doubt(message: str) -> None:
    warnings.warn(message, Doubtful, stacklevel=5)
