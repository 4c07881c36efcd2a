r"""What a ranking is worth: how early the relevant documents stand in the list of a query.

The candidates of a query, and no other document, are listed by falling score. With :math:`g_r` the gain of the
document at rank r, relevant where :math:`g_r > 0`, and R relevant candidates in all,

.. math:: P@k = \frac1k \sum_{r \le k} 1[g_r > 0], \qquad
          R@k = \frac1R \sum_{r \le k} 1[g_r > 0], \qquad
          RR = \max_r 1[g_r > 0] / r, \qquad
          AP = \frac1R \sum_r 1[g_r > 0]\, P@r, \qquad
          NDCG@k = \frac{\sum_{r \le k} \gamma(g_r) / \log_2(1 + r)}{\max_\text{lists} \sum_{r \le k} \ldots}.

Users who click and queries with judged documents are one form: scores, gains and candidates [Q, D], where what a user
already has, and what fills up a shorter list, is no candidate. Recommenders take 0 and 1 for gains, judges grades.

Ties: documents of equal scores stand in no order, and every value is its exact mean over all orders of them, also where
a list is cut inside a tie. With n equal documents behind the first a, of gains g, r of them relevant, and H relevant
ones before them, a rank i = a + t of theirs (t from 1) has

.. math:: E\,1[g_i > 0] = \frac rn, \quad E\,\gamma(g_i) = \frac1n \sum \gamma(g), \quad
          E\,1[g_i > 0]\, P@i = \frac rn \cdot \frac{H + 1 + (t - 1) \frac{r - 1}{n - 1}}{i},

and is that of the first relevant one, none having come before the tie, with probability
:math:`\frac{r}{n - t + 1} \prod_{s < t} (1 - \frac{r}{n - s + 1})`. A rule instead (by index, by name) would reward a
ranker for the order in which a file happens to list. Scores which are equal on paper and differ in their last bit (a
sum in another order) are not equal here: round them first.

A query without a relevant candidate has no recall, no ideal and no AP. ``empty`` says what becomes of it:
"excluded" (recommenders: nan, and left out of the means) or "zero" (LETOR's tool and trec_eval: 0, and counted in
them, which lowers every mean by the share of such queries). It is no matter of taste: of MQ2008's 784
queries 220 are empty. LETOR 4.0's tool also discounts NDCG by 1, 1, 1/log2(3), ..., a rank late; not so here.

All of them see only documents that were judged or clicked: an unseen good one counts as bad, alike for all rankers
only if they were equally likely to have shown it.
Sources: Jarvelin and Kekalainen 2002 (NDCG); Burges et al. 2005 (its exponential gain); Voorhees 1999 (RR); Qin and
Liu 2013 (LETOR 4.0); McSherry and Najork 2008 (ties).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..core.names import find

Gain = Literal["linear", "exponential"]
Empty = Literal["excluded", "zero"]

GAINS = {"linear": lambda g: g, "exponential": lambda g: torch.exp2(g) - 1}
EMPTY = {"excluded": math.nan, "zero": 0.0}


class Mean(NamedTuple):
    """value: the mean over queries. error: its standard error. queries: how many were counted."""

    value: float
    error: float
    queries: int


class Lists(NamedTuple):
    """The candidates in falling order of their scores, down to a rank n or whole. order: their indices [Q, n], of equal
    ones in any order; tie: the number of the tie that a rank belongs to, from 0 [Q, n]; at_cut: who is equal to the
    last of a list that is cut, [Q, D]; None of one that is whole. gains: [Q, D], 0 where not a candidate. relevant:
    candidates of a positive gain, [Q]. all_known: no candidate's score is nan, [Q]."""

    order: Tensor
    tie: Tensor
    at_cut: Tensor | None
    gains: Tensor
    relevant: Tensor
    all_known: Tensor

    def sums(self, values: Tensor) -> Tensor:
        """Of values [Q, D] the sum over the tie of each rank [Q, n]."""
        by_rank = values.gather(1, self.order)
        sums = torch.zeros_like(by_rank).scatter_add(1, self.tie, by_rank).gather(1, self.tie)
        if self.at_cut is None:
            return sums
        last = torch.where(self.at_cut, values, 0.0).sum(1, keepdim=True)
        return torch.where(self.tie == self.tie[:, -1:], last, sums)

    def means(self, values: Tensor) -> Tensor:
        """Of values [Q, D] what each rank has in the mean over all orders of equal ones [Q, n]."""
        return self.sums(values) / self.sums(torch.ones_like(values)).clamp(min=1)


