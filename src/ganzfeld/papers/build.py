"""From a paper and settings to a game: the one place where games are made of names.

A setting is a key of the paper's record (``lr``), a size of its network (``width``) or an argument of a constraint that
was asked for (``gradient-penalty.weight``). Unknown keys are refused with the nearest valid one.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from .. import constraints, divergences, networks, objectives, optimizers
from ..augment import Augment
from ..core.names import find, split_names, unknown_name
from ..core.values import Size
from ..data.rankings.collection import Collection
from ..draws import Draw, Generate, Hardest, Infer, Retrieve
from ..game import Game
from ..networks.rankers import Factors
from ..schedule import Schedule
from . import find_paper, papers_for
from .paper import FORMS, Form, HasForm, Number, Paper, Piece, Record, choose
from .settings import SETTINGS, read_value

Settings = Mapping[str, Any]
Networks = Any  # a name of a table, a record of sizes, or None for the paper's own

KINDS: dict[str, type] = {**networks.TABLE, **networks.RANKERS}
HOUSE_MAKERS = tuple(KINDS.values())  # those that a user adds are none of them
HARMLESS_SIZE = 512  # no network of such sizes is too large; counting weights for the first time takes a second
TENSORS_PER_WEIGHT = 4  # itself, its gradient, and two moments

# objectives that have arguments, or that are no objective of their own
FAMILIES: dict[str, Callable[..., objectives.Objective]] = {
    "mean": objectives.mean_matching,
    "covariance": objectives.covariance_matching,
    "mean-covariance": objectives.mean_and_covariance_matching,
    "constant": lambda: objectives.minimax._replace(generator=lambda real, fake: -torch.ones_like(fake)),
    **{f"fgan-{name}": partial(objectives.fgan, divergence) for name, divergence in divergences.TABLE.items()},
}


def build(
    paper: str,
    data: HasForm,
    *,
    settings: Settings | None = None,
    network: str | None = None,
    objective: str | None = None,
    bound: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> Game:
    """The game of a paper for ``data.form`` and ``data.shape``, crossed with what else was asked for.

    objective, bound: names that replace the paper's objective and its constraints (``["none"]`` for none of them).
    Raises ValueError, in one line, for unknown names and keys, values that do not fit, and impossible pairs. What a
    setting that is given would not do, `unread.check_read` says.
    """
    given = {**(settings or {}), **({} if batch_size is None else {"batch_size": batch_size})}
    return make_game(find_paper(paper), data, given, network, objective, bound)


def resolve(
    paper: str, form: Form, settings: Settings, network: Networks = None, bound: Sequence[str] | None = None
) -> dict[str, Any]:
    """Every setting of the paper and its networks, the given ones in place of the defaults, with the types their keys
    ask for, whether they came as values or as text; and what was given of the constraints.

    Raises ValueError, in one line, for an unknown key or a value that does not fit.
    """
    found = find_paper(paper)
    return resolve_for(found, record_for(found, form, network), settings, network, bound)


def resolve_for(
    paper: Paper, record: Record, settings: Settings, network: Networks, bound: Sequence[str] | None
) -> dict[str, Any]:
    """The same of a paper and its record."""
    known = types_of_paper(paper, record)
    values = {name: number.value for name, number in record.numbers.items()}
    if network is None or isinstance(network, str):
        maker = make_networks(record, network)
        known |= types_of(type(maker))
        values |= dataclasses.asdict(maker)
    for name in constraint_names(bound):
        known |= {f"{name}.{key}": kind for key, kind in types_of(find("constraint", name, constraints.TABLE)).items()}
    for key in settings:
        if key not in known:
            raise _unknown_setting(key, known, paper)
    return {**values, **{key: read_value(key, value, known[key]) for key, value in settings.items()}}


def _unknown_setting(key: str, known: Mapping[str, Any], paper: Paper) -> ValueError:
    kind, dot, own = key.partition(".")
    if dot and own in types_of(constraints.TABLE.get(kind.replace("_", "-"), constraints.Orthonormal)):
        return ValueError(f"{key} is of a constraint that is not asked for: add --constraint {kind}")
    return unknown_name("setting", key, known, paper=paper.name)


def record_for(paper: Paper, form: Form, network: Networks = None) -> Record:
    """The numbers of a paper for a form of data; for pictures and networks of theirs also those for vectors. Raises
    ValueError where it has none, and says which papers have."""
    if form in paper.records:
        return paper.records[form]
    others = ", ".join(papers_for(form)) or "a Game of your own"
    if form == "pictures" and "vectors" in paper.records:
        if network is not None:
            return paper.records["vectors"]
        raise ValueError(
            f"{paper.name} has no settings for pictures of its own: cross one that has (dcgan --objective ... "
            f"--constraint ...), or say which networks are to play (--network dcgan); set for pictures are {others}"
        )
    forms = " and ".join(FORMS[own] for own in paper.forms)
    raise ValueError(f"{paper.name} is a paper of {forms}, and these are {FORMS.get(form, form)}: use {others}")


def make_networks(record: Record, network: str | None = None, sizes: Settings | None = None) -> networks.Maker:
    """The networks of a record, or the kind that is asked for, with the sizes among resolved settings."""
    own = networks.RANKERS if record.network in networks.RANKERS else networks.TABLE
    kind: type[Any] = find("network", network or record.network, own)
    usual = {key: number.value for key, number in record.sizes.items()} if kind is own[record.network] else {}
    return kind(**{key: value for key, value in {**usual, **(sizes or {})}.items() if key in types_of(kind)})


def networks_of(paper: str, form: Form, settings: Settings, network: str | None = None) -> networks.Maker:
    """The networks of a plan, from its resolved settings."""
    return make_networks(record_for(find_paper(paper), form, network), network, settings)


def types_of(kind: type) -> dict[str, Any]:
    """The fields of a frozen record with their types."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}


