"""Rows: the one shape of a data set, whether its samples are vectors or pictures, in memory or on disk.

Vectors are held as floats in network units. Pictures are held as bytes [n, C, H, W], and read as numbers in [-1, 1]:
that is their own unit, too, as it is of every network that ends in tanh.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ...core.names import split_names
from ...core.randomness import generator

Kind = Literal["plane", "digits", "vectors", "pictures"]
Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


class Lazy(Protocol):
    """Rows that are read when they are asked for, and sooner where they are announced; else like a tensor."""

    @property
    def shape(self) -> torch.Size: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Tensor: ...

    def index_select(self, dim: int, index: Tensor, /) -> Tensor: ...

    def announce(self, index: Tensor) -> None:
        """These rows will be asked for next, in this order."""

    def subset(self, index: Tensor) -> Lazy:
        """Some of the rows."""

    def join(self, others: Sequence[Any]) -> Lazy:
        """These rows, and behind them others of the same source."""


Rows = Tensor | Lazy


@dataclass(frozen=True)
class Units:
    """The affine map between network units and the data's own: x = shift + scale * u, columnwise.

    Network units are float32. The data's are of the type that shift and scale have: float64 where float32 would not
    keep a column's digits (in it, 1e9 + N(0, 1) is one number)."""

    shift: Tensor
    scale: Tensor

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Units:
        """Those that were written down (`facts`); float32 where no type is named, as there once was no other."""
        dtype = {"float32": torch.float32, "float64": torch.float64}[facts.get("dtype", "float32")]
        return cls(*(torch.tensor(facts[name], dtype=dtype) for name in ("shift", "scale")))

    @property
    def facts(self) -> dict[str, Any]:
        """What `of` reads."""
        dtype = str(self.shift.dtype).removeprefix("torch.")
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist(), "dtype": dtype}

    @property
    def shared(self) -> bool:
        """Whether all columns have one scale, so that a distance between network units is one between the data's."""
        return bool((self.scale == self.scale[0]).all())

    def strip(self, x: Tensor) -> Tensor:
        return ((x - self.shift) / self.scale).float()

    def restore(self, u: Tensor) -> Tensor:
        return self.shift + self.scale * u


PICTURE = Units(torch.zeros(1), torch.ones(1))  # a picture's own units are the network's


@dataclass(frozen=True)
class Mixture:
    """Gaussian modes of equal weight. centres [K, d] and std in the data's units; dimensions: of the noise around a
    centre, where it fills a subspace only."""

    centres: Tensor
    std: float
    dimensions: int


