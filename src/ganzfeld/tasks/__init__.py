"""Tasks: what is done with each kind of data. A new kind is a file here and a line in `TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..runs.task import Keeper, Source, Task
from .generation import Generation, GeneratorRun
from .retrieval import RankerRun, Retrieval

TASKS: tuple[Task, ...] = (Generation(), Retrieval())


def task_of(kind: str) -> Task:
    """The task of a kind of data. Raises ValueError where there is none."""
    for task in TASKS:
        if kind in task.kinds:
            return task
    raise ValueError(f"no task is for data of the kind {kind!r}")


def task_of_paper(name: str) -> Task:
    """The task whose data a paper is for. Raises ValueError where none is."""
    for task in TASKS:
        if name in task.fitting_papers():
            return task
    raise ValueError(f"no task has data that {name} has numbers for")


def task_of_run(facts: Mapping[str, Any]) -> Task:
    """The task of a run, from its ``run.json``."""
    return task_of(facts["data"].get("kind", "vectors"))


__all__ = [
    "TASKS", "GeneratorRun", "Keeper", "RankerRun", "Source", "Task", "task_of", "task_of_paper",
    "task_of_run",
]  # fmt: skip
