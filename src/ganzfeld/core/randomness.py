"""Chance, dealt from the outside.

Nothing below the engine rolls dice. A draw or a constraint declares the noise it *needs*, by name, law and
shape; a `NoiseDealer` deals it. What is dealt is a function of ``(seed, role, name, turn)`` alone, so that

* a member of a population meets the same noise as the same seed played alone,
* a resumed run meets the noise it would have met,
* N ranks meet, together, the noise of one process: each deals the whole and keeps its share.

Seeding a generator per turn costs as much as a small turn, so a block of turns is dealt at once, from a generator
seeded by a hash of ``(seed, role, name, block)``; the block's length depends on the shape of the need alone.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .names import unknown_name

Law = Literal["normal", "uniform"]
Noise = Mapping[str, Tensor]

BLOCK_NUMBERS = 2**17  # numbers dealt at once for one member and one name: half a megabyte
BLOCK_ROWS = 64  # latents dealt at once to a user who samples


class Need(NamedTuple):
    """What one turn consumes of one name: a law and the shape behind the batch dimension. fixed: the first turn's
    numbers in every turn."""

    law: Law
    shape: tuple[int, ...]
    fixed: bool = False


def generator(*key: object) -> torch.Generator:
    """A generator seeded by a hash of its key: different keys, independent streams."""
    key = tuple(int(part) if isinstance(part, Integral) and not isinstance(part, bool) else part for part in key)
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@contextlib.contextmanager
def global_seed(*key: object) -> Iterator[None]:
    """Inside, torch's global generator is seeded by the key; outside it is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(generator(*key).get_state())
        yield


def latents(need: Need, seed: int, rows: int, name: str = "sample") -> Tensor:
    """Rows of noise [rows, *shape] for a user: row i depends on (seed, i) alone, not on how many are asked for. name:
    of the noise; another name is another, independent one."""
    blocks = [fill(torch.empty(BLOCK_ROWS, *need.shape), need.law, generator(seed, name, i))
              for i in range(-(-rows // BLOCK_ROWS))]  # fmt: skip
    return torch.cat(blocks)[:rows]


def draw_classes(counts: Sequence[int], seed: int, rows: int) -> Tensor:
    """Classes [rows], each in its share of the counts: row i depends on (seed, i) alone. A class that counts 0 is never
    drawn."""
    ends = torch.tensor(counts, dtype=torch.float64).cumsum(0)
    places = latents(Need("uniform", ()), seed, rows, "class").double() * ends[-1]
    return torch.searchsorted(ends, places, right=True)


def great_circle(a: Tensor, b: Tensor, n: int) -> Tensor:
    """n points [n, *shape] on the great circle from a to b: a straight line would pass through latents too short to be
    normal. One number has no circle, and latents that are parallel have none between them: a straight line."""
    t = torch.linspace(0, 1, n).view(-1, *[1] * a.dim())
    angle = torch.arccos(((a * b).sum() / (a.norm() * b.norm())).clamp(-1, 1))
    if torch.sin(angle) < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def fill(out: Tensor, law: Law, rng: torch.Generator) -> Tensor:
    """Numbers of a law, in place. Raises ValueError for a law that is neither normal nor uniform."""
    if law not in ("normal", "uniform"):
        raise unknown_name("law of noise", law, ("normal", "uniform"))
    return out.normal_(generator=rng) if law == "normal" else out.uniform_(generator=rng)


class NoiseDealer:
    """Deals batches of a data set and noise to the members of a population, turn by turn.

    batch_size, rows: of a batch and of the data, one number or one for each role; whole: every batch is all rows, in
    their order; seeds: one per member; share: (rank, ranks).
    """

    def __init__(
        self,
        needs: Mapping[str, Mapping[str, Need]],
        seeds: Sequence[int],
        batch_size: int | Mapping[str, int],
        rows: int | Mapping[str, int],
        share: tuple[int, int] = (0, 1),
        whole: bool = False,
    ):
        self.needs, self.seeds, self.whole = needs, tuple(seeds), whole
        self.batch_size = _by_role(needs, batch_size)
        self.rows = _by_role(needs, rows)
        self.slice = {role: _slice(n, *share) for role, n in self.batch_size.items()}
        self._blocks: dict[tuple[str, str], tuple[int, Tensor]] = {}
        self._decks: dict[tuple[str, int], tuple[int, Tensor]] = {}

    def noise(self, role: str, turn: int, turns: int) -> dict[str, Tensor]:
        """Noise of ``turns`` turns from ``turn`` on: name -> [members, turns, batch share, *shape]."""
        return {name: self._rows(role, name, need, turn, turns) for name, need in self.needs[role].items()}

    def _rows(self, role: str, name: str, need: Need, turn: int, turns: int) -> Tensor:
        length = max(1, BLOCK_NUMBERS // (self.batch_size[role] * max(1, torch.Size(need.shape).numel())))
        if need.fixed:
            first = self._block(role, name, need, 0, length)[:, :1, self.slice[role]]
            return first.expand(-1, turns, *first.shape[2:])
        out = torch.empty(len(self.seeds), turns, self.slice[role].stop - self.slice[role].start, *need.shape)
        done = 0
        while done < turns:  # into place: blocks of a long piece would be held until the last was there
            block, start = divmod(turn + done, length)
            count = min(turns - done, length - start)
            whole = self._block(role, name, need, block, length)
            out[:, done : done + count] = whole[:, start : start + count, self.slice[role]]
            done += count
        return out

    def _block(self, role: str, name: str, need: Need, block: int, length: int) -> Tensor:
        cached = self._blocks.get((role, name))
        if cached is None or cached[0] != block:
            out = torch.empty(len(self.seeds), length, self.batch_size[role], *need.shape)
            for part, seed in zip(out, self.seeds, strict=True):
                fill(part, need.law, generator(seed, role, name, block))
            cached = self._blocks[role, name] = (block, out)
        return cached[1]

    def order(self, role: str, turn: int, turns: int) -> Tensor:
        """Which rows of the data the turns read: [members, turns, batch share], every row once an epoch."""
        size = self.batch_size[role]
        start, count = turn * size, turns * size
        if self.whole:
            return torch.arange(size)[self.slice[role]].expand(len(self.seeds), turns, -1)
        rows = torch.stack([self._deal(role, seed, start, count) for seed in self.seeds])
        return rows.view(len(self.seeds), turns, size)[:, :, self.slice[role]]

    def _deal(self, role: str, seed: int, start: int, count: int) -> Tensor:
        parts = []
        while count:
            epoch, first = divmod(start, self.rows[role])
            part = self._deck(role, seed, epoch)[first : first + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _deck(self, role: str, seed: int, epoch: int) -> Tensor:
        cached = self._decks.get((role, seed))
        if cached is None or cached[0] != epoch:
            deck = torch.randperm(self.rows[role], generator=generator(seed, role, "order", epoch))
            cached = self._decks[role, seed] = (epoch, deck.int())
        return cached[1]


def _by_role(roles: Iterable[str], number: int | Mapping[str, int]) -> Mapping[str, int]:
    return dict.fromkeys(roles, number) if isinstance(number, int) else number


def _slice(size: int, rank: int, ranks: int) -> slice:
    """A rank's share of a batch."""
    if size % ranks:
        raise ValueError(f"a batch of {size} cannot be dealt in equal shares to {ranks} ranks")
    return slice(rank * size // ranks, (rank + 1) * size // ranks)
