"""Data: what a game is played on, with its splits, its units and, where it is known, its truth.

A data set is rows in *network units* (centred, of unit spread) and the affine map back to its own; a game never sees
another scale, and a user never sees the networks'. ``load`` turns a name or a path into one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from .digits import digits
from .mixtures import grid25, mixture1200, ring8, swissroll
from .rows import PICTURE, Data, Labels, Units, numbers, split
from .vectors import vectors

TABLE: dict[str, Callable[..., Data]] = {
    "ring8": ring8,
    "grid25": grid25,
    "swissroll": swissroll,
    "mixture1200": mixture1200,
    "digits": digits,
}


def load(name: str, seed: int = 0, valid: str | None = None, test: str | None = None) -> Data:
    """The data set of a name, or of a path to ``.npy`` or ``.npz``.

    seed: cuts the validation and test parts of data that has none of its own. valid, test: data whose rows replace
    those parts. Raises ValueError, in one line, where nothing can be loaded.
    """
    data = _load(name, seed)
    parts = {}
    for part, other in (("valid", valid), ("test", test)):
        if other is not None:
            rows = _load(other, seed).restored("train")
            if rows.shape[1:] != data.shape:
                raise ValueError(f"--{part} {other} has rows of shape {tuple(rows.shape[1:])}, not {data.shape}")
            parts[part] = data.units.strip(rows)
    return data.replaced(**parts) if parts else data


def _load(name: str, seed: int) -> Data:
    if name in TABLE:
        return TABLE[name](seed=seed)
    path = Path(name)
    if path.suffix in (".npy", ".npz"):
        return vectors(path, seed=seed)
    near = difflib.get_close_matches(name, TABLE, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if path.exists():
        raise ValueError(f"{name} is not a data set this version reads: give a .npy or .npz file")
    raise ValueError(f"no data named {name!r}{hint} There are {', '.join(TABLE)}, and .npy or .npz files")


__all__ = [
    "PICTURE", "TABLE", "Data", "Labels", "Units", "digits", "grid25", "load", "mixture1200", "numbers", "ring8",
    "split", "swissroll", "vectors",
]  # fmt: skip
