"""Retrieval: the policy's gradient by enumeration, what the critic meets, and games equal to plain loops."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import logsigmoid, softplus

import ganzfeld as gz
from ganzfeld import constraints, objectives, tasks
from ganzfeld import engine as engines
from ganzfeld import game as games
from ganzfeld.core import tree
from ganzfeld.core.randomness import NoiseDealer
from ganzfeld.data import Interactions
from ganzfeld.data.rankings.collection import Collection
from ganzfeld.draws import Expectation, Hardest, Retrieve, Scene, ScoreFunction, retrieve
from ganzfeld.networks import Factorised, Featured, ItemItem
from ganzfeld.networks.rankers import Factors
from ganzfeld.papers.build import build
from ganzfeld.runs.plan import StandIn
from ganzfeld.tasks.loading import check_fits

F64 = torch.float64
P = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=F64)
C = torch.tensor([1, -0.5, 0.3, 0], dtype=F64)
RICH = Factorised(3, spread=1.5)


def rng(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed):
    return torch.randn(*shape, dtype=F64, generator=rng(seed))


def uniform(*shape, seed):
    return torch.rand(*shape, dtype=F64, generator=rng(seed))


def collection(rows, width, **known):
    """Of the positives of every query."""
    pairs = [(q, d) for q, held in enumerate(rows) for d in held]
    return Collection(len(rows), width, torch.tensor(pairs, dtype=torch.long).view(-1, 2), **known)


def held(rows, width):
    """What a paper reads of the same."""
    return StandIn((len(rows), width), "interactions", collection(rows, width))


# what pays the policy, by the name of its reward
OBJECTIVES = {
    reward: gz.papers.irgan(held([[0]], 2), RICH, reward=reward).objective
    for reward in gz.papers.irgan.objective.pieces
}


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def gap(a, b):
    return max(float((x - y).abs().max()) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


def tabled(theta, **others):
    """Players whose scores are the entries of tables."""
    tables = {"policy": theta, **others}
    return {name: lambda q, d, t=t: t[q, d] for name, t in tables.items()}


def played_by(draw, theta, noise, **others):
    """The scene of the policy's turn, of all queries."""
    return draw(tabled(theta, **others), (torch.arange(draw.collection.queries),), noise, "generator")


def estimated(scene, **otherwise):
    """The scene with another estimator of its kind."""
    return scene._replace(estimate=dataclasses.replace(scene.estimate, **otherwise))


def exact(p, c, temperature=1.0):
    """The gradient of E c by the logits."""
    return p * (c - (p * c).sum(-1, keepdim=True)) / temperature


# --- the gradient, enumerated ---


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("reward", list(OBJECTIVES))
def test_exact_gradient_is_what_a_candidate_costs_beyond_the_mean(temperature, reward):
    theta, f = normal(3, 6, seed=1).requires_grad_(), 2 * normal(3, 6, seed=2)
    draw = Retrieve(collection([[0], [1], [2]], 6), temperature)
    scene = played_by(draw, theta, {})
    p = (theta.detach() / temperature).softmax(1)
    close(scene.estimate.prob.detach(), p)
    cost = OBJECTIVES[reward].generator(None, f)
    (found,) = torch.autograd.grad(3 * scene.estimate(cost), theta)
    close(found, exact(p, cost, temperature))
    plain = theta.detach().requires_grad_()
    (direct,) = torch.autograd.grad(((plain / temperature).softmax(1) * cost).sum(), plain)
    close(found, direct)
    if reward != "constant":
        assert found.abs().max() > 1e-3
        assert temperature == 1 or (found - exact(p, cost)).abs().max() > 1e-3  # without 1 / temperature
        other = exact(theta.detach().softmax(1), cost)
        assert temperature == 1 or (found - other).abs().max() > 1e-3  # picked at one temperature, taught at another


def enumerated(cost, k, p=P, positives=(0,), temperature=1.0, change=None, **settings):
    """Every outcome of k draws with replacement: how likely it is, and the estimated gradient [D^k, D]."""
    width = len(p)
    outcomes = torch.tensor(list(itertools.product(range(width), repeat=k)))
    draw = Retrieve(collection([positives] * len(outcomes), width), temperature, exact=False, draws=k, **settings)
    lean = draw.is_lambda if positives else 0.0
    law = (1 - lean) * p
    law[list(positives)] += lean / max(1, len(positives))
    middle = (law.cumsum(0) - law / 2)[outcomes]
    theta = (temperature * p.log() + 0.3).expand(len(outcomes), -1).clone().requires_grad_()
    scene = played_by(draw, theta, {"d": middle})
    assert (scene.fake[1] == outcomes).all()
    scene, cost = change(scene, cost[outcomes]) if change else (scene, cost[outcomes])
    (gradient,) = torch.autograd.grad(len(outcomes) * scene.estimate(cost), theta)
    return law[outcomes].prod(1), gradient


def mean(likely, gradient):
    assert float(likely.sum()) == pytest.approx(1, abs=1e-12)
    return likely @ gradient


def trace(likely, gradient):
    """Of the covariance of the estimate."""
    return float(likely @ (gradient - mean(likely, gradient)).square().sum(1))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("baseline", ["none", "mean", "optimal"])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_reinforce_is_unbiased_on_enumerable_items_whatever_the_baseline(k, baseline, temperature):
    found = mean(*enumerated(C, k, baseline=baseline, temperature=temperature))
    close(found, exact(P, C, temperature))
    assert temperature == 1 or (found - exact(P, C)).abs().max() > 0.1


def test_a_baseline_with_the_draw_itself_in_it_shrinks_the_gradient():
    def own(scene, cost):
        return estimated(scene, baseline="none"), cost - cost.mean(1, keepdim=True)

    for k in (2, 3):
        found = mean(*enumerated(C, k, change=own))
        close(found, (1 - 1 / k) * exact(P, C))
        assert (found - exact(P, C)).abs().max() > 0.05


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_draws_at_one_temperature_and_log_p_at_another_are_biased(temperature):
    def untempered(scene, cost):
        theta = scene.estimate.log_prob * temperature  # up to a number for each query, which the softmax takes away
        return estimated(scene, log_prob=theta), cost

    found = mean(*enumerated(C, 1, temperature=temperature, baseline="none", change=untempered))
    assert (found - exact(P, C, temperature)).abs().max() > 0.1


def test_any_constant_leaves_the_expected_gradient_alone():
    for constant in (-3.0, 0.7, 100.0):
        close(mean(*enumerated(C + constant, 2, baseline="none")), exact(P, C), 1e-10)


def reward_traces(f, k, baseline):
    """Of one of the k draws; of softplus, tanh and log-sigmoid."""
    rewards = (OBJECTIVES[name].generator(None, f) for name in ("softplus", "tanh", "log-sigmoid"))
    return [k * trace(*enumerated(cost, k, baseline=baseline)) for cost in rewards]


MISLEADING = torch.tensor([-1.6, 2.3, 2.2, 2.0], dtype=F64)  # the likeliest is the worst


def test_the_optimal_baseline_is_the_best_and_the_mean_is_not_always_better_than_none():
    """Against the closed forms of one draw and a constant: E s (c - b)^2 - |E c grad log p|^2."""
    s = 1 - 2 * P + P.square().sum()
    costs = [OBJECTIVES[name].generator(None, MISLEADING) for name in ("softplus", "tanh", "log-sigmoid")]

    def constant(c, b):
        return float((P * s * (c - b) ** 2).sum() - exact(P, c).square().sum())

    found = {}
    for name, c in zip(("softplus", "tanh", "log-sigmoid"), costs, strict=True):
        best = float((P * s * c).sum() / (P * s).sum())
        found[name] = [constant(c, b) for b in (0.0, float((P * c).sum()), best)]
        for held, b in zip(found[name], (0.0, float((P * c).sum()), best), strict=True):
            assert trace(*enumerated(c - b, 1, baseline="none")) == pytest.approx(held, abs=1e-12)
        assert found[name][2] < min(found[name][:2], default=0) - 1e-3
        assert constant(c, best + 0.1) > found[name][2] < constant(c, best - 0.1)
    assert found["softplus"][0] > 2 * found["softplus"][1]


