r"""The policy gradient.

.. math::
    \nabla_k \, \mathbb{E}_{p}[r] = \mathbb{E}_{d \sim p}\left[ (r_d - b) \, \nabla_k \log p_d \right] = \frac{p_k
    (r_k - \bar{r})}{\tau}

Source: Wang et al. 2017 (IRGAN); Kool et al. 2020, equation 10, for draws without replacement.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .. import draws, metrics, networks, objectives, optimizers
from .. import game as games
from ..data.rankings.collection import Collection
from .law import Check, Evidence, Line, Panel, above, law, near

P = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
F = torch.tensor([1.0, -0.5, 0.3, 0.0], dtype=torch.float64)  # the critic's scores
REWARDS = {"softplus": "minimax", "tanh": "tanh", "log-sigmoid": "non_saturating"}
BASELINES: tuple[draws.Baseline, ...] = ("none", "mean", "optimal")


def prove(fast: bool) -> Evidence:
    variances, bars = _variances(4 if fast else 5)
    flow, curve = _two_steps(150 if fast else 250)
    checks = (*_gradients(), *_estimates(2 if fast else 3), *_distinct_draws(18 if fast else 20), *variances, *flow)
    return checks, (curve, bars)


def _cost(reward: str, f: Tensor) -> Tensor:
    return getattr(objectives, REWARDS[reward]).generator(None, f)


def _formula(cost: Tensor, temperature: float = 1.0) -> Tensor:
    """The gradient of the expected cost by the logits."""
    return P * (cost - (P * cost).sum()) / temperature


def _board(n: int, positive: int = 0) -> Collection:
    """n queries, alike, with four candidates each of which one is known to be relevant."""
    return Collection(n, 4, torch.stack([torch.arange(n), torch.full((n,), positive)], 1))


def _game(reward: str, temperature: float = 1.0, lr: float = 1.0) -> games.Game:
    """One query, and rankers of one number for each candidate."""
    board = _board(1)
    policy, critic = networks.Factorised(0).pair(board)
    return games.Game(
        getattr(objectives, REWARDS[reward]), draws.Retrieve(board, temperature), {"policy": policy}, critic,
        {"critic": optimizers.sgd(lr), "generator": optimizers.sgd(lr)}, batch_size=0,
    )  # fmt: skip


def _state(game: games.Game, logits: Tensor, scores: Tensor):
    state = game.init(0)
    params = state["params"]
    tables = {"policy": {**params["policy"], "bias": logits}, "critic": {**params["critic"], "bias": scores}}
    return {**state, "params": tables}


QUERY = (torch.zeros(1, dtype=torch.long),)


def _gradients() -> tuple[Check, ...]:
    cases = list(itertools.product(REWARDS, (0.2, 1.0, 3.0)))
    found = torch.stack([_gradient(*case) for case in cases])
    truth = torch.stack([_formula(_truth(reward), temperature) for reward, temperature in cases])
    ends = torch.stack([_policy_at(temperature) for temperature in (1e-3, 1e9)])
    return (
        near("exact gradient, and p (c − mean c) / τ", found, truth, 1e-12),
        near("policy when cold, and when hot", ends, torch.stack([torch.eye(4)[0], torch.full((4,), 0.25)]), 1e-8),
    )


def _gradient(reward: str, temperature: float) -> Tensor:
    game = _game(reward, temperature)
    gradients, _ = game.gradient("generator", _state(game, temperature * P.log(), F), QUERY, {})
    return gradients["policy"]["bias"]


def _truth(reward: str) -> Tensor:
    """What a candidate costs, minus its reward, in elementary functions."""
    d = 1 / (1 + (-F).exp())
    return {"softplus": (1 - d).log(), "tanh": 1 - 2 * d, "log-sigmoid": -d.log()}[reward]


def _policy_at(temperature: float) -> Tensor:
    game = _game("softplus", temperature)
    scene = game.scene(_state(game, P.log(), F)["params"], "generator", QUERY, {})
    assert isinstance(scene.estimate, draws.Expectation)
    return scene.estimate.prob[0]


def _enumerate_outcomes(cost: Tensor, k: int, temperature: float = 1.0, **settings) -> tuple[Tensor, Tensor]:
    """How likely each outcome of k draws is, and the gradient [4^k, 4] that it gives."""
    outcomes = torch.tensor(list(itertools.product(range(4), repeat=k)))
    draw = draws.Retrieve(_board(len(outcomes), 3), temperature, exact=False, draws=k, **settings)
    law = (1 - draw.is_lambda) * P + draw.is_lambda * torch.eye(4)[3]
    middle = (law.cumsum(0) - law / 2)[outcomes]
    scene, logits = _deal(draw, middle, temperature)
    if not torch.equal(scene.fake[1], outcomes):  # no assert: the law rests on it
        raise ArithmeticError("the draw does not deal the outcomes that were enumerated")
    return law[outcomes].prod(1), _estimate(scene, logits, cost[outcomes])


def _deal(draw: draws.Retrieve, rng: Tensor, temperature: float = 1.0) -> tuple[draws.Scene, Tensor]:
    """The scene of as many policies as there are dice, all p, and their logits."""
    logits = (temperature * P.log() + 0.3).repeat(len(rng), 1).requires_grad_()
    players = {"policy": lambda query, candidate: logits}
    return draw(players, (torch.arange(len(rng)),), {"d": rng}, "generator"), logits


def _estimate(scene: draws.Scene, logits: Tensor, cost: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(len(logits) * scene.estimate(cost), logits)
    return gradient


def _expected_estimate(cost: Tensor, k: int, temperature: float = 1.0, **settings) -> Tensor:
    likely, gradient = _enumerate_outcomes(cost, k, temperature, **settings)
    return likely @ gradient


def _estimates(most: int) -> tuple[Check, ...]:
    cost = _truth("softplus")
    cases = list(itertools.product(range(1, most + 1), BASELINES, (0.5, 1.0)))
    found = torch.stack([_expected_estimate(cost, k, t, baseline=baseline) for k, baseline, t in cases])
    truth = torch.stack([_formula(cost, t) for _, _, t in cases])
    mixed = torch.stack([_expected_estimate(cost, 2, baseline=baseline, is_lambda=0.4) for baseline in BASELINES])
    return (
        near("expected estimate, whatever the baseline", found, truth, 1e-12),
        near("the same from a mixed proposal", mixed, _formula(cost), 1e-12),
        near("from it without weights, off by", _unweighted_bias(cost), _bias_by_hand(cost), 1e-12),
    )


def _unweighted_bias(cost: Tensor) -> Tensor:
    """How far the mixed proposal's expectation would be off if draws were all worth the same."""
    draw = draws.Retrieve(_board(4, 3), exact=False, draws=1, is_lambda=0.4)
    law = 0.6 * P + 0.4 * torch.eye(4)[3]
    scene, logits = _deal(draw, (law.cumsum(0) - law / 2)[:, None])
    assert isinstance(scene.estimate, draws.ScoreFunction)
    scene = scene._replace(estimate=dataclasses.replace(scene.estimate, weight=1.0))
    return law @ _estimate(scene, logits, cost[:, None]) - _formula(cost)


