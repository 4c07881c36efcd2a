"""What is on disk can be trusted: bytes follow from the state, damage is seen, a directory has one owner."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from ganzfeld.runs import checkpoints
from ganzfeld.runs.checkpoints import Damaged, newest_checkpoint, save_checkpoint
from ganzfeld.runs.files import append, lock, read_json, read_lines, rewind

IDENTITY = "a game"


def states(step=0.0, members=2):
    return [
        {"params": {"w": torch.full((3,), i + step), "b": torch.zeros(2, 2)}, "optimizers": {}} for i in range(members)
    ]


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


DAMAGE = {
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
    assert len(found.skipped) == 1 and "step-00000020" in found.skipped[0] and "damaged" in found.skipped[0]


def test_every_flipped_byte_is_seen(tmp_path):
    saved(tmp_path, 10, 20)
    path = tmp_path / "checkpoints/step-00000020/state.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        flip(path, place)
        assert newest(tmp_path).step == 10
        path.write_bytes(whole)
    assert newest(tmp_path).step == 20


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


def test_a_crash_at_any_write_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    """A crash is planted at the first, second, ... call that reaches the disk, until none is left to plant."""
    calls = ("rename", "replace", "fsync", "open")
    for after in range(100):
        folder = tmp_path / str(after)
        folder.mkdir()
        saved(folder, 10)
        left = [after]

        def planted(real, left=left):
            def call(*words, **named):
                if left[0] == 0:
                    raise Crash
                left[0] -= 1
                return real(*words, **named)

            return call

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


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_broken_description_is_refused_by_name(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="run.json"):
        read_json(path)
