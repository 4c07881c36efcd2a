r"""Retrieve: documents that are relevant against documents that a policy picks.

To a query q belong candidates d. A policy :math:`p(d|q) = \mathrm{softmax}_d\, g(q, d) / \tau` picks one to be taken
for relevant, and the critic scores pairs f(q, d). What is picked is discrete: no gradient flows through it. The
policy's cost c, of the objective, is a *number* to it, and the gradient is the score function's,

.. math:: \nabla E_p\, c = E_p\,[(c - b) \nabla \log p] = \sum_d c_d \nabla p_d,
          \qquad \frac{\partial}{\partial g_d} = \frac{p_d}{\tau} (c_d - E_p c).

Where all candidates can be scored the sum is taken as it stands (``exact``): no variance, no baseline. Else a few are
drawn, from a proposal :math:`(1 - \lambda) p + \lambda\, 1[d \in R_q] / |R_q|` that looks at known positives as well,
with the weight p over proposal. Draws without replacement are not draws from p: they carry the weight of priority
sampling, under which the estimator is unbiased again (Kool et al. 2020; Vieira 2017).
Source: Wang et al. 2017 (IRGAN), section 2.2 to 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..core.randomness import Need, Noise
from ..core.values import Count, NotNegative, Positive, Share, Size, check_fields
from ..data.rankings.collection import Collection
from .draw import Batch, Draw, Pieces, Players, Price, Role, Scene
from .estimators import Baseline, Expectation, ScoreFunction

PRODUCT_SPEEDUP = 8  # times as many scores a product makes in the time of scores pair by pair
Negatives = Literal["live", "frozen", "uniform"]


def check_picks(game: Pieces) -> None:
    """Of a game whose fakes are picked, not made. Raises ValueError where they have no cost each, or no slope."""
    if game.objective.features:
        raise ValueError(
            "this objective compares features [B, m] and has no cost per sample, so it cannot train a policy of "
            "discrete draws: use minimax or non-saturating (irgan)"
        )
    for constraint in game.constraints:
        if constraint.per_sample:
            raise ValueError(
                f"{type(constraint).__name__} reads the slope at a sample, and documents have none: use Decay"
            )
    if game.precision != "fp32":
        raise ValueError("rankers are small, and play in full precision: leave out bf16")


@dataclass(frozen=True, eq=False)
class Retrieve(Draw):
    """(q, d) known to be relevant against (q, d) with d of the policy. ``batch`` is pairs [n, 2] in the critic's turn,
    queries [b] in the policy's.

    temperature: of the policy, where it is drawn from and where it is differentiated; critic_temperature: of the
    critic's negatives, if they are to be harder. exact: the policy's gradient in closed form, else from ``draws`` a
    query, with replacement or without, of a proposal with is_lambda. pool: candidates a query, drawn anew each turn, to
    which the policy is confined; 0 for all. per_positive: negatives of each positive. negatives: of the policy as it
    stands (live), of its first weights and always the same (frozen), or uniform. exclude: the policy never picks a
    known positive. paired: the policy is told a positive of the query, which an objective of pairs needs. averaged: all
    queries share one cost of a candidate, their mean. What the policy descends besides: pull, the weight of KL(p, first
    p), and likelihood, that of the mean - log p of known positives, for which it needs no adversary.
    """

    collection: Collection
    temperature: Positive = 1.0
    critic_temperature: Positive | None = None
    exact: bool = True
    draws: Size = 16
    replace: bool = True
    baseline: Baseline = "mean"
    is_lambda: Share = 0.0
    pool: Count = 0
    per_positive: Size = 1
    negatives: Negatives = "live"
    exclude: bool = False
    paired: bool = False
    averaged: bool = False
    pull: NotNegative = 0.0
    likelihood: NotNegative = 0.0
    regular: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)
        for wrong, why in self._at_odds():
            if wrong:
                raise ValueError(why)

    def _at_odds(self) -> Iterator[tuple[bool, str]]:
        """Settings that no draw can have together."""
        known, own = self.collection.width, self.collection.features is not None
        once, width = not self.replace and not self.exact, self.pool or known
        yield (
            once and 0 < width <= self.draws,
            f"draws without replacement must be fewer than the {width} candidates, not {self.draws}",
        )
        yield (
            not self.replace and self.is_lambda > 0,
            "draws without replacement have a weight of their own: leave out is_lambda",
        )
        yield (
            once and self.baseline != "none",
            "draws without replacement depend on each other, and so would a baseline: baseline none",
        )
        yield (
            self.exclude and self.likelihood > 0,
            "a policy that excludes known positives gives them no likelihood: leave out one of the two",
        )
        yield 0 < known < self.pool, f"a pool of {self.pool} is more than the {known} candidates there are"
        yield self.pool > 0 and own, "a pool is for candidates that all queries share; these have their own"
        yield self.averaged and own, "a cost that queries share is for candidates that they share; these have their own"
        yield (
            self.averaged and not (self.exact and self.whole),
            "a cost that queries share needs the exact gradient and all candidates",
        )

    @property
    def whole(self) -> bool:
        """Whether all candidates are scored."""
        return not self.pool

    @property
    def frozen_players(self) -> Mapping[str, str]:
        return {"start": "policy"} if self.negatives == "frozen" or self.pull > 0 else {}

    def check(self, game: Pieces) -> None:
        check_picks(game)
        if "policy" not in game.generators:
            raise ValueError('this draw plays with a policy: generators={"policy": module}')
        if game.objective.relative and not self.paired:
            raise ValueError(
                "an objective of pairs needs a positive beside what the policy picks: Retrieve(paired=True)"
            )

    def columns(self, role: Role) -> tuple[str, ...]:
        return ("x",)

    def needs(self, role: Role) -> dict[str, Need]:
        pool = {"pool": Need("uniform", (self.pool,))} if self.pool else {}
        if role == "critic":
            frozen = self.negatives == "frozen"
            pool = {name: need._replace(fixed=frozen) for name, need in pool.items()}
            return {**pool, "d": Need("uniform", (self.per_positive,), fixed=frozen)}
        paired = {"positive": Need("uniform", ())} if self.paired else {}
        numbers = self.draws if self.replace else self.pool or self.collection.width
        return {**pool, **paired, **({} if self.exact else {"d": Need("uniform", (numbers,))})}

    def precompute(self, players: Players, batch: Batch, role: Role, price: Price | None) -> dict[str, Tensor]:
        """For the critic the policy's distribution, which is all it reads of it; for the policy what every candidate of
        every query costs."""
        if role == "generator":
            return {} if price is None or self.needs(role) else {"price": price(self._candidates(batch[0], {}))}
        if self.pool:
            return {}
        asked, row = batch[0][:, 0].unique(return_inverse=True)
        # a step for each candidate of each query: in place, as it is the largest table of a game
        ladder = self._negative_law(players, asked, {}).double().cumsum_(1)
        ladder.div_(ladder[:, -1:].clone()).add_(torch.arange(len(asked)).unsqueeze(1))
        return {"row": row, "ladder": ladder.flatten()}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        return self._negatives(players, batch, noise) if role == "critic" else self._picks(players, batch[0], noise)

    # --- the critic's turn ---

    def _negatives(self, players: Players, batch: Batch, noise: Noise) -> Scene:
        query, item = batch[0].split(1, 1)
        if self.pool:
            law = self._negative_law(players, query.squeeze(1), noise)
            pooled = self._items(query.squeeze(1), noise)
            drawn = pooled.gather(1, _picked(law, noise["d"]))
        else:
            known = noise if "ladder" in noise else self.precompute(players, batch, "critic", None)
            row = known["row"].unsqueeze(1)
            place = torch.searchsorted(known["ladder"], row + noise["d"].double(), right=True)
            drawn = (place - row * self.collection.width).clamp(max=self.collection.width - 1)
        pairs = self.collection.pairs
        return Scene(real=pairs(query, item), fake=pairs(query, drawn))

    @torch.no_grad()
    def _negative_law(self, players: Players, query: Tensor, noise: Noise) -> Tensor:
        """The law [b, D] of the critic's negatives."""
        name = {"live": "policy", "frozen": "start"}.get(self.negatives)
        at = self.critic_temperature or self.temperature
        return self._logits(players[name] if name else None, query, noise, at).softmax(1)

    # --- the policy's turn ---

    def _picks(self, players: Players, query: Tensor, noise: Noise) -> Scene:
        logits = self._logits(players["policy"], query, noise, self.temperature)
        real = self._positive(query, noise["positive"]) if self.paired else ()
        if self.exact and not (self.pull or self.likelihood):
            estimate = Expectation(logits.softmax(1), self.averaged)
            return Scene(real, self._candidates(query, noise), estimate=estimate, price=noise.get("price"))
        log_p = logits.log_softmax(1)
        cost = self._own_cost(players, log_p, query, noise)
        if self.exact:
            estimate = Expectation(log_p.exp(), self.averaged)
            return Scene(real, self._candidates(query, noise), (), cost, estimate, noise.get("price"))
        items, drawn = self._drawn(log_p, query, noise)
        return Scene(real, self.collection.pairs(query.unsqueeze(1), items), cost=cost, estimate=drawn)

    def _drawn(self, log_p: Tensor, query: Tensor, noise: Noise) -> tuple[Tensor, ScoreFunction]:
        """The items drawn [b, k], and the estimator that knows how."""
        with torch.no_grad():
            pick, weight = self._proposed(log_p, query, noise)
            p = log_p.exp()
            square = (1 - 2 * p.gather(1, pick) + p.square().sum(1, keepdim=True)) / self.temperature**2
        # what weighs nothing may be impossible, and a logarithm of 0 times 0 is no number
        log_prob = torch.where(weight > 0, log_p.gather(1, pick), 0.0)
        items = self._items(query, noise).expand(len(query), -1).gather(1, pick)
        return items, ScoreFunction(log_prob, weight, self.baseline, square)

    def _proposed(self, log_p: Tensor, query: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """What is drawn [b, k], as columns of log_p, and the weight of each."""
        if not self.replace:
            return _prioritised(log_p, noise["d"], self.draws)
        p = log_p.exp()
        known = self._known(query, noise)
        share = known / known.sum(1, keepdim=True).clamp(min=1)
        lean = self.is_lambda * known.any(1, keepdim=True)  # a query without a positive in sight is drawn from p alone
        proposal = (1 - lean) * p + lean * share
        pick = _picked(proposal, noise["d"])
        return pick, (p / proposal).gather(1, pick)

    def _positive(self, query: Tensor, u: Tensor) -> Batch:
        """One known positive [b, 1] of each query."""
        first, last = self.collection.ends[query], self.collection.ends[query + 1]
        row = torch.minimum(first + (u * (last - first)).long(), last - 1)
        return self.collection.pairs(query.unsqueeze(1), self.collection.positives[row, 1:])

    def _own_cost(self, players: Players, log_p: Tensor, query: Tensor, noise: Noise) -> Tensor | None:
        """What the policy descends besides the critic's cost, [b]."""
        costs = []
        if self.pull:
            with torch.no_grad():
                first = self._logits(players["start"], query, noise, self.temperature).log_softmax(1)
            apart = torch.where(log_p.isfinite() & first.isfinite(), log_p - first, 0.0)
            costs.append(self.pull * (log_p.exp() * apart).sum(1))
        if self.likelihood:
            known = self._known(query, noise) & log_p.isfinite()
            surprise = torch.where(known, -log_p, 0.0).sum(1) / known.sum(1).clamp(min=1)
            costs.append(self.likelihood * surprise)
        return torch.stack(costs).sum(0) if costs else None

    # --- candidates ---

    def _items(self, query: Tensor, noise: Noise) -> Tensor:
        """The numbers of the candidates, [b, m] of a pool or [1, D] of all. A pool is one of each of m parts, whose
        sizes differ by one at the most."""
        width = self.collection.width
        if not self.pool:
            return torch.arange(width).unsqueeze(0)
        ends = torch.arange(self.pool + 1) * width // self.pool
        start, size = ends[:-1], ends.diff()
        return start + torch.minimum((noise["pool"] * size).long(), size - 1)

    def _known(self, query: Tensor, noise: Noise) -> Tensor:
        """Which candidates are known positives, [b, D] or of a pool [b, m]."""
        known = self.collection.known(query)
        return known.gather(1, self._items(query, noise)) if self.pool else known

    def _candidates(self, query: Tensor, noise: Noise) -> Batch:
        if self.pool:
            return self.collection.pairs(query.unsqueeze(1), self._items(query, noise))
        return self.collection.all(query)[0]

    def _logits(self, ranker, query: Tensor, noise: Noise, temperature: float) -> Tensor:
        """g / tau [b, D] of a ranker, or of none, that likes all candidates alike; minus infinity for what is none."""
        mask = None if self.pool else self.collection.all(query)[1]
        logits = ranker(*self._candidates(query, noise)) if ranker else torch.zeros(())
        logits = (logits if temperature == 1 else logits / temperature).expand(
            len(query), self.pool or self.collection.width
        )
        if self.exclude:
            known = self._known(query, noise)
            free = ~known if mask is None else mask & ~known
            whole = torch.ones_like(free) if mask is None else mask
            mask = torch.where(free.any(1, keepdim=True), free, whole)  # one that knows all may pick any
        return logits if mask is None else logits.masked_fill(~mask, -torch.inf)


def _picked(law: Tensor, u: Tensor) -> Tensor:
    """Columns [b, k] of a law [b, D] by inversion of uniform numbers [b, k]."""
    ladder = law.double().cumsum(1)
    return torch.searchsorted(ladder, u.double() * ladder[:, -1:], right=True).clamp(max=law.shape[1] - 1)


def _prioritised(log_p: Tensor, u: Tensor, k: int) -> tuple[Tensor, Tensor]:
    r"""k columns without replacement, and weights that make a mean over them unbiased for an expectation under p.

    The k largest of log p + Gumbel noise; with :math:`\kappa` the largest that was left out, one enters with
    probability :math:`1 - \exp(-\exp(\log p - \kappa))`. Where there are fewer than k, all are drawn, and what fills up
    weighs nothing. Source: Kool et al. 2020, eq. 10; Vieira 2017.
    """
    keys = log_p - (-u.clamp(min=torch.finfo(u.dtype).tiny).log()).log()
    top = keys.topk(k + 1)
    pick, last = top.indices[:, :k], top.values[:, k:]
    drawn = log_p.gather(1, pick)
    entered = -torch.expm1(-(drawn - last).exp())
    return pick, torch.where(drawn.isfinite(), k * drawn.exp() / entered, 0.0)


@dataclass(frozen=True, eq=False)
class Hardest(Draw):
    """(q, d) known to be relevant against the candidate, of a few drawn uniformly among all others, that the critic
    itself scores highest: dynamic negative sampling, a policy that is not learned. One candidate: plain uniform
    negatives (BPR). ``batch`` is pairs [n, 2]. Source: Zhang et al. 2013 (DNS)."""

    collection: Collection
    candidates: Size = 5
    regular: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, game: Pieces) -> None:
        check_picks(game)

    def needs(self, role: Role) -> dict[str, Need]:
        return {"d": Need("uniform", (self.candidates,))} if role == "critic" else {}

    def __call__(self, players: Players, batch: Batch, noise: Noise, role: Role) -> Scene:
        query, item = batch[0].split(1, 1)
        drawn, pairs = self.collection.others(query, noise["d"]), self.collection.pairs
        if self.candidates > 1:
            drawn = drawn.gather(1, self._scores(players["critic"], query, drawn).argmax(1, keepdim=True))
        return Scene(real=pairs(query, item), fake=pairs(query, drawn))

    @torch.no_grad()
    def _scores(self, critic: Callable[..., Tensor], query: Tensor, drawn: Tensor) -> Tensor:
        """Of what was drawn [n, k]: by pairs, or where it is much of all there is from the whole table."""
        asked, row = query.unique(return_inverse=True)
        if drawn.numel() * PRODUCT_SPEEDUP < len(asked) * self.collection.width:
            return critic(*self.collection.pairs(query, drawn))
        table = critic(*self.collection.all(asked)[0])
        return torch.take(table, row * table.shape[1] + drawn)
