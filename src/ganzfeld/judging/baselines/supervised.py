r"""Learning to rank without an adversary: what a game on features has to beat.

The documents d of a query have features x_d, grades g_d and scores s_d = f(x_d), of one perceptron for all queries.
Three losses say what good scores are, of documents one by one, by twos, and by twos in their places:

.. math:: \ell_{mle} = -\frac1R \sum_{g_i > 0} \log \frac{e^{s_i}}{\sum_d e^{s_d}}, \qquad
          \ell_{ranknet} = \frac1{|P|} \sum_{(i, j) \in P} \log(1 + e^{s_j - s_i}), \qquad
          \ell_{lambdarank} = \sum_{(i, j) \in P} |\Delta_{ij}| \log(1 + e^{s_j - s_i}),

with R relevant documents, the pairs P of a higher grade g_i and a lower g_j, and Delta_ij what NDCG loses or gains if
the two swap their places. The first is the adversary's game with its labels in place of its critic: the policy whose
draws IRGAN rewards is fitted to the relevant documents outright. It takes every grade above 0 alike.

All that is judged may be used here, and an IRGAN uses no more; so one that stays below has shown nothing. Nor is the
hidden layer owed anything: on the 46 features of MQ2008 a linear scorer ranks as well as the perceptron, and as trees
on the gradients of LambdaRank (LambdaMART).

Features go in as they are: MQ2008's are already in [0, 1] within each query. Others should be brought to one scale
first. When to stop is chosen by the validation queries, and the test queries are never looked at.
Sources: Burges et al. 2005 (RankNet); Burges, Ragno, Le 2006 (LambdaRank); Burges 2010 (both, and LambdaMART); Cao et
al. 2007 (ListNet).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ...core import randomness
from ...core.names import find
from ...data.rankings.collection import Letor, Padded
from ...metrics import ranking
from ...networks.rankers import Perceptron

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Scorer(NamedTuple):
    """score: features [..., m] to scores [...], as they were after the epoch (from 1) of the best validation value,
    valid: the mean NDCG@10."""

    score: nn.Module
    epoch: int
    valid: float


class Baseline(NamedTuple):
    """A loss and whether its scorer is linear."""

    loss: Loss
    linear: bool = False


def mle(scores: Tensor, gains: Tensor, candidates: Tensor) -> Tensor:
    r"""The surprise at the relevant documents, of all that might be drawn, [Q].

    .. math:: \ell = -\frac1R \sum_{g_i > 0} \log \frac{e^{s_i}}{\sum_d e^{s_d}}

    scores, gains, candidates (bool): [Q, D]; what is no candidate has no say, whatever its score. 0 without a relevant
    candidate.
    Source: Cao et al. 2007 (ListNet), its top one probability; but its target is 1/R on the relevant ones here, not a
    softmax of grades, which takes a grade for a score and never lets go of what is not relevant.
    """
    relevant = candidates & (gains > 0)
    every = scores.masked_fill(~candidates, -torch.inf).logsumexp(1, keepdim=True)
    surprise = torch.where(relevant, every - scores, 0)
    return surprise.sum(1) / relevant.sum(1).clamp(min=1)


def ranknet(scores: Tensor, gains: Tensor, candidates: Tensor) -> Tensor:
    r"""The surprise at which of two documents is the better one, over the pairs P of a higher and a lower grade, [Q].

    .. math:: \ell = \frac1{|P|} \sum_{(i, j) \in P} \log(1 + e^{-(s_i - s_j)})

    Arguments as for mle; 0 without a pair. Documents of one grade are no pair.
    Source: Burges et al. 2005, section 3, for pairs that are certain; the mean where they have a sum, so that a long
    list does not count as the square of its length.
    """
    pairs, surprise = _pairs(scores, gains, candidates)
    return surprise.sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def lambdarank(scores: Tensor, gains: Tensor, candidates: Tensor) -> Tensor:
    r"""RankNet's surprise, each pair weighed by what NDCG would change if the two swapped their places, [Q].

    .. math:: \ell = \sum_{(i, j) \in P} |\Delta_{ij}| \log(1 + e^{-(s_i - s_j)}), \qquad
              \Delta_{ij} = \frac{(2^{g_i} - 2^{g_j})}{\max DCG} \left(\frac1{\log_2(1 + r_i)}
              - \frac1{\log_2(1 + r_j)}\right)

    with the ranks r by the scores as they stand, equal ones by their index, and the whole list in the ideal. Weights
    are constants to the gradient, and they jump as ranks do: only the slope means something, the value is no loss that
    falls. The sum, not the mean: Delta has a list's length in it. Arguments as for mle; 0 without a pair.
    Source: Burges 2010, section 4, which leaves the cut of NDCG open.
    """
    _, surprise = _pairs(scores, gains, candidates)
    return (_swaps(scores.detach(), gains, candidates) * surprise).sum((1, 2))


def _pairs(scores: Tensor, gains: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Which (i, j) are of a higher and a lower grade, and the surprise at them, 0 at others: [Q, D, D] each."""
    both = candidates.unsqueeze(2) & candidates.unsqueeze(1)
    pairs = both & (gains.unsqueeze(2) > gains.unsqueeze(1))
    # a filler's score may be anything: it is set to 0 before it meets others, or its nan would reach their slopes
    s = scores.masked_fill(~candidates, 0)
    return pairs, torch.where(pairs, -logsigmoid(_differences(s)), 0)


