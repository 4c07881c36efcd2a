"""Names that a user types: found in a table, or refused with the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def nearest(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for an unknown name, with the nearest valid one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return ValueError(f"no {kind} named {name!r}; {hint}")


def find(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """The entry of a table, under its name with dashes or underscores. Raises ValueError for any other."""
    key = name if name in table else name.replace("_", "-")
    if key not in table:
        raise nearest(kind, name, table)
    return table[key]
