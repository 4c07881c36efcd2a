"""Data sets of the Hugging Face Hub, by the library ``datasets``: ``hf:NAME``, or a local parquet or image folder.

Its pictures go the way of those of a folder (`images.gather`); a column of class labels becomes the labels. What the
source holds out itself stays held out: its test split is the test part, its validation split the validation part, and
only what it lacks is cut from its train split. Labels that a held-out split keeps to itself (-1, or none) are not known
for that part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...core.texts import first_line
from .decode import settle_choices
from .images import Classes, gather
from .rows import Data, Part

VALIDATION_SPLITS = ("validation", "valid", "val", "dev")  # what sources call it


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
    """The pictures of the train split and of those that are held out. Raises ValueError where the library is missing,
    the data have no pictures, or a held-out split is not like the train split."""
    choose = partial(settle_choices, size, crop, background, channels)
    choose()  # refused before anything is read
    try:
        import datasets
    except ImportError:
        raise ValueError(f"hf:{name} needs the library datasets: pip install 'ganzfeld[data]'") from None
    tables = _splits(name, _open(datasets, name))
    column, label = _columns(datasets, name, tables)
    plain = datasets.Image(decode=False)
    files = Cells({k: t.cast_column(column, plain).select_columns([column]) for k, t in tables.items()}, column)

    def classes(kept: Sequence[str]) -> Classes:
        """None where there is one class, or a row to train on has none."""
        if label is None or len(names := tuple(tables["train"].features[label].names)) < 2:
            return None
        known = {split: _codes(table, label) for split, table in tables.items()}
        codes = [known[split][row] for split, row in map(_locate, kept)]
        unknown = any(code < 0 and cell not in files.held_out for cell, code in zip(kept, codes, strict=True))
        return None if unknown else (codes, names)

    return gather(
        Path(name).name, f"hf:{name}", files, classes, choose, seed, asked=size, held_out=files.held_out, strict=strict
    )  # fmt: skip


class Cells:
    """The rows of tables with one column of undecoded pictures, as files. held_out: the part of those that are."""

    def __init__(self, tables: Mapping[str, Any], column: str):
        self.tables, self.column = tables, column
        self.names: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.runs: list[str] = []
        self.held_out: dict[str, Part] = {}
        for split, table in tables.items():
            names = [f"{split} row {i}".removeprefix("train ") for i in range(len(table))]
            self.names += names
            if split != "train":
                self.held_out |= dict.fromkeys(names, "test" if split == "test" else "valid")

    def read(self, name: str) -> bytes:
        split, row = _locate(name)
        cell = self.tables[split][row][self.column]
        if cell is None:
            raise OSError("no picture")
        return Path(cell["path"]).read_bytes() if cell["bytes"] is None else cell["bytes"]

    def close(self) -> None:
        pass


def _locate(name: str) -> tuple[str, int]:
    """The split and the row of a cell: ``row 3`` is of train, ``test row 3`` is not."""
    split, _, row = name.rpartition("row ")
    return split.rstrip() or "train", int(row)


def _codes(table: Any, label: str) -> list[int]:
    """The class of every row, -1 where it is not told."""
    if label not in table.features:
        return [-1] * len(table)
    return [-1 if code is None else code for code in table[label]]


def _open(datasets: Any, name: str) -> Any:
    path = Path(name)
    try:
        if path.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files=str(path))
        if path.is_dir():
            return datasets.load_dataset("imagefolder", data_dir=str(path))
        return datasets.load_dataset(name)
    except Exception as error:
        raise ValueError(f"hf:{name} cannot be loaded: {first_line(error)}") from None


def _splits(name: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are used, in the order of the parts."""
    if "train" not in tables:
        raise ValueError(f"hf:{name} has no train split, only {', '.join(tables)}")
    valid = [split for split in VALIDATION_SPLITS if split in tables][:1]
    return {split: tables[split] for split in ("train", *valid, "test") if split in tables}


def _columns(datasets: Any, name: str, tables: Mapping[str, Any]) -> tuple[str, str | None]:
    """Of the pictures, and of the labels where there are any: the same in all splits."""
    features = tables["train"].features
    column = next((k for k, kind in features.items() if isinstance(kind, datasets.Image)), None)
    label = next((k for k, kind in features.items() if isinstance(kind, datasets.ClassLabel)), None)
    if column is None:
        raise ValueError(f"hf:{name} has no column of pictures, only {', '.join(features)}")
    for split, table in tables.items():
        if not isinstance(table.features.get(column), datasets.Image):
            raise ValueError(f"hf:{name} has no pictures in the column {column} of its {split} split")
        if label and table.features.get(label, features[label]) != features[label]:
            raise ValueError(f"hf:{name} has other classes in the column {label} of its {split} split than of train")
    return column, label
