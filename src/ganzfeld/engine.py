"""The engine: the only home of compilation, vmap, devices and ranks.

It deals data and noise to a `Game` and plays its turns, always through one pure function of many turns, `play`:

eager       operation by operation, gradients by ``torch.autograd.grad`` (cheaper than ``torch.func.grad`` when
            nothing is compiled)
compiled    several steps in one graph, gradients by ``torch.func.grad``
population  the same function of a stack of games: the gradient is mapped, everything else is elementwise. A
            population is cut into groups whose state stays in the processor's cache.
ranks       every process deals the same batch and keeps its share; scores are gathered, gradients summed. That is
            exact for any objective, where averaging the ranks' gradients is wrong for one that is not linear in the
            batch mean.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from . import tree
from .draws import Batch, Role
from .game import Game, Gather, Record, Turn, alone, moving
from .noise import Dealer, Noise
from .tree import Tree

Mode = Literal["eager", "compiled"]
ROLES: tuple[Role, ...] = ("critic", "generator")
TIDY = 25  # turns of long pieces of retrieval after which free memory goes back
UNROLL = 8  # turns in one graph: twice as many double the compile time and win little
STACK = 16  # games of one eager group: six cost .6 of a loop over them, at 128 wide as at 32
CACHE = 2**20  # bytes of weights of one group that stay close to the core
WORTH = 60_000  # turns of one game after which compiling has paid for itself: each saves half a millisecond and more


class Source(Protocol):
    """What the engine reads of a data set."""

    @property
    def rows(self) -> int: ...

    def take(self, rows: Tensor) -> Tensor: ...

    def classes(self, rows: Tensor) -> Tensor:
        """Asked of data for a game with labels alone."""
        ...


@runtime_checkable
class Sided(Protocol):
    """A data set whose rows differ with the role whose turn it is: relevant pairs, queries."""

    def side(self, role: Role) -> Source: ...


@runtime_checkable
class Slow(Protocol):
    """A data set that may want to know early which rows come next."""

    @property
    def lazy(self) -> bool: ...

    def ahead(self, rows: Tensor) -> None: ...


class Ranks:
    """This process among those that torchrun started, or alone; left together, as a ``with`` block."""

    def __init__(self) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.joined = self.world > 1 and not torch.distributed.is_initialized()
        if self.joined:
            torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.joined:
            if kind is None:  # one that leaves while another still speaks would abort it
                torch.distributed.barrier()
            torch.distributed.destroy_process_group()

    def gather(self, scores: Tensor) -> Tensor:
        """All ranks' scores along the batch; the gradient flows through one's own."""
        if self.world == 1:
            return scores
        parts = [torch.empty_like(scores) for _ in range(self.world)]
        torch.distributed.all_gather(parts, scores.detach().contiguous())
        parts[self.rank] = scores
        return torch.cat(parts)

    def reduce(self, gradient: Tensor) -> Tensor:
        """The sum over ranks: each holds the gradient through its own scores."""
        if self.world > 1:
            torch.distributed.all_reduce(gradient)
        return gradient

    def any(self, flag: bool) -> bool:
        """Whether any rank raises the flag: all must stop at the same step."""
        if self.world == 1:
            return flag
        flags = torch.tensor(float(flag))
        torch.distributed.all_reduce(flags)
        return bool(flags > 0)


def choose(asked: str, game: Game, steps: int, members: int) -> Mode:
    """The engine for a run. ``auto`` is a function of the run's length alone, so that equal commands give equal
    bits; where no compiler is found it falls back, and says so on standard error."""
    if asked not in ("auto", "eager", "compiled"):
        raise ValueError(f"the engine is auto, eager or compiled, not {asked!r}")
    turns = steps * moves(game.schedule(steps // 2)) * members
    if game.draw.discrete:
        if asked == "compiled":
            raise ValueError("retrieval draws as many documents as a batch has queries: it is played eagerly")
        return "eager"
    if asked == "eager" or (asked == "auto" and (turns < WORTH or convolves(game))):
        return "eager"
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        print("no C++ compiler found (g++): playing eagerly", file=sys.stderr)
        return "eager"
    return "compiled"


def convolves(game: Game) -> bool:
    """Whether convolutions are what a turn costs: they are as fast eagerly, and gain nothing from being mapped."""
    return any(p.dim() > 3 for m in (*game.generators.values(), game.critic) for p in m.parameters())


def moves(turns: Sequence[Turn]) -> int:
    """How many moves the turns are made of."""
    return sum(len(moving(turn)) for turn in turns)


Slopes = Callable[[Tree, Batch, Noise], tuple[dict[Role, Tree], tuple[Tree, Record]]]


def slope(game: Game, roles: tuple[Role, ...], mode: Mode, mapped: bool, gather: Gather = alone) -> Slopes:
    """(state, batch, noise) -> ({role: gradients}, (memory, record)) for one game or, mapped, for a stack. Both roles
    at once are differentiated through one pass over scene and critic."""
    if mode == "compiled":

        def ahead(state, batch, noise):
            gradients, record = {}, {}
            for role in roles:  # at once the generator side meets the critic as it is dressed in the critic's turn
                gradients[role], (memory, more) = game.gradient(role, state, batch, noise, gather)
                state, record = {**state, "constraints": memory}, {**record, **more}
            return gradients, (state["constraints"], record)

        return torch.vmap(ahead) if mapped else ahead

    def costs(mine, state, batch, noise):
        return game.costs(roles, mine, state, batch, noise, gather)

    def back(state, batch, noise):
        mine = {name: leaves for role in roles for name, leaves in _leaves(game, role, state).items()}
        return _backward(game, *(torch.vmap(costs) if mapped else costs)(mine, state, batch, noise), mine)

    return back


def _leaves(game: Game, role: Role, state: Tree) -> Tree:
    """The role's weights, to be differentiated by."""
    return tree.map(lambda p: p.detach().requires_grad_(), game.moved(state["params"], role))


