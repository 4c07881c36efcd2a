"""Files of a run directory, written so that a kill at any moment leaves something to go on from.

``run.json``        what was asked and resolved
``log.jsonl``       a line per logged step
``metrics.jsonl``   a line per judged step
``samples/``        pictures
``checkpoints/``    see `checkpoints`

One process owns a directory: the lock is the kernel's and dies with its holder. JSON is strict: no NaN, no infinity.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core import disk
from ..core.texts import first_line

FORMAT = 3  # of a run directory; those before are still read (`plan.read_plan`, `checkpoints.RENAMED`)
LARGEST_JSON = 2**28  # bytes of a document: ids.json of millions of users has a tenth of that
DEEPEST_JSON = 40  # lists and objects inside each other
DESCRIPTIONS = ("run.json", "compare.json", "laws.json")  # each makes a directory what it is
RECORDS = (  # of such a directory, which no command writes over
    *DESCRIPTIONS, "game.json", "log.jsonl", "metrics.jsonl", "lock", "checkpoints", "selected", "ids.json",
    "interactions.safetensors", "start.safetensors", "ranking.json",
)  # fmt: skip


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Inside, this process alone writes to the directory. Raises ValueError where another does, or nobody can."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise ValueError(f"cannot write to {directory}: {error.strerror}") from None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, handle)
        owner = os.read(handle, 64).decode("utf-8", "replace") if stat.S_ISREG(os.fstat(handle).st_mode) else "?"
        if owner and not owner.startswith("pid "):
            raise ValueError(f"{directory / 'lock'} is not a run's lock: choose another directory, or move it away")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{directory} belongs to a running process ({owner or 'another'})") from None
        except OSError as error:
            raise ValueError(f"{directory} cannot be locked: {error.strerror}") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()}".encode(), 0)
        yield


def check_output(out: Path, *read: Path) -> None:
    """Raises ValueError, before any work is done, where a command must not write what it was asked to: over the records
    of a run, or over what it reads."""
    disk.check_out(out, *read)
    _check_apart(out)


def check_output_folder(out: Path) -> None:
    """The same of a folder that is filled."""
    disk.check_folder(out, f"--out {out}")
    _check_apart(out)


def _check_apart(out: Path) -> None:
    place = Path(os.path.realpath(out))
    for folder in (place, *place.parents):
        inside = place.relative_to(folder).parts[:1]
        if any((folder / name).is_file() for name in DESCRIPTIONS) and (not inside or inside[0] in RECORDS):
            raise ValueError(f"--out {out} is a part of what was recorded in {folder}: choose another name")


def clean(value: Any) -> Any:
    """Strict JSON has no NaN: a number that is not finite becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: clean(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    return value


def format_json(value: Any, indent: int | None = 2) -> bytes:
    return disk.encode(json.dumps(clean(value), indent=indent, ensure_ascii=False) + "\n")


def parse_json(text: str) -> Any:
    """A number that is not finite is null, as it is written. Raises ValueError for what is no JSON, or of a depth that
    nobody has written down."""
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        _check_depth(value, DEEPEST_JSON)
    except RecursionError:
        raise ValueError("it is nested without end") from None
    return value


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, (dict, list)):
        if not left:
            raise RecursionError
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, left - 1)


def write_json(path: Path, value: Any) -> None:
    disk.replace(path, format_json(value))


def write_signed(path: Path, value: Mapping[str, Any]) -> None:
    """JSON that decides what comes of a run, with a digest of all that it says."""
    said = parse_json(format_json(value).decode())
    write_json(path, {**said, "digest": sign(said)})


def sign(said: Any) -> str:
    """The digest of what JSON says, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """What it says, without its digest. Raises ValueError, naming the file, where it is missing or damaged."""
    try:
        value = parse_json(disk.read_text(path, LARGEST_JSON))
    except FileNotFoundError:
        raise ValueError(f"{path.parent} holds no run: {path.name} is missing") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not a description of a run")
    digest = value.pop("digest", None)
    if digest is not None and digest != sign(value):
        raise ValueError(f"{path} has changed since it was written: put it back, or take its digest out to trust it")
    return value


def append(path: Path, line: Mapping[str, Any]) -> None:
    disk.append(path, format_json(line, indent=None))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a step; a last one cut short by a crash is left out. Raises OSError for what is no file."""
    try:
        data = disk.read_bytes(path)
    except FileNotFoundError:
        return []
    out = []
    for text in data.split(b"\n"):
        with contextlib.suppress(ValueError):
            line = parse_json(text.decode())
            if isinstance(line, dict) and type(line.get("step")) is int:
                out.append(line)
    return out


def rewind(path: Path, step: int) -> None:
    """Drop the lines behind a step: a resumed run writes them again."""
    if os.path.lexists(path):
        kept = [line for line in read_lines(path) if line["step"] <= step]
        disk.replace(path, b"".join(format_json(line, indent=None) for line in kept))
