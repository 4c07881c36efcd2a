r"""What a ranking is worth: how early the relevant documents stand in the list of a query.

The candidates of a query, and no other document, are listed by falling score. With :math:`g_r` the gain of the
document at rank r, relevant where :math:`g_r > 0`, and R relevant candidates in all,

.. math:: P@k = \frac1k \sum_{r \le k} 1[g_r > 0], \qquad
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
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

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
    """shown: gains [Q, n] in the order of the ranks, 0 past a list's end. gains: [Q, D], 0 where not a candidate.
    relevant: candidates of a positive gain, [Q]. sound: no candidate's score is nan, [Q]."""

    shown: Tensor
    gains: Tensor
    relevant: Tensor
    sound: Tensor


def precision_at(scores: Tensor, gains: Tensor, candidates: Tensor, k: int, empty: Empty = "excluded") -> Tensor:
    r"""The share of relevant documents among the first k, [Q].

    .. math:: P@k = \frac1k \sum_{r \le k} 1[g_r > 0]

    Divided by k even where the list is shorter: what is missing is not relevant. scores, gains, candidates: [Q, D].
    nan where a candidate's score is. Raises ValueError for k < 1, shapes that differ, candidates that are not bool,
    and gains that are negative or not finite.
    """
    lists = _lists(scores, gains, candidates, k)
    return _stated(_precision(lists, k), lists, empty)


def recall_at(scores: Tensor, gains: Tensor, candidates: Tensor, k: int, empty: Empty = "excluded") -> Tensor:
    r"""The share of the R relevant candidates that stand among the first k, [Q].

    .. math:: R@k = \frac1R \sum_{r \le k} 1[g_r > 0]

    Cannot reach 1 where R > k. Arguments, nan and errors as for precision_at.
    """
    lists = _lists(scores, gains, candidates, k)
    return _stated(_recall(lists, k), lists, empty)


def ndcg_at(scores: Tensor, gains: Tensor, candidates: Tensor, k: int, gain: Gain, empty: Empty = "excluded") -> Tensor:
    r"""The discounted gain of the first k, as a share of the best that any list of these candidates could have, [Q].

    .. math:: NDCG@k = \frac{\sum_{r \le k} \gamma(g_r) / \log_2(1 + r)}{\sum_{r \le k} \gamma(g^*_r) / \log_2(1 + r)}

    with the gains g* of the candidates in falling order, cut at k as the list is. gain: "linear", :math:`\gamma(g) = g`
    (trec_eval), or "exponential", :math:`2^g - 1` (LETOR); on gains 0 and 1 they agree, on grades not. The other
    arguments, nan and errors as for precision_at.
    Source: Jarvelin and Kekalainen 2002; Burges et al. 2005, the exponential gain.
    """
    lists = _lists(scores, gains, candidates, k)
    return _stated(_ndcg(lists, k, gain), lists, empty)


def average_precision(scores: Tensor, gains: Tensor, candidates: Tensor, empty: Empty = "excluded") -> Tensor:
    r"""The mean, over the R relevant candidates, of the precision at their ranks, [Q].

    .. math:: AP = \frac1R \sum_r 1[g_r > 0]\, P@r

    Over the whole list; grades above 0 count alike. Arguments, nan and errors as for precision_at.
    """
    lists = _lists(scores, gains, candidates)
    return _stated(_average_precision(lists), lists, empty)


def reciprocal_rank(scores: Tensor, gains: Tensor, candidates: Tensor, empty: Empty = "excluded") -> Tensor:
    r"""One over the rank of the first relevant candidate, [Q].

    .. math:: RR = \max_r 1[g_r > 0] / r

    Over the whole list. Arguments, nan and errors as for precision_at.
    """
    lists = _lists(scores, gains, candidates)
    return _stated(_reciprocal_rank(lists), lists, empty)


def answerable(gains: Tensor, candidates: Tensor) -> Tensor:
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
    """p@k, ndcg@k and recall@k for every k, map and mrr of each query, [Q] each, from one sort.

    whole: False leaves map and mrr out, and sorts no more than the first max(ks): several times faster, unless most
    lists are cut inside a tie. The other arguments, nan and errors as for precision_at and ndcg_at.
    """
    lists = _lists(scores, gains, candidates, None if whole else max(ks))
    found = {f"p@{k}": _precision(lists, k) for k in ks}
    found |= {f"ndcg@{k}": _ndcg(lists, k, gain) for k in ks}
    found |= {f"recall@{k}": _recall(lists, k) for k in ks}
    if whole:
        found |= {"map": _average_precision(lists), "mrr": _reciprocal_rank(lists)}
    return {name: _stated(values, lists, empty) for name, values in found.items()}


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
    counted = answerable(gains, candidates) if empty == "excluded" else None
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


def _lists(scores: Tensor, gains: Tensor, candidates: Tensor, k: int | None = None) -> Lists:
    """The lists, down to rank k or (None) whole."""
    if scores.dim() != 2 or not scores.shape == gains.shape == candidates.shape or candidates.dtype != torch.bool:
        shapes = ", ".join(f"{tuple(t.shape)} of {t.dtype}" for t in (scores, gains, candidates))
        raise ValueError(f"scores, gains and candidates (bool) must all be [Q, D], not {shapes}")
    if k is not None and k < 1:
        raise ValueError(f"a list is cut at rank 1 or later, not at k = {k}")
    scores = scores.detach().double()
    gains = torch.where(candidates, gains.detach().double(), 0.0)
    if not bool(((gains >= 0) & gains.isfinite()).all()):
        raise ValueError("gains must be 0 (not relevant) or positive, and finite; shift grades that are not")
    order = _order(torch.where(candidates, -scores, torch.nan), k)
    sound = ~(scores.isnan() & candidates).any(1)
    return Lists(gains.gather(1, order), gains, (gains > 0).sum(1), sound)


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


def _stated(values: Tensor, lists: Lists, empty: Empty) -> Tensor:
    """What is said of queries that have no value of their own."""
    values = torch.where(lists.relevant > 0, values, _choice(EMPTY, empty))
    return torch.where(lists.sound, values, torch.nan)


def _choice(table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise ValueError(f"{name!r} is not one of {', '.join(table)}")
    return table[name]


def _precision(lists: Lists, k: int) -> Tensor:
    return _hits(lists, k) / k


def _recall(lists: Lists, k: int) -> Tensor:
    return _hits(lists, k) / lists.relevant


def _hits(lists: Lists, k: int) -> Tensor:
    return (lists.shown[:, :k] > 0).sum(1).double()


def _ndcg(lists: Lists, k: int, gain: Gain) -> Tensor:
    weigh = _choice(GAINS, gain)
    best = lists.gains.topk(min(k, lists.gains.shape[1])).values
    return _discounted(weigh(lists.shown[:, :k])) / _discounted(weigh(best))


def _discounted(gains: Tensor) -> Tensor:
    return gains @ (1 / torch.log2(_ranks(gains) + 1))


def _average_precision(lists: Lists) -> Tensor:
    hits = (lists.shown > 0).double()
    return (hits * hits.cumsum(1) / _ranks(hits)).sum(1) / lists.relevant


def _reciprocal_rank(lists: Lists) -> Tensor:
    return ((lists.shown > 0) / _ranks(lists.shown)).amax(1)


def _ranks(lists: Tensor) -> Tensor:
    return torch.arange(1, lists.shape[1] + 1, dtype=torch.float64, device=lists.device)
