"""Drawings as inline SVG: pure functions from numbers to markup.

Geometry and text only. Colours are classes ``c0`` ... ``c9`` that the page's style sheet sets for light and
dark, and lines take the text colour of their class, so one drawing serves both and prints. A pen lifts where
a value is undefined: a gap in the facts stays a gap in the drawing.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

COLOURS, CLASSES = 8, 10  # the last two differ less from the others: for marks that tell more than their colour
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LINE_POINTS = 240  # points that a line of a chart keeps: about one for each pixel it is drawn on

Values = Sequence[float | None]
Point = tuple[float, float]


class Series(NamedTuple):
    """A line over steps. band: (low, high) around it; members: a thin line each; rings: points that are marked, with
    what to say of each."""

    x: Sequence[float]
    y: Values
    label: str = ""
    band: tuple[Values, Values] | None = None
    members: Sequence[Values] = ()
    colour: str = ""
    rings: Sequence[tuple[float, float, str]] = ()


class Curve(NamedTuple):
    """Points [(x, y)] of a plot, in their order. mark: "line", "dashes", "dots" or "bars"."""

    label: str
    x: Sequence[float]
    y: Values
    mark: str
    colour: str


class Reference(NamedTuple):
    """A value known beforehand, as a labelled horizontal line."""

    value: float
    label: str


class Axis(NamedTuple):
    """The map from [low, high] in data to [start, end] in the drawing: affine, or affine in the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """At most about ``count`` round numbers, 1, 2 or 5 times a power of ten apart, that cover [low, high]."""
    low, high = _widen(low, high)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 5) if m * power >= rough), 10 * power)
    # the quotients are rounded: begin one mark inside the range, and go out as far as it takes
    first, last = math.floor(low / step) + 1, math.ceil(high / step) - 1
    while _multiple(first, step) > low:
        first -= 1
    while _multiple(last, step) < high:
        last += 1
    return [_multiple(i, step) for i in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten that cover [low, high] > 0; of a wide range the powers of ten alone."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 2, 5) if last - first <= 3 else (1,)
    marks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    start = max((i for i, mark in enumerate(marks) if mark <= low), default=0)
    end = min((i for i, mark in enumerate(marks) if mark >= high), default=len(marks) - 1)
    return marks[start : max(end, start + 1) + 1]


def _multiple(i: int, step: float) -> float:
    return i / round(1 / step) if 1e-15 < step < 1 else i * step  # 3 / 10 is 0.3; 3 * 0.1 is not


def _widen(low: float, high: float) -> tuple[float, float]:
    """[low, high], or room around it where it is a point."""
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-30):
        return low, high
    room = abs(low) / 10 or 1.0
    return low - room, high + room


