"""Folders and zips of pictures: recursive, messy, large.

Pictures are taken in the order of their relative paths, so that equal trees are equal data: the fingerprint is of all
bytes in that order, the classes and the choices, not of what a file is called. Where pictures lie in folders, the first
folder in which their paths differ is their class. A file that is no picture is skipped with its reason, or stops the
loading (strict).

Every picture is decoded once at the start, by threads (a decoder works outside of Python's lock), so that what is
broken is known before a game begins. What fits in `MEMORY_BYTES` is kept; more is decoded again when it is asked for
(`Streamed`). The rows are the same either way.

The size, where none is asked for, is the one nearest to the median of the pictures' shorter sides, at most 64 pixels.
Channels: one where every picture is grey, else three.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.texts import printable
from .archive import Files, Folder, Zip
from .decode import ENDINGS, RESIZER, Choices, Header, Unreadable, decode, describe_size, read_header, settle_choices
from .rows import PARTS, PICTURE, Data, Labels, Lazy, Part, permutation, split

MEMORY_BYTES = 2**30  # bytes of decoded pictures
PIECE = 16  # pictures a thread decodes at a time
MAX_ANNOUNCED = 64  # announcements that are kept

Classes = tuple[list[int], tuple[str, ...]] | None  # the class of every picture, and what the classes are called


def images(
    path: Path | str,
    seed: int = 0,
    *,
    size: int | None = None,
    crop: str = "centre",
    background: str = "white",
    channels: int | None = None,
    strict: bool = False,
    memory: int = MEMORY_BYTES,
    workers: int | None = None,
) -> Data:
    """The pictures of a folder or zip; a tenth each for validation and test, cut by the seed.

    memory: bytes of decoded pictures above which they are streamed. workers: threads that decode, one a core unless
    given; with 0 it is done where they are asked for. Raises ValueError, in one line, where there are fewer than three
    pictures, and in strict mode at the first file that is none.
    """
    path = Path(path)
    choose = partial(settle_choices, size, crop, background, channels)
    choose()  # refused before anything is read
    files: Files = Folder(path) if path.is_dir() else Zip(path)
    if not files.names:
        runs = f"; {len(files.runs)} run directories in it are no data" if files.runs else ""
        raise ValueError(f"{path} holds no pictures ({', '.join(ENDINGS[:4])}, ...){_count(files.skipped)}{runs}")
    return gather(
        path.absolute().name, str(path), files, folder_classes, choose, seed, asked=size, strict=strict, memory=memory,
        workers=workers,
    )  # fmt: skip


def gather(
    name: str,
    where: str,
    files: Files,
    classes: Callable[[Sequence[str]], Classes],
    choose: Callable[[float, bool], Choices],
    seed: int,
    *,
    asked: int | None = None,
    held_out: Mapping[str, Part] = MappingProxyType({}),
    strict: bool = False,
    memory: int = MEMORY_BYTES,
    workers: int | None = None,
) -> Data:
    """Pictures of any source of files. where: what errors call it. classes: of the names of the pictures that are kept,
    -1 where a held-out one's is not known. choose: by the median shorter side, and whether all pictures are grey;
    asked: the side that was asked for. held_out: the part of every name that the source itself holds out."""
    workers = (os.cpu_count() or 1) if workers is None else workers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata: a picture that can be decoded is good enough
        seen, skipped, digest = _survey(files, strict, where)
        choices = None
        while choices != (choices := _settle(seen, choose, where, skipped)):  # what is broken decides nothing
            source = Source(where, files, choices)
            streams = len(seen) * source.blank.nbytes > memory
            rows, broken = _decode(source, list(seen), workers, strict, keep=not streams)
            skipped += broken.items()
            seen = {name: header for name, header in seen.items() if name not in broken}
    kept = list(seen)
    parts = [held_out.get(name, "train") for name in kept]
    named, cut = classes(kept), _cut_parts(where, parts, set(held_out.values()), seed)
    digest.update(repr(named).encode())
    if held_out:  # equal pictures that are cut elsewhere are other data
        digest.update(repr(parts).encode())
    if not streams:
        files.close()
    train, valid, test = (
        Streamed(source, [kept[i] for i in index.tolist()], workers) if streams else rows[index] for index in cut
    )
    return Data(
        name, train, valid, test, PICTURE, "pictures", choices={**asdict(source.choices), "resizer": RESIZER},
        labels=_labels(named, cut), order=torch.cat(cut), files=tuple(map(printable, kept)),
        skipped=tuple(sorted((printable(name), why) for name, why in skipped)),
        digest=f"{digest.hexdigest()} seed {seed}",
        remarks=(*_describe_names(files, kept), *describe_size(asked, source.choices, _median_sides(seen))),
    )  # fmt: skip


def _describe_names(files: Files, kept: Sequence[str]) -> Iterator[str]:
    for run in files.runs:
        yield f"{printable(run.rstrip('/'))} is a run directory, and is not read as data"
    if strange := [name for name in kept if printable(name) != name]:
        yield f"{len(strange)} names are not UTF-8 and are written by their bytes, the first: {printable(strange[0])}"


def _median_sides(seen: Mapping[str, Header]) -> tuple[float, float]:
    """Height and width."""
    return statistics.median(h.height for h in seen.values()), statistics.median(h.width for h in seen.values())


def _cut_parts(where: str, parts: Sequence[Part], own: set[Part], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where train, validation and test lie: a part of the source's own is all of it, one that it lacks is a tenth of
    the pictures to train on. All are in an order of the seed: sources sort by class, and a part's first rows are often
    all of it that is looked at."""
    at = {part: torch.tensor([i for i, p in enumerate(parts) if p == part], dtype=torch.long) for part in PARTS}
    cut = dict(zip(PARTS, split(at["train"], seed), strict=True))
    for part in sorted(own):
        if not len(at[part]):
            raise ValueError(f"{where}: none of the pictures that it holds out for {part} can be read")
        cut["train"] = torch.cat([cut["train"], cut[part]])
        cut[part] = at[part][permutation(len(at[part]), seed)]
    return cut["train"], cut["valid"], cut["test"]


