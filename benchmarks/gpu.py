"""How many pictures a second are trained on with a GPU: by plain eager loops, and by the engine, turn by turn, captured
as CUDA graphs, and captured with the networks in bfloat16.

    python benchmarks/gpu.py [--quick] [--papers dcgan sngan wgan-gp] [--device cuda]

Each player lives in a process of its own and they play in turn; medians are printed. A picture is a real one that a
critic has seen. Plain loops take the products of convolutions as PyTorch does unless it is told otherwise (TF32 where
the GPU has it), as ours do but for bfloat16. The share is that of the operations which the plain algorithm asks for in
the rate of a large bfloat16 product, measured in the same run. With ``--device cpu`` all but the captured turns run, as
a check of the script.

What a long training reaches: ``ganzfeld compare sngan r3gan --data fashion-mnist --size 32 --steps 20000 --seeds 2``.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

import ganzfeld as gz
from ganzfeld import networks
from ganzfeld.plan import Shape

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
from pictures import Play, Player, answer, peak  # noqa: E402

from references import pictures as plain  # noqa: E402

BATCH, ROWS, STEPS = 64, 4_096, 10**6
SIDES = {"dcgan": 64, "sngan": 32, "wgan-gp": 32}
TURNS = {"dcgan": 1, "sngan": 5, "wgan-gp": 5}  # of the critic in a step
KINDS = ("plain", "eager", "captured", "bf16")


class Pictures:
    """Random bytes on the device: what the numbers are does not change what they cost."""

    rows, lazy = ROWS, False

    def __init__(self, side: int, device: torch.device):
        self.x = torch.randint(0, 256, (ROWS, 3, side, side), dtype=torch.uint8).to(device)

    def on(self, device: torch.device) -> Pictures:
        return self

    def take(self, rows: Tensor) -> Tensor:
        return gz.data.numbers(self.x[rows.flatten()]).unflatten(0, rows.shape)

    def batches(self):
        while True:
            yield gz.data.numbers(self.x[torch.randint(0, ROWS, (BATCH,), device=self.x.device)])


def game(paper: str):
    shape = Shape((3, SIDES[paper], SIDES[paper]))
    if paper == "dcgan":
        return gz.papers.dcgan(shape)
    if paper == "sngan":
        return gz.papers.sngan_pictures(shape, networks.ResNet(), betas=(0.0, 0.9), critic_turns=5)
    return gz.papers.wgan_gp_pictures(shape, networks.DCGAN(critic_norm="none"), rate=1e-4)


def ours(kind: str, paper: str, device: torch.device) -> Play:
    played = dataclasses.replace(game(paper), half=kind == "bf16")
    mode = "eager" if kind == "eager" or device.type == "cpu" else "captured"
    engine = gz.Engine(played, Pictures(SIDES[paper], device), [0], STEPS, mode, device=device)
    engine.start()
    at = 0

    def play(n: int) -> None:
        nonlocal at
        until = at + n
        while at < until:
            at, _ = engine.advance(at, until)

    return play


def loop(paper: str, device: torch.device) -> Play:
    """The plain loop, everything it makes on the device."""
    batches = Pictures(SIDES[paper], device).batches()
    with device:
        if paper == "dcgan":
            inner = plain.dcgan(3, batches, side=SIDES[paper])
        else:
            inner = {"sngan": plain.sngan, "wgan-gp": plain.wgan_gp}[paper](3, batches)

    def play(n: int) -> None:
        with device:
            inner(n)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return play


def player(kind: str, paper: str, device: torch.device) -> None:
    play = loop(paper, device) if kind == "plain" else ours(kind, paper, device)
    play(24 if device.type == "cuda" else 1)  # whole pieces, so that they are captured before they are timed
    answer(play, peak if device.type == "cpu" else lambda: torch.cuda.max_memory_allocated() / 2**20)


def rate(device: torch.device, size: int) -> float:
    """Operations per second of a large bfloat16 product, now."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        product = a @ a
        float(product[0, 0])  # waits for it
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def compare(paper: str, kinds: list[str], device: torch.device, repeats: int, steps: int) -> None:
    players = {kind: Player(__file__, kind, paper, "--device", str(device)) for kind in kinds}
    operations = players["plain"].ask("count")
    seconds = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind, one in players.items():
            seconds[kind].append(one.ask(steps))
    most = rate(device, 8192 if device.type == "cuda" else 1024)
    for kind, one in players.items():
        took = statistics.median(seconds[kind])
        times = statistics.median(a / b for a, b in zip(seconds["plain"], seconds[kind], strict=True))
        print(
            f"{paper:<8} {SIDES[paper]} x {SIDES[paper]}  {kind:<9} {BATCH * TURNS[paper] / took:9.0f} pictures/s"
            f"  {times:5.2f} times plain  {operations / took / most:5.1%} of the bfloat16 rate"
            f"  {one.ask('peak'):6.0f} MB",
            flush=True,
        )
        one.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--papers", nargs="+", default=list(SIDES))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--player", nargs=2, metavar=("KIND", "PAPER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if asked.player:
        player(*asked.player, device)
        return
    if device.type == "cuda":
        print(torch.cuda.get_device_name(device))
    kinds = [kind for kind in KINDS if kind != "captured" or device.type == "cuda"]
    steps = 1 if device.type == "cpu" else 8 if asked.quick else 64
    for paper in asked.papers:
        compare(paper, kinds, device, 3 if asked.quick else 7, steps)


if __name__ == "__main__":
    main()
