"""Data: what a game is played on, with its splits, its units and, where it is known, its truth.

A data set is rows in *network units* (centred, of unit spread; pictures in [-1, 1]) and the affine map back to its own;
a game never sees another scale, and a user never sees the networks'. ``load`` turns a name or a path into one, by what
lies there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .rankings import texts
from .rankings.collection import Collection, Interactions, Letor
from .rankings.interactions import interactions
from .rankings.letor import letor
from .rankings.tastes import tastes
from .samples import idx as idxs
from .samples.arrays import arrays, holds_pictures, whole
from .samples.digits import digits
from .samples.hub import hub
from .samples.idx import idx
from .samples.images import images
from .samples.mixtures import grid25, mixture1200, ring8, swissroll
from .samples.rows import PICTURE, Data, Labels, Units, numbers, split
from .samples.stacked import stacked, stacked_digits
from .samples.vectors import read, vectors

Rankings = Interactions | Letor

TABLE: dict[str, Callable[..., Data]] = {
    "ring8": ring8,
    "grid25": grid25,
    "swissroll": swissroll,
    "mixture1200": mixture1200,
    "digits": digits,
    "stacked-digits": stacked_digits,
}


RANKINGS: dict[str, Callable[..., Interactions]] = {"tastes": tastes}
CHOICES = ("size", "crop", "background", "channels", "strict")  # how pictures are read
READING = tuple(name for names in texts.CHOICES.values() for name in names)  # how rankings are read


def load(
    name: str, seed: int = 0, valid: str | None = None, test: str | None = None, **choices: Any
) -> Data | Rankings:
    """The data set of a name; of a ``.npy`` or ``.npz``; of a folder or zip of pictures; of a folder of idx files; of
    a text of interactions or LETOR lines, or a folder of such; or of ``hf:NAME``, a data set of the Hugging Face Hub.

    seed: cuts the validation and test parts of data that has none of its own. valid, test: data whose rows replace
    those parts. choices: how pictures are read: size, crop (centre, pad, stretch), background, channels, strict (see
    `images`); how rankings are: least, fold, qrels (see `interactions`, `letor`). Raises ValueError, in one line, where
    nothing can be loaded.
    """
    for key in choices.keys() - {*CHOICES, *READING}:
        near = difflib.get_close_matches(key, (*CHOICES, *READING), 1)
        raise ValueError(f"unknown option {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    ranked = {key: choices.pop(key) for key in READING if choices.get(key) is not None}
    if name in RANKINGS or _ranked(name):
        _none(choices, name)
        if name in RANKINGS:
            if given := [key for key, value in {**ranked, "valid": valid, "test": test}.items() if value is not None]:
                raise ValueError(f"--{given[0]} is for files of your own: {name} has its own parts and no choices")
            return RANKINGS[name](seed=seed)
        return texts.rankings(Path(name), seed, valid=valid, test=test, **ranked)
    if ranked:
        raise ValueError(f"--{next(iter(ranked))} is for interactions or LETOR lines, and {name} holds neither")
    data = _load(name, seed, dict(choices))
    for part, other in (("valid", valid), ("test", test)):
        if other is not None:
            data = _replaced(data, part, other, _load(other, seed, _alike(data, other, choices)))
    return data


def _ranked(name: str) -> bool:
    path = Path(name)
    return (
        name not in TABLE
        and not name.startswith("hf:")
        and not (path.is_dir() and idxs.found(path))
        and texts.found(path)
    )


def samples(path: str | Path) -> Tensor:
    """The rows of a ``.npy`` or ``.npz`` as they lie there: vectors [n, d], or pictures [n, C, H, W] in [-1, 1], from
    bytes or as numbers. Raises ValueError, in one line, for anything else."""
    path = Path(path)
    if holds_pictures(path):
        return numbers(torch.from_numpy(whole(path)[0].copy()))
    return torch.from_numpy(read(path, pictures=True))


def _alike(data: Data, other: str, choices: dict[str, Any]) -> dict[str, Any]:
    """The choices by which other pictures become like the data's."""
    if other in TABLE or data.kind != "pictures":
        return {}
    size = {"size": data.shape[-1]}
    return size if idxs.found(Path(other)) else {**choices, **size, "channels": data.shape[0]}


def _replaced(data: Data, part: str, name: str, other: Data) -> Data:
    """The data with all rows of another for a part, and their labels: none [0] where their classes are not its own."""
    if other.shape != data.shape:
        raise ValueError(f"--{part} {name} has rows of shape {other.shape}, not {data.shape}")
    every = other.whole()
    rows = every.test if data.kind == other.kind == "pictures" else data.units.strip(every.restored("test"))
    if data.labels:
        coded = {part: _coded(data.labels, every.labels)}
        data = replace(data, labels=replace(data.labels, **coded))  # type: ignore[arg-type]
    digest = data.digest and f"{data.digest} {part} {other.fingerprint}"
    return replace(data.replaced(**{part: rows}), digest=digest)


def _coded(labels: Labels, other: Labels | None) -> Tensor:
    """The other's test labels in the code of these, by the names of the classes."""
    if other is None or not set(other.names) <= set(labels.names):
        return torch.empty(0, dtype=torch.long)
    return torch.tensor([labels.names.index(name) for name in other.names])[other.test]


def _load(name: str, seed: int, choices: dict[str, Any]) -> Data:
    if name in TABLE:
        _none(choices, name)
        return TABLE[name](seed=seed)
    if name.startswith("hf:"):
        return hub(name[3:], seed, **choices)
    path = Path(name)
    if path.suffix in (".npy", ".npz"):
        if path.is_file() and holds_pictures(path):
            return arrays(path, seed, **choices)
        _none(choices, name)
        return vectors(path, seed=seed)
    if path.is_dir() and idxs.found(path):
        size = choices.pop("size", None)
        _none({**choices, "strict": None}, name)  # idx files are read strictly anyway
        return idx(path, seed, size=size)
    if path.is_dir() or path.suffix.lower() == ".zip" and path.is_file():
        return images(path, seed, **choices)
    near = difflib.get_close_matches(name, (*TABLE, *RANKINGS), 1)
    hint = f"; did you mean {near[0]}?" if near else "."
    if path.exists():
        raise ValueError(f"{name} is not a data set this version reads: give a folder, .zip, .npy or .npz")
    raise ValueError(f"no data named {name!r}{hint} There are {', '.join((*TABLE, *RANKINGS))}, and files and folders")


def _none(choices: dict[str, Any], name: str) -> None:
    """Refuse choices that have nothing to choose."""
    if given := [key for key, value in choices.items() if value is not None and value is not False]:
        raise ValueError(f"--{given[0]} is for pictures in files of their own; {name} has none")


__all__ = [
    "PICTURE", "RANKINGS", "TABLE", "Collection", "Data", "Interactions", "Labels", "Letor", "Rankings", "Units",
    "arrays", "digits", "grid25", "hub", "idx", "images", "interactions", "letor", "load", "mixture1200", "numbers",
    "ring8", "samples", "split", "stacked", "stacked_digits", "swissroll", "tastes", "vectors",
]  # fmt: skip