def _bias_by_hand(cost: Tensor) -> Tensor:
    law = 0.6 * P + 0.4 * torch.eye(4)[3]
    return law * cost - P * (law * cost).sum() - _formula(cost)


def _distinct_draws(powers: int) -> tuple[Check, ...]:
    """Two draws of four, each time from what is left, over an even cover of all dice."""
    rng = torch.quasirandom.SobolEngine(4, scramble=True, seed=0).draw(2**powers, dtype=torch.float64)
    draw = draws.Retrieve(_board(len(rng)), exact=False, draws=2, replace=False, baseline="none")
    with torch.no_grad():
        scene, _ = _deal(draw, rng)
    assert isinstance(scene.estimate, draws.ScoreFunction)
    pick, weight = scene.fake[1], torch.as_tensor(scene.estimate.weight)
    naive = torch.bincount(pick.flatten(), minlength=4) / pick.numel()
    weighed = torch.bincount(pick.flatten(), weight.flatten(), minlength=4) / pick.numel()
    slope = torch.eye(4) - P  # of log p, by the logits
    return (
        near("without replacement: shares of picks", naive, _inclusions() / 2, 1e-4),
        near("and as published", naive, torch.tensor([0.4052, 0.2859, 0.1833, 0.1255]), 1e-4),
        above("a plain mean is off by", ((naive * F) @ slope - _formula(F)).abs().max(), 0.03),
        near("the weighted mean of rewards' slopes", (weighed * F) @ slope, _formula(F), 5e-4),
    )


