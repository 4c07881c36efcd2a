"""Files by name, from a folder or a zip, read in memory and never written.

A zip is looked through before anything is read: names that leave it, links, encryption and members that expand a
thousandfold are refused, and no more bytes are read from a member than its entry promises.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

EXPANSION = 1_000  # a member that grows so many times is a bomb
TOTAL = 16 * 2**30


class Files(Protocol):
    """names: relative paths in order. skipped: names that are not read, with the reason."""

    names: list[str]
    skipped: list[tuple[str, str]]

    def read(self, name: str) -> bytes: ...

    def close(self) -> None: ...


class Folder:
    """The files below a directory, in order of their relative paths. Links that lead outside are skipped."""

    def __init__(self, root: Path):
        self.root = root
        self.names: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        inside = root.resolve()
        for path in sorted(self._walk(root)):
            name = path.relative_to(root).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                self.skipped.append((name, "a link that leads outside"))
            elif path.is_file():
                self.names.append(name)
            elif path.is_symlink():
                self.skipped.append((name, "a link to nothing"))

    def _walk(self, folder: Path) -> Iterator[Path]:
        for path in folder.iterdir():
            if path.name.startswith(".") or path.name == "__MACOSX":
                continue
            if path.is_dir() and not path.is_symlink():
                yield from self._walk(path)
            else:
                yield path

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def close(self) -> None:
        pass


class Zip:
    """The members of a zip, in order of their names. Raises ValueError for an archive that is damaged or unsafe."""

    def __init__(self, path: Path):
        self.path = path
        self.skipped: list[tuple[str, str]] = []
        try:
            self.archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{path} is not a whole zip archive: {error}") from None
        infos = [info for info in self.archive.infolist() if not info.is_dir()]
        for info in infos:
            if reason := _unsafe(info):
                raise ValueError(f"{path} holds {info.filename!r}, {reason}")
        if sum(info.file_size for info in infos) > TOTAL:
            raise ValueError(f"{path} expands to more than {TOTAL >> 30} GiB")
        self.names = sorted(info.filename for info in infos if not _hidden(info.filename))

    def read(self, name: str) -> bytes:
        size = self.archive.getinfo(name).file_size
        try:
            with self.archive.open(name) as file:
                data = file.read(size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise OSError(f"damaged in the archive: {error}") from None
        if len(data) > size:
            raise OSError("larger than its entry in the archive says")
        return data

    def close(self) -> None:
        self.archive.close()


def _unsafe(info: zipfile.ZipInfo) -> str | None:
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or info.filename.startswith(("/", "\\")) or ":" in parts[0]:
        return "a name that leads outside"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.flag_bits & 1:
        return "which is encrypted"
    if info.file_size > 2**20 and info.file_size > EXPANSION * max(1, info.compress_size):
        return f"which expands {info.file_size // max(1, info.compress_size)} times"
    return None


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
