"""Which objectives, constraints and critics can be one game.

An impossible pair is refused with the way out; a doubtful one warns once and plays.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from . import constraints as c
from . import networks
from .draws import Draw, Retrieve, Role
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
            raise ValueError(f"a game needs a rule for the {role}")
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
            if layer is not None and layer not in names:
                raise ValueError(
                    f"{type(constraint).__name__} binds {layer!r}, which this critic does not have; "
                    f"it has {', '.join(names)}"
                )
    if mixing and objective.features:
        _doubt("batch norm fixes the features' means: mean matching sees nothing through it")
    if not objective.bounded and not constraints:
        _doubt("nothing binds this critic and its objective has no optimum: add a constraint (gradient-penalty)")


def check_inference(objective: Objective, critic: nn.Module, generators: Mapping[str, nn.Module]) -> None:
    """Of a game whose draw encodes. Raises ValueError where the encoder would learn nothing, or from its neighbours."""
    width = critic.width if isinstance(critic, networks.Critic) else 256
    real = torch.zeros((2, width) if objective.features else 2, requires_grad=True)
    cost = objective.generator(real, torch.ones_like(real).detach())
    reads = cost.requires_grad and torch.autograd.grad(cost.sum(), real, allow_unused=True)[0] is not None
    if not reads:
        raise ValueError(
            "the generator's cost of this objective says nothing of real scores, so an encoder would learn nothing: "
            "write it with objectives.apart(fake=..., real=...)"
        )
    if "encoder" not in generators:
        raise ValueError(f"this draw encodes, and needs an encoder beside {', '.join(generators)}")
    if networks.mixes_samples(generators["encoder"]):
        raise ValueError(
            "batch norm in the encoder would encode a sample by its neighbours; use layer norm or none "
            "(critic_norm='layer')"
        )


def check_discrete(objective: Objective, constraints: Sequence[c.Constraint], draw: Draw) -> None:
    """Of a game whose fakes are picked, not made. Raises ValueError where it has no gradient."""
    if objective.features:
        raise ValueError(
            "this objective compares features [B, m] and has no cost per sample, so it cannot train a policy of "
            "discrete draws: use minimax or non-saturating (irgan)"
        )
    for constraint in constraints:
        if constraint.per_sample:
            raise ValueError(
                f"{type(constraint).__name__} reads the slope at a sample, and documents have none: use Decay"
            )
    if objective.relative and isinstance(draw, Retrieve) and not draw.paired:
        raise ValueError("an objective of pairs needs a positive beside what the policy picks: Retrieve(paired=True)")


def _doubt(message: str) -> None:
    warnings.warn(message, Doubtful, stacklevel=5)
