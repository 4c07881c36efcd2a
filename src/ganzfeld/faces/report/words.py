"""Numbers and sentences for people: three significant digits, and the seeds and steps behind every figure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from .measures import CHOSEN, COPY, RANKED, READINGS, SPACES, measure, ordered, shown, standing
from .read import Codes, Comparison, Facts, Judged, Near, Run, Sheet, Spread, number, whole

PICTURED = "A picture has no error bar: the spread over seeds is in the numbers and curves."


def human(value: float | None) -> str:
    """Three significant digits; whole numbers whole."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e9:
        return _signed(f"{value:,.0f}")
    value = float(f"{value:.3g}")
    power = math.floor(math.log10(abs(value)))
    if power < -4 or power > 8:
        digits, exponent = f"{value:.2e}".split("e")
        return _signed(digits) + "×10" + str(int(exponent)).translate(RAISED)
    return _signed(f"{value:,.{max(0, 2 - power)}f}")


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _signed(digits: str) -> str:
    return digits.replace("-", "−")


def spread(fact: Spread) -> tuple[str, str]:
    """(mean, standard deviation) to the same decimal place, the second empty where there is none."""
    mean = human(fact.mean)
    if fact.mean is None or fact.std is None or len(fact.members) == 1:
        return mean, ""
    if fact.std <= 1e-12 * abs(fact.mean):  # members that are all equal differ from their mean by rounding
        return mean, "0"
    decimals = len(mean.partition(".")[2])
    std = f"{fact.std:,.{decimals}f}"
    if "×" in mean or not std.strip("0.,") or (not decimals and fact.std < 10):
        std = f"{fact.std:.1g}" if fact.std >= 1e-4 else human(fact.std)
    return mean, std


def said(fact: Spread) -> str:
    """A spread in running text."""
    mean, std = spread(fact)
    return f"{mean} ± {std}" if std else mean


