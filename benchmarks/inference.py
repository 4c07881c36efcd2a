"""ALI on pictures beside honest baselines, and as a detector of what it was not trained on: results/inference.md.

    python benchmarks/inference.py --data fashion-mnist --out runs/inference [--seconds 600] [--paper ali] [--set ...]

For every seed: the paper is trained for so many seconds of processor time on one thread, then an autoencoder and a
latent regressor of the same networks for as long; codes, critic features, raw values, principal components and both
baselines are judged by nearest neighbour and linear probe on 10,000 training and 2,500 test rows. For every class
named the paper is trained without it, and the area under the ROC curve of its anomaly score is taken over 2,500 test
rows, those of the class against the others; beside it that of the reconstruction error of an autoencoder trained
without it as long, and of the distance from the nearest of 10,000 training rows. Nothing is selected. Resumable.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzfeld import metrics
from ganzfeld.core.randomness import latents
from ganzfeld.data import Data, load
from ganzfeld.engine import Engine
from ganzfeld.judging import inference, judges
from ganzfeld.papers.build import build
from ganzfeld.tasks.generation import Run

SCORES = ["anomaly", "reconstruction", "critic", "autoencoder", "nearest"]
STEPS = 10**6  # of a schedule that is never ended: the rate is constant


def trained(data: Data, seed: int, asked: dict[str, Any]) -> tuple[Run, int]:
    """A run of the paper, and the steps it made in its time."""
    game = build(asked["paper"], data, network=asked["network"], settings=asked["settings"])
    engine, step, start = Engine(game, data, [seed], STEPS), 0, time.process_time()
    engine.start()
    while time.process_time() - start < asked["seconds"]:
        step, _ = engine.advance(step, STEPS)
    units = {"shift": data.units.shift.tolist(), "scale": data.units.scale.tolist()}
    facts = {"paper": asked["paper"], "seed": seed, "data": {"range": data.range, "units": units}}
    return Run(Path(), facts, game, engine.states()), step


def represented(seed: int, asked: dict[str, Any]) -> dict[str, Any]:
    """Codes beside the baselines."""
    data = load(asked["data"], size=asked["size"])
    run, steps = trained(data, seed, asked)
    coder = run.coder()
    row = inference.judge(coder, latents(run.latent, 0, judges.SAMPLES), data)
    row |= {name: value["mean"] for name, value in run.judgement(data, ["fd"])["metrics"].items()}
    more, told = inference.judge_trained(run.game, coder, data, seed, asked["seconds"], time.process_time)
    return {"seed": seed, "steps": steps, **row, **more, "baselines": told}


def detected(seed: int, odd: str, asked: dict[str, Any]) -> dict[str, Any]:
    """How well what was left out is found."""
    whole = load(asked["data"], size=asked["size"])
    data = whole.exclude([odd])
    assert whole.labels is not None
    x, truth = whole.part("test", judges.SAMPLES), whole.labels.test[: judges.SAMPLES] == whole.labels.names.index(odd)
    run, steps = trained(data, seed, asked)
    coder, made = inference.autoencoder(run.game, run.coder(), data, seed, asked["seconds"], time.process_time)
    near = metrics.nearest_neighbours(x.flatten(1), data.part("train", inference.TRAIN_ROWS).flatten(1)).distances[:, 0]
    scores: dict[str, Tensor] = {
        "anomaly": run.anomaly(x), "reconstruction": run.anomaly(x, weight=1.0), "critic": run.anomaly(x, weight=0.0),
        "autoencoder": (x - coder.decode(coder.encode(x))).flatten(1).abs().sum(1), "nearest": near,
    }  # fmt: skip
    found = {name: metrics.roc_auc(score, truth) for name, score in scores.items()}
    return {"seed": seed, "exclude_classes": odd, "steps": steps, "autoencoder_steps": made, **found}


def table(rows: list[dict[str, Any]], names: list[str]) -> None:
    print("| | " + " | ".join(str(row["seed"]) for row in rows) + " | mean |\n|---|" + "---|" * (len(rows) + 1))
    for name in names:
        values = [row[name] for row in rows]
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in [*values, sum(values) / len(values)]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--paper", default="ali")
    parser.add_argument("--network")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", action=argparse.BooleanOptionalAction, default=True, help="codes and baselines")
    parser.add_argument("--classes", nargs="*", default=["0", "5", "8"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[])
    asked = vars(parser.parse_args())
    asked["settings"] = dict(pair.split("=") for pair in asked.pop("set"))
    out = asked.pop("out")
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "rows.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    known = {(row["seed"], row.get("exclude_classes")) for row in rows}
    seeds = range(asked["seeds"])
    kinds = [*([None] if asked.pop("table") else []), *asked["classes"]]
    tasks = [(seed, odd) for odd in kinds for seed in seeds if (seed, odd) not in known]
    context = get_context("spawn")
    with ProcessPoolExecutor(asked["jobs"], context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = [
            pool.submit(represented, seed, asked) if odd is None else pool.submit(detected, seed, odd, asked)
            for seed, odd in tasks
        ]
        for future in futures:
            rows.append(future.result())
            with open(kept, "a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(json.dumps(rows[-1]), flush=True)
    whole = [row for row in rows if "exclude_classes" not in row]
    if whole:
        print("\nsteps", [row["steps"] for row in whole], [row["baselines"] for row in whole])
        table(whole, [name for name in ("fd", *inference.NAMES) if name in whole[0]])
    for odd in asked["classes"]:
        print(f"\nwithout {odd}")
        table([row for row in rows if row.get("exclude_classes") == odd], SCORES)


if __name__ == "__main__":
    main()
