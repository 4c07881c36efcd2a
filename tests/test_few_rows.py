"""Small parts: what can be judged is settled before the first step, and a number from few rows says so."""

import json

import numpy as np
import pytest
import torch

import ganzfeld as gz
from ganzfeld.core.randomness import generator
from ganzfeld.judging import inference, judges
from small import ganzfeld

SETS = ("--set", "width=4", "--set", "batch_size=4", "--steps", 8, "--judge-every", 8)
FEATURES = {"kd", "precision", "recall", "density", "coverage"}


def rows(folder, n, width=3):
    path = folder / f"{n}.npy"
    np.save(path, np.random.default_rng(0).normal(size=(n, width)))
    return path


def pictures(folder, n):
    path = folder / f"{n}.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (n, 8, 8), dtype=np.uint8))
    return path


def last_line(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("paper", ["ns-gan", "ali"])
def test_five_rows_train_with_a_notice_and_are_not_judged(tmp_path, paper):
    words = ("train", paper, "--data", rows(tmp_path, 5), "--out", tmp_path / "run", *SETS)
    code, said, _ = ganzfeld(*words, "--dry-run")
    assert code == 0 and "samples are not judged: 5.npy has 1 test and 1 validation rows" in said
    code, _, told = ganzfeld(*words)
    assert code == 0 and told.index("are not judged") < told.index("step 8/8")
    line = last_line(tmp_path / "run")
    assert line["metrics"] == {} and "no metric takes fewer than 2" in line["provenance"]["unjudged"]
    assert gz.load(tmp_path / "run").judge() == {}
    code, shown, _ = ganzfeld("judge", tmp_path / "run")
    assert code == 0 and "are not judged" in shown
    code, _, said = ganzfeld("judge", tmp_path / "run", "--metrics", "fd")
    assert code == 2 and "fd takes 2 or more samples, validation rows and test rows; there are 2500, 1 and 1" in said
    assert ganzfeld("report", tmp_path / "run", "--out", tmp_path / "r.html")[0] == 0


def test_data_too_small_to_be_judged_are_compared_all_the_same(tmp_path):
    words = ("compare", "ns-gan", "--data", rows(tmp_path, 5), "--out", tmp_path / "c", "--seeds", 2, *SETS[:6])
    code, shown, told = ganzfeld(*words)
    assert code == 0 and "are not judged" in shown and told.index("are not judged") < told.index("2 seeds, 8 steps")


def test_numbers_of_ten_pictures_are_marked_wherever_they_are_shown(tmp_path):
    sets = (*SETS, "--set", "latent=4")
    words = ("train", "dcgan", "--data", pictures(tmp_path, 100), "--out", tmp_path / "run", *sets)
    code, said, _ = ganzfeld(*words, "--dry-run")
    assert code == 0 and "10 rows on either side say little; enough are 100 for kd, precision" in said
    code, _, told = ganzfeld(*words)
    assert code == 0 and told.index("say little") < told.index("step 8/8")
    few = last_line(tmp_path / "run")["provenance"]["few"]
    assert (few["rows"], few["of"]) == (10, "rows on either side") and few["wanted"] == {
        **dict.fromkeys(FEATURES | {"critic_w1"}, 100),
        "fd": 129,
    }
    shown = ganzfeld("judge", tmp_path / "run")[1]
    assert all(f"\n{name}*" in shown for name in (*FEATURES, "fd")) and "129 for fd" in shown
    assert ganzfeld("report", tmp_path / "run", "--out", tmp_path / "r.html")[0] == 0
    page = (tmp_path / "r.html").read_text()
    assert "Fréchet distance*" in page and "* 10 rows on either side say little: enough are 100 for Kernel" in page


def test_numbers_of_enough_rows_bear_no_mark(tmp_path):
    data = gz.data.digits()
    judged = judges.judge([data.restore("train", 300)], data)
    assert "few" not in judged["provenance"]  # 180 rows of 64 numbers
    few = judges.judge([data.restore("train", 99)], data)["provenance"]["few"]
    assert few == {"rows": 99, "of": "rows on either side", "wanted": {"fd": 100, "w1": 100, "sliced_w1": 100}}
    x = torch.randn(200, 250)
    wide = gz.data.Data("wide", x, x, x, gz.data.Units(torch.zeros(250), torch.ones(250)))
    assert judges.judge([torch.randn(200, 250)], wide)["provenance"]["few"]["wanted"] == {"fd": 251}


@pytest.mark.parametrize("n", range(1, 8))
def test_whatever_is_named_for_a_part_can_be_computed_of_it(n):
    """For every size of the held-out parts, and one row less would be refused."""
    x = torch.rand(60, 1, 8, 8, generator=generator("small parts")) * 2 - 1
    data = gz.data.Data("noise", x[:40], x[40 : 40 + n], x[50 : 50 + n], gz.data.PICTURE, "pictures")
    names = judges.metrics_for(data)
    assert tuple(judges.judge([x[:40]], data)["metrics"]) == names
    assert (n > 1) == bool(names) and (n > 5) == ("coverage" in names)
    for judge in judges.JUDGES[:6]:
        if n == judge.least - 1:
            with pytest.raises(ValueError, match=f"takes {judge.least} or more"):
                judges.judge([x[:40]], data, judge.names)
        elif n == judge.least:
            assert set(judges.judge([x[:40]], data, judge.names)["metrics"]) == set(judge.names)


def test_encoders_are_asked_for_what_their_rows_can_tell():
    digits = gz.data.digits()
    assert "c2st" in inference.metrics_for(digits) and "knn_codes" in inference.metrics_for(digits)
    three = digits.replace_parts(test=digits.test[:3])
    assert inference.metrics_for(three) == ("cycle", "cycle_z")  # the classes of three rows are not known
    one_class = digits.exclude([str(i) for i in range(1, 10)])
    assert "probe_codes" not in inference.metrics_for(one_class) and not judges.extractors.has_classes(one_class)


def test_an_unreadable_file_of_weights_is_refused_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZFELD_INCEPTION", str(tmp_path / "nowhere.safetensors"))
    words = ("train", "dcgan", "--data", "digits", "--out", tmp_path / "run", *SETS, "--set", "latent=4")
    for more in ((), ("--dry-run",)):
        code, _, said = ganzfeld(*words, *more)
        assert code == 2 and "no weights of Inception-v3" in said and not (tmp_path / "run").exists()


def test_rankings_of_few_queries_are_marked_too(tmp_path):
    pairs = [(user, item) for user in range(12) for item in range(20) if (7 * user + 3 * item) % 5 < 2]
    (tmp_path / "x.tsv").write_text("".join(f"{user}\t{item}\n" for user, item in pairs))
    assert ganzfeld("train", "bpr", "--data", tmp_path / "x.tsv", "--out", tmp_path / "run", "--steps", 2)[0] == 0
    found = gz.load(tmp_path / "run").judgement()["provenance"]
    assert found["few"]["rows"] == found["queries"] < 100 and found["few"]["of"] == "queries"
    shown = ganzfeld("judge", tmp_path / "run")[1]
    assert "ndcg@5*" in shown and f"* {found['queries']} queries say little; enough are 100" in shown
    assert ganzfeld("report", tmp_path / "run", "--out", tmp_path / "r.html")[0] == 0
    assert f"* {found['queries']} queries say little: enough are 100 for" in (tmp_path / "r.html").read_text()


def test_a_comparison_of_rankers_counts_the_queries_of_the_test_part(tmp_path):
    """Its numbers are of the test part, and so is what they rest on: not of the validation part, last judged."""
    parts = {"train": range(12), "valid": range(4), "test": range(7)}  # who is asked about
    for start, (part, users) in enumerate(parts.items()):
        lines = "".join(f"u{user}\ti{(user + 3 * start + i) % 12}\n" for user in users for i in range(3))
        (tmp_path / f"x-{part}.tsv").write_text(lines)
    words = ("compare", "bpr", "dns", "--data", tmp_path / "x-train.tsv", "--steps", 2, "--out", tmp_path / "c")
    assert ganzfeld(*words)[0] == 0
    page = (tmp_path / "c/report.html").read_text()
    assert "* 7 queries say little" in page and "for 7 users" in page and "* 4 queries" not in page
