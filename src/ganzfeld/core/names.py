"""Names that a user types: found in a table, or refused with the nearest valid one; and what names of version 0.1 are
called now."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Entry = TypeVar("Entry")


RENAMED: dict[str, str] = {
    "rate": "lr",
    "critic_rate": "critic_lr",
    "pace": "lr_schedule",
    "critic_turns": "n_critic",
    "policy_turns": "n_generator",
    "half_life": "ema_half_life",
    "share": "share_fakes",
    "rule": "optimizer",
    "without": "exclude_classes",
    "least": "min_rating",
}
RATE_OF_THE_POLICY = ("irgan", "irgan-pairwise")  # papers whose old ``rate`` was the generator side's alone


def split_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Names that are given as a list, or in one text with commas: a text is never taken for a list of letters."""
    return (
        tuple(name for part in names.split(",") if (name := part.strip())) if isinstance(names, str) else tuple(names)
    )


def new_name(name: str, paper: str | None = None) -> str:
    """What a setting or option of version 0.1 is called now, of a paper; any other name as it is."""
    if name == "rate" and paper in RATE_OF_THE_POLICY:
        return "generator_lr"
    return RENAMED.get(name, name)


def rename(settings: Mapping[str, Any], paper: str | None = None) -> dict[str, Any]:
    """Settings or options under today's names, in their order."""
    return {new_name(name, paper): value for name, value in settings.items()}


def rename_command(text: str, paper: str | None = None) -> str:
    """A command of version 0.1 as it is typed now, and several in a row; a text that is no command as it is."""
    return " && ".join(_rename_words(part, paper) for part in text.split(" && "))


def _rename_words(text: str, paper: str | None) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if i and words[i - 1] == "--set" and equals:
            words[i] = f"{new_name(name, paper)}={value}"
        elif word.startswith("--"):
            words[i] = f"--{new_name(name[2:].replace('-', '_')).replace('_', '-')}{equals}{value}"
    return shlex.join(words)


def unknown_name(kind: str, name: str, known: Iterable[str], paper: str | None = None) -> ValueError:
    """The error for an unknown name, with what it is called now, or the nearest valid one."""
    known, new = list(known), new_name(name, paper)
    near = difflib.get_close_matches(name, known, 1, cutoff=0.4)
    if new != name:
        here = "" if new in known else f", and there is none here: there are {', '.join(known)}"
        return ValueError(f"no {kind} named {name!r}; {name} is now {new}{here}")
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return ValueError(f"no {kind} named {name!r}; {hint}")


def find(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """The entry of a table, under its name with dashes or underscores. Raises ValueError for any other."""
    key = name if name in table else name.replace("_", "-")
    if key not in table:
        raise unknown_name(kind, name, table)
    return table[key]
