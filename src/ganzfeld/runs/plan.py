"""The plan of a run: what was asked for, resolved, so that it can be written down, played again and compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import data
from ..core.launch import suggest
from ..core.names import rename, split_names
from ..core.records import check
from ..core.values import as_whole
from ..data.rankings.collection import Collection
from ..game import Game
from ..papers import TABLE, Form, Paper, find_paper
from ..papers.build import build, constraint_names, record_for, resolve
from ..papers.unread import check_read

PRECISIONS = ("fp32", "bf16")  # of the networks; weights, scores and penalties are held in fp32
MOST_MEMBERS = 2**16
READING_OPTIONS = (
    "valid", "test", "size", "crop", "background", "exclude_classes", "min_rating", "columns", "fold", "qrels",
    "missing",
)  # fmt: skip
INTERVALS = ("log_every", "judge_every", "checkpoint_every")
# how a run is played, not what is played: all that may be another at a resume
PLAY_OPTIONS = ("steps", "lr_schedule_steps", "engine", "device", *INTERVALS)
BESIDE = (*PLAY_OPTIONS, "reading", "labels")  # what follows from the rest: the data's fingerprint, the settings


@dataclass(frozen=True)
class Plan:
    """What was asked for, resolved: all that decides a run's numbers, and how often it writes. lr_schedule_steps: the
    length of the rates' schedule, 0 where it is not settled yet. labels: whether the players are told the classes,
    which a setting counts. reading: how the data are read, as `data.load` takes it."""

    paper: str | None
    data: str
    seed: int = 0
    seeds: int = 1
    steps: int = 10_000
    lr_schedule_steps: int = 0
    batch_size: int | None = None
    objective: str | None = None
    constraints: tuple[str, ...] | None = None
    network: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "auto"
    device: str = "auto"
    precision: str = "fp32"
    labels: bool = False
    log_every: int = 0
    judge_every: int = 0
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "seeds", "steps", "lr_schedule_steps", *INTERVALS):
            object.__setattr__(self, name, as_whole(name, getattr(self, name)))
        if self.precision not in PRECISIONS:
            raise ValueError(f"the precision is {' or '.join(PRECISIONS)}, not {self.precision!r}")
        for name in ("seeds", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seeds > MOST_MEMBERS:
            raise ValueError(f"seeds is the size of the population, at most {MOST_MEMBERS}, not {self.seeds}")
        for name in (*INTERVALS, "lr_schedule_steps", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")

    def with_intervals(self) -> Plan:
        """With every interval filled in: multiples of eight steps, so that whole pieces are played between them."""

        def every(asked: int, parts: int) -> int:
            return asked or max(8, 8 * round(self.steps / parts / 8))

        return dataclasses.replace(
            self,
            log_every=every(self.log_every, 100),
            judge_every=every(self.judge_every, 10),
            checkpoint_every=every(self.checkpoint_every, 10),
        )

    @property
    def members(self) -> range:
        """The seed of every member."""
        return range(self.seed, self.seed + self.seeds)

    def game(self, source: Any) -> Game:
        """The game this plan names, for data or what stands in for them."""
        if self.paper is None:
            raise ValueError("this run was trained from a Game of your own: hand it over again, load(path, game=...)")
        game = build(
            self.paper,
            source,
            settings=self.settings,
            network=self.network,
            objective=self.objective,
            bound=self.constraints,
            batch_size=self.batch_size,
        )
        return self.in_precision(game)

    def in_precision(self, game: Game) -> Game:
        """The game as precisely as is asked for."""
        return dataclasses.replace(game, precision="bf16") if self.precision == "bf16" else game

    def read(self, name: str | None = None, **reading: Any) -> Any:
        """The data this plan names, or others, read the same way but for what is asked for here. Raises ValueError
        where they cannot be read."""
        asked = {**self.reading, **reading}
        if name is None:
            return data.load(self.data, self.seed, **asked)
        # what was asked of the run's own data may say nothing to others
        asked = {key: value for key, value in asked.items() if key in data.choices_of(name)}
        excluded = set(split_names(asked.pop("exclude_classes", None) or ""))
        other = data.load(name, self.seed, **asked)
        here = [name for name in (other.labels.names if excluded and other.labels else ()) if name in excluded]
        return other.exclude(here) if here else other

    def identity(self, fingerprint: str, weights: Mapping[str, list[int]], pieces: Any) -> str:
        """A digest of all that decides the numbers of a run on data of a fingerprint with weights of these shapes.
        pieces: what a Game that no plan describes is made of."""
        own = {key: value for key, value in dataclasses.asdict(self).items() if key not in BESIDE}
        own |= {"data": fingerprint, "weights": weights, **({"pieces": pieces} if pieces else {})}
        return hashlib.sha256(json.dumps(own, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class StandIn:
    """All that a paper reads of data that are not at hand."""

    shape: tuple[int, ...]
    form: Form = "vectors"
    collection: Collection | None = None


def make_plan(paper: str | Game, name: str, source: Any, labels: Mapping[str, Any], **asked: Any) -> Plan:
    """The plan of what `train` was asked for, with every setting of the paper and its networks resolved.

    name, source: of the data, and they themselves. labels: the settings that tell the players the classes, {} for none.
    Raises ValueError, in one line, for unknown names and keys and values that do not fit.
    """
    given = asked.pop("settings") or {}
    asked["constraints"] = _constraints_by_name(asked)
    if isinstance(paper, Game):
        _refuse_beside_a_game({"labels": labels or None, "settings": given or None, **asked})
        return _resolved(None, name, {}, labels, asked)
    found, settings = find_paper(paper), _with_labels(given, labels)
    if labels:
        _check_labelled(found, name, source.form, asked["network"])
    pieces = asked["network"], asked["objective"], asked["constraints"]
    check_read(found, source.form, settings, *pieces, asked["batch_size"])
    values = resolve(paper, source.form, settings, asked["network"], asked["constraints"])
    return _resolved(found.name, name, values, labels, asked)


def _resolved(
    paper: str | None, name: str, settings: Mapping[str, Any], labels: Mapping[str, Any], asked: Mapping[str, Any]
) -> Plan:
    return Plan(paper, name, settings=as_json(settings), labels=bool(labels), **asked).with_intervals()


def _constraints_by_name(asked: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The constraints that are asked for, ("none",) for none of them. Raises ValueError where these, the objective or
    the network are no names."""
    names = asked["constraints"]
    names = [names] if isinstance(names, str) else names
    named = (("objective", asked["objective"]), ("network", asked["network"]))
    for kind, piece in (*named, *(("constraint", name) for name in names or ())):
        if piece is not None and not isinstance(piece, str):
            raise ValueError(
                f"the {kind} is a name ({suggest(f'list {kind}s')}); one of your own goes into a Game: "
                "dataclasses.replace(gz.papers.NAME(data), ...), or gz.papers.NAME(data, networks=...)"
            )
    return None if names is None else tuple(constraint_names(names)) or ("none",)


