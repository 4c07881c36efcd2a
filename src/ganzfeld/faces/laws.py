"""The laws as a user meets them: run one after the other, shown in a table, left behind as facts and a page.

A directory of laws holds ``laws.json``, what each law says and what was measured, and ``laws.html``, the page that
reads it. Equal measurements give equal bytes.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import laws
from ..core.names import find, split_names
from ..laws.facts import VERDICT_FIELDS, describe, explain
from ..runs import files
from . import report
from .tables import print_table

FACTS, PAGE = "laws.json", "laws.html"


def prove(
    names: Sequence[str],
    out: Path | None = None,
    fast: bool = False,
    language: str = "en",
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Runs the laws of these names, all where there are none, and returns their facts; with ``out`` it leaves these
    and the page there. Raises ValueError for a name or a language that is not known, before anything runs."""
    chosen = [find("law", name, laws.LAWS) for name in split_names(names)] or list(laws.LAWS.values())
    explain(chosen[0].name, language)  # refused before minutes are spent, as is a directory that is not ours
    with files.lock(out) if out else contextlib.nullcontext():
        found = []
        for law in dict.fromkeys(chosen):
            start = time.perf_counter()
            proof = _measure(law.name, fast)
            say(f"{law.name}: {'holds' if proof.holds else 'FAILS'}  ({time.perf_counter() - start:.1f} s)")
            found.append(describe(law, proof, language))
        facts = {"language": language, "fast": fast, "laws": found}
        if out:
            files.write_json(out / FACTS, facts)
            report.write([out], out / PAGE)
            say(f"the page: {(out / PAGE).resolve()}")
    return facts


def _measure(name: str, fast: bool) -> laws.Proof:
    """A law that breaks fails, and the others are still measured."""
    try:
        return laws.run(name, fast)
    except Exception as error:
        what = f"could not be measured: {type(error).__name__}: {' '.join(str(error).split())}"
        return laws.Proof(name, (laws.Check(what, math.nan, math.nan, math.nan, 0.0),), ())


def verdicts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints: each law's verdict and its checks, without texts and figures."""
    return {"laws": [{key: law[key] for key in (*VERDICT_FIELDS, "checks")} for law in facts["laws"]]}


def print_verdicts(facts: Mapping[str, Any]) -> None:
    """Print a row for each law, and below it the checks that failed."""
    rows = []
    for law in facts["laws"]:
        verdict = "holds" if law["holds"] else "FAILS"
        numbers = str(len(law["checks"])), f"{law['residual']:.2g}", f"{law['tolerance']:.2g}"
        rows.append((law["name"], law["title"], *numbers, verdict))
        for check in law["checks"]:
            if not check["holds"]:
                value, truth = (v if isinstance(v, str) else f"{v:.6g}" for v in (check["value"], check["truth"]))
                what = f"{check['what']}: {value}, not {check['sign']} {truth}"
                rows.append(("", what, "", f"{check['residual']:.2g}", f"{check['tolerance']:.2g}", "fails"))
    print_table(("law", "", "checks", "residual", "tolerance", ""), rows, width=120)
    failed = sum(not law["holds"] for law in facts["laws"])
    count = len(facts["laws"])
    print(f"{failed} of {count} laws fail" if failed else f"all {count} laws hold" if count > 1 else "the law holds")
