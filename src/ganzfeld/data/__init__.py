"""Data: what a game is played on, with its splits, its units and, where it is known, its truth.

A data set of samples is rows in *network units* (centred, of unit spread; pictures in [-1, 1]) and the affine map back
to its own; a game never sees another scale, and a user never sees the networks'. One of rankings is queries with what
is relevant to them. ``load`` turns a name or a path into either, by what lies there: `READERS` says who reads what.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.names import unknown_name
from ..core.texts import check_path
from .rankings import texts
from .rankings.collection import Collection, Interactions, Letor
from .rankings.interactions import interactions
from .rankings.letor import letor
from .rankings.tastes import tastes
from .samples import idx as idxs
from .samples.arrays import arrays, holds_pictures, read_pictures
from .samples.digits import digits
from .samples.hub import hub
from .samples.idx import idx
from .samples.images import images
from .samples.mixtures import grid25, mixture1200, ring8, swissroll
from .samples.rows import PICTURE, Data, Labels, Units, numbers, split
from .samples.stacked import stacked, stacked_digits
from .samples.vectors import read_vectors, vectors

Rankings = Interactions | Letor

WORLDS: dict[str, Callable[..., Data]] = {
    "ring8": ring8,
    "grid25": grid25,
    "swissroll": swissroll,
    "mixture1200": mixture1200,
    "stacked-digits": stacked_digits,
}
TABLE: dict[str, Callable[..., Any]] = {**WORLDS, "digits": digits, "tastes": tastes}

PICTURE_CHOICES = ("size", "crop", "background", "channels", "strict")  # how pictures are read
CHOICES: dict[str, str] = {  # of any reader, and what each is for
    **dict.fromkeys(PICTURE_CHOICES, "pictures in files of their own"),
    "exclude_classes": "samples with classes",
    **dict.fromkeys(("min_rating", "columns"), "interactions of users with items"),
    **dict.fromkeys(("fold", "qrels", "missing"), "LETOR lines"),
    **dict.fromkeys(("valid", "test"), "files of your own"),
}


class Reader(NamedTuple):
    """Who reads a source. recognises: whether it is for a name; read: the data set of the name and a seed, by choices.
    splits: whether it takes ``valid`` and ``test`` among its choices, as where parts hang together, else all rows of
    those sources replace the parts."""

    recognises: Callable[[str], bool]
    read: Callable[..., Any]
    choices: tuple[str, ...] = ()
    splits: bool = False


def _at_path(read: Callable[..., Any]) -> Callable[..., Any]:
    """A reader of paths as one of names."""
    return lambda name, seed, **choices: read(Path(name), seed, **choices)


def _is_array(name: str) -> bool:
    return Path(name).suffix in (".npy", ".npz")


def _holds_files(name: str) -> bool:
    path = Path(name)
    held = path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file())
    return held and not texts.untold_texts(path)


def _idx(path: Path, seed: int, size: int | None = None, strict: bool = True) -> Data:
    return idx(path, seed, size=size)  # idx files are read strictly anyway


SAMPLES = ("exclude_classes",)
PICTURES = (*SAMPLES, *PICTURE_CHOICES)
READERS: tuple[Reader, ...] = (
    Reader(WORLDS.__contains__, lambda name, seed: WORLDS[name](seed=seed), SAMPLES),
    Reader("digits".__eq__, lambda name, seed, **choices: digits(seed, **choices), (*SAMPLES, "size")),
    Reader("tastes".__eq__, lambda name, seed: tastes(seed=seed), (), True),
    Reader(lambda name: name.startswith("hf:"), lambda name, seed, **choices: hub(name[3:], seed, **choices), PICTURES),
    Reader(lambda name: _is_array(name) and Path(name).is_file() and holds_pictures(Path(name)), _at_path(arrays),
           PICTURES),
    Reader(_is_array, _at_path(vectors), SAMPLES),
    Reader(lambda name: Path(name).is_dir() and idxs.holds_idx(Path(name)), _at_path(_idx),
           (*SAMPLES, "size", "strict")),
    Reader(lambda name: texts.holds_rankings(Path(name), "letor"), _at_path(letor),
           ("fold", "qrels", "missing", "valid", "test"), True),
    Reader(lambda name: texts.holds_rankings(Path(name), "interactions"), _at_path(interactions),
           ("min_rating", "columns", "valid", "test"), True),
    Reader(_holds_files, _at_path(images), PICTURES),
)  # fmt: skip


def load(name: str, seed: int = 0, valid: str | None = None, test: str | None = None, **choices: Any) -> Any:
    """The data set of a name; of a ``.npy`` or ``.npz``; of a folder or zip of pictures; of a folder of idx files; of
    a text of interactions or LETOR lines, compressed or not, or a folder or zip of such; or of ``hf:NAME``, a data set
    of the Hugging Face Hub.

    seed: cuts the validation and test parts of data that has none of its own. valid, test: data whose rows replace
    those parts. choices: how pictures are read: size, crop (centre, pad, stretch), background, channels, strict (see
    `images`); how rankings are: min_rating, columns, fold, qrels, missing (see `interactions`, `letor`);
    exclude_classes: classes that are left out of every part, names with commas. Raises ValueError, in one line, where
    nothing can be loaded.
    """
    for key in choices.keys() - CHOICES.keys():
        raise unknown_name("option", key, CHOICES)
    asked = {key: value for key, value in choices.items() if value is not None and value is not False}
    parts = {key: value for key, value in (("valid", valid), ("test", test)) if value is not None}
    reader = _find_reader(name)
    refused = {**asked, **(parts if reader.splits else {})}.keys() - set(reader.choices)
    for key in sorted(refused):
        raise ValueError(f"--{key.replace('_', '-')} is for {CHOICES[key]}, and {name} holds none")
    if reader.splits:
        return reader.read(name, seed, **parts, **asked)
    excluded = asked.pop("exclude_classes", None)
    data = reader.read(name, seed, **asked)
    for part, other in parts.items():
        data = _replace_part(data, part, other, load(other, seed, **_choices_like(data, other, asked)))
    return data.exclude(excluded) if excluded else data


def choices_of(name: str) -> tuple[str, ...]:
    """The choices that the reader of a name has. Raises ValueError where none reads it."""
    return _find_reader(name).choices


def _find_reader(name: str) -> Reader:
    check_path("data", name)
    for reader in READERS:
        if reader.recognises(name):
            return reader
    if Path(name).exists():
        if told := texts.untold_texts(Path(name)):
            raise ValueError(told)
        raise ValueError(f"{name} is not a data set this version reads: give a folder, .zip, .npy, .npz or a text")
    near = difflib.get_close_matches(name, TABLE, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(TABLE)}, or give the path of your own"
    raise ValueError(f"no data named {name!r}, and no such file or folder; {hint}")


def picture_size(name: str) -> int | None:
    """The size at which data that are read as vectors can be read as pictures; None for all others."""
    return 8 if name == "digits" else None


def read_samples(path: str | Path) -> Tensor:
    """The rows of a ``.npy`` or ``.npz`` as they lie there: vectors [n, d], or pictures [n, C, H, W] in [-1, 1], from
    bytes or as numbers. Raises ValueError, in one line, for anything else."""
    path = Path(path)
    if holds_pictures(path):
        return numbers(torch.from_numpy(read_pictures(path)[0].copy()))
    return torch.from_numpy(read_vectors(path))


def _choices_like(data: Data, other: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices by which other pictures become like the data's."""
    if data.kind != "pictures":
        return {}
    wanted = {**choices, "size": data.shape[-1], "channels": data.shape[0]}
    return {key: value for key, value in wanted.items() if key in _find_reader(other).choices}


