"""Inference: what a run with an encoder can do besides, the way from a sample to its code and back."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .. import networks
from ..core.randomness import latents
from ..judging import inference
from ..runs import diagnostics
from ..runs.run import with_weights
from .modules import InputInUnits

RECONSTRUCTION = 0.9  # the weight of reconstruction in an anomaly score (Zenati et al. 2018)


class Codes:
    """Of one member of a run of samples (`GeneratorRun`). Raises ValueError where it has no encoder."""

    def __init__(self, run: Any, member: int):
        if "encoder" not in run.game.generators:
            raise ValueError(
                f"this run of {run.name} has no encoder: it holds a "
                f"{' and a '.join((*run.game.generators, 'critic'))}; train ali or bigan to encode"
            )
        self.run, self.member = run, member

    @property
    def encoder(self) -> nn.Module:
        """An ordinary module in eval mode: samples [n, *shape] in the data's units (and noise [n, latent], where it is
        stochastic) to codes [n, latent], with averaged weights."""
        run = self.run
        weights = diagnostics.averaged_weights(run.game, run.state(self.member))["encoder"]
        return InputInUnits(with_weights(run.game.generators["encoder"], weights), run.units).eval()

    def encode(self, x: Tensor, seed: int | None = None) -> Tensor:
        """As `GeneratorRun.encode`."""
        self._check(x)
        return self._encode(x, seed)

    def _encode(self, x: Tensor, seed: int | None = None) -> Tensor:
        """Of samples that need not be in the data's range: the generator's may not be."""
        noise = self.run.game.draw.needs("generator").get("e")
        extra = () if seed is None or noise is None else (latents(noise, seed, len(x)),)
        return networks.apply_blockwise(self.encoder, x, *extra)

    def decode(self, z: Tensor) -> Tensor:
        """Samples of codes."""
        return self.run.decode(z, self.member)

    def features(self, x: Tensor, z: Tensor) -> Tensor:
        """What a critic of pairs sees in samples [n, *shape] in the data's units with their codes [n, latent]: its last
        hidden layer [n, m]. Raises ValueError for a critic that has none of its own."""
        critic = self.run.critic(self.member)
        if not isinstance(critic, networks.Critic):
            raise ValueError("this critic has no features of its own: build it as a networks.Critic")
        return networks.apply_blockwise(InputInUnits(critic.features, self.run.units), x, z)

    def anomaly(self, x: Tensor, weight: float = RECONSTRUCTION) -> Tensor:
        """As `GeneratorRun.anomaly`."""
        z = self.encode(x)
        again = self.decode(z)
        apart = (x - again).div(self.run.units.scale).flatten(1).abs().sum(1)
        seen = (self.features(x, z) - self.features(again, z)).abs().sum(1)
        return weight * apart + (1 - weight) * seen

    @property
    def coder(self) -> inference.Coder:
        """Encoder, generator and critic, as the judges of inference ask for them."""
        return inference.Coder(
            encode=self._encode,
            decode=self.decode,
            draw=lambda x: self._encode(x, seed=0),
            features=None if self.run.game.objective.features else self.features,
        )

    def _check(self, x: Tensor) -> None:
        """Raises ValueError for samples of another shape or range than the run was trained on."""
        shape, (low, high) = tuple(x.shape[1:]), self.run.facts["data"]["range"]
        if shape != self.run.game.shape:
            raise ValueError(f"these samples have shape {shape}, the run was trained on {self.run.game.shape}")
        if not len(x):
            raise ValueError("there are no samples to encode")
        least, most, room = float(x.min()), float(x.max()), high - low
        if not (low - room <= least and most <= high + room):
            raise ValueError(
                f"these samples reach from {least:.4g} to {most:.4g}, the run was trained on {low:.4g} to {high:.4g}"
            )
