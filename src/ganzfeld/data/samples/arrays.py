"""Pictures in a numpy file: bytes [n, H, W], [n, H, W, C] or [n, C, H, W] with one or three channels, or floats of four
dimensions, as samples are written: numbers in [-1, 1], read in 256 shades. Where none is negative they are in [0, 1].

A ``.npz`` may hold labels beside them, whole numbers or words [n] named ``labels`` or ``y``.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from .decode import RESIZER, describe_size, resize, settle_choices
from .rows import PICTURE, Data, Labels, split
from .vectors import check_finite, open_numpy

PICTURE_KEYS = ("images", "data", "x")
LABEL_KEYS = ("labels", "y")
MAX_OVERSHOOT = 2.0  # numbers farther out are of another scale, as 0 to 255


def holds_pictures(path: Path) -> bool:
    """Whether the file holds bytes of three or four dimensions or floats of four. A file that cannot be read is no
    picture's business."""
    try:
        return _read(path)[0] is not None
    except Exception:  # what is wrong with it is said by who reads it
        return False


def arrays(
    path: Path | str,
    seed: int = 0,
    *,
    size: int | None = None,
    crop: str = "centre",
    background: str = "white",
    channels: int | None = None,
    strict: bool = False,
) -> Data:
    """The pictures of a numpy file, which are all of one size; strict changes nothing.

    Raises ValueError, in one line, for other numbers of channels or rows.
    """
    path = Path(path)
    x, y = read_pictures(path)
    if len(x) < 3 or 0 in x.shape:
        raise ValueError(f"{path} has shape {x.shape}: give at least 3 pictures")
    x, remarks = (x, ()) if x.dtype == np.uint8 else _to_shades(path, x)
    sides = x.shape[2:]
    chosen = settle_choices(size, crop, background, channels, min(sides), x.shape[1] == 1)
    rows = torch.from_numpy(resize(x, chosen))
    digest = hashlib.blake2b(repr(x.shape).encode() + x.tobytes(), digest_size=16)
    digest.update(b"" if y is None else y.tobytes())
    order = torch.cat(split(torch.arange(len(rows)), seed))
    return Data(
        path.name, *split(rows, seed), PICTURE, "pictures", labels=_labels(path, y, len(x), seed), order=order,
        choices={**asdict(chosen), "resizer": RESIZER}, digest=f"{digest.hexdigest()} seed {seed}",
        remarks=(*remarks, *describe_size(size, chosen, sides)),
    )  # fmt: skip


def read_pictures(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The pictures [n, C, H, W] of a file, as bytes or float32, and its labels. Raises ValueError for other channels,
    and for numbers that are not finite."""
    x, y = _read(path)
    assert x is not None
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.shape[1] not in (1, 3):
        raise ValueError(f"{path} has shape {x.shape}: pictures have one or three channels, first or last")
    if x.dtype != np.uint8:
        check_finite(path, x)
        x = x.astype(np.float32)
    return x, y


def _to_shades(path: Path, x: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pictures [n, C, H, W] of floats as bytes, and what is to be said of it. Numbers a little beyond [-1, 1], as a
    generator without tanh makes them, are cut. Raises ValueError for others."""
    low, high = float(x.min()), float(x.max())
    if max(-low, high) > MAX_OVERSHOOT:
        raise ValueError(
            f"{path} has pictures of numbers from {low:.4g} to {high:.4g}: scale them to [-1, 1], or save bytes (uint8)"
        )
    if low >= 0 and high <= 1:
        return (x * 255).round().astype(np.uint8), ("no number is negative: pictures are read in [0, 1], 0 is black",)
    beyond = float((np.abs(x) > 1).mean())
    remark = (f"{beyond:.2%} of the pictures' numbers lie beyond [-1, 1] and are cut",) if beyond else ()
    return ((x.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8), remark


def _read(path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(pictures, labels) of a file; None for what it does not hold."""
    with open_numpy(path) as content:
        if isinstance(content, np.ndarray):
            return _only_pictures(content), None
        names = [n for n in (*PICTURE_KEYS, *content.files) if n in content.files and n not in LABEL_KEYS]
        x = _only_pictures(content[names[0]]) if names else None
        labels = next((content[n] for n in LABEL_KEYS if n in content.files), None)
    return x, labels


def _only_pictures(x: np.ndarray) -> np.ndarray | None:
    return x if (x.dtype == np.uint8 and x.ndim in (3, 4)) or (x.dtype.kind == "f" and x.ndim == 4) else None


def _labels(path: Path, y: np.ndarray | None, n: int, seed: int) -> Labels | None:
    if y is None:
        return None
    if y.shape != (n,) or y.dtype.kind not in "iubU":
        raise ValueError(f"{path} has labels of shape {y.shape} and type {y.dtype}, not {n} whole numbers or words")
    values, code = np.unique(y, return_inverse=True)
    return Labels(*split(torch.from_numpy(code.astype(np.int64)), seed), names=tuple(map(str, values)))
