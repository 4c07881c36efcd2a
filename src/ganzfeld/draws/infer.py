"""Infer: pairs of a sample and its code against pairs of a code and its sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .. import networks
from ..core.randomness import Need, Noise
from ..core.values import NotNegative, Size, check_fields
from .draw import Batch, Draw, Pieces, Players, Role, Scene, check_generator


@dataclass(frozen=True)
class Infer(Draw):
    r"""(x, E(x)) against (G(z), z), z ~ N(0, I): adversarially learned inference. ``batch`` is (x,).

    The critic tells two joint laws apart, q(x) q(z|x) and p(z) p(x|z); where it cannot, E has learned the posterior of
    G. The encoder's pairs are the real side: the critic raises their scores, and the generator side, both networks
    together, lowers them as it raises its own. stochastic: E(x, e) with e ~ N(0, I) (ALI), else E(x) (BiGAN).

    Equal joints leave the coupling of x and z open where both are stochastic, so that a sample need not come back from
    its code. cycle, cycle_z: weights of what pins it down, the mean squares of x - G(E(x, e)) (a bound on the
    conditional entropy of x given z, for a Gaussian decoder) and of z - E(G(z), e).
    Sources: Dumoulin et al. 2017 (ALI), eq. 2; Donahue et al. 2017 (BiGAN), eq. 3; Li et al. 2017 (ALICE), eq. 6.
    """

    latent: Size
    stochastic: bool = True
    cycle: NotNegative = 0.0
    cycle_z: NotNegative = 0.0
    moves_real: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, game: Pieces) -> None:
        """Raises ValueError where the encoder would learn nothing, or from its neighbours."""
        check_generator(game)
        critic, features = game.critic, game.objective.features
        width = critic.width if isinstance(critic, networks.Critic) else 256
        real = torch.zeros((2, width) if features else 2, requires_grad=True)
        cost = game.objective.generator(real, torch.ones_like(real).detach())
        if not cost.requires_grad or torch.autograd.grad(cost.sum(), real, allow_unused=True)[0] is None:
            raise ValueError(
                "the generator's cost of this objective says nothing of real scores, so an encoder would learn "
                "nothing: write it with objectives.apart(fake=..., real=...)"
            )
        if "encoder" not in game.generators:
            raise ValueError(f"this draw encodes, and needs an encoder beside {', '.join(game.generators)}")
        if networks.mixes_samples(game.generators["encoder"]):
            raise ValueError(
                "batch norm in the encoder would encode a sample by its neighbours; use layer norm or none "
                "(critic_norm='layer')"
            )

    def columns(self, role: Role) -> tuple[str, ...]:
        return ("x",)

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        return (shape, (self.latent,))

    def needs(self, role: Role) -> dict[str, Need]:
        normal = Need("normal", (self.latent,))
        return {"z": normal, "e": normal} if self.stochastic else {"z": normal}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        (x,), z = batch, noise["z"]
        generator, encoder = players["generator"], players["encoder"]
        extra = (noise["e"],) if self.stochastic else ()
        code, made = encoder(x, *extra), generator(z)
        costs = []
        if self.cycle:
            costs.append(self.cycle * _mean_square(x - generator(code)))
        if self.cycle_z:
            costs.append(self.cycle_z * _mean_square(z - encoder(made, *extra)))
        return Scene(real=(x, code), fake=(made, z), cost=torch.stack(costs).sum(0) if costs else None)


def _mean_square(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1)
