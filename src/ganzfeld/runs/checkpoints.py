"""Checkpoints: the states of all members at a step, and the weights that validation selected.

``checkpoints/step-00001000/{state.safetensors, meta.json}``
``selected/``, ``first/``                                    the same of a ranker's weights: those that validation
                                                             chose, and those before the first step

A checkpoint is written under a temporary name, synced, and renamed. ``meta.json`` has the digests of the state and of
what was logged until then, and one of all that it says itself and of its folder's name: where a byte has changed
nothing is believed. Earlier versions had
none of the latter; of theirs the number of the folder and the step that is said must agree. The bytes of
``state.safetensors`` depend on the state alone. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from ..core import disk, tree
from ..core.streams import say
from ..core.texts import first_line
from ..core.tree import Tree
from . import files

CHECKPOINTS_KEPT = 3  # checkpoints: the newest, and two to fall back on
RENAMED_PARTS = {"rules": "optimizers"}  # parts of a state that had another name in format 1
UNSIGNED = {"format", "members", "sha256", "step", "identity", "steps"}  # what meta.json said before it had a digest
LARGEST_META = 2**24  # bytes
HISTORY = ("log.jsonl", "metrics.jsonl")  # files of a run that only grow


class Damaged(ValueError):
    """A checkpoint that is not what was written."""


class Checkpoint(NamedTuple):
    """history: of what was logged until then, by file its length in bytes and its digest; {} in earlier versions."""

    step: int
    states: list[Tree]
    skipped: list[str]  # what was wrong with newer ones
    history: Mapping[str, tuple[int, str]]


def save_checkpoint(directory: Path, step: int, states: Sequence[Tree], identity: str) -> Path:
    """Write all members' states of a step; identity: a digest of the game they belong to."""
    folder = directory / "checkpoints"
    folder.mkdir(exist_ok=True)
    _sweep(directory, step)
    history = {name: [len(data), _digest(data)] for name in HISTORY if (data := _logged(directory / name))}
    return _save(folder, _name(step), states, {"step": step, "identity": identity, "history": history})


def _logged(path: Path) -> bytes:
    try:
        return disk.read_bytes(path)
    except OSError:
        return b""


def changed_history(directory: Path, checkpoint: Checkpoint) -> list[str]:
    """The files that are not what they were when a checkpoint was saved, but for what has come behind."""
    kept = checkpoint.history.items()
    return [name for name, (size, digest) in kept if _digest(_logged(directory / name)[:size]) != digest]


def rewind_history(directory: Path, checkpoint: Checkpoint | None) -> None:
    """What was logged, as it was when a checkpoint was saved; where it is not known how that was, its lines up to then,
    and none without one. The rest is written again."""
    known = checkpoint.history if checkpoint else {}
    changed = changed_history(directory, checkpoint) if checkpoint else ()
    for name in HISTORY:
        path = directory / name
        if name in known and name not in changed:
            disk.replace(path, _logged(path)[: known[name][0]])
        else:
            files.rewind(path, checkpoint.step if checkpoint else 0)


