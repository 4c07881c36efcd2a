"""Facts of runs on disk, as frozen data.

A run may still be training, or have died in the middle of a line. What is missing or cannot be read is named in
`Run.absent`; only a path that is no run at all, or whose ``run.json`` is broken, is refused.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from PIL import Image

from ...core import disk
from ...judging.baselines.closed_form import CLOSED_FORM
from ...runs import files

Facts = Mapping[str, Any]

LARGEST_RECORD = 3.4e38  # of float32, in which games are played: beyond it a record is as undefined as nan
LARGEST_PICTURE = 2**26  # bytes of a sheet
END_OF_PNG = b"IEND\xaeB`\x82"  # its last part, which is empty, and the sum of it


COMMON_CHAPTERS = ("opening", "warnings", "metrics", "judges", "signals", "setup")
"""The chapters that a run of any task has."""


class Task(NamedTuple):
    """What a run of a task leaves behind. chapters: of the page, in order; samples: pictures of them, step by step;
    ranks: rankers, those of the last step and those that were selected."""

    chapters: tuple[str, ...] = COMMON_CHAPTERS
    samples: bool = False
    ranks: bool = False


SHEETS = ("interpolations", "neighbours", "reconstructions", "codes")
TASKS = {
    "generation": Task((*COMMON_CHAPTERS[:2], *SHEETS, *COMMON_CHAPTERS[2:]), samples=True),
    "retrieval": Task(
        ("opening", "warnings", "rankings", "ranking_curves", "judges", "diagnostics", "signals", "setup"), ranks=True
    ),
}
"""Those that the page knows more of than what every run leaves."""


class Kind(NamedTuple):
    """What is special to runs on a kind of data. left: what they draw at their end; catalogue: the data's last side
    counts the items that a policy draws from."""

    left: tuple[str, ...] = ()
    catalogue: bool = False


KINDS = {"pictures": Kind(left=("interpolation", "neighbours")), "interactions": Kind(catalogue=True)}


class Missing(NamedTuple):
    """What is not there, by the name of the sentence that says so, with what belongs in it."""

    name: str
    fields: Facts = {}


@dataclass(frozen=True)
class Spread:
    """One quantity over the members of a population; None where undefined."""

    mean: float | None
    std: float | None = None
    members: tuple[float | None, ...] = ()

    @property
    def defined(self) -> list[float]:
        """The members' values that exist; the mean alone where members were not recorded."""
        values = self.members or (self.mean,)
        return [value for value in values if value is not None]

    @property
    def partial(self) -> bool:
        """Whether it is of some members alone, those whose value exists."""
        return 0 < len(self.defined) < len(self.members)


@dataclass(frozen=True)
class Judgement:
    """The metrics of one step."""

    step: int
    metrics: Mapping[str, Spread]
    provenance: Facts


