"""The loop of a run: plays, observes, judges and saves, until the end or a signal.

A run killed at any moment and resumed ends bit for bit where one never stopped ends: weights, optimizers and averages
are in the checkpoint, noise and order of data follow from seed and step. What differs between kinds of data the loop
asks the `Task`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core import disk, launch, signals, tree
from ..core.tree import Tree
from ..engine import Engine, Ranks, called, choose, piece_steps, place
from ..game import Game
from ..papers import build
from . import checkpoints, diagnostics, files, legs, pieces
from .facts import is_run, read_facts
from .plan import INTERVALS, Plan, as_json, command, difference
from .run import Run
from .task import Task, Tell

LEFT_BY_A_RUN = ("log.jsonl", "metrics.jsonl", "selected", ".selected.old")  # beside checkpoints


class Diverged(RuntimeError):
    """A number was not finite."""


class Unwritable(OSError):
    """A file could not be written or read; what was saved before is whole, and can be gone on from."""


class Interrupted(Exception):
    """The work was asked to stop by a signal, and has saved. Its arguments are its own, so that it can be sent from one
    process to another."""

    def __init__(self, signum: int, where: str, again: str = "--resume"):
        super().__init__(signum, where, again)
        self.signum, self.where, self.again = signum, where, again

    def __str__(self) -> str:
        return f"stopped at {self.where} by {signal.Signals(self.signum).name}; saved: go on with {self.again}"


class Loop:
    """Of one run. begin: of every seed the weights that do not start afresh. keep_going: a member whose numbers are no
    longer finite is frozen at its last finite state instead of stopping all."""

    def __init__(
        self,
        task: Task,
        plan: Plan,
        game: Game,
        data: Any,
        directory: Path,
        ranks: Ranks,
        keep_going: bool,
        tell: Tell,
        begin: Callable[[], Iterator[tuple[int, Mapping[str, Tree]]]],
    ):
        self.task, self.game, self.data, self.directory = task, game, data, directory
        self.ranks, self.keep_going, self.tell, self.begin = ranks, keep_going, tell, begin
        self.device = place(plan.device, game)
        self.mode = choose(plan.engine, game, plan.steps, plan.seeds, self.device)
        self.plan, self.notes = _whole_pieces(plan, 1 if self.mode == "eager" else piece_steps(game, plan.steps // 2))
        self.legs: list[legs.Leg] = []
        self.formerly: list[str] = []  # digests by which older versions knew this run
        self.frozen: set[int] = set()  # members frozen at their last finite state
        self.known_warnings: set[tuple[str, int]] = set()  # causes and members that the user has heard of
        self.seconds = 0.0  # of playing alone
        self.last_log = (0, 0.0)  # step and seconds of the last line
        self.checkpoint: checkpoints.Checkpoint | None = None  # what is resumed

    @property
    def writes(self) -> bool:
        return self.ranks.rank == 0

    def play(self, resume: bool) -> Run:
        """To the end. Raises `Unwritable` where the disk is full or gone."""
        try:
            return self._play(resume)
        except Unwritable:  # said by the run that this one starts from
            raise
        except OSError as error:
            text = f"{disk.describe(error)}; {self._last_checkpoint()}; once that is mended go on with --resume"
            raise Unwritable(error.errno, text) from None

    def _play(self, resume: bool) -> Run:
        step = self.open_directory(resume)
        self.ranks.any(False)  # all have read the directory before one writes to it
        plan, facts = self.plan, self._facts()
        self.engine = Engine(
            self.game, self.data, plan.members, plan.lr_schedule_steps, self.mode, self.ranks, self.device
        )
        self.last_log = (step, 0.0)
        if self.checkpoint:
            self.engine.load(self.checkpoint.states)
        else:
            self.engine.load([self.game.init(seed, weights) for seed, weights in self.begin()])
        if self.writes:
            disk.sweep(self.directory, self.directory / "samples")
            if self._pieces:
                files.write_signed(self.directory / pieces.NAME, self._pieces)
            files.write_signed(self.directory / "run.json", facts)
            checkpoints.rewind_history(self.directory, self.checkpoint)
        self.run = self.task.open_run(self.directory, facts, self.game, self.engine.states())
        self.run.data = self.data
        self.tell("start", step, {"engine": self.mode, "steps": self.plan.steps})
        for note in (*self.notes, *self.task.notes(self.data)):
            self.tell("note", step, {"text": note})
        if self.writes:
            self.keeper = self.task.keeper(self.run, self.data)
            if not step:
                self.keeper.keep(0)
        with signals.note() as asked:
            while step < self.plan.steps:
                step = self._play_piece(step, asked)
        self.run.states = self.engine.states()
        return self.run

    def _play_piece(self, step: int, asked: list[int]) -> int:
        """Play one piece, and do what is due at its end. Where graphs are cut follows from the run alone: the same
        operations one by one have the same numbers, in a graph nearly the same."""
        plan, start = self.plan, time.perf_counter()
        event = min((step // getattr(plan, name) + 1) * getattr(plan, name) for name in INTERVALS)
        before, first = list(self.engine.groups), step
        step, records = self.engine.advance(step, min(event, plan.steps) if self.mode == "eager" else plan.steps)
        due = {name: step // getattr(plan, name) > first // getattr(plan, name) for name in INTERVALS}
        self._check_finite(first, records, before)
        self.seconds += time.perf_counter() - start
        last = step == plan.steps
        if self.writes and (due["log_every"] or last):
            self._log(step, records)
        if self.writes and (due["judge_every"] or last):
            self._judge(step)
        stopping = self.ranks.any(bool(asked))
        if self.writes and (due["checkpoint_every"] or last or stopping):
            states = self.engine.states()
            if not all(tree.finite(state) for state in states):
                raise Diverged(f"the weights were not finite after step {step}; {self._last_checkpoint()}")
            checkpoints.save_checkpoint(self.directory, step, states, self._identity)
        if stopping and not last:
            raise Interrupted(asked[0] if asked else signal.SIGTERM, f"step {step}", self.resume_command)
        return step

    @property
    def resume_command(self) -> str:
        """What goes on with this run."""
        words = command(self.plan, self.directory, self.data)
        return launch.as_typed_here(f"{words} --resume") if words else "resume=True"

    # --- beginning ---

    @cached_property
    def _identity(self) -> str:
        weights = {name: list(leaf.shape) for name, leaf in tree.flatten(self._template["params"]).items()}
        return self.plan.identity(self.data.fingerprint, weights, self._pieces)

    @cached_property
    def _pieces(self) -> Any:
        """What a Game that no plan describes is made of."""
        return None if self.plan.paper else pieces.describe_game(self.game)

    @cached_property
    def _template(self) -> Tree:
        return self.game.init(self.plan.seed)

    def open_directory(self, resume: bool) -> int:
        """The step to begin at, from what the directory holds; what is settled there about the plan and its legs."""
        if self.directory.is_dir() and Path(self.plan.data).is_dir() and self.directory.samefile(self.plan.data):
            raise ValueError(f"{self.directory} is the folder of the data: choose another one for the run")
        here = is_run(self.directory)
        if here and not resume:
            raise ValueError(f"{self.directory} already holds a run: go on with --resume, or choose another directory")
        old = read_facts(self.directory) if here else None
        if old:
            self._check_same_run(old)
        else:
            self._check_empty()
        self.plan = legs.settle_schedule(self.plan, old, self.game.lr_schedule)
        step = self._find_checkpoint(old) if old else 0
        if resume and not self.checkpoint:
            self.notes.append(f"{self.directory} holds no checkpoint to go on from: beginning at step 0")
        leg = {
            "from": step, "steps": self.plan.steps, "lr_schedule_steps": self.plan.lr_schedule_steps,
            "engine": self.mode, "device": called(self.device), "ranks": self.ranks.world, "torch": torch.__version__,
        }  # fmt: skip
        self.legs, changed = legs.go_on(legs.read_legs(old) if old else [], leg)
        self.plan = dataclasses.replace(self.plan, lr_schedule_steps=self.legs[-1]["lr_schedule_steps"])
        if changed:
            self.notes.append(f"from step {step} on with {', '.join(changed)}: not where one leg would end")
        return step

    def _check_same_run(self, old: Mapping[str, Any]) -> None:
        """Raises ValueError where the directory holds another run."""
        known = [identity for identity in (old.get("identity"), *old.get("formerly", ())) if identity]
        if self._identity not in known:
            other = self._difference(old) or (old["format"] == files.FORMAT and "its networks differ")
            if other:
                raise ValueError(f"{self.directory} holds another run: {other}")
            self.formerly = known  # an older version told the same run by another digest

    def _difference(self, old: Mapping[str, Any]) -> str | None:
        plan = self.plan
        usual = build.resolve(plan.paper, self.data.form, {}, plan.network, plan.constraints) if plan.paper else {}
        other = difference(old, plan, self.data, as_json(usual))
        return other or (self._pieces and pieces.other_pieces(self.directory, old, self._pieces))

    def _find_checkpoint(self, old: Mapping[str, Any]) -> int:
        templates = [self._template] * self.plan.seeds
        identities = {self._identity, *checkpoints.identities(old)}
        self.checkpoint = checkpoints.newest_checkpoint(self.directory, templates, identities)
        if self.checkpoint is None:
            return 0
        checkpoints.report_skipped(self.checkpoint)
        if changed := checkpoints.changed_history(self.directory, self.checkpoint):
            files_changed = " and ".join(changed)
            self.notes.append(f"{files_changed} changed since step {self.checkpoint.step} was saved: lines are lost")
        if self.checkpoint.step > self.plan.steps:
            raise ValueError(
                f"{self.directory} has already played {self.checkpoint.step} steps, more than {self.plan.steps}"
            )
        return self.checkpoint.step

    def _check_empty(self) -> None:
        """Raises ValueError where a run has left something and no ``run.json``: nobody can tell whose it is."""
        left = checkpoints.last_folder(self.directory) or next(
            (path for name in LEFT_BY_A_RUN if os.path.lexists(path := self.directory / name)), None
        )
        if left:
            raise ValueError(f"{left} is of a run whose run.json is missing: put it back, or choose another directory")

    def _facts(self) -> dict[str, Any]:
        """run.json: what was asked and resolved, so that the run can be opened without data or configuration."""
        from .. import __version__

        data, game = self.data, self.game
        return {
            "format": files.FORMAT,
            "task": self.task.name,
            "paper": self.plan.paper,
            "data": {
                "name": data.name, "kind": data.kind, "form": data.form, "shape": list(data.shape),
                "fingerprint": data.fingerprint, **data.sizes(), "choices": dict(data.choices), **self.task.facts(data),
            },
            "seed": self.plan.seed,
            "seeds": self.plan.seeds,
            "steps": self.plan.steps,
            "batch_size": game.batch_size,
            "game": {
                "objective": self._objective,
                "constraints": [repr(c) for c in game.constraints],
                "lr": {role: optimizer.lr for role, optimizer in game.optimizers.items()},
                "ema_half_life": game.ema_half_life,
                "critic_parameters": sum(p.numel() for p in game.critic.parameters()),
                "generator_parameters": sum(p.numel() for m in game.generators.values() for p in m.parameters()),
            },
            "settings": dict(self.plan.settings),
            **({"citation": game.citation} if self.plan.paper else {"citation": "", "made_from": game.citation}),
            "plan": dataclasses.asdict(self.plan),
            "identity": self._identity,
            **({"formerly": self.formerly} if self.formerly else {}),
            "legs": self.legs,
            "engine": self.mode,
            "device": called(self.device),
            "ranks": self.ranks.world,
            "versions": {"ganzfeld": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "command": legs.commands(self.plan, self.directory, data, self.legs),
        }  # fmt: skip

    @property
    def _objective(self) -> str:
        """What is played for."""
        plan = self.plan
        if plan.paper is None:
            return pieces.name_objective(self.game.objective)
        return plan.objective or build.name_objective(plan.paper, plan.settings)

    # --- events ---

    def _check_finite(self, step: int, records: Mapping[str, Tensor], before: list[Tree]) -> None:
        """A number that is not finite stops the run, or freezes its member at the last finite state."""
        ok = torch.stack([torch.isfinite(values).all(1) for values in records.values()]).all(0)
        if self.keep_going:  # weights may be lost before any record is
            ok &= torch.tensor([tree.finite(state) for state in self.engine.states()])
        if bool(ok.all()):
            return
        bad = [i for i in range(len(ok)) if not ok[i]]
        if not self.keep_going:
            name, turn = _first_not_finite(records, bad[0])
            raise Diverged(
                f"{name} of member {bad[0]} (seed {self.plan.seed + bad[0]}) is not finite in the "
                f"{name.split('_')[0]}'s turn {turn + 1} after step {step}; {self._last_checkpoint()}"
            )
        now = self.engine.states()
        self.engine.groups = before
        finite = self.engine.states()
        self.engine.load([finite[i] if i in bad else state for i, state in enumerate(now)])
        for i in bad:
            if i not in self.frozen:
                self.frozen.add(i)
                self.tell("warn", step, {"member": i, "cause": "divergence", "text": "numbers are no longer finite"})

    def _last_checkpoint(self) -> str:
        last = checkpoints.last_folder(self.directory)
        return f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"

    def _log(self, step: int, records: Mapping[str, Tensor]) -> None:
        states = self.engine.states()
        members = []
        warned: list[str] = []
        for i, state in enumerate(states):
            last = {name: float(values[i, -1]) for name, values in records.items()}
            facts = self.keeper.observe(state)
            members.append({**last, **facts})
            for cause, text in diagnostics.warnings(self.game, facts, last).items():
                warned += self._warn(step, i, cause, text)
        played, took = step - self.last_log[0], self.seconds - self.last_log[1]
        self.last_log = (step, self.seconds)
        batch = self.engine.batch
        speed = played * batch * len(states) / took if took > 0 else math.nan
        mean = {name: _mean([m[name] for m in members]) for name in members[0]}
        line = {
            "step": step,
            "seconds": round(self.seconds, 3),
            "samples_per_second": round(speed, 1),
            **mean,
            "diverged": len(self.frozen),
            "warnings": warned,
            "per_member": {name: [m[name] for m in members] for name in members[0]},
        }
        files.append(self.directory / "log.jsonl", line)
        self.tell("log", step, line)

    def _warn(self, step: int, member: int, cause: str, text: str) -> list[str]:
        if diagnostics.too_early(step, self.plan.steps):
            return []
        message = f"{cause}: {text}" if self.plan.seeds == 1 or member < 0 else f"member {member}: {cause}: {text}"
        if (cause, member) not in self.known_warnings:
            self.known_warnings.add((cause, member))
            self.tell("warn", step, {"member": member, "cause": cause, "text": text})
        return [message]

    def _judge(self, step: int) -> None:
        self.run.states = self.engine.states()
        out = self.keeper.judge()
        per_member = {name: value["per_member"] for name, value in out["metrics"].items()}
        causes = diagnostics.metric_warnings(per_member, out["provenance"].get("modes_total"))
        texts = [text for cause, words in causes.items() for text in self._warn(step, -1, cause, words)]
        line = {"step": step, "seconds": round(self.seconds, 3), **out, "diverged": len(self.frozen), "warnings": texts}
        files.append(self.directory / "metrics.jsonl", line)
        self.keeper.keep(step)
        if step == self.plan.steps:
            self.keeper.finish(step)
        self.tell("judge", step, line)


def _whole_pieces(plan: Plan, piece: int) -> tuple[Plan, list[str]]:
    """The plan with intervals of whole pieces, and what there is to tell of them."""
    whole = {name: -(-getattr(plan, name) // piece) * piece for name in INTERVALS}
    changed = [f"{name} {n} (not {getattr(plan, name)})" for name, n in whole.items() if n != getattr(plan, name)]
    note = f"{piece} steps are played as one: {', '.join(changed)}"
    return dataclasses.replace(plan, **whole), [note] if changed else []


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return sum(known) / len(known) if known else math.nan


def _first_not_finite(records: Mapping[str, Tensor], member: int) -> tuple[str, int]:
    """The record and the turn of the first number that is not finite."""
    failures = []
    for name, values in records.items():
        bad = (~torch.isfinite(values[member])).nonzero()
        if len(bad):
            failures.append((int(bad[0]), name))
    turn, name = min(failures)
    return name, turn
