"""Comparisons: what is not finite is counted and the rest summarised, and what a start costs is said."""

import json
import math

import pytest

from ganzfeld.faces import comparison
from ganzfeld.faces.report import read, words
from ganzfeld.judging.judges import summary
from small import ganzfeld, vectors

SETS = ("--set", "width=8", "--set", "depth=1", "--set", "batch_size=16")


def test_one_infinite_member_is_counted_and_the_others_are_summarised():
    found = summary([{"w1": 1.0}, {"w1": math.inf}, {"w1": 3.0}, {"w1": math.nan}])["w1"]
    assert (found["mean"], found["std"], found["not_finite"]) == (2.0, math.sqrt(2), 2)
    assert found["per_member"][1] == math.inf
    assert comparison._format_cell(found) == "2 ± 1.4 (2 of 4)"
    alone = summary([{"w1": 1.0}, {"w1": 3.0}])["w1"]
    assert alone.keys() == {"mean", "std", "per_member"} and comparison._format_cell(alone) == "2 ± 1.4"
    equal = summary([{"w1": 0.1}] * 3)["w1"]  # their mean is not quite .1
    assert comparison._format_cell({**equal, "std": 2.8e-17}) == "0.1 ± 0"
    assert comparison._format_cell({**equal, "std": 2.8e-10}) == "0.1 ± 2.8e-10"
    none = summary([{"w1": math.inf}, {"w1": math.inf}])["w1"]
    assert none["mean"] == math.inf and comparison._format_cell(none) == "none of 2 finite"


def test_the_report_reads_the_finite_members_also_of_an_older_comparison():
    old = read._spread({"mean": None, "std": None, "per_member": [1.0, None, 3.0]})  # inf is null in JSON
    assert (old.mean, old.std, old.partial) == (2.0, math.sqrt(2), True)
    lone = read._spread({"mean": None, "std": None, "per_member": [None, 3.0]})
    assert words.format_spread(lone) == ("3", "")  # one seed has no spread
    assert not read._spread({"mean": 2.0, "std": 1.0, "per_member": [1.0, 3.0]}).partial


def test_a_diverged_member_is_counted_in_table_and_report(tmp_path, monkeypatch):
    """One of two members stops at its last finite state; its number is infinite."""
    train_one = comparison._train_one

    def with_a_lost_member(*task):
        row = train_one(*task)
        lost = {"seed": 0, **row["metrics"]["w1"]}["per_member"][0]
        return {**row, "metrics": summary([{"w1": lost}, {"w1": math.inf}]), "diverged": 1}

    monkeypatch.setattr(comparison, "_train_one", with_a_lost_member)
    words = ("compare", "ns-gan", "--data", vectors(tmp_path), "--seeds", 2, "--steps", 8, *SETS)
    code, shown, _ = ganzfeld(*words, "--out", tmp_path / "c")
    assert code == 0 and "(1 of 2)" in shown and "(k of n): over the k seeds" in shown and "inf" not in shown
    page = (tmp_path / "c/report.html").read_text()
    assert "<small>1 of 2</small>" in page and "1 diverged" in page and "k seeds whose number is finite" in page


@pytest.mark.parametrize(("steps", "lr"), [(9, "1e30"), (1, "1e38")])  # a record is lost first, or weights are
def test_members_that_diverge_at_once_end_no_comparison(tmp_path, steps, lr):
    words = ("compare", "lsgan", "ns-gan", "--data", vectors(tmp_path), "--seeds", 2, "--steps", steps, *SETS)
    code, shown, _ = ganzfeld(*words, "--set", f"lr={lr}", "--out", tmp_path / "c")
    assert code == 0
    rows = json.loads((tmp_path / "c/compare.json").read_text())["rows"]
    assert [row["diverged"] for row in rows] == [2, 2] and "± nan" not in shown


def test_what_a_start_costs_is_told_in_the_table_and_the_report(tmp_path):
    sets = ("--data", "tastes", "--set", "rank=2", "--seeds", 1, "--steps", 2)
    code, shown, _ = ganzfeld("compare", "irgan", "bpr", *sets, "--out", tmp_path / "c")
    told = "irgan started from 120 steps of dns besides, which the others did not get"
    assert code == 0 and told in shown and told in (tmp_path / "c/report.html").read_text()
    irgan, bpr = json.loads((tmp_path / "c/compare.json").read_text())["rows"]
    assert (irgan["start"]["paper"], irgan["start"]["steps"]) == ("dns", 120) and irgan["start"]["seconds"] > 0
    assert "start" not in bpr
    code, shown, _ = ganzfeld("compare", "dns", "bpr", *sets, "--out", tmp_path / "d")
    assert code == 0 and "besides" not in shown + (tmp_path / "d/report.html").read_text()


@pytest.mark.parametrize("papers", ["ns-gan", "ns-gan, gan", ["ns-gan", "gan"]])
def test_papers_in_one_text_are_names_and_not_letters(tmp_path, papers):
    asked = {"seeds": 1, "steps": 8, "settings": {"width": 4, "depth": 1, "batch_size": 8}}
    found = comparison.compare(papers, vectors(tmp_path), tmp_path / "c", **asked)
    assert [row["paper"] for row in found["rows"]] == (["ns-gan"] if papers == "ns-gan" else ["ns-gan", "gan"])


def test_a_batch_that_no_paper_can_play_is_refused_before_the_first_paper(tmp_path):
    code, _, said = ganzfeld(
        "compare", "dcgan", "sngan", "--data", "digits", "--batch-size", 4000, "--out", tmp_path / "c"
    )
    assert code == 2 and "fewer than a batch of 4000" in said and not (tmp_path / "c").exists()


def test_a_paper_that_is_not_named_again_is_told(tmp_path):
    words = ["--data", vectors(tmp_path), "--seeds", 1, "--steps", 8, *SETS, "--out", tmp_path / "both"]
    assert ganzfeld("compare", "ns-gan", "lsgan", *words)[0] == 0
    code, _, err = ganzfeld("compare", "lsgan", "gan", *words, "--resume")
    assert code == 0 and f"ns-gan lies in {tmp_path / 'both'}, and is not in this table" in err
    assert "lsgan lies in" not in err