@dataclass(frozen=True)
class Picture:
    step: int
    path: Path


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows and columns, that a run of pictures draws at its end, with the facts beside them."""

    path: Path
    facts: Facts
    step: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Nearness:
    """How far samples lie from the nearest training row in one space, and how far held-out rows do: usual, their
    median."""

    space: str
    distances: tuple[float, ...]
    usual: float


@dataclass(frozen=True)
class Codes:
    """Codes of held-out rows on their principal axes. points: one or two numbers each; classes: of each point, empty
    where they are not known; names: of the classes that occur, in their order; shares: of the variance on each axis.
    """

    facts: Facts
    step: int
    points: tuple[tuple[float, ...], ...]
    classes: tuple[int, ...]
    names: Mapping[int, str]
    shares: tuple[float | None, ...]

    @property
    def axes(self) -> int:
        return min(map(len, self.points))


@dataclass(frozen=True)
class Retrieval:
    """What a run that ranks has besides. ranking: its rankers and those in closed form on the test part, None until the
    end; selected: of each ranker, the step at which validation found it best, one for each seed; start: the run whose
    weights it began with."""

    ranking: Judgement | None = None
    selected: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    start: Run | None = None


@dataclass(frozen=True)
class Run:
    """A run directory. facts: run.json; log, judgements: an entry per step, in order; warnings: (step, text)."""

    path: Path
    facts: Facts
    log: tuple[Facts, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[tuple[int, str], ...] = ()
    absent: tuple[Missing, ...] = ()
    interpolation: Sheet | None = None
    neighbours: Sheet | None = None
    reconstruction: Sheet | None = None
    codes: Codes | None = None
    retrieval: Retrieval | None = None

    @property
    def name(self) -> str:
        return str(self.facts.get("paper") or self.path.resolve().name)

    @property
    def data(self) -> str | None:
        return _data_name(self.facts)

    @property
    def kind(self) -> str:
        """Of data; empty where it was not recorded."""
        return str(_data(self.facts).get("kind") or "")

    @property
    def shape(self) -> Any:
        """Of one sample."""
        return _data(self.facts).get("shape")

    @property
    def task(self) -> Task:
        return TASKS.get(_task(self.facts), Task())

    @property
    def steps(self) -> int | None:
        """The steps that were asked for."""
        return integer(self.facts.get("steps"))

    @property
    def seeds(self) -> int | None:
        return integer(self.facts.get("seeds"))

    @property
    def kept_start(self) -> bool:
        """Whether what ranks is what the run started from, in every seed: no step was better on the validation part."""
        chosen = self.retrieval.selected if self.retrieval else {}
        steps = chosen.get("policy") or chosen.get("critic") or ()
        return bool(steps) and not any(steps)

    @property
    def last_step(self) -> int | None:
        """The last step of which anything was recorded."""
        steps = [row["step"] for row in self.log] + [judged.step for judged in self.judgements]
        return max(steps, default=None)


@dataclass(frozen=True)
class Row:
    """A paper in a comparison. run: None where its directory is missing. starts: where the row is the start of others,
    their labels, none of a run's own; closed: it is a ranker in closed form."""

    label: str
    metrics: Mapping[str, Spread]
    run: Run | None = None
    seconds: float | None = None
    diverged: int = 0
    starts: tuple[str, ...] | None = None
    closed: bool = False


@dataclass(frozen=True)
class Comparison:
    """Papers on the same data. ``steps`` and ``seeds`` are None where the papers do not share them. baselines: rankers
    that the papers are measured against and that are none of them."""

    rows: tuple[Row, ...]
    data: str | None = None
    steps: int | None = None
    seeds: int | None = None
    absent: tuple[Missing, ...] = ()
    baselines: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Laws:
    """Laws that were measured, each with its texts in a language, its checks and its figure."""

    laws: tuple[Facts, ...]
    language: str = "en"
    fast: bool = False


def read_directory(path: Path) -> Run | Comparison | Laws:
    """The run, comparison or laws at ``path``. Raises ValueError where there is none."""
    if (path / "laws.json").is_file():
        facts = files.read_json(path / "laws.json")
        laws = tuple(_law(law) for law in facts.get("laws") or ())
        return Laws(laws, str(facts.get("language")), bool(facts.get("fast")))
    if (path / "compare.json").is_file():
        return read_comparison(path)
    if (path / "run.json").is_file():
        return read_run(path)
    raise ValueError(
        f"{path} is neither a run (no run.json) nor a comparison (no compare.json) nor laws (no laws.json)"
    )


