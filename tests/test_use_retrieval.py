"""Retrieval from the command line: rankers are read, trained, selected, judged and used as files and numbers say."""

import csv
import io
import json
import math
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import ganzfeld as gz
from ganzfeld import data
from ganzfeld.data import Data, Interactions, Letor
from ganzfeld.data.rankings.tastes import truth
from ganzfeld.faces import comparison
from ganzfeld.judging.baselines import closed_form
from ganzfeld.metrics import ranking
from ganzfeld.papers.irgan import ABLATIONS
from ganzfeld.runs import checkpoints, files
from ganzfeld.runs.training import Loop
from small import environment, ganzfeld, vectors
from small import train as small

MQ2008 = Path(__file__).parents[2] / "shared/data/mq2008"
NAMES = [f"{name}@{k}" for name in ("p", "ndcg") for k in (1, 3, 5, 10)] + ["map", "mrr"]
EVERY = {"log_every": 4, "judge_every": 4, "checkpoint_every": 4}
WILD = {"rank": 4, "lr": 0.05, "critic_lr": 0.4, "critic_decay": 0.0, "start_steps": 20, "temperature": 0.5}
STILL = {"rank": 3, "lr": 1e-12, "critic_lr": 1e-12, "start_steps": 8}  # weights stay what they start as


class Crash(BaseException):
    pass


def done(*words):
    """Standard output of a command that must succeed."""
    code, out, err = ganzfeld(*words)
    assert code == 0, err
    return out


def refused(*words):
    """The one line of a command that must not."""
    code, out, err = ganzfeld(*words)
    assert (code, out) == (2, ""), (words, code, out, err)
    assert err.count("\n") == 1 and err.startswith("ganzfeld: "), err
    return err


def sets(**settings):
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def every(steps):
    return [f"--{name}-every={steps}" for name in ("log", "judge", "checkpoint")]


# --- oracles ---


def worth(scores, gains, candidates, empty):
    """The metrics of one query after another, by their definitions: gains 2^g - 1, discounts 1 / log2(1 + rank)."""
    found = []
    for s, g, c in zip(np.asarray(scores, float), np.asarray(gains, float), np.asarray(candidates), strict=True):
        s, g = s[c], g[c]
        if not (g > 0).any():
            if empty == "zero":
                found.append(dict.fromkeys(NAMES, 0.0))
            continue
        listed, best = g[np.argsort(-s, kind="stable")], -np.sort(-g)
        ranks, hits = np.arange(1, len(g) + 1), listed > 0
        dcg, ideal = (np.cumsum((2**x - 1) / np.log2(1 + ranks)) for x in (listed, best))
        line = {f"p@{k}": hits[:k].sum() / k for k in (1, 3, 5, 10)}
        line |= {f"ndcg@{k}": dcg[:k][-1] / ideal[:k][-1] for k in (1, 3, 5, 10)}
        line["map"] = np.mean([hits[:r].sum() / r for r in ranks[hits]])
        line["mrr"] = 1 / ranks[hits][0]
        found.append(line)
    return {name: float(np.mean([line[name] for line in found])) for name in NAMES}


def worth_of_ties(scores, gains, candidates, empty):
    """Of lists with equal scores, which `worth` would take in the order of their columns."""
    found = ranking.judge(scores, gains, candidates, empty=empty)
    return {name: found[name] for name in NAMES}


def table(weights, player, member=0):
    """All scores of factors, from the file of their weights."""
    user, item, bias = (weights[f"{member}/params/{player}/{key}"].astype(float) for key in ("user", "item", "bias"))
    return user @ item.T + bias


def state(folder):
    return load_file(folder / "state.safetensors")


def last(run):
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def written(run):
    """The bytes of all that a run writes for others to read, but clocks and the command."""
    kept = ("state.safetensors", "ranking.json", "ids.json", "interactions.safetensors")
    out = {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.name in kept}
    for path in sorted(run.rglob("meta.json")):  # its digests are of times as well
        meta = json.loads(path.read_text())
        out[str(path.relative_to(run))] = {key: meta[key] for key in meta if key not in ("history", "digest")}
    timed = ("seconds", "samples_per_second", "warnings")
    for name in ("log.jsonl", "metrics.jsonl"):
        out[name] = [{k: v for k, v in line.items() if k not in timed} for line in files.read_lines(run / name)]
    return out


# --- worlds ---


def shop(folder):
    """Pairs of users and items with a taste in common, as three files of words: {part: pairs}."""
    rng = np.random.default_rng(3)
    users, items = [f"u{i:02d}" for i in range(30)], [f"i{i:02d}" for i in range(26)]
    taste = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 26)) * 2 + rng.gumbel(size=(30, 26))
    parts = {"train": [], "valid": [], "test": []}
    for user, line in zip(users, np.argsort(-taste, 1), strict=True):
        liked = [items[i] for i in rng.permutation(line[:11])]
        parts["train"] += [(user, item) for item in liked[:6]]
        parts["valid"] += [(user, item) for item in liked[6:8]]
        parts["test"] += [(user, item) for item in liked[8:]]
    parts["test"] = [(user, item) for user, item in parts["test"] if user not in ("u03", "u29")]  # not asked about
    folder.mkdir(exist_ok=True)
    for part, pairs in parts.items():
        (folder / f"shop-{part}.tsv").write_text("".join(f"{user}\t{item}\n" for user, item in pairs))
    return parts


def web(folder, queries=(24, 8, 10)):
    """Documents whose grade is linear in their features, as three files of svmlight: {part: [(features, labels)]}.
    Some queries have no relevant document, and every list is of another length."""
    rng, parts, number = np.random.default_rng(5), {}, 0
    folder.mkdir(exist_ok=True)
    for part, n in zip(("train", "vali", "test"), queries, strict=True):
        parts[part], text = [], ""
        for q in range(n):
            x = rng.normal(size=(4 + q % 4, 3)).round(3)
            grade = np.clip(np.floor(x @ [1.5, -1.0, 0.0]), 0, 2).astype(int) * (q % 4 != 3)
            parts[part].append((x, grade))
            for row, label in zip(x, grade, strict=True):
                text += f"{label} qid:{number} " + " ".join(f"{i}:{v}" for i, v in enumerate(row, 1)) + "\n"
            number += 1
        (folder / f"web-{part}.txt").write_text(text)
    return parts


