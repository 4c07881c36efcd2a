"""What is written outside the core and remembers, acts now and then, or reads classes: LeCam, lazy R1, Fisher's
multiplier, an averaged moment, ADA's probability, a penalty of each class; and that they play alike everywhere."""

import copy
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import ganzfeld as gz
from ganzfeld import constraints, objectives, optimizers
from ganzfeld.augment import Augmentation
from ganzfeld.constraints import Constraint, square_slopes
from ganzfeld.core import tree
from ganzfeld.core.randomness import Need
from ganzfeld.engine import Engine, population, slope
from ganzfeld.game import Game, When
from ganzfeld.laws.play import match
from ganzfeld.objectives import Memory, Objective

F64 = torch.float64


@dataclass(frozen=True)
class LeCam(Constraint):
    """Scores of each side against the other's average. Tseng et al. 2021, eq. 6."""

    weight: float = 0.3
    decay: float = 0.9

    def init(self, params):
        return {"real": torch.zeros(()), "fake": torch.zeros(())}

    def penalise(self, turn):
        held = turn.state
        term = (turn.real_scores - held["fake"]).square() + (turn.fake_scores - held["real"]).square()
        means = {"real": turn.mean(turn.real_scores), "fake": turn.mean(turn.fake_scores)}
        return self.weight * term, {side: torch.lerp(means[side], held[side], self.decay) for side in means}


@dataclass(frozen=True)
class Lazy(Constraint):
    """R1 in every k-th turn of the critic, k times as strong. Karras et al. 2020 (StyleGAN2), appendix B."""

    every: int = 4
    gamma: float = 0.5
    per_sample: ClassVar[bool] = True
    scalar: ClassVar[bool] = True

    def acts(self, number):
        return number % self.every == 0

    def penalty(self, turn):
        return self.every * self.gamma / 2 * square_slopes(turn.f, turn.real)


class Masked(Lazy):
    """The same, worked out in every turn and taken times 0 in the others: its number is read in the turn."""

    def acts(self, number):
        return True

    def penalty(self, turn):
        return super().penalty(turn) * (torch.as_tensor(turn.number) % self.every == 0)


@dataclass(frozen=True)
class Fading(Constraint):
    """Squared scores, in every k-th turn, and less and less."""

    every: int = 2

    def acts(self, number):
        return number % self.every == 0

    def penalty(self, turn):
        return turn.real_scores.square() / turn.number


@dataclass(frozen=True)
class Fisher(Constraint):
    """The critic's second moment held at 1 by an augmented Lagrangian. Mroueh and Sercu 2017, Algorithm 1."""

    rho: float = 0.1
    learns: bool = True

    def init(self, params):
        return {"multiplier": torch.zeros(())}

    def penalise(self, turn):
        excess = turn.mean(turn.real_scores.square() + turn.fake_scores.square()) / 2 - 1
        multiplier = turn.state["multiplier"]
        term = multiplier * excess + self.rho / 2 * excess.square()
        return term, {"multiplier": multiplier + self.rho * excess} if self.learns else turn.state


@dataclass(frozen=True)
class ByClass(Constraint):
    """R1 of a weight of its own for each class."""

    weights: tuple[float, ...] = (0.0, 1.0, 3.0)

    def penalty(self, turn):
        (label,) = turn.labels
        return turn.real_scores.new_tensor(self.weights)[label] * square_slopes(turn.f, turn.real)


@dataclass(frozen=True)
class Ada(Augmentation):
    """Turns of a half circle, as likely as the critic is sure of real samples. Karras et al. 2020 (ADA), eq. 1."""

    target: float = 0.1
    pace: float = 0.05
    need: Need = Need("uniform", ())

    def init(self):
        return {"p": torch.full((), 0.3)}

    def remember(self, state, real_scores, number):
        sure = real_scores.sign().mean() - self.target
        return {"p": (state["p"] + self.pace * sure.sign()).clamp(0, 1)}

    def __call__(self, side, rng, state):
        return tuple(torch.where((rng < state["p"]).view(-1, *[1] * (x.dim() - 1)), -x, x) for x in side)


