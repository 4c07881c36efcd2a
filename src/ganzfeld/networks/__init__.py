"""Networks: pairs of a generator and a critic, that return raw scores and know no game.

A *maker* is a frozen record of sizes; ``maker.pair(shape, head, classes)`` builds the two modules for samples of a
shape. The head says what the critic returns: ``"score"`` [B], ``"features"`` [B, m] (the last hidden layer, for McGAN's
dual), or ``"bilinear"`` [B] (McGAN's primal covariance form). With classes both take a label beside their input.
``maker.triple(shape, head, stochastic)`` builds a generator, an encoder and a critic of pairs (x, z). Rankers have
makers of their own, ``maker.pair(collection)``.
"""

from __future__ import annotations

from dataclasses import Field
from typing import Any, ClassVar, Protocol

from torch import nn

from .critic import Critic, Head
from .functional import Precision, call, fresh_weights
from .joint import Encoder, Triple
from .mlp import MLP
from .norm import apply_blockwise, freeze_norms, mixes_samples, treats_samples_separately
from .pictures import ALI, DCGAN, R3, SNDCGAN, ResNet
from .purity import NO_DICE, flaws
from .rankers import RANKERS, Factorised, Featured, ItemItem, RankerMaker


class Maker(Protocol):
    """What a paper asks of its networks: a frozen record of sizes."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def latent_of(self, shape: tuple[int, ...]) -> int: ...

    def pair(self, shape: tuple[int, ...], head: Head = "score", classes: int = 0) -> tuple[nn.Module, Critic]: ...

    def triple(self, shape: tuple[int, ...], head: Head = "score", stochastic: bool = True) -> Triple: ...


TABLE: dict[str, type[Maker]] = {"mlp": MLP, "dcgan": DCGAN, "sndcgan": SNDCGAN, "resnet": ResNet, "r3": R3, "ali": ALI}
