"""Impossible pairs are refused with the way out; doubtful ones warn once."""

import dataclasses
import warnings

import pytest

import ganzfeld as gz
from ganzfeld.compatibility import Doubtful
from ganzfeld.networks import MLP
from ganzfeld.papers.build import build
from ganzfeld.runs.plan import StandIn

SHAPE = StandIn((2,))
MIXING = MLP(width=8, depth=2, critic_norm="batch")


def test_gradient_penalty_with_batch_norm_is_refused():
    with pytest.raises(ValueError, match="layer norm"):
        gz.papers.wgan_gp(SHAPE, MIXING)


@pytest.mark.parametrize("paper", [gz.papers.r1gan, gz.papers.dragan, gz.papers.sngan])
def test_other_constraints_with_batch_norm_warn(paper):
    with pytest.warns(Doubtful, match="batch norm"):
        paper(SHAPE, MIXING)


def test_momentum_with_clipping_warns_once():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        game = gz.papers.ns_gan(SHAPE, MLP(width=8), betas=(0.5, 0.99))
        dataclasses.replace(game, constraints=(gz.Clip(0.1),))
    assert [w.category for w in seen] == [Doubtful]
    assert "momentum" in str(seen[0].message)


def test_unbound_wasserstein_warns_and_bound_ones_do_not():
    with pytest.warns(Doubtful, match="add a constraint"):
        build("wgan", SHAPE, bound=["none"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build("wgan", SHAPE, bound=["clip"])


@pytest.mark.parametrize("name", ["gradient-penalty", "dragan", "r1", "r2", "margin"])
def test_features_have_no_score_to_penalise(name):
    with pytest.raises(ValueError, match="one score per sample"):
        build("mcgan-mean", SHAPE, bound=[name], settings={"form": "dual"})


def test_a_critic_of_features_needs_an_objective_of_features():
    with pytest.raises(ValueError, match="head='features'"):
        dataclasses.replace(gz.papers.ns_gan(SHAPE, MLP(width=8)), objective=gz.objectives.mean_matching(2))
    with pytest.raises(ValueError, match="head='score'"):
        dataclasses.replace(gz.papers.mcgan_mean(SHAPE, MLP(width=8), form="dual"), objective=gz.objectives.hinge)


def test_a_bound_layer_must_exist():
    with pytest.raises(ValueError, match="head.u"):
        dataclasses.replace(gz.papers.ns_gan(SHAPE, MLP(width=8)), constraints=(gz.Orthonormal(),))


@pytest.mark.parametrize("objective", gz.objectives.TABLE)
@pytest.mark.parametrize("constraint", ["clip", "spectral", "r1", "gradient-penalty"])
def test_every_objective_crosses_with_every_constraint_or_says_why_not(objective, constraint):
    asked = {"objective": objective, "bound": [constraint], "settings": {"width": 16, "depth": 2}}
    if gz.objectives.TABLE[objective].features and constraint in ("r1", "gradient-penalty"):
        with pytest.raises(ValueError, match="one score per sample"):
            build("wgan", SHAPE, **asked)
        return
    game = build("wgan", SHAPE, **asked)
    state = game.init(0)
    assert game.objective is gz.objectives.TABLE[objective]
    assert set(state["params"]) == {"generator", "critic"}


def test_tied_weights_are_refused():
    import torch

    game = gz.papers.ns_gan(SHAPE, MLP(width=8))
    game.critic.other = game.critic.head
    assert isinstance(game.critic, torch.nn.Module)
    with pytest.raises(ValueError, match="ties"):
        game.init(0)
