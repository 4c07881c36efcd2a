"""One self-contained page about runs: it reads the facts they left on disk and adds none.

`read` turns run directories into frozen data, `measures` knows what the numbers are worth, `chapters` makes the parts
of the page, `words` their sentences and `draw` their drawings, and the templates beside them set the type. What is said
lies in ``texts/LANGUAGE.yaml`` and nowhere else. The page holds its own styles, script, pictures and drawings and
forbids itself any request, so it can be mailed, archived and printed. Equal facts give equal bytes: no clock is read.

A new chapter is one function in `chapters`, named in its table and in that of the tasks in `read`, and one macro of the
same name in ``chapters.html.j2``. A run of a task that no table knows has the chapters that every run has.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from ...core import disk
from ...runs.files import check_output
from . import chapters, read

__all__ = ["write"]


def write(runs: Path | str | Sequence[Path], out: Path, title: str | None = None, language: str | None = None) -> Path:
    """Writes the page for run and comparison directories to ``out``, and returns that path.

    title: the headline; by default what was trained on what. language: by default English, and that of the laws for a
    page that has nothing else.
    Raises ValueError for a language that the report is not written in, where a path is neither a run nor a comparison
    or its facts are not valid JSON, and where ``out`` cannot be written. Facts that are merely missing (no metrics yet,
    a line cut short by a crash) are named on the page.
    """
    paths = [Path(runs)] if isinstance(runs, (str, Path)) else [Path(path) for path in runs]
    if not paths:
        raise ValueError("a report needs at least one run or comparison directory")
    out = Path(out)
    check_output(out)
    page = chapters.page([read.read_directory(path) for path in paths], title, language)
    text = _templates().get_template("page.html.j2").render(page=page, words=page.words)
    disk.replace(out, disk.encode(text))
    return out


@functools.cache
def _templates() -> Environment:
    """Compiled once, for all pages."""
    loader = PackageLoader(__name__, ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
