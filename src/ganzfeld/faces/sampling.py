"""What a user does with a run from the command line: sample, judge, and look at what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from .. import constraints, data, laws, networks, objectives, papers
from ..core.names import nearest
from ..core.randomness import great_circle, latents
from ..judging import inference, judges
from ..rendering import there_and_back
from ..runs import files
from ..runs.plan import samples_of
from ..tasks import retrieval
from ..tasks.generation import CRITIC, Run
from ..tasks.loading import load
from ..tasks.retrieval import Retrieval


def opened(path: Path) -> Run | Retrieval:
    """The run in a directory; ValueError, in one line, where there is none."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a run directory" if path.exists() else f"{path}: no such run")
    return load(path)


def sampler(path: Path) -> Run:
    """The run of samples in a directory."""
    run = opened(path)
    if not isinstance(run, Run):
        raise ValueError(
            f"{path} holds a run of {run.facts['paper']}, which ranks and makes no samples: recommend, judge"
        )
    return run


def retriever(path: Path) -> Retrieval:
    """The run of retrieval in a directory."""
    run = opened(path)
    if not isinstance(run, Retrieval):
        raise ValueError(f"{path} holds a run of {run.facts['paper']}, which makes samples and no lists: sample, judge")
    return run


def users(text: str | None) -> list[str] | None:
    """Ids with commas, or of a file with one a line."""
    if text is None:
        return None
    path = Path(text)
    names = path.read_text(encoding="utf-8-sig").split("\n") if path.is_file() else text.split(",")
    if not (found := [name.strip() for name in names if name.strip()]):
        raise ValueError(f"--users {text} names no user")
    return found


def tag(path: Path) -> str:
    """What a TREC run calls its system."""
    return "-".join(path.resolve().name.split())


def draw(
    run: Run,
    n: int,
    *,
    seed: int = 0,
    seeds: str | None = None,
    member: int = 0,
    interpolate: bool = False,
    label: int | None = None,
    truncation: float | None = None,
) -> Tensor:
    """Samples [n, *shape]: of one seed, the first of several, or on the great circle between the first two of one.

    A sample depends on its seed and its row alone, bit for bit. label: where a run has classes and none is given, row
    i of a seed is of class i in turn; the first sample of seed s, and a whole interpolation, of class s in turn.
    """
    if seeds is not None:
        if interpolate:
            raise ValueError("--interpolate runs between two samples of one --seed: leave out --seeds")
        own = [run.sample(1, s, member, _turn(run, s, label), truncation) for s in _span(seeds)]
        return torch.cat(own)
    if interpolate:
        if n < 2:
            raise ValueError("an interpolation has at least two samples: --n 2 or more")
        first, last = latents(run.latent, seed, 2)
        return run.decode(great_circle(first, last, n), member, _turn(run, seed, label), truncation)
    return run.sample(n, seed, member, label, truncation)


def class_of(run: Run, text: str | None) -> int | None:
    """The number of a class that is given by its name or, where none has that name, its number. Raises ValueError with
    the nearest valid name for any other."""
    if text is None:
        return None
    if not run.classes:
        raise ValueError("--class is for runs trained with --labels; this one was trained without")
    if text in run.classes:
        return run.classes.index(text)
    if text.isdecimal() and int(text) < len(run.classes):
        return int(text)
    raise nearest("class", text, run.classes)


def _turn(run: Run, seed: int, label: int | None) -> int | None:
    return seed % len(run.classes) if label is None and run.classes else label


def _span(text: str) -> list[int]:
    try:
        parts = [part.partition("-") for part in text.split(",")]
        spans = [range(int(a), int(b or a) + 1) for a, _, b in parts]
    except ValueError:
        raise ValueError(f"--seeds takes a range such as 0-15, or numbers with commas, not {text!r}") from None
    if not (seeds := [s for span in spans for s in span]):
        raise ValueError(f"--seeds {text} is empty")
    return seeds


Form = Literal["npy", "png", "gif", "folder"]


def form(out: Path, interpolate: bool = False) -> Form:
    """What a name's ending asks for. Raises ValueError for an ending that has none."""
    ending = out.suffix.lower()
    if out.is_dir() or not ending:
        return "folder"
    if ending == ".gif" and not interpolate:
        raise ValueError(f"--out {out}: a .gif moves: add --interpolate, or write .npy, .png or a folder")
    if ending not in (".npy", ".png", ".gif"):
        raise ValueError(f"--out {out} must end in .npy or .png (.gif with --interpolate), or be a folder")
    return cast(Form, ending[1:])


def write(run: Run, samples: Tensor, out: Path, interpolate: bool = False) -> None:
    """To ``.npy``; a ``.png`` of all, an interpolation of pictures in one row; a ``.gif`` of an interpolation; or a
    folder with a picture each."""
    what = form(out, interpolate)
    (out if what == "folder" else out.parent).mkdir(parents=True, exist_ok=True)
    if what == "npy":
        save(out, samples)
    elif what == "png":
        run.view.picture(samples, most=len(samples), columns=len(samples) if interpolate else None).save(out)
    elif what == "gif":
        there_and_back([run.view.one(row) for row in samples], out)
    else:
        for i, row in enumerate(samples):
            run.view.one(row).save(out / f"{i:05d}.png")


