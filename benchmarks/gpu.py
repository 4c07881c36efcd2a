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
from pathlib import Path

import torch

import ganzfeld as gz

sys.path.insert(0, str(Path(__file__).parent))
from pictures import BATCH, GAMES, PLAIN, STEPS, Pictures, Play, Player, answer, lr, peak, playing  # noqa: E402

SIDES = {"dcgan": 64, "sngan": 32, "wgan-gp": 32}
TURNS = {"dcgan": 1, "sngan": 5, "wgan-gp": 5}  # of the critic in a step
KINDS = ("plain", "eager", "captured", "bf16")


def ours(kind: str, paper: str, device: torch.device) -> Play:
    data = Pictures(SIDES[paper], str(device))
    game = dataclasses.replace(GAMES[paper](data), precision=kind)
    mode = "eager" if kind == "eager" or device.type == "cpu" else "captured"
    return playing(gz.Engine(game, data, [0], STEPS, mode, device=device))


def loop(paper: str, device: torch.device) -> Play:
    """The plain loop, everything it makes on the device."""
    batches = Pictures(SIDES[paper], str(device)).batches()
    with device:
        inner = PLAIN[paper](3, batches, **({"side": SIDES[paper]} if paper == "dcgan" else {}))

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


def compare(paper: str, kinds: list[str], device: torch.device, repeats: int, steps: int) -> None:
    players = {kind: Player(__file__, kind, paper, "--device", str(device)) for kind in kinds}
    operations = players["plain"].ask("count")
    seconds = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind, one in players.items():
            seconds[kind].append(one.ask(steps))
    most = lr(8192 if device.type == "cuda" else 1024, str(device), torch.bfloat16)
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
