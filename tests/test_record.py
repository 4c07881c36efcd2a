"""What is on disk can be trusted: bytes follow from the state, damage is seen, a directory has one owner."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from ganzfeld.runs import checkpoints
from ganzfeld.runs.checkpoints import Damaged, newest_checkpoint, save_checkpoint
from ganzfeld.runs.files import append, lock, read_json, read_lines, rewind

IDENTITY = "a game"


def states(step=0.0, members=2):
    full = [torch.full((3,), float(i + step)) for i in range(members)]
    return [{"params": {"w": w, "b": torch.zeros(2, 2)}, "optimizers": {}} for w in full]


def saved(folder, *steps):
    for step in steps:
        save_checkpoint(folder, step, states(step), IDENTITY)
    return folder


def newest(folder, identity=IDENTITY):
    return newest_checkpoint(folder, states(), identity)


def test_what_is_saved_is_read_back(tmp_path):
    found = newest(saved(tmp_path, 10, 20))
    assert (found.step, found.skipped) == (20, [])
    for one, other in zip(found.states, states(20), strict=True):
        assert list(one) == list(other)
        assert torch.equal(one["params"]["w"], other["params"]["w"])


def test_bytes_depend_on_the_state_alone(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    save_checkpoint(one, 7, states(7), IDENTITY)
    view = [
        {"params": {k: torch.stack([v, v])[1] for k, v in s["params"].items()}, "optimizers": {}} for s in states(7)
    ]
    save_checkpoint(other, 9, view, "another")
    files = [next(folder.rglob("state.safetensors")).read_bytes() for folder in (one, other)]
    assert files[0] == files[1]
    save_checkpoint(other, 11, states(8), IDENTITY)
    assert (other / "checkpoints/step-00000011/state.safetensors").read_bytes() != files[0]


def test_the_newest_few_are_kept_and_nothing_temporary_stays(tmp_path):
    saved(tmp_path, *range(1, 9))
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [f"step-{step:08d}" for step in range(9 - checkpoints.CHECKPOINTS_KEPT, 9)]


def test_no_checkpoint_is_none(tmp_path):
    assert newest(tmp_path) is None


def reworded(**changed):
    """meta.json with other values, and its digest as it was."""

    def damage(folder):
        path = folder / "meta.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return damage


DAMAGE = {
    "another step": reworded(step=21),
    "another identity": reworded(identity="another game"),
    "another number of members": reworded(members=3),
    "no digest": lambda f: (f / "meta.json").write_text((f / "meta.json").read_text().replace('"digest"', '"dighst"')),
    "another folder's": lambda f: f.rename(f.with_name("step-00000024")),
    "cut short": lambda f: (f / "state.safetensors").write_bytes((f / "state.safetensors").read_bytes()[:-5]),
    "emptied": lambda f: (f / "state.safetensors").write_bytes(b""),
    "flipped": lambda f: flip(f / "state.safetensors"),
    "no weights": lambda f: (f / "state.safetensors").unlink(),
    "no meta": lambda f: (f / "meta.json").unlink(),
    "meta cut short": lambda f: (f / "meta.json").write_text((f / "meta.json").read_text()[:20]),
    "meta of no use": lambda f: (f / "meta.json").write_text("[]"),
}


def flip(path, place=-3):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, damage):
    saved(tmp_path, 10, 20)
    DAMAGE[damage](tmp_path / "checkpoints/step-00000020")
    found = newest(tmp_path)
    assert found.step == 10
    assert len(found.skipped) == 1 and "step-0000002" in found.skipped[0] and "damaged" in found.skipped[0]


def test_every_flipped_byte_is_seen(tmp_path):
    saved(tmp_path, 10, 20)
    path = tmp_path / "checkpoints/step-00000020/state.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        flip(path, place)
        assert newest(tmp_path).step == 10
        path.write_bytes(whole)
    assert newest(tmp_path).step == 20


def test_every_byte_of_the_description_decides(tmp_path):
    saved(tmp_path, 10, 20)
    path = tmp_path / "checkpoints/step-00000020/meta.json"
    whole = path.read_bytes()
    said = json.loads(whole)
    for place in range(len(whole)):
        flip(path, place)
        try:
            same = json.loads(path.read_bytes()) == said  # a blank between words has become another
        except ValueError:
            same = False
        assert newest(tmp_path).step == (20 if same else 10), place
        path.write_bytes(whole)


def unsigned(folder, **changed):
    """A checkpoint as earlier versions wrote it."""
    path = folder / "meta.json"
    meta = {key: value for key, value in json.loads(path.read_text()).items() if key in checkpoints.UNSIGNED}
    path.write_text(json.dumps({**meta, **changed}))


def test_a_description_of_before_opens_and_its_step_and_game_are_compared(tmp_path):
    saved(tmp_path, 10, 20)
    last = tmp_path / "checkpoints/step-00000020"
    unsigned(last)
    assert newest(tmp_path).step == 20
    for changed, match in (({"step": 24}, "of step 24"), ({"identity": "b game"}, "belongs to another game")):
        unsigned(last, **changed)
        found = newest(tmp_path)
        assert found.step == 10 and match in found.skipped[0]
        unsigned(last, step=20, identity=IDENTITY)


def resigned(folder, flat):
    """A state of other entries, with digests that agree."""
    data = save(flat)
    (folder / "state.safetensors").write_bytes(data)
    meta = {**json.loads((folder / "meta.json").read_text()), "sha256": hashlib.sha256(data).hexdigest()}
    del meta["digest"]
    sign = hashlib.sha256(json.dumps([folder.name, meta], sort_keys=True).encode()).hexdigest()
    (folder / "meta.json").write_text(json.dumps({**meta, "digest": sign}))


@pytest.mark.parametrize(
    ("entry", "value", "match"),
    [
        ("999999999/x", torch.zeros(1), "has members 0, 1, 999999999"),
        ("-7/y", torch.zeros(1), "'-7/y' is of no member"),
        ("x", torch.zeros(1), "'x' is of no member"),
        ("0/params/w", torch.tensor([0.0, math.nan, 1.0]), "not all of its numbers are finite"),
        ("0/params/w", torch.zeros(3, dtype=torch.float64), "'params/w' is of torch.float64, not torch.float32"),
        ("0/params/w", torch.zeros(3, dtype=torch.bool), "'params/w' is of torch.bool"),
        ("2/params/w", torch.zeros(3), "it has 3 members, not 2"),
        ("0/params/v", torch.zeros(3), "the state's entries differ"),
    ],
)
def test_a_state_that_no_run_writes_is_refused_in_one_line(tmp_path, entry, value, match):
    saved(tmp_path, 10)
    folder = tmp_path / "checkpoints/step-00000010"
    resigned(folder, {**load_file(folder / "state.safetensors")})
    assert newest(tmp_path).step == 10  # the digests agree
    resigned(folder, {**load_file(folder / "state.safetensors"), entry: value})
    with pytest.raises(ValueError, match=match) as error:
        newest(tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_whole_is_an_error_that_names_every_one(tmp_path):
    saved(tmp_path, 10, 20)
    for folder in (tmp_path / "checkpoints").iterdir():
        flip(folder / "state.safetensors")
    with pytest.raises(Damaged, match="step-00000020.*step-00000010"):
        newest(tmp_path)


def test_a_checkpoint_of_another_game_is_refused(tmp_path):
    with pytest.raises(ValueError, match="belongs to another game"):
        newest(saved(tmp_path, 10), identity="another")


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path):
    saved(tmp_path, 10)
    with pytest.raises(ValueError, match=r"'params/w' has shape \(3,\), not \(4,\)"):
        newest_checkpoint(tmp_path, [{"params": {"w": torch.zeros(4), "b": torch.zeros(2, 2)}}] * 2, IDENTITY)


class Crash(BaseException):
    pass


def crashing_after(calls):
    """What makes a function one that crashes where it is called once more than so many times, all of them together."""
    left = [calls]

    def planted(real):
        def call(*words, **named):
            if left[0] == 0:
                raise Crash
            left[0] -= 1
            return real(*words, **named)

        return call

    return planted


def test_a_crash_at_any_write_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    """A crash is planted at the first, second, ... call that reaches the disk, until none is left to plant."""
    calls = ("rename", "replace", "fsync", "open")
    for after in range(100):
        folder = tmp_path / str(after)
        folder.mkdir()
        saved(folder, 10)
        planted = crashing_after(after)
        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(checkpoints.os, name, planted(getattr(os, name)))
            try:
                save_checkpoint(folder, 20, states(20), IDENTITY)
                crashed = False
            except Crash:
                crashed = True
        found = newest(folder)
        assert found.step in (10, 20) and not found.skipped
        assert torch.equal(found.states[1]["params"]["w"], states(found.step)[1]["params"]["w"])
        save_checkpoint(folder, 30, states(30), IDENTITY)
        assert newest(folder).step == 30
        if not crashed:
            break
    assert after > 5


def test_a_kill_in_a_clean_up_is_followed_by_another(tmp_path, monkeypatch):
    """Wherever a save is cut short, either its checkpoint is there and nothing else, or there is another to come."""
    for after in range(20):
        folder = tmp_path / str(after)
        folder.mkdir()
        saved(folder, 10, 20, 30)
        (folder / "checkpoints/.step-00000040.old").mkdir()
        checkpoints.save_selected(folder, states(10), {"w": [10, 10]}, IDENTITY)
        (folder / ".selected.old").mkdir()
        (folder / ".ganzfeld-99999999-1.tmp").touch()  # of no process: there are not so many
        planted = crashing_after(after)
        with monkeypatch.context() as patch:
            for home, name in ((checkpoints.shutil, "rmtree"), (os, "rename"), (Path, "unlink"), (Path, "mkdir")):
                patch.setattr(home, name, planted(getattr(home, name)))
            try:
                save_checkpoint(folder, 40, states(40), IDENTITY)
                crashed = False
            except Crash:
                crashed = True
        there = (folder / "checkpoints/step-00000040").exists()
        assert there != crashed and newest(folder).step == (40 if there else 30)
        if crashed:
            save_checkpoint(folder, 40, states(40), IDENTITY)
        assert not list(folder.rglob(".*"))
        assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
            f"step-{step:08d}" for step in (20, 30, 40)
        ]
        if not crashed:
            break
    assert after > 4


@pytest.mark.parametrize("name", ["run.json", "checkpoints/step-00000010/meta.json", "lock"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, name):
    path = saved(tmp_path, 10) / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    opens = {"run.json": lambda: read_json(path), "lock": lambda: lock(tmp_path).__enter__()}
    with pytest.raises(ValueError, match="not a regular file|not a run's lock"):
        opens.get(name, lambda: newest(tmp_path))()


def test_a_users_own_file_is_no_lock_and_a_link_is_not_followed(tmp_path):
    (tmp_path / "lock").write_text("of my door")
    with pytest.raises(ValueError, match="not a run's lock"), lock(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == "of my door"
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock").symlink_to(tmp_path / "lock")
    with pytest.raises(ValueError, match="cannot write to"), lock(tmp_path / "run"):
        pass
    assert (tmp_path / "lock").read_text() == "of my door"


def test_a_directory_has_one_owner_and_a_dead_one_is_taken_over(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from ganzfeld.runs.files import lock\n"
        f"with lock(Path({str(tmp_path)!r})): print('mine', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "mine\n"
        with (
            pytest.raises(ValueError, match=rf"belongs to a running process \(pid {other.pid}\)"),
            lock(tmp_path),
        ):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    with lock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"pid {os.getpid()}"


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="cannot write to"), lock(tmp_path / "file"):
        pass


def test_json_on_disk_is_strict(tmp_path):
    path = tmp_path / "log.jsonl"
    append(path, {"step": 1, "loss": float("nan"), "members": [float("inf"), 2.0]})
    strict = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert strict == {"step": 1, "loss": None, "members": [None, 2.0]}


def test_a_line_cut_short_is_left_out_and_a_resumed_run_writes_its_lines_again(tmp_path):
    path = tmp_path / "log.jsonl"
    for step in (10, 20, 30):
        append(path, {"step": step})
    with open(path, "a") as file:
        file.write('{"step": 4')
    assert [line["step"] for line in read_lines(path)] == [10, 20, 30]
    rewind(path, 20)
    append(path, {"step": 30})
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n{"step": 30}\n'


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "\x00", *('{"a":' * deep + "1" + "}" * deep for deep in (99, 99_999))]
)
def test_a_broken_description_is_refused_by_name(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="run.json"):
        read_json(path)
