"""The first minutes on a machine: `./run` with stand-ins for Python, pip, df, uname and nvidia-smi, which write down
what they are asked."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = "awk basename cat chmod cksum cp dirname grep mkdir readlink rm sed sh timeout uname".split()
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
CPU_INDEX = "--index-url https://download.pytorch.org/whl/cpu"
RELEASE = (
    next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")) + "+cpu"
)

PYTHON = r"""#!/bin/sh
# Python {version}, and pip: what has FAILS among its words fails, and versions of torch are in SERVED.
printf '%s\n' "$*" >>{log}
case "$*" in
    *"${{FAILS:-nothing fails}}"*) echo "ERROR: not today" >&2; exit 1 ;;
    "-c "*) exec {real} -c "import sys; sys.version_info = {version}; exec(sys.argv[1])" "$2" ;;
    "-m venv --clear "*)
        rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" || exit 1
        printf '#!/bin/sh\necho "ganzfeld $* in $PWD as $GANZFELD_COMMAND"\n' >"$4/bin/ganzfeld"
        for tool in ruff mypy; do printf '#!/bin/sh\n' >"$4/bin/$tool"; done
        chmod +x "$4/bin/"* ;;
    "-m pytest "*) echo "told ${{GANZFELD_COMMAND:-nothing}}" ;;
    "-m pip index versions torch "*) echo "Available versions: ${{SERVED:-}}" ;;
