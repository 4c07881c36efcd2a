"""The worked examples of CONTRIBUTING.md work as they stand, one for each kind of piece, and see a fault in it."""

import re
from pathlib import Path

import pytest

import ganzfeld as gz
from ganzfeld import data, laws, networks, papers, tasks
from ganzfeld.judging import judges
from small import ganzfeld

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^### (?:An?) (.+?)\n(.*?)(?=^#{2,3} |\Z)", TEXT, re.S | re.M))
FAULTS = {
    "objective": [("(real - 1)", "(real + 1)"), ("fake=torch.neg", "fake=torch.positive")],
    "constraint": [("return self.weight *", "return 0 *"), ("turn.real_scores.square()", "turn.real_scores")],
    "draw": [("tuple(x + self.scale *", "tuple(x + 0.5 *"), ('(noise["z"]) +', '(noise["on_fake"]) +')],
    "network": [("nn.Linear(shape[0], self.width)", "nn.Linear(shape[0], self.width, bias=False)")],
    "optimizer": [("gradient.sign()", "gradient"), ("lr * factor", "2 * lr * factor")],
    "paper": [('{"weight": "weight"}', '{"weight": 0.5}')],
    "data reader": [("units.strip, parts", "units.restore, parts")],
    "metric": [("2 * between", "between"), ("sum(within)", "within[0]")],
    "task": [('self.facts["seed"] + n', 'self.facts["seed"]')],
    "law": [("[3.0, 4.0]", "[3.0, 3.0]")],
}  # fmt: skip


def example(kind):
    (code,) = re.findall(r"```python\n(.*?)```", SECTIONS[kind], re.S)
    return code


def play(code, kind):
    exec(compile(code, f"CONTRIBUTING.md, {kind}", "exec"), {"gz": gz})


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A directory of its own, tables that are put back, and few samples for judges."""
    monkeypatch.chdir(tmp_path)
    for room, name in ((networks, "TABLE"), (papers, "TABLE"), (laws, "LAWS")):
        monkeypatch.setattr(room, name, dict(getattr(room, name)))
    for room, name in ((data, "READERS"), (judges, "JUDGES"), (judges, "NAMES"), (tasks, "TASKS")):
        monkeypatch.setattr(room, name, getattr(room, name))
    monkeypatch.setattr(judges, "SAMPLES", 400)
    monkeypatch.setattr(judges, "W1_SAMPLES", 50)


def test_every_kind_of_piece_has_one_example_of_fifteen_lines():
    assert SECTIONS.keys() == FAULTS.keys()
    assert len(re.findall("```python", TEXT)) == len(SECTIONS)
    for kind in SECTIONS:
        lines = [line for line in example(kind).splitlines() if line.strip()]
        assert len(lines) <= 15 and max(map(len, lines)) <= 120, kind
        assert any(line.startswith("assert ") for line in lines), kind


@pytest.mark.parametrize("kind", FAULTS)
def test_an_example_works_as_it_stands(kind, alone):
    play(example(kind), kind)


@pytest.mark.parametrize(("kind", "right", "wrong"), [(kind, *fault) for kind in FAULTS for fault in FAULTS[kind]])
def test_an_example_sees_a_fault_in_it(kind, right, wrong, alone):
    code = example(kind)
    assert code.count(right) == 1
    with pytest.raises(AssertionError):
        play(code.replace(right, wrong), kind)


def test_what_an_example_puts_into_a_table_is_found_by_the_command_line(alone, tmp_path, monkeypatch):
    for kind in ("paper", "network", "data reader"):
        (tmp_path / kind).mkdir()
        monkeypatch.chdir(tmp_path / kind)
        play(example(kind), kind)
    words = ["train", "mine", "--network", "affine", "--data", "line.points", "--steps", 8, "--out", "other"]
    code, _, err = ganzfeld(*words, "--set", "widht=4")
    assert code == 2 and "did you mean 'width'" in err
    assert ganzfeld(*words, "--set", "width=4")[0] == 0
    assert gz.load("other").facts["game"]["critic_parameters"] == (3 * 4 + 4) + (4 + 1)
    code, out, err = ganzfeld("judge", "other", "--json")
    assert code == 0 and '"sliced_w1"' in out, err


def test_every_file_and_name_that_is_named_is_there():
    root = Path(__file__).parents[1]
    places = [root, root / "src" / "ganzfeld", root / "tests"]
    named = set(re.findall(r"`([\w/.*-]+\.(?:py|yaml|json|md)|[\w/.-]+/)`", TEXT.replace("LANGUAGE", "en")))
    named = {name.replace("en/NAME", "en/saturation") for name in named} - {"run.json"}
    assert len(named) > 20
    assert {name for name in named if not any(list(place.glob(name.rstrip("/"))) for place in places)} == set()


def test_every_name_that_is_said_is_one_of_the_package_or_its_tests():
    root = Path(__file__).parents[1]
    code = "".join(path.read_text() for room in ("src", "tests") for path in (root / room).rglob("*.py"))
    text = re.sub(r"```python.*?```", "", TEXT, flags=re.S)
    named = re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*)?`", text)
    said = {name for name in named if not name.endswith((".py", ".json"))}
    words = set(re.findall(r"\w+", code))
    assert len(said) > 30 and {name for name in said if not {*name.split(".")} <= words} == set()