def _swaps(scores: Tensor, gains: Tensor, candidates: Tensor) -> Tensor:
    """What swapping the places of i and j changes in NDCG [Q, D, D], its size."""
    order = scores.masked_fill(~candidates, -torch.inf).argsort(dim=1, descending=True, stable=True)
    weights = 1 / torch.log2(torch.arange(scores.shape[1], device=scores.device).to(scores) + 2)
    discounts = torch.empty_like(scores).scatter(1, order, weights.expand_as(scores))
    gain = torch.where(candidates, torch.exp2(gains.to(scores)) - 1, 0)
    best = gain.sort(dim=1, descending=True).values @ weights
    apart = (_differences(gain) * _differences(discounts)).abs()
    return apart / torch.where(best > 0, best, 1).view(-1, 1, 1)


def _differences(x: Tensor) -> Tensor:
    return x.unsqueeze(2) - x.unsqueeze(1)


# the linear scorer has the pairwise loss that was better for it on the validation queries of MQ2008 (0.510 and 0.508)
TABLE: Mapping[str, Baseline] = {
    "mle": Baseline(mle),
    "ranknet": Baseline(ranknet),
    "lambdarank": Baseline(lambdarank),
    "linear": Baseline(lambdarank, linear=True),
}


def teach(
    name: str,
    letor: Letor,
    *,
    seed: int = 0,
    width: int = 46,
    lr: float = 0.01,
    decay: float = 0.01,
    epochs: int = 60,
    batch: int = 16,
) -> Scorer:
    """A scorer taught by a loss of the table on the training queries, stopped by the validation queries.

    Adam over batches of shuffled queries; after every epoch the mean NDCG@10 of the validation queries, of an
    exponential gain and 0 for those without a relevant document; the first of the best epochs is kept. The test queries
    are not read. width: of the hidden layer (tanh), as in the network of IRGAN; 0, and always for "linear", leaves a
    weight per feature. rate, decay: of Adam, decay being the weight of half the squared weights in the loss. batch: in
    queries. The defaults are one choice for all losses, by the mean validation value on the five folds of MQ2008: of
    the rates (0.001 to 0.01) and decays (0 to 0.03) tried none was off by more than 0.01, a third of one fold's error.
    Raises ValueError for a name that is not in the table, and where scores cease to be finite.
    """
    loss, linear = find("loss", name, TABLE)
    train, valid = letor.train.padded(), letor.valid.padded()
    with randomness.global_seed(seed, "supervised", "start"):
        score = Perceptron(train.features.shape[2], width, 0 if linear or not width else 1)
    optimiser = torch.optim.Adam(score.parameters(), lr, weight_decay=decay)
    best: Scorer | None = None
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(train.gains), generator=randomness.generator(seed, "supervised", "order", epoch))
        for rows in order.split(batch):
            _step(score, optimiser, loss, Padded(*(x[rows] for x in train)))
        value = _validate(letor.valid.scored(score), valid)
        if not value >= 0:
            raise ValueError(f"the scores of {name} are not finite after epoch {epoch}: lower its rate, {lr}")
        if best is None or value > best.valid:
            best = Scorer(copy.deepcopy(score), epoch, value)
    if best is None:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    return best


def _step(score: nn.Module, optimiser: torch.optim.Optimizer, loss: Loss, queries: Padded) -> None:
    longest = int(queries.candidates.sum(1).max())  # fillers have no say, and the pairs are the square of a list
    features, gains, candidates = (x[:, :longest] for x in queries)
    optimiser.zero_grad()
    loss(score(features), gains, candidates).mean().backward()
    optimiser.step()


def _validate(scores: Tensor, queries: Padded) -> float:
    _, gains, candidates = queries
    found = ranking.per_query(scores, gains, candidates, (10,), empty="zero", whole=False)
    return ranking.mean_over_queries(found["ndcg@10"]).value
