"""Draws: what makes the two sides that the critic compares.

A draw turns players, a batch of data and noise into a `Scene`. It names the noise it needs; it never rolls dice.
Every member of the family that differs in *what* is compared differs here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from .noise import Need, Noise

Role = Literal["critic", "generator"]
Players = Mapping[str, Callable[..., Tensor]]
Batch = tuple[Tensor, ...]


class Scene(NamedTuple):
    """The two sides. log_prob [B]: of sampled fakes; None where they are reparametrised, so that the gradient flows
    through them. weight: importance weight [B] of sampled fakes. given: what the critic is told beside either side
    (labels), and is not differentiated by. cost [B]: what the generator side descends besides."""

    real: Batch
    fake: Batch
    log_prob: Tensor | None = None
    weight: Tensor | float = 1.0
    given: Batch = ()
    cost: Tensor | None = None


class Draw:
    """labelled: a batch ends with the labels of its rows. encodes: the real side, too, depends on the generator side's
    weights."""

    labelled: bool = False
    encodes: ClassVar[bool] = False

    def needs(self, role: Role) -> dict[str, Need]:
        """The noise of one turn of a role."""
        return {}

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Of the parts of one sample that the critic scores, for data of a shape."""
        return (shape,)

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        raise NotImplementedError


@dataclass(frozen=True)
class Generate(Draw):
    """Data x against G(z) with z ~ N(0, I): the draw of the original game. ``batch`` is (x,), or () where the turn
    reads no data. labelled: G(z, y) with the labels y of the batch, that the critic is told as well."""

    latent: int
    labelled: bool = False

    def needs(self, role: Role) -> dict[str, Need]:
        return {"z": Need("normal", (self.latent,))}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        given = batch[-1:] if self.labelled else ()
        real = batch[:-1] if self.labelled else batch
        return Scene(real=real, fake=(players["generator"](noise["z"], *given),), given=given)


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

    latent: int
    stochastic: bool = True
    cycle: float = 0.0
    cycle_z: float = 0.0
    encodes: ClassVar[bool] = True

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        return (shape, (self.latent,))

    def needs(self, role: Role) -> dict[str, Need]:
        normal = Need("normal", (self.latent,))
        return {"z": normal, "e": normal} if self.stochastic else {"z": normal}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        (x,), z = batch, noise["z"]
        generator, encoder = players["generator"], players["encoder"]
        dice = (noise["e"],) if self.stochastic else ()
        code, made = encoder(x, *dice), generator(z)
        costs = []
        if self.cycle:
            costs.append(self.cycle * _mean_square(x - generator(code)))
        if self.cycle_z:
            costs.append(self.cycle_z * _mean_square(z - encoder(made, *dice)))
        return Scene(real=(x, code), fake=(made, z), cost=torch.stack(costs).sum(0) if costs else None)


def _mean_square(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1)
