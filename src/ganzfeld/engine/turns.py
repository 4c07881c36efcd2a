"""The pure function of many turns, and the gradients it is made of."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..core import tree
from ..core.randomness import Noise
from ..core.tree import Tree
from ..draws import Batch, Role
from ..game import Game, Gather, Record, When, alone
from ..schedule import Turn, moving
from .choice import Mode
from .ranks import Ranks

ROLES: tuple[Role, ...] = ("critic", "generator")
TRIM_EVERY_TURNS = 25  # of uneven shapes, after which free memory goes back
Slopes = Callable[[Tree, Batch, Noise, When], tuple[dict[Role, Tree], tuple[Tree, Record]]]


def slope(game: Game, roles: tuple[Role, ...], mode: Mode, mapped: bool, gather: Gather = alone) -> Slopes:
    """(state, batch, noise, when) -> ({role: gradients}, (memory, record)) for one game or, mapped, for a stack. Both
    roles at once are differentiated through one pass over scene and critic."""
    if mode == "compiled":

        def ahead(state, batch, noise, when=None):
            gradients: dict[Role, Tree] = {}
            memories: list[Tree] = []
            record: Record = {}
            for role in roles:  # at once the generator side meets the critic as it is dressed in the critic's turn
                gradients[role], (memory, more) = game.gradient(role, state, batch, noise, gather, when)
                memories.append(memory)
                state, record = {**state, "constraints": memory["constraints"]}, {**record, **more}
            return gradients, (memories[0], record)

        return torch.vmap(ahead, in_dims=(0, 0, 0, None)) if mapped else ahead

    def costs(mine, state, batch, noise, when):
        return game.costs(roles, mine, state, batch, noise, gather, when=when)

    every = torch.vmap(costs, in_dims=(0, 0, 0, 0, None)) if mapped else costs

    def back(state, batch, noise, when=None):
        mine = {name: leaves for role in roles for name, leaves in _leaves(game, role, state).items()}
        found, rest = every(mine, state, batch, noise, when)
        return _backward(game, found, rest, mine)

    return back


def _leaves(game: Game, role: Role, state: Tree) -> Tree:
    """The role's weights, to be differentiated by."""
    return tree.map(lambda p: p.detach().requires_grad_(), game.moved(state["params"], role))


def _backward(
    game: Game, costs: Mapping[Role, Tensor], rest: tuple[Tree, Record], mine: Tree
) -> tuple[dict[Role, Tree], tuple[Tree, Record]]:
    gradients, last = {}, list(costs)[-1]
    for role, cost in costs.items():
        own = game.moved(mine, role)
        found = torch.autograd.grad(cost.sum(), tree.leaves(own), retain_graph=role != last, materialize_grads=True)
        gradients[role] = tree.with_leaves(own, found)
    memory, record = rest
    return gradients, (tree.map(Tensor.detach, memory), record)


def shared(game: Game, gather: Gather = alone) -> dict[Role, Slopes]:
    """The slopes of a critic's turn and of the generator's after it, on one fake batch that is made once: the critic
    takes it as a constant, the generator's gradient goes back through it."""
    made: dict[str, Any] = {}

    def critic(state, batch, noise, when=None):
        made["mine"] = _leaves(game, "generator", state)
        made["scene"] = scene = game.scene({**state["params"], **made["mine"]}, "critic", batch, noise)
        real, fake = (tuple(x.detach() for x in side) for side in (scene.real, scene.fake))
        fixed = scene._replace(real=real, fake=fake)
        mine = _leaves(game, "critic", state)
        return _backward(game, *game.costs(("critic",), mine, state, batch, noise, gather, fixed, when), mine)

    def generator(state, batch, noise, when=None):
        mine, scene = made.pop("mine"), made.pop("scene")
        return _backward(game, *game.costs(("generator",), mine, state, batch, noise, gather, scene, when), mine)

    return {"critic": critic, "generator": generator}


def player(
    game: Game,
    turns: Sequence[Turn],
    mode: Mode,
    mapped: bool,
    ranks: Ranks | None = None,
    acting: Sequence[tuple[int, ...]] | None = None,
) -> Callable:
    """The pure function that plays the turns in order.

    ``play(state, batches, noises, numbers) -> (state, records)``: batches and noises are trees by role and name, with
    the turns of the role as leading dimension (behind the members', where mapped); numbers by role, a row a turn: the
    step sizes and, last, how manieth of the role it is; records by name, [turns] or [members, turns]. acting: the
    constraints that act in each of the critic's turns, all unless given.
    """
    gather, reduce = (ranks.gather, ranks.reduce) if ranks else (alone, alone)
    slopes = {turn: slope(game, moving(turn), mode, mapped, gather) for turn in set(turns)}
    pair = shared(game, gather) if game.share_fakes and mode != "compiled" and not mapped else {}
    everyone = tuple(range(len(game.constraints)))

    def play(state, batches, noises, numbers):
        records: dict[str, list[Tensor]] = {}
        played = dict.fromkeys(ROLES, 0)
        known: Noise = {}
        before = None
        for turn, after in zip(turns, [*turns[1:], "critic"], strict=True):
            first = moving(turn)[0]
            if first == "critic" or not game.share_fakes:  # else: those of the critic's turn before
                at = partial(torch.select, dim=int(mapped), index=played[first])
                batch = tuple(at(x) for x in batches[first].values())
                noise = {name: at(draw) for name, draw in noises[first].items()}
            # else the last turn's, which was of the same players on the same rows; never so of a regular draw
            if not game.draw.regular and (turn != before or game.batch_size):
                known = game.precompute(moving(turn), state, batch)
            before = turn
            number = numbers[first][played[first]][-1]
            when = When(number, acting[played[first]] if acting and first == "critic" else everyone)
            side: Mapping[Any, Slopes] = pair if pair and "generator" in (turn, after) and turn != "both" else slopes
            gradients, (memory, record) = side[turn](state, batch, {**noise, **known}, when)
            for role in moving(turn):
                gradient = reduce(tree.vector(gradients[role], int(mapped)))
                record = {**record, f"{role}_gradient": torch.linalg.vector_norm(gradient, dim=-1)}
                *sizes, _ = numbers[role][played[role]]
                state = game.update(role, state, gradient, memory, sizes, int(mapped))
                played[role] += 1
            for name, value in record.items():
                records.setdefault(name, []).append(value)
            if not game.draw.regular and sum(played.values()) % TRIM_EVERY_TURNS == 0:
                _give_back()
        return state, {name: torch.stack(values, -1) for name, values in records.items()}

    return play


def _give_back() -> None:
    """Free memory goes back to the system: tables of all candidates leave holes that smaller tensors settle in, and a C
    library may hold twice what is used. One that knows no such call is left alone."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def packed(state: Tree, batches: Tree, noises: Tree, numbers: Mapping[Role, Sequence[Sequence[float]]]) -> Tree:
    """The arguments of a piece as one tree of tensors, as a graph takes them: its numbers would be constants in it."""
    rows = {role: tree.leaves(state)[0].new_tensor(row) for role, row in numbers.items()}
    return {"state": state, "batches": batches, "noises": noises, "numbers": rows}
