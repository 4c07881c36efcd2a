"""Comparing papers: equal budgets, a population of seeds each, means with their spread.

Every paper is reported, the bad ones too; members whose numbers ceased to be finite stay in the statistics, at their
last finite state, and are counted. Samples are judged as the final state makes them, and nothing is selected; rankers
as validation selected them, and as they were at the end, on the test part.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..data import Data, Rankings
from ..judging.baselines.closed_form import CLOSED
from ..judging.judges import summary
from ..papers import INTERACTIONS, LETOR, PICTURES, TABLE
from ..papers.build import build, named, resolve, retrieves, signature
from ..papers.irgan import ABLATIONS
from ..runs import files
from ..runs.plan import loaded, side_for, suits, usual_steps
from ..runs.training import Interrupted, handled, train, train_start
from ..tasks.retrieval import baseline, question

Say = Callable[[str], None]


class Entry(NamedTuple):
    """What is compared: a title, its paper, and the settings that are its own."""

    title: str
    paper: str
    settings: Mapping[str, Any]

    @property
    def folder(self) -> str:
        return re.sub(r"[^a-z0-9.]+", "-", self.title)


def compare(
    papers: Sequence[str],
    data: str,
    out: Path,
    *,
    seeds: int = 10,
    steps: int | None = None,
    seed: int = 0,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    jobs: int = 1,
    batch_size: int | None = None,
    settings: Mapping[str, Any] | None = None,
    size: int | None = None,
    crop: str | None = None,
    background: str | None = None,
    network: str | None = None,
    valid: str | None = None,
    test: str | None = None,
    ablate: bool = False,
    resume: bool = False,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """``{"data", "steps", "seeds", "rows": [{"paper", "run", "metrics", "seconds", "diverged"}]}``, also written to
    ``out/compare.json`` with a report beside it; each paper's run lies under its name.

    jobs: papers trained at once, each in a process with one thread. steps: 10,000 unless given, 300 of retrieval.
    ablate: in the place of papers one of IRGAN and what becomes of it without each of its parts, all from one start;
    the rankers in closed form stand beside papers of retrieval. Raises ValueError before the first step.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    names = [] if list(papers) == ["all"] else [named(paper) for paper in papers]
    size = side_for(names, data, network, size)
    source: dict[str, Any] = {
        "valid": valid, "test": test, "size": size, "crop": crop, "background": background,
    }  # fmt: skip
    rows = loaded(data, seed=seed, **source)
    for name in names:
        suits(name, rows)
    names = names or list(_all_papers(rows))
    steps = usual_steps(steps, rows)
    asked = {
        "steps": steps, "seed": seed, "seeds": seeds, "engine": engine, "batch_size": batch_size, "network": network,
        "resume": resume, "device": device, "precision": precision, **source,
    }  # fmt: skip
    entries = _ablations(names) if ablate else [Entry(name, name, {}) for name in names]
    for entry in entries:  # all errors before the first step
        build(entry.paper, rows, settings=_own(entry, settings or {}), batch_size=batch_size, network=network)
    with files.owned(out):
        if (out / "compare.json").exists() and not resume:
            raise ValueError(f"{out} already holds a comparison: go on with --resume, or choose another directory")
        common = dict(settings or {})
        if ablate and not isinstance(rows, Data):
            common |= _one_start(entries[0].paper, data, rows, out / "start", {**asked, "settings": common}, say)
        found = []
        tasks = [
            (entry.title, entry.paper, data, str(out / entry.folder), {**asked, "settings": _own(entry, common)})
            for entry in entries
        ]
        for row in _all(tasks, jobs, say):
            found.append(row)
            say(f"{row['paper']}: " + _short(row))
        titles = [entry.title for entry in entries]
        found.sort(key=lambda row: titles.index(row["paper"]))
        result = {"data": data, "steps": steps, "seeds": seeds, "seed": seed, "rows": found}
        if not isinstance(rows, Data):
            result["closed"] = _closed(rows)
        files.write_json(out / "compare.json", result)
        from . import report

        report.write([out], out / "report.html")
    return result


