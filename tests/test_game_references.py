"""Four papers equal plain loops, turn by turn, in float64."""

import dataclasses
from functools import partial

import pytest
import torch
from torch.nn.utils.parametrizations import spectral_norm

import ganzfeld as gz
from ganzfeld.core import tree
from ganzfeld.core.randomness import NoiseDealer
from ganzfeld.engine import ROLES, player
from ganzfeld.networks import MLP
from ganzfeld.runs.plan import StandIn
from references import ns_gan, sngan, wgan, wgan_gp

NETWORKS = MLP(width=16, depth=2)
BATCH, STEPS, RATE, BETAS = 32, 12, 1e-3, (0.5, 0.9)
PLAIN = {"lr_schedule": "constant", "ema_half_life": 0.0, "batch_size": BATCH}


class Table:
    """What a game and a loop are dealt: the same float64 batches and noise."""

    def __init__(self, game):
        self.game = game
        self.data = torch.randn(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        self.dealer = NoiseDealer({r: game.needs(r) for r in ROLES}, [7], BATCH, len(self.data))
        self.turn = dict.fromkeys(ROLES, 0)

    def deal(self, role):
        turn = self.turn[role]
        self.turn[role] += 1
        rows = self.dealer.order(role, turn, 1)[0]
        noise = {name: x[0].double() for name, x in self.dealer.noise(role, turn, 1).items()}
        return self.data[rows], noise

    def row(self, role):
        """For a loop: real, latents and whatever else, without the turns' dimension."""
        real, noise = self.deal(role)
        return (real[0], *(x[0] for x in noise.values()))


def played(game, steps=STEPS):
    """The game's weights after every step."""
    table = Table(game)
    state = tree.map(torch.Tensor.double, game.init(7))
    turns = dict.fromkeys(ROLES, 0)
    for step in range(steps):
        for role in game.schedule(step):
            turns[role] += 1
            real, noise = table.deal(role)
            sizes = (*game.step_sizes(role, turns[role], 1.0), turns[role])
            play = player(game, (role,), "eager", mapped=False)
            batch = {"x": real} if "x" in game.columns(role) else {}
            state, _ = play(state, {role: batch}, {role: noise}, {role: [sizes]})
        yield state["params"]


def modules(game):
    """The loop's own networks, with the game's initial weights."""
    state = tree.map(torch.Tensor.double, game.init(7))
    generator, critic = NETWORKS.pair((2,))
    generator, critic = generator.double(), critic.double()
    generator.load_state_dict(state["params"]["generator"])
    critic.load_state_dict(state["params"]["critic"])
    return generator, critic


def assert_equal_turn_by_turn(game, loop, generator, critic_weights, tolerance=1e-10):
    for step, (params, _) in enumerate(zip(played(game), loop, strict=True)):
        theirs = {"generator": dict(generator.named_parameters()), "critic": critic_weights()}
        for who, weights in theirs.items():
            for name, weight in weights.items():
                gap = (params[who][name] - weight.data).abs().max()
                assert gap <= tolerance, (step, who, name, gap)
    start = game.init(7)["params"]["generator"]
    assert any((start[name] - params["generator"][name]).abs().max() > 1e-4 for name in start)


def test_non_saturating_game_equals_the_plain_loop():
    game = gz.papers.ns_gan(StandIn((2,)), NETWORKS, lr=RATE, betas=BETAS, **PLAIN)
    generator, critic = modules(game)
    loop = ns_gan.play(generator, critic, Table(game).row, STEPS, RATE, BETAS)
    assert_equal_turn_by_turn(game, loop, generator, lambda: dict(critic.named_parameters()))


@pytest.mark.parametrize("warm_steps", [0, 2])
def test_clipped_game_equals_the_plain_loop(warm_steps):
    game = gz.papers.wgan(
        StandIn((2,)),
        NETWORKS,
        lr=RATE,
        bound=0.05,
        n_critic=3,
        warm=7,
        warm_steps=warm_steps,
        warm_every=5,
        **PLAIN,
    )
    generator, critic = modules(game)
    turns = lambda step: 7 if step < warm_steps or step % 5 == 0 else 3  # noqa: E731
    loop = wgan.play(generator, critic, Table(game).row, STEPS, RATE, 0.05, turns)
    assert_equal_turn_by_turn(game, loop, generator, lambda: dict(critic.named_parameters()))


def test_gradient_penalty_game_equals_the_plain_loop():
    game = gz.papers.wgan_gp(StandIn((2,)), NETWORKS, lr=RATE, betas=BETAS, weight=10.0, n_critic=3, **PLAIN)
    generator, critic = modules(game)
    loop = wgan_gp.play(generator, critic, Table(game).row, STEPS, RATE, BETAS, 10.0, 3)
    assert_equal_turn_by_turn(game, loop, generator, lambda: dict(critic.named_parameters()))


def _spectral_critic(game):
    generator, critic = modules(game)
    state = tree.map(torch.Tensor.double, game.init(7))
    layers = {f"{name}.weight": layer for name, layer in critic.named_modules() if isinstance(layer, torch.nn.Linear)}
    for name, layer in layers.items():
        spectral_norm(layer)
        vectors = layer.parametrizations.weight[0]
        vectors._u.copy_(state["constraints"]["0"][f"{name}.u"])
        vectors._v.copy_(state["constraints"]["0"][f"{name}.v"])

    def weights():
        raw = {name: layer.parametrizations.weight.original for name, layer in layers.items()}
        return raw | {n: p for n, p in critic.named_parameters() if n.endswith("bias")}

    return generator, critic, weights


def test_spectral_game_equals_the_plain_loop():
    game = gz.papers.sngan(StandIn((2,)), NETWORKS, lr=RATE, betas=BETAS, spectral_norm=1.0, **PLAIN)
    generator, critic, weights = _spectral_critic(game)
    loop = sngan.play(generator, critic, Table(game).row, STEPS, RATE, BETAS)
    assert_equal_turn_by_turn(game, loop, generator, weights)


class ClipBefore(gz.Clip):
    """The planted fault: the box is applied to the weights a turn begins with, so the generator meets others."""

    def dress(self, params, state, advance):
        return (super().project(params), state) if advance else (params, state)

    def project(self, params):
        return params


@pytest.mark.parametrize(
    "fault",
    [
        lambda game: dataclasses.replace(game, constraints=(ClipBefore(0.05),)),
        lambda game: dataclasses.replace(game, constraints=(gz.Clip(0.05, spare=("head",)),)),
        lambda game: dataclasses.replace(
            game, objective=gz.objectives.wasserstein._replace(generator=lambda real, fake: fake)
        ),
    ],
    ids=["clip before the step", "head not clipped", "sign flipped"],
)
def test_planted_faults_part_from_the_plain_loop(fault):
    game = gz.papers.wgan(StandIn((2,)), NETWORKS, lr=RATE, bound=0.05, n_critic=3, warm=0, **PLAIN)
    generator, critic = modules(game)
    loop = wgan.play(generator, critic, Table(game).row, STEPS, RATE, 0.05, lambda step: 3)
    check = partial(assert_equal_turn_by_turn, fault(game), loop, generator, lambda: dict(critic.named_parameters()))
    with pytest.raises(AssertionError):
        check()
