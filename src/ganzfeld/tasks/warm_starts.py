"""Starts: what the weights of a retrieval game begin as.

``""``       afresh
``"dns"``    the selected critic of a run of dns with the same networks, trained first, in a directory of its own
``"ease"``   an item-item game from the closed form of EASE, scaled: a policy needs scores of some size
a path       the selected ranker of a run of the same networks: of the member with the same seed, or its only one

The critic begins as the policy does, or afresh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.streams import say
from ..core.tree import Tree
from ..data import Interactions, Rankings
from ..game import Game
from ..judging.baselines import closed_form
from ..networks.rankers import Items
from ..runs.facts import is_run, read_facts
from ..runs.plan import Plan
from ..runs.task import Pretrain, Task

POLICY_SCALE, CRITIC_SCALE = 8.0, 4.0  # of EASE's scores, which lie between 0 and 1
EASE_PENALTY = 400.0  # EASE's penalty


def starting_weights(
    task: Task, game: Game, data: Rankings, plan: Plan, pretrain: Pretrain
) -> Iterator[tuple[int, Mapping[str, Tree]]]:
    """Of every seed the weights of players that do not start afresh. task: opens the run that is started from;
    pretrain: trains it (`Task.starting_weights`). Raises ValueError where networks, users or items do not fit."""
    players: tuple[str, ...] = ("policy", "critic") if plan.settings.get("critic_start", True) else ("policy",)
    if not game.generators:
        players = ("critic",)
    if not game.start:
        return ((seed, {}) for seed in plan.members)
    if game.start == "ease":
        weights = {name: found for name, found in _ease_weights(game).items() if name in players}
        return ((seed, weights) for seed in plan.members)
    path = train_dns(plan.settings, pretrain, plan.paper) if game.start == "dns" else Path(game.start)
    run = _open_start(task, path, data)
    return ((seed, {name: _read_weights(run, seed, name, game, path) for name in players}) for seed in plan.members)


def train_dns(settings: Mapping[str, Any], pretrain: Pretrain, paper: str | None = "irgan") -> Path:
    """The directory of the run of dns that a game of these settings starts from, with networks of the same sizes."""
    if "start_steps" not in settings:
        raise ValueError(f"{paper} starts afresh, from ease, or from a run: start=dns is for irgan")
    sizes = {key: settings[key] for key in ("rank", "spread", "width", "depth") if key in settings}
    return pretrain("dns", settings["start_steps"], sizes)


def paper_of(path: Path) -> str | None:
    """Of the run that is started from; None where it is not known."""
    try:
        return read_facts(path)["paper"]
    except ValueError:
        return None


def steps_played(path: Path) -> int | None:
    """The steps of a run and of those that it started from; None where they are not known."""
    try:
        facts = read_facts(path)
    except ValueError as error:
        if path.exists():
            say(f"{error}: how long the start was played is not known")
        return None
    before = steps_played(path / "start") if is_run(path / "start") else 0
    return None if before is None else int(facts["steps"]) + before


def _open_start(task: Task, path: Path, data: Rankings) -> Any:
    """A run of rankers of the same users and items."""
    facts = read_facts(path)
    if facts["data"].get("kind") not in task.kinds:
        raise ValueError(f"{path} holds a run of samples, and no ranker to start from")
    run = task.load(path, facts)
    if isinstance(data, Interactions) and run.ids != (data.users, data.items):  # type: ignore[attr-defined]
        raise ValueError(f"{path} ranks other users or items than {data.name} has")
    return run


def _ease_weights(game: Game) -> dict[str, Tree]:
    if not isinstance(game.critic, Items):
        raise ValueError("start=ease is for item-item rankers: add --network item-item, or start from dns")
    x = game.critic.history > 0
    b = closed_form.ease(x, EASE_PENALTY).to(game.critic.weight.dtype)
    return {"policy": {"weight": POLICY_SCALE * b}, "critic": {"weight": CRITIC_SCALE * b}}


def _read_weights(run: Any, seed: int, name: str, game: Game, path: Path) -> Tree:
    member = seed - run.facts["seed"] if run.members > 1 else 0
    ranker = name if name in run.rankers else run.rankers[0]
    weights = run.weights(ranker, member)
    module = game.critic if name == "critic" else game.generators[name]
    for key, parameter in module.named_parameters():
        if key not in weights or weights[key].shape != parameter.shape:
            raise ValueError(f"{path} has other networks than this game: its {ranker} does not fit the {name}'s {key}")
    return {key: torch.clone(value) for key, value in weights.items()}
