"""How fast turns on 32 x 32 pictures are, against plain eager loops of the same papers in the same run, and against
the physical floor.

    OMP_NUM_THREADS=1 python benchmarks/pictures.py [--quick] [--papers dcgan sngan wgan-gp]

Plain loop and engine each live in a process of their own, as they do where they are used (in one process each would
find the memory that the other has gathered), and play in turn, one thread each; medians of ratios are printed, and the
peak memory of each. The floor is the time that the multiplications and additions of the plain loop's step would take at
the rate of a large matrix product, measured in the same run; it counts what the plain algorithm asks for, so exact
algebra can go below it. The operations of both are printed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import ganzfeld as gz
from ganzfeld import networks

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from references import pictures as plain  # noqa: E402

Play = Callable[[int], object]
BATCH, ROWS, STEPS = 64, 2_048, 10**6


class Pictures:
    """Random bytes, on a device: what the numbers are does not change what they cost."""

    rows, lazy = ROWS, False

    def __init__(self, side: int = 32, device: str = "cpu") -> None:
        self.x = torch.randint(0, 256, (ROWS, 3, side, side), dtype=torch.uint8).to(device)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    def on(self, device: torch.device) -> Pictures:
        return self

    def announce(self, rows: torch.Tensor) -> None:
        """Nothing: they lie in memory."""

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        return gz.data.numbers(self.x[rows.flatten()]).unflatten(0, rows.shape)

    def batches(self) -> Iterator[torch.Tensor]:
        while True:
            yield gz.data.numbers(self.x[torch.randint(0, ROWS, (BATCH,), device=self.x.device)])


class Counted(TorchDispatchMode):
    """Inside, the multiplications and additions of products and convolutions are counted, backward ones included."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


GAMES = {
    "dcgan": gz.papers.dcgan,
    "sngan": lambda data: gz.papers.sngan(data, networks.ResNet(), betas=(0.0, 0.9), n_critic=5),
    "wgan-gp": lambda data: gz.papers.wgan_gp(data, networks.DCGAN(critic_norm="none"), lr=1e-4),
}
PLAIN = {"dcgan": plain.dcgan, "sngan": plain.sngan, "wgan-gp": plain.wgan_gp}
ASKED = {"dcgan": 1.25, "sngan": 1.5, "wgan-gp": 1.25}


def playing(engine: gz.Engine) -> Play:
    """A function that plays n more steps."""
    engine.start()
    at = 0

    def play(n: int) -> None:
        nonlocal at
        until = at + n
        while at < until:
            at, _ = engine.advance(at, until)

    return play


def lr(size: int = 1024, device: str = "cpu", dtype: torch.dtype = torch.float32, seconds: float = 1.0) -> float:
    """Operations per second of a large matrix product, now."""
    a, b = torch.randn(2, size, size, device=device, dtype=dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        float((a @ b)[0, 0])  # waits for it
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def player(kind: str, paper: str) -> None:
    """A process that plays: see `answer`."""
    data = Pictures()
    if kind == "plain":
        play = PLAIN[paper](3, data.batches())
    else:
        play = playing(gz.Engine(GAMES[paper](data), data, [0], STEPS))
    answer(play, peak)


def answer(play: Play, peak: Callable[[], float]) -> None:
    """Play as many steps as a line of the input says, and answer with the seconds a step took; answer ``count`` with
    the operations of one step, ``peak`` with the most memory there was, in MB."""
    play(2)
    for line in sys.stdin:
        if line == "count\n":
            with Counted() as counter:
                play(1)
            number = float(counter.total)
        elif line == "peak\n":
            number = peak()
        else:
            start = time.perf_counter()
            play(int(line))
            number = (time.perf_counter() - start) / int(line)
        print(number, flush=True)


def peak() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


class Player:
    """One end of the conversation with a process of a benchmark that plays."""

    def __init__(self, file: str, *words: str):
        self.process = subprocess.Popen(
            [sys.executable, file, "--player", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what: object) -> float:
        assert self.process.stdin and self.process.stdout
        print(what, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


def compare(paper: str, repeats: int, steps: int) -> None:
    plain_loop, engine = players = Player(__file__, "plain", paper), Player(__file__, "ours", paper)
    theirs, mine = [], []
    for _ in range(repeats):
        theirs.append(plain_loop.ask(steps))
        mine.append(engine.ask(steps))
    ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
    plain_peak, our_peak = (player.ask("peak") for player in players)  # before counting, which needs memory itself
    operations, ours = (player.ask("count") for player in players)
    for player in players:
        player.end()
    floor = operations / lr()
    print(
        f"{paper:<8} plain {statistics.median(theirs):6.3f} s a step  ours {statistics.median(mine):6.3f} s"
        f"  {statistics.median(ratios):4.2f} times (from {min(ratios):.2f} to {max(ratios):.2f}; asked {ASKED[paper]})"
        f"  {ours / 1e9:.1f} of {operations / 1e9:.1f} billion operations"
        f"  floor {floor:.3f} s, {floor / statistics.median(mine):.0%} of ours"
        f"  memory {our_peak:.0f} MB, plain {plain_peak:.0f} MB, {our_peak / plain_peak:.2f} x",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--papers", nargs="+", default=list(GAMES))
    parser.add_argument("--player", nargs=2, metavar=("KIND", "PAPER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.player:
        player(*asked.player)
        return
    for paper in asked.papers:
        compare(paper, 3 if asked.quick else 7, {"dcgan": 8, "wgan-gp": 2, "sngan": 1}[paper])


if __name__ == "__main__":
    main()
