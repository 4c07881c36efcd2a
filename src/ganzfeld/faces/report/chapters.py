"""The chapters of the page: each is one function from facts to what its macro in ``chapters.html.j2`` shows.

A function returns None where there is nothing to show; what is absent is said once, at the head of the
section. To add a chapter, write its function, name it in `COMPARISON` or `RUN`, and give it a macro of the
same name.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from . import draw, measures, theory, words
from .draw import Axis, Reference, Series
from .measures import (
    ACCURACIES,
    CHOSEN,
    CLOSED,
    COPY,
    DIAGNOSTICS,
    MAIN,
    READINGS,
    SIGNALS,
    SPACES,
    Measure,
    Signal,
    measure,
    ordered,
    reading,
    references,
    shown,
    standing,
)
from .read import (
    Codes,
    Comparison,
    Facts,
    Judged,
    Laws,
    Near,
    Picture,
    Row,
    Run,
    Spread,
    baselines,
    labels,
    nearness,
    number,
    rankers,
    side_by_side,
    whole,
)

Content = Mapping[str, Any]

# pictures of one run that the page carries: evenly thinned, the first and the last always among them
FRAMES = 16
FILM, HALF, WIDE = 416, 560, 1120  # pixels that the samples, a figure beside its numbers and a whole row may take
MEMBERS = 10  # more thin lines than this hide each other
NAMED, GLYPHS = 24, 64  # lines of a sheet that are named one by one, classes that are drawn as characters


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading. chapters: (name of the macro, its content)."""

    kind: str
    anchor: str
    title: str
    lead: str
    absent: Sequence[str]
    chapters: Sequence[tuple[str, Content]]
    colour: str = ""


class Ranker(NamedTuple):
    """A row of a table of rankers."""

    label: str
    note: str
    metrics: Mapping[str, Spread]
    colour: str = ""
    baseline: bool = False


@dataclass(frozen=True)
class Page:
    title: str
    lead: str
    sections: Sequence[Section]
    ornament: Markup
    made_with: str
    furniture: theory.Words
    language: str = "en"


def page(things: Sequence[Run | Comparison | Laws], title: str | None) -> Page:
    """The whole page: comparisons first, those of runs trained apart included, then every run, then laws.

    A paper keeps the colour of its row in the comparison throughout the page.
    """
    apart = [thing for thing in things if isinstance(thing, Run)]
    comparisons = [thing for thing in things if isinstance(thing, Comparison)] + side_by_side(apart)
    placed = [(row.run, i) for comparison in comparisons for i, row in enumerate(comparison.rows) if row.run]
    compared = {id(run) for run, _ in placed}
    placed += [(run, len(placed) + i) for i, run in enumerate(r for r in apart if id(r) not in compared)]
    runs = [run for run, _ in placed]
    anchors = {id(run): f"run-{i}" for i, run in enumerate(runs, 1)}
    sections = [_comparison(c, f"comparison-{i}", anchors) for i, c in enumerate(comparisons, 1)]
    rows = [row.label for comparison in comparisons for row in comparison.rows if row.run]
    names = rows if len(set(rows)) == len(runs) else labels(runs)
    for label, (run, i) in zip(names, placed, strict=True):
        # the rankers of runs that are compared have one table, and that is the comparison's
        told = list(_told([chapter for chapter in RUN if chapter is not rankings or id(run) not in compared], run))
        sections.append(Section("run", anchors[id(run)], label, words.story(run), run.absent, told, _colour(i)))
    proven = [thing for thing in things if isinstance(thing, Laws)]
    sections += [_laws(laws, f"laws-{i}") for i, laws in enumerate(proven, 1)]
    if not runs and not comparisons:
        own = theory.words(proven[0])
        headline, lead = own.title, theory.lead(proven[0])
        return Page(title or headline, lead, sections, draw.field(), "", own, proven[0].language)
    headline, lead = _headline(comparisons, runs)
    furniture = theory.WORDS["en"]._replace(kind="report")
    return Page(title or headline, lead, sections, draw.field(), words.made_with(runs), furniture)


