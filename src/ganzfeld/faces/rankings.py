"""Lists: what a run of retrieval recommends, written for those who use it.

``.trec``    ``user Q0 item rank score tag`` a line, as trec_eval and ir-measures read it
``.csv``     user, item, rank, score, with a header
``.jsonl``   ``{"user", "items", "scores"}`` a line

Of documents with features ``query`` and ``document`` stand for user and item. A tool that reads a TREC run orders equal
scores by a rule of its own.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..core import disk

Lists = Mapping[str, Sequence[tuple[str, float]]]
ENDINGS = (".trec", ".csv", ".jsonl")
Nouns = tuple[str, str]  # whom a list is for, and what is in it
USUAL: Nouns = ("user", "item")
PARTS = ("train", "valid", "test")


def form_of(out: Path) -> str:
    """What a name's ending asks for. Raises ValueError for one that has no form."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"--out {out} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    return ending


def recommend(
    run: Any, users: Sequence[str] | None, k: int, *, part: str = "test", **asked: Any
) -> tuple[dict[str, list[tuple[str, float]]], list[str]]:
    """The lists of a run that ranks (`RankerRun.recommend`), and what a user should hear of them."""
    if part not in PARTS:
        raise ValueError(f"--part is {', '.join(PARTS[:-1])} or {PARTS[-1]}, not {part!r}")
    if part != "test" and run.has_users:
        raise ValueError("--part is for queries of LETOR lines: the lists of users are of all items")
    longer = run.recommend(users, k + 1 if k > 0 else k, part=part, **asked)  # a tie may go over the cut
    told, (who, what) = [], run.nouns
    if tied := sum(any(a == b for (_, a), (_, b) in pairwise(line)) for line in longer.values()):
        told.append(f"{tied} of {len(longer)} lists hold equal scores: a digest of seed and {what} orders them")
    short = sum(len(line) < k for line in longer.values())
    if short and run.has_users and k > len(run.ids[1]):
        told.append(f"--k {k} is more than the {len(run.ids[1])} items there are: every list is shorter")
    elif short:
        told.append(f"{short} of {len(longer)} lists are shorter than {k}: the {who} has no more {what}s")
    if run.has_users and asked.get("exclude_seen", True) and not run.knows_dislikes:
        told.append("this run is of a version that did not record what users rated low: that may be in the lists")
    if run.has_users and not asked.get("exclude_test"):
        told.append("likes that the test part holds out may be in the lists: --exclude-test leaves them out")
    return {name: line[:k] for name, line in longer.items()}, told


def count_lists(lists: Lists, k: int, nouns: Nouns) -> str:
    """How many there are, and how long."""
    whose = f"{len(lists)} {nouns[0] if len(lists) == 1 else nouns[0].replace('query', 'querie') + 's'}"
    longest = max((len(line) for line in lists.values()), default=0)
    return f"the first {min(k, longest)} {nouns[1]}s of {whose}"


def format_lists(lists: Lists, ending: str, tag: str = "ganzfeld", nouns: Nouns = USUAL) -> str:
    """All lists, best first."""
    who, what = nouns
    if ending == ".jsonl":
        return "".join(
            json.dumps({who: user, f"{what}s": [i for i, _ in line], "scores": [s for _, s in line]}) + "\n"
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
    writer.writerow((who, what, "rank", "score"))
    writer.writerows((user, item, rank, f"{score:.9g}") for user, item, rank, score in rows)
    return text.getvalue()


def write(lists: Lists, out: Path, tag: str = "ganzfeld", nouns: Nouns = USUAL) -> None:
    """By the ending of a name. Raises ValueError for an ending without a form, and for ids that a form cannot hold."""
    disk.replace(out, disk.encode(format_lists(lists, form_of(out), tag, nouns)))


def read_users(text: str | None) -> list[str] | None:
    """Ids with commas, or of a file with one a line. Raises ValueError for none."""
    if text is None:
        return None
    path = Path(text)
    text = os.fsencode(text).decode("utf-8", "replace")  # ids are UTF-8, whatever the locale takes arguments for
    names = disk.read_text(path).split("\n") if path.is_file() else text.split(",")
    if not (found := [name.strip() for name in names if name.strip()]):
        raise ValueError(f"--users {text} names no user")
    return found


def tag_of(path: Path) -> str:
    """What a TREC run calls its system."""
    return "-".join(path.resolve().name.split())
