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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import disk
from ..core.launch import suggest
from ..core.names import unknown_name

if TYPE_CHECKING:
    from ..papers import Paper, Row

FILE = Path(__file__).with_name("catalogue.json")
COLUMNS = ("setting", "default", "meaning", "source", "choices")
SET_UP = {"constraints": "--constraint", "networks": "--network"}  # the option that asks for a piece with settings


def read() -> dict[str, Any]:
    """``lists``: kind -> name -> sentence; ``settings``: of papers, constraints and networks: kind -> name -> form of
    data, or option -> rows of `COLUMNS`."""
    return json.loads(disk.read_text(FILE))


def choose(what: str) -> dict[str, Any]:
    """All lists, one of them, or what there is of one name, with its settings; of a name that several kinds have, the
    others under ``KIND NAME``. Raises ValueError for any other name."""
    found = read()
    lists, settings = found["lists"], found["settings"]
    if what == "all":
        return lists
    if what in lists:
        return {what: lists[what]}
    chosen: dict[str, Any] = {}
    for kind, entries in lists.items():
        name = what if what in entries else what.replace("_", "-")
        if name in entries:
            tables = settings.get(kind, {}).get(name, {})
            rows = {of: [dict(zip(COLUMNS, row, strict=True)) for row in table] for of, table in tables.items()}
            key = f"{kind.removesuffix('s')} {name}" if chosen else name
            chosen[key] = {"kind": kind, "sentence": entries[name], "settings": rows}
    if not chosen:
        raise unknown_name("list", what, (*lists, *(name for entries in lists.values() for name in entries)))
    return chosen


def format_choice(chosen: Mapping[str, Any]) -> Iterator[str]:
    """Lines of what was chosen: names beside their sentences; or of one name its settings, of a paper for each form of
    data."""
    for name, entries in chosen.items():
        if "settings" not in entries:
            yield name
            yield from _align([(entry, sentence) for entry, sentence in entries.items()])
            if len(chosen) == 1 and name in ("papers", *SET_UP):
                yield f"the settings of one: {suggest('list NAME')}"
            continue
        yield f"{name}: {entries['sentence']}"
        for of, rows in entries["settings"].items():
            yield f"{'with' if of.startswith('--') else 'on'} {of}, as --set SETTING=VALUE"
            yield from _align([line for row in rows for line in _lines_of(row)])


def _lines_of(row: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A setting, and below it the names that it may be."""
    yield row["setting"], row["default"], _explain(row["meaning"], row["source"])
    width = max(map(len, row["choices"]), default=0)
    for name, meaning in row["choices"].items():
        yield "", "", f"  {name:<{width}}  {meaning}"


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
        "settings": {
            "papers": {name: _settings(paper) for name, paper in papers.TABLE.items()},
            **{
                kind: {name: {f"{option} {name}": _rows(papers.describe_piece(kind, name))} for name in tables[kind]}
                for kind, option in SET_UP.items()
            },
        },
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

    return {form: _rows(describe(paper.name, form)) for form in paper.forms}


def _rows(rows: Sequence[Row]) -> list[list[Any]]:
    return [[row.setting, _as_typed(row.default), row.meaning, row.source, dict(row.choices)] for row in rows]


def _as_typed(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _write(found: Mapping[str, Mapping[str, Any]]) -> None:
    """A line for each list and each name with settings, so that a change shows where it was made."""
    as_line = lambda entry: json.dumps(entry, ensure_ascii=False)  # noqa: E731
    as_block = lambda table: "{\n" + ",\n".join(f"{json.dumps(k)}: {v}" for k, v in table.items()) + "\n}"  # noqa: E731
    lists = {kind: as_line(entries) for kind, entries in found["lists"].items()}
    settings = {
        kind: as_block({name: as_line(tables) for name, tables in entries.items()})
        for kind, entries in found["settings"].items()
    }
    disk.replace(FILE, disk.encode(as_block({"lists": as_block(lists), "settings": as_block(settings)}) + "\n"))


if __name__ == "__main__":
    _write(collect())
