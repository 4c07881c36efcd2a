"""Metrics of a run, or of samples in a file, and the table that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import data
from ..judging import judges
from .opening import open_run


def judge(
    what: Path,
    name: str | None,
    metrics: Sequence[str] | None,
    member: int | None,
    seed: int,
    baselines: bool = False,
) -> dict[str, Any]:
    """Of a run, or of samples in a ``.npy``. baselines: train those of an encoder, each as long as the run was."""
    if what.suffix == ".npy":
        if name is None:
            raise ValueError("samples in a file are judged against data: give --data")
        samples = data.samples(what)
        sized = samples.dim() == 4 and (name == "digits" or name not in data.TABLE)
        return judges.judge([samples], data.load(name, size=samples.shape[-1] if sized else None), metrics)
    run = open_run(what)
    return (run if member is None else run.only(member)).judgement(name, metrics, seed=seed, baselines=baselines)


def print_table(judged: Mapping[str, Any]) -> None:
    """Print metrics and their provenance."""
    from rich.console import Console
    from rich.table import Table

    if "queries" in judged["provenance"]:
        _print_rankers(judged)
        return
    perfect = judged["provenance"]["perfect"]
    rows = Table("metric", "mean", "spread", "perfect", "members", box=None, header_style="bold", pad_edge=False)
    for name, value in judged["metrics"].items():
        floor = f"{perfect[name]:.4g}" if name in perfect else ""
        members = " ".join(f"{v:.3g}" for v in value["per_member"])
        rows.add_row(name, f"{value['mean']:.4g}", f"{value['std']:.2g}", floor, members)
    console = Console()
    console.print(rows)
    facts = judged["provenance"]
    console.print(
        f"{facts['samples']} samples a member against {facts['held_out']} held-out rows of {facts['data']}; "
        "perfect: held-out rows in the place of samples",
        style="dim",
    )


def _print_rankers(judged: Mapping[str, Any]) -> None:
    """A row a ranker, a column a metric."""
    from rich.console import Console
    from rich.table import Table

    found: dict[str, dict[str, Any]] = {}
    for key, value in judged["metrics"].items():
        ranker, _, name = key.rpartition(".")
        found.setdefault(ranker or "selected", {})[name] = value
    columns = list(next(iter(found.values())))
    rows = Table("ranker", *columns, box=None, header_style="bold", pad_edge=False)
    for ranker, metrics in found.items():
        spread = [f" ± {metrics[c]['std']:.3f}" if len(metrics[c]["per_member"]) > 1 else "" for c in columns]
        rows.add_row(ranker, *(f"{metrics[c]['mean']:.4f}{s}" for c, s in zip(columns, spread, strict=True)))
    facts = judged["provenance"]
    console = Console(width=max(100, 16 * (len(columns) + 1)))
    console.print(rows)
    Console().print(
        f"{facts['queries']} queries of the {facts['part']} part of {facts['data']}; those without a relevant "
        f"document are {'left out' if facts['empty'] == 'excluded' else 'counted as 0'}; selected by "
        f"{facts['selected_by']}",
        style="dim",
    )
