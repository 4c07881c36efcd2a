"""What ``run.json`` must say for a run to be opened, whatever the version that wrote it. It may say more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from ..core.records import check
from . import files

LARGEST_SIDE = 2**31  # of the shape that a game is played on

# what is needed and what may be missing are two classes each: ``Required`` is not read in annotations that are text


class NeededDataFacts(TypedDict):
    name: str
    shape: list[int]
    fingerprint: str


class DataFacts(NeededDataFacts, total=False):
    """Of every kind of data."""

    kind: str
    form: str | None
    choices: Mapping[str, Any]


class NeededFacts(TypedDict):
    """Of every run."""

    format: int
    paper: str | None
    data: DataFacts
    seed: int
    seeds: int
    plan: Mapping[str, Any]
    identity: str


LegFacts = TypedDict(
    "LegFacts",
    {"from": int, "steps": int, "lr_schedule_steps": int, "engine": str, "device": str, "ranks": int,
     "torch": str | None},
)  # fmt: skip


class RunFacts(NeededFacts, total=False):
    """And what not every version says."""

    steps: int
    batch_size: int
    game: Mapping[str, Any]
    settings: Mapping[str, Any]
    citation: str
    formerly: list[str]
    legs: list[LegFacts]
    engine: str
    device: str
    ranks: int
    versions: Mapping[str, str]
    command: str


def is_run(directory: Path) -> bool:
    """Whether a directory says that it holds a run."""
    return os.path.lexists(directory / "run.json")


def read_facts(directory: Path) -> dict[str, Any]:
    """Of a run. Raises ValueError, in one line, where there is none or its description cannot be one."""
    path = directory / "run.json"
    facts = files.read_json(path)
    check_facts(path, facts, RunFacts)
    if facts["format"] > files.FORMAT:
        raise ValueError(f"{path} is in format {facts['format']}, and this version reads up to {files.FORMAT}: upgrade")
    shape = facts["data"]["shape"]
    if not shape or not all(0 < side <= LARGEST_SIDE for side in shape):
        raise ValueError(f"{path} is not a description of a run: data.shape is {shape}")
    return facts


def check_facts(path: Path, facts: Mapping[str, Any], expected: Any) -> None:
    """Raises ValueError, naming the file, where facts are not what is expected of them."""
    try:
        check(facts, expected, "")
    except ValueError as error:
        raise ValueError(f"{path} is not a description of a run: {str(error).removeprefix('.')}") from None
