"""Checkpoints: the states of all members at a step, and the weights that validation selected.

``checkpoints/step-00001000/{state.safetensors, meta.json}``
``selected/``                                                the same of the weights that validation chose, of rankers

A checkpoint is written under a temporary name, synced, and renamed; its digest is checked when it is read. The bytes of
``state.safetensors`` depend on the state alone. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from ..core import tree
from ..core.tree import Tree
from . import files

CHECKPOINTS_KEPT = 3  # checkpoints: the newest, and two to fall back on
RENAMED_PARTS = {"rules": "optimizers"}  # parts of a state that had another name in format 1


class Damaged(ValueError):
    """A checkpoint that is not what was written."""


class Checkpoint(NamedTuple):
    step: int
    states: list[Tree]
    skipped: list[str]  # what was wrong with newer ones


def save_checkpoint(directory: Path, step: int, states: Sequence[Tree], identity: str) -> Path:
    """Write all members' states of a step; identity: a digest of the game they belong to."""
    folder = directory / "checkpoints"
    folder.mkdir(exist_ok=True)
    final = _save(folder, f"step-{step:08d}", states, {"step": step, "identity": identity})
    for stale in [*folder.glob(".step-*"), *sorted(folder.glob("step-*"))[:-CHECKPOINTS_KEPT]]:
        shutil.rmtree(stale, ignore_errors=True)
    return final


def save_selected(directory: Path, states: Sequence[Tree], steps: Mapping[str, Sequence[int]], identity: str) -> Path:
    """Write the states that validation selected of all members. steps: by player, which each member's is of."""
    final = _save(directory, "selected", states, {"step": -1, "steps": steps, "identity": identity})
    shutil.rmtree(directory / ".selected.old", ignore_errors=True)
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
        _, flat = _read(folder, identities)
    except Damaged as error:
        raise Damaged(f"{error}; without {folder} the run ranks by its final weights") from None
    return _split_members(folder, flat, templates), files.read_json(folder / "meta.json")["steps"]


def _save(folder: Path, name: str, states: Sequence[Tree], facts: Mapping[str, Any]) -> Path:
    temporary = folder / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    flat = {f"{i}/{path}": leaf.contiguous() for i, s in enumerate(states) for path, leaf in tree.flatten(s).items()}
    data = save({path: leaf.clone() for path, leaf in flat.items()})  # safetensors refuses shared storage
    files.write(temporary / "state.safetensors", data)
    meta = {"format": files.FORMAT, "members": len(states), "sha256": _digest(data), **facts}
    files.write(temporary / "meta.json", (json.dumps(meta, indent=2) + "\n").encode())
    files.sync(temporary)
    final = folder / name
    if final.exists():  # a damaged one that a resumed run has reached again
        old = folder / f".{name}.old"
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
    os.rename(temporary, final)
    files.sync(folder)
    return final


def newest_checkpoint(
    directory: Path, templates: Sequence[Tree] | None, identities: Collection[str]
) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where there is none at all.

    Raises Damaged where there are some and none is whole, ValueError for one of another game.
    """
    skipped: list[str] = []
    folders = sorted((directory / "checkpoints").glob("step-*"), reverse=True)
    for folder in folders:
        try:
            step, flat = _read(folder, identities)
            return Checkpoint(step, _split_members(folder, flat, templates), skipped)
        except Damaged as error:
            skipped.append(str(error))
    if folders:
        raise Damaged("; ".join(skipped))
    return None


def identities(facts: Mapping[str, Any]) -> set[str]:
    """The digests by which the checkpoints of a run are its own: of ``run.json``, and of versions before."""
    return {facts["identity"], *facts.get("formerly", ())}


def report_skipped(checkpoint: Checkpoint) -> None:
    """Say on standard error what was wrong with newer checkpoints than the one that is used."""
    for text in checkpoint.skipped:
        print(f"{text}; using step {checkpoint.step} instead", file=sys.stderr)


def _read(folder: Path, identities: Collection[str]) -> tuple[int, dict[str, Tensor]]:
    try:
        meta = json.loads((folder / "meta.json").read_text())
        data = (folder / "state.safetensors").read_bytes()
        step, expected, owner = int(meta["step"]), meta["sha256"], meta["identity"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{folder} is damaged: {type(error).__name__}: {str(error).splitlines()[0]}") from None
    if _digest(data) != expected:
        raise Damaged(f"{folder} is damaged: the digest of state.safetensors is not the one recorded")
    if owner not in identities:
        raise ValueError(f"{folder} belongs to another game: its paper, data or settings differ from run.json")
    try:
        return step, load(data)
    except safetensors.SafetensorError as error:
        raise Damaged(f"{folder} is damaged: {error}") from None


def _split_members(folder: Path, flat: dict[str, Tensor], templates: Sequence[Tree] | None) -> list[Tree]:
    count = 1 + max(int(path.partition("/")[0]) for path in flat)
    parts: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for path, leaf in flat.items():
        member, _, rest = path.partition("/")
        name, slash, more = rest.partition("/")
        parts[int(member)][RENAMED_PARTS.get(name, name) + slash + more] = leaf
    if templates is None:
        return list(parts)
    try:
        return [tree.unflatten(part, template) for part, template in zip(parts, templates, strict=True)]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{folder} does not fit this game: {error}") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
