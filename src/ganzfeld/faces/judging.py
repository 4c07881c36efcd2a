"""Metrics of a run, or of samples in a file, and the table that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import data
from ..judging import judges
from ..tasks import questions
from ..tasks.loading import open_run
from ..tasks.shortlists import describe_steps
from .tables import MARK_OF_FEW, print_table


def judge(
    what: Path, name: str | None, metrics: Sequence[str] | None, member: int | None, seed: int, baselines: bool = False
) -> dict[str, Any]:
    """Of a run, or of samples in a ``.npy``. baselines: train those of an encoder, each as long as the run was."""
    metrics = judges.named(metrics)
    if what.suffix == ".npy" and not what.is_dir():
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
    if "unjudged" in facts:
        print(facts["unjudged"])
        return
    few = facts.get("few", {"wanted": {}})
    for name, value in judged["metrics"].items():
        perfect = f"{facts['perfect'][name]:.4g}" if name in facts["perfect"] else ""
        members = " ".join(f"{v:.3g}" for v in value["per_member"])
        mark = MARK_OF_FEW if name in few["wanted"] else ""
        lost, total = value.get("not_finite", 0), len(value["per_member"])
        mean = f"{value['mean']:.4g}" + (f" ({total - lost} of {total})" if lost else "")
        rows.append((f"{name}{mark}", mean, f"{value['std']:.2g}", perfect, members))
    notes = [
        f"{facts['samples']} samples a member against {facts['held_out']} held-out rows of {facts['data']}; "
        "perfect: held-out rows in the place of samples"
    ]
    notes += [f"classes drawn {facts['classes_drawn']}"] if "classes_drawn" in facts else []
    notes += [f"{MARK_OF_FEW} {judges.format_few(few)}"] if few["wanted"] else []
    print_table(("metric", "mean", "spread", "perfect", "members"), rows, note="\n".join(notes))


def _print_rankers(judged: Mapping[str, Any]) -> None:
    """A row a ranker, a column a metric, and the steps whose weights they are."""
    rankers: dict[str, dict[str, Any]] = {}
    for key, value in judged["metrics"].items():
        ranker, _, name = key.rpartition(".")
        rankers.setdefault(ranker, {})[name] = value
    facts = judged["provenance"]
    columns, rows = list(next(iter(rankers.values()))), []
    for ranker, metrics in rankers.items():
        spread = [f" ± {metrics[c]['std']:.3f}" if len(metrics[c]["per_member"]) > 1 else "" for c in columns]
        cells = (f"{metrics[c]['mean']:.4g}{s}" for c, s in zip(columns, spread, strict=True))
        rows.append((*_name_ranker(ranker, facts), *cells))
    empty = "left out" if facts["empty"] == "excluded" else "counted as 0"
    note = (
        f"{facts['queries']} queries of the {facts['part']} part of {facts['data']}; those without a relevant "
        f"document are {empty}; selected by {facts['selected_by']}; candidates: {facts['candidates']}"
    )
    kept = [name for name, steps in facts["selected"].items() if not any(steps)]
    notes = [f"{name}: what is selected is its start: no later step ranked the validation part better" for name in kept]
    notes += [questions.describe_ties(facts)] if facts["tied"] else []
    notes += [facts["left_out"]] if "left_out" in facts else []
    if few := facts.get("few"):
        columns = [f"{name}{MARK_OF_FEW}" for name in columns]
        notes.append(f"{MARK_OF_FEW} {few['rows']} {few['of']} say little; enough are {judges.FEW_ROWS}")
    print_table(("ranker", "step", *columns), rows, max(110, 16 * (len(columns) + 2)), "\n".join([note, *notes]))


def _name_ranker(prefix: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """What stands before a metric as a name, and the steps of its weights."""
    first, *others = facts["rankers"]
    final, who = prefix.startswith("final"), prefix.removeprefix("final").removeprefix(".") or first
    if prefix == "start":
        return f"the start ({facts['start']['from']})", "0"
    if who not in (first, *others):
        return prefix, ""
    if final:
        return f"{who}, final", "last"
    return who, describe_steps(facts["selected"][who]) if who in facts["selected"] else "last"