def padded(lists):
    """[(features, labels)] as gains and candidates [Q, D]."""
    width = max(len(labels) for _, labels in lists)
    gains, candidates = np.zeros((len(lists), width)), np.zeros((len(lists), width), bool)
    for q, (_, labels) in enumerate(lists):
        gains[q, : len(labels)], candidates[q, : len(labels)] = labels, True
    return gains, candidates


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of tastes, of the files of a shop and of a web, by the command line; and one of samples."""
    folder = tmp_path_factory.mktemp("retrieval")
    shop(folder / "shop"), web(folder / "web")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "CHECKPOINTS_KEPT", 99)
        done("train", "irgan", "--data", "tastes", "--out", folder / "tastes", "--steps", 32, "--seeds", 2, *every(4),
             *sets(**WILD))  # fmt: skip
    for paper in ("irgan", "dns"):
        more = {"start_steps": 12, "critic_lr": 0.05} if paper == "irgan" else {}
        done("train", paper, "--data", folder / "shop/shop-train.tsv", "--out", folder / f"shop-{paper}", "--steps", 12,
             "--seeds", 2, *every(2), *sets(rank=3, lr=0.05, **more))  # fmt: skip
    for paper in ("irgan", "irgan-pairwise", "dns"):
        done("train", paper, "--data", folder / "web/web-train.txt", "--out", folder / f"web-{paper}", "--steps", 12,
             *every(4), *sets(width=5, lr=0.05))  # fmt: skip
    small(folder / "samples", vectors(folder), steps=8)
    return folder


# --- what lies at a path ---

PAIRS = [(user, item) for user in range(1, 9) for item in range(10, 20)]
RATED = "".join(f"{u}\t{i}\t{1 + (u + i) % 5}\t8\n" for u, i in PAIRS)
SVM = "".join(f"{(q + d) % 3} qid:{q} 1:{q}.5 2:{d}\n" for q in range(10) for d in range(4))
LISTS = "".join(f"{u} " + " ".join(str(i) for i in range(10, 16 + u % 3)) + "\n" for u in range(1, 9))


def laid(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_data_are_recognised_by_what_lies_there(tmp_path):
    one, two = RATED.splitlines(keepends=True)[::2], RATED.splitlines(keepends=True)[1::2]
    laid(tmp_path / "a", pairs_tsv=RATED, lists_txt=LISTS, rank_txt=SVM, rank_dat="# a comment\n" + SVM)
    laid(tmp_path / "a", pairs_csv="rating,item,user\n" + "".join(f"{1 + (u + i) % 5},{i},{u}\n" for u, i in PAIRS))
    laid(tmp_path / "movielens", u_data=RATED, train_txt=SVM)  # u.data is what is meant, whatever lies beside
    laid(tmp_path / "gowalla", train_txt=LISTS, test_txt="1 90 91\n2 92\n3 10 93 94 95 96\n")
    laid(tmp_path / "based", u1_base="".join(one), u1_test="".join(two))
    slices = ["".join(f"{d % 2} qid:{s}{q} 1:{q}.5 2:{d}\n" for q in range(2) for d in range(4)) for s in range(5)]
    laid(tmp_path / "sliced", **{f"S{i}_txt": text for i, text in enumerate(slices, 1)})
    laid(tmp_path / "parted", train_txt=slices[0], vali_txt=slices[1], test_txt=slices[2])
    bare = "".join(line.replace(f"qid:{line.split()[1][4:]} ", "") for line in SVM.splitlines(keepends=True))
    laid(tmp_path / "sized", rank_txt=bare)
    (tmp_path / "sized/rank.txt.query").write_text("4\n" * 10)
    kinds = {
        "a/pairs.tsv": "pairs", "a/pairs.csv": "pairs", "a/lists.txt": "lists", "movielens": "pairs",
        "movielens/u.data": "pairs", "based": "pairs", "based/u1.base": "pairs", "gowalla": "lists",
        "a/rank.txt": "letor", "a/rank.dat": "letor", "sliced": "letor", "parted": "letor", "sized/rank.txt": "letor",
    }  # fmt: skip
    for name, kind in kinds.items():
        held = data.load(str(tmp_path / name))
        assert isinstance(held, Letor if kind == "letor" else Interactions), name
        assert kind == "letor" or held.choices["form"] == kind
    assert isinstance(data.load("tastes", seed=3), Interactions)
    # and they hold what they say
    for name in ("a/pairs.tsv", "a/pairs.csv", "movielens"):
        held = data.load(str(tmp_path / name))
        liked = torch.cat([held.train, held.valid, held.test]).tolist()
        assert {(int(held.users[u]), int(held.items[i])) for u, i in liked} == {
            (u, i) for u, i in PAIRS if (u + i) % 5 >= 3
        }
    assert data.load(str(tmp_path / "based")).choices["test"] == "u1.test"
    assert len(data.load(str(tmp_path / "a/pairs.tsv"), min_rating=1).train) == 64
    assert data.load(str(tmp_path / "sliced"), fold=2).test.queries == ("00", "01")
    assert data.load(str(tmp_path / "sliced")).test.queries == ("40", "41")
    assert data.load(str(tmp_path / "parted")).sizes() == {"train": 2, "valid": 2, "test": 2}
    assert data.load(str(tmp_path / "sized/rank.txt")).sizes() == {"train": 8, "valid": 1, "test": 1}


def test_judgements_of_trec_replace_labels(tmp_path):
    text = "".join(f"0 qid:{q} 1:{q}.5 2:{d} # docid = D{q}{d}\n" for q in range(10) for d in range(4))
    (tmp_path / "rank.txt").write_text(text)
    (tmp_path / "said").write_text("".join(f"{q} 0 D{q}{d} {d}\n" for q in range(10) for d in range(4)))
    held = data.load(str(tmp_path / "rank.txt"), qrels=str(tmp_path / "said"))
    assert held.train.labels.tolist() == [0, 1, 2, 3] * 8
    assert not data.load(str(tmp_path / "rank.txt")).train.labels.any()


def test_choices_of_another_kind_are_refused(tmp_path):
    laid(tmp_path, pairs_tsv=RATED, rank_txt=SVM)
    np.save(tmp_path / "x.npy", np.zeros((40, 2), np.float32))
    for name, key, value in (
        ("pairs.tsv", "fold", 1), ("pairs.tsv", "qrels", "q"), ("rank.txt", "min_rating", 3), ("pairs.tsv", "size", 8),
        ("rank.txt", "crop", "pad"), ("x.npy", "min_rating", 3), ("x.npy", "fold", 1), ("x.npy", "qrels", "q"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^--{key.replace('_', '-')} is") as caught:
            data.load(str(tmp_path / name), **{key: value})
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="^--min-rating is"):
        data.load("ring8", min_rating=3)
    with pytest.raises(ValueError, match="did you mean 'min_rating'"):
        data.load("tastes", min_ratin=3)


@pytest.mark.parametrize("key", ["min_rating", "fold", "qrels"])
def test_tastes_have_no_choices(key):
    with pytest.raises(ValueError, match=f"--{key.replace('_', '-')}"):
        data.load("tastes", **{key: 3})


def test_other_kinds_are_not_taken_for_texts(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(40, 2)).astype(np.float32))
    assert data.load(str(tmp_path / "x.npy")).shape == (2,)
    for i in range(12):
        path = tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    for name in ("test.png", "train.png", "a-train.jpg", "a-test.jpg"):  # named like parts, and yet pictures
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "pictures" / name)
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "pictures")
    for name in ("pictures", "zipped.zip"):
        held = data.load(str(tmp_path / name), size=8)
        assert isinstance(held, Data) and held.kind == "pictures"
    assert isinstance(data.load("digits"), Data)
    with pytest.raises(ValueError, match="did you mean 'tastes'"):
        data.load("tates")


# --- what is refused ---


def test_papers_and_data_of_other_kinds_are_refused_with_the_way_out(runs, tmp_path):
    out = ["--out", tmp_path / "x"]
    for words, hints in (
        (["train", "ns-gan", "--data", "tastes"], ("a paper of samples", "irgan, irgan-pairwise, dns, bpr")),
        (["train", "wgan-gp", "--data", runs / "web/web-train.txt"], ("holds rankings", "irgan")),
        (["train", "irgan", "--data", "ring8"], ("holds samples", "user item", "LETOR", "tastes")),
        (["train", "bpr", "--data", runs / "x.npy"], ("bpr is a paper of rankings", "tastes")),
        (["train", "bpr", "--data", runs / "web/web-train.txt"], ("users with items", "irgan-pairwise, dns")),
        (["train", "irgan", "--data", "tastes", "--exclude-classes", "3"], ("--exclude-classes is for samples",)),
        (["train", "irgan", "--data", "tastes", "--labels"], ("",)),
        (["train", "irgan", "--data", "tastes", "--engine", "compiled"], ("played eagerly",)),
        (["train", "irgan", "--data", "tastes", "--network", "mlp"], ("factors, item-item",)),
        (["train", "irgan", "--data", "tastes", "--network", "perceptron"], ("factors or item-item",)),
        (["train", "irgan", "--data", runs / "web/web-train.txt", "--network", "factors"], ("perceptron",)),
        (["train", "irgan", "--data", "tastes", "--constraint", "r1"], ("use Decay",)),
        (["train", "irgan", "--data", "tastes", "--set", "reward=loud"], ("'softplus'",)),
        (["train", "irgan", "--data", runs / "shop/shop-train.tsv", "--valid", tmp_path / "no"], ("no such file",)),
        (["train", "irgan", "--data", runs / "shop/shop-train.tsv", "--fold", 2], ("--fold is for LETOR lines",)),
        (["train", "irgan", "--data", runs / "web/web-train.txt", "--min-rating", 2], ("is for interactions",)),
        (["compare", "irgan", "ns-gan", "--data", "tastes"], ("a paper of samples", "irgan")),
        (["compare", "irgan", "--data", "ring8"], ("holds samples", "tastes")),
    ):
        err = refused(*words, *out)
        assert all(hint in err for hint in hints), err
        assert not (tmp_path / "x/run.json").exists()
    dry = ["--data", "tastes", "--out", tmp_path / "dry", "--dry-run"]
    assert "ns-gan is a paper of samples" in refused("train", "ns-gan", *dry)
    assert "2000 train, 600 validation, 1000 test" in done("train", "irgan", *dry)
    assert not (tmp_path / "dry").exists()


def test_errors_of_use_are_one_line(runs, tmp_path):
    run, web_run, x = runs / "tastes", runs / "web-irgan", tmp_path / "x"
    for words, match in (
        (["sample", run, "--out", f"{x}.npy"], "which cannot sample; it can judge, report, recommend"),
        (["export", run, "--out", f"{x}.onnx"], "which cannot export"),
        (["encode", run, "--out", f"{x}.npy"], "which cannot encode"),
        (["recommend", runs / "samples"], "which cannot recommend; it can judge, report, sample"),
        (["recommend", tmp_path], "holds no run"),
        (
            ["recommend", web_run, "--users", "999"],
            "no query '999' among the 10 of this run in its test part: 32, 33, 34, ...",
        ),
        (
            ["recommend", web_run, "--users", "3,0"],
            "'3', nor 1 more among the 10 of this run in its test part: 32, 33, 34, ...; 3 is in train: --part train\n",
        ),
        (["recommend", web_run, "--part", "all"], "--part is train, valid or test, not 'all'"),
        (["recommend", run, "--part", "valid"], "--part is for queries of LETOR lines"),
        (["recommend", run, "--users", "999"], "there is no user '999' among the 200"),
        (["recommend", run, "--users", "3,nobody,0x"], "'nobody', nor 1 more"),
        (["recommend", run, "--users", ","], "names no user"),
        (["recommend", run, "--k", 0], "at least one item, not 0"),
        (["recommend", run, "--k", -3], "at least one item, not -3"),
        (["recommend", run, "--ranker", "generator"], "this run has policy and critic"),
        (["recommend", runs / "shop-dns", "--ranker", "policy"], "this run has critic"),
        (["recommend", run, "--member", 2], "there is no member 2"),
        (["recommend", run, "--member", -1], "there is no member -1"),
        (["recommend", run, "--out", f"{x}.txt"], "must end in .trec, .csv or .jsonl"),
        (["recommend", run, "--out", x], "must end in .trec, .csv or .jsonl"),
        (["judge", run, "--metrics", "ndcg"], "'ndcg@"),
        (["judge", run, "--member", 5], "there is no member 5"),
        (["judge", run, "--data", "ring8"], "holds samples; this run ranks"),
        (["judge", run, "--data", runs / "shop/shop-train.tsv"], "30 users and 26 items, the run knows 200 users"),
        (["judge", run, "--data", runs / "web/web-train.txt"], "holds queries of documents with features, and"),
        (["judge", web_run, "--data", "tastes"], "holds users with items, and the run was trained on"),
        (["judge", runs / "samples", "--data", "tastes"], "tastes"),
        (["compare", "irgan", "dns", "--data", "tastes", "--ablate", "--out", x], "takes one paper"),
        (["compare", "all", "--data", "tastes", "--ablate", "--out", x], "takes one paper"),
        (["compare", "dns", "--data", "tastes", "--ablate", "--out", x], "takes one paper, irgan"),
        (["compare", "ns-gan", "--data", "ring8", "--ablate", "--out", x], "takes one paper, irgan"),
    ):
        assert match in refused(*words)
    assert not list(tmp_path.iterdir())


def test_samples_in_a_file_are_not_judged_against_rankings(runs):
    assert "tastes" in refused("judge", runs / "x.npy", "--data", "tastes")


def test_other_users_and_items_of_the_same_number_are_no_data_of_the_run(runs, tmp_path):
    """Who has the numbers of somebody else would be judged by the taste of somebody else."""
    for part in ("train", "valid", "test"):
        text = (runs / f"shop/shop-{part}.tsv").read_text()
        (tmp_path / f"shop-{part}.tsv").write_text(text)
        (tmp_path / f"else-{part}.tsv").write_text(text.replace("\ti", "\tj"))
    done("judge", runs / "shop-dns", "--data", tmp_path / "shop-train.tsv")
    refused("judge", runs / "shop-dns", "--data", tmp_path / "else-train.tsv")


def test_what_a_run_was_trained_on_is_no_hit_on_other_data(runs, tmp_path):
    """The parts change places: what was learnt is the test. It is left out and counted."""
    run, shown = runs / "shop-dns", {p: asked(runs / "shop", (p,)) for p in ("train", "valid", "test")}
    mixed = sorted(shown["train"])[::3]
    other = {"train": sorted(shown["valid"]), "test": [*mixed, *sorted(shown["test"])]}
    for part, pairs in other.items():
        (tmp_path / f"y-{part}.tsv").write_text("".join(f"{user}\t{item}\n" for user, item in pairs))
    more = ["--data", tmp_path / "y-train.tsv"]
    found, own = (
        json.loads(done("judge", run, *words, "--json")) for words in (more, ["--data", runs / "shop/shop-train.tsv"])
    )
    assert "taught" not in own["provenance"] and own["metrics"] == json.loads(done("judge", run, "--json"))["metrics"]
    counts = found["provenance"]["taught"]
    assert counts == {"pairs": len(shown["train"] | shown["valid"]), "held_out": len(mixed)}
    assert found["provenance"]["held_out"] == len(shown["test"])  # what is left is what the run never saw
    assert f"{len(mixed)} of them in the test part here" in " ".join(done("judge", run, *more).split())
    held = data.load(str(tmp_path / "y-train.tsv"))
    opened, gains = gz.load(run), held.matrix("test") & ~gz.load(run).history
    free = ~(held.matrix("train") | held.matrix("valid") | opened.history)
    expected = np.mean([worth(opened.scores(member=i), gains, free, "excluded")["map"] for i in range(2)])
    assert found["metrics"]["map"]["mean"] == pytest.approx(expected)
    for part, pairs in (("train", shown["valid"] | shown["test"]), ("test", mixed)):
        (tmp_path / f"y-{part}.tsv").write_text("".join(f"{user}\t{item}\n" for user, item in sorted(pairs)))
    assert "trained on every pair of the test part of y-train.tsv" in refused("judge", run, *more)


# --- judging ---


def asked(folder, parts=("train", "valid")):
    return {tuple(line.split("\t")) for p in parts for line in (folder / f"shop-{p}.tsv").read_text().splitlines()}


def trec(run, out, *more):
    """The whole lists of a run as ir-measures reads them."""
    import ir_measures as ir

    done("recommend", run, "--k", 1_000, "--out", out, *more)
    return list(ir.read_trec_run(str(out)))


def measured(judged, lists):
    """The metrics by ir-measures: judged is relevant pairs."""
    import ir_measures as ir

    names = {**{f"p@{k}": ir.P @ k for k in (1, 3, 5, 10)}, **{f"ndcg@{k}": ir.nDCG @ k for k in (1, 3, 5, 10)},
             "map": ir.AP, "mrr": ir.RR}  # fmt: skip
    found = ir.calc_aggregate(list(names.values()), [ir.Qrel(u, i, 1) for u, i in judged], lists)
    return {name: found[measure] for name, measure in names.items()}


@pytest.mark.parametrize("name", ["tastes", "shop-irgan", "shop-dns"])
def test_judging_equals_trec_eval_on_the_lists(runs, tmp_path, name):
    run = runs / name
    told = json.loads(done("judge", run, "--json"))
    assert told.keys() == {"metrics", "provenance"}
    one = json.loads(done("judge", run, "--json", "--member", 1))["metrics"]["map"]
    second = told["metrics"]["map"]["per_member"][1]
    assert one == {"mean": second, "std": 0, "per_member": [second]}
    players = ["critic"] if name == "shop-dns" else ["policy", "critic"]
    prefixes = ["", "critic."][: len(players)]
    rankers = ["", "final.", "start.", "critic.", "final.critic."][: 3 if len(players) == 1 else 5]
    assert list(told["metrics"]) == [f"{ranker}{name}" for ranker in rankers for name in NAMES]
    for value in told["metrics"].values():
        assert value.keys() == {"mean", "std", "per_member"} and len(value["per_member"]) == 2
        assert value["mean"] == pytest.approx(np.mean(value["per_member"]), abs=1e-12)
        assert value["std"] == pytest.approx(np.std(value["per_member"], ddof=1), abs=1e-12)
    if name == "tastes":
        held = data.load("tastes")
        hits = {(str(u), str(i)) for u, i in held.test.tolist()}
        seen = {(str(u), str(i)) for u, i in torch.cat([held.train, held.valid]).tolist()}
    else:
        hits, seen = asked(runs / "shop", ("test",)), asked(runs / "shop")
    assert told["provenance"]["queries"] == len({u for u, _ in hits}) < 1 + len({u for u, _ in seen})
    assert told["provenance"]["part"] == "test" and told["provenance"]["empty"] == "excluded"
    for prefix, player in zip(prefixes, players, strict=True):
        for member in (0, 1):
            lists = trec(run, tmp_path / "x.trec", "--ranker", player, "--member", member)
            for measure, value in measured(hits, lists).items():
                assert told["metrics"][prefix + measure]["per_member"][member] == pytest.approx(value, abs=1e-6)
    # what the user has of both parts is no candidate: with it among them the numbers are others
    assert not {(doc.query_id, doc.doc_id) for doc in lists} & seen
    whole = trec(run, tmp_path / "x.trec", "--ranker", player, "--member", 1, "--include-seen")
    assert {(doc.query_id, doc.doc_id) for doc in whole} - {(doc.query_id, doc.doc_id) for doc in lists} == seen
    learnt = {pair for pair in seen if name != "tastes" and pair in asked(runs / "shop", ("train",))}
    if learnt:
        partly = [doc for doc in whole if (doc.query_id, doc.doc_id) not in learnt]
        assert abs(measured(hits, partly)["map"] - told["metrics"][prefixes[-1] + "map"]["per_member"][1]) > 1e-3


def test_final_and_selected_are_both_judged(runs):
    """Each from the file of its weights."""
    run, held = runs / "tastes", data.load("tastes")
    found = json.loads(done("judge", run, "--json"))["metrics"]
    free = ~(held.matrix("train") | held.matrix("valid"))
    for prefix, folder in (("", run / "selected"), ("final.", last(run))):
        for dot, player in (("", "policy"), ("critic.", "critic")):
            for member in (0, 1):
                truth = worth(table(state(folder), player, member), held.matrix("test"), free, "excluded")
                got = {name: found[f"{prefix}{dot}{name}"]["per_member"][member] for name in NAMES}
                assert got == pytest.approx(truth, abs=1e-9)
    assert abs(found["map"]["mean"] - found["final.map"]["mean"]) > 1e-3


def test_baselines_stand_beside_a_ranker(runs):
    held = data.load(str(runs / "shop/shop-train.tsv"))
    found = json.loads(done("judge", runs / "shop-dns", "--json", "--baselines", "--metrics", "map,p@3"))["metrics"]
    assert {"popularity.map", "item-knn.map", "ease.p@3", "map", "final.p@3"} <= found.keys()
    free = ~(held.matrix("train") | held.matrix("valid"))
    popular = worth_of_ties(held.matrix("train").sum(0).repeat(30, 1), held.matrix("test"), free, "excluded")
    assert found["popularity.map"]["mean"] == pytest.approx(popular["map"], abs=1e-9)


# --- selection ---


def test_the_first_best_judged_step_is_selected(runs):
    """Of each ranker and member, the start among them, recomputed from the weights of every step."""
    run, held = runs / "tastes", data.load("tastes")
    steps = json.loads((run / "selected/meta.json").read_text())["steps"]
    free, gains = ~held.matrix("train"), held.matrix("valid")
    by_step = {0: state(run / "start/selected")}
    by_step |= {int(path.name[5:]): state(path) for path in (run / "checkpoints").glob("step-*")}
    assert sorted(by_step) == list(range(0, 33, 4))
    lines = {line["step"]: line["metrics"] for line in files.read_lines(run / "metrics.jsonl")}
    chosen = state(run / "selected")
    for player, prefix in (("policy", ""), ("critic", "critic.")):
        for member in (0, 1):
            values = {}
            for step, weights in sorted(by_step.items()):
                scores = table(weights, player if step else "critic", member)
                values[step] = worth(scores, gains, free, "excluded")["ndcg@10"]
                if step:
                    assert lines[step][f"{prefix}ndcg@10"]["per_member"][member] == pytest.approx(values[step])
            best = max(values, key=values.get)
            assert steps[player][member] == best
            who = player if best else "critic"
            for key in ("user", "item", "bias"):
                expected = by_step[best][f"{member}/params/{who}/{key}"]
                assert np.array_equal(chosen[f"{member}/params/{player}/{key}"], expected)
    assert 0 < steps["policy"][0] < 32 and steps["critic"] == [0, 0]  # neither the last nor all alike


def played(out, rows, paper="dns", **more):
    settings = {"rank": 4, "lr": 0.1, "decay": 0.0} if paper == "dns" else WILD
    return gz.train(paper, rows, out=out, **{"steps": 24, "settings": settings, **EVERY, **more})


def chosen(run):
    return state(run.directory / "selected"), run.steps


def test_the_test_part_chooses_nothing_and_the_validation_part_does(tmp_path):
    held = data.load("tastes")
    free = ~(held.matrix("train") | held.matrix("valid"))
    poison = (free & ~held.matrix("test")).nonzero()[::9]
    own, poisoned, other = (
        played(tmp_path / name, rows)
        for name, rows in (
            ("own", held), ("poisoned", replace(held, test=poison)), ("other", replace(held, valid=poison)),
        )
    )  # fmt: skip
    for name in ("selected", "checkpoints/step-00000024"):
        one, two = (tmp_path / run / name / "state.safetensors" for run in ("own", "poisoned"))
        assert one.read_bytes() == two.read_bytes()
    assert own.steps == poisoned.steps
    assert own.judge(held) != own.judge(replace(held, test=poison))
    # the other way round: other validation pairs play the same game, and select another step of it
    assert (last(tmp_path / "own") / "state.safetensors").read_bytes() == (
        last(tmp_path / "other") / "state.safetensors"
    ).read_bytes()
    assert own.steps != other.steps


def test_without_a_validation_part_the_last_step_stands_in(runs, tmp_path):
    out = tmp_path / "run"
    done("train", "dns", "--data", runs / "shop/shop-train.tsv", "--valid", "none", "--out", out, "--steps", 12,
         *sets(rank=3))  # fmt: skip
    told = json.loads(done("judge", out, "--json"))
    assert not (out / "selected").exists() and told["provenance"]["selected"] == {}
    for name in NAMES:
        assert told["metrics"][name] == told["metrics"][f"final.{name}"]
    run, weights = gz.load(out), state(last(out))
    np.testing.assert_allclose(run.scores().numpy(), table(weights, "critic"), atol=1e-6)
    # what was learnt of is what is left out, and no more
    (first,) = run.recommend(["u00"], 1_000).values()
    assert {i for _, i in asked(runs / "shop", ("train",)) if _ == "u00"}.isdisjoint(i for i, _ in first)
    assert len(first) == 26 - 6


def torn(monkeypatch, owner, name, fails):
    """Raise at the calls of a function whose numbers are given."""
    whole, calls = getattr(owner, name), [0]

    def failing(*args, **more):
        calls[0] += 1
        if calls[0] in fails:
            raise Crash
        return whole(*args, **more)

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.parametrize(
    ("paper", "owner", "name", "fails"),
    [
        ("irgan", checkpoints, "save_checkpoint", (2, 5, 7)),
        ("irgan", checkpoints, "save_selected", (2, 7, 8)),
        ("dns", Loop, "_play_piece", (3, 6)),
    ],
    ids=["judged and not saved", "better and not kept", "between pieces"],
)
def test_selection_survives_interruption(tmp_path, monkeypatch, paper, owner, name, fails):
    """Also while the run is played that it starts from; files are those of one never stopped."""
    held = data.load("tastes")
    asked = {"paper": paper, "seeds": 2, "steps": 16, "checkpoint_every": 8}
    played(tmp_path / "whole", held, **asked)
    torn(monkeypatch, owner, name, fails)
    crashes = []
    while True:
        try:
            run = played(tmp_path / "torn", held, resume=True, **asked)
            break
        except Crash:
            crashes.append((tmp_path / "torn/run.json").exists())
    assert len(crashes) == len(fails) and set(crashes) == ({False, True} if paper == "irgan" else {True})
    one, two = written(tmp_path / "torn"), written(tmp_path / "whole")
    assert one.keys() == two.keys() and one == two
    assert run.steps == gz.load(tmp_path / "whole").steps


def test_a_kill_while_the_selection_is_renamed_loses_nothing(tmp_path, monkeypatch):
    """A policy has just become better, and its critic's best step was an earlier one."""
    held, asked = data.load("tastes"), {"paper": "irgan", "steps": 16}
    whole = played(tmp_path / "whole", held, **asked)
    assert whole.steps["critic"] < whole.steps["policy"] < [16]
    rename = checkpoints.os.rename

    def dying(source, target):
        rename(source, target)
        if Path(target) == tmp_path / "torn/.selected.old" and (tmp_path / "torn/checkpoints").exists():
            raise Crash

    monkeypatch.setattr(checkpoints.os, "rename", dying)
    with pytest.raises(Crash):
        played(tmp_path / "torn", held, **asked)
    monkeypatch.undo()
    assert not (tmp_path / "torn/selected").exists()
    assert gz.load(tmp_path / "torn").selected  # the one before is as good as new
    run = played(tmp_path / "torn", held, resume=True, **asked)
    assert run.steps == whole.steps and written(tmp_path / "torn") == written(tmp_path / "whole")