def _backward(
    game: Game, costs: Mapping[Role, Tensor], rest: tuple[Tree, Record], mine: Tree
) -> tuple[dict[Role, Tree], tuple[Tree, Record]]:
    gradients, last = {}, list(costs)[-1]
    for role, cost in costs.items():
        own = game.moved(mine, role)
        found = torch.autograd.grad(cost.sum(), tree.leaves(own), retain_graph=role != last, materialize_grads=True)
        gradients[role] = tree.like(own, found)
    memory, record = rest
    return gradients, (tree.map(Tensor.detach, memory), record)


def shared(game: Game, gather: Gather = alone) -> dict[Role, Slopes]:
    """The slopes of a critic's turn and of the generator's after it, on one fake batch that is made once: the critic
    takes it as a constant, the generator's gradient goes back through it."""
    made: dict[str, Any] = {}

    def critic(state, batch, noise):
        made["mine"] = _leaves(game, "generator", state)
        made["scene"] = scene = game.scene({**state["params"], **made["mine"]}, "critic", batch, noise)
        real, fake = (tuple(x.detach() for x in side) for side in (scene.real, scene.fake))
        fixed = scene._replace(real=real, fake=fake)
        mine = _leaves(game, "critic", state)
        return _backward(game, *game.costs(("critic",), mine, state, batch, noise, gather, fixed), mine)

    def generator(state, batch, noise):
        mine, scene = made.pop("mine"), made.pop("scene")
        return _backward(game, *game.costs(("generator",), mine, state, batch, noise, gather, scene), mine)

    return {"critic": critic, "generator": generator}


