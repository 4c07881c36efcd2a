"""What equal wall-clock buys on Fashion-MNIST at 32 x 32: the product's `dcgan`, with its moving average and without,
against a plain loop of the same networks, rates and batch.

    python benchmarks/quality.py --data fashion-mnist --out runs/quality [--minutes 8] [--seeds 2]

Both play at the same time, a process and a core each, for the same minutes; then the samples of both are judged by the
same classifier against the same test pictures. Nothing is selected: the last state of every seed is judged.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

import ganzfeld as gz
from ganzfeld import rendering
from ganzfeld.core.randomness import generator as rng
from ganzfeld.judging import judges
from ganzfeld.networks import freeze_norms
from ganzfeld.tasks.generation import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from references import pictures as plain  # noqa: E402

STEPS = 10**6  # of a schedule that is never ended: the rate is constant
METRICS = ("fd", "kd", "precision", "recall", "density", "coverage")


def product(name: str, seed: int, seconds: float) -> dict[str, Tensor]:
    """Samples of the averaged generator, and of the last one."""
    torch.set_num_threads(1)
    data = gz.data.load(name, size=32)
    engine = gz.Engine(gz.papers.dcgan(data), data, [seed], STEPS)
    engine.start()
    step, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        step, _ = engine.advance(step, STEPS)
    units = {key: value.tolist() for key, value in vars(data.units).items()}
    out = {}
    for kind, state in (("ours", engine.states()[0]), ("ours, last weights", _last(engine.states()[0]))):
        run = Run(Path(), {"data": {"units": units}}, engine.game, [state])
        out[kind] = run.sample(judges.SAMPLES)
    return {**out, "steps": torch.tensor(step)}


def _last(state):
    return {key: value for key, value in state.items() if key != "average"}


def loop(name: str, seed: int, seconds: float) -> dict[str, Tensor]:
    """Samples of the plain loop's generator, its statistics taken as ours are."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    data = gz.data.load(name, size=32)
    play = plain.dcgan(data.shape[0], _batches(data))
    step, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        net = play(8)
        step += 8
    latents = torch.randn(judges.SAMPLES, 100, 1, 1, generator=rng("quality", seed))
    still = freeze_norms(net, ((torch.randn(64, 100, 1, 1, generator=rng("quality", seed, i)),) for i in range(16)))
    with torch.no_grad():
        samples = torch.cat([still(z) for z in latents.split(64)])
    return {"plain": samples, "steps": torch.tensor(step)}


def _batches(data, batch: int = 64) -> Iterator[Tensor]:
    while True:
        for rows in torch.randperm(data.rows).split(batch):
            if len(rows) == batch:
                yield data.take(rows)


def _sent(pipe, play, *asked) -> None:
    pipe.send({key: value.numpy() for key, value in play(*asked).items()})


def side_by_side(name: str, seed: int, seconds: float) -> dict[str, Tensor]:
    """Both at once, so that whatever else the machine does falls on both."""
    context, found = get_context("spawn"), {}
    pipes = []
    for play in (product, loop):
        ours, theirs = context.Pipe(duplex=False)
        context.Process(target=_sent, args=(theirs, play, name, seed, seconds)).start()
        pipes.append(ours)
    for kind, pipe in zip(("ours", "plain"), pipes, strict=True):
        result = {key: torch.from_numpy(value) for key, value in pipe.recv().items()}
        print(f"seed {seed}, {kind}: {int(result.pop('steps'))} steps", flush=True)
        found |= result
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder of idx files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    data, rows = gz.data.load(asked.data, size=32), {}
    for seed in range(asked.seeds):
        for kind, samples in side_by_side(asked.data, seed, 60 * asked.minutes).items():
            judged = judges.judge([samples], data, METRICS)
            rows.setdefault(kind, []).append({m: judged["metrics"][m]["mean"] for m in METRICS})
            rendering.sheet(samples[:100]).save(asked.out / f"{kind.replace(', ', '-').replace(' ', '-')}-{seed}.png")
    (asked.out / "quality.json").write_text(json.dumps({"rows": rows, "provenance": judged["provenance"]}, indent=2))
    print("| | " + " | ".join(METRICS) + " |\n|---|" + "---|" * len(METRICS))
    for kind, found in rows.items():
        cells = [
            f"{statistics.mean(r[m] for r in found):.3f} ({', '.join(f'{r[m]:.3f}' for r in found)})" for m in METRICS
        ]
        print(f"| {kind} | " + " | ".join(cells) + " |")
    print({m: judged["provenance"]["perfect"].get(m) for m in METRICS})


if __name__ == "__main__":
    main()