def exact(value: Any) -> str:
    """A configured value: settings are not rounded below six digits."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(exact, value)) or "none"
    if isinstance(value, Mapping):
        return "; ".join(" ".join(pair) for pair in flat(value))
    return str(value)


def flat(facts: Facts, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) of every fact that is set, those of objects within under dotted names."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}".replace("_", " "), exact(value)


def counted(n: int, noun: str) -> str:
    """``1 seed``, ``4 seeds``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """``gan``, ``gan and wgan``, ``gan, wgan and sngan``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def once(warnings: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
    """(when, text) of warnings; those that differ by numbers or members alone are one, in its last words."""
    groups: dict[str, list[tuple[int, str, str]]] = {}
    for step, text in warnings:
        [(member, rest)] = re.findall(r"^(?:member (\d+): )?(.*)$", text, re.DOTALL)
        groups.setdefault(re.sub(r"\d[\d.,e+%-]*", "#", rest), []).append((step, member, rest))
    said = []
    for group in groups.values():
        members = sorted({int(member) for _, member, _ in group if member})
        who = f"{'member' if len(members) == 1 else 'members'} {listed(list(map(str, members)))}: " if members else ""
        said.append((between(sorted({step for step, *_ in group})), who + group[-1][2]))
    return said


def between(steps: Sequence[int]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]:,}"
    if len(steps) == 2:
        return f"steps {steps[0]:,} and {steps[1]:,}"
    return f"{len(steps):,} steps from {steps[0]:,} to {steps[-1]:,}"


PARTS = {"valid": "validation", "test": "test", "train": "training"}


def part(judged: Judged) -> str:
    """Of the data, that rankers were asked about."""
    name = str(judged.provenance.get("part") or "")
    return f"the {PARTS.get(name, name)} part" if name else "a part that was not recorded"


def judged_on(runs: Sequence[Run]) -> str:
    """The part, where runs rank."""
    parts = {part(judged) for run in runs if run.retrieval for judged in run.judged}
    return f" Ranked on {listed(sorted(parts))}, by the weights of each step." if parts else ""


def first(metrics: Iterable[str]) -> str:
    """What the ranker is called whose metrics have plain names: a policy stands beside a critic."""
    return "policy" if any(name.startswith(("critic.", "final.critic.")) for name in metrics) else "ranker"


def kept(ranker: str) -> str:
    """Under which name a run keeps a ranker: one that has no policy beside it is the critic of its game."""
    return "critic" if ranker == "ranker" else ranker


def selected(steps: Sequence[int]) -> str:
    """When a ranker was found best, over its seeds."""
    return f"selected at {_steps(steps)}" if steps else "selected"


def _steps(steps: Sequence[int]) -> str:
    low, high = min(steps), max(steps)
    if low == high:
        return f"step {low:,}" if low else "step 0, the start"
    return f"steps {low:,} to {high:,}"


def rings(run: Run) -> str:
    """What the rings of a chart are, and whose start was never outranked."""
    chosen = run.retrieval.selected if run.retrieval else {}
    if not chosen:
        return ""
    best = f"the best {measure(CHOSEN).label} of a seed, where it was selected"
    still = {name: sum(step == 0 for step in steps) for name, steps in chosen.items()}
    kept = [f"the {name} of {counted(n, 'seed')}" for name, n in still.items() if n]
    start = f"; of {listed(kept)} that was step 0, the start, before the first of these" if kept else ""
    return f" Rings: {best}{start}."


def figured(run: Run, told: Judged) -> str:
    """Whose figures are shown, and when they were taken."""
    if run.retrieval is None or not told.provenance.get("part"):
        return f"At step {told.step:,}."
    if told is not run.retrieval.ranking:
        return f"At step {told.step:,}, on {part(told)}."
    who = first(told.metrics)
    steps = run.retrieval.selected.get(kept(who), ())
    how = f"as validation selected it at {_steps(steps)}" if steps else f"at step {told.step:,}"
    return f"On {part(told)}: the {who} {how}."


def ranked(run: Run, closed: bool) -> str:
    """What rankers were asked, what selected them, and how those in closed form were fitted."""
    found = run.retrieval.ranking if run.retrieval else None
    if found is None:
        return ""
    facts = found.provenance
    data = run.facts.get("data")
    users = isinstance(data, Mapping) and data.get("kind") == "interactions"
    asked = whole(facts.get("queries"))
    who = ("user", "users") if users else ("query", "queries")
    many = f", for {asked:,} {who[asked != 1]}" if asked is not None else ""
    blank = {"excluded": "those with nothing relevant there left out", "zero": "those with nothing relevant count as 0"}
    empty = blank.get(str(facts.get("empty")))
    said = [f"Ranked: {part(found)}{many}{f' ({empty})' if empty else ''}."]
    if run.retrieval and run.retrieval.selected:
        name, of, rest = str(facts.get("selected_by") or f"{CHOSEN} of the validation part").partition(" of ")
        by = f"{measure(name).label} on {rest}" if of else name
        said.append(f"Selected: of each ranker and seed the judged step of the best {by}; the test chose nothing.")
    else:
        said.append("Nothing was selected, for want of a validation part: all weights are those of the last step.")
    if closed:
        options = (
            ", their options chosen by the same validation part" if run.retrieval and run.retrieval.selected else ""
        )
        said.append(f"Closed forms: fitted to the same training part{options}.")
    if run.seeds and run.seeds > 1:
        said.append(f"± is over seeds alone: that other {who[1]} would ask otherwise is a doubt beyond it.")
    return " ".join(said)


MEANT = {
    "p": ("P@k", "The share of the first k of a list that are relevant; 1 is out of reach where fewer than k are."),
    "ndcg": (
        "NDCG@k",
        "What the first k gain, less by the logarithm of their rank, as a share of what the best order would gain.",
    ),
    "map": ("MAP", "The precision down to the rank of each relevant one, averaged over these and then over lists."),
    "mrr": ("MRR", "One over the rank of the first relevant one, averaged over lists."),
}


def meant(names: Iterable[str]) -> list[tuple[str, str]]:
    """A sentence for each kind of metric."""
    stems = {name.partition("@")[0] for name in names}
    return [MEANT[stem] for stem in RANKED if stem in stems]


def noun(comparison: Comparison) -> str:
    """What its rows are: papers, or one of them with its parts changed."""
    strange = [row for row in comparison.rows if row.run and not row.label.startswith(row.run.name)]
    return "variant" if strange else "paper"


def judged_at(runs: Sequence[Run]) -> str:
    return f"Judged at {between(sorted({judged.step for run in runs for judged in run.judged}))}."


ELSEWHERE = {
    "data", "fingerprint", "modes_total", "perfect", "perfect_is", "high_quality_ceiling", "reverse_kl_floor",
    "reverse_kl_from",
}  # fmt: skip
"""What the page shows of a judgement's provenance at another place."""

