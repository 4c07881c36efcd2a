"""A draw turns players, a batch of data and noise into a `Scene`. It names the noise it needs; it never rolls dice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, Protocol

from torch import Tensor, nn

from ..constraints import Constraint
from ..core.randomness import Need, Noise
from ..objectives import Objective
from .estimators import Estimator, Reparametrised

Role = Literal["critic", "generator"]
Players = Mapping[str, Callable[..., Tensor]]
Batch = tuple[Tensor, ...]
Price = Callable[[Batch], Tensor]


class Scene(NamedTuple):
    """The two sides. given: what the critic is told beside either side (labels), and is not differentiated by.
    cost [B]: what the generator side descends besides. estimate: how what the fakes cost it becomes a number to
    descend. price: what they cost it, where that is known already (`Draw.precompute`)."""

    real: Batch
    fake: Batch
    given: Batch = ()
    cost: Tensor | None = None
    estimate: Estimator = Reparametrised()
    price: Tensor | None = None


class Pieces(Protocol):
    """What a draw looks at of the game that it is to be played in."""

    @property
    def objective(self) -> Objective: ...
    @property
    def constraints(self) -> Sequence[Constraint]: ...
    @property
    def critic(self) -> nn.Module: ...
    @property
    def generators(self) -> Mapping[str, nn.Module]: ...
    @property
    def precision(self) -> str: ...


def check_generator(game: Pieces) -> None:
    """Raises ValueError where nobody is called the generator."""
    if "generator" not in game.generators:
        others = ", ".join(game.generators) or "nobody"
        raise ValueError(f'this draw plays with a {{"generator": module}}, and beside the critic there is {others}')


class Draw:
    """regular: every scene has the same shapes and its two sides line up, so that turns can be compiled, captured,
    mapped over games, dealt to ranks, scored in one pass. moves_real: the real side, too, depends on the generator
    side's weights. frozen_players: players that keep the first weights of another, ``{"start": "policy"}``."""

    regular: ClassVar[bool] = True
    moves_real: ClassVar[bool] = False

    @property
    def frozen_players(self) -> Mapping[str, str]:
        return MappingProxyType({})

    def check(self, game: Pieces) -> None:
        """Raises ValueError where the draw cannot be played with the other pieces, and names the way out."""

    def columns(self, role: Role) -> tuple[str, ...]:
        """What of the data a turn of the role is dealt, in this order: "x" its rows, "y" their labels."""
        return ("x",) if role == "critic" else ()

    def needs(self, role: Role) -> dict[str, Need]:
        """The noise of one turn of a role."""
        return {}

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Of the parts of one sample that the critic scores, for data of a shape."""
        return (shape,)

    def precompute(self, players: Players, batch: Batch, role: Role, price: Price | None) -> dict[str, Tensor]:
        """What a turn of the role reads of players that stand still in it: worked out once for turns in a row that
        meet one batch, all rows, and handed over beside their noise. Asked of draws that are not regular.

        price: what fakes would cost the generator side under the critic as it stands, unreduced; None where the real
        side has a say in it.
        """
        return {}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        """The two sides, made by the generator side's players; ``players["critic"]`` is there to be asked."""
        raise NotImplementedError
