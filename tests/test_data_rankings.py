"""What text says of users and queries is read as it is, cut without a leak, and what it says wrongly has its line."""

import csv
import gzip
import io
import math
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file

from ganzfeld.data import load
from ganzfeld.data.rankings.collection import Note, Table, tally, tenths
from ganzfeld.data.rankings.files import partner_files
from ganzfeld.data.rankings.interactions import interactions
from ganzfeld.data.rankings.letor import letor

SHARED = Path(__file__).parents[2] / "shared/data"
IRGAN, MQ2008 = SHARED / "irgan-split", SHARED / "mq2008"
irgan = pytest.mark.skipif(not IRGAN.exists(), reason="the split of MovieLens-100K is not here")
mq2008 = pytest.mark.skipif(not MQ2008.exists(), reason="MQ2008 is not here")
PARTS = ("train", "valid", "test")
DENSE = "".join(f"{user}\t{item}\t{1 + (user + item) % 5}\t8\n" for user in range(1, 9) for item in range(10, 20))


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def named(data, *parts):
    """The pairs of some parts, by id."""
    return {(data.users[u], data.items[i]) for part in parts or PARTS for u, i in data.part(part).tolist()}


def noted(data):
    """Times and line of each note, by reason; that times are not used has a test of its own."""
    kept = [note for note in data.notes if not note.reason.startswith("a time (")]
    return {note.reason: (note.times, int(note.first.rpartition(":")[2])) for note in kept}


def only(data, words):
    """The one note there is; its reason has the words."""
    ((reason, said),) = noted(data).items()
    assert words in reason
    return said


# --- interactions ---


@irgan
def test_the_published_split_of_movielens_is_used_as_it_is():
    data = interactions(IRGAN / "movielens-100k-train.txt")
    rows = {end: [line.split() for line in (IRGAN / f"movielens-100k-{end}.txt").read_text().splitlines()]
            for end in ("train", "test")}  # fmt: skip
    liked = {end: {(u, i) for u, i, rating in lines if int(rating) >= 4} for end, lines in rows.items()}
    assert named(data, "test") == liked["test"] and named(data, "train", "valid") == liked["train"]
    assert [len(data.part(part)) for part in PARTS] == [39_726, 4_414, 11_235]
    assert data.users == tuple(map(str, range(943))) and data.items == tuple(map(str, range(1682)))
    assert [len(data.part(part)[:, 0].unique()) for part in ("train", "test")] == [942, 456]
    assert data.choices == {"min_rating": 4.0, "form": "pairs", "valid": "4414 of the positives, seed 0",
                            "test": "movielens-100k-test.txt"}  # fmt: skip
    assert only(data, "below 4.0") == (100_000 - 44_140 - 11_235, 2)
    assert interactions(IRGAN).fingerprint == data.fingerprint  # the folder means the same
    every = interactions(IRGAN, min_rating=1)
    assert len(every.test) == 20_000 and len(every.train) + len(every.valid) == 80_000 and not every.notes


def test_records_hold_long_sorted_unique_pairs_and_their_matrix(tmp_path):
    data = interactions(written(tmp_path / "u.data", DENSE))
    for part in PARTS:
        pairs, matrix = data.part(part), data.matrix(part)
        assert pairs.dtype == torch.long and pairs.tolist() == sorted(map(list, set(map(tuple, pairs.tolist()))))
        assert matrix.shape == (8, 10) and matrix.dtype == torch.bool and torch.equal(matrix.nonzero(), pairs)
    assert sum(data.matrix(part).int() for part in PARTS).max() == 1  # no pair in two parts


def test_a_tenth_each_is_held_out_by_the_seed(tmp_path):
    path = written(tmp_path / "u.data", DENSE)
    data, again, other = (interactions(path, seed) for seed in (0, 0, 1))
    assert [len(data.part(part)) for part in PARTS] == [26, 3, 3]  # of 32 ratings of 4 or 5
    assert data.choices["test"] == "3 of the positives, seed 0"
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert named(data) == named(other) and named(data, "test") != named(other, "test")


@pytest.mark.parametrize("seed", range(20))
def test_every_user_keeps_a_positive_in_training(tmp_path, seed):
    text = "a 1\nb 1\nc 1\nd 1\nd 2\nd 3\n" + "".join(f"e {i}\n" for i in range(30))
    data = interactions(written(tmp_path / "x", text), seed)
    assert len(data.train[:, 0].unique()) == 5
    assert [len(data.part(part)) for part in PARTS] == [28, 4, 4]
    scarce = interactions(written(tmp_path / "y", "a 1\nb 1\nc 1\nd 1\nd 2\nd 3\n"), seed)
    assert [len(scarce.part(part)) for part in PARTS] == [4, 1, 1]
    assert named(scarce, "valid", "test") < {("d", "1"), ("d", "2"), ("d", "3")}


def test_too_little_to_hold_out_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"x has too few users of several positives to hold out for valid and test"):
        interactions(written(tmp_path / "x", "a 1\nb 1\nc 1\nc 2\n"))
    (tmp_path / "test").write_text("a 2\n")
    assert len(interactions(tmp_path / "x", test=tmp_path / "test").valid) == 1
    with pytest.raises(ValueError, match="to hold out for valid$"):
        interactions(written(tmp_path / "x", "a 1\nb 1\n"), test=tmp_path / "test")


