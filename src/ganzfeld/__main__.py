"""``python -m ganzfeld``: the command line."""

from .faces.cli import main

main()
