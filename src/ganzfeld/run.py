"""A run: what a user does with a game that has been played. ``load`` opens one, and needs neither its data nor a
configuration."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import data as datas
from . import judges, networks, plan, record, watch
from .data import Data, Units
from .game import Game
from .noise import ROWS, latents
from .pairings import Doubtful
from .pictures import View
from .tree import Tree

CRITIC = "critic_w1"  # the one metric that asks the critic, not the samples
STANDING = 16  # batches of ROWS latents from which batch norm's standing statistics are taken


class Run:
    """A played run. member picks one of its population, counted from 0."""

    def __init__(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]):
        self.directory, self.facts, self.game = directory, facts, game
        self._states = list(states)

    @property
    def members(self) -> int:
        return len(self._states)

    @cached_property
    def units(self) -> Units:
        units = self.facts["data"]["units"]
        return Units(torch.tensor(units["shift"]), torch.tensor(units["scale"]))

    @cached_property
    def view(self) -> View:
        view = dict(self.facts["data"]["view"])
        axes = view.pop("axes", None)
        return View(**{**view, "centre": tuple(view["centre"])}, axes=axes and tuple(map(tuple, axes)))

    def _state(self, member: int) -> Tree:
        if not 0 <= member < self.members:
            raise ValueError(f"there is no member {member}: this run has {self.members}, counted from 0")
        return self._states[member]

    def generator(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: latents [n, z] to samples [n, d] in the data's units, with averaged weights
        and standing statistics, so that a sample does not depend on its neighbours."""
        weights = watch.averaged(self.game, self._state(member))["generator"]
        module = _with_weights(self.game.generators["generator"], weights)
        need = self.game.needs("generator")["z"]
        batches = (latents(need, -1 - i, ROWS * 4) for i in range(STANDING))
        return nn.Sequential(networks.standing(module, batches), Restore(self.units)).eval()

    def critic(self, member: int = 0) -> nn.Module:
        """An ordinary module: samples in network units to raw scores, with the weights it plays with."""
        state = self._state(member)
        dressed, _ = self.game.dress(state["params"]["critic"], state["constraints"], advance=False)
        return _with_weights(self.game.critic, dressed).eval()

    def sample(self, n: int, seed: int = 0, member: int = 0) -> Tensor:
        """[n, d] in the data's units. Row i depends on (seed, i) alone: not on n, not on its neighbours."""
        if n < 1:
            raise ValueError(f"ask for at least one sample, not {n}")
        whole = -(-n // ROWS) * ROWS  # whole blocks: the arithmetic of a row never depends on how many were asked for
        return self.decode(latents(self.game.needs("generator")["z"], seed, whole), member)[:n]

    @torch.no_grad()
    def decode(self, z: Tensor, member: int = 0) -> Tensor:
        """Samples of given latents [n, z], block by block."""
        generator = self.generator(member)
        pad = -len(z) % ROWS
        blocks = torch.cat([z, z[:1].expand(pad, *z.shape[1:])]).split(ROWS)
        return torch.cat([generator(block) for block in blocks])[: len(z)]

    def judge(
        self, data: str | Data | None = None, metrics: Sequence[str] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """``{name: {"mean", "std", "per_member"}}`` against the run's data, or other data of the same shape."""
        return self.judged(data, metrics, seed)["metrics"]

    def judged(
        self, data: str | Data | None = None, metrics: Sequence[str] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """The same with its provenance: ``{"metrics": ..., "provenance": ...}``."""
        if data is None:
            asked = self.facts["plan"]
            data = datas.load(asked["data"], asked["seed"], asked.get("valid"), asked.get("test"))
        elif isinstance(data, str):
            data = datas.load(data, self.facts["plan"]["seed"])
        if data.shape != self.game.shape:
            raise ValueError(f"{data.name} has rows of shape {data.shape}, the run was trained on {self.game.shape}")
        samples = [self.sample(judges.COUNT, seed, member) for member in range(self.members)]
        asked = None if metrics is None else [name for name in metrics if name != CRITIC]
        out = judges.judge(samples, data, asked)
        if asked != metrics or (metrics is None and data.units.shared):
            out["metrics"] |= self._critic_estimates(data, must=metrics is not None)
        return out

    def _critic_estimates(self, data: Data, must: bool) -> dict[str, Any]:
        """The critics' own distances, to be read beside the exact one; ValueError where there must be some and no
        critic has a score."""
        rows = [watch.critic_estimate(self.game, state, data) for state in self._states]
        if must and not rows[0]:
            raise ValueError(f"{CRITIC} needs a critic of scores; this one returns features")
        return judges.summary(rows) if rows[0] else {}


class Restore(nn.Module):
    """Network units to the data's."""

    shift: Tensor
    scale: Tensor

    def __init__(self, units: Units):
        super().__init__()
        self.register_buffer("shift", units.shift.clone())
        self.register_buffer("scale", units.scale.clone())

    def forward(self, u: Tensor) -> Tensor:
        return self.shift + self.scale * u


def _with_weights(module: nn.Module, weights: Tree) -> nn.Module:
    module = copy.deepcopy(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(weights[name])
    return module.requires_grad_(False)


def load(path: str | Path, game: Game | None = None) -> Run:
    """Open a run. game: only for one that was trained from a Game of your own.

    Raises ValueError, in one line, where the path holds no run or no whole checkpoint.
    """
    directory = Path(path)
    facts = record.read_json(directory / "run.json")
    try:
        asked, shape = plan.read(facts["plan"]), tuple(facts["data"]["shape"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory / 'run.json'} is not a description of a run: {error}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubtful)  # said when it was trained
        game = game or asked.game(plan.Shape(shape))
    template = game.init(asked.seed)
    found = record.newest_checkpoint(directory, [template] * asked.seeds, facts["identity"])
    if found is None:
        raise ValueError(f"{directory} has no checkpoint yet")
    loudly(found)
    return Run(directory, facts, game, found.states)


def loudly(found: record.Checkpoint) -> None:
    """Say what was wrong with newer checkpoints than the one that is used."""
    for text in found.skipped:
        print(f"{text}; using step {found.step} instead", file=sys.stderr)