RANKINGS = {"selected", "selected_by", "samples", "held_out"}
"""Of a judgement of rankers: told under their table, or again the count of the queries."""

EYE = ("extractor", "digest")  # what tells one eye from another
CALLED = {
    "digest": "weights", "held_out": "held-out rows", "task": "taught", "by": "found by",
    "perfect_samples": "validation rows in their place", "test": "held-out rows", "train": "training rows",
    "empty": "with nothing relevant",
    "c2st_rows": "rows of the two-sample test",
}  # fmt: skip


class Judge(NamedTuple):
    """Whoever gave the metrics, with the facts of how: (name, value)."""

    name: str
    metrics: str
    facts: list[tuple[str, str]]


def judges(provenance: Facts) -> list[Judge]:
    """How a judgement was made, each fact once: what holds for all metrics, then for those that see by the same eye,
    then for the few that add to it."""
    ranks = "queries" in provenance
    told = {
        key: value for key, value in provenance.items() if key not in (ELSEWHERE | RANKINGS if ranks else ELSEWHERE)
    }
    common = {key: value for key, value in told.items() if not isinstance(value, Mapping)}
    eyes: dict[Any, dict[str, Facts]] = {}
    for name in ordered({name for name in told if name not in common}):
        facts = {key: value for key, value in told[name].items() if common.get(key) != value}
        eyes.setdefault(tuple(str(facts.get(key)) for key in EYE) if "extractor" in facts else name, {})[name] = facts
    said = [Judge("every metric", "", [_fact(key, value) for key, value in common.items()]), *map(_eye, eyes.values())]
    return [judge for judge in said if judge.facts]


def _eye(metrics: Mapping[str, Facts]) -> Judge:
    """What metrics share, and what is the own of some."""
    labels = {name: measure(name).label for name in metrics}
    first, *others = metrics.values()
    shared = {key: value for key, value in first.items() if all(facts.get(key) == value for facts in others)}
    own: dict[str, list[str]] = {}
    for name, facts in metrics.items():
        rest = "; ".join(" ".join(_fact(key, value)) for key, value in facts.items() if key not in shared)
        if rest:
            own.setdefault(rest, []).append(labels[name])
    told = [_fact(key, value) for key, value in shared.items() if key != "extractor"]
    told += [(listed(those), rest) for rest, those in own.items()]
    names = listed([*labels.values()])
    return Judge(exact(shared["extractor"]), names, told) if "extractor" in shared else Judge(names, "", told)


def _fact(key: str, value: Any) -> tuple[str, str]:
    name = CALLED.get(key, key.replace("_", " "))
    if key == "digest":
        return name, exact(value)[:8]
    if key == "accuracy" and (share := number(value)) is not None:
        return name, f"{100 * share:.3g} %"
    return name, exact(value)


def drawn(sheet: Sheet) -> str:
    """Which latents the pictures of a sheet come from, as their facts have it."""
    return exact(sheet.facts.get("latents") or "of unknown seed")


def taken(run: Run, left: Sheet | Codes) -> str:
    """Whose pictures or codes are shown, and when."""
    member = whole(left.facts.get("member"))
    several = run.seeds if run.seeds and run.seeds > 1 and member is not None else 0
    which = f"Member {member} of {counted(several, 'seed')}" if several else ""
    return f"{which or seeds(run)[:-1]}, after step {left.step:,}."


def copies(spaces: Sequence[Near]) -> str:
    """Whether samples lie nearer to training pictures than unseen pictures do."""
    count = max(len(near.distances) for near in spaces)
    found = [(near.space, sum(distance < COPY * near.usual for distance in near.distances)) for near in spaces]
    guilty = [f"{n} of {count} in {space}" for space, n in found if n]
    if guilty:
        return (
            f"Memorised: {listed(guilty)} lie nearer to a training picture than half the distance that is usual for "
            "held-out pictures, as copies would."
        )
    return (
        f"No sign of memorisation: in {listed([near.space for near in spaces])}, none of these {count} samples lies "
        "nearer to a training picture than half the distance that is usual for held-out pictures, as copies would."
    )


