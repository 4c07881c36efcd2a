"""From names and settings to a game: what the command line and a saved run hand over.

A setting is a key of the paper's signature (``rate``), of the network's record (``width``) or of a constraint that was
asked for (``gradient-penalty.weight``). Unknown keys are refused with the nearest valid one.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import constraints, networks, objectives
from ..core.names import find, nearest
from ..game import Game
from . import INTERACTIONS, LETOR, NAMES, PICTURES, TABLE
from .board import Shaped, seats

Settings = Mapping[str, Any]


def named(paper: str) -> str:
    """A paper's name as the tables have it. Raises ValueError, with the nearest one, for a name they do not have."""
    return find("paper", paper, {name: name for name in NAMES})


def paper_for(name: str, shape: tuple[int, ...], network: str | None = None) -> Callable[..., Game]:
    """The paper's function for samples of a shape, or rankings of one: (users, items) or (queries, documents,
    features). Raises ValueError where it has no settings for them."""
    key = named(name)
    if key in INTERACTIONS:
        if len(shape) == 3 and key not in LETOR:
            raise ValueError(f"{key} is a paper of users and items, and these documents have features: use dns")
        return LETOR[key] if len(shape) == 3 else INTERACTIONS[key]
    if len(shape) == 1:
        if key not in TABLE:
            raise ValueError(f"{key} is a paper of pictures, and these samples are vectors of {shape[0]} numbers")
        return TABLE[key]
    if key in PICTURES:
        return PICTURES[key]
    if network is None:
        raise ValueError(
            f"{key} has no settings for pictures of its own: cross one that has (dcgan --objective ... --constraint "
            "...), or say which networks are to play (--network dcgan)"
        )
    return TABLE[key]


def wants_pictures(paper: str, network: str | None) -> bool:
    """Whether the paper, or the networks asked for, are for pictures alone."""
    key = paper.replace("_", "-")
    return key not in INTERACTIONS and (key not in TABLE or network not in (None, "mlp"))


def retrieves(paper: str) -> bool:
    """Whether the paper is one of rankings, not of samples."""
    return named(paper) in INTERACTIONS


def build(
    paper: str,
    data: Shaped,
    *,
    settings: Settings | None = None,
    network: str | None = None,
    objective: str | None = None,
    bound: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> Game:
    """The game of a paper for samples of ``data.shape``, crossed with what else was asked for.

    objective, bound: names that replace the paper's objective and its constraints (``["none"]`` for none of them).
    Raises ValueError, in one line, for unknown names and keys, values that do not fit, and impossible pairs.
    """
    make = paper_for(paper, data.shape, network)
    given = dict(settings or {})
    if batch_size is not None:
        given["batch_size"] = batch_size
    values = resolve(paper, data.shape, given, network, bound)
    maker = maker_for(paper, data.shape, values, network)
    own = signature(make)
    game = make(data, networks=maker, **{key: value for key, value in values.items() if key in own})
    if bound is not None:
        binds = [_bind(name, values, game.batch_size) for name in _names(bound)]
        game = dataclasses.replace(game, constraints=tuple(binds))
    if objective is not None:
        chosen = find("objective", objective, objectives.TABLE)
        if chosen.features == game.objective.features:
            return dataclasses.replace(game, objective=chosen)
        head: networks.Head = "features" if chosen.features else "score"
        players = seats(maker, data.shape, game.draw, head, values.get("classes", 0))
        game = dataclasses.replace(game, objective=chosen, **players)
    return game


def maker_for(paper: str, shape: tuple[int, ...], values: Settings, network: str | None = None) -> networks.Maker:
    """The networks of a paper, or the kind that is asked for, with the sizes among resolved settings."""
    _, kind = _networks(paper_for(paper, shape, network), network)
    return kind(**{key: value for key, value in values.items() if key in signature(kind)})


def resolve(
    paper: str,
    shape: tuple[int, ...],
    settings: Settings,
    network: str | None = None,
    bound: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Every setting of the paper and its networks, the given ones in place of the defaults, with the types their keys
    ask for, whether they came as values or as text; and what was given of the constraints.

    Raises ValueError, in one line, for an unknown key or a value that does not fit.
    """
    make = paper_for(paper, shape, network)
    default, kind = _networks(make, network)
    known = {**signature(make), **signature(kind)}
    usual = {**defaults(make), **dataclasses.asdict(default if isinstance(default, kind) else kind())}
    for name in _names(bound):
        kind = find("constraint", name, constraints.TABLE)
        known |= {f"{name}.{key}": annotation for key, annotation in signature(kind).items()}
    for key in settings:
        if key not in known:
            raise nearest("setting", key, known)
    return {**usual, **{key: fit(key, value, known[key]) for key, value in settings.items()}}


def _networks(make: Callable[..., Game], network: str | None) -> tuple[networks.Maker, type[networks.Maker]]:
    """The networks a paper has of its own, and the kind that is asked for."""
    default = inspect.signature(make).parameters["networks"].default
    known = networks.RANKERS if isinstance(default, tuple(networks.RANKERS.values())) else networks.TABLE
    return default, find("network", network, known) if network else type(default)


def _names(bound: Sequence[str] | None) -> list[str]:
    names = list(bound or [])
    return [] if names == ["none"] else names


def _bind(name: str, values: Settings, batch_size: int) -> constraints.Constraint:
    kind = find("constraint", name, constraints.TABLE)
    given = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
    if kind is constraints.Margin:
        given = {"points": batch_size, **given}
    return kind(**given)


SEATS = {"data", "networks", "return", "self"}  # what a paper is handed, and no setting


def signature(function: Any) -> dict[str, Any]:
    """The settings of a paper, network or constraint with their types."""
    hints = typing.get_type_hints(function if inspect.isfunction(function) else function.__init__)
    return {name: hints.get(name, Any) for name in inspect.signature(function).parameters if name not in SEATS}


def defaults(make: Callable[..., Game]) -> dict[str, Any]:
    """The settings of a paper with its defaults."""
    parameters = inspect.signature(make).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in SEATS}


def fit(key: str, value: Any, annotation: Any) -> Any:
    """A value, or the text of one, as the type a signature names."""
    if isinstance(value, str) and annotation is not str and typing.get_origin(annotation) is not typing.Literal:
        value = _parse(value)
    fitted = _fit(value, annotation)
    if fitted is NotImplemented:
        raise ValueError(f"{key} must be {_say(annotation)}, not {value!r}")
    return fitted


def _parse(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    try:
        return float(text)  # inf and nan, which are no literals
    except ValueError:
        return text


def _fit(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        fits = [fitted for a in arguments if (fitted := _fit(value, a)) is not NotImplemented]
        return fits[0] if fits else NotImplemented
    if origin is typing.Literal:
        return value if value in arguments else NotImplemented
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return NotImplemented
        many = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        parts = [_fit(v, a) for v, a in zip(value, many, strict=False)]
        return NotImplemented if len(many) != len(value) or NotImplemented in parts else tuple(parts)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if annotation is int and isinstance(value, bool):
        return NotImplemented
    return value if isinstance(value, type(None) if annotation is None else annotation) else NotImplemented


def _say(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(annotation)))
    return {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}.get(annotation) or str(
        annotation
    ).replace("typing.", "")
