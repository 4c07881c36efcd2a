"""Files of a run directory, written so that a kill at any moment leaves something to go on from.

``run.json``        what was asked and resolved
``log.jsonl``       a line per logged step
``metrics.jsonl``   a line per judged step
``samples/``        pictures
``checkpoints/``    see `checkpoints`

One process owns a directory: the lock is the kernel's and dies with its holder. JSON is strict, and a file is written
under another name, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMAT = 2  # of a run directory; those of format 1 are still read (`plan.read_plan`, `checkpoints.RENAMED`)


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Inside, this process alone writes to the directory. Raises ValueError where another does, or nobody can."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = open(directory / "lock", "a+")  # noqa: SIM115
    except OSError as error:
        raise ValueError(f"cannot write to {directory}: {error.strerror}") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            owner = handle.read().strip() or "another process"
            raise ValueError(f"{directory} belongs to a running process ({owner})") from None
        handle.truncate(0)
        handle.write(f"pid {os.getpid()}")
        handle.flush()
        yield


def clean(value: Any) -> Any:
    """Strict JSON has no NaN: a number that is not finite becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: clean(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    return value


def write_json(path: Path, value: Any) -> None:
    replace(path, (json.dumps(clean(value), indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Raises ValueError, naming the file, where it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.parent} holds no run: {path.name} is missing") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not a description of a run")
    return value


def append(path: Path, line: Mapping[str, Any]) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(clean(line), ensure_ascii=False) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a last one cut short by a crash is left out."""
    if not path.exists():
        return []
    out = []
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            out.append(json.loads(text))
    return out


def rewind(path: Path, step: int) -> None:
    """Drop the lines behind a step: a resumed run writes them again."""
    if path.exists():
        kept = [line for line in read_lines(path) if line.get("step", 0) <= step]
        replace(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept).encode())


def replace(path: Path, data: bytes) -> None:
    """Written under another name, synced, renamed: a reader sees the old bytes or the new."""
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary, data)
    os.replace(temporary, path)
    sync(path.parent)


def write(path: Path, data: bytes) -> None:
    """Bytes that are on the disk when it returns."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """The names in a folder are on the disk when it returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
