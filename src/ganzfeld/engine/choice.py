"""Where and how a game is played."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Literal

import torch

from ..constraints import Orthonormal
from ..core import launch
from ..game import Game
from ..schedule import moves

CPU = torch.device("cpu")
Mode = Literal["eager", "compiled", "captured"]
COMPILE_FROM_TURNS = 60_000  # of one game, when compiling has paid for itself: each saves half a millisecond and more


def place(asked: str, game: Game) -> torch.device:
    """The device for a game. ``auto`` is a GPU, where there is one, for convolutions; other games are bound by calls,
    which it does not shorten. Of several ranks each has a GPU of its own. Raises ValueError where it cannot be had."""
    if asked == "auto":
        asked = "cuda" if convolves(game) and torch.cuda.is_available() else "cpu"
    kind, _, number = asked.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise ValueError(f"the device is auto, cpu, cuda or cuda:N, not {asked!r}")
    if kind == "cpu":
        return torch.device(kind)
    if not game.draw.regular:
        raise ValueError(f"turns of {type(game.draw).__name__} differ in shape: the processor plays them, --device cpu")
    found = torch.cuda.device_count()
    index = int(number or launch.local_rank())
    if index >= found:
        raise ValueError(f"there is no GPU {index} that PyTorch can use here (it finds {found}): --device cpu")
    return torch.device(kind, index)


def called(device: torch.device) -> str:
    """What a device is called, for the record of a run."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def choose(asked: str, game: Game, steps: int, members: int, device: torch.device = CPU) -> Mode:
    """The engine for a run. ``auto`` is a function of the run's length alone, so that equal commands give equal
    bits; where no compiler is found it falls back, and says so on standard error. On a GPU whole pieces are captured,
    whatever their number: that takes no time."""
    if asked not in ("auto", "eager", "compiled", "captured"):
        raise ValueError(f"the engine is auto, eager, compiled (on a processor) or captured (on a GPU), not {asked!r}")
    if asked == ("compiled" if device.type == "cuda" else "captured"):
        raise ValueError("games are compiled on a processor and captured on a GPU: --engine auto")
    if device.type == "cuda":
        return "captured" if asked != "eager" and capturable(game) else "eager"
    turns = steps * moves(game.schedule(steps // 2)) * members
    if not game.draw.regular:
        if asked == "compiled":
            raise ValueError(f"turns of {type(game.draw).__name__} differ in shape: they are played eagerly")
        return "eager"
    if asked == "eager" or (asked == "auto" and (turns < COMPILE_FROM_TURNS or convolves(game))):
        return "eager"
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        print("no C++ compiler found (g++): playing eagerly", file=sys.stderr)
        return "eager"
    return "compiled"


def convolves(game: Game) -> bool:
    """Whether convolutions are what a turn costs: they are as fast eagerly, and gain nothing from being mapped."""
    return any(p.dim() > 3 for m in (*game.generators.values(), game.critic) for p in m.parameters())


def capturable(game: Game) -> bool:
    """Whether a turn never waits for the processor, as decompositions of matrices do; nor for other ranks."""
    decomposes = game.objective.features or any(isinstance(c, Orthonormal) for c in game.constraints)
    return not decomposes and launch.world_size() == 1
