"""The signals that ask a process to end: a terminal's Ctrl-C, a supervisor's SIGTERM, the SIGHUP of a line that is
gone. The exit code is 128 and the signal's number: 130, 143, 129."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from .streams import say

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal came where nothing had to be saved."""

    def __init__(self, signum: int):
        super().__init__(signum)
        self.signum = signum


def _handled() -> list[signal.Signals]:
    """Those that are not ignored, as nohup asks for. Off the main thread signals are somebody else's business."""
    main = threading.current_thread() is threading.main_thread()
    return [kind for kind in ENDING if main and signal.getsignal(kind) != signal.SIG_IGN]


@contextlib.contextmanager
def handle(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Inside, these signals go to the handler."""
    kinds = _handled()
    old = [signal.signal(kind, handler) for kind in kinds]
    try:
        yield
    finally:
        for kind, before in zip(kinds, old, strict=True):
            signal.signal(kind, before)


@contextlib.contextmanager
def note() -> Iterator[list[int]]:
    """Inside, the first signal is noted; a second one does what it did before."""
    asked: list[int] = []
    before = {kind: signal.getsignal(kind) for kind in ENDING}

    def handler(signum: int, frame: Any) -> None:
        if asked:
            signal.signal(signum, before[signal.Signals(signum)])
            signal.raise_signal(signum)
        asked.append(signum)

    with handle(handler):
        yield asked


def ignore(*kinds: signal.Signals) -> None:
    """From now on these signals are ignored, or all: the process is ending, or another passes them on."""
    for kind in kinds or ENDING:
        signal.signal(kind, signal.SIG_IGN)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Inside, a signal that nobody else handles ends the process with a word and its exit code; after it the process is
    about to end by itself. For a process of its own, once."""

    def stop(signum: int, frame: FrameType | None) -> None:
        if _importing(frame):  # libraries in C swallow what is raised there, or abort; and nothing is begun
            _tell(signum)
            os._exit(128 + signum)
        raise Stopped(signum)

    for kind in _handled():
        signal.signal(kind, stop)
    try:
        yield
    except Stopped as error:
        ignore()
        _tell(error.signum)
        sys.exit(128 + error.signum)
    finally:
        ignore()


def _importing(frame: FrameType | None) -> bool:
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _tell(signum: int) -> None:
    say(f"ganzfeld: stopped by {signal.Signals(signum).name}; what was not finished is not saved")
