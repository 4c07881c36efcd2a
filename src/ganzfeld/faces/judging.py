"""Metrics of a run, or of samples in a file, and the table that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import data
from ..judging import judges
from ..tasks.loading import open_run
from .tables import print_table


def judge(
    what: Path, name: str | None, metrics: Sequence[str] | None, member: int | None, seed: int, baselines: bool = False
) -> dict[str, Any]:
    """Of a run, or of samples in a ``.npy``. baselines: train those of an encoder, each as long as the run was."""
    if what.suffix == ".npy":
        if name is None:
            raise ValueError("samples in a file are judged against data: give --data")
        samples = data.read_samples(what)
        sized = samples.dim() == 4 and (name == "digits" or name not in data.TABLE)
        return judges.judge([samples], data.load(name, size=samples.shape[-1] if sized else None), metrics)
    run = open_run(what)
    run = run if member is None else run.select_member(member)
    return run.judgement(name, metrics, seed=seed, baselines=baselines)


def print_judgement(judged: Mapping[str, Any]) -> None:
    """Print metrics and their provenance."""
    (_print_rankers if "queries" in judged["provenance"] else _print_metrics)(judged)


def _print_metrics(judged: Mapping[str, Any]) -> None:
    """A row a metric."""
    facts, rows = judged["provenance"], []
    for name, value in judged["metrics"].items():
        perfect = f"{facts['perfect'][name]:.4g}" if name in facts["perfect"] else ""
        members = " ".join(f"{v:.3g}" for v in value["per_member"])
        rows.append((name, f"{value['mean']:.4g}", f"{value['std']:.2g}", perfect, members))
    note = (
        f"{facts['samples']} samples a member against {facts['held_out']} held-out rows of {facts['data']}; "
        "perfect: held-out rows in the place of samples"
    )
    print_table(("metric", "mean", "spread", "perfect", "members"), rows, note=note)


def _print_rankers(judged: Mapping[str, Any]) -> None:
    """A row a ranker, a column a metric."""
    rankers: dict[str, dict[str, Any]] = {}
    for key, value in judged["metrics"].items():
        ranker, _, name = key.rpartition(".")
        rankers.setdefault(ranker or "selected", {})[name] = value
    columns, rows = list(next(iter(rankers.values()))), []
    for ranker, metrics in rankers.items():
        spread = [f" ± {metrics[c]['std']:.3f}" if len(metrics[c]["per_member"]) > 1 else "" for c in columns]
        rows.append((ranker, *(f"{metrics[c]['mean']:.4g}{s}" for c, s in zip(columns, spread, strict=True))))
    facts = judged["provenance"]
    note = (
        f"{facts['queries']} queries of the {facts['part']} part of {facts['data']}; those without a relevant "
        f"document are {'left out' if facts['empty'] == 'excluded' else 'counted as 0'}; selected by "
        f"{facts['selected_by']}"
    )
    print_table(("ranker", *columns), rows, max(100, 16 * (len(columns) + 1)), note)
