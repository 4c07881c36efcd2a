"""A run: the loop that trains a population, its directory, and what a user does with it afterwards.

``train`` plays a game to its end, or on from where it was interrupted; ``load`` opens a run that has been played and
needs neither the data nor a configuration. A run killed at any moment and resumed ends bit for bit where one never
stopped ends: weights, optimisers and averages are in the checkpoint, noise and order of data follow from seed and step.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import platform
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import data as datas
from . import judges, networks, record, tree, watch
from .data import Data, Units
from .engine import Engine, Ranks, choose
from .game import Game
from .noise import ROWS, latents
from .pairings import Doubtful
from .papers import TABLE
from .papers.build import build, find, resolve
from .pictures import View
from .tree import Tree

Tell = Callable[[str, int, Mapping[str, Any]], None]  # what happened, at which step, its facts
PICTURED = 2_500  # samples on a plane
CRITIC = "critic_w1"  # the one metric that asks the critic, not the samples
STANDING = 16  # batches of ROWS latents from which batch norm's standing statistics are taken


class Diverged(RuntimeError):
    """A number was not finite."""


class Interrupted(Exception):
    """The run was asked to stop, and has saved."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"stopped at step {step} by {signal.Signals(signum).name}; saved: go on with --resume")
        self.signum = signum


