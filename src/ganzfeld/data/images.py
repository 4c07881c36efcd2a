"""Folders and zips of pictures: recursive, messy, large.

Pictures are taken in the order of their relative paths, so that equal trees are equal data. Where they lie in folders,
the first folder is their class. A file that is no picture is skipped with its reason, or stops the loading (strict).
What fits in `MEMORY` is decoded once; more is decoded when it is asked for (`Streamed`), by processes that are told
early what comes next.

The size, where none is asked for, is the largest of the sides that pictures can have which is not above 64 pixels nor
above the median of the pictures' shorter sides (at least 8). Channels: one where every picture is grey, else three.
"""

from __future__ import annotations

import hashlib
import os
import statistics
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..noise import generator
from .archive import Files, Folder, Zip
from .decode import ENDINGS, RESIZER, SIDES, Choices, Unreadable, decode, look
from .rows import PICTURE, Data, Labels

MEMORY = 2**30  # bytes of decoded pictures
USUAL = 64  # the largest side unless asked
AHEAD = 64  # pictures of one task, and batches of them that are kept
POOLED = 8_000  # files from which on a pool of processes is worth its start


def images(
    path: Path | str,
    seed: int = 0,
    *,
    size: int | None = None,
    crop: str = "centre",
    background: str = "white",
    channels: int | None = None,
    strict: bool = False,
    memory: int = MEMORY,
    workers: int | None = None,
) -> Data:
    """The pictures of a folder or zip; a tenth each for validation and test, cut by the seed.

    Raises ValueError, in one line, where there are fewer than three pictures, and in strict mode at the first file
    that is none.
    """
    path = Path(path)
    files: Files = Folder(path) if path.is_dir() else Zip(path)
    names = [name for name in files.names if Path(name).suffix.lower() in ENDINGS]
    if not names:
        raise ValueError(f"{path} holds no pictures ({', '.join(ENDINGS[:4])}, ...)")
    Choices(size or USUAL, crop, background, channels or 3)  # type: ignore[arg-type]  # refused before anything is read
    seen, skipped, digest = _survey(files, names, strict, path)
    files.close()
    kept = list(seen)
    if len(kept) < 3:
        why = f": {skipped[0][0]} {skipped[0][1]}" if skipped else ""
        raise ValueError(f"{path} holds {len(kept)} readable pictures of {len(names)}, at least 3 are needed{why}")
    short = [min(s.width, s.height) for s in seen.values()]
    chosen = Choices(
        size or usual_size(statistics.median(short)),
        crop,  # type: ignore[arg-type]
        background,
        channels or (1 if all(s.grey for s in seen.values()) else 3),
    )
    source, streams = Source(path, chosen), len(kept) * chosen.channels * chosen.size**2 > memory
    if not streams:
        rows, broken = _decoded(source, kept, strict)
        skipped += broken
        gone = {name for name, _ in broken}
        kept = [name for name in kept if name not in gone]
        if len(kept) < 3:
            raise ValueError(f"{path}: {broken[0][0]} and {len(broken) - 1} more cannot be decoded: {broken[0][1]}")
    cut = _cut(len(kept), seed)
    count = (os.cpu_count() or 1) if workers is None else workers
    train, valid, test = (
        Streamed(source, [kept[i] for i in index.tolist()], count) if streams else rows[index] for index in cut
    )
    return Data(
        path.name, train, valid, test, PICTURE, "pictures", labels=_labels(kept, cut),
        choices={**asdict(chosen), "resizer": RESIZER}, skipped=tuple(sorted([*files.skipped, *skipped])),
        digest=f"{digest} seed {seed}",
    )  # fmt: skip


def _survey(files: Files, names: Sequence[str], strict: bool, path: Path):
    """Every header, what has none, and a digest of all bytes."""
    seen, skipped, digest = {}, [], hashlib.blake2b(digest_size=16)
    for name in names:
        try:
            data = files.read(name)
            digest.update(name.encode() + b"\0" + hashlib.blake2b(data, digest_size=16).digest())
            seen[name] = look(data)
        except (Unreadable, OSError) as error:
            if strict:
                raise ValueError(f"{path}: {name} is no picture: {error}") from None
            skipped.append((name, str(error)))
    return seen, skipped, digest.hexdigest()


def usual_size(median: float) -> int:
    """The side of pictures whose shorter sides have a median."""
    return max(side for side in SIDES if side <= max(SIDES[0], min(USUAL, median)))


