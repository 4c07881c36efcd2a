"""Compiled equals eager, a population equals its members alone, two ranks equal one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganzfeld as gz
from ganzfeld import engine as engines
from ganzfeld.core import tree
from ganzfeld.engine import Engine
from ganzfeld.networks import MLP
from ganzfeld.runs.plan import StandIn
from small import environment

SMALL = {"networks": MLP(width=16, depth=2), "batch_size": 32}
PAPERS = gz.papers.papers_for("vectors")


class Plane:
    rows = 500

    def __init__(self):
        self.x = torch.randn(self.rows, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def take(self, rows):
        return self.x[rows]


def game(paper, **settings):
    networks = MLP(width=16, depth=2, features=16) if paper.startswith("mcgan") else SMALL["networks"]
    if paper in ("mcgan-mean", "mcgan-cov"):  # the form that is not linear in the batch mean
        settings = {"form": "dual", "warm": 0, **settings}
    elif paper == "mcgan":
        settings = {"warm": 0, **settings}
    return gz.papers.TABLE[paper](StandIn((2,)), networks, batch_size=32, **settings)


def started(game, seeds, steps, mode="eager", ranks=None):
    """An engine in float64: Adam turns the rounding of a gradient that is zero in theory into whole steps."""
    engine = Engine(game, Plane(), seeds, steps, mode, ranks)
    for dealer in engine._dealers:
        deal = dealer.noise
        dealer.noise = lambda *turns, deal=deal: {name: x.double() for name, x in deal(*turns).items()}
    engine.load([tree.map(torch.Tensor.double, game.init(seed)) for seed in seeds])
    return engine


def played(game, seeds, steps, mode="eager"):
    engine = started(game, seeds, steps, mode)
    step, records = 0, []
    while step < steps:
        step, record = engine.advance(step, steps)
        records.append(record)
    return engine.states(), records


def close(a, b, tolerance):
    for (path, x), y in zip(tree.flatten(a).items(), tree.leaves(b), strict=True):
        torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance, msg=lambda m, path=path: f"{path}: {m}")


@pytest.mark.parametrize("paper", PAPERS)
def test_population_equals_loop(paper):
    stacked, records = played(game(paper), range(3), 8)
    assert all(values.shape[0] == 3 for values in records[0].values())
    for seed in range(3):
        (alone,), _ = played(game(paper), [seed], 8)
        close(stacked[seed], alone, 1e-10)
    with pytest.raises(AssertionError):
        close(stacked[0], stacked[1], 1e-10)


@pytest.mark.parametrize(
    ("paper", "settings", "seeds"),
    [
        pytest.param("ns-gan", {}, [0], marks=pytest.mark.slow),
        ("wgan-gp", {"n_critic": 2}, [0]),
        ("sngan", {}, [0, 1]),
        pytest.param("mcgan-cov", {"n_critic": 1}, [0], marks=pytest.mark.slow),
        pytest.param("r3gan", {}, [0, 1], marks=pytest.mark.slow),
        pytest.param("geometric", {}, [0], marks=pytest.mark.slow),
        pytest.param("dragan", {}, [0], marks=pytest.mark.slow),
        pytest.param("ali", {"at_once": True, "cycle": 1.0}, [0], marks=pytest.mark.slow),
        pytest.param("bigan", {}, [0, 1], marks=pytest.mark.slow),
        pytest.param("wgan", {"warm_steps": 3}, [0], marks=pytest.mark.slow),
    ],
)
def test_compiled_equals_eager(paper, settings, seeds, monkeypatch):
    monkeypatch.setattr(engines.population, "TURNS_PER_GRAPH", 2)  # a short graph compiles fast
    eager, before = played(game(paper, **settings), seeds, 6)
    compiled, after = played(game(paper, **settings), seeds, 6, "compiled")
    for one, other in zip(eager, compiled, strict=True):
        close(one, other, 1e-9)
    for one, other in zip(before, after, strict=True):
        close(one, other, 1e-9)


def test_both_back_ends_give_one_gradient():
    for paper in ("ns-gan", "wgan-gp", "sngan", "mcgan-cov", "r3gan", "dragan", "ali"):
        g = game(paper)
        state = tree.map(torch.Tensor.double, g.init(0))
        for role in engines.ROLES:
            dealt = "critic" if g.share_fakes else role
            noise = {name: torch.rand(32, *need.shape).double() for name, need in g.needs(dealt).items()}
            batch = (torch.randn(32, 2).double(),) if "x" in g.columns(dealt) else ()
            one, _ = engines.slope(g, (role,), "eager", mapped=False)(state, batch, noise)
            other, _ = engines.slope(g, (role,), "compiled", mapped=False)(state, batch, noise)
            close(one, other, 1e-11)


def test_one_pass_over_both_sides_equals_two():
    g = game("sngan")
    assert g.separate
    state = tree.map(torch.Tensor.double, g.init(0))
    noise = {"z": torch.randn(32, 2).double()}
    batch = (torch.randn(32, 2).double(),)
    joined, _ = g.gradient("critic", state, batch, noise)
    object.__setattr__(g, "separate", False)
    apart, _ = g.gradient("critic", state, batch, noise)
    close(joined, apart, 1e-12)


def test_batch_norm_keeps_the_two_sides_apart():
    assert not gz.papers.ns_gan(StandIn((2,)), MLP(width=16, depth=2, critic_norm="batch"), batch_size=32).separate


def test_auto_compiles_only_runs_that_win_it_back():
    g = game("ns-gan")
    assert engines.choose("auto", g, steps=1_000, members=1) == "eager"
    assert engines.choose("auto", g, steps=10**6, members=1) == "compiled"
    with pytest.raises(ValueError, match="auto, eager, compiled"):
        engines.choose("fast", g, 1, 1)


def test_no_compiler_means_eager_and_one_line(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert engines.choose("compiled", game("ns-gan"), 10, 1) == "eager"
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_pieces_follow_from_the_steps_alone():
    g = game("ns-gan")
    whole, _ = played(g, [5], 24)
    engine = started(g, [5], 24)
    step = 0
    while step < 24:
        if step in (4, 12):  # a resumed run begins with an engine of its own
            states = engine.states()
            engine = started(g, [5], 24)
            engine.load(states)
        step, _ = engine.advance(step, 24)
    for one, other in zip(tree.leaves(whole[0]), tree.leaves(engine.states()[0]), strict=True):
        assert torch.equal(one, other)


RANKED = ("mcgan-mean", "wgan-gp", "sngan", "r3gan", "geometric", "ali")
WORKER = """
import json, os, sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_game_engines import RANKED, game, started
from ganzfeld.engine import Ranks
ranks, out = Ranks(), {{}}
average = sys.argv[2] == "average"
if average and ranks.world > 1:
    summed = ranks.reduce
    ranks.gather = lambda scores: scores
    ranks.reduce = lambda gradient: summed(gradient) / ranks.world
