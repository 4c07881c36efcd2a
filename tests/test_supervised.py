"""Learning to rank without an adversary: losses against loops and scikit-learn, a linear truth, and MQ2008."""

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.metrics import ndcg_score

from ganzfeld.core.randomness import generator
from ganzfeld.data.rankings.collection import Letor, Table
from ganzfeld.data.rankings.letor import letor
from ganzfeld.judging.baselines import supervised
from ganzfeld.metrics import ranking

MQ2008 = Path(__file__).parents[2] / "shared/data/mq2008"
LOSSES = {"mle": supervised.mle, "ranknet": supervised.ranknet, "lambdarank": supervised.lambdarank}
EMPTY, EQUAL, VOID = 0, 1, 2


def crowd(queries=40, documents=9, seed=0):
    """Scores full of ties, grades 0 to 2 and outsiders, some of them relevant. The first query has no relevant
    candidate, the second one grade only, the third no candidate."""
    rng = generator("crowd", seed)
    draw = lambda n: torch.randint(n, (queries, documents), generator=rng)  # noqa: E731
    scores, gains, candidates = (draw(7) - 3).double() / 2, (draw(6) - 3).clamp(min=0).double(), draw(4) > 0
    gains[EMPTY], gains[EQUAL], candidates[VOID] = 0, 2, False
    return scores, gains, candidates


def listed(scores, gains, candidates):
    for s, g, c in zip(scores.tolist(), gains.tolist(), candidates.tolist(), strict=True):
        yield [(score, gain) for score, gain, is_one in zip(s, g, c, strict=True) if is_one]


def mle_by_loop(query, fault=None):
    known = [score for score, gain in query if gain > (1 if fault == "only the best grade" else 0)]
    if not known:
        return 0.0
    every = [score for score, gain in query if fault != "among the others" or gain == 0]
    return sum(math.log(sum(math.exp(s - score) for s in every) or 1) for score in known) / (
        1 if fault == "sum" else len(known)
    )


def pairs_of(query, fault=None):
    """(i, j) of a higher and a lower grade; the fault lets equal grades in."""
    n, apart = len(query), (0 if fault == "equal grades" else 0.5)
    return [(i, j) for i in range(n) for j in range(n) if i != j and query[i][1] - query[j][1] >= apart]


def surprise(query, i, j, fault=None):
    sign = -1 if fault == "sign" else 1
    return math.log(1 + math.exp(-sign * (query[i][0] - query[j][0])))


def ranknet_by_loop(query, fault=None):
    pairs = pairs_of(query, fault)
    return sum(surprise(query, *pair, fault) for pair in pairs) / (1 if fault == "sum" else max(1, len(pairs)))


def ndcg(query, order, normalised=True):
    """By scikit-learn, of the documents in an order."""
    worth = [2 ** query[i][1] - 1 for i in order]
    if not normalised:
        return sum(w / math.log2(2 + r) for r, w in enumerate(worth))
    return ndcg_score([worth], [[-r for r in range(len(worth))]], ignore_ties=True)


def change(query, i, j, fault=None):
    """What NDCG changes by if i and j swap their places in the list."""
    turn = -1 if fault == "ties from behind" else 1
    order = sorted(range(len(query)), key=lambda d: (-query[d][0], turn * d))
    swapped = list(order)
    a, b = order.index(i), order.index(j)
    swapped[a], swapped[b] = swapped[b], swapped[a]
    return abs(ndcg(query, order, fault != "no ideal") - ndcg(query, swapped, fault != "no ideal"))


def lambdarank_by_loop(query, fault=None):
    pairs = pairs_of(query)
    weigh = (lambda *pair: 1.0) if fault == "weights" else (lambda *pair: change(query, *pair, fault))
    whole = sum(weigh(*pair) * surprise(query, *pair, fault) for pair in pairs)
    return whole / (max(1, len(pairs)) if fault == "mean" else 1)


LOOPS = {"mle": mle_by_loop, "ranknet": ranknet_by_loop, "lambdarank": lambdarank_by_loop}
FAULTS = {
    "mle": ("only the best grade", "among the others", "sum", "padding leaks"),
    "ranknet": ("sign", "equal grades", "sum", "padding leaks"),
    "lambdarank": ("sign", "no ideal", "ties from behind", "weights", "mean", "padding leaks"),
}


def by_loop(name, scores, gains, candidates, fault=None):
    who = torch.ones_like(candidates) if fault == "padding leaks" else candidates
    found = [LOOPS[name](query, fault) for query in listed(scores, gains, who)]
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_their_definitions_in_loops(name):
    three = crowd()
    found = LOSSES[name](*three)
    torch.testing.assert_close(found, by_loop(name, *three), rtol=1e-12, atol=1e-13)
    for fault in FAULTS[name]:
        assert (found - by_loop(name, *three, fault)).abs().max() > 0.05, fault


