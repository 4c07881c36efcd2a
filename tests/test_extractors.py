"""Extractors: what they learn, that they learn it the same way each time, and Inception against the published one."""

import dataclasses
import gzip
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

import ganzfeld as gz
from ganzfeld import metrics
from ganzfeld.core.randomness import generator
from ganzfeld.data import Labels
from ganzfeld.judging import extractors
from ganzfeld.judging.extractors import inceptionv3, learned


@pytest.fixture(scope="module")
def digits():
    return gz.data.digits().as_pictures()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def taught(digits, cache):
    return extractors.classifier(digits, cache=cache)


@pytest.fixture
def hasty(monkeypatch):
    """Two epochs, where what is learned does not matter."""
    monkeypatch.setattr(learned, "EPOCHS", 2)


def share(extractor, x, classes):
    return float((extractor.logits(x).argmax(1) == classes).double().mean())


# a classifier


def test_a_classifier_learns_the_classes_and_says_how_well(digits, taught):
    test = share(taught, digits.part("test"), digits.labels.test)
    assert taught.accuracy > 0.95 < test
    assert (taught.dimensions, taught.classes, taught.task) == (128, 10, "labels")
    assert taught.features(digits.part("test", 7)).shape == (7, 128)
    told = {"extractor", "dimensions", "digest", "resizer", "task", "accuracy"}
    assert taught.facts.keys() == told
    assert taught.facts["resizer"] == "none (8 x 8)"


def test_without_classes_it_learns_which_way_is_up(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "EPOCHS", 8)
    blind = extractors.classifier(dataclasses.replace(digits, labels=None), cache=tmp_path)
    assert (blind.task, blind.classes) == ("rotations", 4)
    x, turns = learned.quarter_turns(digits.part("test"))
    assert blind.accuracy > 0.85 < share(blind, x, turns)
    assert share(blind, x, (turns + 1) % 4) < 0.1


def test_turns_are_quarter_turns():
    x = torch.arange(8.0).view(2, 1, 2, 2)
    out, turns = learned.quarter_turns(x)
    assert turns.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert torch.equal(out[2:4], x.transpose(2, 3).flip(2))
    assert torch.equal(out[4:6], x.flip(2, 3))


def test_what_is_learned_depends_on_data_and_seed_alone(digits, hasty, tmp_path):
    def digest(folder, seed=0, data=digits):
        return extractors.classifier(data, seed, tmp_path / folder).digest

    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = digest("a")
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            assert digest("b") == first
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert digest("a", seed=1) != first
    relabelled = Labels(digits.labels.train.flip(0), digits.labels.valid, digits.labels.test, digits.labels.names)
    assert digest("a", data=dataclasses.replace(digits, labels=relabelled)) != first


def test_neither_validation_nor_test_rows_are_read(digits, hasty, tmp_path):
    first = extractors.classifier(digits, cache=tmp_path)
    other = extractors.classifier(
        digits.replace_parts(valid=digits.valid.flip(0), test=digits.test[:9]), cache=tmp_path
    )
    assert (first.digest, first.accuracy) == (other.digest, other.accuracy)
    assert len(list(tmp_path.iterdir())) == 2
    lesson, held = learned._split_lessons(digits, "labels", 0)
    assert len(lesson.pictures) + len(held.pictures) == digits.rows
    assert len(torch.cat([lesson.pictures, held.pictures]).flatten(1).unique(dim=0)) == digits.rows


def test_what_was_learned_is_read_again_to_the_bit(digits, taught, cache, monkeypatch):
    monkeypatch.setattr(learned, "_learn", None)
    again = extractors.classifier(digits, cache=cache)
    x = digits.part("test")
    assert torch.equal(again.features(x), taught.features(x))
    assert (again.digest, again.accuracy) == (taught.digest, taught.accuracy)
    monkeypatch.setenv("GANZFELD_CACHE", str(cache))
    assert extractors.classifier(digits).digest == taught.digest


