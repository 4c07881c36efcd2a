"""Optimizers equal torch.optim, over a hundred steps, in float64."""

import math

import pytest
import torch

from ganzfeld import optimizers
from ganzfeld.optimizers import LR_SCHEDULES, Average, LRSchedule

F64 = torch.float64


def gradients(n=7, steps=100, lead=()):
    return torch.randn(steps, *lead, n, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("optimizer", "theirs"),
    [
        (optimizers.sgd(0.1), lambda p: torch.optim.SGD(p, 0.1)),
        (optimizers.sgd(0.1, 0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (optimizers.rmsprop(0.01), lambda p: torch.optim.RMSprop(p, 0.01)),
        (optimizers.adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
        (optimizers.adam(0.01, (0.0, 0.99)), lambda p: torch.optim.Adam(p, 0.01, (0.0, 0.99))),
        (optimizers.adam(0.01, (0.5, 0.9)), lambda p: torch.optim.Adam(p, 0.01, (0.5, 0.9))),
    ],
)
def test_optimizer_equals_torch(optimizer, theirs):
    weights = torch.linspace(-1, 1, 7, dtype=F64)
    parameter = torch.nn.Parameter(weights.clone())
    torchs, state = theirs([parameter]), optimizer.init(weights)
    for turn, g in enumerate(gradients(), 1):
        move, state = optimizer.step(g, state, optimizer.step_sizes(turn, 1.0))
        weights = weights - move
        parameter.grad = g.clone()
        torchs.step()
        assert torch.allclose(weights, parameter.data, rtol=0, atol=1e-12)


def test_optimistic_adam_is_its_papers_algorithm():
    lr, (b1, b2), eps = 0.02, (0.5, 0.9), 1e-8
    optimizer = optimizers.optimistic_adam(lr, (b1, b2), eps)
    ours = theirs = torch.linspace(-1, 1, 7, dtype=F64)
    state = optimizer.init(ours)
    m = v = last = torch.zeros(7, dtype=F64)
    for t, g in enumerate(gradients(), 1):
        move, state = optimizer.step(g, state, optimizer.step_sizes(t, 1.0))
        ours = ours - move
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        ratio = (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps)
        theirs = theirs - 2 * lr * ratio + lr * last
        last = ratio
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", optimizers.TABLE.values(), ids=optimizers.TABLE)
def test_a_stack_moves_as_each_game_alone_and_the_schedule_scales_the_rate(make):
    optimizer, stacked = make(0.01), gradients(lead=(3,), steps=20)
    states = [optimizer.init(torch.zeros(7, dtype=F64)) for _ in range(3)]
    together = optimizer.init(torch.zeros(3, 7, dtype=F64))
    for turn, g in enumerate(stacked, 1):
        move, together = optimizer.step(g, together, optimizer.step_sizes(turn, 0.5))
        for i in range(3):
            alone, states[i] = optimizer.step(g[i], states[i], optimizer.step_sizes(turn, 0.5))
            assert torch.equal(alone, move[i])
    full, _ = optimizer.step(stacked[0, 0], optimizer.init(torch.zeros(7, dtype=F64)), optimizer.step_sizes(1, 1.0))
    half, _ = optimizer.step(stacked[0, 0], optimizer.init(torch.zeros(7, dtype=F64)), optimizer.step_sizes(1, 0.5))
    assert torch.allclose(full, 2 * half)


def test_average_forgets_half_in_a_half_life():
    average = Average(half_life=640.0, batch_size=64, ramp=1e9)
    held = torch.zeros(2, dtype=F64)
    for turn in range(1, 11):
        held = average.step(torch.ones(2, dtype=F64), held, average.share(turn))
    assert torch.allclose(held, torch.full((2,), 0.5, dtype=F64), atol=1e-12)


def test_average_of_a_short_run_is_not_of_its_beginning():
    average, held = Average(half_life=1e6, batch_size=64), torch.zeros(1, dtype=F64)
    for turn in range(1, 200):
        held = average.step(torch.ones(1, dtype=F64), held, average.share(turn))
    assert float(held) > 0.99


@pytest.mark.parametrize("make", optimizers.TABLE.values(), ids=optimizers.TABLE)
@pytest.mark.parametrize("lr", [math.nan, 0.0, -1.0, math.inf])
def test_impossible_rates_are_refused(make, lr):
    with pytest.raises(ValueError, match="lr must be a positive number"):
        make(lr)


@pytest.mark.parametrize("betas", [(1.0, 0.9), (-0.1, 0.9), (0.5, 1.0), (0.5, math.nan)])
def test_impossible_betas_are_refused(betas):
    with pytest.raises(ValueError, match="beta"):
        optimizers.adam(0.1, betas)


def test_schedules_of_learning_rates_have_their_curves():
    linear, cosine = LRSchedule("linear"), LRSchedule("cosine")
    assert [LRSchedule()(step, 7) for step in (0, 3, 6)] == [1.0] * 3
    assert all(linear(step, 7) == 1 - step / 7 for step in range(7))  # to the bit: old runs resume
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 40)
    for step in range(40):
        assert cosine(step, 40) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)
        theirs.step()
        scheduler.step()


@pytest.mark.parametrize("kind", LR_SCHEDULES)
def test_a_schedule_warms_up_and_stays_where_it_ends(kind):
    schedule, plain = LRSchedule(kind, warm_up=3), LRSchedule(kind)
    assert [schedule(step, 10**6) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert [schedule(3 + step, 13) for step in range(10)] == [plain(step, 10) for step in range(10)]
    assert schedule(50, 13) == schedule(13, 13) == schedule(12, 13) > 0  # not at 0, where nothing would move any more


def test_impossible_schedules_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no learning-rate schedule named 'wavy'; there are constant, linear, cosine"):
        LRSchedule("wavy")
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        LRSchedule("cosin")
    with pytest.raises(ValueError, match="warm_up must be a whole number, at least 0"):
        LRSchedule("linear", -1)
