"""Pieces of one's own: what could not be played, or not the same twice, is refused before the first turn, in one line
that names the way out; buffers that stay as they are play everywhere."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import ganzfeld as gz
from ganzfeld import compatibility, optimizers
from ganzfeld.core import tree
from ganzfeld.engine import Engine
from ganzfeld.objectives import Objective
from small import vectors

SHAPE = (2,)


class Applied(nn.Module):
    """A network and then a function."""

    def __init__(self, f, network):
        super().__init__()
        self.f, self.network = f, network

    def forward(self, x):
        return self.f(self.network(x))


class Remembering(nn.Module):
    def __init__(self, network, in_place):
        super().__init__()
        self.network, self.in_place = network, in_place
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        y = self.network(x)
        new = 0.9 * self.mean + 0.1 * y.detach().mean()
        self.mean = self.mean.copy_(new) if self.in_place else new
        return y


class Detached(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.detach()) if x.requires_grad else self.network(x)


class Counting(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, x):
        self.calls += 1
        return self.calls * self.network(x)


class Scaled(nn.Module):
    """By a table that stays as it is, a persistent buffer."""

    def __init__(self, network, table):
        super().__init__()
        self.network = network
        self.register_buffer("table", torch.tensor(table))

    def forward(self, x):
        return self.network(x) * self.table


def generator(*layers):
    return nn.Sequential(nn.Linear(2, 8), *layers, nn.ReLU(), nn.Linear(8, 2))


def critic(*layers):
    return nn.Sequential(nn.Linear(2, 8), *layers, nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))


def played(**pieces):
    adam = optimizers.adam(1e-3)
    asked = {
        "objective": gz.objectives.non_saturating, "draw": gz.Generate(2), "generators": {"generator": generator()},
        "critic": critic(), "optimizers": {"critic": adam, "generator": adam}, "batch_size": 16, "shape": SHAPE,
    }  # fmt: skip
    return gz.Game(**{**asked, **pieces})


def refused(match, **pieces):
    with pytest.raises(ValueError, match=match) as error:
        played(**pieces)
    assert "\n" not in str(error.value)


CHANCE = {
    "Dropout": nn.Dropout(0.1), "AlphaDropout": nn.AlphaDropout(0.1), "RReLU": nn.RReLU(),
    "BatchNorm1d": nn.BatchNorm1d(8), "InstanceNorm1d": nn.InstanceNorm1d(8, track_running_stats=True),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANCE)
def test_layers_of_chance_and_of_running_statistics_are_refused_by_path_and_kind(kind):
    way_out = "track_running_stats=False" if "Norm" in kind else "as noise"
    refused(rf"generator's 1 \({kind}\).*{way_out}", generators={"generator": generator(CHANCE[kind])})
    refused(rf"critic's 1 \({kind}\).*{way_out}", critic=critic(CHANCE[kind]))


def test_the_same_layers_without_chance_or_memory_are_played():
    for layer in (nn.Dropout(0.0), nn.BatchNorm1d(8, track_running_stats=False), nn.MultiheadAttention(8, 2)):
        assert not list(gz.networks.flaws(nn.Sequential(layer)))
    played(critic=critic(nn.Dropout(0.0)), generators={"generator": generator(nn.Dropout(0.0))})


def test_attention_and_recurrence_with_dropout_are_refused():
    layers = nn.TransformerEncoderLayer(8, 2), nn.MultiheadAttention(8, 2, dropout=0.1), nn.LSTM(8, 8, 2, dropout=0.1)
    for layer in layers:
        assert any("rolls dice" in why for _, why in gz.networks.flaws(layer))
    assert not list(gz.networks.flaws(nn.TransformerEncoderLayer(8, 2, dropout=0.0)))


def test_weights_that_no_seed_would_draw_are_refused_and_spectral_norm_has_its_own_home():
    old = nn.utils.spectral_norm(nn.Linear(8, 8))
    for layer in (old, parametrizations.spectral_norm(nn.Linear(8, 8))):
        refused(r"gz\.Spectral\(\)", critic=critic(layer))
    for layer in (parametrizations.weight_norm(nn.Linear(8, 8)), parametrizations.orthogonal(nn.Linear(8, 8))):
        refused("no seed would draw them", critic=critic(layer))


FUNCTIONS = {
    "dropout": lambda y: F.dropout(y, 0.5),
    "torch's dice": lambda y: y + 1e-3 * torch.randn_like(y),
    "numpy's dice": lambda y: y + 1e-3 * float(np.random.rand()),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_chance_inside_a_forward_pass_is_found_by_playing_it_twice(name):
    refused(
        r"generator's itself \(Applied\) does not come out the same.*as noise",
        generators={"generator": Applied(FUNCTIONS[name], generator())},
    )
    refused(r"critic's itself \(Applied\) does not", critic=Applied(FUNCTIONS[name], critic()))


def test_chance_is_looked_for_with_both_passes(monkeypatch):
    """The test of the test: one pass alone would see nothing."""
    monkeypatch.setattr(compatibility, "_same", lambda a, b: True)
    played(generators={"generator": Applied(FUNCTIONS["dropout"], generator())})


@pytest.mark.parametrize("in_place", [True, False])
def test_a_buffer_that_changes_is_refused_and_left_as_it_was(in_place):
    module = Remembering(critic(), in_place)
    refused("critic's mean changes as it is played, and is in no checkpoint", critic=module)
    assert float(module.mean) == 0.0
    refused("does not come out the same", critic=Counting(critic()))


def test_weights_of_other_kinds_are_refused():
    frozen, shared = critic(), nn.Linear(2, 2)
    frozen[0].requires_grad_(False)
    refused("0.weight asks for no gradient.*buffer", critic=frozen)
    refused("float16.*precision='bf16'", critic=critic().half())
    refused("complex64", critic=nn.Linear(2, 1, dtype=torch.complex64))
    refused("float32 and torch.float64|float64 and torch.float32", critic=critic().double())
    refused("lies on meta", critic=critic().to("meta"))
    refused("does not know its sizes yet", critic=nn.Sequential(nn.LazyLinear(1), nn.Flatten(0)))
    refused("critic has no weights", critic=nn.Flatten(0))
    refused("generator has no weights", generators={"generator": nn.Identity()})
    refused(
        "critic ties '0.weight' to the generator's 0.weight.*deepcopy",
        generators={"generator": nn.Sequential(shared, nn.Linear(2, 2))},
        critic=nn.Sequential(shared, nn.Linear(2, 1), nn.Flatten(0)),
    )


def test_double_weights_meet_data_that_are_not(tmp_path):
    double = played(critic=critic().double(), generators={"generator": generator().double()})
    with pytest.raises(ValueError, match=r"weights of the game are of torch.float64.*\.float\(\)"):
        gz.train(double, vectors(tmp_path), out=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


def test_what_players_give_is_of_the_right_shape():
    refused(r"critic gives \[16, 1\] for 16 samples.*nn\.Flatten\(0\)", critic=nn.Sequential(nn.Linear(2, 1)))
    refused(r"critic gives \[\] for 16", critic=Applied(torch.mean, critic()))
    refused("generator descends does not depend on its weights", critic=Detached(critic()))
    refused("not finite", critic=Applied(lambda y: y * math.nan, critic()))
    refused(r"a fake is of the shape \[3\] and a sample of \[2\]", generators={"generator": nn.Linear(2, 3)})
    refused("cannot play a turn together: RuntimeError", generators={"generator": nn.Linear(5, 2)})
    refused('{"generator": module}, and beside the critic there is g', generators={"g": generator()})


def test_objectives_are_tried_on_made_up_scores():
    def gap(real, fake):
        return real - fake

    refused("cost of the generator.*relative=True", objective=Objective(gap, gap, relative=False))
    played(objective=Objective(gap, gap))
    two = Objective(lambda real, fake: torch.stack([real, fake]), lambda real, fake: -fake, relative=False)
    refused(r"cost of the critic is to be \[B\] or \[\], and of 16 samples it is shape \(2, 16\)", objective=two)
    refused("it is float", objective=Objective(lambda real, fake: 1.0, gap))


class Ill(gz.Constraint):
    def penalty(self, turn):
        return turn.real_scores.new_ones(3)


ADAM = optimizers.adam(1e-3)
TAKEN_FOR_ANOTHER = {
    "an objective's class": ({"objective": Objective}, "the class Objective"),
    "an optimizer of torch": ({"optimizers": {"critic": torch.optim.Adam, "generator": ADAM}}, "one of gz.optimizers"),
    "one not called": ({"optimizers": {"critic": optimizers.adam, "generator": ADAM}}, "gz.optimizers, as adam"),
    "none": ({"optimizers": {"critic": ADAM}}, "needs an optimizer for the generator"),
    "one too many": ({"optimizers": {"critic": ADAM, "generator": ADAM, "encoder": ADAM}}, "not of 'encoder'"),
    "a constraint's class": ({"constraints": (gz.R1,)}, r"the class R1: R1\(\.\.\.\)"),
    "a constraint alone": ({"constraints": gz.R1()}, r"are a tuple, \(R1,\)"),
    "an ill constraint": ({"constraints": (Ill(),)}, "cannot play a turn together: RuntimeError"),
    "a module for players": ({"generators": nn.Linear(2, 2)}, '{"generator": module}'),
    "an augmentation's name": ({"augment": "colour"}, "an Augmentation, not str"),
    "turns of nobody": ({"schedule": lambda step: ("critic", "judge")}, "of critic, generator, both, and step 0"),
    "no turns": ({"schedule": lambda step: None}, "step 0 None"),
    "a schedule that fails": ({"schedule": lambda step: 1 / 0}, "schedule cannot be asked for step 0: ZeroDivision"),
    "a negative factor": ({"lr_schedule": lambda step, steps: -1.0}, "must be a number, 0 or more, not -1"),
    "no factor": ({"lr_schedule": lambda step, steps: math.nan}, "not nan"),
    "half a row": ({"batch_size": 1.5}, "batch_size must be a whole number, at least 1, not 1.5"),
    "a half-life": ({"ema_half_life": -1}, "ema_half_life must be a number, 0 or more, not -1"),
    "a precision": ({"precision": "fp64"}, "'fp32' or 'bf16'"),
    "a shape": ({"shape": [2]}, "a tuple of sizes"),
    "batch norm of one": (
        {"batch_size": 1, "critic": critic(nn.BatchNorm1d(8, track_running_stats=False))},
        "batch of 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN_FOR_ANOTHER)
def test_what_is_taken_for_a_piece_and_is_none_is_told(case):
    pieces, match = TAKEN_FOR_ANOTHER[case]
    refused(match, **pieces)


# --- buffers that stay ---


def scaled(table=(1.0, 3.0)):
    return played(generators={"generator": Scaled(generator(), table)})


class Rows:
    rows, lazy = 64, False

    def __init__(self, x=None):
        self.x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) if x is None else x

    def take(self, rows):
        return self.x.index_select(0, rows.flatten()).unflatten(0, rows.shape)

    def announce(self, rows):
        pass

    def to(self, device):
        return Rows(self.x.to(device))


def states(game, seeds=(0,), steps=8, **how):
    engine, step = Engine(game, Rows(), seeds, steps, **how), 0
    engine.start()
    while step < steps:
        step, _ = engine.advance(step, steps)
    return engine.states()


def test_a_constant_buffer_plays_in_populations_as_alone():
    alone, other = states(scaled()), states(scaled((1.0, 1.0)))
    member = states(scaled(), seeds=(0, 1))[0]
    for a, b, c in zip(tree.leaves(alone[0]), tree.leaves(member), tree.leaves(other[0]), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
        assert a.shape == c.shape
    moved = [float((a - c).abs().max()) for a, c in zip(tree.leaves(alone[0]), tree.leaves(other[0]), strict=True)]
    assert max(moved) > 1e-4


def test_a_constant_buffer_lies_where_the_game_is_played_and_in_its_precision():
    meta = torch.device("meta")  # an operation that meets another device raises
    engine = Engine(scaled(), Rows(), (0,), 8, device=meta)
    engine.start()
    records = engine._play(0, 1)
    assert {x.device.type for x in [*tree.leaves(engine.groups[0]), *records.values()]} == {"meta"}
    half = dataclasses.replace(scaled(), precision="bf16")
    assert tree.finite(states(half)[0])
    fp32, bf16 = (game.scene(game.init(0)["params"], "critic", (Rows().x[:4],), {"z": Rows().x[4:8]}).fake[0]
                  for game in (scaled(), half))  # fmt: skip
    assert 0 < float((fp32 - bf16).abs().max()) < 0.05


def test_a_constant_buffer_is_saved_opened_and_exported(tmp_path):
    game = dataclasses.replace(scaled(), batch_size=16)
    run = gz.train(game, vectors(tmp_path), out=tmp_path / "run", steps=4)
    again = gz.load(tmp_path / "run", game=game)
    assert torch.equal(run.sample(8), again.sample(8))
    plain = with_table(run, torch.ones(2))
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    shift, scale = run.units.shift, run.units.scale
    ours, bare = run.generator()(z), plain(z)
    assert torch.allclose((ours - shift) / scale, (bare - shift) / scale * torch.tensor([1.0, 3.0]), atol=1e-5)


def with_table(run, table):
    module = run.generator()
    module.generator.table.copy_(table)
    return module
