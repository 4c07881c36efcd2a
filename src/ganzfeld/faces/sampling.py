"""Samples of a run: drawn by seed, class and truncation, written as arrays, pictures or a moving picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from ..core import disk
from ..core.names import unknown_name
from ..core.randomness import great_circle, latents
from ..rendering import as_png, save_gif
from ..runs.files import check_output, check_output_folder
from ..tasks import GeneratorRun


def draw(
    run: GeneratorRun,
    n: int,
    *,
    seed: int = 0,
    seeds: str | Sequence[int] | None = None,
    member: int = 0,
    interpolate: bool = False,
    label: int | None = None,
    truncation: float | None = None,
) -> Tensor:
    """Samples [n, *shape]: of one seed, the first of several, or on the great circle between the first two of one.

    A sample depends on its seed and its row alone, bit for bit. label: where a run has classes and none is given, that
    of a row is drawn with it; a whole interpolation is of the class of its seed's first sample.
    """
    if seeds is not None:
        if interpolate:
            raise ValueError("--interpolate runs between two samples of one --seed: leave out --seeds")
        own = [run.sample(1, s, member, label, truncation) for s in _read_seeds(seeds)]
        return torch.cat(own)
    if interpolate:
        if n < 2:
            raise ValueError("an interpolation has at least two samples: --n 2 or more")
        first, last = latents(run.latent, seed, 2)
        labels = run.draw_labels(1, seed) if label is None else label
        return run.decode(great_circle(first, last, n), member, labels, truncation)
    return run.sample(n, seed, member, label, truncation)


def find_class(run: GeneratorRun, text: str | None) -> int | None:
    """The number of a class that is given by its name or, where no class is called by a number, its number. Raises
    ValueError for any other, with the classes there are."""
    if text is None:
        return None
    if not run.classes:
        raise ValueError("--class is for runs trained with --labels; this one was trained without")
    numbered = any(map(_is_number, run.classes))
    if text in run.classes:
        label = run.classes.index(text)
    elif _is_number(text) and not numbered and 0 <= int(text) < len(run.classes):
        label = int(text)
    else:
        raise unknown_name("class", text, run.classes)
    run.check_class(label)
    return label


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _read_seeds(text: str | Sequence[int]) -> list[int]:
    if not isinstance(text, str):
        return [int(seed) for seed in text]
    try:
        parts = [part.partition("-") for part in text.split(",")]
        spans = [range(int(a), int(b or a) + 1) for a, _, b in parts]
    except ValueError:
        raise ValueError(f"--seeds takes a range such as 0-15, or numbers with commas, not {text!r}") from None
    if not (seeds := [s for span in spans for s in span]):
        raise ValueError(f"--seeds {text} is empty")
    return seeds


Form = Literal["npy", "png", "gif", "folder"]


def form_of(out: Path, interpolate: bool = False) -> Form:
    """What a name's ending asks for. Raises ValueError for an ending that has none."""
    ending = out.suffix.lower()
    if out.is_dir() or not ending:
        return "folder"
    if ending == ".gif" and not interpolate:
        raise ValueError(f"--out {out}: a .gif moves: add --interpolate, or write .npy, .png or a folder")
    if ending not in (".npy", ".png", ".gif"):
        raise ValueError(f"--out {out} must end in .npy or .png (.gif with --interpolate), or be a folder")
    return cast(Form, ending[1:])


def check_out(out: Path, interpolate: bool = False) -> None:
    """Raises ValueError, before any work is done, for a name that samples cannot have."""
    (check_output_folder if form_of(out, interpolate) == "folder" else check_output)(out)


def write(run: GeneratorRun, samples: Tensor, out: Path, interpolate: bool = False) -> None:
    """To ``.npy``; a ``.png`` of all, an interpolation of pictures in one row; a ``.gif`` of an interpolation; or a
    folder with a picture each."""
    what = form_of(out, interpolate)
    if what == "npy":
        disk.replace(out, as_npy(samples))
    elif what == "png":
        picture = run.view.picture(samples, most=len(samples), columns=len(samples) if interpolate else None)
        disk.replace(out, as_png(picture))
    elif what == "gif":
        disk.replace(out, lambda file: save_gif([run.view.one(row) for row in samples], file))
    else:
        disk.replace_all((out / f"{i:05d}.png", as_png(run.view.one(row))) for i, row in enumerate(samples))


def as_npy(rows: Tensor) -> disk.Content:
    """What writes a ``.npy``."""
    return lambda file: np.save(file, rows.numpy(), allow_pickle=False)
