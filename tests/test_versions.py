"""Runs of version 0.1 still open: they are sampled, judged, resumed and reported as the version that made them would.

The runs beside this file were made by 0.1.0, and so were `JUDGED`, what it said of them, and `ENDED`, digests of the
states that it ended with where it was let go on.
"""

import hashlib
import html
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ganzfeld as gz
from ganzfeld.core.names import RENAMED, rename_command
from ganzfeld.runs import files
from ganzfeld.runs.plan import read_plan
from small import ganzfeld

RUNS = Path(__file__).parent / "data" / "version-0.1"
LEARNT = ["--set", "lr=0.002", "--set", "width=8", "--set", "depth=1", "--set", "batch_size=16"]
GO_ON = {  # each was half played, and its rates had a schedule as long as what was played then
    "samples": ["wgan", "--data", "ring8", "--steps", 64, "--lr-schedule-steps", 64, "--seeds", 2, *LEARNT,
                "--set", "ema_half_life=400", "--set", "n_critic=2", "--set", "lr_schedule=constant",
                "--constraint", "clip", "--set", "clip.bound=0.2", "--log-every", 24, "--judge-every", 24],
    "codes": ["bigan", "--data", "digits", "--exclude-classes", "3,4", "--steps", 40, "--lr-schedule-steps", 40,
              *LEARNT, "--set", "latent=4", "--log-every", 24, "--judge-every", 24],
    "rankings": ["irgan", "--data", "tastes", "--steps", 24, "--lr-schedule-steps", 24, "--seeds", 2,
                 "--set", "rank=2", "--set", "optimizer=sgd", "--set", "generator_lr=0.01", "--set", "critic_lr=0.02",
                 "--set", "n_critic=2", "--set", "n_generator=2", "--set", "start_steps=8",
                 "--set", "lr_schedule=linear", "--log-every", 8, "--judge-every", 8],
}  # fmt: skip
ENDED = {
    "samples": "56e5451640e1dcd12f7ae198847ffce392d95b8bcd87cdae7885aa1ce3258fa6",
    "codes": "9f33aceec5fd70f937af3baaa8926d5bef71be211774ba777f166741c228b579",
    "rankings": "9ec2646b022e1bf3d5e056cf730d81e9d792e827d1930f0896394302be1ff374",
}
JUDGED = {
    "samples": {"modes": [1.0, 1.0], "w1": [0.558191879662683, 0.5732732409573807],
                "critic_w1": [0.24700317999295765, 0.19112299948076553]},
    "codes": {"fd": [50.0466502109256], "cycle": [0.885628013363869], "knn_codes": [0.49047619047619045]},
    "rankings": {"p@5": [0.155, 0.156]},
}  # fmt: skip


