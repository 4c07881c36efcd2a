"""Every command, with an output stream that is closed, full, or a pipe whose reader has gone, from its n-th write on,
or that was never there.

Progress on standard error is a convenience: without it a command ends as it would have, with the same result. What
cannot be printed on standard output is an error of one line, or none where the reader has gone.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from .kills import left
from .mutations import OWN, STEPS
from .processes import Servers
from .tally import Tally

MANNERS = ("closed", "full", "gone")
MOMENTS = 10
TRAINED = {
    "samples": ["train", "ns-gan", "--data", "x.npy", *OWN, *STEPS],
    "codes": ["train", "bigan", "--data", "p.npz", "--set", "width=4", "--batch-size", "8", *STEPS],
    "rankings": ["train", "irgan", "--data", "i.tsv", "--set", "rank=2", *STEPS],
}
COMMANDS = [
    ["train", "ns-gan", "--data", "x.npy", *OWN, *STEPS, "--out", "new"],
    ["train", "irgan", "--data", "i.tsv", "--set", "rank=2", *STEPS, "--out", "new"],
    ["train", "ns-gan", "--data", "x.npy", "--out", "new", "--dry-run"],
    ["train", "ns-gan", "--data", "nowhere.npy", "--out", "new"],
    ["compare", "ns-gan", "lsgan", "--data", "x.npy", "--seeds", "1", "--steps", "8", *OWN, "--out", "new"],
    ["judge", "samples"],
    ["judge", "samples", "--json"],
    ["sample", "samples", "--n", "4", "--out", "new.npy"],
    ["export", "samples", "--out", "new.safetensors"],
    ["encode", "codes", "--out", "new.npy"],
    ["reconstruct", "codes", "--out", "new.npy"],
    ["anomaly", "codes"],
    ["interpolate", "codes", "--between", "0,1", "--out", "new.npy"],
    ["recommend", "rankings"],
    ["recommend", "rankings", "--out", "new.csv"],
    ["report", "samples", "--out", "new.html"],
    ["laws", "--fast", "hyperplane", "--out", "new"],
    ["laws", "--fast", "hyperplane", "--json"],
    ["list"],
    ["list", "wgan-gp", "--json"],
    ["--help"],
    ["demos"],
]
COUNT = len(COMMANDS) * MOMENTS
_expected: dict[tuple[Path, int], tuple[Any, ...]] = {}
_lock = threading.Lock()


def prepare(servers: Servers, folder: Path, which: int) -> tuple[Any, ...]:
    """The exit code, what is printed and what is written where nothing fails."""
    with _lock:
        for name, words in TRAINED.items():
            if not (folder / name).exists():
                assert servers.run(*words, "--out", name, where=folder, patience=300).code == 0
        if (folder, which) not in _expected:
            _expected[folder, which] = result(servers, folder, f"calm-{which}", which)[0]
    return _expected[folder, which]


def result(servers: Servers, folder: Path, name: str, which: int, **more: Any) -> tuple[tuple[Any, ...], Any]:
    place = folder / name
    place.mkdir()
    for path in folder.iterdir():
        if path.name in TRAINED or path.is_file():
            (place / path.name).symlink_to(path)
    done = servers.run(*COMMANDS[which], where=place, **more)
    new = sorted(path for path in place.glob("new*"))
    made = {path.name: left(path) if path.is_dir() else path.read_bytes() for path in new}
    shutil.rmtree(place)
    return (done.code, done.out, made), done


def hunt(servers: Servers, folder: Path, number: int, tally: Tally) -> None:
    which, moment = divmod(number, MOMENTS)
    code, printed, made = prepare(servers, folder, which)
    for stream in ("out", "err"):
        manner = MANNERS[(moment + which) % len(MANNERS)] if moment else "absent"
        found, done = result(servers, folder, f"stream-{number}-{stream}", which, stream=(stream, manner, moment - 1))
        words = [*COMMANDS[which], f"; {stream} {manner} from write {moment - 1}" if moment else f"; {stream} absent"]
        tally.count("streams")
        if done.hung or done.traceback or "Traceback" in done.err:
            tally.check(number, words, done)
        elif stream == "err":
            if (found[0], found[1]) != (code, printed):
                tally.fault("ends otherwise", number, f"{' '.join(words)}: exit {found[0]}, not {code}")
            elif found[2] != made:
                tally.fault("other results", number, " ".join(words))
        elif found[1] == printed:
            if found[0] != code:
                tally.fault("ends otherwise", number, f"{' '.join(words)}: exit {found[0]}, not {code}")
        elif found[0] not in {"gone": (0, code), "absent": (code, 2)}.get(manner, (2,)):
            tally.fault("exit code", number, f"{' '.join(words)}: exit {found[0]}, and not all is printed")
        elif found[2] != made:
            tally.fault("other results", number, " ".join(words))
