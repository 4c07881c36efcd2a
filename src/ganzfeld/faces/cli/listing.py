"""The command that says what there is; it never waits for PyTorch."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json
from .output import print_json


def print_list(
    what: Annotated[
        str,
        typer.Argument(
            help="papers, data, objectives, constraints, networks, metrics, laws; or a paper, for its settings; all "
            "lists unless given"
        ),
    ] = "all",
    as_json: Json = False,
) -> None:
    """What there is; of a paper every setting with its default, meaning and source."""
    from .. import catalogue

    chosen = catalogue.choose(what)
    if as_json:
        print_json(chosen)
    else:
        print(*catalogue.format_choice(chosen), sep="\n")