def has_relevant(gains: Tensor, candidates: Tensor) -> Tensor:
    """Which queries have a relevant candidate, [Q]: those that "excluded" counts."""
    return ((gains > 0) & candidates).any(1)


def per_query(
    scores: Tensor,
    gains: Tensor,
    candidates: Tensor,
    ks: Sequence[int] = (1, 3, 5, 10),
    gain: Gain = "exponential",
    empty: Empty = "excluded",
    whole: bool = True,
) -> dict[str, Tensor]:
    r"""p@k, ndcg@k and recall@k for every k, map and mrr of each query, [Q] each, from one sort.

    scores, gains, candidates (bool): [Q, D]. P@k is divided by k even where the list is shorter: what is missing is not
    relevant. R@k cannot reach 1 where R > k. NDCG has the gains of the candidates in falling order for an ideal, cut at
    k as the list is; gain: "linear", :math:`\gamma(g) = g` (trec_eval), or "exponential", :math:`2^g - 1` (LETOR); on
    gains 0 and 1 they agree, on grades not. For AP and RR grades above 0 count alike.

    whole: False leaves map and mrr out, and sorts no more than the first max(ks): several times faster. nan where a
    candidate's score is. Raises ValueError for k < 1, shapes that differ, candidates that are not bool, and gains that
    are negative or not finite.
    """
    if min(ks, default=1) < 1:
        raise ValueError(f"a list is cut at rank 1 or later, not at k = {min(ks)}")
    lists = _sort_lists(scores, gains, candidates, None if whole else max(ks))
    relevant = (lists.gains > 0).double()
    hits, without = lists.means(relevant), find("answer to empty queries", empty, EMPTY)
    found = {f"p@{k}": hits[:, :k].sum(1) / k for k in ks}
    found |= _ndcg(lists, ks, gain)
    found |= {f"recall@{k}": hits[:, :k].sum(1) / lists.relevant for k in ks}
    if whole:
        found |= _over_ranks(lists, relevant)
    found = {name: torch.where(lists.relevant > 0, values, without) for name, values in found.items()}
    return {name: torch.where(lists.all_known, values, torch.nan) for name, values in found.items()}


def tied(scores: Tensor, gains: Tensor, candidates: Tensor) -> Tensor:
    """Whose list hangs on the order of equal scores: queries [Q] with candidates of one score and several gains."""
    lists = _sort_lists(scores, gains, candidates)
    shown = lists.gains.gather(1, lists.order)
    return ((lists.tie.diff() == 0) & (shown.diff() != 0)).any(1)


def judge(
    scores: Tensor,
    gains: Tensor,
    candidates: Tensor,
    ks: Sequence[int] = (1, 3, 5, 10),
    gain: Gain = "exponential",
    empty: Empty = "excluded",
    whole: bool = True,
) -> dict[str, float]:
    """The means over queries of what per_query finds, whose arguments these are.

    Excluded queries are left out of the means; one counted query whose scores are nan makes them nan, and so does the
    lack of any.
    """
    found = per_query(scores, gains, candidates, ks, gain, empty, whole)
    counted = has_relevant(gains, candidates) if empty == "excluded" else None
    return {name: mean_over_queries(values, counted).value for name, values in found.items()}


