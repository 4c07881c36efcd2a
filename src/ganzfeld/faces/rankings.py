"""Lists: what a run of retrieval recommends, written for those who use it.

``.trec``    ``user Q0 item rank score tag`` a line, as trec_eval and ir-measures read it
``.csv``     user, item, rank, score, with a header
``.jsonl``   ``{"user", "items", "scores"}`` a line
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Lists = Mapping[str, Sequence[tuple[str, float]]]
ENDINGS = (".trec", ".csv", ".jsonl")


def form_of(out: Path) -> str:
    """What a name's ending asks for. Raises ValueError for one that has no form."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"--out {out} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    return ending


def format_lists(lists: Lists, ending: str, tag: str = "ganzfeld") -> str:
    """All lists, best first."""
    if ending == ".jsonl":
        return "".join(
            json.dumps({"user": user, "items": [i for i, _ in line], "scores": [s for _, s in line]}) + "\n"
            for user, line in lists.items()
        )
    rows = [(user, item, rank, score) for user, line in lists.items() for rank, (item, score) in enumerate(line, 1)]
    if ending == ".trec":
        blank = next((name for user, item, *_ in rows for name in (user, item) if len(name.split()) != 1), None)
        if blank is not None:
            raise ValueError(f"a TREC run is parted by blanks, and {blank!r} holds some: write .csv or .jsonl")
        return "".join(f"{user} Q0 {item} {rank} {score:.9g} {tag}\n" for user, item, rank, score in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("user", "item", "rank", "score"))
    writer.writerows((user, item, rank, f"{score:.9g}") for user, item, rank, score in rows)
    return text.getvalue()


def write(lists: Lists, out: Path, tag: str = "ganzfeld") -> None:
    """By the ending of a name. Raises ValueError for an ending without a form, and for ids that a form cannot hold."""
    text = format_lists(lists, form_of(out), tag)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")


def read_users(text: str | None) -> list[str] | None:
    """Ids with commas, or of a file with one a line."""
    if text is None:
        return None
    path = Path(text)
    names = path.read_text(encoding="utf-8-sig").split("\n") if path.is_file() else text.split(",")
    if not (found := [name.strip() for name in names if name.strip()]):
        raise ValueError(f"--users {text} names no user")
    return found


def tag_of(path: Path) -> str:
    """What a TREC run calls its system."""
    return "-".join(path.resolve().name.split())
