"""Texts of rankings: whether interactions or LETOR lines lie at a path, told apart by their first line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from ..samples.decode import ENDINGS
from .files import TextPath, children, find_text, locate, partner_files, plain_name, read_start
from .interactions import FOLDER_FILES

FEATURES = re.compile(r"\s*[-+.\deE]+\s+(qid:\S+\s+)?\d+:([-+.\d]|nan|null)", re.IGNORECASE)
LETOR_FILES = ("S1.txt", "train.txt")
LETOR_FOLDER = "Fold1"
OTHER_SUFFIXES = (".npy", ".npz", ".zip", ".tar", ".gz", ".tgz", *ENDINGS)


def holds_rankings(path: Path, kind: Literal["interactions", "letor"]) -> bool:
    """Whether there are rankings of a kind at a path: a text, or a folder or zip of the files that such sets come in;
    a zip that cannot be read holds none."""
    try:
        place = locate(path)
        return _is_text(place) and (kind == "letor") == _has_features(place)
    except (ValueError, OSError):
        return False


def untold_texts(path: Path) -> str:
    """Of a folder or zip that holds texts alone, none of which is meant by its name: what is wanted; else empty."""
    try:
        place = locate(path)
        held = [file for file in children(place) if not file.name.startswith((".", "__"))] if place.is_dir() else []
        texts = [file.name for file in held if file.is_file() and _starts_as_rankings(file)]
    except (ValueError, OSError):
        return ""
    if not texts or len(texts) < len(held):
        return ""
    if len(texts) == 1:
        return f"{path} holds one text, {texts[0]}, of no usual name: give that file"
    some = ", ".join(texts[:3]) + ", ..." * (len(texts) > 3)
    return (
        f"{path} holds {len(texts)} texts ({some}): one is wanted, or one with its test, as x-train.txt with x-test.txt"
    )


def _starts_as_rankings(path: TextPath) -> bool:
    """Whether the first line of a text may be one of interactions or LETOR lines."""
    if Path(plain_name(path)).suffix.lower() not in ("", ".txt", ".tsv", ".csv", ".dat", ".data", ".inter"):
        return False
    first = next((line for line in read_start(path) if line.strip()), "")
    return bool(FEATURES.match(first)) or len(re.split("::|[\t,;|]| +", first.strip())) > 1


def _is_text(path: TextPath) -> bool:
    if path.is_dir():
        if any(find_text(path, name) for name in (*FOLDER_FILES, *LETOR_FILES)) or (path / LETOR_FOLDER).is_dir():
            return True
        held = children(path)  # folders of classes with a list beside them are pictures
        parted = ("test" in partner_files(file) for file in held if _may_be_text(file))
        return not any(child.is_dir() for child in held) and any(parted)
    return path.is_file() and _may_be_text(path)


def _may_be_text(path: TextPath) -> bool:
    return Path(plain_name(path)).suffix.lower() not in OTHER_SUFFIXES


def _has_features(path: TextPath) -> bool:
    """Whether a text, or the first of a folder, names features."""
    if path.is_dir():
        if any(find_text(path, name) for name in FOLDER_FILES):
            return False
        if (path / LETOR_FOLDER).is_dir():
            return True
        texts = [file for name in LETOR_FILES if (file := find_text(path, name))]
        if not texts:
            return False
        path = texts[0]
    lines = (line for line in read_start(path) if line.strip() and line[0] != "#")
    return bool(FEATURES.match(next(lines, "")))
