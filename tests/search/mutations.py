"""Every file that a run writes, damaged in every way: then the run is judged, sampled, reported and resumed.

Right is the result of the undamaged run, or a word that says what is wrong. A file may be flipped, cut, emptied,
swapped, made of another type or kind, or hold values that nobody would write; weights may be exchanged together with
their digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .processes import Done, Servers
from .tally import Tally

STEPS = ["--steps", "12", "--log-every", "4", "--judge-every", "4", "--checkpoint-every", "4"]
OWN = ["--set", "width=4", "--set", "depth=1", "--batch-size", "8"]
RUNS = {  # how each was trained; all stopped after step 8, and are resumed to 12
    "samples": ["ns-gan", "--data", "../x.npy", "--seeds", "2", *OWN],
    "codes": ["bigan", "--data", "../p.npz", "--set", "width=4", "--batch-size", "8"],
    "rankings": ["irgan", "--data", "../i.tsv", "--set", "rank=2"],
    "documents": ["irgan-pairwise", "--data", "../l.txt", "--set", "width=4"],
}
USES = {  # what each is good for, and the file that comes of it, if it is not what is printed
    "samples": {
        "judge run --json": "",
        "sample run --n 8 --out s.npy": "s.npy",
        "export run --out e.safetensors": "e.safetensors",
    },
    "codes": {"judge run --json": "", "encode run --out c.npy": "c.npy", "anomaly run --json": ""},
    "rankings": {"judge run --json": "", "recommend run --k 3": "", "recommend run --include-seen --ranker critic": ""},
    "documents": {"judge run --json": ""},
}
REPORT = "report run --out r.html"
RESUME = "train"
TIMED = ("seconds", "samples_per_second")
_worlds: dict[tuple[Path, str], World] = {}
_lock = threading.Lock()


class World(NamedTuple):
    """A run, whole, and what comes of every use of it."""

    place: Path
    files: list[Path]
    expected: dict[str, tuple[Any, str]]


def uses(kind: str) -> dict[str, str]:
    return {**USES[kind], REPORT: "r.html", RESUME: ""}


def words_for(kind: str, use: str) -> list[str]:
    return ["train", *RUNS[kind], *STEPS, "--out", "run", "--resume"] if use == RESUME else use.split()


def make(servers: Servers, folder: Path, kind: str) -> World:
    """The run of a kind as it was at step 8, once for all cases."""
    with _lock:
        if (folder, kind) not in _worlds:
            place = folder / kind
            place.mkdir()
            done = servers.run("train", *RUNS[kind], *STEPS, "--out", "run", where=place, patience=300)
            assert done.code == 0, done.err + done.traceback
            shutil.rmtree(place / "run/checkpoints/step-00000012")
            files = sorted(path.relative_to(place) for path in (place / "run").rglob("*") if path.is_file())
            copy = fresh(place, folder / f"{kind}-whole")
            expected = {use: outcome(servers, copy, kind, use)[:2] for use in uses(kind)}
            _worlds[folder, kind] = World(place, files, expected)
    return _worlds[folder, kind]


def fresh(place: Path, to: Path) -> Path:
    shutil.copytree(place, to)
    return to


def outcome(servers: Servers, place: Path, kind: str, use: str) -> tuple[Any, str, Done]:
    """What a use gives (None where it fails), what it says, and how it ended."""
    done = servers.run(*words_for(kind, use), where=place)
    if done.code != 0:
        return None, done.err, done
    if use == RESUME:
        weights = place / "run/checkpoints/step-00000012/state.safetensors"
        lines = [read_plain(place / "run" / name) for name in ("log.jsonl", "metrics.jsonl")]
        return (hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None, lines), done.err, done
    if use == REPORT:  # a page says itself what it cannot show
        page = (place / "r.html").read_text()
        return page, done.err + "".join(f"\n{line}" for line in page.splitlines() if 'class="absent"' in line), done
    file = uses(kind)[use]
    return ((place / file).read_bytes().hex() if file and (place / file).is_file() else done.out), done.err, done


def read_plain(path: Path) -> Any:
    """Lines without what the clock decides."""
    if not path.is_file():
        return None
    lines = [json.loads(line) for line in path.read_text(errors="replace").splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines if isinstance(line, dict)]


def hunt(servers: Servers, folder: Path, number: int, tally: Tally) -> None:
    rng = random.Random(f"mutation {number}")
    kind = rng.choice(list(RUNS))
    whole = make(servers, folder, kind)
    names = sorted({simple_name(path) for path in whole.files})
    name = rng.choice(names)
    path = rng.choice([path for path in whole.files if simple_name(path) == name])
    place = fresh(whole.place, folder / f"mutation-{number}")
    damage = rng.choice([*ANY, *BY_ENDING.get(path.suffix, ())])
    what = f"{kind}: {path.relative_to('run')} {damage.__name__}"
    detail = damage(rng, place / path) or ""
    what += f" ({detail})" if detail else ""
    tally.count("damaged files")
    chosen = list(uses(kind))
    for use in chosen:
        again = fresh_links(place, folder / f"mutation-{number}-{chosen.index(use)}") if use == RESUME else place
        found, said, done = outcome(servers, again, kind, use)
        expected, usual = whole.expected[use]
        tally.count("uses")
        if not tally.check(number, [what, "; ", use], done):
            if done.hung:
                break
            continue
        told = set(said.splitlines()) - set(usual.splitlines())
        if done.code == 0 and found != expected and not told and as_edited(damage, path, use, expected, found):
            tally.count("as the record says")
        elif done.code == 0 and found != expected and not told:
            tally.fault("changed in silence", number, f"{what}; {use}: {difference(expected, found)}")
        else:
            tally.count("refused" if done.code else "told" if told else "the same")
    for left in folder.glob(f"mutation-{number}*"):
        shutil.rmtree(left, ignore_errors=True)


def as_edited(damage: Any, path: Path, use: str, expected: Any, found: Any) -> bool:
    """Whether a record that can still be read is shown, or kept, with the values that it now has: no digest tells a
    number that was edited from one that was measured. Weights, and how many lines there are, must stay."""
    if damage is swapped and path.suffix == ".png":
        return use == REPORT
    if damage not in (edit, flip, twice, swapped) or path.suffix not in (".json", ".jsonl"):
        return False
    if use == RESUME:
        (weights, lines), (others, kept) = expected, found
        return bool(weights == others and [len(part or ()) for part in lines] == [len(part or ()) for part in kept])
    return use == REPORT


def fresh_links(place: Path, to: Path) -> Path:
    """The same place under another name: a resumed run may change it."""
    place.rename(to)
    return to


def simple_name(path: Path) -> str:
    """A file's role, whatever its step."""
    return str(Path(*("step" if part.startswith("step-") and "." not in part else part for part in path.parts[1:-1]),
                    "step" + path.suffix if path.name.startswith("step-") else path.name))  # fmt: skip


