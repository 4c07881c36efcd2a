"""Texts of rankings: whether interactions or LETOR lines lie at a path, told apart by their first line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from .collection import partner_files
from .interactions import FOLDER_FILES

FEATURES = re.compile(r"\s*[-+.\deE]+\s+(qid:\S+\s+)?\d+:[-+.\d]")
LETOR_FILES = ("S1.txt", "Fold1", "train.txt")
OTHER_SUFFIXES = (".npy", ".npz", ".zip", ".gz", ".png", ".jpg", ".jpeg")


def holds_rankings(path: Path, kind: Literal["interactions", "letor"]) -> bool:
    """Whether there are rankings of a kind at a path: a text, or a folder of the files that such sets come in."""
    return _is_text(path) and (kind == "letor") == _has_features(path)


def _is_text(path: Path) -> bool:
    if path.is_dir():
        names = (*FOLDER_FILES, *LETOR_FILES)
        children = list(path.iterdir())
        return any((path / name).exists() for name in names) or (
            not any(child.is_dir() for child in children)  # folders of classes with a list beside them are pictures
            and any("test" in partner_files(file) for file in children if file.suffix not in OTHER_SUFFIXES)
        )
    return path.is_file() and path.suffix.lower() not in OTHER_SUFFIXES


def _has_features(path: Path) -> bool:
    """Whether a text, or the first of a folder, names features."""
    if path.is_dir():
        if any((path / name).exists() for name in FOLDER_FILES):
            return False
        texts = [path / name for name in ("S1.txt", "train.txt") if (path / name).is_file()]
        if (path / "Fold1").is_dir():
            return True
        if not texts:
            return False
        path = texts[0]
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return bool(FEATURES.match(next((line for line in file if line.strip() and line[0] != "#"), "")))
