"""Recommendation on the split of the IRGAN paper: the tables of results/retrieval.md.

    python benchmarks/retrieval.py --data FOLDER/movielens-100k-train.txt --out runs/retrieval [--parts ...]

The data are ``user item rating`` lines, with the test file beside them. Every part runs over ``--seeds`` seeds, of one
split into training and validation positives (seed 0), and is resumable.

    parity     the rankers in closed form, fitted to all training positives: what others have published
    ladder     BPR, DNS and IRGAN over DNS, each selected by validation, then played again on all training positives
               (``refit``), which is what the closed forms of ``parity`` have
    search     settings of DNS by validation, two seeds: the best step of each; the test part is not looked at
    official   IRGAN with the numbers of its published code, but live negatives, from several DNS of rank 5
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import torch

import ganzfeld as gz
from ganzfeld.judging.baselines import closed_form
from ganzfeld.tasks.questions import Question, closed_form_scores, make_question
from ganzfeld.tasks.retrieval import Retrieval

OFFICIAL = {
    "rank": 5, "optimizer": "sgd", "lr": 1e-3, "critic_lr": 1e-3, "critic_decay": 0.1, "n_critic": 100,
    "n_generator": 50, "critic_temperature": 0.2, "critic_start": False,
}  # fmt: skip
ROUNDS = 15
STARTS = ((240, 0.075), (240, 0.08), (24, 0.05), (40, 0.05), (60, 0.05), (100, 0.05))  # of DNS: steps, decay
SHOWN = ("p@5", "p@10", "ndcg@5", "ndcg@10", "map", "mrr")
LADDER: dict[str, tuple[str, int, dict[str, Any]]] = {
    "bpr": ("bpr", 160, {}),
    "dns, 5 candidates": ("dns", 120, {}),
    "dns, 5 candidates, rank 32": ("dns", 120, {"rank": 32, "lr": 0.05}),
    "dns, 5 candidates, rank 5": ("dns", 120, {"rank": 5, "lr": 0.05}),
    "dns, 32 candidates": ("dns", 120, {"candidates": 32, "decay": 0.01, "rank": 16}),
    "irgan": ("irgan", 60, {"start": "dns, 5 candidates"}),
    "irgan and likelihood": ("irgan", 100, {"start": "dns, 5 candidates", "likelihood": 1.0, "lr": 1e-3}),
    "likelihood alone": (
        "irgan", 100,
        {"start": "dns, 5 candidates", "likelihood": 1.0, "lr": 1e-3, "reward": "constant", "n_critic": 1},
    ),
    "dns, on": ("dns", 60, {"start": "dns, 5 candidates", "lr": 1e-3}),
}  # fmt: skip
SEARCH = (  # of DNS: ranks and candidates, decays, rates
    (5, 3, 0.03, 0.02), (5, 5, 0.02, 0.05), (5, 5, 0.03, 0.02), (5, 5, 0.03, 0.05), (5, 5, 0.05, 0.02),
    (5, 5, 0.05, 0.05), (5, 8, 0.02, 0.05), (5, 8, 0.03, 0.02), (5, 8, 0.03, 0.05), (5, 16, 0.02, 0.05),
    (32, 5, 0.03, 0.02), (32, 5, 0.03, 0.05), (32, 5, 0.05, 0.02), (32, 8, 0.05, 0.02), (64, 5, 0.03, 0.02),
    (64, 5, 0.05, 0.05),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["parity", "ladder", "official"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for part in asked.parts:
        {"parity": parity, "search": search, "ladder": ladder, "official": official}[part](asked)


def parity(asked: argparse.Namespace) -> None:
    """Closed forms on all training positives, and on nine tenths of them."""
    data = gz.data.load(asked.data, 0, valid="none")
    x, what = data.matrix("train"), make_question(data, "test")
    tables = {
        "popularity": closed_form.popularity(x), "item-knn, all neighbours": x.double() @ closed_form.item_knn(x, None),
        "item-knn, 100": x.double() @ closed_form.item_knn(x), "ease, 400": x.double() @ closed_form.ease(x),
    }  # fmt: skip
    print(f"\nclosed forms on all {len(data.train)} training positives, {what.query_count} users")
    for name, scores in tables.items():
        show(name, [what.judge(scores)])
    data = gz.data.load(asked.data, 0)
    print(f"closed forms on {len(data.train)} of them, options by validation")
    what = make_question(data, "test")
    for name, scores in closed_form_scores(data, "test").items():
        show(name, [what.judge(scores)])


def search(asked: argparse.Namespace) -> None:
    """What DNS's settings are worth on the validation part, at the step that is best by NDCG@10."""
    print("\nDNS by validation, two seeds: the best of 120 steps")
    for rank, candidates, decay, lr in SEARCH:
        settings = {"rank": rank, "candidates": candidates, "decay": decay, "lr": lr}
        out = asked.out / "search" / "-".join(map(str, settings.values()))
        gz.train("dns", asked.data, out=out, seeds=2, steps=120, settings=settings, judge_every=4, resume=True)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        best = max(lines, key=lambda line: line["metrics"]["ndcg@10"]["mean"])
        found = "  ".join(f"{name} {best['metrics'][name]['mean']:.4f}" for name in SHOWN)
        print(f"  {settings}  step {best['step']}  {found}", flush=True)