def test_the_mean_is_worse_than_none_where_rewards_are_centred_already():
    f = torch.tensor([-1.6, 2.3, 2.3, 2.3], dtype=F64)
    for k in (2, 4):
        none, other = reward_traces(f, k, "none"), reward_traces(f, k, "mean")
        assert other[0] < none[0]
        assert other[1] > none[1]
    many = [reward_traces(f, 4, baseline) for baseline in ("mean", "optimal")]
    assert all(best < plain for plain, best in zip(*many, strict=True))


def test_square_is_the_squared_norm_of_the_gradient_of_log_p():
    theta, temperature = normal(2, 5, seed=3), 0.4
    draw = Retrieve(collection([[0], [1]], 5), temperature, exact=False, draws=7)
    scene = played_by(draw, theta, {"d": uniform(2, 7, seed=4)})
    for q, j in itertools.product(range(2), range(7)):
        by = torch.func.grad(lambda t, d=scene.fake[1][q, j]: (t / temperature).log_softmax(0)[d])(theta[q])
        assert float(scene.estimate.square[q, j]) == pytest.approx(float(by.square().sum()), abs=1e-12)


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_a_draw_is_held_against_the_others_of_its_query_alone(baseline):
    """The optimal one weighs them by w^2 s."""
    cost, weight, square = normal(3, 4, seed=25), *(0.1 + uniform(2, 3, 4, seed=26))
    log_prob = normal(3, 4, seed=27)
    scene = Scene((), (), estimate=ScoreFunction(log_prob, weight, baseline, square))
    total = 0.0
    for q, j in itertools.product(range(3), range(4)):
        others = [i for i in range(4) if i != j]
        share = weight[q] ** 2 * square[q] if baseline == "optimal" else torch.ones(4, dtype=F64)
        held = (share * cost[q])[others].sum() / share[others].sum()
        total += float(weight[q, j] * (cost[q, j] - held) * log_prob[q, j]) / 12
    assert float(scene.estimate(cost)) == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("positives", [(3,), (1, 3), ()])
@pytest.mark.parametrize(("k", "baseline"), [(1, "none"), (2, "mean"), (2, "optimal"), (3, "optimal")])
def test_proposal_sums_to_one_and_its_weights_leave_no_bias(positives, k, baseline):
    settings = {"positives": positives, "is_lambda": 0.4, "baseline": baseline}
    likely, gradient = enumerated(C, k, **settings)
    close(mean(likely, gradient), exact(P, C), 1e-7)  # the proposal's share is in single precision
    bare = mean(*enumerated(C, k, **settings, change=lambda scene, cost: (estimated(scene, weight=1.0), cost)))
    assert not positives or (bare - exact(P, C)).abs().max() > 0.02


# --- without replacement ---


def inclusions(p, k):
    """How likely each is among k drawn one after the other, each time from what is left."""
    found = torch.zeros_like(p)
    for order in itertools.permutations(range(len(p)), k):
        left, chance = 1.0, 1.0
        for d in order:
            chance *= float(p[d]) / left
            left -= float(p[d])
        found[list(order)] += chance
    return found


def test_naive_mean_without_replacement_is_biased():
    close(inclusions(P, 2) / 2, torch.tensor([0.4052, 0.2859, 0.1833, 0.1255], dtype=F64), 1e-4)
    naive = (inclusions(P, 2) / 2 * C) @ (torch.eye(4, dtype=F64) - P)
    assert float(naive[0]) == pytest.approx(0.2466, abs=1e-4)
    assert float(exact(P, C)[0]) == pytest.approx(0.29, abs=1e-12)


N = 200_000


def z_scores(sample, expected):
    return (sample.mean(0) - expected) / (sample.std(0) / math.sqrt(len(sample)))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_priority_weights_are_unbiased_and_its_picks_are_draws_from_what_is_left(k):
    pick, weight = retrieve._prioritised(P.log().expand(N, 4), uniform(N, 4, seed=k), k)
    assert (pick.sort(1).values.diff(dim=1) > 0).all()
    taken = torch.zeros(N, 4, dtype=F64).scatter(1, pick, 1.0)
    assert z_scores(taken, inclusions(P, k)).abs().max() < 4.5
    assert k == 1 or z_scores(taken, k * P).abs().max() > 50
    weighted = torch.zeros(N, 4, dtype=F64).scatter(1, pick, weight / k)
    assert z_scores(weighted, P).abs().max() < 4.5
    first = torch.bincount(pick[:, 0], minlength=4)  # the largest key is a draw from p
    assert stats.chisquare(first.numpy(), N * P.numpy()).pvalue > 1e-5


def without_replacement(baseline, k=2, change=None):
    draw = Retrieve(collection([[0]] * N, 4), exact=False, draws=k, replace=False, baseline=baseline)
    theta = P.log().expand(N, 4).clone().requires_grad_()
    scene = played_by(draw, theta, {"d": uniform(N, 4, seed=5)})
    scene = change(scene) if change else scene
    (gradient,) = torch.autograd.grad(N * scene.estimate(C[scene.fake[1]]), theta)
    return gradient


def test_draws_without_replacement_are_unbiased_with_their_weights_alone():
    assert z_scores(without_replacement("none"), exact(P, C)).abs().max() < 4.5
    bare = without_replacement("none", change=lambda scene: estimated(scene, weight=1.0))
    naive = (inclusions(P, 2) / 2 * C) @ (torch.eye(4, dtype=F64) - P)
    assert z_scores(bare, naive).abs().max() < 4.5
    assert z_scores(bare, exact(P, C)).abs().max() > 20


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_a_baseline_of_draws_without_replacement_would_bias_them_and_is_refused(baseline):
    with pytest.raises(ValueError, match="baseline none"):
        without_replacement(baseline)
    biased = without_replacement("none", change=lambda scene: estimated(scene, baseline=baseline))
    assert z_scores(biased, exact(P, C)).abs().max() > 20


def test_a_query_of_fewer_candidates_than_draws_has_finite_weights():
    log_p = torch.tensor([[0.5, 0.5, 0, 0, 0]]).log()
    _, weight = retrieve._prioritised(log_p, torch.rand(1, 5, generator=rng(0)), 3)
    assert weight.isfinite().all()
    assert float(weight.sum()) == pytest.approx(3)


# --- temperature, rewards, large scores ---


def test_policy_is_one_hot_when_cold_and_uniform_when_hot():
    theta, rows = normal(3, 7, seed=6), collection([[0], [1], [2]], 7)
    cold = played_by(Retrieve(rows, 1e-4), theta, {}).estimate.prob
    close(cold, torch.eye(7, dtype=F64)[theta.argmax(1)])
    hot = played_by(Retrieve(rows, 1e9), theta, {}).estimate.prob
    close(hot, torch.full_like(hot, 1 / 7), 1e-8)
    assert (played_by(Retrieve(rows, 1.0), theta, {}).estimate.prob - hot).abs().max() > 0.1


def test_rewards_have_their_forms_and_ranges():
    f = torch.linspace(-30, 30, 6_001, dtype=F64)
    reward = {name: -OBJECTIVES[name].generator(None, f) for name in OBJECTIVES}
    inner = f.abs() < 15  # where the naive form has digits left
    close(reward["softplus"][inner], -(1 - f.sigmoid()).log()[inner], 1e-9)
    close(reward["softplus"], f.exp().log1p())
    close(reward["tanh"], 2 * (f.sigmoid() - 0.5))
    close(reward["log-sigmoid"], -(-f).exp().log1p())
    assert (reward["softplus"] > 0).all() and reward["softplus"].max() > 29
    assert (reward["tanh"].abs() < 1).all() and reward["tanh"].min() < 0 < reward["tanh"].max()
    assert (reward["log-sigmoid"] < 0).all() and reward["log-sigmoid"].min() < -29
    assert (reward["constant"] == 1).all()
    assert all((reward[name].diff() > 0).all() for name in ("softplus", "tanh", "log-sigmoid"))
    pairs = -objectives.relativistic_tanh.generator(f.flip(0), f)
    close(pairs, torch.tanh((f - f.flip(0)) / 2))
    close(-objectives.relativistic.generator(f.flip(0), f), logsigmoid(f - f.flip(0)))


