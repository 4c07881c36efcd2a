"""The plan of a run: what was asked for, resolved, so that it can be written down, played again and compared."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import data as datas
from ..data import Data, Rankings
from ..data.rankings.collection import Collection
from ..game import Game
from ..papers import INTERACTIONS
from ..papers.build import build, named, resolve, retrieves, wants_pictures

PRECISIONS = ("fp32", "bf16")  # of the networks; weights, scores and penalties are held in fp32
# what decides how a run is played, not what comes of it: it may change at a resume
MANNER = ("steps", "engine", "device", "log_every", "judge_every", "checkpoint_every")


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
    device: str = "auto"
    precision: str = "fp32"
    valid: str | None = None
    test: str | None = None
    size: int | None = None
    crop: str | None = None
    background: str | None = None
    exclude_classes: str | None = None
    min_rating: float | None = None
    fold: int | None = None
    qrels: str | None = None
    log_every: int = 0
    judge_every: int = 0
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"the precision is {' or '.join(PRECISIONS)}, not {self.precision!r}")
        for name in ("seeds", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("log_every", "judge_every", "checkpoint_every", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")

    def resolved(self) -> Plan:
        """With every interval filled in: multiples of eight steps, so that whole pieces are played between them."""

        def every(given: int, share: int, min_rating: int) -> int:
            return given or max(min_rating, 8 * round(self.steps / share / 8))

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
        game = build(
            self.paper,
            shaped,
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

    def samples(self, name: str | None = None) -> Data:
        """The same, of samples alone."""
        return samples_of(name or self.data, **{key: getattr(self, key) for key in ("seed", *SOURCE)})

    def rows(self, name: str | None = None) -> Data | Rankings:
        """The data this plan names, or others read the same way."""
        return loaded(name or self.data, **{key: getattr(self, key) for key in ("seed", *SOURCE)})


@dataclass(frozen=True)
class Shape:
    """All that a paper needs to know of data that are not at hand."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Held(Shape):
    """The same of rankings: what a run kept of its collection."""

    collection: Collection


def suits(paper: str | Game, rows: Data | Rankings) -> None:
    """Raises ValueError, with the way out, where a paper of samples meets rankings or the other way round."""
    wants = paper.draw.discrete if isinstance(paper, Game) else retrieves(paper)
    name = "this game" if isinstance(paper, Game) else named(paper)
    if wants and isinstance(rows, Data):
        raise ValueError(
            f"{name} ranks documents, and {rows.name} holds samples: give interactions (user item a line), LETOR "
            "lines, or tastes"
        )
    if not wants and not isinstance(rows, Data):
        raise ValueError(f"{name} makes samples, and {rows.name} holds rankings: use {', '.join(INTERACTIONS)}")


# how data are read
SOURCE = ("valid", "test", "size", "crop", "background", "exclude_classes", "min_rating", "fold", "qrels")
STEPS, ROUNDS = 10_000, 300  # unless asked for: of games of samples, and of retrieval


def usual_steps(asked: int | None, rows: Data | Rankings) -> int:
    """The steps that were asked for, or those that are usual on such data."""
    if asked is not None:
        return asked
    return STEPS if isinstance(rows, Data) else ROUNDS


def loaded(name: str, *, exclude_classes: str | None = None, **asked: Any) -> Data | Rankings:
    """The data set of a name or path, but for the classes that are to be left out, with commas. With a size, digits are
    pictures. Raises ValueError where nothing can be read."""
    rows = _loaded(name, **asked)
    if exclude_classes is None:
        return rows
    if not isinstance(rows, Data):
        raise ValueError(f"--without is for samples with classes, and {name} holds rankings")
    return rows.excluding([name.strip() for name in exclude_classes.split(",")])


def samples_of(name: str, **asked: Any) -> Data:
    """The same, of samples alone. Raises ValueError for rankings."""
    rows = loaded(name, **asked)
    if not isinstance(rows, Data):
        raise ValueError(f"{name} holds rankings, and samples are asked for")
    return rows