def read_run(path: Path) -> Run:
    """The run directory at ``path``; raises ValueError where its run.json is not a JSON object."""
    facts = files.read_json(path / "run.json")
    log, lost = _read_lines(path / "log.jsonl")
    metrics, lost_too = _read_lines(path / "metrics.jsonl")
    pictures = _find_pictures(path / "samples")
    absent = [*lost, *lost_too]
    task = TASKS.get(_task(facts), Task())
    retrieval = _read_retrieval(path, absent) if task.ranks else None
    if not pictures and task.samples:
        absent.append(Missing("pictures"))
    elif gone := _lost_pictures(path / "samples", pictures, metrics):
        absent.append(Missing("damaged", {"files": gone}))
    beside = {name: _read_sheet(path / "samples" / name) for name in ("interpolation", "neighbours", "reconstruction")}
    codes = _read_codes(path / "samples" / "codes.json")
    left_at_the_end = KINDS.get(str(_data(facts).get("kind")), Kind()).left
    if missing := [f"samples/{name}.png" for name in left_at_the_end if beside[name] is None]:
        absent.append(Missing("sheets", {"files": missing}))
    judged = tuple(_read_judged(row) for row in metrics)
    left = {"reconstruction.png with its facts": beside["reconstruction"], "codes.json": codes}
    lacking = [f"samples/{name}" for name, found in left.items() if found is None]
    if lacking and any("inference" in one.provenance for one in judged):
        absent.append(Missing("codes", {"files": lacking}))
    warnings = tuple(_warnings([*log, *metrics]))
    return Run(path, facts, log, judged, pictures, warnings, tuple(absent), codes=codes, retrieval=retrieval, **beside)


def read_comparison(path: Path) -> Comparison:
    """The comparison directory at ``path``, with its runs; raises ValueError where a document is broken."""
    facts = files.read_json(path / "compare.json")
    rows, absent = [], []
    entries = [entry for entry in facts.get("rows") or () if isinstance(entry, Mapping)]
    papers = [str(entry.get("paper") or entry.get("run")) for entry in entries]
    places = [path / str(entry.get("run") or paper) for entry, paper in zip(entries, papers, strict=True)]
    for entry, label, place in zip(entries, _make_distinct(papers, places), places, strict=True):
        played = read_run(place) if (place / "run.json").is_file() else None
        if played is None:
            absent.append(Missing("run", {"label": label, "place": place.name}))
        metrics = _metrics(entry.get("metrics")) or _last_metrics(played)
        rows.append(Row(label, metrics, played, number(entry.get("seconds")), integer(entry.get("diverged")) or 0))
    if not rows:
        absent.append(Missing("rows"))
    steps, seeds = integer(facts.get("steps")), integer(facts.get("seeds"))
    beside = (*_start_rows(rows, path / "start"), *_closed_form_rows(_prefix(facts.get("closed"))))
    return Comparison(tuple(rows), _data_name(facts), steps, seeds, tuple(absent), beside)


def compare_runs(runs: Sequence[Run]) -> list[Comparison]:
    """Comparisons of runs that were trained apart, one for each data set that two or more of them share."""
    groups: dict[str, list[Run]] = {}
    for one in runs:
        groups.setdefault(str(_data(one.facts).get("fingerprint") or one.data), []).append(one)
    return [_gather(group) for group in groups.values() if len(group) > 1 and any(_last_metrics(one) for one in group)]


def labels(runs: Sequence[Run]) -> list[str]:
    """The runs' papers; beside those that occur twice the data, or the directory where that tells them apart."""
    names = [one.name for one in runs]
    named = [(one.name, one.data) for one in runs]
    if len(set(named)) == len(named) and all(one.data for one in runs):
        return [name if names.count(name) == 1 else f"{name} ({data})" for name, data in named]
    return _make_distinct(names, [one.path for one in runs])


def _make_distinct(names: Sequence[str], places: Sequence[Path]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name} ({place.resolve().name})"
        for name, place in zip(names, places, strict=True)
    ]


def _gather(runs: list[Run]) -> Comparison:
    rows = [Row(label, _last_metrics(one), one) for label, one in zip(labels(runs), runs, strict=True)]
    steps, seeds = _common(one.steps for one in runs), _common(one.seeds for one in runs)
    measured = {name: fact for row in reversed(rows) for name, fact in row.metrics.items()}
    beside = (*_start_rows(rows), *_closed_form_rows(measured))
    return Comparison(tuple(rows), runs[0].data, steps, seeds, baselines=beside)