@dataclass(frozen=True)
class Labels:
    """The class of every row [n], 0 to K - 1, by part, and what the classes are called."""

    train: Tensor
    valid: Tensor
    test: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Data:
    """train, valid, test: [n, *shape], floats in network units or pictures as bytes. truth: the mixture the rows were
    drawn from, where it is known. kind: how samples are drawn as a picture. choices: what was decided on the way from
    the files (size, crop, background), part of the fingerprint. skipped: files that were left out, with the reason.
    order: where the rows of train, valid and test, one after the other, lie in their source; files: in its order.
    digest: of the rows, where the loader has one that is cheaper than reading them all. remarks: what a user should
    hear of how they were read."""

    name: str
    train: Rows
    valid: Rows
    test: Rows
    units: Units
    kind: Kind = "vectors"
    truth: Mixture | None = None
    labels: Labels | None = None
    choices: Mapping[str, str | int] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    order: Tensor | None = None
    files: tuple[str, ...] = ()
    digest: str | None = None
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """What it holds, in two lines."""
        classes = f", {self.class_count} classes" if self.labels else ""
        parts = ", ".join(f"{count:,} {part}" for part, count in self.sizes().items())
        return f"Data {self.name}: {self.kind} of shape {self.shape}{classes}\n  {parts} rows"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.train.shape[1:])

    @property
    def form(self) -> Literal["vectors", "pictures"]:
        """What a paper's numbers go by."""
        return "pictures" if self.kind == "pictures" else "vectors"

    @property
    def rows(self) -> int:
        """Of the training part, the only one a game is played on."""
        return len(self.train)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest number of the training part, in the data's units; of pictures all they can have."""
        if self.kind in ("pictures", "digits"):
            return -1.0, 1.0
        x = self.restore("train")
        return float(x.min()), float(x.max())

    @property
    def class_count(self) -> int:
        """Of classes, 0 where there are no labels."""
        return len(self.labels.names) if self.labels else 0

    def class_rows(self) -> list[int]:
        """Training rows of each class; [] where there are no labels."""
        if self.labels is None:
            return []
        return torch.bincount(self.labels.train.cpu().long(), minlength=self.class_count).tolist()

    def sizes(self) -> dict[Part, int]:
        """Rows of each part."""
        return {part: len(getattr(self, part)) for part in PARTS}

    def take(self, rows: Tensor) -> Tensor:
        """Training rows by index [...] -> [..., *shape] in network units."""
        return numbers(self.train.index_select(0, rows.flatten())).unflatten(0, rows.shape)

    @property
    def lazy(self) -> bool:
        """Whether it is worth announcing what will be taken."""
        return not isinstance(self.train, Tensor)

    def announce(self, rows: Tensor) -> None:
        """Announce what will be taken next."""
        if not isinstance(self.train, Tensor):
            self.train.announce(rows.flatten())

    def to(self, device: torch.device) -> Data:
        """The same with the training rows, which are in memory, and their labels on a device: they are taken there."""
        labels = self.labels and replace(self.labels, train=self.labels.train.to(device))
        assert isinstance(self.train, Tensor)
        return replace(self, train=self.train.to(device), labels=labels)

    def classes(self, rows: Tensor) -> Tensor:
        """The labels [...] of training rows by index. Raises ValueError where the data have none."""
        if self.labels is None:
            raise ValueError(f"{self.name} has no labels")
        return self.labels.train[rows]

    def codes(self, part: Part) -> Tensor | None:
        """The classes [n] of a part's rows; None where they are not known."""
        codes = getattr(self.labels, part) if self.labels else None
        return codes if codes is not None and len(codes) == len(getattr(self, part)) else None

    def part(self, name: Part, most: int | None = None) -> Tensor:
        """The first rows of a part, all unless ``most`` is given, in network units."""
        return numbers(getattr(self, name)[:most])

    def restore(self, name: Part, most: int | None = None) -> Tensor:
        """The same in the data's own units."""
        return self.units.restore(self.part(name, most))

    def as_test_part(self) -> Data:
        """All rows as the test part, in the order of their source where that is known."""
        parts = [getattr(self, name) for name in PARTS]
        order = torch.arange(sum(map(len, parts))) if self.order is None else self.order.argsort()
        train = self.train
        rows: Rows = torch.cat(parts)[order] if isinstance(train, Tensor) else train.join(parts[1:]).subset(order)
        labels = self.labels
        if labels:
            codes = torch.cat([labels.train, labels.valid, labels.test])
            labels = replace(labels, test=codes[order] if len(codes) == len(order) else codes[:0])
        return replace(self, test=rows, labels=labels)

    def replace_parts(self, **parts: Rows) -> Data:
        """The same with other rows for some parts."""
        return replace(self, order=None, files=(), **parts)  # type: ignore[arg-type]

    def exclude(self, names: str | Sequence[str]) -> Data:
        """The rows that are of none of these classes. Raises ValueError for an unknown class, and where too little is
        left."""
        names = split_names(names)
        if self.labels is None:
            raise ValueError(f"{self.name} has no classes to leave out")
        if unknown := [name for name in names if name not in self.labels.names]:
            raise ValueError(f"{self.name} has no class {unknown[0]!r}; it has {', '.join(self.labels.names)}")
        left_out = torch.tensor([self.labels.names.index(name) for name in names])
        parts: dict[str, Rows] = {}
        codes: list[Tensor] = []
        for part in PARTS:
            rows, code = getattr(self, part), self.codes(part)
            if code is None:
                raise ValueError(f"the {part} rows have no labels of the classes of {self.name}")
            kept = (~torch.isin(code, left_out)).nonzero().squeeze(1)
            if not len(kept):
                raise ValueError(f"without {', '.join(names)} there are no {part} rows in {self.name}")
            parts[part] = rows.index_select(0, kept) if isinstance(rows, Tensor) else rows.subset(kept)
            codes.append(code[kept])
        choices = {**self.choices, "exclude_classes": ", ".join(names)}
        train, valid, test = codes
        labels = Labels(train, valid, test, self.labels.names)
        return replace(self.replace_parts(**parts), labels=labels, choices=choices)

    def as_pictures(self) -> Data:
        """Square rows of values in [-1, 1] as pictures of one channel."""
        if self.kind == "pictures":
            return self
        side = math.isqrt(self.train.shape[1])
        if self.kind != "digits" or len(self.shape) != 1:
            raise ValueError(f"{self.name} has vectors of {self.train.shape[1]} numbers, not pictures")
        parts = {p: getattr(self, p).unflatten(1, (1, side, side)) for p in ("train", "valid", "test")}
        return replace(self, **parts, units=PICTURE, kind="pictures")

    @property
    def fingerprint(self) -> str:
        """A digest of the rows of all parts, their units and what was chosen."""
        parts = () if self.digest else (self.train, self.valid, self.test)
        digest = digest_tensors((*parts, self.units.shift, self.units.scale))
        if self.choices or self.digest:
            digest.update(repr((first_names(self.choices), self.digest)).encode())
        return digest.hexdigest()


def numbers(stored: Tensor) -> Tensor:
    """Rows as numbers: bytes 0..255 become [-1, 1], floats stay."""
    return stored.float().div_(127.5).sub_(1) if stored.dtype == torch.uint8 else stored


def digest_tensors(tensors: Iterable[Any]) -> hashlib.blake2b:
    """A digest, to be gone on with, of the shapes and numbers of tensors."""
    digest = hashlib.blake2b(digest_size=16)
    for x in tensors:
        digest.update(repr(tuple(x.shape)).encode())
        digest.update(x.contiguous().numpy().tobytes())
    return digest


def first_names(choices: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Choices as a fingerprint holds them: under the names they had first, so that old runs know their data."""
    first = {"exclude_classes": "without", "min_rating": "least"}
    return sorted((first.get(key, key), value) for key, value in choices.items())


def permutation(n: int, seed: int) -> Tensor:
    """The permutation [n] of the seed by which rows are held out."""
    return torch.randperm(n, generator=generator(seed, "split"))


def split(x: Tensor, seed: int, share: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Train, validation and test rows, cut by a permutation of the seed; at least one row each."""
    count = max(1, round(share * len(x)))
    if len(x) < 3:
        raise ValueError(f"{len(x)} rows cannot be cut into train, validation and test: give at least 3")
    x = x[permutation(len(x), seed)]
    return x[2 * count :], x[:count], x[count : 2 * count]


def standard_units(x: Tensor, columnwise: bool) -> Units:
    """Units in which the rows have mean 0 and unit spread, per column or altogether; a constant column keeps 1. As
    precise as the rows are."""
    shift = x.mean(0)
    scale = (x - shift).square().mean(0 if columnwise else None).sqrt().expand_as(shift)
    return Units(shift, torch.where(scale > 0, scale, torch.ones_like(scale)).contiguous())
