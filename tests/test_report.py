"""The page shows facts: what it draws lies where the numbers say, and nothing that users name breaks it."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganzfeld.faces import report
from ganzfeld.faces.report import chapters, draw, measures, read, words
from ganzfeld.faces.report.read import Spread

ENGLISH = words.load("en")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """A page as its elements, its text and the table cells that carry a mark."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # (the open element, its text)
        self.open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))


def population(*values: float) -> dict:
    mean = sum(values) / len(values)
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))
    return {"mean": mean, "std": std, "per_member": list(values)}


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def a_run(path: Path, facts: dict | None = None, w1: float = 0.2, warnings: list[str] | None = None) -> Path:
    """A run of two seeds over 300 steps with everything a run can record."""
    (path / "samples").mkdir(parents=True)
    known = {
        "paper": "wgan-gp",
        "data": {"name": "grid25", "shape": [2]},
        "seed": 3,
        "seeds": 2,
        "steps": 300,
    }
    (path / "run.json").write_text(json.dumps({**known, "settings": {"lr": 0.001}, **(facts or {})}))
    log = [
        {
            "step": step,
            "critic_value": 1 / step,
            "d_real": 0.7,
            "d_fake": 0.3,
            "penalty": None,
            "surprise": step / 7,
            "warnings": (warnings or []) if step == 200 else [],
            "per_member": {"critic_value": [0.9 / step, 1.1 / step], "d_real": [0.6, None]},
        }
        for step in (100, 200, 300)
    ]
    (path / "log.jsonl").write_text(lines(log))
    judged = [
        {
            "step": step,
            "metrics": {"w1": population(w1 * 300 / step, w1 * 310 / step), "modes": population(20, 24)},
            "provenance": {"modes_total": 25, "samples": 1000},
        }
        for step in (100, 200, 300)
    ]
    (path / "metrics.jsonl").write_text(lines(judged))
    for step in (0, 100, 200, 300):
        (path / "samples" / f"step-{step:08d}.png").write_bytes(PIXEL)
    return path


def a_comparison(path: Path) -> Path:
    """wgan-gp is best by both metrics, with seeds that leave no doubt; gan is fastest."""
    rows = [
        ("wgan-gp", population(24, 25, 25), population(0.10, 0.11, 0.12), 90.0, 0),
        ("gan", population(5, 9, 7), population(0.9, 1.4, 1.2), 40.0, 1),
        ("wgan", population(23, 20, 22), population(0.30, 0.31, 0.32), 80.0, 0),
    ]
    facts = []
    for paper, modes, w1, seconds, diverged in rows:
        a_run(path / paper, {"paper": paper, "seeds": 3}, w1["mean"])
        metrics = {"modes": modes, "w1": w1, "critic_w1": w1}
        facts.append({"paper": paper, "run": paper, "metrics": metrics, "seconds": seconds, "diverged": diverged})
    document = {"data": "grid25", "steps": 300, "seeds": 3, "rows": facts}
    (path / "compare.json").write_text(json.dumps(document))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return a_run(tmp_path / "run")


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    return a_comparison(tmp_path / "comparison")


def render(tmp_path: Path, *runs: Path, title: str | None = None) -> Page:
    return Page(report.write(runs, tmp_path / "out" / "page.html", title))


def test_page_is_self_contained(tmp_path, run, comparison):
    page = render(tmp_path, run, comparison)
    asked = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href")
    ]
    assert asked and all(value.startswith(("data:", "#")) for value in asked)
    assert "@import" not in page.source and "url(" not in page.source
    assert not [script for script in page.all("script") if "src" in script]
    [policy] = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_links_within_the_page_have_their_ends(tmp_path, run, comparison):
    page = render(tmp_path, run, comparison)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.all("a")} <= {f"#{name}" for name in ids}


def test_page_escapes_what_users_name(tmp_path):
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    facts = {
        "paper": hostile,
        "data": {"name": hostile, hostile: hostile},
        "command": hostile,
        "citation": hostile,
        "constraints": [hostile],
        "versions": {hostile: hostile},
        hostile: hostile,
    }
    places = [a_run(tmp_path / name, facts, warnings=[hostile]) for name in ("a", "b")]
    page = render(tmp_path, *places, title=hostile)
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(image["src"].startswith("data:image/png") for image in page.all("img"))
    assert ("title", hostile) in page.texts and ("code", hostile) in page.texts


