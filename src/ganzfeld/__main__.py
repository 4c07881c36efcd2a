"""``python -m ganzfeld``, and the command ``ganzfeld``."""

from .core import signals, streams


def main() -> None:
    """The command line in a process of its own, which answers a signal while it is still being imported."""
    streams.prepare()
    with signals.answered():
        from .faces.cli import main

        main()


if __name__ == "__main__":
    main()
