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

Ties: equal scores stand in the order of their indices, in a cut list as in the whole. An average over ties would need
no rule, but no list that is shown has one. Scores which are equal on paper and differ in their last bit (a sum in
another order) are not equal here: round them first.

A query without a relevant candidate has no recall, no ideal and no AP. ``empty`` says what becomes of it:
"excluded" (recommenders: nan, and left out of the means) or "zero" (LETOR's tool and trec_eval: 0, and counted in
them, which lowers every mean by the share of such queries). It is no matter of taste: of MQ2008's 784
queries 220 are empty. LETOR 4.0's tool also discounts NDCG by 1, 1, 1/log2(3), ..., a rank late; not so here.

All of them see only documents that were judged or clicked: an unseen good one counts as bad, alike for all rankers
only if they were equally likely to have shown it.
Sources: Jarvelin and Kekalainen 2002 (NDCG); Burges et al. 2005 (its exponential gain); Voorhees 1999 (RR); Qin and
Liu 2013 (LETOR 4.0).
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
    """by_rank: gains [Q, n] in the order of the ranks, 0 past a list's end. gains: [Q, D], 0 where not a candidate.
    relevant: candidates of a positive gain, [Q]. all_known: no candidate's score is nan, [Q]."""

    by_rank: Tensor
    gains: Tensor
    relevant: Tensor
    all_known: Tensor


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

    whole: False leaves map and mrr out, and sorts no more than the first max(ks): several times faster, unless most
    lists are cut inside a tie. nan where a candidate's score is. Raises ValueError for k < 1, shapes that differ,
    candidates that are not bool, and gains that are negative or not finite.
    """
    if min(ks, default=1) < 1:
        raise ValueError(f"a list is cut at rank 1 or later, not at k = {min(ks)}")
    lists = _sort_lists(scores, gains, candidates, None if whole else max(ks))
    hits, without = (lists.by_rank > 0).double(), find("answer to empty queries", empty, EMPTY)
    found = {f"p@{k}": hits[:, :k].sum(1) / k for k in ks}
    found |= {f"ndcg@{k}": _ndcg(lists, k, gain) for k in ks}
    found |= {f"recall@{k}": hits[:, :k].sum(1) / lists.relevant for k in ks}
    if whole:
        precisions = hits.cumsum(1) / _ranks(hits)
        found |= {"map": (hits * precisions).sum(1) / lists.relevant, "mrr": (hits / _ranks(hits)).amax(1)}
    found = {name: torch.where(lists.relevant > 0, values, without) for name, values in found.items()}
    return {name: torch.where(lists.all_known, values, torch.nan) for name, values in found.items()}


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
    all_known = ~(scores.isnan() & candidates).any(1)
    return Lists(gains.gather(1, order), gains, (gains > 0).sum(1), all_known)


def _order(keys: Tensor, k: int | None) -> Tensor:
    """The indices [Q, n] of the smallest keys [Q, D], of equal ones the smaller index first.

    Whoever is no candidate has the key nan, which comes after everything: a score of minus infinity, the logit of what
    a policy never draws, still stands before it.
    """
    if k is None or k >= keys.shape[1]:
        return keys.argsort(dim=1, stable=True)
    near = keys.topk(k, largest=False).indices.sort(dim=1).values
    order = near.gather(1, keys.gather(1, near).argsort(dim=1, stable=True))
    # a tie that reaches past the cut: which of the equal ones were found was not for topk to choose
    tied = (keys <= keys.gather(1, order[:, -1:])).sum(1) > k
    order[tied] = keys[tied].argsort(dim=1, stable=True)[:, :k]
    return order


def _ndcg(lists: Lists, k: int, gain: Gain) -> Tensor:
    weigh = find("gain", gain, GAINS)
    best = lists.gains.topk(min(k, lists.gains.shape[1])).values
    return _discount(weigh(lists.by_rank[:, :k])) / _discount(weigh(best))


def _discount(gains: Tensor) -> Tensor:
    return gains @ (1 / torch.log2(_ranks(gains) + 1))


def _ranks(lists: Tensor) -> Tensor:
    return torch.arange(1, lists.shape[1] + 1, dtype=torch.float64, device=lists.device)