def types_of_paper(paper: Paper, record: Record) -> dict[str, Any]:
    """The settings of a record with their types: the names of what can be chosen, and None where it is the default."""
    choices = {name: typing.Literal[values] for name, values in paper.choices(record).items()}
    types = {name: choices.get(name, SETTINGS[name].type) for name in record.numbers}
    if record.network not in networks.RANKERS:
        types["batch_size"] = Size  # rankings alone are met as a whole
    return {name: kind | None if record.numbers[name].value is None else kind for name, kind in types.items()}


class Sides(NamedTuple):
    """A draw and the players of its two sides; rows: the collection they rank, where there is one."""

    draw: Draw
    generators: dict[str, nn.Module]
    critic: nn.Module
    rows: Collection | None = None


def make_game(
    paper: Paper,
    data: Any,
    settings: Settings,
    network: Networks = None,
    objective: str | None = None,
    bound: Sequence[str] | None = None,
) -> Game:
    """The game of a paper: its pieces, with the numbers of its record and the settings in their place."""
    record = record_for(paper, data.form, network)
    values = resolve_for(paper, record, settings, network, bound)
    maker = make_networks(record, network, values) if network is None or isinstance(network, str) else network
    usual = usual_for(paper, maker)
    filled = fill(values, usual)
    goal, head = _objective(paper, filled, objective)
    draw, arguments = _choose(paper.draw, filled)
    make = partial(DRAWS[draw], data, maker, head, filled, arguments)
    _check_memory(make, maker)
    sides = make()
    return Game(
        objective=goal,
        draw=sides.draw,
        generators=sides.generators,
        critic=sides.critic,
        optimizers={
            role: _optimizer(record.optimizer, values, usual, role, sides)
            for role in (("critic", "generator") if sides.generators else ("critic",))
        },
        constraints=_constraints(paper, filled, bound),
        schedule=_schedule(filled, bool(sides.generators)),
        lr_schedule=optimizers.LRSchedule(filled["lr_schedule"], filled["lr_warm_up"]),
        batch_size=filled["batch_size"],
        ema_half_life=filled.get("ema_half_life", 0.0),
        share_fakes=filled.get("share_fakes", False),
        augment=_augment(filled.get("augment", "")),
        shape=data.shape,
        citation=paper.citation,
        start=filled.get("start", ""),
    )


def usual_for(paper: Paper, maker: networks.Maker) -> Mapping[str, Number]:
    """What settings stand for that are None, with the kind of networks that a maker makes."""
    return paper.usual.get(next((name for name, kind in KINDS.items() if isinstance(maker, kind)), ""), {})


def fill(values: Settings, usual: Mapping[str, Number]) -> dict[str, Any]:
    """Settings with what they stand for in the place of None."""
    return {key: usual[key].value if value is None and key in usual else value for key, value in values.items()}


def _choose(piece: Piece, values: Settings) -> tuple[str, dict[str, Any]]:
    found = choose(piece, values)
    assert found, piece
    return found


def name_objective(paper: str, settings: Settings) -> str:
    """What a paper is played for, with the arguments that its settings give."""
    name, arguments = _choose(find_paper(paper).objective, settings)
    return f"{name}({', '.join(f'{key}={value}' for key, value in arguments.items())})" if arguments else name


def _check_memory(make: Callable[[], Sides], maker: Any) -> None:
    """Raises ValueError where the weights of networks of this house, their gradient and what an optimizer remembers
    beside them are more than the memory of the machine; they are counted without being made."""
    if type(maker) not in HOUSE_MAKERS or not hasattr(os, "sysconf"):
        return
    sizes = {key: size for key, size in dataclasses.asdict(maker).items() if isinstance(size, int)}
    if max(sizes.values(), default=0) <= HARMLESS_SIZE:
        return
    try:
        with torch.device("meta"):
            sides = make()
        weights = sum(p.numel() for m in (*sides.generators.values(), sides.critic) for p in m.parameters())
    except RuntimeError:  # more than can be counted
        weights = sys.maxsize
    needed = weights * torch.finfo(torch.get_default_dtype()).bits // 8 * TENSORS_PER_WEIGHT
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise ValueError(
            f"networks of these sizes need {needed / 2**30:.3g} GiB of memory, and there are {memory / 2**30:.3g}: "
            f"make some of them smaller ({', '.join(f'{key} {size}' for key, size in sizes.items())})"
        )


