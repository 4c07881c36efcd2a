"""Commands in processes of their own, each forked from one that has everything imported: a tenth of a second a command.

A server reads requests as lines of JSON, and answers in the same way; `Servers` keeps one a core.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import queue
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 30.0  # seconds a command may take
MEMORY = 5 << 30  # bytes of address space it may ask for


@dataclass
class Command:
    """words: of ganzfeld. where: its directory. kill_at: it is killed at that operation on files below where, counted
    from 1. count: whether operations are counted. stream: "out" or "err" fails from its n-th write on, in a manner."""

    words: list[str]
    where: str
    kill_at: int = 0
    count: bool = False
    stream: tuple[str, str, int] | None = None
    patience: float = PATIENCE
    environment: dict[str, str] = field(default_factory=dict)


class Done(NamedTuple):
    """code: of exit; None where it was killed, by itself or for its slowness."""

    code: int | None
    out: str
    err: str
    traceback: str
    hung: bool
    operations: list[str]
    seconds: float


class Servers:
    """A pool of them; `run` waits for a free one."""

    def __init__(self, count: int, talk: bool = False):
        from small import environment

        self.talk = talk

        tests = str(Path(__file__).parents[1])
        own = environment()
        own |= {"PYTHONPATH": os.pathsep.join([own["PYTHONPATH"], tests]), "GANZFELD_CACHE": tempfile.mkdtemp()}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = [
            subprocess.Popen([sys.executable, "-m", "search.processes"], **pipes, env=own) for _ in range(count)
        ]
        self.free: queue.Queue[subprocess.Popen[str]] = queue.Queue()
        for process in self.processes:
            self.free.put(process)

    def run(self, *words: Any, where: Path, **more: Any) -> Done:
        command = Command([str(word) for word in words], str(where), **more)
        process = self.free.get()
        try:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps(vars(command)) + "\n")
            process.stdin.flush()
            done = Done(*json.loads(process.stdout.readline()))
        finally:
            self.free.put(process)
        if self.talk:
            print(f"$ ganzfeld {' '.join(command.words)}\n{done.out}{done.err}{done.traceback}exit {done.code}")
        return done

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin and process.stdout
            process.stdin.close()
            process.stdout.close()
            process.wait()


def serve() -> None:
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    warm_up()
    for line in requests:
        command = Command(**json.loads(line))
        answers.write(json.dumps(answer(command)) + "\n")
        answers.flush()


def warm_up() -> None:
    """What takes its time on first use: imports, and a first game."""
    import pkgutil

    import ganzfeld
    from ganzfeld.faces import cli

    for module in pkgutil.walk_packages(ganzfeld.__path__, "ganzfeld."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        out, small = f"{folder}/run", ["--set", "width=4", "--batch-size", "8", "--set", "depth=1"]
        for words in (["train", "wgan-gp", "--data", "ring8", "--out", out, "--steps", "2", *small], ["judge", out]):
            with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
                cli.main(words)


def answer(command: Command) -> Done:
    """Run it in a child, which writes what it knows of itself to a pipe, and wait for its end."""
    start = time.monotonic()
    read, write = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            os.close(read)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            play(command, write)
        os.close(write)
        known, hung = b"", False
        while True:
            left = start + command.patience - time.monotonic()
            if not select.select([read], [], [], max(0.0, left))[0]:
                hung = True
                break
            if not (piece := os.read(read, 1 << 16)):
                break
            known += piece
        os.close(read)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # and what it has left running
        _, status = os.waitpid(child, 0)
        told, operations = read_notes(known)
        code = told.get("code") if "code" in told else None
        for file in (out, err):
            file.seek(0)
        texts = [file.read().decode(errors="replace") for file in (out, err)]
        if code is None and not hung and not command.kill_at:
            told.setdefault("traceback", f"ended by signal {os.WTERMSIG(status)}, or without a word")
        return Done(code, *texts, told.get("traceback", ""), hung, operations, time.monotonic() - start)


def read_notes(known: bytes) -> tuple[dict[str, Any], list[str]]:
    lines = [json.loads(line) for line in known.decode(errors="replace").splitlines()]
    told: dict[str, Any] = {}
    for line in lines:
        told |= line if isinstance(line, dict) else {}
    return told, [line for line in lines if isinstance(line, str)]


def play(command: Command, notes: int) -> None:
    """In the child: never returns."""

    def note(fact: Any) -> None:
        os.write(notes, (json.dumps(fact) + "\n").encode())

    code: Any = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(math.ceil(command.patience) + 5)  # should nobody be left to end it
        os.chdir(command.where)
        os.environ.update(command.environment)
        sys.argv = ["ganzfeld", *command.words]
        sys.stdout, sys.stderr = stream_of(1, command), stream_of(2, command)
        if command.count or command.kill_at:
            watch_files(command, note)
        from ganzfeld.__main__ import main

        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        for stream in (sys.stdout, sys.stderr):  # as the interpreter does at its end
            try:
                if stream is not None and not stream.closed:
                    stream.flush()
            except OSError as error:
                if stream is sys.stdout:
                    note({"traceback": f"at the interpreter's end: {error!r}"})
                code = 120
    except BaseException:
        note({"traceback": traceback.format_exc()})
    note({"code": code})
    os._exit(0)


# --- kills ---

OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def watch_files(command: Command, note: Any) -> None:
    """Count operations that change files below a directory, and die at the one that is asked for. A file that is about
    to be synced is cut in half first: what was not synced may be lost."""
    where, count = os.path.realpath(command.where), 0

    def operation(name: str, path: Any, handle: int = -1) -> None:
        nonlocal count
        full = os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if not full.startswith(where + os.sep):
            return
        count += 1
        if command.count:
            note(f"{name} {os.path.relpath(full, where)}")
        if count == command.kill_at:
            if handle >= 0:
                with contextlib.suppress(OSError):  # a folder
                    os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, facts: tuple[Any, ...]) -> None:
        if event not in OPERATIONS:
            return
        if event == "open":
            flags = facts[2] if len(facts) > 2 and isinstance(facts[2], int) else 0
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                return
        operation(event, facts[0])

    real = os.fsync

    def fsync(handle: Any) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        operation("fsync", os.readlink(f"/proc/self/fd/{number}"), number)
        real(handle)

    os.fsync = fsync
    sys.addaudithook(hook)


# --- streams ---


class Failing(io.RawIOBase):
    """A stream whose file is taken away at its n-th write: closed, full, or a pipe whose reader has gone."""

    def __init__(self, number: int, manner: str, after: int):
        self.number, self.manner, self.left = number, manner, after

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def write(self, data: Any) -> int:
        if self.left == 0:
            self.take_away()
        self.left -= 1
        return os.write(self.number, data)

    def take_away(self) -> None:
        if self.manner == "closed":
            os.close(self.number)
        elif self.manner == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), self.number)
        elif self.manner == "gone":
            read, write = os.pipe()
            os.close(read)
            os.dup2(write, self.number)
        else:
            raise OSError(errno.EINVAL, self.manner)


def stream_of(number: int, command: Command) -> Any:
    name = {1: "out", 2: "err"}[number]
    if command.stream and command.stream[0] == name:
        _, manner, after = command.stream
        if manner == "absent":  # as Python finds it, where it was closed before
            os.close(number)
            return None
        raw: Any = Failing(number, manner, after)
    else:
        raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", line_buffering=number == 2)


if __name__ == "__main__":
    serve()
