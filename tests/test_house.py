"""The house: imports run downward only, nothing below the engine rolls dice, no pickle, no circle."""

import ast
import functools
import re
from pathlib import Path

import ganzfeld

HOME = Path(ganzfeld.__file__).parent
MAP = Path(__file__).parents[1] / "CONTRIBUTING.md"
TOP = ("__init__", "__main__")  # hands names on, starts the command line


def floors():
    """The table of CONTRIBUTING.md: a row is a floor, its second cell the rooms on it."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", MAP.read_text(), re.M)
    return {room.strip("/"): int(floor) for floor, rooms in rows for room in re.findall(r"`([a-z_/]+)`", rooms)}


FLOORS = floors() | dict.fromkeys(TOP, 99)


def imports(path):
    """The rooms of the package that a file imports, at its head or inside a function."""
    package = path.relative_to(HOME).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*package[: len(package) + 1 - node.level], *(node.module.split(".") if node.module else [])]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ganzfeld":
            parts = node.module.split(".")[1:]
        else:
            continue
        yield from [parts[0]] if parts else [alias.name for alias in node.names]


def room(path):
    return path.relative_to(HOME).parts[0].removesuffix(".py")


@functools.cache
def arrows():
    """(file, its room, the room it imports)."""
    found = []
    for path in HOME.rglob("*.py"):
        here = room(path)
        if here not in TOP:
            for other in imports(path):
                if other in FLOORS and other != here:
                    found.append((str(path.relative_to(HOME)), here, other))
    return found


def upward(floors):
    return [(path, other) for path, here, other in arrows() if floors[other] > floors[here]]


def test_every_room_has_a_floor_and_there_are_ten_at_most():
    rooms = {room(path) for path in HOME.rglob("*.py")}
    assert rooms == FLOORS.keys(), rooms ^ FLOORS.keys()
    assert len(set(floors().values())) <= 10


def test_imports_run_downward():
    assert upward(FLOORS) == []


def test_rooms_of_one_floor_form_no_circle():
    found = list(arrows())
    below = {here: {other for _, a, other in found if a == here} for here in FLOORS}
    while free := [here for here, others in below.items() if not others & below.keys()]:
        for here in free:
            del below[here]
    assert not below, below


def test_the_reading_of_imports_bites():
    assert ("runs/training.py", "engine") in upward({**FLOORS, "engine": 99})
    assert ("papers/build.py", "objectives") in upward({**FLOORS, "objectives": 99})


def test_nothing_below_the_engine_rolls_dice_or_reads_a_clock():
    dice = {"rand", "randn", "randint", "randperm", "manual_seed", "normal_", "uniform_", "time", "print"}
    below = {"divergences", "objectives", "constraints", "optimizers", "draws", "compatibility", "game"}
    for path in [*HOME.rglob("*.py")]:
        if room(path) in below or path.name == "tree.py":
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


OF_BYTES = ("os.open", "Image.open", "gzip.open", "self.archive.open")  # and what reads UTF-8 of itself
OPENERS = re.compile(r"(.+\.)?(open|fdopen)|.+\.(read_text|write_text)")
BINARY = re.compile("'[rwax][+]?b'|'[rwax]b[+]?'|utf-8|^disk.read_text|^files.read")


def opened_in_the_locales_encoding(source):
    """Calls that open a text and do not say UTF-8."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and OPENERS.fullmatch(ast.unparse(node.func)):
            if ast.unparse(node.func) not in OF_BYTES and not BINARY.search(ast.unparse(node)):
                yield ast.unparse(node)


def test_text_is_opened_as_utf_8():
    for path in HOME.rglob("*.py"):
        assert not list(opened_in_the_locales_encoding(path.read_text("utf-8"))), path
    for bad in ("open(path)", "path.read_text()", "open(path, 'a')", "path.write_text(text)", "path.open()"):
        assert list(opened_in_the_locales_encoding(bad)) == [bad]


def test_files_are_written_in_one_place():
    """What a kill or a full disk must not leave in half is written aside and renamed by `core.disk`."""
    for path in HOME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in ("write_text", "write_bytes", "save_file", "tofile"), (path, node.lineno)


def test_what_torchrun_says_is_read_in_one_place():
    readers = {path.name for path in HOME.rglob("*.py") if re.search(r"WORLD_SIZE|\"(LOCAL_)?RANK\"", path.read_text())}
    assert readers == {"launch.py"}
