"""Plots of laws: each mark is where its numbers say, on any axes, and what is undefined is not drawn."""

from __future__ import annotations

import math
import re

import pytest

from ganzfeld.faces.report.draw import Curve, Reference, plot, power_label


def curve(x, y, mark="line", label="it", colour="c0"):
    return Curve(label, x, y, mark, colour)


def drawn(markup) -> list[list[tuple[float, float]]]:
    """The strokes of each line, in the drawing's units."""
    strokes = [stroke for d in re.findall(r' d="M([^"]*)"', markup) for stroke in d.split("M")]
    return [[tuple(map(float, spot.split())) for spot in stroke.removesuffix("h0").split("L")] for stroke in strokes]


def rects(markup) -> list[dict[str, float]]:
    found = re.findall(r'<rect class="bar c(\d)" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', markup)
    names = ("colour", "x", "y", "width", "height")
    return [dict(zip(names, map(float, one), strict=True)) for one in found]


def test_decades_are_equally_far_apart_on_logarithmic_axes():
    (stroke,) = drawn(plot([curve([1, 10, 100, 1_000], [1e-9, 1e-6, 1e-3, 1])], "d", "x", "y", log_x=True, log_y=True))
    across, up = zip(*stroke, strict=True)
    for places in (across, up):
        gaps = [b - a for a, b in zip(places, places[1:], strict=False)]
        assert gaps == pytest.approx([gaps[0]] * 3, abs=0.11)
        assert abs(gaps[0]) > 50


def test_what_is_not_above_zero_lifts_the_pen_of_a_logarithmic_axis():
    markup = plot([curve([1, 2, 3, 4], [1, 0.0, 5e-324, 2])], "d", "x", "y", [Reference(0.0, "nought")], log_y=True)
    assert [len(stroke) for stroke in drawn(markup)] == [1, 1]
    assert "nought" not in markup
    assert len(drawn(plot([curve([0, 1, 10], [1, 2, 3])], "d", "x", "y", log_x=True))[0]) == 2


def test_powers_of_ten_far_from_one_are_written_as_powers():
    assert [power_label(v) for v in (1e-12, 2e-5, 0.001, 0.5, 1, 20, 1_000, 1e7)] == [
        "10⁻¹²", "2·10⁻⁵", "0.001", "0.5", "1", "20", "1k", "10⁷",
    ]  # fmt: skip


@pytest.mark.parametrize("wide", [0.3, 1, 7])
def test_a_plane_has_one_scale(wide):
    ring = [2 * math.pi * i / 40 for i in range(41)]
    markup = plot([curve([wide * math.cos(t) for t in ring], [math.sin(t) for t in ring])], "d", "x", "z", plane=True)
    across, up = zip(*drawn(markup)[0], strict=True)
    assert (max(across) - min(across)) / (max(up) - min(up)) == pytest.approx(wide, rel=0.01)
    height = float(re.search(r'viewBox="0 0 440 (\d+)"', markup)[1])
    assert max(up) < height - 30 and height < 460


def test_bars_stand_on_zero_side_by_side():
    lines = [curve([1, 2], [3, 1], "bars"), curve([1, 2], [2, -1], "bars", colour="c1"), curve([1, 2], [0, 0])]
    markup = plot(lines, "d", "x", "y")
    zero = drawn(markup)[0][0][1]
    a, b, c, d = rects(markup)
    assert [round(bar["y"] + bar["height"] - zero, 1) for bar in (a, b, c)] == [0, 0, 0] and d["y"] == zero
    assert a["height"] == pytest.approx(3 * b["height"], abs=0.3) and b["height"] == pytest.approx(d["height"], abs=0.2)
    assert a["x"] + a["width"] <= c["x"] < c["x"] + c["width"] < b["x"]


def test_a_gap_stays_a_gap():
    strokes = drawn(plot([curve(range(6), [1, 2, None, None, 3, 4])], "d", "x", "y"))
    assert [len(stroke) for stroke in strokes] == [2, 2]


def test_a_way_that_turns_back_keeps_its_order():
    angles = [i / 20 for i in range(600)]
    ways = curve([t * math.cos(t) for t in angles], [t * math.sin(t) for t in angles])
    assert len(drawn(plot([ways], "d", "x", "y", plane=True))[0]) == 600


@pytest.mark.parametrize("settings", [{}, {"log_y": True}, {"plane": True}, {"low": 0, "high": 1}])
@pytest.mark.parametrize("mark", ["line", "dashes", "dots", "bars"])
def test_nothing_shows_outside_the_frame(settings, mark):
    markup = plot([curve([0, 1, 2], [0.5, 40, -3], mark)], "d", "x", "y", [Reference(0.5, "half")], **settings)
    outer, inner = re.findall(r"<svg.*?>", markup)
    left, top, width, height = map(float, re.search(r'viewBox="(.*?)"', inner)[1].split())
    _, _, wide, high = map(float, re.search(r'viewBox="(.*?)"', outer)[1].split())
    assert left >= 0 and top >= 12 and left + width <= wide and top + height <= high - 20
    outside = markup[: markup.index(inner)] + markup[markup.rindex("</svg>", 0, -6) :]
    assert not re.search(r'class="(line|dot|bar|reference)', outside)


def test_labels_of_levels_keep_out_of_each_other_and_of_the_curve():
    low_left = curve([0, 1, 2], [0, 0, 5])
    markup = plot([low_left], "d", "x", "y", [Reference(0.1, "one"), Reference(0.2, "other")])
    places = re.findall(r'<text class="reference" x="(.*?)" y="(.*?)">', markup)
    (a, b), (c, d) = [tuple(map(float, place)) for place in places]
    assert abs(a - c) > 40 or abs(b - d) > 10


def test_what_has_no_values_is_not_drawn():
    assert plot([], "d", "x", "y") == plot([curve([1], [None])], "d", "x", "y") == ""
    assert plot([curve([1], [0.0])], "d", "x", "y", log_y=True) == ""