def _common(values: Iterable[int | None]) -> int | None:
    seen = set(values)
    return seen.pop() if len(seen) == 1 else None


def _last_metrics(played: Run | None) -> Mapping[str, Spread]:
    """Of a run that ranks those on the test part: the last on the validation part have chosen what is shown."""
    if played and played.retrieval:
        return played.retrieval.ranking.metrics if played.retrieval.ranking else {}
    return played.judgements[-1].metrics if played and played.judgements else {}


def rankers(metrics: Mapping[str, Spread]) -> dict[str, dict[str, Spread]]:
    """Metrics by who ranks, which is what stands before the last dot of their names: nothing for the run's first ranker
    as it was selected, ``final.critic`` for the critic of the last step, ``ease`` for a ranker in closed form."""
    found: dict[str, dict[str, Spread]] = {}
    for name, fact in metrics.items():
        who, _, rest = name.rpartition(".")
        found.setdefault(who, {})[rest] = fact
    return found


def kept_places(rows: Sequence[Row]) -> set[int]:
    """The rows whose numbers are those of their start."""
    return {i for i, row in enumerate(rows) if row.run and row.run.kept_start}


def is_trained(who: str) -> bool:
    """Whether the run has trained a ranker of that name; the others are in closed form."""
    return who.removeprefix("final").removeprefix(".") in ("", "policy", "critic")


def baselines(run: Run) -> tuple[Row, ...]:
    """What a run's rankers are measured against: where they started, and the rankers in closed form."""
    return (*_start_rows([Row("", {}, run)], afresh=True), *_closed_form_rows(_last_metrics(run)))


def _prefix(closed: Any) -> dict[str, Spread]:
    """The metrics of rankers in closed form, under names as a run has them."""
    return {f"{who}.{k}": fact for who, facts in mapping(closed).items() for k, fact in _metrics(facts).items()}


def _closed_form_rows(metrics: Mapping[str, Spread]) -> list[Row]:
    found = rankers(metrics).items()
    return [Row(who, facts, closed=who in CLOSED_FORM) for who, facts in found if not is_trained(who) and who != START]


def _start_rows(rows: Sequence[Row], shared: Path | None = None, afresh: bool = False) -> list[Row]:
    """Where the runs started, as it was selected; one that they share once, and not again beside each. afresh: weights
    that were drawn are a start, too."""
    starts: list[tuple[Row, list[str]]] = []
    if shared and (played := _read_start(shared, [])):
        starts.append((Row("", rankers(_last_metrics(played)).get("", {}), played), [ALL_ROWS]))
    for row in rows:
        if start := _start_of(row.run, afresh):
            alike = next((names for one, names in starts if one.metrics == start.metrics), None)
            if alike is None:
                starts.append((start, [row.label]))
            elif alike != [ALL_ROWS]:
                alike.append(row.label)
    return [replace(one, starts=tuple(filter(None, names))) for one, names in starts if one.metrics]


def _start_of(run: Run | None, afresh: bool) -> Row | None:
    """What a run started from: a run of its own, or what it tells of its start, under the name of its kind."""
    if run is None or run.retrieval is None:
        return None
    if played := run.retrieval.start:
        return Row("", rankers(_last_metrics(played)).get("", {}), played)
    told = mapping(run.retrieval.ranking.provenance.get("start")) if run.retrieval.ranking else {}
    kind, metrics = str(told.get("from") or ""), rankers(_last_metrics(run)).get(START, {})
    return Row(kind, metrics) if metrics and kind and (afresh or kind != "afresh") else None


START = "start"
"""Who ranks by the weights before the first step."""

ALL_ROWS = "all"
"""In the place of labels: a start that all rows share."""


def _task(facts: Facts) -> str:
    """Recorded since version 0.2; before, the kind of data said it."""
    ranked = _data(facts).get("kind") in ("interactions", "letor")
    return str(facts.get("task") or ("retrieval" if ranked else "generation"))


