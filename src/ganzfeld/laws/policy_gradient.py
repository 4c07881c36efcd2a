r"""The policy gradient, where samples are picked and not made.

A generator that picks documents from a list has no path for a gradient: a document cannot move a little. The critic's
reward r becomes a weight instead. The gradient of the expected reward by the logit of candidate k is
p (r - mean r) / tau, with tau the temperature of the policy, and a few draws estimate it without bias. A baseline that
does not know the draw changes no expectation, only the noise. Draws from another law need weights p / q, and draws
without replacement need weights of their own. With the best critic log(p_true / p) at every step, the exact gradient
leads the policy to p_true.

That last claim is about small steps. Let both sides take their exact best response in turn, and the policy jumps
between documents for ever: the critic knows which one was just played, and everything else looks better. A large step
of a fast learner does the same in part. Nor does the mean reward always help as a baseline. It removes an offset that
all rewards share; where rewards are centred already it can add noise. The best constant weighs rewards by squared
slopes, and even that, once it has to be estimated from a few other draws, can be worse than none. The theory also takes
p_true as known, while relevance marks are few.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .. import draws, metrics, networks, objectives, optimizers
from .. import game as games
from ..data.rankings.collection import Collection
from .law import Check, Evidence, Law, Line, Panel, above, near, paragraphs

P = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
F = torch.tensor([1.0, -0.5, 0.3, 0.0], dtype=torch.float64)  # the critic's scores
REWARDS = {"softplus": "minimax", "tanh": "tanh", "log-sigmoid": "non_saturating"}
BASELINES: tuple[draws.draw.Baseline, ...] = ("none", "mean", "optimal")


def prove(fast: bool) -> Evidence:
    variances, bars = _variances(4 if fast else 5)
    flow, curve = _tabular(150 if fast else 250)
    checks = (*_exact(), *_sampled(2 if fast else 3), *_without(18 if fast else 20), *variances, *flow)
    return checks, (curve, bars)


def _cost(reward: str, f: Tensor) -> Tensor:
    return getattr(objectives, REWARDS[reward]).generator(None, f)


def _by_hand(cost: Tensor, temperature: float = 1.0) -> Tensor:
    """The gradient of the expected cost by the logits."""
    return P * (cost - (P * cost).sum()) / temperature


# --- the exact gradient, through a game ---


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


def _exact() -> tuple[Check, ...]:
    cases = list(itertools.product(REWARDS, (0.2, 1.0, 3.0)))
    found = torch.stack([_gradient(*case) for case in cases])
    truth = torch.stack([_by_hand(_truth(reward), temperature) for reward, temperature in cases])
    ends = torch.stack([_law(temperature) for temperature in (1e-3, 1e9)])
    return (
        near("exact gradient, and p (c - mean c) / tau", found, truth, 1e-12),
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


def _law(temperature: float) -> Tensor:
    game = _game("softplus", temperature)
    scene = game.scene(_state(game, P.log(), F)["params"], "generator", QUERY, {})
    assert scene.prob is not None
    return scene.prob[0]


# --- the estimate, over all that can be drawn ---


def _enumerated(cost: Tensor, k: int, temperature: float = 1.0, **settings) -> tuple[Tensor, Tensor]:
    """How likely each outcome of k draws is, and the gradient [4^k, 4] that it gives."""
    outcomes = torch.tensor(list(itertools.product(range(4), repeat=k)))
    draw = draws.Retrieve(_board(len(outcomes), 3), temperature, exact=False, draws=k, **settings)
    law = (1 - draw.is_lambda) * P + draw.is_lambda * torch.eye(4)[3]
    middle = (law.cumsum(0) - law / 2)[outcomes]
    scene, logits = _dealt(draw, middle, temperature)
    assert torch.equal(scene.fake[1], outcomes)
    return law[outcomes].prod(1), _estimated(scene, logits, cost[outcomes])


def _dealt(draw: draws.Retrieve, rng: Tensor, temperature: float = 1.0) -> tuple[draws.Scene, Tensor]:
    """The scene of as many policies as there are dice, all p, and their logits."""
    logits = (temperature * P.log() + 0.3).repeat(len(rng), 1).requires_grad_()
    players = {"policy": lambda query, candidate: logits}
    return draw(players, (torch.arange(len(rng)),), {"d": rng}, "generator"), logits


def _estimated(scene: draws.Scene, logits: Tensor, cost: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(len(logits) * games.estimate(cost, scene), logits)
    return gradient


def _expected(cost: Tensor, k: int, temperature: float = 1.0, **settings) -> Tensor:
    likely, gradient = _enumerated(cost, k, temperature, **settings)
    return likely @ gradient


def _sampled(most: int) -> tuple[Check, ...]:
    cost = _truth("softplus")
    cases = list(itertools.product(range(1, most + 1), BASELINES, (0.5, 1.0)))
    found = torch.stack([_expected(cost, k, t, baseline=baseline) for k, baseline, t in cases])
    truth = torch.stack([_by_hand(cost, t) for _, _, t in cases])
    mixed = torch.stack([_expected(cost, 2, baseline=baseline, is_lambda=0.4) for baseline in BASELINES])
    return (
        near("expected estimate, whatever the baseline", found, truth, 1e-12),
        near("the same from a mixed proposal", mixed, _by_hand(cost), 1e-12),
        near("from it without weights, off by", _unweighted(cost), _misled(cost), 1e-12),
    )


def _unweighted(cost: Tensor) -> Tensor:
    """How far the mixed proposal's expectation would be off if draws were all worth the same."""
    draw = draws.Retrieve(_board(4, 3), exact=False, draws=1, is_lambda=0.4)
    law = 0.6 * P + 0.4 * torch.eye(4)[3]
    scene, logits = _dealt(draw, (law.cumsum(0) - law / 2)[:, None])
    return law @ _estimated(scene._replace(weight=1.0), logits, cost[:, None]) - _by_hand(cost)