@pytest.mark.parametrize("settings", [{}, {"exact": False, "draws": 4}, {"exact": False, "draws": 3, "replace": False}])
@pytest.mark.parametrize("reward", list(OBJECTIVES))
def test_huge_scores_overflow_nowhere(settings, reward):
    theta = (1e4 * torch.randn(3, 6, generator=rng(7))).requires_grad_()
    assert not (theta / 0.2).exp().isfinite().all()  # as it is often written
    draw = Retrieve(collection([[0], [1], [2]], 6), 0.2, baseline="none", **settings)
    scene = played_by(draw, theta, {"d": torch.rand(3, 6, generator=rng(8))[:, : None if "replace" in settings else 4]})
    cost = OBJECTIVES[reward].generator(None, 1e4 * torch.randn(3, 6, generator=rng(9)))
    cost = cost if isinstance(scene.estimate, Expectation) else cost.gather(1, scene.fake[1])
    value = scene.estimate(cost)
    assert value.isfinite() and torch.autograd.grad(value, theta)[0].isfinite().all()


# --- the tabular game ---


def table_turn(theta, temperature=1.0):
    """The policy [D], and the critic that answers it best; then how the policy's cost changes with the logits."""
    theta = theta.detach().requires_grad_()
    draw = Retrieve(collection([[0]], 4), temperature)
    scene = played_by(draw, theta.unsqueeze(0), {})
    f = (P.log() - scene.estimate.prob.log()).detach()
    cost = objectives.minimax.generator(None, f)
    return scene.estimate.prob[0].detach(), f[0], torch.autograd.grad(scene.estimate(cost), theta)[0]


def test_policy_against_the_optimal_critic_flows_to_the_truth():
    theta = torch.tensor([-1.0, 0.5, 1.0, 0.0], dtype=F64)
    start = table_turn(theta)[0]
    for _ in range(400):
        theta = theta - 4 * table_turn(theta)[2]
    p, f, _ = table_turn(theta)
    close(p, P, 1e-8)
    close(f.sigmoid(), torch.full_like(f, 0.5), 1e-8)
    assert (start - P).abs().max() > 0.2
    away = torch.tensor([-1.0, 0.5, 1.0, 0.0], dtype=F64)
    for _ in range(50):
        away = away + 4 * table_turn(away)[2]  # the other sign
    assert (table_turn(away)[0] - P).abs().max() > 0.3


def test_best_responses_in_turn_cycle_for_ever():
    theta, picked = torch.zeros(4, dtype=F64), []
    for _ in range(60):
        f = table_turn(theta, 0.05)[1]
        theta = torch.eye(4, dtype=F64)[f.argmax()]  # all on what the critic likes best
        picked.append(int(f.argmax()))
        assert (table_turn(theta, 0.05)[0] - P).abs().sum() > 0.9
    assert all(a != b for a, b in itertools.pairwise(picked))
    assert picked[-2:] * 10 == picked[-20:]


# --- what the critic meets ---


def negatives(draw, batch, u, **players):
    scene = draw(players, (batch,), u if isinstance(u, dict) else {"d": u}, "critic")
    query, item = batch.T.unsqueeze(2)
    assert (scene.real[0] == query).all() and (scene.real[1] == item).all()
    return scene.fake[1]


def frequencies(draw, batch, players, grid=20_000):
    """What is picked by numbers that lie evenly: its law, up to two over their number."""
    u = ((torch.arange(grid, dtype=F64) + 0.5) / grid).expand(len(batch), -1)
    picked = negatives(draw, batch, u, **players)
    return torch.stack([torch.bincount(row, minlength=draw.collection.width) for row in picked]) / grid


ROWS, WIDTH = [[0, 3], [1, 2, 6], [5], [0, 4, 5]], 8


@pytest.mark.parametrize(("temperature", "critic_temperature"), [(1.0, None), (0.5, None), (1.0, 0.2), (0.2, 2.0)])
def test_negatives_follow_the_policys_softmax_at_the_critics_temperature(temperature, critic_temperature):
    rows, theta = collection(ROWS, WIDTH), normal(4, WIDTH, seed=10)
    draw = Retrieve(rows, temperature, critic_temperature)
    found = frequencies(draw, rows.positives, tabled(theta))
    asked = rows.positives[:, 0]
    close(found.double(), (theta / (critic_temperature or temperature)).softmax(1)[asked], 2e-4)
    if critic_temperature:
        assert (found - (theta / temperature).softmax(1)[asked]).abs().max() > 0.05
    assert (found - theta.softmax(1).roll(1, 0)[asked]).abs().max() > 0.05  # another query's
    assert (played_by(draw, theta, {}).estimate.prob - (theta / temperature).softmax(1)).abs().max() < 1e-12


def test_dealt_negatives_pass_a_chi_square_and_another_law_does_not():
    rows, theta = collection(ROWS, WIDTH), normal(4, WIDTH, seed=10)
    draw = Retrieve(rows, per_positive=5)
    dealer = NoiseDealer({"critic": draw.needs("critic")}, [0], len(rows.positives), len(rows.positives), whole=True)
    noise = dealer.noise("critic", 0, 2_000)["d"][0]
    counts = torch.zeros(4, WIDTH)
    for u in noise:
        picked = negatives(draw, rows.positives, u, **tabled(theta))
        counts.index_put_((rows.positives[:, :1].expand_as(picked), picked), torch.ones(1), accumulate=True)
    law = theta.softmax(1)
    for q in range(4):
        n = float(counts[q].sum())
        assert stats.chisquare(counts[q].numpy(), n * law[q].numpy(), sum_check=False).pvalue > 1e-4
        wrong = (theta[q] / 0.8).softmax(0).numpy()
        assert stats.chisquare(counts[q].numpy(), n * wrong, sum_check=False).pvalue < 1e-6


@pytest.mark.parametrize("exclude", [False, True])
def test_uniform_negatives_ask_nobody(exclude):
    rows = collection([*ROWS[:3], list(range(WIDTH))], WIDTH)
    found = frequencies(Retrieve(rows, negatives="uniform", exclude=exclude), rows.positives, {})
    for (q, _), row in zip(rows.positives.tolist(), found, strict=True):
        free = [d for d in range(WIDTH) if not exclude or q == 3 or d not in ROWS[q]]
        even = torch.zeros(WIDTH)
        even[free] = 1 / len(free)
        close(row, even, 2e-4)


def test_known_positives_are_never_picked_where_they_are_excluded():
    """By neither player, unless all are known; else the softmax of the rest."""
    known = [*ROWS[:3], list(range(WIDTH))]
    rows, theta = collection(known, WIDTH), normal(4, WIDTH, seed=11)
    draw = Retrieve(rows, exclude=True)
    p = theta.exp()
    for q in range(3):
        p[q, known[q]] = 0
    p = p / p.sum(1, keepdim=True)
    close(frequencies(draw, rows.positives, tabled(theta)).double(), p[rows.positives[:, 0]], 2e-4)
    leaf = theta.clone().requires_grad_()
    scene = played_by(draw, leaf, {})
    close(scene.estimate.prob.detach(), p)
    (gradient,) = torch.autograd.grad(4 * scene.estimate(theta.sin()), leaf)
    close(gradient, exact(p, theta.sin()))
    sampled = played_by(dataclasses.replace(draw, exact=False, draws=500), theta, {"d": uniform(4, 500, seed=12)})
    for q in range(3):
        assert not set(sampled.fake[1][q].tolist()) & set(known[q])
    assert sampled.estimate.log_prob.isfinite().all()
    open_ = frequencies(Retrieve(rows), rows.positives, tabled(theta))
    assert all(float(open_[i, known[q]].min()) > 0 for i, q in enumerate(rows.positives[:, 0].tolist()))


def test_a_proposal_that_looks_at_excluded_positives_has_a_finite_cost():
    draw = Retrieve(collection(ROWS, WIDTH), exact=False, draws=20, is_lambda=0.5, exclude=True)
    scene = played_by(draw, normal(4, WIDTH, seed=11), {"d": uniform(4, 20, seed=12)})
    assert scene.estimate(uniform(4, 20, seed=13)).isfinite()


@pytest.mark.parametrize("whole", [True, False])
def test_every_positive_has_its_own_negatives(whole):
    rows = collection(ROWS, WIDTH)
    draw = Retrieve(rows, per_positive=3, pool=0 if whole else 4)
    assert draw.needs("critic")["d"].shape == (3,)
    noise = {name: uniform(len(rows.positives), *need.shape, seed=i)
             for i, (name, need) in enumerate(draw.needs("critic").items())}  # fmt: skip
    scene = draw(tabled(normal(4, WIDTH, seed=1)), (rows.positives,), noise, "critic")
    assert scene.fake[1].shape == (len(rows.positives), 3)
    assert scene.real[1].shape == (len(rows.positives), 1)
    assert len(set(map(tuple, scene.fake[1].tolist()))) > 3
    again = draw(tabled(normal(4, WIDTH, seed=1)), (rows.positives,), noise, "critic")
    assert (again.fake[1] == scene.fake[1]).all()


