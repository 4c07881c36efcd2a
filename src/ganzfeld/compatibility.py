"""Which pieces can be one game.

What cannot is refused with the way out, in one line, before the first turn; what is doubtful warns once and plays.
Pieces of this house are told by their kinds. Of pieces of one's own a first turn is *rehearsed* on a few made-up rows,
twice under other chance: it must play, give costs of the right shapes, and come out the same.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import constraints as c
from . import networks
from .augment import Augmentation
from .core import tree
from .core.randomness import Need, global_seed, latents
from .core.tree import Tree
from .core.values import NotNegative
from .core.values import check as check_value
from .draws import Draw, Role
from .objectives import Objective
from .optimizers import Optimizer

HOUSE = __name__.partition(".")[0]
ROWS = 4  # that are made up
NUMBERS_OF_A_BATCH = 2**16  # up to which a whole batch is made up for a rehearsal
STEPS_LOOKED_AT = (0, 1, 2, 100)  # of a schedule
Played = Any  # a Game: that room is above this one


class Doubtful(UserWarning):
    """A pairing that plays, and that its authors or later work advise against."""


def check(game: Played) -> None:
    """Raises ValueError for the impossible, warns `Doubtful` for the doubtful."""
    _check_kinds(game)
    _check_schedules(game)
    _check_players(game)
    if _is_own(game.objective.critic) or _is_own(game.objective.generator):
        _try_objective(game.objective, game.batch_size or ROWS)
    _check_critic(game.objective, game.critic)
    _check_constraints(game)
    if networks.mixes_samples(game.critic) and game.objective.features:
        _doubt("batch norm fixes the features' means: mean matching sees nothing through it")
    if not game.objective.bounded and not game.constraints:
        _doubt("nothing binds this critic and its objective has no optimum: add a constraint (gradient-penalty)")
    game.draw.check(game)


def _doubt(message: str) -> None:
    warnings.warn(message, Doubtful, stacklevel=6)


# --- kinds ---


def _check_kinds(game: Played) -> None:
    """Of every piece, where another thing is easily taken for it."""
    for name, kind in (("objective", Objective), ("draw", Draw), ("critic", nn.Module)):
        piece = getattr(game, name)
        if not isinstance(piece, kind):
            raise ValueError(f"the {name} of a game is {_article(kind)}, not {_called(piece)}")
    if not isinstance(game.generators, Mapping):
        raise ValueError('the generator side of a game is by name, {"generator": module}')
    if not isinstance(game.shape, tuple) or not all(isinstance(size, int) and size > 0 for size in game.shape):
        raise ValueError(f"the shape of a sample is a tuple of sizes, as (3, 32, 32), not {game.shape!r}")
    check_value("precision", game.precision, networks.Precision)
    for name, module in game.generators.items():
        if not isinstance(module, nn.Module) or name == "critic":
            raise ValueError(f"a player beside the critic is a Module with another name, not {name}: {_called(module)}")
    if not isinstance(game.constraints, Sequence):
        raise ValueError(f"the constraints of a game are a tuple, ({_called(game.constraints)},)")
    for constraint in game.constraints:
        if not isinstance(constraint, c.Constraint):
            raise ValueError(f"a constraint of a game is {_article(c.Constraint)}, not {_called(constraint)}")
    if game.augment is not None and not isinstance(game.augment, Augmentation):
        raise ValueError(f"the augment of a game is {_article(Augmentation)}, not {_called(game.augment)}")
    for role in game.roles:
        if role not in game.optimizers:
            raise ValueError(f"a game needs an optimizer for the {role}")
    for role, optimizer in game.optimizers.items():
        if role not in ("critic", "generator"):
            raise ValueError(
                f"an optimizer is of the critic or of the generator, whose side moves as one, not of {role!r}"
            )
        if not isinstance(optimizer, Optimizer):
            raise ValueError(
                f"the optimizer of the {role} is one of gz.optimizers, as adam(1e-3, betas=(0, .99)), not "
                f"{_called(optimizer)}"
            )


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AO' else 'a'} {kind.__name__}"


def _called(piece: Any) -> str:
    return f"the class {piece.__name__}: {piece.__name__}(...)" if isinstance(piece, type) else type(piece).__name__


def _check_schedules(game: Played) -> None:
    known = ("critic", "generator", "both") if game.generators else ("critic",)
    for step in STEPS_LOOKED_AT:
        turns = _asked("schedule", game.schedule, step)
        if not isinstance(turns, (tuple, list)) or not turns or any(turn not in known for turn in turns):
            raise ValueError(
                f"the schedule gives each step some turns, of {', '.join(known)}, and step {step} {turns!r}"
            )
        factor = _asked("lr_schedule", game.lr_schedule, step, 1 + STEPS_LOOKED_AT[-1])
        check_value(f"what the lr_schedule gives step {step}", factor, NotNegative)
    if "both" in game.schedule(0) and not game.share_fakes:
        raise ValueError("players that move at once meet one batch: a schedule with both needs share_fakes=True")


def _asked(name: str, schedule: Callable[..., Any], *where: int) -> Any:
    try:
        return schedule(*where)
    except Exception as error:
        raise ValueError(f"the {name} cannot be asked for step {where[0]}: {_line(error)}") from error


# --- players ---


def _check_players(game: Played) -> None:
    players = {**game.generators, "critic": game.critic}
    for name, module in players.items():
        for path, why in networks.flaws(module):
            raise ValueError(f"the {name}'s {path} {why}")
    homes: dict[int, str] = {}
    for name, module in players.items():
        for path, weight in module.named_parameters(remove_duplicate=False):
            home = homes.setdefault(id(weight), f"{name}'s {path}")
            if home != f"{name}'s {path}":
                raise ValueError(f"the {name} ties {path!r} to the {home}; give each weight one name (copy.deepcopy)")
    kinds = {weight.dtype for module in players.values() for weight in module.parameters()}
    if len(kinds) > 1:
        raise ValueError(f"the weights of a game are of one kind, not {' and '.join(map(str, kinds))}: .float()")
    for role, own in (("critic", [game.critic]), ("generator", list(game.generators.values()))):
        if own and not any(True for module in own for _ in module.parameters()):
            raise ValueError(f"the {role} has no weights that could be trained")
    if game.batch_size == 1 and any(isinstance(m, nn.BatchNorm1d) for p in players.values() for m in p.modules()):
        raise ValueError("batch norm has no statistics of a batch of 1: a larger batch_size, or norm='layer'")


def _check_critic(objective: Objective, critic: nn.Module) -> None:
    if not isinstance(critic, networks.Critic):
        return
    if critic.scores == objective.features:
        raise ValueError(
            "this objective compares features [B, m]: build the critic with head='features'"
            if objective.features
            else "this objective compares scores [B]: build the critic with head='score', not 'features'"
        )
    if objective.features and critic.width < objective.least_features:
        raise ValueError(
            f"this objective takes {objective.least_features} singular values of the critic's features (k), and there "
            f"are {critic.width}: k at most {critic.width}, or as many features (features, width)"
        )


def _check_constraints(game: Played) -> None:
    mixing, names = networks.mixes_samples(game.critic), dict(game.critic.named_parameters())
    for constraint in game.constraints:
        name = type(constraint).__name__
        if constraint.scalar and game.objective.features:
            raise ValueError(
                f"{name} needs one score per sample, but this objective compares features [B, m]; "
                "use Clip or Spectral, or an objective of scores (wasserstein)"
            )
        if mixing and isinstance(constraint, c.GradientPenalty):
            raise ValueError(
                f"{name} holds the gradient at each sample alone, but batch norm mixes the critic's samples; "
                "use layer norm or none in the critic (critic_norm='layer')"
            )
        if mixing and constraint.per_sample:
            _doubt_within(f"{name} with batch norm in the critic penalises a gradient that runs through other samples")
        if mixing and isinstance(constraint, c.Spectral):
            _doubt_within("batch norm in the critic rescales what Spectral normalised: the bound is gone")
        if isinstance(constraint, c.Clip) and game.optimizers["critic"].momentum:
            _doubt_within(
                f"momentum {game.optimizers['critic'].momentum:g} with weight clipping was reported unstable; "
                "use rmsprop, or adam with betas=(0, .99)"
            )
        for layer in [getattr(constraint, "layer", None), *getattr(constraint, "layers", ())]:
            if layer is not None and not c.parts_of_layer(layer, names):
                raise ValueError(f"{name} binds {layer!r}, which this critic does not have; it has {', '.join(names)}")
        if not game.start:  # else its weights come from elsewhere
            constraint.check(names)


def _doubt_within(message: str) -> None:
    warnings.warn(message, Doubtful, stacklevel=7)


# --- pieces of one's own ---


def _is_own(piece: Any) -> bool:
    """Whether a function, or the kind of an object, was not written here."""
    return (getattr(piece, "__module__", None) or "").partition(".")[0] != HOUSE


def _is_own_module(module: nn.Module) -> bool:
    """Whether a layer was written elsewhere, or layers of torch were put together elsewhere."""
    layers = (type(layer).__module__.partition(".")[0] for layer in module.modules())
    return _is_own(type(module)) or not set(layers) <= {HOUSE, "torch"}


def _try_objective(objective: Objective, rows: int) -> None:
    """On made-up scores of a batch. Raises ValueError where it gives no costs."""
    m = max(2, objective.least_features)
    sides = torch.linspace(-1, 1, 2 * rows * m).view(2, rows, m)
    real, fake = sides if objective.features else sides[:, :, 0]
    for side, scores in (("critic", real), ("generator", real if objective.relative else None)):
        try:
            cost = getattr(objective, side)(scores, fake)
        except Exception as error:
            hint = (
                "" if scores is not None else "; where it reads real scores say relative=True, or use objectives.apart"
            )
            raise ValueError(f"this objective's cost of the {side} cannot be had: {_line(error)}{hint}") from error
        if not isinstance(cost, Tensor) or cost.shape not in ((), (rows,)):
            found = f"shape {tuple(cost.shape)}" if isinstance(cost, Tensor) else type(cost).__name__
            raise ValueError(
                f"this objective's cost of the {side} is to be [B] or [], and of {rows} samples it is {found}"
            )


def _line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no words'}"


def rehearse(game: Played) -> None:
    """A first turn of each role on made-up rows, twice under other chance, where a piece is one's own. Raises
    ValueError where it cannot be played, or does not come out the same. Games that are not told the shape of a sample,
    and draws whose rows cannot be made up, are not rehearsed."""
    if not (game.shape and game.draw.regular and _has_own_piece(game)):
        return
    players = {**game.generators, "critic": game.critic}
    with _kept_buffers(players) as kept:
        weights = _draw_weights(players)
        first, second = (_play_first_turns(game, weights, chance) for chance in (0, 1))
        if changed := _find_change(players, kept):
            raise ValueError(f"the {changed} changes as it is played, and is in no checkpoint: keep it as it is")
        if any(not _same(a, b) for a, b in zip(first, second, strict=True)):
            where = _find_dice(game, players, weights)
            raise ValueError(
                f"the {where} does not come out the same when it is played again: let a Draw deal its chance as "
                "noise (Need), and keep nothing between turns"
            )


def _has_own_piece(game: Played) -> bool:
    optimizers = [optimizer.step for optimizer in game.optimizers.values()]
    functions = [game.objective.critic, game.objective.generator, *optimizers]
    kinds = [type(piece) for piece in (*game.constraints, game.draw, game.augment) if piece is not None]
    modules = (*game.generators.values(), game.critic)
    return any(map(_is_own, (*functions, *kinds))) or any(map(_is_own_module, modules))


@contextlib.contextmanager
def _kept_buffers(players: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Copies of all buffers by path; at the end the buffers are as they were."""
    layers = [layer for module in players.values() for layer in module.modules()]
    held = [(layer, dict(layer._buffers)) for layer in layers if layer._buffers]
    own = dict(_buffers(players))
    kept = {path: buffer.clone() for path, buffer in own.items()}
    try:
        yield kept
    finally:
        for layer, buffers in held:
            layer._buffers.update(buffers)
        for path, buffer in own.items():
            buffer.copy_(kept[path])


