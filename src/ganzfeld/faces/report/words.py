"""Numbers and sentences for people: three significant digits, and the seeds and steps behind every figure.

The sentences themselves lie in ``texts/LANGUAGE.yaml``: here is when which of them is said, and with which numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from ...core import texts
from . import measures, read
from .draw import Reference, superscript
from .measures import COPY, RANKING, SELECTOR, SPACES, Measure, Signal, main_metrics, mark_best, sort_metrics
from .read import Codes, Comparison, Facts, Judgement, Laws, Row, Run, Sheet, Spread


def format_number(value: float | None) -> str:
    """Three significant digits; whole numbers whole."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e9:
        return _minus(f"{value:,.0f}")
    value = float(f"{value:.3g}")
    power = math.floor(math.log10(abs(value)))
    if power < -4 or power > 8:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{_minus(digits)}×10{superscript(int(exponent))}"
    return _minus(f"{value:,.{max(0, 2 - power)}f}")


def _minus(digits: str) -> str:
    return digits.replace("-", "−")


def format_spread(fact: Spread) -> tuple[str, str]:
    """(mean, standard deviation) to the same decimal place, the second empty where there is none."""
    mean = format_number(fact.mean)
    if fact.mean is None or fact.std is None or (fact.members and len(fact.defined) < 2):
        return mean, ""
    if fact.std <= 1e-12 * abs(fact.mean):  # members that are all equal differ from their mean by rounding
        return mean, "0"
    decimals = len(mean.partition(".")[2])
    std = f"{fact.std:,.{decimals}f}"
    if "×" in mean or not std.strip("0.,") or (not decimals and fact.std < 10):
        std = f"{fact.std:.1g}" if fact.std >= 1e-4 else format_number(fact.std)
    return mean, std


def plus_minus(fact: Spread) -> str:
    """A spread in running text."""
    mean, std = format_spread(fact)
    return f"{mean} ± {std}" if std else mean


def first_ranker(metrics: Iterable[str]) -> str:
    """Which ranker has the metrics with plain names: a policy stands beside a critic."""
    return "policy" if any(name.startswith(("critic.", "final.critic.")) for name in metrics) else "ranker"


def stored_name(ranker: str) -> str:
    """Under which name a run keeps a ranker: one that has no policy beside it is the critic of its game."""
    return "critic" if ranker == "ranker" else ranker


def telling_metric(names: Iterable[str]) -> str | None:
    """The metric that says most about the whole distribution: a distance to the data where one was taken."""
    known = main_metrics({name for name in names if measures.measure(name).better})
    return next((name for name in ("w1", "sliced_w1", "fd", SELECTOR, *known) if name in known), None)


class Judge(NamedTuple):
    """Whoever gave the metrics, with the facts of how: (name, value)."""

    name: str
    metrics: str
    facts: list[tuple[str, str]]


SHOWN_ELSEWHERE = {
    "data", "fingerprint", "modes_total", "perfect", "perfect_is", "high_quality_ceiling", "reverse_kl_floor",
    "reverse_kl_from", "few",
}  # fmt: skip
"""What the page shows of a judgement's provenance at another place."""

SHOWN_WITH_RANKERS = {"selected", "selected_by", "samples", "held_out", "rankers", "start", "tied", "left_out"}
"""Of a judgement of rankers: shown under their table, or again the count of the queries."""

EYE = ("extractor", "digest")  # what tells one eye from another


