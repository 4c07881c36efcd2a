"""Commands that measure, and tell what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Seed
from .output import print_json, say


def judge(
    what: Annotated[Path, typer.Argument(metavar="RUN_OR_NPY", help="a run directory, or samples as .npy")],
    data: Annotated[
        str | None, typer.Option("--data", help="the data to judge against; a run's own unless given")
    ] = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="names, separated by commas")] = None,
    member: Annotated[int | None, typer.Option(help="one of the population; all unless given")] = None,
    seed: Seed = 0,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="what an encoder has to beat, trained as long as it was, or a ranker")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure samples, with the provenance of every number."""
    from .. import judging

    found = judging.judge(what, data, metrics, member, seed, baselines)
    if as_json:
        print_json(found)
    else:
        judging.print_judgement(found)


def laws(
    names: Annotated[list[str] | None, typer.Argument(help="laws; all unless given")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="where the page goes; laws/ unless given, with --json nowhere")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="in half a minute: smaller, with the same claims")] = False,
    lang: Annotated[str, typer.Option("--lang", help="of the explanations: en or zh")] = "en",
    as_json: Json = False,
) -> None:
    """Every theorem of the family, measured here: a table, and a page that explains. Exit 1 if one fails."""
    from .. import laws

    facts = laws.prove(names or (), out or (None if as_json else Path("laws")), fast, lang, say)
    if as_json:
        print_json(laws.verdicts(facts))
    else:
        laws.print_verdicts(facts)
    if not all(law["holds"] for law in facts["laws"]):
        raise typer.Exit(1)


def report(
    runs: Annotated[list[Path], typer.Argument(help="runs, or comparisons")],
    out: Annotated[Path, typer.Option("--out", help="the page, FILE.html")],
    lang: Annotated[str | None, typer.Option("--lang", help="of the page; en unless given")] = None,
) -> None:
    """Write a self-contained page of runs and comparisons."""
    from .. import report as reports

    say(f"report in {reports.write(runs, out, language=lang)}")
