"""The search behind the papers' defaults on the two-dimensional worlds.

    python benchmarks/search.py --out runs/search [--jobs 2] [--papers ...]

Every paper is tried with the settings listed here, on both worlds, with shorter runs than `modes.py` takes and with
seeds that it does not use. The best of a paper has the largest product of two means over worlds and seeds: the share
of modes covered and the share of samples of high quality. Everything tried is printed, the bad ones too. Resumable.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import ganzfeld as gz
from ganzfeld import metrics
from ganzfeld.data import Data
from ganzfeld.engine import Engine
from ganzfeld.papers import TABLE, papers_for
from ganzfeld.tasks.generation import Run

STEPS = {"ring8": 2_000, "grid25": 4_000}
MODES = {"ring8": 8, "grid25": 25}
SEEDS, FIRST = 3, 1_000  # modes.py evaluates seeds from 0 on


Choice = tuple[tuple[float, ...], dict[str, Any]]


def rates(*values: float, **others: Any) -> Choice:
    """The rates to try with one choice of the other settings."""
    return values, others


TRIED: dict[str, list[Choice]] = {
    "gan": [rates(5e-4, 1e-3, 2e-3)],
    "ns-gan": [rates(5e-4, 1e-3, 2e-3)],
    "lsgan": [rates(2e-4, 5e-4, 1e-3)],
    "wgan": [rates(5e-4, 1e-3, bound=0.1), rates(5e-4, 1e-3, bound=0.3)],
    "wgan-gp": [rates(1e-3, 2e-3, weight=0.1), rates(1e-3, weight=0.03)],
    "dragan": [rates(1e-3, 2e-3, weight=0.1), rates(1e-3, weight=1.0)],
    "sngan": [rates(1e-3, 2e-3, spectral_norm=2.0), rates(1e-3, 2e-3, spectral_norm=3.0)],
    "fgan-kl": [rates(2e-4, 5e-4, 1e-3, alternative=True)],
    "fgan-rkl": [rates(2e-4, 5e-4, 1e-3, alternative=False), rates(5e-4, alternative=True)],
    "fgan-pearson": [rates(2e-4, 5e-4, 1e-3, alternative=True)],
    "fgan-neyman": [rates(1e-4, 3e-4, 1e-3, alternative=True)],
    "fgan-hellinger": [rates(3e-4, 1e-3, alternative=False), rates(3e-4, 1e-3, alternative=True)],
    "fgan-js": [rates(5e-4, 1e-3, 2e-3, alternative=True)],
    "fgan-gan": [rates(5e-4, 1e-3, 2e-3, alternative=True)],
    "fgan-tv": [rates(1e-4, 3e-4, 1e-3, alternative=True)],
    "mcgan-mean": [rates(5e-4, 1e-3, bound=0.3, form="primal"), rates(1e-3, bound=0.3, form="dual")],
    "mcgan-cov": [rates(5e-4, 1e-3, bound=0.3, form="primal"), rates(1e-3, bound=0.1, form="primal")],
    "mcgan": [rates(1e-3, bound=0.1), rates(1e-3, bound=0.3)],
    "geometric": [rates(5e-4, 1e-3, 2e-3, bound=1.0)],
    "r1gan": [rates(1e-3, 2e-3, gamma=0.1), rates(1e-3, gamma=0.03)],
    "r3gan": [rates(1e-3, 2e-3, gamma=0.1), rates(1e-3, gamma=0.03)],
    "ali": [rates(1e-3, 2e-3, gamma=0.1), rates(1e-3, gamma=0.0), rates(1e-3, gamma=0.1, at_once=True)],
    "bigan": [rates(1e-3, 2e-3, gamma=0.1), rates(1e-3, gamma=0.0), rates(1e-3, gamma=0.1, at_once=True)],
}


def tried(paper: str, choice: Choice) -> list[dict[str, Any]]:
    """Modes and high quality of one paper on every world, a row for each rate.

    The rate and the world reach a compiled turn as numbers, so one graph serves all of them.
    """
    values, others = choice
    rows, graphs = [], None
    for lr in values:
        row: dict[str, Any] = {"paper": paper, "settings": {"lr": lr, **others}}
        for world, steps in STEPS.items():
            data = gz.data.load(world)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                game = TABLE[paper](data, lr=lr, **others)
            engine = Engine(game, data, range(FIRST, FIRST + SEEDS), steps, "compiled")
            graphs = engine._players = engine._players if graphs is None else graphs
            row[world] = played(engine, data, steps)
        rows.append(row)
    return rows


def played(engine: Engine, data: Data, steps: int) -> dict[str, list[float]]:
    """Modes and high quality of every seed at the end of a run; one whose numbers broke covers nothing."""
    engine.start()
    step = 0
    while step < steps:
        step, _ = engine.advance(step, steps)
    run = Run(
        Path(), {"data": {"units": {k: v.tolist() for k, v in vars(data.units).items()}}}, engine.game, engine.states()
    )
    found = []
    for member in range(SEEDS):
        x = run.sample(2_500, member=member)
        found.append(metrics.mode_coverage(x, data.truth.centres, data.truth.std))
    return {"modes": [f.modes for f in found], "high_quality": [f.high_quality for f in found]}


def score(row: Mapping[str, Any]) -> float:
    """The share of modes covered times the share of high quality, means over worlds and seeds."""
    modes = [sum(row[w]["modes"]) / len(row[w]["modes"]) / total for w, total in MODES.items()]
    good = [sum(row[w]["high_quality"]) / len(row[w]["high_quality"]) for w in MODES]
    return sum(modes) / len(modes) * sum(good) / len(good)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown: a line for everything tried, the best of each paper marked."""
    yield "| paper | settings | ring8 modes | high quality | grid25 modes | high quality | |"
    yield "|---|---|---|---|---|---|---|"
    for paper in dict.fromkeys(row["paper"] for row in rows):
        mine = [row for row in rows if row["paper"] == paper]
        best = max(mine, key=score)
        for row in mine:
            cells = []
            for world in MODES:
                modes, good = row[world]["modes"], row[world]["high_quality"]
                cells += [" ".join(f"{m:g}" for m in modes), f"{sum(good) / len(good):.3f}"]
            settings = ", ".join(
                f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in row["settings"].items()
            )
            yield "| " + " | ".join([paper, settings, *cells, "best" if row is best else ""]) + " |"


def missing(paper: str, choice: Choice, known: list[tuple[str, dict]]) -> bool:
    values, others = choice
    return any((paper, {"lr": lr, **others}) not in known for lr in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--papers", nargs="+", default=papers_for("vectors"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    done = asked.out / "tried.jsonl"
    rows = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    known = [(row["paper"], row["settings"]) for row in rows]
    tasks = [(paper, choice) for paper in asked.papers for choice in TRIED[paper] if missing(paper, choice, known)]
    context = get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for future in [pool.submit(tried, *task) for task in tasks]:
            for row in future.result():
                rows.append(row)
                with open(done, "a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row["paper"], row["settings"], f"{score(row):.3f}", flush=True)
    order = list(TABLE)
    print("\n".join(table(sorted(rows, key=lambda row: order.index(row["paper"])))))


if __name__ == "__main__":
    main()
