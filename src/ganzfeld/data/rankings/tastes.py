r"""Tastes: a small world of users and items with known truth.

User u likes item i with a probability :math:`p_{ui} \propto \exp(\langle a_u, b_i \rangle + c_i)`, with a, b normal in
the plane and c the item's popularity, and has some items, drawn from p without replacement. What is held out was drawn
the same way, so that p itself is the best ranker there can be.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.randomness import generator
from .collection import Interactions

USERS, ITEMS, LIKED = 200, 120, 18
SHARPNESS = 1.6  # of the tastes, beside a popularity of unit spread


def truth(seed: int = 0) -> Tensor:
    """log p [users, items]."""
    rng = generator(seed, "tastes", "truth")
    a, b = torch.randn(USERS, 2, generator=rng), torch.randn(ITEMS, 2, generator=rng)
    return (SHARPNESS * a @ b.T + torch.randn(ITEMS, generator=rng)).log_softmax(1)


def tastes(seed: int = 0) -> Interactions:
    """Two hundred users of known tastes with 18 of 120 items: 10 for training, 3 for validation, 5 for the test."""
    rng = generator(seed, "tastes", "liked")
    keys = truth(seed) - (-torch.rand(USERS, ITEMS, generator=rng).log()).log()
    liked = keys.topk(LIKED).indices
    order = torch.rand(USERS, LIKED, generator=rng).argsort(1)
    test, valid, train = (_pairs(liked.gather(1, rows)) for rows in order.split([5, 3, LIKED - 8], 1))
    users, items = (tuple(map(str, range(n))) for n in (USERS, ITEMS))
    return Interactions("tastes", users, items, train, valid, test, {"seed": seed}, truth=truth(seed))


def _pairs(items: Tensor) -> Tensor:
    users = torch.arange(len(items)).unsqueeze(1).expand_as(items)
    return torch.stack([users.flatten(), items.sort(1).values.flatten()], 1)
