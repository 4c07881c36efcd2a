"""What a law says and what was measured, as plain facts in a reader's language.

Each law has a file in each language, ``texts/LANGUAGE/NAME.yaml``: what the page says of it. The names of its checks
and the words of its figures are written in English where they are measured; under ``terms`` another language has its
own for them, and what it leaves out stays English.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..core import texts
from .law import Check, Law, Line, Panel, Proof

UNWRITTEN = ("statement", "oracle", "folklore", "caption")
VERDICT_FIELDS = ("name", "residual", "tolerance", "holds")


def describe(law: Law, proof: Proof, language: str = "en") -> dict[str, Any]:
    """A law and its proof, ready for JSON: the texts, the checks, the figure's panels.

    Raises ValueError for a language that no law is written in.
    """
    own = dict(explain(law.name, language))
    terms = own.pop("terms", {})
    return {
        **{name: getattr(proof, name) for name in VERDICT_FIELDS},
        **own,
        "formula": law.formula,
        "source": law.source,
        "checks": [_check(check, terms) for check in proof.checks],
        "panels": [_panel(panel, terms) for panel in proof.panels],
    }


def explain(name: str, language: str = "en") -> texts.Texts:
    """What the page says of a law; raises ValueError for a language that no law is written in."""
    texts.check_language(__package__, language, "the laws are written")
    try:
        return texts.read(__package__, f"{language}/{name}")
    except FileNotFoundError:  # a law of one's own, of which nothing is written but what it measures
        return {"title": name, "assumes": (), "explanation": (), **dict.fromkeys(UNWRITTEN, "")}


def _check(check: Check, terms: texts.Texts) -> dict[str, Any]:
    numbers = {name: _finite(getattr(check, name)) for name in ("value", "truth")}
    return {**check._asdict(), **numbers, "what": terms.get(check.what, check.what), "holds": check.holds}


def _finite(value: float) -> float | str:
    """JSON has no infinity."""
    return f"{'-' if value < 0 else ''}∞" if math.isinf(value) else value


def _panel(panel: Panel, terms: texts.Texts) -> dict[str, Any]:
    def translate(word: str) -> str:
        return terms.get(word, word)

    return {
        **panel._asdict(),
        **{name: translate(getattr(panel, name)) for name in ("x", "y", "title")},
        "levels": [[value, translate(label)] for value, label in panel.levels],
        "lines": [_line(line, translate(line.label)) for line in panel.lines],
    }


def _line(line: Line, label: str) -> dict[str, Any]:
    """Numbers with as many digits as a drawing can show."""
    x, y = ([float(f"{v:.6g}") for v in torch.as_tensor(side).tolist()] for side in (line.x, line.y))
    for i, a in enumerate(x):
        x[i] = x[i - 1] if a != a and i else a  # a lifted pen waits where it was
    return {"label": label, "x": x, "y": y, "mark": line.mark}
