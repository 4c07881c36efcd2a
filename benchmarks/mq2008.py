"""Learning to rank on the five folds of MQ2008: the table of results/mq2008.md.

    python benchmarks/mq2008.py --data FOLDER --out runs/mq2008 [--seeds 2]

The folder holds S1.txt to S5.txt. Everything that is trained is selected by the validation queries of its fold, and
measured on the test queries: an exponential gain, a query without a relevant document counts as 0. Resumable.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ganzfeld as gz
from ganzfeld.judging.baselines import supervised
from ganzfeld.tasks.retrieval import NAMES, Retrieval, question

STEPS = 200
GAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "irgan": ("irgan", {}),
    "irgan over dns": ("irgan", {"start": "dns"}),
    "irgan-pairwise": ("irgan-pairwise", {}),
    "dns, 5 candidates": ("dns", {}),
    "dns, 1 candidate (BPR)": ("dns", {"candidates": 1}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[
        str, dict[str, list[list[float]]]
    ] = {}  # ranker -> metric -> seed -> values of the queries of all folds
    for fold in range(1, 6):
        data = gz.data.load(asked.data, 0, fold=fold)
        what = question(data, "test")
        for title, seed, scores in rankings(asked, data, fold):
            values = what.per_query(scores)
            for name in NAMES:
                seeds = found.setdefault(title, {}).setdefault(name, [[] for _ in range(asked.seeds)])
                seeds[seed] += values[name].tolist()
        print(f"fold {fold}: {what.counted} test queries", flush=True)
    table(found)


def rankings(asked: argparse.Namespace, data: Any, fold: int) -> Iterator[tuple[str, int, Tensor]]:
    """(name, seed, scores of the test lists)."""
    features = data.test.padded().features
    for title in supervised.TABLE:
        for seed in range(asked.seeds):
            score = supervised.teach(title, data, seed=seed).score
            yield title, seed, score(features).detach()
    try:
        for seed in range(asked.seeds):
            yield "lambdamart", seed, supervised.lambdamart(data, seed=seed)(features)
    except ValueError as error:
        print(f"lambdamart: {error}")
    for title, (paper, settings) in GAMES.items():
        out = asked.out / f"fold-{fold}" / title.replace(", ", "-").replace(" ", "-")
        run = gz.train(
            paper, asked.data, fold=fold, out=out, steps=STEPS, seeds=asked.seeds, settings=settings,
            judge_every=8, log_every=STEPS, resume=True,
        )  # fmt: skip
        assert isinstance(run, Retrieval)
        for seed in range(asked.seeds):
            for ranker in run.rankers:
                name = title if ranker == run.rankers[0] else f"{title}: its critic"
                yield name, seed, run.table(data, "test", ranker, seed, "selected")


def table(found: dict[str, dict[str, list[list[float]]]]) -> None:
    """Means over all test queries and seeds, and the difference to the first row with its standard error."""
    print(f"{'':<30}{''.join(f'{name:>9}' for name in NAMES)}   ndcg@10 against linear")
    for title, metrics in found.items():
        means = "".join(f"{statistics.mean(map(statistics.mean, metrics[name])):9.4f}" for name in NAMES)
        mine, other = (
            torch.tensor(rows["ndcg@10"], dtype=torch.float64).mean(0) for rows in (metrics, found["linear"])
        )
        apart = mine - other
        print(f"{title:<30}{means}   {float(apart.mean()):+.4f} ± {float(apart.std()) / math.sqrt(len(apart)):.4f}")


if __name__ == "__main__":
    main()
