"""The laws as a whole: each holds, twice alike, and is explained in every language."""

import dataclasses
import json
import math
import re
import subprocess
import sys

import pytest
import torch
from latex2mathml.converter import convert

import ganzfeld as gz
from ganzfeld import laws
from ganzfeld.faces import report
from ganzfeld.faces.cli import main
from ganzfeld.faces.laws import prove
from ganzfeld.laws.facts import describe, explain
from ganzfeld.laws.law import Check, above, below, near

NAMES = tuple(laws.LAWS)
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def proven():
    held = {}

    def prove(name):
        return held.setdefault(name, laws.run(name, fast=True)) if name not in held else held[name]

    return prove


def test_there_is_a_law_for_every_part_of_the_theory():
    assert len(NAMES) == 16


@pytest.mark.parametrize("name", NAMES)
def test_law_holds(name, proven):
    proof = proven(name)
    assert [check for check in proof.checks if not check.holds] == []
    assert proof.holds and proof.residual <= proof.tolerance
    assert len({check.what for check in proof.checks}) == len(proof.checks)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_law_holds_at_its_full_size_with_the_same_claims(name, proven):
    proof = laws.run(name)
    assert [check for check in proof.checks if not check.holds] == []
    assert [check.what for check in proof.checks] == [check.what for check in proven(name).checks]


@pytest.mark.parametrize("name", NAMES)
def test_law_measures_the_same_numbers_twice_and_leaves_no_trace(name, proven):
    first = proven(name)
    torch.manual_seed(12_345)  # whatever happened before
    before = torch.get_rng_state()
    again = laws.run(name, fast=True)
    assert again.checks == first.checks
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_law_draws_a_figure_of_numbers(name, proven):
    panels = proven(name).panels
    assert 1 <= len(panels) <= 4
    for line in (line for panel in panels for line in panel.lines):
        x, y = torch.as_tensor(line.x), torch.as_tensor(line.y)
        assert x.shape == y.shape and x.dim() == 1 and 0 < len(x) <= 2_000, line.label
        assert not y.isinf().any() and not y.isnan().all(), line.label
        assert len(line.label) <= 40


TEXTS = {"title": 1, "statement": 1, "oracle": 1, "folklore": 1, "caption": 1, "assumes": 6, "explanation": 2}


@pytest.mark.parametrize("name", NAMES)
def test_law_is_explained_whole(name):
    law, english = laws.LAWS[name], explain(name)
    assert english.keys() == TEXTS.keys()
    for part, most in TEXTS.items():
        own = english[part] if isinstance(english[part], list) else [english[part]]
        assert 1 <= len(own) <= most and all(text.strip() for text in own), part
    assert len(english["explanation"]) == 2 and all(300 < len(text) < 1_500 for text in english["explanation"])
    assert law.source.strip() and not law.source.startswith("Source")
    assert "\\" not in re.sub(r"<[^>]*>", "", convert(law.formula)), "a command that was not understood"


@pytest.mark.parametrize("name", NAMES)
def test_law_is_explained_in_chinese(name, proven):
    english, chinese = explain(name), explain(name, "zh")
    assert chinese.keys() == {*TEXTS, "terms"}
    for part in TEXTS:
        assert len(english[part]) == len(chinese[part]) or isinstance(english[part], str), part
        assert HAN.search("".join(chinese[part])), part
    facts = describe(laws.LAWS[name], proven(name), "zh")
    words = [check["what"] for check in facts["checks"]] + [panel["title"] for panel in facts["panels"]]
    left = [word for word in words if re.search(r"[a-z]{4}", word) and not HAN.search(word)]
    assert left == []


ASCII = re.compile(
    r"\^-?\d|\b(theta|lambda|sigma|delta|eta|gamma|mu|phi|psi|tau|pi)\b|sqrt\(|(?<!\w)-(?=[\w(|])|(?<=\s)-(?=\s)"
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_labels_are_written_as_they_are_read(name, language, proven):
    def strings(value):
        if isinstance(value, str):
            yield value
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
            yield from strings(part)

    facts = describe(laws.LAWS[name], proven(name), language)
    facts = {key: value for key, value in facts.items() if key not in ("name", "formula")}
    assert [text for text in strings(facts) if ASCII.search(text)] == []
    assert ASCII.search("the slope in theta") and ASCII.search("p - q") and not ASCII.search("1-Lipschitz, p − q, θ²")


def test_languages_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="written in en and zh, not in 'fr'"):
        explain(NAMES[0], "fr")


def test_a_name_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'optimal-critic'"):
        gz.laws.run("optimal-discriminator")


def test_near_tells_the_entry_that_is_furthest_off():
    check = near("x", torch.tensor([1.0, 2.5, 3.0]), torch.tensor([1.0, 2.0, 3.0]), 0.1)
    assert (check.value, check.truth, check.residual, check.holds) == (2.5, 2.0, 0.5, False)
    assert near("x", math.inf, math.inf, 0.0).holds
    assert not near("x", math.inf, 1.0, 1e9).holds
    assert not near("x", torch.tensor([0.0, math.nan]), 0.0, 1e9).holds


def test_bounds_are_one_sided():
    assert below("x", 1.0, 2.0).holds and not below("x", 2.1, 2.0).holds
    assert above("x", 2.0, 1.0).holds and not above("x", 0.9, 1.0).holds
    assert below("x", torch.tensor([0.0, 3.0]), 2.0).residual == 1.0
    assert not below("x", math.nan, 2.0).holds and not above("x", torch.tensor([5.0, math.nan]), 2.0).holds


