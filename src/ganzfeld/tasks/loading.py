"""Opening a run: ``load`` needs neither its data nor a configuration."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ..compatibility import Doubtful
from ..core.tree import Tree
from ..data import Collection
from ..game import Game
from ..runs import checkpoints, files, plan
from .generation import Run
from .retrieval import HISTORY, Retrieval


def load(path: str | Path, game: Game | None = None) -> Run | Retrieval:
    """Open a run. game: only for one that was trained from a Game of your own.

    Raises ValueError, in one line, where the path holds no run or no whole checkpoint.
    """
    directory = Path(path)
    facts = files.read_json(directory / "run.json")
    try:
        asked, shape = plan.read(facts["plan"]), _shape(directory, facts["data"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory / 'run.json'} is not a description of a run: {error}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubtful)  # said when it was trained
        game = game or asked.game(shape)
    template = game.init(asked.seed)
    found = checkpoints.newest_checkpoint(directory, [template] * asked.seeds, facts["identity"])
    if found is None:
        raise ValueError(f"{directory} has no checkpoint yet")
    loudly(found)
    return played(directory, facts, game, found.states)


def _shape(directory: Path, data: Mapping[str, Any]) -> plan.Shape:
    """What a paper must know of data that are not at hand."""
    shape = tuple(data["shape"])
    if data.get("kind") == "letor":
        queries, width, features = shape
        none = torch.zeros(0, 2, dtype=torch.long)
        return plan.Held(shape, Collection(queries, width, none, torch.zeros(0, width, features)))
    if data.get("kind") == "interactions":
        try:
            positives = load_file(directory / HISTORY)["train"]
        except (OSError, KeyError) as error:
            raise ValueError(f"{directory / HISTORY} cannot be read: {error}") from None
        users, items = shape
        return plan.Held(shape, Collection(users, items, positives))
    return plan.Shape(shape)


def played(directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]) -> Run | Retrieval:
    """The run of a game in some states, with what it has selected."""
    if not game.draw.discrete:
        return Run(directory, facts, game, states)
    template = {"params": states[0]["params"]}
    selected, steps = checkpoints.selected(directory, [template] * len(states), facts["identity"])
    return Retrieval(directory, facts, game, states, selected, steps)


def loudly(found: checkpoints.Checkpoint) -> None:
    """Say what was wrong with newer checkpoints than the one that is used."""
    for text in found.skipped:
        print(f"{text}; using step {found.step} instead", file=sys.stderr)
