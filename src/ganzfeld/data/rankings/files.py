"""Texts of rankings where they lie: files and folders, compressed (``.gz``) or in a zip.

A zip is a folder of texts, or a text where it holds nothing else; it is looked through before anything is read, as one
of pictures is (`archive.Zip`), and no text expands without bound. A text is UTF-8, or Latin-1, which is noted.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ..samples.archive import Zip
from ..samples.rows import Part
from .collection import Note

TextPath = Path | zipfile.Path
Content = TypeVar("Content", str, list[str])

MAX_BYTES = 2**30  # of a text that was compressed
MAX_EXPANSION = 200  # times that a text may grow: ratings grow four to ten times
SMALL = 2**20  # bytes that any compressed text may have, however small it was
GZ = ".gz"
TRAIN_ENDS = ("base", "train")  # how the name of a training file ends, and of the files beside it
PART_ENDS: Mapping[Part, tuple[str, ...]] = {"valid": ("valid", "vali", "val", "dev"), "test": ("test",)}


def locate(path: Path | str) -> TextPath:
    """A path as it is; of a zip the inside, or the one folder or file that is all it holds. Raises ValueError for a zip
    that is damaged or unsafe."""
    path = Path(path)
    if path.suffix.lower() != ".zip" or not path.is_file():
        return path
    inside = zipfile.Path(Zip(path).archive)
    while inside.is_dir() and len(held := [it for it in inside.iterdir() if not it.name.startswith((".", "__"))]) == 1:
        (inside,) = held
    return inside


def folder_of(path: TextPath) -> TextPath:
    """Where a file lies, in the same zip."""
    return path.parent  # type: ignore[return-value]  # of a path in a zip the types know less than is so


def children(folder: TextPath) -> list[TextPath]:
    """What lies in a folder, by name."""
    held: list[TextPath] = list(folder.iterdir())
    return sorted(held, key=lambda path: path.name)


def plain_name(path: TextPath) -> str:
    """Of a text, whether it is compressed or not."""
    return path.name[: -len(GZ)] if path.name.lower().endswith(GZ) else path.name


def find_text(folder: TextPath, name: str) -> TextPath | None:
    """The text of a name in a folder, compressed or not."""
    return next((file for end in ("", GZ) if (file := folder / (name + end)).is_file()), None)


def partner_files(path: TextPath) -> dict[Part, TextPath]:
    """The validation and test files beside a training file, by name: u1.base has u1.test, x-train.txt has x-test.txt
    and x-valid.txt."""
    found: dict[Part, TextPath] = {}
    whole = plain_name(path)
    suffix = Path(whole).suffix
    for stem, rest in ((whole, ""), (whole.removesuffix(suffix), suffix)):
        for end in TRAIN_ENDS:
            if stem.endswith(end):
                beside = {part: [find_text(folder_of(path), stem.removesuffix(end) + word + rest) for word in words]
                          for part, words in PART_ENDS.items()}  # fmt: skip
                found |= {part: file for part, files in beside.items() for file in files[::-1] if file}
    return found


def read_lines(path: TextPath, notes: list[Note]) -> list[tuple[int, str]]:
    """The lines of a text that are not empty, with their numbers from 1. A byte order mark and the ends of lines of
    any system are no part of them; empty lines between others are noted. Raises ValueError for what is no text."""
    return split_lines(path, read_text(path, notes), notes)


def split_lines(path: TextPath, text: str, notes: list[Note]) -> list[tuple[int, str]]:
    """Of a text that has been read."""
    lines = re.split("\r\n|\r|\n", text)
    return drop_empty(path, [(i, line if line.strip() else "") for i, line in enumerate(lines, 1)], notes)


def drop_empty(path: TextPath, rows: Sequence[tuple[int, Content]], notes: list[Note]) -> list[tuple[int, Content]]:
    """Numbered rows without the empty ones; those between others are noted. Raises ValueError where all are."""
    filled = [row for row in rows if row[1]]
    if not filled:
        raise ValueError(f"{path} is empty")
    if empty := [number for number, content in rows if not content and number < filled[-1][0]]:
        notes.append(Note("an empty line", len(empty), f"{path}:{empty[0]}"))
    return filled


def read_text(path: TextPath, notes: list[Note]) -> str:
    """The whole of a text. Raises ValueError, in one line, for what is none."""
    data = _read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        first = data.count(b"\n", 0, error.start) + 1
        if b"\0" in data or data.startswith(codecs.BOM_UTF8):
            raise ValueError(f"{path}:{first} holds bytes that are no UTF-8: save it as UTF-8") from None
        times = sum(not _is_utf8(line) for line in data.splitlines())
        notes.append(Note("a line that is no UTF-8 (read as Latin-1: save it as UTF-8 if it is not)", times,
                          f"{path}:{first}"))  # fmt: skip
        text = _decode_latin(data)
    if "\0" in text:
        raise ValueError(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1} holds zero bytes: it is no text")
    return text


def read_start(path: TextPath, lines: int = 100) -> Iterable[str]:
    """The first lines of a text, whatever is wrong with it."""
    try:
        with path.open("rb") as raw, gzip.open(raw) if path.name.lower().endswith(GZ) else raw as file:
            start = file.read(SMALL)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        return ()
    return start.decode("utf-8-sig", errors="replace").splitlines()[:lines]


def _read_bytes(path: TextPath) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        if isinstance(path, zipfile.Path):
            info = path.root.getinfo(path.at)
            _check_expansion(path, info.file_size, info.compress_size)
        data = path.read_bytes()
        return _expand(path, data) if path.name.lower().endswith(GZ) else data
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _expand(path: TextPath, data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        found = file.read(_most_bytes(len(data)) + 1)
    _check_expansion(path, len(found), len(data))
    return found


def _most_bytes(compressed: int) -> int:
    return min(MAX_BYTES, max(SMALL, MAX_EXPANSION * compressed))


def _check_expansion(path: TextPath, size: int, compressed: int) -> None:
    if size > (most := _most_bytes(compressed)):
        raise ValueError(f"{path} expands to more than {most >> 20} MiB, which no text of ratings does: "
                         "unpack it")  # fmt: skip


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode_latin(data: bytes) -> str:
    """As Windows writes it, which has signs where Latin-1 has controls, or else as it stands."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