@pytest.mark.parametrize("spoil", ["bytes", "meta", "gone"])
def test_a_damaged_selection_is_said(tmp_path, spoil):
    done("train", "dns", "--data", "tastes", "--out", tmp_path / "run", "--steps", 8, *sets(rank=2))
    folder = tmp_path / "run/selected"
    if spoil == "gone":
        (folder / "state.safetensors").unlink()
    else:
        path = folder / ("state.safetensors" if spoil == "bytes" else "meta.json")
        path.write_bytes(path.read_bytes()[:-9] + b"?" * 9)
    for words in (["recommend"], ["judge"], ["train", "dns", "--data", "tastes", "--resume", "--steps", 8, "--out"]):
        more = sets(rank=2) if words[0] == "train" else []
        assert f"{folder} is damaged" in refused(*words, tmp_path / "run", *more)


# --- starts ---


def begun(out, member, player):
    """The weights of a run that stood still."""
    found = state(last(out))
    return {key: found[f"{member}/params/{player}/{key}"] for key in ("user", "item", "bias")}


def selected(out, member, player):
    found = state(out / "selected")
    return {key: found[f"{member}/params/{player}/{key}"] for key in ("user", "item", "bias")}


def alike(one, two):
    return all(np.allclose(one[key], two[key], rtol=0, atol=1e-9) for key in one)


