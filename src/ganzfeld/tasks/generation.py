"""A run: what a user does with a game that has been played. ``load`` opens one, and needs neither its data nor a
configuration."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import networks
from ..core.randomness import ROWS, Need, latents
from ..core.tree import Tree
from ..data import Data, Units
from ..game import Game
from ..judging import inference, judges
from ..rendering import View
from ..runs import diagnostics, plan

CRITIC = "critic_w1"  # the one metric that asks the critic, not the samples
RECONSTRUCTION = 0.9  # the weight of reconstruction in an anomaly score (Zenati et al. 2018)
STANDING, STOOD = 16, 64  # batches, and latents of each, from which batch norm's standing statistics are taken


class Played:
    """What all played runs are: a directory, its facts, a game, and a state of each member."""

    def __init__(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]):
        self.directory, self.facts, self.game = directory, facts, game
        self._states = list(states)

    @property
    def members(self) -> int:
        return len(self._states)

    def _state(self, member: int) -> Tree:
        if not 0 <= member < self.members:
            raise ValueError(f"there is no member {member}: this run has {self.members}, counted from 0")
        return self._states[member]

    def _module(self, module: nn.Module, weights: Tree) -> nn.Module:
        """An ordinary module with the weights."""
        return _with_weights(module, weights).eval()


class Run(Played):
    """A played run of samples. member picks one of its population, counted from 0."""

    def __init__(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]):
        super().__init__(directory, facts, game, states)
        self._generators: dict[int, tuple[Tree, nn.Module]] = {}

    @cached_property
    def units(self) -> Units:
        units = self.facts["data"]["units"]
        return Units(torch.tensor(units["shift"]), torch.tensor(units["scale"]))

    @cached_property
    def view(self) -> View:
        view = dict(self.facts["data"]["view"])
        axes = view.pop("axes", None)
        return View(**{**view, "centre": tuple(view["centre"])}, axes=axes and tuple(map(tuple, axes)))

    @property
    def classes(self) -> tuple[str, ...]:
        """What its labels are called, where it was trained with them."""
        return tuple(self.facts["data"].get("classes", ())) if self.game.draw.labelled else ()

    def generator(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: latents [n, z] (and labels [n], where it was trained with them) to samples
        [n, *shape] in the data's units, with averaged weights and standing statistics, so that a sample does not depend
        on its neighbours."""
        weights = diagnostics.averaged(self.game, self._state(member))["generator"]
        module = _with_weights(self.game.generators["generator"], weights)
        return Restored(networks.standing(module, self._standing()), self.units).eval()

    def _standing(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches whose statistics a generator keeps; with labels, all classes in turn."""
        for i in range(STANDING):
            z = latents(self.latent, -1 - i, STOOD)
            yield (z, torch.arange(STOOD) % len(self.classes)) if self.classes else (z,)

    def encoder(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: samples [n, *shape] in the data's units (and noise [n, latent], where the
        encoder is stochastic) to codes [n, latent], with averaged weights. Raises ValueError where there is none."""
        if not self.game.draw.encodes:
            raise ValueError(
                f"this run of {self.facts['paper'] or 'a Game of your own'} has no encoder: it holds a "
                f"{' and a '.join((*self.game.generators, 'critic'))}; train ali or bigan to encode"
            )
        weights = diagnostics.averaged(self.game, self._state(member))["encoder"]
        return Stripped(_with_weights(self.game.generators["encoder"], weights), self.units).eval()

    def coder(self, member: int = 0) -> inference.Coder:
        """The member's encoder, generator and critic, as the judges of inference ask for them. Raises ValueError where
        there is no encoder."""
        encoder = self.encoder(member)
        return inference.Coder(
            encode=lambda x: self._codes(encoder, x),
            decode=lambda z: self.decode(z, member),
            draw=lambda x: self._codes(encoder, x, seed=0),
            features=None if self.game.objective.features else lambda x, z: self.features(x, z, member),
        )

    def encode(self, x: Tensor, seed: int | None = None, member: int = 0) -> Tensor:
        """Codes [n, latent] of samples [n, *shape] in the data's units; row i depends on row i alone.

        seed: of one draw of a stochastic encoder's codes; without it their centre, the code at noise 0. Raises
        ValueError where the run has no encoder, and for samples of another shape or range than it was trained on.
        """
        encoder = self.encoder(member)
        self._fits(x)
        return self._codes(encoder, x, seed)

    def _codes(self, encoder: nn.Module, x: Tensor, seed: int | None = None) -> Tensor:
        """Of samples that need not be in the data's range: the generator's may not be."""
        noise = self.game.draw.needs("generator").get("e")
        extra = () if seed is None or noise is None else (latents(noise, seed, len(x)),)
        return networks.blockwise(encoder, x, *extra)

    def reconstruct(self, x: Tensor, seed: int | None = None, member: int = 0) -> Tensor:
        """G(E(x)) [n, *shape] in the data's units; arguments and errors as of `encode`."""
        return self.decode(self.encode(x, seed, member), member)

    def features(self, x: Tensor, z: Tensor, member: int = 0) -> Tensor:
        """What a critic of pairs sees in samples [n, *shape] in the data's units with their codes [n, latent]: its last
        hidden layer [n, m]."""
        critic = self.critic(member)
        if not isinstance(critic, networks.Critic):
            raise ValueError("this critic has no features of its own: build it as a networks.Critic")
        return networks.blockwise(Stripped(critic.features, self.units), x, z)

    def anomaly(self, x: Tensor, weight: float = RECONSTRUCTION, member: int = 0) -> Tensor:
        r"""How unlike the training data samples [n, *shape] are, [n]:

        .. math:: w\,\|x - G(E(x))\|_1 + (1 - w)\,\|\phi(x, E(x)) - \phi(G(E(x)), E(x))\|_1

        in network units, phi the critic's last hidden layer. Source: Zenati et al. 2018 (EGBAD), section 3, with
        their feature matching and w = .9. Errors as of `encode`.
        """
        z = self.encode(x, None, member)
        again = self.decode(z, member)
        apart = (x - again).div(self.units.scale).flatten(1).abs().sum(1)
        seen = (self.features(x, z, member) - self.features(again, z, member)).abs().sum(1)
        return weight * apart + (1 - weight) * seen

    def _fits(self, x: Tensor) -> None:
        """Raises ValueError for samples of another shape or range than the run was trained on."""
        shape, (low, high) = tuple(x.shape[1:]), self.facts["data"]["range"]
        if shape != self.game.shape:
            raise ValueError(f"these samples have shape {shape}, the run was trained on {self.game.shape}")
        if not len(x):
            raise ValueError("there are no samples to encode")
        least, most, room = float(x.min()), float(x.max()), high - low
        if not (low - room <= least and most <= high + room):
            raise ValueError(
                f"these samples reach from {least:.4g} to {most:.4g}, the run was trained on {low:.4g} to {high:.4g}"
            )

    @property
    def latent(self) -> Need:
        """The law and shape of z."""
        return self.game.draw.needs("generator")["z"]

    def critic(self, member: int = 0) -> nn.Module:
        """An ordinary module: samples in network units (and their codes, of a run that encodes) to raw scores, with the
        weights it plays with."""
        state = self._state(member)
        dressed, _ = self.game.dress(state["params"]["critic"], state["constraints"], advance=False)
        return self._module(self.game.critic, dressed)

    def sample(
        self, n: int, seed: int = 0, member: int = 0, label: int | None = None, truncation: float | None = None
    ) -> Tensor:
        """[n, *shape] in the data's units. Row i depends on (seed, i) alone: not on n, not on its neighbours.

        label: of a run trained with labels; its classes in turn unless given. truncation: the largest coordinate of z.
        """
        if n < 1:
            raise ValueError(f"ask for at least one sample, not {n}")
        whole = -(-n // ROWS) * ROWS  # whole blocks: the arithmetic of a row never depends on how many were asked for
        return self.decode(latents(self.latent, seed, whole), member, label, truncation)[:n]

    @torch.no_grad()
    def decode(self, z: Tensor, member: int = 0, label: int | None = None, truncation: float | None = None) -> Tensor:
        """Samples of given latents [n, z], block by block."""
        if label is not None and not 0 <= label < len(self.classes):
            known = f"0 to {len(self.classes) - 1}" if self.classes else "trained without labels"
            raise ValueError(f"there is no class {label}: this run has {known}")
        generator = self._whole(member)
        z = truncated(z, truncation) if truncation is not None else z
        if not self.classes:
            return networks.blockwise(generator, z)
        labels = torch.arange(len(z)) % len(self.classes) if label is None else torch.full((len(z),), label)
        return networks.blockwise(generator, z, labels)

    def _whole(self, member: int) -> nn.Module:
        """The generator, kept while its state is the same: its standing statistics cost a thousand samples."""
        state = self._state(member)
        held = self._generators.get(member)
        if held is None or held[0] is not state:
            held = self._generators[member] = (state, self.generator(member))
        return held[1]

    def judge(
        self, data: str | Data | None = None, metrics: Sequence[str] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """``{name: {"mean", "std", "per_member"}}`` against the run's data, or other data of the same shape."""
        return self.judged(data, metrics, seed)["metrics"]

    def judged(
        self,
        data: str | Data | None = None,
        metrics: Sequence[str] | None = None,
        seed: int = 0,
        baselines: float = 0.0,
    ) -> dict[str, Any]:
        """The same with its provenance: ``{"metrics": ..., "provenance": ...}``. baselines: seconds for which each
        baseline of an encoder is trained, to be judged beside it."""
        if not isinstance(data, Data):
            data = plan.read(self.facts["plan"]).samples(data)
        if data.shape != self.game.shape:
            raise ValueError(f"{data.name} has rows of shape {data.shape}, the run was trained on {self.game.shape}")
        samples = [self.sample(judges.count(data), seed, member) for member in range(self.members)]
        own = (CRITIC, *inference.NAMES)
        asked = None if metrics is None else [name for name in metrics if name not in own]
        out = judges.judge(samples, data, asked)
        if CRITIC in (metrics or ()) or (metrics is None and data.units.shared):
            out["metrics"] |= self._critic_estimates(data, must=metrics is not None)
        if baselines or set(inference.NAMES) & set(metrics or ()) or (metrics is None and self.game.draw.encodes):
            found, told = self._inference(data, seed, baselines)
            out["metrics"] |= {k: v for k, v in found.items() if metrics is None or k in metrics}
            out["provenance"]["inference"] = told
        return out

    def _inference(self, data: Data, seed: int, baselines: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the encoders are worth, and how that was found. Raises ValueError where there are none."""
        rows, told = [], inference.facts(data)
        z = latents(self.latent, seed, judges.COUNT)
        for member in range(self.members):
            coder = self.coder(member)
            row = inference.judge(coder, z, data)
            if baselines:
                more, told["baselines"] = inference.trained(
                    self.game, coder, data, self.facts["seed"] + member, baselines
                )
                row |= more
            rows.append(row)
        return judges.summary(rows), told

    def _critic_estimates(self, data: Data, must: bool) -> dict[str, Any]:
        """The critics' own distances, to be read beside the exact one; ValueError where there must be some and no
        critic has a score."""
        rows = [diagnostics.critic_estimate(self.game, state, data) for state in self._states]
        if must and not rows[0]:
            raise ValueError(
                f"{CRITIC} needs a critic of scores of samples alone; this one returns features, or scores pairs"
            )
        return judges.summary(rows) if rows[0] else {}


class InUnits(nn.Module):
    """What a module needs to know to speak in the data's units."""

    shift: Tensor
    scale: Tensor

    def __init__(self, units: Units):
        super().__init__()
        self.register_buffer("shift", units.shift.clone())
        self.register_buffer("scale", units.scale.clone())


class Restored(InUnits):
    """A generator whose samples come out in the data's units."""

    def __init__(self, generator: nn.Module, units: Units):
        super().__init__(units)
        self.generator = generator

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.shift + self.scale * self.generator(*inputs)


class Stripped(InUnits):
    """A module that reads samples in the data's units, and whatever else beside them."""

    def __init__(self, module: nn.Module, units: Units):
        super().__init__(units)
        self.module = module

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        return self.module((x - self.shift) / self.scale, *others)


def truncated(z: Tensor, most: float) -> Tensor:
    """Normal numbers mapped monotonically to the normal law cut off at plus and minus ``most``: fewer odd samples, less
    variety. Source: Brock et al. 2019 (BigGAN), section 3.1, who draw again instead."""
    if not most > 0:
        raise ValueError(f"a truncation must be positive, not {most}")
    edge = torch.special.ndtr(torch.tensor(most, dtype=torch.float64))
    inside = (1 - edge) + torch.special.ndtr(z.double()) * (2 * edge - 1)
    return torch.special.ndtri(inside).clamp(-most, most).to(z.dtype)


def _with_weights(module: nn.Module, weights: Tree) -> nn.Module:
    module = copy.deepcopy(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(weights[name])
    return module.requires_grad_(False)
