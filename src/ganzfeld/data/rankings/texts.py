"""Texts: rankings by what lies at a path, interactions or LETOR, told apart by their first line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .collection import Interactions, Letor, partners
from .interactions import FOLDER, interactions
from .letor import letor

FEATURES = re.compile(r"\s*[-+.\deE]+\s+(qid:\S+\s+)?\d+:[-+.\d]")
SLICES = ("S1.txt", "Fold1", "train.txt")
NOT_TEXT = (".npy", ".npz", ".zip", ".gz", ".png", ".jpg", ".jpeg")
CHOICES: dict[str, tuple[str, ...]] = {"interactions": ("min_rating",), "letor": ("fold", "qrels")}


def found(path: Path) -> bool:
    """Whether there are rankings at a path: a text, or a folder of the files that such sets come in."""
    if path.is_dir():
        names = (*FOLDER, *SLICES)
        held = list(path.iterdir())
        return any((path / name).exists() for name in names) or (
            not any(child.is_dir() for child in held)  # folders of classes with a list beside them are pictures
            and any("test" in partners(file) for file in held if file.suffix not in NOT_TEXT)
        )
    return path.is_file() and path.suffix.lower() not in NOT_TEXT


def rankings(path: Path, seed: int, **asked: Any) -> Interactions | Letor:
    """The rankings at a path; asked: test, valid, and what the reader of their kind has besides. Raises ValueError, in
    one line, for what cannot be read and for a choice of the other kind."""
    kind = "letor" if _features(path) else "interactions"
    given = {key: value for key, value in asked.items() if value is not None}
    for key in given:
        if key not in ("test", "valid", *CHOICES[kind]):
            raise ValueError(f"--{key} is not for {kind}, which {path} holds")
    return letor(path, seed, **given) if kind == "letor" else interactions(path, seed, **given)


def _features(path: Path) -> bool:
    """Whether a text, or the first of a folder, names features."""
    if path.is_dir():
        if any((path / name).exists() for name in FOLDER):
            return False
        held = [path / name for name in ("S1.txt", "train.txt") if (path / name).is_file()]
        if (path / "Fold1").is_dir():
            return True
        if not held:
            return False
        path = held[0]
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return bool(FEATURES.match(next((line for line in file if line.strip() and line[0] != "#"), "")))
