"""Data sets of the Hugging Face Hub, by the library ``datasets``: ``hf:NAME``, or a local parquet or image folder.

Its pictures go through the same decoding as those of a folder; a column of class labels becomes the labels.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .decode import RESIZER, Choices, Unreadable, decode, look
from .images import usual_size
from .rows import PICTURE, Data, Labels, split


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
    try:
        import datasets
    except ImportError:
        raise ValueError("hf: needs the library datasets: pip install 'ganzfeld[data]'") from None
    table = _opened(datasets, name)
    column = next((k for k, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        raise ValueError(f"hf:{name} has no column of pictures, only {', '.join(table.features)}")
    raw = table.cast_column(column, datasets.Image(decode=False))
    files = [(cell["path"] or str(i), _bytes(cell)) for i, cell in enumerate(raw[column])]
    seen, skipped, digest = {}, [], hashlib.blake2b(digest_size=16)
    for i, (label, data) in enumerate(files):
        try:
            digest.update(hashlib.blake2b(data, digest_size=16).digest())
            seen[i] = look(data)
        except Unreadable as error:
            if strict:
                raise ValueError(f"hf:{name}: {label} is no picture: {error}") from None
            skipped.append((label, str(error)))
    if len(seen) < 3:
        raise ValueError(f"hf:{name} holds {len(seen)} readable pictures, at least 3 are needed")
    grey = all(s.grey for s in seen.values())
    side = size or usual_size(float(np.median([min(s.width, s.height) for s in seen.values()])))
    chosen = Choices(side, crop, background, channels or (1 if grey else 3))  # type: ignore[arg-type]
    rows = torch.from_numpy(np.stack([decode(files[i][1], chosen) for i in seen]))
    return Data(
        Path(name).name, *split(rows, seed), PICTURE, "pictures", labels=_labels(datasets, table, list(seen), seed),
        choices={"size": side, "channels": chosen.channels, "crop": crop, "resizer": RESIZER},
        skipped=tuple(skipped), digest=f"{digest.hexdigest()} seed {seed}",
    )  # fmt: skip


def _opened(datasets: Any, name: str) -> Any:
    path = Path(name)
    try:
        if path.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files=str(path), split="train")
        if path.is_dir():
            return datasets.load_dataset("imagefolder", data_dir=str(path), split="train")
        return datasets.load_dataset(name, split="train")
    except Exception as error:
        raise ValueError(f"hf:{name} cannot be loaded: {str(error).splitlines()[0]}") from None


def _bytes(cell: dict[str, Any]) -> bytes:
    if cell["bytes"] is not None:
        return bytes(io.BytesIO(cell["bytes"]).getbuffer())
    return Path(cell["path"]).read_bytes()


def _labels(datasets: Any, table: Any, kept: list[int], seed: int) -> Labels | None:
    for column, kind in table.features.items():
        if isinstance(kind, datasets.ClassLabel):
            code = torch.tensor(table[column])[kept]
            return Labels(*split(code, seed), names=tuple(kind.names))
    return None