@pytest.mark.parametrize("damage", ["cut short", "one bit", "another's", "empty"])
def test_a_damaged_file_is_reported_and_learned_anew(digits, hasty, tmp_path, damage):
    first = extractors.classifier(digits, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    broken = {"cut short": whole[:-9], "one bit": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "empty": b""}
    if damage == "another's":
        extractors.classifier(digits, seed=1, cache=tmp_path)
        shutil.copy(next(other for other in tmp_path.iterdir() if other != path), path)
    else:
        path.write_bytes(broken[damage])
    with pytest.warns(UserWarning, match="is damaged .* learned anew"):
        again = extractors.classifier(digits, cache=tmp_path)
    assert again.digest == first.digest
    assert path.read_bytes() == whole
    assert all(path.suffix == ".safetensors" for path in tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_reported(digits, hasty, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="is not kept"):
        assert extractors.classifier(digits, cache=tmp_path / "file").dimensions == 128


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (1, 28, 28), (3, 9, 17), (3, 64, 64), (1, 128, 128)])
def test_pictures_of_any_size_have_128_features(shape):
    network = learned.Convolutions(shape).eval()
    assert network(torch.zeros(2, *shape)).shape == (2, 128)
    kinds = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    assert kinds[-1].out_channels == 128
    assert all(layer.out_channels >= 16 for layer in kinds)


def test_few_pictures_are_enough_to_run(hasty, tmp_path):
    x = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = gz.data.Data("few", x[2:], x[:1], x[1:2], gz.data.PICTURE, "pictures")
    found = extractors.classifier(data, cache=tmp_path)
    assert found.features(data.part("test")).isfinite().all()
    assert 0 <= found.accuracy <= 1


def test_what_no_classifier_can_learn_is_refused(digits, tmp_path):
    with pytest.raises(ValueError, match="a classifier needs pictures"):
        extractors.classifier(gz.data.ring8(), cache=tmp_path)
    flat = dataclasses.replace(digits, train=digits.train[:, :, :6], labels=None)
    with pytest.raises(ValueError, match=r"pictures of \(6, 8\) cannot be told by their turn"):
        extractors.classifier(flat, cache=tmp_path)


FASHION = Path(__file__).parents[2] / "shared/data/fashion-mnist"