def stood(out, **more):
    settings = {**STILL, **more.pop("settings", {})}
    return gz.train("irgan", "tastes", out=out, **{"steps": 1, "seeds": 2, "settings": settings, **more})


def test_a_policy_starts_from_the_selected_critic_of_dns(tmp_path):
    run = stood(tmp_path / "run", settings={"negatives": "frozen"})
    start = gz.load(tmp_path / "run/start")
    assert start.facts["paper"] == "dns" and start.facts["steps"] == 8 and start.facts["plan"]["settings"]["rank"] == 3
    for member in (0, 1):
        first = selected(tmp_path / "run/start", member, "critic")
        assert alike(begun(tmp_path / "run", member, "policy"), first)
        assert alike(begun(tmp_path / "run", member, "critic"), first)
        assert all(np.array_equal(begun(tmp_path / "run", member, "start")[key], first[key]) for key in first)
    assert not alike(selected(tmp_path / "run/start", 0, "critic"), selected(tmp_path / "run/start", 1, "critic"))
    assert torch.allclose(run.scores(member=1), start.scores(member=1), atol=1e-7)


def test_the_critic_may_start_afresh(tmp_path):
    run = stood(tmp_path / "run", settings={"critic_start": False})
    for member in (0, 1):
        fresh = run.game.init(member)["params"]
        assert alike(begun(tmp_path / "run", member, "policy"), selected(tmp_path / "run/start", member, "critic"))
        assert alike(begun(tmp_path / "run", member, "critic"), {k: v.numpy() for k, v in fresh["critic"].items()})
    stood(tmp_path / "fresh", settings={"start": ""})
    assert not (tmp_path / "fresh/start").exists()
    assert alike(begun(tmp_path / "fresh", 1, "policy"), {k: v.numpy() for k, v in fresh["policy"].items()})


def test_a_run_may_be_started_from_member_by_member(runs, tmp_path):
    stood(tmp_path / "two")
    start = {"start": str(tmp_path / "two/start")}
    stood(tmp_path / "next", seed=1, seeds=1, settings=start)  # of the member with the same seed
    assert alike(begun(tmp_path / "next", 0, "policy"), selected(tmp_path / "two/start", 1, "critic"))
    assert not (tmp_path / "next/start").exists()
    stood(tmp_path / "many", seed=7, settings={"start": str(tmp_path / "next")})  # of its only one
    for member in (0, 1):
        assert alike(begun(tmp_path / "many", member, "policy"), selected(tmp_path / "next", 0, "policy"))
    stood(tmp_path / "each", settings={"rank": 4, "start": str(runs / "tastes")})  # each player of its own
    for player in ("policy", "critic"):
        for member in (0, 1):
            assert alike(begun(tmp_path / "each", member, player), selected(runs / "tastes", member, player))
    assert not alike(*(begun(tmp_path / "each", 0, player) for player in ("policy", "critic")))
    words = ["train", "irgan", "--data", "tastes", "--out", tmp_path / "x", "--steps", 1]
    for more, match in (
        (sets(rank=4, **start), "does not fit the policy's user"),
        (["--seed", 5, *sets(rank=3, **start)], "there is no member 5"),
        (sets(start=tmp_path / "none"), "holds no run"),
        (["--network", "item-item", *sets(**start)], "does not fit the policy's weight"),
        (sets(start="ease"), "add --network item-item"),
    ):
        assert match in refused(*words, *more)
    small(tmp_path / "samples", vectors(tmp_path), steps=8)
    assert "holds a run of samples" in refused(*words, *sets(start=tmp_path / "samples"))
    assert not (tmp_path / "x/checkpoints").exists()


def test_dns_does_not_start_from_itself(tmp_path):
    refused("train", "dns", "--data", "tastes", "--out", tmp_path / "x", "--steps", 1, *sets(start="dns"))


def test_item_item_starts_from_ease(tmp_path):
    """In the closed form of Steck 2019, penalty 400, scaled by 8 for the policy and 4 for the critic."""
    settings = {"lr": 1e-12, "critic_lr": 1e-12}
    gz.train("irgan", "tastes", out=tmp_path / "run", steps=1, network="item-item", settings=settings)
    x = data.load("tastes").matrix("train").numpy().astype(float)
    p = np.linalg.inv(x.T @ x + 400 * np.eye(120))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    found = state(last(tmp_path / "run"))
    np.testing.assert_allclose(found["0/params/policy/weight"], 8 * b, atol=1e-6)
    np.testing.assert_allclose(found["0/params/critic/weight"], 4 * b, atol=1e-6)
    assert np.abs(4 * b).max() > 1e-3
    # and is then what it scores by
    run = gz.load(tmp_path / "run")
    np.testing.assert_allclose(run.scores().numpy(), x @ (8 * b), atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "anchored"), [({"negatives": "frozen"}, True), ({"pull": 0.1}, True), ({"negatives": "uniform"}, False)]
)
def test_what_is_held_on_to_is_the_first_policy(tmp_path, setting, anchored):
    settings = {**WILD, **setting, "start": ""}
    run = gz.train("irgan", "tastes", out=tmp_path / "run", steps=4, settings=settings)
    found, fresh = state(last(tmp_path / "run")), run.game.init(0)["params"]["policy"]
    held = {key for key in found if "/params/start/" in key}
    assert held == ({f"0/params/start/{key}" for key in fresh} if anchored else set())
    for key in held:
        assert np.array_equal(found[key], fresh[key.rpartition("/")[2]].numpy())
    assert not np.allclose(found["0/params/policy/user"], fresh["user"].numpy(), atol=1e-3)
    assert torch.equal(gz.load(tmp_path / "run").scores(), run.scores())


# --- lists ---