def _refuse_beside_a_game(asked: Mapping[str, Any]) -> None:
    """Raises ValueError for what cannot act on a Game."""
    fixed = ("labels", "settings", "batch_size", "objective", "constraints", "network")
    if given := [key for key in fixed if asked[key] is not None]:
        raise ValueError(f"a Game has its pieces and numbers already: leave out {' and '.join(given)}, or replace them")


def _with_labels(settings: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and those that tell the players the classes. Raises ValueError where they contradict each other."""
    for key, value in labels.items():
        if key in settings and str(settings[key]) != str(value):
            raise ValueError(
                f"{key}={settings[key]} contradicts --labels, by which it is {value}: leave one of them out"
            )
    return {**settings, **labels}


def _check_labelled(paper: Paper, name: str, form: Form, network: str | None) -> None:
    """Raises ValueError, with what to use, where a paper cannot tell its players the classes of data of a form."""
    if "classes" in record_for(paper, form, network).numbers:
        return
    labelled, side = _labelled_papers(), data.picture_size(name)
    use = "give pictures" if paper.name in labelled else f"use {', '.join(labelled)}, on pictures"
    raise ValueError(
        f"{paper.name} has no labelled form on {form}, so it cannot be played with --labels: {use}"
        + (f" (--size {side})" if side and form != "pictures" else "")
    )


def _labelled_papers() -> list[str]:
    """Those that can tell their players classes: critics of features, whose heads a paper names, cannot be told."""
    told = lambda paper: any("classes" in record.numbers for record in paper.records.values())  # noqa: E731
    return [name for name, paper in TABLE.items() if told(paper) and paper.head is None]


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as strict JSON can hold them: it has no infinity, and a setting is read from text as well."""
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in settings.items()}


