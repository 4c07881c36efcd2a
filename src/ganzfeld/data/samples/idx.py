"""Folders of MNIST-style idx files, plain or gzipped: ``train-images-idx3-ubyte``, its labels, and the same for t10k.

The format: two zero bytes, a type (8: bytes), the number of dimensions, each dimension as a big-endian 32-bit number,
then the bytes. The t10k part is the test part; a tenth of the other, cut by the seed, is for validation. Pictures of
28 x 28 become 32 x 32 by a border of two dark pixels, as is usual; of any other size the largest centred square is
resized.
Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits, the description of its file format.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .archive import MAX_EXPANSION
from .decode import RESIZER, Choices, describe_size, resize, usual_size
from .rows import PICTURE, Data, Labels, permutation

PREFIXES = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds any of the four idx files."""
    names = (f"{prefix}-{kind}" for prefix in PREFIXES.values() for kind in KINDS)
    return any(_find_file(folder, name) for name in names)


def idx(path: Path | str, seed: int = 0, *, size: int | None = None) -> Data:
    """Grey pictures and their labels. Raises ValueError, in one line that names the file, for a wrong magic number or
    count and for a missing partner."""
    folder, digest = Path(path), hashlib.blake2b(digest_size=16)
    parts: dict[str, tuple[np.ndarray, Tensor]] = {}
    for part, prefix in PREFIXES.items():
        x = _read(folder, f"{prefix}-images-idx3-ubyte", 3, digest)
        y = _read(folder, f"{prefix}-labels-idx1-ubyte", 1, digest)
        if len(x) != len(y):
            raise ValueError(f"{folder} has {len(x)} {prefix} pictures and {len(y)} labels")
        parts[part] = x, torch.from_numpy(y.astype(np.int64))
    (pictures, labels), (tested, tested_labels) = parts["train"], parts["test"]
    if len(pictures) < 3 or len(tested) < 1:
        raise ValueError(f"{folder} has {len(pictures)} training pictures: at least 3 are needed, and one to test")
    if pictures.shape[1:] != tested.shape[1:] or 0 in pictures.shape:
        raise ValueError(f"{folder} has pictures of {pictures.shape[1:]} to train and of {tested.shape[1:]} to test")
    side = usual_size(min(pictures.shape[1:])) if size is None else size
    chosen = Choices(side, channels=1)
    how = _resizer(pictures.shape[1:], side)
    order = permutation(len(pictures), seed)
    count = max(1, len(pictures) // 10)
    valid, train = order[:count], order[count:]
    source = torch.cat([train, valid, len(pictures) + torch.arange(len(tested))])
    names = tuple(str(i) for i in range(int(torch.cat([labels, tested_labels]).max()) + 1))
    a, b, c = (_resize(x, side, how) for x in (pictures[train], pictures[valid], tested))
    return Data(
        folder.absolute().name, a, b, c, PICTURE, "pictures",
        labels=Labels(labels[train], labels[valid], tested_labels, names), order=source,
        choices={"size": side, "channels": 1, "resizer": how}, digest=f"{digest.hexdigest()} seed {seed}",
        remarks=describe_size(size, chosen, pictures.shape[1:]),
    )  # fmt: skip


def _find_file(folder: Path, name: str) -> Path | None:
    names = (name, f"{name}.gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read(folder: Path, name: str, dimensions: int, digest) -> np.ndarray:
    path = _find_file(folder, name)
    if path is None:
        raise ValueError(f"{folder} has no {name} beside its other idx files")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(4 + 4 * dimensions)
            shape = _shape(path, head, dimensions)
            size = math.prod(shape)
            if size > MAX_EXPANSION * path.stat().st_size:
                raise ValueError(f"{path} says {' x '.join(map(str, shape))} bytes, more than it can hold")
            data = file.read(size + 1)  # one more than promised: a longer file is noticed, a bomb not expanded
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if len(data) != size:
        content = f"{len(data)}{' or more' * (len(data) > size)}"
        raise ValueError(f"{path} says {' x '.join(map(str, shape))} bytes and holds {content}")
    digest.update(head + data)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _shape(path: Path, head: bytes, dimensions: int) -> list[int]:
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is no idx file of bytes with {dimensions} dimensions (magic {head[:4].hex()})")
    return [int.from_bytes(head[i : i + 4], "big") for i in range(4, len(head), 4)]


def _resizer(shape: tuple[int, ...], side: int) -> str:
    if shape == (side, side):
        return "none"
    return "a border of two dark pixels" if shape == (28, 28) and side == 32 else RESIZER


def _resize(pictures: np.ndarray, side: int, how: str) -> Tensor:
    """[n, h, w] -> [n, 1, side, side]."""
    if how.startswith("a border"):
        pictures = np.pad(pictures, ((0, 0), (2, 2), (2, 2)))
    elif how != "none":
        return torch.from_numpy(resize(pictures[:, None], Choices(side, channels=1)))
    return torch.from_numpy(np.array(pictures)).unsqueeze(1)