def _survey(files: Files, strict: bool, where: str):
    """Every header, what has none, and a digest of all bytes."""
    seen, skipped, digest = {}, list(files.skipped), hashlib.blake2b(digest_size=16)
    if strict and skipped:
        raise ValueError(f"{where}: {printable(skipped[0][0])} is no picture: {skipped[0][1]}")
    for name in files.names:
        try:
            data = files.read(name)
            digest.update(hashlib.blake2b(data, digest_size=16).digest())
            seen[name] = read_header(data)
        except (Unreadable, OSError) as error:
            if strict:
                raise ValueError(f"{where}: {printable(name)} is no picture: {error}") from None
            skipped.append((name, str(error)))
    return seen, skipped, digest


def _settle(
    seen: Mapping[str, Header], choose: Callable[[float, bool], Choices], where: str, skipped: Sequence[tuple[str, str]]
) -> Choices:
    """The choices by the headers. Raises ValueError where there are too few."""
    if len(seen) < 3:
        raise ValueError(f"{where} holds {len(seen)} readable pictures, at least 3 are needed{_count(skipped)}")
    short = statistics.median(min(header.width, header.height) for header in seen.values())
    return choose(short, all(header.grey for header in seen.values()))


def _count(skipped: Sequence[tuple[str, str]]) -> str:
    """The end of an error: how many were skipped, and why the first was."""
    first = f"{printable(skipped[0][0])}, {skipped[0][1]}" if skipped else ""
    return f"; {len(skipped)} are skipped, the first: {first}" if skipped else ""


def folder_classes(names: Sequence[str]) -> Classes:
    """The first folder in which the paths differ, coded, and what the codes stand for; None where a picture lies
    beside the folders, or all lie in one."""
    paths = [name.split("/")[:-1] for name in names]
    shared = len(os.path.commonprefix(paths))
    if any(len(path) == shared for path in paths):
        return None
    found = sorted({path[shared] for path in paths})
    code = {folder: i for i, folder in enumerate(found)}
    return [code[path[shared]] for path in paths], tuple(map(printable, found))


def _labels(named: Classes, cut: Sequence[Tensor]) -> Labels | None:
    """None [0] for a part of which a class is not known."""
    if named is None:
        return None
    codes = (torch.tensor(named[0])[index] for index in cut)
    train, valid, test = (part[:0] if (part < 0).any() else part for part in codes)
    return Labels(train, valid, test, named[1])


Outcome = tuple[np.ndarray, dict[str, str]]