def test_a_proof_speaks_by_the_check_under_the_greatest_strain():
    light, heavy = Check("a", 0, 0, 0.5, 1.0), Check("b", 0, 0, 1e-9, 1.2e-9)
    assert laws.Proof("x", (light, heavy), ()).worst is heavy
    broken = Check("c", 0, 0, math.nan, 1.0)
    proof = laws.Proof("x", (light, broken, heavy), ())
    assert proof.worst is broken and not proof.holds
    exact = Check("d", 0, 0, 1e-300, 0.0)
    assert laws.Proof("x", (light, exact), ()).worst is exact


def run(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(["laws", *words])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


def failing(monkeypatch, name):
    law = laws.LAWS[name]
    wrong = dataclasses.replace(law, prove=lambda fast: ((Check("one is two", 1.0, 2.0, 1.0, 1e-9),), ()))
    monkeypatch.setitem(laws.LAWS, name, wrong)


def test_json_is_one_document_of_verdicts(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "saturation", "--fast", "--json")
    [law] = json.loads(out)["laws"]
    assert code == 0 and {"name", "residual", "tolerance", "holds"} <= law.keys()
    assert law["name"] == "saturation" and law["holds"] is True and law["residual"] <= law["tolerance"]
    assert "saturation: holds" in err
    assert list(tmp_path.iterdir()) == []


def test_a_law_that_fails_is_named_and_exits_with_one(capsys, tmp_path, monkeypatch):
    failing(monkeypatch, "saturation")
    code, out, _ = run(capsys, "saturation", "optimal-critic", "--fast", "--out", str(tmp_path))
    assert code == 1
    assert "one is two: 1, not = 2" in out and "1 of 2 laws fail" in out
    assert "✗ fails" in (tmp_path / "laws.html").read_text()
    code, out, _ = run(capsys, "saturation", "--json")
    assert code == 1 and json.loads(out)["laws"][0]["holds"] is False


def test_a_law_that_breaks_fails_and_the_others_are_measured(capsys, tmp_path, monkeypatch):
    def broken(fast):
        raise RuntimeError("no such operator")

    monkeypatch.setitem(laws.LAWS, "saturation", dataclasses.replace(laws.LAWS["saturation"], prove=broken))
    code, out, _ = run(capsys, "saturation", "hyperplane", "--fast", "--out", str(tmp_path))
    assert code == 1 and "could not be measured: RuntimeError: no such operator" in " ".join(out.split())
    assert "1 of 2 laws fail" in out and (tmp_path / "laws.html").is_file()
    code, out, _ = run(capsys, "saturation", "--json")
    assert code == 1 and json.loads(out)["laws"][0]["residual"] is None


def test_the_page_stands_alone_and_says_what_was_measured(capsys, tmp_path):
    code, out, _ = run(capsys, "saturation", "saturation", "--fast", "--out", str(tmp_path / "new"))
    page = (tmp_path / "new" / "laws.html").read_text()
    assert code == 0 and "the law holds" in out
    assert explain("saturation")["title"] in page and "<math" in page and page.count('<article class="law"') == 1
    assert page.count('class="chart plot"') == len(laws.run("saturation", fast=True).panels)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page) and "http://www.w3.org" in page
    assert 'lang="en"' in page
    first = (tmp_path / "new" / "laws.json").read_bytes(), page
    run(capsys, "saturation", "--fast", "--out", str(tmp_path / "new"))
    assert first == ((tmp_path / "new" / "laws.json").read_bytes(), (tmp_path / "new" / "laws.html").read_text())


def test_facts_of_version_0_1_are_read(tmp_path):
    facts = prove(["saturation"], tmp_path / "new", fast=True)
    for law in facts["laws"]:
        law["said"], law["words"] = law.pop("folklore"), law.pop("explanation")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "laws.json").write_text(json.dumps(facts))
    page = report.write([tmp_path / "old"], tmp_path / "old.html").read_text()
    assert page == (tmp_path / "new" / "laws.html").read_text()


def test_the_page_in_chinese(capsys, tmp_path):
    run(capsys, "saturation", "--fast", "--lang", "zh", "--out", str(tmp_path))
    page = (tmp_path / "laws.html").read_text()
    assert 'lang="zh"' in page and "定律" in page and "Often said" not in page
    assert explain("saturation", "zh")["title"] in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["saturated"], "did you mean 'saturation'"),
        (["saturation", "--lang", "fr"], "not in 'fr'"),
        (["saturation", "--fast", "--out", "/proc/nowhere/laws"], "cannot write to"),
    ],
)
def test_bad_words_are_one_line_and_exit_two(capsys, words, said):
    code, out, err = run(capsys, *words)
    assert code == 2 and out == "" and said in err and len(err.strip().splitlines()) == 1


def test_laws_stand_beside_runs_in_a_report(tmp_path):
    prove(["saturation"], tmp_path / "laws", fast=True)
    gz.train("ns-gan", "ring8", out=tmp_path / "run", steps=4)
    page = report.write([tmp_path / "run", tmp_path / "laws"], tmp_path / "report.html").read_text()
    assert "The laws of the family" in page and 'id="law-saturation"' in page and 'href="#laws-1"' in page
    assert page.index('id="run-1"') < page.index('id="laws-1"')


def test_laws_load_no_heavy_library_until_they_run():
    code = "import sys, ganzfeld; sys.exit(int(bool({'sklearn', 'scipy.optimize', 'yaml'} & sys.modules.keys())))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
