"""How fast turns are, against a plain eager loop in the same run, and against the physical floor.

    OMP_NUM_THREADS=1 python benchmarks/speed.py [--quick]

One core, one thread, the non-saturating game. Plain loop and engines alternate; medians of ratios are printed. The
floor is the time of the turn's matrix products alone, at the rate the same product reaches by itself.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import softplus

import ganzfeld as gz
from ganzfeld.networks import MLP
from ganzfeld.runs.plan import StandIn

STEPS = 10**6  # of the whole run, for the schedule; only a piece is timed


class Plane:
    rows = 100_000

    def __init__(self):
        self.x = torch.randn(self.rows, 2)

    def take(self, rows):
        return self.x[rows]


def plain(width: int, batch: int, data: Plane):
    """A textbook loop with torch.optim.Adam: a closure that plays n steps."""
    generator, critic = MLP(width=width, depth=2).pair((2,))
    critic_rule = torch.optim.Adam(critic.parameters(), 1e-3, (0.0, 0.99))
    generator_rule = torch.optim.Adam(generator.parameters(), 1e-3, (0.0, 0.99))

    def play(n: int) -> None:
        for _ in range(n):
            real = data.x[torch.randint(0, data.rows, (batch,))]
            with torch.no_grad():
                fake = generator(torch.randn(batch, 2))
            loss = softplus(-critic(real)).mean() + softplus(critic(fake)).mean()
            critic_rule.zero_grad()
            loss.backward()
            critic_rule.step()
            critic.requires_grad_(False)
            loss = softplus(-critic(generator(torch.randn(batch, 2)))).mean()
            generator_rule.zero_grad()
            loss.backward()
            generator_rule.step()
            critic.requires_grad_(True)

    return play


def ours(width: int, batch: int, data: Plane, mode: str, members: int):
    """The engine on the same game, dealing, records and average included: a closure that plays n steps."""
    game = gz.papers.ns_gan(StandIn((2,)), MLP(width=width, depth=2), batch_size=batch)
    engine = gz.Engine(game, data, range(members), STEPS, mode)
    engine.start()

    def play(n: int) -> None:
        step = 0
        while step < n:
            step, _ = engine.advance(step, STEPS)

    return play


def floor(width: int, batch: int) -> float:
    """Seconds of the twelve square products of a step, at the rate measured now."""
    a, b = torch.randn(batch, width), torch.randn(width, width)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        for _ in range(20):
            a @ b
        times.append((time.perf_counter() - start) / 20)
    return 12 * statistics.median(times)


def compare(width: int, batch: int, mode: str, members: int, repeats: int) -> None:
    data = Plane()
    start = time.perf_counter()
    fast, slow = ours(width, batch, data, mode, members), plain(width, batch, data)
    fast(8)
    first = time.perf_counter() - start
    n = 200
    fast_steps = max(16, n // members)
    fast(fast_steps), slow(n)
    ratios, mine, theirs = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        slow(n)
        middle = time.perf_counter()
        fast(fast_steps)
        end = time.perf_counter()
        theirs.append((middle - start) / n)
        mine.append((end - middle) / fast_steps / members)
        ratios.append(theirs[-1] / mine[-1])
    share = floor(width, batch) / statistics.median(mine)
    print(
        f"{width:>4} wide, batch {batch:>3}  {mode:<8} x {members:<3} plain {statistics.median(theirs) * 1e3:6.3f} ms"
        f"  ours {statistics.median(mine) * 1e3:6.3f} ms a step and seed  {statistics.median(ratios):5.2f} times"
        f"  (from {min(ratios):.2f} to {max(ratios):.2f})  floor {share:4.0%}  first {first:.0f} s",
        flush=True,
    )


def memory(kind: str, width: int, batch: int, members: int) -> None:
    """In a process of its own: its peak resident memory, in MB."""
    data = Plane()
    play = plain(width, batch, data) if kind == "plain" else ours(width, batch, data, kind, members)
    play(64)
    # not ru_maxrss: a child inherits its parent's there
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)


def peak(kind: str, width: int, batch: int, members: int = 1) -> float:
    words = [sys.executable, __file__, "--memory", kind, str(width), str(batch), str(members)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--memory", nargs=4, metavar=("KIND", "WIDTH", "BATCH", "MEMBERS"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.memory:
        kind, *numbers = asked.memory
        memory(kind, *map(int, numbers))
        return
    repeats = 5 if asked.quick else 15
    for width, batch, mode, members in (
        (128, 256, "eager", 1),
        (32, 64, "eager", 1),
        (128, 256, "compiled", 1),
        (32, 64, "compiled", 1),
        (32, 64, "compiled", 64),
    ):
        compare(width, batch, mode, members, repeats)
    base = peak("plain", 128, 256)
    for kind, width, batch, members in (("eager", 128, 256, 1), ("compiled", 128, 256, 1), ("compiled", 32, 64, 64)):
        used = peak(kind, width, batch, members)
        print(f"peak memory, {width} wide, {kind} x {members}: {used:.0f} MB, plain {base:.0f} MB, {used / base:.2f} x")


if __name__ == "__main__":
    main()
