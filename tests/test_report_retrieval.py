"""What the page says of runs that rank: its numbers are those of the test part, and what chose them is marked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ganzfeld.faces.report import chapters, measures, read, words
from ganzfeld.faces.report.read import Spread
from test_report import ENGLISH, Page, a_run, lines, population, render

NAMES = (*(f"{name}@{k}" for name in ("p", "ndcg") for k in (1, 3, 5, 10)), "map", "mrr")
STEPS = (10, 20, 30, 40)
CURVES = {"policy": ((0.31, 0.34, 0.36, 0.35), (0.30, 0.35, 0.32, 0.33)), "critic": ((0.30, 0.2, 0.1, 0.1),) * 2}
CHOSEN = {"policy": [30, 20], "critic": [10, 0]}
TEST = {
    "": (0.52, 0.53), "final": (0.50, 0.505), "critic": (0.523, 0.525), "final.critic": (0.21, 0.22),
    "popularity": (0.24,), "item-knn": (0.545,), "ease": (0.541,),
}  # fmt: skip
LABELS = {
    "": "policy, selected at steps 20 to 30", "final": "policy, at the end, step 40",
    "critic": "critic, selected at steps 0 to 10", "final.critic": "critic, at the end, step 40",
}  # fmt: skip
MAIN = ["P@5", "NDCG@5", "NDCG@10", "MAP", "MRR"]


def metrics(**held) -> dict:
    """All metrics of rankers. held: by ranker the values of ndcg@10; the other metrics differ from it by hundredths."""
    return {
        (f"{who}." if who else "") + name: population(*(value + (i - 7) / 100 for value in values))
        for who, values in held.items()
        for i, name in enumerate(NAMES)
    }


def provenance(part: str, selected: dict | None) -> dict:
    return {
        "data": "tastes", "fingerprint": "f00d", "part": part, "queries": 187, "empty": "excluded",
        "gain": "exponential", "selected_by": "ndcg@10 of the validation part", "selected": selected or {},
        "perfect": {}, "samples": 187, "held_out": 900,
    }  # fmt: skip


def ranks(
    path: Path, test: dict | None = None, valid: bool = True, seeds: int = 2, start: bool = True, **facts
) -> Path:
    """A run of irgan. test: by ranker the values of ndcg@10 on the test part."""
    path.mkdir(parents=True)
    data = {"name": "tastes", "kind": "interactions", "shape": [200, 120], "fingerprint": "f00d", "noted": []}
    known = {"paper": "irgan", "data": data, "seed": 0, "seeds": seeds, "steps": 40, **facts}
    (path / "run.json").write_text(json.dumps(known))
    told = {"critic_value": -1.2, "reward": 0.1, "perplexity": 90.5, "false_negatives": 0.2, "item_share": 0.4}
    log = [{"step": s, **told, "hidden_positives": 0.05, "per_member": {"reward": [0.1] * seeds}} for s in STEPS]
    (path / "log.jsonl").write_text(lines(log))
    chosen = {name: steps[:seeds] for name, steps in CHOSEN.items()} if valid else {}
    curves = ("", "policy"), ("critic", "critic")
    rows = [
        {
            "step": step,
            "metrics": metrics(**{who: [member[i] for member in CURVES[name][:seeds]] for who, name in curves}),
            "provenance": provenance("valid" if valid else "test", chosen),
        }
        for i, step in enumerate(STEPS)
    ]
    (path / "metrics.jsonl").write_text(lines(rows))
    held = {who: values[:seeds] for who, values in (test or TEST).items()}
    found = {"step": 40, "metrics": metrics(**held), "provenance": provenance("test", chosen)}
    (path / "ranking.json").write_text(json.dumps(found))
    if start:
        own = {"": (0.49, 0.488), "final": (0.3, 0.31), "ease": (0.541,)}
        ranks(path / "start", own, valid, seeds, start=False, paper="dns")
    return path


def compared(path: Path, papers: tuple[str, ...] = ("irgan", "bpr"), shift: float = 0.01) -> Path:
    rows = []
    for i, paper in enumerate(papers):
        held = {who: [value - shift * i for value in TEST[who]] for who in ("", "final", "critic", "final.critic")}
        ranks(path / paper, {**held, "ease": TEST["ease"]}, paper=paper, start=paper == "irgan")
        rows.append({"paper": paper, "run": paper, "metrics": metrics(**held), "seconds": 9.0 + i, "diverged": 0})
    held = {who: metrics(**{"": TEST[who]}) for who in ("popularity", "item-knn", "ease")}
    document = {"data": "tastes", "steps": 40, "seeds": 2, "rows": rows, "closed": held}
    (path / "compare.json").write_text(json.dumps(document))
    return path


def tables(page: Page) -> list[dict[str, dict[str, tuple[str, str, str]]]]:
    """Every table of rankers or papers: by row and column what is said, its mark and whether its seeds are dots."""
    found = []
    for table in re.findall(r"<table>(.*?)</table>", page.source.split("<style>")[1], re.DOTALL):
        head, _, body = table.partition("</thead>")
        columns = re.findall(r'<th scope="col" title="[^"]*">(.*?)\s*<', head)
        rows = {}
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body.partition("<tfoot>")[0], re.DOTALL):
            if not columns or 'scope="row"' not in row:
                continue
            name = re.search(r'<th scope="row">(.*?)</th>', row, re.DOTALL)[1]
            name = ", ".join(part.strip() for part in re.split(r"<[^>]*>", name) if part.strip())
            cells = re.findall(r'<td class="(\w*)">(.*?)</td>', row, re.DOTALL)
            told = [(re.sub(r"<svg.*|<[^>]*>|[●○≈]", "", c, flags=re.DOTALL).strip(), m, c) for m, c in cells]
            rows[name] = {
                column: (re.sub(r"\s+", " ", said), mark, "dots" if "<svg" in cell else "")
                for column, (said, mark, cell) in zip(columns, told, strict=True)
            }
        if rows:
            found.append(rows)
    return found


def faithful(run: Path, tmp_path: Path) -> None:
    """The numbers of the table are those of ranking.json, ranker by ranker and metric by metric."""
    main, whole = tables(render(tmp_path, run))
    assert list(main["popularity, closed form: the same list for all: what most have"]) == MAIN
    assert list(next(iter(whole.values()))) == [ENGLISH.measure(name).label for name in NAMES]
    facts = json.loads((run / "ranking.json").read_text())["metrics"]
    for table in (main, whole):
        for who in TEST:
            rows = [
                row for name, row in table.items() if name == LABELS.get(who, "") or name.startswith(f"{who}, closed")
            ]
            assert len(rows) == 1
            [row] = rows
            for label, (said, *_) in row.items():
                [name] = [name for name in NAMES if ENGLISH.measure(name).label == label]
                fact = facts[f"{who}.{name}" if who else name]
                assert said == words.plus_minus(Spread(fact["mean"], fact["std"], tuple(fact["per_member"])))


def test_the_table_has_the_numbers_of_the_test_part(tmp_path):
    faithful(ranks(tmp_path / "run"), tmp_path)


@pytest.mark.parametrize("fault", ["last judged", "swapped", "prefix lost"])
def test_another_number_in_the_table_is_caught(tmp_path, monkeypatch, fault):
    run, told = ranks(tmp_path / "run"), read.rankers
    wrong = {
        "last judged": lambda m: told({**m, **read.read_run(run).judgements[-1].metrics}),
        "swapped": lambda m: {{"": "final", "final": ""}.get(who, who): held for who, held in told(m).items()},
        "prefix lost": lambda m: told({name.removeprefix("final."): fact for name, fact in m.items()}),
    }[fault]
    monkeypatch.setattr(chapters, "rankers", wrong)
    with pytest.raises(AssertionError):
        faithful(run, tmp_path)


def test_the_start_is_told_as_it_was_selected(tmp_path):
    main, whole = tables(render(tmp_path, ranks(tmp_path / "run")))
    assert main["the start, dns"]["NDCG@10"][0] == whole["the start, dns"]["NDCG@10"][0] == "0.489 ± 0.001"
    assert not any(
        "start" in row for table in tables(render(tmp_path, ranks(tmp_path / "b", start=False))) for row in table
    )


def test_the_best_is_marked_and_the_best_of_those_trained(tmp_path):
    main, _ = tables(page := render(tmp_path, ranks(tmp_path / "run")))
    assert [row["NDCG@10"][1] for row in main.values()] == ["leads", "", "close", "", "", "", "best", ""]
    assert "○ the best of those trained where a baseline is better" in page.text


@pytest.mark.parametrize(
    ("means", "baselines", "marks"),
    [
        ((1, 2, 3), 1, ["", "leads", "best"]),
        ((1, 3, 2), 1, ["", "best", ""]),
        ((1, 3, 3), 1, ["", "best", "best"]),
        ((2, 3), 1, ["", "best"]),  # one alone leads no one
        ((3, 2), 1, ["best", ""]),
        ((None, None, 2, 1), 2, ["", "", "best", ""]),
        ((2, 2, 2), 1, ["", "", ""]),
    ],
)
def test_baselines_are_compared_with_and_compete_with_nobody(means, baselines, marks):
    assert measures.mark_best([Spread(mean) for mean in means], 1, 0, baselines) == marks
    flipped = [Spread(None if mean is None else -mean) for mean in means]
    assert measures.mark_best(flipped, -1, 0, baselines) == marks


def rings(page: Page) -> set[str]:
    return set(re.findall(r'<circle class="ring[^"]*"[^>]*><title>(.*?)</title>', page.source))


def test_rings_are_where_validation_selected(tmp_path):
    page = render(tmp_path, ranks(tmp_path / "run"))
    assert rings(page) == {
        "policy, seed 0: selected at step 30, 0.360",
        "policy, seed 1: selected at step 20, 0.350",
        "critic, seed 0: selected at step 10, 0.300",
    }
    assert "of the critic of 1 seed that was step 0, the start" in page.text
    [chart] = [svg for svg in page.source.split("<svg class") if "NDCG@10 over steps" in svg and 'class="ring' in svg]
    chart = page.source[page.source.index(chart) :].partition('class="cursor"')[0]
    curves = [re.findall(r"[ML]([\d.]+) ([\d.]+)", d) for d in re.findall(r'class="member[^"]*" d="(.*?)"', chart)]
    placed = re.findall(r'class="ring[^"]*" cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert placed == [curves[0][2], curves[1][1], curves[2][0]]  # on the seed's own line, at its step


def test_rings_follow_the_facts_and_no_maximum_of_ours(tmp_path):
    run = ranks(tmp_path / "run")
    facts = json.loads((run / "ranking.json").read_text())
    facts["provenance"]["selected"] = {"policy": [40, 10], "critic": [0, 0]}
    (run / "ranking.json").write_text(json.dumps(facts))
    assert rings(render(tmp_path, run)) == {
        "policy, seed 0: selected at step 40, 0.350", "policy, seed 1: selected at step 10, 0.300"
    }  # fmt: skip


def test_a_run_in_training_has_the_selection_that_it_has_kept(tmp_path):
    run = ranks(tmp_path / "run")
    (run / "ranking.json").unlink()
    (run / "selected").mkdir()
    (run / "selected" / "meta.json").write_text(json.dumps({"steps": {"policy": [20, 20]}}))
    page = render(tmp_path, run)
    assert {ring.partition(":")[0] for ring in rings(page)} == {"policy, seed 0", "policy, seed 1"}
    assert "Without ranking.json" in page.text and "At step 40, on the validation part." in page.text
    assert not tables(page)


def test_without_a_validation_part_nothing_is_said_to_be_selected(tmp_path):
    held = {**TEST, "": TEST["final"], "critic": TEST["final.critic"]}
    page = render(tmp_path, ranks(tmp_path / "run", held, valid=False))
    main, _ = tables(page)
    assert [name for name in main if "step" in name] == ["policy, at the end, step 40", "critic, at the end, step 40"]
    assert "Nothing was selected, for want of a validation part" in page.text
    assert "Ranked on the test part" in page.text and "On the test part: the policy at step 40." in page.text
    assert not rings(page) and "Rings" not in page.text


def test_one_seed_claims_no_spread(tmp_path):
    page = render(tmp_path, ranks(tmp_path / "run", seeds=1))
    main, _ = tables(page)
    assert all("±" not in said and not dots for row in main.values() for said, _, dots in row.values())
    assert "One seed: no spread." in page.text and "± is" not in page.text
    assert len(rings(page)) == 2


@pytest.mark.parametrize("gone", ["ranking.json", "metrics.jsonl", "log.jsonl", "start", "start/ranking.json"])
def test_what_is_missing_or_broken_is_no_end(tmp_path, gone):
    run = ranks(tmp_path / "run")
    place = run / gone / "run.json" if gone == "start" else run / gone
    place.unlink()
    for left in (None, "{", "[1]", '{"step": 3}', '{"step": 3, "metrics": {"p@5": null}}'):
        if left is not None:
            place.write_text(left)
        page = render(tmp_path, run)
        assert "NaN" not in page.source and "None" not in page.text
        assert len(page.all("figure")) == len(page.all("figcaption"))


def test_a_comparison_outlives_its_runs(tmp_path):
    place = compared(tmp_path / "comparison")
    (place / "bpr" / "ranking.json").unlink()
    (place / "irgan" / "run.json").unlink()
    main, _ = tables(render(tmp_path, place))
    assert main["irgan"]["NDCG@10"][0] == "0.525 ± 0.007" and main["bpr"]["NDCG@10"][0] == "0.515 ± 0.007"
    (place / "bpr" / "run.json").unlink()
    main, *_ = tables(render(tmp_path, place))
    assert main["irgan"]["NDCG@10"][0] == "0.525 ± 0.007" and "ease" in " ".join(main)


def test_bare_runs_are_told(tmp_path):
    for kind in ("interactions", "letor"):
        bare = tmp_path / kind
        bare.mkdir()
        (bare / "run.json").write_text(json.dumps({"paper": "irgan", "data": {"name": "x", "kind": kind}}))
        page = render(tmp_path, bare)
        assert "Without ranking.json" in page.text and "samples" not in page.text.lower().replace("samples per", "")
        assert not page.all("figure")


def test_a_run_that_ranks_has_no_place_for_pictures(tmp_path):
    page = render(tmp_path, ranks(tmp_path / "run"))
    assert not page.all("img") and not page.all("input")
    heads = [text for tag, text in page.texts if tag == "h3"]
    assert heads == [
        "Rankings",
        "Ranked over training",
        "What the policy draws",
        "Signals of training",
        "How it was made",
    ]
    assert "No pictures" not in page.text and "samples/" not in page.text
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page.source, re.DOTALL)
    assert len(captions) == len(page.all("figure")) == 4
    assert all(re.search(r"\bseeds?\b", caption) and re.search(r"\bsteps?\b", caption) for caption in captions)


def test_the_caption_says_what_was_asked_and_what_chose(tmp_path):
    text = render(tmp_path, ranks(tmp_path / "run")).text
    assert "Ranked: the test part, for 187 users (those with nothing relevant there left out)" in text
    assert "the judged step of the best NDCG@10 on the validation part; the test chose nothing" in text
    assert "Closed forms: fitted to the same training part" in text


def test_diagnostics_stand_once_with_what_they_say(tmp_path):
    run = ranks(tmp_path / "run")
    page = render(tmp_path, run)
    titles = [text for tag, text in page.texts if tag == "h4"]
    for signal in map(ENGLISH.signal, measures.DIAGNOSTICS):
        assert titles.count(signal.title) == 1 and page.text.count(signal.note) == 1
    assert "all 120 items" in page.text and titles.count("Reward") == 1
    (run / "log.jsonl").write_text(lines([{"step": s, "critic_value": 1.0} for s in STEPS]))
    assert "What the policy draws" not in render(tmp_path, run).text  # as of dns, which has no policy


def test_a_comparison_has_the_closed_forms_as_baselines(tmp_path):
    page = render(tmp_path, compared(tmp_path / "comparison"))
    main, whole = tables(page)
    assert list(next(iter(main.values()))) == [*MAIN, "Seconds"]
    assert [name.partition(",")[0] for name in main] == [
        "irgan",
        "bpr",
        "the start of irgan",
        "popularity",
        "item-knn",
        "ease",
    ]
    assert [row["NDCG@10"][1] for row in main.values()] == ["leads", "close", "", "", "best", ""]
    assert [bool(row["NDCG@10"][2]) for row in main.values()] == [True, True, False, False, False, False]
    assert page.source.count('<tr class="baseline">') == 8
    assert [name.split(",")[0] + "," + name.split(",")[1] for name in whole][:5] == [
        "irgan, policy", "irgan, policy", "irgan, critic", "irgan, critic", "bpr, policy"
    ]  # fmt: skip
    assert "irgan has the highest NDCG@10, 0.525 ± 0.007" in page.text
    assert "Of the baselines, item-knn has 0.545, which is higher." in page.text
    assert ("h3", "Rankings") not in page.texts  # the runs share the comparison's


def test_dots_have_an_axis_that_does_not_reach_for_the_baselines(tmp_path):
    page = render(tmp_path, compared(tmp_path / "comparison"))
    ends = re.findall(r'<span class="ends"><span>(.*?)</span><span>(.*?)</span>', page.source)
    assert ends[MAIN.index("NDCG@10")] == ("0.510", "0.530")  # popularity has 0.240


def test_a_lower_baseline_is_said_to_be_lower(tmp_path):
    found = read.read_directory(compared(tmp_path / "comparison"))
    rows = [row for row in found.baselines if row.label == "popularity"]
    assert "popularity has 0.240, which is lower" in ENGLISH.verdict(read.Comparison(found.rows, baselines=tuple(rows)))


def test_runs_on_the_same_data_share_one_table(tmp_path):
    one, two = ranks(tmp_path / "one"), ranks(tmp_path / "two", {**TEST, "": (0.54, 0.55)}, paper="irgan-x")
    data = {"name": "tastes", "kind": "interactions", "shape": [9, 9], "fingerprint": "beef"}
    other = ranks(tmp_path / "other", data=data)
    page = render(tmp_path, one, two, other)
    shared, whole, alone, _ = tables(page)
    names = [name.partition(",")[0] for name in shared]
    assert names == ["irgan", "irgan-x", "the start of irgan and irgan-x", "popularity", "item-knn", "ease"]
    assert [row["NDCG@10"][0] for row in shared.values()][:2] == ["0.525 ± 0.007", "0.545 ± 0.007"]
    assert len(whole) == 8 + 4 and "the start, dns" in alone
    assert len([text for tag, text in page.texts if (tag, text) == ("h3", "Rankings")]) == 1


def test_validation_is_never_a_row_beside_the_test(tmp_path):
    one, two = ranks(tmp_path / "one"), ranks(tmp_path / "two", paper="bpr")
    (two / "ranking.json").unlink()
    shared = tables(render(tmp_path, one, two))[0]
    assert [said for said, *_ in shared["bpr"].values()] == ["–"] * len(MAIN)
    (one / "ranking.json").unlink()
    assert not tables(render(tmp_path, one, two))


def test_variants_are_no_papers(tmp_path):
    place = compared(tmp_path / "comparison", ("irgan", "irgan without"))
    facts = json.loads((place / "compare.json").read_text())
    facts["rows"][1]["paper"] = "without a reward"
    (place / "compare.json").write_text(json.dumps(facts))
    assert ("h1", "2 variants on tastes") in render(tmp_path, place).texts


def test_metrics_of_rankers_are_known_whoever_ranks():
    assert ENGLISH.measure("ndcg@10").label == "NDCG@10" and ENGLISH.measure("ndcg@10").better == 1
    assert ENGLISH.measure("final.critic.p@5").label == "P@5, final critic"
    assert ENGLISH.measure("item-knn.map").better == 1
    assert "first 5" in ENGLISH.measure("p@5").note
    assert ENGLISH.measure("version.1").label == "version.1"  # of no ranker
    names = {f"{who}{name}" for who in ("", "critic.", "final.", "ease.") for name in NAMES}
    assert measures.main_metrics(names | {"w1"}) == ["w1", "p@5", "ndcg@5", "ndcg@10", "map", "mrr"]
    assert measures.sort_metrics({"ndcg@10", "p@10", "ndcg@3", "p@3", "map"}) == [
        "p@3",
        "p@10",
        "ndcg@3",
        "ndcg@10",
        "map",
    ]
    assert words.telling_metric(NAMES) == "ndcg@10" and words.telling_metric((*NAMES, "w1")) == "w1"


def test_runs_of_samples_are_told_as_before(tmp_path):
    page = render(tmp_path, a_run(tmp_path / "run"))
    assert not {"Rankings", "Ranked over training", "What the policy draws"} & {
        t for tag, t in page.texts if tag == "h3"
    }
    assert "Judged over training" in page.text and "validation" not in page.text


def test_equal_facts_give_equal_bytes(tmp_path):
    place = compared(tmp_path / "comparison")
    assert render(tmp_path, place).source == render(tmp_path, place).source


def keep_start(run: Path) -> Path:
    """The run as if no step had been better than its start."""
    facts = json.loads((run / "ranking.json").read_text())
    facts["provenance"]["selected"] = {"policy": [0, 0], "critic": [10, 0]}
    (run / "ranking.json").write_text(json.dumps(facts))
    return run


def test_what_was_selected_at_its_start_competes_with_nobody(tmp_path):
    """The best numbers of all are its start's, and the next has the mark."""
    place = compared(tmp_path / "comparison")
    assert tables(render(tmp_path, place))[0]["irgan"]["NDCG@10"][1] == "leads"
    keep_start(place / "irgan")
    page = render(tmp_path, place)
    main, whole = tables(page)
    assert [main[name]["NDCG@10"][1] for name in ("irgan", "bpr")] == ["", ""]  # one alone leads no one
    assert "has the highest" not in page.text
    assert "irgan: what validation selected is the start, in every seed" in page.text
    rows = {name: row["NDCG@10"][1] for name, row in whole.items() if name.startswith("irgan, policy")}
    assert rows["irgan, policy, selected at step 0, the start"] == ""
    main, _ = tables(page := render(tmp_path, place / "irgan"))
    assert main["policy, selected at step 0, the start"]["NDCG@10"][1] == ""
    assert "what validation selected is the start" in page.text