def ladder(asked: argparse.Namespace) -> None:
    """From BPR to IRGAN; then the same without a validation part, for as many steps as were selected."""
    data = gz.data.load(asked.data, 0)
    what = make_question(data, "test")
    chosen, tables = {}, {}
    print(f"\nselected by validation, trained on {len(data.train)} positives, {asked.seeds} seeds: mean ± spread")
    for title in LADDER:
        run = trained(title, asked, "valid")
        chosen[title] = run.steps[run.rankers[0]]
        tables[title] = [run.scores(None, None, i) for i in range(run.members)]
        show(title, [what.judge(s) for s in tables[title]], f"steps {chosen[title]}")
    gains(tables, what)
    whole = make_question(gz.data.load(asked.data, 0, valid="none"), "test")
    print("refit: on all training positives, the last state; a falling rate to its end, else the median of the steps")
    for title in LADDER:
        falls = LADDER[title][2].get("lr_schedule", "linear" if LADDER[title][0] != "irgan" else "constant") == "linear"
        steps = LADDER[title][1] if falls else max(1, round(statistics.median(chosen[title])))
        run = trained(title, asked, "whole", steps)
        tables[title] = [run.scores(None, None, i, "final") for i in range(run.members)]
        show(title, [whole.judge(s) for s in tables[title]])
    x = gz.data.load(asked.data, 0, valid="none").matrix("train")
    tables["ease"] = [x.double() @ closed_form.ease(x)] * asked.seeds
    gains(tables, whole)


def trained(title: str, asked: argparse.Namespace, folder: str, steps: int | None = None) -> Retrieval:
    """A run of the ladder; with steps, on all training positives and for so long."""
    paper, most, settings = LADDER[title]
    settings = dict(settings)
    if "start" in settings:
        settings["start"] = str(place(settings["start"], asked, folder))
    last = most if steps is None else steps
    run = gz.train(
        paper, asked.data, out=place(title, asked, folder), seeds=asked.seeds, steps=last,
        settings=settings, judge_every=4 if steps is None else last, log_every=max(1, last // 5), resume=True,
        valid=None if steps is None else "none",
    )  # fmt: skip
    assert isinstance(run, Retrieval)
    return run


def place(title: str, asked: argparse.Namespace, folder: str) -> Path:
    return asked.out / folder / title.replace(", ", "-").replace(" ", "-")


def gains(tables: dict[str, list[torch.Tensor]], what: Question) -> None:
    """Differences over users, of the seeds' mean: with a 95 % interval over users, and the seeds' own spread."""
    pairs = [("irgan", "dns, 5 candidates"), ("irgan", "ease"), ("dns, 5 candidates", "ease"),
             ("irgan and likelihood", "likelihood alone"), ("irgan and likelihood", "ease")]  # fmt: skip
    for one, other in (pair for pair in pairs if all(name in tables for name in pair)):
        for name in ("p@5", "ndcg@5"):
            each = torch.stack(
                [what.per_query(a)[name] - what.per_query(b)[name]
                 for a, b in zip(tables[one], tables[other], strict=True)]
            )  # fmt: skip
            each = each[:, ~each[0].isnan()]
            mean, error = each.mean(0).mean(), each.mean(0).std() / math.sqrt(each.shape[1])
            seeds = each.mean(1)
            users = f"{mean - 1.96 * error:+.4f} to {mean + 1.96 * error:+.4f}"
            each_seed = ", ".join(f"{s:+.4f}" for s in seeds)
            print(f"  {one} - {other}, {name}: {mean:+.4f}, users {users}, seeds {each_seed}")


def official(asked: argparse.Namespace) -> None:
    """IRGAN with its code's numbers from starts of several strengths: the first state and the last."""
    print(f"\nofficial numbers, live negatives, {ROUNDS} rounds, all training positives: P@5 at the start and the end")
    what = make_question(gz.data.load(asked.data, 0, valid="none"), "test")
    for steps, decay in STARTS:
        out = asked.out / "official" / f"start-{steps}-{decay}"
        gz.train(
            "dns", asked.data, out=out, seeds=asked.seeds, steps=steps, valid="none", resume=True,
            settings={"rank": 5, "decay": decay}, judge_every=steps, log_every=steps,
        )  # fmt: skip
        for reward in ("tanh", "softplus"):
            folder = asked.out / "official" / f"{reward}-{steps}-{decay}"
            run = gz.train(
                "irgan", asked.data, out=folder, seeds=asked.seeds, steps=ROUNDS,
                valid="none", resume=True, settings={**OFFICIAL, "reward": reward, "start": str(out)},
                judge_every=1, log_every=ROUNDS,
            )  # fmt: skip
            assert isinstance(run, Retrieval)
            lines = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
            first = [
                what.judge(gz.load(out).scores(None, None, i, "final"), ("p@5",))["p@5"] for i in range(run.members)
            ]
            path = [f"{line['metrics']['p@5']['mean']:.4f}" for line in lines]
            last = [what.judge(run.scores(None, None, i, "final"), ("p@5",))["p@5"] for i in range(run.members)]
            gains = " ".join(f"{b - a:+.4f}" for a, b in zip(first, last, strict=True))
            print(f"  dns of {steps} steps under {decay}, {reward}: {statistics.mean(first):.4f} -> {' '.join(path)}")
            print(f"    end less start by seed: {gains}", flush=True)


def show(title: str, rows: list[dict[str, float]], more: str = "") -> None:
    cells = []
    for name in SHOWN:
        values = [row[name] for row in rows]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        cells.append(f"{name} {statistics.mean(values):.4f}{spread}")
    print(f"  {title:<28} {'  '.join(cells)}  {more}", flush=True)


if __name__ == "__main__":
    main()
