"""How this process was started: under which name, and by torchrun with how many others, and which of them it is."""

from __future__ import annotations

import os


def command() -> str:
    """What a user types to start this package: ``ganzfeld``, or what the variable GANZFELD_COMMAND says instead, as
    ``./run`` has it. Every command that a message suggests begins with it."""
    return os.environ.get("GANZFELD_COMMAND") or "ganzfeld"


def suggest(words: str) -> str:
    """A command to try, as it is to be typed here."""
    return f"{command()} {words}"


def as_typed_here(recorded: str) -> str:
    """A command as a run records it, or several in a row, as it is to be typed here."""
    parts = recorded.split(" && ")
    return " && ".join(
        suggest(part.removeprefix("ganzfeld ")) if part.startswith("ganzfeld ") else part for part in parts
    )


def world_size() -> int:
    """Of all processes; 1 where torchrun was not asked."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Of this process among all, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Of this process among those on its machine, from 0: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))
