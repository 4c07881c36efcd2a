"""Words for people, apart from code: the files of a room's folder ``texts``, one or more for each language."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

Texts = Mapping[str, Any]


def languages(package: str) -> list[str]:
    """Those that a room's words are written in: the names of the files, or of the folders, in its ``texts``."""
    return sorted(path.name.removesuffix(".yaml") for path in (resources.files(package) / "texts").iterdir())


def check_language(package: str, language: str, what: str) -> None:
    """Raises ValueError for a language that is not there. what: the beginning of a sentence that says so."""
    if language not in (known := languages(package)):
        raise ValueError(f"{what} in {' and '.join(known)}, not in {language!r}")


PLAIN = {  # what is meant by errors of other libraries whose own words are about their machinery
    "JSONDecodeError": "it is no JSON",
    "SafetensorError": "its bytes are not those of weights",
}


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line; its type where it says nothing."""
    if type(error).__name__ in PLAIN:
        return PLAIN[type(error).__name__]
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def printable(name: str) -> str:
    r"""The name of a file as text that every file and terminal of UTF-8 takes: bytes of it that are no UTF-8, which
    Python hands over as lone surrogates, are written as \xe9."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_path(what: str, path: str) -> None:
    """Raises ValueError for a path that a run cannot write down: an empty one, which would be the directory that one
    happens to be in, and one that is no UTF-8."""
    if not path.strip():
        raise ValueError(f"{what} is empty: give a name or a path")
    if printable(path) != path:
        raise ValueError(f"{what} {printable(path)} is not UTF-8, so that no run can write it down: rename it")


@functools.cache
def read(package: str, name: str) -> Texts:
    """A file of them, parsed once."""
    import yaml

    return yaml.safe_load((resources.files(package) / "texts" / f"{name}.yaml").read_text("utf-8"))
