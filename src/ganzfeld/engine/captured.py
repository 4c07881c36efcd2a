"""A piece of a game as one CUDA graph: its kernels are launched together, without the processor between them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

from ..core import tree
from .turns import packed

PLAYS_BEFORE_CAPTURE = 3  # in which libraries choose their kernels and reserve their memory


def captured(play: Callable) -> Callable:
    """The same function. A graph reads and writes fixed memory: what it is given is copied in, and what it found is
    copied out, since the next piece writes over it. A piece that cannot be captured, because it waits for the processor
    somewhere, is played as it is, and said so on standard error."""
    held: dict[str, Any] = {}

    def capture(asked: tree.Tree) -> None:
        held["inputs"] = [x.clone() for x in tree.leaves(asked)]
        given = tree.with_leaves(asked, held["inputs"])
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(PLAYS_BEFORE_CAPTURE):
                play(*given.values())
        torch.cuda.current_stream().wait_stream(side)
        held["graph"] = torch.cuda.CUDAGraph()
        with torch.cuda.graph(held["graph"]):
            state, records = play(*given.values())
        held["outputs"] = {"state": state, "records": records}

    def captured(state, batches, noises, numbers):
        asked = packed(state, batches, noises, numbers)
        if not held:
            try:
                capture(asked)
            except RuntimeError as error:
                held.clear()  # a copy of all that was given
                held["graph"] = None
                print(f"turns are not captured, but played one by one: {str(error).splitlines()[0]}", file=sys.stderr)
        if held["graph"] is None:
            return play(state, batches, noises, numbers)
        for fixed, given in zip(held["inputs"], tree.leaves(asked), strict=True):
            fixed.copy_(given)
        held["graph"].replay()
        return tuple(tree.map(torch.clone, held["outputs"]).values())

    return captured
