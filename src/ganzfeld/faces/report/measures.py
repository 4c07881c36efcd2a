"""Of the recorded quantities: which way is better, where they end by nature, and what is known of them beforehand.
What they are called is in the words of the page."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import variance
from typing import Any, NamedTuple

from .read import Spread, mapping, number

PERFECT_SHARE = 1 - math.exp(-4.5)
"""The share of a plane Gaussian within three standard deviations: .98889, and not the .9973 of the line."""

COPY = 0.5
"""A sample nearer to a training row than this share of what is usual for held-out rows is called a copy."""


class Measure(NamedTuple):
    """better: 1 where more is better, -1 where less is, 0 where neither. low, high: natural ends."""

    better: int = 0
    low: float | None = None
    high: float | None = None
    label: str = ""
    note: str = ""


SPACES = {"codes": True, "critic": True, "values": False, "pca": False, "autoencoder": False, "regressor": False}
"""Where classes are read from, and whether by what the run has learned, and not by a baseline."""

READINGS = {"knn": Measure(1, 0, 1), "probe": Measure(1, 0, 1), "cycle": Measure(-1, 0)}
"""Of what a space is worth; each is recorded under its own name and that of the space."""

ACCURACIES = ("knn", "probe")


def reading(kind: str, space: str) -> str:
    """The metric that a reading of a space is."""
    return "cycle" if (kind, space) == ("cycle", "codes") else f"{kind}_{space}"


READING_OF = {reading(kind, space): (kind, space) for space in SPACES for kind in READINGS}
READING_OF.pop("cycle")  # has a name of its own

MEASURES = {
    "modes": Measure(1, 0), "high_quality": Measure(1, 0, 1), "reverse_kl": Measure(-1, 0),
    "w1": Measure(-1, 0), "sliced_w1": Measure(-1, 0),
    "fd": Measure(-1, 0), "kd": Measure(-1), "fid": Measure(-1, 0), "kid": Measure(-1),
    "precision": Measure(1, 0, 1), "recall": Measure(1, 0, 1), "density": Measure(1, 0), "coverage": Measure(1, 0, 1),
    "critic_w1": Measure(0),
    "c2st": Measure(0, None, 1),  # better than chance sees a difference; worse has seen none
    "cycle": READINGS["cycle"], "cycle_z": Measure(-1, 0),
    **{name: READINGS[kind] for name, (kind, _) in READING_OF.items()},
    "p": Measure(1), "ndcg": Measure(1), "map": Measure(1), "mrr": Measure(1),
    "seconds": Measure(-1, 0),
}  # fmt: skip

RANKING = ("p", "ndcg", "map", "mrr")
"""Of rankers; what stands before their last dot is who has ranked."""

SELECTOR = "ndcg@10"
MAIN_METRICS = ("p@5", "ndcg@5", SELECTOR, "map", "mrr")
"""Those that are shown first; the whole table has the others."""

TABLE_ONLY = {*READING_OF} - {"knn_codes"}
"""What is worth something beside its like alone: the table of the codes has it, and no panel."""


class Signal(NamedTuple):
    """A panel of the training log. records: what is drawn in it, with labels; low, high: natural ends; references:
    values that are known beforehand, and their names."""

    name: str
    records: Mapping[str, str]
    low: float | None = None
    high: float | None = None
    references: Sequence[tuple[float, str]] = ()
    title: str = ""
    note: str = ""


def _signal(name: str, *records: str, low: float | None = None, high: float | None = None, at: Any = ()) -> Signal:
    return Signal(name, dict.fromkeys(records or (name,), ""), low, high, at)


SIGNALS = (
    _signal("critic_value"),
    _signal("generator_loss"),
    _signal("generator_besides", low=0),
    _signal("penalty"),
    # both curves meet at 1/2 where the optimal critic cannot tell
    _signal("discriminator", "d_real", "d_fake", low=0, high=1, at=((0.5, "undecided"),)),
    _signal("reward"),
    _signal("scores", "score_real", "score_fake"),
    _signal("gradients", "critic_gradient", "generator_gradient", low=0),
    _signal("saturation", "saturation_minimax", "saturation_non_saturating", low=0),
    _signal("lipschitz", low=0),
    _signal("slope", "slope_median", "slope_q05", "slope_q95", low=0),
    _signal("share_at_bound", low=0, high=1),
    _signal("spread", low=0, at=((1, "width"),)),
    _signal("samples_per_second", low=0),
)
"""Records that are not named here get a panel each, or one for all that share a name before the first dot."""

DIAGNOSTICS = tuple(
    _signal(name, low=0) for name in ("perplexity", "false_negatives", "hidden_positives", "item_share")
)
"""What the log records of a policy."""


def measure(name: str) -> Measure:
    """What is known of a metric; ``ndcg@5`` is read as ``ndcg`` at 5, and ``critic.ndcg@5`` as that of the critic."""
    return MEASURES.get(split_name(name)[1], Measure())


def split_name(name: str) -> tuple[str, str, int]:
    """Who is measured by what, and at which rank: 0 where at none."""
    who, _, rest = name.rpartition(".") if is_ranking(name) else ("", "", name)
    stem, _, k = rest.partition("@")
    return who, stem, int(k) if k.isdecimal() else 0


def is_ranking(name: str) -> bool:
    """Whether it is a metric of a ranker."""
    return name.rpartition(".")[2].partition("@")[0] in RANKING


def sort_metrics(names: set[str]) -> list[str]:
    """Known metrics in the order of the table above, then the others by name."""
    ranks = {name: i for i, name in enumerate(MEASURES)}

    def place(name: str) -> tuple[str, int, int, str]:
        who, stem, k = split_name(name)
        return who, ranks.get(stem, len(ranks)), k, name

    return sorted(names, key=place)


def main_metrics(names: set[str]) -> list[str]:
    """Those that have a place of their own, ordered: of rankers the main ones of the first."""
    return sort_metrics({name for name in names - TABLE_ONLY if name in MAIN_METRICS or not is_ranking(name)})


def ideals(name: str, provenance: Mapping[str, Any], shape: Any) -> Iterator[tuple[float, str]]:
    """What a metric is worth to a sampler without fault, and the name of that value."""
    total = number(provenance.get("modes_total"))
    if name == "modes" and total:
        yield total, "modes"
    elif name == "high_quality" and shape in (None, [2]):
        yield PERFECT_SHARE, "sampler"
    elif name == "c2st":
        yield 0.5, "perfect"
    else:
        if (known := number(mapping(provenance.get("perfect")).get(name))) is not None:
            yield known, "held_out"


def mark_best(
    cells: Sequence[Spread], better: int, rows: int = 0, baselines: int = 0, kept: Collection[int] = ()
) -> list[str]:
    """``best`` for the best means, ``close`` for those within two standard errors of the best, else nothing.

    The standard error is of the difference of two means over independent seeds, from the members' own values.
    rows: of accuracies, over how many rows each was counted. Chance among them counts as well, as if each had rows of
    its own: those that share their rows differ with less doubt than is said here.
    baselines: how many of the last cells only serve to compare. Where one of them is best, the best of the others
    ``leads``, and those near to that are close.
    kept: places of those whose numbers are their start's: they compete with nobody, and have no mark.
    """
    means = [cell.mean for i, cell in enumerate(cells) if cell.mean is not None and i not in kept]
    if not better or len(set(means)) < 2:
        return [""] * len(cells)
    top = max(means, key=lambda mean: better * mean)
    few = len(cells) - baselines
    mine = [cell for i, cell in enumerate(cells[:few]) if cell.mean is not None and i not in kept]
    best = max(mine, key=lambda cell: better * (cell.mean or 0), default=Spread(None))
    lead = "best" if best.mean == top else "leads" if len(mine) > 1 else ""
    marks = [lead if cell.mean == best.mean else "close" if _is_close(cell, best, rows) else "" for cell in cells[:few]]
    marks = ["" if i in kept else mark for i, mark in enumerate(marks)]
    return marks + ["best" if cell.mean == top else "" for cell in cells[few:]]


def _is_close(a: Spread, b: Spread, rows: int) -> bool:
    if a.mean is None or b.mean is None or (not rows and min(len(a.defined), len(b.defined)) < 2):
        return False
    return (a.mean - b.mean) ** 2 <= 4 * (_squared_error(a, rows) + _squared_error(b, rows))


def _squared_error(one: Spread, rows: int) -> float:
    """The square of a mean's standard error. The seeds share their rows, so more of them do not make those more."""
    of_seeds = variance(one.defined) / len(one.defined) if len(one.defined) > 1 else 0.0
    of_rows = max(0.0, one.mean * (1 - one.mean)) / rows if rows and one.mean is not None else 0.0
    return of_seeds + of_rows
