"""A generator that is handed on computes what the run computes, and a file that does not is never left."""

import copy
import json
import os
import socket
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import ganzfeld as gz
from ganzfeld import networks
from ganzfeld.core import randomness
from ganzfeld.faces import export
from ganzfeld.runs import files
from ganzfeld.tasks.modules import OutputInUnits
from small import ganzfeld, train, vectors

SMALL = {"width": 8, "latent": 12, "batch_size": 16}


def export_by_command(*words):
    """(exit code, standard error)."""
    code, out, err = ganzfeld("export", *words)
    assert out == ""
    return code, err


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of pictures, of pictures with classes, and of vectors in units of their own, two members."""
    folder = tmp_path_factory.mktemp("export")
    asked = {"steps": 16, "judge_every": 16}
    gz.train("dcgan", "digits", out=folder / "plain", settings=SMALL, **asked)
    more = {**SMALL, "critic_norm": "none", "lr": 0.01, "ema_half_life": 50}
    gz.train("sngan", "digits", out=folder / "labelled", network="dcgan", settings=more, labels=True, **asked)
    train(folder / "vectors", vectors(folder, shift=1000.0), seeds=2, settings={"norm": "batch"})
    return {name: gz.load(folder / name) for name in ("plain", "labelled", "vectors")}


EVERY = ("plain", "labelled", "vectors")


def onnx_session(source):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return runtime.InferenceSession(source, providers=["CPUExecutionProvider"])


def given(run, n, seed=5):
    z = randomness.latents(run.latent, seed, n)
    return (z, run.draw_labels(n, seed)) if run.classes else (z,)


@pytest.mark.parametrize("name", EVERY)
def test_onnx_makes_the_samples_of_the_run_for_any_batch(runs, tmp_path, name):
    pytest.importorskip("onnxscript")
    run, out = runs[name], tmp_path / "g.onnx"
    member = run.members - 1
    code, said = export_by_command(run.directory, "--out", out, "--member", member)
    assert code == 0 and "apart" in said and len(said.splitlines()) == 1, said
    assert [path.name for path in tmp_path.iterdir()] == ["g.onnx"]
    session = onnx_session(str(out))
    assert [x.name for x in session.get_inputs()] == ["z", "label"][: 1 + bool(run.classes)]
    scale = run.units.scale.numpy()
    for n in (1, 7, 100):
        inputs = dict(zip(("z", "label"), (x.numpy() for x in given(run, n)), strict=False))
        theirs = session.run(None, inputs)[0]
        assert np.abs((theirs - run.sample(n, 5, member).numpy()) / scale).max() < export.TOLERANCE
    if run.members > 1:
        assert np.abs((theirs - run.sample(n, 5, 0).numpy()) / scale).max() > 0.01  # the member that was asked for
    about = json.loads(session.get_modelmeta().custom_metadata_map["ganzfeld"])
    assert about["latent"]["shape"] == list(run.latent.shape) and about["citation"] == run.facts["citation"]


MAKERS = [
    (name, classes)
    for name in networks.TABLE
    for classes in ((0, 3) if name in ("dcgan", "sndcgan", "resnet") else (0,))
]


def standing(name, classes):
    """A small generator of a table entry with statistics of its own, its inputs, its shape and its sizes."""
    with randomness.global_seed(name):
        shape, sizes = (2, 8, 8), {"width": 8, "latent": 5}
        generator, _ = networks.TABLE[name](**sizes).pair(shape, classes=classes)
        z = 1 + torch.randn(6, 5)
    inputs = (z, torch.arange(6) % classes) if classes else (z,)
    units = gz.data.Units(torch.tensor([0.25]), torch.tensor([2.0]))
    return (
        OutputInUnits(networks.freeze_norms(generator, [inputs]), units).eval().requires_grad_(False),
        inputs,
        shape,
        sizes,
    )


@pytest.mark.parametrize(("name", "classes"), [("resnet", 3), ("r3", 0)])
def test_other_networks_are_written_as_onnx_with_an_open_batch(name, classes):
    pytest.importorskip("onnxscript")
    generator, inputs, _, _ = standing(name, classes)
    data, apart = export.to_onnx(generator, inputs, generator.scale, {})
    assert apart < export.TOLERANCE
    more = tuple(torch.cat([x, x, x]) for x in inputs)
    theirs = onnx_session(data).run(None, dict(zip(("z", "label"), (x.numpy() for x in more), strict=False)))[0]
    assert np.abs(theirs - generator(*more).numpy()).max() < export.TOLERANCE


def test_a_batch_that_would_be_fixed_is_refused():
    pytest.importorskip("onnxscript")

    class Long(torch.nn.Module):
        def forward(self, *inputs):
            return inputs[0].view(len(inputs[0]), 1, -1)

    with pytest.raises(export.Disparity, match="length of its batch"):
        export.to_onnx(Long(), (torch.randn(4, 6),), torch.ones(1), {})


def test_onnx_that_differs_ends_with_one_and_leaves_no_file(runs, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    honest = torch.onnx.export

    def spoiled(generator, *asked, **options):
        generator = copy.deepcopy(generator)
        next(generator.generator.parameters()).view(-1)[0].add_(0.01)
        return honest(generator, *asked, **options)

    monkeypatch.setattr(torch.onnx, "export", spoiled)
    code, said = export_by_command(runs["vectors"].directory, "--out", tmp_path / "g.onnx")
    assert code == 1 and "is not written" in said and len(said.strip().splitlines()) == 1, said
    assert list(tmp_path.iterdir()) == []


def test_a_difference_that_is_no_number_is_not_small(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "to_onnx", lambda *_: (b"model", float("nan")))
    with pytest.raises(export.Disparity, match="nan apart"):
        export.export(runs["vectors"], tmp_path / "g.onnx")
    monkeypatch.setattr(export, "to_onnx", lambda *_: (b"model", export.TOLERANCE))
    export.export(runs["vectors"], tmp_path / "g.onnx")
    assert (tmp_path / "g.onnx").read_bytes() == b"model"


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_one_line_names_it(runs, tmp_path, monkeypatch, missing):
    pytest.importorskip("onnxscript")
    monkeypatch.setitem(sys.modules, missing, None)
    code, said = export_by_command(runs["vectors"].directory, "--out", tmp_path / "g.onnx")
    assert code == 2 and "pip install 'ganzfeld[onnx]'" in said and len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERY)
def test_a_pair_is_restored_bit_for_bit_and_rolls_no_dice(runs, tmp_path, name):
    run, out = runs[name], tmp_path / "g.safetensors"
    member = run.members - 1
    assert export_by_command(run.directory, "--out", out, "--member", member)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.json", "g.safetensors"]
    rng = torch.get_rng_state()
    for path in (out, tmp_path / "g.json"):
        module = export.restore(path)
        assert torch.equal(module(*given(run, randomness.BLOCK_ROWS)), run.sample(randomness.BLOCK_ROWS, 5, member))
    assert torch.equal(torch.get_rng_state(), rng)
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    facts = json.loads((tmp_path / "g.json").read_text())
    assert facts["network"] == ("mlp" if name == "vectors" else "dcgan") and facts["sizes"]["width"] == 8
    assert facts["classes"] == list(run.classes) and facts["shape"] == list(run.game.shape)
    assert (facts["paper"], facts["citation"]) == (run.facts["paper"], run.facts["citation"])
    assert facts["units"] == run.facts["data"]["units"] and facts["seed"] == member


@pytest.mark.parametrize(("name", "classes"), MAKERS)
def test_every_generator_of_the_table_is_restored_bit_for_bit(name, classes):
    generator, inputs, shape, sizes = standing(name, classes)
    weights, facts = export.pack(
        generator,
        {
            "format": export.FORMAT, "network": name, "sizes": sizes, "shape": list(shape),
            "classes": ["class"] * classes, "units": {"shift": [0.25], "scale": [2.0]},
        },
    )  # fmt: skip
    again = export.unpack(weights, json.loads(json.dumps(facts)))
    assert torch.equal(again(*inputs), generator(*inputs))
    assert again.state_dict().keys() == generator.state_dict().keys()


@pytest.fixture
def pair(runs, tmp_path):
    export.export(runs["plain"], tmp_path / "g.safetensors")
    return tmp_path / "g.safetensors"


SPOILS = {
    "a name to import": ({"network": "os.system"}, "no network named 'os.system'"),
    "a misspelt name": ({"network": "dcgna"}, "did you mean 'dcgan'?"),
    "no name": ({"network": ["dcgan"]}, "not the description of a generator"),
    "another network": ({"network": "sndcgan"}, "no size of sndcgan"),
    "another width": ({"sizes": {"width": 4, "latent": 12}}, "does not fit"),
    "a size that is none": ({"sizes": {"width": "__import__('os')"}}, "width must be a whole number"),
    "another shape": ({"shape": [1, 9, 9]}, "square pictures"),
    "units of another number": ({"units": {"shift": [0.0] * 3, "scale": [1.0] * 3}}, "units"),
    "no units": ({"units": None}, "not the description of a generator"),
    "another format": ({"format": 99}, "format 99"),
    "other weights": ({"sha256": "0" * 64}, "not those that were described"),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_description_that_does_not_fit_is_refused_in_one_line(pair, spoil):
    values, match = SPOILS[spoil]
    path = pair.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(ValueError, match="(?s)" + match.replace("?", r"\?")) as refused:
        export.restore(pair)
    assert "\n" not in str(refused.value)


def test_damaged_weights_and_half_a_pair_are_refused(pair):
    honest = pair.read_bytes()
    pair.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged"):
        export.restore(pair)
    pair.write_bytes(honest)
    assert export.restore(pair)(torch.zeros(2, 12)).shape == (2, 1, 8, 8)
    pair.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match="g.json is missing"):
        export.restore(pair)


def test_a_pair_that_would_read_back_as_another_is_not_written(runs, tmp_path, monkeypatch):
    honest = export.describe
    monkeypatch.setattr(export, "describe", lambda *a: {**honest(*a), "units": {"shift": [0.5], "scale": [1.0]}})
    code, said = export_by_command(runs["plain"].directory, "--out", tmp_path / "g.safetensors")
    assert code == 1 and "makes other samples" in said
    assert list(tmp_path.iterdir()) == []


def test_a_game_of_ones_own_has_no_name_to_be_restored_by(tmp_path):
    rows = gz.data.load(vectors(tmp_path))
    game = gz.papers.ns_gan(rows, gz.MLP(width=8, depth=1), batch_size=16)
    run = gz.train(game, rows, out=tmp_path / "run", steps=8)
    with pytest.raises(ValueError, match=r"write \.onnx"):
        export.export(run, tmp_path / "g.safetensors")
    if pytest.importorskip("onnxscript"):
        export.export(run, tmp_path / "g.onnx")
        theirs = onnx_session(str(tmp_path / "g.onnx")).run(None, {"z": given(run, 3)[0].numpy()})[0]
        np.testing.assert_allclose(theirs, run.sample(3, 5).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_a_folder_for_the_hub_is_made_offline_and_its_three_lines_run(runs, tmp_path, monkeypatch, name):
    def online(*_):
        raise AssertionError("nothing is sent")

    monkeypatch.setattr(socket, "socket", online)
    run, out = runs[name], tmp_path / "hub"
    assert export_by_command(run.directory, "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(export.HUB_FILES)
    assert torch.equal(export.restore(out)(*given(run, randomness.BLOCK_ROWS)), run.sample(randomness.BLOCK_ROWS, 5))
    with Image.open(out / "samples.png") as picture:
        assert min(picture.size) > 100
    text = (out / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["library_name"] == "ganzfeld" and "license" in head and {"gan", run.facts["paper"]} <= set(head["tags"])
    assert ("pipeline_tag" in head) == (name == "plain")
    assert run.facts["citation"] in text and run.facts["data"]["fingerprint"] in text
    last = files.read_lines(run.directory / "metrics.jsonl")[-1]
    for metric, value in last["metrics"].items():
        assert f"| {metric} | {value['per_member'][0]:.4g} |" in text
    assert f"Judged at step {last['step']}." in text and "perfect_is: " in text
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) == 3
    monkeypatch.chdir(out)
    said: dict = {}
    exec(code, said)
    assert said["x"].shape == (16, *run.game.shape)


def test_a_folder_does_not_tell_where_the_data_lay(runs, tmp_path):
    run = runs["vectors"]
    where = os.path.dirname(run.facts["plan"]["data"])
    assert len(where) > 1
    export.export(run, tmp_path / "hub")
    for name in ("README.md", "config.json"):
        text = (tmp_path / "hub" / name).read_text()
        assert "x.npy" in text and where not in text


def test_a_card_says_what_was_not_judged_or_not_defined(runs, tmp_path, monkeypatch):
    run = runs["vectors"]
    last = files.read_lines(run.directory / "metrics.jsonl")[-1]
    last["metrics"]["w1"]["per_member"][1] = None
    monkeypatch.setattr(files, "read_lines", lambda _: [last])
    assert "| w1 | not defined |" in export.model_card(run, 1) and "Over the 2 seeds" in export.model_card(run, 1)
    monkeypatch.setattr(files, "read_lines", lambda _: [])
    assert "It was not judged." in export.model_card(run)


@pytest.mark.parametrize("form", ["g.onnx", "g.safetensors", "hub"])
def test_what_is_there_is_written_over_by_force_alone(runs, tmp_path, monkeypatch, form):
    monkeypatch.setattr(export, "to_onnx", lambda *_: (b"model", 0.0))
    run, out = runs["vectors"].directory, tmp_path / form
    taken = out / "README.md" if form == "hub" else tmp_path / ("g.json" if form == "g.safetensors" else form)
    taken.parent.mkdir(exist_ok=True)
    taken.write_text("mine")
    code, said = export_by_command(run, "--out", out)
    assert code == 2 and "--force" in said and len(said.strip().splitlines()) == 1
    assert taken.read_text() == "mine" and [path for path in tmp_path.rglob("*") if path.is_file()] == [taken]
    assert export_by_command(run, "--out", out, "--force")[0] == 0
    assert taken.read_bytes() != b"mine" and not list(tmp_path.rglob("*.tmp"))


def test_names_that_cannot_be_written_are_refused_before_the_work(runs, tmp_path):
    (tmp_path / "file").write_text("x")
    for words, match in (
        ([tmp_path / "none", "--out", tmp_path / "g.pt"], ".onnx or .safetensors"),
        ([tmp_path / "none", "--out", tmp_path / "file"], "is a file"),
        ([tmp_path / "none", "--out", tmp_path / "g.onnx"], "no such run"),
        ([runs["vectors"].directory, "--out", tmp_path / "hub", "--member", 2], "there is no member 2"),
    ):
        code, said = export_by_command(*words)
        assert code == 2 and match in said and len(said.strip().splitlines()) == 1, said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_weights_on_disk_are_the_average_and_the_standing_statistics(runs, pair):
    held = load_file(pair)
    module = runs["plain"].generator().generator
    assert held.keys() == module.state_dict().keys()
    assert any(name.endswith("running_var") and leaf.std() > 0 for name, leaf in held.items())
