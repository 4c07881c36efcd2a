"""Data sets of the Hugging Face Hub, by the library ``datasets``: ``hf:NAME``, or a local parquet or image folder.

Its pictures go the way of those of a folder (`images.gathered`); a column of class labels becomes the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .archive import Files
from .decode import settled
from .images import Named, gathered
from .rows import Data


def hub(
    name: str,
    seed: int = 0,
    *,
    size: int | None = None,
    crop: str = "centre",
    background: str = "white",
    channels: int | None = None,
    strict: bool = False,
) -> Data:
    """The training split's pictures. Raises ValueError where the library is missing or the data have none."""
    choose = partial(settled, size, crop, background, channels)
    choose()  # refused before anything is read
    try:
        import datasets
    except ImportError:
        raise ValueError(f"hf:{name} needs the library datasets: pip install 'ganzfeld[data]'") from None
    table = _opened(datasets, name)
    column = next((k for k, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        raise ValueError(f"hf:{name} has no column of pictures, only {', '.join(table.features)}")
    label = next((k for k, kind in table.features.items() if isinstance(kind, datasets.ClassLabel)), None)
    files: Files = Cells(table.cast_column(column, datasets.Image(decode=False)).select_columns([column]), column)

    def classes(kept: Sequence[str]) -> Named:
        """None where there is one class, or a row has none (-1)."""
        if label is None or len(names := tuple(table.features[label].names)) < 2:
            return None
        known = list(table[label])
        codes = [known[_row(cell)] for cell in kept]
        return None if any(code is None or code < 0 for code in codes) else (codes, names)

    return gathered(Path(name).name, f"hf:{name}", files, classes, choose, seed, strict=strict)


class Cells:
    """The rows of a table with one column of undecoded pictures, as files."""

    def __init__(self, table: Any, column: str):
        self.table, self.column = table, column
        self.names = [f"row {i}" for i in range(len(table))]
        self.skipped: list[tuple[str, str]] = []

    def read(self, name: str) -> bytes:
        cell = self.table[_row(name)][self.column]
        if cell is None:
            raise OSError("no picture")
        return Path(cell["path"]).read_bytes() if cell["bytes"] is None else cell["bytes"]

    def close(self) -> None:
        pass


def _row(name: str) -> int:
    return int(name.removeprefix("row "))


def _opened(datasets: Any, name: str) -> Any:
    path = Path(name)
    try:
        if path.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files=str(path), split="train")
        if path.is_dir():
            return datasets.load_dataset("imagefolder", data_dir=str(path), split="train")
        return datasets.load_dataset(name, split="train")
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"hf:{name} cannot be loaded: {why}") from None
