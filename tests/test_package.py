"""The package as it is handed on: a light start, names where they are said to be, lists that are true, a wheel that is
whole."""

import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

import ganzfeld as gz
from ganzfeld.augment import Augment
from ganzfeld.core.names import split_names
from ganzfeld.faces import catalogue, laws, report
from small import SETTINGS, environment, vectors

ROOT = Path(__file__).parents[1]


def python(code):
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    ).stdout


def test_import_help_and_lists_do_without_torch():
    lines = python("""
import sys
import ganzfeld
print("import", "torch" in sys.modules)
from ganzfeld.faces.cli import main
for words in ("--help", "train --help", "list", "list laws", "list wgan-gp --json", "list x"):
    try:
        main(words.split())
    except SystemExit as end:
        print("ends", end.code, "torch" in sys.modules)
ganzfeld.Game
print("a game", "torch" in sys.modules)
""").splitlines()
    ends = [line for line in lines if line.startswith("ends ")]
    assert ends == ["ends 0 False"] * 5 + ["ends 2 False"]
    assert "import False" in lines and "a game True" in lines


def test_every_name_is_found_and_typed_and_no_other():
    assert all(getattr(gz, name) is not None for name in gz.__all__)
    assert set(gz.__all__) <= set(dir(gz))
    assert gz.papers.__name__ == "ganzfeld.papers" and gz.restore.__module__ == "ganzfeld.faces.export"
    every: dict = {}
    exec("from ganzfeld import *", every)
    assert every.keys() - {"__builtins__"} == set(gz.__all__)
    (typed,) = (node for node in ast.parse(Path(gz.__file__).read_text()).body if isinstance(node, ast.If))
    homes = {alias.name: node.module or alias.name for node in typed.body for alias in node.names}
    assert homes == {name: home for home, names in gz.HOMES.items() for name in names.split()} | {
        name: name for name in gz.__all__ if homes[name] == name
    }
    assert homes.keys() == set(gz.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = gz.tarin


def test_the_catalogue_says_what_the_tables_say():
    assert catalogue.read() == json.loads(json.dumps(catalogue.collect())), (
        "write it anew: python -m ganzfeld.faces.catalogue"
    )


def test_every_entry_has_a_sentence_that_a_terminal_can_show():
    for kind, entries in catalogue.read()["lists"].items():
        for name, sentence in entries.items():
            assert sentence.endswith(".") and " " in sentence, (kind, name, sentence)
            assert not re.search(r":math:|``|[\\\n]", sentence), (kind, name, sentence)
            assert re.match(r"[\w‖]", sentence) and not sentence.startswith("From "), (kind, name, sentence)


def test_things_say_what_they_are_in_two_lines(tmp_path):
    run = gz.train("ns-gan", vectors(tmp_path), out=tmp_path / "run", steps=8, settings=SETTINGS, seeds=2)
    tastes = gz.data.tastes()
    said = (
        (run, "GeneratorRun: ns-gan on x.npy, 8 steps, 2 members from seed 0 on", "can judge, report, sample, export"),
        (
            run.game,
            "Game: non-saturating with no constraint, on samples of shape (2,)",
            "critic of 33 weights; batches of 16",
        ),
        (gz.laws.LAWS["dynamics"], "Law dynamics: ", gz.laws.LAWS["dynamics"].source),
        (gz.papers.wgan_gp, "Paper wgan-gp: The Wasserstein game", "Gulrajani"),
        (run.data, "Data x.npy: plane of shape (2,)", "test rows"),
        (tastes, "Data tastes: 200 users with 120 items", "2,000 train, 600 valid, 1,000 test positives"),
    )
    for thing, *parts in said:
        assert repr(thing).count("\n") == 1 and len(repr(thing)) < 500
        assert all(part in repr(thing) for part in parts), repr(thing)


def test_one_name_is_never_a_list_of_letters(tmp_path):
    assert split_names("a, b,") == ("a", "b") and split_names(["a,b", "c"]) == ("a,b", "c") and split_names("") == ()
    digits = gz.data.digits()
    assert len(digits.exclude("1,2").train) == len(digits.exclude(["1", "2"]).train) < len(digits.train)
    assert gz.data.load("digits", exclude_classes=["1", "2"]).fingerprint == digits.exclude("1, 2").fingerprint
    assert Augment("colour, cutout") == Augment(("colour", "cutout"))
    run = gz.train("bpr", "tastes", out=tmp_path / "run", steps=1, settings={"rank": 2})
    assert run.recommend("12", 3) == run.recommend(["12"], 3) == run.recommend(12, 3)
    assert len(laws.prove("transposed-convolution", fast=True)["laws"]) == 1
    assert report.write(str(tmp_path / "run"), tmp_path / "r.html").exists()
    with pytest.raises(ValueError, match=r"seeds is a whole number, not \[0, 1\]"):
        gz.train("ns-gan", "ring8", out=tmp_path / "more", steps=8, seeds=[0, 1])


def test_one_version_is_said_everywhere():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == gz.__version__
    assert re.search(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == gz.__version__
    assert "version" not in re.findall(r"^(\w+) = ", (ROOT / "pyproject.toml").read_text().split("[project.")[0], re.M)


@pytest.mark.slow
def test_a_wheel_in_an_empty_environment_trains_samples_proves_and_reports(tmp_path):
    """The wheel alone is installed; what it depends on is lent by this environment, whose own copy of the package is
    not: a ``.pth`` adds a path without reading the ``.pth`` files that lie there."""

    def call(*words):
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=tmp_path, timeout=250)
        assert done.returncode == 0, done.stderr
        return done.stdout

    source = tmp_path / "source"  # setuptools leaves a build folder where it builds
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests"))
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("ganzfeld-*.whl")
    call(sys.executable, "-m", "venv", tmp_path / "venv")
    here = tmp_path / "venv/bin"
    call(here / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel)
    site = Path(call(here / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = call(here / "python", "-c", "import ganzfeld; print(ganzfeld.__file__, ganzfeld.__version__)").split()
    assert where == [str(site / "ganzfeld/__init__.py"), gz.__version__]
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    call(here / "ganzfeld", "train", "ns-gan", "--data", vectors(tmp_path), "--out", "run", "--steps", 8, *settings)
    call(here / "ganzfeld", "sample", "run", "--n", 4, "--out", "x.npy")
    for language in ("en", "zh"):
        call(here / "ganzfeld", "laws", "optimal-critic", "--fast", "--lang", language, "--out", f"laws-{language}")
    call(here / "ganzfeld", "report", "run", "laws-zh", "--out", "report.html")
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "wgan-gp" in call(here / "ganzfeld", "list")
