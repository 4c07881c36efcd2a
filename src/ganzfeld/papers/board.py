"""Setting the board: what all papers have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import torch

from .. import objectives, optimizers
from ..augment import Augment
from ..constraints import R1, Constraint, Decay
from ..data.rankings.collection import Collection
from ..draws import Draw, Generate, Infer, Retrieve
from ..game import LR_SCHEDULES, Game, Schedule
from ..networks import Factorised, Featured, Head, ItemItem, Maker, RankerMaker
from ..networks.rankers import Factors
from ..objectives import Objective
from ..optimizers import Optimizer

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
    critic: Optimizer,
    generator: Optimizer | None = None,
    constraints: tuple[Constraint, ...] = (),
    schedule: Callable[[int], tuple] = Schedule(),
    lr_schedule: str = "linear",
    batch_size: int = 128,
    ema_half_life: float = HALF_LIFE,
    head: Head | None = None,
    classes: int = 0,
    augment: str = "",
    share_fakes: bool = False,
    infer: Infer | None = None,
    citation: str,
) -> Game:
    """A game of one generator and one critic; the generator's rule is the critic's unless one is given.

    classes: how many labels both are told of, 0 for none. augment: names of `Augment`'s policies, with commas.
    infer: the draw of a game with an encoder.
    """
    head = head or ("features" if objective.features else "score")
    draw = infer or Generate(networks.latent_of(data.shape), labelled=classes > 0)
    return Game(
        objective=objective,
        draw=draw,
        **seats(networks, data.shape, draw, head, classes),
        optimizers={"critic": critic, "generator": generator or critic},
        constraints=constraints,
        schedule=schedule,
        lr_schedule=schedule_named(lr_schedule),
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        share_fakes=share_fakes,
        augment=Augment(tuple(name.strip() for name in augment.split(","))) if augment else None,
        shape=data.shape,
        citation=citation,
    )


def inference(
    data: Shaped,
    networks: Maker,
    *,
    stochastic: bool,
    lr: float,
    betas: tuple[float, float],
    gamma: float,
    cycle: float,
    cycle_z: float,
    n_critic: int,
    at_once: bool,
    augment: str = "",
    lr_schedule: str,
    batch_size: int,
    ema_half_life: float,
    citation: str,
) -> Game:
    """The game of ALI and BiGAN: the non-saturating cost of both sides, R1 of weight gamma (0 for none), Adam, and one
    batch of pairs for both players, one after the other or at once."""
    return play(
        data,
        networks,
        objectives.non_saturating,
        infer=Infer(networks.latent_of(data.shape), stochastic, cycle, cycle_z),
        critic=optimizers.adam(lr, betas),
        constraints=(R1(gamma),) if gamma else (),
        schedule=Schedule(n_critic, at_once=at_once),
        share_fakes=True,
        augment=augment,
        lr_schedule=lr_schedule,
        batch_size=batch_size,
        ema_half_life=ema_half_life,
        citation=citation,
    )


def seats(networks: Maker, shape: tuple[int, ...], draw: Draw, head: Head, classes: int = 0) -> dict[str, Any]:
    """The players of a draw, as a game names them."""
    if isinstance(draw, Infer):
        generator, encoder, critic = networks.triple(shape, head, draw.stochastic)
        return {"generators": {"generator": generator, "encoder": encoder}, "critic": critic}
    generator, critic = networks.pair(shape, head, classes)
    return {"generators": {"generator": generator}, "critic": critic}


# --- retrieval ---

Reward = Literal["softplus", "tanh", "log-sigmoid", "constant"]
Stepper = Literal["adam", "sgd"]
OBJECTIVES: dict[str, Objective] = {
    "softplus": objectives.minimax,
    "tanh": objectives.tanh,
    "log-sigmoid": objectives.non_saturating,
    "constant": objectives.minimax._replace(generator=lambda real, fake: -torch.ones_like(fake)),
}

PairReward = Literal["tanh", "log-sigmoid"]
PAIRED: dict[str, Objective] = {"tanh": objectives.relativistic_tanh, "log-sigmoid": objectives.relativistic}


class Collected(Shaped, Protocol):
    """What a paper of retrieval reads of a data set."""

    @property
    def collection(self) -> Collection: ...


class Usual(NamedTuple):
    """What a kind of ranker asks for, unless a setting says otherwise."""

    start: str
    lr: float
    critic_lr: float
    decay: float


USUAL: dict[type, Usual] = {
    Factorised: Usual("dns", 1e-4, 1e-3, 0.03),
    ItemItem: Usual("ease", 3e-4, 3e-4, 1e-5),
    Featured: Usual("", 1e-3, 1e-3, 1e-4),
}


def retrieval(
    data: Collected,
    networks: RankerMaker,
    draw: Retrieve,
    objective: Objective,
    *,
    optimizer: Stepper,
    generator_lr: float | None,
    critic_lr: float | None,
    critic_decay: float | None,
    schedule: Callable[[int], tuple],
    start: str | None,
    bias_only: bool,
    lr_schedule: str,
    batch_size: int,
    citation: str,
) -> Game:
    """A game of a policy and a critic of one kind. None: what the kind asks for (`USUAL`). Rates of plain descent are
    for one pair and one query, as where each is a step of its own, so that they do not depend on how many there are."""
    if batch_size and draw.negatives == "frozen":
        raise ValueError("frozen negatives are drawn once for every pair: they need whole batches, batch_size=0")
    usual = USUAL[type(networks)]
    policy, critic = networks.pair(draw.collection)
    if bias_only:
        if not isinstance(policy, Factors):
            raise ValueError("bias_only is for factors: no other ranker has a bias of items")
        policy.bias_only = True
    pairs, queries = (batch_size or max(1, draw.collection.side(role).rows) for role in ("critic", "generator"))
    decay = usual.decay if critic_decay is None else critic_decay
    return Game(
        objective=objective,
        draw=draw,
        generators={"policy": policy},
        critic=critic,
        optimizers={
            "critic": step(optimizer, usual.critic_lr if critic_lr is None else critic_lr, pairs),
            "generator": step(optimizer, usual.lr if generator_lr is None else generator_lr, queries),
        },
        constraints=(Decay(decay),) if decay else (),
        schedule=schedule,
        lr_schedule=schedule_named(lr_schedule),
        batch_size=batch_size,
        shape=data.shape,
        citation=citation,
        start=usual.start if start is None else start,
    )


def adapted(paper: Callable[..., Game], sentence: str, **usual: Any) -> Callable[..., Game]:
    """A paper with other defaults, for other data: what its signature says of them, and nothing else, is changed."""
    signature = inspect.signature(paper)
    named = {name: p.replace(default=usual.get(name, p.default)) for name, p in signature.parameters.items()}
    changed = signature.replace(parameters=list(named.values()))

    @functools.wraps(paper)
    def made(*given: Any, **settings: Any) -> Game:
        asked = changed.bind(*given, **settings)
        asked.apply_defaults()
        return paper(*asked.args, **asked.kwargs)

    made.__signature__ = changed  # type: ignore[attr-defined]
    made.__doc__ = sentence
    return made


def step(optimizer: Stepper, lr: float, rows: int) -> Optimizer:
    """Adam; or plain descent, whose rate is for one row and whose cost is a mean over rows."""
    return optimizers.adam(lr) if optimizer == "adam" else optimizers.sgd(lr * rows)


def schedule_named(lr_schedule: str) -> Callable[[float], float]:
    if lr_schedule not in LR_SCHEDULES:
        raise ValueError(f"the pace is {' or '.join(LR_SCHEDULES)}, not {lr_schedule!r}")
    return LR_SCHEDULES[lr_schedule]