@pytest.mark.parametrize("exclude", [False, True])
def test_policy_is_confined_to_its_pool(exclude):
    rows = collection([[q % 12] for q in range(300)], 12)
    draw, theta = Retrieve(rows, 0.7, pool=4, exclude=exclude), normal(300, 12, seed=14).requires_grad_()
    u = uniform(300, 4, seed=15)
    scene = played_by(draw, theta, {"pool": u})
    items = scene.fake[1]
    assert (items == torch.arange(4) * 3 + (3 * u).long()).all()
    assert set(items.flatten().tolist()) == set(range(12))
    assert (items.diff(dim=1) > 0).all()
    logits = theta.gather(1, items) / 0.7
    if exclude:
        logits = logits.masked_fill(items == rows.positives[:, 1:], -math.inf)
    close(scene.estimate.prob, logits.softmax(1))
    cost = normal(300, 4, seed=16)
    (gradient,) = torch.autograd.grad(300 * scene.estimate(cost), theta)
    expected = torch.zeros(300, 12, dtype=F64).scatter(1, items, exact(scene.estimate.prob.detach(), cost, 0.7))
    close(gradient, expected)
    batch = rows.positives
    seen = negatives(draw, batch, {"pool": u, "d": uniform(300, 5, seed=17)}, **tabled(theta))
    assert (seen.unsqueeze(2) == items.unsqueeze(1)).any(2).all()
    assert not exclude or (seen != batch[:, 1:]).all()
    even = Retrieve(rows, pool=4, negatives="uniform")
    seen = negatives(even, batch, {"pool": u, "d": torch.linspace(0.1, 0.9, 4).expand(300, 4)})
    assert (seen == items).all()


@pytest.mark.parametrize("pool", [5, 4, 12])
def test_a_pool_holds_nothing_twice(pool):
    rows = collection([[0]] * 2_000, 12)
    items = played_by(Retrieve(rows, pool=pool), torch.zeros(2_000, 12), {"pool": torch.rand(2_000, pool)}).fake[1]
    assert items.min() == 0 and items.max() == 11
    assert (items.sort(1).values.diff(dim=1) > 0).all()


def test_what_is_known_of_a_query_is_known_wherever_it_is_asked():
    rows = collection(ROWS, WIDTH)
    query = torch.tensor([1, 0, 1, 3])
    assert (rows.known(query) == torch.stack([rows.known(q.view(1))[0] for q in query])).all()


def test_excluded_positives_of_a_pool_are_never_negatives():
    rows = collection(ROWS, WIDTH)
    draw = Retrieve(rows, pool=8, exclude=True)
    noise = {"pool": torch.full((len(rows.positives), 8), 0.5), "d": uniform(len(rows.positives), 50, seed=1)}
    picked = negatives(draw, rows.positives, noise, **tabled(normal(4, WIDTH, seed=2)))
    for (q, _), row in zip(rows.positives.tolist(), picked.tolist(), strict=True):
        assert not set(row) & set(ROWS[q])


# --- a collection ---


def documents(sizes=(3, 5, 2, 4), positives=((1,), (0, 4), (1,), (0, 2)), seed=20):
    """Lists of different lengths, with features; in single precision, as they are read."""
    width = max(sizes)
    candidates = torch.arange(width) < torch.tensor(sizes).unsqueeze(1)
    features = torch.randn(len(sizes), width, 3, generator=rng(seed)) * candidates.unsqueeze(2)
    return collection(positives, width, features=features, candidates=candidates)