def _inclusions() -> Tensor:
    found = torch.zeros(4)
    for first, second in itertools.permutations(range(4), 2):
        found[[first, second]] += P[first] * P[second] / (1 - P[first])
    return found


def _variance(cost: Tensor, k: int, baseline: draws.Baseline) -> float:
    """k times the trace of the covariance of an estimate from k draws."""
    likely, gradient = _enumerate_outcomes(cost, k, baseline=baseline)
    return float(k * likely @ (gradient - likely @ gradient).square().sum(1))


def _variance_by_loops(cost: Sequence[float], k: int, baseline: draws.Baseline) -> float:
    """The same by loops over outcomes, from the definition."""
    p = P.tolist()
    square = [1 - 2 * q + sum(r * r for r in p) for q in p]
    second, first = 0.0, [0.0] * 4
    for outcome in itertools.product(range(4), repeat=k):
        chance = math.prod(p[i] for i in outcome)
        advantages = list(_advantages(outcome, cost, square if baseline == "optimal" else [1.0] * 4))
        if baseline == "none":
            advantages = [cost[i] for i in outcome]
        g = [sum(a * ((i == j) - p[j]) for a, i in zip(advantages, outcome, strict=True)) / k for j in range(4)]
        second += chance * sum(x * x for x in g)
        first = [total + chance * x for total, x in zip(first, g, strict=True)]
    return k * (second - sum(x * x for x in first))


def _advantages(outcome: Sequence[int], cost: Sequence[float], share: Sequence[float]) -> Iterator[float]:
    """Of each draw, its cost beyond the weighted mean of the others'."""
    for place, i in enumerate(outcome):
        others = [j for other, j in enumerate(outcome) if other != place]
        yield cost[i] - sum(share[j] * cost[j] for j in others) / sum(share[j] for j in others)


def _variances(k: int) -> tuple[tuple[Check, ...], Panel]:
    cases = list(itertools.product(REWARDS, BASELINES))
    found = torch.tensor([_variance(_cost(reward, F), k, baseline) for reward, baseline in cases])
    truth = torch.tensor([_variance_by_loops(_truth(reward).tolist(), k, baseline) for reward, baseline in cases])
    none, mean, optimal = found.view(3, 3).T
    share = found.view(3, 3) / none[:, None]
    checks = (
        near("variance of an estimate, over all outcomes", found, truth, 1e-12),
        near("one draw against a constant", _constants(), _constants_by_hand(), 1e-12),
        above("softplus reward: none over mean", none[0] / mean[0], 2),
        above("tanh reward: mean over none", mean[1] / none[1], 1.1),
        above("mean over optimal, three rewards", mean / optimal, 1.02),
    )
    lines = tuple(Line(f"baseline: {name}", [1, 2, 3], share[:, i], "bars") for i, name in enumerate(BASELINES))
    return checks, Panel(
        "reward: 1 softplus, 2 tanh, 3 log-sigmoid", "variance / that without baseline", lines, "Noise", low=0
    )