def averaged(decay: float = 0.8) -> Objective:
    """The critic's mean gap as an average over turns, of which this turn's batch is the share 1 - decay."""

    def gap(context, real, fake):
        return torch.lerp(real.mean() - fake.mean(), context.state["gap"], decay)

    def at(context):
        return objectives.wasserstein._replace(
            critic=lambda real, fake: gap(context, real, fake).tanh(),
            generator=lambda real, fake: gap(context, real, fake).tanh(),
            relative=True,
            bounded=True,
        )

    memory = Memory(at, lambda params: {"gap": torch.zeros(())}, lambda context, *sides: {"gap": gap(context, *sides)})
    return at(objectives.Context({"gap": torch.zeros(())}, 1, ()))._replace(memory=memory)


class Told(nn.Module):
    """A perceptron that is told a class."""

    def __init__(self, out: int):
        super().__init__()
        self.told, self.first, self.last = nn.Embedding(3, 2), nn.Linear(2 + 2, 8), nn.Linear(8, out)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(torch.cat([x, self.told(label)], 1)))).squeeze(1)


class Classes:
    rows = 90

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(self.rows, 2, generator=rng), torch.arange(self.rows) % 3
        self.x = self.x.double() + self.y.unsqueeze(1)

    def take(self, rows):
        return self.x[rows]

    def classes(self, rows):
        return self.y[rows]


def game(*bound: Constraint, objective: Objective = objectives.non_saturating, **pieces) -> Game:
    adam = optimizers.adam(0.02, (0.5, 0.9))
    return Game(
        objective, gz.Generate(2, labelled=True), {"generator": Told(2)}, Told(1), {"critic": adam, "generator": adam},
        bound, batch_size=12, shape=(2,), **pieces,
    )  # fmt: skip


GAMES = {
    "lecam": lambda: game(LeCam()),
    "lazy": lambda: game(Lazy()),
    "fisher": lambda: game(Fisher(), objective=objectives.wasserstein),
    "averaged": lambda: game(LeCam(), objective=averaged()),
    "ada": lambda: game(augment=Ada()),
    "classes": lambda: game(ByClass()),
    "fading": lambda: game(Fading(), LeCam(), objective=averaged()),
    "all": lambda: game(LeCam(), Lazy(2), Masked(3), Fisher(), ByClass(), objective=averaged(), augment=Ada()),
}


def started(played: Game, seeds, steps, mode="eager"):
    engine = Engine(played, Classes(), seeds, steps, mode)
    for dealer in engine._dealers:
        deal = dealer.noise
        dealer.noise = lambda *turns, deal=deal: {name: x.double() for name, x in deal(*turns).items()}
    engine.load([tree.map(Tensor.double, played.init(seed)) for seed in seeds])
    return engine


def after(played: Game, seeds=(0,), steps=24, mode="eager", torn=()):
    """The members' states; torn: the steps at which the run goes on from what it would have saved."""
    engine, step = started(played, seeds, steps, mode), 0
    while step < steps:
        if step in torn:
            states = [tree.unflatten(tree.flatten(s), played.init(0)) for s in engine.states()]
            engine = started(played, seeds, steps, mode)
            engine.load(states)
        step, _ = engine.advance(step, steps)
    return engine.states()