def test_lists_are_what_the_weights_say(runs):
    """Best first, without what the user has; of a member and a ranker."""
    run, parts = gz.load(runs / "shop-irgan"), asked(runs / "shop")
    users, items = run.ids
    assert (list(users), list(items)) == ([f"u{i:02d}" for i in range(30)], [f"i{i:02d}" for i in range(26)])
    found = state(runs / "shop-irgan/selected")
    listings = {}
    for player in ("policy", "critic"):
        for member in (0, 1):
            scores = table(found, player, member)
            lists = listings[player, member] = run.recommend(k=5, ranker=player, member=member)
            assert list(lists) == list(users)
            for u, user in enumerate(users):
                free = [i for i in range(26) if (user, items[i]) not in parts]
                best = sorted(free, key=lambda i: -scores[u, i])[:5]  # noqa: B023
                assert [item for item, _ in lists[user]] == [items[i] for i in best]
                assert [s for _, s in lists[user]] == pytest.approx([scores[u, i] for i in best], abs=1e-6)
    assert run.recommend(k=5) == listings["policy", 0]
    assert len({json.dumps(lists) for lists in listings.values()}) == 4
    # the number asked for and who else is asked about decide nothing
    assert run.recommend(["u07"], 2) == {"u07": listings["policy", 0]["u07"][:2]}
    assert list(run.recommend(["u09", "u02"], 1)) == ["u09", "u02"]
    every = run.recommend(["u07"], 1_000, exclude_seen=False)["u07"]
    assert len(every) == 26 and len(run.recommend(["u07"], 1_000)["u07"]) == 26 - 8
    with pytest.raises(ValueError, match="no user 'u30'"):
        run.scores(["u30"])


def test_the_scores_of_a_user_are_the_same_whoever_else_is_asked_about(runs):
    """To the last bit, also where a product of one row has other roundings than one of many."""
    run = gz.load(runs / "tastes")
    whole = run.scores()
    assert len(whole) == 200 and all(torch.equal(run.scores(user)[0], whole[i]) for i, user in enumerate(run.ids[0]))
    mixed = [run.ids[0][i] for i in (199, 3, 64, 3, 63)]
    assert torch.equal(run.scores(mixed), whole[[199, 3, 64, 3, 63]])
    with torch.no_grad():  # the same scores as of the module itself
        plain = run.ranker()(torch.arange(200).unsqueeze(1), torch.arange(120).unsqueeze(0))
    torch.testing.assert_close(whole, plain)


def test_nobody_has_no_list(runs):
    assert gz.load(runs / "shop-irgan").recommend([]) == {}


def test_lists_are_written_in_three_forms(runs, tmp_path):
    import ir_measures as ir

    run = runs / "shop-irgan"
    expected = gz.load(run).recommend(k=4)
    flat = [(user, *pair) for user, line in expected.items() for pair in line]
    for name in ("x.trec", "x.csv", "deep/x.jsonl", "X.CSV"):
        done("recommend", run, "--k", 4, "--out", tmp_path / name)
    rows = [line.split() for line in (tmp_path / "x.trec").read_text().splitlines()]
    assert [(row[1], int(row[3]), row[5]) for row in rows] == [("Q0", 1 + i % 4, "shop-irgan") for i in range(120)]
    docs = [(doc.query_id, doc.doc_id, doc.score) for doc in ir.read_trec_run(str(tmp_path / "x.trec"))]
    with open(tmp_path / "x.csv", newline="") as file:
        sheet = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in sheet] == [1, 2, 3, 4] * 30
    lines = [json.loads(line) for line in (tmp_path / "deep/x.jsonl").read_text().splitlines()]
    forms = {
        "trec": docs,
        "csv": [(row["user"], row["item"], float(row["score"])) for row in sheet],
        "jsonl": [(x["user"], i, s) for x in lines for i, s in zip(x["items"], x["scores"], strict=True)],
    }
    for read in forms.values():
        assert [row[:2] for row in read] == [row[:2] for row in flat]
        # nine digits are all that a float32 has
        assert [np.float32(row[2]) for row in read] == [np.float32(row[2]) for row in flat]
    assert (tmp_path / "X.CSV").read_text() == (tmp_path / "x.csv").read_text() == done("recommend", run, "--k", 4)


def test_users_are_named_or_listed_in_a_file(runs, tmp_path):
    (tmp_path / "who").write_bytes("\ufeffu09\r\n\r\n u02 \r\n".encode())
    named = done("recommend", runs / "shop-irgan", "--k", 2, "--users", "u09, u02")
    assert [row["user"] for row in csv.DictReader(io.StringIO(named))] == ["u09", "u09", "u02", "u02"]
    assert done("recommend", runs / "shop-irgan", "--k", 2, "--users", tmp_path / "who") == named


