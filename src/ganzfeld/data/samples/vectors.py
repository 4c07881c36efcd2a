"""A user's own vectors, from ``.npy`` or ``.npz``.

Rows are held as float32 where that keeps the digits of every column, else as float64: they are standardised as they
are, and only then narrowed for the networks. Samples come back as the rows were held.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ...core.texts import first_line
from .archive import check_archive
from .rows import Data, Units, split, standard_units

DIGITS = 2**-12  # of a column's spread: by how much its numbers may be moved where fewer digits are kept
LARGEST = 1e150  # a number whose square is one, too


def vectors(path: Path | str, seed: int = 0) -> Data:
    """Rows [n, d] of numbers; columns are standardised for the networks and restored in every sample.

    A ``.npz`` holds one array, or one named ``data`` or ``x``. The seed cuts validation and test parts, a tenth each.
    Raises ValueError, in one line, for what cannot be trained on.
    """
    path = Path(path)
    x = torch.from_numpy(read_vectors(path))
    cut = split(torch.arange(len(x)), seed)
    parts = [x[index] for index in cut]
    exact = standard_units(parts[0].double(), columnwise=True)
    units = Units(exact.shift.to(x.dtype), exact.scale.to(x.dtype))
    train, valid, test = (units.strip(part) for part in parts)
    remarks = ("float32 would not keep the digits of its columns: samples are float64",) * (x.dtype == torch.float64)
    kind = "plane" if x.shape[1] == 2 else "vectors"
    return Data(path.name, train, valid, test, units, kind, order=torch.cat(cut), remarks=remarks)  # type: ignore[arg-type]


def read_vectors(path: Path) -> np.ndarray:
    """The array [n, d] as float32, or as float64 where a column's digits need it. Never unpickles. Raises ValueError,
    in one line, for what are no real and finite numbers."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with open_numpy(path) as content:
            array = content if isinstance(content, np.ndarray) else content[_array_name(path, content.files)]
    except ValueError as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise ValueError(f"{path} holds Python objects, not numbers: save it with a numeric dtype") from None
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is not a readable numpy file: {first_line(error)}") from None
    except Exception as error:  # zip and header errors have many types; each is a damaged file
        raise ValueError(f"{path} is not a readable numpy file: {first_line(error)}") from None
    return _check(path, array)


@contextlib.contextmanager
def open_numpy(path: Path) -> Iterator[np.ndarray | np.lib.npyio.NpzFile]:
    """What a numpy file holds: an array, or an archive of such that is closed at the end. Raises ValueError for an
    archive that expands beyond reason; numpy's own errors for one that is damaged."""
    with open(path, "rb") as file:  # by itself numpy leaves a damaged archive open
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with zipfile.ZipFile(path) as archive:
                check_archive(path, archive.infolist())
        yield content


def _array_name(path: Path, files: list[str]) -> str:
    for name in ("data", "x"):
        if name in files:
            return name
    if len(files) == 1:
        return files[0]
    raise ValueError(f"{path} holds {', '.join(files) or 'nothing'}: name one of the arrays 'data' or 'x'")


def _check(path: Path, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{path} has dtype {x.dtype}, not real numbers")
    if x.ndim != 2:
        pictures = "; pictures (n, C, H, W) are bytes, or floats in [-1, 1]" if x.ndim == 4 else ""
        raise ValueError(f"{path} has shape {x.shape}: give rows of vectors, shape (n, d){pictures}")
    if len(x) < 3 or x.shape[1] < 1:
        raise ValueError(f"{path} has shape {x.shape}: give at least 3 rows of at least one number")
    check_finite(path, x)
    if np.can_cast(x.dtype, np.float32):
        return x.astype(np.float32)
    narrow = [_fits(f"column {i} of {path}", x[:, i]) for i in range(x.shape[1])]
    return x.astype(np.float32 if all(narrow) else np.float64)


def check_finite(path: Path, x: np.ndarray) -> None:
    """Raises ValueError for rows [n, ...] with NaN or infinity."""
    broken = (~np.isfinite(x)).reshape(len(x), -1).any(1)
    if broken.any():
        count, first = int(broken.sum()), int(broken.argmax())
        raise ValueError(f"{path} has {count} of {len(x)} rows with NaN or infinity, the first at row {first}")


def _fits(name: str, column: np.ndarray) -> bool:
    """Whether float32 keeps the digits of a column [n]; ValueError by its name where float64 does not."""
    wide = column.astype(np.float64)
    if np.abs(wide).max() > LARGEST:
        raise ValueError(f"{name} has numbers beyond {LARGEST:g}: rescale it")
    steps = (column.astype(np.longdouble) - column[0].astype(np.longdouble)).astype(np.float64)
    spread = steps.std()
    if not steps.any():
        return bool(np.isfinite(wide.astype(np.float32)).all())
    if spread < 1 / LARGEST:
        raise ValueError(f"{name} is spread by less than {1 / LARGEST:g}: rescale it")
    lost = np.abs((column.astype(np.longdouble) - wide.astype(np.longdouble)).astype(np.float64)).max()
    if lost > DIGITS * spread:
        raise ValueError(f"{name} is of numbers so large that float64 does not keep their digits: subtract an offset")
    with np.errstate(over="ignore"):
        return bool(np.abs(wide.astype(np.float32) - wide).max() <= DIGITS * spread)