def gap(a, b):
    """Between trees, or lists of them."""
    if isinstance(a, list):
        return max(gap(x, y) for x, y in zip(a, b, strict=True))
    return max(float((x - y).abs().max()) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


# --- alike everywhere ---


@pytest.mark.parametrize("name", GAMES)
def test_what_is_remembered_is_part_of_a_population_and_of_a_resumed_run(name):
    whole = after(GAMES[name](), range(3))
    for seed in range(3):
        (one,) = after(GAMES[name](), [seed])
        assert gap(one, whole[seed]) < 1e-10
    assert gap(after(GAMES[name](), [1], torn=(4, 12)), whole[1:2]) < 1e-10
    assert gap(whole[0], whole[1]) > 1e-3
    plain = dataclasses.replace(GAMES[name](), constraints=(), objective=objectives.least_squares, augment=None)
    assert gap(after(plain)[0]["params"], whole[0]["params"]) > 1e-3


def test_a_run_that_forgets_what_was_remembered_is_another(monkeypatch):
    whole = after(GAMES["all"]())
    fresh, load = GAMES["all"]().init(0), Engine.load

    def forgotten(self, states):
        kept = {piece: tree.map(Tensor.double, fresh[piece]) for piece in ("constraints", "objective", "augment")}
        load(self, [{**state, **kept} for state in states])

    monkeypatch.setattr(Engine, "load", forgotten)
    assert gap(after(GAMES["all"](), torn=(8, 16)), whole) > 1e-3


@pytest.mark.parametrize("name", ["fading", pytest.param("all", marks=pytest.mark.slow)])
def test_compiled_equals_eager_where_constraints_act_now_and_then(name, monkeypatch):
    monkeypatch.setattr(population, "TURNS_PER_GRAPH", 2)  # a step a graph: where one acts, and where it does not
    eager, compiled = (after(GAMES[name](), steps=6, mode=mode) for mode in ("eager", "compiled"))
    assert gap(eager, compiled) < 1e-9


def in_ranks(played: Game, state, batch, noise, when, ranks=2):
    """The gradients of the critic's turn by each of some ranks, each with its share of the batch, summed; and what they
    remember."""
    said, barrier = [None] * ranks, threading.Barrier(ranks, timeout=20)
    found = [None] * ranks

    def join(rank, own):
        said[rank] = own.detach()
        barrier.wait()
        parts = list(said)
        barrier.wait()
        parts[rank] = own
        return torch.cat(parts)

    def share(rank, x):
        return x.chunk(ranks)[rank]

    def work(rank):
        # a functional call lends a module its weights: each rank has modules of its own
        own_game = dataclasses.replace(
            played, critic=copy.deepcopy(played.critic), generators=copy.deepcopy(played.generators)
        )
        slopes = slope(own_game, ("critic",), "eager", False, lambda own: join(rank, own))
        own = tuple(share(rank, x) for x in batch), {name: share(rank, u) for name, u in noise.items()}
        found[rank] = slopes(state, *own, when)

    with ThreadPoolExecutor(ranks) as pool:
        list(pool.map(work, range(ranks)))
    gradients = tree.map(lambda *parts: sum(parts), *(gradients for gradients, _ in found))
    return gradients, [memory for _, (memory, _) in found]


@pytest.mark.parametrize("name", GAMES)
def test_ranks_remember_and_descend_what_one_process_does(name, monkeypatch):
    played = GAMES[name]()
    (state,) = after(played, steps=4)
    data, rng = Classes(), torch.Generator().manual_seed(1)
    batch = data.x[:12], data.y[:12]
    noise = {n: torch.rand(12, *need.shape, generator=rng).double() for n, need in played.needs("critic").items()}
    when = When(12, tuple(range(len(played.constraints))))
    whole, (memory, _) = slope(played, ("critic",), "eager", False)(state, batch, noise, when)
    summed, memories = in_ranks(played, state, batch, noise, when)
    assert gap(whole, summed) < 1e-12
    assert all(gap(memory, other) < 1e-12 for other in memories if tree.leaves(memory))
    if name in ("fisher", "all"):  # a mean that is not linear in the batch's
        monkeypatch.setattr(constraints, "_mean", lambda gather, own: gather(own).mean(0))
        assert gap(whole, in_ranks(played, state, batch, noise, when)[0]) > 1e-4


# --- each does what its paper says ---


def test_lecam_holds_scores_against_the_average_of_earlier_turns(monkeypatch):
    seen, penalise = [], LeCam.penalise

    def spy(self, turn):
        term, state = penalise(self, turn)
        seen.append((turn.real_scores.detach(), turn.fake_scores.detach(), term.detach()))
        return term, state

    played = game(LeCam())
    monkeypatch.setattr(LeCam, "penalise", spy)
    (state,) = after(played, steps=16)
    assert len(seen) == 16
    real = fake = torch.zeros((), dtype=F64)
    ahead = []
    for o_real, o_fake, term in seen:
        assert torch.allclose(term, 0.3 * ((o_real - fake) ** 2 + (o_fake - real) ** 2), atol=1e-12)
        real, fake = 0.9 * real + 0.1 * o_real.mean(), 0.9 * fake + 0.1 * o_fake.mean()
        ahead.append(float((term - 0.3 * ((o_real - fake) ** 2 + (o_fake - real) ** 2)).abs().max()))
    assert max(ahead) > 1e-3  # with this turn's own averages it is another penalty
    found = state["constraints"]["0"]
    assert float(found["real"]) == pytest.approx(float(real), abs=1e-12)
    assert float(found["fake"]) == pytest.approx(float(fake), abs=1e-12)


@pytest.mark.parametrize("schedule", [gz.Schedule(), gz.Schedule(3)])
def test_a_lazy_penalty_is_left_out_of_the_turns_in_which_it_does_not_act(schedule, monkeypatch):
    counted, penalty = [], Lazy.penalty

    def spy(self, turn):
        counted.append(turn.number)
        return penalty(self, turn)

    (masked,) = after(game(Masked(), schedule=schedule))
    monkeypatch.setattr(Lazy, "penalty", spy)
    (lazy,) = after(game(Lazy(), schedule=schedule))
    turns = 24 * schedule.n_critic
    assert counted == list(range(4, turns + 1, 4))
    assert gap(lazy, masked) < 1e-12
    for other in (Lazy(3), Lazy(4, 0.4), Lazy(1)):
        assert gap(after(game(other, schedule=schedule))[0], lazy) > 1e-4


def test_fishers_multiplier_holds_the_second_moment_at_one():
    """For linear critics the best value under the constraint is the Mahalanobis distance of the means."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 2, generator=rng), 0.7 * torch.randn(64, 2, generator=rng) + torch.tensor([1.0, -0.5])
    with_one = [torch.cat([side, torch.ones(64, 1)], 1).double() for side in (x, y)]
    moments = sum(side.T @ side / 64 for side in with_one) / 2
    d = with_one[0].mean(0) - with_one[1].mean(0)
    best = float((d @ torch.linalg.solve(moments, d)).sqrt())
    found = {}
    for learns in (True, False):
        critic = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
        bound = (Fisher(0.3, learns),)
        played = match(objectives.wasserstein, critic, x, y, bound, optimizers.adam(0.05, (0.0, 0.9)))
        played.play("critic", 600, lambda progress: 1 - progress)
        moment = (played.score(x).square().mean() + played.score(y).square().mean()) / 2
        found[learns] = played.value, float(moment)
    assert found[True] == pytest.approx((best, 1.0), rel=2e-3)
    assert abs(found[False][1] - 1) > 0.1  # the square alone lets it run past 1


def test_an_averaged_moment_is_the_average_of_the_turns_so_far():
    seen, objective = [], averaged()
    memory = objective.memory

    def remember(context, real, fake):
        seen.append((int(context.number), real.mean() - fake.mean(), context.labels[0].shape))
        return memory.remember(context, real, fake)

    played = game(LeCam(), objective=objective._replace(memory=memory._replace(remember=remember)))
    seen.clear()  # of the rehearsal
    (state,) = after(played, steps=16)
    held = torch.zeros((), dtype=F64)
    for _, gap_, _ in seen:
        held = 0.8 * held + 0.2 * gap_
    assert [number for number, _, _ in seen] == list(range(1, 17)) and seen[0][2] == (12,)
    assert float(state["objective"]["gap"]) == pytest.approx(float(held), abs=1e-12)
    (plain,) = after(game(LeCam(), objective=averaged(0.0)), steps=16)
    bare = averaged()._replace(
        critic=lambda real, fake: (real.mean() - fake.mean()).tanh(),
        generator=lambda real, fake: (real.mean() - fake.mean()).tanh(),
        memory=None,
    )
    assert gap(after(game(LeCam(), objective=bare), steps=16)[0]["params"], plain["params"]) < 1e-12
    assert gap(plain["params"], state["params"]) > 1e-3


def test_adas_probability_follows_what_the_critic_says_of_real_samples():
    @dataclass(frozen=True)
    class Spied(Ada):
        def remember(self, state, real_scores, number):
            seen.append(real_scores.sign().mean())
            return super().remember(state, real_scores, number)

    seen: list[Tensor] = []
    played = game(augment=Spied())
    seen.clear()  # of the rehearsal
    (state,) = after(played)
    p = 0.3
    for sure in seen:
        p = min(1.0, max(0.0, p + 0.05 * float((sure - 0.1).sign())))
    assert len(seen) == 24 and float(state["augment"]["p"]) == pytest.approx(p, abs=1e-6)
    never, always = (after(game(augment=Ada(target)))[0]["augment"]["p"] for target in (2.0, -2.0))
    assert float(never) == 0.0 and float(always) == 1.0
    (off,) = after(game(augment=Ada(2.0)))
    assert gap(off["params"], after(game())[0]["params"]) > 1e-3  # it was on in the first turns


def test_a_penalty_may_read_classes():
    played, data = game(ByClass()), Classes()
    state = tree.map(Tensor.double, played.init(0))
    batch, noise = (data.x[:12], data.y[:12]), {"z": torch.zeros(12, 2, dtype=F64)}
    _, (_, record) = played.gradient("critic", state, batch, noise)
    total = 0.0
    for x, y in zip(*batch, strict=True):
        x = x.clone().requires_grad_()
        score = torch.func.functional_call(played.critic, state["params"]["critic"], (x[None], y[None]))
        (by,) = torch.autograd.grad(score.sum(), x)
        total += (0.0, 1.0, 3.0)[int(y)] * float(by.square().sum()) / 12
    assert float(record["penalty"]) == pytest.approx(total, abs=1e-12)
    flat = dataclasses.replace(played, constraints=(ByClass((4 / 3,) * 3),))
    _, (_, other) = flat.gradient("critic", state, batch, noise)
    assert abs(float(other["penalty"]) - total) > 1e-3


def test_each_constraint_meets_the_noise_that_it_asked_for():
    """Two that ask for noise of the same name are dealt numbers of their own."""
    bound = gz.GradientPenalty(1.0), gz.GradientPenalty(2.0)
    both, alone = game(*bound), [game(constraint) for constraint in bound]
    state = tree.map(Tensor.double, both.init(0))
    data, rng = Classes(), torch.Generator().manual_seed(2)
    batch = data.x[:12], data.y[:12]
    noise = {n: torch.rand(12, *need.shape, generator=rng).double() for n, need in both.needs("critic").items()}

    def penalty(played, noise):
        own = {**state, "constraints": {str(i): {} for i in range(len(played.constraints))}}
        return float(played.gradient("critic", own, batch, noise)[1][1]["penalty"])

    apart = [penalty(g, {"z": noise["z"], "0.mix": noise[f"{i}.mix"]}) for i, g in enumerate(alone)]
    assert penalty(both, noise) == pytest.approx(sum(apart), abs=1e-12)
    assert abs(penalty(both, {**noise, "1.mix": noise["0.mix"]}) - sum(apart)) > 1e-6
