"""Whose turn it is: a schedule says which turns a step of training is made of, and each turn who moves in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .core.values import Count, Turns, TurnsOrNone, check_fields
from .draws import Role

Turn = Literal["critic", "generator", "both"]


def moving(turn: Turn) -> tuple[Role, ...]:
    """Who moves in a turn. In "both" each gradient is taken before either moves."""
    return ("critic", "generator") if turn == "both" else (turn,)


def moves(turns: Sequence[Turn]) -> int:
    """How many moves the turns are made of."""
    return sum(len(moving(turn)) for turn in turns)


@dataclass(frozen=True)
class Schedule:
    """Each step is some critic turns and then some of the generator, one unless more, or none, are asked for. ``warm``:
    critic turns of the first ``warm_steps`` steps and of every ``warm_every``-th. ``at_once``: the generator moves
    together with the last of them."""

    n_critic: Turns = 1
    warm: TurnsOrNone = 0
    warm_steps: Count = 0
    warm_every: Count = 0
    at_once: bool = False
    n_generator: TurnsOrNone = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.at_once and self.n_generator != 1:
            raise ValueError(f"players that move at once take one turn of the generator a step, not {self.n_generator}")

    def __call__(self, step: int) -> tuple[Turn, ...]:
        """The turns of step 0, 1, ..."""
        warm = self.warm and (step < self.warm_steps or (self.warm_every and step % self.warm_every == 0))
        turns: list[Turn] = ["critic"] * (self.warm if warm else self.n_critic)
        if self.at_once:
            return (*turns[1:], "both")
        turns += ["generator"] * self.n_generator
        return tuple(turns)
