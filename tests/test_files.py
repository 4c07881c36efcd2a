"""Whatever happens to the files and streams of a command: what was there stays, and nobody sees a traceback."""

import contextlib
import copy
import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ganzfeld as gz
from ganzfeld.core import disk, streams
from ganzfeld.runs import files
from small import SETTINGS, environment, ganzfeld, train, vectors, weights

FAULTS = Path(__file__).parents[2] / "shared/data/faults"
SETS = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run of each kind: samples, codes, rankings."""
    folder = tmp_path_factory.mktemp("files")
    data = vectors(folder)
    train(folder / "samples", data, seeds=2, steps=24, checkpoint_every=8)
    train(folder / "codes", data, "bigan", steps=8)
    tiny = {"rank": 2, "start_steps": 4}
    gz.train("irgan", "tastes", out=folder / "rankings", steps=8, settings=tiny, log_every=4, judge_every=4)
    return folder, data


def again(data, out, *more):
    """The command that goes on with the run of samples."""
    return ["train", "ns-gan", "--data", data, "--seeds", 2, "--steps", 24, *SETS, "--out", out, "--resume", *more]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def call(*words, **more):
    """A command in a process of its own, with signals as a shell in the foreground leaves them."""
    words = [sys.executable, "-m", "ganzfeld", *map(str, words)]
    return subprocess.Popen(words, **{"env": environment(), "text": True, "preexec_fn": usual_signals, **more})


def usual_signals():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# --- a directory says what it holds ---


@pytest.mark.parametrize("resume", [False, True])
def test_checkpoints_without_a_description_let_no_run_in(tmp_path, world, resume):
    shutil.copytree(world[0] / "samples", tmp_path / "run")
    (tmp_path / "run/run.json").unlink()
    before = contents(tmp_path)
    code, _, err = ganzfeld(*again(world[1], tmp_path / "run")[: None if resume else -1])
    assert code == 2 and "of a run whose run.json is missing" in err and len(err.splitlines()) == 1
    assert contents(tmp_path) == before


def test_beginning_where_there_was_to_be_a_run_is_told(tmp_path, world):
    code, _, err = ganzfeld(*again(world[1], tmp_path / "new"))
    assert code == 0 and "holds no checkpoint to go on from: beginning at step 0" in err
    assert "holds no checkpoint" not in ganzfeld(*again(world[1], tmp_path / "new"))[2]
    shutil.rmtree(tmp_path / "new/checkpoints")
    assert "holds no checkpoint to go on from" in ganzfeld(*again(world[1], tmp_path / "new"))[2]


# --- a description is what its types say ---


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        ("plan.paper", -1, "plan.paper is -1, not a text or nothing"),
        ("plan.network", 1e308, "plan.network is 1e\\+308, not a text or nothing"),
        ("plan.seeds", 10**9, "seeds is the size of the population"),
        ("plan.seed", "0", "plan.seed is '0', not a whole number"),
        ("plan.steps", True, "plan.steps is True, not a whole number"),
        ("plan.constraints", "clip", "plan.constraints is 'clip', not a list or nothing"),
        ("plan.stepz", 3, "plan.stepz is unknown to this version"),
        ("plan.settings.width", 1e308, "width must be a whole number"),
        ("plan.settings.width", 10**12, "width must be a whole number from 1"),
        ("data.shape", [0], r"data.shape is \[0\]"),
        ("data.units.shift", [1.0] * 3, r"its units are of \[3, 2\] numbers"),
        ("data.view.centre", [0.0], "data.view.centre has 1 entries, not 2|view.centre has 1 entries, not 2"),
        ("data", [], "data is \\[\\], not an object"),
        ("identity", None, "identity is None, not a text"),
        ("format", 99, "is in format 99, and this version reads up to"),
    ],
)
def test_a_description_of_another_type_is_refused_in_one_line(tmp_path, world, place, value, match):
    shutil.copytree(world[0] / "samples", tmp_path / "run")
    facts = files.read_json(tmp_path / "run/run.json")
    *way, last = place.split(".")
    inner = facts
    for key in way:
        inner = inner[key]
    inner[last] = value
    (tmp_path / "run/run.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=match) as error:
        gz.load(tmp_path / "run").sample(2)
    assert "\n" not in str(error.value)


# --- a full disk ---


@contextlib.contextmanager
def full_at(size):
    """Inside, no file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python itself has it
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


