r"""Rankings: which items a user liked, and how relevant the documents of a query are.

Both are the setting of retrieval: to a query q (a user) belong candidates d (items, documents), and a model scores
them. *Interactions* know ids only: a pair (user, item) was positive, and of all others nothing is known, which is not
the same as negative. *Letor* (learning to rank) knows features of each pair of query and document, and its relevance.

Parts are disjoint where it matters. Interactions are cut by pairs: a held-out pair is of a user who keeps at least one
in training, since a model of ids has nothing to say of others. Letor is cut by queries: documents of one query in two
parts would be a leak.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..samples.rows import PARTS, Part, digest_tensors, first_names


class Note(NamedTuple):
    """Something that was left out or mended: why, how often, and where first, as file:line."""

    reason: str
    times: int
    first: str


@dataclass(frozen=True, eq=False)
class Interactions:
    """users, items: the ids as they were read, numbers by size and before words; all that occur in any file, with a
    positive or without. train, valid, test: long [n, 2], the positives as indices (user, item), sorted and unique; no
    pair is in two parts. touched: long [n, 2], the pairs of the training and validation files that are known and no
    positive: what a user rated low. choices: what was decided (the least rating that counts as positive, where each
    part comes from). rule: in words, which lines count and why. notes: what was left out or mended. truth:
    log-probabilities [U, I] that they were drawn from, where they are known."""

    name: str
    users: tuple[str, ...]
    items: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor
    choices: Mapping[str, str | int | float] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    truth: Tensor | None = None
    touched: Tensor = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.long))
    rule: str = ""

    kind: ClassVar[str] = "interactions"
    form: ClassVar[Literal["interactions"]] = "interactions"

    def __repr__(self) -> str:
        """What it holds, in two lines."""
        return _represent(self, "{:,} users with {:,} items".format(*self.shape), "positives")

    @property
    def shape(self) -> tuple[int, ...]:
        """Users and items."""
        return len(self.users), len(self.items)

    @cached_property
    def collection(self) -> Collection:
        """What a game is played on: the training positives."""
        return Collection(len(self.users), len(self.items), self.train)

    def side(self, role: Literal["critic", "generator"]) -> Side:
        return self.collection.side(role)

    def sizes(self) -> dict[Part, int]:
        """Positives of each part."""
        return {part: len(self.part(part)) for part in PARTS}

    def part(self, name: Part) -> Tensor:
        """The positives [n, 2] of a part."""
        return getattr(self, name)

    def matrix(self, name: Part) -> Tensor:
        """The positives of a part as truth values [U, I]."""
        matrix = torch.zeros(len(self.users), len(self.items), dtype=torch.bool)
        matrix[tuple(self.part(name).T)] = True
        return matrix

    @property
    def fingerprint(self) -> str:
        """A digest of the ids, the positives of all parts and what was chosen."""
        return _digest([getattr(self, name) for name in PARTS], (self.users, self.items), self.choices)


class Padded(NamedTuple):
    """Queries as one block: features [Q, D, m] and gains [Q, D], float32, 0 past a list's end; candidates [Q, D], bool,
    the first of each row."""

    features: Tensor
    gains: Tensor
    candidates: Tensor


@dataclass(frozen=True, eq=False)
class Table:
    """The documents of queries. features: float32 [n, m]; labels: long [n], 0 for not relevant; queries: their ids, in
    order; offsets: long [q + 1], the documents of query i are the rows offsets[i] to offsets[i + 1]. documents: the id
    of each row, or of none."""

    features: Tensor
    labels: Tensor
    queries: tuple[str, ...]
    offsets: Tensor
    documents: tuple[str, ...] = ()

    @property
    def sizes(self) -> Tensor:
        """How many documents each query has [q]."""
        return self.offsets.diff()

    def rows(self, query: int) -> slice:
        """Where the documents of the i-th query lie."""
        return slice(int(self.offsets[query]), int(self.offsets[query + 1]))

    def padded(self) -> Padded:
        """The lists, filled up to the longest."""
        candidates = torch.arange(int(self.sizes.max())) < self.sizes.unsqueeze(1)
        features = torch.zeros(*candidates.shape, self.features.shape[1])
        gains = torch.zeros(candidates.shape)
        features[candidates], gains[candidates] = self.features, self.labels.float()
        return Padded(features, gains, candidates)

    @cached_property
    def _distinct(self) -> tuple[Tensor, Tensor]:
        """The features that occur [u, m], and of each row which are its own [n]."""
        rows, which = np.unique(self.features.numpy(), axis=0, return_inverse=True)
        return torch.from_numpy(rows), torch.from_numpy(which.reshape(-1))

    @torch.no_grad()
    def scored(self, score: Callable[[Tensor], Tensor]) -> Tensor:
        """Scores [Q, D] by a function of features [n, m] to scores [n], 0 past a list's end. Equal features have equal
        scores: in a product of matrices the place of a row would change the last bit, and break a tie."""
        rows, which = self._distinct
        candidates = torch.arange(int(self.sizes.max())) < self.sizes.unsqueeze(1)
        found = score(rows)[which]
        return torch.zeros(candidates.shape, dtype=found.dtype).masked_scatter(candidates, found)

    def subset(self, queries: Sequence[int]) -> Table:
        """Some of the queries, by number, in this order."""
        slices = [self.rows(i) for i in queries]
        index = torch.tensor([row for rows in slices for row in range(rows.start, rows.stop)], dtype=torch.long)
        offsets = torch.tensor([0, *(rows.stop - rows.start for rows in slices)]).cumsum(0)
        documents = tuple(self.documents[i] for i in index.tolist()) if self.documents else ()
        names = tuple(self.queries[i] for i in queries)
        return Table(self.features[index], self.labels[index], names, offsets, documents)


@dataclass(frozen=True, eq=False)
class Letor:
    """train, valid, test: tables of different queries and the same features. choices: what was decided (fold, where
    each part and the labels come from). notes: what was left out, mended, or is doubtful."""

    name: str
    train: Table
    valid: Table
    test: Table
    choices: Mapping[str, str | int | float] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    kind: ClassVar[str] = "letor"
    form: ClassVar[Literal["letor"]] = "letor"

    def __repr__(self) -> str:
        """What it holds, in two lines."""
        return _represent(self, f"documents of {self.train.features.shape[1]} features", "queries")

    @property
    def shape(self) -> tuple[int, ...]:
        """Queries and the most documents of one, in training, and features."""
        collection = self.collection
        return collection.queries, collection.width, self.train.features.shape[1]

    @cached_property
    def collection(self) -> Collection:
        """What a game is played on: the training queries. One whose documents are all relevant, or none, tells nothing
        apart, and has no positives."""
        features, gains, candidates = self.train.padded()
        relevant = (gains > 0) & candidates
        relevant &= (relevant.any(1) & (candidates & ~relevant).any(1)).unsqueeze(1)
        queries, width = gains.shape
        return Collection(queries, width, relevant.nonzero(), features, candidates)

    def side(self, role: Literal["critic", "generator"]) -> Side:
        return self.collection.side(role)

    def sizes(self) -> dict[Part, int]:
        """Queries of each part."""
        return {part: len(self.part(part).queries) for part in PARTS}

    def part(self, name: Part) -> Table:
        return getattr(self, name)

    @property
    def fingerprint(self) -> str:
        """A digest of the rows, queries and documents of all parts and what was chosen."""
        tables = [self.part(name) for name in PARTS]
        tensors = [x for table in tables for x in (table.features, table.labels, table.offsets)]
        return _digest(tensors, [(table.queries, table.documents) for table in tables], self.choices)


def _represent(data: Interactions | Letor, what: str, noun: str) -> str:
    parts = ", ".join(f"{count:,} {part}" for part, count in data.sizes().items())
    return f"Data {data.name}: {what}\n  {parts} {noun}"


class Collection:
    """What a game of retrieval is played on: queries 0 to Q - 1, their candidates 0 to D - 1, and the pairs that are
    known to be relevant.

    positives: long [n, 2], (query, candidate), sorted and unique. features: float32 [Q, D, m], or None where a
    candidate is known by its number alone. candidates: bool [Q, D], or None where all are candidates of every query.
    """

    def __init__(
        self,
        queries: int,
        width: int,
        positives: Tensor,
        features: Tensor | None = None,
        candidates: Tensor | None = None,
    ):
        self.queries, self.width, self.positives = queries, width, positives
        self.features, self.candidates = features, candidates

    @cached_property
    def ends(self) -> Tensor:
        """The positives of query q are the rows ends[q] to ends[q + 1] [Q + 1]."""
        return torch.searchsorted(self.positives[:, 0].contiguous(), torch.arange(self.queries + 1))

    def pairs(self, query: Tensor, candidate: Tensor) -> tuple[Tensor, ...]:
        """What a ranker reads of pairs: their numbers, or the features of the candidate."""
        if self.features is None:
            return query, candidate
        return (self.features[query, candidate],)

    def all(self, query: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """All pairs of queries [b] with their candidates, to be scored as [b, D], and which of them are candidates."""
        every = torch.arange(self.width).unsqueeze(0)
        mask = None if self.candidates is None else self.candidates[query]
        return ((query.unsqueeze(1), every) if self.features is None else (self.features[query],)), mask

    def known(self, query: Tensor) -> Tensor:
        """Which candidates of queries [b] are known to be relevant, bool [b, D]."""
        first, counts = self.ends[query], self.ends.diff()[query]
        row = torch.arange(len(query)).repeat_interleave(counts)
        place = torch.arange(len(row)) + (first - counts.cumsum(0) + counts)[row]
        mask = torch.zeros(len(query), self.width, dtype=torch.bool)
        mask[row, self.positives[place, 1]] = True
        return mask

    def others(self, query: Tensor, u: Tensor) -> Tensor:
        """Candidates [n, k] of queries [n, 1] that are not known to be relevant, by inversion of uniform numbers
        [n, k]. Every query must have some."""
        if self.candidates is not None:
            first, last = self._unknown_ends[query], self._unknown_ends[query + 1]
            return self._unknown[torch.minimum(first + (u * (last - first)).long(), last - 1)]
        first = self.ends[query]
        free = self.width - (self.ends[query + 1] - first)
        rank = torch.minimum((u * free).long(), free - 1)
        # the free candidate of a rank is the rank, plus the positives that stand before it
        before = torch.searchsorted(self._gaps, query * self.width + rank, right=True) - first
        return rank + before

    @cached_property
    def _gaps(self) -> Tensor:
        """Of every positive how many free candidates of its query stand before it, behind those of other queries."""
        query, item = self.positives.T
        return query * self.width + item - (torch.arange(len(item)) - self.ends[query])

    @cached_property
    def _unknown(self) -> Tensor:
        return self._free.nonzero()[:, 1]

    @cached_property
    def _unknown_ends(self) -> Tensor:
        return torch.cat([torch.zeros(1, dtype=torch.long), self._free.sum(1).cumsum(0)])

    @cached_property
    def _free(self) -> Tensor:
        assert self.candidates is not None
        return self.candidates & ~self.known(torch.arange(self.queries))

    def side(self, role: Literal["critic", "generator"]) -> Side:
        """What is dealt in a role's turn: a critic meets relevant pairs, a policy the queries that have some."""
        rows = self.positives[self.ends.diff()[self.positives[:, 0]] < self.width]  # all tell nothing
        return Side(rows if role == "critic" else rows[:, 0].unique() if len(rows) else torch.arange(self.queries))


