"""Facts of runs on disk, as frozen data.

A run may still be training, or have died in the middle of a line. What is missing or cannot be read becomes a
sentence in `Run.absent`; only a path that is no run at all, or whose ``run.json`` is broken, is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...judging.baselines.closed_form import CLOSED

Facts = Mapping[str, Any]

RETRIEVAL = ("interactions", "letor")  # kinds of data whose runs rank, and make no samples
LARGEST = 3.4e38  # of float32, in which games are played: beyond it a record is as undefined as nan


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


@dataclass(frozen=True)
class Judged:
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
class Near:
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

    ranking: Judged | None = None
    selected: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    start: Run | None = None


@dataclass(frozen=True)
class Run:
    """A run directory. facts: run.json; log, judged: an entry per step, in order; warnings: (step, text)."""

    path: Path
    facts: Facts
    log: tuple[Facts, ...] = ()
    judged: tuple[Judged, ...] = ()
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[tuple[int, str], ...] = ()
    absent: tuple[str, ...] = ()
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
        data = self.facts.get("data")
        name = data.get("name") if isinstance(data, Mapping) else data
        return None if name is None else str(name)

    @property
    def steps(self) -> int | None:
        """The steps that were asked for."""
        return whole(self.facts.get("steps"))

    @property
    def seeds(self) -> int | None:
        return whole(self.facts.get("seeds"))

    @property
    def reached(self) -> int | None:
        """The last step of which anything was recorded."""
        steps = [row["step"] for row in self.log] + [judged.step for judged in self.judged]
        return max(steps, default=None)


@dataclass(frozen=True)
class Row:
    """A paper in a comparison. run: None where its directory is missing."""

    label: str
    metrics: Mapping[str, Spread]
    run: Run | None = None
    seconds: float | None = None
    diverged: int = 0
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Papers on the same data. ``steps`` and ``seeds`` are None where the papers do not share them. baselines: rankers
    that the papers are measured against and that are none of them."""

    rows: tuple[Row, ...]
    data: str | None = None
    steps: int | None = None
    seeds: int | None = None
    absent: tuple[str, ...] = field(default=())
    baselines: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Laws:
    """Laws that were measured, each with its texts in a language, its checks and its figure."""

    laws: tuple[Facts, ...]
    language: str = "en"
    fast: bool = False


def directory(path: Path) -> Run | Comparison | Laws:
    """The run, comparison or laws at ``path``. Raises ValueError where there is none."""
    if (path / "laws.json").is_file():
        facts = _document(path / "laws.json")
        return Laws(tuple(facts.get("laws") or ()), str(facts.get("language")), bool(facts.get("fast")))
    if (path / "compare.json").is_file():
        return comparison(path)
    if (path / "run.json").is_file():
        return run(path)
    raise ValueError(
        f"{path} is neither a run (no run.json) nor a comparison (no compare.json) nor laws (no laws.json)"
    )


def run(path: Path) -> Run:
    """The run directory at ``path``; raises ValueError where its run.json is not a JSON object."""
    facts = _document(path / "run.json")
    log, lost = _lines(path / "log.jsonl")
    metrics, lost_too = _lines(path / "metrics.jsonl")
    pictures = _pictures(path / "samples")
    absent = [*lost, *lost_too]
    retrieval = _retrieval(path, facts, absent)
    if not pictures and retrieval is None:
        absent.append("No pictures of samples yet: samples/ holds none.")
    beside = {name: _sheet(path / "samples" / name) for name in ("interpolation", "neighbours", "reconstruction")}
    codes = _codes(path / "samples" / "codes.json")
    missing = [f"samples/{name}.png" for name in ("interpolation", "neighbours") if beside[name] is None]
    data = facts.get("data")
    if missing and isinstance(data, Mapping) and data.get("kind") == "pictures":
        absent.append(
            f"Without {' and '.join(missing)}, which a run of pictures draws at its end, each with its facts."
        )
    judged = tuple(_judged(row) for row in metrics)
    left = {"reconstruction.png with its facts": beside["reconstruction"], "codes.json": codes}
    lacking = [f"samples/{name}" for name, found in left.items() if found is None]
    if lacking and any("inference" in one.provenance for one in judged):
        absent.append(f"Without {' and '.join(lacking)}, which a run with an encoder leaves at its end.")
    warnings = tuple(_warnings([*log, *metrics]))
    return Run(path, facts, log, judged, pictures, warnings, tuple(absent), codes=codes, retrieval=retrieval, **beside)


