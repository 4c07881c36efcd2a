"""What there is: every name with its sentence, every paper with its settings.

The tables that hold the names import PyTorch; what they say is kept beside this file, so that ``ganzfeld list`` answers
at once. A test holds the two equal, and ``python -m ganzfeld.faces.catalogue`` writes the file anew.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.names import unknown_name

if TYPE_CHECKING:
    from ..papers import Paper

FILE = Path(__file__).with_name("catalogue.json")
COLUMNS = ("setting", "default", "meaning", "source")


def read() -> dict[str, Any]:
    """``lists``: kind -> name -> sentence; ``settings``: paper -> form of data -> rows of `COLUMNS`."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def choose(what: str) -> dict[str, Any]:
    """All lists, one of them, or the settings of a paper. Raises ValueError for any other name."""
    found = read()
    lists, settings, paper = found["lists"], found["settings"], what.replace("_", "-")
    if what == "all":
        return lists
    if what in lists:
        return {what: lists[what]}
    if homes := [kind for kind, entries in lists.items() if what in entries and paper not in settings]:
        raise ValueError(f"{what} is one of the {homes[0]}: ganzfeld list {homes[0]}")
    if paper not in settings:
        raise unknown_name("list", what, (*lists, *settings))
    rows = {form: [dict(zip(COLUMNS, row, strict=True)) for row in rows] for form, rows in settings[paper].items()}
    return {paper: {"sentence": lists["papers"][paper], "settings": rows}}


def format_choice(chosen: Mapping[str, Any]) -> Iterator[str]:
    """Lines of what was chosen: names beside their sentences; or of a paper its settings, for each form of data."""
    for kind, entries in chosen.items():
        if "settings" not in entries:
            yield kind
            yield from _align([(name, sentence) for name, sentence in entries.items()])
            continue
        yield f"{kind}: {entries['sentence']}"
        for form, rows in entries["settings"].items():
            yield f"on {form}, as --set SETTING=VALUE"
            yield from _align([(r["setting"], r["default"], _explain(r["meaning"], r["source"])) for r in rows])


def _explain(meaning: str, source: str) -> str:
    return f"{meaning} ({source})" if meaning and source else meaning or source


def _align(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as they need to be; the last one is wrapped on a terminal, and runs on in a pipe."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    line = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for *cells, text in rows:
        start = "  " + "".join(f"{cell:<{width}}  " for cell, width in zip(cells, widths, strict=True))
        room = max(line, len(start) + 30)
        yield from textwrap.wrap(start + text, room, subsequent_indent=" " * len(start), break_on_hyphens=False)


def collect() -> dict[str, Any]:
    """What `read` gives, from the tables themselves."""
    from .. import constraints, data, laws, networks, objectives, papers
    from ..judging import inference, judges
    from ..laws.facts import explain
    from ..tasks import questions
    from ..tasks.generation import CRITIC_W1
    from .report import words

    english = words.load("en")
    metrics = {name: english.measure(name) for name in (*judges.NAMES, CRITIC_W1, *inference.NAMES, *questions.NAMES)}
    tables: dict[str, Mapping[str, Any]] = {
        "papers": {name: paper.title for name, paper in papers.TABLE.items()},
        "data": data.TABLE,
        "objectives": {name: objectives.SENTENCES[name] for name in objectives.TABLE},
        "constraints": constraints.TABLE,
        "networks": {**networks.TABLE, **networks.RANKERS},
        "metrics": {name: f"{known.label}: {known.note}." for name, known in metrics.items()},
        "laws": {name: explain(name)["statement"] for name in laws.LAWS},
    }
    return {
        "lists": {kind: {name: _sentence(e) for name, e in table.items()} for kind, table in tables.items()},
        "settings": {name: _settings(paper) for name, paper in papers.TABLE.items()},
    }


def _sentence(entry: Any) -> str:
    """A text as it is; the first sentence of what has a docstring."""
    if isinstance(entry, str):
        return entry
    paragraph = " ".join(entry.__doc__.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=\.)(?<!al\.)\s", paragraph)[0].replace("``", "")


def _settings(paper: Paper) -> dict[str, list[list[str]]]:
    """The settings of a paper on each form of data that it is set for."""
    from ..papers import describe

    return {
        form: [[row.setting, _as_typed(row.default), row.meaning, row.source] for row in describe(paper.name, form)]
        for form in paper.forms
    }


def _as_typed(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _write(found: Mapping[str, Mapping[str, Any]]) -> None:
    """A line for each list and each paper, so that a change shows where it was made."""
    parts = []
    for part, table in found.items():
        lines = [f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}" for name, entry in table.items()]
        parts.append(f"{json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n}")
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    _write(collect())
