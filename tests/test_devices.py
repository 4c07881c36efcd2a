"""Devices: nothing is left behind, captured pieces play the eager game; and what half precision touches."""

import contextlib
import dataclasses

import pytest
import torch

import ganzfeld as gz
from ganzfeld import engine as engines
from ganzfeld.augment import Augment
from ganzfeld.core import tree
from ganzfeld.engine import Engine, captured, turns
from test_game_engines import PAPERS, game
from test_game_pictures import NETWORKS
from test_game_pictures import game as pictured

META = torch.device("meta")  # tensors without numbers: an operation that meets one of another device raises


class Plane:
    lazy, rows = False, 500

    def __init__(self, x=None):
        self.x = torch.randn(self.rows, 2, generator=torch.Generator().manual_seed(1)) if x is None else x

    def take(self, rows):
        return self.x.index_select(0, rows.flatten()).unflatten(0, rows.shape)

    def on(self, device):
        return Plane(self.x.to(device))

    def announce(self, rows):
        pass


class Left(Plane):
    """Rows that stay behind: they are not in memory."""

    lazy = True


def placed(game, data, device=META, seeds=(0,), steps=8):
    engine = Engine(game, data, seeds, steps, device=device)
    engine.start()
    return engine


def devices(engine, rounds=1):
    records = engine._play(0, rounds)
    return {x.device.type for x in [*tree.leaves(engine.groups[0]), *records.values()]}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_game_on_the_plane_is_played_where_its_state_lies(paper):
    for seeds in ((0,), (0, 1)):
        assert devices(placed(game(paper), Plane(), seeds=seeds)) == {"meta"}


@pytest.mark.parametrize("paper", NETWORKS)
def test_a_game_of_pictures_is_played_where_its_state_lies(paper):
    settings = {"warm": 0} if paper in ("wgan", "mcgan-cov") else {}
    g = dataclasses.replace(pictured(paper, **settings), augment=Augment(("translation", "cutout", "colour")))
    assert devices(placed(g, gz.data.digits().as_pictures())) == {"meta"}


def test_labels_and_rows_that_are_not_in_memory_go_to_the_device_too():
    digits = gz.data.digits().as_pictures()
    assert devices(placed(pictured("sngan", classes=10), digits)) == {"meta"}
    assert devices(placed(game("ns-gan"), Left())) == {"meta"}


def test_a_tensor_that_is_left_behind_is_found():
    g = game("ns-gan")
    strays = torch.randn(32, 2)
    payoff = g.objective._replace(generator=lambda real, fake: (fake - strays[:, 0]).square())
    with pytest.raises(RuntimeError, match="meta"):
        devices(placed(dataclasses.replace(g, objective=payoff), Plane()))


# --- choices ---


def test_games_are_placed_where_they_can_be_played():
    plane, pictures, gpu = game("ns-gan"), pictured("dcgan"), torch.device("cuda", 0)
    assert engines.place("cpu", pictures).type == engines.place("auto", plane).type == "cpu"
    with pytest.raises(ValueError, match="auto, cpu, cuda or cuda:N, not 'tpu'"):
        engines.place("tpu", plane)
    with pytest.raises(ValueError, match="there is no GPU 99"):
        engines.place("cuda:99", plane)
    assert engines.choose("auto", pictures, 8, 1, gpu) == "captured"
    assert engines.choose("eager", pictures, 8, 1, gpu) == "eager"
    # a decomposition waits for the processor, which a capture cannot
    assert engines.choose("auto", pictured("mcgan-cov"), 8, 1, gpu) == "eager"
    for asked, device in (("compiled", gpu), ("captured", torch.device("cpu"))):
        with pytest.raises(ValueError, match="compiled on a processor and captured on a GPU"):
            engines.choose(asked, pictures, 8, 1, device)


def test_a_device_is_no_part_of_what_a_run_is_but_its_precision_is(tmp_path):
    asked = {"data": "ring8", "steps": 8, "log_every": 8, "judge_every": 8}
    gz.train("ns-gan", **asked, out=tmp_path / "run")
    gz.train("ns-gan", **asked, out=tmp_path / "run", device="cpu", resume=True)
    with pytest.raises(ValueError, match="precision was 'fp32', not 'bf16'"):
        gz.train("ns-gan", **asked, out=tmp_path / "run", precision="bf16", resume=True)
    half = gz.train("ns-gan", **asked, out=tmp_path / "half", precision="bf16")
    assert half.game.precision == gz.load(tmp_path / "half").game.precision == "bf16"
    assert "--precision bf16" in half.facts["command"] and half.facts["device"] == "cpu"
    with pytest.raises(ValueError, match="fp32 or bf16, not 'fp8'"):
        gz.train("ns-gan", **asked, out=tmp_path / "other", precision="fp8")


# --- captured ---


class Tape:
    """What stands in for a CUDA graph: it remembers which tensors a capture read and made, and a replay computes the
    same operations from the first into the second."""

    def __init__(self, play):
        self.play, self.reading = play, None

    def __call__(self, *given):
        made = self.play(*given)
        self.reading, self.made = given, made
        return made

    def replay(self):
        for fixed, new in zip(self.made, self.play(*self.reading), strict=True):
            tree.map(torch.Tensor.copy_, fixed, new)


@pytest.fixture()
def tapes(monkeypatch):
    """`captured`, with a tape in the place of a graph."""

    @contextlib.contextmanager
    def nothing(*_):
        yield

    class Stream:
        def wait_stream(self, other):
            pass

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", nothing)
    monkeypatch.setattr(torch.cuda, "graph", nothing)

    def taped(play):
        tape = Tape(play)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: tape)
        return captured.captured(tape)

    return taped


