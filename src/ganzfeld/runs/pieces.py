"""``game.json``: what a Game of one's own is made of, by which a run knows it again. Of a paper's the plan says it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import objectives
from ..core import identity
from ..game import Game
from ..objectives import Objective
from . import files

NAME = "game.json"


def describe_game(game: Game) -> dict[str, Any]:
    """All that decides its numbers: records, functions with what they hold, the structure of modules."""
    description = identity.describe(game)
    return {key: value for key, value in description.items() if key != "citation"}


def other_pieces(directory: Path, facts: Mapping[str, Any], pieces: Mapping[str, Any]) -> str | None:
    """The first thing in which a Game differs from the one that a run was played with, in words; None where there is
    none, or the run is of an older version, which did not write it down. Raises ValueError where it cannot be read."""
    if "legs" not in facts:
        return None
    return identity.difference(files.read_json(directory / NAME), pieces)


def name_objective(objective: Objective) -> str:
    """The name in the table, or that of the function that made it."""
    known = (name for name, entry in objectives.TABLE.items() if entry == objective)
    own = getattr(objective.critic, "__qualname__", type(objective.critic).__name__)
    return next(known, own.partition(".<locals>")[0].replace("<lambda>", "a function of your own"))
