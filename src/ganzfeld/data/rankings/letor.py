"""Learning to rank, from svmlight text: a line is ``label qid:ID 1:v 2:v ... # docid = ID``.

As in the LETOR sets of Microsoft and in what LightGBM, XGBoost and scikit-learn read. A feature that a line does not
name is 0, which is the format's own rule; features count from 1, or from 0 where a line names that one. A value that is
missing, ``NULL`` or ``nan``, is refused, or 0 where that is asked for. A label of -1, as in the semi-supervised sets,
and a document that no judgement names say "not judged": both count as not relevant, and are noted, since it is a guess.
Source: Qin, Liu, 2013, Introducing LETOR 4.0 Datasets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import lt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ...core.names import find
from ..samples.rows import PARTS, Part, permutation
from .collection import Letor, Note, Table, parse_number, tally, tenths
from .files import TextPath, find_text, folder_of, locate, partner_files, plain_name, read_lines

FOLDS = 5
MAX_FEATURE = 2**16  # of feature numbers: a table is dense, and one wild number should not fill the memory
DOCID = re.compile(r"\bdocid\s*=\s*(\S+)")
MISSING = ("refuse", "zero")  # what becomes of a value that is missing
ABSENT = re.compile(r"[-+]?(nan|null)", re.IGNORECASE)
NUMBER = r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?(nan|inf|infinity)"
FEATURE = re.compile(rf"[-+]?[0-9]+:({NUMBER})", re.IGNORECASE)
Lines = dict[Part, "list[_Line]"]


class _Line(NamedTuple):
    """where: file:line. query, document: None where the line names none. values: of the features 0 up to its last.
    from_0: whether it names feature 0. missing: how many values are."""

    where: str
    label: int
    query: str | None
    document: str | None
    values: np.ndarray
    from_0: bool
    missing: int


def letor(
    path: Path | str,
    seed: int = 0,
    *,
    fold: int | None = None,
    valid: Path | str | None = None,
    test: Path | str | None = None,
    qrels: Path | str | None = None,
    missing: str = "refuse",
) -> Letor:
    """Queries with their documents' features and relevance, from a file or folder of svmlight lines.

    path: a file, with x-test.txt and x-vali.txt (or -valid, -val, -dev) beside x-train.txt taken for what they are; a
    folder of train.txt, vali.txt, test.txt; of S1.txt to S5.txt, of which fold k (from 1) trains on S_k, S_k+1, S_k+2,
    validates on S_k+3 and tests on S_k+4, cyclic; or of Fold1 to Fold5 with three files each. Lines without qid need
    the sizes of consecutive queries in x.query or x.group beside x, as LightGBM and XGBoost have them.
    valid, test: files of those parts. A part without a file is a tenth of the training queries, cut by the seed.
    Any of them may be compressed (.gz), and a zip is a folder. Lines of a query may stand apart in a file.
    missing: "zero" takes a value of ``NULL`` or ``nan`` for 0, "refuse" names the first.
    qrels: TREC judgements, ``qid 0 docid label`` a line, instead of the labels in the files; unless given x.qrels
    beside x. Raises ValueError, in one line that names the file and its line, for what cannot be read.
    """
    find("answer to missing values", missing, dict.fromkeys(MISSING))
    place = locate(path)
    files, choices = _find_files(place, fold)
    given: dict[Part, Path | str | None] = {"valid": valid, "test": test}
    files |= {part: [locate(name)] for part, name in given.items() if name is not None}
    judged = locate(qrels) if qrels is not None else _find_beside(files["train"][0], "qrels")
    notes: list[Note] = []
    read: Lines = {part: _read_files(files[part], missing, notes) for part in PARTS if part in files}
    read = _number_from_1(read, notes)
    if judged:
        read = _relabel(read, judged, notes)
    read = _remove_leaks(read, notes)
    _note_doubts(read, notes)
    tables = _hold_out(place, _make_tables(place, read), seed)
    if missing != "refuse":
        choices["missing"] = missing
    choices["labels"] = judged.name if judged else "their own"
    for part in ("valid", "test"):
        own = f"{len(tables[part].queries)} of the queries, seed {seed}"
        choices[part] = ", ".join(file.name for file in files[part]) if part in files else own
    name = Path(path).absolute().name
    return Letor(name, tables["train"], tables["valid"], tables["test"], choices, tally(notes))


def _find_files(path: TextPath, fold: int | None) -> tuple[dict[Part, list[TextPath]], dict[str, str | int]]:
    """The files of each part, and as a choice the fold where there are some."""
    k = 1 if fold is None else fold
    sliced, folded = find_text(path, "S1.txt") is not None, (path / "Fold1").is_dir()
    if fold is not None and not ((sliced or folded) and 1 <= fold <= FOLDS):
        raise ValueError(f"{path} has no fold {fold}: folds 1 to 5 are of folders that hold S1.txt to S5.txt, or Fold1")
    if sliced:
        names = [f"S{(k - 1 + i) % FOLDS + 1}.txt" for i in range(FOLDS)]
        turn = [find_text(path, name) or path / name for name in names]
        return {"train": turn[:3], "valid": turn[3:4], "test": turn[4:]}, {"fold": k}
    if folded:
        return _find_files(path / f"Fold{k}", None)[0], {"fold": k}
    file = find_text(path, "train.txt") if path.is_dir() else path
    if file is None:
        raise ValueError(f"{path} holds neither train.txt nor S1.txt to S5.txt nor Fold1: name the file")
    return {"train": [file], **{part: [beside] for part, beside in partner_files(file).items()}}, {}


def _find_beside(path: TextPath, *ends: str) -> TextPath | None:
    """x.end beside x."""
    names = dict.fromkeys((path.name, plain_name(path)))
    found = (find_text(folder_of(path), f"{name}.{end}") for end in ends for name in names)
    return next((file for file in found if file), None)


def _read_files(files: Sequence[TextPath], missing: str, notes: list[Note]) -> list[_Line]:
    """The lines of some files, those of a query together. Raises ValueError where two files have a query of one id:
    many number the queries of every file from 1."""
    out: list[_Line] = []
    home: dict[str | None, TextPath] = {}
    for file in files:
        for line in _gather(_read_file(file, missing, notes), notes):
            if home.setdefault(line.query, file) is not file:
                other = home[line.query].name
                raise ValueError(f"{line.where} has query {line.query}, as {other} has: give every query its own id")
            out.append(line)
    return out


def _gather(lines: Sequence[_Line], notes: list[Note]) -> list[_Line]:
    """With the lines of each query together, in the order in which queries begin; those that stood apart are noted."""
    seen = {lines[0].query}
    for before, line in pairwise(lines):
        if line.query != before.query and line.query in seen:
            notes.append(Note("a query whose lines stand apart (put together)", 1, line.where))
        seen.add(line.query)
    return [line for rows in _by_query(lines).values() for line in rows]


def _number_from_1(read: Lines, notes: list[Note]) -> Lines:
    """With the values of the features alone: a table counts from 1 unless a line names feature 0."""
    first = next((line for lines in read.values() for line in lines if line.from_0), None)
    if first:
        notes.append(Note("features that count from 0", 1, first.where))
        return read
    return {part: [line._replace(values=line.values[1:]) for line in lines] for part, lines in read.items()}


def _read_file(path: TextPath, missing: str, notes: list[Note]) -> list[_Line]:
    parsed = (_parse_line(f"{path}:{number}", text, missing) for number, text in read_lines(path, notes))
    lines = [line for line in parsed if line]
    if not lines:
        raise ValueError(f"{path} holds comments only")
    notes += [Note("a missing value (counts as 0)", line.missing, line.where) for line in lines if line.missing]
    sizes = _find_beside(path, "query", "group")
    other = next((line for line in lines if (line.query is None) != (lines[0].query is None)), None)
    if other:
        raise ValueError(f"{other.where} has {'no' if other.query is None else 'a'} qid, unlike the lines before it")
    if sizes:
        names = _name_queries(path, len(lines), sizes, notes)
        if lines[0].query is None:
            return [line._replace(query=name) for line, name in zip(lines, names, strict=True)]
        if [a.query == b.query for a, b in pairwise(lines)] != [a == b for a, b in pairwise(names)]:
            raise ValueError(f"{sizes} has other sizes than the qids of {path.name}: mend or remove it")
    if lines[0].query is None:
        raise ValueError(f"{lines[0].where} has no qid: write 'label qid:ID 1:v ...', or sizes to {path.name}.query")
    return lines


def _parse_line(where: str, text: str, missing: str) -> _Line | None:
    """What a line says, None for a comment."""
    body, _, comment = text.partition("#")
    tokens = body.split()
    if not tokens:
        return None
    named = len(tokens) > 1 and tokens[1].startswith("qid:")
    if named and tokens[1] == "qid:":
        raise ValueError(f"{where} has an empty qid")
    document = DOCID.search(comment)
    return _Line(
        where, _parse_label(where, tokens[0]), tokens[1][4:] if named else None, document[1] if document else None,
        *_parse_values(where, tokens[1 + named :], missing),
    )  # fmt: skip


def _parse_label(where: str, text: str) -> int:
    label = parse_number(text)
    if not (label.is_integer() and abs(label) < 2**31):
        raise ValueError(f"{where} has the label {text!r}, not a whole number")
    return int(label)


def _parse_values(where: str, tokens: Sequence[str], missing: str) -> tuple[np.ndarray, bool, int]:
    """The values [1 + last number] of features, 0 where none is named; whether feature 0 is; how many are missing."""
    pairs = [token.partition(":") for token in tokens]
    absent = [i for i, (_, _, value) in enumerate(pairs) if value[:1] in "nN+-" and ABSENT.fullmatch(value)]
    if absent and missing == "refuse":
        number = pairs[absent[0]][0]
        raise ValueError(f"{where} has no value for feature {number}: take 0 for it by missing=zero (--missing zero)")
    for i in absent:
        pairs[i] = (pairs[i][0], ":", "0")
    try:
        numbers, floats = [int(number) for number, _, _ in pairs], [float(value) for _, _, value in pairs]
    except ValueError:
        numbers, floats = [], []
    if len(floats) < len(tokens) or "_" in "".join(tokens):  # 1_000 is a number to Python alone
        bad = next((token for token in tokens if not FEATURE.fullmatch(token)), tokens[0])
        raise ValueError(f"{where} has {bad!r} where a feature is needed, number:value")
    _check_rising(where, numbers)
    values = np.zeros(1 + (numbers[-1] if numbers else 0), np.float32)
    with np.errstate(over="ignore"):  # beyond float32 a number is infinite, and refused below
        values[numbers] = floats
    if not np.isfinite(values).all():
        raise ValueError(f"{where} has a value that is not finite, of feature {int(np.isfinite(values).argmin())}")
    return values, numbers[:1] == [0], len(absent)


def _check_rising(where: str, numbers: Sequence[int]) -> None:
    if not all(map(lt, numbers, numbers[1:])):
        before, number = next((a, b) for a, b in pairwise(numbers) if a >= b)
        raise ValueError(f"{where} has feature {number} after {before}: each comes once, in rising order")
    if numbers and numbers[0] < 0:
        raise ValueError(f"{where} has feature {numbers[0]}: they start at 1, or at 0")
    if numbers and numbers[-1] > MAX_FEATURE:
        raise ValueError(f"{where} has feature {numbers[-1]}: {MAX_FEATURE} is the largest that is read")


def _name_queries(path: TextPath, n: int, sizes: TextPath, notes: list[Note]) -> list[str]:
    """Names [n] of queries that have only sizes: their file and number."""
    counts = []
    for number, text in read_lines(sizes, notes):
        for size in text.split():
            if not re.fullmatch("[0-9]{1,18}", size) or not int(size):
                raise ValueError(f"{sizes}:{number} has {size!r} where the size of a query is needed")
            counts.append(int(size))
    if sum(counts) != n:
        raise ValueError(f"{sizes} has sizes of {sum(counts)} rows in all, and {path.name} has {n}")
    return [f"{path.name}:{i}" for i, size in enumerate(counts, 1) for _ in range(size)]


def _relabel(read: Lines, path: TextPath, notes: list[Note]) -> Lines:
    """The lines with the labels of judgements; notes documents that none names, and judgements of no document."""
    judgements = _read_judgements(path, notes)
    unused = dict(judgements)

    def relabel(line: _Line) -> _Line:
        if line.document is None:
            raise ValueError(f"{line.where} has no '# docid = ID', by which {path.name} names documents")
        key = line.query or "", line.document
        unused.pop(key, None)
        if key not in judgements:
            notes.append(Note("a document that no judgement names (counts as not relevant)", 1, line.where))
        return line._replace(label=judgements[key][0] if key in judgements else 0)

    relabelled = {part: [relabel(line) for line in lines] for part, lines in read.items()}
    notes += [Note("a judgement of a document without features (left out)", 1, where) for _, where in unused.values()]
    return relabelled


def _read_judgements(path: TextPath, notes: list[Note]) -> dict[tuple[str, str], tuple[int, str]]:
    """Label and line by query and document."""
    judgements: dict[tuple[str, str], tuple[int, str]] = {}
    for number, text in read_lines(path, notes):
        where, fields = f"{path}:{number}", text.split()
        if len(fields) != 4:
            raise ValueError(f"{where} has {len(fields)} fields, not 'qid 0 docid label'")
        query, _, document, label = fields
        grade = _parse_label(where, label)
        if (before := judgements.setdefault((query, document), (grade, where)))[1] != where:
            if before[0] != grade:
                raise ValueError(f"{where} judges {document} for query {query} unlike {before[1]}")
            notes.append(Note("a judgement that came before (kept once)", 1, where))
    return judgements


def _by_query(lines: Iterable[_Line]) -> dict[str, list[_Line]]:
    out: dict[str, list[_Line]] = {}
    for line in lines:
        out.setdefault(line.query or "", []).append(line)
    return out


def _remove_leaks(read: Lines, notes: list[Note]) -> Lines:
    """The parts without queries of a later one. The same id with no document in common is another query: many number
    the queries of every file from 1."""
    left = dict(read)
    for i, part in enumerate(PARTS):
        for other in PARTS[i + 1 :]:
            if part not in left or other not in left:
                continue
            mine, theirs = _by_query(left[part]), _by_query(read[other])
            shared = [name for name in mine if name in theirs]
            leaks = {name for name in shared if _document_marks(mine[name]) & _document_marks(theirs[name])}
            for name in shared:
                how = f"removed from {part}" if name in leaks else "other documents, kept"
                notes.append(Note(f"a query id of {part} that is in {other} too ({how})", 1, mine[name][0].where))
            left[part] = [line for line in left[part] if line.query not in leaks]
            if not left[part]:
                raise ValueError(f"{read[part][0].where}: every query of {part} is in {other} too")
    return left


def _document_marks(lines: Iterable[_Line]) -> set[str | bytes]:
    """What tells documents: their ids, or else their features, unless all are 0."""
    marks = {line.document or np.trim_zeros(line.values, "b").tobytes() for line in lines}
    return {mark for mark in marks if mark}


def _note_doubts(read: Lines, notes: list[Note]) -> None:
    """Note what is kept and yet may not be meant."""
    named = any(line.document for lines in read.values() for line in lines)
    for lines in read.values():
        notes += [Note("a label below 0 (counts as not relevant)", 1, line.where) for line in lines if line.label < 0]
        if named:
            notes += [Note("a row without a docid, where others have one", 1, line.where)
                      for line in lines if not line.document]  # fmt: skip
        for rows in _by_query(lines).values():
            if len(rows) == 1:
                notes.append(Note("a query with one document (kept)", 1, rows[0].where))
            if all(line.label <= 0 for line in rows):
                notes.append(Note("a query without a relevant document (kept)", 1, rows[0].where))


def _make_tables(path: TextPath, read: Lines) -> dict[Part, Table]:
    width = max(len(line.values) for lines in read.values() for line in lines)
    if not width:
        raise ValueError(f"{path} has no features")
    named = any(line.document for lines in read.values() for line in lines)
    return {part: _make_table(lines, width, named) for part, lines in read.items()}


def _make_table(lines: Sequence[_Line], width: int, named: bool) -> Table:
    features = np.zeros((len(lines), width), np.float32)
    for row, line in zip(features, lines, strict=True):
        row[: len(line.values)] = line.values
    queries = _by_query(lines)
    offsets = torch.tensor([0, *map(len, queries.values())]).cumsum(0)
    labels = torch.tensor([max(line.label, 0) for line in lines])
    documents = tuple(line.document or "" for line in lines) if named else ()
    return Table(torch.from_numpy(features), labels, tuple(queries), offsets, documents)


def _hold_out(path: TextPath, tables: Mapping[Part, Table], seed: int) -> dict[Part, Table]:
    """All parts; those that have no file are held out of the training queries, of which at least one stays."""
    absent = [part for part in PARTS if part not in tables]
    train = tables["train"]
    order = permutation(len(train.queries), seed)
    held_out = tenths(order[1:], len(order), absent)
    if not all(len(index) for index in held_out.values()):
        raise ValueError(f"{path} has {len(order)} queries, too few to hold out for {' and '.join(absent)}")
    out = {part: sorted(index.tolist()) for part, index in held_out.items()}
    out["train"] = sorted(set(range(len(order))).difference(*out.values()))
    return {**tables, **{part: train.subset(queries) for part, queries in out.items()}}