FORMS = {
    "tabs": lambda rows: "".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in rows),
    "commas": lambda rows: "".join(f"{u}, {i}, {r}\n" for u, i, r, _ in rows),
    "colons": lambda rows: "".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in rows),
    "blanks": lambda rows: "".join(f" {u}  {i} {r}.0 \n" for u, i, r, _ in rows),
    "MovieLens": lambda rows: "userId,movieId,rating,timestamp\n" + FORMS["commas"](rows).replace("\n", ",1\n"),
    "any order": lambda rows: "timestamp\trating\titem_id\tuser_id\n"
                              + "".join(f"{t}\t{r}\t{i}\t{u}\n" for u, i, r, t in rows),
    "quoted": lambda rows: '"User-ID";"ISBN";"Book-Rating"\n' + "".join(f'"{u}";"{i}";"{r}"\n' for u, i, r, _ in rows),
    "typed": lambda rows: "user_id:token item_id:token rating:float\n" + FORMS["blanks"](rows),
    "CRLF": lambda rows: FORMS["tabs"](rows).replace("\n", "\r\n"),
    "CR": lambda rows: FORMS["tabs"](rows).replace("\n", "\r"),
    "BOM": lambda rows: "\ufeff" + FORMS["MovieLens"](rows),
    "no last end": lambda rows: FORMS["tabs"](rows).rstrip("\n"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(tmp_path, form):
    rows = [(u, i, 1 + (u + i) % 5, 880_000_000 + i) for u in (3, 10, 200) for i in (7, 70, 9, 8, 1000)]
    data = interactions(written(tmp_path / "x", FORMS[form](rows)))
    assert data.users == ("3", "10", "200") and data.items == ("7", "8", "9", "70", "1000")
    assert named(data) == {(str(u), str(i)) for u, i, r, _ in rows if r >= 4}
    assert only(data, "below 4.0")[0] == sum(r < 4 for _, _, r, _ in rows)


def test_items_in_a_line_are_lists_and_pairs_in_a_line_are_pairs(tmp_path):
    lists = "1 10 20 30 40 50\n0 10\n2 20 60\n7\n"
    data = interactions(written(tmp_path / "train.txt", lists))
    assert named(data) == {("1", str(i)) for i in (10, 20, 30, 40, 50)} | {("0", "10"), ("2", "20"), ("2", "60")}
    assert data.users == ("0", "1", "2", "7") and data.choices["form"] == "lists"
    assert only(data, "user without an item") == (1, 4)
    # short lists of differing length are lists where no user has two lines, and a fault where one has
    short = interactions(written(tmp_path / "short", "1 10 20 30\n0 10\n2 20 60\n"))
    assert len(named(short)) == 6 and short.choices["form"] == "lists" and not short.notes
    with pytest.raises(ValueError, match="fault:2 has 2 fields where the first line has 4"):
        interactions(written(tmp_path / "fault", "1 10 20 30\n0 10\n1 20 60\n"))
    with pytest.raises(ValueError, match="twice:2 has 2 fields .* 6; lists of items have one line for each user"):
        interactions(written(tmp_path / "twice", "1 10 20 30 40 50\n0 10\n1 20 60\n"))
    with pytest.raises(ValueError, match="wide:1 has 6 fields: name user, item and rating in a line above"):
        interactions(written(tmp_path / "wide", "1 10 20 30 40 50\n1 10 20 30 40 50\n"))
    # one form for all files: three fields in a line are two items where the other file has lists
    written(tmp_path / "test.txt", "1 60 70\n2 10 80\n")
    both = interactions(tmp_path / "train.txt")
    assert named(both, "test") == {("1", "60"), ("1", "70"), ("2", "10"), ("2", "80")}
    alike = interactions(
        written(tmp_path / "alike", "1 10 5\n2 20 5\n2 30 5\n"), test=written(tmp_path / "z", "1 30 5")
    )
    assert alike.choices["form"] == "pairs" and alike.choices["min_rating"] == 4.0


def test_the_first_line_says_what_separates_its_fields(tmp_path):
    for text, users, items in (("a, b\tc; d\t5\n", "a, b", "c; d"), ("a,b::c;d::5\n", "a,b", "c;d"),
                               ('"a::b";"c\td, e";5\n', "a::b", "c\td, e"),
                               ("a:b c:d 5\n", "a:b", "c:d")):  # fmt: skip
        data = interactions(written(tmp_path / "x", text + text.replace("c", "C") + text.replace("c", "ç")))
        assert data.users == (users,) and items in data.items and len(data.items) == 3


def test_partners_are_found_by_name(tmp_path):
    for name in ("u1.base", "u1.test", "x-train.txt", "x-test.txt", "x-vali.txt", "rank.train", "rank.test", "train",
                 "valid", "u2.base", "u.data"):  # fmt: skip
        (tmp_path / name).touch()
    found = {name: {part: file.name for part, file in partner_files(tmp_path / name).items()}
             for name in ("u1.base", "x-train.txt", "rank.train", "train", "u2.base", "u.data", "u1.test")}  # fmt: skip
    assert found == {"u1.base": {"test": "u1.test"}, "x-train.txt": {"valid": "x-vali.txt", "test": "x-test.txt"},
                     "rank.train": {"test": "rank.test"}, "train": {"valid": "valid"},
                     "u2.base": {}, "u.data": {}, "u1.test": {}}  # fmt: skip


def test_a_folder_means_the_file_that_holds_all_or_the_one_with_a_test(tmp_path):
    with pytest.raises(ValueError, match="holds none: name the file"):
        interactions(tmp_path)
    for name in ("u1.base", "u1.test"):
        written(tmp_path / name, DENSE)
    with pytest.raises(ValueError, match="all are in a later part too"):
        interactions(tmp_path)
    written(tmp_path / "u1.test", "1 99 5\n")
    assert named(interactions(tmp_path), "test") == {("1", "99")}
    for name in ("u2.base", "u2.test"):
        written(tmp_path / name, DENSE)
    with pytest.raises(ValueError, match=r"holds u1.base, u2.base: name the file"):
        interactions(tmp_path)
    written(tmp_path / "u.data", DENSE)
    assert len(named(interactions(tmp_path))) == 32


def test_named_files_are_the_parts_whatever_lies_beside(tmp_path):
    for name, item in (("a-train", 1), ("a-test", 2), ("mine", 3), ("other", 4)):
        written(tmp_path / name, "".join(f"{user} {item}{user} 5\n1 {item}{user} 5\n" for user in range(2, 7)))
    data = interactions(tmp_path / "a-train", valid=tmp_path / "mine", test=tmp_path / "other")
    assert [{item[0] for _, item in named(data, part)} for part in PARTS] == [{"1"}, {"3"}, {"4"}]
    assert (data.choices["valid"], data.choices["test"]) == ("mine", "other")
    beside = interactions(tmp_path / "a-train", valid=tmp_path / "mine")
    assert {item[0] for _, item in named(beside, "test")} == {"2"}
    held = interactions(tmp_path / "mine", valid=tmp_path / "other")
    assert {item[0] for _, item in named(held, "train", "test")} == {"3"} and len(held.test) == 1


def test_the_least_rating_is_four_of_five_or_every_line_or_what_is_asked(tmp_path):
    rows = [(u, i) for u in "abc" for i in range(10)]

    def count(top, **asked):
        path = written(tmp_path / "x", "".join(f"{u} {i} {(i + 1) * top / 10}\n" for u, i in rows))
        data = interactions(path, **asked)
        return len(named(data)), data.choices["min_rating"]

    assert count(5) == (9, 4.0)  # 4, 4.5 and 5 of each
    assert count(10) == (15, 6.0) and count(4) == (15, 2.4)  # about half, from the median on
    assert count(10, min_rating=9) == (6, 9.0) and count(5, min_rating=2.5) == (18, 2.5)
    assert count(10, min_rating=-3) == (30, -3.0)
    assert interactions(tmp_path / "x", min_rating=9).rule == "ratings of 9 or more, as asked: 6 of 30 lines"
    with pytest.raises(ValueError, match="no rating in .*x reaches 11: the largest is 10"):
        count(10, min_rating=11)
    with pytest.raises(ValueError, match="--min-rating is a number"):
        count(10, min_rating=float("nan"))
    with pytest.raises(ValueError, match="x has no ratings of which 3 could be the least"):
        interactions(written(tmp_path / "x", "a b\na c\na d\n"), min_rating=3)
    likes = interactions(written(tmp_path / "x", "a b 1\na c 0\na d 0\na e 1\na f 1\na g 0\na h 0\n"))
    assert len(named(likes)) == 3 and likes.rule.startswith("ratings of 1 or more, the median of those above 0")
    zero = interactions(written(tmp_path / "x", "a b 0\na c 0\na d 0\na e 0\n"))
    assert len(named(zero)) == 4 and only(zero, "a rating of 0 that counts") == (4, 1)
    bought = interactions(written(tmp_path / "x", "a b 1\na c 1\na d 1\na e 7\n"))
    assert len(named(bought)) == 4 and bought.choices["min_rating"] == "every line"
    assert bought.rule == "every line, as the median rating, 1, is the smallest (--min-rating chooses): 4 of 4 lines"


@pytest.mark.parametrize(
    ("scale", "least"),
    [
        (range(1, 11), 6.0),
        ([n / 2 for n in range(1, 10)], 2.5),
        (range(1, 6), 4.0),
        ([n / 2 for n in range(1, 11)], 4.0),
        ([0, 1], 1.0),
        ([8, 8, 8, 9, 10, 7, 3, 1, 8, 9], 8.0),
    ],
)
def test_a_scale_of_its_own_has_its_median_for_a_bar_and_stars_have_four(tmp_path, scale, least):
    """Half of the lines stand at the bar or above, and no more than half above it; but for stars."""
    rows = [(user, f"{n}-{rating}", rating) for user in "abc" for n, rating in enumerate([*scale, *scale])]
    data = interactions(written(tmp_path / "x", "".join(f"{u} {i} {r}\n" for u, i, r in rows)))
    reached, above = (sum(at(r) for *_, r in rows) for at in (lambda r: r >= least, lambda r: r > least))
    assert data.choices["min_rating"] == least and len(named(data)) == reached
    assert f"ratings of {least:g} or more" in data.rule and f": {reached} of {len(rows)} lines" in data.rule
    counted = sum(r > 0 for *_, r in rows)
    assert max(scale) == 5 or (2 * reached >= counted and 2 * above <= counted)
    every = interactions(tmp_path / "x", min_rating=-float("inf"))
    assert len(named(every)) == len(rows) and every.choices["min_rating"] == "every line"


def test_the_scale_is_that_of_all_files(tmp_path):
    train = written(tmp_path / "train", "a b 4\na c 4\na d 3\na h 1\na i 3\n")
    assert interactions(train).choices["min_rating"] == 3.0 and len(named(interactions(train))) == 4
    written(tmp_path / "test", "a e 5\n")
    assert len(named(interactions(train))) == 3 and interactions(train).choices["min_rating"] == 4.0
    written(tmp_path / "test", "a e 7\n")
    assert interactions(train).choices["min_rating"] == 4.0 and len(named(interactions(train))) == 3
    assert "the median" in interactions(train).rule
    assert interactions(train, min_rating=3).choices["min_rating"] == 3.0


def test_ids_are_kept_as_they_are_numbers_by_size_and_before_words(tmp_path):
    text = "10 x\n9 x\n9 y\n007 y\n7 z\n-1 z\nten x\nZoë 12\n10 z\n9 z\n" + "9" * 90 + " x\n"
    data = interactions(written(tmp_path / "x", text))
    assert data.users == ("-1", "007", "7", "9", "10", "9" * 90, "Zoë", "ten")
    assert data.items == ("12", "x", "y", "z") and len(named(data)) == 11
    words = interactions(written(tmp_path / "y", "".join(f"user{u} item{i}\n" for u in (1, 2) for i in range(5))))
    assert words.users == ("user1", "user2") and len(named(words)) == 10  # no header


def test_items_without_a_positive_are_candidates_and_strangers_are_noted(tmp_path):
    written(tmp_path / "train", "a 1 5\na 2 5\na 3 1\nb 4 2\n")
    written(tmp_path / "test", "a 9 1\nc 3 1\nc 1 5\nc 2 5\nb 1 4\n")
    data = interactions(tmp_path / "train")
    assert data.users == ("a", "b", "c") and data.items == ("1", "2", "3", "4", "9")
    assert noted(data) == {"a rating below 4.0, not positive (user and item stay known)": (4, 3),
                           "a user of test without a positive in train (kept)": (2, 3)}  # fmt: skip
    assert named(data, "test") == {("c", "1"), ("c", "2"), ("b", "1")}


def test_duplicates_are_kept_once_and_counted(tmp_path):
    data = interactions(written(tmp_path / "x", DENSE + "2\t13\t1\t9\n1\t12\t4\t9\n1\t12\t4\t9\n"))
    clean = interactions(written(tmp_path / "y", DENSE))
    assert all(torch.equal(data.part(part), clean.part(part)) for part in PARTS)
    said = noted(data)
    assert said["a pair that came before in its file (kept once)"] == (3, 81)
    torn = interactions(written(tmp_path / "z", DENSE + "1\t13\t1\t9\n"))
    assert noted(torn)["a rating below the least where another of the pair is not (kept as positive)"] == (1, 81)
    assert not any("another of the pair" in reason for reason in said) and named(torn) == named(clean)
    lists = interactions(written(tmp_path / "lists", "0 1 2 3\n1 5 6 5 7 5\n"))
    assert only(lists, "came before") == (2, 2) and len(named(lists)) == 6


def test_a_leak_is_taken_from_training_and_counted(tmp_path):
    train = written(tmp_path / "train", DENSE)
    written(tmp_path / "test", "1 12 5\n1 13 4\n1 99 4\n1 10 5\n")  # 1 10 has a rating of 2 in training: no positive
    data = interactions(train)
    said = noted(data)
    assert said["a pair of train that is in test too (removed from train)"] == (2, 3)
    assert {("1", "12"), ("1", "13")} <= named(data, "test") and not named(data, "test") & named(data, "train", "valid")
    valid = written(tmp_path / "valid", "1 13 5\n1 98 5\n2 12 5\n")
    data = interactions(train, valid=valid)
    assert named(data, "valid") == {("1", "98"), ("2", "12")}
    assert noted(data)["a pair of valid that is in test too (removed from valid)"] == (1, 1)
    # what all three have is counted once in each earlier part
    assert noted(data)["a pair of train that is in valid too (removed from train)"] == (2, 4)
    assert noted(data)["a pair of train that is in test too (removed from train)"] == (1, 3)


def test_columns_and_empty_lines_that_are_not_read_are_noted(tmp_path):
    text = ",title,user,rating,item\n" + "".join(f"{i},any,u{i % 2},5,{i}\n\n" for i in range(9))
    data = interactions(written(tmp_path / "x", text))
    assert noted(data) == {
        "an empty line": (8, 3),
        "a column that is not read (one without a name, title; --columns chooses others)": (2, 1),
    }


FAULTS = {
    "empty": ("", "x is empty"),
    "blank": ("\n \n", "x is empty"),
    "BOM alone": ("\ufeff", "x is empty"),
    "header alone": ("user,item\n", "x has a header and no line below it"),
    "one field": ("1\t2\t5\n3\n", "x:2 has one field, '3', where a user and an item are needed"),
    "one field in all": ("1\n2\n", "x:1 has one field, '1'"),
    "another separator": ("1\t2\t5\n1,3,5\n", "x:2 has one field, '1,3,5'"),
    "too few": ("1\t2\t5\n1\t3\n", "x:2 has 2 fields where the first line has 3"),
    "too many below a header": ("user,item\n1,2,3\n", "x:2 has 3 fields where the first line has 2"),
    "word": ("1 2 5\n1 3 good\n", "x:2 has 'good' where a number is needed for a rating"),
    "nan": ("1 2 5\n1 3 nan\n", "x:2 has 'nan' where"),
    "infinite": ("1 2 5\n1 3 -inf\n", "x:2 has '-inf' where"),
    "overflow": ("1 2 5\n1 3 1e999\n", "x:2 has '1e999' where"),
    "no rating": ("1,2,5\n1,3,\n", "x:2 has '' where"),
    "underscore": ("1 2 5\n1 3 1_0\n", "x:2 has '1_0' where"),
    "decimal comma": ("1;2;5\n1;3;3,5\n", "x:2 has '3,5' where"),
    "negative": ("1 2 5\n1 3 -1\n", "x:2 has the rating -1: say by --min-rating which are positive"),
    "empty item": ("1\t2\t5\n1\t\t5\n", "x:2 has an empty item"),
    "empty user": ("1,2,5\n ,3,5\n", "x:2 has an empty user"),
    "quote": ('"1","2","5"\n"1","3,"5"\n', "x:2 is quoted wrongly"),
    "bytes behind a mark": (b"\xef\xbb\xbf1 2 5\r\n1 3 5\r\n2 caf\xe9 5\r\n", "x:3 holds bytes that are no UTF-8"),
    "UTF-16": ("1 2\n1 3\n".encode("utf-16"), "x:1 holds bytes that are no UTF-8"),
    "zeros": ("1 2\n1 3\n".encode("utf-16-le"), "x:1 holds zero bytes"),
    "unknown header": ("client,sku\n1,2\n1,3\n", "x:1 looks like a header, but names no user and item"),
    "header without item": ("user_id,thing\na,b\n", "x:1 names a user and no item, as in item"),
    "header with two users": ("user,user_id,item\na,a,b\n", "x:1 has two columns for user"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_interactions_is_named_with_its_line(tmp_path, name):
    text, why = FAULTS[name]
    path = written(tmp_path / "x", text)
    with pytest.raises(ValueError) as caught:
        interactions(path)
    assert f"{tmp_path}/{why}" in str(caught.value) and "\n" not in str(caught.value)


def test_faults_of_a_partner_are_named(tmp_path):
    train, test = written(tmp_path / "train", DENSE), tmp_path / "test"
    for text, why in (("1 99 2\n", "test is of no use for test: no line of it is positive"),
                      ("1 99\n", "test has no ratings, unlike the files beside it"),
                      ("1 99 5\n1 98\n", "test:2 has 2 fields"), ("", "test is empty"),
                      ("item user rating\n99 1 5\n", "train has no header, unlike the files")):  # fmt: skip
        written(test, text)
        with pytest.raises(ValueError, match=f"{tmp_path}/{why}"):
            interactions(train)
    for missing in ({"test": tmp_path / "none"}, {"valid": tmp_path / "none"}):
        with pytest.raises(ValueError, match="none: no such file"):
            interactions(train, **missing)
    with pytest.raises(ValueError, match="none: no such file"):
        interactions(tmp_path / "none")


def test_the_fingerprint_knows_ids_positives_and_choices_and_no_place(tmp_path):
    data = interactions(written(tmp_path / "x", DENSE))
    (tmp_path / "folder").mkdir()
    assert interactions(written(tmp_path / "folder/y", DENSE)).fingerprint == data.fingerprint
    changed = [replace(data, users=data.users[::-1]), replace(data, items=data.items[::-1]), replace(data, choices={}),
               replace(data, valid=data.test, test=data.valid), replace(data, train=data.train[1:])]  # fmt: skip
    assert len({data.fingerprint, *(other.fingerprint for other in changed)}) == 6
    assert replace(data, notes=(), name="z").fingerprint == data.fingerprint


WORDS = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1).filter(
    lambda s: s == s.strip()
)


@settings(deadline=None, max_examples=60)
@given(st.sets(st.tuples(WORDS, WORDS)), st.permutations(("user", "item", "rating", "time")),
       st.sampled_from(",;\t"), st.booleans(), st.integers(0, 9))  # fmt: skip
def test_what_is_written_as_csv_is_read_back(tmp_path_factory, pairs, order, separator, quoted, seed):
    pairs = sorted(pairs | {("u", f"i{n}") for n in range(4)})
    ratings = {pair: 4.5 - n % 3 for n, pair in enumerate(pairs)} | {("u", f"i{n}"): 5 for n in range(4)}
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerow(order)
    for user, item in pairs:
        held = {"user": user, "item": item, "rating": ratings[user, item], "time": 1}
        writer.writerow([held[column] for column in order])
    path = tmp_path_factory.mktemp("csv") / "x"
    data = interactions(written(path, file.getvalue()), seed)
    assert named(data) == {pair for pair in pairs if ratings[pair] >= 4}
    assert sum(len(data.part(part)) for part in PARTS) == len(named(data))
    assert set(data.users) == {user for user, _ in pairs} and set(data.items) == {item for _, item in pairs}
    assert {user for user, _ in named(data)} == {user for user, _ in named(data, "train")}


# --- learning to rank ---


def rows_of(*parts):
    """What tables say, a row each."""
    return [
        (query, int(table.labels[row]), *table.features[row].tolist())
        for table in parts
        for i, query in enumerate(table.queries)
        for row in range(*table.rows(i).indices(len(table.labels)))
    ]


QUERIES = "".join(
    f"{(q + d) % 3} qid:{q} 1:{q}.5 3:{d} # docid = D{q}-{d} inc = 1\n" for q in range(20) for d in (1, 2)
)


@mq2008
def test_mq2008_is_read_as_scikit_learn_reads_it():
    before = time.process_time()
    data = letor(MQ2008)
    assert time.process_time() - before < 2
    for part, slices in {"train": (1, 2, 3), "valid": (4,), "test": (5,)}.items():
        table = data.part(part)
        read = [load_svmlight_file(str(MQ2008 / f"S{i}.txt"), query_id=True) for i in slices]
        x, y, qid = (np.concatenate(z) for z in zip(*((x.toarray(), y, q) for x, y, q in read), strict=True))
        assert np.array_equal(table.features, x.astype(np.float32)) and np.array_equal(table.labels, y)
        assert np.array_equal(np.repeat(np.array(table.queries, int), table.sizes), qid)
    assert [len(data.part(part).labels) for part in PARTS] == [9_630, 2_707, 2_874]
    assert data.train.features.dtype == torch.float32 and data.train.labels.dtype == torch.long
    assert data.train.documents[:2] == ("GX008-86-4444840", "GX037-06-11625428")
    assert data.choices == {"fold": 1, "labels": "their own", "valid": "S4.txt", "test": "S5.txt"}
    assert only(data, "without a relevant document") == (220, 1)


@mq2008
@pytest.mark.parametrize("fold", [1, 3, 5])
def test_the_folds_of_mq2008_are_cyclic_and_each_holds_all(fold):
    data = letor(MQ2008, fold=fold)
    sizes = [len((MQ2008 / f"S{i}.txt").read_text().splitlines()) for i in range(1, 6)]
    turned = [sizes[(fold - 1 + i) % 5] for i in range(5)]
    assert [len(data.part(part).labels) for part in PARTS] == [sum(turned[:3]), *turned[3:]]
    assert sum(turned) == 15_211
    queries = [query for part in PARTS for query in data.part(part).queries]
    assert len(queries) == len(set(queries)) == 784
    labels = torch.cat([data.part(part).labels for part in PARTS])
    assert labels.bincount().tolist() == [12_279, 2_001, 931] and data.test.features.shape[1] == 46
    assert (data.choices["valid"], data.choices["test"]) == (f"S{(fold + 2) % 5 + 1}.txt", f"S{(fold + 3) % 5 + 1}.txt")


def test_a_table_holds_its_queries_together(tmp_path):
    data = letor(written(tmp_path / "x", QUERIES))
    for part in PARTS:
        table = data.part(part)
        assert table.offsets.tolist() == list(range(0, 2 * len(table.queries) + 1, 2))
        assert table.documents == tuple(f"D{q}-{d}" for q in table.queries for d in (1, 2))
        assert rows_of(table) == [(q, (int(q) + d) % 3, int(q) + 0.5, 0.0, d) for q in table.queries for d in (1, 2)]
    some = data.train.subset([2, 0])
    assert some.queries == (data.train.queries[2], data.train.queries[0]) and some.offsets.tolist() == [0, 2, 4]
    assert torch.equal(some.features, data.train.features[[4, 5, 0, 1]]) and len(data.train.subset([]).labels) == 0
    assert some.documents == tuple(data.train.documents[i] for i in (4, 5, 0, 1))


def test_a_tenth_of_the_queries_each_is_held_out_by_the_seed(tmp_path):
    path = written(tmp_path / "x", QUERIES)
    data, again, other = (letor(path, seed) for seed in (0, 0, 1))
    assert [len(data.part(part).queries) for part in PARTS] == [16, 2, 2]
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert sorted(rows_of(*map(data.part, PARTS))) == sorted(rows_of(*map(other.part, PARTS)))
    assert data.choices["test"] == "2 of the queries, seed 0"
    for seed in range(6):  # in the order of the file, whatever the cut
        for table in map(letor(path, seed).part, PARTS):
            assert list(table.queries) == sorted(table.queries, key=int)
    written(tmp_path / "y", "1 qid:a 1:1\n0 qid:b 1:2\n")
    with pytest.raises(ValueError, match="y has 2 queries, too few to hold out for valid and test"):
        letor(tmp_path / "y")
    held = letor(tmp_path / "y", test=path)
    assert [len(held.part(part).queries) for part in PARTS] == [1, 1, 20] and held.train.features.shape[1] == 3


def test_files_of_parts_are_used_as_they_are(tmp_path):
    for name, query in (("train.txt", 1), ("vali.txt", 2), ("test.txt", 3), ("other", 4)):
        written(tmp_path / name, f"1 qid:{query} 1:{query}\n0 qid:{query} {query}:1\n")
    for path in (tmp_path, tmp_path / "train.txt"):
        data = letor(path)
        assert [data.part(part).queries for part in PARTS] == [("1",), ("2",), ("3",)]
        assert all(data.part(part).features.shape == (2, 3) for part in PARTS)  # as wide as the widest
    assert letor(tmp_path, test=tmp_path / "other").test.queries == ("4",)
    assert letor(tmp_path, valid=tmp_path / "other").choices["valid"] == "other"


def test_folds_are_of_five_slices_or_five_folders(tmp_path):
    for i in range(1, 6):
        written(tmp_path / f"S{i}.txt", f"1 qid:{i} 1:1\n0 qid:{i} 1:0\n")
    assert [letor(tmp_path, fold=4).part(part).queries for part in PARTS] == [("4", "5", "1"), ("2",), ("3",)]
    for fold in (0, 6):
        with pytest.raises(ValueError, match=f"has no fold {fold}: folds 1 to 5"):
            letor(tmp_path, fold=fold)
    (tmp_path / "S3.txt").unlink()
    with pytest.raises(ValueError, match="S3.txt: no such file"):
        letor(tmp_path)
    for k in (1, 2):
        (tmp_path / f"lettered/Fold{k}").mkdir(parents=True)
        for i, name in enumerate(("train", "vali", "test")):
            written(tmp_path / f"lettered/Fold{k}/{name}.txt", f"1 qid:{k}{i} 1:1\n0 qid:{k}{i} 1:0\n")
    assert letor(tmp_path / "lettered").test.queries == ("12",)
    second = letor(tmp_path / "lettered", fold=2)
    assert second.test.queries == ("22",) and second.choices["fold"] == 2 and second.name == "lettered"
    with pytest.raises(ValueError, match="Fold1 has no fold 1"):
        letor(tmp_path / "lettered/Fold1", fold=1)
    (tmp_path / "void").mkdir()
    with pytest.raises(ValueError, match="holds neither train.txt nor S1.txt"):
        letor(tmp_path / "void")


@pytest.mark.parametrize("end", ["query", "group"])
def test_sizes_beside_a_file_are_its_queries(tmp_path, end):
    for name in ("rank.train", "rank.test"):
        written(tmp_path / name, "1 1:1\n0 1:2\n0 1:3\n2 2:4\n0 1:5\n1 1:6\n")
        written(tmp_path / f"{name}.{end}", "3\n1\n2\n")
    data = letor(tmp_path / "rank.train")
    assert data.test.queries == ("rank.test:1", "rank.test:2", "rank.test:3")
    assert data.test.offsets.tolist() == [0, 3, 4, 6] and data.test.features[3].tolist() == [0, 4]
    assert len(data.train.queries) == 2 and only(data, "a query with one document") == (2, 4)
    sizes = tmp_path / f"rank.test.{end}"
    for text, why in (("3 2 2", "sizes of 7 rows in all, and rank.test has 6"), ("3 2", "of 5 rows"),
                      ("3\n0\n3", ":2 has '0' where"), ("3\n1.5", ":2 has '1.5' where the size"),
                      ("3\n-1\n4", ":2 has '-1' where"), ("", "is empty")):  # fmt: skip
        written(sizes, text)
        with pytest.raises(ValueError, match=why):
            letor(tmp_path / "rank.train")


def test_sizes_and_qids_must_agree(tmp_path):
    written(tmp_path / "x.query", "2 " * 20)
    assert letor(written(tmp_path / "x", QUERIES)).fingerprint == letor(written(tmp_path / "y", QUERIES)).fingerprint
    written(tmp_path / "x.query", "1 3 " + "2 " * 18)
    with pytest.raises(ValueError, match="x.query has other sizes than the qids of x: mend or remove it"):
        letor(tmp_path / "x")


def test_judgements_are_the_labels_of_their_documents(tmp_path):
    path = written(tmp_path / "x", QUERIES)
    qrels = "".join(f"{q} 0 D{q}-{d} {q % 2 + 3 * (d == 2)}\n" for q in range(20) for d in (2, 1))
    judged = letor(path, qrels=written(tmp_path / "judged", qrels))
    assert judged.choices["labels"] == "judged" and not judged.notes
    for part in PARTS:
        table = judged.part(part)
        assert table.labels.tolist() == [int(q) % 2 + 3 * d for q in table.queries for d in (0, 1)]
    assert letor(path).choices["labels"] == "their own"
    written(tmp_path / "x.qrels", qrels)
    beside = letor(path)
    assert beside.choices["labels"] == "x.qrels" and torch.equal(beside.train.labels, judged.train.labels)
    # documents without a judgement, judgements without a document, twice the same, below 0
    cut = "".join(qrels.splitlines(True)[3:]) + "7 0 D99-9 1\n7 0 D7-1 1\n1 0 D1-2 -2\n"
    data = letor(path, qrels=written(tmp_path / "cut", cut))
    assert noted(data) == {"a judgement that came before (kept once)": (1, 39),
                           "a document that no judgement names (counts as not relevant)": (2, 1),
                           "a judgement of a document without features (left out)": (1, 38),
                           "a label below 0 (counts as not relevant)": (1, 4),
                           "a query without a relevant document (kept)": (1, 1)}  # fmt: skip
    assert min(data.part(part).labels.min() for part in PARTS) == 0


def test_judgements_that_cannot_be_used_are_named(tmp_path):
    path = written(tmp_path / "x", QUERIES)
    for text, why in (("0 0 D0-1 1\n0 0 D0-1 2\n", "q:2 judges D0-1 for query 0 unlike .*/q:1$"),
                      ("0 0 D0-1 1\n0 0 D0-1\n", "q:2 has 3 fields, not 'qid 0 docid label'"),
                      ("0 0 D0-1 good\n", "q:1 has the label 'good', not a whole number")):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            letor(path, qrels=written(tmp_path / "q", text))
    bare = written(tmp_path / "bare", QUERIES + "1 qid:20 1:1\n")
    with pytest.raises(ValueError, match="bare:41 has no '# docid = ID', by which q names documents"):
        letor(bare, qrels=tmp_path / "q") if written(tmp_path / "q", "0 0 D0-1 1\n") else None


LETOR_FAULTS = {
    "empty": ("", "x is empty"),
    "comments": ("# one\n# two\n", "x holds comments only"),
    "no qid": ("1 1:1\n", "x:1 has no qid: write 'label qid:ID 1:v ...', or sizes to x.query"),
    "no qid later": ("1 qid:1 1:1\n1 1:1\n", "x:2 has no qid, unlike the lines before it"),
    "qid later": ("1 1:1\n1 qid:1 1:1\n", "x:2 has a qid, unlike the lines before it"),
    "empty qid": ("1 qid: 1:1\n", "x:1 has an empty qid"),
    "qid of a sort": ("1 qid:1 1:1\n1 1:1 qid:1\n", "x:2 has 'qid:1' where a feature is needed"),
    "nan": (
        "1 qid:1 1:1\n1 qid:1 1:1 2:nan\n",
        "x:2 has no value for feature 2: take 0 for it by missing=zero (--missing",
    ),
    "NULL": ("1 qid:1 1:1 3:NULL\n", "x:1 has no value for feature 3: take 0 for it"),
    "nothing": ("1 qid:1 1:1 3:nil\n", "x:1 has '3:nil' where a feature is needed"),
    "infinite": ("1 qid:1 1:inf\n", "x:1 has a value that is not finite, of feature 1"),
    "beyond float32": ("1 qid:1 1:1 4:1e39\n", "x:1 has a value that is not finite, of feature 4"),
    "repeated": ("1 qid:1 1:1 2:1 2:3\n", "x:1 has feature 2 after 2: each comes once, in rising order"),
    "descending": ("1 qid:1 1:1 5:1 4:3\n", "x:1 has feature 4 after 5"),
    "negative feature": ("1 qid:1 -1:1 1:1\n", "x:1 has feature -1: they start at 1, or at 0"),
    "wild": ("1 qid:1 1:1 4000000000:3\n", "x:1 has feature 4000000000: 65536 is the largest that is read"),
    "no number": ("1 qid:1 a:1\n", "x:1 has 'a:1' where a feature is needed, number:value"),
    "no value": ("1 qid:1 1:1 2:\n", "x:1 has '2:' where"),
    "no colon": ("1 qid:1 1:1 2\n", "x:1 has '2' where"),
    "two colons": ("1 qid:1 1:2:3 4\n", "x:1 has '1:2:3' where"),
    "underscore": ("1 qid:1 1:1 2:1_0\n", "x:1 has '2:1_0' where"),
    "label": ("good qid:1 1:1\n", "x:1 has the label 'good', not a whole number"),
    "broken label": ("0.5 qid:1 1:1\n", "x:1 has the label '0.5'"),
    "nan label": ("nan qid:1 1:1\n", "x:1 has the label 'nan'"),
    "vast label": ("1e30 qid:1 1:1\n", "x:1 has the label '1e30'"),
    "no feature": ("1 qid:1\n1 qid:2\n1 qid:3\n", "x has no features"),
    "UTF-16": ("1 qid:1 1:1\n".encode("utf-16"), "x:1 holds bytes that are no UTF-8"),
}


@pytest.mark.parametrize("name", LETOR_FAULTS)
def test_a_fault_in_svmlight_is_named_with_its_line(tmp_path, name):
    text, why = LETOR_FAULTS[name]
    path = written(tmp_path / "x", text)
    with pytest.raises(ValueError) as caught:
        letor(path)
    assert f"{tmp_path}/{why}" in str(caught.value) and "\n" not in str(caught.value)


def test_doubtful_queries_are_kept_and_counted(tmp_path):
    clean = letor(written(tmp_path / "x", QUERIES))
    assert not clean.notes  # two documents each, one of them relevant
    extra = "# a comment\n1 qid:one 1:1 # docid = A\n\n0 qid:none 1:1 # docid = B\n-1 qid:none 1:2\n"
    data = letor(written(tmp_path / "y", QUERIES + extra))
    assert noted(data) == {"an empty line": (1, 43), "a label below 0 (counts as not relevant)": (1, 45),
                           "a row without a docid, where others have one": (1, 45),
                           "a query with one document (kept)": (1, 42),
                           "a query without a relevant document (kept)": (1, 44)}  # fmt: skip
    assert len({q for part in PARTS for q in data.part(part).queries}) == 22
    assert min(data.part(part).labels.min() for part in PARTS) == 0


def test_a_query_of_two_parts_is_a_leak_where_it_shares_a_document(tmp_path):
    train = written(tmp_path / "train.txt", "".join(f"1 qid:{q} 1:{q} 2:1\n0 qid:{q} 2:0\n" for q in range(1, 7)))
    test = written(tmp_path / "test.txt", "1 qid:2 1:2.0 2:1\n0 qid:2 1:9\n1 qid:3 1:77\n0 qid:3 2:0\n")
    data = letor(train)
    assert "2" not in data.train.queries + data.valid.queries and {"2", "3"} == set(data.test.queries)
    assert noted(data) == {"a query id of train that is in test too (removed from train)": (1, 3),
                           "a query id of train that is in test too (other documents, kept)": (1, 5)}  # fmt: skip
    with pytest.raises(ValueError, match="test.txt:1: every query of train is in test too"):
        letor(test, test=test)
    for path, same in ((train, "A"), (test, "B")):
        written(path, "".join(f"{d} qid:{q} 1:1 # docid = {same}{d}\n" for q in range(3) for d in (0, 1)))
    assert only(letor(train), "other documents") == (3, 1)  # ids of documents say more than equal features


def test_crlf_and_a_byte_order_mark_say_nothing(tmp_path):
    clean = letor(written(tmp_path / "x", QUERIES))
    other = letor(written(tmp_path / "y", "\ufeff" + QUERIES.replace("\n", "\r\n")))
    assert clean.fingerprint == other.fingerprint and not other.notes


def test_the_fingerprint_of_letor_knows_every_column(tmp_path):
    data = letor(written(tmp_path / "x", QUERIES))
    table = data.train
    tables = [replace(table, features=-table.features), replace(table, labels=table.labels + 1),
              replace(table, queries=table.queries[::-1]), replace(table, documents=()),
              replace(table, offsets=table.offsets.clone().index_fill_(0, torch.tensor([1]), 1))]  # fmt: skip
    changed = [*(replace(data, train=t) for t in tables), replace(data, valid=data.test, test=data.valid),
               replace(data, choices={})]  # fmt: skip
    assert len({data.fingerprint, *(other.fingerprint for other in changed)}) == 8
    assert replace(data, notes=(), name="z").fingerprint == data.fingerprint


QIDS = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="#"), min_size=1, max_size=9)
ROWS = st.lists(st.tuples(st.integers(0, 4), st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False),
                                                      min_size=5, max_size=5)), min_size=1, max_size=4)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(QIDS, ROWS, min_size=3, max_size=8), st.integers(0, 9), st.booleans())
