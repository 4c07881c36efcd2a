"""The engine proper: deals data and noise to a population of games, and has their turns played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..core import tree
from ..core.randomness import NoiseDealer
from ..core.tree import Tree
from ..draws import Role
from ..game import Game
from ..schedule import Turn, moves, moving
from .captured import captured
from .choice import CPU, Mode, convolves
from .compiled import compiled
from .ranks import Ranks
from .turns import ROLES, player

TURNS_PER_GRAPH = 8  # twice as many double the compile time and win little
GAMES_PER_STACK = 16  # of one eager group: six cost .6 of a loop over them, at 128 wide as at 32
CACHE_BYTES = 2**20  # of weights of one group that stay close to the core
GRAPHS: dict[Mode, Callable[[Callable], Callable]] = {
    "eager": lambda play: play,
    "compiled": compiled,
    "captured": captured,
}


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
class Stored(Protocol):
    """A data set that knows where its rows lie: in memory, and then they can be held, and taken, on another device, or
    (lazy) where it is slow, and then it may want to know early which come next."""

    @property
    def lazy(self) -> bool: ...

    def announce(self, rows: Tensor) -> None: ...

    def to(self, device: torch.device) -> Source: ...


class Engine:
    """Plays a population of games, one per seed, from the same data.

    steps: the length of the rates' schedule. device: where the states lie while they are
    played; what goes in and comes out lies in the processor's memory. Chance is dealt there, too, so that a run meets
    the same noise on every device.
    """

    def __init__(
        self,
        game: Game,
        data: Source | Sided,
        seeds: Sequence[int],
        steps: int,
        mode: Mode = "eager",
        ranks: Ranks | None = None,
        device: torch.device = CPU,
    ):
        self.game, self.steps, self.mode, self.device = game, steps, mode, device
        stored = data if isinstance(data, Stored) else None
        self._slow = stored if stored and stored.lazy else None
        self.ranks = ranks if ranks and ranks.world > 1 else None
        self.seeds = tuple(seeds)
        if self.ranks and not game.draw.regular:
            name = type(game.draw).__name__
            raise ValueError(f"turns of {name} differ in shape: one process plays them, started without torchrun")
        if device.type == "cuda":
            torch.cuda.set_device(device)  # the one whose streams are captured
        self._home = CPU  # where rows are taken
        if stored and not stored.lazy and device != CPU:
            data, self._home = stored.to(device), device
        self._sides: dict[Role, Source] = {r: data.side(r) if isinstance(data, Sided) else data for r in ROLES}
        rows: dict[str, int] = {role: side.rows for role, side in self._sides.items()}
        size = game.batch_size
        batch = {role: size if game.draw.regular else min(size or n, n) for role, n in rows.items()}
        share = (self.ranks.rank, self.ranks.world) if self.ranks else (0, 1)
        groups = _groups(self.seeds, self._group_size())
        self._dealers = [
            NoiseDealer({r: game.needs(r) for r in ROLES}, g, batch, rows, share, not game.batch_size) for g in groups
        ]
        self.batch = batch["critic"]
        self._whole: dict[Role, Tensor] = {}
        self.groups: list[Tree] = []
        self._players: dict[tuple, Callable] = {}
        self._turns: tuple[int, dict[Role, int]] = (0, dict.fromkeys(ROLES, 0))

    def _group_size(self) -> int:
        """Games that are played as one stack: eagerly many, since calls are what costs; compiled, all that fit the
        cache; one by one across ranks, where they convolve (mapped convolutions lose to a loop), and where each
        meets shapes of its own."""
        if self.ranks or not self.game.draw.regular or convolves(self.game):
            return 1
        if self.mode == "eager":
            return GAMES_PER_STACK
        weights = sum(p.numel() for m in (*self.game.generators.values(), self.game.critic) for p in m.parameters())
        return max(1, CACHE_BYTES // (4 * weights))

    # --- state ---

    def start(self) -> None:
        self.load([self.game.init(seed) for seed in self.seeds])

    def load(self, states: Sequence[Tree]) -> None:
        """Take over the states of all members, in the order of the seeds."""
        supply = iter(tree.map(self._here, state) for state in states)
        self.groups = [
            tree.stack([next(supply) for _ in d.seeds]) if len(d.seeds) > 1 else next(supply) for d in self._dealers
        ]

    def states(self) -> list[Tree]:
        """The state of every member."""
        return [
            tree.map(torch.Tensor.cpu, s)
            for dealer, group in zip(self._dealers, self.groups, strict=True)
            for s in (tree.unstack(group) if len(dealer.seeds) > 1 else [group])
        ]

    # --- playing ---

    def advance(self, step: int, until: int) -> tuple[int, dict[str, Tensor]]:
        """Play from ``step`` as far as one piece goes, at most to ``until``.

        Returns the step reached and the records by name, [members, turns]. How the way is cut into pieces follows
        from the steps alone, so that a resumed run repeats the arithmetic of one never stopped; of graphs that needs
        the same ``until``, too, since what is left of a piece is played eagerly.
        """
        rounds = self._rounds(step, until)
        return step + rounds, tree.map(torch.Tensor.cpu, self._play(step, rounds))

    def _play(self, step: int, rounds: int) -> dict[str, Tensor]:
        turns = tuple(turn for s in range(step, step + rounds) for turn in self.game.schedule(s))
        first, numbers = self._numbers(step, rounds)
        acting = tuple(self.game.acting(first["critic"] + 1 + i) for i in range(len(numbers["critic"])))
        play = self._player(turns, acting, whole=rounds * moves(self.game.schedule(step)) > TURNS_PER_GRAPH // 2)
        records = []
        for i, dealer in enumerate(self._dealers):
            batches, noises = self._deal(dealer, turns, first)
            self.groups[i], record = play(self.groups[i], batches, noises, numbers)
            records.append(record if len(dealer.seeds) > 1 else tree.map(lambda x: x.unsqueeze(0), record))
        return tree.concat(records)

    def _rounds(self, step: int, until: int) -> int:
        """Steps played by one call: several where they are alike, cut at multiples of their number."""
        turns = self.game.schedule(step)
        many = piece_steps(self.game, step)
        alike = all(self.game.schedule(s) == turns for s in range(step, step + many))
        whole = step % many == 0 and step + many <= until
        return many if alike and whole else 1

    def _player(self, turns: tuple[Turn, ...], acting: tuple[tuple[int, ...], ...], whole: bool) -> Callable:
        """Whole pieces of a regular schedule become graphs; a remainder or a long warm-up is not worth one. Pieces in
        which other constraints act are other functions."""
        key = turns, acting
        if key not in self._players:
            mode: Mode = self.mode if whole and moves(turns) <= 2 * TURNS_PER_GRAPH else "eager"
            play = player(self.game, turns, mode, len(self._dealers[0].seeds) > 1, self.ranks, acting)
            self._players[key] = GRAPHS[mode](play)
        return self._players[key]

    def _deal(self, dealer: NoiseDealer, turns: Sequence[Turn], first: dict[Role, int]):
        batches: dict[Role, dict[str, Tensor]] = {}
        noises: dict[Role, dict[str, Tensor]] = {}
        for role in ROLES:
            batches[role], noises[role] = {}, {}
            if not (count := sum(role in moving(turn) for turn in turns)):
                continue
            single = (lambda x: x[0]) if len(dealer.seeds) == 1 else (lambda x: x)
            if columns := self.game.columns(role):
                rows = single(dealer.order(role, first[role], count))
                batches[role] = {column: self._take(role, column, rows) for column in columns}
                if self._slow:
                    self._slow.announce(single(dealer.order(role, first[role] + count, count)))
            noises[role] = {n: self._here(single(x)) for n, x in dealer.noise(role, first[role], count).items()}
        return batches, noises

    def _take(self, role: Role, column: str, rows: Tensor) -> Tensor:
        """The rows of some turns [turns, batch], or their labels; all rows are taken once, and are those of every
        turn."""
        side = self._sides[role]
        if column == "y":
            return self._here(side.classes(rows.to(self._home)))
        if self.game.batch_size:
            return self._here(side.take(rows.to(self._home)))
        if role not in self._whole:
            self._whole[role] = side.take(torch.arange(side.rows))
        return self._whole[role].expand(len(rows), *self._whole[role].shape)

    def _here(self, x: Tensor) -> Tensor:
        return x.to(self.device)

    def _numbers(self, step: int, rounds: int) -> tuple[dict[Role, int], dict[Role, list[tuple[float, ...]]]]:
        """How often each role has played before ``step``, and the numbers of its coming turns, a row a turn: its step
        sizes and, last, the turn's own."""
        at, played = self._turns
        if at > step:
            at, played = 0, dict.fromkeys(ROLES, 0)
        for s in range(at, step):
            roles = [role for turn in self.game.schedule(s) for role in moving(turn)]
            played = {role: played[role] + roles.count(role) for role in ROLES}
        self._turns = (step, played)
        now = dict(played)
        numbers: dict[Role, list[tuple[float, ...]]] = {role: [] for role in ROLES}
        for s in range(step, step + rounds):
            for role in (role for turn in self.game.schedule(s) for role in moving(turn)):
                now[role] += 1
                factor = self.game.lr_schedule(s, self.steps)
                numbers[role].append((*self.game.step_sizes(role, now[role], factor), now[role]))
        return played, numbers


def piece_steps(game: Game, step: int) -> int:
    """How many steps like this one are played by one call."""
    return max(1, TURNS_PER_GRAPH // moves(game.schedule(step)))


def _groups(seeds: tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    """Groups of one size, the largest that divides the population: one graph serves them all."""
    size = next(s for s in range(min(size, len(seeds)), 0, -1) if len(seeds) % s == 0)
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]