@pytest.mark.parametrize("kept", [(0,), (1,), (0, 1)])
def test_marks_pass_over_those_that_kept_their_start(kept):
    cells = [Spread(5), Spread(4), Spread(3), Spread(2)]
    marks = measures.mark_best(cells, 1, 0, 1, kept)
    assert [i for i, mark in enumerate(marks) if mark] == [min({0, 1, 2} - set(kept))]


def test_a_start_without_a_run_of_its_own_has_a_row(tmp_path):
    for kind, name in (("ease", "the start, EASE, scaled"), ("afresh", "the start, drawn afresh")):
        run = ranks(tmp_path / kind, {**TEST, "start": (0.47, 0.48)}, start=False)
        facts = json.loads((run / "ranking.json").read_text())
        facts["provenance"] |= {"start": {"from": kind, "steps": 0}, "rankers": ["policy", "critic"],
                                "tied": {"": [3, 9], "popularity": [80]}, "left_out": "many"}  # fmt: skip
        (run / "ranking.json").write_text(json.dumps(facts))
        main, _ = tables(page := render(tmp_path, run))
        assert main[name]["NDCG@10"][0].startswith("0.475")
        assert not any(row.startswith("start") for row in main)
        assert "9 of the policy and 80 of the popularity; every value is the mean over all their orders" in page.text
        assert "Not worked out: many." in page.text
