"""Progress on standard error: a bar on a terminal, a line per tick otherwise."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.streams import say
from ..runs.task import Tell

SHOWN_METRICS = ("modes", "high_quality", "w1", "fd", "p@5", "ndcg@10")


@contextlib.contextmanager
def progress_bar(title: str = "training") -> Iterator[Tell]:
    """A teller for `train`, shown while the block runs."""
    steps = 0

    def line(event: str, step: int, facts: Mapping[str, Any]) -> None:
        nonlocal steps
        steps = facts["steps"] if event == "start" else steps
        _print_line(event, step, steps, facts, title)

    if sys.stderr is None or not sys.stderr.isatty():
        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[metrics]}"), console=console) as bar:
        task = bar.add_task(title, total=None, metrics="")

        def tell(event: str, step: int, facts: Mapping[str, Any]) -> None:
            bar.update(task, completed=step)
            if event == "start":
                bar.update(task, total=facts["steps"])
            elif event == "note":
                bar.console.print(facts["text"], style="dim", highlight=False, markup=False)
            elif event == "judge":
                bar.update(task, metrics=_format_metrics(facts))
            elif event == "warn":
                bar.console.print(_format_warning(step, facts), style="yellow", highlight=False, markup=False)

        yield tell


def _print_line(event: str, step: int, steps: int, facts: Mapping[str, Any], title: str) -> None:
    if event == "start":
        text = f"{title}: {steps} steps, {facts['engine']}" + (f", on from step {step}" if step else "")
    elif event == "judge":
        text = f"{title}: step {step}/{steps}  {facts['seconds']:.0f} s  {_format_metrics(facts)}"
    elif event == "warn":
        text = _format_warning(step, facts)
    elif event == "note":
        text = facts["text"]
    else:
        return
    say(text)


def _format_metrics(facts: Mapping[str, Any]) -> str:
    found = facts["metrics"]
    return "  ".join(f"{name} {found[name]['mean']:.3g}" for name in SHOWN_METRICS if name in found)


def _format_warning(step: int, facts: Mapping[str, Any]) -> str:
    who = f"member {facts['member']}: " if facts["member"] >= 0 else ""
    return f"step {step}: {who}{facts['cause']}: {facts['text']}"
