r"""Rankers: scores of pairs (query, document), for the policy and the critic of retrieval alike.

A ranker is called with what a collection knows of pairs: two tensors of numbers, or one of features. Pairs [n] or
[n, k] give scores of that shape; queries [b, 1] against candidates [1, D] or [b, k] give the table. The makers here
build two of one kind, a policy and a critic, as the other makers build a generator and a critic.
"""

from __future__ import annotations

from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ..core.values import DepthOrNone, NotNegative, Size, SizeOrNone, check_fields


class Collected(Protocol):
    """What a ranker must know of a collection."""

    queries: int
    width: int
    positives: Tensor
    features: Tensor | None


class RankerMaker(Protocol):
    """A frozen record of sizes that builds a policy and a critic."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def pair(self, collection: Collected) -> tuple[nn.Module, nn.Module]: ...


class Factors(nn.Module):
    r""":math:`\langle u_q, v_d\rangle + b_d`: matrix factorisation. user [Q, r] and item [D, r] start uniform in plus
    and minus spread, the bias [D] at 0; with r = 0 the bias is all, and no query has a say. bias_only: the factors stay
    as they are."""

    bias_only = False

    def __init__(self, queries: int, width: int, rank: int, spread: float):
        super().__init__()
        self.spread = spread
        self.user = nn.Parameter(torch.empty(queries, rank))
        self.item = nn.Parameter(torch.empty(width, rank))
        self.bias = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.user, -self.spread, self.spread)
        nn.init.uniform_(self.item, -self.spread, self.spread)
        nn.init.zeros_(self.bias)

    def forward(self, query: Tensor, candidate: Tensor) -> Tensor:
        user, item = (self.user.detach(), self.item.detach()) if self.bias_only else (self.user, self.item)
        if candidate.dim() == 2 and candidate.shape == (1, len(item)):  # all of them, for every query: one product
            return torch.addmm(self.bias, _select_rows(user, query.squeeze(1)), item.T)
        return (_select_rows(user, query) * _select_rows(item, candidate)).sum(-1) + _select_rows(self.bias, candidate)


def _select_rows(table: Tensor, index: Tensor) -> Tensor:
    """table[index], by the operation whose gradient is the fastest: six times that of an embedding."""
    return table.index_select(0, index.flatten()).view(*index.shape, *table.shape[1:])


class Items(nn.Module):
    r""":math:`s_{qd} = \sum_{j \ne d} X_{qj} W_{jd}`: a query is what is known of it, its positives X [Q, D], and an
    item says nothing of itself. W [D, D] starts at 0."""

    history: Tensor
    others: Tensor

    def __init__(self, queries: int, width: int, positives: Tensor):
        super().__init__()
        history = torch.zeros(queries, width)
        history[tuple(positives.T)] = 1.0
        self.register_buffer("history", history, persistent=False)
        self.register_buffer("others", 1 - torch.eye(width), persistent=False)
        self.weight = nn.Parameter(torch.empty(width, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, query: Tensor, candidate: Tensor) -> Tensor:
        asked, row = query.unique(return_inverse=True)
        table = self.history[asked] @ (self.weight * self.others)
        if candidate.dim() == 2 and len(candidate) == 1 and candidate.shape[1] == table.shape[1]:
            return table[row.squeeze(1)]
        return torch.take(table, row * table.shape[1] + candidate)


class Perceptron(nn.Module):
    """Features [..., m] through layers of tanh to scores [...]; without layers linear."""

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        sizes = [features, *[width] * depth]
        hidden = [layer for n, m in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(n, m), nn.Tanh())]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features).squeeze(-1)


@dataclass(frozen=True)
class Factorised:
    """Factors of a rank, starting uniform in plus and minus spread."""

    rank: SizeOrNone = 5
    spread: NotNegative = 0.05

    def __post_init__(self) -> None:
        check_fields(self)

    def pair(self, collection: Collected) -> tuple[nn.Module, nn.Module]:
        _check_no_features(collection)
        sizes = collection.queries, collection.width, self.rank, self.spread
        return Factors(*sizes), Factors(*sizes)


@dataclass(frozen=True)
class ItemItem:
    """Linear in what a user has, one weight for every two items."""

    def pair(self, collection: Collected) -> tuple[nn.Module, nn.Module]:
        _check_no_features(collection)
        sizes = collection.queries, collection.width, collection.positives
        return Items(*sizes), Items(*sizes)


@dataclass(frozen=True)
class Featured:
    """A perceptron on the features of a document, width x depth; depth 0 is linear."""

    width: Size = 46
    depth: DepthOrNone = 1

    def __post_init__(self) -> None:
        check_fields(self)

    def pair(self, collection: Collected) -> tuple[nn.Module, nn.Module]:
        if collection.features is None:
            raise ValueError("these documents have no features: use --network factors or item-item")
        sizes = collection.features.shape[-1], self.width, self.depth
        return Perceptron(*sizes), Perceptron(*sizes)


def _check_no_features(collection: Collected) -> None:
    if collection.features is not None:
        raise ValueError("documents with features are not items that users share: use --network perceptron")


RANKERS: dict[str, type[RankerMaker]] = {"factors": Factorised, "item-item": ItemItem, "perceptron": Featured}
