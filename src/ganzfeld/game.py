r"""The game: a critic and a generator side, playing turn by turn.

*A draw makes the two sides of a comparison, a critic scores them, an objective turns the scores into what the critic
raises and the generator side lowers, and constraints bind the critic.* Every member of the family is that sentence
with other nouns.

A turn is a pure function ``(role, state, batch, noise, tempo) -> (state, record)``. The state is a tree:

``params``       the weights of each player, ``critic`` and the generator side's (``generator``, an encoder, ...)
``constraints``  what each constraint remembers
``rules``        what each player's optimiser remembers
``average``      the moving average of the generator side's weights

The one place where a sign is decided: the critic *descends* penalty minus the mean of ``objective.critic``, the
generator side descends the mean of ``objective.generator``.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from . import compatibility, networks
from .augment import Augment
from .constraints import Constraint
from .core import tree
from .core.randomness import Need, Noise, seeded
from .core.tree import Tree
from .draws import Batch, Draw, Role, Scene
from .objectives import Objective
from .optimizers import Average, Optimizer, StepSizes

Turn = Literal["critic", "generator", "both"]
Record = dict[str, Tensor]
Precision = Literal["fp32", "bf16"]
Gather = Callable[[Tensor], Tensor]


def alone(tensor: Tensor) -> Tensor:
    """The gather and the reduce of a single process: the identity."""
    return tensor


def moving(turn: Turn) -> tuple[Role, ...]:
    """Who moves in a turn. In "both" each gradient is taken before either moves."""
    return ("critic", "generator") if turn == "both" else (turn,)


def moves(turns: Sequence[Turn]) -> int:
    """How many moves the turns are made of."""
    return sum(len(moving(turn)) for turn in turns)


@dataclass(frozen=True)
class Schedule:
    """Each step is some critic turns and then some of the generator, one unless more, or none, are asked for. ``warm``:
    critic turns of the first ``warm_steps`` steps and of every ``warm_every``-th. ``at_once``: the generator moves
    together with the last of them."""

    critic: int = 1
    warm: int = 0
    warm_steps: int = 0
    warm_every: int = 0
    at_once: bool = False
    generator: int = 1

    def __post_init__(self) -> None:
        if self.critic < 1:
            raise ValueError(f"a step needs at least one critic turn, not {self.critic}")
        if self.generator < 0 or (self.at_once and self.generator != 1):
            raise ValueError(f"a step has 0 or more turns of the generator, at once one, not {self.generator}")

    def __call__(self, step: int) -> tuple[Turn, ...]:
        """The turns of step 0, 1, ..."""
        warm = self.warm and (step < self.warm_steps or (self.warm_every and step % self.warm_every == 0))
        turns: list[Turn] = ["critic"] * (self.warm if warm else self.critic)
        if self.at_once:
            return (*turns[1:], "both")
        turns += ["generator"] * self.generator
        return tuple(turns)


def constant(progress: float) -> float:
    """The rate stays."""
    return 1.0


def linear(progress: float) -> float:
    """The rate falls linearly to 0 over the run."""
    return 1.0 - progress


LR_SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "linear": linear}


@dataclass(frozen=True)
class Game:
    """Everything that is fixed while a game is played.

    generators: the generator side by name, ``{"generator": ...}``; {} where the draw needs none. optimizers: one per
    role. schedule: step -> turns. batch_size: 0 for all rows in every turn. lr_schedule: progress in [0, 1) -> factor
    on the rates. ema_half_life: of the weights' moving average, in samples; 0 for none. share_fakes: the generator's
    turn meets the batch and the noise of the critic's turn before it (or of the turn that is both's), so that one fake
    batch serves both. augment: what both sides of a comparison go through. precision: of the networks, fp32 or bf16;
    weights, samples, scores and penalties stay in full precision. citation: where the game
    comes from.

    Raises ValueError where objective, networks and constraints cannot be one game, and warns where they can but
    should not.
    """

    objective: Objective
    draw: Draw
    generators: Mapping[str, nn.Module]
    critic: nn.Module
    optimizers: Mapping[Role, Optimizer]
    constraints: tuple[Constraint, ...] = ()
    schedule: Callable[[int], tuple[Turn, ...]] = Schedule()
    lr_schedule: Callable[[float], float] = constant
    batch_size: int = 256
    ema_half_life: float = 0.0
    share_fakes: bool = False
    augment: Augment | None = None
    precision: Precision = "fp32"
    shape: tuple[int, ...] = field(default=())
    citation: str = ""
    start: str = ""  # where the weights of a retrieval game come from: see `starts`
    separate: bool = field(init=False)  # one forward pass may score both sides together

    def __post_init__(self) -> None:
        if self.batch_size < 1 - self.draw.discrete:
            raise ValueError(f"batch_size must be at least {1 - self.draw.discrete}, not {self.batch_size}")
        if not 0 <= self.ema_half_life < float("inf"):
            raise ValueError(f"half_life must be a number of samples, not {self.ema_half_life}")
        if "both" in self.schedule(0) and not self.share_fakes:
            raise ValueError("players that move at once meet one batch: a schedule with both needs share_fakes=True")
        if self.precision != "fp32" and self.draw.discrete:
            raise ValueError("rankers are small, and play in full precision: leave out bf16")
        compatibility.check(self.objective, self.constraints, self.critic, self.optimizers, alone=not self.generators)
        if self.draw.discrete:
            compatibility.check_discrete(self.objective, self.constraints, self.draw)
        if self.draw.encodes:
            compatibility.check_inference(self.objective, self.critic, self.generators)
        object.__setattr__(self, "separate", networks.treats_samples_separately(self.critic))

    # --- what is played with ---

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who plays."""
        return ("critic", "generator") if self.generators else ("critic",)

    def init(self, seed: int, given: Mapping[str, Tree] = MappingProxyType({})) -> Tree:
        """The state before the first turn, a function of the seed alone. given: weights of players, by name, that do
        not start afresh."""
        modules = {**self.generators, "critic": self.critic}
        params = {name: _weights(module, seed, name) for name, module in modules.items()}
        return self.begin({**params, **given})

    def begin(self, params: Tree) -> Tree:
        """The state before the first turn, from the weights of every player."""
        if self.draw.anchored:
            params = {**params, "start": params["policy"]}
        weights = {role: tree.vector(self.moved(params, role)) for role in self.roles}
        state = {
            "params": params,
            "constraints": {str(i): c.init(params["critic"]) for i, c in enumerate(self.constraints)},
            "optimizers": {role: self.optimizers[role].init(weights[role]) for role in self.roles},
        }
        return {**state, "average": weights["generator"].clone()} if self.ema_half_life else state

    def reads_data(self, role: Role) -> bool:
        """Whether a turn of the role is dealt real samples to look at."""
        return role == "critic" or self.draw.discrete or (self._two_sided and not self.share_fakes)

    @property
    def _two_sided(self) -> bool:
        """Whether the generator side's cost reads the real scores."""
        return self.objective.relative or self.draw.encodes

    def reads_labels(self, role: Role) -> bool:
        """Whether it is dealt labels."""
        return self.draw.labelled and (role == "critic" or not self.share_fakes)

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

    # --- a turn ---

    def scene(self, params: Tree, role: Role, batch: Batch, noise: Noise) -> Scene:
        """The two sides, made by the generator side's weights."""
        return self.draw(self._players(params), batch, noise, role)

    def _players(self, params: Tree) -> dict[str, Callable[..., Tensor]]:
        players: dict[str, Callable[..., Tensor]] = {
            name: partial(self._played, m, params[name]) for name, m in self.generators.items()
        }
        if self.draw.discrete:
            players["critic"] = partial(_call, self.critic, params["critic"])
        if self.draw.anchored:
            players["start"] = partial(_call, self.generators["policy"], params["start"])
        return players

    def _played(self, module: nn.Module, params: Tree, *samples: Tensor) -> Tensor:
        """A player's call, in the precision it plays in."""
        if self.precision == "fp32":
            return _call(module, params, *samples)
        return _call(module, tree.map(_halved, params), *map(_halved, samples)).float()

    def still(self, roles: tuple[Role, ...], state: Tree, batch: Batch) -> Noise:
        """What a turn reads of the side that stands still in it, to be handed over with the turn's noise where more
        turns on the same batch follow. Without it a turn works it out for itself."""
        role, *others = roles
        if others or not self.draw.discrete:
            return {}
        held = self.draw.still(self._players(state["params"]), batch, role)
        if role == "generator" and not self.objective.relative and not self.needs(role):
            # every candidate of every query is priced by a critic that stands still
            scene = self.scene(state["params"], role, batch, {})
            critic, _ = self.dress(state["params"]["critic"], state["constraints"], advance=False)
            held["still.cost"] = self.objective.generator(None, _call(self.critic, critic, *scene.fake)).detach()
        return held

    def costs(
        self,
        roles: tuple[Role, ...],
        mine: Tree,
        state: Tree,
        batch: Batch,
        noise: Noise,
        gather: Gather = alone,
        scene: Scene | None = None,
    ) -> tuple[dict[Role, Tensor], tuple[Tree, Record]]:
        """What each role descends as a function of the weights in ``mine``, and what the constraints remember then.

        Both at once read one scene and one set of scores. gather: joins the scores of all ranks; the gradient flows
        through one's own. scene: where it was made already.
        """
        params = {**state["params"], **mine}
        critic, memory = self.dress(params["critic"], state["constraints"], advance="critic" in roles)
        scene = self._augmented(scene or self.scene(params, roles[0], batch, noise), noise)

        def f(*samples: Tensor, call: Callable[..., Tensor] = self._played) -> Tensor:
            times = len(samples[0]) // max(1, len(scene.fake[0]))  # twice where both sides are scored together
            return call(self.critic, critic, *samples, *(g.repeat(times) for g in scene.given))

        if "still.cost" in noise:
            value, lowered = self._lowered(noise["still.cost"], scene)
            return {"generator": value}, (memory, lowered)
        scores = self._scores(f, scene, "critic" in roles or self._two_sided)
        gathered: list[Any] = [side if side is None else gather(side) for side in scores]
        real, fake = gathered
        costs: dict[Role, Tensor] = {}
        record: Record = {}
        if "critic" in roles:
            value = self.objective.critic(real, fake).mean()
            penalties = self._penalties(partial(f, call=_call), params["critic"], scene, noise)
            # one term per sample, so that ranks can be gathered before the mean
            penalty = sum((gather(term).mean() for term in penalties), torch.zeros_like(value))
            costs["critic"] = penalty - value
            record |= {"critic_value": value.detach(), "penalty": penalty.detach()}
        if "generator" in roles:
            cost = self.objective.generator(real if self._two_sided else None, fake)
            costs["generator"], more = self._lowered(cost, scene, gather)
            record |= more
        return costs, (memory, record)

    def _lowered(self, cost: Tensor, scene: Scene, gather: Gather = alone) -> tuple[Tensor, Record]:
        """What the generator side descends, and its terms."""
        total = estimate(cost.mean(0) if self.draw.averaged else cost, scene)
        record = {"generator_loss": total.detach()}
        if scene.cost is not None:
            besides = gather(scene.cost).mean()
            total, record["generator_besides"] = total + besides, besides.detach()
        return total, record

    def _augmented(self, scene: Scene, noise: Noise) -> Scene:
        if not self.augment:
            return scene
        real, fake = (self.augment(getattr(scene, side), noise[f"augment.{side}"]) for side in ("real", "fake"))
        return scene._replace(real=real, fake=fake)

    def _penalties(self, f: Callable[..., Tensor], weights: Tree, scene: Scene, noise: Noise) -> Iterator[Tensor]:
        """Of each constraint that has one, [B]. To the critic, whom they bind, the two sides are constants."""
        real, fake = (tuple(x.detach() for x in side) for side in (scene.real, scene.fake))
        for i, constraint in enumerate(self.constraints):
            noise = {name[len(f"{i}.") :]: draw for name, draw in noise.items() if name.startswith(f"{i}.")}
            term = constraint.penalty(f, weights, real, fake, noise)
            if term is not None:
                yield term.expand(len(fake[0]))

    def _scores(self, f: Callable[..., Tensor], scene: Scene, both: bool) -> Sequence[Any]:
        """Scores of the two sides; None for the real one where it is not read."""
        if not both:
            return None, f(*scene.fake)
        if not self.separate or self.draw.discrete:  # together the two sides would share batch statistics: another game
            return f(*scene.real), f(*scene.fake)
        joined = f(*(torch.cat(parts) for parts in zip(scene.real, scene.fake, strict=True)))
        return joined.split([len(scene.real[0]), len(scene.fake[0])])

    def dress(self, params: Tree, states: Tree, advance: bool) -> tuple[Tree, Tree]:
        """The critic's weights as it plays with them, and what the constraints remember."""
        memory = {}
        for i, constraint in enumerate(self.constraints):
            params, memory[str(i)] = constraint.dress(params, states[str(i)], advance)
        return params, memory

    def gradient(self, role: Role, state: Tree, batch: Batch, noise: Noise, gather: Gather = alone):
        """(gradients, (memory, record)) of the role's loss, by ``torch.func``: compiles, and maps over games."""

        def cost(mine: Tree) -> tuple[Tensor, tuple[Tree, Record]]:
            costs, rest = self.costs((role,), mine, state, batch, noise, gather)
            return costs[role], rest

        return torch.func.grad(cost, has_aux=True)(self.moved(state["params"], role))

    def step_sizes(self, role: Role, turn: int, factor: float) -> tuple[float, ...]:
        """The numbers of the role's turn 1, 2, ...: its rule's and, last, the average's."""
        numbers = self.optimizers[role].step_sizes(turn, factor)
        return (*numbers, Average(self.ema_half_life, self.batch_size).share(turn)) if self._averages(role) else numbers

    def _averages(self, role: Role) -> bool:
        return role == "generator" and self.ema_half_life > 0

    def update(self, role: Role, state: Tree, gradient: Tensor, memory: Tree, sizes: StepSizes, lead: int = 0) -> Tree:
        """The optimiser's step, then the projections, then the average; what the constraints remember is the critic's.

        gradient: all gradients as one vector, behind ``lead`` = 1 leading dimension for a stack of games.
        """
        *beat, share = sizes if self._averages(role) else (*sizes, None)
        move, remembered = self.optimizers[role].step(gradient, state["optimizers"][role], beat)
        old = self.moved(state["params"], role)
        new = tree.map(torch.sub, old, tree.unvector(old, move, lead))
        if role == "critic":
            for constraint in self.constraints:  # after the step: the generator must meet a critic that is bound
                new = {"critic": constraint.project(new["critic"])}
        state = {
            **state,
            "params": {**state["params"], **new},
            "constraints": memory if role == "critic" else state["constraints"],
            "optimizers": {**state["optimizers"], role: remembered},
        }
        if share is not None:
            state["average"] = Average.step(tree.vector(new, lead), state["average"], share)
        return state

    def turn(self, role: Role, state: Tree, batch: Batch, noise: Noise, sizes: StepSizes) -> tuple[Tree, Record]:
        """One turn of one game."""
        gradients, (memory, record) = self.gradient(role, state, batch, noise)
        gradient = tree.vector(gradients)
        record = {**record, f"{role}_gradient": torch.linalg.vector_norm(gradient)}
        return self.update(role, state, gradient, memory, sizes), record

    def moved(self, params: Tree, role: Role) -> Tree:
        """The weights that move in the role's turn, by player."""
        return {name: params[name] for name in (("critic",) if role == "critic" else self.generators)}


