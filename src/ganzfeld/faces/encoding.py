"""What a user does with a run that encodes: codes, reconstructions, anomaly scores, ways from one sample to another.

What does not fit the run (another shape, another range) is refused by `Run.encode`, a run without an encoder by
`Run.encoder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from .. import data, metrics
from ..core import disk
from ..core.names import unknown_name
from ..core.randomness import great_circle
from ..data.samples.rows import PARTS, Part
from ..rendering import as_png
from ..runs.files import check_output
from ..runs.plan import recorded_plan
from ..tasks import GeneratorRun, task_of, task_of_run
from ..tasks.generation import describe_reading
from ..tasks.loading import open_run
from .sampling import as_npy


class Rows(NamedTuple):
    """Samples [n, *shape] in the data's units; the class of each, where it is known; the file of each, where it has
    one; what a user should hear of how they were read."""

    x: Tensor
    classes: Tensor | None = None
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def open_rows(
    path: Path, member: int, data: str | None, part: str | None, out: Path | None = None
) -> tuple[GeneratorRun, Rows]:
    """The run in a directory, and what is to be encoded by it: ValueError where it has no encoder, before any data are
    read, and where ``out`` cannot be written, or is one of the two."""
    if out:
        check_output(out, *([Path(data)] if data else []))
    run = open_run(path)
    if "sample" not in run.abilities:
        run = open_run(path, "encode")  # says what it can do instead
    run.encoder(member)
    return run, read_rows(run, data, part)


def read_rows(run: GeneratorRun, name: str | None = None, part: str | None = None) -> Rows:
    """What is to be encoded: the test part of the run's own data, or all of other data, read as the run's were, unless
    a part is named; the rows of a ``.npy`` or ``.npz`` as they lie there. Raises ValueError for an unknown part and for
    what cannot be read."""
    part = part or ("test" if name is None else "all")
    if part not in (*PARTS, "all"):
        raise unknown_name("part", part, (*PARTS, "all"))
    if name is not None and Path(name).suffix in (".npy", ".npz"):
        return Rows(data.read_samples(name))
    plan = recorded_plan(run.facts)
    sized = len(run.game.shape) == 3 and name not in (None, *data.TABLE)
    size = run.game.shape[-1] if sized else plan.reading.get("size")
    rows = plan.read(name, exclude_classes=None, valid=None, test=None, size=size)
    if task_of(rows.kind) is not task_of_run(run.facts):
        raise ValueError(f"{rows.name} holds {task_of(rows.kind).noun}, and {run.directory} encodes samples")
    files = rows.files if part == "all" else ()
    rows, part = (rows.as_test_part(), "test") if part == "all" else (rows, part)
    x, codes = rows.restore(cast(Part, part)), rows.codes(cast(Part, part))
    known = codes if rows.class_count > 1 else None
    notes = tuple(describe_reading(rows)) if name is not None else ()
    return Rows(x, known, rows.labels.names if rows.labels and known is not None else (), files, notes)


def encode(run: GeneratorRun, rows: Rows, out: Path, seed: int | None, member: int) -> str:
    """Write codes [n, latent] to a ``.npy``, and beside it, for pictures in files, a line for the name of each."""
    if out.suffix != ".npy":
        raise ValueError(f"--out {out} must end in .npy")
    codes = run.encode(rows.x, seed, member)
    parts = [(out, as_npy(codes))]
    if rows.files:
        parts.append((out.with_suffix(".txt"), disk.encode("".join(f"{name}\n" for name in rows.files))))
    disk.replace_all(parts)
    return f"{len(codes)} codes of {codes.shape[1]} numbers in {out}" + (
        f", names in {out.with_suffix('.txt')}" * bool(rows.files)
    )


def reconstruct(run: GeneratorRun, rows: Rows, out: Path | None, n: int, member: int) -> dict[str, Any]:
    """The error of every row's reconstruction, root mean square a number, and the first n beside what they come from:
    in a ``.png``, or as an array [n, 2, *shape] in a ``.npy``."""
    if out and out.suffix not in (".npy", ".png"):
        raise ValueError(f"--out {out} must end in .npy or .png")
    if n < 1:
        raise ValueError(f"ask for at least one reconstruction, not {n}")
    again = run.reconstruct(rows.x, None, member)
    errors = (rows.x - again).flatten(1).square().mean(1)
    if out and out.suffix == ".npy":
        disk.replace(out, as_npy(torch.stack([rows.x, again], 1)[:n]))
    elif out:
        disk.replace(out, as_png(run.view.pairs(rows.x[:n], again[:n])))
    each = errors.sqrt()
    return {"n": len(rows.x), "rmse": float(errors.mean().sqrt()), "median": float(each.median())}


def anomaly(run: GeneratorRun, rows: Rows, out: Path | None, weight: float, member: int) -> dict[str, Any]:
    """How unlike the training data rows are: the scores' quantiles and, where classes are known, how well they find
    each class among the others, as the area under the ROC curve."""
    if out and out.suffix != ".npy":
        raise ValueError(f"--out {out} must end in .npy")
    if not 0 <= weight <= 1:
        raise ValueError(f"the weight of reconstruction lies between 0 and 1, not at {weight}")
    scores = run.anomaly(rows.x, weight, member)
    if out:
        disk.replace(out, as_npy(scores))
    quantiles = {f"q{q}": float(scores.quantile(q / 100)) for q in (5, 50, 95)}
    found: dict[str, Any] = {"n": len(scores), "weight": weight, "scores": quantiles}
    if rows.classes is not None:
        found["auc"] = {name: metrics.roc_auc(scores, rows.classes == i) for i, name in enumerate(rows.names)}
        found["exclude_classes"] = run.facts["plan"].get("exclude_classes")
    return found


def interpolate(run: GeneratorRun, rows: Rows, ends: str, n: int, member: int) -> Tensor:
    """Row A, n samples on the great circle between the codes of rows A and B, row B: [n + 2, *shape]. ends: A,B as
    numbers, or as names of files."""
    names = [end.strip() for end in ends.split(",")]
    try:
        a, b = (rows.files.index(name) if name in rows.files else int(name) for name in names)
    except ValueError:
        raise ValueError(f"--between takes two rows, as 0,1, or two files of the data, not {ends!r}") from None
    if not 0 <= min(a, b) <= max(a, b) < len(rows.x):
        raise ValueError(f"--between {ends}: there are {len(rows.x)} rows, counted from 0")
    if n < 2:
        raise ValueError("an interpolation has at least two samples: --n 2 or more")
    pair = rows.x[[a, b]]
    first, last = run.encode(pair, None, member)
    return torch.cat([pair[:1], run.decode(great_circle(first, last, n), member), pair[1:]])
