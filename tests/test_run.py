"""A run survives what happens to it, and what a user does with it depends on nothing it should not."""

import dataclasses
import json
import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import ganzfeld as gz
from ganzfeld.compatibility import Doubtful
from ganzfeld.core import tree
from ganzfeld.runs import files
from ganzfeld.runs.training import Loop
from small import EVERY, SETTINGS, STEPS, environment, train, vectors, weights


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A population of two, played to its end."""
    folder = tmp_path_factory.mktemp("played")
    data = vectors(folder)
    return train(folder / "run", data, seeds=2), data


# --- survival ---


class Crash(BaseException):
    pass


@pytest.mark.parametrize("paper", ["ns-gan", "sngan", "wgan", "r3gan"])
@pytest.mark.parametrize("seeds", [1, 2])
def test_resume_continues_the_same_trajectory(tmp_path, monkeypatch, paper, seeds):
    data = vectors(tmp_path)
    train(tmp_path / "whole", data, paper, seeds=seeds)
    pieces, played = Loop._play_piece, [0]

    def crashing(self, step, asked):
        played[0] += 1
        if played[0] in (3, 9, 30):
            raise Crash
        return pieces(self, step, asked)

    monkeypatch.setattr(Loop, "_play_piece", crashing)
    while True:
        try:
            train(tmp_path / "torn", data, paper, seeds=seeds, resume=True)
            break
        except Crash:
            continue
    assert played[0] > 9
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")
    for name in ("log.jsonl", "metrics.jsonl"):
        torn, whole = (files.read_lines(tmp_path / run / name) for run in ("torn", "whole"))
        assert [line["step"] for line in torn] == [line["step"] for line in whole]
        timed = ("seconds", "samples_per_second", "warnings")  # a warning already told may be told once more
        for one, other in zip(torn, whole, strict=True):
            assert {k: v for k, v in one.items() if k not in timed} == {
                k: v for k, v in other.items() if k not in timed
            }


@pytest.mark.slow
def test_a_compiled_run_resumes_the_same_trajectory(tmp_path, monkeypatch):
    monkeypatch.setattr("ganzfeld.engine.population.TURNS_PER_GRAPH", 4)  # a short graph compiles fast
    data = vectors(tmp_path)
    train(tmp_path / "whole", data, "wgan-gp", engine="compiled")
    pieces, played = Loop._play_piece, [0]

    def crashing(self, step, asked):
        played[0] += 1
        if played[0] == 13:
            raise Crash
        return pieces(self, step, asked)

    monkeypatch.setattr(Loop, "_play_piece", crashing)
    with pytest.raises(Crash):
        train(tmp_path / "torn", data, "wgan-gp", engine="compiled")
    train(tmp_path / "torn", data, "wgan-gp", engine="compiled", resume=True)
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")


def command(out, data, *more, steps=400):
    words = ["train", "ns-gan", "--data", data, "--out", str(out), "--steps", str(steps), "--checkpoint-every", "16"]
    sets = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "ganzfeld", *words, "--log-every", "8", "--judge-every", "80", *sets, *more]


def started(words, ready, limit=60.0):
    """A process, running, as soon as the path ``ready`` exists."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment())
    until = time.monotonic() + limit
    while not list(ready.parent.glob(ready.name)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)
    return process


