"""``python -m search [HUNT [NUMBER]]``: every hunt, or one, or one case of it with all that it said."""

import sys

from . import hunts

names, number = sys.argv[1:2], sys.argv[2:]
print(hunts.play(names or list(hunts.HUNTS), [int(n) for n in number] or None, talk=bool(number)))