def _replace_part(data: Data, part: str, name: str, other: Data) -> Data:
    """The data with all rows of another for a part, and their labels: none [0] where their classes are not its own."""
    if other.shape != data.shape:
        raise ValueError(f"--{part} {name} has rows of shape {other.shape}, not {data.shape}")
    every = other.as_test_part()
    rows = every.test if data.kind == other.kind == "pictures" else data.units.strip(every.restore("test"))
    if data.labels:
        coded = {part: _recode(data.labels, every.labels)}
        data = replace(data, labels=replace(data.labels, **coded))  # type: ignore[arg-type]
    digest = data.digest and f"{data.digest} {part} {other.fingerprint}"
    skipped = (*data.skipped, *((f"{name}/{file}", why) for file, why in other.skipped))
    remarks = (*data.remarks, *(f"{name}: {remark}" for remark in other.remarks))
    return replace(data.replace_parts(**{part: rows}), digest=digest, skipped=skipped, remarks=remarks)


def _recode(labels: Labels, other: Labels | None) -> Tensor:
    """The other's test labels in the code of these, by the names of the classes."""
    if other is None or not set(other.names) <= set(labels.names):
        return torch.empty(0, dtype=torch.long)
    return torch.tensor([labels.names.index(name) for name in other.names])[other.test]
