"""Training a run, and opening one: ``load`` needs neither its data nor a configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import data as datas
from ..core.launch import suggest
from ..core.texts import check_path
from ..engine import Ranks, called
from ..game import Game
from ..papers import find_paper, papers_for
from ..runs import files
from ..runs.facts import is_run, read_facts
from ..runs.plan import READING_OPTIONS, Plan, make_plan
from ..runs.run import Run
from ..runs.task import Source, Task, Tell
from ..runs.training import Interrupted, Loop
from . import task_of, task_of_paper, task_of_run

# how a run is played that another starts from: the data, seeds and networks are those of the other
AS_A_START: dict[str, Any] = {
    "batch_size": None, "objective": None, "constraints": None, "labels": False, "engine": "auto", "device": "auto",
    "lr_schedule_steps": 0, "precision": "fp32", "log_every": 0, "judge_every": 0, "checkpoint_every": 0,
}  # fmt: skip


def load(path: str | Path, game: Game | None = None) -> Run:
    """Open a run. game: only for one that was trained from a Game of your own.

    Raises ValueError, in one line, where the path holds no run or no whole checkpoint.
    """
    directory = Path(path)
    facts = read_facts(directory)
    return task_of_run(facts).load(directory, facts, game)


def open_run(path: Path, ability: str = "judge") -> Any:
    """The run in a directory that can do what is asked of it. Raises ValueError, in one line, where there is none, and
    where it cannot, with what it can do."""
    if not path.is_dir():
        makes = suggest(f"train PAPER --data DATA --out {path}")
        raise ValueError(
            f"{path} is not a run directory" if path.exists() else f"{path}: no such run; {makes} makes one"
        )
    run = load(path)
    if ability not in run.abilities:
        raise ValueError(f"{path} holds a run of {run.name}, which cannot {ability}; it can {', '.join(run.abilities)}")
    return run


def train(
    paper: str | Game,
    data: str | Path | Source = "ring8",
    *,
    out: str | Path | None = None,
    steps: int | None = None,
    lr_schedule_steps: int = 0,
    seed: int = 0,
    seeds: int = 1,
    batch_size: int | None = None,
    objective: str | None = None,
    constraints: Sequence[str] | None = None,
    network: str | None = None,
    settings: Mapping[str, Any] | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    valid: str | None = None,
    test: str | None = None,
    size: int | None = None,
    crop: str | None = None,
    background: str | None = None,
    exclude_classes: str | None = None,
    min_rating: float | None = None,
    columns: str | Mapping[str, str] | None = None,
    fold: int | None = None,
    qrels: str | None = None,
    missing: str | None = None,
    strict: bool = False,
    labels: bool = False,
    log_every: int = 0,
    judge_every: int = 0,
    checkpoint_every: int = 0,
    resume: bool = False,
    keep_going: bool = False,
    tell: Tell | None = None,
) -> Run:
    """Train a paper, a crossing of one, or a `Game` of your own, and return its run.

    steps: each ends with turns of the generator; 10,000 unless given, 300 of retrieval. lr_schedule_steps: the length
    of the learning rates' schedule, that of the run unless given; a run that says from the start how long it may become
    goes on later as if it had never ended. seed, seeds: the population plays with seed, seed + 1, ... device: auto,
    cpu, cuda or cuda:N. precision: of the networks, fp32 or bf16. size, crop, background, strict, exclude_classes,
    min_rating, columns, fold, qrels, missing, valid, test: how the data are read (`data.load`). labels: tell both
    players the classes. resume: go on from the newest whole checkpoint in ``out``. keep_going: a member whose numbers
    are no longer finite is frozen at its last finite state instead of stopping all. tell: called with ("start" | "log"
    | "judge" | "warn" | "note", step, facts).

    Raises ValueError for what cannot be trained, `Diverged` at the first number that is not finite, `Interrupted`
    after saving on SIGINT, SIGTERM or SIGHUP, `Unwritable` where the disk is full.
    """
    reading = {
        "valid": valid, "test": test, "size": size, "crop": crop, "background": background,
        "exclude_classes": exclude_classes, "min_rating": min_rating, "columns": columns, "fold": fold, "qrels": qrels,
        "missing": missing,
    }  # fmt: skip
    asked: dict[str, Any] = {
        "seed": seed, "seeds": seeds, "steps": steps, "lr_schedule_steps": lr_schedule_steps,
        "batch_size": batch_size, "objective": objective,
        "constraints": constraints, "network": network, "settings": settings, "engine": engine, "device": device,
        "precision": precision, "labels": labels, "log_every": log_every, "judge_every": judge_every,
        "checkpoint_every": checkpoint_every,
    }  # fmt: skip
    if out is not None:
        check_path("out", str(out))
    data = str(data) if isinstance(data, Path) else data
    task, source, reading = load_data(data, [paper], network, seed, strict, reading)
    name = data if isinstance(data, str) else data.name
    prepared = _prepare(task, paper, source, name, reading, **asked)
    plan = prepared.plan
    directory = Path("runs") / f"{plan.paper or 'game'}-{Path(name).stem}" if out is None else Path(out)
    return _play(prepared, directory, resume, keep_going, tell)


def describe(
    paper: str, data: str, *, out: str | Path, resume: bool = False, strict: bool = False, **asked: Any
) -> dict[str, Any]:
    """What `train` would play, resolved and checked, the directory too, without playing it. Takes what `train` takes,
    and raises what it would before the first step."""
    reading = {key: asked.pop(key, None) for key in READING_OPTIONS}
    found = load_data(data, [paper], asked["network"], asked["seed"], strict, reading)
    task, source, plan, game = _prepare(found[0], paper, found[1], data, found[2], **asked)
    loop = Loop(task, plan, game, source, Path(out), Ranks(), False, lambda *_: None, lambda: iter(()))
    step = loop.open_directory(resume)
    plan = loop.plan
    rates = ", ".join(f"{role} {optimizer.lr:g}" for role, optimizer in game.optimizers.items())
    return {
        "directory": f"{out}: goes on from step {step}" if step else f"{out}: begins",
        "paper": plan.paper,
        "citation": game.citation,
        **task.describe(game, source),
        "seeds": f"{plan.seed} to {plan.members[-1]}",
        "steps": plan.steps,
        "rates": f"{rates}, over {plan.lr_schedule_steps} steps",
        "a step": ", ".join(game.schedule(plan.steps // 2)),
        "batch": game.batch_size or "all",
        "constraints": ", ".join(map(repr, game.constraints)) or "none",
        "engine": loop.mode,
        "device": called(loop.device),
        "every": f"log {plan.log_every}, judge {plan.judge_every}, checkpoint {plan.checkpoint_every}",
        **({"notes": "; ".join(loop.notes)} if loop.notes else {}),
    }


def load_data(
    data: str | Source,
    papers: Sequence[str | Game],
    network: str | None,
    seed: int,
    strict: bool,
    reading: Mapping[str, Any],
) -> tuple[Task, Any, dict[str, Any]]:
    """The task of data, they themselves, read from a name as papers want them or handed over as they are, and how they
    were read. Raises ValueError where nothing can be read, or not for these papers."""
    source: Any = data
    if isinstance(columns := reading.get("columns"), Mapping):
        reading = {**reading, "columns": ",".join(f"{kind}={name}" for kind, name in columns.items())}
    excluded = reading.get("exclude_classes")
    if excluded is not None and not isinstance(excluded, str):
        reading = {**reading, "exclude_classes": ",".join(map(str, excluded))}
    if not isinstance(data, str) and not hasattr(data, "fingerprint"):
        raise ValueError(
            f"data are a name, a path, or what gz.data has read, not {type(data).__name__}: save it (numpy.save) and "
            "give the path"
        )
    if isinstance(data, str):
        wanted = any(isinstance(paper, str) and _wants_pictures(paper, network) for paper in papers)
        if wanted and reading.get("size") is None:  # digits are vectors, unless a paper or its networks need pictures
            reading = {**reading, "size": datas.picture_size(data)}
        source = datas.load(data, seed, strict=strict, **reading)
    task = task_of(source.kind)
    for paper in papers:
        check_fits(task, paper, source)
    return task, source, {key: value for key, value in reading.items() if value is not None}


def _wants_pictures(paper: str, network: str | None) -> bool:
    """Whether the paper, or the networks asked for, are for pictures alone."""
    forms = find_paper(paper).forms
    return "pictures" in forms and "vectors" not in forms or "vectors" in forms and network not in (None, "mlp")


def check_fits(task: Task, paper: str | Game, source: Source) -> None:
    """Raises ValueError, with the way out, where a paper or a game of one task meets the data of another."""
    if isinstance(paper, Game):
        if not task.accepts(paper):
            raise ValueError(f"this game's draw is not one of {task.noun}, which {source.name} holds")
        return
    name = find_paper(paper).name
    if name not in task.fitting_papers():
        other = task_of_paper(name)
        raise ValueError(
            f"{name} is a paper of {other.noun}, and {source.name} holds {task.noun}: give {other.sources}; or use "
            f"{', '.join(papers_for(source.form))}"
        )


class Prepared(NamedTuple):
    """All that a run begins with."""

    task: Task
    source: Any
    plan: Plan
    game: Game


def _prepare(
    task: Task, paper: str | Game, source: Any, name: str, reading: Mapping[str, Any], *, labels: bool, **asked: Any
) -> Prepared:
    """What was asked for on data that have been read, every setting resolved, and its game. Raises ValueError where it
    cannot be played on the data."""
    asked["steps"] = task.usual_steps if asked["steps"] is None else asked["steps"]
    plan = make_plan(paper, name, source, task.label_settings(source) if labels else {}, reading=reading, **asked)
    game = plan.in_precision(paper) if isinstance(paper, Game) else plan.game(source)
    task.check(game, source)
    return Prepared(task, source, plan, game)


def _play(prepared: Prepared, directory: Path, resume: bool, keep_going: bool = False, tell: Tell | None = None) -> Run:
    """To the end, in a directory."""
    task, source, plan, game = prepared
    with Ranks() as ranks:
        tell = tell if tell and ranks.rank == 0 else (lambda *_: None)

        def pretrain(paper: str, steps: int, settings: Mapping[str, Any]) -> Path:
            """The run that this one starts from, in a directory of its own; resumed where it was interrupted."""
            out = directory / "start"
            tell("note", 0, {"text": f"first {paper}, to start from: {out}"})
            shared = {"seed": plan.seed, "seeds": plan.seeds, "network": plan.network}
            own = {**AS_A_START, **shared, "steps": steps, "settings": settings}
            first = _prepare(task, paper, source, plan.data, plan.reading, **own)
            try:
                return _play(first, out, resume=is_run(out)).directory
            except Interrupted as error:  # what goes on is the run that was asked for
                raise Interrupted(error.signum, f"{error.where} of its start", loop.resume_command) from None

        begin = lambda: task.starting_weights(game, source, plan, pretrain)  # noqa: E731
        loop = Loop(task, plan, game, source, directory, ranks, keep_going, tell, begin)
        with files.lock(directory) if ranks.rank == 0 else contextlib.nullcontext():
            return loop.play(resume)
