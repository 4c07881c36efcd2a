"""Trees: nested dicts whose leaves are tensors, the one shape in which a game keeps its state.

A tree is a tensor or a dict of trees. Maps keep the order of keys, so that sums over leaves are taken in the
same order wherever a state came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Tree = Any  # Tensor | dict[str, Tree]: a recursive alias that type checkers of today still stumble over


def map(f: Callable[..., Tensor], tree: Tree, *others: Tree) -> Tree:
    """Apply ``f`` leaf by leaf to trees of the same keys."""
    if isinstance(tree, Tensor):
        return f(tree, *others)
    return {key: map(f, branch, *(other[key] for other in others)) for key, branch in tree.items()}


def leaves(tree: Tree) -> list[Tensor]:
    """The leaves in the order of the keys."""
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for branch in tree.values() for leaf in leaves(branch)]


def with_leaves(tree: Tree, new: Sequence[Tensor]) -> Tree:
    """A tree of the same keys with other leaves, the inverse of `leaves`."""
    supply = iter(new)
    return map(lambda _: next(supply), tree)


def vector(tree: Tree, lead: int = 0) -> Tensor:
    """All leaves as one vector [n], behind ``lead`` leading dimensions."""
    parts = [leaf.flatten(lead) for leaf in leaves(tree)]
    return torch.cat(parts, lead) if len(parts) > 1 else parts[0]


def unvector(tree: Tree, vector: Tensor, lead: int = 0) -> Tree:
    """The tree of ``tree``'s keys and shapes with the entries of a vector, the inverse of `vector`."""
    old = leaves(tree)
    parts = vector.split([leaf.shape[lead:].numel() for leaf in old], lead)
    return with_leaves(tree, [part.view(leaf.shape) for part, leaf in zip(parts, old, strict=True)])


def flatten(tree: Tree, prefix: str = "") -> dict[str, Tensor]:
    """Leaves under their paths, ``"params/critic/head.weight"``."""
    if isinstance(tree, Tensor):
        return {prefix: tree}
    return {
        path: leaf
        for key, branch in tree.items()
        for path, leaf in flatten(branch, f"{prefix}/{key}" if prefix else key).items()
    }


def unflatten(flat: Mapping[str, Tensor], template: Tree) -> Tree:
    """The tree of ``template``'s keys, in its order, with the leaves of ``flat``.

    Raises KeyError where the paths differ and ValueError where a shape does, naming the path.
    """
    expected = flatten(template)
    if missing := sorted(expected.keys() ^ flat.keys()):
        raise KeyError(f"the state's entries differ, first at {missing[0]!r}")
    for path, leaf in expected.items():
        if flat[path].shape != leaf.shape:
            raise ValueError(f"{path!r} has shape {tuple(flat[path].shape)}, not {tuple(leaf.shape)}")
    return with_leaves(template, [flat[path] for path in expected])


def stack(trees: Sequence[Tree]) -> Tree:
    """One tree with a leading dimension from many of the same keys."""
    return map(lambda *parts: torch.stack(parts), trees[0], *trees[1:])


def unstack(tree: Tree) -> list[Tree]:
    """The inverse of `stack`."""
    return [map(lambda leaf, i=i: leaf[i], tree) for i in range(leaves(tree)[0].shape[0])]


def concat(trees: Sequence[Tree]) -> Tree:
    """Join along the leading dimension."""
    return map(lambda *parts: torch.cat(parts), trees[0], *trees[1:])


def finite(tree: Tree) -> bool:
    """Whether every number of every floating leaf is finite."""
    return all(bool(torch.isfinite(leaf).all()) for leaf in leaves(tree) if leaf.is_floating_point())


def size(tree: Tree) -> int:
    """The number of entries of all leaves."""
    return sum(leaf.numel() for leaf in leaves(tree))
