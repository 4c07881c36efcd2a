"""Adversarially learned inference: joint laws matched by the critic of pairs, and who learns what from it."""

import contextlib
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import ganzfeld as gz
from ganzfeld import engine as engines
from ganzfeld import metrics, objectives, optimizers
from ganzfeld.compatibility import Doubtful
from ganzfeld.core import tree
from ganzfeld.draws import Infer, ScoreFunction
from ganzfeld.networks import MLP, Encoder
from ganzfeld.papers.build import build
from ganzfeld.runs.plan import StandIn

F64 = torch.float64
LOG4 = math.log(4)
SMALL = MLP(width=16, depth=2)
SIDE = ("generator", "encoder")


def rng(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed):
    return torch.randn(*shape, dtype=F64, generator=rng(seed))


def ali(networks=SMALL, **settings):
    return gz.papers.ali(StandIn((2,)), networks, batch_size=32, **settings)


def crossed(objective="non-saturating", bound=("none",)):
    """The ali game under another objective and these constraints."""
    settings = {"width": 16, "depth": 2}
    return build("ali", StandIn((2,)), settings=settings, objective=objective, bound=bound, batch_size=32)


def started(game):
    return tree.map(torch.Tensor.double, game.init(0))


def dealt(game, seed=0, rows=32):
    """A batch and the noise of a turn of both."""
    noise = {}
    for i, (name, need) in enumerate(game.needs("critic").items()):
        chance = torch.randn if need.law == "normal" else torch.rand
        noise[name] = chance(rows, *need.shape, dtype=F64, generator=rng(100 * seed + i))
    return (normal(rows, 2, seed=100 * seed + 99),), noise


def played(game, turns, state, seed=0):
    """One step of a schedule."""
    (x,), noise = dealt(game, seed)
    count = sum(turn != "generator" for turn in turns)
    play = engines.player(game, turns, "eager", mapped=False)
    batches = {"critic": {"x": x.expand(count, *x.shape)}, "generator": {}}
    noises = {"critic": {name: e.expand(count, *e.shape) for name, e in noise.items()}, "generator": {}}
    return play(
        state,
        batches,
        noises,
        {role: [(*game.step_sizes(role, seed + 1, 1.0), seed + 1)] * count for role in game.optimizers},
    )[0]


def close(a, b, tolerance):
    for (path, x), y in zip(tree.flatten(a).items(), tree.leaves(b), strict=True):
        torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance, msg=lambda m, path=path: f"{path}: {m}")


