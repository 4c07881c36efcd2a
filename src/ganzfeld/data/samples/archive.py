"""Files by name, from a folder or a zip, read in memory and never written. Hidden files are passed over in silence;
what was meant and is not read (links, pictures of other formats) is named with the reason; the directories of runs hold
samples, not data, and are left alone, which is said.

A zip is looked through before anything is read: names that leave it, links, encryption, rare compressions and what
expands a thousandfold are refused, and no more bytes are read from a member than its entry promises.
"""

from __future__ import annotations

import stat
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ...core.disk import path_of, text_of
from .decode import ENDINGS

MAX_EXPANSION = 1_000  # what grows so many times is a bomb
MAX_BYTES = 2**28  # bytes of one file that are read: the largest picture that is decoded, uncompressed


RUN = "run.json"  # a directory with such a file is a run's
OTHER_ENDINGS = (".heic", ".heif", ".avif", ".jfif", ".jp2", ".jxl", ".tga", ".svg", ".psd")


class Files(Protocol):
    """names: relative paths in order. skipped: names that are not read, with the reason. runs: directories that are
    left alone, since they are a run's."""

    names: list[str]
    skipped: list[tuple[str, str]]
    runs: list[str]

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
        self.runs: list[str] = []
        _refuse_run(root, (root / RUN).is_file())
        for path in self._walk(root):
            if not path.is_dir() and path.suffix.lower() not in (*ENDINGS, *OTHER_ENDINGS):
                continue
            if reason := self._why_skipped(path) or _other_format(path.name):
                self.skipped.append((text_of(path.relative_to(root)), reason))
            elif path.is_file():
                self.names.append(text_of(path.relative_to(root)))
        self.names.sort()  # as text, as a zip's are

    def _walk(self, folder: Path) -> Iterator[Path]:
        try:
            inside = list(folder.iterdir())
        except OSError as error:
            if folder == self.root:
                raise ValueError(f"{folder} cannot be read: {error.strerror}") from None
            self.skipped.append((text_of(folder.relative_to(self.root)), f"cannot be read: {error.strerror}"))
            return
        for path in inside:
            if _is_hidden(path.name):
                continue
            if path.is_symlink() or not path.is_dir():
                yield path
            elif (path / RUN).is_file():
                self.runs.append(text_of(path.relative_to(self.root)))
            else:
                yield from self._walk(path)

    def _why_skipped(self, path: Path) -> str | None:
        if not path.is_symlink():
            return None
        try:
            end = path.resolve()
        except (OSError, RuntimeError):  # a link to itself
            return "a link to nothing"
        if not end.is_relative_to(self.inside):
            return "a link that leads outside"
        return None if end.is_file() else "a link to a directory" if end.is_dir() else "a link to nothing"

    def read(self, name: str) -> bytes:
        with open(self.root / path_of(name), "rb") as file:
            return _check_size(file.read(MAX_BYTES + 1))

    def close(self) -> None:
        pass


class Zip:
    """The members of a zip, in order of their names. Raises ValueError for an archive that is damaged or unsafe."""

    def __init__(self, path: Path):
        self.lock = threading.Lock()
        try:
            self.archive = zipfile.ZipFile(path)
        except Exception as error:  # a damaged directory raises many types
            raise ValueError(f"{path} is not a whole zip archive: {error}") from None
        infos = [info for info in self.archive.infolist() if not info.is_dir()]
        try:
            check_archive(path, infos)
        except ValueError:
            self.close()
            raise
        shown = {info.filename for info in infos if not any(map(_is_hidden, info.filename.split("/")))}
        _refuse_run(path, RUN in shown)
        self.runs = sorted(name.removesuffix(RUN) for name in shown if name.endswith("/" + RUN))
        shown = {name for name in shown if not name.startswith(tuple(self.runs))}
        self.skipped = sorted((name, why) for name in shown if (why := _other_format(name)))
        self.names = sorted(name for name in shown if name.lower().endswith(ENDINGS))

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


def check_archive(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Raises ValueError for the members of a zip, or of a ``.npz``, which is one, that are not safe to read."""
    reason = next((f"holds {i.filename!r}, {why}" for i in infos if (why := _why_unsafe(i))), None)
    if sum(info.file_size for info in infos) > MAX_EXPANSION * path.stat().st_size:
        reason = reason or f"expands more than {MAX_EXPANSION} times"  # members that share their bytes
    if reason:
        raise ValueError(f"{path} {reason}")


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


def _refuse_run(path: Path, is_run: bool) -> None:
    if is_run:
        raise ValueError(f"{path} is a run directory, and its pictures are samples: give what it was trained on")


def _other_format(name: str) -> str | None:
    return "a format that is not read: save it as PNG or JPEG" if name.lower().endswith(OTHER_ENDINGS) else None


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != ".") or name == "__MACOSX"
