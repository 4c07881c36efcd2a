"""What a turn of ALI costs beside its own passes, measured alone: results/inference.md.

    OMP_NUM_THREADS=1 python benchmarks/inference_turn.py [--rounds 9] [--batch-size 100]

The passes of a turn in which both move at once: forward through encoder, generator and critic, each once; backward from
the critic's cost to its weights; backward from the generator side's cost to both its networks. With R1 also the
gradient at the encoded pairs and its backward. The turn adds to these Adam on all weights, the moving average and the
dealing of noise and data. Passes and turns are timed in alternation, and the ratio is of their medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from ganzfeld.core import tree
from ganzfeld.engine import Engine
from ganzfeld.papers.build import build
from ganzfeld.runs.plan import StandIn

NETWORKS = {"ali": {"width": 16}, "dcgan": {"width": 32, "critic_norm": "none", "latent": 64}}


class Noise:
    """Pictures of noise: what they show costs nothing more or less."""

    rows = 2_000

    def __init__(self, shape: tuple[int, ...]):
        self.x = torch.rand(self.rows, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def take(self, rows):
        return self.x[rows]


def passes(game, state, batch, noise) -> dict[str, Callable[[], object]]:
    """Each pass of a turn, to be timed by itself."""
    critic = tree.map(lambda p: p.detach().requires_grad_(), state["params"]["critic"])
    mine = tree.map(lambda p: p.detach().requires_grad_(), game.moved(state["params"], "generator"))
    x, z, e = batch[0], noise["z"], noise["e"]

    def call(module, params, *inputs):
        return torch.func.functional_call(module, params, inputs)

    def encode():
        return call(game.generators["encoder"], mine["encoder"], x, e)

    def generate():
        return call(game.generators["generator"], mine["generator"], z)

    code, made = encode(), generate()

    def score():
        return call(game.critic, critic, torch.cat([x, made]), torch.cat([code, z])).chunk(2)

    real, fake = score()
    value, cost = -game.objective.critic(real, fake).mean(), game.objective.generator(real, fake).mean()
    out = {
        "encoder, forward": encode,
        "generator, forward": generate,
        "critic, forward": score,
        "critic, backward": lambda: torch.autograd.grad(value, tree.leaves(critic), retain_graph=True),
        "generator side, backward": lambda: torch.autograd.grad(cost, tree.leaves(mine), retain_graph=True),
    }
    if game.constraints:

        def penalty():
            samples = tuple(part.detach().requires_grad_() for part in (x, code))
            slopes = torch.autograd.grad(call(game.critic, critic, *samples).sum(), samples, create_graph=True)
            term = sum(slope.flatten(1).square().sum(1) for slope in slopes).mean()
            return torch.autograd.grad(term, tree.leaves(critic), allow_unused=True)

        out["penalty, all passes"] = penalty
    return out


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measured(network: str, gamma: float, rounds: int, batch_size: int) -> None:
    shape = (1, 32, 32)
    settings = {**NETWORKS[network], "gamma": gamma}
    game = build("ali", StandIn(shape, form="pictures"), network=network, settings=settings, batch_size=batch_size)
    engine = Engine(game, Noise(shape), [0], 10**6)
    engine.start()
    step = engine.advance(0, 1)[0]
    batches, noises = engine._deal(engine._dealers[0], ["both"], {"critic": 0, "generator": 0})
    batch = (batches["critic"]["x"][0],)
    alone = passes(game, engine.groups[0], batch, {name: x[0] for name, x in noises["critic"].items()})
    times: dict[str, list[float]] = {name: [] for name in (*alone, "turn")}
    for _ in range(rounds):
        for name, call in alone.items():
            times[name].append(seconds(call))
        start = time.perf_counter()
        step, _ = engine.advance(step, step + 1)
        times["turn"].append(time.perf_counter() - start)
    medians = {name: 1_000 * statistics.median(values) for name, values in times.items()}
    turn = medians.pop("turn")
    print(f"{network}, gamma {gamma:g}: turn {turn:.1f} ms, its passes alone {sum(medians.values()):.1f} ms, "
          f"ratio {turn / sum(medians.values()):.2f}")  # fmt: skip
    print("   " + ", ".join(f"{name} {value:.1f}" for name, value in medians.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch-size", type=int, default=100)
    asked = parser.parse_args()
    for network in NETWORKS:
        for gamma in (0.0, 1.0):
            measured(network, gamma, asked.rounds, asked.batch_size)


if __name__ == "__main__":
    main()
