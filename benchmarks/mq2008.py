"""Learning to rank on the five folds of MQ2008: the table of results/mq2008.md.

    python benchmarks/mq2008.py --data FOLDER --out runs/mq2008 [--seeds 2]

The folder holds S1.txt to S5.txt. Everything that is trained is selected by the validation queries of its fold, and
measured on the test queries: an exponential gain, a query without a relevant document counts as 0. Resumable.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import ganzfeld as gz
from ganzfeld.data.rankings.collection import Letor, Table
from ganzfeld.judging.baselines import supervised
from ganzfeld.tasks.questions import NAMES, make_question
from ganzfeld.tasks.retrieval import Retrieval

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
        what = make_question(data, "test")
        for title, seed, scores in rankings(asked, data, fold):
            values = what.per_query(scores)
            for name in NAMES:
                seeds = found.setdefault(title, {}).setdefault(name, [[] for _ in range(asked.seeds)])
                seeds[seed] += values[name].tolist()
        print(f"fold {fold}: {what.query_count} test queries", flush=True)
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
            yield "lambdamart", seed, lambdamart(data, seed=seed)(features)
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
                yield name, seed, run.candidate_scores(data, "test", ranker, seed, "selected")


def lambdamart(letor: Letor, *, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """LambdaRank's gradients fitted by boosted trees, of LightGBM: features [..., m] to scores [...].

    Its number of trees is chosen by NDCG@10 on the validation queries; the test queries are not read. Raises ValueError
    where LightGBM is not installed.
    Source: Burges 2010, section 7; Ke et al. 2017 (LightGBM).
    """
    try:
        import lightgbm
    except ImportError:
        raise ValueError("LambdaMART needs LightGBM: pip install lightgbm") from None
    trees = lightgbm.LGBMRanker(
        n_estimators=500, learning_rate=0.05, num_leaves=7, min_child_samples=50, colsample_bytree=0.5,
        random_state=seed, n_jobs=1, deterministic=True, verbose=-1,
    )  # fmt: skip
    x, y, group = _arrays(letor.train)
    held = _arrays(letor.valid)
    stop = lightgbm.early_stopping(50, verbose=False)
    trees.fit(x, y, group=group, eval_set=[held[:2]], eval_group=[held[2]], eval_at=[10], callbacks=[stop])

    def score(features: Tensor) -> Tensor:
        flat = trees.predict(features.reshape(-1, features.shape[-1]).numpy())
        return torch.from_numpy(flat).view(features.shape[:-1])

    return score


def _arrays(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return table.features.numpy(), table.labels.numpy(), table.sizes.numpy()


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