class Source:
    """Pictures by name, decoded by the choices."""

    def __init__(self, where: str, files: Files, choices: Choices):
        self.where, self.files, self.choices = where, files, choices
        self.blank = np.zeros((choices.channels, choices.size, choices.size), np.uint8)

    def batch(self, names: Sequence[str]) -> Outcome:
        """The pictures [n, C, S, S], and why those that cannot be decoded, cannot: they are blank."""
        # of damaged metadata; for all threads alike, since filters are the process's
        warnings.filterwarnings("ignore", module=r"PIL\.")
        rows, broken = np.zeros((len(names), *self.blank.shape), np.uint8), {}
        for i, name in enumerate(names):
            try:
                rows[i] = decode(self.files.read(name), self.choices)
            except (Unreadable, OSError) as error:
                broken[name] = str(error)
        return rows, broken


def _decode(source: Source, names: list[str], workers: int, strict: bool, keep: bool) -> tuple[Tensor, dict[str, str]]:
    """All pictures that can be decoded (none of them, unless they are kept), and why the others cannot."""
    rows = np.empty((len(names) if keep else 0, *source.blank.shape), np.uint8)
    good, broken = np.ones(len(rows), bool), {}
    for at, (piece, bad) in zip(range(0, len(names), PIECE), _read_pieces(source, names, workers), strict=True):
        for name, why in bad.items():
            if strict:
                raise ValueError(f"{source.where}: {printable(name)} cannot be decoded: {why}")
            broken[name] = why
        if keep:
            rows[at : at + len(piece)] = piece
            good[at : at + len(piece)] = [name not in bad for name in names[at : at + len(piece)]]
    return torch.from_numpy(rows if good.all() else rows[good]), broken


def _read_pieces(source: Source, names: list[str], workers: int) -> Iterator[Outcome]:
    pieces = [names[i : i + PIECE] for i in range(0, len(names), PIECE)]
    if not workers:
        yield from map(source.batch, pieces)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(source.batch, pieces)
    finally:
        pool.shutdown(cancel_futures=True)


class Streamed(Lazy):
    """Rows that are decoded when they are asked for. workers: threads that decode what is asked for, and before that
    what is announced; with none it is done here. The rows are the same whatever their number.

    A picture that was damaged or removed since the set was looked through raises ValueError with its name.
    """

    def __init__(self, source: Source, names: list[str], workers: int = 0):
        self.source, self.names, self.workers = source, names, workers
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[tuple[int, ...], list[Future[Outcome]]] = {}

    @property
    def shape(self) -> torch.Size:
        return torch.Size([len(self.names), *self.source.blank.shape])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.index_select(0, torch.arange(len(self))[rows])

    def subset(self, index: Tensor) -> Streamed:
        return Streamed(self.source, [self.names[i] for i in index.tolist()], self.workers)

    def join(self, others: Sequence[Any]) -> Streamed:
        names = [name for part in (self, *others) for name in part.names]
        return Streamed(self.source, names, self.workers)

    def announce(self, index: Tensor) -> None:
        """Rows that will be asked for soon, in just this order. The oldest of too many announcements is forgotten."""
        key = tuple(index.flatten().tolist())
        if not self.workers or key in self._pending:
            return
        if len(self._pending) >= MAX_ANNOUNCED:
            for task in self._pending.pop(next(iter(self._pending))):
                task.cancel()
        self._pending[key] = self._submit(key)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        key = tuple(index.tolist())
        if self.workers and key:
            tasks = self._pending.pop(key, None) or self._submit(key)
            outcomes = [task.result() for task in tasks]
        else:
            outcomes = [self.source.batch([self.names[i] for i in key])]
        for _, broken in outcomes:
            for name, why in broken.items():
                raise ValueError(f"{self.source.where}: {printable(name)} cannot be decoded any more: {why}")
        return torch.from_numpy(np.concatenate([rows for rows, _ in outcomes]))

    def _submit(self, key: tuple[int, ...]) -> list[Future[Outcome]]:
        self._pool = self._pool or ThreadPoolExecutor(self.workers)
        names = [self.names[i] for i in key]
        return [self._pool.submit(self.source.batch, names[i : i + PIECE]) for i in range(0, len(names), PIECE)]

    def close(self) -> None:
        """End the threads; they start again when rows are asked for."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._pending.clear()
