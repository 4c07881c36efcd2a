"""``python -m ganzfeld``: the command line."""

from .cli import main

main()
