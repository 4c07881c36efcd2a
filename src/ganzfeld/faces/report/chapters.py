"""The chapters of the page: each is one function from facts to what its macro in ``chapters.html.j2`` shows.

A function returns None where there is nothing to show; what is absent is said once, at the head of the
section. To add a chapter, write its function, name it in `COMPARISON` or `RUN`, give it a macro of the same name, and
name it among the chapters of a task in `read`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from ...core import disk, launch
from ...core.names import rename_command
from . import draw, measures, read, theory
from . import words as wording
from .draw import Axis, Reference, Series
from .measures import Measure, Signal, main_metrics
from .read import Codes, Comparison, Laws, Row, Run, Spread, integer, rankers
from .words import Words, first_ranker, format_number, format_spread, plus_minus, stored_name, telling_metric

Content = Mapping[str, Any]
Chapter = Callable[[Any, Words], Content | None]

# pictures of one run that the page carries: evenly thinned, the first and the last always among them
MOST_FRAMES = 16
FILM_PIXELS, HALF_PIXELS, ROW_PIXELS = (
    416,
    560,
    1120,
)  # pixels that the samples, a figure beside its numbers and a whole row may take
MOST_MEMBERS = 10  # more thin lines than this hide each other
MOST_NAMED, MOST_GLYPHS = 24, 64  # lines of a sheet that are named one by one, classes that are drawn as characters


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
    kept: bool = False  # its weights are those of its start


@dataclass(frozen=True)
class Page:
    title: str
    lead: str
    sections: Sequence[Section]
    ornament: Markup
    made_with: str
    words: Words
    kind: str


def page(things: Sequence[Run | Comparison | Laws], title: str | None, language: str | None = None) -> Page:
    """The whole page: comparisons first, those of runs trained apart included, then every run, then laws.

    A paper keeps the colour of its row in the comparison throughout the page. language: by default that of the laws
    where there is nothing else, and English.
    """
    apart = [thing for thing in things if isinstance(thing, Run)]
    comparisons = [thing for thing in things if isinstance(thing, Comparison)] + read.compare_runs(apart)
    placed = [(row.run, i) for comparison in comparisons for i, row in enumerate(comparison.rows) if row.run]
    compared = {id(run) for run, _ in placed}
    placed += [(run, len(placed) + i) for i, run in enumerate(r for r in apart if id(r) not in compared)]
    runs = [run for run, _ in placed]
    anchors = {id(run): f"run-{i}" for i, run in enumerate(runs, 1)}
    proven = [thing for thing in things if isinstance(thing, Laws)]
    alone = proven and not runs and not comparisons
    words = wording.load(proven[0].language if alone and not language else language or "en", whole=not alone)
    sections = [_comparison(c, f"comparison-{i}", anchors, words) for i, c in enumerate(comparisons, 1)]
    rows = [row.label for comparison in comparisons for row in comparison.rows if row.run]
    names = rows if len(set(rows)) == len(runs) else read.labels(runs)
    for label, (run, i) in zip(names, placed, strict=True):
        # the rankers of runs that are compared have one table, and that is the comparison's
        mine = [RUN[name] for name in run.task.chapters if name != "rankings" or id(run) not in compared]
        absent = [words.missing(fact) for fact in run.absent]
        content = list(_fill(mine, run, words))
        sections.append(Section("run", anchors[id(run)], label, words.story(run), absent, content, _colour(i)))
    sections += [_laws(laws, f"laws-{i}") for i, laws in enumerate(proven, 1)]
    if alone:
        lead = words.laws_verdict(proven[0])
        return Page(title or words("laws.title"), lead, sections, draw.field(), "", words, words("laws.kind"))
    headline, lead = _headline(comparisons, runs, words)
    return Page(title or headline, lead, sections, draw.field(), words.versions(runs), words, words("page.kind"))


def _laws(laws: Laws, anchor: str) -> Section:
    words = wording.load(laws.language)
    content = [("verdicts", theory.verdicts(laws, words)), *(("law", theory.law(law, words)) for law in laws.laws)]
    return Section("laws", anchor, words("laws.title"), words.laws_verdict(laws), (), content)


def _headline(comparisons: Sequence[Comparison], runs: Sequence[Run], words: Words) -> tuple[str, str]:
    if not comparisons and len(runs) == 1:
        [run] = runs
        return words("headline", what=run.name, data=run.data) if run.data else run.name, words.story(run)
    rows = [row for comparison in comparisons for row in comparison.rows]
    alone = len(comparisons) == 1 and len(runs) <= len(rows)
    what = words(f"count.{words.kind_of_rows(comparisons[0])}", n=len(rows)) if alone else None
    names = {comparison.data for comparison in comparisons} | {run.data for run in runs}
    data = sorted(name for name in names if name)
    where = words("count.data_sets", n=len(data)) if len(data) > 3 else words.join_names(data) or words("unnamed_data")
    verdicts = [(one.data, words.verdict(one)) for one in comparisons]
    lead = words.join(
        *(
            words("verdict.on", data=name, verdict=verdict) if len(verdicts) > 1 else verdict
            for name, verdict in verdicts
            if verdict
        )
    )
    return words("headline", what=what or words("count.runs", n=len(runs)), data=where), lead


def _comparison(comparison: Comparison, anchor: str, anchors: Mapping[int, str], words: Words) -> Section:
    title = words("standings.title", data=comparison.data or words("standings.papers"))
    linked = [anchors.get(id(row.run)) for row in comparison.rows]
    content = [(name, {**one, "anchors": linked}) for name, one in _fill(COMPARISON, comparison, words)]
    absent = [words.missing(fact) for fact in comparison.absent]
    return Section("comparison", anchor, title, words.budget(comparison), absent, content)


def _fill(chapters: Sequence[Chapter], about: Any, words: Words) -> Iterator[tuple[str, Content]]:
    for chapter in chapters:
        if (content := chapter(about, words)) is not None:
            yield chapter.__name__, content


def standings(comparison: Comparison, words: Words) -> Content | None:
    """Papers by metrics, the seeds of each as dots on the column's axis, the best of each column marked."""
    rows, beside = comparison.rows, comparison.baselines
    everyone = (*rows, *beside)
    names = main_metrics({name for row in rows for name in row.metrics})
    runs = [row.run for row in rows if row.run]
    judged = [last.provenance for run in runs if (last := _last_judgement(run))]  # of rankers on the test part
    columns = [
        _column_of(name, [row.metrics.get(name, Spread(None)) for row in everyone], everyone, words, len(beside))
        for name in names
    ]
    columns = [_mark_few(column, name, judged) for name, column in zip(names, columns, strict=True)]
    if any(row.seconds is not None for row in rows):
        columns.append(_column_of("seconds", [Spread(row.seconds) for row in everyone], everyone, words, len(beside)))
    if not columns:
        return None
    ranked = next((row.run for row in rows if row.run and row.run.retrieval and row.run.retrieval.ranking), None)
    return {
        "columns": columns,
        "noun": words(f"standings.{words.kind_of_rows(comparison)}_column"),
        "rows": [{"row": row, "colour": _colour(i)} for i, row in enumerate(rows)],
        "baselines": [_baseline(row, words) for row in beside],
        "caption": words.join(
            words.budget(comparison),
            words("standings.cells"),
            words("standings.partial") if any(c.partial for row in rows for c in row.metrics.values()) else "",
            words.few(judged, names),
            words.rankers_caption(ranked, _has_closed_form(beside)) if ranked else "",
            words.kept_starts(rows),
        ),
        "diverged": any(row.diverged for row in rows),
        "perfect": any(column["perfect"] for column in columns),
        "every": _all_rankers(comparison, words) if any(map(measures.is_ranking, names)) else None,
        "meant": words.meaning(names),
        "marks": _marks(columns),
    }


