"""Questions: what rankers are asked on a part of the data, and how those answer that nobody has to train here.

Of items all are candidates but those that the user is known to like: of the training part, and in the test of the
validation part as well. What a user has rated low stays a candidate, as in the published protocol (Wang et al. 2017,
whose code leaves out the positives of training alone), so that numbers compare; `recommend` leaves it out. Of
documents, those of the query; a query without a relevant one counts as 0. On other data than a run's own, what it was
trained on is neither relevant nor a candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data import Interactions, Letor, Rankings
from ..data.samples.rows import Part
from ..judging import judges
from ..judging.baselines import closed_form, supervised
from ..metrics import ranking

KS = (1, 3, 5, 10)
SELECTOR = "ndcg@10"  # by which weights, and the options of baselines, are chosen on the validation part
NAMES = (*(f"{name}@{k}" for name in ("p", "ndcg") for k in KS), "map", "mrr")
DECIMALS = 9  # of scores in closed form: what is equal on paper is equal, and tied
MOST_CLOSED_FORM_ITEMS = 6_000  # items for which the rankers in closed form are worked out: they take the cube of it


class Question(NamedTuple):
    """What rankers are judged by: gains and candidates [Q, D] of a part, and how queries without gains count."""

    gains: Tensor
    candidates: Tensor
    empty: ranking.Empty

    def judge(self, scores: Tensor, names: Sequence[str] = NAMES) -> dict[str, float]:
        """The means over queries."""
        whole = bool({"map", "mrr"} & set(names))
        found = ranking.judge(scores, *self[:2], ks=KS, empty=self.empty, whole=whole)
        return {name: found[name] for name in names}

    def per_query(self, scores: Tensor) -> dict[str, Tensor]:
        """[Q] each; nan for queries that are not counted."""
        return ranking.per_query(scores, *self[:2], ks=KS, empty=self.empty)

    def summary(
        self, tables: Sequence[Tensor], names: Sequence[str] = NAMES
    ) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
        """Of scores [Q, D] of each member: ``{name: {"mean", "std", "per_member"}}``, std over members, and the
        standard error of each mean over queries, the members' values of a query averaged."""
        whole = bool({"map", "mrr"} & set(names))
        found = [ranking.per_query(scores, *self[:2], ks=KS, empty=self.empty, whole=whole) for scores in tables]
        counted = ranking.has_relevant(*self[:2]) if self.empty == "excluded" else None
        lines = [{name: ranking.mean_over_queries(values[name], counted).value for name in names} for values in found]
        mean = {name: torch.stack([values[name] for values in found]).mean(0) for name in names}
        errors = {name: ranking.mean_over_queries(values, counted).error for name, values in mean.items()}
        return judges.summary(lines), errors

    def tied(self, scores: Tensor) -> int:
        """How many of the counted queries have a list that hangs on the order of equal scores."""
        return int(ranking.tied(scores, *self[:2]).sum())

    @property
    def query_count(self) -> int:
        return int(ranking.has_relevant(*self[:2]).sum()) if self.empty == "excluded" else len(self.gains)


def make_question(data: Rankings, part: Part, taught: Tensor | None = None) -> Question:
    """Of a part of the data. taught: bool [U, I], pairs that a ranker was trained on with other data: neither relevant
    nor candidates here. Raises ValueError where no relevant one is left."""
    if isinstance(data, Interactions):
        seen = data.matrix("train") | data.matrix("valid") if part == "test" else data.matrix("train")
        gains = data.matrix(part)
        if taught is not None:
            seen, gains = seen | taught, gains & ~taught
            if not gains.any():
                raise ValueError(
                    f"the run was trained on every pair of the {part} part of {data.name}: it shows nothing"
                )
        return Question(gains.float(), ~seen, "excluded")
    _, gains, candidates = data.part(part).padded()
    return Question(gains, candidates, "zero")


def describe_candidates(data: Rankings, part: Part, taught: Mapping[str, int] | None = None) -> str:
    """What rankers are asked to order, in words. taught: how many pairs a run of other data was trained on, and how
    many of these are in the part."""
    if not isinstance(data, Interactions):
        return "the documents of each query"
    known = "train and valid" if part == "test" and len(data.valid) else "train"
    if taught:
        pairs = (
            f"{taught['pairs']} pairs of the run's own training, {taught['held_out']} of them in the {part} part here"
        )
        return f"all items but those a user likes in {known}, and but {pairs}"
    low = f"; {len(data.touched)} pairs rated low are among them (as published), recommend leaves them out"
    return f"all items but those a user likes in {known}" + low * bool(len(data.touched))


def describe_ties(facts: Mapping[str, Any]) -> str:
    """Of a judgement's provenance: whose lists hang on the order of equal scores."""
    whose: dict[int, list[str]] = {}
    for who, counts in facts["tied"].items():
        whose.setdefault(max(counts), []).append(who or facts["rankers"][0])
    shown = [f"{count} ({', '.join(names)})" for count, names in whose.items()]
    what = "give one score to documents of unlike relevance"
    return f"of {facts['queries']} lists {', '.join(shown)} {what}: every value is the mean over all their orders"


def left_out(data: Rankings) -> str:
    """Which rankers in closed form are not worked out, and why; empty where all are."""
    if not isinstance(data, Interactions) or len(data.items) <= MOST_CLOSED_FORM_ITEMS:
        return ""
    return (
        f"item-knn and ease are left out: {len(data.items)} items are more than the {MOST_CLOSED_FORM_ITEMS} for which "
        "they are worked out"
    )


def baseline_scores(data: Rankings, part: Part, seed: int = 0) -> dict[str, Tensor]:
    """Scores [Q, D] of what an adversarial ranker has to beat: rankers in closed form, or taught by labels."""
    return closed_form_scores(data, part) if isinstance(data, Interactions) else supervised_scores(data, part, seed)


def supervised_scores(data: Letor, part: Part, seed: int = 0) -> dict[str, Tensor]:
    """Scores [Q, D] of what learns from the labels of the training queries, chosen by the validation queries."""
    table = data.part(part)
    return {name: table.scored(supervised.teach(name, data, seed=seed).score) for name in supervised.TABLE}


def closed_form_scores(data: Interactions, part: Part) -> dict[str, Tensor]:
    """Scores [U, I] of the rankers in closed form, fitted to the training part, their options chosen by the validation
    part, and of the truth where it is known."""
    x = data.matrix("train")
    found = {"popularity": closed_form.popularity(x)} | ({} if data.truth is None else {"truth": data.truth.double()})
    if x.shape[1] > MOST_CLOSED_FORM_ITEMS:
        return found
    asked = make_question(data, "valid") if len(data.valid) else None
    tried = {
        "item-knn": [closed_form.item_knn(x, k) for k in (20, 50, 100, 200, None)],
        "ease": [closed_form.ease(x, w) for w in (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)],
    }
    usual = {"item-knn": 2, "ease": 4}
    for name, matrices in tried.items():
        tables = ((x.double() @ b).round(decimals=DECIMALS) for b in matrices)
        if asked is None:
            found[name] = (x.double() @ matrices[usual[name]]).round(decimals=DECIMALS)
        else:
            found[name] = max(tables, key=lambda scores: asked.judge(scores, (SELECTOR,))[SELECTOR])
    return found