for paper in RANKED:
    engine = started(game(paper), [3], 12, "eager", ranks)
    step, lines = 0, []
    while step < 12:
        step, records = engine.advance(step, 12)
        lines.append({{name: values[0].tolist() for name, values in records.items() if name != "penalty"}})
    out[paper] = lines
if ranks.rank == 0:
    open(sys.argv[1], "w").write(json.dumps(out))
ranks.__exit__(None)
os._exit(0)  # as the command does: taking the interpreter down races with gloo's threads
"""


def _losses(folder, world, how="gather"):
    script, out = folder / "worker.py", folder / f"{world}-{how}.json"
    script.write_text(WORKER.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    if world == 1:
        command = [sys.executable]
    done = subprocess.run(
        [*command, str(script), str(out), how], capture_output=True, text=True, timeout=200,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_two_ranks_play_the_same_game_as_one(tmp_path):
    one, two, averaged = _losses(tmp_path, 1), _losses(tmp_path, 2), _losses(tmp_path, 2, "average")
    for paper in RANKED:
        for a, b in zip(one[paper], two[paper], strict=True):
            for name in a:
                assert a[name] == pytest.approx(b[name], abs=1e-6), (paper, name)
    gap = [
        abs(x - y)
        for a, b in zip(one["mcgan-mean"], averaged["mcgan-mean"], strict=True)
        for x, y in zip(a["generator_loss"], b["generator_loss"], strict=True)
    ]
    assert max(gap) > 1e-3  # the planted fault: what averaging the ranks' gradients would play


@pytest.mark.parametrize(
    ("paper", "settings"),
    [
        ("mcgan-mean", {"q": 1.0}),
        ("mcgan-mean", {"q": float("inf")}),
        ("mcgan-mean", {"q": 1.0, "form": "primal"}),
        ("mcgan-mean", {"q": 2.0, "form": "primal"}),
        ("mcgan-mean", {"q": float("inf"), "form": "primal"}),
        ("mcgan-cov", {"form": "primal"}),
        ("mcgan-cov", {"k": 3}),
        ("sngan", {"payoff": "non-saturating"}),
        ("fgan-kl", {"alternative": False}),
    ],
)
def test_every_form_of_a_paper_plays_and_its_constraints_hold_after_every_turn(paper, settings):
    g = game(paper, **settings)
    engine, step = started(g, [0, 1], 8), 0
    while step < 8:
        step, records = engine.advance(step, step + 1)
        assert all(bool(values.isfinite().all()) for values in records.values())
        for state in engine.states():
            critic = state["params"]["critic"]
            for constraint in g.constraints:
                close(critic, constraint.project(critic), 1e-9)  # a projection leaves what it made alone
    moved = [(a - b).abs().max() for a, b in zip(tree.leaves(engine.states()[0]["params"]),
             tree.leaves(tree.map(torch.Tensor.double, g.init(0)["params"])), strict=True)]  # fmt: skip
    assert max(moved) > 1e-4


def test_a_clip_before_the_step_would_bite():
    g = game("wgan", bound=0.01)
    (state,) = started(g, [0], 8).states()
    with pytest.raises(AssertionError):
        close(state["params"]["critic"], g.constraints[0].project(state["params"]["critic"]), 1e-9)
