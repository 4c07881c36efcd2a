"""A run is what it says it is: the game it is handed again is the one it was played with, or refused; its legs are
those that were played; its command plays it again."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ganzfeld as gz
from ganzfeld.core.identity import describe, difference
from ganzfeld.engine import Engine
from ganzfeld.faces.cli import main
from ganzfeld.runs import files
from small import EVERY, STEPS, environment, ganzfeld, train, vectors, weights

PRICE = 2.0


def squares(target=1.0, price=1.0):
    return gz.Objective(
        critic=lambda real, fake: -price * (real - target) ** 2 - fake**2,
        generator=gz.objectives.apart(lambda o: (o - 1) ** 2, real=lambda o: o**2),
        relative=False,
    )


def squares_with_another_code(target=1.0, price=1.0):
    return squares(target, price)._replace(critic=lambda real, fake: -price * (real - target).abs() - fake**2)


class Bent(nn.Module):
    """A layer of one's own, with a number that is no weight."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope
        self.register_buffer("kernel", torch.ones(2))

    def forward(self, x):
        return torch.where(x > 0, x, self.slope * x)


def critic(slope=0.2):
    return nn.Sequential(nn.Linear(2, 8), Bent(slope), nn.Linear(8, 1), nn.Flatten(0))


def of_class(name, method):
    return type(name, (gz.Constraint,), {"penalty": method, "__module__": __name__, "__qualname__": name})()