def _all_papers(rows: Data | Rankings) -> Iterable[str]:
    if isinstance(rows, Data):
        return PICTURES if rows.kind == "pictures" else TABLE
    return INTERACTIONS if rows.kind == "interactions" else LETOR


def _ablations(names: Sequence[str]) -> list[Entry]:
    """IRGAN as it is asked for, with one thing changed at a time, and its start taught on without an adversary."""
    if len(names) != 1 or not names[0].startswith("irgan"):
        raise ValueError(f"--ablate takes one paper, irgan or irgan-pairwise, not {' '.join(names)}")
    (name,) = names
    known = signature(INTERACTIONS[name])
    fitting = {title: own for title, own in ABLATIONS.items() if own.keys() <= known.keys()}
    if name != "irgan":
        fitting = {title: own for title, own in fitting.items() if "reward" not in own}
    return [
        Entry(name, name, {}),
        *(Entry(title, name, own) for title, own in fitting.items()),
        Entry("dns, on", "dns", {}),
    ]


def _one_start(
    paper: str, data: str, rows: Rankings, folder: Path, asked: Mapping[str, Any], say: Say
) -> dict[str, Any]:
    """The setting that starts every variant from the same weights: those of one run of dns, or the closed form."""
    game = build(paper, rows, settings=asked["settings"], network=asked["network"])
    if game.start != "dns":
        return {"start": game.start}
    values = resolve(paper, rows.shape, asked["settings"], asked["network"])
    say(f"dns, the start of all: {values['start_steps']} steps")
    own = {key: value for key, value in asked.items() if key not in ("settings", "steps", "resume")}
    return {"start": str(train_start(data, folder, values, **own))}


def _own(entry: Entry, common: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an entry: of dns beside irgan only those that it has."""
    known = {**signature(INTERACTIONS[entry.paper]), "rank": int, "spread": float} if entry.title == "dns, on" else None
    return {**{key: value for key, value in common.items() if known is None or key in known}, **entry.settings}


def _closed(rows: Rankings) -> dict[str, Any]:
    """The rankers without an adversary, on the same test part."""
    asked = question(rows, "test")
    return {name: summary([asked.judge(scores)]) for name, scores in baseline(rows, "test").items()}


def _all(tasks: Sequence[tuple], jobs: int, say: Say) -> Iterator[dict[str, Any]]:
    """The rows, as they come."""
    if jobs == 1:
        for task in tasks:
            say(f"{task[0]}: {task[4]['seeds']} seeds, {task[4]['steps']} steps")
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


def _one(title: str, paper: str, data: str, out: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Train and judge one paper."""
    start = time.perf_counter()
    run = train(
        paper,
        data,
        out=out,
        keep_going=True,
        judge_every=max(1, asked["steps"] // (4 if not retrieves(paper) else 20)),
        **asked,
    )
    seconds = time.perf_counter() - start
    judged = run.judged()
    logged = files.lines(Path(out) / "log.jsonl")
    return {
        "paper": title,
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

    names = list(dict.fromkeys(name for row in result["rows"] for name in row["metrics"] if "." not in name))
    rows = Table("paper", *names, "diverged", "seconds", box=None, header_style="bold", pad_edge=False)
    for row in result["rows"]:
        cells = []
        for name in names:
            value = row["metrics"].get(name)
            cells.append("" if value is None else f"{value['mean']:.3g} ± {value['std']:.2g}")
        rows.add_row(row["paper"], *cells, str(row["diverged"] or ""), f"{row['seconds']:.0f}")
    for title, metrics in result.get("closed", {}).items():
        rows.add_row(
            title if title not in CLOSED else f"{title} (closed form)",
            *(f"{metrics[name]['mean']:.3g}" for name in names),
            "",
            "",
        )
    Console(width=max(100, 22 * (len(names) + 2))).print(rows)
    print(f"{result['data']}, {result['steps']} steps, {result['seeds']} seeds; mean ± standard deviation over seeds")