def estimate(cost: Tensor, scene: Scene) -> Tensor:
    r"""The mean cost where fakes are reparametrised. Of discrete ones a number whose gradient is that of the expected
    cost: of all that could be drawn :math:`\sum_d p_d c_d`, of a sample the score function's surrogate
    :math:`E\,w\,(c - b) \log p`."""
    if scene.prob is not None:
        return torch.dot(scene.prob.flatten(), cost.detach().expand_as(scene.prob).flatten()) / len(scene.prob)
    if scene.log_prob is None:
        return cost.mean()
    advantage = cost.detach() - _baseline(cost.detach(), scene)
    return (scene.weight * advantage * scene.log_prob).mean()


def _baseline(cost: Tensor, scene: Scene) -> Tensor | float:
    r"""What the costs of draws are held against, from the other draws [B] or, of each query, [B, k]: with itself in it
    a cost would be shrunk. The mean is not always better than none; the optimal constant :math:`E[w^2 s c] / E[w^2 s]`
    is, with s the squared norm of the gradient of log p, where the others are enough to estimate it."""
    if scene.baseline == "none" or cost.shape[-1] < 2:
        return 0.0
    share = torch.ones_like(cost)
    if scene.baseline == "optimal":
        assert scene.square is not None
        share = torch.as_tensor(scene.weight).square() * scene.square
    others = share.sum(-1, keepdim=True) - share
    return ((share * cost).sum(-1, keepdim=True) - share * cost) / others.clamp(min=torch.finfo(cost.dtype).tiny)


