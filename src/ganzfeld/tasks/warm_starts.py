"""Starts: what the weights of a retrieval game begin as.

``""``       afresh
``"dns"``    the selected critic of a run of dns with the same networks, trained first, in a directory of its own
``"ease"``   an item-item game from the closed form of EASE, scaled: a policy needs scores of some size
a path       the selected ranker of a run of the same networks: of the member with the same seed, or its only one

The critic begins as the policy does, or afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.tree import Tree
from ..data import Data, Interactions, Rankings
from ..game import Game
from ..judging.baselines import closed_form
from ..networks.rankers import Items
from .loading import load
from .retrieval import Retrieval

POLICY_SCALE, CRITIC_SCALE = 8.0, 4.0  # of EASE's scores, which lie between 0 and 1
WEIGHT = 400.0  # EASE's penalty


def given(
    game: Game, data: Data | Rankings, seeds: range, settings: Mapping[str, Any], before: Callable[[], Path]
) -> Iterator[tuple[int, dict]]:
    """Of every seed the weights of players that do not start afresh. before: trains the run that is started from.

    Raises ValueError where networks, users or items do not fit.
    """
    both = settings.get("critic_start", True)
    players = ("policy", "critic") if both else ("policy",)
    if not game.generators:
        players = ("critic",)
    if not game.start:
        for seed in seeds:
            yield seed, {}
    elif game.start == "ease":
        for seed in seeds:
            yield seed, {name: weights for name, weights in _ease(game).items() if name in players}
    else:
        path = before() if game.start == "dns" else Path(game.start)
        run = load(path)
        if not isinstance(run, Retrieval):
            raise ValueError(f"{path} holds a run of samples, and no ranker to start from")
        if isinstance(data, Interactions) and run.ids != (data.users, data.items):
            raise ValueError(f"{path} ranks other users or items than {data.name} has")
        for seed in seeds:
            yield seed, {name: _from(run, seed, name, game, path) for name in players}


def _ease(game: Game) -> dict[str, Tree]:
    if not isinstance(game.critic, Items):
        raise ValueError("start=ease is for item-item rankers: add --network item-item, or start from dns")
    x = game.critic.history > 0
    b = closed_form.ease(x, WEIGHT).to(game.critic.weight.dtype)
    return {"policy": {"weight": POLICY_SCALE * b}, "critic": {"weight": CRITIC_SCALE * b}}


def _from(run: Retrieval, seed: int, name: str, game: Game, path: Path) -> Tree:
    member = seed - run.facts["seed"] if run.members > 1 else 0
    ranker = name if name in run.rankers else run.rankers[0]
    weights = run.weights(ranker, member)
    module = game.critic if name == "critic" else game.generators[name]
    for key, parameter in module.named_parameters():
        if key not in weights or weights[key].shape != parameter.shape:
            raise ValueError(f"{path} has other networks than this game: its {ranker} does not fit the {name}'s {key}")
    return {key: torch.clone(value) for key, value in weights.items()}