def comparison(path: Path) -> Comparison:
    """The comparison directory at ``path``, with its runs; raises ValueError where a document is broken."""
    facts = _document(path / "compare.json")
    rows, absent = [], []
    entries = [entry for entry in facts.get("rows") or () if isinstance(entry, Mapping)]
    papers = [str(entry.get("paper") or entry.get("run")) for entry in entries]
    places = [path / str(entry.get("run") or paper) for entry, paper in zip(entries, papers, strict=True)]
    for entry, label, place in zip(entries, _distinct(papers, places), places, strict=True):
        played = run(place) if (place / "run.json").is_file() else None
        if played is None:
            absent.append(f"The run of {label} is not in {place.name}/: only its row in compare.json is shown.")
        metrics = _metrics(entry.get("metrics")) or _last(played)
        rows.append(Row(label, metrics, played, number(entry.get("seconds")), whole(entry.get("diverged")) or 0))
    if not rows:
        absent.append("This comparison holds no rows yet.")
    data = facts.get("data")
    name = data.get("name") if isinstance(data, Mapping) else data
    return Comparison(
        tuple(rows),
        None if name is None else str(name),
        whole(facts.get("steps")),
        whole(facts.get("seeds")),
        tuple(absent),
        (*_starts(rows, path / "start"), *_closed(_prefixed(facts.get("closed")))),
    )


def side_by_side(runs: Sequence[Run]) -> list[Comparison]:
    """Comparisons of runs that were trained apart, one for each data set that two or more of them share."""
    groups: dict[str, list[Run]] = {}
    for one in runs:
        data = one.facts.get("data")
        mark = data.get("fingerprint") if isinstance(data, Mapping) else None
        groups.setdefault(str(mark or one.data), []).append(one)
    return [_gathered(group) for group in groups.values() if len(group) > 1 and any(_last(one) for one in group)]


def labels(runs: Sequence[Run]) -> list[str]:
    """The runs' papers; beside those that occur twice the data, or the directory where that tells them apart."""
    names = [one.name for one in runs]
    named = [(one.name, one.data) for one in runs]
    if len(set(named)) == len(named) and all(one.data for one in runs):
        return [name if names.count(name) == 1 else f"{name} ({data})" for name, data in named]
    return _distinct(names, [one.path for one in runs])


def _distinct(names: Sequence[str], places: Sequence[Path]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name} ({place.resolve().name})"
        for name, place in zip(names, places, strict=True)
    ]


def _gathered(runs: list[Run]) -> Comparison:
    rows = [Row(label, _last(one), one) for label, one in zip(labels(runs), runs, strict=True)]
    return Comparison(
        tuple(rows),
        runs[0].data,
        _shared(one.steps for one in runs),
        _shared(one.seeds for one in runs),
        baselines=(*_starts(rows), *_closed({k: v for row in reversed(rows) for k, v in row.metrics.items()})),
    )


def _shared(values: Iterable[int | None]) -> int | None:
    seen = set(values)
    return seen.pop() if len(seen) == 1 else None


def _last(played: Run | None) -> Mapping[str, Spread]:
    """Of a run that ranks those on the test part: the last on the validation part have chosen what is shown."""
    if played and played.retrieval:
        return played.retrieval.ranking.metrics if played.retrieval.ranking else {}
    return played.judged[-1].metrics if played and played.judged else {}


def rankers(metrics: Mapping[str, Spread]) -> dict[str, dict[str, Spread]]:
    """Metrics by who ranks, which is what stands before the last dot of their names: nothing for the run's first ranker
    as it was selected, ``final.critic`` for the critic of the last step, ``ease`` for a ranker in closed form."""
    found: dict[str, dict[str, Spread]] = {}
    for name, fact in metrics.items():
        who, _, rest = name.rpartition(".")
        found.setdefault(who, {})[rest] = fact
    return found


def own(who: str) -> bool:
    """Whether the run has trained a ranker of that name; the others are in closed form."""
    return who.removeprefix("final").removeprefix(".") in ("", "policy", "critic")