def tick_label(value: float, step: float) -> str:
    """A tick's label: as many decimals as its step needs; thousands as k, millions as M."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(step) >= unit / 10 and abs(value) >= unit:
            return f"{value / unit:.6g}{letter}".replace("-", "−")
    if value and (abs(value) >= 1e6 or step < 1e-4):
        return f"{value:.3g}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}".replace("-", "−")


def power_label(value: float) -> str:
    """The label of a mark on a logarithmic axis: far from one, as a power of ten."""
    if 1e-3 <= value < 1e6:
        return tick_label(value, value)
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**exponent)
    return f"{f'{digit}·' if digit > 1 else ''}10{superscript(exponent)}"


def superscript(exponent: int | str) -> str:
    """The digits of an exponent."""
    return str(exponent).translate(SUPERSCRIPT)


def chart(
    series: Sequence[Series],
    describe: str,
    words: Callable[..., str],
    references: Sequence[Reference] = (),
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    end_labels: bool = False,
    size: tuple[int, int] = (360, 200),
) -> Markup:
    """Lines over steps, with their bands, members, references and axes.

    describe: the drawing in words, for those who do not see it; words: those that stand in it. low, high: natural ends
    of the vertical axis, where the quantity has them. log: a logarithmic axis; what is not above zero has no place on
    it. end_labels: each line's label at its end. A few values far beyond the others (the first steps of a game) do not
    set the axis: the line leaves the frame there, and a note states how far it went.
    """
    width, height = size
    series = [_lift_below_zero(s) for s in series] if log else series
    values = _sort_known(v for s in series for line in _lines_of(s) for v in line)
    if not values:
        return Markup("")
    if log:
        near = [r.value for r in references if r.value > values[0] / 5]
        marks = decades(min([values[0], *near]), max([values[-1], *near]))
        labels = [tick_label(mark, mark) for mark in marks]
    else:
        marks = ticks(*_range(values, references, low, high), 5 if height > 180 else 4)
        labels = [tick_label(mark, marks[1] - marks[0]) for mark in marks]
    left = 10 + 6.2 * max(map(len, labels))
    right = 12 + (12 + 5.8 * max(len(s.label) for s in series) if end_labels else 0)
    steps = [x for s in series for x in s.x]
    x = Axis(*_span(steps), left, width - right)
    y = Axis(marks[0], marks[-1], height - 24, 14, log)
    parts = [_grid(marks, labels, x, y), _foot(x, height - 24, *_places((), x))]
    known = [_reference(r, x, y) for r in references if y.low <= r.value <= y.high]
    curves = [part for s in series for part in _series(s, x, y)]
    parts.append(_window([line for line, _ in known] + curves + [label for _, label in known], x, y))
    drawn = _sort_known(v for s in series for line in (s.y, *s.members) for v in line)
    if drawn:
        parts += _note_beyond(drawn[-1], y, width - right, True, words), _note_beyond(drawn[0], y, 0, False, words)
    if end_labels:
        parts += _end_labels(series, x, y)
    parts.append(tag("line", {"class": "cursor", "x1": 0, "x2": 0, "y1": y.end, "y2": y.start}))
    data = {"data-low": x.low, "data-high": x.high, "data-start": x.start, "data-end": x.end}
    return _svg(size, "chart", describe, parts, data)


def strip(spread: Iterable[float], mean: float | None, axis: Axis, colour: str, describe: str) -> Markup:
    """One dot for each value, a stroke at their mean, on an axis that the whole column shares."""
    dots = [
        tag("circle", {"cx": _n(axis(v)), "cy": _n(9 + 5 * ((i * 0.618) % 1 - 0.5)), "r": 2.4})
        for i, v in enumerate(spread)
    ]
    parts = [tag("line", {"class": "base", "x1": axis.start, "x2": axis.end, "y1": 9, "y2": 9}), *dots]
    if mean is not None:
        parts.append(tag("line", {"x1": _n(axis(mean)), "x2": _n(axis(mean)), "y1": 2, "y2": 16}))
    return _svg((110, 18), f"strip {colour}", describe, parts)


def nearness(distances: Sequence[float], usual: float, copy: float, describe: str, words: Callable[..., str]) -> Markup:
    """A dot for each distance, on an axis from zero; a stroke at the usual one, and the ground below ``copy``."""
    width, base = 400, 62
    marks = ticks(0, max(*distances, usual) or 1, 6)
    axis = Axis(0, marks[-1], 4, width - 10)
    parts = [
        tag("rect", {"class": "copied", "x": axis.start, "y": 22, "width": _n(axis(copy) - 4), "height": base - 22})
    ]
    if axis(copy) > 60:
        parts.append(tag("text", {"class": "beyond", "x": axis.start + 6, "y": 36}, words("nearness.copies")))
    parts += [tag("line", {"class": "base", "x1": axis.start, "x2": axis.end, "y1": base, "y2": base})]
    for mark in marks:
        place = {"x": _n(axis(mark)), "y": base + 16, "text-anchor": "start" if mark == 0 else "middle"}
        parts.append(tag("text", place, tick_label(mark, marks[1])))
    at = _n(axis(usual))
    parts.append(tag("line", {"class": "reference", "x1": at, "x2": at, "y1": 16, "y2": base}))
    place = {"class": "reference", "x": at, "y": 11, "text-anchor": "end" if axis(usual) > width / 2 else "start"}
    parts.append(tag("text", place, words("nearness.usual")))
    for i, distance in enumerate(distances):
        dot = {"class": "dot", "cx": _n(axis(distance)), "cy": _n(46 + 16 * ((i * 0.618) % 1 - 0.5)), "r": 4}
        title = words("nearness.sample", i=i + 1, distance=f"{distance:.3g}")
        parts.append(tag("circle", dot, tag("title", {}, title)))
    return _svg((width, 80), "chart nearness", describe, parts)


def scatter(
    points: Sequence[Sequence[float]], looks: Sequence[tuple[str, str]], labels: Sequence[str], describe: str
) -> Markup:
    """Points in the plane, at one scale on both axes; of one coordinate, on lines whose height means nothing.

    looks: (colour, glyph) of each, a dot where it has no glyph. labels: of the axes.
    """
    width, flat = 440, min(map(len, points)) < 2
    places = [(p[0], 0.0 if flat else p[1]) for p in points]
    xs, ys = zip(*places, strict=True)
    x, y, parts = _plane(xs, (min(ys), max(ys)), width, (150, 400), flat)
    floor = y.start + 8
    for i, ((a, b), (colour, glyph)) in enumerate(zip(places, looks, strict=True)):
        down = y(b) + (60 * ((i * 0.618) % 1 - 0.5) if flat else 0)
        parts.append(_spot(x(a), down, colour, glyph))
    for i, name in enumerate(labels):
        place = {"x": 0, "y": 11} if i else {"x": width, "y": _n(floor + 34), "text-anchor": "end"}
        parts.append(tag("text", {"class": "axis", **place}, f"{name} {'↑' if i else '→'}"))
    return _svg((width, math.ceil(floor + 40)), "chart scatter", describe, parts)


def plot(
    lines: Sequence[Curve],
    describe: str,
    x: str,
    y: str,
    levels: Sequence[Reference] = (),
    log_x: bool = False,
    log_y: bool = False,
    plane: bool = False,
    low: float | None = None,
    high: float | None = None,
    size: tuple[int, int] = (440, 280),
) -> Markup:
    """Curves, points and bars over any quantity, with names of the axes; their labels are left to a legend.

    levels: values known beforehand. log_x, log_y: logarithmic axes; what is not above zero has no place there. plane:
    one unit is as long on both axes, and the height follows from the width. low, high: natural ends of the vertical
    axis.
    """
    lines = [_lift_off_axes(curve, log_x, log_y) for curve in lines]
    levels = [level for level in levels if level.value > 0 or not log_y]
    xs = [a for curve in lines for a in curve.x]
    values = _sort_known(b for curve in lines for b in curve.y)
    if not values:
        return Markup("")
    ends = min([*values, *(r.value for r in levels)]), max([*values, *(r.value for r in levels)])
    if any(curve.mark == "bars" for curve in lines) and not log_y:
        ends = min(0.0, ends[0]), max(0.0, ends[1])
    ends = (ends[0] if low is None or (log_y and low <= 0) else low, ends[1] if high is None else high)
    if plane:
        across, up, frame = _plane(xs, ends, size[0], (0.55 * size[1], 1.2 * size[1]))
    else:
        across, up, frame = _frame(lines, xs, ends, log_x, log_y, size)
    marks = [part for i, curve in enumerate(lines) if curve.mark == "bars" for part in _bars(lines, i, across, up)]
    marks += [part for curve in lines if curve.mark != "bars" for part in _curve(curve, across, up)]
    within = [level for level in levels if min(up.low, up.high) <= level.value <= max(up.low, up.high)]
    strokes = [_reference(level, across, up)[0] for level in within]
    window = _window([*strokes, *marks, *_level_labels(within, lines, across, up)], across, up)
    height = up.start + 38 + (8 if plane else 0)
    names = [tag("text", {"class": "axis", "x": 0, "y": 11}, f"{y} ↑")] if y else []
    if x:
        place = {"x": size[0], "y": _n(height - 4), "text-anchor": "end"}
        names.append(tag("text", {"class": "axis", **place}, f"{x} →"))
    return _svg((size[0], math.ceil(height)), "chart plot", describe, [*frame, window, *names])


def _lift_off_axes(curve: Curve, log_x: bool, log_y: bool) -> Curve:
    """The curve without what has no place on logarithmic axes: the pen lifts there."""
    least = sys.float_info.min
    kept = [(a, b if not log_y or (b or 0) >= least else None) for a, b in zip(curve.x, curve.y, strict=True)]
    kept = [(a, b) for a, b in kept if not log_x or a >= least]
    return curve._replace(x=[a for a, _ in kept], y=[b for _, b in kept])


def _plane(
    xs: Sequence[float], ends: Point, width: float, heights: Point, flat: bool = False
) -> tuple[Axis, Axis, list[Markup]]:
    """Axes of one scale; a shape that is wide or high has room beside it. heights: the least and the most; flat: the
    height means nothing, and is less."""
    (x0, x1), (y0, y1) = _widen(min(xs), max(xs)), _widen(*ends)
    left, top = 36, 24
    wide = width - left - 16
    unit = min(wide / (x1 - x0), heights[1] / (y1 - y0))
    tall = 100.0 if flat else max(heights[0], (y1 - y0) * unit)
    x = _centre((x0 + x1) / 2, wide / unit, left + 8, width - 8)
    y = _centre((y0 + y1) / 2, tall / unit, top + tall + 8, top + 8)
    return x, y, [_lattice(x, y, top, top + tall + 16, flat)]


def _frame(
    lines: Sequence[Curve], xs: Sequence[float], ends: Point, log_x: bool, log_y: bool, size: tuple[int, int]
) -> tuple[Axis, Axis, list[Markup]]:
    """Axes of scales of their own."""
    marks = decades(*ends) if log_y else ticks(*ends)
    marked = _thin_marks(marks, 8) if log_y else marks
    labels = [power_label(mark) if log_y else tick_label(mark, marks[1] - marks[0]) for mark in marked]
    y = Axis(marks[0], marks[-1], size[1] - 38, 24, log_y)
    x = Axis(*_range_across(lines, xs, log_x), 12 + 6.6 * max(map(len, labels)), size[0] - 12, log_x)
    parts = [_grid(marked, labels, x, y), _foot(x, y.start, *_places(lines, x))]
    if _pitch(lines) and y.low < 0 < y.high:
        ground = tag("line", {"x1": _n(x.start), "x2": _n(x.end), "y1": _n(y(0)), "y2": _n(y(0))})
        parts.append(tag("g", {"class": "steps"}, ground))
    return x, y, parts


def _range_across(lines: Sequence[Curve], xs: Sequence[float], log: bool) -> Point:
    """The ends of the horizontal axis: of what is on it, with half a place beside bars."""
    room = _pitch(lines) / 2 if not log else 0
    low, high = min(xs) - room, max(xs) + room
    if not log:
        return _widen(low, high)
    around = decades(low, high)
    inside = [mark for mark in around if low <= mark <= high]
    return (low, high) if len(inside) > 1 else (around[0], around[-1])


def _places(lines: Sequence[Curve], x: Axis) -> tuple[Sequence[float], Sequence[str]]:
    """The marks below a plot and what they say: of a few bars, their places."""
    count = max(2, int((x.end - x.start) / 60))
    if x.log:
        inside = [mark for mark in decades(x.low, x.high) if x.low <= mark <= x.high]
        few = _thin_marks(inside, count)
        return few, [power_label(mark) for mark in few]
    marks = ticks(x.low, x.high, count)
    own = sorted({a for curve in lines if curve.mark == "bars" for a in curve.x})
    step = marks[1] - marks[0]
    if own and len(own) <= 2 * count:
        marks, step = own, _pitch(lines)
    inside = [mark for mark in marks if x.low <= mark <= x.high]
    return inside, [tick_label(mark, step) for mark in inside]


def _thin_marks(marks: Sequence[float], most: int) -> Sequence[float]:
    """The marks, or every second, third ... of many."""
    return marks[:: max(1, math.ceil(len(marks) / most))]


def _pitch(lines: Sequence[Curve]) -> float:
    """How far apart bars stand; 0 where there are none."""
    own = sorted({a for curve in lines if curve.mark == "bars" for a in curve.x})
    return min((b - a for a, b in zip(own, own[1:], strict=False)), default=1.0 if own else 0.0)


def _bars(lines: Sequence[Curve], i: int, x: Axis, y: Axis) -> Iterator[Markup]:
    """The bars of line i, beside those of the other lines at the same places; they stand on zero."""
    group = [curve for curve in lines if curve.mark == "bars"]
    curve, width = lines[i], 0.8 * _pitch(lines) / len(group)
    shift = (sum(other.mark == "bars" for other in lines[:i]) - len(group) / 2) * width
    floor = y.start if y.log else min(max(y(0.0), y.end), y.start)
    for a, b in zip(curve.x, curve.y, strict=True):
        if b is not None:
            left, right, top = x(a + shift), x(a + shift + width), min(max(y(b), y.end), y.start)
            gap = 0.5 if right - left > 4 else 0.0
            place = {"x": _n(left + gap), "y": _n(min(top, floor)), "width": _n(right - left - 2 * gap)}
            title = tag("title", {}, f"{curve.label}, {a:.4g}: {b:.3g}")
            yield tag("rect", {"class": f"bar {curve.colour}", **place, "height": _n(abs(floor - top))}, title)


def _curve(curve: Curve, x: Axis, y: Axis) -> Iterator[Markup]:
    points = list(zip(curve.x, curve.y, strict=True))
    if curve.mark != "dots":
        look = "line again" if curve.mark == "dashes" else "line"
        # every point: a way through the plane may turn back, and of such none can be left out
        yield tag("path", {"class": f"{look} {curve.colour}", "d": "".join(_stroke(r, x, y) for r in _runs(points))})
        return
    for a, b in points:
        if b is not None:
            place = {"cx": _n(x(a)), "cy": _n(y(b)), "r": 3 if len(points) <= 100 else 2.2}
            yield tag("circle", {"class": f"dot {curve.colour}", **place}, tag("title", {}, f"{a:.4g}, {b:.4g}"))


def _level_labels(levels: Sequence[Reference], lines: Sequence[Curve], x: Axis, y: Axis) -> list[Markup]:
    """The labels of levels, each at an end of its line, above or below it, where the least is drawn already."""
    taken = [spot for curve in lines for spot in _covered_spots(curve, x, y)]
    taken += [(x.start + (x.end - x.start) * i / 60, y(level.value)) for level in levels for i in range(61)]
    parts = []
    for level in levels:
        wide, line = 6.2 * len(level.label) + 4, y(level.value)
        corners = [(left, top) for top in (line - 15, line + 2) for left in (x.start + 3, x.end - wide - 3)]
        inside = [corner for corner in corners if y.end - 4 <= corner[1] <= y.start - 12] or corners
        left, top = min(inside, key=lambda corner: sum(_covers(spot, corner, wide) for spot in taken))
        taken += [(left + wide * i / 20, top + 6.5 * j) for i in range(21) for j in range(3)]
        parts.append(tag("text", {"class": "reference", "x": _n(left), "y": _n(top + 10)}, level.label))
    return parts


def _covers(spot: Point, corner: Point, wide: float) -> bool:
    return corner[0] - 6 <= spot[0] <= corner[0] + wide + 6 and corner[1] + 0.5 < spot[1] < corner[1] + 12.5


def _covered_spots(curve: Curve, x: Axis, y: Axis) -> Iterator[Point]:
    """Spots of the drawing that a curve covers, a few pixels apart."""
    for run in _runs(zip(curve.x, curve.y, strict=True)):
        spots = [(x(a), y(b)) for a, b in run]
        yield from spots
        if curve.mark == "bars":
            yield from ((a, b + (y.start - b) * i / 20) for a, b in spots for i in range(21))
        elif curve.mark != "dots":
            for (a, b), (c, d) in zip(spots, spots[1:], strict=False):
                pieces = min(100, int(max(abs(c - a), abs(d - b)) / 5))
                yield from ((a + (c - a) * i / pieces, b + (d - b) * i / pieces) for i in range(1, pieces))


def _centre(middle: float, span: float, start: float, end: float) -> Axis:
    return Axis(middle - span / 2, middle + span / 2, start, end)


def _spot(x: float, y: float, colour: str, glyph: str) -> Markup:
    if glyph:
        return tag("text", {"class": f"glyph {colour}", "x": _n(x), "y": _n(y)}, glyph)
    return tag("circle", {"class": f"dot {colour}", "cx": _n(x), "cy": _n(y), "r": 3})


def _lattice(x: Axis, y: Axis, top: float, floor: float, flat: bool) -> Markup:
    """The grid of a plane, with its numbers below and on the left."""
    parts = []
    for axis, upright in ((x, True), (y, False))[: 1 if flat else 2]:
        marks = ticks(axis.low, axis.high, 6)
        for mark in (mark for mark in marks if axis.low <= mark <= axis.high):
            at, text = _n(axis(mark)), tick_label(mark, marks[1] - marks[0])
            if upright:
                line = {"x1": at, "x2": at, "y1": _n(top), "y2": _n(floor)}
                place = {"x": at, "y": _n(floor + 15), "text-anchor": "middle"}
            else:
                line = {"x1": _n(x.start - 8), "x2": _n(x.end + 8), "y1": at, "y2": at}
                place = {"x": _n(x.start - 14), "y": _n(axis(mark) + 3.5), "text-anchor": "end"}
            parts += [tag("line", line), tag("text", place, text)]
    return tag("g", {"class": "grid"}, *parts)


def field(size: tuple[int, int] = (1120, 84), dots: int = 900) -> Markup:
    """Noise on the left that settles into modes on the right: what a generator does, as an ornament."""
    rng = random.Random(0)
    width, height = size
    pitch, marks = 28, []
    for _ in range(dots):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        order = min(1.0, max(0.0, x / width * 1.5 - 0.3)) ** 2
        mode_x, mode_y = (math.floor(x / pitch) + 0.5) * pitch, (math.floor(y / pitch) + 0.5) * pitch
        noise = rng.gauss(0, 1.6), rng.gauss(0, 1.6)
        x, y = x + order * (mode_x + noise[0] - x), y + order * (mode_y + noise[1] - y)
        marks.append(f"M{_n(x)} {_n(y)}h0")
    words = {"class": "field", "viewBox": f"0 0 {width} {height}", "aria-hidden": "true"}
    return tag("svg", words, tag("path", {"d": "".join(marks)}))


def tag(name: str, attributes: Mapping[str, object], *children: object) -> Markup:
    """An element; what is not markup already is escaped."""
    words = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), words, Markup("").join(map(escape, children)))


def path(points: Iterable[tuple[float, float | None]], x: Axis, y: Axis) -> str:
    """The commands of a line through the points, broken where a value is undefined."""
    return "".join(_stroke(thin(run), x, y) for run in _runs(points))


def thin(points: Sequence[Point], limit: int = LINE_POINTS) -> Sequence[Point]:
    """The points; of many, the lowest and highest of each of limit / 2 stretches: no spike is lost."""
    if len(points) <= limit:
        return points
    kept: list[Point] = []
    stretches = limit // 2
    for i in range(stretches):
        stretch = points[i * len(points) // stretches : (i + 1) * len(points) // stretches]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        if i == 0:
            ends.add(points[0])
        if i == stretches - 1:
            ends.add(points[-1])
        kept += sorted(ends)
    return kept


def _runs(points: Iterable[tuple[float, float | None]]) -> Iterator[list[Point]]:
    run: list[Point] = []
    for x, y in points:
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _stroke(points: Sequence[Point], x: Axis, y: Axis) -> str:
    line = "M" + "L".join(f"{_n(x(a))} {_n(y(b))}" for a, b in points)
    return line if len(points) > 1 else line + "h0"  # a lone point shows as a round dot


def _band(xs: Sequence[float], low: Values, high: Values, x: Axis, y: Axis) -> str:
    whole = [b is not None and c is not None for b, c in zip(low, high, strict=True)]
    edges = [
        _runs((a, b if both else None) for a, b, both in zip(xs, edge, whole, strict=True)) for edge in (high, low)
    ]
    shapes = []
    for above, below in zip(*edges, strict=True):
        outline = [*thin(above), *reversed(thin(below))]
        shapes.append("M" + "L".join(f"{_n(x(a))} {_n(y(b))}" for a, b in outline) + "Z")
    return "".join(shapes)


def _series(s: Series, x: Axis, y: Axis) -> Iterator[Markup]:
    if s.band:
        yield tag("path", {"class": f"band {s.colour}", "d": _band(s.x, *s.band, x, y)})
    for member in s.members:
        yield tag("path", {"class": f"member {s.colour}", "d": path(zip(s.x, member, strict=True), x, y)})
    yield tag("path", {"class": f"line {s.colour}", "d": path(zip(s.x, s.y, strict=True), x, y)})
    if len(s.x) <= 40:
        for a, b in zip(s.x, s.y, strict=True):
            if b is not None:
                title = tag("title", {}, f"{s.label + ', ' if s.label else ''}step {a:,.0f}: {b:.3g}")
                yield tag("circle", {"class": f"dot {s.colour}", "cx": _n(x(a)), "cy": _n(y(b)), "r": 2.2}, title)
    for a, b, text in s.rings:
        place = {"class": f"ring {s.colour}", "cx": _n(x(a)), "cy": _n(y(b)), "r": 4}
        yield tag("circle", place, tag("title", {}, text))


def _lift_below_zero(s: Series) -> Series:
    def lift(values: Values) -> Values:
        return [v if v is not None and v > 0 else None for v in values]

    band = (lift(s.band[0]), lift(s.band[1])) if s.band else None
    return s._replace(y=lift(s.y), band=band, members=[lift(member) for member in s.members])


def _lines_of(s: Series) -> list[Values]:
    return [s.y, *(s.band or ()), *s.members]


def _sort_known(values: Iterable[float | None]) -> list[float]:
    return sorted(v for v in values if v is not None)


def _range(
    values: list[float], references: Sequence[Reference], low: float | None, high: float | None
) -> tuple[float, float]:
    """The vertical axis: its natural ends, or those of the values without extremes that flatten the rest."""
    bottom, top = values[0], values[-1]
    few, many = values[int(0.03 * (len(values) - 1))], values[math.ceil(0.97 * (len(values) - 1))]
    if len(values) > 40 and many > few:
        reach = many - few
        bottom = bottom if bottom > few - 2 * reach else few - reach / 4
        top = top if top < many + 2 * reach else many + reach / 4
    known = [r.value for r in references]
    bottom = min([bottom, *known]) if low is None else low
    top = max([top, *known]) if high is None else high
    return bottom, top if top > bottom else bottom + 1


def _span(steps: Sequence[float]) -> tuple[float, float]:
    low, high = min(steps), max(steps)
    return (0.0, high) if low > 0 and low < high / 2 else _widen(low, high)


def _grid(marks: Sequence[float], labels: Sequence[str], x: Axis, y: Axis) -> Markup:
    parts = []
    for mark, label in zip(marks, labels, strict=True):
        height = _n(y(mark))
        parts.append(tag("line", {"x1": _n(x.start), "x2": _n(x.end), "y1": height, "y2": height}))
        parts.append(tag("text", {"x": _n(x.start - 6), "y": _n(y(mark) + 3.5), "text-anchor": "end"}, label))
    return tag("g", {"class": "grid"}, *parts)


def _foot(x: Axis, base: float, marks: Sequence[float], labels: Sequence[str]) -> Markup:
    """The horizontal axis with its marks."""
    parts = [tag("line", {"x1": _n(x.start), "x2": _n(x.end), "y1": base, "y2": base})]
    for mark, label in zip(marks, labels, strict=True):
        parts.append(tag("line", {"x1": _n(x(mark)), "x2": _n(x(mark)), "y1": base, "y2": base + 4}))
        anchor = "end" if x(mark) > x.end - 8 else "middle"
        place = {"x": _n(x(mark) + (8 if anchor == "end" else 0)), "y": base + 17, "text-anchor": anchor}
        parts.append(tag("text", place, label))
    return tag("g", {"class": "steps"}, *parts)


def _reference(reference: Reference, x: Axis, y: Axis) -> tuple[Markup, Markup]:
    """Its line, which lies below the curves, and its label, which lies above them."""
    height = y(reference.value)
    below = height - y.end < 14  # no room above the line; on the left, where curves have yet to rise
    ends = {"x1": _n(x.start), "x2": _n(x.end), "y1": _n(height), "y2": _n(height)}
    place = {"x": _n(x.start + 4), "y": _n(height + (13 if below else -5))}
    known = {"class": "reference"}
    return tag("line", {**known, **ends}), tag("text", {**known, **place}, reference.label)


def _window(parts: Sequence[Markup], x: Axis, y: Axis) -> Markup:
    """The parts, cut at the frame (an inner svg clips and needs no id), with room for strokes on its edge."""
    left, top = _n(x.start - 4), _n(y.end - 4)
    width, height = _n(x.end - x.start + 8), _n(y.start - y.end + 5)
    view = f"{left} {top} {width} {height}"
    return tag("svg", {"x": left, "y": top, "width": width, "height": height, "viewBox": view}, *parts)


def _note_beyond(extreme: float, y: Axis, right: float, above: bool, words: Callable[..., str]) -> Markup:
    """A note where a line leaves the frame on that side."""
    if (extreme <= y.high) if above else (extreme >= y.low):
        return Markup("")
    note = words("chart.above" if above else "chart.below", value=f"{extreme:,.3g}".replace("-", "−"))
    place = {"x": _n(right), "y": 8, "text-anchor": "end"} if above else {"x": _n(right + 8), "y": _n(y.start + 17)}
    return tag("text", {"class": "beyond", **place}, note)


def _end_labels(series: Sequence[Series], x: Axis, y: Axis) -> list[Markup]:
    """The lines' labels beside their ends, moved apart until each can be read."""
    ends = []
    for s in series:
        last = next((b for b in reversed(s.y) if b is not None), None)
        if last is not None:
            ends.append((min(max(y(last), y.end), y.start), s))
    ends.sort(key=lambda end: end[0])
    gap = min(11.5, (y.start - y.end + 10) / max(1, len(ends)))
    parts = []
    for place, (end, s) in zip(_move_apart([end for end, _ in ends], gap, y.start + 4), ends, strict=True):
        leader = f"M{_n(x.end + 3)} {_n(end)}L{_n(x.end + 12)} {_n(place)}"
        parts.append(tag("path", {"class": f"leader {s.colour}", "d": leader}))
        beside = {"class": f"end {s.colour}", "x": _n(x.end + 15), "y": _n(place + 3.5)}
        parts.append(tag("text", beside, s.label))
    return parts


def _move_apart(places: Sequence[float], gap: float, limit: float) -> list[float]:
    """Sorted places moved down until neighbours are a gap apart, then up as far as the limit asks."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    return [min(place, limit - gap * i) for i, place in zip(range(len(moved) - 1, -1, -1), moved, strict=True)]


def _svg(
    size: tuple[int, int], kind: str, describe: str, parts: Sequence[object], data: Mapping[str, object] | None = None
) -> Markup:
    words = {"class": kind, "viewBox": f"0 0 {size[0]} {size[1]}", "role": "img", "aria-label": describe}
    return tag("svg", {**words, **(data or {})}, *parts)


def _n(value: float) -> str:
    """A coordinate: a twentieth of a pixel is finer than print."""
    return f"{value:.1f}".removesuffix(".0")