def fold(directory):
    """A digest of all leaves of the newest state, under the names that they have now."""
    state = load_file(sorted((directory / "checkpoints").glob("step-*"))[-1] / "state.safetensors")
    digest = hashlib.sha256()
    for path in sorted(state):
        digest.update(path.encode())
        digest.update(state[path].contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", GO_ON)
def test_a_run_of_before_is_judged_as_it_was(name):
    found = gz.load(RUNS / name).judge()
    for metric, values in JUDGED[name].items():
        assert found[metric]["per_member"] == pytest.approx(values, rel=1e-6), metric


def test_a_run_of_before_is_sampled_as_it_was():
    x = gz.load(RUNS / "samples").sample(2, seed=3)
    was = [[-0.09834298491477966, -0.47955551743507385], [-0.9173318147659302, -1.1878821849822998]]
    assert torch.allclose(x, torch.tensor(was), atol=1e-6)
    assert float(gz.load(RUNS / "codes").sample(2, seed=3).sum()) == pytest.approx(5.7192, abs=1e-3)


@pytest.mark.parametrize("name", GO_ON)
def test_a_run_of_before_goes_on_to_the_same_end(tmp_path, name):
    out = tmp_path / name
    shutil.copytree(RUNS / name, out)
    code, _, err = ganzfeld("train", *GO_ON[name], "--out", out, "--resume")
    assert code == 0, err
    assert fold(out) == ENDED[name]
    facts = files.read_json(out / "run.json")
    assert facts["format"] == files.FORMAT and facts["identity"] not in facts["formerly"]
    code, _, err = ganzfeld("train", *GO_ON[name], "--out", out, "--resume")  # nothing is left to do, and it is known
    assert code == 0, err
    assert fold(out) == ENDED[name]


@pytest.mark.parametrize(
    ("name", "key", "value"), [("samples", "lr", 0.003), ("codes", "depth", 2), ("rankings", "n_generator", 1)]
)
def test_a_run_of_before_is_not_taken_for_another(tmp_path, name, key, value):
    out = tmp_path / name
    shutil.copytree(RUNS / name, out)
    before = fold_all(out)
    words = [f"{key}={value}" if str(word).startswith(f"{key}=") else word for word in GO_ON[name]]
    code, _, err = ganzfeld("train", *words, "--out", out, "--resume")
    assert code == 2 and f"{key} was" in err and f"not {value}" in err, err
    assert fold_all(out) == before


def fold_all(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != "lock"}


def test_runs_of_before_are_reported(tmp_path):
    code, _, err = ganzfeld("report", *(RUNS / name for name in GO_ON), "--out", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert all(f'id="run-{i}"' in page for i in (1, 2, 3))


def test_every_old_name_is_read_and_none_is_left():
    for name in GO_ON:
        plan = read_plan(files.read_json(RUNS / name / "run.json")["plan"])
        assert not RENAMED.keys() & (plan.settings.keys() | plan.reading.keys()), name
    assert plan.settings["generator_lr"] == 0.01 and plan.settings["critic_lr"] == 0.02
    assert read_plan(files.read_json(RUNS / "codes/run.json")["plan"]).reading == {"exclude_classes": "3,4"}


def test_the_command_of_a_run_of_before_is_told_as_it_is_typed_now(tmp_path):
    page = tmp_path / "page.html"
    for name in GO_ON:
        assert ganzfeld("report", RUNS / name, "--out", page)[0] == 0
        command = re.search(r"ganzfeld train [^<]*", html.unescape(page.read_text()))
        assert command and not re.search(r"(--set (rate|rule|pace|\w+_turns)=|--without)", command[0])
        code, out, err = ganzfeld(*shlex.split(command[0])[1:], "--dry-run")
        assert code == 0 and name != "samples" or "lr" in command[0] and "ring8" in out, err


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("ganzfeld train gan --set rate=.1 --least 3", "ganzfeld train gan --set lr=.1 --min-rating 3"),
        ("ganzfeld train gan --without=3,4 --out=my_run", "ganzfeld train gan --exclude-classes=3,4 --out=my_run"),
        ("ganzfeld train 'gan --set rate=.1", "ganzfeld train 'gan --set rate=.1"),  # no command: a quotation is open
    ],
)
def test_only_names_of_settings_and_options_change_in_a_command(before, now):
    assert rename_command(before) == now


BEFORE = Path(__file__).parent / "data" / "version-0.2" / "samples"  # 24 of 48 steps, made by 0.2.0
AGAIN = ["train", "ns-gan", "--data", "ring8", "--steps", 48, "--seeds", 2, *LEARNT, "--set", "lr_schedule=constant",
         "--log-every", 24, "--judge-every", 24, "--resume"]  # fmt: skip


def test_a_run_of_the_version_before_goes_on_to_the_end_that_it_had_there(tmp_path):
    out = tmp_path / "run"
    shutil.copytree(BEFORE, out)
    code, _, err = ganzfeld(*AGAIN, "--set", "critic_lr=0.5", "--out", out)
    assert code == 2 and "critic_lr was not given, and is 0.5 now" in err, err
    code, _, err = ganzfeld(*AGAIN, "--out", out)
    assert code == 0, err
    assert fold(out) == "c7d58c786c56c1d2d635c68d69bd176b613701b13485b1da12a2cca1c3849245"
    facts = files.read_json(out / "run.json")
    assert facts["format"] == files.FORMAT and facts["identity"] not in facts["formerly"]