def test_truncated_log_is_tolerated(tmp_path, run):
    whole = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text(whole + '{"step": 400, "critic_va')
    page = render(tmp_path, run)
    assert "1 line of log.jsonl could not be read" in page.text
    assert "Logged at 3 steps from 100 to 300" in page.text


@pytest.mark.parametrize("line", ["[1, 2]", '{"seconds": 3}', '{"step": null}', '{"step": 1e999}', "\x00", "3"])
def test_a_line_that_is_no_record_is_tolerated(tmp_path, run, line):
    (run / "metrics.jsonl").write_text(line + "\n" + (run / "metrics.jsonl").read_text())
    assert "1 line of metrics.jsonl could not be read" in render(tmp_path, run).text


def test_a_resumed_step_counts_once(run):
    row = {"step": 200, "critic_value": 9.0}
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    assert [row["step"] for row in read.read_run(run).log] == [100, 200, 300]
    assert read.read_run(run).log[1]["critic_value"] == 9.0


def test_what_is_absent_is_said(tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "run.json").write_text("{}")
    page = render(tmp_path, bare)
    for name in ("log.jsonl", "metrics.jsonl", "samples/"):
        assert name in page.text
    assert ("h1", "bare") in page.texts


def test_undefined_numbers_are_gaps(tmp_path, run):
    rows = [{"step": s, "critic_value": v} for s, v in ((1, 1.0), (2, math.nan), (3, math.inf), (4, 2.0), (5, 3.0))]
    (run / "log.jsonl").write_text(lines(rows))
    assert [read.number(row["critic_value"]) for row in read.read_run(run).log] == [1.0, None, None, 2.0, 3.0]
    page = render(tmp_path, run)
    lifted = [p["d"] for p in page.all("path") if p.get("class", "").startswith("line") and p["d"].count("M") == 2]
    assert len(lifted) == 1
    assert "nan" not in page.source.split("</style>")[1] and "inf" not in lifted[0]


def test_neither_run_nor_comparison_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=f"{place.name} is neither a run .* nor a comparison"):
            report.write([place], tmp_path / "page.html")
    with pytest.raises(ValueError, match="at least one"):
        report.write([], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("name", ["run.json", "compare.json"])
@pytest.mark.parametrize("text", ["{", "", "[1]", '{"paper": "gan",}', "\ud800"])
def test_broken_documents_are_refused_in_one_line(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=name) as refused:
        report.write([tmp_path], tmp_path / "page.html")
    assert type(refused.value) is ValueError and "\n" not in str(refused.value)


def test_equal_facts_give_equal_bytes(tmp_path, comparison):
    first = report.write([comparison], tmp_path / "a.html").read_bytes()
    assert report.write([comparison], tmp_path / "b.html").read_bytes() == first


def test_every_figure_states_its_seeds_and_steps(tmp_path, run, comparison):
    page = render(tmp_path, comparison, run)
    assert len(page.all("figure")) == len(page.all("figcaption"))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page.source, re.DOTALL)
    assert len(captions) == len(page.all("figure")) > 10
    for caption in captions:
        assert re.search(r"\bseeds?\b", caption) and re.search(r"\bsteps?\b", caption), caption


def test_every_picture_is_described(tmp_path, run, comparison):
    page = render(tmp_path, run, comparison)
    assert all(image["alt"] for image in page.all("img"))
    drawings = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(drawings) > 20 and all(svg["aria-label"] for svg in drawings)


def test_every_chapter_has_its_macro():
    blocks = (Path(report.__file__).parent / "chapters.html.j2").read_text()
    for name in (*(chapter.__name__ for chapter in chapters.COMPARISON), *chapters.RUN):
        assert f"{{% macro {name}(it) %}}" in blocks
    assert {name for task in read.TASKS.values() for name in task.chapters} == chapters.RUN.keys()


def test_scrubber_steps_from_the_first_picture_to_the_last(tmp_path, run):
    for step in range(301, 340):
        (run / "samples" / f"step-{step:08d}.png").write_bytes(PIXEL)
    page = render(tmp_path, run)
    steps = [int(span["data-step"]) for span in page.all("span") if "data-step" in span]
    assert len(steps) == chapters.MOST_FRAMES and steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 339)
    [scrubber] = page.all("input")
    assert scrubber["type"] == "range" and int(scrubber["max"]) == len(steps) - 1


def test_warnings_are_listed_once_with_their_steps(tmp_path):
    place = a_run(tmp_path / "run", warnings=["collapse: 1 of 25 modes; try wgan-gp"])
    page = render(tmp_path, place)
    assert page.text.count("collapse: 1 of 25 modes") == 1
    assert ("span", "step 200") in page.texts


