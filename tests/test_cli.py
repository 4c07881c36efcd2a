"""The command line keeps its contract: formats, exit codes, one clear line for every error."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import ganzfeld as gz
from ganzfeld.faces import cli
from ganzfeld.runs import files, plan
from small import EVERY, SETTINGS, environment, ganzfeld, train, vectors

SETS = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
SHORT = [f"--{key.replace('_', '-')}={value}" for key, value in EVERY.items()]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    data = vectors(folder)
    train(folder / "run", data, seeds=2)
    return folder, data


def trained(data, out, *more):
    return ["train", "ns-gan", "--data", data, "--out", out, "--steps", 24, *SHORT, *SETS, *more]


def test_training_ends_with_zero_and_speaks_to_standard_error_alone(tmp_path):
    code, out, err = ganzfeld(*trained(vectors(tmp_path), tmp_path / "run"))
    assert (code, out) == (0, "")
    assert "step 24/24" in err and "ganzfeld sample" in err
    assert gz.load(tmp_path / "run").sample(3).shape == (3, 2)


def test_crossings_by_flags(tmp_path):
    flags = ["--objective", "hinge", "--constraint", "spectral", "--constraint", "r1", "--set", "r1.gamma=0.1"]
    assert ganzfeld(*trained(vectors(tmp_path), tmp_path / "run", *flags))[0] == 0
    game = gz.load(tmp_path / "run").game
    assert game.objective is gz.objectives.hinge
    assert game.constraints == (gz.Spectral(), gz.R1(0.1))


def test_a_dry_run_writes_nothing(tmp_path):
    code, out, _ = ganzfeld(*trained(vectors(tmp_path), tmp_path / "run", "--dry-run"))
    assert code == 0 and "Goodfellow" in out and "eager" in out
    assert not (tmp_path / "run").exists()


def test_sampling_writes_arrays_pictures_and_folders(world, tmp_path):
    run = world[0] / "run"
    assert ganzfeld("sample", run, "--n", 70, "--seed", 3, "--out", tmp_path / "x.npy")[0] == 0
    x = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert (x.shape, x.dtype) == ((70, 2), np.float32)
    assert np.array_equal(x[:5], gz.load(run).sample(5, seed=3).numpy())
    assert ganzfeld("sample", run, "--n", 9, "--member", 1, "--out", tmp_path / "x.png")[0] == 0
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (400, 400)
    assert ganzfeld("sample", run, "--n", 3, "--out", tmp_path / "many")[0] == 0
    assert [path.name for path in sorted((tmp_path / "many").iterdir())] == ["00000.png", "00001.png", "00002.png"]


def test_seeds_give_the_first_sample_of_each_and_interpolation_runs_between_two(world, tmp_path):
    run, out = world[0] / "run", tmp_path / "x.npy"
    ganzfeld("sample", run, "--seeds", "0-2,7", "--out", out)
    firsts = np.stack([gz.load(run).sample(1, seed=s)[0].numpy() for s in (0, 1, 2, 7)])
    np.testing.assert_allclose(np.load(out), firsts, rtol=1e-5, atol=1e-6)
    ganzfeld("sample", run, "--interpolate", "--n", 5, "--seed", 4, "--out", out)
    ends = gz.load(run).sample(2, seed=4).numpy()
    np.testing.assert_allclose(np.load(out)[[0, -1]], ends, rtol=1e-4, atol=1e-5)


def test_judging_prints_one_json_document(world):
    code, out, _ = ganzfeld("judge", world[0] / "run", "--json")
    found = json.loads(out)
    assert code == 0 and found.keys() == {"metrics", "provenance"}
    assert all(set(value) == {"mean", "std", "per_member"} for value in found["metrics"].values())
    assert len(found["metrics"]["w1"]["per_member"]) == 2
    one = json.loads(ganzfeld("judge", world[0] / "run", "--member", 1, "--json")[1])["metrics"]["w1"]
    assert one["per_member"] == [found["metrics"]["w1"]["per_member"][1]] and one["std"] == 0


def test_samples_in_a_file_are_judged_against_data(world, tmp_path):
    ganzfeld("sample", world[0] / "run", "--n", 2500, "--out", tmp_path / "x.npy")
    of_file = json.loads(ganzfeld("judge", tmp_path / "x.npy", "--data", world[1], "--json")[1])
    of_run = json.loads(ganzfeld("judge", world[0] / "run", "--member", 0, "--json")[1])
    assert of_file["metrics"]["w1"] == of_run["metrics"]["w1"]
    code, out, _ = ganzfeld("judge", world[0] / "run", "--metrics", "sliced_w1")
    assert code == 0 and "sliced_w1" in out and " w1" not in out


def test_real_rows_are_judged_as_perfect_samples_are(tmp_path):
    np.save(tmp_path / "real.npy", gz.data.ring8().restore("train")[:2500].numpy())
    metrics = json.loads(ganzfeld("judge", tmp_path / "real.npy", "--data", "ring8", "--json")[1])["metrics"]
    assert metrics["modes"]["mean"] == 8
    assert abs(metrics["high_quality"]["mean"] - 0.98889) < 0.0084
    assert metrics["w1"]["mean"] < 0.15


def test_comparing_writes_a_table_and_a_report(tmp_path):
    words = ["compare", "ns-gan", "wgan", "--data", vectors(tmp_path), "--seeds", 2, "--steps", 16, *SETS]
    code, out, _ = ganzfeld(*words, "--out", tmp_path / "c", "--json")
    found = json.loads(out)
    assert code == 0 and [row["paper"] for row in found["rows"]] == ["ns-gan", "wgan"]
    assert all(len(row["metrics"]["w1"]["per_member"]) == 2 and row["seconds"] > 0 for row in found["rows"])
    assert found == json.loads((tmp_path / "c/compare.json").read_text())
    assert "ns-gan" in (tmp_path / "c/report.html").read_text()
    code, _, err = ganzfeld(*words, "--out", tmp_path / "c")
    assert code == 2 and "already holds a comparison" in err
    assert ganzfeld(*words, "--out", tmp_path / "c", "--resume")[0] == 0
    code, out, _ = ganzfeld("report", tmp_path / "c", world_run(tmp_path), "--out", tmp_path / "r.html")
    assert code == 0 and (tmp_path / "r.html").stat().st_size > 10_000


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_comparison_saves_every_paper_that_plays(tmp_path, signum, code):
    words = ["compare", "ns-gan", "lsgan", "--data", vectors(tmp_path), "--seeds", "1", "--steps", "100000"]
    out = tmp_path / "c"
    words += ["--jobs", "2", *SETS, "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "ganzfeld", *words, "--engine", "eager"], stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=environment(),
    ) as process:  # fmt: skip
        until = time.monotonic() + 60
        while not all((out / paper / "samples/step-00000000.png").exists() for paper in ("ns-gan", "lsgan")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        time.sleep(0.5)
        # a terminal's Ctrl-C reaches the whole group, a supervisor's SIGTERM the parent alone
        (os.killpg if signum == signal.SIGINT else os.kill)(process.pid, signum)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.strip().splitlines()[-1].startswith("ganzfeld: stopped at 0 of 2 papers") and "Traceback" not in said
    for paper in ("ns-gan", "lsgan"):
        assert gz.load(out / paper).sample(2).shape == (2, 2)


def world_run(folder):
    train(folder / "own", vectors(folder, name="y.npy"))
    return folder / "own"


def test_the_bare_command_gives_an_overview_of_commands_that_exist():
    code, out, err = ganzfeld()
    assert (code, err) == (0, "") and 8 < len(out.splitlines()) < 20
    for words in cli.FIRST_COMMANDS:
        name, *options = words.split()
        shown = ganzfeld(name, "--help")
        assert f"  ganzfeld {words} " in out and shown[0] == 0
        assert all(option in shown[1] for option in options if option.startswith("--"))


def test_the_version_is_told_and_help_is_never_cut():
    assert ganzfeld("--version") == (0, f"ganzfeld {gz.__version__}\n", "")
    code, out, _ = ganzfeld("--help")
    assert code == 0 and "..." not in out.replace("[ARGS]...", "") and all(f"  {name} " in out for name in cli.COMMANDS)


def test_commands_are_suggested_as_they_are_to_be_typed(world, tmp_path, monkeypatch):
    monkeypatch.setenv("GANZFELD_COMMAND", "./run")
    assert "  ./run train r3gan" in ganzfeld()[1] and "ganzfeld train" not in ganzfeld()[1]
    assert "Usage: ./run train" in ganzfeld("train", "--help")[1]
    _, _, told = ganzfeld(*trained(world[1], tmp_path / "run"))
    assert "try: ./run sample" in told
    assert "./run train --help" in ganzfeld("train", "gan")[2] and "./run train PAPER" in ganzfeld("judge", "x")[2]
    assert ganzfeld("report", tmp_path / "run", "--out", tmp_path / "r.html")[0] == 0
    page = (tmp_path / "r.html").read_text()
    assert "./run train ns-gan --data" in page and "ganzfeld train" not in page
    assert json.loads((tmp_path / "run/run.json").read_text())["command"].startswith("ganzfeld train")


def test_a_constraint_lists_its_settings_and_each_can_be_set_to_its_default(tmp_path):
    for name in gz.constraints.TABLE:
        chosen = json.loads(ganzfeld("list", name, "--json")[1])
        listed = next(entry for entry in chosen.values() if entry["kind"] == "constraints")
        (rows,) = listed["settings"].values()
        kind = gz.constraints.TABLE[name]
        assert [row["setting"] for row in rows] == [f"{name}.{f.name}" for f in dataclasses.fields(kind)]
        assert all(row["meaning"] for row in rows)
    code, out, _ = ganzfeld("list", "r1")
    assert code == 0 and re.search(r"^  r1\.gamma +1\.0 +weight of the mean squared slope", out, re.M)
    words = ["train", "gan", "--data", "ring8", "--out", tmp_path, "--dry-run", "--constraint", "gradient-penalty"]
    sets = ["--set", "gradient-penalty.weight=10.0", "--set", "gradient-penalty.one_sided=false"]
    assert ganzfeld(*words, *sets)[:2] == ganzfeld(*words)[:2]


def test_the_names_that_a_setting_may_be_are_listed_with_their_meanings():
    out = ganzfeld("list", "irgan")[1]
    for name in ("live", "frozen", "optimal", "log-sigmoid"):
        assert re.search(rf"^ {{8,}}{name} +\S+ \S+", out, re.M), name
    dragan = ganzfeld("list", "dragan")[1]  # a paper, and a constraint
    assert "\non vectors" in dragan and "\nwith --constraint dragan" in dragan
    assert "\nwith --network mlp" in ganzfeld("list", "mlp")[1] and "soft-margin" in ganzfeld("list", "hinge")[1]


def test_another_seed_of_the_same_run_is_told_in_words(world):
    run, data = world[0] / "run", world[1]
    words = ["train", "ns-gan", "--data", data, "--out", run, "--steps", 48, *SETS, "--seeds", 2, "--resume"]
    assert "objective was not given, and is 'hinge' now" in ganzfeld(*words, "--objective", "hinge")[2]
    assert plan.describe_change("size", 32, None) == "size was 32, and is not given now"


def test_other_data_are_asked_for_no_classes_that_they_have_not(tmp_path):
    words = ["train", "ns-gan", "--data", "digits", "--exclude-classes", "1, 9", "--out", tmp_path / "run", *SETS]
    assert ganzfeld(*words, "--steps", 8)[0] == 0
    code, _, said = ganzfeld("judge", tmp_path / "run", "--data", "ring8")
    assert code == 2 and "ring8 has rows of shape (2,), the run was trained on (64,)" in said
    code, out, _ = ganzfeld("judge", tmp_path / "run", "--data", "digits", "--metrics", "fd", "--json")
    own = ganzfeld("judge", tmp_path / "run", "--metrics", "fd", "--json")[1]
    assert code == 0 and json.loads(out) == json.loads(own)


def test_listing_names_all_there_is():
    found = json.loads(ganzfeld("list", "--json")[1])
    assert set(found["papers"]) == set(gz.papers.TABLE)
    assert {"ring8", "grid25", "swissroll", "digits", "mixture1200"} <= found["data"].keys()
    assert {"w1", "fd", "modes"} <= found["metrics"].keys()
    code, out, _ = ganzfeld("list", "constraints")
    assert code == 0 and "spectral" in out and "ns-gan" not in out


def test_listing_a_paper_prints_what_can_be_set_on_each_form_of_data():
    code, out, _ = ganzfeld("list", "wgan_gp")
    assert code == 0
    vectors, pictures = out.split("\non ")[1:]
    assert re.search(r"^  weight +0\.1\b", vectors, re.M) and re.search(r"^  weight +10\.0\b", pictures, re.M)
    assert ganzfeld("list", "irgan", "--json")[1].count('"setting": "temperature"') == 2


@pytest.mark.parametrize(
    ("paper", "form", "data"), [("wgan-gp", "vectors", "ring8"), ("irgan", "interactions", "tastes")]
)
def test_every_setting_that_is_listed_can_be_set_to_its_default(tmp_path, paper, form, data):
    rows = json.loads(ganzfeld("list", paper, "--json")[1])[paper]["settings"][form]
    sets = [word for row in rows for word in ("--set", f"{row['setting']}={row['default']}")]
    plain = ["train", paper, "--data", data, "--out", tmp_path, "--dry-run"]
    code, out, err = ganzfeld(*plain, *sets)
    assert code == 0 and len(rows) > 5, err
    assert out == ganzfeld(*plain)[1]


ERRORS = {
    "unknown paper": (["train", "wgna", "--data", "ring8"], "'wgan'"),
    "unknown data": (["train", "wgan", "--data", "rnig8"], "ring8"),
    "unknown objective": (["train", "gan", "--data", "ring8", "--objective", "hing"], "'hinge'"),
    "unknown constraint": (["train", "gan", "--data", "ring8", "--constraint", "spectrum"], "'spectral'"),
    "unknown network": (["train", "gan", "--data", "ring8", "--network", "mpl"], "'mlp'"),
    "unknown key": (["train", "gan", "--data", "ring8", "--set", "lrr=1"], "'lr'"),
    "a key of before": (["train", "gan", "--data", "ring8", "--set", "rate=1"], "rate is now lr"),
    "no key": (["train", "gan", "--data", "ring8", "--set", "lr"], "key=value"),
    "a rate of nan": (["train", "gan", "--data", "ring8", "--set", "lr=nan"], "positive number"),
    "a rate in words": (["train", "gan", "--data", "ring8", "--set", "lr=fast"], "lr must be a positive number"),
    "a negative batch": (["train", "gan", "--data", "ring8", "--batch-size", "-4"], "batch"),
    "a fraction of a step": (["train", "gan", "--data", "ring8", "--steps", "1.5"], "steps"),
    "no step": (["train", "gan", "--data", "ring8", "--steps", "0"], "steps"),
    "no such file": (["train", "gan", "--data", "/no/such.npy"], "/no/such.npy"),
    "pixels of vectors": (["train", "gan", "--data", "ring8", "--size", "32"], "--size is for pictures in files"),
    "an impossible pair": (["train", "mcgan", "--data", "ring8", "--constraint", "r1"], "one score per sample"),
    "unknown device": (["train", "gan", "--data", "ring8", "--device", "tpu"], "auto, cpu, cuda or cuda:N"),
    "no such GPU": (["train", "gan", "--data", "ring8", "--device", "cuda:99"], "there is no GPU 99"),
    "unknown precision": (["train", "gan", "--data", "ring8", "--precision", "fp8"], "fp32 or bf16"),
    "unknown engine": (["train", "gan", "--data", "ring8", "--engine", "fast"], "auto, eager, compiled"),
    "unknown command": (["trian"], "trian"),
    "unknown option": (["train", "gan", "--data", "ring8", "--stepz", "5"], "stepz"),
    "an option of version 0.1": (["train", "gan", "--data", "ring8", "--without", "1"], "--without is now --exclude-c"),
    "another": (["train", "bpr", "--data", "tastes", "--least", "4"], "--least is now --min-rating"),
    "no such folder": (["train", "gan", "--data", "my-pictures"], "no such file or folder; there are ring8"),
    "no data": (["train", "gan"], "'--data'. (see ganzfeld train --help)"),
    "no such run": (["judge", "nowhere"], "ganzfeld train PAPER --data DATA --out nowhere makes one"),
    "no metric": (["judge", "nowhere", "--metrics", ","], "no metric is named"),
    "unknown list": (["list", "paper"], "'papers'"),
    "unknown paper to list": (["list", "wgan-pg"], "'wgan-gp'"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_one_line_and_exit_two(tmp_path, kind):
    words, match = ERRORS[kind]
    out = ["--out", tmp_path / "run"] if words[0] == "train" else []
    code, said, err = ganzfeld(*words, *out)
    assert (code, said) == (2, "")
    assert match in err
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert not (tmp_path / "run/run.json").exists()


def test_errors_of_use_are_one_line_and_exit_two(world, tmp_path):
    run = world[0] / "run"
    for words, match in (
        (["sample", tmp_path / "none", "--out", "x.npy"], "no such run"),
        (["sample", world[1], "--out", "x.npy"], "is not a run directory"),
        (["sample", tmp_path, "--out", "x.npy"], "holds no run"),
        (["sample", run, "--n", 0, "--out", tmp_path / "x.npy"], "at least one sample"),
        (["sample", run, "--member", 5, "--out", tmp_path / "x.npy"], "there is no member 5"),
        (["sample", run, "--seeds", "a-b", "--out", tmp_path / "x.npy"], "range such as 0-15"),
        (["sample", run, "--out", tmp_path / "x.jpg"], ".npy or .png"),
        (["judge", run, "--metrics", "w2"], "'w1'"),
        (["judge", run, "--data", "digits"], "rows of shape"),
        (["judge", world[1]], "give --data"),
        (["report", tmp_path, "--out", tmp_path / "r.html"], "neither a run"),
        (["compare", "ns-gann", "--data", "ring8", "--out", tmp_path / "c"], "'ns-gan'"),
        (trained(world[1], run), "already holds a run"),
        (trained(world[1], world[1]), "cannot write to"),
    ):
        code, said, err = ganzfeld(*words)
        assert (code, said) == (2, ""), words
        assert match in err and len(err.strip().splitlines()) == 1, err


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "ns-gan", "--data", "", "--out", "x"], "--data"),
        (["train", "ns-gan", "--data=", "--out", "x"], "--data"),
        (["train", "ns-gan", "--data", "ring8", "--out", ""], "--out"),
        (["train", "ns-gan", "--data", "ring8", "--out= "], "--out"),
        (["train", "ns-gan", "--data", "ring8", "--out", "x", "--valid", ""], "--valid"),
        (["sample", "", "--out", "x.npy"], "an argument"),
        (["report", "x", "--out", ""], "--out"),
    ],
)
def test_an_empty_word_is_named_and_nothing_is_read_or_written(tmp_path, monkeypatch, words, name):
    monkeypatch.chdir(tmp_path)
    assert ganzfeld(*words) == (2, "", f"ganzfeld: {name} is empty: give a value, or leave it out\n")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="out is empty"):
        gz.train("ns-gan", "ring8", out="", steps=1)
    assert not list(tmp_path.iterdir())


def test_ranks_of_torchrun_write_one_run_and_play_the_same_game(tmp_path):
    words = [str(word) for word in trained(vectors(tmp_path), tmp_path / "two")]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ganzfeld", *words],
        capture_output=True, text=True, timeout=200, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training: 24 steps") == done.stderr.count("saved in") == 1
    assert ganzfeld(*trained(tmp_path / "x.npy", tmp_path / "one"))[0] == 0
    two, one = (files.read_lines(tmp_path / run / "log.jsonl") for run in ("two", "one"))
    for mine, theirs in zip(two, one, strict=True):
        for name in ("critic_value", "generator_loss", "critic_gradient", "generator_gradient"):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-5)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only directories")
def test_a_read_only_directory_is_refused(tmp_path):
    data, shut = vectors(tmp_path), tmp_path / "shut"
    shut.mkdir(mode=0o500)
    code, _, err = ganzfeld(*trained(data, shut / "run"))
    assert code == 2 and "cannot write to" in err


@pytest.mark.parametrize("spoil", ["short", "flipped", "other paper"])
def test_a_checkpoint_that_cannot_be_used_is_refused_and_left_alone(tmp_path, spoil):
    data, out = vectors(tmp_path), tmp_path / "run"
    train(out, data, steps=24, checkpoint_every=24)
    (folder,) = (out / "checkpoints").iterdir()
    path = folder / "state.safetensors"
    if spoil == "short":
        path.write_bytes(path.read_bytes()[:-9])
    elif spoil == "flipped":
        path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    else:
        train(tmp_path / "other", data, "lsgan", steps=24, checkpoint_every=24)
        (theirs,) = (tmp_path / "other/checkpoints").iterdir()
        for name in ("state.safetensors", "meta.json"):
            (folder / name).write_bytes((theirs / name).read_bytes())
    before = path.read_bytes()
    match = {"other paper": "belongs to another game"}.get(spoil, "damaged")
    for words in (["sample", out, "--out", tmp_path / "x.npy"], trained(data, out, "--resume", "--steps", 24)):
        code, _, err = ganzfeld(*words)
        assert code == 2 and match in err and len(err.strip().splitlines()) == 1, err
    assert path.read_bytes() == before


def test_numbers_that_break_end_with_one_and_a_way_back(tmp_path):
    broken = ["--set", "lr=1e30", "--engine", "eager"]
    code, _, err = ganzfeld(*trained(vectors(tmp_path), tmp_path / "run", *broken))
    assert code == 1
    assert "not finite" in err.splitlines()[-1] and "Traceback" not in err


def test_a_value_that_is_no_number_is_refused_in_plain_words(tmp_path):
    words = ["train", "gan", "--data", "ring8", "--out", tmp_path / "run"]
    for option, what in (("--steps", "a whole number"), ("--min-rating", "a number")):
        code, _, err = ganzfeld(*words, option, "x")
        assert code == 2 and f"'{option}': it is to be {what} (see" in err, err