class Side(NamedTuple):
    """Rows [n, ...] that are dealt as they are."""

    entries: Tensor

    @property
    def rows(self) -> int:
        return len(self.entries)

    def take(self, rows: Tensor) -> Tensor:
        return self.entries[rows]

    def classes(self, rows: Tensor) -> Tensor:
        raise ValueError("documents have no classes")


def _digest(tensors: Iterable[Tensor], names: object, choices: Mapping[str, str | int | float]) -> str:
    digest = digest_tensors(tensors)
    digest.update(repr((names, first_names(choices))).encode())
    return digest.hexdigest()


def tally(notes: Iterable[Note]) -> tuple[Note, ...]:
    """The notes with one entry for each reason: its times added up, the first place kept."""
    totals: dict[str, Note] = {}
    for note in notes:
        before = totals.get(note.reason, note._replace(times=0))
        totals[note.reason] = before._replace(times=before.times + note.times)
    return tuple(note for note in totals.values() if note.times)


def tenths(free: Tensor, n: int, parts: Sequence[Part]) -> dict[Part, Tensor]:
    """A tenth of n rows for each part, from the first of those that are free to go; at least one each, and where too
    few are free, what there is in equal shares. Empty where not even one each can go."""
    each = min(max(1, round(n / 10)), len(free) // max(1, len(parts)))
    return {part: free[i * each : (i + 1) * each] for i, part in enumerate(parts)}


def parse_number(text: str) -> float:
    """The number of a text, nan where it is none; 1_000 is one to Python alone."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
