"""Ranks: processes that play one game together. Scores are gathered, gradients summed: exact for any objective."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import launch


class Ranks:
    """This process among those that torchrun started, or alone; left together, as a ``with`` block."""

    def __init__(self) -> None:
        self.world, self.rank = launch.world_size(), launch.rank()
        self.joined = self.world > 1 and not torch.distributed.is_initialized()
        if self.joined:
            # each tensor goes the way of its device
            torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.joined:
            if kind is None:  # one that leaves while another still speaks would abort it
                self.any(False)
            torch.distributed.destroy_process_group()

    def gather(self, scores: Tensor) -> Tensor:
        """All ranks' scores along the batch; the gradient flows through one's own."""
        if self.world == 1:
            return scores
        parts = [torch.empty_like(scores) for _ in range(self.world)]
        torch.distributed.all_gather(parts, scores.detach().contiguous())
        parts[self.rank] = scores
        return torch.cat(parts)

    def reduce(self, gradient: Tensor) -> Tensor:
        """The sum over ranks: each holds the gradient through its own scores."""
        if self.world > 1:
            torch.distributed.all_reduce(gradient)
        return gradient

    def any(self, flag: bool) -> bool:
        """Whether any rank raises the flag: all must stop at the same step."""
        if self.world == 1:
            return flag
        flags = torch.tensor(float(flag))
        torch.distributed.all_reduce(flags)
        return bool(flags > 0)
