"""A run: a game that has been played, in its directory. What more can be done with it, its task says."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from ..core.tree import Tree
from ..game import Game
from .plan import recorded_plan


class Run(ABC):
    """directory, facts: of ``run.json``, game, and a state of each member."""

    abilities: ClassVar[tuple[str, ...]] = ("judge", "report")  # the commands that know what to do with it

    def __init__(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]):
        self.directory, self.facts, self.game, self.states = directory, facts, game, list(states)
        self.data: Any = None  # what it was trained on, where that is at hand

    def __repr__(self) -> str:
        """What it is and what can be done with it, in two lines."""
        facts = self.facts
        seeds = f"{self.members} member{'s' * (self.members != 1)} from seed {facts['seed']} on"
        what = f"{self.name} on {facts['data']['name']}, {facts['steps']:,} steps, {seeds}, in {self.directory}"
        return f"{type(self).__name__}: {what}\n  can {', '.join(self.abilities)}"

    @property
    def name(self) -> str:
        """Of its paper, for messages."""
        return self.facts["paper"] or "a Game of your own"

    @property
    def members(self) -> int:
        return len(self.states)

    def state(self, member: int) -> Tree:
        """Of one of the population, counted from 0. Raises ValueError where there is none."""
        if not 0 <= member < self.members:
            raise ValueError(f"there is no member {member}: this run has {self.members}, counted from 0")
        return self.states[member]

    def select_member(self, member: int) -> Self:
        """The same run of one member alone."""
        run = copy.copy(self)
        run.states = [self.state(member)]
        return run

    def source(self, data: Any = None) -> Any:
        """The run's own data, read again where they are not at hand; those of a name, read as its own were; or data
        that are given, as they are. Raises ValueError where they cannot be read."""
        if data is not None and not isinstance(data, str):
            return data
        if data is None and self.data is not None:
            return self.data
        try:
            rows = recorded_plan(self.facts).read(data, **({} if data else self.own_reading()))
        except ValueError as error:
            if data is not None:
                raise
            raise ValueError(f"{error} (the data of {self.directory}: give others, data=)") from None
        if data is None:
            self.data = rows
        return rows

    def own_reading(self) -> dict[str, Any]:
        """How the run's own data are read, beside what was asked for."""
        return {}

    def judge(self, data: Any = None, metrics: Sequence[str] | None = None) -> dict[str, Any]:
        """``{name: {"mean", "std", "per_member"}}`` on the test part of the run's data, or of other data that fit."""
        return self.judgement(data, metrics)["metrics"]

    @abstractmethod
    def judgement(
        self, data: Any = None, metrics: Sequence[str] | None = None, *, seed: int = 0, baselines: float = False
    ) -> dict[str, Any]:
        """The same with its provenance: ``{"metrics": ..., "provenance": ...}``. seed: of what is drawn to be judged;
        baselines: whether those that take a training stand beside, or for how many seconds they are trained."""


def with_weights(module: nn.Module, weights: Tree) -> nn.Module:
    """A copy of a module in eval mode, with the weights, that asks for no gradient."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(weights[name])
    return module.requires_grad_(False).eval()