@pytest.mark.skipif(not FASHION.exists(), reason="needs the Fashion-MNIST files beside the checkout")
def test_real_pictures_of_28_pixels_are_learned(monkeypatch, tmp_path):
    monkeypatch.setattr(learned, "PASSES", 10_000)

    def read(name, skip):
        raw = bytearray(gzip.decompress((FASHION / name).read_bytes()))
        return torch.frombuffer(raw, dtype=torch.uint8)[skip:]

    x = read("t10k-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)
    y = read("t10k-labels-idx1-ubyte.gz", 8).long()
    labels = Labels(y[:8_000], y[8_000:9_000], y[9_000:], tuple("0123456789"))
    data = gz.data.Data("fashion", x[:8_000], x[8_000:9_000], x[9_000:], gz.data.PICTURE, "pictures", labels=labels)
    found = extractors.classifier(data, cache=tmp_path)
    test = share(found, data.part("test"), labels.test)
    assert test > 0.8
    assert found.accuracy == pytest.approx(test, abs=0.05)
    assert found.features(data.part("test")).std(0).min() > 0


# stacked digits


def stacked(digits, rows=600):
    """Three digits in three channels, and the number they make."""

    def part(name):
        x, y = getattr(digits, name), getattr(digits.labels, name)
        dealt = torch.randint(len(x), (rows, 3), generator=generator("stacked", name))
        return x[dealt].squeeze(2), (y[dealt] * torch.tensor([100, 10, 1])).sum(1)

    pictures, classes = zip(*map(part, ("train", "valid", "test")), strict=True)
    labels = Labels(*classes, tuple(f"{i:03}" for i in range(1_000)))
    return gz.data.Data("stacked", *pictures, gz.data.PICTURE, "pictures", labels=labels)


def test_stacked_digits_are_read_channel_by_channel(digits, tmp_path):
    data = stacked(digits)
    found = extractors.classifier(data, cache=tmp_path)
    assert (found.dimensions, found.classes, found.task) == (384, 1_000, "digits of each channel")
    x, y = data.part("test"), data.labels.test
    assert found.accuracy > 0.95
    assert share(found, x, y) > 0.85
    backwards = y % 10 * 100 + y // 10 % 10 * 10 + y // 100
    assert share(found, x, backwards) < 0.2
    one = found.features(x)[:, 128:256]
    assert torch.equal(one, found.module.network(x[:, 1:2]))


def test_a_thousand_classes_of_other_names_are_not_stacked_digits(digits):
    data = stacked(digits, rows=3)
    assert extractors.has_stacked_digits(data)
    named = dataclasses.replace(data.labels, names=tuple(f"n{i + 1:03}" for i in range(1_000)))
    assert not extractors.has_stacked_digits(dataclasses.replace(data, labels=named))
    assert not extractors.has_stacked_digits(digits)


# values


def test_values_are_the_numbers_themselves(digits):
    x = digits.part("test")
    found = extractors.values(digits.shape)
    assert torch.equal(found.features(x), x.flatten(1))
    assert found.facts == {"extractor": "values", "dimensions": 64}
    with pytest.raises(ValueError, match="values knows no classes"):
        found.logits(x)


# Inception


def weights(shapes):
    """Weights that keep the variance, each dealt by its name."""

    def dealt(name, shape):
        rng = generator("inception", name)
        if name.endswith("running_var"):
            return torch.rand(shape, generator=rng) + 0.5
        noise = torch.randn(shape, generator=rng)
        if name.endswith("bn.weight"):
            return 1 + 0.1 * noise
        return noise * (2 / shape[1:].numel()) ** 0.5 if len(shape) > 1 else 0.1 * noise

    return {name: dealt(name, shape) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def dealt():
    with torch.device("meta"):
        shapes = {name: w.shape for name, w in inceptionv3.Inception().state_dict().items()}
    return weights(shapes)


@pytest.fixture(scope="module")
def file(dealt, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "weights.safetensors"
    save_file(dealt, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def inception(file):
    return extractors.inception(file)


def pictures(n, seed=0, channels=3):
    return torch.rand(n, channels, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_inception_is_the_published_network(inception):
    """Recorded from torchvision's inception_v3 of 1,008 classes with the patches of the FID port, on these weights."""
    assert sum(w.numel() for w in inception.module.parameters()) == 23_850_960
    x = pictures(3)
    found = inception.features(x)
    assert found.shape == (3, 2_048)
    first = torch.tensor([0.0, 0.21292, 2.90438, 1.91563, 0.0, 1.83152, 1.55702, 0.33745])
    torch.testing.assert_close(found[0, :8], first, rtol=1e-3, atol=1e-3)
    assert float(found.double().mean()) == pytest.approx(1.0548188671, rel=1e-4)
    assert float(found.double().square().mean()) == pytest.approx(3.0034649287, rel=1e-4)
    assert inception.head(found).shape == (3, 1_008)


def test_inception_gives_the_same_for_the_same_weights(inception, file, dealt):
    x = pictures(2)
    again = extractors.inception(file)
    assert torch.equal(again.features(x), inception.features(x))
    assert again.digest == inception.digest == extractors.weights_digest(dealt)
    assert inception.facts["resizer"].startswith("bilinear to 299 x 299")


def test_grey_pictures_are_seen_in_three_channels_and_299_pixels_as_they_are(inception):
    grey = pictures(2, channels=1)
    assert torch.equal(inception.features(grey), inception.features(grey.expand(-1, 3, -1, -1)))
    large = F.interpolate(grey, size=(299, 299), mode="bilinear")
    torch.testing.assert_close(inception.features(large), inception.features(grey))
    assert not torch.allclose(inception.features(F.interpolate(grey, size=(299, 299))), inception.features(grey))


@pytest.mark.parametrize("quirk", ["padding counts", "the last pool is a mean"])
def test_the_quirks_of_the_port_are_part_of_the_number(inception, monkeypatch, quirk):
    def counted(x):
        return F.avg_pool2d(x, 3, stride=1, padding=1)

    x = pictures(1)
    found = inception.features(x)
    for name, block in inception.module.named_children():
        if isinstance(block, inceptionv3.Block):
            last = block.branches[-1]
            pool = counted if quirk == "padding counts" and last.pool is inceptionv3._mean_pool else last.pool
            if quirk != "padding counts" and name == "Mixed_7c":
                assert last.pool is inceptionv3._max_pool
                pool = inceptionv3._mean_pool
            monkeypatch.setattr(block, "branches", (*block.branches[:-1], last._replace(pool=pool)))
    assert (inception.features(x) - found).abs().max() > 0.01


def test_weights_that_do_not_fit_are_refused_in_one_line(file, tmp_path, monkeypatch):
    whole = load_file(file)
    short = {name: w for name, w in whole.items() if name != "fc.bias"}
    path = tmp_path / "w.safetensors"

    def refused(found, what):
        monkeypatch.setattr(inceptionv3, "load_file", lambda path: found)
        with pytest.raises(ValueError, match=what) as error:
            extractors.inception(path)
        assert "\n" not in str(error.value)

    refused(short, r"does not hold the FID port of Inception-v3: names 1 missing \(fc.bias\)")
    refused({**whole, "AuxLogits.fc.bias": whole["fc.bias"]}, r"1 unknown \(AuxLogits.fc.bias\)")
    refused({**short, "fc.bias": torch.zeros(1_000)}, r"1 of another shape \(fc.bias\)")
    counted = {**whole, "Conv2d_1a_3x3.bn.num_batches_tracked": torch.zeros(1)}
    monkeypatch.setattr(inceptionv3, "load_file", lambda path: counted)
    assert extractors.inception(path).digest == extractors.weights_digest(whole)


def test_files_that_hold_no_weights_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="there are no weights of Inception-v3 at"):
        extractors.inception(tmp_path / "absent.safetensors")
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"PK\x03\x04 a pickle of old")
    with pytest.raises(ValueError, match="is not a .safetensors file"):
        extractors.inception(str(path))


# against torchmetrics


class Double(nn.Module):
    """An extractor's module as torchmetrics wants it, in float64 and perhaps with its first features only."""

    def __init__(self, extractor, most):
        super().__init__()
        self.extractor, self.num_features = extractor, most

    def forward(self, x):
        return self.extractor.module(x)[:, : self.num_features].double()


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
@pytest.mark.parametrize("name", ["classifier", "inception"])
def test_distances_on_an_extractor_are_those_of_torchmetrics(name, request, digits):
    fid = pytest.importorskip("torchmetrics.image.fid", exc_type=ImportError)
    kid = pytest.importorskip("torchmetrics.image.kid", exc_type=ImportError)
    if name == "classifier":
        found, most = request.getfixturevalue("taught"), 128
        x, y = digits.part("valid"), digits.part("test")
    else:  # torchmetrics takes half a minute for the roots of all 2,048
        found, most = request.getfixturevalue("inception"), 64
        x, y = pictures(3), pictures(3, seed=1).abs()
    theirs = [fid.FrechetInceptionDistance(feature=Double(found, most))]
    theirs += [kid.KernelInceptionDistance(Double(found, found.dimensions), subsets=1, subset_size=len(x))]
    for metric in theirs:
        metric.update(y, real=True)
        metric.update(x, real=False)
    a, b = found.features(x), found.features(y)
    assert metrics.frechet_distance(a[:, :most], b[:, :most]) == pytest.approx(float(theirs[0].compute()), rel=1e-6)
    assert metrics.kernel_distance(a, b) == pytest.approx(float(theirs[1].compute()[0]), rel=1e-8)
