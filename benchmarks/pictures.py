"""How fast turns on 32 x 32 pictures are, against plain eager loops of the same papers in the same run, and against
the physical floor.

    OMP_NUM_THREADS=1 python benchmarks/pictures.py [--quick] [--papers dcgan sngan wgan-gp]

One core, one thread; plain loop and engine alternate, medians of ratios are printed. The floor is the time that the
multiplications and additions of the plain loop's step would take at the rate of a large matrix product, measured in
the same run; it counts what the plain algorithm asks for, so exact algebra can go below it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import ganzfeld as gz
from ganzfeld import networks
from ganzfeld.plan import Shape

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from references import pictures as plain  # noqa: E402

SHAPE, BATCH, ROWS, STEPS = (3, 32, 32), 64, 2_048, 10**6


class Pictures:
    """Random bytes: what the numbers are does not change what they cost."""

    rows = ROWS

    def __init__(self) -> None:
        self.x = torch.randint(0, 256, (ROWS, *SHAPE), dtype=torch.uint8)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        return gz.data.numbers(self.x[rows.flatten()]).unflatten(0, rows.shape)

    def batches(self) -> Iterator[torch.Tensor]:
        while True:
            yield gz.data.numbers(self.x[torch.randint(0, ROWS, (BATCH,))])


class Counted(TorchDispatchMode):
    """Inside, the multiplications and additions of products and convolutions are counted, backward ones included."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


GAMES = {
    "dcgan": lambda: gz.papers.dcgan(Shape(SHAPE)),
    "sngan": lambda: gz.papers.sngan_pictures(Shape(SHAPE), networks.ResNet(), betas=(0.0, 0.9), critic_turns=5),
    "wgan-gp": lambda: gz.papers.wgan_gp_pictures(Shape(SHAPE), networks.DCGAN(critic_norm="none"), rate=1e-4),
}
PLAIN = {"dcgan": plain.dcgan, "sngan": plain.sngan, "wgan-gp": plain.wgan_gp}
ASKED = {"dcgan": 1.25, "sngan": 1.5, "wgan-gp": 1.25}


def ours(paper: str, data: Pictures):
    engine = gz.Engine(GAMES[paper](), data, [0], STEPS)
    engine.start()
    at = 0

    def play(n: int) -> None:
        nonlocal at
        until = at + n
        while at < until:
            at, _ = engine.advance(at, until)

    return play


def rate(seconds: float = 1.0) -> float:
    """Operations per second of a large matrix product, now."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def compare(paper: str, repeats: int, steps: int) -> None:
    data = Pictures()
    fast, slow = ours(paper, data), PLAIN[paper](SHAPE[0], data.batches())
    fast(1), slow(1)
    with Counted() as counter:
        slow(1)
    ratios, mine, theirs = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        slow(steps)
        middle = time.perf_counter()
        fast(steps)
        end = time.perf_counter()
        theirs.append((middle - start) / steps)
        mine.append((end - middle) / steps)
        ratios.append(theirs[-1] / mine[-1])
    floor = counter.total / rate()
    print(
        f"{paper:<8} plain {statistics.median(theirs):6.3f} s a step  ours {statistics.median(mine):6.3f} s"
        f"  {statistics.median(ratios):4.2f} times (from {min(ratios):.2f} to {max(ratios):.2f}; asked {ASKED[paper]})"
        f"  floor {floor:.3f} s, {floor / statistics.median(mine):.0%} of ours",
        flush=True,
    )


def memory(kind: str, paper: str) -> None:
    """In a process of its own: its peak resident memory, in MB."""
    data = Pictures()
    play = PLAIN[paper](SHAPE[0], data.batches()) if kind == "plain" else ours(paper, data)
    play(2)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)


def peak(kind: str, paper: str) -> float:
    words = [sys.executable, __file__, "--memory", kind, paper]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--papers", nargs="+", default=list(GAMES))
    parser.add_argument("--memory", nargs=2, metavar=("KIND", "PAPER"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.memory:
        memory(*asked.memory)
        return
    for paper in asked.papers:
        compare(paper, 3 if asked.quick else 7, {"dcgan": 8, "wgan-gp": 2, "sngan": 1}[paper])
    for paper in asked.papers:
        plain_peak, our_peak = peak("plain", paper), peak("ours", paper)
        print(f"peak memory, {paper}: {our_peak:.0f} MB, plain {plain_peak:.0f} MB, {our_peak / plain_peak:.2f} x")


if __name__ == "__main__":
    main()