esac
"""


class Machine:
    """A checkout in a folder, and programs of which everything it is asked is known."""

    def __init__(self, folder, pythons):
        self.folder, self.programs, self.log = folder, folder / "programs", folder / "log"
        self.home = folder / "a checkout"
        self.programs.mkdir()
        self.home.mkdir()
        for name in ("run", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.home / name)
        for name in TOOLS:
            (self.programs / name).symlink_to(shutil.which(name))
        for name, version in pythons.items():
            self.program(name, PYTHON.format(version=version, log=self.log, real=sys.executable))
        self.program("df", "#!/bin/sh\nprintf 'disk\\n/dev/a 9 9 %s 9%% /\\n' $((${DISK:-50000} * 1024))\n")

    def program(self, name, text):
        (self.programs / name).unlink(missing_ok=True)
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def run(self, *words, script=None, shell=None, where=None, **environment):
        """(exit code, standard output, standard error, what Python and pip were asked meanwhile)."""
        self.log.write_text("")
        start = [str(script or self.home / "run")]
        done = subprocess.run(
            ([shutil.which(shell)] if shell else []) + start + list(words), cwd=where or self.home, text=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=30, env={"PATH": str(self.programs), **environment},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr, self.log.read_text().splitlines()

    def installs(self, **environment):
        """What pip installs at the first use, and the lines on standard error."""
        code, _, said, asked = self.run("list", **environment)
        assert code == 0, said
        return [words for words in asked if words.startswith("-m pip install")], said.splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, {"python3": (3, 11)})


SERVED = {"SERVED": f"2.14.1, {RELEASE.removeprefix('torch==')}"}


def test_without_a_gpu_the_cpu_index_is_asked_first_and_all_else_is_pips_own(machine):
    (torch, rest), said = machine.installs(**SERVED)
    assert CPU_INDEX in torch and RELEASE in torch and "--no-deps" in torch
    assert "--index-url" not in rest and "--constraint constraints.txt" in rest and "-e .[test]" in rest
    assert len(said) == 1 and "setting up" in said[0]
    assert all("-qq" in words and "--disable-pip-version-check" in words for words in (torch, rest))


def test_the_question_is_bounded_by_time_alone(machine):
    machine.program("timeout", f'#!/bin/sh\necho "timeout $*" >>{machine.log}\nexit 124\n')
    code, _, said, asked = machine.run("list")
    (question,) = (words for words in asked if words.startswith("timeout "))
    assert code == 0 and "pip's own is asked" in said
    assert question.split()[1] == "20" and f"{CPU_INDEX} --timeout 5 --retries 0" in question


@pytest.mark.parametrize("gone", [{}, {"SERVED": "2.14.1"}, {"FAILS": "index versions"}, {**SERVED, "FAILS": RELEASE}])
def test_where_the_cpu_index_fails_one_line_says_so_and_pips_own_is_asked(machine, gone):
    installs, said = machine.installs(DISK="5000", **gone)
    assert "--index-url" not in installs[-1] and "--constraint constraints.txt" in installs[-1]
    assert len(said) == 2 and "pip's own is asked" in said[1] and "10 GB" in said[1] and "5000 MB" in said[1]


def test_with_a_gpu_pip_chooses(machine):
    machine.program("nvidia-smi", "#!/bin/sh\n")
    (only,), said = machine.installs(**SERVED)
    assert "index-url" not in only and "constraint" not in only and len(said) == 1


def test_a_driver_without_a_gpu_is_none(machine):
    machine.program("nvidia-smi", "#!/bin/sh\nexit 6\n")
    assert CPU_INDEX in machine.installs(**SERVED)[0][0]


def test_elsewhere_than_on_linux_no_index_is_asked(machine):
    machine.program("uname", "#!/bin/sh\necho Darwin\n")
    (only,), said = machine.installs(**SERVED)
    assert "index-url" not in only and "--constraint constraints.txt" in only and len(said) == 1


@pytest.mark.parametrize(("gpu", "least"), [(False, 3000), (True, 10000)])
def test_the_disk_must_hold_the_build_that_is_chosen(machine, gpu, least):
    if gpu:
        machine.program("nvidia-smi", "#!/bin/sh\n")
    code, out, said, asked = machine.run("list", DISK=str(least - 1))
    assert code == 2 and not out and len(said.splitlines()) == 1
    assert f"{least // 1000} GB" in said and f"{least - 1} MB" in said and ("CUDA" in said) == gpu
    assert not any("venv --clear" in words for words in asked) and not (machine.home / ".venv").exists()
    assert machine.run("list", DISK=str(least))[0] == 0


def test_a_disk_that_df_does_not_know_is_tried(machine):
    machine.program("df", "#!/bin/sh\nexit 1\n")
    assert machine.run("list", **SERVED)[0] == 0


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": (3, 11)}, "python3"),
        ({"python3": (3, 14)}, "python3"),
        ({"python3": (3, 9), "python3.12": (3, 12)}, "python3.12"),
        ({"python3": (3, 15), "python3.14": (3, 14), "python3.11": (3, 11)}, "python3.14"),
        ({"python3": (3, 10)}, None),
        ({"python3": (3, 15)}, None),
        ({}, None),
    ],
)
def test_a_python_that_pytorch_serves_is_found(tmp_path, pythons, chosen):
    machine = Machine(tmp_path, pythons)
    code, _, said, _ = machine.run("list", **SERVED)
    if chosen is None:
        assert code == 2
        assert said == "Python 3.11 to 3.14 is missing: sudo apt install python3 python3-venv\n"
    else:
        assert code == 0
        assert f"version_info = {pythons[chosen]}" in (machine.home / ".venv/bin/python").read_text()


def test_a_python_that_is_asked_for_is_taken_or_refused(tmp_path):
    machine = Machine(tmp_path, {"python3": (3, 11), "own python": (3, 13), "old": (3, 8)})
    assert machine.run("list", PYTHON=str(machine.programs / "own python"), **SERVED)[0] == 0
    assert "version_info = (3, 13)" in (machine.home / ".venv/bin/python").read_text()
    shutil.rmtree(machine.home / ".venv")
    code, _, said, _ = machine.run("list", PYTHON="old")
    assert code == 2 and "PYTHON=old is not Python 3.11 to 3.14" in said and len(said.splitlines()) == 1


def test_a_missing_venv_module_is_named_unless_another_python_has_one(tmp_path):
    machine = Machine(tmp_path, {"python3": (3, 13)})
    code, _, said, _ = machine.run("list", FAILS="import ensurepip")
    assert code == 2 and said == "Python's venv module is missing: sudo apt install python3-venv\n"
    whole = (machine.programs / "python3").read_text()
    machine.program("python3.12", whole.replace("(3, 13)", "(3, 12)"))
    machine.program("python3", whole.replace("nothing fails", "import ensurepip"))
    assert machine.run("list", **SERVED)[0] == 0
    assert "version_info = (3, 12)" in (machine.home / ".venv/bin/python").read_text()


def test_the_second_call_sets_nothing_up(machine):
    assert machine.run("list", **SERVED)[0] == 0
    code, out, said, asked = machine.run("list", "papers", DISK="1")
    assert (code, said) == (0, "") and out.startswith("ganzfeld list papers in")
    assert not any("pip" in words or "venv" in words for words in asked)


def test_an_interrupted_set_up_is_begun_anew(machine):
    code, _, said, _ = machine.run("list", FAILS=".[test]", **SERVED)
    assert code == 2 and "not today" in said and "begins it anew" in said
    (machine.home / ".venv/half").write_text("made")
    assert machine.run("list", **SERVED)[0] == 0 and not (machine.home / ".venv/half").exists()


def test_other_requirements_another_place_and_another_python_are_set_up_anew(machine):
    anew = lambda home: "setting up" in machine.run("list", script=home / "run", where=home, **SERVED)[2]  # noqa: E731
    assert anew(machine.home) and not anew(machine.home)
    with open(machine.home / "pyproject.toml", "a") as file:
        file.write("\n")
    assert anew(machine.home) and not anew(machine.home)
    copied, moved = machine.folder / "copied", machine.folder / "moved"
    shutil.copytree(machine.home, copied)
    assert anew(copied) and not anew(copied) and not anew(machine.home)
    machine.home.rename(moved)
    assert anew(moved) and not anew(moved)
    python = moved / ".venv/bin/python"
    python.write_text(python.read_text().replace("(3, 11)", "(3, 12)"))  # the system's Python went on to the next
    assert anew(moved) and not anew(moved)
    python.unlink()
    assert anew(moved) and not anew(moved)


def test_a_checkout_that_cannot_be_written_says_so_and_one_that_is_set_up_works(machine):
    code, out, said, asked = machine.run("list", FAILS="venv --clear", **SERVED)
    assert (
        code == 2 and not out and "writable?" in said.splitlines()[-1] and not any("-m pip" in words for words in asked)
    )
    assert machine.run("list", **SERVED)[0] == 0
    machine.home.chmod(0o555)
    try:
        assert machine.run("list", **SERVED)[:1] == (0,)
    finally:
        machine.home.chmod(0o755)


@pytest.mark.parametrize("shell", SHELLS)
def test_any_shell_from_anywhere_through_any_link(machine, shell):
    elsewhere = machine.folder / "else where"
    (elsewhere / "a checkout").mkdir(parents=True)
    (elsewhere / "one").symlink_to("../second")
    (machine.folder / "second").symlink_to(machine.home / "run")
    for script, where in [
        (machine.home / "run", elsewhere),
        (Path("../a checkout/run"), elsewhere),
        (elsewhere / "one", elsewhere),
        (Path("one"), elsewhere),
        (Path("run"), machine.home),
    ]:
        code, out, said, _ = machine.run(
            "list", shell=shell, script=script, where=where, CDPATH=str(elsewhere), **SERVED
        )
        assert code == 0 and out.startswith(f"ganzfeld list in {where} as "), said  # paths are the caller's
    assert sorted(path.name for path in machine.folder.rglob(".venv")) == [".venv"]


@pytest.mark.parametrize(
    ("script", "shell", "told"),
    [("./run", None, "./run"), ("run", "sh", "./run"), ("../a checkout/run", None, "../a checkout/run")],
)
def test_commands_are_suggested_as_they_were_typed(machine, script, shell, told):
    assert machine.run("sample", "x", script=script, shell=shell, **SERVED)[1].endswith(f"as {told}\n")


def test_words_reach_the_command_as_they_are(machine):
    assert machine.run("train", "a b", "*", "", "--set=x", **SERVED)[1].startswith("ganzfeld train a b *  --set=x in ")
    assert machine.run(**SERVED)[1].startswith("ganzfeld --help in")
    code, _, said, _ = machine.run("help", **SERVED)
    assert code == 0 and "./run demo" in said


def test_the_tests_are_handed_their_words(machine):
    tests = lambda *words: machine.run("test", *words, **SERVED)[3][-1].partition("-m pytest -n ")[2]  # noqa: E731
    assert tests("-k", "a or b", "tests/test_x.py").endswith(" -m not slow -k a or b tests/test_x.py")
    assert tests("--slow").endswith(" -m slow or not slow")
    assert tests("-x", "--slow", "-k", "b").endswith(" -m slow or not slow -x -k b")
    assert machine.run("test", **SERVED)[1].endswith(
        "told nothing\n"
    )  # the tests see what pytest alone would show them
