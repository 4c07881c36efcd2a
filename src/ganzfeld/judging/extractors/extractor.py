"""The record of an extractor: its network, and what must be told with every number that came from it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Extractor:
    """module: pictures [n, C, H, W] in [-1, 1] to features [n, dimensions]. digest: of its weights. resizer: how
    pictures are brought to its size. head: features to logits [n, classes], where it has classes. task: what it was
    taught, with the held-out accuracy, a share in [0, 1], where that was measured. batch: pictures at once."""

    name: str
    module: nn.Module
    dimensions: int
    digest: str
    resizer: str = "none"
    head: nn.Module | None = None
    classes: int = 0
    task: str = "none"
    accuracy: float | None = None
    batch: int = 256

    def features(self, x: Tensor) -> Tensor:
        """Features [n, dimensions] of pictures x [n, C, H, W] in [-1, 1], batch by batch, without a gradient."""
        return self._read(self.module, x)

    def logits(self, x: Tensor) -> Tensor:
        """Logits [n, classes] of the same. Raises ValueError where the extractor knows no classes."""
        head = self.head
        if head is None:
            raise ValueError(f"the extractor {self.name} knows no classes")
        return self._read(lambda part: head(self.module(part)), x)

    @torch.no_grad()
    def _read(self, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return torch.cat([network(part) for part in x.split(self.batch)])

    @property
    def facts(self) -> dict[str, Any]:
        """What is told with every number."""
        facts = {"extractor": self.name, "dimensions": self.dimensions}
        if self.digest:
            facts |= {"digest": self.digest, "resizer": self.resizer, "task": self.task}
        return facts if self.accuracy is None else {**facts, "accuracy": self.accuracy}


@lru_cache(maxsize=8)
def values(shape: tuple[int, ...]) -> Extractor:
    """The numbers of a sample [n, *shape] themselves, as features [n, d]: no weights, no digest."""
    return Extractor("values", nn.Flatten(), math.prod(shape), digest="", batch=2**16)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """A digest of names, shapes and values of weights, whatever their order."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in sorted(weights.items()):
        digest.update(repr((name, tuple(weight.shape), str(weight.dtype))).encode())
        digest.update(weight.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