def test_a_run_killed_at_any_moment_ends_bit_for_bit_as_one_never_stopped(tmp_path):
    data, torn, rng = vectors(tmp_path), tmp_path / "torn", random.Random(1)
    subprocess.run(command(tmp_path / "whole", data), check=True, capture_output=True, env=environment())
    for kill in range(3):
        steps = sorted((torn / "checkpoints").glob("step-*")) if kill else []
        if steps and int(steps[-1].name[5:]) >= 380:
            break
        process = started(command(torn, data, "--resume"), torn / "log.jsonl")
        time.sleep(rng.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = subprocess.run(command(torn, data, "--resume"), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert weights(torn) == weights(tmp_path / "whole")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_is_told_by_the_exit_code(tmp_path, signum, code):
    data, out = vectors(tmp_path), tmp_path / "run"
    process = started(command(out, data, "--engine", "eager", steps=100_000), out / "log.jsonl")
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "--resume" in said and "Traceback" not in said
    reached = int(sorted((out / "checkpoints").glob("step-*"))[-1].name[5:])
    assert 0 < reached < 100_000
    assert gz.load(out).sample(3).shape == (3, 2)


def test_a_running_runs_directory_is_refused(tmp_path):
    data, out = vectors(tmp_path), tmp_path / "run"
    process = started(command(out, data, "--engine", "eager", steps=100_000), out / "log.jsonl")
    with pytest.raises(ValueError, match=f"belongs to a running process .pid {process.pid}"):
        train(out, data, resume=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def explosive(data, at):
    """A game whose generator loss is infinite from its turn ``at`` on: its rate is beyond float32."""
    game = gz.papers.ns_gan(data, gz.MLP(width=8, depth=1), batch_size=16, ema_half_life=0.0, lr_schedule="constant")
    rule = game.optimizers["generator"]
    sizes = lambda turn, lr_schedule: (math.inf if turn == at else 1e-3, 1e-8)  # noqa: E731
    return dataclasses.replace(game, optimizers={**game.optimizers, "generator": rule._replace(step_sizes=sizes)})


def test_a_number_that_is_not_finite_stops_the_run_and_never_becomes_a_checkpoint(tmp_path):
    data = gz.data.load(vectors(tmp_path))
    out = tmp_path / "run"
    with pytest.raises(gz.Diverged, match=r"(critic|generator).*seed 0.*not finite.*step-00000016") as caught:
        gz.train(explosive(data, at=20), data, out=out, steps=64, **EVERY)
    assert "after step 16" in str(caught.value) or "after step 18" in str(caught.value) or "step 2" in str(caught.value)
    kept = sorted((out / "checkpoints").glob("step-*"))
    assert [path.name for path in kept] == ["step-00000016"]
    assert tree.finite(dict(enumerate(gz.load(out, explosive(data, at=20)).states)))


def test_a_member_that_diverges_is_frozen_and_counted_and_the_others_play_on(tmp_path):
    """Member 1 starts from weights of 1e30: its scores are infinite at once."""
    data = gz.data.load(vectors(tmp_path))
    game = gz.papers.lsgan(data, gz.MLP(width=8, depth=1), batch_size=16)
    init = gz.Game.init

    def broken(self, seed, *given):
        state = init(self, seed, *given)
        return tree.map(lambda p: p * 1e30, state) if seed == 1 else state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gz.Game, "init", broken)
        told = []
        run = gz.train(
            game,
            data,
            out=tmp_path / "two",
            steps=STEPS,
            seeds=3,
            keep_going=True,
            tell=lambda *x: told.append(x),
            **EVERY,
        )
        alone = gz.train(game, data, out=tmp_path / "one", steps=STEPS, seed=2, **EVERY)
    assert files.read_lines(tmp_path / "two/log.jsonl")[-1]["diverged"] == 1
    assert [facts["member"] for event, _, facts in told if event == "warn" and facts["cause"] == "divergence"] == [1]
    for one, other in zip(tree.leaves(run.states[2]), tree.leaves(alone.states[0]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_damaged_newest_checkpoint_is_passed_over_loudly(tmp_path, capsys):
    data, out = vectors(tmp_path), tmp_path / "run"
    train(out, data)
    whole = weights(out)
    path = sorted((out / "checkpoints").glob("step-*"))[-1] / "state.safetensors"
    path.write_bytes(whole[:-4] + b"????")
    assert gz.load(out).sample(2).shape == (2, 2)
    assert "damaged" in capsys.readouterr().err
    train(out, data, resume=True)
    assert "using step 32 instead" in capsys.readouterr().err
    assert weights(out) == whole


def test_a_directory_that_holds_a_run_is_not_written_over(tmp_path):
    data, out = vectors(tmp_path), tmp_path / "run"
    train(out, data)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="already holds a run"):
        train(out, data)
    with pytest.raises(ValueError, match="paper was 'ns-gan', not 'lsgan'"):
        train(out, data, "lsgan", resume=True)
    with pytest.raises(ValueError, match="seed was 0, not 3"):
        train(out, data, seed=3, resume=True)
    with pytest.raises(ValueError, match="lr was 0.001, not 1e-05"):
        train(out, data, settings={"lr": 1e-5}, resume=True)
    with pytest.raises(ValueError, match="data have changed"):
        train(out, vectors(tmp_path, shift=1.0), resume=True)
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    before.pop(out / "lock"), after.pop(out / "lock")
    assert before == after


def test_a_longer_run_goes_on_from_a_shorter_one_and_a_shorter_one_is_refused(tmp_path):
    data, out = vectors(tmp_path), tmp_path / "run"
    train(out, data)
    assert train(out, data, steps=2 * STEPS, lr_schedule_steps=2 * STEPS, resume=True).directory == out
    assert files.read_lines(out / "log.jsonl")[-1]["step"] == 2 * STEPS
    with pytest.raises(ValueError, match="already played 96 steps"):
        train(out, data, resume=True)


# --- use ---


def test_a_sample_depends_on_its_seed_alone(played):
    run, _ = played
    whole = run.sample(200, seed=4)
    assert torch.equal(run.sample(7, seed=4), whole[:7])
    torch.manual_seed(0)
    assert torch.equal(run.sample(200, seed=4), whole)
    assert not torch.equal(run.sample(7, seed=5), whole[:7])
    assert not torch.equal(run.sample(7, seed=4, member=1), whole[:7])


def test_a_member_of_a_population_is_the_run_of_its_seed(tmp_path, played):
    run, path = played
    data = gz.data.load(path)  # the same rows held out: those of seed 0
    alone = train(tmp_path / "alone", data, seed=1)
    torch.testing.assert_close(run.sample(64, member=1), alone.sample(64), rtol=1e-3, atol=1e-4)


def test_a_run_is_loaded_without_its_data(tmp_path):
    data = vectors(tmp_path)
    run = train(tmp_path / "run", data)
    Path(data).unlink()
    again = gz.load(tmp_path / "run")
    assert torch.equal(again.sample(16), run.sample(16))
    with pytest.raises(ValueError, match="no such file"):
        again.judge()


def test_the_generator_is_an_ordinary_module_with_standing_statistics(tmp_path):
    run = train(tmp_path / "run", vectors(tmp_path), settings={"norm": "batch"})
    generator = run.generator()
    assert isinstance(generator, torch.nn.Module) and not generator.training
    z = torch.randn(40, 2)
    torch.testing.assert_close(generator(z)[:1], generator(z[:1]))
    assert not any(p.requires_grad for p in generator.parameters())


def test_the_average_and_not_the_last_weights_are_handed_out(played):
    run, _ = played
    state = run.states[0]
    last = tree.vector(run.game.moved(state["params"], "generator"))
    assert not torch.equal(state["average"], last)
    held = torch.cat([p.flatten() for p in run.generator().parameters()])
    torch.testing.assert_close(held, state["average"])


def test_judging_gives_the_contracts_shape(played):
    run, _ = played
    judged = run.judge()
    assert {"w1", "sliced_w1"} <= judged.keys()
    for value in judged.values():
        assert set(value) == {"mean", "std", "per_member"} and len(value["per_member"]) == 2
        assert value["mean"] == pytest.approx(sum(value["per_member"]) / 2)
    provenance = run.judgement()["provenance"]
    assert provenance["w1"]["by"] == "optimal assignment" and provenance["held_out"] == 20
    assert "critic_w1" not in judged  # columns of their own scale have no distance in common
    asked = run.judge(metrics=["critic_w1"])
    assert list(asked) == ["critic_w1"] and all(math.isfinite(v) for v in asked["critic_w1"]["per_member"])
    with pytest.raises(ValueError, match="modes needs a world whose modes are known"):
        run.judge(metrics=["modes"])
    with pytest.raises(ValueError, match="'w1'"):
        run.judge(metrics=["w2"])
    with pytest.raises(ValueError, match=r"rows of shape \(64,\)"):
        run.judge("digits")


def test_a_run_directory_holds_what_the_contract_says(played):
    run, data = played
    names = {path.name for path in run.directory.iterdir()}
    assert names == {"run.json", "log.jsonl", "metrics.jsonl", "samples", "checkpoints", "lock"}
    facts = json.loads((run.directory / "run.json").read_text())
    assert (facts["paper"], facts["seeds"], facts["steps"]) == ("ns-gan", 2, STEPS)
    assert facts["data"]["fingerprint"] == gz.data.load(data).fingerprint
    assert "Goodfellow" in facts["citation"] and facts["versions"]["torch"] == torch.__version__
    logged = files.read_lines(run.directory / "log.jsonl")
    assert [line["step"] for line in logged] == list(range(8, STEPS + 1, 8))
    expected = {
        "critic_value", "generator_loss", "penalty", "d_real", "d_fake", "critic_gradient", "generator_gradient",
        "saturation_minimax", "saturation_non_saturating", "lipschitz", "spectral_product", "samples_per_second",
        "slope_q05", "slope_median", "slope_q95", "spread",
    }  # fmt: skip
    assert expected <= logged[-1].keys()
    assert [line["step"] for line in files.read_lines(run.directory / "metrics.jsonl")] == [24, 48]
    assert {path.name for path in (run.directory / "samples").iterdir()} == {
        f"step-{step:08d}.png" for step in (0, 24, 48)
    }


def test_the_command_in_run_json_plays_the_run_again(tmp_path):
    from ganzfeld.faces.cli import main

    run = train(tmp_path / "run", vectors(tmp_path), objective="hinge", constraints=["r1"], settings={"r1.gamma": 0.5})
    words = json.loads((run.directory / "run.json").read_text())["command"].split()[1:]
    words[words.index("--out") + 1] = str(tmp_path / "again")
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert weights(tmp_path / "again") == weights(tmp_path / "run")


def test_settings_are_one_whether_they_came_as_text_or_as_values(tmp_path):
    data = vectors(tmp_path)
    text = {"lr": "5e-4", "betas": "(0, 0.9)", "width": "8", "depth": "1", "batch_size": "16"}
    train(tmp_path / "run", data, settings=text)
    values = {"lr": 5e-4, "betas": (0.0, 0.9)}
    assert train(tmp_path / "run", data, settings=values, resume=True).facts["settings"]["lr"] == 5e-4


def test_an_infinite_setting_survives_strict_json(tmp_path):
    run = train(tmp_path / "run", vectors(tmp_path), "mcgan-mean", settings={"q": math.inf, "n_critic": 1})
    assert torch.equal(gz.load(tmp_path / "run").sample(4), run.sample(4))


def test_a_game_of_ones_own_trains_in_three_lines(tmp_path):
    data = gz.data.load(vectors(tmp_path))
    game = gz.papers.wgan_gp(data, gz.MLP(width=8, depth=1), batch_size=16)
    mine = dataclasses.replace(game, objective=gz.objectives.hinge, constraints=(gz.Spectral(),))
    run = gz.train(mine, data=data, out=tmp_path / "run", steps=STEPS, **EVERY)
    assert torch.equal(gz.load(tmp_path / "run", game=mine).sample(5), run.sample(5))
    with pytest.raises(ValueError, match="hand it over again"):
        gz.load(tmp_path / "run")


def test_test_rows_are_never_trained_on(tmp_path):
    """Rows that give themselves away: training sees none of the held-out ones."""
    data = gz.data.load(vectors(tmp_path))
    seen = []

    @dataclasses.dataclass(frozen=True, eq=False)
    class Watched(type(data)):
        def take(self, rows):
            seen.append(super().take(rows).flatten(0, -2))
            return super().take(rows)

    watched = Watched(**{f.name: getattr(data, f.name) for f in dataclasses.fields(data)})
    game = gz.papers.ns_gan(data, gz.MLP(width=8, depth=1), batch_size=16)
    gz.train(game, watched, out=tmp_path / "run", steps=STEPS, **EVERY)
    rows = {tuple(row) for row in torch.cat(seen).tolist()}
    assert rows == {tuple(row) for row in data.train.tolist()}
    assert not rows & {tuple(row) for row in torch.cat([data.valid, data.test]).tolist()}


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"batch_size": -4}, "batch_size"),
        ({"settings": {"lr": math.nan}}, "positive number"),
        ({"engine": "fast"}, "auto, eager, compiled"),
        ({"engine": "captured"}, "captured on a GPU"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"precision": "fp8"}, "fp32 or bf16"),
        ({"log_every": -1}, "log_every"),
        ({"objective": "hinges"}, "'hinge'"),
        ({"constraints": ["spectrum"]}, "'spectral'"),
        ({"network": "mpl"}, "'mlp'"),
        ({"paper": "nsgan"}, "'ns-gan'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path, asked, match):
    data = vectors(tmp_path)
    with pytest.raises(ValueError, match=match):
        train(tmp_path / "run", data, **asked)
    assert not (tmp_path / "run").exists()


def test_a_doubtful_pair_warns_and_plays(tmp_path):
    with pytest.warns(Doubtful, match="momentum"):
        train(tmp_path / "run", vectors(tmp_path), constraints=["clip"], settings={"betas": (0.5, 0.9)})
    assert np.isfinite(gz.load(tmp_path / "run").sample(4).numpy()).all()


def test_a_game_with_other_pieces_is_not_taken_for_the_same_run(tmp_path):
    data = gz.data.load(vectors(tmp_path))
    game = lambda weight, lr=1e-3: dataclasses.replace(  # noqa: E731
        gz.papers.lsgan(data, gz.MLP(width=8, depth=1), batch_size=16, lr=lr),
        constraints=(gz.GradientPenalty(weight),),
    )
    gz.train(game(3.0), data, out=tmp_path / "run", steps=8)
    for other, match in ((game(5.0), r"constraints.0.weight was 3.0, not 5.0"), (game(3.0, 2e-3), "lr was 0.001")):
        with pytest.raises(ValueError, match=match):
            gz.train(other, data, out=tmp_path / "run", steps=16, resume=True)
    gz.train(game(3.0), data, out=tmp_path / "run", steps=16, lr_schedule_steps=16, resume=True)
    facts = files.read_json(tmp_path / "run/run.json")
    assert facts["game"]["objective"] == "least-squares"
    assert facts["citation"] == "" and facts["made_from"].startswith("Mao et al. 2017")  # it plays no such paper
    with pytest.raises(ValueError, match="a paper is a name"):
        gz.train(gz.papers.lsgan, data, out=tmp_path / "other", steps=1)
