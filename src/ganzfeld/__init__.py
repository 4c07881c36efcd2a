"""Ganzfeld: the whole field of generative adversarial networks as one system.

*A draw makes the two sides of a comparison, a critic scores them, an objective turns the scores into what the critic
raises and the generator side lowers, and constraints bind the critic.*

>>> import ganzfeld as gz
>>> run = gz.train("wgan-gp", data="grid25", steps=20_000, seeds=8, out="runs/grid")
>>> run.judge()
>>> gz.load("runs/grid").sample(16)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` finds, for those who read types
    from . import (
        constraints,
        data,
        divergences,
        draws,
        judging,
        laws,
        metrics,
        networks,
        objectives,
        optimizers,
        papers,
        tasks,
    )
    from .constraints import R1, R2, Ball, Clip, Constraint, Dragan, GradientPenalty, Margin, Orthonormal, Spectral
    from .core.randomness import Need
    from .draws import Draw, Generate, Hardest, Infer, Retrieve, Scene
    from .engine import Engine
    from .faces.export import restore
    from .game import Game, Schedule
    from .networks import MLP
    from .objectives import Objective
    from .runs.run import Run
    from .runs.training import Diverged, Interrupted
    from .tasks import GeneratorRun, RankerRun, Task
    from .tasks.loading import load, train

__version__ = "0.2.0"

__all__ = [
    "MLP", "R1", "R2", "Ball", "Clip", "Constraint", "Diverged", "Dragan", "Draw", "Engine", "Game", "Generate",
    "GeneratorRun", "GradientPenalty", "Hardest", "Infer", "Interrupted", "Margin", "Need", "Objective",
    "Orthonormal", "RankerRun", "Retrieve", "Run", "Scene", "Schedule", "Spectral", "Task", "constraints", "data",
    "divergences", "draws", "judging", "laws", "load", "metrics", "networks", "objectives", "optimizers", "papers",
    "restore", "tasks", "train",
]  # fmt: skip

HOMES = {
    "core.randomness": "Need",
    "constraints": "R1 R2 Ball Clip Constraint Dragan GradientPenalty Margin Orthonormal Spectral",
    "draws": "Draw Generate Hardest Infer Retrieve Scene",
    "engine": "Engine",
    "faces.export": "restore",
    "game": "Game Schedule",
    "networks": "MLP",
    "objectives": "Objective",
    "runs.run": "Run",
    "runs.training": "Diverged Interrupted",
    "tasks": "GeneratorRun RankerRun Task",
    "tasks.loading": "load train",
}
"""Where the names live that are no rooms themselves. Each is imported when it is first asked for: ``ganzfeld --help``
needs no PyTorch."""


RENAMED = {
    "Retrieval": "RankerRun",
    "Turns": "Schedule",
    "rankers": "judging.baselines.closed_form",
    "rules": "optimizers",
}


def __getattr__(name: str) -> Any:
    """A name's first use (PEP 562). Raises AttributeError for one that is not handed on here."""
    if name in RENAMED:
        raise AttributeError(f"{__name__}.{name} is now {__name__}.{RENAMED[name]}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in HOMES.items() if name in names.split()), name)
    module = importlib.import_module(f".{home}", __name__)
    value = module if home == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