def _objective(paper: Paper, values: Settings, crossed: str | None) -> tuple[objectives.Objective, networks.Head]:
    """The objective, and what the critic returns for it."""
    name, arguments = _choose(paper.objective, values)
    made = arguments or name not in objectives.TABLE
    own = find("objective", name, FAMILIES)(**arguments) if made else objectives.TABLE[name]
    goal = own if crossed is None else find("objective", crossed, objectives.TABLE)
    if paper.head is not None and goal.features == own.features:
        return goal, typing.cast(networks.Head, _choose(paper.head, values)[0])
    return goal, "features" if goal.features else "score"


def _constraints(paper: Paper, values: Settings, crossed: Sequence[str] | None) -> tuple[constraints.Constraint, ...]:
    if crossed is not None:
        return tuple(_constraint(name, values) for name in constraint_names(crossed))
    found = (choose(piece, values) for piece in paper.constraints)
    return tuple(constraints.TABLE[name](**arguments) for name, arguments in filter(None, found))


def constraint_names(bound: Sequence[str] | None) -> list[str]:
    """The constraints that are asked for, each by itself or several with commas; ["none"] for none. Raises ValueError
    where one is asked for twice, or beside none."""
    names = [name for several in bound or () for name in split_names(several)]
    if names == ["none"]:
        return []
    for name in names:
        if name == "none":
            raise ValueError(f"none stands alone: leave it out, or {' and '.join(n for n in names if n != 'none')}")
        if names.count(name) > 1:
            raise ValueError(f"{name} is asked for {names.count(name)} times: once is enough, with a larger weight")
    return names


def _constraint(name: str, values: Settings) -> constraints.Constraint:
    kind: type[Any] = find("constraint", name, constraints.TABLE)
    given = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
    if kind is constraints.Margin:
        given = {"points": values["batch_size"], **given}
    return kind(**given)


def _optimizer(piece: Piece, values: Settings, usual: Mapping, role: Any, sides: Sides) -> optimizers.Optimizer:
    """Of a role, with the first rate that is given: its own, both players', what its networks ask for.

    The rate of a ranker's plain descent is for one pair or one query, as where each is a step of its own, so that it
    does not depend on how many there are.
    """
    own = f"{role}_lr"
    given = (values.get(own), values["lr"], usual[own].value if own in usual else None)
    lr = next(value for value in given if value is not None)
    name, arguments = _choose(piece, values)
    if name == "sgd" and sides.rows:
        lr *= values["batch_size"] or max(1, sides.rows.side(role).rows)
    make: Any = optimizers.TABLE[name]
    return make(lr, **arguments)


def _schedule(values: Settings, two: bool) -> Schedule:
    """Of two players, or of a critic alone."""
    turns = {entry.name: values[entry.name] for entry in dataclasses.fields(Schedule) if entry.name in values}
    return Schedule(**turns) if two else Schedule(n_generator=0)


def _augment(names: str) -> Augment | None:
    return Augment(split_names(names)) if names else None


def _generate(data: Any, maker: Any, head: networks.Head, values: Settings, arguments: Settings) -> Sides:
    classes = values.get("classes", 0)
    if classes < 0:
        raise ValueError(f"classes counts the labels, 0 for none: {classes} is not possible")
    generator, critic = maker.pair(data.shape, head, classes)
    draw = Generate(maker.latent_of(data.shape), labelled=classes > 0, **arguments)
    return Sides(draw, {"generator": generator}, critic)


def _infer(data: Any, maker: Any, head: networks.Head, values: Settings, arguments: Settings) -> Sides:
    draw = Infer(maker.latent_of(data.shape), **arguments)
    generator, encoder, critic = maker.triple(data.shape, head, draw.stochastic)
    return Sides(draw, {"generator": generator, "encoder": encoder}, critic)


def _retrieve(data: Any, maker: Any, head: networks.Head, values: Settings, arguments: Settings) -> Sides:
    draw = Retrieve(data.collection, **arguments)
    if values["batch_size"] and draw.negatives == "frozen":
        raise ValueError("frozen negatives are drawn once for every pair: they need whole batches, batch_size=0")
    policy, critic = maker.pair(draw.collection)
    if values["bias_only"]:
        if not isinstance(policy, Factors):
            raise ValueError("bias_only is for factors: no other ranker has a bias of items")
        policy.bias_only = True
    return Sides(draw, {"policy": policy}, critic, draw.collection)


def _hardest(data: Any, maker: Any, head: networks.Head, values: Settings, arguments: Settings) -> Sides:
    critic, _ = maker.pair(data.collection)
    return Sides(Hardest(data.collection, **arguments), {}, critic, data.collection)


DRAWS: dict[str, Callable[..., Sides]] = {
    "generate": _generate,
    "infer": _infer,
    "retrieve": _retrieve,
    "hardest": _hardest,
}