@dataclass(frozen=True)
class Plan:
    """What was asked for, resolved: all that decides a run's numbers, and how often it writes."""

    paper: str | None
    data: str
    seed: int = 0
    seeds: int = 1
    steps: int = 10_000
    batch_size: int | None = None
    objective: str | None = None
    constraints: tuple[str, ...] | None = None
    network: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "auto"
    valid: str | None = None
    test: str | None = None
    log_every: int = 0
    judge_every: int = 0
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name in ("seeds", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("log_every", "judge_every", "checkpoint_every", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")

    def resolved(self) -> Plan:
        """With every interval filled in: multiples of eight steps, so that whole pieces are played between them."""

        def every(given: int, share: int, least: int) -> int:
            return given or max(least, 8 * round(self.steps / share / 8))

        return dataclasses.replace(
            self,
            log_every=every(self.log_every, 100, 8),
            judge_every=every(self.judge_every, 10, 8),
            checkpoint_every=every(self.checkpoint_every, 10, 8),
        )

    @property
    def members(self) -> range:
        """The seed of every member."""
        return range(self.seed, self.seed + self.seeds)

    def game(self, shaped) -> Game:
        """The game this plan names."""
        if self.paper is None:
            raise ValueError("this run was trained from a Game of your own: hand it over again, load(path, game=...)")
        return build(
            self.paper,
            shaped,
            settings=self.settings,
            network=self.network,
            objective=self.objective,
            bound=self.constraints,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True)
class Shape:
    """All that a paper needs to know of data that are not at hand."""

    shape: tuple[int, ...]


class Run:
    """A played run. member picks one of its population, counted from 0."""

    def __init__(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]):
        self.directory, self.facts, self.game = directory, facts, game
        self._states = list(states)

    @property
    def members(self) -> int:
        return len(self._states)

    @cached_property
    def units(self) -> Units:
        units = self.facts["data"]["units"]
        return Units(torch.tensor(units["shift"]), torch.tensor(units["scale"]))

    @cached_property
    def view(self) -> View:
        view = dict(self.facts["data"]["view"])
        axes = view.pop("axes", None)
        return View(**{**view, "centre": tuple(view["centre"])}, axes=axes and tuple(map(tuple, axes)))

    def _state(self, member: int) -> Tree:
        if not 0 <= member < self.members:
            raise ValueError(f"there is no member {member}: this run has {self.members}, counted from 0")
        return self._states[member]

    def generator(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: latents [n, z] to samples [n, d] in the data's units, with averaged weights
        and standing statistics, so that a sample does not depend on its neighbours."""
        weights = watch.averaged(self.game, self._state(member))["generator"]
        module = _with_weights(self.game.generators["generator"], weights)
        need = self.game.needs("generator")["z"]
        batches = (latents(need, -1 - i, ROWS * 4) for i in range(STANDING))
        return nn.Sequential(networks.standing(module, batches), Restore(self.units)).eval()

    def critic(self, member: int = 0) -> nn.Module:
        """An ordinary module: samples in network units to raw scores, with the weights it plays with."""
        state = self._state(member)
        dressed, _ = self.game.dress(state["params"]["critic"], state["constraints"], advance=False)
        return _with_weights(self.game.critic, dressed).eval()

    def sample(self, n: int, seed: int = 0, member: int = 0) -> Tensor:
        """[n, d] in the data's units. Row i depends on (seed, i) alone: not on n, not on its neighbours."""
        if n < 1:
            raise ValueError(f"ask for at least one sample, not {n}")
        whole = -(-n // ROWS) * ROWS  # whole blocks: the arithmetic of a row never depends on how many were asked for
        return self.decode(latents(self.game.needs("generator")["z"], seed, whole), member)[:n]

    @torch.no_grad()
    def decode(self, z: Tensor, member: int = 0) -> Tensor:
        """Samples of given latents [n, z], block by block."""
        generator = self.generator(member)
        pad = -len(z) % ROWS
        blocks = torch.cat([z, z[:1].expand(pad, *z.shape[1:])]).split(ROWS)
        return torch.cat([generator(block) for block in blocks])[: len(z)]

    def judge(
        self, data: str | Data | None = None, metrics: Sequence[str] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """``{name: {"mean", "std", "per_member"}}`` against the run's data, or other data of the same shape."""
        return self.judged(data, metrics, seed)["metrics"]

    def judged(
        self, data: str | Data | None = None, metrics: Sequence[str] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """The same with its provenance: ``{"metrics": ..., "provenance": ...}``."""
        if data is None:
            plan = self.facts["plan"]
            data = datas.load(plan["data"], plan["seed"], plan.get("valid"), plan.get("test"))
        elif isinstance(data, str):
            data = datas.load(data, self.facts["plan"]["seed"])
        if data.shape != self.game.shape:
            raise ValueError(f"{data.name} has rows of shape {data.shape}, the run was trained on {self.game.shape}")
        samples = [self.sample(judges.COUNT, seed, member) for member in range(self.members)]
        asked = None if metrics is None else [name for name in metrics if name != CRITIC]
        out = judges.judge(samples, data, asked)
        if asked != metrics or (metrics is None and data.units.shared):
            out["metrics"] |= self._critic_estimates(data, must=metrics is not None)
        return out

    def _critic_estimates(self, data: Data, must: bool) -> dict[str, Any]:
        """The critics' own distances, to be read beside the exact one; ValueError where there must be some and no
        critic has a score."""
        rows = [watch.critic_estimate(self.game, state, data) for state in self._states]
        if must and not rows[0]:
            raise ValueError(f"{CRITIC} needs a critic of scores; this one returns features")
        return judges.summary(rows) if rows[0] else {}


class Restore(nn.Module):
    """Network units to the data's."""

    shift: Tensor
    scale: Tensor

    def __init__(self, units: Units):
        super().__init__()
        self.register_buffer("shift", units.shift.clone())
        self.register_buffer("scale", units.scale.clone())

    def forward(self, u: Tensor) -> Tensor:
        return self.shift + self.scale * u


def _with_weights(module: nn.Module, weights: Tree) -> nn.Module:
    module = copy.deepcopy(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(weights[name])
    return module.requires_grad_(False)


def load(path: str | Path, game: Game | None = None) -> Run:
    """Open a run. game: only for one that was trained from a Game of your own.

    Raises ValueError, in one line, where the path holds no run or no whole checkpoint.
    """
    directory = Path(path)
    facts = record.read_json(directory / "run.json")
    try:
        plan, shape = _plan(facts["plan"]), tuple(facts["data"]["shape"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory / 'run.json'} is not a description of a run: {error}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubtful)  # said when it was trained
        game = game or plan.game(Shape(shape))
    template = game.init(plan.seed)
    found = record.newest_checkpoint(directory, [template] * plan.seeds, facts["identity"])
    if found is None:
        raise ValueError(f"{directory} has no checkpoint yet")
    _loudly(found)
    return Run(directory, facts, game, found.states)


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
    log_every: int = 0,
    judge_every: int = 0,
    checkpoint_every: int = 0,
    resume: bool = False,
    keep_going: bool = False,
    tell: Tell | None = None,
) -> Run:
    """Train a paper, a crossing of one, or a `Game` of your own, and return the `Run`.

    steps: each ends with a turn of the generator. seed, seeds: the population plays with seed, seed + 1, ...
    resume: go on from the newest whole checkpoint in ``out``. keep_going: a member whose numbers are no longer finite
    is frozen at its last finite state instead of stopping all. tell: called with ("start" | "log" | "judge" | "warn" |
    "note", step, facts).

    Raises ValueError for what cannot be trained, `Diverged` at the first number that is not finite, `Interrupted`
    after saving on SIGINT or SIGTERM.
    """
    plan = _planned(
        paper, data, seed=seed, seeds=seeds, steps=steps, batch_size=batch_size, objective=objective,
        constraints=constraints, network=network, settings=settings, engine=engine, valid=valid, test=test,
        log_every=log_every, judge_every=judge_every, checkpoint_every=checkpoint_every,
    )  # fmt: skip
    rows = data if isinstance(data, Data) else datas.load(data, seed, valid, test)
    game = paper if isinstance(paper, Game) else plan.game(rows)
    if game.shape != rows.shape:
        raise ValueError(f"the game is for samples of shape {game.shape}, {rows.name} has {rows.shape}")
    directory = Path(out) if out is not None else Path("runs") / f"{plan.paper or 'game'}-{Path(plan.data).stem}"
    ranks = Ranks()
    told = tell if tell and ranks.rank == 0 else (lambda *_: None)
    loop = Loop(plan, game, rows, directory, ranks, keep_going, told)
    with record.owned(directory) if ranks.rank == 0 else contextlib.nullcontext():
        return loop.play(resume)


def describe(paper: str, data: str, rows: Data, **asked: Any) -> dict[str, Any]:
    """What `train` would play, resolved and checked, without playing it."""
    plan = _planned(paper, data, **asked)
    game = plan.game(rows)
    return {
        "paper": plan.paper,
        "citation": game.citation,
        "data": f"{rows.name}: {len(rows.train)} train, {len(rows.valid)} validation, {len(rows.test)} test rows",
        "seeds": f"{plan.seed} to {plan.members[-1]}",
        "steps": plan.steps,
        "a step": ", ".join(game.schedule(plan.steps // 2)),
        "batch": game.batch_size,
        "constraints": ", ".join(map(repr, game.constraints)) or "none",
        "engine": choose(plan.engine, game, plan.steps, plan.seeds),
        "every": f"log {plan.log_every}, judge {plan.judge_every}, checkpoint {plan.checkpoint_every}",
    }


def _planned(paper: str | Game, data: str | Data, **asked: Any) -> Plan:
    asked["constraints"] = None if asked["constraints"] is None else tuple(asked["constraints"])
    settings = dict(asked.pop("settings") or {})
    if not isinstance(paper, Game):
        settings = resolve(paper, settings, asked["network"], asked["constraints"])
        paper = find("paper", paper, TABLE).__name__.replace("_", "-")
    return Plan(
        paper=None if isinstance(paper, Game) else paper,
        data=data.name if isinstance(data, Data) else data,
        # strict JSON has no infinity, and a setting is read from text as well
        settings={k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in settings.items()},
        **asked,
    ).resolved()


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
            raise Interrupted(asked[0] if asked else signal.SIGTERM, step)
        return step

    # --- beginning ---

    @cached_property
    def _identity(self) -> str:
        """A digest of all that decides the numbers of a run, but its length and how often it writes."""
        plan = dataclasses.asdict(self.plan)
        for name in ("steps", "engine", "log_every", "judge_every", "checkpoint_every", "data", "valid", "test"):
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
            raise ValueError(f"{self.directory} holds another run: {_difference(old, facts)}")
        self.found = record.newest_checkpoint(self.directory, [self._template] * self.plan.seeds, self._identity)
        if self.found is None:
            return 0
        _loudly(self.found)
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
            "command": _command(self.plan, self.directory),
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
        self.tell("judge", step, line)

    def _picture(self, step: int) -> None:
        self.run._states = self.engine.states()
        path = self.directory / "samples" / f"step-{step:08d}.png"
        self.run.view.picture(self.run.sample(PICTURED)).save(path)


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


def _plan(values: Mapping[str, Any]) -> Plan:
    values = dict(values)
    if values.get("constraints") is not None:
        values["constraints"] = tuple(values["constraints"])
    return Plan(**values)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first thing in which two runs differ, for the error that refuses to mix them."""
    for key, value in new["plan"].items():
        if key not in ("steps", "engine", "log_every", "judge_every", "checkpoint_every"):
            before = old.get("plan", {}).get(key)
            value = list(value) if isinstance(value, tuple) else value
            if before != value:
                return f"{key} was {before!r}, not {value!r}"
    if old.get("data", {}).get("fingerprint") != new["data"]["fingerprint"]:
        return "the data have changed since it was trained"
    return "its networks differ"


def _loudly(found: record.Checkpoint) -> None:
    for text in found.skipped:
        print(f"{text}; using step {found.step} instead", file=sys.stderr)


def _command(plan: Plan, out: Path) -> str:
    """The command that plays this run again."""
    if plan.paper is None:
        return ""
    words = ["ganzfeld", "train", plan.paper, "--data", plan.data, "--out", str(out), "--steps", str(plan.steps)]
    words += ["--seed", str(plan.seed), "--seeds", str(plan.seeds)]
    for name in ("batch_size", "objective", "network", "valid", "test"):
        if (value := getattr(plan, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in plan.constraints or ():
        words += ["--constraint", name]
    for key, value in plan.settings.items():
        words += ["--set", f"{key}={value}"]
    return shlex.join(words)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Inside, SIGINT and SIGTERM are noted instead of raised; a second one is raised at once."""
    asked: list[int] = []

    def note(signum, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)

    kinds = (signal.SIGINT, signal.SIGTERM)
    try:
        old = [signal.signal(kind, note) for kind in kinds]
    except ValueError:  # not the main thread: signals are somebody else's business
        yield asked
        return
    try:
        yield asked
    finally:
        for kind, handler in zip(kinds, old, strict=True):
            signal.signal(kind, handler)