def read_plan(values: Mapping[str, Any]) -> Plan:
    """The plan that a run wrote down, whatever the version that wrote it. Raises ValueError for what is no plan."""
    values = rename(values)
    if "reading" not in values:  # format 1 had the options of reading among all others
        options = {key: values.pop(key, None) for key in READING_OPTIONS}
        values["reading"] = {key: value for key, value in options.items() if value is not None}
    check(values, Plan, "plan")
    constraints = None if values.get("constraints") is None else tuple(values["constraints"])
    settings = rename(values.get("settings", {}), values["paper"])
    # before it was settled for itself a schedule ended with the run, unless a setting said otherwise
    length = {"lr_schedule_steps": settings.pop("lr_steps", 0) or values.get("steps", Plan.steps)}
    check(length, Mapping[str, int], "plan")
    return Plan(**{**length, **values, "constraints": constraints, "settings": settings})


def recorded_plan(facts: Mapping[str, Any]) -> Plan:
    """The plan in the facts of a run, with pictures read at the side they had then: of pictures of 28 x 28 the usual
    side was once 16."""
    plan, side = read_plan(facts["plan"]), (facts["data"].get("choices") or {}).get("size")
    unsaid = side is not None and plan.reading.get("size") is None
    return dataclasses.replace(plan, reading={**plan.reading, "size": side}) if unsaid else plan


def difference(old: Mapping[str, Any], new: Plan, source: Any, usual: Mapping[str, Any]) -> str | None:
    """The first thing in which a plan, on its data, differs from that of a run with these facts, and must not; None
    where there is none.

    usual: the settings that nobody asked for; a run of before there was a setting has played with its usual value.
    """
    before, now = (json.loads(json.dumps(dataclasses.asdict(plan))) for plan in (read_plan(old["plan"]), new))
    was, settings = {**usual, **before.pop("settings")}, now.pop("settings")
    pairs = {key: (before[key], now[key]) for key in now if key not in (*BESIDE, "data")}
    batch = [own["batch_size"] or of.get("batch_size") for own, of in ((before, was), (now, settings))]
    pairs |= {key: (was.get(key), settings.get(key)) for key in dict.fromkeys((*settings, *was))}
    pairs |= {"batch_size": (batch[0], batch[1])}
    same = old["data"]["fingerprint"] == source.fingerprint
    if not same and before["data"] != now["data"]:
        return describe_change("data", before["data"], now["data"])
    if not same:
        pairs |= {key: (before["reading"].get(key), now["reading"].get(key)) for key in READING_OPTIONS}
        chosen = old["data"].get("choices") or {}
        pairs |= {key: (chosen[key], value) for key, value in source.choices.items() if key in chosen}
    for key, (one, other) in pairs.items():
        if one != other:
            return describe_change(key, one, other)
    return None if same else "the data have changed since it was trained"


def describe_change(key: str, before: Any, now: Any) -> str:
    """What was asked for, and what is, where None means that nothing was."""
    if before is None:
        return f"{key} was not given, and is {now!r} now"
    return f"{key} was {before!r}, not {now!r}" if now is not None else f"{key} was {before!r}, and is not given now"


def command(plan: Plan, out: Path, source: Any) -> str:
    """The command that plays what this plan says; "" for a Game, which has none."""
    if plan.paper is None:
        return ""
    words = ["ganzfeld", "train", plan.paper, "--data", plan.data, "--out", str(out), "--steps", str(plan.steps)]
    words += ["--seed", str(plan.seed), "--seeds", str(plan.seeds)]
    usual = Plan(plan.paper, plan.data, steps=plan.steps).with_intervals()
    if plan.lr_schedule_steps not in (0, plan.steps):
        words += ["--lr-schedule-steps", str(plan.lr_schedule_steps)]
    asked = {name: getattr(plan, name) for name in ("batch_size", "objective", "network")} | dict(plan.reading)
    for name in ("engine", "device", "precision", *INTERVALS):
        asked[name] = value if (value := getattr(plan, name)) != getattr(usual, name) else None
    for name, value in asked.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in plan.constraints or (("none",) if plan.constraints is not None else ()):
        words += ["--constraint", name]
    words += ["--labels"] if plan.labels else []
    settings = as_json(resolve(plan.paper, source.form, {}, plan.network, plan.constraints))
    for key, value in plan.settings.items():
        if (key not in settings or settings[key] != value) and not (plan.labels and key == "classes"):
            words += ["--set", f"{key}={value}"]
    return shlex.join(words)