def near(one: Near, held_out: int | None) -> str:
    """How far samples lie, and how far is usual."""
    of = f" (median of {held_out})" if held_out else ""
    middle = median(one.distances)
    times = f", {human(middle / one.usual)} times as far" if one.usual else ""
    return (
        f"Held-out pictures lie {human(one.usual)} from the nearest training picture{of}, these samples "
        f"{human(middle)} (median){times}; the nearest of them {human(min(one.distances))}."
    )


def reconstructed(sheet: Sheet) -> str:
    """What stands where on a sheet of reconstructions, and how far they are off."""
    pairs, off = whole(sheet.facts.get("pairs")) or 0, number(sheet.facts.get("rmse"))
    rows = counted(pairs, "held-out row")
    where = (
        f"{rows} on the left and, on the right, their reconstructions G(E(x))"
        if sheet.facts.get("layout") == "beside"
        else f"{rows}, and below each its reconstruction G(E(x))"
    )
    error = f", off by {human(off)} in root mean square, in the data’s units" if off is not None else ""
    return f"{where}: what the generator makes of the code that the encoder gives them{error}."


def coded(codes: Codes, how: str, most: int) -> str:
    """Whose codes are drawn, in how many of their dimensions, and how their classes show, if there are at most so
    many of them."""
    of, many = whole(codes.facts.get("latent")), len(codes.names)
    axes = "two principal axes" if codes.axes > 1 else "principal axis (heights only keep them apart)"
    within = f", of {counted(of, 'dimension')}" if of and of > codes.axes else ""
    told = f", each {how} its class" if many else ""
    told = f"; {many:,} classes are too many to be told apart" if many > most else told
    return f"Codes E(x) of {counted(len(codes.points), 'held-out row')} on their {axes}{within}{told}."


def axes(codes: Codes) -> list[str]:
    """Labels of the axes, with the variance along each where it is known."""
    names = ("first axis", "second axis")[: codes.axes]
    shares = (*codes.shares, None, None)
    return [
        name if share is None else f"{name}, {human(100 * share)} % of the variance"
        for name, share in zip(names, shares, strict=False)
    ]


def spaces(run: Run, rows: int, best: bool, close: bool) -> str:
    """When the table of spaces was judged and over how many rows, and what its marks say."""
    over = f", over {counted(rows, 'held-out row')}" if rows else ""
    said = [f"The table: judged at step {run.judged[-1].step:,}{over}. {seeds(run)}"]
    if run.seeds and run.seeds > 1:
        said.append("± is one standard deviation over them, and each is a dot.")
    if best:
        error = f"; ≈ what lies within two standard errors of it, over seeds{' and rows' if rows else ''}"
        said.append(f"● marks the best of a column{error if close else ''}.")
    return " ".join(said)


OUTCOMES = {
    "beat": "The codes beat the baselines {}.",
    "lose": "The codes lose to the baselines {}.",
    "draw": "Neither codes nor baselines win {}: no more than two standard errors lie between.",
}


def worth(told: Mapping[str, Mapping[str, Spread]], rows: int) -> str:
    """Whether codes tell classes better than what is there without them; empty where there is nothing to compare.

    told: by reading, the accuracy in each space. rows: the held-out rows that it was counted over.
    """
    outcomes: dict[str, list[str]] = {}
    for kind, cells in told.items():
        mine = cells.get("codes", Spread(None))
        others = {space: cell for space, cell in cells.items() if not SPACES[space].own and cell.mean is not None}
        if mine.mean is None or not others:
            continue
        best = max(others.values(), key=lambda cell: cell.mean or 0)
        which = listed([SPACES[space].name for space, cell in others.items() if cell.mean == best.mean])
        line = f"by {READINGS[kind].label[:1].lower()}{READINGS[kind].label[1:]}, {said(mine)} against {said(best)}"
        outcomes.setdefault(_outcome(mine, best, rows), []).append(f"{line} ({which})")
    return " ".join(OUTCOMES[outcome].format(", and ".join(lines)) for outcome, lines in outcomes.items())


def _outcome(mine: Spread, best: Spread, rows: int) -> str:
    marks = standing([mine, best], 1, rows)
    if mine.mean == best.mean or "close" in marks:
        return "draw"
    return "beat" if marks[0] == "best" else "lose"