@pytest.mark.parametrize("ragged", [False, True])
def test_others_are_exactly_uniform_on_what_is_not_known_to_be_relevant(ragged):
    rows = documents() if ragged else collection([[0, 3], [1, 2, 6], [], [7], list(range(7)), [0, 1, 2, 3]], 8)
    everything = rows.candidates if ragged else torch.ones(rows.queries, 8, dtype=torch.bool)
    free = everything & ~rows.known(torch.arange(rows.queries))
    many = math.lcm(*free.sum(1).tolist())
    u = (torch.arange(many, dtype=F64) + 0.5) / many
    query = torch.arange(rows.queries).flip(0).unsqueeze(1)
    found = rows.others(query, u.expand(rows.queries, -1))
    for q, row in zip(query.flatten().tolist(), found, strict=True):
        counts = torch.bincount(row, minlength=rows.width)
        assert counts.tolist() == (free[q] * (many // int(free[q].sum()))).tolist()
    edges = rows.others(query, torch.tensor([0.0, 1 - 2**-24, 1.0]).expand(rows.queries, 3))
    for q, (low, high, over) in zip(query.flatten().tolist(), edges.tolist(), strict=True):
        assert [low, high, over] == [free[q].nonzero().min(), free[q].nonzero().max(), free[q].nonzero().max()]


def test_a_collection_knows_its_pairs():
    rows, ragged = collection(ROWS, WIDTH), documents()
    assert rows.ends.tolist() == [0, 2, 5, 6, 9]
    query = torch.tensor([2, 0])
    assert [row.nonzero().flatten().tolist() for row in rows.known(query)] == [ROWS[2], ROWS[0]]
    assert [x.tolist() for x in rows.pairs(query, query + 1)] == [[2, 0], [3, 1]]
    (asked, every), mask = rows.all(query)
    assert asked.tolist() == [[2], [0]] and every.tolist() == [list(range(WIDTH))] and mask is None
    (features,), mask = ragged.all(query)
    assert (features == ragged.features[query]).all() and mask.sum(1).tolist() == [2, 3]
    (one,) = ragged.pairs(torch.tensor([[1]]), torch.tensor([[4, 0]]))
    assert (one[0] == ragged.features[1, [4, 0]]).all()
    assert rows.side("critic").rows == 9 and (rows.side("critic").take(torch.tensor([8])) == torch.tensor([3, 5])).all()
    some = collection([[], [3], [], [0, 1]], 4)
    assert some.side("generator").entries.tolist() == [1, 3]


def test_a_known_positive_is_drawn_evenly_from_those_of_its_query():
    rows = collection([[0, 3], [], [1, 2, 6], [5]], WIDTH)
    draw = Retrieve(rows, paired=True)
    asked = torch.tensor([2, 0, 3])
    found = [draw._positive(asked, torch.full((3,), u)) for u in ((torch.arange(6) + 0.5) / 6).tolist() + [1.0]]
    assert all((q == asked.unsqueeze(1)).all() for q, _ in found)
    assert [[int(d[i]) for _, d in found] for i in range(3)] == [
        [1, 1, 2, 2, 6, 6, 6], [0, 0, 0, 3, 3, 3, 3], [5] * 7
    ]  # fmt: skip


# --- dynamic negative sampling ---


@pytest.mark.parametrize("candidates", [1, 2, 5])
@pytest.mark.parametrize("shared", [True, False])
def test_the_hardest_is_what_the_critic_likes_best_of_what_was_drawn(candidates, shared, monkeypatch):
    rows = collection(ROWS, WIDTH) if shared else documents()
    batch = rows.positives.repeat(2, 1)
    table = normal(rows.queries, rows.width, seed=21)
    scores = (lambda q, d: table[q, d]) if shared else (lambda x: x.sin().sum(-1))
    u = uniform(len(batch), candidates, seed=22)
    found = {}
    for way, few in (("pairs", 0), ("table", 10**9)):
        monkeypatch.setattr(retrieve, "PRODUCT_SPEEDUP", few)
        found[way] = Hardest(rows, candidates)({"critic": scores}, (batch,), {"d": u}, "critic").fake
    for a, b in zip(*found.values(), strict=True):
        assert (a == b).all()
    for row, (q, _) in enumerate(batch.tolist()):
        known = [d for p, d in rows.positives.tolist() if p == q]
        free = [d for d in range(rows.width) if d not in known and (shared or rows.candidates[q, d])]
        drawn = [free[int(x * len(free))] for x in u[row]]
        liked = [float(scores(*rows.pairs(torch.tensor(q), torch.tensor(d)))) for d in drawn]
        best = drawn[int(np.argmax(liked))]
        assert (found["pairs"][-1][row] == (best if shared else rows.features[q, best])).all()


def test_an_item_says_nothing_of_itself():
    items = ItemItem().pair(collection(ROWS, WIDTH))[0].double()
    w, (q, d) = normal(WIDTH, WIDTH, seed=23), torch.tensor(list(itertools.product(range(4), range(WIDTH)))).T
    expected = torch.stack([sum(w[j, d] for j in ROWS[q] if j != d) + 0 * w[0, 0] for q, d in zip(q, d, strict=True)])
    every = torch.arange(WIDTH).unsqueeze(0)
    table = torch.func.functional_call(items, {"weight": w}, (torch.arange(4).unsqueeze(1), every))
    close(table.flatten(), expected)
    close(torch.func.functional_call(items, {"weight": w}, (q, d)), expected)


def test_item_item_rankers_find_the_same_hardest_by_pairs_and_by_table(monkeypatch):
    data = held(ROWS, WIDTH)
    game = gz.papers.dns(data, ItemItem(), candidates=3)
    params = {"critic": {"weight": torch.randn(WIDTH, WIDTH, generator=rng(1))}}
    batch, u = data.collection.positives, torch.rand(9, 3, generator=rng(2))
    found = []
    for few in (0, 10**9):
        monkeypatch.setattr(retrieve, "PRODUCT_SPEEDUP", few)
        found.append(game.scene(params, "critic", (batch,), {"d": u}).fake[1])
    others = data.collection.others(batch[:, :1], u)
    for row, (q, _) in enumerate(batch.tolist()):
        scores = [sum(float(params["critic"]["weight"][j, d]) for j in ROWS[q] if j != d) for d in others[row].tolist()]
        assert found[0][row] == found[1][row] == others[row, int(np.argmax(scores))]
    assert (found[0] != others[:, :1]).any()


def test_a_user_who_has_everything_is_refused_or_played_around():
    data = held([[0, 1, 2], [0]], 3)
    try:
        game = gz.papers.dns(data, RICH)
    except ValueError:
        return
    engine = engines.Engine(game, data.collection, [0], steps=8)
    engine.start()
    engine.advance(0, 8)
    assert tree.finite(engine.states()[0])


# --- decay ---


@pytest.mark.parametrize("per_positive", [1, 3])
def test_decay_holds_every_pair_back_as_often_as_it_is_seen(per_positive):
    w = {"user": normal(4, 2, seed=30), "item": normal(WIDTH, 2, seed=31), "bias": normal(WIDTH, seed=32)}
    query = torch.tensor([[0], [0], [2]])
    real, fake = (query, torch.tensor([[3], [0], [5]])), (query, torch.arange(3 * per_positive).view(3, -1) % WIDTH)

    def by_pairs(side, bias=True):
        pairs = [(int(q), int(d)) for q, row in zip(side[0], side[1], strict=True) for d in row]
        squares = [
            w["user"][q].square().sum() + w["item"][d].square().sum() + bias * w["bias"][d] ** 2 for q, d in pairs
        ]
        return sum(squares) / len(pairs)

    turn = constraints.CriticTurn(None, w, real, fake)
    found = constraints.Decay(0.3).penalty(turn)
    close(found, 0.3 / 2 * (by_pairs(real) + by_pairs(fake)))
    assert (found - 0.3 / 2 * by_pairs(real)).abs() > 0.1
    assert (found - 0.3 / 2 * (by_pairs(real, False) + by_pairs(fake, False))).abs() > 0.01
    every = 0.3 / 2 * sum(p.square().sum() for p in w.values())
    close(constraints.Decay(0.3, even=True).penalty(turn), every)
    del w["item"]
    close(constraints.Decay(0.3).penalty(turn), 0.3 / 2 * sum(p.square().sum() for p in w.values()))


# --- whole games against a plain loop ---


TURNS = ("critic", "critic", "generator", "generator", "critic", "generator")


class Plain:
    """The same games pair by pair and query by query, by autograd and ``torch.optim``."""

    def __init__(
        self, params, rule, rates, *, reward="tanh", paired=False, critic_decay=0.03, temperature=1.0,
        critic_temperature=None, exact=True, draws=3, baseline="mean", is_lambda=0.0, per_positive=1,
        negatives="live", exclude=False, averaged=False, pull=0.0, likelihood=0.0, bias_only=False, candidates=0,
    ):  # fmt: skip
        self.__dict__.update({name: value for name, value in locals().items() if name not in ("self", "params")})
        self.w = {name: {n: p.clone().requires_grad_() for n, p in own.items()} for name, own in params.items()}
        self.first = {n: p.clone() for n, p in params.get("policy", {}).items()}
        make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule]
        self.optim = {name: make(self.w[name].values(), lr=rates[name]) for name in self.w}

    def scores(self, w, q):
        user, item = (w["user"].detach(), w["item"].detach()) if self.bias_only and w is not self.w["critic"] else (
            w["user"], w["item"])  # fmt: skip
        return torch.stack([torch.dot(user[q], item[d]) + w["bias"][d] for d in range(WIDTH)])

    def law(self, w, q, temperature):
        barred = ROWS[q] if self.exclude else []
        weights = [torch.exp(s / temperature) * (d not in barred) for d, s in enumerate(self.scores(w, q))]
        return torch.stack(weights) / sum(weights)

    @staticmethod
    def picked(p, u):
        return next(d for d in range(WIDTH) if p[: d + 1].sum().item() > u)

    def step(self, name, loss):
        self.optim[name].zero_grad()
        loss.backward()
        self.optim[name].step()

    def drawn(self, q, u):
        if self.candidates:
            free = [d for d in range(WIDTH) if d not in ROWS[q]]
            met = [free[int(x * len(free))] for x in u]
            f = self.scores(self.w["critic"], q)
            return [max(met, key=lambda d: f[d].item())]
        if self.negatives == "uniform":
            p = torch.full((WIDTH,), 1 / WIDTH, dtype=F64)
        else:
            by = self.first if self.negatives == "frozen" else self.w["policy"]
            p = self.law(by, q, self.critic_temperature or self.temperature).detach()
        return [self.picked(p, x) for x in u]

    def critic(self, batch, noise):
        w, losses, real, fake = self.w["critic"], [], [], []

        def square(q, d):
            return w["user"][q].square().sum() + w["item"][d].square().sum() + w["bias"][d] ** 2

        for (q, i), u in zip(batch.tolist(), noise["d"].tolist(), strict=True):
            f = self.scores(w, q)
            real.append(square(q, i))
            for d in self.drawn(q, u):
                losses.append(softplus(f[d] - f[i]) if self.paired else softplus(-f[i]) + softplus(f[d]))
                fake.append(square(q, d))
        decay = self.critic_decay / 2 * (sum(real) / len(real) + sum(fake) / len(fake))
        self.step("critic", sum(losses) / len(losses) + decay)

    def rewards(self, q, positive):
        with torch.no_grad():
            f = self.scores(self.w["critic"], q)
        x = f - f[positive] if self.paired else f
        forms = {"tanh": lambda x: 2 * x.sigmoid() - 1, "softplus": softplus, "log-sigmoid": logsigmoid}
        return forms[self.reward](x)

    def policy(self, batch, noise):
        w, losses, queries = self.w["policy"], [], batch.tolist()
        positive = [
            ROWS[q][int(u * len(ROWS[q]))]
            for q, u in zip(queries, noise.get("positive", [0.0] * len(queries)), strict=True)
        ]
        rewards = [self.rewards(q, i) for q, i in zip(queries, positive, strict=True)]
        if self.averaged:
            rewards = [sum(rewards) / len(rewards)] * len(rewards)
        for row, (q, r) in enumerate(zip(queries, rewards, strict=True)):
            p = self.law(w, q, self.temperature)
            if self.exact:
                loss = -(p * r).sum()
            else:
                share = torch.tensor([d in ROWS[q] for d in range(WIDTH)]) / len(ROWS[q])
                proposal = (1 - self.is_lambda) * p.detach() + self.is_lambda * share
                picks = [self.picked(proposal, float(u)) for u in noise["d"][row]]
                loss = 0
                for j, d in enumerate(picks):
                    others = [float(r[e]) for i, e in enumerate(picks) if i != j]
                    base = sum(others) / len(others) if self.baseline == "mean" else 0.0
                    loss = loss - p[d].item() / proposal[d].item() * (r[d].item() - base) * p[d].log() / len(picks)
            if self.pull:
                first = self.law(self.first, q, self.temperature)
                loss = loss + self.pull * sum(a * (a / b).log() for a, b in zip(p, first, strict=True))
            if self.likelihood:
                loss = loss - self.likelihood * sum(p[d].log() for d in ROWS[q]) / len(ROWS[q])
            losses.append(loss)
        self.step("policy", sum(losses) / len(losses))


def started(game, seed=0):
    return tree.map(torch.Tensor.double, game.init(seed))


def dealt(game, rows, turns, seed=0):
    """Batches and noise of the turns: all rows, or one batch after the other."""
    batches, noises = {}, {}
    for role in ("critic", "generator"):
        count, every = turns.count(role), rows.side(role).entries
        size = game.batch_size or len(every)
        order = torch.arange(count * size) % len(every)
        batches[role] = {"x": every[order].unflatten(0, (count, size))} if count else {}
        noises[role] = {}
        for i, (name, need) in enumerate(game.needs(role).items()):
            u = uniform(count, size, *need.shape, seed=100 * seed + 10 * len(role) + i)
            noises[role][name] = u[:1].expand_as(u) if need.fixed else u
    return batches, noises


def played(game, rows, turns=TURNS, state=None, seed=0):
    """By the engine's own player."""
    play = engines.player(game, turns, "eager", mapped=False)
    step_sizes = {
        role: [(*game.step_sizes(role, i + 1, 1.0), i + 1) for i in range(turns.count(role))] for role in game.roles
    }
    return play(state or started(game), *dealt(game, rows, turns, seed), step_sizes)


def looped(game, rows, rule, turns=TURNS, state=None, seed=0, lr=1.0, **settings):
    """By the plain loop."""
    params = {n: p for n, p in (state or started(game))["params"].items() if n != "start"}
    batches, noises = dealt(game, rows, turns, seed)
    rates = {"critic": 0.05 * lr, "policy": 0.3 * lr}
    if rule == "sgd":  # of one row
        rates["critic"] *= len(batches["critic"]["x"][0])
        rates["policy"] *= len(batches["generator"]["x"][0]) if "generator" in turns else 1
    plain = Plain(params, rule, rates, **settings)
    count = {"critic": 0, "generator": 0}
    for role in turns:
        i = count[role]
        batch, noise = batches[role]["x"][i], {name: u[i] for name, u in noises[role].items()}
        (plain.critic if role == "critic" else plain.policy)(batch, noise)
        count[role] += 1
    return {name: {n: p.detach() for n, p in own.items()} for name, own in plain.w.items()}


def made(rule="sgd", paper="irgan", batch_size=0, **settings):
    """The game, its collection and the settings of the plain loop that plays it."""
    data = held(ROWS, WIDTH)
    make = {"irgan": gz.papers.irgan, "irgan-pairwise": gz.papers.irgan_pairwise}[paper]
    reward = {"irgan": "tanh", "irgan-pairwise": "log-sigmoid"}[paper]
    settings = {"reward": reward, **settings}
    if settings.get("exact") is False:
        settings = {"draws": 3, **settings}
    usual = {"optimizer": rule, "lr": 0.3, "critic_lr": 0.05, "critic_decay": 0.03, "start": ""}
    game = make(data, RICH, batch_size=batch_size, **usual, **settings)
    return game, data.collection, {**settings, "paired": paper == "irgan-pairwise"}


GAMES = {
    "tanh": {},
    "softplus": {"reward": "softplus"},
    "log-sigmoid": {"reward": "log-sigmoid"},
    "temperatures": {"temperature": 0.5, "critic_temperature": 0.2},
    "three negatives": {"per_positive": 3},
    "frozen": {"negatives": "frozen"},
    "uniform": {"negatives": "uniform"},
    "exclude": {"exclude": True},
    "averaged": {"averaged": True},
    "bias only": {"bias_only": True},
    "pull": {"pull": 0.8},
    "likelihood": {"likelihood": 0.5},
    "both": {"pull": 0.8, "likelihood": 0.5, "temperature": 0.5},
    "sampled": {"exact": False},
    "sampled, no baseline": {"exact": False, "baseline": "none"},
    "proposal": {"exact": False, "is_lambda": 0.4},
    "pairs": {"paper": "irgan-pairwise"},
    "pairs, tanh": {"paper": "irgan-pairwise", "reward": "tanh"},
    "pairs, sampled": {"paper": "irgan-pairwise", "exact": False, "per_positive": 2},
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", GAMES)
def test_the_game_equals_a_plain_loop(name, optimizer):
    game, rows, settings = made(optimizer, **GAMES[name])
    state, _ = played(game, rows)
    own = {player: state["params"][player] for player in ("critic", "policy")}
    loop = looped(game, rows, optimizer, **settings)
    assert gap({p: loop[p] for p in own}, own) < (1e-9 if name != "proposal" else 1e-6)  # a share in single precision
    assert all(gap(own[player], started(game)["params"][player]) > 1e-2 for player in own)
    shape = {key: settings[key] for key in ("paired", "exact", "per_positive") if key in settings}
    bare = {**shape, "reward": "log-sigmoid" if settings["paired"] else "tanh"}
    if not bare.items() >= {key: value for key, value in settings.items() if key != "draws"}.items():
        plain = looped(game, rows, optimizer, **bare)  # what is set counts for something
        assert gap({p: plain[p] for p in own}, own) > 1e-4


def test_faults_of_a_loop_are_found():
    """Signs, means and what is held constant: each is another game."""
    game, rows, settings = made()
    own = {player: played(game, rows)[0]["params"][player] for player in ("critic", "policy")}

    def far(**faults):
        loop = looped(game, rows, "sgd", **{**settings, **faults})
        return gap({p: loop[p] for p in own}, own)

    assert far() < 1e-12
    for fault in (
        {"critic_decay": 0.0}, {"critic_decay": 0.06}, {"temperature": 1.1}, {"critic_temperature": 0.5},
        {"reward": "softplus"}, {"negatives": "frozen"}, {"exclude": True}, {"averaged": True}, {"pull": 0.1},
        {"paired": True}, {"lr": 1.1},
    ):  # fmt: skip
        assert far(**fault) > 1e-4, fault


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [0, 4])
@pytest.mark.parametrize("candidates", [1, 3])
def test_dns_and_bpr_equal_a_plain_loop(optimizer, batch_size, candidates):
    data, turns = held(ROWS, WIDTH), ("critic",) * 5
    settings = {"optimizer": optimizer, "lr": 0.05, "decay": 0.03, "batch_size": batch_size}
    game = gz.papers.dns(data, RICH, candidates=candidates, **settings)
    state, _ = played(game, data.collection, turns)
    loop = {"paired": True, "candidates": candidates}
    assert gap(looped(game, data.collection, optimizer, turns, **loop), state["params"]) < 1e-9
    wrong = looped(game, data.collection, optimizer, turns, paired=False, candidates=candidates)
    assert gap(wrong, state["params"]) > 1e-3
    if candidates == 1:
        bpr = gz.papers.bpr(data, RICH, **settings)
        assert gap(played(bpr, data.collection, turns)[0]["params"], state["params"]) == 0
        assert "Rendle" in bpr.citation


@pytest.mark.parametrize("paper", ["irgan", "irgan-pairwise"])
def test_batches_of_some_pairs_and_some_queries_equal_a_plain_loop(paper):
    game, rows, settings = made("adam", paper, batch_size=3)
    own = {player: played(game, rows)[0]["params"][player] for player in ("critic", "policy")}
    loop = looped(game, rows, "adam", **settings)
    assert gap({p: loop[p] for p in own}, own) < 1e-9


def test_bias_only_moves_no_factor_of_the_policy():
    game, rows, _ = made("adam", bias_only=True)
    before, after = started(game)["params"], played(game, rows)[0]["params"]
    assert gap(before["policy"]["user"], after["policy"]["user"]) == 0
    assert gap(before["policy"]["item"], after["policy"]["item"]) == 0
    assert gap(before["policy"]["bias"], after["policy"]["bias"]) > 1e-2
    assert min(gap(before["critic"][n], after["critic"][n]) for n in ("user", "item", "bias")) > 1e-2


@pytest.mark.parametrize("name", ["tanh", "sampled", "pairs", "both"])
def test_each_turn_moves_its_player_alone(name):
    game, rows, _ = made("sgd", **GAMES[name])
    state = started(game)
    for role, player, other in (("critic", "critic", "policy"), ("generator", "policy", "critic")):
        after, _ = played(game, rows, (role,), state)
        assert gap(after["params"][other], state["params"][other]) == 0
        assert gap(after["params"][player], state["params"][player]) > 1e-3


@pytest.mark.parametrize("name", ["tanh", "sampled", "pairs"])
def test_reward_is_a_number_to_the_policy(name):
    """No slope leads from its cost into the critic."""
    game, rows, _ = made("sgd", **GAMES[name])
    state = started(game)
    leaf = tree.map(lambda p: p.requires_grad_(), {name: dict(state["params"][name]) for name in ("critic", "policy")})
    (batch, noise) = dealt(game, rows, ("generator",))
    noise = {n: u[0] for n, u in noise["generator"].items()}
    costs, _ = game.costs(("generator",), leaf, state, (batch["generator"]["x"][0],), noise)
    slopes = torch.autograd.grad(costs["generator"], tree.leaves(leaf), allow_unused=True)
    critics = len(tree.leaves(leaf["critic"]))
    assert all(slope is None or not slope.any() for slope in slopes[:critics])
    assert all(slope.abs().max() > 1e-4 for slope in slopes[critics:])


def test_the_constant_reward_teaches_nothing_but_the_likelihood():
    game, rows, _ = made(reward="constant")
    state = started(game)
    assert gap(played(game, rows, ("generator",), state)[0]["params"], state["params"]) < 1e-12
    taught, rows, _ = made(reward="constant", likelihood=1.0)
    noise = dealt(taught, rows, ("generator",))[0]["generator"]["x"][0]
    policy = {n: p.clone().requires_grad_() for n, p in state["params"]["policy"].items()}
    table = (policy["user"] @ policy["item"].T + policy["bias"]).log_softmax(1)
    loss = -sum(table[q, held].mean() for q, held in enumerate(ROWS)) / len(ROWS)
    found, _ = taught.gradient("generator", state, (noise,), {})
    for got, want in zip(found["policy"].values(), torch.autograd.grad(loss, list(policy.values())), strict=True):
        close(got, want)


def test_frozen_negatives_stay_while_the_policy_moves_and_live_ones_follow(monkeypatch):
    seen, call = {}, Retrieve.__call__

    def spied(draw, players, batch, noise, role):
        scene = call(draw, players, batch, noise, role)
        if role == "critic":
            seen.setdefault(draw.negatives, []).append(scene.fake[1])
        return scene

    monkeypatch.setattr(Retrieve, "__call__", spied)
    data = held(ROWS, WIDTH)
    for kind in ("frozen", "live", "uniform"):
        game = gz.papers.irgan(data, RICH, negatives=kind, lr=0.5, start="", per_positive=20)
        engine = engines.Engine(game, data.collection, [0], steps=6)
        engine.start()
        first, step = engine.states()[0]["params"], 0
        while step < 6:
            step, _ = engine.advance(step, 6)
        last = engine.states()[0]["params"]
        assert gap(first["policy"], last["policy"]) > 0.5
        assert kind != "frozen" or gap(first["policy"], last["start"]) == 0
    assert all((d == seen["frozen"][0]).all() for d in seen["frozen"]) and len(seen["frozen"]) == 12
    assert all((d != seen["live"][0]).any() for d in seen["live"][1:])
    assert all((d != seen["uniform"][0]).any() for d in seen["uniform"][1:])
    rows, theta, start = data.collection, *normal(2, 4, WIDTH, seed=40)
    close(
        frequencies(Retrieve(rows, negatives="frozen"), rows.positives, tabled(theta, start=start)).double(),
        start.softmax(1)[rows.positives[:, 0]],
        2e-4,
    )


# --- what is held between turns ---


MANY = ("critic",) * 3 + ("generator",) * 3 + ("critic",) * 2 + ("generator",)
SOME = ("tanh", "temperatures", "exclude", "frozen", "averaged", "sampled", "pairs", "both")
HELD = {name: GAMES[name] for name in SOME} | {"pool": {"pool": 4}}


@pytest.mark.parametrize(
    ("name", "batch_size"), [(name, size) for name in HELD for size in (0, 3) if (name, size) != ("frozen", 3)]
)
def test_a_turn_with_what_is_held_equals_one_without(name, batch_size, monkeypatch):
    game, rows, _ = made("adam", batch_size=batch_size, **HELD[name])
    asked, precompute = [], games.Game.precompute

    def counted(*args):
        asked.append(args[1])
        return precompute(*args)

    monkeypatch.setattr(games.Game, "precompute", counted)
    with_, record = played(game, rows, MANY)
    assert len(asked) == (len(MANY) if batch_size else 4)
    monkeypatch.setattr(games.Game, "precompute", lambda *_: {})
    exclude_classes, plain = played(game, rows, MANY)
    assert gap(with_["params"], exclude_classes["params"]) < 1e-12
    assert gap(record, plain) < 1e-12


@pytest.mark.parametrize("batch_size", [0, 3])
def test_what_is_held_too_long_is_found(batch_size, monkeypatch):
    game, rows, _ = made("sgd", batch_size=batch_size)
    fresh, _ = played(game, rows, MANY)
    first, precompute = {}, games.Game.precompute

    def stale(game, roles, state, batch):
        if roles not in first:
            first[roles] = precompute(game, roles, state, batch)
        return first[roles]

    monkeypatch.setattr(games.Game, "precompute", stale)
    assert gap(played(game, rows, MANY)[0]["params"], fresh["params"]) > 1e-3


def test_the_held_cost_is_that_of_the_dressed_critic():
    """A critic that plays with other weights than it has (spectral norm) prices with those."""
    game, rows, _ = made("sgd")
    game = dataclasses.replace(game, constraints=(constraints.Spectral(0.5),))
    state, _ = played(game, rows, MANY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(games.Game, "precompute", lambda *_: {})
        exclude_classes, _ = played(game, rows, MANY)
    assert gap(state["params"], exclude_classes["params"]) < 1e-12
    assert gap(state["params"], played(made("sgd")[0], rows, MANY)[0]["params"]) > 1e-3


def test_a_run_in_pieces_is_the_run_in_one(monkeypatch):
    game, rows, _ = made("adam", exact=False)
    states = []
    for cuts in ([8], [1, 3, 8]):
        engine = engines.Engine(game, rows, [3], steps=8)
        engine.start()
        step = 0
        for cut in cuts:
            while step < cut:
                step, _ = engine.advance(step, cut)
        states.append(engine.states()[0]["params"])
    assert gap(*states) == 0


# --- documents with features ---


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize(
    "settings",
    [{}, {"exact": False, "draws": 4, "is_lambda": 0.5}, {"exclude": True}, {"pull": 1.0, "likelihood": 1.0}],
)
def test_documents_that_are_not_there_are_never_picked(depth, settings):
    rows = documents()
    data = StandIn((4, 5, 3), "letor", rows)
    game = gz.papers.irgan(data, Featured(7, depth), optimizer="sgd", lr=0.1, critic_lr=0.1, start="", **settings)
    state = game.init(0)
    (batches, noises) = dealt(game, rows, TURNS)
    noises = tree.map(torch.Tensor.float, noises)
    scene = game.scene(state["params"], "generator", (batches["generator"]["x"][0],),
                       {n: u[0] for n, u in noises["generator"].items()})  # fmt: skip
    if game.draw.exact:
        assert (scene.estimate.prob[~rows.candidates] == 0).all()
        assert torch.allclose(scene.estimate.prob.sum(1), torch.ones(4))
        allowed = rows.candidates & ~(rows.known(torch.arange(4)) if settings.get("exclude") else False)
        assert ((scene.estimate.prob > 0) == allowed).all()
    law = game.draw._negative_law(game._players(state["params"]), torch.arange(4), {})
    assert (law[~rows.candidates] == 0).all()
    play = engines.player(game, TURNS, "eager", mapped=False)
    step_sizes = {role: [(*game.step_sizes(role, i + 1, 1.0), i + 1) for i in range(3)] for role in game.roles}
    after, record = play(state, batches, noises, step_sizes)
    assert tree.finite(after) and tree.finite(record)
    assert all(gap(after["params"][p], state["params"][p]) > 1e-4 for p in ("critic", "policy"))


def test_exact_gradient_of_documents_is_that_of_their_own_list():
    """Query by query, of a list as long as it is; what pads the block counts for nothing."""
    rows = documents()
    data = StandIn((4, 5, 3), "letor", rows)
    game = gz.papers.irgan(data, Featured(7), temperature=0.3, start="")
    state = game.init(0)
    found, _ = game.gradient("generator", state, (torch.arange(4),), {})

    def score(w, x):
        return (
            torch.tanh(x @ w["layers.0.weight"].T + w["layers.0.bias"]) @ w["layers.2.weight"][0] + w["layers.2.bias"]
        )

    policy = {n: p.clone().requires_grad_() for n, p in state["params"]["policy"].items()}
    loss = 0
    for q, n in enumerate((3, 5, 2, 4)):
        x = rows.features[q, :n]
        reward = 2 * score(state["params"]["critic"], x).sigmoid() - 1
        loss = loss - (torch.softmax(score(policy, x) / 0.3, 0) * reward).sum() / 4
    for got, want in zip(found["policy"].values(), torch.autograd.grad(loss, list(policy.values())), strict=True):
        close(got, want, 1e-7)
    assert tree.vector(found).abs().max() > 1e-3
    bare = Collection(4, 5, rows.positives, rows.features)  # padding taken for documents
    other = dataclasses.replace(game, draw=dataclasses.replace(game.draw, collection=bare))
    assert gap(other.gradient("generator", state, (torch.arange(4),), {})[0], found) > 1e-5


def test_decay_of_a_perceptron_is_of_all_its_weights():
    rows = documents()
    game = gz.papers.irgan(StandIn((4, 5, 3), "letor", rows), Featured(7), critic_decay=0.2, start="")
    state = game.init(0)
    (batches, noises) = dealt(game, rows, ("critic",))
    noise = {n: u[0].float() for n, u in noises["critic"].items()}
    _, (_, record) = game.gradient("critic", state, (batches["critic"]["x"][0],), noise)
    squares = sum(float(p.square().sum()) for p in state["params"]["critic"].values())
    assert float(record["penalty"]) == pytest.approx(0.1 * squares, rel=1e-5)


@pytest.mark.parametrize("make", [gz.papers.dns, gz.papers.irgan_pairwise])
def test_other_games_of_documents_play(make):
    rows = documents()
    game = make(StandIn((4, 5, 3), "letor", rows), Featured(7))
    engine = engines.Engine(game, rows, [0, 1], steps=4)
    engine.start()
    before = engine.states()
    engine.advance(0, 4)
    for a, b in zip(before, engine.states(), strict=True):
        assert tree.finite(b) and gap(a["params"]["critic"], b["params"]["critic"]) > 1e-4


# --- refusals ---


DATA = held(ROWS, WIDTH)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"temperature": 0.0}, "temperature must be a positive number, not 0.0"),
        ({"temperature": -1.0}, "temperature must be a positive number"),
        ({"temperature": math.nan}, "temperature must be a positive number"),
        ({"critic_temperature": -0.2}, "critic_temperature must be a positive number or none, not -0.2"),
        ({"is_lambda": 1.0}, r"is_lambda must be a number in \[0, 1\)"),
        ({"is_lambda": -0.1}, r"is_lambda must be a number in \[0, 1\)"),
        ({"exact": False, "draws": 0}, "draws must be a whole number from 1 to"),
        ({"per_positive": 0}, "per_positive must be a whole number from 1 to"),
        ({"pool": -1}, "pool must be a whole number, at least 0"),
        ({"pull": -1.0}, "pull must be a number, 0 or more"),
        ({"pull": math.nan}, "pull must be a number, 0 or more"),
        ({"likelihood": math.nan}, "likelihood must be a number, 0 or more"),
        ({"exact": False, "replace": False, "draws": 3}, "baseline none"),
        ({"exclude": True, "likelihood": 1.0}, "leave out one of the two"),
        ({"pool": 9}, "more than the 8 candidates"),
        ({"exact": False, "replace": False, "draws": WIDTH}, "fewer than the 8 candidates, not 8"),
        ({"exact": False, "replace": False, "draws": 4, "pool": 4}, "fewer than the 4 candidates, not 4"),
        ({"exact": False, "replace": False, "draws": 3, "is_lambda": 0.2}, "leave out is_lambda"),
        ({"negatives": "frozen", "batch_size": 3}, "need whole batches"),
        ({"averaged": True, "exact": False}, "needs the exact gradient"),
        ({"averaged": True, "pool": 4}, "needs the exact gradient and all candidates"),
    ],
)
def test_settings_that_make_no_draw_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        gz.papers.irgan(DATA, start="", **settings)