@pytest.mark.parametrize("paper", ["wgan-gp", "sngan", "gan"])
def test_captured_pieces_play_the_eager_game(paper, tapes, monkeypatch):
    """Four pieces of a game: what is given is copied in, and what was found is not written over."""
    g, steps = game(paper), 64
    eager = placed(g, Plane(), torch.device("cpu"), steps=steps)
    graph = Engine(g, Plane(), [0], steps, "captured")
    graph.start()
    monkeypatch.setitem(engines.population.GRAPHS, "captured", tapes)
    step, held = 0, []
    while step < steps:
        _, records = eager.advance(step, steps)
        step, again = graph.advance(step, steps)
        held.append((again, records, graph.states()[0], eager.states()[0]))
    for again, records, mine, theirs in held:  # looked at when the last piece has been played
        assert again.keys() == records.keys()
        for name, values in again.items():
            assert torch.allclose(values, records[name], rtol=1e-4, atol=1e-5), name
        for a, b in zip(tree.leaves(mine["params"]), tree.leaves(theirs["params"]), strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def test_captured_turns_share_their_fake_batch(tapes, monkeypatch):
    """What the critic's turn leaves to the generator's stays inside the piece."""
    g, digits = pictured("dcgan"), gz.data.digits().as_pictures()
    eager, graph = Engine(g, digits, [0, 1], 32), Engine(g, digits, [0, 1], 32, "captured")
    monkeypatch.setitem(engines.population.GRAPHS, "captured", tapes)
    for engine in (eager, graph):
        engine.start()
        step = 0
        while step < 32:
            step, _ = engine.advance(step, 32)
    for mine, theirs in zip(graph.states(), eager.states(), strict=True):
        for a, b in zip(tree.leaves(mine["params"]), tree.leaves(theirs["params"]), strict=True):
            assert torch.allclose(a, b, atol=2e-3)
    assert not torch.equal(*(tree.vector(state["params"]["critic"]) for state in graph.states()))


def test_a_graph_hands_out_copies(tapes):
    g = game("ns-gan")
    engine = placed(g, Plane(), torch.device("cpu"))
    first, step_sizes = engine._numbers(0, 1)
    given = engine._deal(engine._dealers[0], g.schedule(0), first)
    graph = tapes(turns.player(g, g.schedule(0), "eager", mapped=False))
    one, _ = graph(engine.groups[0], *given, step_sizes)
    kept = tree.map(torch.clone, one)
    two, _ = graph(one, *given, step_sizes)  # writes over the graph's own memory
    assert all(map(torch.equal, tree.leaves(one), tree.leaves(kept)))
    assert not all(map(torch.equal, tree.leaves(one), tree.leaves(two)))


def test_a_piece_that_cannot_be_captured_is_played_one_by_one(tapes, monkeypatch, capsys):
    g = game("ns-gan")
    engine = placed(g, Plane(), torch.device("cpu"))
    first, step_sizes = engine._numbers(0, 1)
    given = (engine.groups[0], *engine._deal(engine._dealers[0], g.schedule(0), first), step_sizes)
    play = turns.player(g, g.schedule(0), "eager", mapped=False)
    plain, _ = play(*given)

    def refused(_):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(torch.cuda, "graph", refused)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    graph = captured.captured(play)
    for _ in range(2):
        again, _ = graph(*given)
        assert all(map(torch.equal, tree.leaves(plain), tree.leaves(again)))
    told = capsys.readouterr().err.splitlines()
    assert told == ["turns are not captured, but played one by one: operation not permitted when stream is capturing"]


# --- half precision ---


def gradients(g, state, role="critic"):
    engine = placed(g, gz.data.digits().as_pictures(), torch.device("cpu"))
    first, _ = engine._numbers(0, 1)
    batches, noises = engine._deal(engine._dealers[0], ("critic", "generator"), first)
    batch = tuple(x[0] for x in batches[role].values())
    noise = {name: draw[0] for name, draw in noises[role].items()}
    found, (_, record) = turns.slope(g, (role,), "eager", mapped=False)(state, batch, noise)
    return tree.vector(found[role]), record


@pytest.mark.parametrize("paper", ["dcgan", "wgan-gp", "sngan", "r3gan"])
def test_half_precision_plays_nearly_the_same_game_and_leaves_the_weights_whole(paper):
    g = pictured(paper)
    half, state = dataclasses.replace(g, precision="bf16"), g.init(0)
    for role in ("critic", "generator"):
        whole, _ = gradients(dataclasses.replace(g, share_fakes=False), state, role)
        rounded, _ = gradients(dataclasses.replace(half, share_fakes=False), state, role)
        assert rounded.dtype == torch.float32
        apart = float((whole - rounded).norm() / whole.norm())
        assert 1e-5 < apart < 0.3  # bfloat16 keeps 8 bits, and errors of single entries add up


def test_a_penalty_is_taken_in_full_precision(monkeypatch):
    """The critic that a penalty differentiates is the same in both games; the one that scores is not."""
    g, seen, penalty = pictured("wgan-gp"), [], gz.GradientPenalty.penalty

    def spy(self, turn):
        seen.append(turn.f(*turn.real))
        return penalty(self, turn)

    monkeypatch.setattr(gz.GradientPenalty, "penalty", spy)
    full, half = (gradients(x, g.init(0))[1] for x in (g, dataclasses.replace(g, precision="bf16")))
    assert torch.equal(*seen) and full["critic_value"] != half["critic_value"]


def test_rankers_refuse_half_precision():
    with pytest.raises(ValueError, match="full precision"):
        gz.train("irgan", data="tastes", steps=1, precision="bf16")
