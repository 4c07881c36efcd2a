"""The chapters about laws: what each says, what was measured beside its oracle, and its figure, in the language that
its facts are told in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latex2mathml.converter import convert
from markupsafe import Markup

from . import draw
from .draw import Curve, Reference
from .read import Laws

Content = Mapping[str, Any]


class Words(NamedTuple):
    """What the page itself says in a language."""

    title: str
    one: str
    hold: str
    fail: str
    fast: str
    law: str
    tightest: str
    measured: str
    truth: str
    residual: str
    tolerance: str
    holds: str
    fails: str
    checks: str
    check: str
    said: str
    assumes: str
    oracle: str
    source: str
    kind: str
    contents: str
    footer: str
    comma: str
    space: str


WORDS = {
    "en": Words(
        title="The laws of the family",
        one="A theorem, measured on this machine beside an oracle of its own.",
        hold="{count} theorems, measured on this machine beside oracles of their own: all hold.",
        fail="{count} theorems, measured on this machine beside oracles of their own: {failed} fail.",
        fast="These are the fast forms, smaller and with the same claims.",
        law="Law",
        tightest="Its tightest check",
        measured="Measured",
        truth="Truth",
        residual="Residual",
        tolerance="Tolerance",
        holds="holds",
        fails="fails",
        checks="All {count} checks",
        check="Check",
        said="Often said",
        assumes="Assumes",
        oracle="Oracle",
        source="Source",
        kind="laws",
        contents="Contents",
        footer="This page holds everything it shows and asks the network for nothing.",
        comma="; ",
        space=" ",
    ),
    "zh": Words(
        title="对抗网络家族的定律",
        one="一条定理，在这台机器上与独立的基准比对。",
        hold="{count} 条定理，在这台机器上与各自独立的基准逐一比对：全部成立。",
        fail="{count} 条定理，在这台机器上与各自独立的基准逐一比对：{failed} 条不成立。",
        fast="这里是快速版本：规模较小，论断相同。",
        law="定律",
        tightest="最紧的一项检验",
        measured="测得",
        truth="真值",
        residual="残差",
        tolerance="容差",
        holds="成立",
        fails="不成立",
        checks="全部 {count} 项检验",
        check="检验",
        said="常见的说法",
        assumes="前提",
        oracle="基准",
        source="出处",
        kind="定律",
        contents="目录",
        footer="本页自含所有内容，不向网络请求任何东西。",
        comma="；",
        space="",
    ),
}


GREEK = {
    "theta": "θ", "lambda": "λ", "sigma": "σ", "delta": "δ", "eta": "η", "gamma": "γ", "mu": "μ", "phi": "φ",
    "psi": "ψ", "tau": "τ", "pi": "π",
}  # fmt: skip
SIGNS = (
    (re.compile(rf"\b(?:{'|'.join(GREEK)})\b"), lambda found: GREEK[found[0]]),
    (re.compile(r"\b1e(-?\d+)\b"), lambda found: f"10{draw.raised(int(found[1]))}"),
    (re.compile(r"\^(-?\d+)"), lambda found: draw.raised(found[1])),
    (re.compile(r"\bsqrt\("), lambda found: "√("),
    (re.compile(r"(?<![\w)’'])-(?=[\w.(|])|(?<=\s)-(?=\s)"), lambda found: "−"),
)


def typeset(text: Any) -> Any:
    """Greek letters, powers, roots and minus signs for the plain characters that stand for them; of dicts and lists,
    in every text."""
    if isinstance(text, str):
        for pattern, sign in SIGNS:
            text = pattern.sub(sign, text)
        return text
    if isinstance(text, Mapping):
        return {key: value if key in ("name", "formula", "mark") else typeset(value) for key, value in text.items()}
    return [typeset(part) for part in text] if isinstance(text, list) else text


def words(laws: Laws) -> Words:
    return WORDS.get(laws.language, WORDS["en"])


def lead(laws: Laws) -> str:
    """What came out, in a sentence or two."""
    own, failed = words(laws), sum(not law["holds"] for law in laws.laws)
    form = own.one if len(laws.laws) == 1 else own.fail if failed else own.hold
    said = form.format(count=len(laws.laws), failed=failed)
    return f"{said}{own.space}{own.fast}" if laws.fast else said


def verdicts(laws: Laws) -> Content:
    """A row for each law: the check that is nearest to its tolerance."""
    return {"words": words(laws), "rows": [_row(law) for law in laws.laws]}


def _row(law: Mapping[str, Any]) -> Content:
    at = (law["residual"], law["tolerance"])
    tightest = next((c for c in law["checks"] if (c["residual"], c["tolerance"]) == at), law["checks"][0])
    return {"anchor": f"law-{law['name']}", "law": law, "check": _check(tightest)}


def law(facts: Mapping[str, Any], own: Words) -> Content:
    """One law: statement, formula, figure, explanation, and every check."""
    return {
        "anchor": f"law-{facts['name']}",
        "law": facts,
        "words": own,
        "formula": Markup(convert(facts["formula"], display="block")),
        "panels": [_panel(panel, facts) for panel in facts["panels"]],
        "checks": [_check(check) for check in facts["checks"]],
        "about": [
            (own.assumes, own.comma.join(facts["assumes"])),
            (own.oracle, facts["oracle"]),
            (own.source, facts["source"]),
        ],
        "count": own.checks.format(count=len(facts["checks"])),
    }


def _check(check: Mapping[str, Any]) -> Content:
    sign = {"=": "", "<=": "≤ ", ">=": "≥ "}[check["sign"]]
    return {
        "what": check["what"],
        "value": figure(check["value"], check["truth"]),
        "truth": sign + figure(check["truth"], check["value"]),
        "residual": scientific(check["residual"]),
        "tolerance": scientific(check["tolerance"]),
        "holds": check["holds"],
    }


def figure(value: float | str | None, other: float | str | None) -> str:
    """A number with the digits that tell it from its counterpart, four to ten."""
    if not isinstance(value, (int, float)):
        return value or "–"
    if not isinstance(other, (int, float)):
        return f"{value:.4g}".replace("-", "−")
    digits = next((n for n in range(4, 10) if f"{value:.{n}g}" != f"{other:.{n}g}"), 6)
    return f"{value:.{digits}g}".replace("-", "−")


def scientific(value: float | None) -> str:
    """Two digits and a power of ten."""
    if not value:
        return "–" if value is None else "0"
    if 1e-3 <= value < 1e4:
        return f"{value:.2g}"
    digits, power = f"{value:.0e}".split("e")
    return f"{'' if digits == '1' else digits + '·'}10{draw.raised(int(power))}"


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