def save(out: Path, rows: Tensor) -> None:
    """To a ``.npy``, whose folder is made."""
    out.parent.mkdir(parents=True, exist_ok=True)
    np.save(out, rows.numpy(), allow_pickle=False)


def judge(
    what: Path,
    name: str | None,
    metrics: Sequence[str] | None,
    member: int | None,
    seed: int,
    baselines: bool = False,
) -> dict[str, Any]:
    """Of a run, or of samples in a ``.npy``. baselines: train those of an encoder, each as long as the run was."""
    if what.suffix == ".npy":
        if name is None:
            raise ValueError("samples in a file are judged against data: give --data")
        samples = data.samples(what)
        sized = samples.dim() == 4 and (name == "digits" or name not in data.TABLE)
        return judges.judge([samples], samples_of(name, seed=0, size=samples.shape[-1] if sized else None), metrics)
    run = opened(what)
    if isinstance(run, Retrieval):
        out = run.judged(name, metrics, baselines=baselines)
        return out if member is None else _of_member(out, run, member)
    if member is not None:
        run = Run(run.directory, run.facts, run.game, [run._state(member)])
    return run.judged(name, metrics, seed, _played(run) / run.members if baselines else 0.0)


def _of_member(out: Mapping[str, Any], run: Retrieval, member: int) -> dict[str, Any]:
    run._state(member)  # there must be one
    rows = {
        name: value["per_member"][member if len(value["per_member"]) > 1 else 0]
        for name, value in out["metrics"].items()
    }
    return {**out, "metrics": judges.summary([rows])}


def _played(run: Run) -> float:
    """Seconds that the run was trained for."""
    lines = files.lines(run.directory / "log.jsonl")
    if not lines:
        raise ValueError(f"{run.directory} has no log that says how long it was trained")
    return float(lines[-1]["seconds"])


def table(judged: Mapping[str, Any]) -> None:
    """Print metrics and their provenance."""
    from rich.console import Console
    from rich.table import Table

    if "queries" in judged["provenance"]:
        _table_of_rankers(judged)
        return
    perfect = judged["provenance"]["perfect"]
    rows = Table("metric", "mean", "spread", "perfect", "members", box=None, header_style="bold", pad_edge=False)
    for name, value in judged["metrics"].items():
        floor = f"{perfect[name]:.4g}" if name in perfect else ""
        members = " ".join(f"{v:.3g}" for v in value["per_member"])
        rows.add_row(name, f"{value['mean']:.4g}", f"{value['std']:.2g}", floor, members)
    console = Console()
    console.print(rows)
    facts = judged["provenance"]
    console.print(
        f"{facts['samples']} samples a member against {facts['held_out']} held-out rows of {facts['data']}; "
        "perfect: held-out rows in the place of samples",
        style="dim",
    )


def _table_of_rankers(judged: Mapping[str, Any]) -> None:
    """A row a ranker, a column a metric."""
    from rich.console import Console
    from rich.table import Table

    found: dict[str, dict[str, Any]] = {}
    for key, value in judged["metrics"].items():
        ranker, _, name = key.rpartition(".")
        found.setdefault(ranker or "selected", {})[name] = value
    columns = list(next(iter(found.values())))
    rows = Table("ranker", *columns, box=None, header_style="bold", pad_edge=False)
    for ranker, metrics in found.items():
        spread = [f" ± {metrics[c]['std']:.3f}" if len(metrics[c]["per_member"]) > 1 else "" for c in columns]
        rows.add_row(ranker, *(f"{metrics[c]['mean']:.4f}{s}" for c, s in zip(columns, spread, strict=True)))
    facts = judged["provenance"]
    console = Console(width=max(100, 16 * (len(columns) + 1)))
    console.print(rows)
    Console().print(
        f"{facts['queries']} queries of the {facts['part']} part of {facts['data']}; those without a relevant "
        f"document are {'left out' if facts['empty'] == 'excluded' else 'counted as 0'}; selected by "
        f"{facts['selected_by']}",
        style="dim",
    )


LISTS: dict[str, Mapping[str, Any]] = {
    "papers": {**papers.PICTURES, **papers.TABLE, **papers.INTERACTIONS},
    "data": {**data.TABLE, **data.RANKINGS},
    "objectives": objectives.TABLE,
    "constraints": constraints.TABLE,
    "networks": {**networks.TABLE, **networks.RANKERS},
    "metrics": dict.fromkeys((*judges.NAMES, CRITIC, *inference.NAMES, *retrieval.NAMES)),
    "laws": {name: law.statement for name, law in laws.LAWS.items()},
}


def listing(what: str) -> dict[str, dict[str, str]]:
    """Names with their one sentence, by kind."""
    if what != "all" and what not in LISTS:
        raise nearest("list", what, LISTS)
    kinds = LISTS if what == "all" else {what: LISTS[what]}
    return {kind: {name: _sentence(entry) for name, entry in table.items()} for kind, table in kinds.items()}


def _sentence(entry: Any) -> str:
    if entry is None or isinstance(entry, tuple):
        return ""
    if isinstance(entry, str):
        return entry
    return (entry.__doc__ or "").strip().splitlines()[0]


def show_listing(listing: Mapping[str, Mapping[str, str]]) -> None:
    for kind, entries in listing.items():
        print(kind)
        width = max(map(len, entries))
        for name, sentence in entries.items():
            print(f"  {name:<{width}}  {sentence}".rstrip())
