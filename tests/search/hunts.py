"""The hunts and how many cases each has; played on every core, each case by its number alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import crossings, kills, mutations, streams, world
from .processes import Servers
from .tally import Tally

HUNTS = {
    "crossings": (crossings, 300), "mutations": (mutations, 500), "kills": (kills, 60), "streams": (streams, streams.COUNT),
}  # fmt: skip


def play(names: Sequence[str], numbers: Sequence[int] | None = None, talk: bool = False, **more: Any) -> str:
    """What was found, as text."""
    return "\n".join(str(tally) for tally in tallies(names, numbers, talk, **more))


def tallies(names: Sequence[str], numbers: Sequence[int] | None = None, talk: bool = False, **more: Any) -> list[Tally]:
    """numbers: of the cases, all unless given."""
    cores = min(2, os.cpu_count() or 1)
    servers = Servers(1 if numbers and len(numbers) == 1 else cores, talk, **more)
    found = []
    try:
        for name in names:
            module, count = HUNTS[name]
            start, tally = time.monotonic(), Tally(name, loud=talk or numbers is None)
            with tempfile.TemporaryDirectory() as where, ThreadPoolExecutor(cores) as pool:
                world.make(Path(where))
                chosen = range(count) if numbers is None else numbers
                list(pool.map(lambda n, go=module.hunt, at=Path(where), t=tally: go(servers, at, n, t), chosen))
            tally.counts["seconds"] = round(time.monotonic() - start)
            found.append(tally)
    finally:
        servers.close()
    return found
