"""The run in a directory, and what it has to be able to do for a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..tasks.loading import load


def open_run(path: Path, ability: str = "judge") -> Any:
    """The run in a directory that can do what is asked of it. Raises ValueError, in one line, where there is none, and
    where it cannot, with what it can do."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a run directory" if path.exists() else f"{path}: no such run")
    run = load(path)
    if ability not in run.abilities:
        raise ValueError(f"{path} holds a run of {run.name}, which cannot {ability}; it can {', '.join(run.abilities)}")
    return run


def open_encoder(path: Path, member: int) -> Any:
    """The run in a directory, if it encodes: else ValueError, before any data are read."""
    run = open_run(path, "sample")
    run.encoder(member)
    return run