def _loaded(name: str, *, seed: int, size: int | None = None, strict: bool = False, **asked: Any) -> Data | Rankings:
    given = {key: value for key, value in asked.items() if value is not None}
    if name == "digits":
        rows = datas.load(name, seed, **given)
        assert isinstance(rows, Data)
        if size not in (None, 8):
            raise ValueError(f"digits are pictures of 8 x 8: --size 8, not {size}")
        return rows.as_pictures() if size else rows
    given |= {key: value for key, value in {"size": size, "strict": strict or None}.items() if value is not None}
    return datas.load(name, seed, **given)


def side_for(
    papers: Sequence[str | Game], data: str | Data | Rankings, network: str | None, size: int | None
) -> int | None:
    """The size to read data at: digits are vectors, unless a paper or its networks are for pictures alone."""
    wanted = any(isinstance(paper, str) and wants_pictures(paper, network) for paper in papers)
    return 8 if data == "digits" and size is None and wanted else size


def planned(paper: str | Game, data: str | Data | Rankings, shape: tuple[int, ...], classes: int, **asked: Any) -> Plan:
    """The plan of what `train` was asked for, with every setting of the paper and its networks resolved.

    shape, classes: of the data. Raises ValueError, in one line, for unknown names and keys and values that do not fit.
    """
    asked["constraints"] = None if asked["constraints"] is None else tuple(asked["constraints"])
    settings = dict(asked.pop("settings") or {})
    if asked.pop("labels"):
        if retrieves(paper) if isinstance(paper, str) else paper.draw.discrete:
            raise ValueError("--labels is for samples with classes; rankings have none")
        settings["classes"] = classes
    if not isinstance(paper, Game):
        settings = resolve(paper, shape, settings, asked["network"], asked["constraints"])
        paper = named(paper)
    return Plan(
        paper=None if isinstance(paper, Game) else paper,
        data=data if isinstance(data, str) else data.name,
        settings=written(settings),
        **asked,
    ).resolved()


def written(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as strict JSON can hold them: it has no infinity, and a setting is read from text as well."""
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in settings.items()}


def read(values: Mapping[str, Any]) -> Plan:
    """The plan that a run wrote down."""
    values = dict(values)
    if values.get("constraints") is not None:
        values["constraints"] = tuple(values["constraints"])
    return Plan(**values)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first thing in which two runs differ, for the error that refuses to mix them."""
    for key, value in json.loads(json.dumps(new["plan"])).items():  # a tuple is a list on disk
        if key not in MANNER:
            before = old.get("plan", {}).get(key)
            if isinstance(before, dict) and isinstance(value, dict):
                key, before, value = next(
                    ((k, before.get(k), v) for k, v in value.items() if before.get(k) != v), (key, before, value)
                )
            if before != value:
                return f"{key} was {before!r}, not {value!r}"
    if old.get("data", {}).get("fingerprint") != new["data"]["fingerprint"]:
        return "the data have changed since it was trained"
    return "its networks differ"


def command(plan: Plan, out: Path, shape: tuple[int, ...]) -> str:
    """The command that plays this run again, on data of a shape."""
    if plan.paper is None:
        return ""
    words = ["ganzfeld", "train", plan.paper, "--data", plan.data, "--out", str(out), "--steps", str(plan.steps)]
    words += ["--seed", str(plan.seed), "--seeds", str(plan.seeds)]
    for name in ("batch_size", "objective", "network", *SOURCE):
        if (value := getattr(plan, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in plan.constraints or ():
        words += ["--constraint", name]
    for name in ("engine", "device", "precision"):
        if (value := getattr(plan, name)) != getattr(Plan, name):
            words += [f"--{name}", value]
    usual = written(resolve(plan.paper, shape, {}, plan.network, plan.constraints))
    for key, value in plan.settings.items():
        if key not in usual or usual[key] != value:
            words += ["--set", f"{key}={value}"]
    return shlex.join(words)
