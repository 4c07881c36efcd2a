"""Comparing papers: equal budgets, a population of seeds each, means with their spread.

Every paper is reported, the bad ones too; members whose numbers ceased to be finite stay in the statistics, at their
last finite state, and are counted. Nothing is selected: the final state is judged, on held-out data.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from . import record
from .loop import Interrupted, handled, train
from .papers import PICTURES, TABLE
from .papers.build import build, named
from .plan import loaded, side_for

Say = Callable[[str], None]


def compare(
    papers: Sequence[str],
    data: str,
    out: Path,
    *,
    seeds: int = 10,
    steps: int = 10_000,
    seed: int = 0,
    engine: str = "auto",
    jobs: int = 1,
    batch_size: int | None = None,
    settings: Mapping[str, Any] | None = None,
    size: int | None = None,
    resume: bool = False,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """``{"data", "steps", "seeds", "rows": [{"paper", "run", "metrics", "seconds", "diverged"}]}``, also written to
    ``out/compare.json`` with a report beside it; each paper's run lies under its name.

    jobs: papers trained at once, each in a process with one thread. Raises ValueError before the first step.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    names = [] if list(papers) == ["all"] else [named(paper) for paper in papers]
    size = side_for(names, data, None, size)
    rows = loaded(data, seed=seed, size=size)
    names = names or list(PICTURES if rows.kind == "pictures" else TABLE)
    for name in names:  # all errors before the first step
        build(name, rows, settings=settings, batch_size=batch_size)
    asked = {
        "steps": steps, "seed": seed, "seeds": seeds, "engine": engine, "batch_size": batch_size,
        "settings": dict(settings or {}), "size": size, "resume": resume,
    }  # fmt: skip
    with record.owned(out):
        if (out / "compare.json").exists() and not resume:
            raise ValueError(f"{out} already holds a comparison: go on with --resume, or choose another directory")
        found = []
        tasks = [(name, data, str(out / name), asked) for name in names]
        for row in _all(tasks, jobs, say):
            found.append(row)
            say(f"{row['paper']}: " + _short(row))
        found.sort(key=lambda row: names.index(row["paper"]))
        result = {"data": data, "steps": steps, "seeds": seeds, "seed": seed, "rows": found}
        record.write_json(out / "compare.json", result)
        from . import report

        report.write([out], out / "report.html")
    return result


def _all(tasks: Sequence[tuple], jobs: int, say: Say) -> Iterator[dict[str, Any]]:
    """The rows, as they come."""
    if jobs == 1:
        for task in tasks:
            say(f"{task[0]}: {task[3]['seeds']} seeds, {task[3]['steps']} steps")
            yield _one(*task)
        return
    waiting = list(tasks)
    running: dict[Any, BaseProcess] = {}
    context = get_context("spawn")

    def stop(signum: int, frame: Any) -> None:
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, signal.SIG_IGN)  # once is enough: the others are saving
        raise Interrupted(signum, f"{len(tasks) - len(waiting) - len(running)} of {len(tasks)} papers")

    with handled(stop):
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    ours, theirs = context.Pipe(duplex=False)
                    running[ours] = context.Process(target=_alone, args=(theirs, waiting.pop(0)))
                    running[ours].start()
                    theirs.close()  # so that the end of the process is the end of the pipe
                for pipe in wait(list(running)):
                    outcome = _received(pipe)
                    running.pop(pipe).join()
                    if isinstance(outcome, Exception):
                        raise outcome
                    yield outcome
        finally:
            for process in running.values():
                process.terminate()  # each saves, and ends
            for process in running.values():
                process.join()


def _alone(pipe: Connection, task: tuple) -> None:
    """In a process of its own: train and judge one paper, and send its row, or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the parent passes it on, once
    torch.set_num_threads(1)
    try:
        pipe.send(_one(*task))
    except Exception as error:
        pipe.send(error)


def _received(pipe: Any) -> dict[str, Any] | Exception:
    try:
        return pipe.recv()
    except EOFError:
        return ChildProcessError(
            "a paper's process ended without a word: out of memory, or killed; go on with --resume"
        )


def _one(paper: str, data: str, out: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Train and judge one paper."""
    start = time.perf_counter()
    run = train(paper, data, out=out, keep_going=True, judge_every=max(1, asked["steps"] // 4), **asked)
    seconds = time.perf_counter() - start
    judged = run.judged()
    logged = record.lines(Path(out) / "log.jsonl")
    return {
        "paper": paper,
        "run": Path(out).name,
        "metrics": judged["metrics"],
        "provenance": judged["provenance"],
        "seconds": logged[-1]["seconds"] if logged else round(seconds, 3),
        "wall": round(seconds, 3),
        "diverged": logged[-1].get("diverged", 0) if logged else 0,
    }


def _short(row: Mapping[str, Any]) -> str:
    shown = [f"{name} {value['mean']:.3g} ± {value['std']:.2g}" for name, value in row["metrics"].items()]
    dead = [f"{row['diverged']} diverged"] if row["diverged"] else []
    return ", ".join([*shown[:3], *dead, f"{row['seconds']:.0f} s"])


def table(result: Mapping[str, Any]) -> None:
    """Print means, spreads and seconds."""
    from rich.console import Console
    from rich.table import Table

    names = list(dict.fromkeys(name for row in result["rows"] for name in row["metrics"]))
    rows = Table("paper", *names, "diverged", "seconds", box=None, header_style="bold", pad_edge=False)
    for row in result["rows"]:
        cells = []
        for name in names:
            value = row["metrics"].get(name)
            cells.append("" if value is None else f"{value['mean']:.3g} ± {value['std']:.2g}")
        rows.add_row(row["paper"], *cells, str(row["diverged"] or ""), f"{row['seconds']:.0f}")
    Console(width=max(100, 22 * (len(names) + 2))).print(rows)
    print(f"{result['data']}, {result['steps']} steps, {result['seeds']} seeds; mean ± standard deviation over seeds")
