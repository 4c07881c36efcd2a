"""What a run of pictures leaves behind at its end, and what its page says of it: a copy is called one, no other is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganzfeld as gz
from ganzfeld.core.randomness import great_circle, latents
from ganzfeld.faces.report import chapters, read
from ganzfeld.faces.report.read import Nearness
from ganzfeld.judging import judges
from ganzfeld.rendering import image
from ganzfeld.tasks import galleries
from test_report import ENGLISH, PIXEL, a_run, render

STEPS = 16
FACTS = {"data": {"name": "digits", "kind": "pictures", "shape": [1, 8, 8]}, "seeds": 1, "seed": 0}
BESIDE = {f"{name}.{ending}" for name in ("interpolation", "neighbours") for ending in ("png", "json")}


def play(out: Path, steps: int = STEPS, **asked):
    every = {"log_every": steps, "judge_every": STEPS, "checkpoint_every": STEPS}
    return gz.train("dcgan", "digits", out=out, steps=steps, settings={"width": "8"}, **every, **asked)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    out = tmp_path_factory.mktemp("pictures") / "run"
    return play(out)


def told(run: Path, name: str) -> dict:
    return json.loads((run / "samples" / f"{name}.json").read_text())


def sheets(path: Path, distances: list[float], usual: float, space: str = "pixels", **facts) -> Path:
    """A run of pictures with both sheets, and neighbours at given distances."""
    a_run(path, {**FACTS, **facts})
    common = {"step": 300, "member": 0, "latents": "of seed 0", "columns": len(distances)}
    near = {"distances": [[d, d + 1] for d in distances], "indices": [[0, 1]] * len(distances), "usual": usual}
    beside = {
        "interpolation": {**common, "rows": 4, "classes": []},
        "neighbours": {**common, "rows": 3, "nearest": 2, "train": 1257, "held_out": 100, "spaces": {space: near}},
    }
    for name, said in beside.items():
        (path / "samples" / f"{name}.json").write_text(json.dumps(said))
        (path / "samples" / f"{name}.png").write_bytes(PIXEL)
    return path


def test_great_circle_keeps_the_length_and_a_straight_line_does_not():
    a, b = torch.eye(2) * 3
    way = great_circle(a, b, 7)
    assert torch.equal(way[0], a) and torch.allclose(way[-1], b)
    assert torch.allclose(way.norm(dim=1), torch.full((7,), 3.0))
    angles = torch.arccos((way[1:] * way[:-1]).sum(1) / 9)
    assert torch.allclose(angles, angles[:1].expand(6))
    assert torch.lerp(a, b, 0.5).norm() < 2.2
    assert torch.equal(great_circle(a, 2 * a, 3)[1], 1.5 * a)  # parallel: there is no circle, and no division by 0


def test_a_run_of_pictures_ends_with_its_interpolations_and_neighbours(played):
    samples = played.directory / "samples"
    names = {path.name for path in samples.iterdir()}
    assert names == {"step-00000000.png", "step-00000016.png"} | BESIDE
    between, near = told(played.directory, "interpolation"), told(played.directory, "neighbours")
    assert (between["step"], near["step"]) == (STEPS, STEPS)
    for name, facts in (("interpolation", between), ("neighbours", near)):
        with Image.open(samples / f"{name}.png") as sheet:
            assert sheet.size == (34 * facts["columns"] + 2, 34 * facts["rows"] + 2)


def test_with_labels_a_way_stays_within_its_class(tmp_path):
    run = play(tmp_path / "run", 2, labels=True)
    assert told(run.directory, "interpolation")["classes"] == ["0", "1", "2", "3"]
    ends = latents(run.latent, 0, 4)[2:]
    start = image(run.decode(ends, label=1)[0])
    with Image.open(run.directory / "samples" / "interpolation.png") as sheet:
        shown = sheet.convert("L").crop((2, 36, 34, 68)).resize((8, 8), Image.Resampling.NEAREST)
    assert shown.tobytes() == start.tobytes()
    assert "within the classes 0, 1, 2 and 3" in render(tmp_path, run.directory).text


def test_a_run_of_vectors_has_neither(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32))
    gz.train("ns-gan", str(tmp_path / "rows.npy"), out=tmp_path / "run", steps=2, settings={"width": "8"}, log_every=2)
    assert not BESIDE & {path.name for path in (tmp_path / "run" / "samples").iterdir()}


def test_neighbours_are_those_that_a_search_finds(played):
    data = gz.data.load("digits").as_pictures()
    x = played.sample(galleries.NEIGHBOUR_SAMPLES)
    found = judges.nearest_copies(x, data, n=galleries.NEIGHBOUR_SAMPLES, k=galleries.NEIGHBOUR_ROWS)
    facts = told(played.directory, "neighbours")
    assert set(facts["spaces"]) == {"pixels", "features"}
    for space, said in facts["spaces"].items():
        assert said["indices"] == found[space].indices.tolist() and said["usual"] == found[space].usual
    [row] = facts["spaces"]["pixels"]["indices"][:1]
    assert torch.cdist(x[:1].flatten(1), data.train.flatten(1)).topk(3, largest=False).indices[0].tolist() == row


def test_below_each_sample_are_its_own_neighbours(played):
    """Column by column: a transposed sheet would show the neighbours of others."""
    facts = told(played.directory, "neighbours")
    train = gz.data.load("digits").train.view(-1, 8, 8)
    with Image.open(played.directory / "samples" / "neighbours.png") as sheet:
        shades = torch.from_numpy(np.array(sheet.convert("L"))).long()
    for space, first in (("pixels", 1), ("features", 1 + facts["nearest"])):
        for column, rows in enumerate(facts["spaces"][space]["indices"]):
            for rank, row in enumerate(rows):
                top, left = 2 + 34 * (first + rank), 2 + 34 * column
                shown = shades[top : top + 32 : 4, left : left + 32 : 4]
                assert torch.equal(shown, ((train[row] + 1) * 127.5).round().long())


def test_resumed_run_draws_them_again_and_ends_bit_for_bit_the_same(tmp_path, played):
    part, whole = tmp_path / "part", tmp_path / "whole"
    play(part)
    before = {name: (part / "samples" / name).read_bytes() for name in BESIDE}
    assert before == {name: (played.directory / "samples" / name).read_bytes() for name in BESIDE}
    play(part, 2 * STEPS, resume=True)
    play(whole, 2 * STEPS)
    after = {name: (part / "samples" / name).read_bytes() for name in BESIDE}
    assert after == {name: (whole / "samples" / name).read_bytes() for name in BESIDE}
    assert all(after[name] != before[name] for name in BESIDE)
    [one], [other] = (list(run.glob("checkpoints/step-00000032/state.safetensors")) for run in (part, whole))
    assert one.read_bytes() == other.read_bytes()


def test_the_page_of_a_run_of_pictures_has_all_chapters(tmp_path, played):
    page = render(tmp_path, played.directory)
    heads = [text for tag, text in page.texts if tag in ("h3", "h4")]
    assert {"Interpolations", "Nearest training neighbours", "The judges"} <= set(heads)
    assert "which a run of pictures draws at its end" not in page.text
    steps = [span["data-step"] for span in page.all("span") if "data-step" in span]
    assert steps == ["0", "16"]  # sheets beside the samples are no steps of training
    crisp = [image for image in page.all("img") if image.get("class") == "crisp"]
    assert len(crisp) == len(page.all("img")) == 4


def test_weights_of_the_judge_are_stated_once(tmp_path, played):
    provenance = json.loads((played.directory / "metrics.jsonl").read_text().splitlines()[-1])["provenance"]
    assert [name for name in judges.FEATURES if provenance[name]["digest"] == provenance["fd"]["digest"]]
    page = render(tmp_path, played.directory)
    assert page.text.count(provenance["fd"]["digest"][:8]) == 1
    assert page.text.count("none (8 x 8)") == 1
    assert ("dd", f"{100 * provenance['fd']['accuracy']:.3g} %") in page.texts


def test_judges_that_differ_stay_apart_and_no_fact_is_lost():
    eye = {"extractor": "classifier", "digest": "a" * 32, "samples": 10}
    other = {**eye, "digest": "b" * 32}
    facts = {"samples": 10, "fd": eye, "kd": {**eye, "kernel": "cubic"}, "fid": other, "w1": {"by": "assignment"}}
    every, assigned, own, inception = ENGLISH.judges(facts)
    assert (every.name, every.facts) == ("every metric", [("samples", "10")])
    assert (assigned.name, assigned.facts) == ("W₁", [("found by", "assignment")])
    assert own.metrics == "Fréchet distance and Kernel distance"
    assert own.facts == [("weights", "a" * 8), ("Kernel distance", "kernel cubic")]
    assert (inception.metrics, inception.facts) == ("FID", [("weights", "b" * 8)])
    same = ENGLISH.judges({**facts, "fid": eye})
    assert [judge.metrics for judge in same if judge.metrics] == ["Fréchet distance, Kernel distance and FID"]


@pytest.mark.parametrize(("nearest", "guilty"), [(0.0, True), (0.49, True), (0.51, False), (3.0, False)])
def test_a_copy_is_nearer_than_half_of_the_usual(tmp_path, nearest, guilty):
    page = render(tmp_path, sheets(tmp_path / "run", [nearest, 1.2, 0.9], 1.0))
    assert ("Memorised: 1 of 3 in pixels" in page.text) == guilty
    assert ("No sign of memorisation" in page.text) != guilty
    assert "Held-out pictures lie 1 from the nearest training picture (median of 100)" in page.text


def test_copies_in_either_space_count():
    far, near = Nearness("pixels", (1.0, 1.1), 1.0), Nearness("features", (0.1, 0.2), 1.0)
    assert ENGLISH.copies([far, near]).startswith("Memorised: 2 of 2 in features lie")
    assert ENGLISH.copies([far, Nearness("features", (0.9, 1.0), 1.0)]).startswith(
        "No sign of memorisation: in pixels and"
    )
    assert ENGLISH.copies([Nearness("pixels", (0.0,), 0.0)]).startswith("No sign")  # where held-out rows are copies too


def test_dots_lie_where_the_distances_are(tmp_path):
    page = render(tmp_path, sheets(tmp_path / "run", [1.0, 2.0, 4.0], 3.0))
    places = [float(c["cx"]) for c in page.all("circle") if c.get("class") == "dot" and c.get("r") == "4"]
    [usual] = [
        float(line["x1"]) for line in page.all("line") if line.get("class") == "reference" and line["y1"] == "16"
    ]
    unit = places[1] - places[0]
    assert places[2] - places[1] == pytest.approx(2 * unit, abs=0.2)
    assert usual - places[0] == pytest.approx(2 * unit, abs=0.2)


def test_a_run_without_its_sheets_says_so_once(tmp_path):
    old = a_run(tmp_path / "old", FACTS)
    page = render(tmp_path, old)
    assert page.text.count("draws at its end") == 1
    assert "Without samples/interpolation.png and samples/neighbours.png" in page.text
    assert "Interpolations" not in page.text
    assert "draws at its end" not in render(tmp_path, a_run(tmp_path / "plane")).text


@pytest.mark.parametrize("said", ["", "{", "[]", '{"step": 3}', '{"step": 1, "rows": "x", "columns": 2}', "\x00"])
def test_broken_facts_beside_a_sheet_are_tolerated(tmp_path, said):
    run = sheets(tmp_path / "run", [1.0], 1.0)
    (run / "samples" / "neighbours.json").write_text(said)
    page = render(tmp_path, run)
    assert "Without samples/neighbours.png, which" in page.text and "Interpolations" in page.text


@pytest.mark.parametrize(
    "spaces", [None, [], {"pixels": 3}, {"pixels": {"usual": "x", "distances": [[1]]}}, {"pixels": {}}]
)
def test_neighbours_without_distances_are_left_out(tmp_path, spaces):
    run = sheets(tmp_path / "run", [1.0], 1.0)
    facts = told(run, "neighbours")
    (run / "samples" / "neighbours.json").write_text(json.dumps({**facts, "spaces": spaces}))
    assert "Nearest training neighbours" not in render(tmp_path, run).text


def test_what_facts_name_is_escaped(tmp_path):
    hostile = "<script>alert(1)</script>"
    run = sheets(tmp_path / "run", [1.0], 1.0, hostile)
    facts = told(run, "interpolation")
    (run / "samples" / "interpolation.json").write_text(json.dumps({**facts, "latents": hostile, "classes": [hostile]}))
    page = render(tmp_path, run)
    assert len(page.all("script")) == 1 and hostile in page.text


def test_every_figure_of_pictures_states_its_seeds_and_steps(tmp_path):
    page = render(tmp_path, sheets(tmp_path / "run", [1.0, 2.0], 1.0))
    captions = [text for tag, text in page.texts if tag == "figcaption"]
    assert len(captions) == len(page.all("figure")) == 5
    assert all("seed" in caption and "step" in caption for caption in captions)


def test_every_metric_of_pictures_has_a_direction_and_a_meaning():
    for name in (*judges.FEATURES, *judges.INCEPTION):
        what = ENGLISH.measure(name)
        assert what.better == (-1 if name in ("fd", "kd", "fid", "kid") else 1) and what.note and "\n" not in what.note


def test_a_sheet_is_enlarged_by_whole_numbers(tmp_path, played):
    run = read.read_run(played.directory)
    small = chapters._image(run.interpolation.path, 1120)
    with Image.open(run.interpolation.path) as sheet:
        assert (small["width"], small["height"]) == (2 * sheet.width, 2 * sheet.height) and small["crisp"]
        large = chapters._image(run.interpolation.path, sheet.width - 1)
        assert (large["width"], large["crisp"]) == (sheet.width, False)