def mean_over_queries(values: Tensor, counted: Tensor | None = None) -> Mean:
    r"""The mean of values [Q] over the counted [Q] queries (all, if None) and its standard error,

    .. math:: \frac{s}{\sqrt n}, \qquad s^2 = \frac{1}{n - 1} \sum_q (v_q - \bar v)^2,

    which tells how far the mean would move with other queries of their kind; queries are taken as independent. It says
    nothing of another training seed. Two rankers of the same queries: compare by the mean of their *differences*, whose
    error is smaller. nan where a counted value is; the mean of no query and the error of a single one are nan.
    """
    v = (values if counted is None else values[counted]).double()
    n = len(v)
    error = float(v.std()) / math.sqrt(n) if n > 1 else math.nan
    return Mean(float(v.mean()), error, n)


def _sort_lists(scores: Tensor, gains: Tensor, candidates: Tensor, k: int | None = None) -> Lists:
    """The lists, down to rank k or (None) whole."""
    if scores.dim() != 2 or not scores.shape == gains.shape == candidates.shape or candidates.dtype != torch.bool:
        shapes = ", ".join(f"{tuple(t.shape)} of {t.dtype}" for t in (scores, gains, candidates))
        raise ValueError(f"scores, gains and candidates (bool) must all be [Q, D], not {shapes}")
    scores = scores.detach().double()
    gains = torch.where(candidates, gains.detach().double(), 0.0)
    if not bool(((gains >= 0) & gains.isfinite()).all()):
        raise ValueError("gains must be 0 (not relevant) or positive, and finite; shift grades that are not")
    order = _order(torch.where(candidates, -scores, torch.nan), k)
    return Lists(*order, gains, (gains > 0).sum(1), ~(scores.isnan() & candidates).any(1))


def _order(keys: Tensor, k: int | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The indices [Q, n] of the smallest keys [Q, D], the ties among them, and who is equal to the last.

    Whoever is no candidate has the key nan, which comes after everything and equals nothing: a score of minus infinity,
    the logit of what a policy never draws, still stands before it.
    """
    cut = k is not None and k < keys.shape[1]
    listed, order = keys.topk(k, largest=False) if cut and k is not None else keys.sort(dim=1)
    first = torch.ones_like(listed, dtype=torch.long)
    first[:, 1:] = (listed[:, 1:] != listed[:, :-1]).long()
    return order, first.cumsum(1) - 1, keys == listed[:, -1:] if cut else None


def _ndcg(lists: Lists, ks: Sequence[int], gain: Gain) -> dict[str, Tensor]:
    weigh = find("gain", gain, GAINS)
    shown, width = lists.means(weigh(lists.gains)), lists.gains.shape[1]
    best = weigh(lists.gains.topk(min(max(ks, default=0), width)).values)
    return {f"ndcg@{k}": _discount(shown[:, :k]) / _discount(best[:, :k]) for k in ks}


def _over_ranks(lists: Lists, relevant: Tensor) -> dict[str, Tensor]:
    """AP and RR, from the relevant [Q, D] of whole lists, as 0 and 1."""
    shown, ranks = relevant.gather(1, lists.order), _ranks(relevant)
    n, r = lists.sums(torch.ones_like(relevant)), lists.sums(relevant)
    place = ranks - torch.searchsorted(lists.tie, lists.tie)  # in its tie, from 1
    before = shown.cumsum(1).gather(1, (ranks - place).long().clamp(min=1) - 1)
    before = torch.where(ranks > place, before, 0.0)
    ahead = before + 1 + (place - 1) * (r - 1) / (n - 1).clamp(min=1)
    turn = (r / (n - place + 1)).clamp(max=1)  # that it is a relevant one, where none of the tie has come before
    none_yet = (1 - turn).cumprod(1).roll(1, 1)
    none_yet[:, :1] = 1
    return {"map": (r / n * ahead / ranks).sum(1) / lists.relevant, "mrr": (none_yet * turn / ranks).sum(1)}


def _discount(gains: Tensor) -> Tensor:
    return gains @ (1 / torch.log2(_ranks(gains) + 1))


def _ranks(lists: Tensor) -> Tensor:
    return torch.arange(1, lists.shape[1] + 1, dtype=torch.float64, device=lists.device)
