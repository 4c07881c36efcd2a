r"""A critic is features and a head: :math:`f(x) = h(\phi(x))`.

Keeping the two apart gives the hyperplane of geometric GAN (the head), the feature map of McGAN (everything before
it) and what each constraint may touch a name: ``features.*`` and ``head.*``.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Head = Literal["score", "features", "bilinear"]


class Bilinear(nn.Module):
    r""":math:`\sum_{j \le k} \langle u_j, \phi\rangle \langle v_j, \phi\rangle` with U, V [m, k]: McGAN's primal form
    of covariance matching. U and V start orthonormal and equal in span-free position: each from its own QR."""

    def __init__(self, features: int, rank: int):
        super().__init__()
        self.u = nn.Parameter(torch.empty(features, rank))
        self.v = nn.Parameter(torch.empty(features, rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.orthogonal_(self.u)
        nn.init.orthogonal_(self.v)

    def forward(self, features: Tensor) -> Tensor:
        return ((features @ self.u) * (features @ self.v)).sum(-1, keepdim=True)


class Critic(nn.Module):
    """features then head; scores come out as [B], features as [B, m]."""

    def __init__(self, features: nn.Module, width: int, head: Head = "score", rank: int = 16):
        super().__init__()
        self.features = features
        self.scores = head != "features"
        self.head: nn.Module = nn.Identity()
        if head == "score":
            self.head = nn.Linear(width, 1)
        elif head == "bilinear":
            self.head = Bilinear(width, min(rank, width))

    def forward(self, *samples: Tensor) -> Tensor:
        out = self.head(self.features(*samples))
        return out.squeeze(-1) if self.scores else out
