"""The chapters about laws: what each says, what was measured beside its oracle, and its figure, in the language of its
facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latex2mathml.converter import convert
from markupsafe import Markup

from . import draw
from .draw import Curve, Reference
from .read import Laws
from .words import Words

Content = Mapping[str, Any]


def verdicts(laws: Laws, words: Words) -> Content:
    """A row for each law: the check that is nearest to its tolerance."""
    return {"words": words, "rows": [_row(law) for law in laws.laws]}


def _row(law: Mapping[str, Any]) -> Content:
    at = (law["residual"], law["tolerance"])
    tightest = next((c for c in law["checks"] if (c["residual"], c["tolerance"]) == at), law["checks"][0])
    return {"anchor": f"law-{law['name']}", "law": law, "check": _check(tightest)}


def law(facts: Mapping[str, Any], words: Words) -> Content:
    """One law: statement, formula, figure, explanation, and every check."""
    return {
        "anchor": f"law-{facts['name']}",
        "law": facts,
        "words": words,
        "formula": Markup(convert(facts["formula"], display="block")),
        "panels": [_panel(panel, facts) for panel in facts["panels"]],
        "checks": [_check(check) for check in facts["checks"]],
        "about": [
            (words("laws.assumes"), words("semicolon").join(facts["assumes"])),
            (words("laws.oracle"), facts["oracle"]),
            (words("laws.source"), facts["source"]),
        ],
        "count": words("laws.checks", count=len(facts["checks"])),
    }


def _check(check: Mapping[str, Any]) -> Content:
    sign = {"=": "", "<=": "≤ ", ">=": "≥ "}[check["sign"]]
    return {
        "what": check["what"],
        "value": format_figure(check["value"], check["truth"]),
        "truth": sign + format_figure(check["truth"], check["value"]),
        "residual": format_scientific(check["residual"]),
        "tolerance": format_scientific(check["tolerance"]),
        "holds": check["holds"],
    }


def format_figure(value: float | str | None, other: float | str | None) -> str:
    """A number with the digits that tell it from its counterpart, four to ten."""
    if not isinstance(value, (int, float)):
        return value or "–"
    if not isinstance(other, (int, float)):
        return f"{value:.4g}".replace("-", "−")
    digits = next((n for n in range(4, 10) if f"{value:.{n}g}" != f"{other:.{n}g}"), 6)
    return f"{value:.{digits}g}".replace("-", "−")


def format_scientific(value: float | None) -> str:
    """Two digits and a power of ten."""
    if not value:
        return "–" if value is None else "0"
    if 1e-3 <= value < 1e4:
        return f"{value:.2g}"
    digits, power = f"{value:.0e}".split("e")
    return f"{'' if digits == '1' else digits + '·'}10{draw.superscript(int(power))}"


def _panel(panel: Mapping[str, Any], facts: Mapping[str, Any]) -> Content:
    curves = [
        Curve(line["label"], line["x"], line["y"], line["mark"], f"c{i % draw.CLASSES}")
        for i, line in enumerate(panel["lines"])
    ]
    levels = [Reference(value, label) for value, label in panel["levels"]]
    kept = ("log_x", "log_y", "plane", "low", "high")
    described = ". ".join(filter(None, [facts["title"], panel["title"], f"{panel['y']}, {panel['x']}"]))
    drawing = draw.plot(curves, described, panel["x"], panel["y"], levels, **{key: panel[key] for key in kept})
    return {"title": panel["title"], "legend": _legend(curves), "drawing": drawing}


def _legend(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """Labels with their colours and marks."""
    return [(curve.label, f"{curve.colour} {curve.mark}") for curve in curves if curve.label]
