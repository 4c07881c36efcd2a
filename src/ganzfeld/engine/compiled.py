"""A piece of a game as one graph of compiled operations, on a processor."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core import tree
from ..core.tree import Tree
from .turns import packed


def compiled(play: Callable) -> Callable:
    """One graph of the whole piece, traced at its first call for the shapes it meets then.

    The piece is a pure function of trees of tensors, so tracing its operations is enough: no bytecode is analysed and
    no guards are checked at every call, which would cost as much as a small turn. Products with a side of one or two
    (a plane's coordinates, the score) are written as sums, which fuse with their neighbours, where a call to a matrix
    product would cost more than its arithmetic.
    """
    held: dict[str, Any] = {}

    def trace(asked: Tree) -> None:
        from torch._inductor.compile_fx import compile_fx
        from torch._inductor.decomposition import select_decomp_table
        from torch.fx.experimental.proxy_tensor import make_fx

        def flat(*inputs: Tensor) -> list[Tensor]:
            state, records = play(*tree.with_leaves(asked, inputs).values())
            held["outputs"] = {"state": state, "records": records}
            return tree.leaves(held["outputs"])

        aten = torch.ops.aten
        table: dict[Any, Callable] = {
            **select_decomp_table(),
            aten.mm.default: _thin_product,
            aten.addmm.default: _thin_affine,
        }
        inputs = tree.leaves(asked)
        graph = make_fx(flat, tracing_mode="fake")(*inputs)
        held["outputs"] = tree.map(lambda _: torch.empty(0), held["outputs"])  # keys alone, no traced tensors
        held["graph"] = compile_fx(graph, inputs, decompositions=table, config_patches={"cpp_wrapper": True})
        # the compiler leaves half a million objects behind that every full collection would walk
        gc.collect()
        gc.freeze()

    @torch.no_grad()  # torch.func takes its gradients inside
    def compiled(state, batches, noises, numbers):
        asked = packed(state, batches, noises, numbers)
        if not held:
            trace(asked)
        return tuple(tree.with_leaves(held["outputs"], held["graph"](*tree.leaves(asked))).values())

    return compiled


def _thin_product(a: Tensor, b: Tensor) -> Tensor:
    rows, inner, columns = *a.shape, b.shape[1]
    if inner <= 2:
        return sum(a[:, i : i + 1] * b[i : i + 1] for i in range(inner))  # type: ignore[return-value]
    if columns <= 2:
        return torch.stack([(a * b[:, j]).sum(1) for j in range(columns)], 1)
    if rows <= 2:
        return torch.stack([(a[i].unsqueeze(1) * b).sum(0) for i in range(rows)])
    return NotImplemented


def _thin_affine(c: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    product = _thin_product(a, b) if beta == alpha == 1 else NotImplemented
    return product if product is NotImplemented else product + c
