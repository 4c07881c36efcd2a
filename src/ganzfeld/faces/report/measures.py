"""What the recorded quantities are called, which way is better, and what is known of them beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import variance
from typing import Any, NamedTuple

from .draw import Reference
from .read import Spread, number

PERFECT = 1 - math.exp(-4.5)
"""The share of a plane Gaussian within three standard deviations: .98889, and not the .9973 of the line."""

COPY = 0.5
"""A sample nearer to a training row than this share of what is usual for held-out rows is called a copy."""


class Measure(NamedTuple):
    """better: 1 where more is better, -1 where less is, 0 where neither. low, high: natural ends."""

    label: str
    better: int = 0
    low: float | None = None
    high: float | None = None
    note: str = ""


class Space(NamedTuple):
    """Where classes are read from. own: by what the run has learned, and not by a baseline."""

    name: str
    note: str
    own: bool = False


SPACES = {
    "codes": Space("codes", "E(x)", True),
    "critic": Space("critic’s features", "of x and E(x)", True),
    "values": Space("raw values", "x itself"),
    "pca": Space("principal components", "of x, as many as a code has"),
    "autoencoder": Space("autoencoder", "the same networks, taught to give x back"),
    "regressor": Space("latent regressor", "the same encoder, taught to find z in G(z)"),
}

READINGS = {
    "knn": Measure("1-nearest neighbour", 1, 0, 1, "share of held-out rows that have the class of the nearest row"),
    "probe": Measure("Linear probe", 1, 0, 1, "share of held-out rows whose class a linear classifier tells"),
    "cycle": Measure("Cycle of x", -1, 0, None, "x − G(E(x)): root mean square, in the data’s units"),
}
"""Of what a space is worth; each is recorded under its own name and that of the space."""


ACCURACIES = ("knn", "probe")


def reading(kind: str, space: str) -> str:
    """The metric that a reading of a space is."""
    return "cycle" if (kind, space) == ("cycle", "codes") else f"{kind}_{space}"


MEASURES = {
    "modes": Measure("Modes found", 1, 0, None, "modes with at least one high-quality sample"),
    "high_quality": Measure("High quality", 1, 0, 1, "share of samples within 3σ of a mode"),
    "reverse_kl": Measure("Reverse KL", -1, 0, None, "from the share of each mode to the truth"),
    "w1": Measure("W₁", -1, 0, None, "exact, by optimal assignment"),
    "sliced_w1": Measure("Sliced W₁", -1, 0, None, "mean over projections on lines"),
    "fd": Measure("Fréchet distance", -1, 0, None, "between features, as if they were Gaussian"),
    "kd": Measure("Kernel distance", -1, None, None, "between features; unbiased, so that 0 is perfect"),
    "fid": Measure("FID", -1, 0, None, "Fréchet distance between Inception’s features"),
    "kid": Measure("KID", -1, None, None, "kernel distance between Inception’s features"),
    "precision": Measure("Precision", 1, 0, 1, "share of samples that lie among real ones"),
    "recall": Measure("Recall", 1, 0, 1, "share of real ones that lie among samples"),
    "density": Measure("Density", 1, 0, None, "real neighbourhoods around a sample; real ones have 1"),
    "coverage": Measure("Coverage", 1, 0, 1, "share of real neighbourhoods that hold a sample"),
    "critic_w1": Measure("W₁ by the critic", 0, None, None, "the critic’s own estimate"),
    # a classifier that does better than chance sees a difference; one that does worse has seen none
    "c2st": Measure("Two-sample test", 0, None, 1, "accuracy at telling (x, E(x)) from (G(z), z); 0.5 is perfect"),
    "cycle": READINGS["cycle"],
    "cycle_z": Measure("Cycle of z", -1, 0, None, "z − E(G(z)): root mean square; a code of zeros has 1"),
    **{
        reading(kind, name): read._replace(label=f"{read.label}, {space.name}")
        for name, space in SPACES.items()
        for kind, read in READINGS.items()
        if (kind, name) != ("cycle", "codes")
    },
    "p": Measure("P", 1, None, None, "share of the first k that are relevant"),
    "ndcg": Measure("NDCG", 1, None, None, "gain of the first k, less for later ranks, as a share of the best order’s"),
    "map": Measure("MAP", 1, None, None, "precision at the rank of each relevant one, on average"),
    "mrr": Measure("MRR", 1, None, None, "1 / rank of the first relevant one, on average"),
    "seconds": Measure("Seconds", -1, 0, None, "of training, all seeds together"),
}

RANKED = ("p", "ndcg", "map", "mrr")
"""Of rankers; what stands before their last dot is who has ranked."""

CHOSEN = "ndcg@10"
MAIN = ("p@5", "ndcg@5", CHOSEN, "map", "mrr")
"""Those that are shown first; the whole table has the others."""

CLOSED = {
    "popularity": Measure("popularity", note="the same list for all: what most have"),
    "item-knn": Measure("item-knn", note="items near, by cosine, to those that one has"),
    "mle": Measure("mle", note="a perceptron taught by the likelihood of labels"),
    "ranknet": Measure("ranknet", note="a perceptron taught by pairs of labels"),
    "lambdarank": Measure("lambdarank", note="the same, pairs weighed by what their order is worth"),
    "linear": Measure("linear", note="lambdarank without a hidden layer"),
    "truth": Measure("truth", note="the law that the data were drawn from: the best there can be"),
    "ease": Measure("ease", note="each item from all others, by ridge regression"),
}
"""Rankers that need no training but one solution."""

TABLED = {reading(kind, space) for kind in READINGS for space in SPACES} - {"cycle", "knn_codes"}
"""What is worth something beside its like alone: the table of the codes has it, and no panel."""


class Signal(NamedTuple):
    """A panel of the training log. records: what is drawn in it, with labels; low, high: natural ends."""

    title: str
    records: Mapping[str, str]
    low: float | None = None
    high: float | None = None
    references: Sequence[Reference] = ()
    note: str = ""


SIGNALS = (
    Signal("Critic value", {"critic_value": ""}),
    Signal("Generator loss", {"generator_loss": ""}),
    Signal("Generator side's cost beside the game", {"generator_besides": ""}, 0),
    Signal("Penalty", {"penalty": ""}),
    # both curves meet at 1/2 where the optimal critic cannot tell
    Signal("Discriminator", {"d_real": "D(real)", "d_fake": "D(fake)"}, 0, 1, [Reference(0.5, "undecided")]),
    Signal("Reward", {"reward": ""}),
    Signal("Scores", {"score_real": "real", "score_fake": "fake"}),
    Signal("Gradient norms", {"critic_gradient": "critic", "generator_gradient": "generator"}, 0),
    Signal("Saturation", {"saturation_minimax": "minimax", "saturation_non_saturating": "non-saturating"}, 0),
    Signal("Lipschitz estimate", {"lipschitz": ""}, 0),
    Signal("Slope of the critic", {"slope_median": "median", "slope_q05": "5 %", "slope_q95": "95 %"}, 0),
    Signal("Weights at the bound", {"share_at_bound": ""}, 0, 1),
    Signal("Width of samples", {"spread": ""}, 0, None, [Reference(1, "as wide as the data")]),
    Signal("Samples per second", {"samples_per_second": ""}, 0),
)
"""Records that are not named here get a panel each, or one for all that share a name before the first dot."""


DIAGNOSTICS = (
    Signal(
        "Perplexity", {"perplexity": ""}, 0,
        note="Over how many candidates the policy spreads its draws: over all by pure chance, over one when it has "
        "collapsed.",
    ),
    Signal(
        "False negatives", {"false_negatives": ""}, 0,
        note="Share of its draws that are known to be relevant: met as fakes, they teach the critic what is false.",
    ),
    Signal(
        "Hidden positives", {"hidden_positives": ""}, 0,
        note="Share of its draws that are relevant in the validation part, unknown to the game: taste, and not memory.",
    ),
    Signal(
        "Share of the item", {"item_share": ""}, 0,
        note="Share of the reward’s variance over pairs that the item alone explains: at 1 the reward knows what is "
        "popular, and no one’s taste.",
    ),
)  # fmt: skip
"""What the log records of a policy."""


def measure(name: str) -> Measure:
    """What is known of a metric; ``ndcg@5`` is read as ``ndcg`` at 5, and ``critic.ndcg@5`` as that of the critic; an
    unknown name labels itself."""
    who, dot, rest = name.rpartition(".")
    if dot and rest.partition("@")[0] in RANKED:
        plain = measure(rest)
        return plain._replace(label=f"{plain.label}, {who.replace('.', ' ')}")
    stem, at, k = name.partition("@")
    known = MEASURES.get(stem)
    if known is None:
        return Measure(name.replace("_", " "))
    return known._replace(label=f"{known.label}@{k}", note=known.note.replace("first k", f"first {k}")) if at else known


def _at(name: str) -> tuple[str, str, int]:
    """Who is measured by what, and at which rank."""
    who, _, rest = name.rpartition(".") if ranked(name) else ("", "", name)
    stem, _, k = rest.partition("@")
    return who, stem, int(k) if k.isdecimal() else 0


def ranked(name: str) -> bool:
    """Whether it is a metric of a ranker."""
    return name.rpartition(".")[2].partition("@")[0] in RANKED


def ordered(names: set[str]) -> list[str]:
    """Known metrics in the order of the table above, then the others by name."""
    ranks = {name: i for i, name in enumerate(MEASURES)}

    def place(name: str) -> tuple[str, int, int, str]:
        who, stem, k = _at(name)
        return who, ranks.get(stem, len(ranks)), k, name

    return sorted(names, key=place)


def shown(names: set[str]) -> list[str]:
    """Those that have a place of their own, ordered: of rankers the main ones of the first."""
    return ordered({name for name in names - TABLED if name in MAIN or not ranked(name)})


def references(name: str, provenance: Mapping[str, Any], shape: Any) -> list[Reference]:
    """What a metric is worth to a sampler without fault: by theory, or as held-out rows of the data fare."""
    total = number(provenance.get("modes_total"))
    if name == "modes" and total:
        return [Reference(total, "every mode")]
    if name == "high_quality" and shape in (None, [2]):
        return [Reference(PERFECT, "perfect sampler")]
    if name == "c2st":
        return [Reference(0.5, "perfect")]
    perfect = provenance.get("perfect")
    known = number(perfect.get(name)) if isinstance(perfect, Mapping) else None
    return [] if known is None else [Reference(known, "held-out data")]


def standing(cells: Sequence[Spread], better: int, rows: int = 0, baselines: int = 0) -> list[str]:
    """``best`` for the best means, ``close`` for those within two standard errors of the best, else nothing.

    The standard error is of the difference of two means over independent seeds, from the members' own values.
    rows: of accuracies, over how many rows each was counted. Chance among them counts as well, as if each had rows of
    its own: those that share their rows differ with less doubt than is said here.
    baselines: how many of the last cells only serve to compare. Where one of them is best, the best of the others
    ``leads``, and those near to that are close.
    """
    means = [cell.mean for cell in cells if cell.mean is not None]
    if not better or len(set(means)) < 2:
        return [""] * len(cells)
    top = max(means, key=lambda mean: better * mean)
    few = len(cells) - baselines
    mine = [cell for cell in cells[:few] if cell.mean is not None]
    best = max(mine, key=lambda cell: better * (cell.mean or 0), default=Spread(None))
    lead = "best" if best.mean == top else "leads" if len(mine) > 1 else ""
    marks = [lead if cell.mean == best.mean else "close" if _close(cell, best, rows) else "" for cell in cells[:few]]
    return marks + ["best" if cell.mean == top else "" for cell in cells[few:]]


def _close(a: Spread, b: Spread, rows: int) -> bool:
    if a.mean is None or b.mean is None or (not rows and min(len(a.defined), len(b.defined)) < 2):
        return False
    return (a.mean - b.mean) ** 2 <= 4 * (_doubt(a, rows) + _doubt(b, rows))


def _doubt(one: Spread, rows: int) -> float:
    """The square of a mean's standard error. The seeds share their rows, so more of them do not make those more."""
    of_seeds = variance(one.defined) / len(one.defined) if len(one.defined) > 1 else 0.0
    of_rows = max(0.0, one.mean * (1 - one.mean)) / rows if rows and one.mean is not None else 0.0
    return of_seeds + of_rows
