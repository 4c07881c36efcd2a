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

from . import inference, judges, record, tree, watch
from .data import Data
from .engine import Engine, Ranks, choose
from .game import Game
from .noise import great_circle, latents
from .pictures import View, sheet
from .plan import SOURCE, Plan, command, difference, loaded, planned, side_for
from .run import Run, loudly
from .tree import Tree

Tell = Callable[[str, int, Mapping[str, Any]], None]  # what happened, at which step, its facts

STRIPS, ACROSS = 4, 16  # interpolations at the end of a run of pictures, and the pictures of each
PAIRS, PAIRED = 48, 12  # held-out rows that are reconstructed, and how many stand in a line
CODES = 600  # held-out rows whose codes are kept to be drawn
COPIED, NEAREST = 8, 3  # samples that are looked for in the training part, and the rows shown of each


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
    data: str | Data = "ring8",
    *,
    out: str | Path | None = None,
    steps: int = 10_000,
    seed: int = 0,
    seeds: int = 1,
    batch_size: int | None = None,
    objective: str | None = None,
    constraints: Sequence[str] | None = None,
    network: str | None = None,
    settings: Mapping[str, Any] | None = None,
    engine: str = "auto",
    valid: str | None = None,
    test: str | None = None,
    size: int | None = None,
    crop: str | None = None,
    background: str | None = None,
    without: str | None = None,
    strict: bool = False,
    labels: bool = False,
    log_every: int = 0,
    judge_every: int = 0,
    checkpoint_every: int = 0,
    resume: bool = False,
    keep_going: bool = False,
    tell: Tell | None = None,
) -> Run:
    """Train a paper, a crossing of one, or a `Game` of your own, and return the `Run`.

    steps: each ends with a turn of the generator. seed, seeds: the population plays with seed, seed + 1, ...
    size, crop, background, strict: how pictures are read (`data.load`). without: classes that are left out of every
    part of the data, with commas. labels: tell both players the classes.
    resume: go on from the newest whole checkpoint in ``out``. keep_going: a member whose numbers are no longer finite
    is frozen at its last finite state instead of stopping all. tell: called with ("start" | "log" | "judge" | "warn" |
    "note", step, facts).

    Raises ValueError for what cannot be trained, `Diverged` at the first number that is not finite, `Interrupted`
    after saving on SIGINT or SIGTERM.
    """
    size = side_for([paper], data, network, size)
    source: dict[str, Any] = {
        "valid": valid, "test": test, "size": size, "crop": crop, "background": background, "without": without,
    }  # fmt: skip
    rows = data if isinstance(data, Data) else loaded(data, seed=seed, strict=strict, **source)
    plan = planned(
        paper, data, rows.shape, rows.count, seed=seed, seeds=seeds, steps=steps, batch_size=batch_size,
        objective=objective, constraints=constraints, network=network, settings=settings, engine=engine, labels=labels,
        log_every=log_every, judge_every=judge_every, checkpoint_every=checkpoint_every, **source,
    )  # fmt: skip
    game = paper if isinstance(paper, Game) else plan.game(rows)
    _check(game, rows)
    directory = Path(out) if out is not None else Path("runs") / f"{plan.paper or 'game'}-{Path(plan.data).stem}"
    with Ranks() as ranks:
        told = tell if tell and ranks.rank == 0 else (lambda *_: None)
        loop = Loop(plan, game, rows, directory, ranks, keep_going, told)
        with record.owned(directory) if ranks.rank == 0 else contextlib.nullcontext():
            return loop.play(resume)