def _buffers(players: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
    for name, module in players.items():
        for path, buffer in module.named_buffers():
            yield f"{name}'s {path}", buffer


def _find_change(players: Mapping[str, nn.Module], kept: Mapping[str, Tensor]) -> str:
    """The first buffer that is not what it was."""
    return next((path for path, buffer in _buffers(players) if path not in kept or not _same(buffer, kept[path])), "")


def _draw_weights(players: Mapping[str, nn.Module]) -> Tree:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when they are drawn to be played with
        return {name: networks.fresh_weights(module, 0, name) for name, module in players.items()}


def _play_first_turns(game: Played, weights: Tree, chance: int) -> list[Tensor]:
    """The state after a turn of each role, and what these recorded. Raises ValueError where a turn cannot be played."""
    try:
        with global_seed("rehearsal", chance):
            return _first_turns(game, weights)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"these pieces cannot play a turn together: {_line(error)}") from error


def _first_turns(game: Played, weights: Tree) -> list[Tensor]:
    state = game.begin(tree.map(torch.clone, weights))
    found = []
    for role in game.roles:
        dealt_to: Role = "critic" if game.share_fakes else role
        batch, noise = _made_up(game, dealt_to)
        scene = game.scene(state["params"], role, batch, noise)
        _check_sides(game, state, scene)
        mine = tree.map(lambda p: p.detach().requires_grad_(), game.moved(state["params"], role))
        costs, (memory, record) = game.costs((role,), mine, state, batch, noise)
        slopes = _slopes(game, role, costs[role], tree.leaves(mine))
        sizes = game.step_sizes(role, 1, 1.0)
        state = game.update(role, state, tree.vector(tree.with_leaves(mine, slopes)), memory, sizes)
        found += [costs[role].detach(), *record.values()]
    return [leaf.detach() for leaf in (*found, *tree.leaves(state))]


