"""The main job: a chosen part of the family on data that comes with the package, judged, the laws that it obeys, and a
report.

Interrupted and started again it goes on where it stopped: every part is a resumable run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..core import launch
from ..runs import files
from ..runs.facts import is_run
from ..tasks.loading import train
from . import laws, report
from .comparison import compare
from .progress import progress_bar

Say = Callable[[str], None]


class Part(NamedTuple):
    """One comparison: papers on a world, equal budgets."""

    folder: str
    data: str
    papers: tuple[str, ...]
    seeds: int
    steps: int
    settings: dict[str, Any] = {}


PARTS = (
    Part("ring8", "ring8", ("ns-gan", "sngan", "wgan-gp", "r3gan"), 2, 1_600),
    Part("grid25", "grid25", ("sngan", "r3gan"), 2, 2_400),
    Part("tastes", "tastes", ("irgan", "dns", "bpr"), 3, 120, {"rank": 2}),
)
RUNS: dict[str, tuple[str, dict[str, Any]]] = {  # folder -> paper, what is asked for; all of them on digits
    "digits": ("ns-gan", {"steps": 3_000}),  # as vectors of 64 numbers, by perceptrons
    "dcgan": ("dcgan", {"steps": 2_400, "log_every": 80}),  # as pictures, by convolutions
    "ali": ("ali", {"steps": 2_000, "settings": {"cycle": 1.0}, "judge_every": 500}),  # that are encoded as well
}
JOBS = 2


def play(out: Path, say: Say) -> Path:
    """Train, judge, measure the laws, report; returns the report's path."""
    for part in PARTS:
        folder = out / part.folder
        if (folder / "compare.json").exists() and _is_complete(folder):
            say(f"{part.data}: done before")
            continue
        say(f"{part.data}: {', '.join(part.papers)}, {part.seeds} seeds, {part.steps} steps")
        compare(
            part.papers, part.data, folder, seeds=part.seeds, steps=part.steps, settings=part.settings, jobs=JOBS,
            resume=folder.exists(), say=say,
        )  # fmt: skip
    for name, (paper, asked) in RUNS.items():
        with progress_bar(name) as tell:
            train(paper, "digits", out=out / name, resume=is_run(out / name), tell=tell, **asked)
    theorems = out / "laws"
    if (theorems / laws.FACTS).exists():
        say("laws: done before")
    else:
        laws.prove((), theorems, fast=True, say=say)
    runs = [*(out / part.folder for part in PARTS), *(out / name for name in RUNS), theorems]
    page = report.write(runs, out / "report.html", "Ganzfeld: the demo")
    ganzfeld = launch.command()
    say(f"""
the report: {page.resolve()}
six commands to try:
  {ganzfeld} sample {out / "dcgan"} --interpolate --out walk.gif
  {ganzfeld} reconstruct {out / "ali"} --out pairs.png
  {ganzfeld} judge {out / "ring8" / "r3gan"}
  {ganzfeld} recommend {out / "tastes" / "irgan"} --k 5
  {ganzfeld} laws
  {ganzfeld} train ns-gan --objective hinge --constraint spectral --data grid25 --out my-run --steps 2000""")
    return page


def _is_complete(folder: Path) -> bool:
    try:
        return bool(files.read_json(folder / "compare.json")["rows"])
    except (ValueError, KeyError):
        return False