def seeds(run: Run) -> str:
    """How many games the run played at once, and from which dice."""
    first, count = number(run.facts.get("seed")), run.seeds
    if not count:
        return "Seeds not recorded."
    if first is None:
        return f"{counted(count, 'seed')}."
    last = "" if count == 1 else f"–{first + count - 1:.0f}"
    return f"{counted(count, 'seed')} ({first:.0f}{last})."


def budget(comparison: Comparison) -> str:
    """Seeds and steps of the papers, and where they were last judged if that was not at the end."""
    seeds = f"{counted(comparison.seeds, 'seed')} each." if comparison.seeds else "Seeds differ from run to run."
    steps = f"{counted(comparison.steps, 'step')} each." if comparison.steps else "Steps differ from run to run."
    last = {row.run.judged[-1].step for row in comparison.rows if row.run and row.run.judged}
    judged = f" Last judged at {between(sorted(last))}." if last - {comparison.steps} else ""
    return f"{seeds} {steps}{judged}"


def bands(members: int, how: str) -> str:
    """What the lines and bands of a chart are."""
    return f"Lines: means over the seeds. Bands: {how}." if members > 1 else "One seed: no spread."


def story(run: Run) -> str:
    """One line about a run: what was played, how far, and over how many seeds."""
    game = run.facts.get("game")
    asked = {**(game if isinstance(game, Mapping) else {}), **{k: v for k, v in run.facts.items() if v}}
    objective = str(asked.get("objective") or "").replace("_", "-")
    objective = "" if objective == "the paper's" else objective
    bound = exact(asked["constraints"]) if asked.get("constraints") else ""
    what = " with ".join(part for part in (objective, bound) if part)
    where = f"on {run.data}" if run.data else ""
    line = ", ".join(part for part in (where, what, _progress(run), seeds(run)[:-1] if run.seeds else "") if part)
    return f"{line[:1].upper()}{line[1:]}."


def _progress(run: Run) -> str:
    if run.steps and run.reached is not None and run.reached < run.steps:
        return f"{run.reached:,} of {run.steps:,} steps recorded"
    steps = run.steps or run.reached
    return counted(steps, "step") if steps else "no steps recorded"


def verdict(comparison: Comparison) -> str:
    """Who comes closest to the data, and whether the seeds can tell; empty where nobody can be said to."""
    name = telling({name for row in comparison.rows for name in row.metrics})
    if name is None:
        return ""
    cells = [row.metrics.get(name, Spread(None)) for row in comparison.rows]
    marks = standing(cells, measure(name).better)
    best, close = ([i for i, mark in enumerate(marks) if mark == kind] for kind in ("best", "close"))
    if not best:
        return ""
    labels = [row.label for row in comparison.rows]
    verb = "has" if len(best) == 1 else "have"
    most = f"the {'lowest' if measure(name).better < 0 else 'highest'} {measure(name).label}"
    line = f"{listed([labels[i] for i in best])} {verb} {most}, {said(cells[best[0]])}"
    doubt = f"; these seeds do not tell it from {listed([labels[i] for i in close])}" if close else ""
    return f"{line}{doubt}.{_against(comparison, name, cells[best[0]])}"


def _against(comparison: Comparison, name: str, best: Spread) -> str:
    """Whether the best paper is above the best of the baselines."""
    better = measure(name).better
    held = [(row, row.metrics[name]) for row in comparison.baselines if name in row.metrics]
    known = [(cell.mean, row, cell) for row, cell in held if cell.mean is not None]
    if not known or best.mean is None:
        return ""
    value, row, cell = max(known, key=lambda one: better * one[0])
    where = "the same" if value == best.mean else "higher" if value > best.mean else "lower"
    return f" Of the baselines, {row.label} has {said(cell)}, which is {where}."


def telling(names: Iterable[str]) -> str | None:
    """The metric that says most about the whole distribution: a distance to the data where one was taken."""
    known = shown({name for name in names if measure(name).better})
    return next((name for name in ("w1", "sliced_w1", "fd", CHOSEN, *known) if name in known), None)


def made_with(runs: Sequence[Run]) -> str:
    """The versions that played the runs, each once."""
    versions: dict[str, set[str]] = {}
    for run in runs:
        known = run.facts.get("versions")
        for name, version in known.items() if isinstance(known, Mapping) else ():
            versions.setdefault(str(name), set()).add(str(version))
    return ", ".join(f"{name} {listed(sorted(found))}" for name, found in versions.items())