@dataclass(frozen=True)
class Words:
    """What the page says, in one language. texts: of every name, a sentence with places for what belongs in it, or
    two, ``one`` and ``other``, between which the number n decides."""

    language: str
    texts: Mapping[str, Any]

    def __call__(self, name: str, /, **fields: Any) -> str:
        form = self.texts[name]
        if isinstance(form, Mapping):
            form = form["one" if fields["n"] == 1 else "other"]
        return form.format(**fields)

    def find_text(self, name: str, **fields: Any) -> str:
        """A text that need not exist."""
        return self(name, **fields) if name in self.texts else ""

    def join(self, *sentences: str) -> str:
        """Those that are not empty, one after the other."""
        return self("space").join(filter(None, sentences))

    def join_names(self, names: Sequence[str]) -> str:
        """``gan``, ``gan and wgan``, ``gan, wgan and sngan``."""
        if len(names) < 2:
            return "".join(names)
        return self("and", first=self("comma").join(names[:-1]), last=names[-1])

    def value(self, value: Any) -> str:
        """A configured value: settings are not rounded below six digits."""
        if value is None:
            return self("value.none")
        if isinstance(value, bool):
            return self("value.yes" if value else "value.no")
        if isinstance(value, int):
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        if isinstance(value, float):
            return f"{value:g}"
        if isinstance(value, list | tuple):
            return self("comma").join(map(self.value, value)) or self("value.empty")
        if isinstance(value, Mapping):
            return self("semicolon").join(" ".join(pair) for pair in self.flat(value))
        return str(value)

    def flat(self, facts: Facts, prefix: str = "") -> Iterator[tuple[str, str]]:
        """(name, value) of every fact that is set, those of objects within under dotted names."""
        for key, value in facts.items():
            if isinstance(value, Mapping):
                yield from self.flat(value, f"{prefix}{key}.")
            elif value is not None:
                yield f"{prefix}{key}".replace("_", " "), self.value(value)

    def missing(self, fact: read.Missing) -> str:
        """What a run or a comparison lacks."""
        files = fact.fields.get("files")
        return self(f"missing.{fact.name}", **{**fact.fields, **({"files": self.join_names(files)} if files else {})})

    def measure(self, name: str) -> Measure:
        """What is known of a metric, with its name and what it means; an unknown one names itself."""
        known = measures.measure(name)
        who, stem, k = measures.split_name(name)
        if kind := measures.READING_OF.get(stem):
            plain = self.reading(kind[0])
            label = self("measures.reading", reading=plain.label, space=self(f"spaces.{kind[1]}.name"))
            return plain._replace(label=label)
        label, note = self.find_text(f"measures.{stem}.label"), self.find_text(f"measures.{stem}.note", k=k or "k")
        if not label:
            return known._replace(label=name.replace("_", " "))
        if k:
            label = self("measures.at", label=label, k=k)
        if who:
            label = self("measures.of", label=label, who=who.replace(".", " "))
        return known._replace(label=label, note=note)

    def row(self, row: Row) -> str:
        """What a row of a comparison is called."""
        if row.starts is None:
            return row.label
        whose = "alone" if not row.starts else "all" if row.starts == (read.ALL_ROWS,) else "of"
        return self(f"start.{whose}", who=self.join_names(row.starts))

    def row_note(self, row: Row) -> str:
        """Of a baseline: which run it is, or what it ranks by."""
        if row.starts is not None and row.run is None:
            return self.find_text(f"start.kinds.{row.label}") or row.label
        what = row.run.name if row.run else self("closed.form") if row.closed else ""
        note = self.find_text(f"closed.{row.label}")
        return self("closed.noted", what=what, note=note) if what and note else what or note

    def reading(self, kind: str) -> Measure:
        """Of what a space is worth."""
        return measures.READINGS[kind]._replace(
            label=self(f"readings.{kind}.label"), note=self(f"readings.{kind}.note")
        )

    def signal(self, signal: Signal) -> Signal:
        """With its title, its note and the names of its lines."""
        return signal._replace(
            title=self(f"signals.{signal.name}.title"),
            note=self.find_text(f"signals.{signal.name}.note"),
            records={record: self.find_text(f"records.{record}") for record in signal.records},
            references=[Reference(value, self(f"references.{name}")) for value, name in signal.references],
        )

    def references(self, name: str, provenance: Facts, shape: Any) -> list[Reference]:
        """What a metric is worth to a sampler without fault: by theory, or as held-out rows of the data fare."""
        return [Reference(value, self(f"references.{of}")) for value, of in measures.ideals(name, provenance, shape)]

    def warnings(self, warnings: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
        """(when, text) of warnings; those that differ by numbers or members alone are one, in its last words."""
        groups: dict[str, list[tuple[int, str, str]]] = {}
        for step, text in warnings:
            [(member, rest)] = re.findall(r"^(?:member (\d+): )?(.*)$", text, re.DOTALL)
            groups.setdefault(re.sub(r"\d[\d.,e+%-]*", "#", rest), []).append((step, member, rest))
        found = []
        for group in groups.values():
            members = list(map(str, sorted({int(member) for _, member, _ in group if member})))
            who = self("warnings.members", n=len(members), who=self.join_names(members)) if members else ""
            found.append((self.steps_at({step for step, *_ in group}), who + group[-1][2]))
        return found

    def steps_at(self, steps: Iterable[int]) -> str:
        """A few steps one by one, more by their ends."""
        known = sorted(steps)
        name = ("steps.one", "steps.two", "steps.many")[min(len(known), 3) - 1]
        return self(name, n=len(known), first=known[0], last=known[-1])

    def steps_from(self, steps: Sequence[int]) -> str:
        low, high = min(steps), max(steps)
        return self("steps.range" if low < high else "steps.one" if low else "steps.start", first=low, last=high)

    def part(self, judged: Judgement) -> str:
        """Of the data, that rankers were asked about."""
        name = str(judged.provenance.get("part") or "")
        return self("part.of", name=self.find_text(f"part.{name}") or name) if name else self("part.unknown")

    def judged_part(self, runs: Sequence[Run]) -> str:
        """The part, where runs rank."""
        parts = {self.part(judged) for run in runs if run.retrieval for judged in run.judgements}
        return self("ranked.on", parts=self.join_names(sorted(parts))) if parts else ""

    def judged_steps(self, runs: Sequence[Run]) -> str:
        return self("judged.at", steps=self.steps_at({judged.step for run in runs for judged in run.judgements}))

    def selection(self, steps: Sequence[int]) -> str:
        """When a ranker was found best, over its seeds."""
        return self("ranked.selected_at", steps=self.steps_from(steps)) if steps else self("ranked.selected")

    def few(self, provenances: Iterable[Facts], names: Iterable[str]) -> str:
        """What the mark behind some metrics says: that they rest on too few rows, and how many are enough."""
        found = [read.mapping(facts.get("few")) for facts in provenances]
        rows = [count for few in found if (count := read.integer(few.get("rows"))) is not None]
        wanted = {name: most for few in found for name, most in read.mapping(few.get("wanted")).items()}
        groups: dict[int, list[str]] = {}
        for name in names:
            if (most := read.integer(wanted.get(name))) is not None:
                groups.setdefault(most, []).append(self.measure(name).label)
        if not rows or not groups:
            return ""
        wants = [self("few.wants", n=most, names=self.join_names(labels)) for most, labels in sorted(groups.items())]
        of = "queries" if any(few.get("of") == "queries" for few in found) else "rows"
        return self(f"few.{of}", n=min(rows), wants=self("semicolon").join(wants))

    def rings(self, run: Run) -> str:
        """What the rings of a chart are, and whose start was never outranked."""
        chosen = run.retrieval.selected if run.retrieval else {}
        if not chosen:
            return ""
        still = {name: sum(step == 0 for step in steps) for name, steps in chosen.items()}
        kept = [
            self("ranked.rings_kept", who=self(f"rankers.{name}"), seeds=self("count.seeds", n=n))
            for name, n in still.items()
            if n
        ]
        start = self("ranked.rings_start", who=self.join_names(kept)) if kept else ""
        return self("ranked.rings", metric=self.measure(SELECTOR).label, start=start)

    def figures_caption(self, run: Run, judged: Judgement) -> str:
        """Whose figures are shown, and when they were taken."""
        if run.retrieval is None or not judged.provenance.get("part"):
            return self("figures.at", step=judged.step)
        if judged is not run.retrieval.ranking:
            return self("figures.at_on", step=judged.step, part=self.part(judged))
        who = first_ranker(judged.metrics)
        steps = run.retrieval.selected.get(stored_name(who), ())
        how = self("figures.of_step", step=judged.step)
        if steps:
            how = self("figures.selected", steps=self.steps_from(steps))
        return self("figures.ranked", part=self.part(judged), who=self(f"rankers.{who}"), how=how)

    def rankers_caption(self, run: Run, closed: bool) -> str:
        """What rankers were asked, what selected them, and how those in closed form were fitted."""
        found = run.retrieval.ranking if run.retrieval else None
        if found is None or run.retrieval is None:
            return ""
        facts, selected = found.provenance, run.retrieval.selected
        who = run.kind if f"asked.{run.kind}" in self.texts else "queries"
        asked = read.integer(facts.get("queries"))
        many = self("ranked.for", who=self(f"asked.{who}", n=asked)) if asked is not None else ""
        empty = self.find_text(f"ranked.empty.{facts.get('empty')}")
        if selected:
            metric, of, rest = str(facts.get("selected_by") or f"{SELECTOR} of the validation part").partition(" of ")
            by = self("ranked.by", metric=self.measure(metric).label, part=rest) if of else metric
            how = self("ranked.selection", by=by)
        else:
            how = self("ranked.no_selection")
        return self.join(
            self("ranked.asked", part=self.part(found), many=many, empty=empty),
            how,
            self("ranked.closed_chosen" if selected else "ranked.closed") if closed else "",
            self("ranked.left_out", what=facts["left_out"]) if facts.get("left_out") else "",
            self._ties(facts),
            self(f"ranked.doubt_{who}") if run.seeds and run.seeds > 1 else "",
        )

    def _ties(self, facts: Facts) -> str:
        """Whose lists hang on the order of equal scores."""
        counts = {who: max(map(int, read.sequence(n)), default=0) for who, n in read.mapping(facts.get("tied")).items()}
        first = [str(name) for name in read.sequence(facts.get("rankers"))][:1]
        whose = {(who or "".join(first)).replace(".", " "): n for who, n in counts.items()}
        names = [self("ranked.tied_of", who=who, n=n) for who, n in whose.items()]
        return self("ranked.tied", which=self.join_names(names)) if names else ""

    def kept_starts(self, rows: Sequence[Row]) -> str:
        """Whose numbers are those of their start."""
        names = [row.label or row.run.name for row in rows if row.run and row.run.kept_start]
        return self("ranked.kept", who=self.join_names(names)) if names else ""

    def meaning(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """A sentence for each kind of metric of rankers."""
        stems = {name.partition("@")[0] for name in names}
        return [(self(f"meaning.{stem}.name"), self(f"meaning.{stem}.text")) for stem in RANKING if stem in stems]

    def kind_of_rows(self, comparison: Comparison) -> str:
        """What its rows are: papers, or one of them with its parts changed."""
        strange = [row for row in comparison.rows if row.run and not row.label.startswith(row.run.name)]
        return "variants" if strange else "papers"

    def judges(self, provenance: Facts) -> list[Judge]:
        """How a judgement was made, each fact once: what holds for all metrics, then for those that see by the same
        eye, then for the few that add to it."""
        hidden = SHOWN_ELSEWHERE | SHOWN_WITH_RANKERS if "queries" in provenance else SHOWN_ELSEWHERE
        facts = {key: value for key, value in provenance.items() if key not in hidden}
        common = {key: value for key, value in facts.items() if not isinstance(value, Mapping)}
        eyes: dict[Any, dict[str, Facts]] = {}
        for name in sort_metrics({name for name in facts if name not in common}):
            own = {key: value for key, value in facts[name].items() if common.get(key) != value}
            eyes.setdefault(tuple(str(own.get(key)) for key in EYE) if "extractor" in own else name, {})[name] = own
        every = Judge(self("judges.every"), "", [self._fact(key, value) for key, value in common.items()])
        return [judge for judge in (every, *map(self._eye, eyes.values())) if judge.facts]

    def _eye(self, metrics: Mapping[str, Facts]) -> Judge:
        """What metrics share, and what is the own of some."""
        labels = {name: self.measure(name).label for name in metrics}
        first, *others = metrics.values()
        shared = {key: value for key, value in first.items() if all(facts.get(key) == value for facts in others)}
        own: dict[str, list[str]] = {}
        for name, facts in metrics.items():
            rest = self("semicolon").join(
                " ".join(self._fact(key, value)) for key, value in facts.items() if key not in shared
            )
            if rest:
                own.setdefault(rest, []).append(labels[name])
        found = [self._fact(key, value) for key, value in shared.items() if key != "extractor"]
        found += [(self.join_names(those), rest) for rest, those in own.items()]
        names = self.join_names([*labels.values()])
        return (
            Judge(self.value(shared["extractor"]), names, found) if "extractor" in shared else Judge(names, "", found)
        )

    def _fact(self, key: str, value: Any) -> tuple[str, str]:
        name = self.find_text(f"provenance.{key}") or key.replace("_", " ")
        if key == "digest":
            return name, self.value(value)[:8]
        if key == "accuracy" and (share := read.number(value)) is not None:
            return name, f"{100 * share:.3g} %"
        return name, self.value(value)

    def latents(self, sheet: Sheet) -> str:
        """Which latents the pictures of a sheet come from, as their facts have it."""
        return self.value(sheet.facts.get("latents") or self("sheets.unknown_seed"))

    def origin(self, run: Run, left: Sheet | Codes) -> str:
        """Whose pictures or codes are shown, and when."""
        member = read.integer(left.facts.get("member"))
        if run.seeds and run.seeds > 1 and member is not None:
            who = self("sheets.member", member=member, seeds=self("count.seeds", n=run.seeds))
        else:
            who = self._seeds(run)
        return self("sheets.taken", who=who, step=left.step)

    def copies(self, spaces: Sequence[read.Nearness]) -> str:
        """Whether samples lie nearer to training pictures than unseen pictures do."""
        count = max(len(near.distances) for near in spaces)
        found = [(near.space, sum(distance < COPY * near.usual for distance in near.distances)) for near in spaces]
        guilty = [self("copies.some", n=n, count=count, space=space) for space, n in found if n]
        if guilty:
            return self("copies.found", which=self.join_names(guilty))
        return self("copies.none", spaces=self.join_names([near.space for near in spaces]), count=count)

    def nearness(self, near: read.Nearness, held_out: int | None) -> str:
        """How far samples lie, and how far is usual."""
        middle = median(near.distances)
        return self(
            "nearness.distances",
            usual=format_number(near.usual),
            of=self("nearness.median_of", n=held_out) if held_out else "",
            middle=format_number(middle),
            times=self("nearness.times", times=format_number(middle / near.usual)) if near.usual else "",
            least=format_number(min(near.distances)),
        )

    def pairs_caption(self, sheet: Sheet) -> str:
        """What stands where on a sheet of reconstructions, and how far they are off."""
        pairs, off = read.integer(sheet.facts.get("pairs")) or 0, read.number(sheet.facts.get("rmse"))
        return self(
            "reconstructions.beside" if sheet.facts.get("layout") == "beside" else "reconstructions.below",
            rows=self("count.held_out_rows", n=pairs),
            error=self("reconstructions.error", off=format_number(off)) if off is not None else "",
        )

    def codes_caption(self, codes: Codes, how: str, most: int) -> str:
        """Whose codes are drawn, in how many of their dimensions, and how their classes show, if there are at most so
        many of them."""
        of, many = read.integer(codes.facts.get("latent")), len(codes.names)
        return self(
            "codes.drawn",
            rows=self("count.held_out_rows", n=len(codes.points)),
            axes=self("codes.two_axes" if codes.axes > 1 else "codes.one_axis"),
            within=self("codes.within", dimensions=self("count.dimensions", n=of)) if of and of > codes.axes else "",
            classes=self("codes.many_classes", n=many) if many > most else self(f"codes.{how}") if many else "",
        )

    def axes(self, codes: Codes) -> list[str]:
        """Labels of the axes, with the variance along each where it is known."""
        names = (self("codes.first_axis"), self("codes.second_axis"))[: codes.axes]
        shares = (*codes.shares, None, None)
        return [
            name if share is None else self("codes.variance", axis=name, share=format_number(100 * share))
            for name, share in zip(names, shares, strict=False)
        ]

    def spaces(self, run: Run, rows: int, best: bool, close: bool) -> str:
        """When the table of spaces was judged and over how many rows, and what its marks say."""
        over = self("codes.over", rows=self("count.held_out_rows", n=rows)) if rows else ""
        doubt = self("codes.close", doubt=self("codes.seeds_and_rows" if rows else "codes.seeds")) if close else ""
        return self.join(
            self("codes.table", step=run.judgements[-1].step, over=over),
            self.seeds(run),
            self("codes.spread") if run.seeds and run.seeds > 1 else "",
            self("codes.best", close=doubt) if best else "",
        )

    def codes_verdict(self, readings: Mapping[str, Mapping[str, Spread]], rows: int) -> str:
        """Whether codes tell classes better than what is there without them; empty where there is nothing to compare.

        readings: by kind, the accuracy in each space. rows: the held-out rows that it was counted over.
        """
        outcomes: dict[str, list[str]] = {}
        for kind, cells in readings.items():
            mine = cells.get("codes", Spread(None))
            others = {space: cell for space, cell in cells.items() if not SPACES[space] and cell.mean is not None}
            if mine.mean is None or not others:
                continue
            best = max(others.values(), key=lambda cell: cell.mean or 0)
            which = self.join_names([self(f"spaces.{s}.name") for s, cell in others.items() if cell.mean == best.mean])
            label = self(f"readings.{kind}.label")
            line = self(
                "codes.against",
                reading=label[:1].lower() + label[1:],
                mine=plus_minus(mine),
                best=plus_minus(best),
                which=which,
            )
            outcomes.setdefault(_outcome(mine, best, rows), []).append(line)
        return self.join(
            *(self(f"codes.{outcome}", how=self("codes.and").join(lines)) for outcome, lines in outcomes.items())
        )

    def seeds(self, run: Run) -> str:
        """How many games the run played at once, and from which dice."""
        return self("seeds.sentence", seeds=self._seeds(run))

    def _seeds(self, run: Run) -> str:
        first, count = read.number(run.facts.get("seed")), run.seeds
        if not count:
            return self("seeds.unknown")
        if first is None:
            return self("count.seeds", n=count)
        last = "" if count == 1 else f"–{first + count - 1:.0f}"
        return self("seeds.which", seeds=self("count.seeds", n=count), which=f"{first:.0f}{last}")

    def budget(self, comparison: Comparison) -> str:
        """Seeds and steps of the papers, and where they were last judged if that was not at the end."""
        last = {row.run.judgements[-1].step for row in comparison.rows if row.run and row.run.judgements}
        return self.join(
            *(
                self("budget.each", many=self(f"count.{what}", n=n)) if n else self(f"budget.{what}_differ")
                for what, n in (("seeds", comparison.seeds), ("steps", comparison.steps))
            ),
            *self._starts(comparison),
            self("budget.judged", steps=self.steps_at(last)) if last - {comparison.steps} else "",
        )

    def _starts(self, comparison: Comparison) -> Iterator[str]:
        """What was trained before some of the papers, that start from it."""
        for row in comparison.baselines:
            if row.run and row.run.steps and row.starts:
                what = {"many": self("count.steps", n=row.run.steps), "paper": row.run.name}
                shared = row.starts == (read.ALL_ROWS,) or len(row.starts) == len(comparison.rows)
                who = {} if shared else {"who": self.join_names(row.starts)}
                yield self("budget.start_of_all" if shared else "budget.start", **what, **who)

    def bands(self, members: int, how: str) -> str:
        """What the lines and bands of a chart are."""
        return self("bands.several", how=self(f"bands.{how}")) if members > 1 else self("bands.one")

    def story(self, run: Run) -> str:
        """One line about a run: what was played, how far, and over how many seeds."""
        asked = {**read.mapping(run.facts.get("game")), **{name: fact for name, fact in run.facts.items() if fact}}
        objective = str(asked.get("objective") or "").replace("_", "-")
        objective = "" if objective == "the paper's" else objective
        bound = self.value(asked["constraints"]) if asked.get("constraints") else ""
        what = self("story.with", objective=objective, bound=bound) if objective and bound else objective or bound
        where = self("story.on", data=run.data) if run.data else ""
        parts = (where, what, self._progress(run), self._seeds(run) if run.seeds else "")
        line = self("comma").join(filter(None, parts))
        return self("story.sentence", line=line[:1].upper() + line[1:])

    def _progress(self, run: Run) -> str:
        if run.steps and run.last_step is not None and run.last_step < run.steps:
            return self("story.so_far", reached=run.last_step, steps=run.steps)
        steps = run.steps or run.last_step
        return self("count.steps", n=steps) if steps else self("story.no_steps")

    def verdict(self, comparison: Comparison) -> str:
        """Who comes closest to the data, and whether the seeds can tell; empty where nobody can be said to."""
        name = telling_metric({name for row in comparison.rows for name in row.metrics})
        if name is None:
            return ""
        what = self.measure(name)
        cells = [row.metrics.get(name, Spread(None)) for row in comparison.rows]
        kept = read.kept_places(comparison.rows)
        marks = mark_best(cells, what.better, kept=kept)
        best, close = ([i for i, mark in enumerate(marks) if mark == kind] for kind in ("best", "close"))
        if not best:
            return self.kept_starts(comparison.rows)
        names = [row.label for row in comparison.rows]
        first = self(
            "verdict.lowest" if what.better < 0 else "verdict.highest",
            n=len(best),
            who=self.join_names([names[i] for i in best]),
            metric=what.label,
            value=plus_minus(cells[best[0]]),
            doubt=self("verdict.doubt", who=self.join_names([names[i] for i in close])) if close else "",
        )
        return self.join(first, self._against(comparison, name, cells[best[0]]), self.kept_starts(comparison.rows))

    def _against(self, comparison: Comparison, name: str, best: Spread) -> str:
        """Whether the best paper is above the best of the baselines."""
        better = measures.measure(name).better
        cells = [(row, row.metrics[name]) for row in comparison.baselines if name in row.metrics]
        known = [(cell.mean, row, cell) for row, cell in cells if cell.mean is not None]
        if not known or best.mean is None:
            return ""
        value, row, cell = max(known, key=lambda one: better * one[0])
        where = "same" if value == best.mean else "higher" if value > best.mean else "lower"
        return self(f"verdict.baseline_{where}", who=self.row(row), value=plus_minus(cell))

    def versions(self, runs: Sequence[Run]) -> str:
        """The versions that played the runs, each once."""
        versions: dict[str, set[str]] = {}
        for run in runs:
            for name, version in read.mapping(run.facts.get("versions")).items():
                versions.setdefault(str(name), set()).add(str(version))
        return self("comma").join(f"{name} {self.join_names(sorted(found))}" for name, found in versions.items())

    def laws_verdict(self, laws: Laws) -> str:
        """What came of the laws, in a sentence or two."""
        failed = sum(not law["holds"] for law in laws.laws)
        form = "one" if len(laws.laws) == 1 else "fail" if failed else "hold"
        count = self(f"laws.{form}", count=len(laws.laws), failed=failed)
        return self.join(count, self("laws.fast") if laws.fast else "")


def _outcome(mine: Spread, best: Spread, rows: int) -> str:
    marks = mark_best([mine, best], 1, rows)
    if mine.mean == best.mean or "close" in marks:
        return "draw"
    return "beat" if marks[0] == "best" else "lose"


def load(language: str = "en", whole: bool = False) -> Words:
    """The words of a language; what it leaves out is said in English. whole: refuse a language that leaves out any.

    Raises ValueError for a language that is not there.
    """
    texts.check_language(__package__, language, "the report is written")
    english, own = (dict(_flat(texts.read(__package__, name))) for name in ("en", language))
    if whole and (left := len(english.keys() - own.keys())):
        raise ValueError(f"the report is not whole in {language!r}: {left} of its {len(english)} texts are missing")
    return Words(language, english | own)


def _flat(forms: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, form in forms.items():
        if isinstance(form, Mapping) and form.keys() != {"one", "other"}:
            yield from _flat(form, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", form
