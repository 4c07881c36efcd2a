"""Comparing papers: equal budgets, a population of seeds each, means with their spread.

Every paper is reported, the bad ones too; members whose numbers ceased to be finite stay in the statistics, at their
last finite state, and are counted. Of a metric that is not finite for some members, the others are summarised and those
are counted. What a paper starts from was trained besides: its steps are told, since the others did not get them.
Samples are judged as the final state makes them, and nothing is selected; rankers as validation selected them, and as
they were at the end, on the test part.
"""

from __future__ import annotations

import math
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..core import signals
from ..core.names import split_names
from ..judging import judges
from ..judging.baselines.closed_form import CLOSED_FORM
from ..papers import find_paper, papers_for
from ..papers.build import build, resolve
from ..papers.unread import check_read, unread
from ..runs import files
from ..runs.facts import is_run
from ..runs.training import Interrupted
from ..tasks import task_of_run
from ..tasks.loading import load_data, train
from ..tasks.shortlists import describe_steps
from .tables import MARK_OF_FEW, print_table

Say = Callable[[str], None]
ROUNDING = 1e-12  # of a mean of equal numbers, and more than their spread by it
SECONDS_BETWEEN_LOOKS = 0.1  # at whether a signal has come, while processes train


class Entry(NamedTuple):
    """What is compared: a title, its paper, the settings that are its own, and those that it can share with others: all
    that it has, or where none are named whatever is asked for; without those that it would not read."""

    title: str
    paper: str
    own: Mapping[str, Any]
    known: tuple[str, ...]
    unread: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return re.sub(r"[^a-z0-9.]+", "-", self.title)

    def settings(self, common: Mapping[str, Any]) -> dict[str, Any]:
        shared = [key for key in common if (not self.known or key in self.known) and key not in self.unread]
        return {**{key: common[key] for key in shared}, **self.own}


def _leave_out_unread(entries: Sequence[Entry], form: str, common: Mapping[str, Any], network: str | None) -> list:
    """Variants, each without the settings that are for others of them; what none would read stays, to be refused."""
    found = [
        set(unread(find_paper(entry.paper), form, entry.settings(common), network)) - entry.own.keys()
        for entry in entries
    ]
    nobodys = set.intersection(*(keys for entry, keys in zip(entries, found, strict=True) if not entry.known))
    return [entry._replace(unread=tuple(keys - nobodys)) for entry, keys in zip(entries, found, strict=True)]