def _check(game: Game, rows: Data) -> None:
    """Whether the game can be played on the data. Raises ValueError where it cannot."""
    if game.shape != rows.shape:
        raise ValueError(f"the game is for samples of shape {game.shape}, {rows.name} has {rows.shape}")
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
    plan = planned(paper, data, rows.shape, rows.count, **asked)
    game = plan.game(rows)
    _check(game, rows)
    return {
        "paper": plan.paper,
        "citation": game.citation,
        "data": f"{rows.name}: {len(rows.train)} train, {len(rows.valid)} validation, {len(rows.test)} test rows "
        f"of shape {' x '.join(map(str, rows.shape))}",
        **({"skipped": f"{len(rows.skipped)} files"} if rows.skipped else {}),
        "seeds": f"{plan.seed} to {plan.members[-1]}",
        "steps": plan.steps,
        "a step": ", ".join(game.schedule(plan.steps // 2)),
        "batch": game.batch_size,
        "constraints": ", ".join(map(repr, game.constraints)) or "none",
        "engine": choose(plan.engine, game, plan.steps, plan.seeds),
        "every": f"log {plan.log_every}, judge {plan.judge_every}, checkpoint {plan.checkpoint_every}",
    }


class Loop:
    """The loop of one run: plays, watches, judges, saves, until the end or a signal."""

    def __init__(self, plan: Plan, game: Game, data: Data, directory: Path, ranks: Ranks, keep_going: bool, tell: Tell):
        self.plan, self.game, self.data, self.directory = plan, game, data, directory
        self.ranks, self.keep_going, self.tell = ranks, keep_going, tell
        self.dead: set[int] = set()  # members frozen at their last finite state
        self.said: set[tuple[str, int]] = set()  # warnings that were told
        self.seconds = 0.0  # of playing alone
        self.logged = (0, 0.0)  # step and seconds of the last line
        self.found: record.Checkpoint | None = None  # what is resumed

    @property
    def writes(self) -> bool:
        return self.ranks.rank == 0

    def play(self, resume: bool) -> Run:
        facts = self._facts()
        mode = choose(self.plan.engine, self.game, self.plan.steps, self.plan.seeds)
        facts["engine"] = mode
        step = self._open(facts, resume)
        self.ranks.any(False)  # all have read the directory before one writes to it
        self.engine = Engine(self.game, self.data, self.plan.members, self.plan.steps, mode, self.ranks)
        self.logged = (step, 0.0)
        if self.found:
            self.engine.load(self.found.states)
        else:
            self.engine.start()
        if self.writes:
            record.write_json(self.directory / "run.json", facts)
            for name in ("log.jsonl", "metrics.jsonl"):
                record.rewind(self.directory / name, step)
            (self.directory / "samples").mkdir(exist_ok=True)
        self.run = Run(self.directory, facts, self.game, self.engine.states())
        self.tell("start", step, {"engine": mode, "steps": self.plan.steps})
        if not step and self.writes:
            self._picture(0)
        with _signals() as asked:
            while step < self.plan.steps:
                step = self._piece(step, asked)
        self.run._states = self.engine.states()
        return self.run

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
            record.save_checkpoint(self.directory, step, states, self._identity)
        if stopping and not last:
            raise Interrupted(asked[0] if asked else signal.SIGTERM, f"step {step}")
        return step

    # --- beginning ---

    @cached_property
    def _identity(self) -> str:
        """A digest of all that decides the numbers of a run, but its length and how often it writes."""
        plan = dataclasses.asdict(self.plan)
        for name in ("steps", "engine", "log_every", "judge_every", "checkpoint_every", "data", *SOURCE):
            plan.pop(name)
        plan["data"] = self.data.fingerprint
        plan["weights"] = {name: list(leaf.shape) for name, leaf in tree.flatten(self._template["params"]).items()}
        return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def _template(self) -> Tree:
        return self.game.init(self.plan.seed)

    def _open(self, facts: Mapping[str, Any], resume: bool) -> int:
        """The step to begin at, from what the directory holds."""
        here = (self.directory / "run.json").exists()
        if here and not resume:
            raise ValueError(f"{self.directory} already holds a run: go on with --resume, or choose another directory")
        if not here:
            return 0
        old = record.read_json(self.directory / "run.json")
        if old.get("identity") != self._identity:
            raise ValueError(f"{self.directory} holds another run: {difference(old, facts)}")
        self.found = record.newest_checkpoint(self.directory, [self._template] * self.plan.seeds, self._identity)
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
        from . import __version__

        data, game = self.data, self.game
        return {
            "format": record.FORMAT,
            "paper": self.plan.paper,
            "data": {
                "name": data.name, "kind": data.kind, "shape": list(data.shape), "fingerprint": data.fingerprint,
                "train": len(data.train), "valid": len(data.valid), "test": len(data.test),
                "units": {"shift": data.units.shift.tolist(), "scale": data.units.scale.tolist()},
                "view": dataclasses.asdict(View.of(data)),
                "range": data.range,
                "classes": list(data.labels.names) if data.labels else [],
                "choices": dict(data.choices), "skipped": len(data.skipped),
            },
            "seed": self.plan.seed,
            "seeds": self.plan.seeds,
            "steps": self.plan.steps,
            "batch_size": game.batch_size,
            "game": {
                "objective": self.plan.objective or "the paper's",
                "constraints": [repr(c) for c in game.constraints],
                "rules": {role: rule.rate for role, rule in game.rules.items()},
                "half_life": game.half_life,
                "critic_parameters": sum(p.numel() for p in game.critic.parameters()),
                "generator_parameters": sum(p.numel() for m in game.generators.values() for p in m.parameters()),
            },
            "settings": dict(self.plan.settings),
            "citation": game.citation,
            "plan": dataclasses.asdict(self.plan),
            "identity": self._identity,
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
            facts = watch.look(self.game, state, self.data)
            members.append({**last, **facts})
            for cause, text in watch.warnings(self.game, facts, last).items():
                warned += self._warn(step, i, cause, text)
        played, took = step - self.logged[0], self.seconds - self.logged[1]
        self.logged = (step, self.seconds)
        speed = played * self.game.batch_size * len(states) / took if took > 0 else math.nan
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
        record.append(self.directory / "log.jsonl", line)
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
        out = self.run.judged(self.data)
        per_member = {name: value["per_member"] for name, value in out["metrics"].items()}
        warned = watch.judged_warnings(per_member, out["provenance"].get("modes_total"))
        said = [text for cause, text in warned.items() for text in self._warn(step, -1, cause, text)]
        line = {"step": step, "seconds": round(self.seconds, 3), **out, "diverged": len(self.dead)}
        line["warnings"] = said
        record.append(self.directory / "metrics.jsonl", line)
        self._picture(step)
        if step == self.plan.steps and self.data.kind == "pictures":
            self._interpolations(step)
            self._neighbours(step)
        if step == self.plan.steps and self.game.draw.encodes:
            self._reconstructions(step)
            self._codes(step)
        self.tell("judge", step, line)

    def _picture(self, step: int) -> None:
        self.run._states = self.engine.states()
        path = self.directory / "samples" / f"step-{step:08d}.png"
        self.run.view.picture(self.run.sample(self.run.view.count)).save(path)

    def _interpolations(self, step: int) -> None:
        """Strips from one latent of seed 0 to another; with labels, each within a class."""
        ends = latents(self.run.latent, 0, 2 * STRIPS).view(STRIPS, 2, *self.run.latent.shape)
        names = self.run.classes
        classes = [i % len(names) if names else None for i in range(STRIPS)]
        ways = [great_circle(first, last, ACROSS) for first, last in ends]
        strips = [self.run.decode(z, label=label) for z, label in zip(ways, classes, strict=True)]
        said = {"rows": STRIPS, "columns": ACROSS, "classes": [names[i] for i in classes if i is not None]}
        self._beside("interpolation", step, torch.cat(strips), said)

    def _neighbours(self, step: int) -> None:
        """Samples of seed 0, and below each the training pictures nearest to it by each eye, if there are enough
        held-out pictures to say how near is usual."""
        if not set(judges.FEATURES) & set(judges.fitting(self.data)):
            return
        samples = self.run.sample(COPIED)
        found = judges.memorised(samples, self.data, n=COPIED, k=NEAREST)
        below = [copies.pictures.transpose(0, 1).flatten(0, 1) for copies in found.values()]
        spaces = {
            space: {
                "distances": copies.distances.tolist(),
                "indices": copies.indices.tolist(),
                "usual": copies.usual,
            }
            for space, copies in found.items()
        }
        shape = {"rows": 1 + NEAREST * len(found), "columns": COPIED, "nearest": NEAREST}
        among = {"train": len(self.data.train), "held_out": min(judges.USUAL, len(self.data.test))}
        self._beside("neighbours", step, torch.cat([samples, *below]), {**shape, **among, "spaces": spaces})

    def _reconstructions(self, step: int) -> None:
        """The first held-out rows, and below each, or beside all, what their codes give back."""
        flat = self.run.view.kind in ("plane", "vectors")
        x = self.data.restored("test", self.run.view.count if flat else PAIRS)
        again = self.run.reconstruct(x)
        place = self.directory / "samples" / "reconstruction.png"
        self.run.view.pairs(x, again, PAIRED).save(place)
        rmse = float((x - again).square().mean().sqrt())
        said = {
            "pairs": len(x),
            "columns": 2 if flat else PAIRED,
            "rmse": rmse,
            "part": "test",
            "layout": "beside" if flat else "below",
        }
        record.write_json(place.with_suffix(".json"), {"step": step, "member": 0, **said})

    def _codes(self, step: int) -> None:
        """Codes of the first held-out rows on their two principal axes, with the class of each where it is known."""
        x = self.data.restored("test", CODES)
        codes = self.run.encode(x)
        codes = codes - codes.mean(0)
        axes = torch.linalg.svd(codes, full_matrices=False)
        points = codes @ axes.Vh[:2].T
        shares = (axes.S.square() / axes.S.square().sum())[:2].tolist()
        classes = self.data.labels if inference.classified(self.data) else None
        said = {
            "points": [[round(float(v), 4) for v in point] for point in points], "shares": shares,
            "latent": codes.shape[1], "classes": classes.test[: len(x)].tolist() if classes else None,
            "names": list(classes.names) if classes else [], "part": "test",
        }  # fmt: skip
        record.write_json(self.directory / "samples" / "codes.json", {"step": step, "member": 0, **said})

    def _beside(self, name: str, step: int, pictures: Tensor, said: Mapping[str, Any]) -> None:
        """A sheet beside the samples, with its facts."""
        place = self.directory / "samples" / name
        sheet(pictures, said["columns"]).save(place.with_suffix(".png"))
        record.write_json(place.with_suffix(".json"), {"step": step, "member": 0, "latents": "of seed 0", **said})


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