def _cut(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of train, validation and test rows, as `rows.split` cuts them."""
    held = max(1, round(0.1 * n))
    order = torch.randperm(n, generator=generator(seed, "split"))
    return order[2 * held :], order[:held], order[held : 2 * held]


def _labels(names: Sequence[str], cut: Sequence[Tensor]) -> Labels | None:
    """The first folder of every name; None where all pictures share it, or some have none."""
    folders = [name.split("/")[0] if "/" in name else "" for name in names]
    classes = sorted(set(folders))
    if len(classes) < 2 or "" in classes:
        return None
    code = torch.tensor([classes.index(folder) for folder in folders])
    train, valid, test = (code[index] for index in cut)
    return Labels(train, valid, test, tuple(classes))


class Source:
    """Pictures by name, decoded by the choices. Opened again in every process."""

    def __init__(self, path: Path, choices: Choices):
        self.path, self.choices = path, choices
        self.files: Files | None = None

    def __getstate__(self) -> dict:
        return {"path": self.path, "choices": self.choices, "files": None}

    def picture(self, name: str) -> np.ndarray:
        self.files = self.files or (Folder(self.path) if self.path.is_dir() else Zip(self.path))
        return decode(self.files.read(name), self.choices)

    @property
    def blank(self) -> np.ndarray:
        return np.zeros((self.choices.channels, self.choices.size, self.choices.size), np.uint8)


Outcome = tuple[np.ndarray, list[tuple[int, str]]]


def _batch(source: Source, names: Sequence[str]) -> Outcome:
    """The pictures [n, C, S, S], and the places of those that cannot be decoded, with the reason."""
    rows, broken = [], []
    for i, name in enumerate(names):
        try:
            rows.append(source.picture(name))
        except (Unreadable, OSError) as error:
            rows.append(source.blank)
            broken.append((i, str(error)))
    return np.stack(rows), broken


def _decoded(source: Source, names: list[str], strict: bool) -> tuple[Tensor, list[tuple[str, str]]]:
    """All pictures in memory, and what could not be decoded."""
    pieces = [names[i : i + 256] for i in range(0, len(names), 256)]
    if len(names) < POOLED or (os.cpu_count() or 1) == 1:
        outcomes = [_batch(source, piece) for piece in pieces]
    else:
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            outcomes = list(pool.map(_batch, [source] * len(pieces), pieces))
    broken = [(piece[i], why) for piece, (_, bad) in zip(pieces, outcomes, strict=True) for i, why in bad]
    if broken and strict:
        raise ValueError(f"{source.path}: {broken[0][0]} cannot be decoded: {broken[0][1]}")
    whole = torch.from_numpy(np.concatenate([rows for rows, _ in outcomes]))
    if broken:
        gone = {name for name, _ in broken}
        whole = whole[torch.tensor([name not in gone for name in names])]
    return whole, broken


class Streamed:
    """Rows that are decoded when they are asked for. workers: processes that decode what is announced by ``ahead``;
    with none, and for what was not announced, it is done here. The rows are the same whatever their number.

    A picture that turns out damaged raises ValueError with its name: it was whole when the set was looked through.
    """

    def __init__(self, source: Source, names: list[str], workers: int = 0):
        self.source, self.names, self.workers = source, names, workers
        self._pool: ProcessPoolExecutor | None = None
        self._coming: OrderedDict[tuple[int, ...], Future[Outcome]] = OrderedDict()

    @property
    def shape(self) -> torch.Size:
        return torch.Size([len(self.names), *self.source.blank.shape])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.index_select(0, torch.arange(len(self))[rows])

    def ahead(self, index: Tensor) -> None:
        """Rows that will be asked for soon, in just this order."""
        key = tuple(index.tolist())
        if not self.workers or key in self._coming or len(self._coming) >= AHEAD:
            return
        self._pool = self._pool or ProcessPoolExecutor(self.workers, get_context("spawn"))
        self._coming[key] = self._pool.submit(_batch, self.source, [self.names[i] for i in key])

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        key = tuple(index.tolist())
        coming = self._coming.pop(key, None)
        names = [self.names[i] for i in key]
        rows, broken = coming.result() if coming else _batch(self.source, names) if names else (self._none(), [])
        if broken:
            place, why = broken[0]
            raise ValueError(f"{self.source.path}: {names[place]} cannot be decoded: {why}")
        return torch.from_numpy(rows)

    def _none(self) -> np.ndarray:
        return np.zeros((0, *self.source.blank.shape), np.uint8)

    def close(self) -> None:
        """End the workers."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._coming.clear()
