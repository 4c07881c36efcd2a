"""A user's own vectors, from ``.npy`` or ``.npz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .rows import Data, split, standard


def vectors(path: Path | str, seed: int = 0) -> Data:
    """Rows [n, d] of numbers; columns are standardised for the networks and restored in every sample.

    A ``.npz`` holds one array, or one named ``data`` or ``x``. The seed cuts validation and test parts, a tenth each.
    Raises ValueError, in one line, for what cannot be trained on.
    """
    path = Path(path)
    x = read(path)
    cut = split(torch.arange(len(x)), seed)
    parts = [torch.from_numpy(x)[index] for index in cut]
    units = standard(parts[0].double(), columnwise=True)
    units = type(units)(units.shift.float(), units.scale.float())
    train, valid, test = (units.strip(part) for part in parts)
    return Data(path.name, train, valid, test, units, "plane" if x.shape[1] == 2 else "vectors", order=torch.cat(cut))


def read(path: Path, pictures: bool = False) -> np.ndarray:
    """The array [n, d], or where they are welcome of pictures [n, C, H, W], as float32. Never unpickles."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with open(path, "rb") as file:  # by itself numpy leaves a damaged archive open
            held = np.load(file, allow_pickle=False)
            if isinstance(held, np.lib.npyio.NpzFile):
                held = held[_name(path, held.files)]
    except ValueError as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise ValueError(f"{path} holds Python objects, not numbers: save it with a numeric dtype") from None
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is not a readable numpy file: {_line(error)}") from None
    except Exception as error:  # zip and header errors have many types; each is a damaged file
        raise ValueError(f"{path} is not a readable numpy file: {_line(error)}") from None
    return _checked(path, held, pictures)


def _name(path: Path, files: list[str]) -> str:
    for name in ("data", "x"):
        if name in files:
            return name
    if len(files) == 1:
        return files[0]
    raise ValueError(f"{path} holds {', '.join(files) or 'nothing'}: name one of the arrays 'data' or 'x'")


def _checked(path: Path, x: np.ndarray, pictures: bool) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{path} has dtype {x.dtype}, not real numbers")
    if x.ndim != 2 and not (pictures and x.ndim == 4):
        raise ValueError(f"{path} has shape {x.shape}: give rows of vectors, shape (n, d)")
    if len(x) < 3 or x.shape[1] < 1:
        raise ValueError(f"{path} has shape {x.shape}: give at least 3 rows of at least one number")
    with np.errstate(over="ignore"):  # beyond float32 a number is infinite, and refused below
        x = x.astype(np.float32)
    if bad := int(_broken(x).sum()):
        raise ValueError(f"{path} has {bad} of {len(x)} rows with NaN or infinity, the first at row {_first(x)}")
    return x


def _first(x: np.ndarray) -> int:
    return int(np.flatnonzero(_broken(x))[0])


def _broken(x: np.ndarray) -> np.ndarray:
    """Which rows [n] hold a number that is not finite."""
    return (~np.isfinite(x)).reshape(len(x), -1).any(1)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
