"""Commands that train: one paper, several on equal budgets, the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...core import launch
from . import options
from .options import DataName, Seed, Settings, parse_settings
from .output import print_facts, print_json, say

PaperName = Annotated[str, typer.Argument(help=f"a paper: {launch.suggest('list papers')}")]


def train(
    paper: PaperName,
    data: DataName,
    out: Annotated[Path, typer.Option("--out", help="the run directory")],
    steps: Annotated[
        int | None, typer.Option(help="turns of the generator; 10000, or 300 of retrieval, unless given")
    ] = None,
    lr_schedule_steps: options.LRScheduleSteps = 0,
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(help="size of the population: seed, seed + 1, ...")] = 1,
    batch_size: Annotated[int | None, typer.Option(help="samples per turn; the paper's unless given")] = None,
    size: options.Size = None,
    objective: Annotated[str | None, typer.Option(help="replace the paper's objective")] = None,
    constraint: Annotated[list[str] | None, typer.Option(help="replace its constraints; none for none")] = None,
    network: Annotated[str | None, typer.Option(help="replace its networks")] = None,
    engine: options.Engine = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    checkpoint_every: Annotated[
        int, typer.Option(help="steps; a tenth of the run unless given", show_default=False)
    ] = 0,
    log_every: Annotated[int, typer.Option(help="steps; a hundredth of the run unless given", show_default=False)] = 0,
    judge_every: Annotated[int, typer.Option(help="steps; a tenth of the run unless given", show_default=False)] = 0,
    valid: options.Valid = None,
    test: options.Test = None,
    crop: options.Crop = None,
    background: options.Background = None,
    exclude_classes: Annotated[str | None, typer.Option(help="classes to leave out of the data, with commas")] = None,
    min_rating: Annotated[
        float | None,
        typer.Option(help="the smallest rating that counts (interactions); unless given 4 of 5 stars, else the median"),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="what columns mean, as user=customer_id,item=sku,rating=quantity (interactions)")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="1 to 5, of a LETOR folder")] = None,
    qrels: Annotated[str | None, typer.Option(help="TREC judgements in the place of LETOR labels")] = None,
    missing: Annotated[
        str | None, typer.Option(help="values of NULL or nan: zero, or refuse unless given (LETOR lines)")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="stop at the first file that is no picture")] = False,
    labels: Annotated[bool, typer.Option("--labels", help="tell both players the classes of the data")] = False,
    set_: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest whole checkpoint")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check and show what would be played")] = False,
) -> None:
    """Train a paper, or any crossing of objective, constraint and network."""
    from ...tasks import loading, task_of_run
    from ..progress import progress_bar

    asked: dict[str, Any] = {
        "steps": steps, "lr_schedule_steps": lr_schedule_steps, "seed": seed, "seeds": seeds,
        "batch_size": batch_size, "objective": objective, "constraints": constraint or None,
        "network": network, "settings": parse_settings(set_), "engine": engine,
        "device": device, "precision": precision,
        "valid": valid, "test": test, "log_every": log_every, "judge_every": judge_every,
        "checkpoint_every": checkpoint_every, "size": size, "crop": crop, "background": background, "strict": strict,
        "exclude_classes": exclude_classes, "min_rating": min_rating, "columns": columns, "fold": fold,
        "qrels": qrels, "missing": missing, "labels": labels,
    }  # fmt: skip
    if dry_run:
        print_facts(loading.describe(paper, data, out=out, resume=resume, **asked))
        return
    with progress_bar() as tell:
        run = loading.train(paper, data, out=out, resume=resume, tell=tell, **asked)
    if launch.rank() == 0:
        task = task_of_run(run.facts)
        for line in task.closing(run):
            say(line)
        say(f"saved in {run.directory}; try: {launch.suggest(task.next_command(run))}")


def compare(
    papers: Annotated[list[str], typer.Argument(help="papers, or all; with --ablate one of irgan")],
    data: DataName,
    out: Annotated[Path, typer.Option("--out", help="where the runs, the table and the report go")],
    seeds: Annotated[int, typer.Option(help="members of every population")] = 10,
    steps: Annotated[
        int | None, typer.Option(help="the same for every paper; 10000, or 300 of retrieval, unless given")
    ] = None,
    lr_schedule_steps: options.LRScheduleSteps = 0,
    seed: Seed = 0,
    engine: options.Engine = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    jobs: Annotated[int, typer.Option(help="papers trained side by side, a core each")] = 1,
    batch_size: Annotated[int | None, typer.Option(help="samples per turn; each paper's own unless given")] = None,
    size: options.Size = None,
    crop: options.Crop = None,
    background: options.Background = None,
    network: Annotated[str | None, typer.Option(help="the networks of all; each paper's own unless given")] = None,
    valid: options.Valid = None,
    test: options.Test = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="irgan, and what becomes of it without each of its parts, from one start")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on from what the directory holds")] = False,
    set_: Settings = None,
    as_json: options.Json = False,
) -> None:
    """Papers on equal budgets over many seeds: a table of means and spreads, and a report."""
    from .. import comparison

    result = comparison.compare(
        papers, data, out, seeds=seeds, steps=steps, lr_schedule_steps=lr_schedule_steps, seed=seed, engine=engine,
        device=device, precision=precision, jobs=jobs, batch_size=batch_size, crop=crop, background=background,
        settings=parse_settings(set_), size=size, network=network, valid=valid, test=test, ablate=ablate, resume=resume,
        say=say,
    )  # fmt: skip
    if as_json:
        print_json(result)
    else:
        comparison.print_comparison(result)
    say(f"runs, compare.json and report.html in {out}")


def demo(out: Annotated[Path, typer.Option("--out", help="where runs and report go")] = Path("demo")) -> None:
    """The main job in a few minutes: train a part of the family, judge it, measure the laws, write one report."""
    from .. import demo as show

    show.play(out, say)
