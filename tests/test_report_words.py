"""What the report says lies in its texts and nowhere else: another language is a file more, and no line of code."""

import re
from pathlib import Path

import pytest

from ganzfeld.faces import report
from ganzfeld.faces.laws import prove
from ganzfeld.faces.report import words
from test_report import ENGLISH, Page, a_comparison, a_run, lines, render
from test_report_inference import TRAINED, WON, inferred
from test_report_pictures import sheets
from test_report_retrieval import compared, ranks

ROOM = Path(report.__file__).parent


def translated(form):
    """A language in which every word is one sign, and what is put between them stays."""
    if isinstance(form, dict):
        return {number: translated(one) for number, one in form.items()}
    return re.sub(r"(\{[^}]*\})|[A-Za-z]+", lambda found: found[1] or "字", form)


def untranslated(page: Page, *places: Path) -> list[str]:
    """English on the page above the chapters that repeat a run's facts, but for what the facts name themselves."""
    facts = " ".join(path.read_text() for place in places for path in place.rglob("*.json*"))
    known = {
        *re.findall(r"[A-Za-z]+", facts),
        "Ganzfeld",
        "log",
        "jsonl",
        "G",
        "E",
        "x",
        "z",
        "M",
        "k",
        *(str(p.name) for p in places),
    }
    source = re.sub(
        r"<(style|script|pre).*?</\1>|<math.*?</math>", "", page.source[page.source.index("<body>") :], flags=re.S
    )
    labels = re.findall(r'(?:aria-label|alt|title)="([^"]*)"', source)
    texts = [*labels, *re.findall(r">([^<>]+)<", source)]
    return [text for text in texts if set(re.findall(r"[A-Za-z]+", re.sub(r"&\w+;", "", text))) - known]


@pytest.fixture
def another(monkeypatch):
    own = words.Words("xx", {name: translated(form) for name, form in ENGLISH.texts.items()})
    monkeypatch.setattr(words, "load", lambda *settings, **more: own)


def test_a_language_is_a_file_and_no_code(tmp_path, another):
    lost = a_run(tmp_path / "lost", warnings=["1"] * 3)
    (lost / "log.jsonl").write_text("broken\n" + lines([{"step": s, "perplexity": 3.0} for s in (1, 2, 3)]))
    places = [
        a_comparison(tmp_path / "several"), lost, inferred(tmp_path / "codes", {**WON, **TRAINED}),
        sheets(tmp_path / "pictures", [0.1, 0.9], 1.0), compared(tmp_path / "rankings"), ranks(tmp_path / "ranks"),
    ]  # fmt: skip
    for place in places:
        assert untranslated(render(tmp_path, place), place) == []
    page = render(tmp_path, *places)
    assert untranslated(page, *places) == [] and page.source.count("字") > 1_000


def test_a_word_in_the_code_is_found(tmp_path):
    assert untranslated(render(tmp_path, place := a_run(tmp_path / "run")), place)


def test_every_text_is_said_and_every_text_that_is_said_is_there():
    source = "".join(path.read_text() for path in ROOM.iterdir() if path.suffix in (".py", ".j2"))
    named = set(re.findall(r'[( ]"([a-z_]+(?:\.[a-z_]+)*)"', source))
    formed = [re.sub(r"\\{.*?\\}", ".+", re.escape(f)) for f in re.findall(r'f"([a-z_.]*\{[^"]*)"', source)]
    formed += [re.escape(start) + ".+" for start in re.findall(r'"([a-z_]+\.)" ~', source)]
    silent = [t for t in ENGLISH.texts if t not in named and not any(re.fullmatch(form, t) for form in formed)]
    assert silent == []
    called = set(re.findall(r'(?:words|self)\(\s*"([^"]+)"', source))
    assert called - ENGLISH.texts.keys() - {name for name in called if name.endswith(".")} == set()


def test_numbers_decide_between_one_and_several():
    assert ENGLISH("count.seeds", n=1) == "1 seed" and ENGLISH("count.seeds", n=4_000) == "4,000 seeds"
    assert ENGLISH.join_names(["a"]) == "a" and ENGLISH.join_names(["a", "b", "c"]) == "a, b and c"


def test_a_language_that_is_not_whole_is_refused_for_runs_and_falls_back_for_laws(tmp_path):
    assert words.load("zh")("laws.title") != ENGLISH("laws.title") and words.load("zh")("setup.run") == "run"
    with pytest.raises(ValueError, match="the report is not whole in 'zh': .* texts are missing"):
        report.write([a_run(tmp_path / "run")], tmp_path / "page.html", language="zh")
    with pytest.raises(ValueError, match="written in en and zh, not in 'fr'"):
        report.write([tmp_path / "run"], tmp_path / "page.html", language="fr")
    assert not (tmp_path / "page.html").exists()
    prove(["saturation"], tmp_path / "laws", fast=True, language="zh")
    assert report.write([tmp_path / "laws"], tmp_path / "p.html").read_text() == (
        report.write([tmp_path / "laws"], tmp_path / "p.html", language="zh").read_text()
    )


def test_a_run_of_a_task_that_nobody_knows_has_the_chapters_of_all(tmp_path):
    page = render(tmp_path, a_run(tmp_path / "run", {"task": "clustering"}))
    assert [text for tag, text in page.texts if tag == "h3"] == [
        "Judged over training", "Signals of training", "How it was made",
    ]  # fmt: skip
    for picture in (tmp_path / "run" / "samples").iterdir():
        picture.unlink()
    assert "No pictures" not in render(tmp_path, tmp_path / "run").text
    assert "No pictures" in render(tmp_path, empty(a_run(tmp_path / "other"))).text


def empty(place: Path) -> Path:
    for picture in (place / "samples").iterdir():
        picture.unlink()
    return place
