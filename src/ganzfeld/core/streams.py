"""The standard streams of a command.

What goes to standard error is a convenience: where nobody takes it, the work goes on. What goes to standard output is
what was asked for: where it cannot be written the command fails, and where its reader has seen enough (``| head -1``)
the rest is dropped. Both are UTF-8; a terminal has its own encoding, and is shown what it can show.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


def say(text: str) -> None:
    """A line on standard error, if there is one and it takes it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # gone, full, closed
            print(text, file=sys.stderr, flush=True)


class Messages(io.TextIOWrapper):
    """Standard error: what it does not take is dropped."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


class Answer(io.TextIOWrapper):
    """Standard output: without a reader the rest is dropped; whatever else stops it is raised once, as OSError."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # takes what is still held, so that leaving succeeds
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, error.strerror, "standard output") from None


def prepare() -> None:
    """Put `Messages` and `Answer` in their places. For a process of its own, once, before anything else is opened: a
    stream that is closed has left its number to the next file."""
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        handle = os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)  # a lost answer is an error
        os.set_inheritable(handle, True)
    sys.stdout = _take(sys.stdout, 1, Answer)
    sys.stderr = _take(sys.stderr, 2, Messages)


def _take(stream: TextIO | None, number: int, kind: type[io.TextIOWrapper]) -> io.TextIOWrapper:
    shown = stream is not None and stream.isatty()
    encoding = stream.encoding if stream is not None and shown else "utf-8"
    raw = stream.detach() if isinstance(stream, io.TextIOWrapper) else open(number, "wb", closefd=False)
    return kind(raw, encoding, "backslashreplace", line_buffering=shown or number == 2)
