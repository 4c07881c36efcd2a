"""Rankers in closed form: against least squares, loops and scikit-learn, and at their numbers on MovieLens-100K."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from ganzfeld.judging.baselines import closed_form
from ganzfeld.metrics import ranking

SPLIT = Path(__file__).parents[2] / "shared/data/irgan-split"
USERS, ITEMS = 943, 1_683
COLD = 5


def likes(users=60, items=25, seed=0):
    """Positives with popular and rare items, and one that nobody has."""
    rolls = torch.rand(users, items, generator=torch.Generator().manual_seed(seed))
    x = rolls < torch.linspace(0.6, 0.05, items)
    x[:, COLD] = False
    return x


def column_by_column(x, weight):
    """Every item from all others by least squares, the penalty as rows of its own."""
    x = x.numpy().astype(float)
    n, b = x.shape[1], np.zeros((x.shape[1],) * 2)
    for j in range(n):
        others = np.arange(n) != j
        rows = np.vstack([x[:, others], np.sqrt(weight) * np.eye(n - 1)])
        b[others, j] = np.linalg.lstsq(rows, np.concatenate([x[:, j], np.zeros(n - 1)]), rcond=None)[0]
    return torch.from_numpy(b)


@pytest.mark.parametrize("weight", [0.5, 30.0, 400.0])
def test_ease_is_ridge_regression_of_every_item_on_all_others(weight):
    x = likes()
    b, exact = closed_form.ease(x, weight), column_by_column(x, weight)
    torch.testing.assert_close(b, exact, rtol=0, atol=1e-8)
    for faulty in (-b, b.T, closed_form.ease(x, 1.01 * weight)):
        assert (faulty - exact).abs().max() > 1e-4


def test_ease_has_no_slope_but_along_its_diagonal():
    """The gradient of the penalised error is 0 for every weight that is free."""
    x, weight = likes(), 30.0
    b, x_ = closed_form.ease(x, weight).requires_grad_(), x.double()
    loss = (x_ - x_ @ b).square().sum() + weight * b.square().sum()
    (slope,) = torch.autograd.grad(loss, b)
    on = torch.eye(x.shape[1]).bool()
    assert slope[~on].abs().max() < 1e-10
    assert slope[on & (x.sum(0) > 0)].abs().min() > 1
    assert (b.detach().diagonal() == 0).all()


def test_a_heavy_penalty_leaves_the_counts_of_pairs():
    """B -> G / lambda off the diagonal."""
    x = likes()
    together = (x.double().T @ x.double()).fill_diagonal_(0)
    torch.testing.assert_close(1e9 * closed_form.ease(x, 1e9), together, rtol=1e-5, atol=1e-4)


def knn_by_loops(x, k, h, rows=False):
    """``rows``: the fault of keeping what is largest for the item that says, not for the item that is scored."""
    sets = [set(column.nonzero().flatten().tolist()) for column in x.T]
    n = len(sets)
    cosine = lambda i, j: len(sets[i] & sets[j]) / ((len(sets[i]) * len(sets[j])) ** 0.5 + h)  # noqa: E731
    b = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        if not sets[i]:
            continue
        near = sorted((j for j in range(n) if j != i and sets[j]), key=lambda j: (-cosine(i, j), j))[:k]
        for j in near:
            b[(i, j) if rows else (j, i)] = cosine(i, j)
    return b


@pytest.mark.parametrize(("k", "h"), [(1, 0.0), (4, 0.0), (4, 10.0), (100, 0.5)])
def test_item_knn_equals_its_definition(k, h):
    x = likes()
    torch.testing.assert_close(closed_form.item_knn(x, k, h), knn_by_loops(x, k, h), rtol=1e-12, atol=0)


def test_neighbours_are_those_of_the_item_that_is_scored():
    x = likes()
    b = closed_form.item_knn(x, 4)
    assert ((b > 0).sum(0) <= 4).all()
    assert (b > 0).sum(1).max() > 4
    assert (b - knn_by_loops(x, 4, 0.0, rows=True)).abs().max() > 0.1


def test_all_neighbours_without_shrinkage_have_the_cosines_of_scikit_learn():
    x = likes()
    exact = torch.from_numpy(cosine_similarity(x.numpy().astype(float).T)).fill_diagonal_(0)
    torch.testing.assert_close(closed_form.item_knn(x, None), exact, rtol=1e-12, atol=1e-15)


def test_shrinkage_turns_from_the_few_to_the_many():
    """Two users who agree make a cosine of 1, forty of fifty one of .8; with a shrinkage of ten the many win."""
    user = torch.arange(60)
    x = torch.stack([user < 2, user < 2, user < 50, user >= 10], 1)
    free, shrunk = closed_form.item_knn(x), closed_form.item_knn(x, shrinkage=10.0)
    assert (float(free[0, 1]), float(free[2, 3])) == pytest.approx((1, 0.8))
    assert (float(shrunk[0, 1]), float(shrunk[2, 3])) == pytest.approx((2 / 12, 40 / 60))


def test_popularity_counts_users_and_knows_none():
    x = likes()
    scores = closed_form.popularity(x)
    assert scores.shape == x.shape
    assert (scores == torch.tensor([sum(column) for column in x.T.tolist()])).all()


@pytest.mark.parametrize("form", [closed_form.item_knn, closed_form.ease])
def test_an_item_that_nobody_has_scores_zero_and_says_nothing(form):
    b = form(likes())
    assert b.isfinite().all()
    assert (b[COLD] == 0).all()
    assert (b[:, COLD] == 0).all()
    assert (closed_form.popularity(likes())[:, COLD] == 0).all()
    assert (form(torch.zeros(4, 3, dtype=torch.bool)) == 0).all()


@pytest.mark.parametrize(
    "form", [lambda x: x.double() @ closed_form.item_knn(x, None), lambda x: x.double() @ closed_form.ease(x)]
)
def test_names_of_users_and_items_count_for_nothing(form):
    x, rng = likes(), torch.Generator().manual_seed(1)
    rows, columns = (torch.randperm(n, generator=rng) for n in x.shape)
    torch.testing.assert_close(form(x[rows][:, columns]), form(x)[rows][:, columns], rtol=0, atol=1e-12)


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(ValueError, match="weight must be positive, not 0"):
        closed_form.ease(likes(), 0)
    with pytest.raises(ValueError, match="not 0 and 0.0"):
        closed_form.item_knn(likes(), 0)
    with pytest.raises(ValueError, match="not 3 and -1"):
        closed_form.item_knn(likes(), 3, -1)
    for form in (closed_form.popularity, closed_form.item_knn, closed_form.ease):
        with pytest.raises(ValueError, match="bool matrix .* of torch.float64"):
            form(likes().double())


def positives(name):
    """Ratings of four and five are positives."""
    user, item, rating = np.loadtxt(SPLIT / f"movielens-100k-{name}.txt", dtype=int, unpack=True)
    x = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    x[user[rating >= 4], item[rating >= 4]] = True
    return x


@pytest.fixture(scope="module")
def split():
    return positives("train"), positives("test")


NUMBERS = {
    "popularity": (closed_form.popularity, {"p@5": 0.2338, "ndcg@5": 0.2568, "map": 0.1515, "mrr": 0.4657}),
    "all neighbours": (lambda x: x.double() @ closed_form.item_knn(x, None), {"p@5": 0.3671, "ndcg@5": 0.4012}),
    "neighbours": (lambda x: x.double() @ closed_form.item_knn(x), {"p@5": 0.3855, "ndcg@5": 0.4064}),
    "ease": (lambda x: x.double() @ closed_form.ease(x), {"p@5": 0.4180, "ndcg@5": 0.4575, "map": 0.2842}),
}


@pytest.mark.skipif(not SPLIT.exists(), reason="MovieLens-100K in the split of IRGAN is not here")
@pytest.mark.parametrize("name", NUMBERS)
def test_movielens_has_the_known_numbers(split, name):
    """All items but a user's train positives are ranked, for the 456 users with a test positive."""
    train, test = split
    ranker, numbers = NUMBERS[name]
    assert int(ranking.has_relevant(test, ~train).sum()) == 456
    found = ranking.judge(ranker(train), test, ~train)
    assert {key: round(found[key], 4) for key in numbers} == numbers
    everything = ranking.judge(ranker(train), test, torch.ones_like(train))
    assert everything["p@5"] < numbers["p@5"] - 0.05