def _data(facts: Facts) -> Facts:
    return mapping(facts.get("data"))


def _data_name(facts: Facts) -> str | None:
    data = facts.get("data")
    name = data.get("name") if isinstance(data, Mapping) else data
    return None if name is None else str(name)


def _law(law: Facts) -> Facts:
    """Under the names of today; those of version 0.1 were others."""
    return {{"said": "folklore", "words": "explanation"}.get(name, name): fact for name, fact in law.items()}


def _read_retrieval(path: Path, absent: list[Missing]) -> Retrieval:
    """Names in ``absent`` what is not there."""
    left = _read_facts(path / "ranking.json")
    step = integer(left.get("step"))
    ranking = None if step is None else _read_judged({**left, "step": step})
    if ranking is None or not ranking.metrics:
        ranking = None
        absent.append(Missing("ranking"))
    chosen = (
        ranking.provenance.get("selected") if ranking else _read_facts(path / "selected" / "meta.json").get("steps")
    )
    return Retrieval(ranking, _selected_steps(chosen), _read_start(path / "start", absent))


def _selected_steps(chosen: Any) -> dict[str, tuple[int, ...]]:
    found = {str(name): [integer(step) for step in sequence(steps)] for name, steps in mapping(chosen).items()}
    return {k: tuple(step for step in v if step is not None) for k, v in found.items() if v and None not in v}


def _read_start(path: Path, absent: list[Missing]) -> Run | None:
    if not (path / "run.json").is_file():
        return None
    try:
        start = read_run(path)
    except ValueError:
        absent.append(Missing("start", {"place": path.name}))
        return None
    absent += [Missing("ranking_of_start")] if Missing("ranking") in start.absent else []
    return start