def _laws(laws: Laws, anchor: str) -> Section:
    own, laws = theory.words(laws), replace(laws, laws=tuple(map(theory.typeset, laws.laws)))
    told = [("verdicts", theory.verdicts(laws)), *(("law", theory.law(law, own)) for law in laws.laws)]
    return Section("laws", anchor, own.title, theory.lead(laws), (), told)


def _headline(comparisons: Sequence[Comparison], runs: Sequence[Run]) -> tuple[str, str]:
    if not comparisons and len(runs) == 1:
        [run] = runs
        return f"{run.name} on {run.data}" if run.data else run.name, words.story(run)
    rows = [row for comparison in comparisons for row in comparison.rows]
    alone = len(comparisons) == 1 and len(runs) <= len(rows)
    papers = words.counted(len(rows), words.noun(comparisons[0])) if alone else None
    names = {comparison.data for comparison in comparisons} | {run.data for run in runs}
    data = sorted(name for name in names if name)
    where = f"{len(data)} data sets" if len(data) > 3 else words.listed(data) or "unnamed data"
    verdicts = [(one.data, words.verdict(one)) for one in comparisons]
    lead = " ".join(f"On {name}, {verdict}" if len(verdicts) > 1 else verdict for name, verdict in verdicts if verdict)
    return f"{papers or words.counted(len(runs), 'run')} on {where}", lead


def _comparison(comparison: Comparison, anchor: str, anchors: Mapping[int, str]) -> Section:
    title = f"{comparison.data or 'Papers'}, side by side"
    linked = [anchors.get(id(row.run)) for row in comparison.rows]
    told = [(name, {**content, "anchors": linked}) for name, content in _told(COMPARISON, comparison)]
    return Section("comparison", anchor, title, words.budget(comparison), comparison.absent, told)


def _told(chapters: Sequence[Callable[[Any], Content | None]], about: Any) -> Iterator[tuple[str, Content]]:
    for chapter in chapters:
        if (content := chapter(about)) is not None:
            yield chapter.__name__, content


def standings(comparison: Comparison) -> Content | None:
    """Papers by metrics, the seeds of each as dots on the column's axis, the best of each column marked."""
    rows, beside = comparison.rows, comparison.baselines
    everyone = (*rows, *beside)
    names = shown({name for row in rows for name in row.metrics})
    columns = [
        _papers(name, [row.metrics.get(name, Spread(None)) for row in everyone], everyone, len(beside))
        for name in names
    ]
    if any(row.seconds is not None for row in rows):
        columns.append(_papers("seconds", [Spread(row.seconds) for row in everyone], everyone, len(beside)))
    if not columns:
        return None
    caption = (
        f"{words.budget(comparison)} Each cell: mean ± standard deviation, and one dot for each seed "
        "on the axis at the foot of its column; the stroke is their mean."
    )
    ranked = next((row.run for row in rows if row.run and row.run.retrieval and row.run.retrieval.ranking), None)
    return {
        "columns": columns,
        "noun": words.noun(comparison),
        "rows": [{"row": row, "colour": _colour(i)} for i, row in enumerate(rows)],
        "baselines": [_baseline(row) for row in beside],
        "caption": f"{caption} {words.ranked(ranked, _in_closed_form(beside))}" if ranked else caption,
        "diverged": any(row.diverged for row in rows),
        "perfect": any(column["perfect"] for column in columns),
        "every": _every(comparison) if any(map(measures.ranked, names)) else None,
        "meant": words.meant(names),
        "marks": _marks(columns),
    }


def _papers(name: str, cells: Sequence[Spread], rows: Sequence[Row], baselines: int = 0) -> Content:
    """A column of the papers, with what a perfect sampler would have in it."""
    judged = [(row.run.judged[-1].provenance, _shape(row.run)) for row in rows if row.run and row.run.judged]
    perfect = next((r[0].value for r in (references(name, *facts) for facts in judged) if r), None)
    owners = [(row.label, _colour(i)) for i, row in enumerate(rows)]
    known = "" if perfect is None else words.human(perfect)
    return {**_column(measure(name), cells, owners, baselines=baselines), "perfect": known}


