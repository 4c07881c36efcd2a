"""Interactions of users with items, from text: a pair a line, with a rating or without, or a user's items in a line.

What a file does not say is decided here, and recorded: which rating counts as positive, which file is the test, what
is held out. What a file says wrongly is refused with its line, or noted and counted; nothing is dropped unsaid.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..samples.rows import PARTS, Part, permutation
from .collection import Interactions, Note, parse_number, tally, tenths
from .files import TextPath, children, drop_empty, find_text, locate, partner_files, read_text, split_lines

SEPARATORS = ("::", "\t", ",", ";", "|")  # in the order in which they are looked for; else blanks
USUAL_COLUMNS = ("user", "item", "rating", "time")
COLUMN_NAMES = {
    "user": ("user", "userid", "uid", "reviewerid"),
    "item": ("item", "itemid", "iid", "movie", "movieid", "product", "productid", "book", "bookid", "isbn", "asin",
             "artist", "artistid", "song", "songid", "track", "trackid"),
    "rating": ("rating", "bookrating", "score", "stars", "overall", "value"),
    "time": ("time", "timestamp", "date", "datetime", "unixreviewtime"),
}  # fmt: skip
NO_FILE = "none"  # no validation part
STARS, GOOD = 5, 4.0  # of ratings up to STARS those from GOOD on are positive: the field's custom, as for MovieLens
START = 2**16  # characters in which the separator is looked for
FOLDER_FILES = ("u.data", "ratings.dat", "ratings.csv")  # what MovieLens calls the file that holds it all


class _Sheet(NamedTuple):
    """The fields of each line of a file, and its number; the columns of the header, empty where it has none; width:
    the number of fields of the first line."""

    path: TextPath
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int]
    columns: Mapping[str, int]
    width: int


class _Contents(NamedTuple):
    """What a file says, a pair each [n]; alone: users without an item."""

    path: TextPath
    users: Sequence[str]
    items: Sequence[str]
    ratings: np.ndarray | None
    numbers: np.ndarray
    alone: Sequence[str] = ()


class _Pairs(NamedTuple):
    """The pairs of a file as numbers user * I + item [n], whether each is positive [n], and the number of its line."""

    path: TextPath
    keys: np.ndarray
    positive: np.ndarray
    numbers: np.ndarray


def interactions(
    path: Path | str,
    seed: int = 0,
    *,
    test: Path | str | None = None,
    valid: Path | str | None = None,
    min_rating: float | None = None,
    columns: str | Mapping[str, str] | None = None,
) -> Interactions:
    """The positives of users, from a text of ``user item [rating [time]]`` a line, as MovieLens and many others have.

    Fields are separated by what the first line has first of ``::``, tab, comma, semicolon, ``|``, else by blanks, and
    may be quoted as in CSV but for ``::`` and blanks. A first line that names user and item is a header, and its
    columns may have any order. Ids are any words. Without a header, where no user has two lines, lines of differing
    length (at least two fields) or of more than four fields are ``user item item item ...``; any other file must have
    as many fields in every line.

    path: the file, compressed (.gz) or not; a folder or zip that holds u.data, ratings.dat, ratings.csv, or one
    training file with its test; or a zip of one file.
    test, valid: files of those parts; unless given those beside it: u1.test of u1.base, x-test.txt of x-train.txt. A
    part without a file is a tenth of the training positives, cut by the seed, of users who keep one in training;
    valid="none" keeps them all. Times are not used.
    min_rating: the smallest rating that counts as positive. Unless given it is 4 where the largest of all files is 5;
    else the median of the ratings above 0, so that about half of them count: the largest that half of them reach;
    where that is the smallest of all, every line counts, as it does for ``-inf``. Ratings below 0 need it.
    columns: which columns are meant where they are called otherwise, as ``user=customer_id,item=sku,rating=quantity``
    or a mapping; or by number, from 1, as ``user=1,item=2``: a first line of usual names, or of words where all others
    have numbers, is a header then too.
    Raises ValueError, in one line that names the file and its line, for what cannot be read.
    """
    place = locate(path)
    file = _training_file(place) if place.is_dir() else place
    files: dict[Part, TextPath] = {"train": file, **partner_files(file)}
    parts: tuple[tuple[Part, Path | str | None], ...] = (("valid", valid), ("test", test))
    files |= {part: locate(name) for part, name in parts if name is not None and name != NO_FILE}
    asked = _parse_columns(columns)
    notes: list[Note] = []
    sheets = {part: _read_sheet(files[part], asked, notes) for part in PARTS if part in files}
    read = _read_lists if _are_lists(sheets.values()) else _read_pairs
    contents = {part: read(sheet, notes) for part, sheet in sheets.items()}
    least, rule = _least_positive(list(contents.values()), min_rating)
    users = _index_ids(user for it in contents.values() for user in (*it.users, *it.alone))
    items = _index_ids(item for it in contents.values() for item in it.items)
    pairs = {part: _make_pairs(it, users, items, least, notes) for part, it in contents.items()}
    kept = _remove_leaks({part: np.unique(it.keys[it.positive]) for part, it in pairs.items()}, pairs, notes)
    cut = _hold_out(file, kept | ({"valid": kept["train"][:0]} if valid == NO_FILE else {}), len(items), seed)
    _note_strangers(cut, pairs, len(items), notes)
    choices = {
        "min_rating": "every line" if least is None else least,
        "form": "lists" if read is _read_lists else "pairs",
        **({"columns": ",".join(f"{kind}={name}" for kind, name in asked.items())} if asked else {}),
    }
    for part in ("valid", "test"):
        choices[part] = files[part].name if part in files else f"{len(cut[part])} of the positives, seed {seed}"
    looked_at = PARTS[:1] if valid == NO_FILE else PARTS[:2]
    known = np.concatenate([pairs[part].keys for part in looked_at if part in pairs])
    low = np.setdiff1d(known, np.concatenate([cut[part] for part in PARTS]))
    train, valid_, test_, touched = (
        torch.from_numpy(np.stack(np.divmod(keys, len(items)), 1)) for keys in (*(cut[part] for part in PARTS), low)
    )
    name, lines = Path(path).absolute().name, [it.positive for it in pairs.values()]
    rule = f"{rule}: {sum(int(it.sum()) for it in lines)} of {sum(map(len, lines))} lines"
    return Interactions(name, tuple(users), tuple(items), train, valid_, test_, choices, tally(notes), None, touched,
                        rule)  # fmt: skip


def _training_file(folder: TextPath) -> TextPath:
    """The file of a folder that is meant."""
    for name in FOLDER_FILES:
        if file := find_text(folder, name):
            return file
    found = [file for file in children(folder) if file.is_file() and "test" in partner_files(file)]
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ValueError(f"{folder} should hold one training file with its test and holds {names}: name the file")
    return found[0]


def _parse_columns(asked: str | Mapping[str, str] | None) -> dict[str, str]:
    """The name of the column for each kind that is asked for."""
    if asked is None or isinstance(asked, Mapping):
        pairs = list((asked or {}).items())
    else:
        pairs = [(kind.strip(), name.strip()) for kind, _, name in (pair.partition("=") for pair in asked.split(","))]
    for kind, name in pairs:
        if kind not in USUAL_COLUMNS or not str(name):
            raise ValueError(f"--columns are given as user=NAME,item=NAME,rating=NAME,time=NAME, not as {asked!r}")
    names, kinds = [str(name) for _, name in pairs], [kind for kind, _ in pairs]
    if twice := [it for said in (names, kinds) for it in said if said.count(it) > 1]:
        raise ValueError(f"--columns name {twice[0]} twice, in {asked}: each of user, item, rating, time has its own")
    return {kind: str(name) for kind, name in pairs}


def _read_sheet(path: TextPath, asked: Mapping[str, str], notes: list[Note]) -> _Sheet:
    numbered = _read_rows(path, notes)
    rows, numbers = [row for _, row in numbered], [number for number, _ in numbered]
    columns, headed = _find_columns(path, numbers[0], rows[0], asked)
    if columns and not headed and _looks_like_header(rows, columns):
        headed = True
        notes.append(Note("a first line of words above numbers (taken for a header)", 1, f"{path}:{numbers[0]}"))
    if headed and len(rows) < 2:
        raise ValueError(f"{path} has a header and no line below it")
    others = [name or "one without a name" for i, name in enumerate(rows[0]) if i not in columns.values()]
    if headed and others:
        reason = f"a column that is not read ({', '.join(others)}; --columns chooses others)"
        notes.append(Note(reason, len(others), f"{path}:{numbers[0]}"))
    return _Sheet(path, rows[headed:], numbers[headed:], columns, len(rows[0]))


def _read_rows(path: TextPath, notes: list[Note]) -> list[tuple[int, list[str]]]:
    """The fields of each line, with its number."""
    text = read_text(path, notes)
    bare = re.sub('"[^"]*"', "-", text[:START])  # what is quoted separates nothing
    first = next((line for line in re.split("\r\n|\r|\n", bare) if line.strip()), "")
    separator = next((s for s in SEPARATORS if s in first), None)
    if separator is None or len(separator) > 1:
        lines = split_lines(path, text, notes)
        return [(number, [field.strip() for field in line.split(separator)]) for number, line in lines]
    return drop_empty(path, list(_parse_csv(path, text, separator)), notes)


def _parse_csv(path: TextPath, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line: what is quoted may go over several."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        number = reader.line_num + 1
        try:
            row = [field.strip() for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}:{number} is quoted wrongly: {error}") from None
        yield number, row if row != [""] else []


def _find_columns(
    path: TextPath, number: int, row: Sequence[str], asked: Mapping[str, str]
) -> tuple[dict[str, int], bool]:
    """The column of each kind, those of usual names beside what is asked for, and whether the line is a header; none
    where it is no header and nothing is asked for."""
    kinds = {name: kind for kind, known in COLUMN_NAMES.items() for name in known}
    usual = [kinds.get(re.sub("[ _-]", "", field.lower().partition(":")[0])) for field in row]
    if asked and all(name.isdecimal() for name in asked.values()):  # no header is called so
        places = {kind: int(name) - 1 for kind, name in asked.items()}
        if not all(0 <= place < len(row) for place in places.values()) or not {"user", "item"} <= places.keys():
            raise ValueError(f"{path}:{number} has columns 1 to {len(row)}: give user and item one each of them")
        return places, {"user", "item"} <= set(usual)
    names = [*row, *(field.partition(":")[0] for field in row)]  # user_id:token is user_id
    chosen = {kind: names.index(name) % len(row) for kind, name in asked.items() if name in names}
    if missing := [name for kind, name in asked.items() if kind not in chosen]:
        raise ValueError(f"{path}:{number} has no column {missing[0]!r}: it has {', '.join(row)}")
    found = [None if i in chosen.values() or kind in chosen else kind for i, kind in enumerate(usual)]
    if not chosen and "user" not in found:
        return {}, False
    if twice := [kind for kind in USUAL_COLUMNS if found.count(kind) > 1]:
        raise ValueError(f"{path}:{number} has two columns for {twice[0]}: keep one, or choose by --columns")
    columns = {kind: i for i, kind in enumerate(found) if kind} | chosen
    for kind in ("user", "item"):
        if kind not in columns:
            other = "an item and no user" if kind == "user" else "a user and no item"
            raise ValueError(f"{path}:{number} names {other}, as in {', '.join(COLUMN_NAMES[kind][:4])}")
    return columns, True


def _are_lists(sheets: Iterable[_Sheet]) -> bool:
    """Whether a line is a user and its items: of several files all are, or none."""
    sheets = list(sheets)
    if bare := [sheet.path for sheet in sheets if not sheet.columns]:
        if len(bare) < len(sheets):
            raise ValueError(f"{bare[0]} has no header, unlike the files beside it: give all of them one, or none")
    lengths = {len(row) for sheet in sheets for row in sheet.rows}
    if any(sheet.columns or len({row[0] for row in sheet.rows}) < len(sheet.rows) for sheet in sheets):
        return False
    return max(lengths) > len(USUAL_COLUMNS) or len(lengths) > 1 < min(lengths)


def _read_lists(sheet: _Sheet, notes: list[Note]) -> _Contents:
    pairs = [(row[0], item, number) for row, number in zip(sheet.rows, sheet.numbers, strict=True) for item in row[1:]]
    if not pairs:
        raise ValueError(f"{sheet.path} names no item")
    users, items, numbers = zip(*pairs, strict=True)
    _check_ids(sheet.path, users, items, numbers)
    alone = [(row[0], n) for row, n in zip(sheet.rows, sheet.numbers, strict=True) if len(row) == 1]
    if alone:
        notes.append(Note("a user without an item (stays known)", len(alone), f"{sheet.path}:{alone[0][1]}"))
    return _Contents(sheet.path, users, items, None, np.array(numbers), [user for user, _ in alone])


def _read_pairs(sheet: _Sheet, notes: list[Note]) -> _Contents:
    path, rows, numbers, columns, width = sheet
    for row, number in zip(rows, numbers, strict=True):
        if len(row) == 1:
            raise ValueError(f"{path}:{number} has one field, {row[0]!r}, where a user and an item are needed")
        if len(row) != width:
            hint = "; lists of items have one line for each user" * (max(len(row), width) > len(USUAL_COLUMNS))
            raise ValueError(f"{path}:{number} has {len(row)} fields where the first line has {width}{hint}")
    if not columns and width > len(USUAL_COLUMNS):
        way = "name user, item and rating in a line above, or by number, as --columns user=1,item=2"
        raise ValueError(f"{path}:{numbers[0]} has {width} fields: {way}")
    where = columns or {name: i for i, name in enumerate(USUAL_COLUMNS) if i < width}
    if not columns and _looks_like_header(rows, where):
        rated = "rating" in where and all(math.isfinite(parse_number(row[where["rating"]])) for row in rows[1:])
        chosen = ",".join(f"{kind}={rows[0][where[kind]]}" for kind in ("user", "item", "rating")[: 2 + rated])
        way = f"call them so, or choose them, as --columns {chosen}"
        raise ValueError(f"{path}:{numbers[0]} looks like a header, but names no user and item: {way}")
    users, items = ([row[where[kind]] for row in rows] for kind in ("user", "item"))
    _check_ids(path, users, items, numbers)
    if "time" in where:
        reason = "a time (not used: parts are cut by the seed, or are files)"
        notes.append(Note(reason, len(rows), f"{path}:{numbers[0]}"))
    if "rating" not in where:
        return _Contents(path, users, items, None, np.array(numbers))
    hint = "" if columns else "; a header names its columns user, item, rating, or they are chosen by --columns"
    ratings = [_parse_rating(path, n, row[where["rating"]], hint) for row, n in zip(rows, numbers, strict=True)]
    return _Contents(path, users, items, np.array(ratings), np.array(numbers))


def _check_ids(path: TextPath, users: Sequence[str], items: Sequence[str], numbers: Sequence[int]) -> None:
    for user, item, number in zip(users, items, numbers, strict=True):
        if not user or not item:
            raise ValueError(f"{path}:{number} has an empty {'item' if user else 'user'}")


def _looks_like_header(rows: Sequence[Sequence[str]], where: Mapping[str, int]) -> bool:
    """Whether the first line alone has words where all others have numbers, ids or a rating: a header in another
    language, which would become a user."""
    first, others = rows[0], [row for row in rows[1:] if len(row) > max(where.values())]
    if not others:
        return False
    ids = where["user"], where["item"]
    if not any(_is_number(first[i]) for i in ids) and all(_is_number(row[i]) for row in others for i in ids):
        return True
    rating = where.get("rating")
    if rating is None or not math.isnan(parse_number(first[rating])):
        return False
    return all(math.isfinite(parse_number(row[rating])) for row in others)


def _parse_rating(path: TextPath, number: int, text: str, hint: str) -> float:
    value = parse_number(text)
    if not math.isfinite(value):
        raise ValueError(f"{path}:{number} has {text!r} where a number is needed for a rating{hint * (number == 1)}")
    return value


def _least_positive(contents: Sequence[_Contents], min_rating: float | None) -> tuple[float | None, str]:
    """The smallest rating that counts as positive, None where every line does, and the rule in words."""
    rated = [it.ratings for it in contents if it.ratings is not None]
    if rated and len(rated) < len(contents):
        bare = next(it.path for it in contents if it.ratings is None)
        raise ValueError(f"{bare} has no ratings, unlike the files beside it: give all of them ratings, or none")
    if min_rating is None:
        return _usual_least(contents, np.concatenate(rated)) if rated else (None, "every line, as none has a rating")
    if math.isnan(min_rating):
        raise ValueError("--min-rating is a number, or -inf for every line, not nan")
    if min_rating == -math.inf:
        return None, "every line, as asked"
    if not rated:
        raise ValueError(
            f"{contents[0].path} has no ratings of which {min_rating:g} could be the least that is positive"
        )
    if not (top := max(x.max() for x in rated)) >= min_rating:
        raise ValueError(f"no rating in {contents[0].path} reaches {min_rating:g}: the largest is {top:g}")
    return float(min_rating), f"ratings of {min_rating:g} or more, as asked"


def _usual_least(contents: Sequence[_Contents], ratings: np.ndarray) -> tuple[float | None, str]:
    """What counts where nobody has said it."""
    for it in contents:
        if it.ratings is not None and (below := it.ratings < 0).any():
            first = f"{it.path}:{it.numbers[below.argmax()]} has the rating {it.ratings[below.argmax()]:g}"
            raise ValueError(f"{first}: say by --min-rating which are positive")
    if ratings.max() == STARS:
        return GOOD, f"ratings of {GOOD:g} or more, the custom for {STARS} stars (--min-rating chooses)"
    above = np.sort(ratings[ratings > 0])
    median = above[len(above) // 2] if len(above) else 0.0  # the upper of two: no more than half stand above it
    if median <= ratings.min():
        return None, f"every line, as the median rating, {median:g}, is the smallest (--min-rating chooses)"
    return float(median), f"ratings of {median:g} or more, the median of those above 0 (--min-rating chooses)"


def _is_number(name: str) -> bool:
    return re.fullmatch("-?[0-9]{1,40}", name) is not None


def _index_ids(names: Iterable[str]) -> dict[str, int]:
    """The index of each id: numbers by size, then words."""
    order = sorted(set(names), key=lambda name: (0, int(name), name) if _is_number(name) else (1, 0, name))
    return {name: i for i, name in enumerate(order)}


def _make_pairs(
    it: _Contents, users: Mapping[str, int], items: Mapping[str, int], least: float | None, notes: list[Note]
) -> _Pairs:
    """Lines as pairs; what is below the bar and what comes twice is noted."""
    codes = [users[user] * len(items) + items[item] for user, item in zip(it.users, it.items, strict=True)]
    keys, ratings = np.array(codes, np.int64), it.ratings
    positive = np.ones(len(keys), bool) if least is None or ratings is None else ratings >= least
    pairs = _Pairs(it.path, keys, positive, it.numbers)
    notes.append(_note(f"a rating below {least}, not positive (user and item stay known)", pairs, ~positive))
    if least is None and ratings is not None:
        notes.append(
            _note("a rating of 0 that counts, as every line does (unless --min-rating is given)", pairs, ratings == 0)
        )
    again = np.ones(len(keys), bool)
    again[np.unique(keys, return_index=True)[1]] = False
    notes.append(_note("a pair that came before in its file (kept once)", pairs, again))
    torn = np.intersect1d(keys[positive], keys[~positive])
    notes.append(_note("a rating below the least where another of the pair is not (kept as positive)", pairs,
                       ~positive & np.isin(keys, torn)))  # fmt: skip
    return pairs


def _note(reason: str, pairs: _Pairs, which: np.ndarray, times: int | None = None) -> Note:
    """A note of some pairs, as many as there are unless said otherwise; of none where there are none."""
    first = f"{pairs.path}:{pairs.numbers[which.argmax()]}" if which.any() else ""
    return Note(reason, int(which.sum()) if times is None else times, first)


def _remove_leaks(
    positives: dict[Part, np.ndarray], pairs: Mapping[Part, _Pairs], notes: list[Note]
) -> dict[Part, np.ndarray]:
    """The parts without what is in a later one, which would be a leak. Raises ValueError where one is left empty."""
    left = dict(positives)
    for i, part in enumerate(PARTS):
        for other in PARTS[i + 1 :]:
            if part in left and other in left:
                both = np.intersect1d(left[part], positives[other])
                left[part] = np.setdiff1d(left[part], both)
                reason = f"a pair of {part} that is in {other} too (removed from {part})"
                notes.append(_note(reason, pairs[part], np.isin(pairs[part].keys, both), len(both)))
    for part, keys in left.items():
        if not len(keys):
            why = f"of its {len(positives[part])} positives all are in a later part too" if len(positives[part]) else \
                  "no line of it is positive"  # fmt: skip
            raise ValueError(f"{pairs[part].path} is of no use for {part}: {why}")
    return left


def _hold_out(path: TextPath, kept: dict[Part, np.ndarray], items: int, seed: int) -> dict[Part, np.ndarray]:
    """All parts; those that have no file are held out of the training positives, but of every user one stays."""
    absent = [part for part in PARTS if part not in kept]
    train = kept["train"]
    order = permutation(len(train), seed)
    held_out = tenths(_free_rows(order, train // items), len(train), absent)
    if not all(len(index) for index in held_out.values()):
        raise ValueError(f"{path} has too few users of several positives to hold out for {' and '.join(absent)}")
    out = {part: np.sort(train[index.numpy()]) for part, index in held_out.items()}
    stay = np.setdiff1d(train, np.concatenate([*out.values(), train[:0]]))
    return {**kept, **out, "train": stay}


def _free_rows(order: Tensor, users: np.ndarray) -> Tensor:
    """The rows, in their order, that may go: not the first of any user."""
    _, first = np.unique(users[order.numpy()], return_index=True)
    free = torch.ones(len(order), dtype=torch.bool)
    free[torch.from_numpy(first)] = False
    return order[free]


def _note_strangers(
    cut: Mapping[Part, np.ndarray], pairs: Mapping[Part, _Pairs], items: int, notes: list[Note]
) -> None:
    """Note whom a file asks about that nothing was learnt of."""
    for part in PARTS[1:]:
        if part in pairs:
            strange = np.setdiff1d(cut[part] // items, cut["train"] // items)
            which = np.isin(pairs[part].keys // items, strange) & pairs[part].positive
            notes.append(
                _note(f"a user of {part} without a positive in train (kept)", pairs[part], which, len(strange))
            )
