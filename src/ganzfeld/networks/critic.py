r"""A critic is features and a head: :math:`f(x) = h(\phi(x))`.

Keeping the two apart gives the hyperplane of geometric GAN (the head), the feature map of McGAN (everything before
it) and what each constraint may touch a name: ``features.*`` and ``head.*``.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .layers import Dense, Init

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


class Projection(nn.Module):
    r""":math:`\langle w + e_y, \phi\rangle + b`: a score that asks whether x is one of its class y.
    Source: Miyato and Koyama 2018, eq. 3."""

    def __init__(self, score: nn.Module, features: int, classes: int, init: Init):
        super().__init__()
        self.score = score
        self.classes = Dense(features, classes, init=init, bias=False)

    def forward(self, features: Tensor, label: Tensor) -> Tensor:
        return self.score(features) + (features * self.classes.weight[label]).sum(-1, keepdim=True)


class Critic(nn.Module):
    """features then head; scores come out as [B], features as [B, m].

    score: the layer [B, width] -> [B, 1] of a head of scores, `nn.Linear` unless given. classes: how many labels there
    are to be told, 0 for none; with some the head is a projection on theirs, for scores only.
    """

    def __init__(
        self,
        features: nn.Module,
        width: int,
        head: Head = "score",
        rank: int = 16,
        score: nn.Module | None = None,
        classes: int = 0,
    ):
        super().__init__()
        if classes and head != "score":
            raise ValueError(
                "labels reach the critic by a projection of its score, and this objective compares features or their "
                "covariance: use one of scores (--objective wasserstein, hinge), or leave out --labels"
            )
        self.features, self.width, self.classes = features, width, classes
        self.scores = head != "features"
        self.head: nn.Module = nn.Identity()
        if head == "score":
            self.head = score or nn.Linear(width, 1)
            if classes:
                self.head = Projection(self.head, width, classes, nn.init.orthogonal_)
        elif head == "bilinear":
            self.head = Bilinear(width, min(rank, width))

    def forward(self, *inputs: Tensor) -> Tensor:
        """A sample's parts, (x,) or of a joint law (x, z), and last the label where the head asks for one."""
        if isinstance(self.head, Projection):
            *sample, label = inputs
            out = self.head(self.features(*sample), label)
        else:
            out = self.head(self.features(*inputs))
        return out.squeeze(-1) if self.scores else out
