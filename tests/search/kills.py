"""Training, killed at a file operation, and once more while it is resumed: it must end as one that nobody killed, and
leave nothing else behind."""

from __future__ import annotations

import json
import random
import shutil
import threading
from pathlib import Path
from typing import Any

from .mutations import OWN, STEPS, TIMED
from .processes import Servers
from .tally import Tally

START = ["--set", "start=dns", "--set", "start_steps=4"]
RUNS = {
    "samples": ["train", "ns-gan", "--data", "../x.npy", "--seeds", "2", *OWN, *STEPS],
    "codes": ["train", "bigan", "--data", "../p.npz", "--set", "width=4", "--batch-size", "8", *STEPS],
    "rankings": ["train", "irgan", "--data", "../i.tsv", "--set", "rank=2", *START, *STEPS],
    "documents": ["train", "irgan-pairwise", "--data", "../l.txt", "--set", "width=4", *STEPS],
    "comparison": ["compare", "ns-gan", "wgan", "--data", "../x.npy", "--seeds", "1", "--steps", "8", *OWN],
}  # fmt: skip
OF_THE_DAY = (*TIMED, "warnings")  # what differs between two equal runs
_whole: dict[tuple[Path, str], tuple[list[str], dict[str, Any]]] = {}
_lock = threading.Lock()


def whole(servers: Servers, folder: Path, kind: str) -> tuple[list[str], dict[str, Any]]:
    """The operations of an undisturbed run, and what it leaves."""
    with _lock:
        if (folder, kind) not in _whole:
            place = folder / f"{kind}-undisturbed"
            place.mkdir()
            done = servers.run(*RUNS[kind], "--out", "run", where=place, count=True, patience=300)
            assert done.code == 0, done.err + done.traceback
            _whole[folder, kind] = (done.operations, left(place / "run"))
    return _whole[folder, kind]


def left(run: Path) -> dict[str, Any]:
    """Every file of a run, without what the clock, the process and the number of its legs decide."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_dir() or path.name in ("lock", "run.json", "report.html", "compare.json"):
            found[name] = path.is_dir()
        elif path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{key: value for key, value in line.items() if key not in OF_THE_DAY} for line in lines]
        elif path.name == "meta.json":  # what was logged has times in it, and so its digests
            meta = json.loads(path.read_text())
            found[name] = {key: value for key, value in meta.items() if key not in ("history", "digest")}
        else:
            found[name] = path.read_bytes()
    return found


def hunt(servers: Servers, folder: Path, number: int, tally: Tally) -> None:
    kind = list(RUNS)[number % len(RUNS)]
    operations, expected = whole(servers, folder, kind)
    rng = random.Random(f"kill {number}")
    at = rng.randrange(len(operations)) + 1
    place = folder / f"kill-{number}"
    place.mkdir()
    words = [*RUNS[kind], "--out", "run"]
    what = f"{kind}: killed at {at} of {len(operations)}, {operations[at - 1]}"
    done = servers.run(*words, where=place, kill_at=at)
    tally.count("kills")
    if done.code is not None:
        tally.fault("was not killed", number, what)
    if rng.random() < 0.4:  # once more, on the way back
        again = rng.randrange(1, len(operations) // 2)
        what += f", resumed and killed at {again}"
        if servers.run(*words, "--resume", where=place, kill_at=again).code is None:
            tally.count("kills")
    done = servers.run(*words, "--resume", where=place)
    if done.code == 2:  # nothing is there to go on from: it is said, and a new run may begin
        tally.count("begun anew")
        done = servers.run(*words, where=place)
    if tally.check(number, [what], done, frozenset({0})):
        found = left(place / "run")
        stray, lost = sorted(found.keys() - expected.keys()), sorted(expected.keys() - found.keys())
        other = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
        for problem, names in (("stray files", stray), ("lost files", lost), ("other results", sorted(other))):
            if names:
                tally.fault(problem, number, f"{what}: {' '.join(names)}")
    shutil.rmtree(place)