def _sweep(directory: Path, step: int) -> None:
    """Remove what a kill has left, checkpoints that are no longer kept, and what a resumed run passed over as damaged.
    Before a checkpoint is written, not after: a kill in here is followed by another sweep, and none by nothing."""
    folders = _folders(directory)
    kept = [path for path in folders if _step(path) < step][: CHECKPOINTS_KEPT - 1]
    stale = [path for path in folders if path not in kept] + list(directory.glob("checkpoints/.step-*"))
    for name in ("selected", "first"):
        if (directory / name).is_dir():
            stale += directory.glob(f".{name}.*")
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    disk.sweep(directory, directory / "samples")


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _folders(directory: Path) -> list[Path]:
    """Of the checkpoints of a run, the newest first."""
    found = (directory / "checkpoints").glob("step-*")
    return sorted((path for path in found if re.fullmatch(r"step-\d{8,}", path.name)), key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def last_folder(directory: Path) -> Path | None:
    """Of the newest checkpoint of a run, whole or not."""
    return next(iter(_folders(directory)), None)


def save_first(directory: Path, states: Sequence[Tree], identity: str) -> Path:
    """Write weights of all members as they are before the first step."""
    return _save_alone(directory, "first", states, {"step": 0, "identity": identity})


def read_first(directory: Path, templates: Sequence[Tree], identities: Collection[str]) -> list[Tree]:
    """Weights before the first step; none where they were not kept. Raises Damaged where they are not whole."""
    folder = directory / "first"
    if not os.path.lexists(folder):
        return []
    try:
        return _split_members(folder, _read(folder, "first", identities)[1], templates)
    except Damaged as error:
        raise Damaged(f"{error}; without {folder} no start is judged") from None


def save_selected(directory: Path, states: Sequence[Tree], steps: Mapping[str, Sequence[int]], identity: str) -> Path:
    """Write the states that validation selected of all members. steps: by player, which each member's is of."""
    return _save_alone(directory, "selected", states, {"step": -1, "steps": steps, "identity": identity})


def _save_alone(directory: Path, name: str, states: Sequence[Tree], facts: Mapping[str, Any]) -> Path:
    """Of which there is one, where there are many checkpoints."""
    final = _save(directory, name, states, facts)
    shutil.rmtree(directory / f".{name}.old", ignore_errors=True)
    return final


def read_selected(
    directory: Path, templates: Sequence[Tree], identities: Collection[str]
) -> tuple[list[Tree], dict[str, list[int]]]:
    """The selected states and their steps, none where nothing was selected. Raises Damaged where they are not whole."""
    folder = directory / "selected"
    if not folder.is_dir():  # killed between two renames: the one before is whole
        folder = directory / ".selected.old"
    if not folder.is_dir():
        return [], {}
    try:
        meta, flat = _read(folder, "selected", identities)
        states = _split_members(folder, flat, templates)
        return states, _selected_steps(folder, meta, len(states))
    except Damaged as error:
        raise Damaged(f"{error}; without {folder} the run ranks by its final weights") from None


def _selected_steps(folder: Path, meta: Mapping[str, Any], members: int) -> dict[str, list[int]]:
    steps = meta.get("steps")
    fits = isinstance(steps, dict) and all(
        isinstance(of, list) and len(of) == members and all(type(step) is int for step in of) for of in steps.values()
    )
    if not fits:
        raise Damaged(f"{folder} is damaged: it does not say of which step each member is")
    return dict(steps)  # type: ignore[arg-type]


def _save(folder: Path, name: str, states: Sequence[Tree], facts: Mapping[str, Any]) -> Path:
    temporary = folder / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _write(temporary, name, states, facts)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    final = folder / name
    if final.exists():
        old = folder / f".{name}.old"
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
    os.rename(temporary, final)
    disk.sync(folder)
    return final


def _write(folder: Path, name: str, states: Sequence[Tree], facts: Mapping[str, Any]) -> None:
    """A folder that is to have a name, whose files are on the disk when it returns."""
    folder.mkdir()
    flat = {f"{i}/{path}": leaf.contiguous() for i, s in enumerate(states) for path, leaf in tree.flatten(s).items()}
    data = save({path: leaf.clone() for path, leaf in flat.items()})  # safetensors refuses shared storage
    disk.write(folder / "state.safetensors", data)
    meta = {"format": files.FORMAT, "members": len(states), "sha256": _digest(data), **facts}
    disk.write(folder / "meta.json", files.format_json({**meta, "digest": files.sign([name, meta])}))
    disk.sync(folder)


def newest_checkpoint(
    directory: Path, templates: Sequence[Tree] | None, identities: Collection[str]
) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where there is none at all.

    Raises Damaged where there are some and none is whole, ValueError for one of another game.
    """
    skipped: list[str] = []
    for folder in _folders(directory):
        try:
            meta, flat = _read(folder, folder.name, identities)
            history = meta.get("history", {}) if "digest" in meta else {}
            return Checkpoint(meta["step"], _split_members(folder, flat, templates), skipped, history)
        except Damaged as error:
            skipped.append(str(error))
    if skipped:
        raise Damaged("; ".join(skipped))
    return None


def identities(facts: Mapping[str, Any]) -> set[str]:
    """The digests by which the checkpoints of a run are its own: of ``run.json``, and of versions before."""
    return {facts["identity"], *facts.get("formerly", ())}


def report_skipped(checkpoint: Checkpoint) -> None:
    """Say on standard error what was wrong with newer checkpoints than the one that is used."""
    for text in checkpoint.skipped:
        say(f"{text}; using step {checkpoint.step} instead")


def _read(folder: Path, name: str, identities: Collection[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What ``meta.json`` says, and the state. name: under which it was written."""
    try:
        meta = files.parse_json(disk.read_text(folder / "meta.json", LARGEST_META))
        data = disk.read_bytes(folder / "state.safetensors")
        _check_meta(name, meta)
        if _digest(data) != meta["sha256"]:
            raise ValueError("the digest of state.safetensors is not the one recorded")
        if meta["identity"] in identities:
            return meta, load(data)
    except OSError as error:
        raise Damaged(f"{folder} is damaged: {disk.describe(error)}") from None
    except (ValueError, safetensors.SafetensorError) as error:
        raise Damaged(f"{folder} is damaged: {first_line(error)}") from None
    other = f"{folder} belongs to another game: its paper, data or settings differ from run.json"
    raise ValueError(other) if "digest" in meta else Damaged(f"{other}, or its meta.json is damaged")


def _check_meta(name: str, meta: Any) -> None:
    """Raises ValueError where a description is not the one that was written for a folder of this name."""
    if not isinstance(meta, dict):
        raise ValueError("meta.json describes nothing")
    said = {key: value for key, value in meta.items() if key != "digest"}
    if "digest" in meta and meta["digest"] != files.sign([name, said]):
        raise ValueError("the digest of meta.json is not the one recorded")
    if "digest" not in meta and not said.keys() <= UNSIGNED:
        raise ValueError("meta.json has lost its digest")
    for key, kind in {"sha256": str, "identity": str, "step": int, "members": int}.items():
        if type(said.get(key)) is not kind:
            raise ValueError(f"{key} in meta.json is {said.get(key)!r}")
    if "digest" not in meta and name != (_name(said["step"]) if said["step"] >= 0 else "selected"):
        raise ValueError(f"meta.json is of step {said['step']}")


def _split_members(folder: Path, flat: dict[str, Tensor], templates: Sequence[Tree] | None) -> list[Tree]:
    """The state of each member. Raises Damaged for numbers that are not finite, ValueError for what is no state of this
    game."""
    parts: dict[int, dict[str, Tensor]] = {}
    for path, leaf in flat.items():
        member, _, rest = path.partition("/")
        name, slash, more = rest.partition("/")
        if not re.fullmatch(r"0|[1-9]\d{0,8}", member):
            raise Damaged(f"{folder} is damaged: {path!r} is of no member")
        parts.setdefault(int(member), {})[RENAMED_PARTS.get(name, name) + slash + more] = leaf
    if sorted(parts) != list(range(len(parts))):
        raise Damaged(f"{folder} is damaged: it has members {', '.join(map(str, sorted(parts)[:5]))}")
    if not tree.finite(flat):
        raise Damaged(f"{folder} is damaged: not all of its numbers are finite")
    states = [parts[i] for i in range(len(parts))]
    if templates is None:
        return states
    if len(states) != len(templates):
        raise ValueError(f"{folder} does not fit this game: it has {len(states)} members, not {len(templates)}")
    try:
        found = [tree.unflatten(part, template) for part, template in zip(states, templates, strict=True)]
        for one, template in zip(found, templates, strict=True):
            _check_types(one, template)
        return found
    except (KeyError, ValueError) as error:
        raise ValueError(f"{folder} does not fit this game: {error}") from None


def _check_types(state: Tree, template: Tree) -> None:
    """Raises ValueError where numbers are kept in another precision than a game of this plan has."""
    expected = tree.flatten(template)
    for path, leaf in tree.flatten(state).items():
        if leaf.dtype != expected[path].dtype:
            raise ValueError(f"{path!r} is of {leaf.dtype}, not {expected[path].dtype}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
