"""What a command prints: messages on standard error, facts and one JSON document on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.streams import say

__all__ = ["print_facts", "print_json", "print_text", "say"]


def print_text(text: str) -> None:
    """A file's text."""
    print(text, end="")


def print_facts(facts: Mapping[str, Any]) -> None:
    width = max(map(len, facts))
    for key, value in facts.items():
        print(f"{key:<{width}}  {value}")


def print_json(value: Any) -> None:
    from ...runs.files import clean

    print(json.dumps(clean(value), indent=2, ensure_ascii=False))