def slope_by_loop(name, query, k, h=1e-5):
    """Central difference of the k-th document's score; of lambdarank the weights stay where they are."""
    weights = {pair: change(query, *pair) for pair in pairs_of(query)}
    constant = lambda moved: sum(w * surprise(moved, *pair) for pair, w in weights.items())  # noqa: E731
    loss = constant if name == "lambdarank" else LOOPS[name]
    above, below = (loss([(s + step * (i == k), g) for i, (s, g) in enumerate(query)]) for step in (h, -h))
    return (above - below) / (2 * h)


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_are_those_of_the_definition(name):
    scores, gains, candidates = crowd(queries=12, documents=6, seed=1)
    (slope,) = torch.autograd.grad(LOSSES[name](scores.requires_grad_(), gains, candidates).sum(), scores)
    exact = torch.zeros_like(slope)
    for q, query in enumerate(listed(scores.detach(), gains, candidates)):
        for k, d in enumerate(candidates[q].nonzero().flatten().tolist()):
            exact[q, d] = slope_by_loop(name, query, k)
    torch.testing.assert_close(slope, exact, rtol=0, atol=1e-9)
    assert (slope + exact).abs().max() > 0.1


def test_the_slope_of_ranknet_is_how_wrongly_the_pairs_are_ordered():
    """dl / ds_i = mean over pairs of -sigma(s_j - s_i) for the better one, and plus that for the worse."""
    scores, gains, candidates = crowd(seed=2)
    scores = 20 * scores  # far apart: nothing may be cut off
    (slope,) = torch.autograd.grad(supervised.ranknet(scores.requires_grad_(), gains, candidates).sum(), scores)
    s = scores.detach()
    exact = torch.zeros_like(s)
    for q, query in enumerate(listed(s, gains, candidates)):
        mine, pairs = candidates[q].nonzero().flatten().tolist(), pairs_of(query)
        for i, j in pairs:
            wrong = 1 / (1 + math.exp(query[i][0] - query[j][0])) / len(pairs)
            exact[q, mine[i]] -= wrong
            exact[q, mine[j]] += wrong
    torch.testing.assert_close(slope, exact, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_fillers_have_no_say(name):
    """Neither in the loss nor in its slope, whatever stands in them, nor has it a slope for them."""

    def both(scores, *rest):
        found = LOSSES[name](scores.requires_grad_(), *rest)
        return found.detach(), torch.autograd.grad(found.sum(), scores)[0]

    scores, gains, candidates = crowd()
    found, slope = both(scores.clone(), gains, candidates)
    wild = torch.tensor([math.nan, math.inf, -math.inf, 1e9, 0.0]).double().expand(len(scores), -1)
    never = torch.zeros(wild.shape, dtype=torch.bool)
    wider = torch.cat([scores, wild], 1), torch.cat([gains, 3 * torch.ones_like(wild)], 1)
    more, longer = both(*wider, torch.cat([candidates, never], 1))
    torch.testing.assert_close(more, found, rtol=1e-14, atol=0)
    torch.testing.assert_close(longer, torch.cat([slope, torch.zeros_like(wild)], 1), rtol=0, atol=1e-15)
    assert (slope[~candidates] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_a_query_that_says_nothing_gives_zero_and_no_slope(name, dtype):
    scores, gains, candidates = crowd()
    scores = scores.to(dtype).requires_grad_()
    found = LOSSES[name](scores, gains, candidates)
    (slope,) = torch.autograd.grad(found.sum(), scores)
    silent = [EMPTY, VOID] if name == "mle" else [EMPTY, EQUAL, VOID]
    assert found.dtype == dtype
    assert slope.isfinite().all()
    assert (found[silent] == 0).all()
    assert (slope[silent] == 0).all()
    assert (found[3:] > 0).float().mean() > 0.8


@pytest.mark.parametrize("name", LOSSES)
def test_scores_matter_by_their_differences_and_documents_not_by_their_place(name):
    _, gains, candidates = crowd()
    scores = torch.randn(gains.shape, dtype=torch.float64, generator=generator("no ties"))
    found = LOSSES[name](scores, gains, candidates)
    turned = torch.randperm(scores.shape[1], generator=generator("turn"))
    for other in (
        LOSSES[name](scores + torch.arange(len(scores)).unsqueeze(1), gains, candidates),
        LOSSES[name](*(x[:, turned] for x in (scores, gains, candidates))),
    ):
        torch.testing.assert_close(other, found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_lifts_the_relevant_and_sinks_the_others(name):
    _, gains, candidates = crowd()
    gains = (gains > 0).double()
    scores = torch.randn(gains.shape, dtype=torch.float64, generator=generator("lift")).requires_grad_()
    (slope,) = torch.autograd.grad(LOSSES[name](scores, gains, candidates).sum(), scores)
    mixed = ((gains > 0) & candidates).any(1) & ((gains == 0) & candidates).any(1)
    assert mixed.sum() > 20
    # of several relevant ones the likelihood may sink the most certain, which has more than its share
    relevant, others = (gains > 0) & candidates & mixed.unsqueeze(1), (gains == 0) & candidates & mixed.unsqueeze(1)
    assert ((slope * relevant).sum(1)[mixed] < 0).all()
    assert (slope[others] > 0).all()
    assert name == "mle" or (slope[relevant] < 0).all()


def test_a_relevant_document_and_another_make_the_losses_one():
    """Of two documents the likelihood of the better is that it beats the other; swapping them costs what is said."""
    scores = torch.tensor([[0.3, 1.1]], dtype=torch.float64)
    gains, both = torch.tensor([[2.0, 0.0]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool)
    lone = math.log(1 + math.exp(0.8))
    assert float(supervised.mle(scores, gains, both)) == pytest.approx(lone, abs=1e-14)
    assert float(supervised.ranknet(scores, gains, both)) == pytest.approx(lone, abs=1e-14)
    swap = 1 - 1 / math.log2(3)
    assert float(supervised.lambdarank(scores, gains, both)) == pytest.approx(swap * lone, abs=1e-14)


def table(features, labels, sizes):
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    return Table(features.float(), labels.long(), tuple(map(str, range(len(sizes)))), offsets)


def truth(queries, seed, noisy=0.0):
    """Lists of 8 to 14 documents whose grades are cuts of one linear function of five features."""
    rng = generator("truth", seed)
    sizes = torch.randint(8, 15, (queries,), generator=rng).tolist()
    x = torch.rand(sum(sizes), 5, generator=rng)
    value = x @ torch.tensor([3.0, -2.0, 1.0, 0.0, -1.0]) + noisy * torch.randn(len(x), generator=rng)
    labels = (value > 1.2).long() + (value > 2.2).long()
    return table(x, labels, sizes)


def problem(noisy=0.0):
    return Letor("truth", truth(60, 0, noisy), truth(20, 1, noisy), truth(60, 2, noisy))


def test_padded_holds_every_document_once():
    data = truth(7, 3)
    features, gains, candidates = data.padded()
    assert candidates.sum(1).tolist() == data.sizes.tolist()
    for q, size in enumerate(data.sizes.tolist()):
        assert (features[q, :size] == data.features[data.rows(q)]).all()
        assert (gains[q, :size] == data.labels[data.rows(q)]).all()
        assert (features[q, size:] == 0).all() and (gains[q, size:] == 0).all() and not candidates[q, size:].any()
    assert features.dtype == gains.dtype == torch.float32


def worth(score, data):
    features, gains, candidates = data.padded()
    with torch.no_grad():
        scores = score(features)
    return ranking.judge(scores, gains, candidates, empty="zero")


def quick(name, data, **choices):
    return supervised.teach(name, data, **{"lr": 0.1, "epochs": 40, **choices})


@pytest.mark.parametrize("name", supervised.TABLE)
def test_a_linear_truth_is_found(name):
    data = problem()
    found = worth(quick(name, data).score, data.test)["ndcg@10"]
    least = worth(lambda x: torch.zeros(x.shape[:-1]), data.test)["ndcg@10"]
    most = worth(lambda x: x @ torch.tensor([3.0, -2.0, 1.0, 0.0, -1.0]), data.test)["ndcg@10"]
    assert least < 0.8
    assert 0.98 * most < found <= most


@pytest.mark.parametrize("name", supervised.TABLE)
def test_a_flipped_sign_finds_the_worst(name, monkeypatch):
    data, (loss, linear) = problem(), supervised.TABLE[name]
    flipped = supervised.Baseline(lambda s, *rest: loss(-s, *rest), linear)
    monkeypatch.setattr(supervised, "TABLE", {name: flipped})
    least = worth(lambda x: torch.zeros(x.shape[:-1]), data.test)["ndcg@10"]
    assert worth(quick(name, data, epochs=5).score, data.test)["ndcg@10"] < least


def weights(taught):
    return torch.cat([p.detach().flatten() for p in taught.score.parameters()])


def test_a_seed_says_everything():
    data, before = problem(), torch.get_rng_state()
    first, again, other = (quick("ranknet", data, seed=seed, epochs=3) for seed in (4, 4, 5))
    assert first[1:] == again[1:]
    assert torch.equal(weights(first), weights(again))
    assert (weights(first) - weights(other)).abs().max() > 0.1
    assert torch.equal(before, torch.get_rng_state())


def test_the_test_queries_are_never_read():
    data = problem(noisy=0.5)
    wild = data.test.features.clone().fill_(math.nan)
    poisoned = replace(data, test=replace(data.test, features=wild, labels=data.test.labels.flip(0)))
    swapped = replace(data, valid=data.test, test=data.valid)
    first, again, other = (quick("lambdarank", d, epochs=8) for d in (data, poisoned, swapped))
    assert first[1:] == again[1:]
    assert torch.equal(weights(first), weights(again))
    assert first.valid != other.valid


@pytest.mark.parametrize("name", supervised.TABLE)
def test_one_batch_of_all_queries_is_adam_on_the_mean_loss(name):
    """Without cutting batches to their longest list. The last bias shifts all scores, and its slope is rounding."""
    data, all_of_them = problem(), {"batch": 60, "decay": 0.0}
    taught = quick(name, data, epochs=9, **all_of_them)
    score = quick(name, data, epochs=1, lr=0.0, **all_of_them).score
    adam, (features, *rest) = torch.optim.Adam(score.parameters(), 0.1), data.train.padded()
    for _ in range(taught.epoch):
        adam.zero_grad()
        supervised.TABLE[name].loss(score(features), *rest).mean().backward()
        adam.step()
    assert taught.epoch > 2
    for mine, theirs in list(zip(score.parameters(), taught.score.parameters(), strict=True))[:-1]:
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-3)


def test_the_best_epoch_of_the_validation_queries_is_kept():
    data = problem(noisy=1.0)
    best = quick("ranknet", data, epochs=20)
    assert 1 < best.epoch < 20
    assert best.valid == pytest.approx(worth(best.score, data.valid)["ndcg@10"], abs=1e-12)
    assert torch.equal(weights(quick("ranknet", data, epochs=best.epoch)), weights(best))
    assert quick("ranknet", data, epochs=best.epoch - 1).valid < best.valid


def test_width_and_decay_shape_the_scorer():
    data = problem()
    assert len(weights(quick("ranknet", data, epochs=1))) == 46 * 5 + 46 + 46 + 1
    for linear in (quick("ranknet", data, width=0, epochs=1), quick("linear", data, epochs=1)):
        assert len(weights(linear)) == 5 + 1
    free, held = (quick("ranknet", data, width=0, decay=decay).score.layers[0].weight for decay in (0, 0.1))
    assert held.norm() < 0.5 * free.norm()


def test_what_cannot_be_taught_is_refused():
    data = problem()
    with pytest.raises(ValueError, match="no loss named 'listnet'; did you mean 'linear'"):
        supervised.teach("listnet", data)
    with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
        supervised.teach("mle", data, epochs=0)
    with pytest.raises(ValueError, match="scores of ranknet are not finite after epoch 1: lower its rate, inf"):
        supervised.teach("ranknet", data, lr=math.inf)


@pytest.fixture(scope="module")
def benchmark():
    place = importlib.util.spec_from_file_location("mq2008", Path(__file__).parents[1] / "benchmarks/mq2008.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def test_trees_need_lightgbm(monkeypatch, benchmark):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ValueError, match="pip install lightgbm"):
        benchmark.lambdamart(problem())


@pytest.mark.filterwarnings("ignore")  # LightGBM's talk with scikit-learn about names of columns
def test_trees_find_a_linear_truth(benchmark):
    pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    data = problem()
    score = benchmark.lambdamart(data)
    assert worth(score, data.test)["ndcg@10"] > 0.93
    x = torch.rand(3, 4, 5)
    assert torch.equal(score(x)[2, 1], score(x[2, 1:2])[0])
    assert torch.equal(score(x), benchmark.lambdamart(data)(x))


@pytest.fixture(scope="module")
def fold():
    return letor(MQ2008, fold=1)


# NDCG@10 on the 156 test queries after at most 10 epochs
NUMBERS = {"mle": 0.480, "ranknet": 0.480, "lambdarank": 0.483, "linear": 0.479}


@pytest.mark.skipif(not MQ2008.exists(), reason="MQ2008 is not here")
@pytest.mark.parametrize("name", NUMBERS)
def test_mq2008_has_the_known_numbers(fold, name):
    taught = supervised.teach(name, fold, epochs=10)
    assert worth(taught.score, fold.test)["ndcg@10"] == pytest.approx(NUMBERS[name], abs=0.01)
    assert worth(lambda x: -taught.score(x), fold.test)["ndcg@10"] < NUMBERS[name] - 0.15