BODY = {"scalar": True}
PAIRS = {
    "a closed-over value": (squares(), squares(price=3.0), "objective.critic.holds.price was 1.0, not 3.0"),
    "the code": (squares(), squares_with_another_code(), "objective.critic is another function"),
    "a table's objective": (gz.objectives.hinge, gz.objectives.wasserstein, "objective"),
    "an fgan": (
        gz.objectives.fgan(gz.divergences.TABLE["kl"]),
        gz.objectives.fgan(gz.divergences.TABLE["js"]),
        "another function",
    ),
    "a partial": (
        squares()._replace(critic=partial(torch.dist, p=2)),
        squares()._replace(critic=partial(torch.dist, p=1)),
        "objective.critic.keywords.p was 2, not 1",
    ),
    "a global": (squares()._replace(critic=lambda r, f: PRICE * (r - f)), None, "reads.PRICE was 2.0, not 5.0"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_game_is_known_again_by_its_functions_and_all_they_hold(name, monkeypatch):
    one, other, match = PAIRS[name]
    first = json.loads(json.dumps(describe({"objective": one})))  # as it comes back from a file
    assert difference(first, describe({"objective": one})) is None
    if other is None:
        monkeypatch.setattr(sys.modules[__name__], "PRICE", 5.0)
    assert match in difference(first, describe({"objective": other or one}))


def test_modules_are_known_by_their_structure_attributes_and_buffers_not_their_weights():
    one = describe(critic())
    assert describe(critic()) == one  # other weights
    assert difference(one, describe(critic(0.1))) == "layers.1.slope was 0.2, not 0.1"
    wider = critic()
    wider[0] = nn.Linear(2, 9)
    assert difference(one, describe(wider)) == "layers.0.out_features was 8, not 9"
    turned = critic()
    turned[1].kernel.mul_(2)
    assert "layers.1.buffers.kernel" in difference(one, describe(turned))
    patched = critic()
    patched[1].__class__ = type("Bent", (Bent,), {"forward": lambda self, x: x.tanh(), "__qualname__": "Bent"})
    assert "layers.1.methods" in difference(one, describe(patched))


def test_a_class_of_ones_own_is_known_by_the_code_of_its_methods():
    one, other = (
        of_class("Mine", lambda self, turn: turn.real_scores),
        of_class("Mine", lambda self, turn: -turn.real_scores),
    )
    assert difference(describe(one), describe(one)) is None
    assert "penalty is another function" in difference(describe(one), describe(other))


def test_a_description_is_the_same_in_every_process():
    words = (
        "import json, dataclasses, ganzfeld as gz; from ganzfeld.core.identity import describe;"
        "f = lambda x: x in {'a', 'b', 'c', 'd'};"
        "print(json.dumps(describe([gz.papers.sngan(gz.data.ring8()), f])))"
    )
    told = {
        subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, env=env).stdout
        for env in ({**environment(), "PYTHONHASHSEED": seed} for seed in ("1", "2"))
    }
    assert len(told) == 1


def test_digests_of_another_python_are_not_compared():
    one = {"critic": {"code": "code 1111 of python 3.11", "holds": {"w": 1}}}
    assert difference(one, {"critic": {"code": "code 2222 of python 3.12", "holds": {"w": 1}}}) is None
    assert difference(one, {"critic": {"code": "code 2222 of python 3.12", "holds": {"w": 2}}})
    assert "another function" in difference(one, {"critic": {"code": "code 2222 of python 3.11", "holds": {"w": 1}}})


def test_a_run_of_another_game_is_neither_gone_on_with_nor_opened(tmp_path):
    data = gz.data.load(vectors(tmp_path))
    game = gz.papers.lsgan(data, gz.MLP(width=8, depth=1), batch_size=16)
    one, same, other = (
        dataclasses.replace(game, objective=squares(price=p), batch_size=b) for p, b in ((1, 16), (1, 16), (3, 8))
    )
    gz.train(one, data, out=tmp_path / "run", steps=8)
    before = weights(tmp_path / "run")
    with pytest.raises(ValueError, match=r"holds another run: objective.critic.holds.price was 1, not 3"):
        gz.train(other, data, out=tmp_path / "run", steps=8, resume=True)
    with pytest.raises(ValueError, match=r"not the one that .* was trained from: objective.critic.holds.price"):
        gz.load(tmp_path / "run", game=other)
    assert torch.equal(gz.load(tmp_path / "run", game=same).sample(3), gz.load(tmp_path / "run", game=one).sample(3))
    gz.train(same, data, out=tmp_path / "run", steps=8, resume=True)
    assert weights(tmp_path / "run") == before
    facts = files.read_json(tmp_path / "run/run.json")
    assert facts["paper"] is None and facts["game"]["objective"] == "squares"
    (tmp_path / "run/game.json").unlink()
    with pytest.raises(ValueError, match="game.json is missing"):
        gz.load(tmp_path / "run", game=one)


def test_a_run_of_a_paper_needs_no_game_and_takes_no_other(tmp_path):
    data = vectors(tmp_path)
    train(tmp_path / "run", data, steps=8)
    with pytest.raises(ValueError, match="leave out game="):
        gz.load(tmp_path / "run", game=gz.papers.lsgan(gz.data.load(data)))


@pytest.mark.parametrize(
    "asked",
    [
        {"objective": "hinge"},
        {"batch_size": 0},
        {"settings": {"lr": 1.0}},
        {"network": "mlp"},
        {"constraints": ()},
    ],
)
def test_arguments_that_cannot_act_on_a_game_are_refused(tmp_path, asked):
    data = gz.data.load(vectors(tmp_path))
    with pytest.raises(ValueError, match=f"leave out {next(iter(asked))}"):
        gz.train(gz.papers.lsgan(data), data, out=tmp_path / "run", steps=8, **asked)
    assert not (tmp_path / "run").exists()


# --- legs ---


def test_a_run_that_is_to_become_longer_says_so_and_ends_where_the_longer_one_does(tmp_path):
    data = vectors(tmp_path)
    train(tmp_path / "whole", data)
    train(tmp_path / "torn", data, steps=24, lr_schedule_steps=STEPS)
    train(tmp_path / "torn", data, resume=True)
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")
    (leg,) = files.read_json(tmp_path / "torn/run.json")["legs"]
    assert (leg["from"], leg["steps"], leg["lr_schedule_steps"]) == (0, STEPS, STEPS)


def test_past_the_end_of_its_schedule_a_run_goes_in_words_alone_and_records_its_legs(tmp_path):
    data, told = vectors(tmp_path), []
    train(tmp_path / "run", data, steps=24)
    short = weights(tmp_path / "run")
    with pytest.raises(ValueError, match="--lr-schedule-steps 24 .* or --lr-schedule-steps 48"):
        train(tmp_path / "run", data, resume=True)
    assert weights(tmp_path / "run") == short
    tell = lambda kind, step, facts: told.append((kind, facts.get("text", "")))  # noqa: E731
    train(tmp_path / "run", data, lr_schedule_steps=48, resume=True, tell=tell)
    assert any("lr_schedule_steps 48 (was 24)" in text for kind, text in told if kind == "note")
    facts = files.read_json(tmp_path / "run/run.json")
    assert [(leg["from"], leg["lr_schedule_steps"]) for leg in facts["legs"]] == [(0, 24), (24, 48)]
    train(tmp_path / "whole", data)
    assert weights(tmp_path / "run") != weights(tmp_path / "whole")  # which is why it must be said
    play(facts["command"], tmp_path / "again")
    assert weights(tmp_path / "again") == weights(tmp_path / "run")


def test_rates_that_stay_need_no_words(tmp_path):
    data, constant = vectors(tmp_path), {"lr_schedule": "constant", "lr_warm_up": 3}
    train(tmp_path / "whole", data, settings=constant)
    train(tmp_path / "torn", data, settings=constant, steps=24)
    train(tmp_path / "torn", data, settings=constant, resume=True)
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")
    assert len(files.read_json(tmp_path / "torn/run.json")["legs"]) == 1


def test_rates_may_stay_where_their_schedule_ends(tmp_path):
    data = vectors(tmp_path)
    train(tmp_path / "whole", data, lr_schedule_steps=24)
    train(tmp_path / "torn", data, steps=24)
    train(tmp_path / "torn", data, lr_schedule_steps=24, resume=True)
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")


def test_an_engine_that_changes_is_a_leg_of_its_own(tmp_path, monkeypatch):
    data = vectors(tmp_path)
    train(tmp_path / "run", data, steps=16, lr_schedule_steps=STEPS)
    monkeypatch.setattr(torch, "__version__", "9.9")
    train(tmp_path / "run", data, resume=True)
    legs = files.read_json(tmp_path / "run/run.json")["legs"]
    assert [(leg["from"], leg["torch"]) for leg in legs][1:] == [(16, "9.9")]


# --- pieces ---


def test_where_graphs_are_cut_does_not_depend_on_how_often_a_run_writes(tmp_path, monkeypatch):
    """The compiled engine with its graphs played eagerly, and told by what lengths its pieces had."""
    pieces = {}

    def counted(self, step, rounds):
        pieces[out].append((step, rounds))
        return real(self, step, rounds)

    real = Engine._play
    monkeypatch.setattr(Engine, "_play", counted)
    monkeypatch.setitem(sys.modules["ganzfeld.engine.population"].GRAPHS, "compiled", lambda play: play)
    data, told = vectors(tmp_path), []
    for out, every in (("often", (3, 5, 7)), ("seldom", (8, 96, 96))):
        pieces[out] = []
        intervals = dict(zip(EVERY, every, strict=True))
        tell = lambda kind, step, facts: told.append(facts.get("text", ""))  # noqa: E731
        train(tmp_path / out, data, engine="compiled", steps=45, tell=tell, **intervals)
    assert pieces["often"] == pieces["seldom"] == [(i, 4) for i in range(0, 44, 4)] + [(44, 1)]
    assert any("log_every 4 (not 3), judge_every 8 (not 5), checkpoint_every 8 (not 7)" in text for text in told)
    plan = files.read_json(tmp_path / "often/run.json")["plan"]
    lines = files.read_lines(tmp_path / "often/log.jsonl")
    assert plan["log_every"] == 4 and [line["step"] for line in lines] == [*range(4, 45, 4), 45]
    assert weights(tmp_path / "often") == weights(tmp_path / "seldom")


@pytest.mark.slow
def test_compiled_runs_end_alike_however_often_they_log_and_wherever_they_were_cut(tmp_path):
    data, ends = vectors(tmp_path), set()
    for name, every in (("a", (8, 96)), ("b", (3, 5))):
        asked = {"engine": "compiled", "log_every": every[0], "checkpoint_every": every[1], "steps": 96}
        train(tmp_path / name, data, **asked)
        ends.add(weights(tmp_path / name))
    train(tmp_path / "c", data, engine="compiled", steps=40, lr_schedule_steps=96, log_every=5)
    train(tmp_path / "c", data, engine="compiled", steps=96, resume=True, log_every=7)
    ends.add(weights(tmp_path / "c"))
    assert len(ends) == 1


# --- commands ---


def play(command, out):
    """What a run says plays it again, into another directory."""
    for part in command.split(" && "):
        words = shlex.split(part)[1:]
        words[words.index("--out") + 1] = str(out)
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0, part


SMALL = ["--set", "width=8", "--set", "depth=1", "--batch-size", 16, "--steps", 24]
COMMANDS = {
    "plain": ["ns-gan", "--data", "plane", *SMALL],
    "intervals": ["wgan-gp", "--data", "plane", *SMALL, "--log-every", 3, "--judge-every", 9, "--checkpoint-every", 5],
    "a population from a seed": ["lsgan", "--data", "plane", *SMALL, "--seed", 3, "--seeds", 2],
    "a crossing": ["gan", "--data", "plane", *SMALL, "--objective", "hinge", "--constraint", "spectral", "--constraint"]
    + ["r1", "--set", "r1.gamma=0.1"],
    "no constraint": ["wgan", "--data", "plane", *SMALL, "--objective", "non-saturating", "--constraint", "none"],
    "a schedule": ["ns-gan", "--data", "plane", *SMALL, "--set", "lr_schedule=cosine", "--set", "lr_warm_up=3"]
    + ["--lr-schedule-steps", 30, "--set", "betas=(0.5, 0.9)"],
    "half precision": ["ns-gan", "--data", "plane", *SMALL, "--precision", "bf16", "--engine", "eager"],
    "labels": ["dcgan", "--data", "pictures", "--labels", "--size", 8, "--set", "width=4", "--steps", 2]
    + ["--batch-size", 8, "--crop", "pad"],
    "codes": ["ali", "--data", "plane", *SMALL, "--set", "cycle=1", "--set", "latent=3"],
    "rankings": ["irgan", "--data", "tastes", "--steps", 4, "--set", "start_steps=4", "--set", "rank=3"],
    "other parts": ["ns-gan", "--data", "plane", *SMALL, "--valid", "plane", "--test", "plane"],
    "names with spaces": ["ns-gan", "--data", "a plane", *SMALL],
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    pictures = np.random.default_rng(0).integers(0, 256, (120, 8, 8), dtype=np.uint8)
    np.savez(folder / "pictures.npz", x=pictures, y=np.arange(120) % 3)
    plane, spaced = vectors(folder), vectors(folder, name="a b.npy")
    return {"plane": plane, "a plane": spaced, "pictures": str(folder / "pictures.npz")}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_recorded_command_plays_the_same_run_again(tmp_path, sources, name):
    words = ["train", *(sources.get(word, word) for word in COMMANDS[name])]
    code, _, err = ganzfeld(*words, "--out", tmp_path / "run")
    assert code == 0, err
    facts = files.read_json(tmp_path / "run/run.json")
    play(facts["command"], tmp_path / "again")
    again = files.read_json(tmp_path / "again/run.json")
    assert weights(tmp_path / "again") == weights(tmp_path / "run")
    for facts_of_one in (facts, again):
        facts_of_one["command"] = facts_of_one["command"].replace(str(tmp_path / "again"), str(tmp_path / "run"))
    differing = {key for key in facts if facts[key] != again[key]}
    assert differing <= {"plan"} and facts["plan"] | {"batch_size": 0} == again["plan"] | {"batch_size": 0}


def test_a_stopped_run_says_the_command_that_goes_on(tmp_path, monkeypatch):
    from ganzfeld.runs import training

    data = vectors(tmp_path)
    train(tmp_path / "whole", data)
    pieces = training.Loop._play_piece

    def stopping(self, step, asked):
        if step >= 20:
            asked.append(15)
        return pieces(self, step, asked)

    monkeypatch.setattr(training.Loop, "_play_piece", stopping)
    with pytest.raises(training.Interrupted) as stopped:
        train(tmp_path / "torn", data)
    monkeypatch.undo()
    words = shlex.split(str(stopped.value).partition("go on with ")[2])
    assert ganzfeld(*words[1:])[0] == 0
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")


def test_a_dry_run_looks_at_the_directory(tmp_path):
    data = vectors(tmp_path)
    words = ["train", "ns-gan", "--data", data, *SMALL, "--out", tmp_path / "run"]
    code, out, _ = ganzfeld(*words, "--dry-run")
    assert code == 0 and "run: begins" in " ".join(out.split()) and not (tmp_path / "run").exists()
    assert ganzfeld(*words)[0] == 0
    before = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    code, _, err = ganzfeld(*words, "--dry-run")
    assert code == 2 and "already holds a run" in err
    code, out, _ = ganzfeld(*words, "--dry-run", "--resume")
    assert code == 0 and "goes on from step 24" in " ".join(out.split())
    assert before == {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}


def test_a_run_that_is_stopped_while_its_start_is_trained_says_its_own_command(tmp_path, monkeypatch):
    from ganzfeld.runs import training

    monkeypatch.setenv("GANZFELD_COMMAND", "./run")
    pieces = training.Loop._play_piece
    stop = lambda self, step, asked: pieces(self, step, [*asked, 15])  # noqa: E731
    monkeypatch.setattr(training.Loop, "_play_piece", stop)
    out = tmp_path / "a run"
    with pytest.raises(training.Interrupted, match="of its start") as stopped:
        gz.train("irgan", "tastes", out=out, steps=4, settings={"start_steps": 20, "rank": 2})
    monkeypatch.undo()
    words = shlex.split(str(stopped.value).partition("go on with ")[2])
    assert words[:3] == ["./run", "train", "irgan"]
    code, _, err = ganzfeld(*words[1:])
    assert code == 0 and f"recommend '{out}'" in err, err


@pytest.mark.parametrize(
    "asked", [{"steps": 8.5}, {"seed": True}, {"log_every": 2.5}, {"seeds": "2"}, {"steps": float("nan")}]
)
def test_a_count_that_is_no_whole_number_is_refused_before_anything_is_written(tmp_path, asked):
    with pytest.raises(ValueError, match=f"{next(iter(asked))} is a whole number, not"):
        train(tmp_path / "run", vectors(tmp_path), **asked)
    assert not (tmp_path / "run").exists()


def test_a_whole_number_of_any_kind_is_one(tmp_path):
    data = vectors(tmp_path)
    train(tmp_path / "one", data, steps=8)
    train(tmp_path / "two", data, steps=8.0, seed=np.int64(0), seeds=np.int64(1))
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert gz.load(tmp_path / "two").facts["steps"] == 8


def test_another_batch_is_told_as_such(tmp_path):
    data = vectors(tmp_path)
    train(tmp_path / "run", data, steps=8)
    with pytest.raises(ValueError, match="batch_size was 16, not 32"):
        gz.train("ns-gan", data, out=tmp_path / "run", steps=8, batch_size=32, resume=True,
                 settings={"width": 8, "depth": 1})  # fmt: skip


def test_a_leg_in_which_nothing_is_played_is_none(tmp_path):
    data = vectors(tmp_path)
    train(tmp_path / "run", data, steps=8)
    train(tmp_path / "run", data, steps=8, lr_schedule_steps=4, resume=True)
    facts = files.read_json(tmp_path / "run/run.json")
    assert len(facts["legs"]) == 1 and facts["plan"]["lr_schedule_steps"] == 8


def test_a_run_is_not_put_into_the_folder_of_its_data(tmp_path):
    from PIL import Image

    for i in range(30):
        (tmp_path / "x" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(tmp_path / f"x/{i % 2}/{i}.png")
    words = ["train", "dcgan", "--data", tmp_path / "x", "--out", tmp_path / "x", "--size", 8, "--batch-size", 8]
    for more in ([], ["--dry-run"]):
        code, _, err = ganzfeld(*words, *more)
        assert code == 2 and "is the folder of the data: choose another one" in err
    assert sorted(os.listdir(tmp_path / "x")) in (["0", "1"], ["0", "1", "lock"])


def test_data_that_are_no_data_yet_are_refused_in_words_and_paths_are_names(tmp_path):
    with pytest.raises(ValueError, match="data are a name, a path, or what gz.data has read, not ndarray: save it"):
        gz.train("ns-gan", np.zeros((20, 2)), out=tmp_path / "run", steps=1)
    assert gz.train("ns-gan", Path(vectors(tmp_path)), out=tmp_path / "run", steps=1, batch_size=8).game.shape == (2,)