def gap(a, b):
    return max(float((x - y).abs().max()) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


def test_ascended_table_of_pairs_reaches_the_ratio_of_the_joint_laws():
    q, p = (torch.rand(9, dtype=F64, generator=rng(seed)) + 0.2 for seed in (1, 2))
    q, p = q / q.sum(), p / p.sum()

    def value(o):
        sure = torch.full_like(o, math.inf)
        return (q * objectives.minimax.critic(o, -sure) + p * objectives.minimax.critic(sure, o)).sum()

    o = torch.zeros(9, dtype=F64)
    for _ in range(20):  # Newton's steps
        o = o - torch.linalg.solve(torch.func.hessian(value)(o), torch.func.grad(value)(o))
    assert torch.allclose(o.sigmoid(), q / (q + p), atol=1e-10, rtol=0)
    assert float(value(o)) == pytest.approx(-LOG4 + 2 * jensenshannon(q, p) ** 2, abs=1e-10)
    assert (o.sigmoid() - p / (q + p)).abs().max() > 0.1  # encoded pairs are the real side, not generated ones


PX, PZ, EYE = (5, 3, 2), (2, 3, 5), torch.eye(3, dtype=F64)
MAPS = list(itertools.product(range(3), repeat=3))


def rows(counts):
    """Points of {0, 1, 2}, each as often as in ten draws of its law."""
    return EYE[torch.repeat_interleave(torch.arange(3), torch.tensor(counts))]


def joint_laws(g, e):
    """The scene of two maps on three points, and the tables [x, z] of its sides."""
    players = {"generator": lambda z: z @ EYE[list(g)], "encoder": lambda x: x @ EYE[list(e)]}
    scene = Infer(3, stochastic=False)(players, (rows(PX),), {"z": rows(PZ)}, "critic")
    return scene, *(x.T @ z / 10 for x, z in (scene.real, scene.fake))


def test_the_inverse_pair_alone_reaches_minus_log_four():
    pairs, values, of_x, of_z = list(itertools.product(MAPS, MAPS)), [], [], []
    for g, e in pairs:
        scene, q, p = joint_laws(g, e)
        best = q.log() - p.log()
        real, fake = (best[x.argmax(1), z.argmax(1)] for x, z in (scene.real, scene.fake))
        values.append(float(objectives.minimax.critic(real, fake).mean()))
        assert values[-1] == pytest.approx(-LOG4 + 2 * jensenshannon(q.flatten(), p.flatten()) ** 2, abs=1e-10)
        assert values[-1] == pytest.approx(metrics.optimal_discriminator_value(q, p), abs=1e-12)
        of_x.append(metrics.optimal_discriminator_value(q.sum(1), p.sum(1)))
        of_z.append(metrics.optimal_discriminator_value(q.sum(0), p.sum(0)))
    ranked = np.sort(values)
    inverse = (2, 1, 0)
    assert pairs[int(np.argmin(values))] == (inverse, inverse)
    assert ranked[0] == pytest.approx(-LOG4, abs=1e-10)
    assert ranked[1] > ranked[0] + 0.01
    for blind, place in ((of_x, 0), (of_z, 1)):  # a critic of one part leaves the other network's map open
        least = [pair for pair, value in zip(pairs, blind, strict=True) if value < -LOG4 + 1e-10]
        assert len(least) == 27 and {pair[place] for pair in least} == {inverse}


# x = a z + s eps, z given x ~ N(a x / (a^2 + s^2), s^2 / (a^2 + s^2))
A, S = 2.0, 0.5
POSTERIOR = S / math.sqrt(A**2 + S**2)
COVARIANCE = torch.tensor([[A**2 + S**2, A], [A, 1]], dtype=F64)


class Quadratic(nn.Module):
    """Scores x and the first number of z; the second is the decoder's own noise."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 1)

    def forward(self, x, z):
        x, z = x[:, 0], z[:, 0]
        return self.head(torch.stack([x, z, x * x, x * z, z * z], 1)).squeeze(1)


def linear_gaussian(deviation):
    """The game and its state with an encoder of this standard deviation, 0 for a deterministic one."""
    encoder = Encoder(nn.Identity(), nn.Linear(1, 4), stochastic=True)
    game = gz.Game(
        objectives.minimax,
        Infer(2, stochastic=deviation > 0),
        {"generator": nn.Linear(2, 1, bias=False), "encoder": encoder},
        Quadratic(),
        {"critic": optimizers.adam(0.1, (0.5, 0.999)), "generator": optimizers.sgd(1.0)},
        shape=(1,),
    )
    state = started(game)
    log = math.log(deviation) if deviation else 0.0
    state["params"] |= {
        "generator": {"weight": torch.tensor([[A, S]], dtype=F64)},
        "encoder": {
            "last.weight": torch.tensor([[A / (A**2 + S**2)], [0], [0], [0]], dtype=F64),
            "last.bias": torch.tensor([0, 0, log, 0], dtype=F64),
        },
    }
    return game, state


def covariances(deviation):
    """Of (x, z) on both sides: each is a linear map of its noise, whose rows are the images of unit vectors."""
    game, state = linear_gaussian(deviation)
    x = torch.tensor([[A], [S], [0]], dtype=F64)  # of z', eps', e
    e = torch.tensor([[0, 0], [0, 0], [1, 0]], dtype=F64)
    scene = game.scene(state["params"], "critic", (x,), {"z": torch.eye(2, dtype=F64), "e": e})
    maps = (torch.cat([x, z[:, :1]], 1) for x, z in (scene.real, scene.fake))
    return [m.T @ m for m in maps]


def held_out_accuracy(deviation, turns=300):
    """Of a critic that played so many turns, on twenty thousand fresh pairs of either side."""
    game, state = linear_gaussian(deviation)

    def fresh(n, seed):
        z, x, e = normal(3, n, 2, seed=seed)
        return ((A * x[:, :1] + S * x[:, 1:]),), {"z": z, "e": e}

    for i in range(turns):
        state, record = game.turn("critic", state, *fresh(512, i), game.step_sizes("critic", i + 1, 1 - i / turns))
    assert record["critic_value"] > -1.5
    scene = game.scene(state["params"], "critic", *fresh(20_000, turns))
    real, fake = (functional_call(game.critic, state["params"]["critic"], side) for side in (scene.real, scene.fake))
    return float(((real > 0).double().mean() + (fake < 0).double().mean()) / 2)


CHANCE = 0.5 / math.sqrt(40_000)  # the standard deviation of a guess's accuracy


def test_posterior_encoder_gives_both_sides_one_law_that_no_critic_tells_apart():
    encoded, generated = covariances(POSTERIOR)
    assert torch.allclose(encoded, COVARIANCE, atol=1e-12, rtol=0)
    assert torch.allclose(generated, COVARIANCE, atol=1e-12, rtol=0)
    assert held_out_accuracy(POSTERIOR) == pytest.approx(0.5, abs=4 * CHANCE)


def test_deterministic_encoder_of_a_noisy_decoder_is_found_out():
    encoded, generated = covariances(0.0)
    assert torch.allclose(generated, COVARIANCE, atol=1e-12, rtol=0)
    assert float(encoded[1, 1]) == pytest.approx(A**2 / (A**2 + S**2), abs=1e-12) == pytest.approx(0.941, abs=1e-3)
    encoded[1, 1] = 1.0
    assert torch.allclose(encoded, COVARIANCE, atol=1e-12, rtol=0)  # all else agrees
    assert held_out_accuracy(0.0) > 0.6


def test_a_variance_in_the_place_of_the_deviation_is_found_out():
    assert covariances(POSTERIOR**2)[0][1, 1] < 0.95
    assert held_out_accuracy(POSTERIOR**2) > 0.5 + 20 * CHANCE


def test_reparametrised_gradient_is_the_score_function_and_the_slope():
    e, w = metrics.nodes(-12, 12)
    weight = len(e) * w * metrics.gaussian(0, 1)(e)  # means over nodes become expectations
    x, e = torch.full((len(e), 1), 0.7, dtype=F64), e.unsqueeze(1)
    encoder = Encoder(nn.Identity(), nn.Linear(1, 2), stochastic=True).double()
    theta = [torch.tensor([[0.4], [-0.3]], dtype=F64), torch.tensor([0.1, 0.2], dtype=F64)]

    def cost(z):
        return (torch.sin(2 * z) + z**2 / 2).squeeze(1)

    def expected(vector, *noise):
        return (weight * cost(functional_call(encoder, unpacked(vector), (x, *noise)))).mean()

    def unpacked(vector):
        return {"last.weight": vector[:2].view(2, 1), "last.bias": vector[2:]}

    def by_score(vector):
        with torch.no_grad():
            z = functional_call(encoder, unpacked(vector), (x, e))
        mean, log_std = (vector[:2] * 0.7 + vector[2:]).unbind()
        log_prob = torch.distributions.Normal(mean, log_std.exp()).log_prob(z.squeeze(1))
        return ScoreFunction(log_prob, weight, "none")(cost(z))

    at = torch.cat([t.flatten() for t in theta])
    reparametrised = torch.func.grad(expected)(at, e)
    h = 1e-5 * torch.eye(4, dtype=F64)
    slope = torch.stack([(expected(at + d, e) - expected(at - d, e)) / 2e-5 for d in h])
    assert torch.allclose(reparametrised, torch.func.grad(by_score)(at), atol=1e-10, rtol=0)
    assert torch.allclose(reparametrised, slope, atol=1e-8, rtol=0)
    through_the_mean = torch.func.grad(expected)(at)  # without noise the deviation learns nothing
    assert (through_the_mean - reparametrised).abs().max() > 0.1
    assert through_the_mean[[1, 3]].abs().max() == 0


def test_cost_of_both_sides_is_cross_entropy_with_labels_swapped():
    real, fake = 8 * normal(2, 1_000, seed=3)
    zero, one = torch.zeros_like(real), torch.ones_like(real)
    swapped = cross_entropy(real, zero, reduction="none") + cross_entropy(fake, one, reduction="none")
    cost = objectives.non_saturating.generator(real, fake)
    assert torch.allclose(cost, swapped, atol=1e-7, rtol=0)
    half = cross_entropy(real, one, reduction="none") + cross_entropy(fake, one, reduction="none")
    assert (cost - half).abs().max() > 1  # swapped on one side alone
    alone = objectives.non_saturating.generator(None, fake)
    assert torch.allclose(cost - alone, cross_entropy(real, zero, reduction="none"), atol=1e-12)


SWAPPED = {
    **{name: objectives.TABLE[name] for name in ("non-saturating", "least-squares", "relativistic")},
    **{f"fgan-{name}": objectives.fgan(d, alternative=True) for name, d in gz.divergences.TABLE.items()},
}


@pytest.mark.parametrize("name", list(SWAPPED))
def test_cost_that_does_not_saturate_is_the_critics_with_the_sides_exchanged(name):
    real, fake = normal(2, 200, seed=4)
    cost = SWAPPED[name].generator(real, fake)
    assert torch.allclose(cost, -SWAPPED[name].critic(fake, real), atol=1e-12)
    if name != "fgan-tv":  # odd: exchanging its sides changes nothing
        assert (cost - SWAPPED[name].critic(real, fake)).abs().max() > 1e-2


SATURATING = ["minimax", "wasserstein", *(name for name in objectives.TABLE if name[5:] in gz.divergences.TABLE)]


@pytest.mark.parametrize("name", SATURATING)
def test_cost_of_both_sides_of_a_game_of_one_value_is_the_value(name):
    real, fake = normal(2, 200, seed=4)
    objective = objectives.TABLE[name]
    assert torch.allclose(objective.generator(real, fake), objective.critic(real, fake), atol=1e-12)


@pytest.mark.parametrize("name", [name for name, o in objectives.TABLE.items() if not o.features])
def test_generator_side_lowers_encoded_scores_and_raises_generated_ones_against_the_critic(name):
    at = torch.full((2, 4), 0.5, dtype=F64)
    critic = torch.func.grad(lambda o: objectives.TABLE[name].critic(*o).sum())(at)
    side = torch.func.grad(lambda o: objectives.TABLE[name].generator(*o).sum())(at)
    assert (critic[0] > 0).all() and (critic[1] < 0).all()
    assert (side[0] > 0).all() and (side[1] < 0).all()  # descended


def test_generator_and_encoder_learn_from_one_turn_in_which_the_critic_stands():
    game = ali()
    before = started(game)
    batch, noise = dealt(game)
    gradients, _ = game.gradient("generator", before, batch, noise)
    assert set(gradients) == set(SIDE)
    assert all(float(g.abs().max()) > 1e-6 for g in tree.leaves(gradients))
    after, _ = game.turn("generator", before, batch, noise, game.step_sizes("generator", 1, 1.0))
    assert gap(after["params"]["critic"], before["params"]["critic"]) == 0
    assert all(gap(after["params"][name], before["params"][name]) > 1e-4 for name in SIDE)


def test_generator_and_encoder_stand_in_the_critics_turn():
    game = ali()
    before = started(game)
    after, _ = game.turn("critic", before, *dealt(game), game.step_sizes("critic", 1, 1.0))
    assert all(gap(after["params"][name], before["params"][name]) == 0 for name in SIDE)
    assert gap(after["params"]["critic"], before["params"]["critic"]) > 1e-4


FAKES_ALONE = objectives.non_saturating._replace(
    generator=lambda real, fake: objectives.non_saturating.generator(None, fake)
)


@pytest.mark.parametrize(
    "cost", [FAKES_ALONE.generator, objectives.apart(torch.neg, real=lambda o: torch.zeros_like(o))]
)
def test_a_cost_that_says_nothing_of_real_scores_is_refused(cost):
    with pytest.raises(ValueError, match="says nothing of real scores"):
        dataclasses.replace(ali(), objective=objectives.non_saturating._replace(generator=cost))


def test_under_a_cost_of_fakes_alone_the_encoder_would_stand():
    game = ali()
    object.__setattr__(game, "objective", FAKES_ALONE)
    gradients, _ = game.gradient("generator", started(game), *dealt(game))
    assert all(float(g.abs().max()) == 0 for g in tree.leaves(gradients["encoder"]))
    assert all(float(g.abs().max()) > 1e-6 for g in tree.leaves(gradients["generator"]))


def test_an_encoder_that_is_missing_or_mixes_samples_is_refused():
    game = ali()
    with pytest.raises(ValueError, match="needs an encoder"):
        dataclasses.replace(game, generators={"generator": game.generators["generator"]})
    _, ours, _ = dataclasses.replace(SMALL, critic_norm="batch").triple((2,))
    own = Encoder(nn.BatchNorm1d(2, track_running_stats=False), nn.Linear(2, 4), stochastic=True)
    for mixing in (ours, own):
        with pytest.raises(ValueError, match="batch norm in the encoder"):
            dataclasses.replace(game, generators={**game.generators, "encoder": mixing})
    ali(dataclasses.replace(SMALL, critic_norm="layer"))  # as the error advises


def moved(game, state, seed, at_once):
    """A turn of either role from `Game.gradient` and `Game.update` alone."""
    ahead, batch_and_noise = {}, dealt(game, seed)
    if at_once:
        ahead = {role: game.gradient(role, state, *batch_and_noise) for role in engines.ROLES}
    for role in engines.ROLES:
        gradients, (memory, _) = ahead.get(role) or game.gradient(role, state, *batch_and_noise)
        state = game.update(role, state, tree.vector(gradients), memory, game.step_sizes(role, seed + 1, 1.0))
    return state


@pytest.mark.parametrize("at_once", [True, False])
def test_players_move_at_once_or_one_after_the_other_as_the_schedule_says(at_once):
    game = ali(at_once=at_once)
    turns = ("both",) if at_once else ("critic", "generator")
    assert game.schedule(0) == turns
    one = other = wrong = started(game)
    for seed in range(3):
        one = played(game, turns, one, seed)
        other, wrong = moved(game, other, seed, at_once), moved(game, wrong, seed, not at_once)
        if seed == 0:  # the first to move meets the same opponents in either order
            close(one["params"]["critic"], wrong["params"]["critic"], 1e-12)
            assert all(gap(one["params"][name], wrong["params"][name]) > 1e-6 for name in SIDE)
    close(one, other, 1e-12)
    assert gap(one["params"]["critic"], wrong["params"]["critic"]) > 1e-6


@pytest.mark.parametrize("bound", ["none", "gradient-penalty", "spectral"])
def test_both_back_ends_give_one_gradient_where_players_move_at_once(bound):
    game = dataclasses.replace(crossed(bound=[bound]), schedule=gz.Schedule(at_once=True))
    state = played(game, ("both",), started(game))  # weights that spectral vectors have not caught up with
    one, two = (engines.slope(game, engines.ROLES, mode, mapped=False) for mode in ("eager", "compiled"))
    (a, rest), (b, others) = one(state, *dealt(game, 1)), two(state, *dealt(game, 1))
    close(a, b, 1e-11)
    close(rest[0], others[0], 1e-11)
    close(rest[1], {name: others[1][name] for name in rest[1]}, 1e-11)


class Plane:
    rows = 256
    x = normal(rows, 2, seed=7).float()

    def take(self, rows):
        return self.x[rows]


def stepped(game):
    """The states before and after one step of an engine, whose records stay finite."""
    engine = gz.Engine(game, Plane(), [0], steps=16)
    engine.start()
    (before,) = engine.states()
    step, records = engine.advance(0, 1)
    (after,) = engine.states()
    assert step == 1 and {"critic_value", "generator_loss"} <= set(records)
    assert tree.finite(records) and tree.finite(after)
    assert all(gap(after["params"][name], before["params"][name]) > 0 for name in (*SIDE, "critic"))
    return after


@pytest.mark.parametrize("name", list(objectives.TABLE))
def test_every_objective_plays_on_pairs_and_moves_all_three(name):
    bounded = objectives.TABLE[name].bounded
    with contextlib.nullcontext() if bounded else pytest.warns(Doubtful, match="nothing binds this critic"):
        game = crossed(objective=name)
    assert game.critic.scores != objectives.TABLE[name].features
    stepped(game)
    with contextlib.nullcontext() if bounded else pytest.warns(Doubtful, match="nothing binds this critic"):
        stepped(dataclasses.replace(game, schedule=gz.Schedule(at_once=True)))


@pytest.mark.parametrize("bound", ["clip", "gradient-penalty", "dragan", "r1", "r2", "spectral"])
def test_every_constraint_of_a_lipschitz_critic_plays_on_pairs(bound):
    stepped(crossed(objective="wasserstein", bound=[bound]))


def gradient_by_hand(game, state, x, z):
    """Of each score by its pair, [B, 4]."""
    pair = torch.cat([x, z], 1).requires_grad_()
    scores = functional_call(game.critic, state["params"]["critic"], pair.split(2, 1))
    return torch.autograd.grad(scores.sum(), pair)[0]


def sides(game, state, batch, noise):
    return [tuple(x.detach() for x in s) for s in game.scene(state["params"], "critic", batch, noise)[:2]]


def test_gradient_penalty_of_pairs_reads_the_slope_over_x_and_z_together():
    game = crossed(objective="wasserstein", bound=["gradient-penalty"])
    state, (batch, noise) = started(game), dealt(game)
    real, fake = sides(game, state, batch, noise)
    mix = noise["0.mix"].unsqueeze(1)
    gradient = gradient_by_hand(game, state, *(mix * a + (1 - mix) * b for a, b in zip(real, fake, strict=True)))
    _, (_, record) = game.gradient("critic", state, batch, noise)

    def penalty(slopes):
        return float((10 * (slopes - 1) ** 2).mean())

    assert float(record["penalty"]) == pytest.approx(penalty(gradient.norm(dim=1)), abs=1e-12)
    for part in gradient.split(2, 1):  # one part's slope is another penalty
        assert abs(float(record["penalty"]) - penalty(part.norm(dim=1))) > 1e-3


@pytest.mark.parametrize(("bound", "side"), [("r1", 0), ("r2", 1)])
def test_zero_centred_penalties_take_encoded_pairs_as_real_and_generated_ones_as_fake(bound, side):
    game = crossed(objective="wasserstein", bound=[bound])
    state, (batch, noise) = started(game), dealt(game)
    expected = [float(gradient_by_hand(game, state, *s).square().sum(1).mean() / 2)
                for s in sides(game, state, batch, noise)]  # fmt: skip
    _, (_, record) = game.gradient("critic", state, batch, noise)
    assert float(record["penalty"]) == pytest.approx(expected[side], abs=1e-12)
    assert abs(expected[0] - expected[1]) > 1e-6


def test_spectral_norm_of_every_weight_of_a_critic_of_pairs_stays_one():
    game = crossed(objective="wasserstein", bound=["spectral"])
    state = stepped(game)
    critic = state["params"]["critic"]
    dressed, _ = game.dress(critic, state["constraints"], advance=False)
    norms = [float(torch.linalg.matrix_norm(w, 2)) for w in dressed.values() if w.dim() > 1]
    assert norms == pytest.approx([1.0] * len(norms), abs=1e-2) and len(norms) == 3
    assert max(abs(float(torch.linalg.matrix_norm(w, 2)) - 1) for w in critic.values() if w.dim() > 1) > 0.1


def parts_by_hand(game, state, batch, noise):
    """Gradients of the adversarial cost and of the two reconstructions, one vector each."""
    leaves = {name: {n: p.clone().requires_grad_() for n, p in state["params"][name].items()} for name in SIDE}
    (x,), z, e = batch, noise["z"], noise["e"]

    def generate(z):
        return functional_call(game.generators["generator"], leaves["generator"], (z,))

    def encode(x, e):
        return functional_call(game.generators["encoder"], leaves["encoder"], (x, e))

    def score(x, z):
        return functional_call(game.critic, state["params"]["critic"], (x, z))

    real, fake = score(x, encode(x, e)), score(generate(z), z)
    swapped = cross_entropy(real, torch.zeros_like(real)) + cross_entropy(fake, torch.ones_like(fake))
    back_x, back_z = ((x - generate(encode(x, e))) ** 2).mean(), ((z - encode(generate(z), e)) ** 2).mean()
    return [torch.cat([g.flatten() for g in torch.autograd.grad(cost, tree.leaves(leaves), retain_graph=True)])
            for cost in (swapped, back_x, back_z)]  # fmt: skip


@pytest.mark.parametrize(("cycle", "cycle_z"), [(0.0, 0.0), (0.7, 0.0), (0.0, 1.3), (0.7, 1.3)])
def test_cycle_adds_its_weight_times_the_gradient_of_the_reconstruction(cycle, cycle_z):
    game = ali(cycle=cycle, cycle_z=cycle_z)
    state, (batch, noise) = started(game), dealt(game)
    gradients, _ = game.gradient("generator", state, batch, noise)
    adversarial, back_x, back_z = parts_by_hand(game, state, batch, noise)
    found = tree.vector({name: gradients[name] for name in SIDE})
    assert torch.allclose(found, adversarial + cycle * back_x + cycle_z * back_z, atol=1e-10, rtol=0)
    assert min(float(back.abs().max()) for back in (back_x, back_z)) > 1e-3
    if not cycle and not cycle_z:
        assert game.scene(state["params"], "generator", batch, noise).cost is None
    plain, _ = ali().gradient("critic", state, batch, noise)
    close(game.gradient("critic", state, batch, noise)[0], plain, 1e-12)  # no concern of the critic's
