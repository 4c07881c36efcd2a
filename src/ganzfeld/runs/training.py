"""The loop of a run: plays, watches, judges and saves, until the end or a signal.

``train`` plays a game to its end, or on from where it was interrupted. A run killed at any moment and resumed ends bit
for bit where one never stopped ends: weights, optimisers and averages are in the checkpoint, noise and order of data
follow from seed and step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core import tree
from ..core.tree import Tree
from ..data import Data, Interactions, Rankings
from ..data.rankings.collection import Note
from ..engine import Engine, Ranks, called, choose, place
from ..game import Game
from ..rendering import View
from ..tasks import warm_starts
from ..tasks.galleries import Gallery
from ..tasks.generation import Run
from ..tasks.loading import loudly, played
from ..tasks.retrieval import Retrieval, Shortlist
from . import checkpoints, diagnostics, files
from .plan import MANNER, SOURCE, Plan, command, difference, loaded, planned, side_for, suits, usual_steps

Tell = Callable[[str, int, Mapping[str, Any]], None]  # what happened, at which step, its facts


class Diverged(RuntimeError):
    """A number was not finite."""


class Interrupted(Exception):
    """The work was asked to stop by a signal, and has saved. Its arguments are its own, so that it can be sent from one
    process to another."""

    def __init__(self, signum: int, where: str):
        super().__init__(signum, where)
        self.signum, self.where = signum, where

    def __str__(self) -> str:
        return f"stopped at {self.where} by {signal.Signals(self.signum).name}; saved: go on with --resume"


def train(
    paper: str | Game,
    data: str | Data | Rankings = "ring8",
    *,
    out: str | Path | None = None,
    steps: int | None = None,
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
    fold: int | None = None,
    qrels: str | None = None,
    strict: bool = False,
    labels: bool = False,
    log_every: int = 0,
    judge_every: int = 0,
    checkpoint_every: int = 0,
    resume: bool = False,
    keep_going: bool = False,
    tell: Tell | None = None,
) -> Run | Retrieval:
    """Train a paper, a crossing of one, or a `Game` of your own, and return the `Run`, of rankings the `Retrieval`.

    steps: each ends with turns of the generator; 10,000 unless given, 300 of retrieval. seed, seeds: the population
    plays with seed, seed + 1, ... device: auto, cpu, cuda or cuda:N. precision: of the networks, fp32 or bf16. size,
    crop, background, strict: how pictures are read (`data.load`). without: classes that are left out of every part of
    the data, with commas. least, fold, qrels: how rankings are read. labels: tell both players the classes.
    resume: go on from the newest whole checkpoint in ``out``. keep_going: a member whose numbers are no longer finite
    is frozen at its last finite state instead of stopping all. tell: called with ("start" | "log" | "judge" | "warn" |
    "note", step, facts).

    Raises ValueError for what cannot be trained, `Diverged` at the first number that is not finite, `Interrupted`
    after saving on SIGINT or SIGTERM.
    """
    size = side_for([paper], data, network, size)
    source: dict[str, Any] = {
        "valid": valid, "test": test, "size": size, "crop": crop, "background": background,
        "exclude_classes": exclude_classes, "min_rating": min_rating, "fold": fold, "qrels": qrels,
    }  # fmt: skip
    rows = loaded(data, seed=seed, strict=strict, **source) if isinstance(data, str) else data
    suits(paper, rows)
    steps = usual_steps(steps, rows)
    plan = planned(
        paper, data, rows.shape, _classes(rows), seed=seed, seeds=seeds, steps=steps, batch_size=batch_size,
        objective=objective, constraints=constraints, network=network, settings=settings, engine=engine, labels=labels,
        device=device, precision=precision,
        log_every=log_every, judge_every=judge_every, checkpoint_every=checkpoint_every, **source,
    )  # fmt: skip
    game = plan.in_precision(paper) if isinstance(paper, Game) else plan.game(rows)
    _check(game, rows)
    directory = Path(out) if out is not None else Path("runs") / f"{plan.paper or 'game'}-{Path(plan.data).stem}"
    with Ranks() as ranks:
        told = tell if tell and ranks.rank == 0 else (lambda *_: None)
        loop = Loop(plan, game, rows, data, directory, ranks, keep_going, told)
        with files.owned(directory) if ranks.rank == 0 else contextlib.nullcontext():
            return loop.play(resume)


def train_start(data: str | Data | Rankings, out: Path, settings: Mapping[str, Any], **asked: Any) -> Path:
    """Train the dns that a game of these settings starts from, with networks of the same sizes, or go on with it."""
    kept = {key: settings[key] for key in ("rank", "spread", "width", "depth") if key in settings}
    train("dns", data, out=out, steps=settings["start_steps"], settings=kept, resume=True, **asked)
    return out


def _classes(rows: Data | Rankings) -> int:
    return rows.count if isinstance(rows, Data) else 0


def _check(game: Game, rows: Data | Rankings) -> None:
    """Whether the game can be played on the data. Raises ValueError where it cannot."""
    if game.shape != rows.shape:
        raise ValueError(f"the game is for samples of shape {game.shape}, {rows.name} has {rows.shape}")
    if not isinstance(rows, Data):
        if not rows.side("critic").rows:
            raise ValueError(f"no query of {rows.name} has both relevant and other documents: nothing can be learnt")
        return
    if game.draw.labelled and not rows.count:
        raise ValueError(f"{rows.name} has no labels: put its pictures into a folder for each class")
    if game.draw.labelled and rows.coded("valid") is None:
        raise ValueError(f"the validation rows have no labels of the classes of {rows.name}: play without --labels")
    if rows.kind == "pictures" and game.batch_size > rows.rows:
        raise ValueError(f"{rows.name} has {rows.rows} training pictures, fewer than a batch of {game.batch_size}")


def describe(paper: str, data: str, **asked: Any) -> dict[str, Any]:
    """What `train` would play, resolved and checked, without playing it."""
    strict = asked.pop("strict", False)
    asked["size"] = side_for([paper], data, asked["network"], asked["size"])
    rows = loaded(data, seed=asked["seed"], strict=strict, **{key: asked[key] for key in SOURCE})
    suits(paper, rows)
    asked["steps"] = usual_steps(asked["steps"], rows)
    plan = planned(paper, data, rows.shape, _classes(rows), **asked)
    game = plan.game(rows)
    _check(game, rows)
    device = place(plan.device, game)
    return {
        "paper": plan.paper,
        "citation": game.citation,
        "data": _parts(rows),
        **({"skipped": f"{len(rows.skipped)} files"} if isinstance(rows, Data) and rows.skipped else {}),
        **({} if isinstance(rows, Data) or not rows.noted else {"noted": "; ".join(map(_told, rows.noted))}),
        **({"start": game.start or "afresh"} if game.draw.discrete else {}),
        "seeds": f"{plan.seed} to {plan.members[-1]}",
        "steps": plan.steps,
        "a step": ", ".join(game.schedule(plan.steps // 2)),
        "batch": game.batch_size or "all",
        "constraints": ", ".join(map(repr, game.constraints)) or "none",
        "engine": choose(plan.engine, game, plan.steps, plan.seeds, device),
        "device": called(device),
        "every": f"log {plan.log_every}, judge {plan.judge_every}, checkpoint {plan.checkpoint_every}",
    }


def _told(note: Note) -> str:
    return f"{note.reason}: {note.times}, first at {note.first}"


def _parts(rows: Data | Rankings) -> str:
    train, valid, test = rows.sizes().values()
    if isinstance(rows, Data):
        what = f"rows of shape {' x '.join(map(str, rows.shape))}"
    elif isinstance(rows, Interactions):
        what = "positives of {} users with {} items".format(*rows.shape)
    else:
        what = f"queries of {rows.shape[-1]} features"
    return f"{rows.name}: {train} train, {valid} validation, {test} test {what}"


class Loop:
    """The loop of one run: plays, watches, judges, saves, until the end or a signal."""

    def __init__(
        self,
        plan: Plan,
        game: Game,
        data: Data | Rankings,
        given: str | Data | Rankings,
        directory: Path,
        ranks: Ranks,
        keep_going: bool,
        tell: Tell,
    ):
        self.given = given  # as the data were asked for
        self.plan, self.game, self.data, self.directory = plan, game, data, directory
        self.ranks, self.keep_going, self.tell = ranks, keep_going, tell
        self.device = place(plan.device, game)
        self.mode = choose(plan.engine, game, plan.steps, plan.seeds, self.device)
        self.dead: set[int] = set()  # members frozen at their last finite state
        self.said: set[tuple[str, int]] = set()  # warnings that were told
        self.seconds = 0.0  # of playing alone
        self.logged = (0, 0.0)  # step and seconds of the last line
        self.found: checkpoints.Checkpoint | None = None  # what is resumed

    @property
    def writes(self) -> bool:
        return self.ranks.rank == 0

    def play(self, resume: bool) -> Run | Retrieval:
        facts = self._facts()
        step = self._open(facts, resume)
        self.ranks.any(False)  # all have read the directory before one writes to it
        self.engine = Engine(
            self.game, self.data, self.plan.members, self.plan.steps, self.mode, self.ranks, self.device
        )
        self.logged = (step, 0.0)
        if self.found:
            self.engine.load(self.found.states)
        else:
            given = warm_starts.given(self.game, self.data, self.plan.members, self.plan.settings, self._before)
            self.engine.load([self.game.init(seed, weights) for seed, weights in given])
        if self.writes:
            files.write_json(self.directory / "run.json", facts)
            for name in ("log.jsonl", "metrics.jsonl"):
                files.rewind(self.directory / name, step)
        self.run = played(self.directory, facts, self.game, self.engine.states())
        self.tell("start", step, {"engine": self.mode, "steps": self.plan.steps})
        for note in () if isinstance(self.data, Data) else self.data.noted:
            self.tell("note", step, {"text": _told(note)})
        if self.writes:
            self.show = self._showing()
            if not step:
                self.show.step(0)
        with _signals() as asked:
            while step < self.plan.steps:
                step = self._piece(step, asked)
        self.run._states = self.engine.states()
        return self.run

    def _showing(self) -> Gallery | Shortlist:
        if isinstance(self.run, Retrieval):
            assert not isinstance(self.data, Data)
            return Shortlist(self.run, self.data)
        assert isinstance(self.data, Data)
        return Gallery(self.run, self.data)

    def _piece(self, step: int, asked: list[int]) -> int:
        """Play to the next event or a part of the way, and do what is due there."""
        plan, start = self.plan, time.perf_counter()
        due = min((step // n + 1) * n for n in (plan.log_every, plan.judge_every, plan.checkpoint_every))
        before, first = list(self.engine.groups), step
        step, records = self.engine.advance(step, min(due, plan.steps))
        self._check_finite(first, records, before)
        self.seconds += time.perf_counter() - start
        last = step == plan.steps
        if self.writes and (step % plan.log_every == 0 or last):
            self._log(step, records)
        if self.writes and (step % plan.judge_every == 0 or last):
            self._judge(step)
        stopping = self.ranks.any(bool(asked))
        if self.writes and (step % plan.checkpoint_every == 0 or last or stopping):
            states = self.engine.states()
            if not all(tree.finite(state) for state in states):
                raise Diverged(f"the weights were not finite after step {step}; {self._last_good()}")
            checkpoints.save_checkpoint(self.directory, step, states, self._identity)
        if stopping and not last:
            raise Interrupted(asked[0] if asked else signal.SIGTERM, f"step {step}")
        return step

    # --- beginning ---

    @cached_property
    def _identity(self) -> str:
        """A digest of all that decides the numbers of a run, but its length and how often it writes."""
        plan = dataclasses.asdict(self.plan)
        for name in (*MANNER, "data", *SOURCE):
            plan.pop(name)
        if plan["precision"] == "fp32":  # runs of before there was a choice
            plan.pop("precision")
        plan["data"] = self.data.fingerprint
        plan["weights"] = {name: list(leaf.shape) for name, leaf in tree.flatten(self._template["params"]).items()}
        return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def _template(self) -> Tree:
        return self.game.init(self.plan.seed)

    def _before(self) -> Path:
        """The run of dns that this one starts from, in a directory of its own; resumed where it was interrupted."""
        plan, out = self.plan, self.directory / "start"
        if "start_steps" not in plan.settings:
            raise ValueError(f"{plan.paper} starts afresh, from ease, or from a run: start=dns is for irgan")
        self.tell("note", 0, {"text": f"first dns, to start from: {out}"})
        source = {name: getattr(plan, name) for name in SOURCE} if isinstance(self.given, str) else {}
        return train_start(
            self.given, out, plan.settings, seed=plan.seed, seeds=plan.seeds, network=plan.network, **source
        )

    def _open(self, facts: Mapping[str, Any], resume: bool) -> int:
        """The step to begin at, from what the directory holds."""
        here = (self.directory / "run.json").exists()
        if here and not resume:
            raise ValueError(f"{self.directory} already holds a run: go on with --resume, or choose another directory")
        if not here:
            return 0
        old = files.read_json(self.directory / "run.json")
        if old.get("identity") != self._identity:
            raise ValueError(f"{self.directory} holds another run: {difference(old, facts)}")
        self.found = checkpoints.newest_checkpoint(self.directory, [self._template] * self.plan.seeds, self._identity)
        if self.found is None:
            return 0
        loudly(self.found)
        if self.found.step > self.plan.steps:
            raise ValueError(
                f"{self.directory} has already played {self.found.step} steps, more than {self.plan.steps}"
            )
        return self.found.step

    def _facts(self) -> dict[str, Any]:
        """run.json: what was asked and resolved, so that the run can be opened without data or configuration."""
        from .. import __version__

        data, game = self.data, self.game
        return {
            "format": checkpoints.FORMAT,
            "paper": self.plan.paper,
            "data": {
                "name": data.name, "kind": data.kind, "shape": list(data.shape), "fingerprint": data.fingerprint,
                **data.sizes(), "choices": dict(data.choices), **_said(data),
            },
            "seed": self.plan.seed,
            "seeds": self.plan.seeds,
            "steps": self.plan.steps,
            "batch_size": game.batch_size,
            "game": {
                "objective": self.plan.objective or "the paper's",
                "constraints": [repr(c) for c in game.constraints],
                "optimizers": {role: rule.lr for role, rule in game.optimizers.items()},
                "ema_half_life": game.ema_half_life,
                "critic_parameters": sum(p.numel() for p in game.critic.parameters()),
                "generator_parameters": sum(p.numel() for m in game.generators.values() for p in m.parameters()),
            },
            "settings": dict(self.plan.settings),
            "citation": game.citation,
            "plan": dataclasses.asdict(self.plan),
            "identity": self._identity,
            "engine": self.mode,
            "device": called(self.device),
            "ranks": self.ranks.world,
            "versions": {"ganzfeld": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "command": command(self.plan, self.directory, data.shape),
        }  # fmt: skip

    # --- events ---

    def _check_finite(self, step: int, records: Mapping[str, Tensor], before: list[Tree]) -> None:
        """A number that is not finite stops the run, or freezes its member at the last finite state."""
        ok = torch.stack([torch.isfinite(values).all(1) for values in records.values()]).all(0)
        if bool(ok.all()):
            return
        bad = [i for i in range(len(ok)) if not ok[i]]
        if not self.keep_going:
            name, turn = _first_bad(records, bad[0])
            raise Diverged(
                f"{name} of member {bad[0]} (seed {self.plan.seed + bad[0]}) is not finite in the "
                f"{name.split('_')[0]}'s turn {turn + 1} after step {step}; {self._last_good()}"
            )
        now = self.engine.states()
        self.engine.groups = before
        held = self.engine.states()
        self.engine.load([held[i] if i in bad else state for i, state in enumerate(now)])
        for i in bad:
            if i not in self.dead:
                self.dead.add(i)
                self.tell("warn", step, {"member": i, "cause": "divergence", "text": "numbers are no longer finite"})

    def _last_good(self) -> str:
        steps = sorted((self.directory / "checkpoints").glob("step-*"))
        return f"the last good checkpoint is {steps[-1]}" if steps else "there is no checkpoint yet"

    def _log(self, step: int, records: Mapping[str, Tensor]) -> None:
        states = self.engine.states()
        members = []
        warned: list[str] = []
        for i, state in enumerate(states):
            last = {name: float(values[i, -1]) for name, values in records.items()}
            facts = self.show.look(state)
            members.append({**last, **facts})
            for cause, text in diagnostics.warnings(self.game, facts, last).items():
                warned += self._warn(step, i, cause, text)
        played, took = step - self.logged[0], self.seconds - self.logged[1]
        self.logged = (step, self.seconds)
        batch = self.engine.batch
        speed = played * batch * len(states) / took if took > 0 else math.nan
        mean = {name: _mean([m[name] for m in members]) for name in members[0]}
        line = {
            "step": step,
            "seconds": round(self.seconds, 3),
            "samples_per_second": round(speed, 1),
            **mean,
            "diverged": len(self.dead),
            "warnings": warned,
            "per_member": {name: [m[name] for m in members] for name in members[0]},
        }
        files.append(self.directory / "log.jsonl", line)
        self.tell("log", step, line)

    def _warn(self, step: int, member: int, cause: str, text: str) -> list[str]:
        if step < self.plan.steps / 10:
            return []  # every game begins with one blob and an idle critic
        message = f"{cause}: {text}" if self.plan.seeds == 1 or member < 0 else f"member {member}: {cause}: {text}"
        if (cause, member) not in self.said:
            self.said.add((cause, member))
            self.tell("warn", step, {"member": member, "cause": cause, "text": text})
        return [message]

    def _judge(self, step: int) -> None:
        self.run._states = self.engine.states()
        out = self.show.judged()
        per_member = {name: value["per_member"] for name, value in out["metrics"].items()}
        warned = diagnostics.judged_warnings(per_member, out["provenance"].get("modes_total"))
        said = [text for cause, text in warned.items() for text in self._warn(step, -1, cause, text)]
        line = {"step": step, "seconds": round(self.seconds, 3), **out, "diverged": len(self.dead)}
        line["warnings"] = said
        files.append(self.directory / "metrics.jsonl", line)
        self.show.step(step)
        if step == self.plan.steps:
            self.show.end(step)
        self.tell("judge", step, line)


def _said(data: Data | Rankings) -> dict[str, Any]:
    """What else a run must know of its data when they are not at hand."""
    if not isinstance(data, Data):
        return {"noted": [note._asdict() for note in data.noted]}
    return {
        "units": {"shift": data.units.shift.tolist(), "scale": data.units.scale.tolist()},
        "view": dataclasses.asdict(View.of(data)),
        "range": data.range,
        "classes": list(data.labels.names) if data.labels else [],
        "skipped": len(data.skipped),
    }


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return sum(known) / len(known) if known else math.nan


def _first_bad(records: Mapping[str, Tensor], member: int) -> tuple[str, int]:
    """The record and the turn of the first number that is not finite."""
    found = []
    for name, values in records.items():
        bad = (~torch.isfinite(values[member])).nonzero()
        if len(bad):
            found.append((int(bad[0]), name))
    turn, name = min(found)
    return name, turn


@contextlib.contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Inside, SIGINT and SIGTERM go to the handler. One that is ignored stays so, and off the main thread signals are
    somebody else's business."""
    main = threading.current_thread() is threading.main_thread()
    kinds = [kind for kind in (signal.SIGINT, signal.SIGTERM) if main and signal.getsignal(kind) != signal.SIG_IGN]
    old = [signal.signal(kind, handler) for kind in kinds]
    try:
        yield
    finally:
        for kind, before in zip(kinds, old, strict=True):
            signal.signal(kind, before)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Inside, signals are noted instead of raised; a second one is raised at once."""
    asked: list[int] = []

    def note(signum: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)

    with handled(note):
        yield asked
