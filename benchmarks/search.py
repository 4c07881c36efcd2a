"""The search behind the papers' defaults on the two-dimensional worlds.

    python benchmarks/search.py --out runs/search [--jobs 2] [--papers ...]

Every paper is tried with the settings listed here, on both worlds, with shorter runs than `modes.py` takes and with
seeds that it does not use. The best of a paper covers the largest share of all modes and, where that ties to one part
in a hundred, has the most samples of high quality. Everything tried is printed, the bad ones too. Resumable.
"""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import ganzfeld as gz
from ganzfeld.papers import TABLE

STEPS = {"ring8": 2_000, "grid25": 4_000}
MODES = {"ring8": 8, "grid25": 25}
SEEDS, FIRST = 3, 1_000  # modes.py evaluates seeds from 0 on


def rates(*values: float, **others: Any) -> list[dict[str, Any]]:
    return [{"rate": value, **others} for value in values]


TRIED: dict[str, list[dict[str, Any]]] = {
    "gan": rates(5e-4, 1e-3, 2e-3),
    "ns-gan": rates(5e-4, 1e-3, 2e-3),
    "lsgan": rates(5e-4, 1e-3, 2e-3),
    "wgan": [*rates(5e-4, 1e-3, bound=0.1), *rates(5e-4, 1e-3, bound=0.3)],
    "wgan-gp": [*rates(1e-3, 2e-3, weight=0.1), *rates(1e-3, weight=0.03), *rates(1e-3, weight=1.0)],
    "dragan": [*rates(1e-3, 2e-3, weight=0.1), *rates(1e-3, weight=1.0)],
    "sngan": [*rates(1e-3, norm=2.0), *rates(1e-3, 2e-3, norm=3.0)],
    "fgan-kl": rates(2e-4, 5e-4, 1e-3, alternative=True),
    "fgan-rkl": [*rates(5e-4, 1e-3, alternative=False), *rates(5e-4, alternative=True)],
    "fgan-pearson": [*rates(5e-4, 1e-3, alternative=True), *rates(5e-4, alternative=False)],
    "fgan-neyman": [*rates(1e-4, 3e-4, alternative=True), *rates(3e-4, alternative=False)],
    "fgan-hellinger": [*rates(3e-4, 1e-3, alternative=False), *rates(3e-4, alternative=True)],
    "fgan-js": [*rates(1e-3, 2e-3, alternative=True), *rates(1e-3, alternative=False)],
    "fgan-gan": [*rates(1e-3, 2e-3, alternative=True), *rates(1e-3, alternative=False)],
    "fgan-tv": [*rates(1e-4, 5e-4, alternative=True), *rates(1e-4, alternative=False)],
    "mcgan-mean": [*rates(5e-4, 1e-3, bound=0.1), *rates(5e-4, bound=0.3)],
    "mcgan-cov": [*rates(5e-4, 1e-3, bound=0.1), *rates(5e-4, bound=0.3)],
    "mcgan": [*rates(5e-4, 1e-3, bound=0.1), *rates(5e-4, bound=0.3)],
    "geometric": [*rates(5e-4, 1e-3, bound=1.0), *rates(1e-3, bound=0.5)],
    "r1gan": [*rates(1e-3, 2e-3, gamma=0.1), *rates(1e-3, gamma=0.03)],
    "r3gan": [*rates(1e-3, 2e-3, gamma=0.1), *rates(1e-3, gamma=0.03)],
}


def tried(paper: str, settings: Mapping[str, Any], out: str) -> dict[str, Any]:
    """Modes and high quality of one paper with one choice of settings, on every world."""
    row: dict[str, Any] = {"paper": paper, "settings": dict(settings)}
    for world, steps in STEPS.items():
        folder = Path(out) / "-".join([paper, world, *map(str, settings.values())])
        shutil.rmtree(folder, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = gz.train(
                paper, world, out=folder, steps=steps, seed=FIRST, seeds=SEEDS, settings=settings, keep_going=True,
                log_every=steps, judge_every=steps, checkpoint_every=steps,
            )  # fmt: skip
        judged = run.judge(metrics=["modes", "high_quality"])
        shutil.rmtree(folder)
        row[world] = {name: judged[name]["per_member"] for name in judged}
    return row


def score(row: Mapping[str, Any]) -> tuple[float, float]:
    """The share of modes covered, to one part in a hundred, then the share of high quality; means over worlds."""
    modes = [sum(row[w]["modes"]) / len(row[w]["modes"]) / total for w, total in MODES.items()]
    good = [sum(row[w]["high_quality"]) / len(row[w]["high_quality"]) for w in MODES]
    return round(sum(modes) / len(modes), 2), sum(good) / len(good)


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
            settings = ", ".join(f"{k} {v:g}" if v is not bool(v) else f"{k} {v}" for k, v in row["settings"].items())
            yield "| " + " | ".join([paper, settings, *cells, "best" if row is best else ""]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--papers", nargs="+", default=list(TABLE))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    done = asked.out / "tried.jsonl"
    rows = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    known = [(row["paper"], row["settings"]) for row in rows]
    tasks = [(p, s, str(asked.out)) for p in asked.papers for s in TRIED[p] if (p, s) not in known]
    context = get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for future in [pool.submit(tried, *task) for task in tasks]:
            row = future.result()
            rows.append(row)
            with open(done, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(row["paper"], row["settings"], score(row), flush=True)
    order = list(TABLE)
    print("\n".join(table(sorted(rows, key=lambda row: order.index(row["paper"])))))


if __name__ == "__main__":
    main()