def difference(expected: Any, found: Any) -> str:
    one, other = json.dumps(expected), json.dumps(found)
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{one[max(0, at - 30) : at + 30]!r} became {other[max(0, at - 30) : at + 30]!r}"


# --- damages: of any file, of JSON, of weights ---


def flip(rng: random.Random, path: Path) -> str:
    data = bytearray(path.read_bytes())
    if not data:
        return "empty"
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"byte {place} of {len(data)}"


def cut(rng: random.Random, path: Path) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size + 1))


def empty(rng: random.Random, path: Path) -> None:
    path.write_bytes(b"")


def longer(rng: random.Random, path: Path) -> None:
    with open(path, "ab") as file:
        file.write(rng.choice([b"\x00", b"}", b"\n{}", b"x" * 5000, b"\xff\xfe"]))


def noise(rng: random.Random, path: Path) -> None:
    path.write_bytes(rng.randbytes(rng.choice([1, 100, 10_000])))


def gone(rng: random.Random, path: Path) -> None:
    path.unlink()


def pipe(rng: random.Random, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def endless(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def swapped(rng: random.Random, path: Path) -> str:
    """With another file of the same name or ending, as it is elsewhere in the run."""
    root = next(parent for parent in path.parents if parent.name == "run")
    others = sorted(other for other in root.rglob(f"*{path.suffix or '*'}") if other.is_file() and other != path)
    if not others:
        return "alone"
    other = rng.choice(others)
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)
    return str(other.relative_to(root))


ANY: tuple[Callable[[random.Random, Path], str | None], ...] = (
    flip, flip, flip, cut, empty, longer, noise, gone, pipe, folder, loop, endless, swapped,
)  # fmt: skip


def edit(rng: random.Random, path: Path) -> str:
    """Another value, or none, somewhere in JSON."""
    lines = path.suffix == ".jsonl"
    text = path.read_text()
    value = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    places = list(inside(value))
    if not places:
        return "nothing there"
    holder, key, trail = rng.choice(places)
    new = rng.choice(VALUES)
    if new is GONE:
        del holder[key]
    else:
        holder[key] = new
    dump = (lambda v: json.dumps(v)) if not isinstance(new, Deep) else (lambda v: json.dumps(v).replace('"deep"', new))
    path.write_text("".join(dump(line) + "\n" for line in value) if lines else dump(value))
    return f"{trail} {'gone' if new is GONE else str(new)[:20]!r}"


def inside(value: Any, trail: str = "") -> Any:
    """Every place in a value: what holds it, its key, and how to get there."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(pairs):
        yield value, key, f"{trail}.{key}"
        yield from inside(part, f"{trail}.{key}")


class Deep(str):
    pass


GONE = object()
VALUES: list[Any] = [
    GONE, GONE, None, True, False, -1, 0, 1, 1.5, 1e308, float("nan"), float("inf"), 10**30, "", "x", "nan", "../..",
    "a" * 10_000, [], {}, [[]], {"a": 1}, [1, "a"], "\ud800", Deep("deep"), 999999999,
]  # fmt: skip


def deep(rng: random.Random, path: Path) -> None:
    depth = rng.choice([900, 100_000])
    path.write_text('{"a": ' + "[" * depth + "]" * depth + "}")


def encoded(rng: random.Random, path: Path) -> None:
    text = path.read_text()
    path.write_bytes(rng.choice([text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode(), text.encode() + b"\xe9"]))


def twice(rng: random.Random, path: Path) -> None:
    path.write_text(path.read_text() * 2)


def other_weights(rng: random.Random, path: Path) -> str:
    """A header or numbers that nobody wrote, with a digest that fits."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    entry = header[name]
    what = rng.choice(["key", "key", "type", "shape", "nan", "offset", "missing", "zero"])
    if what == "key":
        new = rng.choice(["999999999/x", "-7/y", "x/params", "", "0", "/", "0/params/none", "1e9/x"])
        header[new] = header.pop(name)
        what += f" {new!r}"
    elif what == "type":
        entry["dtype"] = rng.choice(["F64", "I32", "BF16", "U8", "F8", "BOOL"])
    elif what == "shape":
        entry["shape"] = rng.choice([[], [-1], [1, *entry["shape"]], [10**12], entry["shape"][::-1], "x"])
    elif what == "offset":
        entry["data_offsets"] = rng.choice([[0, 10**15], [-4, 0], [8, 4], []])
    elif what == "missing":
        del header[name]
    else:
        start, end = entry["data_offsets"]
        body[start:end] = (b"\x00\x00\xc0\x7f" if what == "nan" else b"\x00\x00\x00\x00") * ((end - start) // 4)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(body))
    meta = path.parent / "meta.json"
    if meta.is_file():
        facts = json.loads(meta.read_text())
        facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        meta.write_text(json.dumps(facts))
    return f"{what} of {name}"


JSON_DAMAGE = (edit, edit, edit, edit, edit, edit, edit, deep, encoded, twice)
BY_ENDING: dict[str, tuple[Callable[[random.Random, Path], str | None], ...]] = {
    ".json": JSON_DAMAGE, ".jsonl": JSON_DAMAGE, ".safetensors": (other_weights,) * 10,
}  # fmt: skip