def baselines(run: Run) -> tuple[Row, ...]:
    """What a run's rankers are measured against: where they started, and the rankers in closed form."""
    return (*_starts([Row("", {}, run)]), *_closed(_last(run)))


def _prefixed(closed: Any) -> dict[str, Spread]:
    """The metrics of rankers in closed form, under names as a run has them."""
    told = closed.items() if isinstance(closed, Mapping) else ()
    return {f"{who}.{name}": fact for who, facts in told for name, fact in _metrics(facts).items()}


def _closed(metrics: Mapping[str, Spread]) -> list[Row]:
    return [
        Row(who, facts, note="closed form" if who in CLOSED else "")
        for who, facts in rankers(metrics).items()
        if not own(who)
    ]


def _starts(rows: Sequence[Row], shared: Path | None = None) -> list[Row]:
    """Where the runs started, as it was selected; one that they share once, and not again beside each."""
    starts: list[tuple[Run, list[str]]] = []
    if shared and (played := _start(shared, [])):
        starts.append((played, ["all"]))
    for row in rows:
        if row.run and row.run.retrieval and (played := row.run.retrieval.start):
            alike = next((names for one, names in starts if _last(one) == _last(played)), None)
            if alike is None:
                starts.append((played, [row.label]))
            elif alike != ["all"]:
                alike.append(row.label)
    found = [(_start_of(names), rankers(_last(one)).get("", {}), one) for one, names in starts]
    return [Row(label, metrics, one, note=one.name) for label, metrics, one in found if metrics]


def _start_of(names: Sequence[str]) -> str:
    return "the start of " + " and ".join(names) if any(names) else "the start"


def _retrieval(path: Path, facts: Facts, absent: list[str]) -> Retrieval | None:
    """None for a run that does not rank. Says in ``absent`` what is not there."""
    data = facts.get("data")
    if not isinstance(data, Mapping) or data.get("kind") not in RETRIEVAL:
        return None
    left = _left(path / "ranking.json")
    step = whole(left.get("step"))
    ranking = None if step is None else _judged({**left, "step": step})
    if ranking is None or not ranking.metrics:
        ranking = None
        absent.append("Without ranking.json, the table of rankers on the test part, which a run leaves at its end.")
    chosen = ranking.provenance.get("selected") if ranking else _left(path / "selected" / "meta.json").get("steps")
    return Retrieval(ranking, _selected(chosen), _start(path / "start", absent))


def _selected(chosen: Any) -> dict[str, tuple[int, ...]]:
    steps = chosen.items() if isinstance(chosen, Mapping) else ()
    found = {str(k): [whole(step) for step in v] for k, v in steps if isinstance(v, list)}
    return {k: tuple(step for step in v if step is not None) for k, v in found.items() if v and None not in v}


def _start(path: Path, absent: list[str]) -> Run | None:
    if not (path / "run.json").is_file():
        return None
    try:
        return run(path)
    except ValueError:
        absent.append(f"The run that this one started from, {path.name}/, could not be read.")
        return None