def test_what_is_written_as_svmlight_is_read_back(tmp_path_factory, queries, seed, sparse):
    lines = [
        f"{label} qid:{query} " + " ".join(f"{i}:{v!r}" for i, v in enumerate(values, 1) if v or i == 5 or not sparse)
        for query, rows in queries.items()
        for label, values in rows
    ]
    data = letor(written(tmp_path_factory.mktemp("letor") / "x", "\n".join(lines)), seed)
    held = [(query, label, *values) for query, rows in queries.items() for label, values in rows]
    assert sorted(rows_of(*map(data.part, PARTS))) == sorted(held)
    for part in PARTS:  # in the order of the file
        assert list(data.part(part).queries) == [query for query in queries if query in data.part(part).queries]


# --- what both are made of ---


def test_notes_of_one_reason_are_added_up_and_the_first_is_kept():
    notes = [Note("a", 2, "x:3"), Note("b", 0, ""), Note("c", 1, "x:1"), Note("a", 5, "x:1")]
    assert tally(notes) == (Note("a", 7, "x:3"), Note("c", 1, "x:1"))


@given(st.integers(0, 40), st.integers(0, 200), st.sampled_from([(), ("test",), ("valid", "test")]))
def test_tenths_are_disjoint_and_equal_and_never_more_than_are_free(free, n, parts):
    held = tenths(torch.arange(free), n, parts)
    rows = [row for index in held.values() for row in index.tolist()]
    assert tuple(held) == parts and len(rows) == len(set(rows)) <= free
    assert len({len(index) for index in held.values()}) <= 1
    if parts and free >= len(parts) * max(1, round(n / 10)):
        assert all(len(index) == max(1, round(n / 10)) for index in held.values())