def test_warnings_that_differ_by_numbers_alone_are_one():
    said = [
        (100, "member 1: collapse: samples spread over 4.2% of the data; try r3gan"),
        (200, "member 0: collapse: samples spread over 3.1% of the data; try r3gan"),
        (200, "collapse: 1 of 8 modes covered"),
    ]
    assert ENGLISH.warnings(said) == [
        ("steps 100 and 200", "members 0 and 1: collapse: samples spread over 3.1% of the data; try r3gan"),
        ("step 200", "collapse: 1 of 8 modes covered"),
    ]


def test_unknown_facts_and_records_are_shown(tmp_path):
    page = render(tmp_path, a_run(tmp_path / "run", {"flavour": {"of_field": [1, 2.5, None]}}))
    assert ("th", "of field") in page.texts and ("td", "1, 2.5, not set") in page.texts
    assert ("h4", "surprise") in page.texts


def marks(page: Page) -> dict[str, list[str]]:
    """The marks of the table's cells by paper."""
    [table] = re.findall(r"<tbody>(.*?)</tbody>", page.source.split('class="sheet"')[0], re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return {re.search(r">([\w-]+)</a>", row)[1]: re.findall(r'<td class="(\w*)">', row) for row in rows}


def test_best_is_marked_by_direction(tmp_path, comparison):
    assert marks(render(tmp_path, comparison)) == {  # modes up, w1 down, critic_w1 neither, seconds down
        "wgan-gp": ["best", "best", "", ""],
        "gan": ["", "", "", "best"],
        "wgan": ["", "", "", ""],
    }


def test_reversed_direction_marks_another():
    cells = [Spread(0.1, 0.01, (0.09, 0.1, 0.11)), Spread(0.9, 0.01, (0.89, 0.9, 0.91)), Spread(None)]
    assert measures.mark_best(cells, -1) == ["best", "", ""]
    assert measures.mark_best(cells, 1) == ["", "best", ""]
    assert measures.mark_best(cells, 0) == ["", "", ""]


def test_what_seeds_cannot_tell_apart_is_close():
    best, near = Spread(1.0, None, (0.5, 1.0, 1.5)), Spread(1.2, None, (0.7, 1.2, 1.7))
    assert measures.mark_best([best, near], -1) == ["best", "close"]
    tight = [Spread(s.mean, None, (s.mean - 0.01, s.mean, s.mean + 0.01)) for s in (best, near)]
    assert measures.mark_best(tight, -1) == ["best", ""]
    assert measures.mark_best([Spread(1.0), Spread(1.001)], -1) == ["best", ""]  # one seed claims no error


def test_runs_trained_apart_are_compared_on_the_same_data(tmp_path):
    one, two = a_run(tmp_path / "one", w1=0.1), a_run(tmp_path / "two", w1=0.4)
    other = a_run(tmp_path / "other", {"data": {"name": "digits"}})
    page = render(tmp_path, one, two, other)
    assert ("h2", "grid25, side by side") in page.texts
    assert ("h2", "digits, side by side") not in page.texts
    assert {"wgan-gp (one)", "wgan-gp (two)"} <= {text for tag, text in page.texts if tag == "h2"}


def test_perfect_sampler_is_drawn_where_it_is_known():
    [known] = ENGLISH.references("high_quality", {}, [2])
    assert known.value == pytest.approx(0.98889, abs=1e-5)
    assert ENGLISH.references("high_quality", {}, [3]) == []
    assert ENGLISH.references("modes", {"modes_total": 8}, [2])[0].value == 8
    assert ENGLISH.references("modes", {}, [2]) == []
    assert ENGLISH.references("w1", {"perfect": {"w1": 0.08}}, [2]) == [draw.Reference(0.08, "held-out data")]
    assert ENGLISH.references("w1", {"perfect": {"fd": 0.08}}, [2]) == []


wide = st.floats(-1e12, 1e12, allow_subnormal=False)


@given(wide, wide, st.integers(2, 9))
def test_nice_ticks_cover_the_range(a, b, count):
    low, high = min(a, b), max(a, b)
    marks = draw.ticks(low, high, count)
    assert marks[0] <= low and marks[-1] >= high
    assert 2 <= len(marks) <= count + 3
    gaps = [y - x for x, y in zip(marks, marks[1:], strict=False)]
    assert min(gaps) > 0
    assert max(gaps) - min(gaps) <= 1e-6 * max(gaps) + 1e-9 * max(abs(low), abs(high))
    assert high - low <= 1e-9 * max(abs(low), abs(high), 1e-30) or marks[1] > low and marks[-2] < high


@given(st.floats(1e-9, 1e9), st.floats(1, 1e6))
def test_decades_cover_the_range(low, ratio):
    marks = draw.decades(low, low * ratio)
    assert marks[0] <= low * (1 + 1e-12) and marks[-1] >= low * ratio * (1 - 1e-12)
    assert marks == sorted(set(marks)) and len(marks) >= 2


def strokes(commands: str) -> list[list[tuple[float, float]]]:
    """The points of a path, one list for each stroke of the pen."""
    pieces = [piece.removesuffix("h0") for piece in commands.split("M") if piece]
    return [[tuple(map(float, point.split())) for point in piece.split("L")] for piece in pieces]


@given(
    st.lists(st.none() | st.floats(-50, 50), min_size=1, max_size=60),
    st.booleans(),
)
def test_curve_passes_through_its_points(values, log):
    if log:
        values = [None if v is None else 10 ** (v / 20) for v in values]
    x = draw.Axis(0, len(values), 30, 350)
    y = draw.Axis(10**-2.5, 10**2.5, 180, 10, True) if log else draw.Axis(-50, 50, 180, 10)
    drawn = strokes(draw.path(enumerate(values), x, y))
    points = [point for stroke in drawn for point in stroke]
    defined = [(i, v) for i, v in enumerate(values) if v is not None]
    assert len(points) == len(defined)
    for (left, down), (i, v) in zip(points, defined, strict=True):
        assert (left - x.start) / (x.end - x.start) * len(values) == pytest.approx(i, abs=0.02)
        part = (down - y.start) / (y.end - y.start)
        back = 10 ** (-2.5 + 5 * part) if log else -50 + 100 * part
        assert back == pytest.approx(v, rel=0.01, abs=0.05)
    gaps = sum(v is not None and (i == 0 or values[i - 1] is None) for i, v in enumerate(values))
    assert len(drawn) == gaps  # the pen lifts where a value is undefined, and only there


@given(st.lists(st.floats(-1e6, 1e6), min_size=21, max_size=90))
def test_thinned_curve_keeps_its_ends_and_extremes(values):
    points = list(enumerate(values))
    kept = draw.thin(points, 20)
    assert set(kept) <= set(points) and kept == sorted(kept) and len(kept) <= 22
    assert kept[0] == points[0] and kept[-1] == points[-1]
    heights = [v for _, v in kept]
    assert min(heights) == min(values) and max(heights) == max(values)


@given(st.lists(st.floats(14, 200), max_size=15))
def test_end_labels_do_not_overlap(places):
    moved = draw._move_apart(sorted(places), 11.5, 204)
    assert all(b - a >= 11.5 - 1e-9 for a, b in zip(moved, moved[1:], strict=False))
    assert all(place <= 204 for place in moved)


def test_a_spike_leaves_the_axis_and_is_named():
    calm = [0.1 + 0.001 * (i % 7) for i in range(200)]
    chart = draw.chart([draw.Series(range(200), [500.0, *calm[1:]])], "", ENGLISH)
    assert "↑ up to 500" in chart
    assert "up to" not in draw.chart([draw.Series(range(200), calm)], "", ENGLISH)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.0, "0"),
        (25.0, "25"),
        (33921, "33,921"),
        (0.98889, "0.989"),
        (9.9999, "10.0"),
        (12345.6, "12,300"),
        (-0.02345, "−0.0234"),
        (1.234e-7, "1.23×10⁻⁷"),
        (4.2e12, "4.20×10¹²"),
    ],
)
def test_numbers_have_three_significant_digits(value, said):
    assert words.format_number(value) == said


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (Spread(0.1234, 0.0056), "0.123 ± 0.006"),
        (Spread(24.6, 0.69), "24.6 ± 0.7"),
        (Spread(25.0, 0.4), "25 ± 0.4"),
        (Spread(25.0, 0.0, (25.0, 25.0)), "25 ± 0"),
        (Spread(0.5, 0.00004), "0.500 ± 4.00×10⁻⁵"),
        (Spread(0.5, 0.0, (0.5,)), "0.500"),
        (Spread(None, None, (None,)), "–"),
    ],
)
def test_spread_shares_the_decimals_of_its_mean(fact, said):
    assert words.plus_minus(fact) == said
