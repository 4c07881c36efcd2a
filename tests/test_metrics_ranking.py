"""Rankings: against their definitions in loops, trec_eval, all orders of a few documents, and lists made by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem

from ganzfeld.metrics import ranking

KS = (1, 3, 5, 10)
WEIGH = {"linear": lambda g: g, "exponential": lambda g: 2**g - 1}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def crowd(queries=200, documents=14, levels=5, seed=0):
    """Lists full of ties, with grades 0 to 2 and outsiders, some of them relevant; some queries are empty."""
    draw = lambda n: torch.randint(n, (queries, documents), generator=rng(seed + n))  # noqa: E731
    return draw(levels).double(), (draw(9) - 6).clamp(min=0).double(), draw(4) > 0


def apart(scores, seed=9):
    """The same scores, but equal ones in a drawn order."""
    return scores + torch.rand(scores.shape, generator=rng(seed)).argsort(1) / (2 * scores.shape[1])


def untied(**asked):
    scores, *rest = crowd(**asked)
    return apart(scores), *rest


def by_definition(scores, gains, candidates, k, gain="exponential", fault=None):
    """(p, ndcg, recall, map, mrr) of one query as their definitions read, None where it is empty; or with a fault."""
    mine = range(len(scores)) if fault == "outsiders listed" else [i for i, c in enumerate(candidates) if c]
    order = sorted(mine, key=lambda i: -scores[i])
    shown = [gains[i] for i in order]
    known = gains if fault == "outsiders in the ideal" else shown
    best = sorted(known, reverse=True)
    relevant = sum(g > 0 for g in known)
    if not relevant:
        return None
    late = 0 if fault == "a rank late" else 1
    cut = None if fault == "ideal not cut" else k
    dcg = lambda gs: sum(WEIGH[gain](g) / math.log2(max(2, r + late)) for r, g in enumerate(gs, 1))  # noqa: E731
    hits = [g > 0 for g in shown]
    ap = sum(sum(hits[:r]) / r for r, hit in enumerate(hits, 1) if hit) / relevant
    rr = max((1 / r for r, hit in enumerate(hits, 1) if hit), default=0)
    length = min(k, len(shown)) if fault == "short lists excused" else k
    asked = min(k, relevant) if fault == "recall of what fits" else relevant
    return sum(hits[:k]) / length, dcg(shown[:k]) / dcg(best[:cut]), sum(hits[:k]) / asked, ap, rr


def table_by_definition(scores, gains, candidates, k, gain="exponential", fault=None):
    rows = zip(scores.tolist(), gains.tolist(), candidates.tolist(), strict=True)
    found = [by_definition(*row, k, gain, fault) or (math.nan,) * 5 for row in rows]
    return torch.tensor(found, dtype=torch.float64).T


def table(scores, gains, candidates, k, gain="exponential", empty="excluded"):
    return torch.stack(list(ranking.per_query(scores, gains, candidates, (k,), gain, empty).values()))


def same(a, b):
    return torch.allclose(a, b, rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.parametrize("gain", ranking.GAINS)
@pytest.mark.parametrize("k", [1, 2, 5, 13, 14, 20])
def test_all_equal_their_definitions_outsiders_included(k, gain):
    lists = untied()
    assert 0 < table(*lists, k).isnan().sum() < 5 * 40
    assert same(table(*lists, k, gain), table_by_definition(*lists, k, gain))


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("outsiders listed", (1, 1, 1, 1, 1)),
        ("outsiders in the ideal", (0, 1, 1, 1, 0)),
        ("ideal not cut", (0, 1, 0, 0, 0)),
        ("a rank late", (0, 1, 0, 0, 0)),
        ("short lists excused", (1, 0, 0, 0, 0)),
        ("recall of what fits", (0, 0, 1, 0, 0)),
    ],
)
def test_a_fault_in_the_definition_shows_where_it_lies(fault, wrong):
    lists = untied()
    k = 12 if fault == "short lists excused" else 3
    kept = ranking.has_relevant(*lists[1:])
    found, faulty = table(*lists, k)[:, kept], table_by_definition(*lists, k, fault=fault)[:, kept]
    assert tuple(int(not same(a, b)) for a, b in zip(found, faulty, strict=True)) == wrong


def test_gains_of_both_kinds_agree_on_zero_and_one_and_on_no_grades():
    scores, gains, candidates = crowd()
    binary = (gains > 0).double()
    assert same(table(scores, binary, candidates, 5), table(scores, binary, candidates, 5, "linear"))
    assert not same(table(scores, gains, candidates, 5), table(scores, gains, candidates, 5, "linear"))


def test_trec_eval_agrees():
    """On distinct scores: of equal ones it takes the larger name first. Its empty queries are 0 and counted."""
    ir = pytest.importorskip("ir_measures")
    _, gains, candidates = crowd(documents=30)
    scores = torch.rand(gains.shape, generator=rng(7)).argsort(1).double()
    sound = candidates.any(1)
    scores, gains, candidates = scores[sound], gains[sound], candidates[sound]
    pairs = [(str(q), str(d), q, d) for q, d in candidates.nonzero().tolist()]
    run = [ir.ScoredDoc(query, doc, float(scores[q, d])) for query, doc, q, d in pairs]
    for gain, weigh in WEIGH.items():
        judged = [ir.Qrel(query, doc, int(weigh(gains[q, d]))) for query, doc, q, d in pairs]
        for k in (1, 5, 10, 40):
            measures = [ir.P @ k, ir.nDCG @ k, ir.R @ k, ir.AP, ir.RR]
            theirs = torch.full((5, len(scores)), torch.nan, dtype=torch.float64)
            for found in ir.iter_calc(measures, judged, run):
                theirs[measures.index(found.measure), int(found.query_id)] = found.value
            torch.testing.assert_close(table(scores, gains, candidates, k, gain, "zero"), theirs, rtol=0, atol=1e-6)
            reversed_ = table(-scores, gains, candidates, k, gain, "zero")
            assert (reversed_ - theirs).abs().max() > 0.1


def orders(gains):
    """All lists of a few documents: scores, gains and candidates of one query for each order."""
    scores = torch.tensor(list(itertools.permutations(range(len(gains)))), dtype=torch.float64)
    return scores, torch.tensor(gains, dtype=torch.float64).expand_as(scores), torch.ones_like(scores).bool()


@pytest.mark.parametrize("gains", [(0, 0, 1, 0, 0), (1, 0, 1, 0, 0, 1), (2, 0, 1, 0, 2)])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_over_all_orders_chance_and_the_ideal_are_what_they_must_be(gains, k):
    """A random list has P = R / D and recall k / D in the mean, an RR by the first of R among D; and only lists that
    start with the best gains have an NDCG of 1."""
    n, relevant = len(gains), sum(g > 0 for g in gains)
    lists = orders(gains)
    p, ndcg, recall, _, rr = table(*lists, k)
    assert float(p.mean()) == pytest.approx(relevant / n, rel=1e-12)
    assert float(recall.mean()) == pytest.approx(min(k, n) / n, rel=1e-12)
    first = [math.comb(n - r, relevant - 1) / math.comb(n, relevant) for r in range(1, n + 1)]
    assert float(rr.mean()) == pytest.approx(sum(share / r for r, share in enumerate(first, 1)), rel=1e-12)
    shown = lists[1].gather(1, lists[0].argsort(dim=1, descending=True))[:, :k]
    ideal = (shown == torch.tensor(sorted(gains, reverse=True))[:k]).all(1)
    assert torch.equal(ndcg > 1 - 1e-12, ideal)
    assert not ideal.all()


def test_average_precision_is_one_only_where_all_relevant_come_first():
    scores, gains, candidates = orders((1, 0, 1, 0, 0, 1))
    found = ranking.per_query(scores, gains, candidates, (3,))
    ap = found["map"]
    assert torch.equal(ap == 1, found["recall@3"] == 1)
    assert float(ap.min()) == pytest.approx((1 / 4 + 2 / 5 + 3 / 6) / 3)


def over_all_orders(scores, gains, candidates, k, gain="exponential", fault=None):
    """The mean of the definitions over every order of the documents, of which equal ones keep theirs."""
    found = []
    for order in itertools.permutations(range(len(scores))):
        held = [[values[i] for i in order] for values in (scores, gains, candidates)]
        found.append(by_definition(*held, k, gain) or (math.nan,) * 5)
        if fault == "the file's order":
            break
    return torch.tensor(found, dtype=torch.float64).mean(0)


@pytest.mark.parametrize("gain", ranking.GAINS)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_tie_is_worth_its_mean_over_all_orders(levels, gain):
    """Wherever the list is cut, whole or not, and no one order is."""
    lists = crowd(queries=16, documents=6, levels=levels, seed=levels)
    rows = list(zip(*(t.tolist() for t in lists), strict=True))
    for k in (1, 3, 5, 8):
        expected = torch.stack([over_all_orders(*row, k, gain) for row in rows], 1)
        found = table(*lists, k, gain)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, equal_nan=True)
        cut = torch.stack(list(ranking.per_query(*lists, (k,), gain, whole=False).values()))
        torch.testing.assert_close(cut, expected[:3], rtol=1e-12, atol=1e-12, equal_nan=True)
        by_file = torch.stack([over_all_orders(*row, k, gain, "the file's order") for row in rows], 1)
        assert k > 5 or (by_file - expected).abs().nan_to_num().max() > 0.05


def test_ranks_of_equal_scores_are_those_of_a_hand():
    """Two relevant of four, all equal: the first of a list is relevant in 1/2 of all orders. And 0 equals -0."""
    scores, gains = torch.tensor([[0.0, -0.0, 0.0, -0.0]]), torch.tensor([[1, 1, 0, 0]])
    found = ranking.per_query(scores, gains, torch.ones_like(gains).bool(), (1, 2))
    assert found["p@1"].item() == found["p@2"].item() == found["ndcg@1"].item() == 1 / 2
    assert found["mrr"].item() == pytest.approx(1 / 2 + 1 / 3 / 2 + 1 / 6 / 3)
    pairs = [(1 + 2 / j) / 2 if i == 1 else (1 / i + 2 / j) / 2 for i, j in itertools.combinations(range(1, 5), 2)]
    assert found["map"].item() == pytest.approx(sum(pairs) / 6)


def test_lists_are_tied_where_equal_scores_have_several_gains():
    scores = torch.tensor([[1, 1, 0], [1, 1, 0], [2, 1, 0], [1, 2, 1], [1, 1, 0]]).double()
    gains = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]])
    candidates = torch.ones_like(gains).bool()
    candidates[4, 1] = False
    assert ranking.tied(scores, gains, candidates).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize("levels", [1, 2, 5, 10_000])
@pytest.mark.parametrize("ks", [(1,), (1, 3, 5, 10), (7, 99), (100,), (200,)])
def test_a_cut_list_is_the_head_of_the_whole_however_many_are_equal(levels, ks):
    """Which of equal ones topk finds is its own affair: a tie at the cut counts with those behind it."""
    lists = crowd(documents=100, levels=levels)
    whole, cut = ranking.per_query(*lists, ks), ranking.per_query(*lists, ks, whole=False)
    assert whole.keys() - cut.keys() == {"map", "mrr"}
    assert all(same(whole[name], cut[name]) for name in cut)


def test_a_candidate_at_minus_infinity_still_comes_before_outsiders():
    scores = torch.tensor([[math.inf, -math.inf, 0.0, -math.inf]])
    gains, candidates = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[False, False, True, True]])
    found = ranking.per_query(scores, gains, candidates, (1, 2))
    assert [found[name].tolist() for name in ("mrr", "recall@2", "recall@1")] == [[1 / 2], [1], [0]]


DOCUMENT = st.tuples(st.integers(-3, 3), st.integers(0, 2), st.booleans())
DOCUMENTS = st.lists(DOCUMENT, min_size=1, max_size=9)


def query(documents):
    scores, gains, candidates = zip(*documents, strict=True)
    return torch.tensor([scores]).double(), torch.tensor([gains]).double(), torch.tensor([candidates])


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, k=st.integers(1, 11))
def test_values_lie_between_zero_and_one_where_a_query_can_be_answered(documents, k):
    lists = query(documents)
    found = table(*lists, k)
    if ranking.has_relevant(*lists[1:]).item():
        assert ((found >= 0) & (found <= 1 + 1e-12)).all()
        assert found[3:].min() > 0
    else:
        assert found.isnan().all()
        assert (table(*lists, k, empty="zero") == 0).all()


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, k=st.integers(1, 11))
def test_only_the_order_of_scores_counts(documents, k):
    scores, gains, candidates = query(documents)
    found = table(scores, gains, candidates, k)
    for rising in (scores.exp(), scores**3 - 1e6, scores.float() / 7):
        assert same(table(rising, gains, candidates, k), found)


def test_what_is_not_rising_changes_the_values():
    scores, gains, candidates = crowd()
    found = table(scores, gains, candidates, 3)
    for other in (-scores, (scores - 2).abs()):
        assert not same(table(other, gains, candidates, 3), found)


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, k=st.integers(1, 11), score=st.sampled_from([0.0, math.inf, -math.inf, math.nan]))
def test_outsiders_are_never_seen(documents, k, score):
    scores, gains, candidates = query(documents)
    found = table(scores, gains, candidates, k)
    for gain in (2.0, -1.0, math.nan):
        hidden = torch.where(candidates, scores, score), torch.where(candidates, gains, gain), candidates
        assert same(table(*hidden, k), found)
        padded = [torch.cat([t, torch.full((1, 3), v)], 1) for t, v in zip(hidden, (9.0, 2.0, False), strict=True)]
        assert same(table(*padded, k), found)


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, k=st.integers(1, 11), data=st.data())
def test_the_order_in_which_documents_are_given_counts_for_nothing(documents, k, data):
    shuffled = data.draw(st.permutations(documents))
    assert same(table(*query(shuffled), k), table(*query(documents), k))


@pytest.mark.parametrize("empty", ranking.EMPTY)
def test_a_candidate_without_a_number_for_a_score_spoils_its_query_and_the_mean(empty):
    scores, gains, candidates = crowd()
    kept = candidates & ranking.has_relevant(gains, candidates)[:, None]
    q, d = kept.nonzero()[50].tolist()
    broken = scores.clone()
    broken[q, d] = math.nan
    before, after = table(scores, gains, candidates, 3, empty=empty), table(broken, gains, candidates, 3, empty=empty)
    others = torch.arange(len(scores)) != q
    assert after[:, q].isnan().all()
    assert not before[:, q].isnan().any()
    assert same(after[:, others], before[:, others])
    assert all(math.isnan(value) for value in ranking.judge(broken, gains, candidates, empty=empty).values())


def test_empty_queries_are_left_out_or_counted_as_zero_and_the_choice_is_their_share():
    lists = crowd()
    share = float(ranking.has_relevant(*lists[1:]).double().mean())
    assert 0.5 < share < 1
    excluded, zero = ranking.judge(*lists), ranking.judge(*lists, empty="zero")
    assert zero == pytest.approx({name: share * value for name, value in excluded.items()}, rel=1e-12)


def test_a_relevant_outsider_does_not_answer_a_query():
    gains, candidates = torch.tensor([[1, 0], [1, 0]]), torch.tensor([[True, True], [False, True]])
    assert ranking.has_relevant(gains, candidates).tolist() == [True, False]
    assert ranking.judge(torch.zeros(2, 2), gains, candidates)["map"] == 3 / 4
    assert math.isnan(ranking.judge(torch.zeros(1, 2), gains[1:], candidates[1:])["map"])


@pytest.mark.parametrize("empty", ranking.EMPTY)
@pytest.mark.parametrize("gain", ranking.GAINS)
def test_judge_is_the_mean_of_every_metric(gain, empty):
    lists = crowd()
    found = ranking.judge(*lists, gain=gain, empty=empty)
    at = [f"{name}@{k}" for name in ("p", "ndcg", "recall") for k in KS]
    assert list(found) == [*at, "map", "mrr"]
    for k in KS:
        p, ndcg, recall, ap, rr = table(*lists, k, gain, empty).nanmean(1).tolist()
        mine = [found[name] for name in (f"p@{k}", f"ndcg@{k}", f"recall@{k}", "map", "mrr")]
        assert mine == pytest.approx([p, ndcg, recall, ap, rr], rel=1e-12)


def test_the_error_of_a_mean_is_that_of_scipy_and_of_a_second_draw_of_queries():
    values = torch.rand(400, generator=rng(), dtype=torch.float64)
    counted = torch.rand(400, generator=rng(1)) < 0.7
    found = ranking.mean_over_queries(values, counted)
    kept = values[counted].numpy()
    assert found == pytest.approx((kept.mean(), sem(kept), len(kept)), rel=1e-12)
    assert ranking.mean_over_queries(values).queries == 400
    draws = torch.rand(2_000, 100, generator=rng(2), dtype=torch.float64)
    told = np.mean([ranking.mean_over_queries(draw).error for draw in draws])
    assert told == pytest.approx(float(draws.mean(1).std()), rel=0.05)


def test_a_mean_of_nothing_and_the_error_of_one_are_not_numbers():
    one = torch.tensor([0.5, math.nan])
    assert math.isnan(ranking.mean_over_queries(one[:0]).value)
    assert ranking.mean_over_queries(one, torch.tensor([True, False]))[::2] == (0.5, 1)
    assert math.isnan(ranking.mean_over_queries(one, torch.tensor([True, False])).error)
    assert math.isnan(ranking.mean_over_queries(one).value)


def test_what_cannot_be_ranked_is_refused():
    scores, gains, candidates = crowd(queries=3)
    with pytest.raises(ValueError, match=r"must all be \[Q, D\].*\(3, 13\)"):
        ranking.judge(scores, gains[:, 1:], candidates)
    with pytest.raises(ValueError, match="torch.float64, .* of torch.float64, .* of torch.int64"):
        ranking.judge(scores, gains, candidates.long())
    with pytest.raises(ValueError, match="at k = 0"):
        ranking.per_query(scores, gains, candidates, (3, 0))
    with pytest.raises(ValueError, match="gains must be 0"):
        ranking.judge(scores, gains - 1, candidates)
    with pytest.raises(ValueError, match="no gain named 'exp'; did you mean 'exponential'"):
        ranking.judge(scores, gains, candidates, gain="exp")
    with pytest.raises(ValueError, match="named 'nan'; there are excluded, zero"):
        ranking.judge(scores, gains, candidates, empty="nan")
