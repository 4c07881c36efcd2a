"""Setting the board: what all papers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .. import objectives, rules
from ..augment import Augment
from ..constraints import R1, Constraint
from ..draws import Draw, Generate, Infer
from ..game import PACES, Game, Turns
from ..networks import Head, Maker
from ..objectives import Objective
from ..rules import Rule

HALF_LIFE = 25_000  # samples: two hundred turns of 128, short beside any run


class Shaped(Protocol):
    """What a paper reads of a data set: the shape of a sample. A saved run remembers it, and needs no data."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def play(
    data: Shaped,
    networks: Maker,
    objective: Objective,
    *,
    critic: Rule,
    generator: Rule | None = None,
    constraints: tuple[Constraint, ...] = (),
    schedule: Callable[[int], tuple] = Turns(),
    pace: str = "linear",
    batch_size: int = 128,
    half_life: float = HALF_LIFE,
    head: Head | None = None,
    classes: int = 0,
    augment: str = "",
    share: bool = False,
    infer: Infer | None = None,
    citation: str,
) -> Game:
    """A game of one generator and one critic; the generator's rule is the critic's unless one is given.

    classes: how many labels both are told of, 0 for none. augment: names of `Augment`'s policies, with commas.
    infer: the draw of a game with an encoder.
    """
    if pace not in PACES:
        raise ValueError(f"the pace is {' or '.join(PACES)}, not {pace!r}")
    head = head or ("features" if objective.features else "score")
    draw = infer or Generate(networks.latent_of(data.shape), labelled=classes > 0)
    return Game(
        objective=objective,
        draw=draw,
        **seats(networks, data.shape, draw, head, classes),
        rules={"critic": critic, "generator": generator or critic},
        constraints=constraints,
        schedule=schedule,
        pace=PACES[pace],
        batch_size=batch_size,
        half_life=half_life,
        share=share,
        augment=Augment(tuple(name.strip() for name in augment.split(","))) if augment else None,
        shape=data.shape,
        citation=citation,
    )


def inference(
    data: Shaped,
    networks: Maker,
    *,
    stochastic: bool,
    rate: float,
    betas: tuple[float, float],
    gamma: float,
    cycle: float,
    cycle_z: float,
    critic_turns: int,
    at_once: bool,
    augment: str = "",
    pace: str,
    batch_size: int,
    half_life: float,
    citation: str,
) -> Game:
    """The game of ALI and BiGAN: the non-saturating cost of both sides, R1 of weight gamma (0 for none), Adam, and one
    batch of pairs for both players, one after the other or at once."""
    return play(
        data,
        networks,
        objectives.non_saturating,
        infer=Infer(networks.latent_of(data.shape), stochastic, cycle, cycle_z),
        critic=rules.adam(rate, betas),
        constraints=(R1(gamma),) if gamma else (),
        schedule=Turns(critic_turns, at_once=at_once),
        share=True,
        augment=augment,
        pace=pace,
        batch_size=batch_size,
        half_life=half_life,
        citation=citation,
    )


def seats(networks: Maker, shape: tuple[int, ...], draw: Draw, head: Head, classes: int = 0) -> dict[str, Any]:
    """The players of a draw, as a game names them."""
    if isinstance(draw, Infer):
        generator, encoder, critic = networks.triple(shape, head, draw.stochastic)
        return {"generators": {"generator": generator, "encoder": encoder}, "critic": critic}
    generator, critic = networks.pair(shape, head, classes)
    return {"generators": {"generator": generator}, "critic": critic}