WRITERS = {  # command, run, name, and whether it writes beside it, too
    "an array": (["sample", "samples", "--n", 200], "x.npy"),
    "a sheet": (["sample", "samples", "--n", 200], "x.png"),
    "a moving picture": (["sample", "samples", "--interpolate", "--n", 3], "x.gif"),
    "a folder": (["sample", "samples", "--n", 3], "folder"),
    "codes": (["encode", "codes", "--part", "all"], "x.npy"),
    "pairs": (["reconstruct", "codes"], "x.png"),
    "pairs as an array": (["reconstruct", "codes", "--part", "all"], "x.npy"),
    "scores": (["anomaly", "codes", "--part", "all"], "x.npy"),
    "lists": (["recommend", "rankings"], "x.trec"),
    "a pair": (["export", "samples", "--force"], "x.safetensors"),
    "a folder for the hub": (["export", "samples", "--force"], "hub"),
    "a page": (["report", "samples"], "x.html"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, world, kind):
    (verb, run, *more), name = WRITERS[kind]
    words = [verb, world[0] / run, *more, "--out", tmp_path / "out" / name]
    with full_at(200):
        code, _, err = ganzfeld(*words)
    assert code == 2 and name in err and len(err.splitlines()) == 1 and "Traceback" not in err, err
    assert list(tmp_path.iterdir()) == []
    assert ganzfeld(*words)[0] == 0
    before = contents(tmp_path)
    with full_at(200):
        code, _, err = ganzfeld(*words)
    assert code == 2 and contents(tmp_path) == before
    assert ganzfeld(*words)[0] == 0 and contents(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("size", [500, 3000, 6000])
def test_training_on_a_full_disk_ends_in_one_line_and_can_go_on(tmp_path, world, size):
    with full_at(size):
        code, _, err = ganzfeld(*again(world[1], tmp_path / "run", "--checkpoint-every", 8, "--log-every", 8))
    last = err.splitlines()[-1]
    assert code == 2 and "File too large" in last and "go on with --resume" in last and "Traceback" not in err
    assert not list(tmp_path.rglob(".*"))
    assert ganzfeld(*again(world[1], tmp_path / "run", "--checkpoint-every", 8, "--log-every", 8))[0] == 0
    assert weights(tmp_path / "run") == weights(world[0] / "samples")


def test_a_history_that_cannot_be_written_is_told(tmp_path):
    with full_at(4000):
        code, _, err = ganzfeld("train", "dns", "--data", "tastes", "--steps", 4, "--out", tmp_path / "run")
    assert code == 2 and "interactions.safetensors: File too large" in err.splitlines()[-1]


# --- names that cannot be written ---


def test_a_history_goes_on_behind_what_it_was(tmp_path, world):
    """Whatever a crash, or somebody, has put behind it."""
    shutil.copytree(world[0] / "samples", tmp_path / "run")
    more, path = ("--checkpoint-every", 8), tmp_path / "run/metrics.jsonl"
    assert ganzfeld(*again(world[1], tmp_path / "run", *more))[0] == 0
    steps = [line["step"] for line in files.read_lines(path)]
    shutil.rmtree(sorted((tmp_path / "run/checkpoints").iterdir())[-1])
    path.write_bytes(path.read_bytes() * 2)
    assert ganzfeld(*again(world[1], tmp_path / "run", *more))[0] == 0
    assert [line["step"] for line in files.read_lines(path)] == steps


@pytest.mark.parametrize("damage", ["cut", "gone", "edited"])
def test_a_history_that_lost_lines_is_told_where_the_run_goes_on(tmp_path, world, damage):
    shutil.copytree(world[0] / "samples", tmp_path / "run")
    more, path = ("--checkpoint-every", 8), tmp_path / "run/log.jsonl"
    assert "lines are lost" not in ganzfeld(*again(world[1], tmp_path / "run", *more))[2]
    shutil.rmtree(sorted((tmp_path / "run/checkpoints").iterdir())[-1])  # so that there is a step to play
    text = path.read_text("utf-8")
    first = text.splitlines(keepends=True)[0]
    path.write_text({"cut": text[len(first) :], "gone": "", "edited": text.replace('"step"', '"step" ', 1)}[damage])
    code, _, err = ganzfeld(*again(world[1], tmp_path / "run", *more))
    assert code == 0 and "log.jsonl changed since step" in err and "lines are lost" in err


@pytest.mark.parametrize("damage", ["flipped", "longer", "empty", "noise", "gone"])
def test_a_damaged_picture_is_told_by_the_report(tmp_path, world, damage):
    shutil.copytree(world[0] / "samples", tmp_path / "run")
    path = sorted((tmp_path / "run/samples").glob("step-*.png"))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = {"flipped": data, "longer": path.read_bytes() + b"x", "empty": b"", "noise": b"\x80", "gone": b""}
    path.write_bytes(damaged[damage])
    if damage == "gone":
        path.unlink()
    code, _, err = ganzfeld("report", tmp_path / "run", "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert (
        code == 0
        and f"Without samples/{path.name}: missing, or not the picture" in page
        and f'data-label="{path.stem}"' not in page
    )


def test_a_fifo_that_nobody_reads_is_refused(tmp_path, world):
    os.mkfifo(tmp_path / "x.npy")
    code, _, err = ganzfeld("sample", world[0] / "samples", "--n", 2, "--out", tmp_path / "x.npy")
    assert code == 2 and "x.npy" in err and (tmp_path / "x.npy").is_fifo()


def test_names_that_cannot_be_written_are_refused_before_the_work(tmp_path, world, monkeypatch):
    folder, data = world
    monkeypatch.setattr("ganzfeld.tasks.loading.load", lambda *_: pytest.fail("the work was begun"))
    run, codes, table = folder / "samples", folder / "codes", folder / "rankings"
    (tmp_path / "file").write_text("mine")
    (tmp_path / "x.npy").mkdir()
    (tmp_path / "users.csv").write_text("u1")
    before, trained = contents(tmp_path), contents(folder)
    for words, match in (
        (["sample", run, "--out", tmp_path / "file/x.npy"], "file is no folder"),
        (["sample", run, "--out", tmp_path / "file/more/folder"], "file is no folder"),
        (["sample", run, "--out", tmp_path / "file"], "file is no folder"),
        (["sample", run, "--out", run], "is a part of what was recorded"),
        (["sample", run, "--out", run / "checkpoints"], "is a part of what was recorded"),
        (["encode", codes, "--out", tmp_path / "x.npy"], "is a folder: name a file in it"),
        (["encode", codes, "--data", data, "--out", data], "is what is read"),
        (["anomaly", codes, "--data", data, "--out", data], "is what is read"),
        (["reconstruct", codes, "--data", data, "--out", data], "is what is read"),
        (["recommend", table, "--users", tmp_path / "users.csv", "--out", tmp_path / "users.csv"], "is what is read"),
        (["report", run, "--out", run / "run.json"], "is a part of what was recorded"),
        (["report", run, "--out", table / "log.jsonl"], "is a part of what was recorded"),
        (["report", run, "--out", tmp_path], "is a folder: name a file in it"),
        (["export", run, "--force", "--out", run], "is a part of what was recorded"),
    ):
        code, _, err = ganzfeld(*words)
        assert code == 2 and match in err and len(err.splitlines()) == 1, (words, err)
    assert contents(tmp_path) == before and contents(folder) == trained


def test_odd_names_links_and_devices_are_written_to(tmp_path, world):
    odd = tmp_path / os.fsdecode("two\nlines, 猫 and \udcff".encode("utf-8", "surrogateescape"))
    code, _, err = ganzfeld("sample", world[0] / "samples", "--n", 2, "--out", odd / "x.npy")
    assert code == 0, err
    assert np.load(odd / "x.npy").shape == (2, 2)
    code, _, err = ganzfeld(*again(world[1], odd / "run"))
    assert code == 2 and "is not UTF-8, so that no run can write it down" in err
    odd = tmp_path / "two\nlines, 猫"
    assert ganzfeld(*again(world[1], odd / "run"))[0] == 0
    assert ganzfeld("report", odd / "run", "--out", odd / "page.html")[0] == 0
    assert gz.load(odd / "run").sample(1).shape == (1, 2)
    (tmp_path / "link.html").symlink_to(odd / "page.html")
    (odd / "page.html").write_text("")
    assert ganzfeld("report", odd / "run", "--out", tmp_path / "link.html")[0] == 0
    assert (tmp_path / "link.html").is_symlink() and (odd / "page.html").stat().st_size > 10_000
    assert ganzfeld("report", odd / "run", "--out", "/dev/null")[0] == 0
    assert Path("/dev/null").is_char_device()


def test_a_file_keeps_its_mode_and_one_that_is_not_to_be_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "x"
    disk.replace(path, b"one")
    path.chmod(0o600)
    disk.replace(path, lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two" and path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(disk.os, "access", lambda path, how: False)  # root may write to all
    with pytest.raises(PermissionError, match="x"):
        disk.replace(path, b"three")
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]


def test_of_several_files_none_takes_its_place_before_all_are_written(tmp_path):
    (tmp_path / "a").write_text("old")

    def break_down(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*/b/c"):
        disk.replace_all([(tmp_path / "a", b"new"), (tmp_path / "b/c", break_down)])
    assert [path.name for path in tmp_path.rglob("*")] == ["a"] and (tmp_path / "a").read_text() == "old"


# --- closed and full streams ---


def test_training_asks_nothing_of_standard_error(tmp_path, world):
    """Closed, full, and without a reader: at once, to share the seconds of three starts."""
    reader, writer = os.pipe()
    os.close(reader)
    ends = {"closed": None, "full": os.open("/dev/full", os.O_WRONLY), "without a reader": writer}
    processes = []
    for name, end in ends.items():
        words = again(world[1], tmp_path / name, "--checkpoint-every", 8)
        shut = (lambda: [usual_signals(), os.close(2)]) if end is None else usual_signals
        processes.append(call(*words, stderr=end, stdout=subprocess.DEVNULL, preexec_fn=shut))
    assert [process.wait(100) for process in processes] == [0, 0, 0]
    for name in ends:
        assert weights(tmp_path / name) == weights(world[0] / "samples")


def test_an_answer_that_cannot_be_written_is_an_error_and_one_that_is_not_wanted_is_none():
    full = call("list", stdout=os.open("/dev/full", os.O_WRONLY), stderr=subprocess.PIPE)
    shut = call("list", stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    reader, writer = os.pipe()
    os.close(reader)
    unread = call("list", "--json", stdout=writer, stderr=subprocess.PIPE)
    said = [process.communicate(timeout=60)[1] for process in (full, shut, unread)]
    assert [process.returncode for process in (full, shut, unread)] == [2, 2, 0]
    assert said[0] == "ganzfeld: standard output: No space left on device\n"
    assert said[1] == "ganzfeld: standard output: Bad file descriptor\n" and said[2] == ""


def test_a_word_that_nobody_takes_is_dropped(monkeypatch):
    for stream in (None, open("/dev/full", "w", encoding="utf-8"), open(os.devnull, encoding="utf-8")):
        monkeypatch.setattr(sys, "stderr", stream)
        streams.say("a word")
        with contextlib.suppress(OSError, AttributeError):
            stream.close()


# --- signals ---


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_anything_is_begun_says_a_word(tmp_path, world, signum):
    words = (["judge", world[0] / "samples"], ["laws", "--fast", "--out", tmp_path / "laws"])
    processes = [call(*some, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for some in words]
    time.sleep(0.5)
    for process in processes:
        process.send_signal(signum)
    for process in processes:
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 128 + signum, said
        assert said == f"ganzfeld: stopped by {signum.name}; what was not finished is not saved\n"


# --- locales and flags ---

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
IN_A_LOCALE = """
import sys
from ganzfeld.core import streams
from ganzfeld.faces.cli import main
streams.prepare()
def call(*words):
    try:
        main(list(words))
    except SystemExit as end:
        assert not end.code, (words, end.code)
data, out, pictures = sys.argv[1:]
call("train", "dns", "--data", data, "--steps", "2", "--set", "rank=2", "--out", out + "/run")
call("recommend", out + "/run", "--k", "3")
call("recommend", out + "/run", "--k", "3", "--out", out + "/lists.csv")
call("report", out + "/run", "--out", out + "/page.html")
call("list", "papers", "--json")
from ganzfeld.faces import laws
from ganzfeld.laws import facts
print(facts.explain("jensen-shannon", "zh"))
import ganzfeld as gz
print(gz.data.load(pictures, size=16).labels.names)
"""


def played_in(folder, **locale):
    folder.mkdir()
    words = [sys.executable, "-c", IN_A_LOCALE, FAULTS / "unicode_items.tsv", folder, FAULTS / "messy"]
    done = subprocess.run(words, env={**environment(), **locale}, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    names = ("run/ids.json", "lists.csv", "run/interactions.safetensors")
    return [done.stdout, *((folder / name).read_bytes() for name in names)]


@pytest.fixture(scope="module")
def in_utf_8(tmp_path_factory):
    if not FAULTS.is_dir():
        pytest.skip("../shared/data/faults is not here")
    return played_in(tmp_path_factory.mktemp("locale") / "utf-8", LC_ALL="C.UTF-8")


def test_a_run_is_the_same_without_a_locale(tmp_path, in_utf_8):
    assert "用户".encode() in in_utf_8[1] or any(byte > 127 for byte in in_utf_8[1])
    assert "été 猫".encode() in in_utf_8[0]
    assert played_in(tmp_path / "plain", **PLAIN) == in_utf_8


@pytest.mark.slow
@pytest.mark.parametrize(("language", "charset"), [("zh_CN", "GBK"), ("en_US", "ISO-8859-1")])
def test_a_run_is_the_same_in_every_locale(tmp_path, in_utf_8, language, charset):
    name = f"{language}.{charset}"
    if not shutil.which("localedef") or not Path(f"/usr/share/i18n/locales/{language}").exists():
        pytest.skip("locales cannot be made here")
    subprocess.run(["localedef", "-i", language, "-f", charset, tmp_path / name], check=True, capture_output=True)
    assert played_in(tmp_path / "out", LC_ALL=name, LOCPATH=str(tmp_path), PYTHONUTF8="0") == in_utf_8


def test_laws_are_there_where_docstrings_are_left_out():
    code = "import ganzfeld as gz; print(*sorted(law.name + law.formula + law.source for law in gz.laws.LAWS.values()))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], env=environment(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    here = sorted(law.name + law.formula + law.source for law in gz.laws.LAWS.values())
    assert done.stdout.decode() == " ".join(here) + "\n"


# --- whatever else is done to what a run has written ---

VALUES = (-1, 1e308, None, "x", [], {}, True, 10**30, "", 0, [1], {"a": 1}, 2.5, 10**9)


def places(value, way=()):
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*way, key))


def with_another_value(value, way, new):
    if not way:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in way[:-1]:
        inner = inner[key]
    if new is VALUES:  # nothing at all
        del inner[way[-1]]
    else:
        inner[way[-1]] = new
    return value


def mutate(path, rng):
    """Another value in JSON; a flipped byte, a cut, or a few bytes more in anything. Returns what was done."""
    data = path.read_bytes()
    if ".json" in path.suffix and rng.random() < 0.7:
        lines = [json.loads(line) for line in (data.splitlines() if path.suffix == ".jsonl" else [data])]
        i, new = rng.randrange(len(lines)), rng.choice((*VALUES, VALUES))
        way = rng.choice(list(places(lines[i])))
        lines[i] = with_another_value(lines[i], way, None if new is VALUES and not way else new)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return f"{path.name}: {way} is {'gone' if new is VALUES else new!r}"
    start = rng.randrange(len(data))
    kinds = {
        "flipped": data[:start] + bytes([data[start] ^ (1 << rng.randrange(8))]) + data[start + 1 :],
        "cut": data[:start],
        "longer": data[:start] + rng.randbytes(5) + data[start:],
    }
    kind = rng.choice(list(kinds))
    path.write_bytes(kinds[kind])
    return f"{path.name}: {kind} at {start}"


USES = {
    "samples": (
        ["sample", "RUN", "--n", 2, "--out", "x.npy"], ["sample", "RUN", "--n", 2, "--out", "x.png"],
        ["judge", "RUN", "--json"], ["report", "RUN", "--out", "x.html"], ["export", "RUN", "--out", "x.safetensors"],
        again("DATA", "RUN"),
    ),
    "codes": (["encode", "RUN", "--out", "x.npy"], ["reconstruct", "RUN"], ["anomaly", "RUN"],
              ["report", "RUN", "--out", "x.html"]),
    "rankings": (["recommend", "RUN"], ["judge", "RUN"], ["report", "RUN", "--out", "x.html"],
                 ["train", "irgan", "--data", "tastes", "--steps", 8, "--set", "rank=2", "--set", "start_steps=4",
                  "--out", "RUN", "--resume"]),
}  # fmt: skip


def result_of(words):
    """Exit code, what was said, and what came of a command: what it printed and wrote, but for pictures and pages."""
    Path("x.npy").unlink(missing_ok=True)
    code, out, err = ganzfeld(*words)
    return code, err, (out, Path("x.npy").read_bytes() if Path("x.npy").exists() else b"")


@pytest.mark.parametrize("kind", USES)
@pytest.mark.parametrize("count", [12, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_changed_files_are_refused_or_change_nothing(tmp_path, world, kind, count, monkeypatch, capsys):
    rng, codes, slowest = random.Random(f"{kind} {count}"), {0: 0, 2: 0}, 0.0
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world[0] / kind, "run")
    written = [path for path in sorted(Path("run").rglob("*")) if path.is_file() and path.stat().st_size]
    uses = [[{"RUN": "run", "DATA": world[1]}.get(word, word) for word in words] for words in USES[kind]]
    right = [result_of(words)[2] if "train" not in words else None for words in uses]
    for _ in range(count):
        shutil.rmtree("run")
        shutil.copytree(world[0] / kind, "run")
        Path("x.safetensors").unlink(missing_ok=True), Path("x.json").unlink(missing_ok=True)
        done = mutate(rng.choice(written), rng)
        words, known = rng.choice(list(zip(uses, right, strict=True)))
        start = time.perf_counter()
        code, err, result = result_of(words)
        slowest = max(slowest, time.perf_counter() - start)
        assert code in codes and len(err.splitlines()) <= 4 + 4 * ("train" in words), (done, words, err)
        if code == 0 and known is not None and "using step" not in err:
            assert result == known, (done, words, err)
        codes[code] += 1
    with capsys.disabled():
        print(f"\n{kind}: {count} changed files, {codes[0]} commands went on, {codes[2]} said why not, {slowest:.1f} s")
    assert slowest < 30


def test_weights_before_the_first_step_are_under_a_digest(tmp_path, world):
    shutil.copytree(world[0] / "rankings", tmp_path / "run")
    path = tmp_path / "run/first/state.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    code, _, err = ganzfeld("judge", tmp_path / "run")
    assert code == 2 and "first is damaged" in err and "no start is judged" in err
    shutil.rmtree(path.parent)
    code, out, err = ganzfeld("judge", tmp_path / "run", "--json")
    assert code == 0 and "first is missing: no start is judged" in err and '"start.' not in out
