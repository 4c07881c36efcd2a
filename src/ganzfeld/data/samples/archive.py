"""Files by name, from a folder or a zip, read in memory and never written.

A zip is looked through before anything is read: names that leave it, links, encryption, rare compressions and what
expands a thousandfold are refused, and no more bytes are read from a member than its entry promises.
"""

from __future__ import annotations

import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .decode import ENDINGS

MAX_EXPANSION = 1_000  # what grows so many times is a bomb
MAX_BYTES = 2**28  # bytes of one file that are read: the largest picture that is decoded, uncompressed


class Files(Protocol):
    """names: relative paths in order. skipped: names that are not read, with the reason."""

    names: list[str]
    skipped: list[tuple[str, str]]

    def read(self, name: str) -> bytes:
        """Raises OSError for what cannot be read. May be called from many threads."""
        ...

    def close(self) -> None: ...


class Folder:
    """The files below a directory, in order of their relative paths. Links that lead outside, links to directories and
    directories that may not be opened are skipped."""

    def __init__(self, root: Path):
        self.root, self.inside = root, root.resolve()
        self.names: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        for path in self._walk(root):
            if not path.is_dir() and path.suffix.lower() not in ENDINGS:
                continue
            if reason := self._why_skipped(path):
                self.skipped.append((path.relative_to(root).as_posix(), reason))
            elif path.is_file():
                self.names.append(path.relative_to(root).as_posix())
        self.names.sort()  # as text, as a zip's are

    def _walk(self, folder: Path) -> Iterator[Path]:
        try:
            inside = list(folder.iterdir())
        except OSError as error:
            if folder == self.root:
                raise ValueError(f"{folder} cannot be read: {error.strerror}") from None
            self.skipped.append((folder.relative_to(self.root).as_posix(), f"cannot be read: {error.strerror}"))
            return
        for path in inside:
            if path.is_dir() and not path.is_symlink() and not _is_hidden(path.name):
                yield from self._walk(path)
            elif not _is_hidden(path.name):
                yield path

    def _why_skipped(self, path: Path) -> str | None:
        if not path.is_symlink() or _is_hidden(path.name):
            return None
        try:
            end = path.resolve()
        except (OSError, RuntimeError):  # a link to itself
            return "a link to nothing"
        if not end.is_relative_to(self.inside):
            return "a link that leads outside"
        return None if end.is_file() else "a link to a directory" if end.is_dir() else "a link to nothing"

    def read(self, name: str) -> bytes:
        with open(self.root / name, "rb") as file:
            return _check_size(file.read(MAX_BYTES + 1))

    def close(self) -> None:
        pass


class Zip:
    """The members of a zip, in order of their names. Raises ValueError for an archive that is damaged or unsafe."""

    def __init__(self, path: Path):
        self.skipped: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        try:
            self.archive = zipfile.ZipFile(path)
        except Exception as error:  # a damaged directory raises many types
            raise ValueError(f"{path} is not a whole zip archive: {error}") from None
        infos = [info for info in self.archive.infolist() if not info.is_dir()]
        reason = next((f"holds {i.filename!r}, {why}" for i in infos if (why := _why_unsafe(i))), None)
        if sum(info.file_size for info in infos) > MAX_EXPANSION * path.stat().st_size:
            reason = reason or f"expands more than {MAX_EXPANSION} times"  # members that share their bytes
        if reason:
            self.close()
            raise ValueError(f"{path} {reason}")
        self.names = sorted({info.filename for info in infos if not any(map(_is_hidden, info.filename.split("/")))})

    def read(self, name: str) -> bytes:
        size = min(MAX_BYTES, self.archive.getinfo(name).file_size)
        try:
            with self.lock, self.archive.open(name) as file:
                data = file.read(size + 1)
        except Exception as error:  # a damaged member raises many types
            raise OSError(f"damaged in the archive: {str(error) or type(error).__name__}") from None
        return _check_size(data)

    def close(self) -> None:
        self.archive.close()


def _check_size(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise OSError(f"a file of more than {MAX_BYTES >> 20} MiB")
    return data


def _why_unsafe(info: zipfile.ZipInfo) -> str | None:
    name = info.filename.replace("\\", "/")
    if ".." in name.split("/") or name.startswith("/") or name[1:3] == ":/":
        return "a name that leads outside"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.flag_bits & 1:
        return "which is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "which is compressed in a way that is not read: use deflate"  # others expand without bound in one read
    if info.file_size > 2**20 and info.file_size > MAX_EXPANSION * max(1, info.compress_size):
        return f"which expands {info.file_size // max(1, info.compress_size)} times"
    return None


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != ".") or name == "__MACOSX"