def number(value: Any) -> float | None:
    """A finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= LARGEST else None


def whole(value: Any) -> int | None:
    value = number(value)
    return None if value is None else int(value)


def _document(path: Path) -> Facts:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(facts, Mapping):
        raise ValueError(f"{path} holds no JSON object")
    return facts


def _lines(path: Path) -> tuple[tuple[Facts, ...], list[str]]:
    """The objects of a JSON-lines file in order of step, and sentences about what could not be read.

    A resumed run may have written a step twice: the later line counts.
    """
    if not path.is_file():
        return (), [f"{path.name} is not there yet."]
    rows: dict[int, Facts] = {}
    lost = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows[int(row["step"])] = row
        except (ValueError, KeyError, TypeError, OverflowError):
            lost += 1
    sentences = [] if rows else [f"{path.name} holds no step yet."]
    if lost:
        lines = "1 line" if lost == 1 else f"{lost} lines"
        sentences.append(f"{lines} of {path.name} could not be read, as after a crash in the middle of a line.")
    return tuple({**rows[step], "step": step} for step in sorted(rows)), sentences


def _warnings(rows: Iterable[Facts]) -> list[tuple[int, str]]:
    said = [(row["step"], row.get("warnings")) for row in rows]
    return sorted({(step, str(text)) for step, texts in said if isinstance(texts, list) for text in texts})


def _judged(row: Facts) -> Judged:
    provenance = row.get("provenance")
    return Judged(row["step"], _metrics(row.get("metrics")), provenance if isinstance(provenance, Mapping) else {})


def _metrics(facts: Any) -> dict[str, Spread]:
    return {str(name): _spread(fact) for name, fact in facts.items()} if isinstance(facts, Mapping) else {}


def _spread(fact: Any) -> Spread:
    if not isinstance(fact, Mapping):
        return Spread(number(fact))
    members = fact.get("per_member")
    values = tuple(number(value) for value in members) if isinstance(members, list) else ()
    return Spread(number(fact.get("mean")), number(fact.get("std")), values)


def _sheet(stem: Path) -> Sheet | None:
    """The sheet of a name without its ending; None where the picture, its facts or their sense is missing."""
    path = stem.with_suffix(".png")
    facts = _left(stem.with_suffix(".json"))
    step, columns = (whole(facts.get(key)) for key in ("step", "columns"))
    rows = whole(facts.get("rows")) or _lines_of_pairs(facts)
    if step is None or not rows or not columns or min(rows, columns) < 1 or not _is_picture(path):
        return None
    return Sheet(path, facts, step, rows, columns)


def _left(path: Path) -> Facts:
    """What a run left at its end beside its samples; nothing where it cannot be read."""
    try:
        return _document(path)
    except (OSError, ValueError):
        return {}


def _is_picture(path: Path) -> bool:
    try:
        return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    except OSError:
        return False


def _lines_of_pairs(facts: Facts) -> int | None:
    """How many lines a sheet of pairs has: two for each line of originals, or one where they lie beside each other."""
    pairs, columns = (whole(facts.get(key)) for key in ("pairs", "columns"))
    if not pairs or not columns or min(pairs, columns) < 1:
        return None
    return {"below": 2 * math.ceil(pairs / columns), "beside": 1}.get(str(facts.get("layout")))


def _codes(path: Path) -> Codes | None:
    """None where no point can be read; points that cannot are left out, with their classes."""
    facts = _left(path)
    step, rows = whole(facts.get("step")), facts.get("points")
    if step is None or not isinstance(rows, list):
        return None
    points = [_point(row) for row in rows]
    kept = [i for i, point in enumerate(points) if point]
    if not kept:
        return None
    classes = _classes(facts.get("classes"), len(rows))
    named = facts.get("names")
    names = dict(enumerate(map(str, named))) if isinstance(named, list) else {}
    mine = tuple(classes[i] for i in kept) if classes else ()
    shares = facts.get("shares")
    return Codes(
        facts,
        step,
        tuple(points[i] for i in kept),
        mine,
        {i: names.get(i, str(i)) for i in sorted(set(mine))},
        tuple(map(number, shares)) if isinstance(shares, list) else (),
    )


def _point(row: Any) -> tuple[float, ...]:
    """Its first two coordinates, or the only one; empty where one is undefined."""
    values = [number(value) for value in row[:2]] if isinstance(row, list) else []
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else ()


def _classes(classes: Any, count: int) -> list[int]:
    """The class of each point; empty where they are not whole numbers, one for each."""
    known = [whole(value) for value in classes] if isinstance(classes, list) else []
    found = [value for value in known if value is not None and value >= 0]
    return found if len(found) == len(known) == count else []


def nearness(sheet: Sheet) -> list[Near]:
    """What the facts beside a sheet of neighbours say, space by space."""
    spaces = sheet.facts.get("spaces")
    found = []
    for space, said in spaces.items() if isinstance(spaces, Mapping) else ():
        usual, rows = (number(said.get("usual")), said.get("distances")) if isinstance(said, Mapping) else (None, None)
        first = [number(row[0]) for row in rows if isinstance(row, list) and row] if isinstance(rows, list) else []
        distances = tuple(distance for distance in first if distance is not None)
        if usual is not None and distances:
            found.append(Near(str(space), distances, usual))
    return found


def _pictures(folder: Path) -> tuple[Picture, ...]:
    found = []
    for path in folder.glob("step-*.png") if folder.is_dir() else ():
        if (match := re.fullmatch(r"step-(\d+)\.png", path.name)) and path.stat().st_size:
            found.append(Picture(int(match[1]), path))
    return tuple(sorted(found, key=lambda picture: picture.step))