def test_settings_on_the_edge_are_played():
    gz.papers.irgan(DATA, exact=False, replace=False, baseline="none", draws=WIDTH - 1, start="")
    gz.papers.irgan(DATA, exact=False, replace=False, baseline="none", draws=3, pool=4, start="")
    gz.papers.irgan(DATA, exact=False, is_lambda=0.99, draws=50, start="")


def test_games_without_a_gradient_are_refused_with_the_way_out():
    game = gz.papers.irgan(DATA, start="")
    with pytest.raises(ValueError, match=r"no cost per sample.*use minimax or non-saturating"):
        game.draw.check(SimpleNamespace(objective=objectives.mean_matching(), constraints=()))
    with pytest.raises(ValueError, match=r"features|no cost per sample"):
        dataclasses.replace(game, objective=objectives.mean_matching())
    for constraint in (constraints.GradientPenalty(), constraints.R1(), constraints.Dragan()):
        with pytest.raises(ValueError, match=f"{type(constraint).__name__} reads the slope.*use Decay"):
            dataclasses.replace(game, constraints=(constraint,))
    with pytest.raises(ValueError, match=r"Retrieve\(paired=True\)"):
        dataclasses.replace(game, objective=objectives.relativistic)
    dataclasses.replace(game, objective=objectives.relativistic, draw=dataclasses.replace(game.draw, paired=True))
    with pytest.raises(ValueError, match="negatives|candidates have|these have their own"):
        Retrieve(documents(), pool=2)
    with pytest.raises(ValueError, match="candidates must be a whole number from 1 to"):
        gz.papers.dns(DATA, candidates=0)


