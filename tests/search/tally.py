"""What a hunt has found: counts, and every fault with the words that play its case again."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field

from .processes import Done

MACHINERY = re.compile(  # words of the machinery below, which say nothing to a user
    r"mat1|vmap|\btensors?\b|autograd|has no attribute|positional argument|unexpected keyword|NoneType|unhashable|dtype"
    r"|not supported between|\bdtypes?\b|shape '\[|Expecting|codec can't|invalid literal|not subscriptable|not iterable"
    r"|unpack|KeyError|IndexError|out of range|tuple\[| \| None|Input should be|<class|object at 0x"
)
USAGE = {0, 1, 2, 130, 143}


@dataclass
class Tally:
    hunt: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, int, str]] = field(default_factory=list)  # kind, number of the case, what was seen

    loud: bool = False  # tell of every fault as it is found

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def fault(self, kind: str, number: int, seen: str) -> None:
        self.faults.append((kind, number, seen))
        if self.loud:
            print(f"{kind} {number}: {seen}", file=sys.stderr, flush=True)

    def check(self, number: int, words: list[str], done: Done, codes: frozenset[int] = frozenset({0, 1, 2})) -> bool:
        """Whether a command ended as it may; what it did else is noted."""
        said = done.err.strip().splitlines()
        command = " ".join(words)
        if done.hung:
            self.fault("hung", number, command)
        elif done.traceback or "Traceback (most recent" in done.err:
            last = (done.traceback or done.err).strip().splitlines()[-1]
            self.fault("traceback", number, f"{command}: {last}")
        elif done.code not in codes:
            self.fault("exit code", number, f"{command}: {done.code} {said[-1:]}")
        elif done.code and (not said or len([line for line in said if line.startswith("ganzfeld: ")]) != 1):
            self.fault("no single line", number, f"{command}: exit {done.code}, {said[-2:]}")
        elif done.code and MACHINERY.search(said[-1]):
            self.fault("unclear", number, f"{command}: {said[-1]}")
        else:
            return True
        return False

    def __str__(self) -> str:
        kinds = Counter(kind for kind, _, _ in self.faults)
        lines = [f"{self.hunt}: " + ", ".join(f"{n} {what}" for what, n in self.counts.items())]
        lines += ["  faults: " + (", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "none")]
        lines += [
            f"  {kind}: {seen}\n      python -m search {self.hunt} {number}"
            for kind, number, seen in sorted(self.faults)
        ]
        return "\n".join(lines)