def _misled(cost: Tensor) -> Tensor:
    law = 0.6 * P + 0.4 * torch.eye(4)[3]
    return law * cost - P * (law * cost).sum() - _by_hand(cost)


# --- without replacement ---


def _without(powers: int) -> tuple[Check, ...]:
    """Two draws of four, each time from what is left, over an even cover of all dice."""
    rng = torch.quasirandom.SobolEngine(4, scramble=True, seed=0).draw(2**powers, dtype=torch.float64)
    draw = draws.Retrieve(_board(len(rng)), exact=False, draws=2, replace=False, baseline="none")
    with torch.no_grad():
        scene, _ = _dealt(draw, rng)
    pick, weight = scene.fake[1], torch.as_tensor(scene.weight)
    naive = torch.bincount(pick.flatten(), minlength=4) / pick.numel()
    weighed = torch.bincount(pick.flatten(), weight.flatten(), minlength=4) / pick.numel()
    slope = torch.eye(4) - P  # of log p, by the logits
    return (
        near("without replacement: shares of picks", naive, _inclusions() / 2, 1e-4),
        near("and as published", naive, torch.tensor([0.4052, 0.2859, 0.1833, 0.1255]), 1e-4),
        above("a plain mean is off by", ((naive * F) @ slope - _by_hand(F)).abs().max(), 0.03),
        near("the weighted mean of rewards' slopes", (weighed * F) @ slope, _by_hand(F), 5e-4),
    )


def _inclusions() -> Tensor:
    found = torch.zeros(4)
    for first, second in itertools.permutations(range(4), 2):
        found[[first, second]] += P[first] * P[second] / (1 - P[first])
    return found


# --- how noisy the estimate is ---


def _variance(cost: Tensor, k: int, baseline: draws.draw.Baseline) -> float:
    """k times the trace of the covariance of an estimate from k draws."""
    likely, gradient = _enumerated(cost, k, baseline=baseline)
    return float(k * likely @ (gradient - likely @ gradient).square().sum(1))


def _written_out(cost: Sequence[float], k: int, baseline: draws.draw.Baseline) -> float:
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
    truth = torch.tensor([_written_out(_truth(reward).tolist(), k, baseline) for reward, baseline in cases])
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
    return torch.tensor([_variance(_truth("tanh") - b, 1, "none") for b in _held()])


def _constants_by_hand() -> Tensor:
    cost, square = _truth("tanh"), 1 - 2 * P + P.square().sum()
    return torch.stack([(P * square * (cost - b) ** 2).sum() for b in _held()]) - _by_hand(cost).square().sum()


def _held() -> tuple[float, float, float]:
    cost, square = _truth("tanh"), 1 - 2 * P + P.square().sum()
    return 0.0, float(P @ cost), float((P * square) @ cost / (P @ square))


# --- the game of tables ---

TRUE = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)


def _tabular(steps: int) -> tuple[tuple[Check, ...], Panel]:
    logits, apart = _flow(steps)
    jumps = _best_responses(steps)
    seen = [_apart(one.softmax(0)) for one in jumps]
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


def _apart(p: Tensor) -> float:
    return metrics.total_variation(p, TRUE)


def _flow(steps: int) -> tuple[Tensor, list[float]]:
    """The policy's turns, each against the best critic of the policy as it stands."""
    game = _game("softplus", lr=2.0)
    logits, apart = torch.tensor([-1.0, 0.5, 0.0, 1.0]), []
    for _ in range(steps):
        apart.append(_apart(logits.softmax(0)))
        state = _state(game, logits, TRUE.log() - logits.log_softmax(0))
        state, _ = game.turn("generator", state, QUERY, {}, (2.0,))
        logits = state["params"]["policy"]["bias"]
    return logits, [*apart, _apart(logits.softmax(0))]


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


LAW = Law(
    name="policy-gradient",
    title="The policy gradient",
    statement="For a policy that picks one of many, p (r - mean r) / tau is the gradient of the expected reward, and "
    "draws estimate it without bias.",
    formula=r"\nabla_k \, \mathbb{E}_{p}[r] = \mathbb{E}_{d \sim p}\left[ (r_d - b) \, \nabla_k \log p_d \right] "
    r"= \frac{p_k (r_k - \bar{r})}{\tau}",
    source="Wang et al. 2017 (IRGAN); Kool et al. 2020, equation 10, for draws without replacement",
    assumes=("the reward holds still while the policy moves", "every candidate has a chance", "small steps"),
    oracle="enumeration of all outcomes in plain loops; closed forms; an even cover of the dice where they are "
    "continuous",
    said="Subtract the mean reward to reduce the variance, it is said. It does so for rewards that share an offset; of "
    "the centred reward 2 (D - 1/2) in this example it more than doubles the variance.",
    caption="Left: exact gradients in small steps lead to p_true, exact best responses never do. Right: the variance "
    "of an estimate under three baselines, which a draw takes from the others, in units of that without one.",
    words=paragraphs(__doc__),
    prove=prove,
)