def player(game: Game, turns: Sequence[Turn], mode: Mode, mapped: bool, ranks: Ranks | None = None) -> Callable:
    """The pure function that plays the turns in order.

    ``play(state, batches, noises, tempos) -> (state, records)``: batches and noises are trees by role and name, with
    the turns of the role as leading dimension (behind the members', where mapped); tempos by role, a row a turn;
    records by name, [turns] or [members, turns].
    """
    gather, reduce = (ranks.gather, ranks.reduce) if ranks else (alone, alone)
    slopes = {turn: slope(game, moving(turn), mode, mapped, gather) for turn in set(turns)}
    pair = shared(game, gather) if game.share and mode == "eager" and not mapped else {}

    def play(state, batches, noises, tempos):
        records: dict[str, list[Tensor]] = {}
        played = dict.fromkeys(ROLES, 0)
        held: Noise = {}
        before = None
        for turn, after in zip(turns, [*turns[1:], "critic"], strict=True):
            first = moving(turn)[0]
            if first == "critic" or not game.share:  # else: those of the critic's turn before
                at = partial(torch.select, dim=int(mapped), index=played[first])
                batch = tuple(at(x) for x in batches[first].values())
                noise = {name: at(draw) for name, draw in noises[first].items()}
            if game.draw.discrete:  # the last turn's, where it was of the same players on the same rows
                held = held if turn == before and not game.batch_size else game.still(moving(turn), state, batch)
                noise, before = {**noise, **held}, turn
            side = pair if pair and "generator" in (turn, after) and turn != "both" else slopes
            gradients, (memory, record) = side[turn](state, batch, noise)
            for role in moving(turn):
                gradient = reduce(tree.vector(gradients[role], int(mapped)))
                record = {**record, f"{role}_gradient": torch.linalg.vector_norm(gradient, dim=-1)}
                state = game.update(role, state, gradient, memory, tempos[role][played[role]], int(mapped))
                played[role] += 1
            for name, value in record.items():
                records.setdefault(name, []).append(value)
            if game.draw.discrete and sum(played.values()) % TIDY == 0:
                _give_back()
        return state, {name: torch.stack(values, -1) for name, values in records.items()}

    return play


