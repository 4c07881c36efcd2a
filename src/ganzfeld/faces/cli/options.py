"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...core.launch import suggest

RunPath = Annotated[Path, typer.Argument(help="a run directory")]
Member = Annotated[int, typer.Option(help="which of the population, from 0")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output, nothing else")]

# what is trained, and how
DataName = Annotated[
    str, typer.Option("--data", help="a world (ring8, ...), digits, .npy, .npz, pictures, interactions or LETOR lines")
]
Seed = Annotated[int, typer.Option("--seed", help="the base seed")]
Valid = Annotated[str | None, typer.Option(help="your own validation data")]
Test = Annotated[str | None, typer.Option(help="your own test data")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help=f"key=value of the paper, network or constraint; {suggest('list PAPER')} names them"),
]
LRScheduleSteps = Annotated[int, typer.Option(help="length of the learning rates' schedule; the run's unless given")]
Size = Annotated[int | None, typer.Option(help="pixels of a picture's side (data of pictures)")]
Crop = Annotated[str | None, typer.Option(help="how pictures become square: centre, pad or stretch")]
Background = Annotated[str | None, typer.Option(help="what shows through pictures: white, black, ...")]
Engine = Annotated[str, typer.Option(help="auto, eager, compiled (on a processor) or captured (on a GPU)")]
Device = Annotated[
    str, typer.Option(help="auto (a GPU for networks that convolve, if there is one), cpu, cuda, cuda:N")
]
Precision = Annotated[str, typer.Option(help="of the networks: fp32 or bf16; penalties stay in fp32")]

# what is encoded
Encoded = Annotated[str | None, typer.Option("--data", help="what to encode; the run's own data unless given")]
PartName = Annotated[
    str | None,
    typer.Option(
        "--part",
        help="train, valid, test, or all in the order of the source; unless given, test of the "
        "run's own data and all of other data",
    ),
]


def parse_settings(pairs: list[str] | None) -> dict[str, str]:
    """What ``--set`` was given. Raises ValueError for what is no ``key=value``."""
    out: dict[str, str] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--set takes key=value, not {pair!r}")
        key, value = key.strip() if "." in key else key.strip().replace("-", "_"), value.strip()
        if out.setdefault(key, value) != value:
            raise ValueError(f"--set {key} is given twice, {out[key]} and {value}")
    return out
