"""The house: imports run downward only, nothing below the engine rolls dice, no pickle, no cycle."""

import ast
from pathlib import Path

import ganzfeld

HOME = Path(ganzfeld.__file__).parent

FLOORS = {
    "tree": 0, "noise": 0, "autodiff": 0,
    "augment": 1, "divergences": 1, "rankers": 1, "objectives": 1, "constraints": 1, "rules": 1,
    "networks": 1, "data": 1,
    "pictures": 1.5,
    "draws": 2, "pairings": 2,
    "game": 3,
    "engine": 4, "metrics": 4, "supervised": 5,
    "papers": 5, "laws": 5, "extractors": 5,
    "record": 6, "judges": 6, "inference": 6.2, "watch": 6.2, "plan": 6.2, "run": 6.4,
    "retrieval": 6.4, "gallery": 6.5, "opening": 6.5, "starts": 6.55, "loop": 6.6,
    "report": 7, "use": 7, "codes": 7, "lists": 7, "export": 7, "comparison": 7.2, "progress": 7,
    "proofs": 7.2, "demo": 7.4,
    "cli": 8, "__main__": 9, "__init__": 9,
}  # fmt: skip


def imports(path):
    """The rooms of the package that a file imports, at its head or inside a function."""
    room = path.relative_to(HOME).parts[:-1]
    source = ast.parse(path.read_text())
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ["ganzfeld", *room][: len(room) + 2 - node.level]
            parts = [*base, *(node.module.split(".") if node.module else [])]
            if len(parts) > 1:
                yield parts[1]
            else:
                yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ganzfeld"):
            yield (node.module + ".__init__").split(".")[1]


def room(path):
    parts = path.relative_to(HOME).parts
    return parts[0].removesuffix(".py")


def upward(floors):
    found = []
    for path in HOME.rglob("*.py"):
        here = room(path)
        for other in imports(path):
            if other not in floors or other == here:
                continue
            if floors[other] > floors[here]:
                found.append((str(path.relative_to(HOME)), other))
    return found


def test_every_room_has_a_floor():
    rooms = {room(path) for path in HOME.rglob("*.py")}
    assert rooms <= FLOORS.keys(), rooms - FLOORS.keys()


def test_imports_run_downward():
    assert upward(FLOORS) == []


def test_the_reading_of_imports_bites():
    assert ("loop.py", "engine") in upward({**FLOORS, "engine": 9})
    assert ("papers/wgan.py", "objectives") in upward({**FLOORS, "objectives": 9})


def test_nothing_below_the_engine_rolls_dice_or_reads_a_clock():
    dice = {"rand", "randn", "randint", "randperm", "manual_seed", "normal_", "uniform_", "time", "print"}
    below = {"tree", "divergences", "objectives", "constraints", "rules", "draws", "pairings", "game"}
    for path in HOME.rglob("*.py"):
        if room(path) in below:
            nodes = list(ast.walk(ast.parse(path.read_text())))
            names = {n.attr for n in nodes if isinstance(n, ast.Attribute)} | {
                n.id for n in nodes if isinstance(n, ast.Name)
            }
            assert not names & dice, (path.name, names & dice)


def test_only_the_engine_knows_compilers_ranks_and_devices():
    for path in HOME.rglob("*.py"):
        text = path.read_text()
        if room(path) not in {"engine"}:
            for word in ("torch.compile", "torch.distributed", "torch.cuda", "torch.vmap"):
                assert word not in text, (path.name, word)


def test_no_pickle():
    for path in HOME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert "pickle" not in {alias.name for alias in node.names}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
                assert node.attr not in ("load", "save"), path.name
