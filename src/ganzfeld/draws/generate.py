"""Generate: data against what a generator makes of noise, the draw of the original game."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.randomness import Need, Noise
from ..core.values import Size, check_fields
from .draw import Batch, Draw, Pieces, Players, Role, Scene, check_generator


@dataclass(frozen=True)
class Generate(Draw):
    """Data x against G(z) with z ~ N(0, I): the draw of the original game. ``batch`` is (x,), or () where the turn
    reads no data. labelled: G(z, y) with the labels y of the batch, that the critic is told as well."""

    latent: Size
    labelled: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, game: Pieces) -> None:
        check_generator(game)

    def columns(self, role: Role) -> tuple[str, ...]:
        return (*super().columns(role), "y") if self.labelled else super().columns(role)

    def needs(self, role: Role) -> dict[str, Need]:
        return {"z": Need("normal", (self.latent,))}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        given = batch[-1:] if self.labelled else ()
        real = batch[:-1] if self.labelled else batch
        return Scene(real=real, fake=(players["generator"](noise["z"], *given),), given=given)