def compare(
    papers: Sequence[str],
    data: str,
    out: Path,
    *,
    seeds: int = 10,
    steps: int | None = None,
    lr_schedule_steps: int = 0,
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
    ``out/compare.json`` with a report beside it; each paper's run lies under its name. A row whose paper started from
    another's training has its ``start``: ``{"paper", "steps", "seconds"}``.

    papers: a list, one name, or several in one text with commas; "all" of those that fit the data.

    jobs: papers trained at once, each in a process with one thread. steps: 10,000 unless given, 300 of retrieval.
    ablate: in the place of papers one of IRGAN and what becomes of it without each of its parts, all from one start;
    the rankers in closed form stand beside papers of retrieval. Raises ValueError before the first step.
    """
    out, data_name = Path(out), data if isinstance(data, str) else data.name
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    papers = split_names(papers)
    if not papers:
        raise ValueError("no paper is named: name some, or all")
    names = [] if papers == ("all",) else [find_paper(paper).name for paper in papers]
    reading: dict[str, Any] = {"valid": valid, "test": test, "size": size, "crop": crop, "background": background}
    task, source, reading = load_data(data, names, network, seed, False, reading)
    names = names or list(papers_for(source.form))
    steps = task.usual_steps if steps is None else steps
    asked: dict[str, Any] = {
        "steps": steps, "lr_schedule_steps": lr_schedule_steps, "seed": seed, "seeds": seeds,
        "engine": engine, "batch_size": batch_size, "network": network,
        "resume": resume, "device": device, "precision": precision, **reading,
    }  # fmt: skip
    common = dict(settings or {})
    variants = task.ablations(names) if ablate else {name: (name, {}) for name in names}
    entries = [
        Entry(title, paper, own, () if paper in names else tuple(resolve(paper, source.form, {}, network)))
        for title, (paper, own) in variants.items()
    ]
    if ablate:
        entries = _leave_out_unread(entries, source.form, common, network)
    for entry in entries:
        check_read(find_paper(entry.paper), source.form, entry.settings(common), network, batch_size=batch_size)
    games = [
        build(entry.paper, source, settings=entry.settings(common), batch_size=batch_size, network=network)
        for entry in entries
    ]  # all errors before the first step
    for game in games:
        task.check(game, source)
    for note in task.notes(source):
        say(note)
    with files.lock(out):
        if (out / "compare.json").exists() and not resume:
            raise ValueError(f"{out} already holds a comparison: go on with --resume, or choose another directory")
        if resume and not any(is_run(out / entry.folder) for entry in entries):
            say(f"{out} holds no comparison to go on from: beginning at step 0")
        for title in _left_out(out, [entry.title for entry in entries]):
            say(f"{title} lies in {out}, and is not in this table: name it, too")
        if ablate:

            def pretrain(paper: str, steps: int, settings: Mapping[str, Any]) -> Path:
                """The run that all variants start from."""
                say(f"{paper}, the start of all: {steps} steps")
                start = out / "start"
                own = {"settings": settings, "steps": steps, "lr_schedule_steps": 0, "resume": is_run(start)}
                train(paper, data, out=start, **{**asked, **own})
                return start

            values = resolve(entries[0].paper, source.form, common, network)
            common |= task.common_start(entries[0].paper, games[0], values, pretrain)
        asked |= {"judge_every": max(1, steps // task.judgements), "keep_going": True}
        work = [
            (entry.title, entry.paper, data, out / entry.folder, {**asked, "settings": entry.settings(common)})
            for entry in entries
        ]
        rows = []
        for row in _train_all(work, jobs, say):
            rows.append(row)
            say(f"{row['paper']}: {_summarise(row)}")
        titles = [entry.title for entry in entries]
        rows.sort(key=lambda row: titles.index(row["paper"]))
        result = {"data": data_name, "steps": steps, "seeds": seeds, "seed": seed, "rows": rows}
        if baselines := task.baselines(source):
            result["closed"] = baselines
        if absent := task.without_baselines(source):
            result["left_out"] = absent
        files.write_json(out / "compare.json", result)
        from . import report

        report.write([out], out / "report.html")
    return result


def _left_out(out: Path, titles: Sequence[str]) -> list[str]:
    """The papers of the comparison that lies there which are not among those that are compared now."""
    rows = files.read_json(out / "compare.json").get("rows", []) if (out / "compare.json").exists() else []
    return [row["paper"] for row in rows if row.get("paper") not in (None, *titles)]


def _train_all(tasks: Sequence[tuple], jobs: int, say: Say) -> Iterator[dict[str, Any]]:
    """The rows, as they come."""
    if jobs == 1:
        for task in tasks:
            say(f"{task[0]}: {task[4]['seeds']} seeds, {task[4]['steps']} steps")
            yield _train_one(*task)
        return
    waiting = list(tasks)
    running: dict[Any, BaseProcess] = {}
    context = get_context("spawn")

    with signals.note() as asked:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    ours, theirs = context.Pipe(duplex=False)
                    running[ours] = context.Process(target=_send_row, args=(theirs, waiting.pop(0)))
                    running[ours].start()
                    theirs.close()  # so that the end of the process is the end of the pipe
                ready = wait(list(running), timeout=SECONDS_BETWEEN_LOOKS)
                if asked:
                    done = len(tasks) - len(waiting) - len(running)
                    raise Interrupted(asked[0], f"{done} of {len(tasks)} papers")
                for pipe in ready:
                    outcome = _receive_row(pipe)
                    running.pop(pipe).join()
                    if isinstance(outcome, Exception):
                        raise outcome
                    yield outcome
        finally:
            for process in running.values():
                process.terminate()  # each saves, and ends
            for process in running.values():
                process.join()


def _send_row(pipe: Connection, task: tuple) -> None:
    """In a process of its own: train and judge one paper, and send its row, or what went wrong."""
    signals.ignore(signal.SIGINT, signal.SIGHUP)  # a terminal sends them to all: the parent passes them on, once
    torch.set_num_threads(1)
    try:
        pipe.send(_train_one(*task))
    except Exception as error:
        pipe.send(error)


def _receive_row(pipe: Any) -> dict[str, Any] | Exception:
    try:
        return pipe.recv()
    except EOFError:
        return ChildProcessError(
            "a paper's process ended without a word: out of memory, or killed; go on with --resume"
        )


def _train_one(title: str, paper: str, data: str, out: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Train one paper, and tell how it was judged."""
    start = time.perf_counter()
    run = train(paper, data, out=out, **{**asked, "resume": asked["resume"] and is_run(out)})
    seconds = time.perf_counter() - start
    task = task_of_run(run.facts)
    outcome, before = task.outcome(run), task.started_from(run)
    logged = files.read_lines(out / "log.jsonl")
    played = logged[-1]["seconds"] if logged else round(seconds, 3)
    return {
        "paper": title,
        "run": out.name,
        "metrics": outcome["metrics"],
        "provenance": outcome["provenance"],
        "seconds": round(played + ((before or {}).get("seconds") or 0), 3),  # of what it starts from, too
        "wall": round(seconds, 3),
        "diverged": logged[-1].get("diverged", 0) if logged else 0,
        **({"start": dict(before)} if before else {}),
    }


def _summarise(row: Mapping[str, Any]) -> str:
    shown = [f"{name} {_format_cell(value)}" for name, value in row["metrics"].items()]
    dead = [f"{row['diverged']} diverged"] if row["diverged"] else []
    return ", ".join([*shown[:3], *dead, f"{row['seconds']:.0f} s"])


def _format_cell(value: Mapping[str, Any]) -> str:
    """A mean and its spread, either of which may not be defined, and over how many members where not over all."""
    mean, std = (math.nan if value[key] is None else value[key] for key in ("mean", "std"))
    total, lost = len(value["per_member"]), value.get("not_finite", 0)
    if lost == total:
        return f"none of {total} finite"
    std = 0.0 if std <= ROUNDING * abs(mean) else std  # of equal values, whose mean is rounded
    return f"{mean:.3g} ± {std:.2g}" + (f" ({total - lost} of {total})" if lost else "")


def _selected_steps(row: Mapping[str, Any]) -> Sequence[int]:
    """Of a paper that ranks, the steps at which the members of its first ranker were selected."""
    facts = row.get("provenance", {})
    return facts.get("selected", {}).get((facts.get("rankers") or [""])[0], ())


def _start_cells(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """What a paper started from, unless it was afresh, and its metrics; none where they were not taken."""
    kind = row.get("provenance", {}).get("start", {}).get("from", "afresh")
    known = {name: row["metrics"][f"start.{name}"] for name in names if f"start.{name}" in row["metrics"]}
    if kind == "afresh" or not known:
        return ()
    return (kind, *(_format_cell(known[name]) if name in known else "" for name in names))


def print_comparison(result: Mapping[str, Any]) -> None:
    """Print means, spreads and seconds, and what must be known to read them; of rankers also when they were selected,
    and what they started from."""
    ranked = any(map(_selected_steps, result["rows"]))
    names = list(dict.fromkeys(name for row in result["rows"] for name in row["metrics"] if "." not in name))
    few = [row["provenance"]["few"] for row in result["rows"] if "few" in row["provenance"]]
    marked = {name for one in few for name in one["wanted"]}
    rows: list[tuple[str, ...]] = []
    starts: dict[tuple[str, ...], list[str]] = {}
    notes: list[str] = []
    for row in result["rows"]:
        cells = [_format_cell(row["metrics"][name]) if name in row["metrics"] else "" for name in names]
        steps = _selected_steps(row)
        rows.append((row["paper"], *cells, *([describe_steps(steps)] if steps else [""] * ranked),
                     str(row["diverged"] or ""), f"{row['seconds']:.0f}"))  # fmt: skip
        if steps and not any(steps):
            notes.append(f"{row['paper']}: what was selected is its start in every seed: its numbers are the start's")
        if start := _start_cells(row, names):
            starts.setdefault(start, []).append(row["paper"])
    for (kind, *cells), papers in starts.items():
        rows.append((f"the start of {_join_papers(papers, result['rows'])} ({kind})", *cells, "0", "", ""))
    for title, metrics in result.get("closed", {}).items():
        title = title if title not in CLOSED_FORM else f"{title} (closed form)"
        rows.append((title, *(f"{metrics[name]['mean']:.3g}" for name in names), *[""] * ranked, "", ""))
    columns = ("paper", *(f"{name}{MARK_OF_FEW}" if name in marked else name for name in names))
    print_table((*columns, *["selected at"] * ranked, "diverged", "seconds"), rows, max(100, 22 * (len(names) + 2)))
    for note in [*notes, *([result["left_out"]] if "left_out" in result else [])]:
        print(note)
    print(f"{result['data']}, {result['steps']} steps, {result['seeds']} seeds; mean ± standard deviation over seeds")
    for note in _notes(result["rows"]):
        print(note)


def _join_papers(papers: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Their names, or "all" where no row is left out of several."""
    return "all" if 1 < len(papers) == len(rows) else ", ".join(papers)


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for what sets rows, or their numbers, apart."""
    starts: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if start := row.get("start"):
            starts.setdefault((start["paper"], start["steps"]), []).append(row["paper"])
    for (paper, steps), titles in starts.items():
        others = ", which the others did not get" if len(titles) < len(rows) else ""
        yield f"{_join_papers(titles, rows)} started from {steps} steps of {paper} besides{others}"
    cells = [value for row in rows for value in row["metrics"].values()]
    if any(0 < value.get("not_finite", 0) < len(value["per_member"]) for value in cells):
        yield "(k of n): over the k seeds whose number is finite"
    if few := next((row["provenance"]["few"] for row in rows if "few" in row["provenance"]), None):
        plain = {name: least for name, least in few["wanted"].items() if "." not in name}
        yield f"{MARK_OF_FEW} {judges.format_few({**few, 'wanted': plain})}"
    if why := next((row["provenance"]["unjudged"] for row in rows if "unjudged" in row["provenance"]), None):
        yield f"{why}"