def test_ids_of_any_words_come_back_as_they_were(tmp_path):
    """But for a TREC run, which is parted by blanks."""
    users, items = ["Zoë, A.", "-7", "0012", 'the "x"'], [f"Film {i}, the" for i in range(8)]
    rng = np.random.default_rng(0)
    rows = [(u, i) for u in users for i in rng.choice(items, 6, replace=False)]
    with open(tmp_path / "x.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("user", "item"), *rows])
    run = tmp_path / "run"
    done("train", "dns", "--data", tmp_path / "x.csv", "--out", run, "--steps", 4, *sets(rank=2))
    words = ["recommend", run, "--k", 8, "--include-seen", "--out"]
    done(*words, tmp_path / "l.csv")
    with open(tmp_path / "l.csv", newline="", encoding="utf-8") as file:
        back = {(row["user"], row["item"]) for row in csv.DictReader(file)}
    held = {i for _, i in rows}
    assert back == {(u, i) for u in users for i in held}
    done(*words, tmp_path / "l.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["user"] for line in lines} == set(users) and set(lines[0]["items"]) == held
    err = refused(*words, tmp_path / "l.trec")
    assert "holds some: write .csv or .jsonl" in err and not (tmp_path / "l.trec").exists()


def test_names_that_are_damaged_or_missing_are_told_by_their_own_file(runs, tmp_path):
    run = shutil.copytree(runs / "shop-dns", tmp_path / "run")
    whole = (run / "ids.json").read_text()
    for spoil, said in (
        (lambda path: path.write_text(whole.replace("u03", "u93")), "has changed since it was written"),
        (lambda path: path.write_text("{"), "cannot be read"),
        (lambda path: path.unlink(), "which names its users and items, is missing"),
    ):
        spoil(run / "ids.json")
        with pytest.raises(ValueError) as caught:
            gz.load(run).history  # noqa: B018  # which asks for them
        for err in (refused("recommend", run), f"ganzfeld: {caught.value}"):
            assert err.startswith(f"ganzfeld: {run}/ids.json") and said in err and "interactions" not in err


def test_a_run_is_used_without_its_data(tmp_path):
    shop(tmp_path)
    path = tmp_path / "shop-train.tsv"
    run = gz.train("irgan", str(path), out=tmp_path / "run", steps=4, settings={"rank": 3, "start_steps": 4})
    before = {name: (run.scores(ranker=name), run.scores(ranker=name, state="final")) for name in run.rankers}
    lists, judged = run.recommend(k=26), json.loads(done("judge", tmp_path / "run", "--json"))
    assert judged["metrics"] == run.judge()
    for part in ("train", "valid", "test"):
        (tmp_path / f"shop-{part}.tsv").unlink()
    shutil.move(tmp_path / "run", tmp_path / "moved")
    again = gz.load(tmp_path / "moved")
    for name, (chosen, final) in before.items():
        assert torch.equal(again.scores(ranker=name), chosen)
        assert torch.equal(again.scores(ranker=name, state="final"), final)
    assert again.recommend(k=26) == lists
    assert str(path) in refused("judge", tmp_path / "moved")
    (tmp_path / "moved/interactions.safetensors").unlink()
    assert "interactions.safetensors" in refused("recommend", tmp_path / "moved")


# --- documents with features ---


def scored(run, lists, player):
    """[Q, D] of the selected perceptron, in numbers."""
    held = state(run / "selected")
    w = {key.rpartition("params/")[2]: value.astype(float) for key, value in held.items()}
    width = max(len(labels) for _, labels in lists)
    out = np.zeros((len(lists), width))
    for q, (x, labels) in enumerate(lists):
        hidden = np.tanh(x @ w[f"{player}/layers.0.weight"].T + w[f"{player}/layers.0.bias"])
        out[q, : len(labels)] = (hidden @ w[f"{player}/layers.2.weight"].T + w[f"{player}/layers.2.bias"])[:, 0]
    return out


@pytest.mark.parametrize("paper", ["irgan", "irgan-pairwise", "dns"])
def test_documents_with_features_are_ranked_and_empty_queries_count_as_zero(runs, paper):
    run, lists = runs / f"web-{paper}", web(runs / "web")["test"]
    told = json.loads(done("judge", run, "--json"))
    gains, candidates = padded(lists)
    assert (told["provenance"]["queries"], told["provenance"]["empty"]) == (10, "zero")
    assert (~(gains > 0).any(1)).sum() >= 2
    players = {"": "critic"} if paper == "dns" else {"": "policy", "critic.": "critic"}
    for prefix, player in players.items():
        scores = scored(run, lists, player)
        got = {name: told["metrics"][prefix + name]["mean"] for name in NAMES}
        assert got == pytest.approx(worth(scores, gains, candidates, "zero"), abs=1e-9)
        assert got["map"] < 0.9 * worth(scores, gains, candidates, "excluded")["map"]
        ranker = gz.load(run).ranker(player)
        assert not ranker.training and isinstance(ranker, torch.nn.Module)
        for (x, labels), line in zip(lists, scores, strict=True):
            with torch.no_grad():
                alone = ranker(torch.tensor(x, dtype=torch.float32))
            np.testing.assert_allclose(alone.numpy(), line[: len(labels)], atol=1e-5)
    steps = [line["step"] for line in files.read_lines(run / "metrics.jsonl")]
    assert steps == [4, 8, 12] and set(sum(told["provenance"]["selected"].values(), [])) <= {0, *steps}


def test_a_perceptron_learns_what_makes_documents_relevant(tmp_path):
    lists = web(tmp_path / "web", (60, 20, 40))["test"]
    done("train", "dns", "--data", tmp_path / "web/web-train.txt", "--out", tmp_path / "run", "--steps", 60,
         *sets(width=8, lr=0.05))  # fmt: skip
    found = json.loads(done("judge", tmp_path / "run", "--json", "--metrics", "ndcg@5"))["metrics"]["ndcg@5"]["mean"]
    gains, candidates = padded(lists)
    ideal = worth(gains, gains, candidates, "zero")["ndcg@5"]
    assert worth(np.zeros_like(gains), gains, candidates, "zero")["ndcg@5"] + 0.1 < found <= ideal
    assert found > 0.9 * ideal


@pytest.mark.skipif(not MQ2008.exists(), reason="MQ2008 is not here")
def test_mq2008_is_trained_on_by_fold(tmp_path):
    words = ["train", "irgan", "--data", MQ2008, "--fold", 1, "--out", tmp_path / "run", "--steps", 2, *sets(width=8)]
    done(*words)
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["data"]["choices"]["fold"] == 1 and facts["data"]["choices"]["test"] == "S5.txt"
    assert "--fold 1" in facts["command"]
    found = json.loads(done("judge", tmp_path / "run", "--json"))
    lines = [line.split() for line in (MQ2008 / "S5.txt").read_text().splitlines()]
    sizes = Counter(line[1] for line in lines)  # a query's lines stand together
    rows = np.array([[float(pair.partition(":")[2]) for pair in line[2:48]] for line in lines])
    labels, lists, start = np.array([int(line[0]) for line in lines]), [], 0
    for size in sizes.values():
        lists.append((rows[start : start + size], labels[start : start + size]))
        start += size
    assert found["provenance"]["queries"] == len(sizes) == facts["data"]["test"]
    expected = worth(scored(tmp_path / "run", lists, "policy"), *padded(lists), "zero")
    assert {name: found["metrics"][name]["mean"] for name in NAMES} == pytest.approx(expected, abs=1e-4)


# --- comparing ---


def test_a_comparison_sets_the_closed_forms_beside(tmp_path):
    words = ["compare", "irgan", "dns", "--data", "tastes", "--seeds", 2, "--steps", 4, "--out", tmp_path / "c"]
    found = json.loads(done(*words, *sets(rank=3), "--json"))
    assert found == json.loads((tmp_path / "c/compare.json").read_text())
    assert [row["paper"] for row in found["rows"]] == ["irgan", "dns"] and (tmp_path / "c/report.html").exists()
    for row in found["rows"]:
        assert row["metrics"] == json.loads(done("judge", tmp_path / "c" / row["run"], "--json"))["metrics"]
        assert len(row["metrics"]["map"]["per_member"]) == 2
    held = data.load("tastes")
    x = held.matrix("train")
    valid = (held.matrix("valid"), ~x, "excluded")
    test = (held.matrix("test"), ~(x | held.matrix("valid")), "excluded")
    tried = {
        "popularity": [closed_form.popularity(x)],
        "item-knn": [x.double() @ closed_form.item_knn(x, k) for k in (20, 50, 100, 200, None)],
        "ease": [x.double() @ closed_form.ease(x, w) for w in (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)],
        "truth": [truth(0).double()],
    }
    assert found["closed"].keys() == tried.keys()
    for name, tables in tried.items():
        tables = [scores.round(decimals=9) for scores in tables]
        best = max(tables, key=lambda scores: worth_of_ties(scores, *valid)["ndcg@10"])
        got = {measure: value["mean"] for measure, value in found["closed"][name].items()}
        assert got == pytest.approx(worth_of_ties(best, *test), abs=1e-9)
    shown = done(*words, *sets(rank=3), "--resume")
    assert "ease (closed form)" in shown and "irgan" in shown


def test_ablations_start_from_the_same_weights(tmp_path, capsys):
    out = tmp_path / "c"
    asked = sets(rank=3, start_steps=4, lr=1e-12, critic_lr=1e-12)
    words = ["compare", "irgan", "--ablate", "--data", "tastes", "--seeds", 2, "--steps", 1, "--out", out]
    found = json.loads(done(*words, *asked, "--json"))
    assert [row["paper"] for row in found["rows"]] == ["irgan", *ABLATIONS, "dns, on"]
    assert len({row["run"] for row in found["rows"]}) == len(ABLATIONS) + 2
    first = [selected(out / "start", member, "critic") for member in (0, 1)]
    assert not alike(*first)
    plain = json.loads((out / "irgan/run.json").read_text())["settings"]
    for row in found["rows"]:
        players = ("critic",) if row["paper"] == "dns, on" else ("policy", "critic")
        for player in players:
            for member in (0, 1):
                assert alike(begun(out / row["run"], member, player), first[member]), (row["paper"], player)
        settings = json.loads((out / row["run"] / "run.json").read_text())["settings"]
        if row["paper"] != "dns, on":
            own = ABLATIONS.get(row["paper"], {})
            assert {key: value for key, value in settings.items() if plain[key] != value} == own
        assert not (out / row["run"] / "start").exists()
    capsys.readouterr()
    comparison.print_comparison(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "the start of all" in shown and "the start of irgan" not in shown


# --- what is logged ---


def test_what_is_logged_follows_from_the_weights_of_that_step(runs):
    run, held = runs / "tastes", data.load("tastes")
    known, hidden = (held.matrix(part).numpy() for part in ("train", "valid"))
    lines = files.read_lines(run / "log.jsonl")
    assert [line["step"] for line in lines] == list(range(4, 33, 4))
    wide = []
    for line in lines:
        weights, found = state(run / f"checkpoints/step-{line['step']:08d}"), line["per_member"]
        for member in (0, 1):
            logits = table(weights, "policy", member) / WILD["temperature"]
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            reward = np.tanh(table(weights, "critic", member) / 2)
            expected = {
                "perplexity": np.exp(-np.sum(p * np.log(np.maximum(p, 1e-300)), 1)).mean(),
                "false_negatives": p[known].sum() / 200,
                "hidden_positives": p[hidden].sum() / 200,
                "reward": (p * reward).sum(1).mean(),
                "item_share": reward.mean(0).var() / reward.var(),
            }
            assert {name: found[name][member] for name in expected} == pytest.approx(expected, rel=1e-3)
            wide.append(expected["perplexity"])
        for name in expected:
            assert line[name] == pytest.approx(np.mean(found[name]), rel=1e-6)
    assert max(wide) > 1.5 * min(wide)


def test_a_game_of_pairs_and_one_without_a_policy_log_what_they_have(runs):
    for name, facts in (
        ("web-irgan", {"perplexity", "false_negatives", "reward"}),
        ("web-irgan-pairwise", {"perplexity", "false_negatives"}),
        ("shop-dns", set()),
    ):
        logged = files.read_lines(runs / name / "log.jsonl")[-1].keys()
        assert logged & {"perplexity", "false_negatives", "hidden_positives", "reward", "item_share"} == facts


# --- tastes ---


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_of_tastes_is_the_best_ranker(seed):
    held, log_p = data.load("tastes", seed), truth(seed)
    parts = {part: held.matrix(part) for part in ("train", "valid", "test")}
    assert {part: set(x.sum(1).tolist()) for part, x in parts.items()} == {"train": {10}, "valid": {3}, "test": {5}}
    assert sum(x.int() for x in parts.values()).max() == 1  # no pair in two parts
    assert torch.allclose(log_p.exp().sum(1), torch.ones(200))
    x, free = parts["train"], ~(parts["train"] | parts["valid"])
    judge = lambda scores: worth(scores, parts["test"], free, "excluded")  # noqa: E731
    best = judge(log_p)
    others = {
        "popularity": closed_form.popularity(x),
        "knn": x.double() @ closed_form.item_knn(x),
        **{f"ease {w}": x.double() @ closed_form.ease(x, w) for w in (25.0, 100.0, 400.0)},
        "the truth of another seed": truth(seed + 1),
        "turned": -log_p,
    }
    for name, scores in others.items():
        worse = judge(scores)
        assert all(best[m] > worse[m] for m in ("ndcg@10", "map", "mrr", "p@5")), name
    assert held.fingerprint != data.load("tastes", seed + 1).fingerprint
    assert held.fingerprint == data.load("tastes", seed).fingerprint


# --- what texts say wrongly ---

GOOD = "".join(f"{u}\t{i}\t5\n" for u in (1, 3, 40, -2) for i in (7, 70, 700, -9, 12, 13 + u))
NOTED = {
    "duplicates": (GOOD + "1\t7\t5\n3\t70\t5\n", "", {"came before in its file": (2, 25)}),
    "gaps and negative ids": (GOOD, "", {}),
    "empty lines": (GOOD.replace("40\t7\t", "\n40\t7\t", 1), "", {"an empty line": (1, 13)}),
    "CRLF": (GOOD.replace("\n", "\r\n"), "", {}),
    "BOM": ("\ufeff" + GOOD, "", {}),
    "a user of the test alone": (GOOD, "99\t7\t5\n1\t800\t5\n", {"without a positive in train": (1, 1)}),
    "a leak": (GOOD, "1\t7\t5\n1\t800\t5\n", {"a pair of train that is in test too": (1, 1)}),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_interactions_leave_open_is_counted_in_the_run(tmp_path, name):
    text, beside, expected = NOTED[name]
    (tmp_path / "x-train.tsv").write_bytes(text.encode())
    if beside:
        (tmp_path / "x-test.tsv").write_text(beside)
    run = tmp_path / "run"
    done("train", "dns", "--data", tmp_path / "x-train.tsv", "--out", run, "--steps", 2, *sets(rank=2))
    notes = json.loads((run / "run.json").read_text())["data"]["noted"]
    assert len(notes) == len(expected)
    for note, (reason, (times, line)) in zip(notes, expected.items(), strict=True):
        assert reason in note["reason"] and note["times"] == times
        assert note["first"].endswith(f":{line}")
    users = ["-2", "1", "3", "40", *(["99"] if "99" in beside else [])]
    items = {"-9", "7", "11", "12", "14", "16", "53", "70", "700", *(["800"] if beside else [])}
    listed = gz.load(run).recommend(k=99, exclude_seen=False)
    assert list(listed) == users and all({item for item, _ in line} == items for line in listed.values())
    json.loads(done("judge", run, "--json"))


@pytest.mark.parametrize("paper", ["dns", "bpr", "irgan"])
def test_a_user_who_has_everything_is_no_fault_and_gets_no_list(tmp_path, paper):
    (tmp_path / "x").write_text("".join(f"{u} {i}\n" for u in range(9) for i in range(8) if not u or (u + i) % 3))
    (tmp_path / "y").write_text("3 0\n4 2\n")
    words = ["train", paper, "--data", tmp_path / "x", "--valid", "none", "--test", tmp_path / "y"]
    done(*words, "--out", tmp_path / "run", "--steps", 2, *sets(rank=2))
    lists = gz.load(tmp_path / "run").recommend(k=8)
    assert lists["0"] == [] and len(lists["1"]) == 8 - sum((1 + i) % 3 > 0 for i in range(8))


@pytest.mark.parametrize("paper", ["dns", "irgan"])
def test_documents_none_of_which_is_relevant_are_refused(tmp_path, paper):
    (tmp_path / "x").write_text("".join(f"0 qid:{q} 1:{q}.5 2:{d}\n" for q in range(10) for d in range(4)))
    refused("train", paper, "--data", tmp_path / "x", "--out", tmp_path / "run", "--steps", 2)


WRONG = {
    "a number": ("1\t7\t5\n1\t8\tgood\n", "x:2 has 'good'"),
    "nan": ("1\t7\t5\n1\t8\tnan\n", "x:2 has 'nan'"),
    "an infinite rating": ("1\t7\t5\n1\t8\tinf\n", "x:2 has 'inf'"),
    "one field": ("1\t7\n1\t8\n5\n", "x:3 has one field"),
    "a negative rating": ("1\t7\t5\n1\t8\t-5\n", "x:2 has the rating -5"),
    "an empty file": ("", "x is empty"),
    "too few": ("1\t7\n2\t8\n", "too few users"),
    "a value of nan": ("1 qid:1 1:2 2:nan\n0 qid:1 1:3 2:1\n", "x:1 has no value for feature 2: take 0 for it"),
    "no qid": ("1 1:2 2:3\n0 1:2 2:1\n", "x:1 has no qid"),
    "no qid below": ("1 qid:1 1:2\n0 qid:1 1:3\n0 1:2 2:1\n", "x:3 has no qid"),
    "an empty qid": ("1 qid:1 1:2\n0 qid: 1:3\n", "x:2 has an empty qid"),
    "features out of order": ("1 qid:1 2:2 1:3\n", "x:1 has feature 1 after 2"),
    "a label of a half": ("1 qid:1 1:2\n0.5 qid:1 1:2\n", "x:2 has the label '0.5'"),
    "a word for a feature": ("1 qid:1 1:2 hello\n", "x:1 has 'hello' where a feature is needed"),
    "too few queries": ("1 qid:1 1:2\n0 qid:1 1:3\n", "too few to hold out"),
    "no features": ("1 qid:1\n0 qid:1\n", ""),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_fault_in_a_text_is_one_line_with_its_number(tmp_path, name, ends):
    text, why = WRONG[name]
    (tmp_path / "x").write_bytes(("\ufeff" * (ends != "\n") + text.replace("\n", ends)).encode())
    assert why in refused("train", "dns", "--data", tmp_path / "x", "--out", tmp_path / "run", "--steps", 2)
    assert not (tmp_path / "run").exists()


def test_ends_of_lines_and_a_byte_order_mark_change_no_weight(tmp_path):
    folders = []
    for form in (lambda text: text, lambda text: "\ufeff" + text.replace("\n", "\r\n")):
        folders.append(tmp_path / str(len(folders)))
        web(folders[-1])
        for path in folders[-1].iterdir():
            path.write_bytes(form(path.read_text()).encode())
        done("train", "dns", "--data", folders[-1] / "web-train.txt", "--out", folders[-1] / "run", "--steps", 4,
             *sets(width=3))  # fmt: skip
    one, two = (written(folder / "run") for folder in folders)
    assert one == two
    facts = json.loads((folders[1] / "run/run.json").read_text())["data"]
    empty = sum(not labels.any() for part in web(folders[1]).values() for _, labels in part)
    assert [(note["reason"], note["times"]) for note in facts["noted"]] == [
        ("a query without a relevant document (kept)", empty)
    ]
    assert math.isfinite(json.loads(done("judge", folders[0] / "run", "--json"))["metrics"]["map"]["mean"])


def test_errors_over_users_stand_beside_the_spread_over_seeds(runs):
    """The error of a mean over users, the seeds' values of each user averaged, from the lists themselves."""
    run, told = gz.load(runs / "tastes"), files.read_json(runs / "tastes/ranking.json")
    table, errors = told["metrics"], told["provenance"]["errors"]
    rows = data.load("tastes")
    seen, test = rows.matrix("train") | rows.matrix("valid"), rows.matrix("test")
    each = []
    for member in range(run.members):
        best = run.scores(member=member).double().masked_fill(seen, -math.inf).topk(5).indices
        each.append(test.gather(1, best).double().mean(1)[test.any(1)])
    values = torch.stack(each).mean(0)
    assert len(each) == 2 and not torch.equal(*each)
    assert errors["p@5"] == pytest.approx(float(values.std()) / len(values) ** 0.5, rel=1e-9)
    assert table["p@5"]["mean"] == pytest.approx(float(values.mean()), rel=1e-9)
    assert all(0 < error < 0.1 for error in errors.values()) and errors.keys() == table.keys()


# --- ties, starts, what is known ---

FAULTS = Path(__file__).parents[2] / "shared/data/faults"


@pytest.mark.skipif(not FAULTS.exists(), reason="the small faulty inputs are not here")
@pytest.mark.parametrize("name", ["letor_sorted", "letor_shuffled"])
def test_a_ranker_that_cannot_tell_documents_apart_has_the_mean_over_ties(tmp_path, name):
    """Wherever the file lists the relevant; by the file's order the sorted one would have .75."""
    done("train", "irgan", "--data", FAULTS / name, "--out", tmp_path / "run", "--steps", 2, *sets(width=46))
    told = json.loads(done("judge", tmp_path / "run", "--json"))
    for prefix in ("", "final.", "start.", "critic."):
        got = {metric: told["metrics"][f"{prefix}{metric}"]["mean"] for metric in ("ndcg@10", "p@1")}
        assert got == pytest.approx({"ndcg@10": 0.4125, "p@1": 0.225}, abs=5e-4)
    assert told["provenance"]["tied"][""] == [15] and set(told["provenance"]["selected"]["policy"]) == {0}
    shown = " ".join(done("judge", tmp_path / "run").split())
    assert "of 20 lists 15 (policy, final, start, critic, final.critic) give one score to" in shown
    taught = json.loads(done("judge", tmp_path / "run", "--json", "--baselines", "--metrics", "p@1"))["metrics"]
    assert taught["linear.p@1"]["mean"] == taught["mle.p@1"]["mean"] == pytest.approx(0.225)


@pytest.mark.skipif(not FAULTS.exists(), reason="the small faulty inputs are not here")
def test_lists_of_equal_scores_have_an_order_of_the_seed_and_not_of_the_file(tmp_path):
    """The same documents come first in the sorted and in the shuffled file; their relevance has no say."""
    lists = {}
    for name in ("letor_sorted", "letor_shuffled"):
        run = gz.train("irgan", str(FAULTS / name), out=tmp_path / name, steps=2)
        lists[name] = {query: [document for document, _ in line] for query, line in run.recommend(k=10).items()}
    assert lists["letor_sorted"] == lists["letor_shuffled"] != {}
    assert any(line != sorted(line) for line in lists["letor_sorted"].values())
    code, _, err = ganzfeld("recommend", tmp_path / "letor_sorted", "--k", 3, "--out", tmp_path / "x.trec")
    assert code == 0 and "20 of 20 lists hold equal scores: a digest of seed and document orders them" in err
    assert "the first 3 documents of 20 queries" in err


@pytest.mark.parametrize("paper", ["irgan", "dns"])
def test_lists_of_documents_are_what_judging_says(runs, tmp_path, paper):
    """By ir-measures, which counts queries without a relevant document as 0."""
    import ir_measures as ir

    run, lists = runs / f"web-{paper}", web(runs / "web")["test"]
    done("recommend", run, "--k", 99, "--out", tmp_path / "x.trec")
    rows = list(ir.read_trec_run(str(tmp_path / "x.trec")))
    names = list(dict.fromkeys(row.query_id for row in rows))
    assert len(rows) == sum(len(labels) for _, labels in lists) and len(names) == len(lists)
    grades = [labels for _, labels in lists]
    judged = [ir.Qrel(query, f"{query}-{i}", int(2**label - 1))
              for query, labels in zip(names, grades, strict=True) for i, label in enumerate(labels, 1)]  # fmt: skip
    told = json.loads(done("judge", run, "--json"))["metrics"]
    for measure, name in ((ir.nDCG @ 5, "ndcg@5"), (ir.P @ 3, "p@3"), (ir.AP, "map"), (ir.RR, "mrr")):
        assert ir.calc_aggregate([measure], judged, rows)[measure] == pytest.approx(told[name]["mean"], abs=1e-6)
    sheet = list(csv.DictReader(io.StringIO(done("recommend", run, "--k", 2, "--users", names[3], "--part", "test"))))
    assert [(row["query"], row["document"]) for row in sheet] == [
        (row.query_id, row.doc_id) for row in rows if row.query_id == names[3]
    ][:2]
    valid = gz.load(run).recommend(k=1, part="valid")
    assert len(valid) == 8 and not valid.keys() & set(names)


def rated(folder):
    """Users with items of stars 1 to 5, in a training and a test file: {(user, item): stars} of each."""
    rng, parts = np.random.default_rng(1), {"train": {}, "test": {}}
    for u in range(12):
        for n, i in enumerate(rng.permutation(30)[:18]):
            parts["train" if n < 14 else "test"][f"u{u}", f"i{i}"] = int(rng.integers(1, 6)) if n > 3 else 5
    for part, pairs in parts.items():
        (folder / f"x-{part}.tsv").write_text("".join(f"{u}\t{i}\t{r}\n" for (u, i), r in pairs.items()))
    return parts


def test_lists_leave_out_what_was_rated_low_and_the_judge_says_that_it_does_not(tmp_path):
    parts, run = rated(tmp_path), tmp_path / "run"
    done("train", "dns", "--data", tmp_path / "x-train.tsv", "--out", run, "--steps", 4, *sets(rank=3))
    lists = gz.load(run).recommend(k=99)
    shown = {(user, item) for user, line in lists.items() for item, _ in line}
    low = {pair for pair, stars in parts["train"].items() if stars < 4}
    assert len(low) > 40 and not shown & parts["train"].keys()
    assert {pair for pair in parts["test"]} <= shown  # what nobody knows yet, liked or not
    whole = gz.load(run).recommend(k=99, exclude_seen=False)
    assert low < {(user, item) for user, line in whole.items() for item, _ in line}
    told = json.loads(done("judge", run, "--json"))
    assert f"{len(low)} pairs rated low are among them (as published)" in told["provenance"]["candidates"]
    held = data.load(str(tmp_path / "x-train.tsv"))
    free = ~(held.matrix("train") | held.matrix("valid"))
    scores = gz.load(run).scores()
    assert told["metrics"]["map"]["mean"] == pytest.approx(worth(scores, held.matrix("test"), free, "excluded")["map"])
    assert "pairs rated low are among them" in " ".join(done("judge", run).split())
    # a run that did not record it says so
    stored = load_file(run / "interactions.safetensors")
    save_file({part: pairs for part, pairs in stored.items() if part != "touched"}, run / "interactions.safetensors")
    code, _, err = ganzfeld("recommend", run, "--out", tmp_path / "x.csv")
    assert code == 2 and "interactions.safetensors cannot be read: its digest is not the one in ids.json" in err
    names = files.read_json(run / "ids.json")
    files.write_json(run / "ids.json", {side: names[side] for side in ("users", "items")})  # as it was written then
    code, _, err = ganzfeld("recommend", run, "--out", tmp_path / "x.csv")
    assert code == 0 and "did not record what users rated low" in err


def test_lists_hold_the_test_part_unless_it_is_left_out(runs, tmp_path):
    held, lists = asked(runs / "shop", ("test",)), {}
    for words, told in (((), True), (("--exclude-test",), False), (("--exclude-test", "--include-seen"), False)):
        code, _, err = ganzfeld("recommend", runs / "shop-dns", "--k", 26, *words, "--out", tmp_path / "x.csv")
        assert code == 0 and ("the test part holds out may be in the lists: --exclude-test" in err) == told
        sheet = csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text()))
        lists[words] = {(row["user"], row["item"]) for row in sheet}
    assert held < lists[()] and lists["--exclude-test",] == lists[()] - held
    assert asked(runs / "shop") < lists["--exclude-test", "--include-seen"] and len(held) == 84
    assert not held & lists["--exclude-test", "--include-seen"]
    assert "no test part to exclude" in refused("recommend", runs / "web-dns", "--exclude-test")


def test_lists_that_are_shorter_than_asked_for_are_told(runs, tmp_path):
    run = runs / "shop-dns"
    for more, words in (
        (["--k", 99], "--k 99 is more than the 26 items there are: every list is shorter"),
        (["--k", 20], "30 of 30 lists are shorter than 20: the user has no more items"),
        (["--k", 18, "--users", "u01"], "the first 18 items of 1 user in"),
    ):
        code, _, err = ganzfeld("recommend", run, *more, "--out", tmp_path / "x.csv")
        assert code == 0 and words in err
    assert "u00, u01, u02, ..." in refused("recommend", run, "--users", "u77")


def test_the_start_stands_beside_and_is_what_was_selected_where_nothing_was_better(tmp_path):
    """Weights that stand still rank as their start does: no credit is the game's."""
    run = tmp_path / "run"
    words = ["train", "irgan", "--data", "tastes", "--out", run, "--steps", 2, "--seeds", 2]
    code, _, err = ganzfeld(*words, *sets(**STILL))
    assert code == 0 and "policy: selected at step 0 (start): test ndcg@10" in err and "at the start" in err
    assert "policy: no later step ranked the validation part better: what is selected is its start" in err
    told = json.loads(done("judge", run, "--json"))
    start = json.loads(done("judge", run / "start", "--json"))["metrics"]
    for name in NAMES:
        assert told["metrics"][f"start.{name}"] == told["metrics"][name] == start[name]
    assert told["provenance"]["start"] == {"from": "dns", "steps": STILL["start_steps"]}
    shown = " ".join(done("judge", run).split())
    assert "policy 0 (start)" in shown and "policy, final last" in shown and "the start (dns) 0" in shown
    assert "policy: what is selected is its start" in shown
    first = gz.load(run).ranker("policy", 1, "start")
    users, items = torch.arange(200).unsqueeze(1), torch.arange(120).unsqueeze(0)
    assert torch.allclose(first(users, items), gz.load(run / "start").scores(member=1), atol=1e-6)


def test_a_game_that_got_better_says_when(runs):
    shown = " ".join(done("judge", runs / "tastes").split())
    steps = json.loads((runs / "tastes/selected/meta.json").read_text())["steps"]["policy"]
    kept = f" ({steps.count(0)} of 2 the start)" if 0 in steps else ""
    assert f"policy {min(steps)}-{max(steps)}{kept}" in shown or f"policy {steps[0]}{kept}" in shown
    assert "policy: what is selected is its start" not in shown
    told = json.loads(done("judge", runs / "tastes", "--json"))
    assert told["metrics"]["start.map"] != told["metrics"]["map"]
    assert told["provenance"]["start"] == {"from": "dns", "steps": WILD["start_steps"]}
    fresh = json.loads(done("judge", runs / "shop-dns", "--json"))["provenance"]["start"]
    assert fresh == {"from": "afresh", "steps": 0}


def test_a_comparison_gives_no_credit_for_a_start(tmp_path):
    words = ["compare", "irgan", "--data", "tastes", "--seeds", 2, "--steps", 2, "--out", tmp_path / "c"]
    shown = " ".join(done(*words, *sets(**STILL)).split())
    assert "selected at" in shown and "the start of irgan (dns)" in shown
    assert "irgan: what was selected is its start in every seed: its numbers are the start's" in shown
    page = (tmp_path / "c/report.html").read_text()
    assert "irgan: what validation selected is the start, in every seed" in page
    assert "irgan has the highest" not in page


def test_what_is_left_out_of_the_closed_forms_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(gz.tasks.questions, "MOST_CLOSED_FORM_ITEMS", 119)
    words = ["train", "dns", "--data", "tastes", "--out", tmp_path / "run", "--steps", 2, *sets(rank=2)]
    left = "item-knn and ease are left out: 120 items are more than the 119"
    assert left in done(*words, "--dry-run")
    code, _, err = ganzfeld(*words)
    assert code == 0 and left in err
    assert left in " ".join(done("judge", tmp_path / "run", "--baselines").split())
    assert left not in done("judge", tmp_path / "run")
    words = ["compare", "dns", "--data", "tastes", "--seeds", 1, "--steps", 2, "--out", tmp_path / "c", *sets(rank=2)]
    assert left in done(*words) and left in (tmp_path / "c/report.html").read_text()


def test_data_that_have_changed_are_not_judged_as_the_runs_own(tmp_path):
    """A line more cuts another test part, of pairs that were learnt of."""
    path, run = tmp_path / "x", tmp_path / "run"
    path.write_text("".join(f"{u} {i}\n" for u in range(9) for i in range(8)))
    done("train", "dns", "--data", path, "--out", run, "--steps", 2, *sets(rank=2))
    done("judge", run)
    path.write_text(path.read_text() + "0 8\n")
    assert "x, the data of" in refused("judge", run) and "has changed since it was trained" in refused("judge", run)


def test_a_run_that_counted_every_line_is_judged_so(tmp_path):
    """As versions did before, whose ratings had no bar but of five stars."""
    path, run = tmp_path / "x", tmp_path / "run"
    path.write_text("".join(f"{u} {i} {1 + (u + i) % 8}\n" for u in range(9) for i in range(8)))
    done("train", "dns", "--data", path, "--min-rating", "-inf", "--out", run, "--steps", 2, *sets(rank=2))
    before = json.loads(done("judge", run, "--json"))["metrics"]
    facts = files.read_json(run / "run.json")
    facts["plan"]["reading"].pop("min_rating")
    files.write_json(run / "run.json", facts)
    assert json.loads(done("judge", run, "--json"))["metrics"] == before
    assert facts["data"]["choices"]["min_rating"] == "every line" and facts["data"]["train"] > 50


def test_how_a_text_is_read_is_recorded_and_played_again(tmp_path):
    path = tmp_path / "orders.csv"
    rows = [f"c{u},s{i},{1 + (u + i) % 8}" for u in range(9) for i in range(9)]
    path.write_text("\n".join(["customer_id,sku,quantity", *rows]))
    columns = {"user": "customer_id", "item": "sku", "rating": "quantity"}
    run = gz.train("dns", str(path), out=tmp_path / "run", steps=2, columns=columns, settings={"rank": 2})
    facts = run.facts
    assert facts["plan"]["reading"] == {"columns": "user=customer_id,item=sku,rating=quantity"}
    assert "the median of those above 0" in facts["data"]["positive"]
    words = shlex.split(facts["command"])
    words[words.index("--out") + 1] = str(tmp_path / "again")
    shown = done(*words[1:], "--dry-run")
    assert facts["data"]["positive"] in shown
    done(*words[1:])
    assert (last(tmp_path / "again") / "state.safetensors").read_bytes() == (
        last(tmp_path / "run") / "state.safetensors"
    ).read_bytes()
    lines = "".join(f"{d} qid:{q} 1:{q}.5 2:{'NULL' if d else 3}\n" for q in range(9) for d in (0, 1))
    (tmp_path / "rank.txt").write_text(lines)
    words = ["train", "dns", "--data", tmp_path / "rank.txt", "--steps", 2, "--out", tmp_path / "letor", *sets(width=3)]
    assert "take 0 for it by missing=zero (--missing zero)" in refused(*words)
    done(*words, "--missing", "zero")
    facts = json.loads((tmp_path / "letor/run.json").read_text())
    assert "--missing zero" in facts["command"] and facts["data"]["choices"]["missing"] == "zero"
    done("judge", tmp_path / "letor")


@pytest.mark.skipif(not FAULTS.exists(), reason="the small faulty inputs are not here")
def test_ids_of_any_script_go_through_a_locale_of_ascii(tmp_path):
    path = FAULTS / "unicode_items.tsv"
    users = sorted({line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()})
    run, bare = tmp_path / "run", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done("train", "dns", "--data", path, "--out", run, "--steps", 2, *sets(rank=2))
    words = [sys.executable, "-m", "ganzfeld", "recommend", str(run), "--k", "2", "--users", f"{users[0]},{users[1]}"]
    told = subprocess.run(words, env={**environment(), **bare}, capture_output=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stdout.decode() == done("recommend", run, "--k", 2, "--users", f"{users[0]},{users[1]}")
    assert users[0] in told.stdout.decode() and not users[0].isascii()
