"""The hunts and how many cases each has; played on every core, each case by its number alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import crossings, kills, mutations, streams, world
from .processes import Servers
from .tally import Tally

HUNTS: dict[str, tuple[Any, int]] = {
    "crossings": (crossings, 300),
    "mutations": (mutations, 500),
    "kills": (kills, 60),
    "streams": (streams, streams.COUNT),
}


def play(cases: Mapping[str, Iterable[int] | None], cores: int | None = None, talk: bool = False) -> list[Tally]:
    """What is found in some cases of every hunt that is named; None: in all of it. talk: print all that is said."""
    cores = cores or min(4, os.cpu_count() or 1)
    servers = Servers(cores, talk)
    try:
        return [_play_hunt(servers, cores, name, numbers) for name, numbers in cases.items()]
    finally:
        servers.close()


def _play_hunt(servers: Servers, cores: int, name: str, numbers: Iterable[int] | None) -> Tally:
    module, count = HUNTS[name]
    start, tally = time.monotonic(), Tally(name, loud=numbers is None)
    with tempfile.TemporaryDirectory() as where, ThreadPoolExecutor(cores) as pool:
        world.make(Path(where))
        chosen = range(count) if numbers is None else numbers
        list(pool.map(lambda number: module.hunt(servers, Path(where), number, tally), chosen))
    tally.counts["seconds"] = round(time.monotonic() - start)
    return tally
