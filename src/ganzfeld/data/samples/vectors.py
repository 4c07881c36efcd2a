"""A user's own vectors, from ``.npy`` or ``.npz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ...core.texts import first_line
from .rows import Data, split, standard_units


def vectors(path: Path | str, seed: int = 0) -> Data:
    """Rows [n, d] of numbers; columns are standardised for the networks and restored in every sample.

    A ``.npz`` holds one array, or one named ``data`` or ``x``. The seed cuts validation and test parts, a tenth each.
    Raises ValueError, in one line, for what cannot be trained on.
    """
    path = Path(path)
    x = read_vectors(path)
    cut = split(torch.arange(len(x)), seed)
    parts = [torch.from_numpy(x)[index] for index in cut]
    units = standard_units(parts[0].double(), columnwise=True)
    units = type(units)(units.shift.float(), units.scale.float())
    train, valid, test = (units.strip(part) for part in parts)
    return Data(path.name, train, valid, test, units, "plane" if x.shape[1] == 2 else "vectors", order=torch.cat(cut))


def read_vectors(path: Path, pictures: bool = False) -> np.ndarray:
    """The array [n, d], or where they are welcome of pictures [n, C, H, W], as float32. Never unpickles."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with open(path, "rb") as file:  # by itself numpy leaves a damaged archive open
            array = np.load(file, allow_pickle=False)
            if isinstance(array, np.lib.npyio.NpzFile):
                array = array[_array_name(path, array.files)]
    except ValueError as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise ValueError(f"{path} holds Python objects, not numbers: save it with a numeric dtype") from None
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is not a readable numpy file: {first_line(error)}") from None
    except Exception as error:  # zip and header errors have many types; each is a damaged file
        raise ValueError(f"{path} is not a readable numpy file: {first_line(error)}") from None
    return _check(path, array, pictures)


def _array_name(path: Path, files: list[str]) -> str:
    for name in ("data", "x"):
        if name in files:
            return name
    if len(files) == 1:
        return files[0]
    raise ValueError(f"{path} holds {', '.join(files) or 'nothing'}: name one of the arrays 'data' or 'x'")


def _check(path: Path, x: np.ndarray, pictures: bool) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{path} has dtype {x.dtype}, not real numbers")
    if x.ndim != 2 and not (pictures and x.ndim == 4):
        raise ValueError(f"{path} has shape {x.shape}: give rows of vectors, shape (n, d)")
    if len(x) < 3 or x.shape[1] < 1:
        raise ValueError(f"{path} has shape {x.shape}: give at least 3 rows of at least one number")
    with np.errstate(over="ignore"):  # beyond float32 a number is infinite, and refused below
        x = x.astype(np.float32)
    broken = (~np.isfinite(x)).reshape(len(x), -1).any(1)
    if broken.any():
        count, first = int(broken.sum()), int(broken.argmax())
        raise ValueError(f"{path} has {count} of {len(x)} rows with NaN or infinity, the first at row {first}")
    return x