def _mark_few(shown: Content, name: str, provenances: Sequence[read.Facts]) -> Content:
    """What is shown of a metric, with a mark where it rests on too few rows."""
    wanted = [read.mapping(read.mapping(facts.get("few")).get("wanted")) for facts in provenances]
    few = any(name in names for names in wanted)
    return {**shown, "what": shown["what"]._replace(label=f"{shown['what'].label}*")} if few else shown


def _column_of(name: str, cells: Sequence[Spread], rows: Sequence[Row], words: Words, baselines: int = 0) -> Content:
    """A column of the papers, with what a perfect sampler would have in it."""
    judged = [(row.run.judgements[-1].provenance, row.run.shape) for row in rows if row.run and row.run.judgements]
    perfect = next((r[0].value for r in (words.references(name, *facts) for facts in judged) if r), None)
    owners = [(words.row(row), _colour(i)) for i, row in enumerate(rows)]
    known = "" if perfect is None else format_number(perfect)
    kept = read.kept_places(rows) if measures.is_ranking(name) else set()
    return {**_column(words.measure(name), cells, owners, words, baselines=baselines, kept=kept), "perfect": known}


def _column(
    what: Measure,
    cells: Sequence[Spread],
    owners: Sequence[tuple[str, str]],
    words: Words,
    counted: int = 0,
    baselines: int = 0,
    dots: bool = True,
    kept: Collection[int] = (),
) -> Content:
    """Cells with their dots on the column's axis, the best marked. owners: the label and colour of each row;
    counted: the rows of data behind an accuracy; baselines: how many of the last rows are there to compare with: they
    have no dots, and the axis does not reach for them; kept: the rows whose numbers are their start's, which are none
    of theirs to be marked."""
    few = len(cells) - baselines
    values = [value for cell in cells[:few] for value in (*cell.defined, cell.mean) if value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    log = _spans_decades(values, what)
    axis = Axis(low, high, 4, 106, log) if low < high else Axis(low - 1, high + 1, 4, 106)
    drawn = []
    marks = measures.mark_best(cells, what.better, counted, baselines, kept)
    for i, ((label, colour), cell, mark) in enumerate(zip(owners, cells, marks, strict=True)):
        mean, std = format_spread(cell)
        describe = words("standings.cell", metric=what.label, who=label, value=plus_minus(cell))
        seeds = cell.defined if dots and i < few else ()
        strip = draw.strip(seeds, cell.mean, axis, colour, describe) if seeds else ""
        of = words("standings.of", n=len(cell.defined), total=len(cell.members)) if cell.partial else ""
        drawn.append({"mean": mean, "std": std, "of": of, "mark": mark, "strip": strip})
    ends = (format_number(low), format_number(high)) if values else ("", "")
    return {"what": what, "cells": drawn, "ends": ends, "log": log}


def _marks(columns: Sequence[Content]) -> set[str]:
    return {cell["mark"] for column in columns for cell in column["cells"]} - {""}


def _all_rankers(comparison: Comparison, words: Words) -> Content | None:
    """All rankers of all papers by all metrics."""
    lines = [
        line._replace(label=words("measures.of", label=row.label, who=line.label))
        for i, row in enumerate(comparison.rows)
        for line in _trained_rankers(row.metrics, row.run, _colour(i), words)
    ]
    return _ranked_table([*lines, *(_baseline(row, words) for row in comparison.baselines)], words) if lines else None


def rankings(run: Run, words: Words) -> Content | None:
    """Who ranks how well on the test part."""
    if run.retrieval is None or run.retrieval.ranking is None:
        return None
    beside = read.baselines(run)
    trained = _trained_rankers(run.retrieval.ranking.metrics, run, "", words)
    lines = [*trained, *(_baseline(row, words) for row in beside)]
    names = {name for line in lines for name in line.metrics}
    several = max((len(fact.defined) for line in lines for fact in line.metrics.values()), default=0)
    main = names & set(measures.MAIN_METRICS) or names
    return {
        "table": _ranked_table(lines, words, main, several > 1),
        "every": _ranked_table(lines, words) if names - main else None,
        "meant": words.meaning(names),
        "caption": words.join(
            words.seeds(run),
            words.rankers_caption(run, _has_closed_form(beside)),
            words.kept_starts([Row("", {}, run)]),
        ),
    }


def _ranked_table(lines: Sequence[Ranker], words: Words, names: set[str] | None = None, dots: bool = False) -> Content:
    """names: of the metrics, all unless given."""
    names = names or {name for line in lines for name in line.metrics}
    owners = [(line.label, line.colour) for line in lines]
    columns = [
        _column(
            words.measure(name),
            [line.metrics.get(name, Spread(None)) for line in lines],
            owners,
            words,
            baselines=sum(line.baseline for line in lines),
            dots=dots,
            kept={i for i, line in enumerate(lines) if line.kept},
        )
        for name in measures.sort_metrics(names)
    ]
    return {"rows": lines, "columns": columns, "dots": dots, "marks": _marks(columns)}


def _trained_rankers(metrics: Mapping[str, Spread], run: Run | None, colour: str, words: Words) -> Iterator[Ranker]:
    """The rankers that a run has trained, as they were selected and as they were at its end; of a run that has selected
    nothing only these, since they stand in for those."""
    found = rankers(metrics)
    first = first_ranker(metrics)
    known = run.retrieval if run else None
    for who in filter(found.__contains__, ("", "final", "critic", "final.critic")):
        final, name = who.startswith("final"), "critic" if who.endswith("critic") else first
        if final:
            step = known.ranking.step if known and known.ranking else None
            note = words("ranked.end") if step is None else words("ranked.end_at", step=step)
        elif known and not known.selected:
            continue
        else:
            note = words.selection(known.selected.get(stored_name(name), ()) if known else ())
        steps = known.selected.get(stored_name(name), ()) if known and not final else ()
        kept = bool(steps) and not any(steps)
        yield Ranker(words(f"rankers.{name}"), note, found[who], colour, kept=kept)


def _baseline(row: Row, words: Words) -> Ranker:
    return Ranker(words.row(row), words.row_note(row), row.metrics, "", True)


def _has_closed_form(rows: Sequence[Row]) -> bool:
    return any(row.run is None and row.starts is None for row in rows)


def race(comparison: Comparison, words: Words) -> Content | None:
    """Every paper's mean over the steps, one panel for each metric."""
    played = [(row.run, row.label, _colour(i)) for i, row in enumerate(comparison.rows) if row.run]
    panels = []
    for name in main_metrics({name for run, *_ in played for judged in run.judgements for name in judged.metrics}):
        lines = [_judged_line(run, name, label, colour)._replace(members=()) for run, label, colour in played]
        lines = [line for line in lines if len(line.x) > 1]
        if len(lines) > 1:
            panels.append(_metric_panel(name, lines, played[0][0], words, end_labels=True, size=(400, 230)))
    if not panels:
        return None
    several = max(_population(run) for run, *_ in played)
    runs = [run for run, *_ in played]
    caption = (words.budget(comparison), words.bands(several, "std"), words.judged_steps(runs), words.judged_part(runs))
    return {"panels": panels, "caption": words.join(*caption)}


def gallery(comparison: Comparison, words: Words) -> Content | None:
    """The last picture of every paper."""
    tiles: list[Content] = []
    for i, row in enumerate(comparison.rows):
        if row.run and row.run.pictures:
            last = row.run.pictures[-1]
            name = telling_metric(row.metrics)
            note = f"{words.measure(name).label} {plus_minus(row.metrics[name])}" if name else ""
            tile = {"i": i, "label": row.label, "frame": _frame(last), "note": note, "colour": _colour(i)}
            tiles.append(tile)
    if not tiles:
        return None
    when = words.steps_at({tile["frame"]["step"] for tile in tiles})
    caption = (words("gallery.caption", steps=when), words.budget(comparison), words("pictured"))
    return {"tiles": tiles, "caption": words.join(*caption)}


def opening(run: Run, words: Words) -> Content | None:
    """The samples, step by step, beside the last numbers."""
    if not run.pictures and _last_judgement(run) is None:
        return None
    film = _thin_out(run.pictures, MOST_FRAMES)
    caption = when = ""
    if film:
        some = words("count.pictures", n=len(run.pictures))
        some = words("opening.some", n=len(film), pictures=some) if len(film) < len(run.pictures) else some
        first, last = film[0].step, film[-1].step
        when = words("steps.range" if len(film) > 1 else "steps.one", first=first, last=last)
        caption = words.join(words("opening.samples", pictures=some, steps=when), words.seeds(run), words("pictured"))
    if judged := _last_judgement(run):
        several = max((len(fact.members) for fact in judged.metrics.values()), default=0) > 1
        doubt = words("opening.spread") if several else ""
        few = words.few([judged.provenance], main_metrics(set(judged.metrics)))
        when = words.join(words.figures_caption(run, judged), words.seeds(run), doubt, few)
    return {
        "name": run.name,
        "frames": [_frame(picture) for picture in film],
        "caption": caption,
        "figures": _figures(run, words),
        "when": when,
    }


def _figures(run: Run, words: Words) -> list[Content]:
    """The last numbers, each beside what a sampler without fault would reach, where that is known."""
    judged = _last_judgement(run)
    figures: list[Content] = []
    if judged is None:
        return figures
    for name in main_metrics(set(judged.metrics)):
        what, (mean, std) = words.measure(name), format_spread(judged.metrics[name])
        known = words.references(name, judged.provenance, run.shape)
        note = words("opening.known", label=known[0].label, value=format_number(known[0].value)) if known else what.note
        figures.append(_mark_few({"what": what, "mean": mean, "std": std, "note": note}, name, [judged.provenance]))
    return figures


def _last_judgement(run: Run) -> read.Judgement | None:
    """What is shown in figures: the last judgement, or that of the test part where a run that ranks has come to it."""
    if run.retrieval and run.retrieval.ranking:
        return run.retrieval.ranking
    return run.judgements[-1] if run.judgements else None


def warnings(run: Run, words: Words) -> Content | None:
    """What the run warned of, each warning once, with its steps."""
    return {"warnings": words.warnings(run.warnings)} if run.warnings else None


def metrics(run: Run, words: Words) -> Content | None:
    """Every metric over the steps."""
    names = main_metrics({name for judged in run.judgements for name in judged.metrics})
    if not names:
        return None
    panels = [_metric_panel(name, [_judged_line(run, name)], run, words) for name in names]
    return {"panels": panels, "caption": _metrics_caption(run, words)}


def _metrics_caption(run: Run, words: Words) -> str:
    """What charts of metrics are drawn from."""
    several = _population(run)
    thin = words("bands.thin") if 1 < several <= MOST_MEMBERS else ""
    return words.join(words.seeds(run), words.bands(several, "std"), thin, words.judged_steps([run]))


def judges(run: Run, words: Words) -> Content | None:
    """Sample counts, extractors and whatever else the last judgement says of how it was made."""
    last = _last_judgement(run)
    found = words.judges(last.provenance) if last else []
    return {"judges": found, "eyes": any(judge.metrics for judge in found)} if found else None


def ranking_curves(run: Run, words: Words) -> Content | None:
    """How well policy and critic rank over the steps, with those at which validation selected each."""
    names = main_metrics({name for judged in run.judgements for name in judged.metrics})
    if run.retrieval is None or not names:
        return None
    names.sort(key=lambda name: name != measures.SELECTOR)
    panels = [_ranked_panel(run, name, name == names[0], words) for name in names]
    caption = words.join(_metrics_caption(run, words), words.judged_part([run]), words.rings(run))
    return {"panels": panels, "caption": caption}


def _ranked_panel(run: Run, name: str, large: bool, words: Words) -> Content:
    """The large one shows each seed, and what of it was selected."""
    first = first_ranker({name: fact for judged in run.judgements for name, fact in judged.metrics.items()})
    lines = []
    for owner, metric, colour in ((first, name, ""), ("critic", f"critic.{name}", "second")):
        line = _judged_line(run, metric, words(f"rankers.{owner}"), colour)
        rings = _rings(run, owner, metric, words) if large else ()
        lines.append(line._replace(rings=rings, members=line.members if large else ()))
    lines = [line for line in lines if line.x]
    panel = _metric_panel(name, lines, run, words, size=(400, 270) if large else (280, 150))
    return {**panel, "legend": [(line.label, line.colour) for line in lines]}


def _rings(run: Run, owner: str, name: str, words: Words) -> list[tuple[float, float, str]]:
    """Where each seed was selected; where the start was, there is nothing to mark."""
    values = {judged.step: judged.metrics.get(name, Spread(None)).defined for judged in run.judgements}
    steps = run.retrieval.selected.get(stored_name(owner), ()) if run.retrieval else ()
    return [
        (
            step,
            value,
            words("ranked.ring", who=words(f"rankers.{owner}"), seed=seed, step=step, value=format_number(value)),
        )
        for seed, step in enumerate(steps)
        if step in values and seed < len(values[step])
        for value in [values[step][seed]]
    ]


def interpolations(run: Run, words: Words) -> Content | None:
    """From one latent to another."""
    sheet = run.interpolation
    if sheet is None:
        return None
    classes = sheet.facts.get("classes")
    known = words.join_names(list(map(str, classes))) if isinstance(classes, list) else ""
    ways = words(
        "interpolations.ways",
        ways=words("count.ways", n=sheet.rows),
        latents=words.latents(sheet),
        classes=words("interpolations.classes", classes=known) if known else "",
        pictures=sheet.columns,
    )
    caption = words.join(ways, words.origin(run, sheet), words("interpolations.meaning"))
    return {"image": _image(sheet.path, ROW_PIXELS), "name": run.name, "caption": caption}


def neighbours(run: Run, words: Words) -> Content | None:
    """Samples above the training pictures nearest to them, and how near is usual."""
    sheet = run.neighbours
    spaces = read.read_nearness(sheet) if sheet else []
    if sheet is None or not spaces:
        return None
    nearest, train = (integer(sheet.facts.get(key)) for key in ("nearest", "train"))
    bands = [
        (words("neighbours.samples"), 1),
        *((words("neighbours.nearest", space=near.space), max(1, (sheet.rows - 1) // len(spaces))) for near in spaces),
    ]
    caption = words(
        "neighbours.caption",
        samples=words("count.samples", n=sheet.columns),
        latents=words.latents(sheet),
        nearest=nearest or bands[1][1],
        among=words("neighbours.among", n=train) if train else words("neighbours.of_training"),
    )
    return {
        "image": _image(sheet.path, HALF_PIXELS),
        "name": run.name,
        "bands": bands,
        "verdict": words.copies(spaces),
        "spaces": [_nearness(one, integer(sheet.facts.get("held_out")), words) for one in spaces],
        "caption": words.join(caption, words.origin(run, sheet)),
    }


def _nearness(one: read.Nearness, held_out: int | None, words: Words) -> Content:
    note = words.nearness(one, held_out)
    described = words.join(words("nearness.described", space=one.space), note)
    drawing = draw.nearness(one.distances, one.usual, measures.COPY * one.usual, described, words)
    return {"title": words("nearness.title", space=one.space), "note": note, "drawing": drawing}


def reconstructions(run: Run, words: Words) -> Content | None:
    """Held-out rows, and what their codes give back."""
    sheet = run.reconstruction
    if sheet is None:
        return None
    beside = sheet.facts.get("layout") == "beside"
    return {
        "image": _image(sheet.path, ROW_PIXELS - 100),  # beside it stand its lines' names
        "name": run.name,
        "halves": (words("reconstructions.held_out"), "G(E(x))") if beside else (),
        "lines": () if beside or sheet.rows > MOST_NAMED else ("x", "G(E(x))") * (sheet.rows // 2),
        "caption": words.join(words.pairs_caption(sheet), words.origin(run, sheet)),
    }


def codes(run: Run, words: Words) -> Content | None:
    """Where held-out rows lie in the latent space, beside what their classes can be told from."""
    scatter = _scatter(run, run.codes, words) if run.codes else None
    table = _spaces(run, words)
    captions = [part["caption"] for part in (scatter, table) if part]
    return {"scatter": scatter, "table": table, "caption": words.join(*captions)} if captions else None


def _scatter(run: Run, codes: Codes, words: Words) -> Content:
    """Each code as the name of its class where all names are one character, else as a dot in the colour of its class,
    hollow where colours come again; those of more classes than can be told apart, or of none, all alike."""
    glyphs = all(len(name) == 1 and name.isprintable() and name.strip() for name in codes.names.values())
    most, colours = (MOST_GLYPHS, draw.CLASSES) if glyphs else (2 * draw.COLOURS, draw.COLOURS)
    looks = {
        i: (_colour(i, colours), name if glyphs else "") if len(codes.names) <= most else ("", "")
        for i, name in codes.names.items()
    }
    drawn = words.codes_caption(codes, "glyphs" if glyphs else "colours", most)
    axes = words.axes(codes)
    each = [looks[i] for i in codes.classes] or [("", "")] * len(codes.points)
    return {
        "legend": [(codes.names[i], *look) for i, look in looks.items() if any(look)],
        "drawing": draw.scatter(codes.points, each, axes, words.join(drawn, words.join_names(axes))),
        "caption": words.join(drawn, words.origin(run, codes)),
    }


def _spaces(run: Run, words: Words) -> Content | None:
    """Spaces by what is read in them, as last judged. Cycles are shown where a baseline has one."""
    last = run.judgements[-1] if run.judgements else None
    found = {kind: _readings(last, kind) for kind in measures.READINGS} if last else {}
    found = {kind: cells for kind, cells in found.items() if cells.keys() - ({"codes"} if kind == "cycle" else set())}
    if last is None or not found:
        return None
    spaces = [space for space in measures.SPACES if any(space in cells for cells in found.values())]
    owners = [(words(f"spaces.{space}.name"), "" if measures.SPACES[space] else "second") for space in spaces]
    rows = max(0, integer(read.mapping(last.provenance.get("inference")).get("test")) or 0)
    columns = [
        _column(
            words.reading(kind),
            [cells.get(space, Spread(None)) for space in spaces],
            owners,
            words,
            rows if kind in measures.ACCURACIES else 0,
        )
        for kind, cells in found.items()
    ]
    marks = _marks(columns)
    return {
        "columns": columns,
        "rows": [
            (words(f"spaces.{space}.name"), words(f"spaces.{space}.note"), measures.SPACES[space]) for space in spaces
        ],
        "verdict": words.codes_verdict({kind: found[kind] for kind in measures.ACCURACIES if kind in found}, rows),
        "caption": words.spaces(run, rows, "best" in marks, "close" in marks),
    }


def _readings(judged: read.Judgement, kind: str) -> dict[str, Spread]:
    names = {space: measures.reading(kind, space) for space in measures.SPACES}
    return {space: judged.metrics[name] for space, name in names.items() if name in judged.metrics}


def diagnostics(run: Run, words: Words) -> Content | None:
    """What the log recorded of a policy, each with what it says."""
    signals = [_add_uniform(run, words.signal(signal), words) for signal in measures.DIAGNOSTICS]
    panels = list(_signal_panels(run, signals, words))
    return {"panels": panels, "caption": _log_caption(run, words)} if panels else None


def _add_uniform(run: Run, signal: Signal, words: Words) -> Signal:
    """With what a policy has that draws every item alike."""
    catalogue = read.KINDS.get(run.kind, read.Kind()).catalogue and isinstance(run.shape, list) and run.shape
    items = integer(run.shape[-1]) if catalogue and signal.name == "perplexity" else None
    return signal._replace(references=[Reference(items, words("references.items", n=items))]) if items else signal


def signals(run: Run, words: Words) -> Content | None:
    """What the log recorded, as small multiples."""
    panels = list(_signal_panels(run, [*map(words.signal, measures.SIGNALS), *_unknown_signals(run)], words))
    if not panels:
        return None
    return {"panels": panels, "caption": words.join(_log_caption(run, words), words("signals.arrow"))}


def _signal_panels(run: Run, signals: Sequence[Signal], words: Words) -> Iterator[Content]:
    for signal in signals:
        lines = [_logged_line(run, name, label) for name, label in signal.records.items()]
        if lines := [line for line in lines if any(line.y)]:  # a penalty of nothing is zero throughout
            yield _signal_panel(signal, lines, words)


def _log_caption(run: Run, words: Words) -> str:
    """What the charts of the log are drawn from."""
    several = max(len(values) for row in run.log for values in ([], *_members(row).values()))
    logged = words.steps_at([row["step"] for row in run.log])
    return words.join(words.seeds(run), words.bands(several, "range"), words("signals.logged", steps=logged))


def setup(run: Run, words: Words) -> Content | None:
    """The resolved configuration, the command that reproduces the run, and the paper to cite."""
    facts = {key: value for key, value in run.facts.items() if key not in ("format", "command", "citation")}
    plain = {key: value for key, value in facts.items() if not isinstance(value, Mapping)}
    groups = [
        (words("setup.run"), plain),
        *((key, value) for key, value in facts.items() if isinstance(value, Mapping)),
    ]
    tables = [(name.replace("_", " "), list(words.flat(group))) for name, group in groups]
    return {
        "groups": [(name, rows) for name, rows in tables if rows],
        "command": launch.as_typed_here(rename_command(str(run.facts.get("command") or ""), run.facts.get("paper"))),
        "citation": str(run.facts.get("citation") or ""),
    }


COMPARISON: Sequence[Chapter] = (standings, race, gallery)
RUN: Mapping[str, Chapter] = {
    chapter.__name__: chapter
    for chapter in (
        opening, warnings, rankings, interpolations, neighbours, reconstructions, codes, metrics, ranking_curves,
        judges, diagnostics, signals, setup,
    )
}  # fmt: skip


def _metric_panel(
    name: str,
    lines: Sequence[Series],
    run: Run,
    words: Words,
    end_labels: bool = False,
    size: tuple[int, int] = (360, 200),
) -> Content:
    what = words.measure(name)
    provenance = next((j.provenance for j in reversed(run.judgements) if name in j.metrics), {})
    known = words.references(name, provenance, run.shape)
    log = _spans_decades([value for line in lines for value in line.y if value is not None], what)
    high = known[0].value if name == "modes" and known else what.high
    described = _describe_chart(what.label, lines, words)
    drawing = draw.chart(lines, described, words, known, what.low, high, log, end_labels, size)
    note = words("chart.log_axis", note=what.note) if log else what.note
    return {"title": what.label, "note": note, "better": what.better, "legend": (), "drawing": drawing}


def _unknown_signals(run: Run) -> Iterator[Signal]:
    """Panels of the records that no signal knows, those that share a name before the first dot together."""
    known = {name for signal in (*measures.SIGNALS, *measures.DIAGNOSTICS) for name in signal.records}
    known |= {"step", "seconds"}
    groups: dict[str, dict[str, str]] = {}
    for name in sorted({name for row in run.log for name in row if read.number(row[name]) is not None} - known):
        stem, _, rest = name.partition(".")
        groups.setdefault(stem, {})[name] = rest
    return (Signal(stem, records, title=stem.replace("_", " ")) for stem, records in groups.items())


def _signal_panel(signal: Signal, lines: Sequence[Series], words: Words) -> Content:
    several = len(lines) > 2 and signal.name not in {known.name for known in measures.SIGNALS}
    colours = [_colour(i) if several else "second" if i else "" for i in range(len(lines))]
    lines = [line._replace(colour=colour) for line, colour in zip(lines, colours, strict=True)]
    described, known = _describe_chart(signal.title, lines, words), [Reference(*one) for one in signal.references]
    drawing = draw.chart(lines, described, words, known, signal.low, signal.high, size=(280, 150))
    legend = [(line.label, line.colour) for line in lines]
    return {"title": signal.title, "note": signal.note, "better": 0, "legend": legend, "drawing": drawing}


def _describe_chart(title: str, lines: Sequence[Series], words: Words) -> str:
    """A chart in words."""
    ends = [(line.label, next((v for v in reversed(line.y) if v is not None), None)) for line in lines]
    values = words("comma").join(f"{label} {format_number(value)}".strip() for label, value in ends)
    return words("chart.described", title=title, values=values)


def _spans_decades(values: Sequence[float], what: Measure) -> bool:
    """Whether a distance runs over so wide a range that only a logarithmic axis shows both of its ends."""
    return what.better < 0 and min(values, default=0) > 0 and max(values) > 5 * min(values)


def _judged_line(run: Run, name: str, label: str = "", colour: str = "") -> Series:
    facts = [(judged.step, judged.metrics[name]) for judged in run.judgements if name in judged.metrics]
    several = max((len(fact.members) for _, fact in facts), default=0)
    around = [_ends_of_band(fact) for _, fact in facts]
    padded = [fact.members + (None,) * (several - len(fact.members)) for _, fact in facts]
    return Series(
        x=[step for step, _ in facts],
        y=[fact.mean for _, fact in facts],
        label=label,
        band=([low for low, _ in around], [high for _, high in around]) if several > 1 else None,
        members=list(zip(*padded, strict=True)) if 1 < several <= MOST_MEMBERS else (),
        colour=colour,
    )


def _ends_of_band(fact: Spread) -> tuple[float | None, float | None]:
    if fact.mean is None or fact.std is None:
        return None, None
    return fact.mean - fact.std, fact.mean + fact.std


def _logged_line(run: Run, name: str, label: str) -> Series:
    members = [[v for v in map(read.number, _members(row).get(name, ())) if v is not None] for row in run.log]
    band = ([min(m, default=None) for m in members], [max(m, default=None) for m in members])
    return Series(
        x=[row["step"] for row in run.log],
        y=[read.number(row.get(name)) for row in run.log],
        label=label,
        band=band if any(len(m) > 1 for m in members) else None,
    )


def _members(row: read.Facts) -> Mapping[str, list[Any]]:
    return {k: v for k, v in read.mapping(row.get("per_member")).items() if isinstance(v, list)}


def _population(run: Run) -> int:
    """How many members the metrics were recorded for."""
    return max((len(fact.members) for judged in run.judgements for fact in judged.metrics.values()), default=0)


def _colour(i: int, colours: int = draw.COLOURS) -> str:
    return f"c{i % colours}{' again' if i >= colours else ''}"


def _thin_out(pictures: Sequence[read.Picture], limit: int) -> Sequence[read.Picture]:
    if len(pictures) <= limit:
        return pictures
    return [pictures[round(i * (len(pictures) - 1) / (limit - 1))] for i in range(limit)]


def _frame(picture: read.Picture) -> Content:
    return {"step": picture.step, **_image(picture.path, FILM_PIXELS)}


def _image(path: Path, room: int) -> Content:
    """A picture as the page carries it. room: the pixels that it may take; one that takes less is enlarged without
    smoothing, to a whole multiple of its size where that fits."""
    content = disk.read_bytes(path)
    width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))  # where a PNG states its size
    times = max(1, room // max(1, width))
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"uri": uri, "width": times * width, "height": times * height, "crisp": width <= room}
