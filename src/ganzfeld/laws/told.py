"""What a law says and what was measured, as plain facts in a reader's language.

English is in the laws themselves; another language is a folder of files beside this one, one for each law, named after
it: its texts, and under ``terms`` the words of its checks and figures. What a file leaves out stays English.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

import torch

from .law import Check, Law, Line, Panel, Proof

LANGUAGES = ("en", "zh")
VERDICT = ("name", "residual", "tolerance", "holds")
TEXTS = ("title", "statement", "assumes", "oracle", "said", "caption", "words")

Texts = Mapping[str, Any]


def facts(law: Law, proof: Proof, language: str = "en") -> dict[str, Any]:
    """A law and its proof, ready for JSON: the texts, the checks, the figure's panels.

    Raises ValueError for a language that no law is told in.
    """
    words = texts(law, language)
    terms = words.get("terms", {})
    own = {name: words.get(name, getattr(law, name)) for name in TEXTS}
    return {
        **{name: getattr(proof, name) for name in VERDICT},
        **own,
        "formula": law.formula,
        "source": law.source,
        "checks": [_check(check, terms) for check in proof.checks],
        "panels": [_panel(panel, terms) for panel in proof.panels],
    }


def texts(law: Law, language: str) -> Texts:
    """The texts of a law in a language, by the names of its fields; {} in English."""
    if language not in LANGUAGES:
        raise ValueError(f"the laws are told in {' and '.join(LANGUAGES)}, not in {language!r}")
    if language == "en":
        return {}
    import yaml

    return yaml.safe_load((resources.files(__package__) / language / f"{law.name}.yaml").read_text("utf-8"))


def _check(check: Check, terms: Texts) -> dict[str, Any]:
    numbers = {name: _shown(getattr(check, name)) for name in ("value", "truth")}
    return {**check._asdict(), **numbers, "what": terms.get(check.what, check.what), "holds": check.holds}


def _shown(value: float) -> float | str:
    """JSON has no infinity."""
    return f"{'-' if value < 0 else ''}∞" if math.isinf(value) else value


def _panel(panel: Panel, terms: Texts) -> dict[str, Any]:
    def told(word: str) -> str:
        return terms.get(word, word)

    return {
        **panel._asdict(),
        **{name: told(getattr(panel, name)) for name in ("x", "y", "title")},
        "levels": [[value, told(label)] for value, label in panel.levels],
        "lines": [_line(line, told(line.label)) for line in panel.lines],
    }


def _line(line: Line, label: str) -> dict[str, Any]:
    """Numbers with as many digits as a drawing can show."""
    x, y = ([float(f"{v:.6g}") for v in torch.as_tensor(side).tolist()] for side in (line.x, line.y))
    for i, a in enumerate(x):
        x[i] = x[i - 1] if a != a and i else a  # a lifted pen waits where it was
    return {"label": label, "x": x, "y": y, "mark": line.mark}
