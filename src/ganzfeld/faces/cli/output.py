"""What a command prints: messages on standard error, facts and one JSON document on standard output."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from typing import Any


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """A file's text, in UTF-8 as in a file, whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    else:
        print(text, end="")


def print_facts(facts: Mapping[str, Any]) -> None:
    width = max(map(len, facts))
    for key, value in facts.items():
        print(f"{key:<{width}}  {value}")


def print_json(value: Any) -> None:
    from ...runs.files import clean

    print(json.dumps(clean(value), indent=2, ensure_ascii=False))
