"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MARK_OF_FEW = "*"  # behind the name of a metric that rests on too few rows


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None, note: str = ""
) -> None:
    """Cells under the names of their columns. width: in characters, that of the terminal unless given; note: a line
    below."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=width).print(table)
    if note:
        Console().print(note, style="dim")