def test_rows_of_a_table_are_counted_by_its_offsets():
    table = Table(torch.zeros(6, 2), torch.zeros(6), ("a", "b", "c"), torch.tensor([0, 1, 4, 6]))
    assert table.sizes.tolist() == [1, 3, 2] and table.rows(1) == slice(1, 4)
    assert table.subset([2, 1]).offsets.tolist() == [0, 2, 5] and table.subset([2]).documents == ()


# --- as texts lie about ---

SHOP = [(f"u{u}", f"i{i}", 1 + (u + i) % 5) for u in range(6) for i in range(10)]
LIKED = {(u, i) for u, i, r in SHOP if r >= 4}
TABBED = "".join(f"{u}\t{i}\t{r}\n" for u, i, r in SHOP)


def test_texts_are_read_compressed_and_in_a_zip(tmp_path):
    (tmp_path / "x-train.tsv.gz").write_bytes(gzip.compress(TABBED.encode()))
    (tmp_path / "x-test.tsv.gz").write_bytes(gzip.compress(b"u0\ti99\t5\n"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/u.data.gz").write_bytes(gzip.compress(TABBED.encode()))
    for name, inside in (("one.zip", {"any.txt": TABBED}), ("ml.zip", {"ml/u.data": TABBED, "ml/README": "hello"}),
                         ("two.zip", {"x-train.tsv": TABBED, "x-test.tsv": "u0\ti99\t5\n"})):  # fmt: skip
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, text in inside.items():
                archive.writestr(member, text)
    for name in ("x-train.tsv.gz", "folder", "folder/u.data.gz", "one.zip", "ml.zip", "two.zip"):
        data = load(str(tmp_path / name))
        tested = {("u0", "i99")} if name.startswith(("x-", "two")) else set()
        assert named(data) == LIKED | tested and data.name == Path(name).name, name
        assert not tested or named(data, "test") == tested
    lines = "".join(f"{d} qid:{q} 1:{q}.5 2:{d}\n" for q in range(9) for d in (0, 1))
    (tmp_path / "rank.txt.gz").write_bytes(gzip.compress(lines.encode()))
    assert load(str(tmp_path / "rank.txt.gz")).fingerprint == letor(written(tmp_path / "rank.txt", lines)).fingerprint


def test_texts_none_of_which_is_meant_are_told(tmp_path):
    """A zip or folder of texts alone holds no pictures that are missing; one with others may hold anything."""
    wanted = r"holds 2 texts \(a.tsv, b.csv\): one is wanted, or one with its test, as x-train.txt with x-test.txt"
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name, text in (("a.tsv", TABBED), ("b.csv", TABBED.replace("\t", ","))):
            archive.writestr(name, text)
            written(tmp_path / "folder" / name, text)
    for name in ("two.zip", "folder"):
        for choices in ({}, {"min_rating": 3}):
            with pytest.raises(ValueError, match=f"{name} {wanted}$"):
                load(str(tmp_path / name), **choices)
    (tmp_path / "folder/a.tsv").unlink()
    with pytest.raises(ValueError, match="holds one text, b.csv, of no usual name: give that file"):
        load(str(tmp_path / "folder"))
    written(tmp_path / "folder/x.bin", "words")
    with pytest.raises(ValueError, match="holds no pictures"):
        load(str(tmp_path / "folder"))


def test_what_expands_without_bound_or_is_damaged_is_refused(tmp_path):
    bomb = b"1\t2\t5\n" * 1_000_000
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bomb))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bomb)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(TABBED.encode())[:-20])
    (tmp_path / "no.gz").write_bytes(b"1\t2\n")
    for name, why in (("bomb.gz", "expands to more than 1 MiB"), ("bomb.zip", "a.txt expands to more than"),
                      ("cut.gz", "is damaged"), ("no.gz", "is damaged")):  # fmt: skip
        with pytest.raises(ValueError, match=why) as caught:
            interactions(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_columns_are_those_that_are_asked_for(tmp_path):
    rows = "".join(f"{r},x,{i},{u}\n" for u, i, r in SHOP)
    path = written(tmp_path / "x", "quantity,note,sku,customer_id\n" + rows)
    asked = "user=customer_id,item=sku,rating=quantity"
    data = interactions(path, columns=asked)
    assert named(data) == LIKED and data.choices["columns"] == asked
    assert noted(data)["a column that is not read (note; --columns chooses others)"] == (1, 1)
    assert (
        interactions(path, columns=dict(pair.split("=") for pair in asked.split(","))).fingerprint == data.fingerprint
    )
    bare = interactions(written(tmp_path / "y", rows), columns="user=4,item=3,rating=1")
    assert named(bare) == LIKED
    every = interactions(path, columns="user=customer_id,item=sku")  # the quantity is told to be left
    assert len(named(every)) == len(SHOP) and "quantity, note" in next(iter(noted(every)))
    plays = "user,item,rating,plays\n" + "".join(f"{u},{i},1,{r}\n" for u, i, r in SHOP)
    usual = interactions(written(tmp_path / "z", plays), columns="rating=plays")
    assert named(usual) == LIKED  # what is not asked for is found by its usual name
    for wrong, why in (("user=who,item=sku", "x:1 has no column 'who': it has quantity, note, sku, customer_id"),
                       ("buyer=customer_id", "--columns are given as user=NAME,item=NAME"),
                       ("user=customer_id", "names a user and no item"), ("user", "--columns are given as"),
                       ("user=sku,item=sku", "--columns name sku twice"), ("user=1,item=1", "--columns name 1 twice"),
                       ("user=sku,user=note", "--columns name user twice"),
                       ("user=9,item=1", "x:1 has columns 1 to 4"), ("user=1", "x:1 has columns 1 to 4")):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            interactions(path, columns=wrong)
    with pytest.raises(ValueError, match=r"x:1 has 'sku' where a number is needed .* or they are chosen by --columns"):
        interactions(path)
    numbers = written(tmp_path / "n", "client,ware\n" + "".join(f"{u[1:]},{i[1:]}\n" for u, i, _ in SHOP))
    with pytest.raises(ValueError, match=r"n:1 looks like a header, .* --columns user=client,item=ware"):
        interactions(numbers)
    rated = written(tmp_path / "r", "client,ware,n\n" + "".join(f"{u[1:]},{i[1:]},{r}\n" for u, i, r in SHOP))
    with pytest.raises(ValueError, match=r"or choose them, as --columns user=client,item=ware,rating=n$"):
        interactions(rated)
    assert named(interactions(rated, columns="user=client,item=ware,rating=n")) == {(u[1:], i[1:]) for u, i in LIKED}
    with pytest.raises(ValueError, match="--min-rating is a number, or -inf for every line, not nan"):
        interactions(rated, columns="user=1,item=2,rating=3", min_rating=math.nan)


def test_a_header_is_no_user_where_columns_are_chosen_by_number(tmp_path):
    """By its names, or by its words above numbers, of ids or of the rating; where neither tells, it is a line."""
    pairs = [(int(u[1:]), int(i[1:]), r) for u, i, r in SHOP]
    for head, words, told in (("user_id,item_id,n\n", False, 0), ("client,ware,n\n", False, 1), ("", False, 0),
                              ("user_id,item_id,n\n", True, 0)):  # fmt: skip
        rows = "".join(f"u{u},i{i},{r}\n" if words else f"{u},{i},{r}\n" for u, i, r in pairs)
        found = interactions(written(tmp_path / "x", head + rows), columns="user=1,item=2")
        assert (len(found.users), len(found.items)) == (len({u for u, *_ in pairs}), len({i for _, i, _ in pairs}))
        assert len(named(found)) == len(pairs)
        assert sum("taken for a header" in note.reason for note in found.notes) == told
    rows = "client,ware,n\n" + "".join(f"u{u},i{i},{r}\n" for u, i, r in pairs)
    assert len(interactions(written(tmp_path / "x", rows), columns="user=1,item=2,rating=3").users) == len(found.users)
    assert "client" in interactions(tmp_path / "x", columns="user=1,item=2").users


def test_quotes_hold_separators_and_ends_of_lines(tmp_path):
    rows = [(f"u {u}", f'the "{i}",\nsecond line', r) for u, i, r in SHOP]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([("user", "item", "rating"), *rows])
    data = interactions(written(tmp_path / "x", file.getvalue()))
    assert named(data) == {(u, i) for u, i, r in rows if r >= 4}
    torn = written(tmp_path / "y", file.getvalue() + 'u 9,"open,5\nu 9,i,5\n')
    with pytest.raises(ValueError, match=f"y:{2 + 2 * len(rows)} is quoted wrongly"):
        interactions(torn)


def test_bars_separate_and_times_are_told(tmp_path):
    data = interactions(written(tmp_path / "x", "".join(f"{u}|{i}|{r}|88\n" for u, i, r in SHOP)))
    assert named(data) == LIKED
    (time,) = [note for note in data.notes if note.reason.startswith("a time (not used")]
    assert (time.times, time.first) == (len(SHOP), f"{tmp_path}/x:1")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_latin_1_is_read_and_told(tmp_path, ends):
    text = ends.join(f"Zoë{u}\tcafé – {i}\t{r}" for u, i, r in SHOP[:40]) + f"{ends}x\ty\t5{ends}"
    data = interactions(written(tmp_path / "x", text.encode("cp1252")))
    clean = interactions(written(tmp_path / "y", text))
    assert data.fingerprint == clean.fingerprint and "Zoëu0" in data.users
    (told,) = [line for reason, line in noted(data).items() if "read as Latin-1" in reason]
    assert told == (40, 1)


def test_what_was_rated_low_is_known_and_no_positive(tmp_path):
    """Of the training and validation files; of the test file nobody knows yet."""
    train = written(tmp_path / "x-train.tsv", TABBED)
    written(tmp_path / "x-test.tsv", "u0\ti50\t5\nu0\ti51\t1\n")
    data = interactions(train)
    low = {(data.users[u], data.items[i]) for u, i in data.touched.tolist()}
    assert low == {(u, i) for u, i, r in SHOP if r < 4} and ("u0", "i51") not in low
    one = interactions(written(tmp_path / "y", TABBED))
    assert {(one.users[u], one.items[i]) for u, i in one.touched.tolist()} == low


# --- LETOR as it comes ---


def test_lines_of_a_query_may_stand_apart(tmp_path):
    lines = [f"{(q + d) % 3} qid:{q} 1:{q}.5 3:{d} # docid = D{q}-{d}\n" for d in (1, 2) for q in range(20)]
    data, sorted_ = letor(written(tmp_path / "x", "".join(lines))), letor(written(tmp_path / "y", QUERIES))
    assert data.fingerprint == sorted_.fingerprint
    assert only(data, "lines stand apart") == (20, 21) and not sorted_.notes
    for i in range(1, 6):
        written(tmp_path / f"S{i}.txt", f"1 qid:{i % 2} 1:{i}\n0 qid:{i % 2} 1:0\n")
    with pytest.raises(ValueError, match="S3.txt:1 has query 1, as S1.txt has: give every query its own id"):
        letor(tmp_path)


@pytest.mark.parametrize("nothing", ["NULL", "nan", "NaN", "null"])
def test_missing_values_are_0_where_that_is_asked_for(tmp_path, nothing):
    holed, zero = (QUERIES.replace("1:7.5", f"1:{value}") for value in (nothing, "0"))
    path = written(tmp_path / "x", holed)
    data = load(str(path), missing="zero")
    assert torch.equal(data.train.features, letor(written(tmp_path / "y", zero)).train.features)
    assert only(data, "a missing value") == (2, 15) and data.choices["missing"] == "zero"
    for asked in ({}, {"missing": "refuse"}):
        with pytest.raises(ValueError, match=r"x:15 has no value for feature 1: take 0 for it by missing=zero"):
            letor(path, **asked)
    with pytest.raises(ValueError, match="named 'mean'; there are refuse, zero|did you mean"):
        letor(path, missing="mean")
    with pytest.raises(ValueError, match="not finite, of feature 1"):
        letor(written(tmp_path / "z", QUERIES.replace("1:7.5", "1:inf")), missing="zero")


def test_features_may_count_from_0(tmp_path):
    from_0 = "".join(f"{(q + d) % 3} qid:{q} {f'0:{q}.5 ' if q else ''}2:{d}\n" for q in range(20) for d in (1, 2))
    data, usual = (
        letor(written(tmp_path / "x", from_0)),
        letor(written(tmp_path / "y", QUERIES.replace("1:0.5", "1:0"))),
    )
    assert torch.equal(data.train.features, usual.train.features) and data.train.features.shape[1] == 3
    assert only(data, "count from 0") == (1, 3)


@pytest.mark.parametrize("width", [3, 46, 136])
def test_equal_features_have_equal_scores_to_the_last_bit(width):
    """In one product over all rows they have not."""
    torch.manual_seed(0)
    scorer, rows = torch.nn.Sequential(torch.nn.Linear(width, 1), torch.nn.Flatten(0)), torch.randn(2, width)
    table = Table(rows[[0] * 23 + [1] * 18], torch.zeros(41), ("a", "b"), torch.tensor([0, 23, 41]))
    scores = table.scored(scorer)
    assert scores.shape == (2, 23) and [len(scores[0].unique()), len(scores[1, :18].unique())] == [1, 1]
    torch.testing.assert_close(scores[:, 0], scorer(rows).detach())
    assert not scores[1, 18:].any()
