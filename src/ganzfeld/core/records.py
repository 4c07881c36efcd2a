"""What a file says, held against the types of what is expected of it.

Types are written as Python writes them: a `TypedDict` is an object of JSON that may say more, a dataclass one that may
not; ``tuple[int, ...]`` and ``tuple[float, float]`` are lists.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

LARGEST = 2**128  # of whole numbers: a seed may be long, and a sum with a float must not overflow

WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "nothing",
    list: "a list", dict: "an object",
}  # fmt: skip


def check(value: Any, expected: Any, where: str) -> None:
    """Raises ValueError, naming the place, where a value of JSON is not of a type."""
    origin, arguments = typing.get_origin(expected) or expected, typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        _check_any(value, arguments, where)
    elif origin is Literal:
        _demand(value in arguments and type(value) in map(type, arguments), value, expected, where)
    elif origin in (tuple, list, Sequence):
        _check_list(value, origin, arguments, where)
    elif typing.is_typeddict(origin) or dataclasses.is_dataclass(origin):
        _check_object(value, origin, where)
    elif origin in (dict, Mapping):
        _demand(isinstance(value, dict), value, dict, where)
        for key, part in value.items():
            check(part, arguments[1] if arguments else Any, f"{where}.{key}")
    elif origin in (int, float):
        fits = type(value) in (int, origin) and not (type(value) is int and abs(value) > LARGEST)
        _demand(fits, value, origin, where)
    elif origin is not Any:
        _demand(isinstance(value, origin or type(None)), value, origin, where)


def _check_any(value: Any, kinds: Sequence[Any], where: str) -> None:
    for kind in kinds:
        try:
            return check(value, kind, where)
        except ValueError:
            continue
    raise ValueError(f"{where} is {_show(value)}, not {' or '.join(map(_word, kinds))}")


def _check_list(value: Any, origin: Any, arguments: tuple[Any, ...], where: str) -> None:
    _demand(isinstance(value, (list, tuple)), value, list, where)
    several = origin is not tuple or arguments[-1] is Ellipsis
    kinds = [arguments[0] if arguments else Any] * len(value) if several else list(arguments)
    if len(value) != len(kinds):
        raise ValueError(f"{where} has {len(value)} entries, not {len(kinds)}")
    for i, (part, kind) in enumerate(zip(value, kinds, strict=True)):
        check(part, kind, f"{where}[{i}]")


def _check_object(value: Any, kind: Any, where: str) -> None:
    _demand(isinstance(value, dict), value, dict, where)
    hints = typing.get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        needed = {f.name for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING}
        if strange := value.keys() - hints.keys():
            raise ValueError(f"{where}.{min(strange)} is unknown to this version")
    else:
        needed = kind.__required_keys__
    if missing := needed - value.keys():
        raise ValueError(f"{where}.{min(missing)} is missing")
    for key in hints.keys() & value.keys():
        check(value[key], hints[key], f"{where}.{key}")


def _demand(fits: bool, value: Any, kind: Any, where: str) -> None:
    if not fits:
        raise ValueError(f"{where} is {_show(value)}, not {_word(kind)}")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _word(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    kind = typing.get_origin(kind) or kind
    return WORDS.get(kind) or ("a list" if kind in (tuple, Sequence) else "an object")
