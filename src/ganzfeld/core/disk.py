"""Files, read and written in one way.

Text is UTF-8, whatever the locale. What is read is a regular file: a FIFO would be waited for without end. What is
written is written aside, synced and renamed: a reader meets the old bytes or the new, and where the disk is full what
was there is still there, and nothing beside it.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

Content = bytes | Callable[[BinaryIO], Any]  # of a file: its bytes, or what writes them

ASIDE = ".ganzfeld-*-*.tmp"  # files that are not yet in their place: of a process, and a number
_numbers = itertools.count()


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Of a regular file of at most so many bytes. Raises OSError, which names the path, for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO opens at once, and is refused
    with open(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if most is not None and facts.st_size > most:
            raise OSError(errno.EFBIG, f"{facts.st_size} bytes, where at most {most} make sense", str(path))
        return file.read()


def read_text(path: Path, most: int | None = None) -> str:
    """UTF-8, a byte order mark left out. Raises OSError as `read_bytes`, and ValueError for other bytes."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8, first at byte {error.start}") from None


def encode(text: str) -> bytes:
    """UTF-8; of a name that was no text (PEP 383) each stray byte as it is spelt in JSON and Python, ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace")


def text_of(path: Path) -> str:
    """A name on the disk as text: UTF-8, whatever the locale; stray bytes as Python has them (PEP 383)."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def path_of(text: str) -> Path:
    """The inverse of `text_of`."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def replace(path: Path, content: Content) -> None:
    """Write one file, as `replace_all`."""
    replace_all([(path, content)])


def replace_all(parts: Iterable[tuple[Path, Content]]) -> None:
    """Write files, whose folders are made, all aside before the first takes its place. Raises OSError, which names the
    path, where that cannot be done. A link is followed; a device or a FIFO is written to as it is."""
    ready: list[tuple[Path, Path]] = []
    made: list[Path] = []
    try:
        for path, content in parts:
            place = Path(os.path.realpath(path))
            made += _make_folders(place.parent)
            with _naming(path):
                if place.exists() and not place.is_file() and not place.is_dir():
                    handle = os.open(place, os.O_WRONLY | os.O_NONBLOCK)  # a FIFO that nobody reads is refused
                    os.set_blocking(handle, True)
                    with open(handle, "wb") as device:
                        _put(device, content)
                else:
                    ready.append((place.with_name(f".ganzfeld-{os.getpid()}-{next(_numbers)}.tmp"), place))
                    _write_aside(*ready[-1], content)
        while ready:
            os.replace(*ready[0])
            sync(ready.pop(0)[1].parent)
    except BaseException:
        for aside, _ in ready:
            aside.unlink(missing_ok=True)
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # something has come into it
                folder.rmdir()
        raise


def sweep(*folders: Path) -> None:
    """Remove files that a killed process has left aside."""
    for folder in folders:
        for path in folder.glob(ASIDE):
            if not _is_running(int(path.name.split("-")[1])):
                path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _make_folders(folder: Path) -> list[Path]:
    """Those that were not there, the outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _write_aside(aside: Path, place: Path, content: Content) -> None:
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if place.exists() and not os.access(place, os.W_OK):  # a rename would not ask
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    _fill(aside, content)
    if place.exists():
        os.chmod(aside, stat.S_IMODE(place.stat().st_mode))


def _fill(path: Path, content: Content) -> None:
    # to be read as well: what is for writing alone NumPy writes through C, which does not tell of a full disk
    with open(path, "w+b") as file:
        _put(file, content)
        file.flush()
        os.fsync(file.fileno())


def _put(file: BinaryIO, content: Content) -> None:
    file.write(content) if isinstance(content, bytes) else content(file)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Inside, an OSError names the path that was asked for, and not the one aside."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None


def write(path: Path, data: bytes) -> None:
    """Bytes that are on the disk when it returns, in the file of that name: for folders that are renamed as a whole."""
    with _naming(path):
        _fill(path, data)


def append(path: Path, data: bytes) -> None:
    """Bytes behind those that are there."""
    with _naming(path), open(path, "ab") as file:
        file.write(data)


def sync(folder: Path) -> None:
    """The names in a folder are on the disk when it returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_out(out: Path, *read: Path) -> None:
    """Raises ValueError, before any work is done, where no file of that name can be written. read: what the command
    reads, which it must not write over."""
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder: name a file in it")
    check_folder(out.parent, f"--out {out}")
    for path in read:
        if out.exists() and path.exists() and os.path.samefile(out, path):
            raise ValueError(f"--out {out} is what is read: choose another name")


def check_folder(folder: Path, what: str) -> None:
    """Raises ValueError where a folder is not there and cannot be made, or cannot be written to. what: begins the
    sentence."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise ValueError(f"{what}: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{what}: {nearest} cannot be written to")


def describe(error: OSError) -> str:
    """One line: what happened to which file."""
    why = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {why}" if error.filename else why
