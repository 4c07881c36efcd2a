"""What torchrun says to a process that it started: how many play together, and which of them this is."""

from __future__ import annotations

import os


def world_size() -> int:
    """Of all processes; 1 where torchrun was not asked."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Of this process among all, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Of this process among those on its machine, from 0: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))