def _column(
    what: Measure,
    cells: Sequence[Spread],
    owners: Sequence[tuple[str, str]],
    counted: int = 0,
    baselines: int = 0,
    dots: bool = True,
) -> Content:
    """Cells with their dots on the column's axis, the best marked. owners: the label and colour of each row;
    counted: the rows of data behind an accuracy; baselines: how many of the last rows are there to compare with: they
    have no dots, and the axis does not reach for them."""
    few = len(cells) - baselines
    values = [value for cell in cells[:few] for value in (*cell.defined, cell.mean) if value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    log = _wide(values, what)
    axis = Axis(low, high, 4, 106, log) if low < high else Axis(low - 1, high + 1, 4, 106)
    drawn = []
    marks = standing(cells, what.better, counted, baselines)
    for i, ((label, colour), cell, mark) in enumerate(zip(owners, cells, marks, strict=True)):
        mean, std = words.spread(cell)
        describe = f"{what.label} of {label}: {words.said(cell)}"
        spread = cell.defined if dots and i < few else ()
        strip = draw.strip(spread, cell.mean, axis, colour, describe) if spread else ""
        drawn.append({"mean": mean, "std": std, "mark": mark, "strip": strip})
    ends = (words.human(low), words.human(high)) if values else ("", "")
    return {"what": what, "cells": drawn, "ends": ends, "log": log}


def _marks(columns: Sequence[Content]) -> set[str]:
    return {cell["mark"] for column in columns for cell in column["cells"]} - {""}


def _every(comparison: Comparison) -> Content | None:
    """All rankers of all papers by all metrics."""
    lines = [
        line._replace(label=f"{row.label}, {line.label}")
        for i, row in enumerate(comparison.rows)
        for line in _trained(row.metrics, row.run, _colour(i))
    ]
    return _ranked_table([*lines, *map(_baseline, comparison.baselines)]) if lines else None


def rankings(run: Run) -> Content | None:
    """Who ranks how well on the test part."""
    if run.retrieval is None or run.retrieval.ranking is None:
        return None
    beside = baselines(run)
    lines = [*_trained(run.retrieval.ranking.metrics, run, ""), *map(_baseline, beside)]
    names = {name for line in lines for name in line.metrics}
    caption = f"{words.seeds(run)} {words.ranked(run, _in_closed_form(beside))}"
    several = max((len(fact.defined) for line in lines for fact in line.metrics.values()), default=0)
    main = names & set(MAIN) or names
    return {
        "table": _ranked_table(lines, main, several > 1),
        "every": _ranked_table(lines) if names - main else None,
        "meant": words.meant(names),
        "caption": caption,
    }


def _ranked_table(lines: Sequence[Ranker], names: set[str] | None = None, dots: bool = False) -> Content:
    """names: of the metrics, all unless given."""
    names = names or {name for line in lines for name in line.metrics}
    owners = [(line.label, line.colour) for line in lines]
    columns = [
        _column(
            measure(name),
            [line.metrics.get(name, Spread(None)) for line in lines],
            owners,
            baselines=sum(line.baseline for line in lines),
            dots=dots,
        )
        for name in ordered(names)
    ]
    return {"rows": lines, "columns": columns, "dots": dots, "marks": _marks(columns)}


def _trained(metrics: Mapping[str, Spread], run: Run | None, colour: str) -> Iterator[Ranker]:
    """The rankers that a run has trained, as they were selected and as they were at its end; of a run that has selected
    nothing only these, since they stand in for those."""
    held = rankers(metrics)
    first = words.first(metrics)
    known = run.retrieval if run else None
    for who in filter(held.__contains__, ("", "final", "critic", "final.critic")):
        final, name = who.startswith("final"), "critic" if who.endswith("critic") else first
        if final:
            step = known.ranking.step if known and known.ranking else None
            note = "at the end" if step is None else f"at the end, step {step:,}"
        elif known and not known.selected:
            continue
        else:
            note = words.selected(known.selected.get(words.kept(name), ()) if known else ())
        yield Ranker(name, note, held[who], colour)


def _baseline(row: Row) -> Ranker:
    what = CLOSED.get(row.label)
    note = ": ".join(part for part in (row.note, what.note if what else "") if part)
    return Ranker(row.label, note, row.metrics, "", True)


def _in_closed_form(rows: Sequence[Row]) -> bool:
    return any(row.run is None for row in rows)


def race(comparison: Comparison) -> Content | None:
    """Every paper's mean over the steps, one panel for each metric."""
    played = [(row.run, row.label, _colour(i)) for i, row in enumerate(comparison.rows) if row.run]
    panels = []
    for name in shown({name for run, *_ in played for judged in run.judged for name in judged.metrics}):
        lines = [_judged_line(run, name, label, colour)._replace(members=()) for run, label, colour in played]
        lines = [line for line in lines if len(line.x) > 1]
        if len(lines) > 1:
            panels.append(_metric_panel(name, lines, played[0][0], end_labels=True, size=(400, 230)))
    if not panels:
        return None
    several = max(_population(run) for run, *_ in played)
    caption = f"{words.budget(comparison)} {words.bands(several, '± 1 standard deviation')}"
    runs = [run for run, *_ in played]
    return {"panels": panels, "caption": f"{caption} {words.judged_at(runs)}{words.judged_on(runs)}"}


def gallery(comparison: Comparison) -> Content | None:
    """The last picture of every paper."""
    tiles: list[Content] = []
    for i, row in enumerate(comparison.rows):
        if row.run and row.run.pictures:
            last = row.run.pictures[-1]
            name = words.telling(row.metrics)
            note = f"{measure(name).label} {words.said(row.metrics[name])}" if name else ""
            tile = {"i": i, "label": row.label, "frame": _frame(last), "note": note, "colour": _colour(i)}
            tiles.append(tile)
    if not tiles:
        return None
    when = words.between(sorted({tile["frame"]["step"] for tile in tiles}))
    caption = f"The last samples of each paper, after {when}. {words.budget(comparison)} {words.PICTURED}"
    return {"tiles": tiles, "caption": caption}


def opening(run: Run) -> Content | None:
    """The samples, step by step, beside the last numbers."""
    if not run.pictures and _figured(run) is None:
        return None
    film = _evenly(run.pictures, FRAMES)
    caption = when = ""
    if film:
        some = words.counted(len(run.pictures), "picture")
        some = f"{len(film)} of {some}" if len(film) < len(run.pictures) else some
        when = f"steps {film[0].step:,} to {film[-1].step:,}" if len(film) > 1 else f"step {film[0].step:,}"
        caption = f"Samples: {some}, {when}. {words.seeds(run)} {words.PICTURED}"
    if told := _figured(run):
        several = max((len(fact.members) for fact in told.metrics.values()), default=0) > 1
        spread = " ± is one standard deviation over them." if several else ""
        when = f"{words.figured(run, told)} {words.seeds(run)}{spread}"
    return {
        "name": run.name,
        "frames": [_frame(picture) for picture in film],
        "caption": caption,
        "figures": _figures(run),
        "when": when,
    }


def _figures(run: Run) -> list[Content]:
    """The last numbers, each beside what a sampler without fault would reach, where that is known."""
    told = _figured(run)
    figures: list[Content] = []
    if told is None:
        return figures
    for name in shown(set(told.metrics)):
        mean, std = words.spread(told.metrics[name])
        known = references(name, told.provenance, _shape(run))
        note = f"{known[0].label}: {words.human(known[0].value)}" if known else measure(name).note
        figures.append({"what": measure(name), "mean": mean, "std": std, "note": note})
    return figures


def _figured(run: Run) -> Judged | None:
    """What is told in figures: the last judgement, or that of the test part where a run that ranks has come to it."""
    if run.retrieval and run.retrieval.ranking:
        return run.retrieval.ranking
    return run.judged[-1] if run.judged else None


def warned(run: Run) -> Content | None:
    """What the run warned of, each warning once, with its steps."""
    return {"warnings": words.once(run.warnings)} if run.warnings else None


def metrics(run: Run) -> Content | None:
    """Every metric over the steps."""
    names = shown({name for judged in run.judged for name in judged.metrics})
    if not names or run.retrieval:
        return None
    several = _population(run)
    lines = words.bands(several, "± 1 standard deviation")
    thin = " Thin lines: each seed." if 1 < several <= MEMBERS else ""
    return {
        "panels": [_metric_panel(name, [_judged_line(run, name)], run) for name in names],
        "caption": f"{words.seeds(run)} {lines}{thin} {words.judged_at([run])}",
    }


def judges(run: Run) -> Content | None:
    """Sample counts, extractors and whatever else the last judgement says of how it was made."""
    last = _figured(run)
    told = words.judges(last.provenance) if last else []
    return {"judges": told, "eyes": any(judge.metrics for judge in told)} if told else None


def ranked(run: Run) -> Content | None:
    """How well policy and critic rank over the steps, with those at which validation selected each."""
    names = shown({name for judged in run.judged for name in judged.metrics})
    if run.retrieval is None or not names:
        return None
    names.sort(key=lambda name: name != CHOSEN)
    panels = [_ranked_panel(run, name, large=name == names[0]) for name in names]
    several = _population(run)
    lines = words.bands(several, "± 1 standard deviation")
    thin = " Thin lines: each seed." if 1 < several <= MEMBERS else ""
    said = f"{words.seeds(run)} {lines}{thin} {words.judged_at([run])}{words.judged_on([run])}{words.rings(run)}"
    return {"panels": panels, "caption": said}


def _ranked_panel(run: Run, name: str, large: bool) -> Content:
    """The large one shows each seed, and what of it was selected."""
    first = words.first({name: fact for judged in run.judged for name, fact in judged.metrics.items()})
    lines = []
    for owner, metric, colour in ((first, name, ""), ("critic", f"critic.{name}", "second")):
        line = _judged_line(run, metric, owner, colour)
        rings = _rings(run, owner, metric) if large else ()
        lines.append(line._replace(rings=rings, members=line.members if large else ()))
    lines = [line for line in lines if line.x]
    panel = _metric_panel(name, lines, run, size=(400, 270) if large else (280, 150))
    return {**panel, "legend": [(line.label, line.colour) for line in lines]}


def _rings(run: Run, owner: str, name: str) -> list[tuple[float, float, str]]:
    """Where each seed was selected; where the start was, there is nothing to mark."""
    held = {judged.step: judged.metrics.get(name, Spread(None)).defined for judged in run.judged}
    steps = run.retrieval.selected.get(words.kept(owner), ()) if run.retrieval else ()
    return [
        (step, held[step][seed], f"{owner}, seed {seed}: selected at step {step:,}, {words.human(held[step][seed])}")
        for seed, step in enumerate(steps)
        if step in held and seed < len(held[step])
    ]


def interpolations(run: Run) -> Content | None:
    """From one latent to another."""
    sheet = run.interpolation
    if sheet is None:
        return None
    classes = sheet.facts.get("classes")
    within = (
        f", within the classes {words.listed(list(map(str, classes)))}" if isinstance(classes, list) and classes else ""
    )
    caption = (
        f"{words.counted(sheet.rows, 'way')} between latents {words.drawn(sheet)}{within}, each in {sheet.columns} "
        f"pictures along a great circle. {words.taken(run, sheet)} Steady change along a row, with no picture that "
        "jumps or falls apart, is what a generator that has learned more than its training pictures would show."
    )
    return {"image": _image(sheet.path, WIDE), "name": run.name, "caption": caption}


def neighbours(run: Run) -> Content | None:
    """Samples above the training pictures nearest to them, and how near is usual."""
    sheet = run.neighbours
    spaces = nearness(sheet) if sheet else []
    if sheet is None or not spaces:
        return None
    nearest, train = (whole(sheet.facts.get(key)) for key in ("nearest", "train"))
    bands = [
        ("samples", 1),
        *((f"nearest in {near.space}", max(1, (sheet.rows - 1) // len(spaces))) for near in spaces),
    ]
    among = f"of {train:,} training pictures" if train else "training pictures"
    caption = (
        f"{words.counted(sheet.columns, 'sample')} {words.drawn(sheet)}, and below each the {nearest or bands[1][1]} "
        f"nearest {among}, by each measure of distance. {words.taken(run, sheet)}"
    )
    return {
        "image": _image(sheet.path, HALF),
        "name": run.name,
        "bands": bands,
        "verdict": words.copies(spaces),
        "spaces": [_near(one, whole(sheet.facts.get("held_out"))) for one in spaces],
        "caption": caption,
    }


def _near(one: Near, held_out: int | None) -> Content:
    said = words.near(one, held_out)
    drawing = draw.nearness(one.distances, one.usual, COPY * one.usual, f"Distances in {one.space}. {said}")
    return {"title": f"Distance in {one.space}", "said": said, "drawing": drawing}


def reconstructions(run: Run) -> Content | None:
    """Held-out rows, and what their codes give back."""
    sheet = run.reconstruction
    if sheet is None:
        return None
    beside = sheet.facts.get("layout") == "beside"
    return {
        "image": _image(sheet.path, WIDE - 100),  # beside it stand its lines' names
        "name": run.name,
        "halves": ("x, held out", "G(E(x))") if beside else (),
        "lines": () if beside or sheet.rows > NAMED else ("x", "G(E(x))") * (sheet.rows // 2),
        "caption": f"{words.reconstructed(sheet)} {words.taken(run, sheet)}",
    }


def codes(run: Run) -> Content | None:
    """Where held-out rows lie in the latent space, beside what their classes can be told from."""
    scatter = _scatter(run, run.codes) if run.codes else None
    table = _spaces(run)
    told = [part["caption"] for part in (scatter, table) if part]
    return {"scatter": scatter, "table": table, "caption": " ".join(told)} if told else None


def _scatter(run: Run, codes: Codes) -> Content:
    """Each code as the name of its class where all names are one character, else as a dot in the colour of its class,
    hollow where colours come again; those of more classes than can be told apart, or of none, all alike."""
    glyphs = all(len(name) == 1 and name.isprintable() and name.strip() for name in codes.names.values())
    most, colours = (GLYPHS, draw.CLASSES) if glyphs else (2 * draw.COLOURS, draw.COLOURS)
    looks = {
        i: (_colour(i, colours), name if glyphs else "") if len(codes.names) <= most else ("", "")
        for i, name in codes.names.items()
    }
    told = words.coded(codes, "drawn as" if glyphs else "coloured by", most)
    axes = words.axes(codes)
    each = [looks[i] for i in codes.classes] or [("", "")] * len(codes.points)
    return {
        "legend": [(codes.names[i], *look) for i, look in looks.items() if any(look)],
        "drawing": draw.scatter(codes.points, each, axes, f"{told} {words.listed(axes)}"),
        "caption": f"{told} {words.taken(run, codes)}",
    }


def _spaces(run: Run) -> Content | None:
    """Spaces by what is read in them, as last judged. Cycles are told where a baseline has one."""
    last = run.judged[-1] if run.judged else None
    told = {kind: _readings(last, kind) for kind in READINGS} if last else {}
    told = {kind: cells for kind, cells in told.items() if cells.keys() - ({"codes"} if kind == "cycle" else set())}
    if last is None or not told:
        return None
    spaces = [space for space in SPACES if any(space in cells for cells in told.values())]
    owners = [(SPACES[space].name, "" if SPACES[space].own else "second") for space in spaces]
    facts = last.provenance.get("inference")
    rows = max(0, whole(facts.get("test")) or 0) if isinstance(facts, Mapping) else 0
    columns = [
        _column(
            READINGS[kind],
            [cells.get(space, Spread(None)) for space in spaces],
            owners,
            rows if kind in ACCURACIES else 0,
        )
        for kind, cells in told.items()
    ]
    marks = {cell["mark"] for column in columns for cell in column["cells"]}
    return {
        "columns": columns,
        "rows": [SPACES[space] for space in spaces],
        "verdict": words.worth({kind: told[kind] for kind in ACCURACIES if kind in told}, rows),
        "caption": words.spaces(run, rows, "best" in marks, "close" in marks),
    }


def _readings(judged: Judged, kind: str) -> dict[str, Spread]:
    names = {space: reading(kind, space) for space in SPACES}
    return {space: judged.metrics[name] for space, name in names.items() if name in judged.metrics}


def diagnostics(run: Run) -> Content | None:
    """What the log recorded of a policy, each with what it says."""
    panels = []
    for signal in DIAGNOSTICS:
        lines = [line for line in (_logged_line(run, name, "") for name in signal.records) if any(line.y)]
        if lines:
            panels.append(_signal_panel(signal._replace(references=_uniform(run, signal)), lines))
    return {"panels": panels, "caption": _logged(run)} if panels else None


def _uniform(run: Run, signal: Signal) -> list[Reference]:
    """What a policy has that draws every item alike."""
    shape = _shape(run)
    items = whole(shape[-1]) if _kind(run) == "interactions" and isinstance(shape, list) and shape else None
    return [Reference(items, f"all {items:,} items")] if items and "perplexity" in signal.records else []


def signals(run: Run) -> Content | None:
    """What the log recorded, as small multiples."""
    panels = []
    for signal in (*SIGNALS, *_unknown(run)):
        lines = [_logged_line(run, name, label) for name, label in signal.records.items()]
        lines = [line for line in lines if any(line.y)]  # a penalty of nothing is zero throughout
        if lines:
            panels.append(_signal_panel(signal, lines))
    if not panels:
        return None
    return {"panels": panels, "caption": f"{_logged(run)} An arrow marks values beyond the axis."}


def _logged(run: Run) -> str:
    """What the charts of the log are drawn from."""
    several = max(len(values) for row in run.log for values in ([], *_members(row).values()))
    how = words.bands(several, "from the lowest seed to the highest")
    logged = words.between([row["step"] for row in run.log])
    return f"{words.seeds(run)} {how} Logged at {logged}."


def setup(run: Run) -> Content | None:
    """The resolved configuration, the command that reproduces the run, and the paper to cite."""
    facts = {key: value for key, value in run.facts.items() if key not in ("format", "command", "citation")}
    plain = {key: value for key, value in facts.items() if not isinstance(value, Mapping)}
    groups = [("run", plain), *((key, value) for key, value in facts.items() if isinstance(value, Mapping))]
    tables = [(name.replace("_", " "), list(words.flat(group))) for name, group in groups]
    return {
        "groups": [(name, rows) for name, rows in tables if rows],
        "command": str(run.facts.get("command") or ""),
        "citation": str(run.facts.get("citation") or ""),
    }


COMPARISON: Sequence[Callable[[Comparison], Content | None]] = (standings, race, gallery)
RUN: Sequence[Callable[[Run], Content | None]] = (
    opening, warned, rankings, interpolations, neighbours, reconstructions, codes, metrics, ranked, judges, diagnostics,
    signals, setup,
)  # fmt: skip


def _metric_panel(
    name: str, lines: Sequence[Series], run: Run, end_labels: bool = False, size: tuple[int, int] = (360, 200)
) -> Content:
    what = measure(name)
    provenance = next((j.provenance for j in reversed(run.judged) if name in j.metrics), {})
    known = references(name, provenance, _shape(run))
    log = _wide([value for line in lines for value in line.y if value is not None], what)
    high = known[0].value if name == "modes" and known else what.high
    drawing = draw.chart(lines, _described(what.label, lines), known, what.low, high, log, end_labels, size)
    note = f"{what.note} · log axis" if log else what.note
    return {"title": what.label, "note": note, "better": what.better, "legend": (), "drawing": drawing}


def _unknown(run: Run) -> Iterator[Signal]:
    """Panels of the records that no signal knows, those that share a name before the first dot together."""
    known = {"step", "seconds", *(name for signal in (*SIGNALS, *DIAGNOSTICS) for name in signal.records)}
    groups: dict[str, dict[str, str]] = {}
    for name in sorted({name for row in run.log for name in row if number(row[name]) is not None} - known):
        stem, _, rest = name.partition(".")
        groups.setdefault(stem, {})[name] = rest
    return (Signal(stem.replace("_", " "), records) for stem, records in groups.items())


def _signal_panel(signal: Signal, lines: Sequence[Series]) -> Content:
    several = len(lines) > 2 and signal not in SIGNALS
    colours = [_colour(i) if several else "second" if i else "" for i in range(len(lines))]
    lines = [line._replace(colour=colour) for line, colour in zip(lines, colours, strict=True)]
    described = _described(signal.title, lines)
    drawing = draw.chart(lines, described, signal.references, signal.low, signal.high, size=(280, 150))
    legend = [(line.label, line.colour) for line in lines]
    return {"title": signal.title, "note": signal.note, "better": 0, "legend": legend, "drawing": drawing}


def _described(title: str, lines: Sequence[Series]) -> str:
    """A chart in words."""
    ends = [(line.label, next((v for v in reversed(line.y) if v is not None), None)) for line in lines]
    return f"{title} over steps. At the end: " + ", ".join(f"{a} {words.human(b)}".strip() for a, b in ends)


def _wide(values: Sequence[float], what: Measure) -> bool:
    """Whether a distance runs over so wide a range that only a logarithmic axis shows both of its ends."""
    return what.better < 0 and min(values, default=0) > 0 and max(values) > 5 * min(values)


def _judged_line(run: Run, name: str, label: str = "", colour: str = "") -> Series:
    facts = [(judged.step, judged.metrics[name]) for judged in run.judged if name in judged.metrics]
    several = max((len(fact.members) for _, fact in facts), default=0)
    around = [_around(fact) for _, fact in facts]
    padded = [fact.members + (None,) * (several - len(fact.members)) for _, fact in facts]
    return Series(
        x=[step for step, _ in facts],
        y=[fact.mean for _, fact in facts],
        label=label,
        band=([low for low, _ in around], [high for _, high in around]) if several > 1 else None,
        members=list(zip(*padded, strict=True)) if 1 < several <= MEMBERS else (),
        colour=colour,
    )


def _around(fact: Spread) -> tuple[float | None, float | None]:
    if fact.mean is None or fact.std is None:
        return None, None
    return fact.mean - fact.std, fact.mean + fact.std


def _logged_line(run: Run, name: str, label: str) -> Series:
    members = [[v for v in map(number, _members(row).get(name, ())) if v is not None] for row in run.log]
    band = ([min(m, default=None) for m in members], [max(m, default=None) for m in members])
    return Series(
        x=[row["step"] for row in run.log],
        y=[number(row.get(name)) for row in run.log],
        label=label,
        band=band if any(len(m) > 1 for m in members) else None,
    )


def _members(row: Facts) -> Mapping[str, list[Any]]:
    members = row.get("per_member")
    return {k: v for k, v in members.items() if isinstance(v, list)} if isinstance(members, Mapping) else {}


def _population(run: Run) -> int:
    """How many members the metrics were recorded for."""
    return max((len(fact.members) for judged in run.judged for fact in judged.metrics.values()), default=0)


def _kind(run: Run) -> Any:
    data = run.facts.get("data")
    return data.get("kind") if isinstance(data, Mapping) else None


def _shape(run: Run) -> Any:
    data = run.facts.get("data")
    return data.get("shape") if isinstance(data, Mapping) else None


def _colour(i: int, colours: int = draw.COLOURS) -> str:
    return f"c{i % colours}{' again' if i >= colours else ''}"


def _evenly(pictures: Sequence[Picture], limit: int) -> Sequence[Picture]:
    if len(pictures) <= limit:
        return pictures
    return [pictures[round(i * (len(pictures) - 1) / (limit - 1))] for i in range(limit)]


def _frame(picture: Picture) -> Content:
    return {"step": picture.step, **_image(picture.path, FILM)}


def _image(path: Path, room: int) -> Content:
    """A picture as the page carries it. room: the pixels that it may take; one that takes less is enlarged without
    smoothing, to a whole multiple of its size where that fits."""
    content = path.read_bytes()
    width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))  # where a PNG states its size
    times = max(1, room // max(1, width))
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"uri": uri, "width": times * width, "height": times * height, "crisp": width <= room}
