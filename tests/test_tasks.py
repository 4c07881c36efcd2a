"""Tasks: none but they and the draws asks what kind of data there is, and a third one needs no line elsewhere."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import ganzfeld as gz
from ganzfeld import data, tasks
from ganzfeld.faces.comparison import compare
from ganzfeld.judging.judges import summary
from ganzfeld.runs import files
from ganzfeld.runs.run import Run
from small import EVERY, ganzfeld, weights

HOME = Path(gz.__file__).parent
KINDS = r"isinstance\([^)]*\b(Data|Interactions|Letor|GeneratorRun|RankerRun|Generate|Infer|Retrieve|Hardest)\b"
FLAGS = r"\.draw\.\w*(discrete|encodes|labelled|anchored|averaged)"


def asks(text):
    """The lines of a text that ask for the kind of data, of a run or of a draw."""
    return [line for line in text.splitlines() if re.search(KINDS, line) or re.search(FLAGS, line)]


def test_nothing_above_the_game_but_the_tasks_asks_for_kinds():
    found = {
        str(path.relative_to(HOME)): asked
        for room in ("runs", "engine", "judging", "faces", "papers")
        for path in (HOME / room).rglob("*.py")
        if (asked := asks(path.read_text()))
    }
    assert not found


def test_the_search_for_kinds_bites():
    assert asks("if isinstance(rows, Data):") and asks("x = game.draw.discrete") and asks("isinstance(a, (str, Letor))")
    assert not asks("if isinstance(constraint, Clip):") and not asks("self.averaged = 1")
    assert asks((HOME / "tasks/retrieval.py").read_text())


# --- a third kind of data, of coins that are thrown again and again ---

COINS = SimpleNamespace(
    name="coins", kind="coins", form="vectors", shape=(3,), choices={}, fingerprint="1", rows=64,
    sizes=lambda: {"train": 64, "valid": 0, "test": 0},
    take=lambda rows: torch.stack([rows % 2, rows % 4 // 2, torch.ones_like(rows)], -1).float(),
)  # fmt: skip


class CoinRun(Run):
    def judgement(self, data=None, metrics=None, *, seed=0, baselines=False):
        heads = [float(len(state["params"]["critic"])) for state in self.states]
        return {"metrics": summary([{"heads": n} for n in heads]), "provenance": {"data": self.source(data).name}}


class Flips(gz.Task):
    name, kinds, noun = "flips", ("coins",), "throws"

    def open_run(self, directory, facts, game, states):
        return CoinRun(directory, facts, game, states)


@pytest.fixture
def flips(monkeypatch):
    monkeypatch.setattr(tasks, "TASKS", (*tasks.TASKS, Flips()))
    reader = data.Reader(lambda name: name == "coins", lambda name, seed: COINS)
    monkeypatch.setattr(data, "READERS", (*data.READERS, reader))


SMALL = {"width": 8, "depth": 1, "batch_size": 16, "lr_schedule": "constant"}


def test_a_third_task_trains_resumes_is_judged_compared_and_reported(flips, tmp_path):
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    train = ["train", "ns-gan", "--data", "coins", "--out", tmp_path / "run", *sets]
    code, _, err = ganzfeld(*train, "--steps", 16, "--seeds", 2)
    assert code == 0 and "try: ganzfeld judge" in err, err
    assert ganzfeld(*train, "--steps", 32, "--seeds", 2, "--resume")[0] == 0
    gz.train("ns-gan", "coins", out=tmp_path / "whole", steps=32, seeds=2, settings=SMALL, **EVERY)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert files.read_json(tmp_path / "run/run.json")["task"] == "flips"
    assert gz.load(tmp_path / "run").judge()["heads"]["per_member"] == [4.0, 4.0]
    code, out, err = ganzfeld("judge", tmp_path / "run", "--json")
    assert code == 0 and '"heads"' in out, err
    assert "64 train" in ganzfeld(*train, "--steps", 32, "--seeds", 2, "--resume", "--dry-run")[1]
    found = compare(["ns-gan", "gan"], "coins", tmp_path / "both", seeds=2, steps=8, settings=SMALL)
    assert [row["metrics"]["heads"]["mean"] for row in found["rows"]] == [4.0, 4.0]
    code, _, err = ganzfeld("report", tmp_path / "both", tmp_path / "run", "--out", tmp_path / "page.html")
    assert code == 0 and "coins" in (tmp_path / "page.html").read_text(), err


def test_a_third_task_says_what_it_cannot_do(flips, tmp_path):
    for words, match in (
        (["train", "irgan", "--data", "coins"], "irgan is a paper of rankings, and coins holds throws"),
        (["train", "ns-gan", "--data", "coins", "--labels"], "--labels is for samples with classes; throws have none"),
        (["train", "ns-gan", "--data", "coins", "--size", "8"], "--size is for pictures"),
        (["compare", "gan", "--data", "coins", "--ablate"], "--ablate takes one paper"),
    ):
        code, _, err = ganzfeld(*words, "--out", tmp_path / "run")
        assert code == 2 and match in err, err
    gz.train("ns-gan", "coins", out=tmp_path / "run", steps=8, settings=SMALL)
    code, _, err = ganzfeld("sample", tmp_path / "run", "--out", tmp_path / "x.npy")
    assert code == 2 and "which cannot sample; it can judge, report" in err
