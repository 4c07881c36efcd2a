r"""The game: a critic and a generator side, playing turn by turn.

*A draw makes the two sides of a comparison, a critic scores them, an objective turns the scores into what the critic
raises and the generator side lowers, and constraints bind the critic.* Every member of the family is that sentence
with other nouns.

A turn is a pure function ``(role, state, batch, noise, step sizes) -> (state, record)``. The state is a tree:

``params``              the weights of each player, ``critic`` and the generator side's (``generator``, an encoder, ...)
``constraints``         what each constraint remembers
``optimizers``          what each role's optimizer remembers
``average``             the moving average of the generator side's weights, if there is one
``objective, augment``  what these remember, where they do

The one place where a sign is decided: the critic *descends* penalty minus the mean of ``objective.critic``, the
generator side descends what the scene's estimator makes of ``objective.generator``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from . import compatibility, networks
from .augment import Augmentation
from .constraints import Constraint, CriticTurn, dress, penalise
from .core import tree
from .core.randomness import Need, Noise
from .core.tree import Tree
from .core.values import Count, NotNegative, Steps, check
from .draws import Batch, Draw, Role, Scene
from .objectives import TABLE as OBJECTIVES
from .objectives import Context, Objective
from .optimizers import Average, LRSchedule, Optimizer, StepSizes
from .schedule import Schedule, Turn

Record = dict[str, Tensor]
Gather = Callable[[Tensor], Tensor]


class When(NamedTuple):
    """number: of a turn among those of the role that moves in it (of the critic's, where both do), 1, 2, ...; a tensor
    [] inside a graph. acting: the constraints whose penalties are there in it."""

    number: int | Tensor
    acting: tuple[int, ...]


def alone(tensor: Tensor) -> Tensor:
    """The gather and the reduce of a single process: the identity."""
    return tensor


@dataclass(frozen=True)
class Game:
    """Everything that is fixed while a game is played.

    generators: the generator side by name, ``{"generator": ...}``; {} where the draw needs none. optimizers: one per
    role. schedule: step -> turns. lr_schedule: (step, its length) -> factor on the rates. batch_size: 0 for all
    rows in every turn. ema_half_life: of the weights' moving average, in samples; 0 for none. share_fakes: the
    generator's turn meets the batch and the noise of the critic's turn before it (or of the turn that is both's), so
    that one fake batch serves both. augment: what both sides of a comparison go through. precision: of the networks,
    fp32 or bf16; weights, samples, scores and penalties stay in full precision. shape: of a sample. citation: where the
    game comes from. start: where its first weights come from, in a word that its task knows; "" for fresh ones.

    Raises ValueError where objective, networks, draw and constraints cannot be one game, and warns where they can but
    should not.
    """

    objective: Objective
    draw: Draw
    generators: Mapping[str, nn.Module]
    critic: nn.Module
    optimizers: Mapping[Role, Optimizer]
    constraints: tuple[Constraint, ...] = ()
    schedule: Callable[[int], tuple[Turn, ...]] = Schedule()
    lr_schedule: Callable[[int, int], float] = LRSchedule()
    batch_size: int = 256
    ema_half_life: float = 0.0
    share_fakes: bool = False
    augment: Augmentation | None = None
    precision: networks.Precision = "fp32"
    shape: tuple[int, ...] = field(default=())
    citation: str = ""
    start: str = ""
    separate: bool = field(init=False)  # one forward pass may score both sides together

    def __post_init__(self) -> None:
        check("batch_size", self.batch_size, Count if isinstance(self.draw, Draw) and not self.draw.regular else Steps)
        check("ema_half_life", self.ema_half_life, NotNegative)
        compatibility.check(self)
        # scored together, the two sides would share batch statistics: another game
        separate = self.draw.regular and networks.treats_samples_separately(self.critic)
        object.__setattr__(self, "separate", separate)
        compatibility.rehearse(self)

    def __repr__(self) -> str:
        """What is played, in two lines."""
        name = next((name for name, one in OBJECTIVES.items() if one is self.objective), "an objective of its own")
        bound = ", ".join(map(repr, self.constraints)) or "no constraint"
        players = {**self.generators, "critic": self.critic}
        sizes = [f"{who} of {sum(p.numel() for p in m.parameters()):,} weights" for who, m in players.items()]
        batch = f"batches of {self.batch_size}" if self.batch_size else "whole batches"
        return f"Game: {name} with {bound}, on samples of shape {self.shape}\n  {', '.join(sizes)}; {batch}"

    # --- what is played with ---

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who plays."""
        return ("critic", "generator") if self.generators else ("critic",)

    def init(self, seed: int, weights: Mapping[str, Tree] = MappingProxyType({})) -> Tree:
        """The state before the first turn, a function of the seed alone. weights: of players, by name, that do not
        start afresh."""
        modules = {**self.generators, "critic": self.critic}
        params = {name: networks.fresh_weights(module, seed, name) for name, module in modules.items()}
        return self.begin({**params, **weights})

    def begin(self, params: Tree) -> Tree:
        """The state before the first turn, from the weights of every player."""
        params = {**params, **{name: params[player] for name, player in self.draw.frozen_players.items()}}
        weights = {role: tree.vector(self.moved(params, role)) for role in self.roles}
        remembered = {
            "average": weights["generator"].clone() if self.ema_half_life else None,
            "objective": self.objective.memory.init(params["critic"]) if self.objective.memory else None,
            "augment": self.augment.init() if self.augment else None,
        }
        return {
            "params": params,
            "constraints": {str(i): c.init(params["critic"]) for i, c in enumerate(self.constraints)},
            "optimizers": {role: self.optimizers[role].init(weights[role]) for role in self.roles},
            **{piece: state for piece, state in remembered.items() if state is not None and len(state)},
        }

    def columns(self, role: Role) -> tuple[str, ...]:
        """What of the data a turn of the role is dealt."""
        if role == "generator" and self.share_fakes:
            return ()
        asked = self.draw.columns(role)
        return asked if "x" in asked or not self._two_sided else ("x", *asked)

    @property
    def _two_sided(self) -> bool:
        """Whether the generator side's cost reads the real scores."""
        return self.objective.relative or self.draw.moves_real

    def needs(self, role: Role) -> dict[str, Need]:
        """The noise dealt to one turn: the draw's under its names, the augmentation's under ``augment.side``,
        constraint i's under ``i.name``."""
        if role == "generator" and self.share_fakes:
            return {}
        needs = dict(self.draw.needs(role))
        if self.augment:
            needs |= {f"augment.{side}": self.augment.need for side in ("real", "fake")}
        if role == "critic":
            shapes = self.draw.shapes(self.shape)
            for i, constraint in enumerate(self.constraints):
                needs |= {f"{i}.{name}": need for name, need in constraint.needs(shapes).items()}
        return needs

    def acting(self, number: int) -> tuple[int, ...]:
        """The constraints whose penalties are there in the critic's turn 1, 2, ..."""
        return tuple(i for i, constraint in enumerate(self.constraints) if constraint.acts(number))

    def step_sizes(self, role: Role, number: int, factor: float) -> tuple[float, ...]:
        """The numbers of the role's turn 1, 2, ...: its optimizer's and, last, the average's."""
        sizes = self.optimizers[role].step_sizes(number, factor)
        return (*sizes, Average(self.ema_half_life, self.batch_size).share(number)) if self._averages(role) else sizes

    def _averages(self, role: Role) -> bool:
        return role == "generator" and self.ema_half_life > 0

    def moved(self, params: Tree, role: Role) -> Tree:
        """The weights that move in the role's turn, by player."""
        return {name: params[name] for name in (("critic",) if role == "critic" else self.generators)}

    # --- a turn ---

    def scene(self, params: Tree, role: Role, batch: Batch, noise: Noise) -> Scene:
        """The two sides, made by the generator side's weights."""
        return self.draw(self._players(params), batch, noise, role)

    def _players(self, params: Tree) -> dict[str, Callable[..., Tensor]]:
        modules = {**self.generators, "critic": self.critic}
        modules |= {name: self.generators[player] for name, player in self.draw.frozen_players.items()}
        play = partial(partial, networks.call, precision=self.precision)
        return {name: play(module, params[name]) for name, module in modules.items()}

    def dress(self, params: Tree, states: Tree, advance: bool) -> tuple[Tree, Tree]:
        """The critic's weights as it plays with them, and what the constraints remember."""
        return dress(self.constraints, params, states, advance)

    def precompute(self, roles: tuple[Role, ...], state: Tree, batch: Batch) -> dict[str, Tensor]:
        """What a turn reads of players that stand still in it (`Draw.precompute`), to be handed over with its noise."""
        role, *others = roles
        if others:
            return {}
        priced = role == "generator" and not (self._two_sided or self.objective.memory or self.augment)
        price = partial(self._price, state) if priced else None
        return self.draw.precompute(self._players(state["params"]), batch, role, price)

    @torch.no_grad()
    def _price(self, state: Tree, fake: Batch) -> Tensor:
        critic, _ = self.dress(state["params"]["critic"], state["constraints"], advance=False)
        return self.objective.generator(None, networks.call(self.critic, critic, *fake, precision=self.precision))

    def costs(
        self,
        roles: tuple[Role, ...],
        mine: Tree,
        state: Tree,
        batch: Batch,
        noise: Noise,
        gather: Gather = alone,
        scene: Scene | None = None,
        when: When | None = None,
    ) -> tuple[dict[Role, Tensor], tuple[Tree, Record]]:
        """What each role descends as a function of the weights in ``mine``, and what is remembered after the critic's.

        Both at once read one scene and one set of scores. gather: joins the scores of all ranks; the gradient flows
        through one's own. scene: where it was made already. when: a first turn, unless said.
        """
        params, when = {**state["params"], **mine}, when or When(1, self.acting(1))
        critic, constraints = self.dress(params["critic"], state["constraints"], advance="critic" in roles)
        scene = self._augmented(scene or self.scene(params, roles[0], batch, noise), state, noise)
        if scene.price is not None:
            cost, record = self._lowered(scene.price, scene, gather)
            return {"generator": cost}, ({"constraints": constraints}, record)

        def f(*samples: Tensor, precision: networks.Precision = self.precision) -> Tensor:
            times = len(samples[0]) // max(1, len(scene.fake[0]))  # twice where both sides are scored together
            told = (g.repeat(times) for g in scene.given)
            return networks.call(self.critic, critic, *samples, *told, precision=precision)

        own = self._scores(f, scene, "critic" in roles or self._two_sided)
        both: list[Any] = [side if side is None else gather(side) for side in own]
        labels = tuple(map(gather, scene.given)) if self.objective.memory else ()
        context = Context(state.get("objective", {}), when.number, labels)
        objective = self.objective.at(context)
        costs: dict[Role, Tensor] = {}
        record, memory = {}, {"constraints": constraints}
        if "critic" in roles:
            value = objective.critic(*both).mean()
            real, fake = (tuple(x.detach() for x in side) for side in (scene.real, scene.fake))  # constants to it
            full = partial(f, precision="fp32")
            turn = CriticTurn(full, params["critic"], real, fake, noise, own[0], own[1], scene.given, when.number)
            acting = {i: self.constraints[i] for i in when.acting}
            penalty, memory["constraints"] = penalise(acting, turn, constraints, gather)
            costs["critic"] = penalty - value
            record |= {"critic_value": value.detach(), "penalty": penalty.detach()}
            memory |= self._remembered(state, context, both[0].detach(), both[1].detach())
        if "generator" in roles:
            cost = objective.generator(both[0] if self._two_sided else None, both[1])
            costs["generator"], lowered = self._lowered(cost, scene, gather)
            record |= lowered
        return costs, (memory, record)

    def _augmented(self, scene: Scene, state: Tree, noise: Noise) -> Scene:
        if not self.augment:
            return scene
        known = state.get("augment", {})
        real, fake = (
            self.augment(side, noise[f"augment.{name}"], known)
            for name, side in (("real", scene.real), ("fake", scene.fake))
        )
        return scene._replace(real=real, fake=fake)

    def _scores(self, f: Callable[..., Tensor], scene: Scene, both: bool) -> Any:
        """Scores of the two sides; None for the real one where it is not read."""
        if not both:
            return None, f(*scene.fake)
        if not self.separate:
            return f(*scene.real), f(*scene.fake)
        joined = f(*(torch.cat(parts) for parts in zip(scene.real, scene.fake, strict=True)))
        return joined.split([len(scene.real[0]), len(scene.fake[0])])

    def _remembered(self, state: Tree, context: Context, real: Tensor, fake: Tensor) -> Tree:
        """What objective and augmentation remember after a turn of the critic, where they do."""
        memory: Tree = {}
        if "objective" in state:
            memory["objective"] = self.objective.memory.remember(context, real, fake)  # type: ignore[union-attr]
        if "augment" in state:
            memory["augment"] = self.augment.remember(state["augment"], real, context.number)  # type: ignore[union-attr]
        return memory

    def _lowered(self, cost: Tensor, scene: Scene, gather: Gather) -> tuple[Tensor, Record]:
        """What the generator side descends, and its terms."""
        total = scene.estimate(cost)
        record = {"generator_loss": total.detach()}
        if scene.cost is not None:
            besides = gather(scene.cost).mean()
            total, record["generator_besides"] = total + besides, besides.detach()
        return total, record

    def gradient(
        self, role: Role, state: Tree, batch: Batch, noise: Noise, gather: Gather = alone, when: When | None = None
    ):
        """(gradients, (memory, record)) of the role's loss, by ``torch.func``: compiles, and maps over games."""

        def cost(mine: Tree) -> tuple[Tensor, tuple[Tree, Record]]:
            costs, rest = self.costs((role,), mine, state, batch, noise, gather, when=when)
            return costs[role], rest

        return torch.func.grad(cost, has_aux=True)(self.moved(state["params"], role))

    def update(self, role: Role, state: Tree, gradient: Tensor, memory: Tree, sizes: StepSizes, lead: int = 0) -> Tree:
        """The optimizer's step, then the projections, then the average; what is remembered is the critic's turn's.

        gradient: all gradients as one vector, behind ``lead`` = 1 leading dimension for a stack of games.
        """
        *numbers, share = sizes if self._averages(role) else (*sizes, None)
        move, remembered = self.optimizers[role].step(gradient, state["optimizers"][role], numbers)
        old = self.moved(state["params"], role)
        new = tree.map(torch.sub, old, tree.unvector(old, move, lead))
        if role == "critic":
            for constraint in self.constraints:  # after the step: the generator must meet a critic that is bound
                new = {"critic": constraint.project(new["critic"])}
        state = {
            **state,
            **(memory if role == "critic" else {}),
            "params": {**state["params"], **new},
            "optimizers": {**state["optimizers"], role: remembered},
        }
        if share is not None:
            state["average"] = Average.step(tree.vector(new, lead), state["average"], share)
        return state

    def turn(self, role: Role, state: Tree, batch: Batch, noise: Noise, sizes: StepSizes, number: int = 1):
        """One turn of one game: (state, record)."""
        when = When(number, self.acting(number))
        gradients, (memory, record) = self.gradient(role, state, batch, noise, when=when)
        gradient = tree.vector(gradients)
        record = {**record, f"{role}_gradient": torch.linalg.vector_norm(gradient)}
        return self.update(role, state, gradient, memory, sizes), record