class Engine:
    """Plays a population of games, one per seed, from the same data.

    steps: the length of the whole run, which the rates' schedule needs.
    """

    def __init__(
        self,
        game: Game,
        data: Source | Sided,
        seeds: Sequence[int],
        steps: int,
        mode: Mode = "eager",
        ranks: Ranks | None = None,
    ):
        self.game, self.data, self.steps, self.mode = game, data, steps, mode
        self._slow = data if isinstance(data, Slow) and data.lazy else None
        self.ranks = ranks if ranks and ranks.world > 1 else None
        self.seeds = tuple(seeds)
        if self.ranks and game.draw.discrete:
            raise ValueError("retrieval is played by one process: start it without torchrun")
        self._sides: dict[Role, Source] = {r: data.side(r) if isinstance(data, Sided) else data for r in ROLES}
        rows: dict[str, int] = {role: side.rows for role, side in self._sides.items()}
        batch = {
            role: min(game.batch_size or n, n) if game.draw.discrete else game.batch_size for role, n in rows.items()
        }
        share = (self.ranks.rank, self.ranks.world) if self.ranks else (0, 1)
        groups = _groups(self.seeds, self._group_size())
        self._dealers = [
            Dealer({r: game.needs(r) for r in ROLES}, g, batch, rows, share, not game.batch_size) for g in groups
        ]
        self.batch = batch["critic"]
        self._whole: dict[Role, Tensor] = {}
        self.groups: list[Tree] = []
        self._players: dict[tuple[Turn, ...], Callable] = {}
        self._turns: tuple[int, dict[Role, int]] = (0, dict.fromkeys(ROLES, 0))

    def _group_size(self) -> int:
        """Games that are played as one stack: eagerly many, since calls are what costs; compiled, all that fit the
        cache; one by one across ranks, where they convolve (mapped convolutions lose to a loop), and where they
        retrieve (each meets documents of its own)."""
        if self.ranks or self.game.draw.discrete or convolves(self.game):
            return 1
        if self.mode == "eager":
            return STACK
        weights = sum(p.numel() for m in (*self.game.generators.values(), self.game.critic) for p in m.parameters())
        return max(1, CACHE // (4 * weights))

    # --- state ---

    def start(self) -> None:
        self.load([self.game.init(seed) for seed in self.seeds])

    def load(self, states: Sequence[Tree]) -> None:
        """Take over the states of all members, in the order of the seeds."""
        supply = iter(states)
        self.groups = [
            tree.stack([next(supply) for _ in d.seeds]) if len(d.seeds) > 1 else next(supply) for d in self._dealers
        ]

    def states(self) -> list[Tree]:
        """The state of every member."""
        return [
            s
            for dealer, group in zip(self._dealers, self.groups, strict=True)
            for s in (tree.unstack(group) if len(dealer.seeds) > 1 else [group])
        ]

    # --- playing ---

    def advance(self, step: int, until: int) -> tuple[int, dict[str, Tensor]]:
        """Play from ``step`` as far as one piece goes, at most to ``until``.

        Returns the step reached and the records by name, [members, turns]. How the way is cut into pieces follows
        from the steps alone, so that a resumed run repeats the arithmetic of one never stopped.
        """
        rounds = self._rounds(step, until)
        turns = tuple(turn for s in range(step, step + rounds) for turn in self.game.schedule(s))
        play = self._player(turns, whole=rounds * moves(self.game.schedule(step)) > UNROLL // 2)
        first, tempos = self._tempos(step, rounds)
        records = []
        for i, dealer in enumerate(self._dealers):
            batches, noises = self._deal(dealer, turns, first)
            self.groups[i], record = play(self.groups[i], batches, noises, tempos)
            records.append(record if len(dealer.seeds) > 1 else tree.map(lambda x: x.unsqueeze(0), record))
        return step + rounds, tree.concat(records)

    def _rounds(self, step: int, until: int) -> int:
        """Steps played by one call: several where they are alike, cut at multiples of their number."""
        turns = self.game.schedule(step)
        many = max(1, UNROLL // moves(turns))
        alike = all(self.game.schedule(s) == turns for s in range(step, step + many))
        whole = step % many == 0 and step + many <= until
        return many if alike and whole else 1

    def _player(self, turns: tuple[Turn, ...], whole: bool) -> Callable:
        """Whole pieces of a regular schedule are compiled; a remainder or a long warm-up is not worth a graph."""
        if turns not in self._players:
            mode: Mode = self.mode if whole and moves(turns) <= 2 * UNROLL else "eager"
            play = player(self.game, turns, mode, len(self._dealers[0].seeds) > 1, self.ranks)
            self._players[turns] = _compile(play) if mode == "compiled" else play
        return self._players[turns]

    def _deal(self, dealer: Dealer, turns: Sequence[Turn], first: dict[Role, int]):
        batches: dict[Role, dict[str, Tensor]] = {}
        noises: dict[Role, dict[str, Tensor]] = {}
        for role in ROLES:
            batches[role], noises[role] = {}, {}
            if not (count := sum(role in moving(turn) for turn in turns)):
                continue
            single = (lambda x: x[0]) if len(dealer.seeds) == 1 else (lambda x: x)
            if self.game.reads_data(role) or self.game.reads_labels(role):
                rows = single(dealer.order(role, first[role], count))
                if self.game.reads_data(role):
                    batches[role]["x"] = self._take(role, rows)
                if self.game.reads_labels(role):
                    batches[role]["y"] = self._sides[role].classes(rows)
                if self._slow:
                    self._slow.ahead(single(dealer.order(role, first[role] + count, count)))
            noises[role] = {n: single(x) for n, x in dealer.noise(role, first[role], count).items()}
        return batches, noises

    def _take(self, role: Role, rows: Tensor) -> Tensor:
        """The rows of some turns [turns, batch]; all rows are taken once, and are those of every turn."""
        side = self._sides[role]
        if self.game.batch_size:
            return side.take(rows)
        if role not in self._whole:
            self._whole[role] = side.take(torch.arange(side.rows))
        return self._whole[role].expand(len(rows), *self._whole[role].shape)

    def _tempos(self, step: int, rounds: int) -> tuple[dict[Role, int], dict[Role, list[tuple[float, ...]]]]:
        """How often each role has played before ``step``, and the numbers of its coming turns."""
        at, played = self._turns
        if at > step:
            at, played = 0, dict.fromkeys(ROLES, 0)
        for s in range(at, step):
            roles = [role for turn in self.game.schedule(s) for role in moving(turn)]
            played = {role: played[role] + roles.count(role) for role in ROLES}
        self._turns = (step, played)
        now = dict(played)
        tempos: dict[Role, list[tuple[float, ...]]] = {role: [] for role in ROLES}
        for s in range(step, step + rounds):
            for role in (role for turn in self.game.schedule(s) for role in moving(turn)):
                now[role] += 1
                tempos[role].append(self.game.tempo(role, now[role], self.game.pace(s / self.steps)))
        return played, tempos


def _give_back() -> None:
    """Free memory goes back to the system: tables of all candidates leave holes that smaller tensors settle in, and a C
    library may hold twice what is used. One that knows no such call is left alone."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _groups(seeds: tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    """Groups of one size, the largest that divides the population: one graph serves them all."""
    size = next(s for s in range(min(size, len(seeds)), 0, -1) if len(seeds) % s == 0)
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]


def _compile(play: Callable) -> Callable:
    """One graph of the whole piece, traced at its first call for the shapes it meets then.

    The piece is a pure function of trees of tensors, so tracing its operations is enough: no bytecode is analysed and
    no guards are checked at every call, which would cost as much as a small turn. Products with a side of one or two
    (a plane's coordinates, the score) are written as sums, which fuse with their neighbours, where a call to a matrix
    product would cost more than its arithmetic.
    """
    held: dict[str, Any] = {}

    def trace(asked: Tree) -> None:
        from torch._inductor.compile_fx import compile_fx
        from torch._inductor.decomposition import select_decomp_table
        from torch.fx.experimental.proxy_tensor import make_fx

        def flat(*inputs: Tensor) -> list[Tensor]:
            state, records = play(*tree.like(asked, inputs).values())
            held["outputs"] = {"state": state, "records": records}
            return tree.leaves(held["outputs"])

        aten = torch.ops.aten
        table: dict[Any, Callable] = {
            **select_decomp_table(),
            aten.mm.default: _thin_product,
            aten.addmm.default: _thin_affine,
        }
        inputs = tree.leaves(asked)
        graph = make_fx(flat, tracing_mode="fake")(*inputs)
        held["outputs"] = tree.map(lambda _: torch.empty(0), held["outputs"])  # keys alone, no traced tensors
        held["graph"] = compile_fx(graph, inputs, decompositions=table, config_patches={"cpp_wrapper": True})
        # the compiler leaves half a million objects behind that every full collection would walk
        gc.collect()
        gc.freeze()

    @torch.no_grad()  # torch.func takes its gradients inside
    def compiled(state, batches, noises, tempos):
        dtype = tree.leaves(state)[0].dtype
        rows = {role: torch.tensor(numbers, dtype=dtype) for role, numbers in tempos.items()}
        asked = {"state": state, "batches": batches, "noises": noises, "tempos": rows}
        if not held:
            trace(asked)
        return tuple(tree.like(held["outputs"], held["graph"](*tree.leaves(asked))).values())

    return compiled


def _thin_product(a: Tensor, b: Tensor) -> Tensor:
    rows, inner, columns = *a.shape, b.shape[1]
    if inner <= 2:
        return sum(a[:, i : i + 1] * b[i : i + 1] for i in range(inner))  # type: ignore[return-value]
    if columns <= 2:
        return torch.stack([(a * b[:, j]).sum(1) for j in range(columns)], 1)
    if rows <= 2:
        return torch.stack([(a[i].unsqueeze(1) * b).sum(0) for i in range(rows)])
    return NotImplemented


def _thin_affine(c: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    product = _thin_product(a, b) if beta == alpha == 1 else NotImplemented
    return product if product is NotImplemented else product + c