def _slopes(game: Played, role: Role, cost: Tensor, weights: list[Tensor]) -> Sequence[Tensor]:
    if cost.requires_grad:
        return torch.autograd.grad(cost.sum(), weights, materialize_grads=True)
    if any(map(_is_own_module, (*game.generators.values(), game.critic))):
        raise ValueError(f"what the {role} descends does not depend on its weights: is something detached on the way?")
    return [torch.zeros_like(weight) for weight in weights]  # laws have critics that are tables


def _made_up(game: Played, role: Role) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """The columns and the noise of a turn: rows of numbers, of the first class."""
    kind = next(game.critic.parameters()).dtype
    count = game.batch_size if game.batch_size * math.prod(game.shape) <= NUMBERS_OF_A_BATCH else ROWS
    rows = {"x": latents(Need("normal", game.shape), 0, count).to(kind), "y": torch.zeros(count, dtype=torch.long)}
    noise = {name: latents(need, i, count).to(kind) for i, (name, need) in enumerate(game.needs(role).items())}
    return tuple(rows[column] for column in game.columns(role)), noise


def _check_sides(game: Played, state: Tree, scene: Any) -> None:
    """Raises ValueError where fakes are not of the shape of a sample, or the critic does not give a score of each."""
    for real, fake in zip(scene.real, scene.fake, strict=False):
        if real.shape[1:] != fake.shape[1:]:
            raise ValueError(
                f"a fake is of the shape {list(fake.shape[1:])} and a sample of {list(real.shape[1:])}: let the "
                "generator make one as the other"
            )
    critic, _ = game.dress(state["params"]["critic"], state["constraints"], advance=False)
    scores = networks.call(game.critic, critic, *scene.fake, *scene.given, precision=game.precision)
    if scores.dim() != (2 if game.objective.features else 1) or len(scores) != len(scene.fake[0]):
        wanted = "features [B, m]" if game.objective.features else "one score of each sample, [B]"
        flat = ": end it with nn.Flatten(0), or make it a gz.networks.Critic" if scores.shape[1:] == (1,) else ""
        raise ValueError(f"the critic gives {list(scores.shape)} for {len(scene.fake[0])} samples, not {wanted}{flat}")
    if not torch.isfinite(scores).all():
        raise ValueError("the critic's scores are not finite with its first weights, of rows of normal numbers")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def _find_dice(game: Played, players: Mapping[str, nn.Module], weights: Tree) -> str:
    """The first layer whose output is another under other chance, by its path and kind."""
    heard: list[tuple[str, Any]] = []

    def listen(path: str, layer: nn.Module) -> Any:
        words = f"{path} ({type(layer).__name__})"
        return layer.register_forward_hook(lambda layer, given, out: heard.append((words, out)))

    hooks = [
        listen(f"{name}'s {path or 'itself'}", layer)
        for name, m in players.items()
        for path, layer in m.named_modules()
    ]
    try:
        halves = []
        for chance in (0, 1):
            _play_first_turns(game, weights, chance)
            halves.append(list(heard))
            heard.clear()
    finally:
        for hook in hooks:
            hook.remove()
    for (words, a), (_, b) in zip(*halves, strict=False):
        if isinstance(a, Tensor) and isinstance(b, Tensor) and not _same(a.detach(), b.detach()):
            return words
    return "objective, draw, constraint or optimizer"