def number(value: Any) -> float | None:
    """A finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= LARGEST_RECORD else None


def integer(value: Any) -> int | None:
    value = number(value)
    return None if value is None else int(value)


def mapping(value: Any) -> Facts:
    """An object of JSON; an empty one in the place of anything else."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """A list of JSON; an empty one in the place of anything else."""
    return value if isinstance(value, list) else ()


def _read_lines(path: Path) -> tuple[tuple[Facts, ...], list[Missing]]:
    """The objects of a JSON-lines file in order of step, and what could not be read.

    A resumed run may have written a step twice: the later line counts.
    """
    if not path.is_file():
        return (), [Missing("file", {"file": path.name})]
    rows: dict[int, Facts] = {}
    lost = 0
    for line in disk.read_bytes(path).decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        try:
            row = files.parse_json(line)
            rows[int(row["step"])] = row
        except (ValueError, KeyError, TypeError, OverflowError):
            lost += 1
    missing = [] if rows else [Missing("steps", {"file": path.name})]
    if lost:
        missing.append(Missing("lines", {"file": path.name, "n": lost}))
    return tuple({**rows[step], "step": step} for step in sorted(rows)), missing


def _warnings(rows: Iterable[Facts]) -> list[tuple[int, str]]:
    return sorted({(row["step"], str(text)) for row in rows for text in sequence(row.get("warnings"))})


def _read_judged(row: Facts) -> Judgement:
    return Judgement(row["step"], _metrics(row.get("metrics")), mapping(row.get("provenance")))


def _metrics(facts: Any) -> dict[str, Spread]:
    return {str(name): _spread(fact) for name, fact in mapping(facts).items()}


def _spread(fact: Any) -> Spread:
    if not isinstance(fact, Mapping):
        return Spread(number(fact))
    members = tuple(map(number, sequence(fact.get("per_member"))))
    finite = [value for value in members if value is not None]
    if finite and len(finite) < len(members):  # before version 0.2 one infinite member made the mean so, too
        return Spread(fmean(finite), stdev(finite) if len(finite) > 1 else 0.0, members)
    return Spread(number(fact.get("mean")), number(fact.get("std")), members)


def _read_sheet(stem: Path) -> Sheet | None:
    """The sheet of a name without its ending; None where the picture, its facts or their sense is missing."""
    path = stem.with_suffix(".png")
    facts = _read_facts(stem.with_suffix(".json"))
    step, columns = (integer(facts.get(key)) for key in ("step", "columns"))
    rows = integer(facts.get("rows")) or _lines_of_pairs(facts)
    if step is None or not rows or not columns or min(rows, columns) < 1 or not _is_picture(path):
        return None
    return Sheet(path, facts, step, rows, columns)


def _read_facts(path: Path) -> Facts:
    """What a run left at its end beside its samples; nothing where it cannot be read."""
    try:
        return files.read_json(path)
    except ValueError:
        return {}


def _is_picture(path: Path) -> bool:
    """Whether it is a PNG with all its bytes: each part of one has a sum of its own."""
    try:
        data = disk.read_bytes(path, LARGEST_PICTURE)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.verify()
        return data.endswith(END_OF_PNG)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _lines_of_pairs(facts: Facts) -> int | None:
    """How many lines a sheet of pairs has: two for each line of originals, or one where they lie beside each other."""
    pairs, columns = (integer(facts.get(key)) for key in ("pairs", "columns"))
    if not pairs or not columns or min(pairs, columns) < 1:
        return None
    return {"below": 2 * math.ceil(pairs / columns), "beside": 1}.get(str(facts.get("layout")))


def _read_codes(path: Path) -> Codes | None:
    """None where no point can be read; points that cannot are left out, with their classes."""
    facts = _read_facts(path)
    step, points = integer(facts.get("step")), [_point(row) for row in sequence(facts.get("points"))]
    kept = [i for i, point in enumerate(points) if point]
    if step is None or not kept:
        return None
    classes = _classes(facts.get("classes"), len(points))
    names = dict(enumerate(map(str, sequence(facts.get("names")))))
    mine = tuple(classes[i] for i in kept) if classes else ()
    named = {i: names.get(i, str(i)) for i in sorted(set(mine))}
    shares = tuple(map(number, sequence(facts.get("shares"))))
    return Codes(facts, step, tuple(points[i] for i in kept), mine, named, shares)


def _point(row: Any) -> tuple[float, ...]:
    """Its first two coordinates, or the only one; empty where one is undefined."""
    values = [number(value) for value in sequence(row)[:2]]
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else ()


def _classes(classes: Any, count: int) -> list[int]:
    """The class of each point; empty where they are not whole numbers, one for each."""
    known = [integer(value) for value in sequence(classes)]
    found = [value for value in known if value is not None and value >= 0]
    return found if len(found) == len(known) == count else []


def read_nearness(sheet: Sheet) -> list[Nearness]:
    """What the facts beside a sheet of neighbours say, space by space."""
    found = []
    for space, facts in mapping(sheet.facts.get("spaces")).items():
        usual = number(mapping(facts).get("usual"))
        first = [number(row[0]) for row in sequence(mapping(facts).get("distances")) if sequence(row)]
        distances = tuple(distance for distance in first if distance is not None)
        if usual is not None and distances:
            found.append(Nearness(str(space), distances, usual))
    return found


def _find_pictures(folder: Path) -> tuple[Picture, ...]:
    found = (Picture(int(path.stem[5:]), path) for path in _pictures_by_name(folder) if _is_picture(path))
    return tuple(sorted(found, key=lambda picture: picture.step))


def _lost_pictures(folder: Path, found: Sequence[Picture], metrics: Sequence[Facts]) -> list[str]:
    """The files that are not the pictures that a run draws at its beginning and where it is judged."""
    expected = {f"step-{integer(row.get('step')) or 0:08d}.png" for row in ({}, *metrics)}
    names = expected | {path.name for path in _pictures_by_name(folder)}
    return [f"samples/{name}" for name in sorted(names - {picture.path.name for picture in found})] if found else []


def _pictures_by_name(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*.png") if re.fullmatch(r"step-\d+\.png", path.name))