def _constants() -> Tensor:
    """The variance of one draw whose cost is held against 0, the mean and the best constant."""
    return torch.tensor([_variance(_truth("tanh") - b, 1, "none") for b in _baselines()])


def _constants_by_hand() -> Tensor:
    cost, square = _truth("tanh"), 1 - 2 * P + P.square().sum()
    return torch.stack([(P * square * (cost - b) ** 2).sum() for b in _baselines()]) - _formula(cost).square().sum()


def _baselines() -> tuple[float, float, float]:
    cost, square = _truth("tanh"), 1 - 2 * P + P.square().sum()
    return 0.0, float(P @ cost), float((P * square) @ cost / (P @ square))


TRUE = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)


def _two_steps(steps: int) -> tuple[tuple[Check, ...], Panel]:
    logits, apart = _flow(steps)
    jumps = _best_responses(steps)
    seen = [_distance(one.softmax(0)) for one in jumps]
    checks = (
        near("best scores log(p_true / p): the critic's gradient", _critic_gradient(), 0, 1e-12),
        near("policy at the end of small steps, and p_true", logits.softmax(0), TRUE, 1e-5),
        near("its best critic: D", (TRUE.log() - logits.log_softmax(0)).sigmoid(), 0.5, 1e-5),
        above("best responses: least distance to p_true", torch.tensor(seen[1:]), 0.5),
        near("and after how many the policy is back", _period(jumps), 2, 0),
    )
    some = range(0, steps + 1, 5)
    lines = (
        Line("small steps", range(steps + 1), apart),
        Line("best responses", some, [seen[turn] for turn in some], "dots"),
    )
    return checks, Panel("turns of the policy", "total variation to p_true", lines, "One game, two steps", log_y=True)


def _distance(p: Tensor) -> float:
    return metrics.total_variation(p, TRUE)


def _flow(steps: int) -> tuple[Tensor, list[float]]:
    """The policy's turns, each against the best critic of the policy as it stands."""
    game = _game("softplus", lr=2.0)
    logits, apart = torch.tensor([-1.0, 0.5, 0.0, 1.0]), []
    for _ in range(steps):
        apart.append(_distance(logits.softmax(0)))
        state = _state(game, logits, TRUE.log() - logits.log_softmax(0))
        state, _ = game.turn("generator", state, QUERY, {}, (2.0,))
        logits = state["params"]["policy"]["bias"]
    return logits, [*apart, _distance(logits.softmax(0))]


def _best_responses(steps: int) -> list[Tensor]:
    """Logits of policies that put all they can on what costs least under the best critic of the one before."""
    found = [torch.tensor([-1.0, 0.5, 0.0, 1.0])]
    for _ in range(steps):
        cost = _cost("softplus", TRUE.log() - found[-1].log_softmax(0))
        found.append(30 * torch.eye(4)[cost.argmin()])
    return found


def _period(jumps: list[Tensor]) -> int:
    return next(t for t in range(1, len(jumps)) if torch.equal(jumps[-1], jumps[-1 - t]))


def _critic_gradient() -> Tensor:
    """Of a critic with the best scores: ten pairs that are p_true, and fakes whose dice cover p evenly."""
    game = _game("softplus")
    p = torch.tensor([0.2, 0.1, 0.3, 0.4])
    known = torch.repeat_interleave(torch.arange(4), torch.tensor([4, 3, 2, 1]))
    batch = (torch.stack([torch.zeros(10, dtype=torch.long), known], 1),)
    rng = ((torch.arange(10) + 0.5) / 10)[:, None]
    gradients, _ = game.gradient("critic", _state(game, p.log(), (TRUE / p).log()), batch, {"d": rng})
    return gradients["critic"]["bias"].abs()


LAW = law("policy-gradient", __doc__, prove)
