"""``python -m search [HUNT [NUMBER ...]]``: every hunt, or one, or some of its cases with all that was said."""

import sys

from . import hunts

names, numbers = sys.argv[1:2] or list(hunts.HUNTS), [int(number) for number in sys.argv[2:]]
found = hunts.play({name: numbers or None for name in names}, cores=1 if numbers else None, talk=bool(numbers))
print(*found, sep="\n")
sys.exit(any(tally.faults for tally in found))