def _call(module: nn.Module, params: Tree, *samples: Tensor) -> Tensor:
    # `init` refuses tied weights; looking for them at every call costs as much as a small network
    return functional_call(module, params, samples, tie_weights=False)


def _halved(x: Tensor) -> Tensor:
    return x.bfloat16() if x.is_floating_point() else x


def _weights(module: nn.Module, seed: int, name: str) -> Tree:
    """Fresh weights of a module, from ``reset_parameters`` of its layers under dice seeded by (seed, name)."""
    names = {name for name, _ in module.named_parameters()}
    if tied := {name for name, _ in module.named_parameters(remove_duplicate=False)} - names:
        raise ValueError(f"the {name} ties {tied.pop()!r} to another weight; give each weight one name")
    module = copy.deepcopy(module)
    with seeded(seed, "weights", name):
        for layer in _resettable(module):
            layer.reset_parameters()  # type: ignore[operator]
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def _resettable(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost layers that know how to draw their own weights."""
    if callable(getattr(module, "reset_parameters", None)):
        yield module
        return
    if own := [name for name, _ in module.named_parameters(recurse=False)]:
        warnings.warn(
            f"{type(module).__name__} holds {own[0]!r} and has no reset_parameters(): "
            "every seed starts it from the same values",
            stacklevel=4,
        )
    for child in module.children():
        yield from _resettable(child)
