"""A run warns of what it sees, with a cause and a change to try, and is silent where all is well."""

import dataclasses
import math

import pytest
import torch

import ganzfeld as gz
from ganzfeld.core import tree
from ganzfeld.data import Data, Units
from ganzfeld.networks import MLP
from ganzfeld.runs import diagnostics
from ganzfeld.tasks import generation
from small import train, vectors

NETWORKS = MLP(width=16, depth=2)


@pytest.fixture(scope="module")
def data():
    x = torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    return Data("normal", x[:400], x[400:500], x[500:], Units(torch.zeros(2), torch.ones(2)), "plane")


def told(game, state, data, gradient=1.0):
    facts = generation.observe(game, state, data)
    return diagnostics.warnings(game, facts, {"critic_gradient": gradient}), facts


def scaled(state, player, factor, last_bias=None):
    """The state with a player's weights scaled, and its output's bias set."""
    params = dict(state["params"][player])
    params = {name: p * factor for name, p in params.items()}
    if last_bias is not None:
        name = [n for n in params if n.endswith("bias")][-1]
        params[name] = torch.full_like(params[name], last_bias)
    return {**state, "params": {**state["params"], player: params}}


def test_a_game_that_is_well_gives_no_warning(data):
    game = gz.papers.ns_gan(data, NETWORKS)
    state = scaled(game.init(0), "generator", 4.0)
    warned, facts = told(game, state, data)
    assert warned == {}
    assert facts["d_real"] == pytest.approx(0.5, abs=0.2)


def test_collapse_is_seen_where_samples_stand_at_one_point(data):
    game = gz.papers.ns_gan(data, NETWORKS)
    warned, facts = told(game, scaled(game.init(0), "generator", 1e-3), data)
    assert "collapse" in warned and "try" in warned["collapse"]
    assert facts["spread"] < 0.05


def test_a_critic_that_scores_all_alike_is_dead_only_when_its_gradient_is_gone(data):
    game = gz.papers.ns_gan(data, NETWORKS)
    dead = scaled(scaled(game.init(0), "generator", 4.0), "critic", 0.0)
    assert "dead critic" in told(game, dead, data, gradient=0.0)[0]
    assert "dead critic" not in told(game, dead, data, gradient=1.0)[0]


@pytest.mark.parametrize(("paper", "starves"), [("gan", True), ("ns-gan", False), ("wgan-gp", False), ("sngan", False)])
def test_saturation_is_named_for_the_payoff_that_starves(data, paper, starves):
    game = gz.papers.TABLE[paper](data, NETWORKS)
    sure = scaled(scaled(game.init(0), "generator", 4.0), "critic", 1.0, last_bias=-12.0)
    warned, facts = told(game, sure, data)
    assert ("saturation" in warned) is starves
    if paper in ("gan", "ns-gan"):
        assert facts["d_fake"] < 1e-3
        assert facts["saturation_minimax"] < 1e-3 * facts["saturation_non_saturating"]


def test_a_clipped_out_critic_is_seen_at_its_bound(data):
    game = gz.papers.wgan(data, NETWORKS, bound=0.01)
    state = scaled(scaled(game.init(0), "generator", 4.0), "critic", 0.01)
    inside, facts = told(game, state, data)
    assert "clipped-out critic" not in inside and facts["share_at_bound"] < 0.9
    clipped = {**state, "params": {**state["params"], "critic": game.constraints[0].project(
        {n: 1e5 * p for n, p in state["params"]["critic"].items()})}}  # fmt: skip
    warned, facts = told(game, clipped, data)
    assert "clipped-out critic" in warned and facts["share_at_bound"] > 0.99


def test_a_spared_head_does_not_count_as_clipped(data):
    game = gz.papers.mcgan_mean(data, MLP(width=16, depth=2, features=8), form="primal", bound=0.01)
    state = game.init(0)
    critic = game.constraints[0].project({n: 1e3 * p for n, p in state["params"]["critic"].items()})
    facts = generation.observe(game, {**state, "params": {**state["params"], "critic": critic}}, data)
    assert facts["share_at_bound"] > 0.99  # the head, far outside the box, is left out


def test_facts_are_those_of_the_critic_as_it_plays(data):
    game = gz.papers.sngan(data, NETWORKS, spectral_norm=2.0)
    facts = generation.observe(game, game.init(0), data)
    norms = [value for name, value in facts.items() if name.startswith("spectral_norm.")]
    assert norms == pytest.approx([2.0] * 3, rel=1e-4)
    assert facts["spectral_product"] == pytest.approx(8.0, rel=1e-3)
    assert facts["slope_q05"] <= facts["slope_median"] <= facts["slope_q95"] <= facts["lipschitz"] <= 8.0


def test_a_critic_of_features_has_no_scores(data):
    game = gz.papers.mcgan_mean(data, MLP(width=16, depth=2, features=8), form="dual")
    facts = generation.observe(game, game.init(0), data)
    assert "d_real" not in facts and facts["spectral_product"] > 0
    assert generation.critic_estimate(game, game.init(0), data) == {}


def test_the_critics_estimate_of_a_linear_critic_is_the_distance_along_it(data):
    """f(x) = 3 x_0: divided by its slope, the estimate is the difference of means, a lower bound of W1."""
    critic = gz.networks.Critic(torch.nn.Identity(), 2)
    game = dataclasses.replace(gz.papers.ns_gan(data, NETWORKS), critic=critic)
    state = game.init(0)
    params = {"head.weight": torch.tensor([[3.0, 0.0]]), "head.bias": torch.tensor([7.0])}
    state = {**state, "params": {**state["params"], "critic": params}}
    far = scaled(state, "generator", 0.0, last_bias=-5.0)
    estimate = generation.critic_estimate(game, far, data)["critic_w1"]
    assert estimate == pytest.approx(float(data.valid[:, 0].mean()) + 5.0, rel=1e-5)
    fake = torch.full((100, 2), -5.0)
    assert estimate <= gz.metrics.w1(data.valid, fake) + 1e-6
    flat = tree.map(torch.zeros_like, far["params"]["critic"])
    none = generation.critic_estimate(game, {**far, "params": {**far["params"], "critic": flat}}, data)["critic_w1"]
    assert math.isnan(none)


def test_nobody_is_warned_of_how_every_game_begins(tmp_path):
    """A run of 80 steps has not begun at step 8; one of 4,000 is past it at 400."""
    assert diagnostics.too_early(8, 80) and diagnostics.too_early(3, 24) and diagnostics.too_early(399, 4_000)
    assert not diagnostics.too_early(200, 240) and not diagnostics.too_early(400, 4_000)
    heard = []
    train(tmp_path / "run", vectors(tmp_path), steps=24, log_every=3, judge_every=24,
          settings={"lr": 1e-9}, tell=lambda event, step, facts: heard.append((event, facts.get("cause"))))  # fmt: skip
    assert "log" in dict(heard) and "warn" not in dict(heard)


def test_judged_warnings_name_lost_modes_and_narrow_ones():
    few = diagnostics.metric_warnings({"modes": [8, 3], "high_quality": [0.95, 0.9]}, 8)
    assert few.keys() == {"collapse"} and "3 of 8" in few["collapse"]
    narrow = diagnostics.metric_warnings({"modes": [8, 8], "high_quality": [0.95, 0.999]}, 8)
    assert narrow.keys() == {"over-concentration"} and "98.89%" in narrow["over-concentration"]
    assert diagnostics.metric_warnings({"modes": [8, 7], "high_quality": [0.95, 0.99]}, 8) == {}