def test_networks_that_do_not_fit_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match="use --network perceptron"):
        gz.papers.irgan(StandIn((4, 5, 3), "interactions", documents()), start="")
    with pytest.raises(ValueError, match="use --network factors or item-item"):
        gz.papers.irgan(DATA, Featured(), start="")
    with pytest.raises(ValueError, match="bias_only is for factors"):
        gz.papers.irgan(DATA, ItemItem(), bias_only=True, start="")


def test_engines_and_data_of_other_games_are_refused():
    game = gz.papers.irgan(DATA, start="")
    with pytest.raises(ValueError, match="played eagerly"):
        engines.choose("compiled", game, 10, 1)
    assert engines.choose("auto", game, 10**9, 1) == "eager"
    pairs = DATA.collection.positives
    interactions = Interactions("likes", tuple("abcd"), tuple("abcdefgh"), pairs, pairs[:0], pairs[:0])
    samples = gz.data.load("digits", 0)
    with pytest.raises(ValueError, match=r"ns-gan is a paper of samples, and likes holds rankings: .*use .*irgan"):
        check_fits(tasks.task_of(interactions.kind), "ns-gan", interactions)
    with pytest.raises(ValueError, match="irgan is a paper of rankings, and digits holds samples: give interactions"):
        check_fits(tasks.task_of(samples.kind), "irgan", samples)
    with pytest.raises(ValueError, match="this game's draw is not one of samples"):
        check_fits(tasks.task_of(samples.kind), game, samples)
    check_fits(tasks.task_of(interactions.kind), "irgan", interactions)
    check_fits(tasks.task_of(samples.kind), "ns-gan", samples)


def test_a_paper_is_built_from_its_name():
    game = build("irgan-pairwise", DATA, settings={"temperature": ".5", "exact": "false", "rank": "4"})
    assert game.draw.temperature == 0.5 and not game.draw.exact and game.draw.paired
    assert isinstance(game.critic, Factors) and game.critic.user.shape == (4, 4)
