"""What the page says of a run with an encoder: codes lie where they are, and who tells classes best is said plainly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ganzfeld.faces.report import chapters, measures, read, words
from ganzfeld.faces.report.read import Spread
from ganzfeld.judging import inference
from test_report import ENGLISH, PIXEL, Page, a_run, lines, population, render

POINTS = [[-2.0, 1.0], [0.0, 0.0], [1.0, -1.0], [3.0, 0.5]]
CODES = {
    "step": 300, "member": 0, "points": POINTS, "shares": [0.25, 0.125], "latent": 8, "classes": [0, 1, 1, 2],
    "names": ["0", "1", "2"], "part": "test",
}  # fmt: skip
PAIRS = {
    "step": 300, "member": 0, "pairs": 30, "columns": 12, "rmse": 0.25, "part": "test", "layout": "below",
}  # fmt: skip
LAWS = {"c2st": 0.7, "cycle": 0.4, "cycle_z": 0.9}
LOST = {
    "knn_codes": 0.8,
    "probe_codes": 0.7,
    "knn_values": 0.95,
    "probe_values": 0.9,
    "knn_pca": 0.95,
    "probe_pca": 0.8,
}
WON = {**LOST, "knn_codes": 0.97, "probe_codes": 0.96}
TRAINED = {"knn_autoencoder": 0.5, "cycle_autoencoder": 0.1, "knn_regressor": 0.6, "cycle_regressor": 0.3}


def inferred(
    path: Path, told: dict | None = None, codes: object = CODES, pairs: object = PAIRS, test: int = 2500, **facts
):
    """A run with an encoder at its end. told: metrics of inference, a value or the values of its seeds."""
    a_run(path, facts)
    metrics = {**LAWS, **(LOST if told is None else told)}
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row["metrics"] |= {k: population(*v) if isinstance(v, tuple) else population(v, v) for k, v in metrics.items()}
        row["provenance"]["inference"] = {"test": test, "codes": "at noise 0", "train": 5000}
    (path / "metrics.jsonl").write_text(lines(rows))
    for name, said in (("codes", codes), ("reconstruction", pairs)):
        text = said if isinstance(said, str) else json.dumps(said)
        (path / "samples" / f"{name}.json").write_text(text)
    (path / "samples" / "reconstruction.png").write_bytes(PIXEL)
    return path


def heads(page: Page) -> list[str]:
    return [text for tag, text in page.texts if tag in ("h3", "h4")]


def spots(page: Page) -> list[tuple[float, float, str]]:
    """(x, y, classes) of the codes that are drawn, as glyphs or as dots."""
    glyphs = [(float(t["x"]), float(t["y"]), t["class"]) for t in page.all("text") if "glyph" in t.get("class", "")]
    dots = [(float(c["cx"]), float(c["cy"]), c["class"]) for c in page.all("circle") if c.get("r") == "3"]
    return glyphs + dots


def caption(page: Page, start: str) -> str:
    [found] = [text for tag, text in page.texts if tag == "figcaption" and text.startswith(start)]
    return found


def table(page: Page) -> dict[str, list[str]]:
    """The marks of the table of spaces, by space."""
    [body] = re.findall(r"Read from</th>.*?<tbody>(.*?)</tbody>", page.source, re.DOTALL)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return {re.search(r'scope="row">(.*?)<', row)[1]: re.findall(r'<td class="(\w*)">', row) for row in rows}


@pytest.mark.parametrize("names", [["0", "1", "2"], ["cat", "dog", "owl"], []])
def test_codes_lie_where_they_are_at_one_scale(tmp_path, names):
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, "names": names}))
    drawn = spots(page)
    assert len(drawn) == len(POINTS)
    unit = (drawn[3][0] - drawn[0][0]) / 5
    assert unit > 0
    for (across, down, _), (x, y) in zip(drawn, POINTS, strict=True):
        assert across - drawn[1][0] == pytest.approx(unit * x, abs=0.11)
        assert drawn[1][1] - down == pytest.approx(unit * y, abs=0.11)  # upwards, and as long as to the right


@pytest.mark.parametrize(
    "points", [[[0, 0], [0, 0]], [[0, 0], [0, 9]], [[0, 0], [9, 0]], [[1e30, 0], [0, -1e30]], [[3, 4]]]
)
def test_codes_without_extent_or_of_any_size_stay_in_the_frame(tmp_path, points):
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, "points": points, "classes": None}))
    [frame] = [svg["viewbox"] for svg in page.all("svg") if svg.get("class") == "chart scatter"]
    _, _, width, height = map(float, frame.split())
    assert height <= 480
    assert all(0 < x < width and 0 < y < height for x, y, _ in spots(page)) and len(spots(page)) == len(points)


def test_a_class_of_one_character_is_drawn_as_itself(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run"))
    assert re.findall(r'<text class="glyph (c\d)"[^>]*>(.)</text>', page.source) == [
        ("c0", "0"), ("c1", "1"), ("c1", "1"), ("c2", "2"),
    ]  # fmt: skip
    assert [text for tag, text in page.texts if tag == "b" and text in "012"] == ["0", "1", "2"]  # the legend
    assert "each drawn as its class" in caption(page, "Codes E(x)")


@pytest.mark.parametrize("names", [[str(i) for i in range(10)], [f"class {i}" for i in range(10)]])
def test_ten_classes_look_ten_ways(tmp_path, names):
    ten = {**CODES, "points": [[i, i % 3] for i in range(10)], "classes": list(range(10)), "names": names}
    page = render(tmp_path, inferred(tmp_path / "run", codes=ten))
    looks = [look for *_, look in spots(page)]
    assert len(set(looks)) == 10
    assert (
        len(re.findall(r'<(?:b|i) class="(?:glyph|swatch) c\d(?: again)?"></i>class|<b class="glyph', page.source))
        == 10
    )
    assert all(f"--{look.split()[1]}:" in page.source for look in looks)


def test_a_class_keeps_its_colour_where_others_do_not_occur(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, "classes": [2, 2, 2, 2]}))
    assert {look for *_, look in spots(page)} == {"glyph c2"}


@pytest.mark.parametrize("classes", [None, [], [0, 1], [0, 1, 1, "x"], [0, 1, 1, -1], "0112", {"0": 1}])
def test_codes_of_unknown_classes_are_drawn_alike(tmp_path, classes):
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, "classes": classes}))
    assert {look for *_, look in spots(page)} == {"dot "} and len(spots(page)) == 4
    assert "its class" not in caption(page, "Codes E(x)") and ("span", "Class") not in page.texts


@pytest.mark.parametrize(("count", "told"), [(16, True), (17, False)])
def test_more_classes_than_can_be_told_apart_are_drawn_alike(tmp_path, count, told):
    many = {"points": [[i, i % 5] for i in range(count)], "classes": list(range(count)), "names": ["long"] * count}
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, **many}))
    assert len({look for *_, look in spots(page)}) == (count if told else 1)
    assert ("17 classes are too many" in page.text) != told


def test_axes_state_their_share_of_variance(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run"))
    said = [text for tag, text in page.texts if tag == "text" and "axis" in text]
    assert said == ["first axis, 25 % of the variance →", "second axis, 12.5 % of the variance ↑"]
    assert "4 held-out rows on their two principal axes, of 8 dimensions" in caption(page, "Codes E(x)")
    bare = render(tmp_path, inferred(tmp_path / "bare", codes={**CODES, "shares": [None], "latent": 2}))
    assert [text for tag, text in bare.texts if tag == "text" and "axis" in text] == ["first axis →", "second axis ↑"]
    assert "dimensions" not in caption(bare, "Codes E(x)")


def test_codes_of_one_dimension_have_one_axis(tmp_path):
    line = {**CODES, "points": [[x] for x, _ in POINTS], "shares": [1.0], "latent": 1}
    page = render(tmp_path, inferred(tmp_path / "run", codes=line))
    assert [text for tag, text in page.texts if tag == "text" and "axis" in text] == [
        "first axis, 100 % of the variance →"
    ]
    assert "heights only keep them apart" in page.text
    across = [x for x, *_ in spots(page)]
    assert across[3] - across[0] == pytest.approx(5 / 2 * (across[1] - across[0]), abs=0.3)


def test_points_that_cannot_be_read_go_with_their_classes(tmp_path):
    broken = [[0, 1], [None, 2], [1, "x"], "ab", [5, 5], []]
    codes = {**CODES, "points": broken, "classes": [0, 1, 1, 1, 2, 1]}
    found = read.read_run(inferred(tmp_path / "run", codes=codes)).codes
    assert (found.points, found.classes, found.names) == (((0, 1), (5, 5)), (0, 2), {0: "0", 2: "2"})
    assert len(spots(render(tmp_path, tmp_path / "run"))) == 2


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "\x00", {}, {**CODES, "points": 3}, {**CODES, "points": [[None, 1]]}, {**CODES, "step": None}],
)
def test_damaged_codes_are_named_absent_and_the_table_stays(tmp_path, said):
    page = render(tmp_path, inferred(tmp_path / "run", codes=said))
    assert "Without samples/codes.json, which a run with an encoder leaves at its end." in page.text
    assert not spots(page) and "Reconstructions" in heads(page)
    assert "The codes lose" in page.text and table(page)
    bare = render(tmp_path, inferred(tmp_path / "bare", told={}, codes=said))
    assert "Codes" not in heads(bare)


@pytest.mark.parametrize("damage", [{"names": None}, {"names": 3}, {"shares": "x"}, {"member": "x"}, {"latent": []}])
def test_codes_with_a_damaged_detail_are_drawn(tmp_path, damage):
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, **damage}))
    assert len(spots(page)) == 4 and "samples/codes.json" not in page.text


def test_reconstructions_say_what_is_above_and_below(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run", seeds=3))
    said = caption(page, "30 held-out rows")
    assert said.startswith("30 held-out rows, and below each its reconstruction G(E(x))")
    assert "off by 0.250 in root mean square" in said and "Member 0 of 3 seeds, after step 300." in said
    assert [text for tag, text in page.texts if tag == "li" and "x" in text] == ["x", "G(E(x))"] * 3


def test_reconstructions_of_points_say_what_is_left_and_right(tmp_path):
    beside = {**PAIRS, "pairs": 2500, "columns": 2, "layout": "beside"}
    page = render(tmp_path, inferred(tmp_path / "run", pairs=beside))
    said = caption(page, "2,500 held-out rows")
    assert "on the left and, on the right, their reconstructions G(E(x))" in said and "below" not in said
    assert not [text for tag, text in page.texts if tag == "li" and "x" in text]
    assert ("span", "x, held out") in page.texts and ("span", "G(E(x))") in page.texts


@pytest.mark.parametrize("off", [None, "x", float("nan")])
def test_an_error_that_is_not_known_is_not_told(tmp_path, off):
    page = render(tmp_path, inferred(tmp_path / "run", pairs={**PAIRS, "rmse": off}))
    assert "that the encoder gives them. " in caption(page, "30 held-out rows")


@pytest.mark.parametrize(
    "said",
    ["", "[1]", {}, *({**PAIRS, key: bad} for key, bad in (
        ("step", None), ("pairs", 0), ("pairs", -3), ("columns", 0), ("columns", "x"), ("layout", "around"),
    ))],
)  # fmt: skip
def test_damaged_facts_of_reconstructions_are_named_absent(tmp_path, said):
    page = render(tmp_path, inferred(tmp_path / "run", pairs=said))
    assert "Without samples/reconstruction.png with its facts, which a run with an encoder" in page.text
    assert "Reconstructions" not in heads(page) and "Codes" in heads(page)


@pytest.mark.parametrize("content", [None, b"", b"GIF89a", PIXEL[:5]])
def test_what_is_no_picture_is_not_shown(tmp_path, content):
    place = inferred(tmp_path / "run")
    picture = place / "samples" / "reconstruction.png"
    picture.unlink()
    if content is not None:
        picture.write_bytes(content)
    page = render(tmp_path, place)
    assert "Reconstructions" not in heads(page) and "samples/reconstruction.png" in page.text


def test_a_sheet_of_very_many_lines_is_shown_without_their_names(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run", pairs={**PAIRS, "pairs": 10**12, "columns": 1}))
    assert "Reconstructions" in heads(page) and not [t for tag, t in page.texts if tag == "li" and "x" in t]


def test_only_a_run_with_an_encoder_lacks_what_encoders_leave(tmp_path):
    assert "an encoder" not in render(tmp_path, a_run(tmp_path / "plain")).text
    assert "an encoder leaves" not in render(tmp_path, inferred(tmp_path / "run")).text
    bare = inferred(tmp_path / "bare")
    for path in (bare / "samples").glob("[rc]*"):
        path.unlink()
    said = render(tmp_path, bare).text
    assert (
        said.count("an encoder leaves") == 1
        and "samples/reconstruction.png with its facts and samples/codes.json" in said
    )


def test_the_best_of_each_reading_is_marked(tmp_path):
    assert table(render(tmp_path, inferred(tmp_path / "lost"))) == {
        "codes": ["", ""], "raw values": ["best", "best"], "principal components": ["best", ""],
    }  # fmt: skip
    assert table(render(tmp_path, inferred(tmp_path / "won", WON))) == {
        "codes": ["best", "best"], "raw values": ["", ""], "principal components": ["", ""],
    }  # fmt: skip
    few = table(render(tmp_path, inferred(tmp_path / "few", WON, test=100)))  # of 100 rows two more are no more
    assert few == {"codes": ["best", "best"], "raw values": ["close", "close"], "principal components": ["close", ""]}


@pytest.mark.parametrize(
    ("told", "test", "said"),
    [
        (LOST, 2500, "The codes lose to the baselines by 1-nearest neighbour, 0.800 ± 0 against 0.950 ± 0 "
         "(raw values and principal components), and by linear probe, 0.700 ± 0 against 0.900 ± 0 (raw values)."),
        (WON, 2500, "The codes beat the baselines by 1-nearest neighbour, 0.970 ± 0 against 0.950 ± 0"),
        ({**WON, "probe_codes": 0.7}, 2500, "The codes beat the baselines by 1-nearest neighbour"),
        ({**WON, "probe_codes": 0.7}, 2500, "The codes lose to the baselines by linear probe"),
        (WON, 100, "Neither codes nor baselines win by 1-nearest neighbour, 0.970 ± 0 against 0.950 ± 0"),
        ({**WON, "knn_critic": 1.0, "probe_critic": 1.0}, 2500, "The codes beat the baselines"),  # the run's own
        ({**WON, "knn_regressor": 1.0, "probe_regressor": 1.0}, 2500, "(latent regressor), and by linear probe"),
        ({"knn_codes": 0.9, "knn_pca": 0.9}, 2500, "Neither codes nor baselines win"),
        ({"knn_codes": (0.8, 1.0), "knn_pca": 0.85}, 10**6, "Neither codes nor baselines win"),  # seeds differ
        ({"knn_codes": (0.899, 0.901), "knn_pca": 0.85}, 10**6, "The codes beat the baselines"),
    ],
)  # fmt: skip
def test_who_tells_classes_best_is_said(tmp_path, told, test, said):
    assert said in render(tmp_path, inferred(tmp_path / "run", told, test=test)).text


@pytest.mark.parametrize("told", [{}, {"knn_codes": 0.9}, {"knn_pca": 0.9}, {"knn_codes": 0.9, "knn_critic": 0.8}])
def test_without_two_sides_nobody_wins(tmp_path, told):
    said = render(tmp_path, inferred(tmp_path / "run", told)).text
    assert "The codes" not in said and "Neither" not in said


def test_chance_among_rows_counts_once_for_all_seeds():
    one, two = Spread(0.5, 0.0, (0.5,)), Spread(0.56, 0.0, (0.56,))
    assert measures.mark_best([one, two], 1) == ["", "best"]  # one seed claims no error
    assert measures.mark_best([one, two], 1, 100) == ["close", "best"]  # se = .07
    assert measures.mark_best([one, two], 1, 10_000) == ["", "best"]
    many = [Spread(cell.mean, 0.0, (cell.mean,) * 1000) for cell in (one, two)]
    assert measures.mark_best(many, 1, 100) == ["close", "best"]


def test_seeds_that_are_all_equal_have_no_spread():
    assert words.plus_minus(Spread(0.9444444444444444, 1.36e-16, (0.9444444444444444,) * 3)) == "0.944 ± 0"
    assert words.plus_minus(Spread(0.9444444444444444, 1.36e-6, (0.9444444444444444,) * 3)) == "0.944 ± 1.36×10⁻⁶"


def test_cycles_are_tabled_where_a_baseline_has_one(tmp_path):
    assert set(map(len, table(render(tmp_path, inferred(tmp_path / "run"))).values())) == {2}
    marks = table(render(tmp_path, inferred(tmp_path / "more", {**LOST, **TRAINED})))
    assert [row[2] for row in marks.values()] == ["", "", "", "best", ""]  # the autoencoder's: less is better
    alone = table(render(tmp_path, inferred(tmp_path / "alone", {"cycle_regressor": 0.9})))
    assert alone == {"codes": ["best"], "latent regressor": [""]}


def test_without_classes_there_is_no_table(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run", {}, codes={**CODES, "classes": None, "names": []}))
    assert "Codes" in heads(page) and "Read from" not in page.text and "The table" not in page.text


def test_the_table_is_of_the_last_judgement_and_says_so(tmp_path):
    place = inferred(tmp_path / "run")
    rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    rows[0]["metrics"] |= {"knn_codes": population(1.0, 1.0), "knn_critic": population(1.0, 1.0)}
    (place / "metrics.jsonl").write_text(lines(rows))
    page = render(tmp_path, place)
    assert "critic’s features" not in table(page) and "0.800 ± 0 against" in page.text
    assert "The table: judged at step 300, over 2,500 held-out rows. 2 seeds (3–4). ± is one standard" in page.text


@pytest.mark.parametrize("facts", [None, 3, {"test": "x"}, {"test": -5}, {}])
def test_a_judgement_of_unknown_rows_is_tabled(tmp_path, facts):
    place = inferred(tmp_path / "run")
    rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row["provenance"]["inference"] = facts
    (place / "metrics.jsonl").write_text(lines(rows))
    page = render(tmp_path, place)
    assert "The codes lose" in page.text and "over rows" not in page.text and table(page)


def test_every_metric_of_inference_has_a_direction_and_a_meaning():
    labels = {ENGLISH.measure(name).label for name in inference.NAMES}
    assert len(labels) == len(inference.NAMES)
    for name in inference.NAMES:
        what = ENGLISH.measure(name)
        assert what.better == (0 if name == "c2st" else -1 if name.startswith("cycle") else 1), name
        assert what.note and "\n" not in what.note
        assert what.label != name.replace("_", " ")
    assert {space for names in (inference.SPACES, inference.TRAINED_SPACES) for space in names} == set(measures.SPACES)


def test_what_is_tabled_has_no_panel(tmp_path):
    everything = {**dict.fromkeys(inference.NAMES, 0.5)}
    place = inferred(tmp_path / "run", everything)
    run = read.read_run(place)
    own = ["c2st", "cycle", "cycle_z", "knn_codes"]
    labels = [ENGLISH.measure(name).label for name in ("modes", "w1", *own)]
    assert [panel["title"] for panel in chapters.metrics(run, ENGLISH)["panels"]] == labels
    assert [figure["what"].label for figure in chapters.opening(run, ENGLISH)["figures"]] == labels
    [comparison] = read.compare_runs([run, read.read_run(inferred(tmp_path / "two", everything))])
    assert [column["what"].label for column in chapters.standings(comparison, ENGLISH)["columns"]] == labels
    assert [panel["title"] for panel in chapters.race(comparison, ENGLISH)["panels"]] == labels
    tabled = {column["what"].label: column["cells"] for column in chapters.codes(run, ENGLISH)["table"]["columns"]}
    assert sum(bool(cell["strip"]) for cells in tabled.values() for cell in cells) == len(inference.NAMES) - 2


def test_half_is_perfect_for_two_samples(tmp_path):
    assert ENGLISH.references("c2st", {}, [2]) == [(0.5, "perfect")]
    assert ENGLISH.references("cycle", {}, [2]) == []
    page = render(tmp_path, inferred(tmp_path / "a"), inferred(tmp_path / "b"))
    assert "perfect: 0.500" in page.text
    at = [i for i, (tag, text) in enumerate(page.texts) if text == "Two-sample test"]
    assert at and not any("better" in page.texts[i + 1][1] for i in at)


def test_no_comparison_is_won_by_what_is_tabled():
    assert words.telling_metric({"knn_values", "probe_pca"}) is None
    assert words.telling_metric({"knn_values", "knn_codes"}) == "knn_codes"
    assert words.telling_metric({"knn_codes", "w1"}) == "w1"


def test_facts_of_inference_are_told_among_the_judges():
    facts = {"test": 2500, "c2st_rows": 2500, "codes": "at noise 0", "baselines": {"seconds": 3.0, "lr": 0.001}}
    [judge] = ENGLISH.judges({"inference": facts})
    assert judge.name == "inference"
    assert judge.facts == [
        ("held-out rows", "2500"), ("rows of the two-sample test", "2500"), ("codes", "at noise 0"),
        ("baselines", "seconds 3; lr 0.001"),
    ]  # fmt: skip


def test_every_figure_of_an_encoder_states_its_seeds_and_steps(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run"))
    captions = [text for tag, text in page.texts if tag == "figcaption"]
    assert len(captions) == len(page.all("figure")) == 5
    assert all("seed" in caption and "step" in caption for caption in captions)
    drawings = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert all(svg["aria-label"] for svg in drawings) and all(image["alt"] for image in page.all("img"))


def test_only_charts_over_steps_have_a_cursor(tmp_path):
    page = render(tmp_path, inferred(tmp_path / "run"))
    over_steps = [svg for svg in page.all("svg") if "data-low" in svg]
    assert len(over_steps) == len([line for line in page.all("line") if line.get("class") == "cursor"]) > 0
    assert len(over_steps) < len([svg for svg in page.all("svg") if "chart" in (svg.get("class") or "").split()])
    assert '.querySelectorAll(".chart[data-low]")' in page.source


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "<", '"', "&", "\u200b", " "])
def test_names_of_classes_are_escaped(tmp_path, name):
    page = render(tmp_path, inferred(tmp_path / "run", codes={**CODES, "names": [name, "b", "c"]}))
    assert len(page.all("script")) == 1 and len(spots(page)) == 4
    glyphs = [look for *_, look in spots(page) if look.startswith("glyph")]
    assert len(glyphs) == (4 if name in '<"&' else 0)  # what cannot be seen is no glyph
    if name.strip("\u200b "):
        assert name in [text for _, text in page.texts]
