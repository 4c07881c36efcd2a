"""What a value may be: the one home of ranges, and of how a value is held against a type.

A range stands in a type, ``gamma: NotNegative``, so that a record's fields, the settings of a paper and the arguments
of a function are held against one word. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import reprlib
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple


class Range(NamedTuple):
    """Which numbers are meant: in words that follow "must be", and as a condition."""

    words: str
    holds: Callable[[Any], bool]


def whole(least: int, most: int | None = None) -> Range:
    """Whole numbers of at least, and at most."""
    if most is None:
        return Range(f"a whole number, at least {least}", lambda value: value >= least)
    return Range(f"a whole number from {least} to {most:,}", lambda value: least <= value <= most)


HUGE = 1.7e38  # beyond it twice a number is infinite in single precision
MOST_UNITS = 2**20  # of a layer or of a batch: more is a slip of the finger
MOST_LAYERS = 1000
MOST_TURNS = 10_000  # of a step

Positive = Annotated[float, Range("a positive number", lambda value: 0 < value < HUGE)]
NotNegative = Annotated[float, Range("a number, 0 or more", lambda value: 0 <= value < HUGE)]
Share = Annotated[float, Range("a number in [0, 1)", lambda value: 0 <= value < 1)]
Betas = tuple[Share, Share]
NormOrder = Annotated[float, Range("a number of at least 1, or inf", lambda value: value >= 1)]
Count = Annotated[int, whole(0)]
Size = Annotated[int, whole(1, MOST_UNITS)]
SizeOrNone = Annotated[int, whole(0, MOST_UNITS)]
Depth = Annotated[int, whole(1, MOST_LAYERS)]
DepthOrNone = Annotated[int, whole(0, MOST_LAYERS)]
Turns = Annotated[int, whole(1, MOST_TURNS)]
TurnsOrNone = Annotated[int, whole(0, MOST_TURNS)]
Steps = Annotated[int, whole(1)]


def check(name: str, value: Any, annotation: Any) -> Any:
    """The value as the type that is asked for. Raises ValueError, in one line, where it does not fit."""
    fitted = _fit(value, annotation)
    if fitted is NotImplemented:
        raise ValueError(f"{name} must be {describe(annotation)}, not {reprlib.repr(value)}")
    return fitted


def as_whole(name: str, value: Any) -> int:
    """A count as Python has it, of whatever kind of number. Raises ValueError for what is none."""
    whole = not isinstance(value, (bool, str)) and hasattr(value, "__int__") and math.isfinite(value)
    if not whole or int(value) != value:
        raise ValueError(f"{name} is a whole number, not {value!r}")
    return int(value)


def check_fields(record: Any) -> None:
    """Of a frozen record. Raises ValueError for the first field that is outside the range its type says."""
    kind: Any = type(record)
    for name, annotation in ranged_fields(kind).items():
        try:
            check(name, getattr(record, name), annotation)
        except ValueError as error:
            raise ValueError(f"{kind.__name__}: {error}") from None


@functools.cache
def ranged_fields(kind: Any) -> dict[str, Any]:
    """The fields of a record whose types say a range, or name what fits."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind) if _has_range(hints[entry.name])}


def _has_range(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (Annotated, Literal) or any(map(_has_range, typing.get_args(annotation)))


def _fit(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return value
    if origin is Annotated:
        fitted = _fit(value, arguments[0])
        return fitted if fitted is not NotImplemented and arguments[1].holds(fitted) else NotImplemented
    if origin in (types.UnionType, typing.Union):
        fits = [fitted for a in arguments if (fitted := _fit(value, a)) is not NotImplemented]
        return fits[0] if fits else NotImplemented
    if origin is Literal:
        return value if any(type(value) is type(a) and value == a for a in arguments) else NotImplemented
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return NotImplemented
        many = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        parts = [_fit(v, a) for v, a in zip(value, many, strict=False)]
        wrong = len(many) != len(value) or any(part is NotImplemented for part in parts)
        return NotImplemented if wrong else tuple(parts)
    return _fit_plain(value, type(None) if annotation is None else annotation)


def _fit_plain(value: Any, kind: type) -> Any:
    """A number of any library, a truth, a word. A truth is no number."""
    if isinstance(value, bool) or kind not in (float, int):
        return value if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) else NotImplemented
    if kind is float and isinstance(value, numbers.Real):
        return _as_float(value)
    return int(value) if kind is int and isinstance(value, numbers.Integral) else NotImplemented


def _as_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def describe(annotation: Any) -> str:
    """A type in words that follow "must be"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return arguments[1].words
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(describe(a) for a in arguments)
    if annotation is Betas:
        return "two numbers in [0, 1), as (0.5, 0.99)"
    if origin is tuple:
        return f"({', '.join(describe(a) for a in arguments if a is not ...)}{', ...' if ... in arguments else ''})"
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", type(None): "none"}
    return words.get(annotation) or str(annotation).replace("typing.", "")
