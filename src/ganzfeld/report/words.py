"""Numbers and sentences for people: three significant digits, and the seeds and steps behind every figure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .measures import measure, ordered, standing
from .read import Comparison, Facts, Run, Spread, number

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
    if not fact.std:
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


def judged_at(runs: Sequence[Run]) -> str:
    return f"Judged at {between(sorted({judged.step for run in runs for judged in run.judged}))}."


ELSEWHERE = {
    "data", "fingerprint", "modes_total", "perfect", "perfect_is", "high_quality_ceiling", "reverse_kl_floor",
}  # fmt: skip
"""What the page shows of a judgement's provenance at another place."""


def judged_with(run: Run) -> str:
    """Sample counts, extractors and whatever else the last judgement says of how it was made."""
    facts = {key: value for key, value in run.judged[-1].provenance.items() if key not in ELSEWHERE}
    proof = "; ".join(f"{key.replace('.', ' ')} {value}" for key, value in flat(facts))
    return f" Judged with {proof}." if proof else ""


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
    return f"{line}{doubt}."


def telling(names: Iterable[str]) -> str | None:
    """The metric that says most about the whole distribution: a distance to the data where one was taken."""
    known = ordered({name for name in names if measure(name).better})
    return next((name for name in ("w1", "sliced_w1", "fd", *known) if name in known), None)


def made_with(runs: Sequence[Run]) -> str:
    """The versions that played the runs, each once."""
    versions: dict[str, set[str]] = {}
    for run in runs:
        known = run.facts.get("versions")
        for name, version in known.items() if isinstance(known, Mapping) else ():
            versions.setdefault(str(name), set()).add(str(version))
    return ", ".join(f"{name} {listed(sorted(found))}" for name, found in versions.items())
