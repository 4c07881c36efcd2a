"""Judges of pictures: every number is one of its extractor, of equal counts, and read beside held-out pictures."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

import ganzfeld as gz
from ganzfeld import metrics
from ganzfeld.core.randomness import generator
from ganzfeld.data import Labels
from ganzfeld.judging import extractors, judges
from ganzfeld.judging.extractors import Extractor, learned

FEATURES = ("fd", "kd", "precision", "recall", "density", "coverage")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Digits as pictures, and what they are judged with kept in a folder of this file's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANZFELD_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("GANZFELD_INCEPTION", raising=False)
        yield gz.data.digits().as_pictures()


@pytest.fixture(scope="module")
def eye(digits):
    return judges._classifier(digits)


def means(judged):
    return {name: value["mean"] for name, value in judged["metrics"].items()}


def noise(n, shape=(1, 8, 8)):
    return torch.rand(n, *shape, generator=generator("noise")) * 2 - 1


def test_numbers_are_those_of_their_functions_on_equal_counts_of_features(digits, eye):
    x = digits.part("train")
    judged = judges.judge([x], digits)
    n = len(digits.test)
    a, b = (eye.features(judges._quantise(part, digits)) for part in (x[:n], digits.part("test")))
    found = means(judged)
    assert tuple(found) == FEATURES
    assert found["fd"] == metrics.frechet_distance(a, b)
    assert found["kd"] == metrics.kernel_distance(a, b)
    assert (found["precision"], found["recall"]) == metrics.precision_recall(a, b, 3)
    assert (found["density"], found["coverage"]) == metrics.density_coverage(a, b, 5)


def test_every_number_tells_its_extractor_and_its_counts(digits, eye):
    told = judges.judge([digits.part("train", 200), digits.part("train", 100)], digits)["provenance"]
    for name in FEATURES:
        fact = told[name]
        assert (fact["extractor"], fact["digest"], fact["dimensions"]) == ("classifier", eye.digest, 128)
        assert fact["accuracy"] == eye.accuracy > 0.9
        assert fact["resizer"] == "none (8 x 8)"
        assert (fact["samples"], fact["held_out"], fact["perfect_samples"]) == (100, 100, 100)
    assert (told["samples"], told["held_out"]) == (100, 100)
    assert (told["precision"]["neighbours"], told["coverage"]["neighbours"]) == (3, 5)
    assert told["fingerprint"] == digits.fingerprint
    json.dumps(told, allow_nan=False)


def test_a_perfect_sampler_is_as_good_as_the_floor_and_noise_is_not(digits):
    real, fake = judges.judge([digits.part("train")], digits), judges.judge([noise(500)], digits)
    floor = real["provenance"]["perfect"]
    assert floor == fake["provenance"]["perfect"]
    assert means(real)["fd"] < 2 * floor["fd"] < 20 * floor["fd"] < means(fake)["fd"]
    assert abs(means(real)["kd"]) < 0.05 < 1 < means(fake)["kd"]
    for name in ("precision", "recall", "density", "coverage"):
        assert means(real)[name] > floor[name] - 0.15
        assert means(fake)[name] < 0.2


def test_a_dropped_half_costs_recall_and_coverage_and_not_precision(digits):
    low = digits.part("train")[digits.labels.train < 5]
    found, floor = means(judges.judge([low], digits)), judges.judge([low], digits)["provenance"]["perfect"]
    assert found["precision"] > floor["precision"] - 0.1
    assert found["recall"] < floor["recall"] - 0.2
    assert found["coverage"] < floor["coverage"] - 0.2


def test_held_out_pictures_are_seen_once_for_all_judgements_of_a_run(digits, monkeypatch):
    counts = []
    features = Extractor.features
    monkeypatch.setattr(Extractor, "features", lambda self, x: counts.append(len(x)) or features(self, x))
    data = dataclasses.replace(digits)  # data that no one has judged yet
    for _ in range(3):
        judges.judge([noise(50)], data)
    # the test part, four draws of validation rows, and the samples three times
    assert counts == [50, 50, *[50] * 4, 50, 50]


def test_pictures_are_judged_as_they_are_saved(digits):
    x = noise(60)
    bytes_ = ((x + 1) * 127.5).round().to(torch.uint8)
    found = means(judges.judge([x], digits))
    assert means(judges.judge([bytes_], digits)) == found
    beyond = torch.where(x.abs() > 0.9, x.sign() * 5, x)
    clipped = torch.where(x.abs() > 0.9, x.sign(), x)
    assert means(judges.judge([beyond], digits)) == means(judges.judge([clipped], digits)) != found


def test_samples_that_are_not_finite_are_nan_and_of_no_class(digits):
    x = noise(60)
    x[3, 0, 0, 0] = math.nan
    names = [*FEATURES, "modes", "reverse_kl"]
    found = means(judges.judge([x], digits, names))
    assert all(math.isnan(found[name]) for name in FEATURES)
    assert found["modes"] == means(judges.judge([torch.cat([x[:3], x[4:]])], digits, names))["modes"]
    lost = means(judges.judge([x * math.nan], digits, ["modes", "reverse_kl"]))
    assert (lost["modes"], lost["reverse_kl"]) == (0, math.inf)


def test_transport_may_be_asked_for_and_is_one_of_pixels(digits):
    x, held = digits.part("train", 100), digits.part("test", 100)
    found = means(judges.judge([x], digits, ["w1", "sliced_w1"]))
    a, b = (judges._quantise(part, digits).flatten(1) for part in (x, held))
    assert found == {"w1": metrics.w1(a, b), "sliced_w1": metrics.sliced_w1(a, b)}


def test_vectors_keep_their_metrics_and_may_be_asked_for_those_of_features():
    ring = gz.data.ring8()
    ring = ring.replace_parts(valid=ring.valid[:300], test=ring.test[:300])
    assert judges.metrics_for(gz.data.digits()) == ("fd", "w1", "sliced_w1")
    x = ring.restore("train", 300)
    judged = judges.judge([x], ring, ["kd", "coverage"])
    held = ring.restore("test", 300)
    assert means(judged)["coverage"] == metrics.density_coverage(x, held).coverage
    assert judged["provenance"]["coverage"] == {
        "extractor": "values", "dimensions": 2, "neighbours": 5, "samples": 300,
    }  # fmt: skip


# classes


def stacked(digits, rows=600):
    """Three digits in three channels, and the number they make."""

    def part(name):
        x, y = getattr(digits, name), getattr(digits.labels, name)
        dealt = torch.randint(len(x), (rows, 3), generator=generator("stacked", name))
        return x[dealt].squeeze(2), (y[dealt] * torch.tensor([100, 10, 1])).sum(1)

    pictures, classes = zip(*map(part, ("train", "valid", "test")), strict=True)
    labels = Labels(*classes, tuple(f"{i:03}" for i in range(1_000)))
    return gz.data.Data("stacked", *pictures, gz.data.PICTURE, "pictures", labels=labels)


def test_modes_of_stacked_digits_are_counted_among_all_samples(digits):
    data = stacked(digits)
    assert judges.metrics_for(data) == ("modes", "reverse_kl", *FEATURES)
    x = digits.part("train")[torch.randint(digits.rows, (5_000, 3), generator=generator("many"))].squeeze(2)
    judged = judges.judge([x], data, ["modes", "reverse_kl"])
    told = judged["provenance"]
    assert told["modes_total"] == 1_000
    assert told["reverse_kl_floor"] == 999 / 10_000
    assert (told["modes"]["samples"], told["modes"]["perfect_samples"]) == (5_000, 600)
    assert told["modes"]["task"] == "digits of each channel"
    assert means(judged)["modes"] > 980 > told["perfect"]["modes"]  # 600 held-out rows cannot cover a thousand
    assert 0.8 * 999 / 10_000 < means(judged)["reverse_kl"] < 1.5 * 999 / 10_000
    same = x[:, :1].expand(-1, 3, -1, -1)
    assert means(judges.judge([same], data, ["modes"]))["modes"] < 60


def test_modes_of_labelled_pictures_may_be_asked_for(digits):
    low = digits.part("train")[digits.labels.train < 5]
    found = means(judges.judge([low], digits, ["modes", "reverse_kl"]))
    assert 5 <= found["modes"] <= 6
    assert found["reverse_kl"] == pytest.approx(math.log(2), abs=0.05)


# what cannot be judged


def test_what_this_data_cannot_have_is_refused(digits):
    x = noise(20)
    with pytest.raises(ValueError, match="no metric named 'fdd'; did you mean 'fd'"):
        judges.judge([x], digits, ["fdd"])
    with pytest.raises(ValueError, match="high_quality needs a world whose modes are known"):
        judges.judge([x], digits, ["high_quality"])
    with pytest.raises(ValueError, match="modes needs a world whose modes are known"):
        judges.judge([x], dataclasses.replace(digits, labels=None), ["modes"])
    with pytest.raises(ValueError, match=r"fid needs pictures and the weights .* GANZFELD_INCEPTION .* ask for fd"):
        judges.judge([x], digits, ["fid"])
    with pytest.raises(ValueError, match="kid needs pictures"):
        judges.judge([torch.zeros(9, 2)], gz.data.ring8(), ["kid"], inception="weights")
    with pytest.raises(ValueError, match=r"samples have shape \(1, 9, 9\)"):
        judges.judge([noise(9, (1, 9, 9))], digits)
    with pytest.raises(ValueError, match="coverage takes 6 or more samples.* there are 5"):
        judges.judge([x[:5]], digits, ["coverage"])


def test_too_few_held_out_pictures_are_judged_by_what_is_left(digits):
    few = digits.replace_parts(valid=digits.valid[:5])
    assert judges.metrics_for(few) == ("sliced_w1",)
    assert means(judges.judge([noise(20)], few))["sliced_w1"] > 0


def test_classes_diverge_from_those_of_the_training_part_and_stacked_digits_from_uniform_ones(digits):
    """Nine tenths of a class are no fault where the data have them: a perfect sampler is at 0, a uniform one is not."""
    codes = digits.labels.train % 10
    keep = torch.cat([(codes == 1).nonzero()[:90], (codes == 0).nonzero()[:10]]).flatten()
    labels = dataclasses.replace(digits.labels, train=codes[keep])
    rare = dataclasses.replace(digits.replace_parts(train=digits.train[keep]), labels=labels)
    shares = judges._true_shares(rare)
    assert shares[:2].tolist() == [0.1, 0.9] and not shares[2:].any()
    stacked = dataclasses.replace(
        rare, labels=Labels(codes[:3], codes[:3], codes[:3], tuple(f"{i:03}" for i in range(1000)))
    )
    three = dataclasses.replace(stacked, train=torch.zeros(3, 3, 8, 8))
    assert extractors.has_stacked_digits(three) and judges._true_shares(three).unique().tolist() == [1 / 1000]


# Inception


def test_weights_of_inception_add_its_numbers_and_no_other_may_have_their_names(digits, monkeypatch, tmp_path):
    small = Extractor("inception", nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), 16, "abc", "none", task="ImageNet")
    loaded = []
    monkeypatch.setattr(extractors, "inception", lambda path: loaded.append(path) or small)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"")
    assert judges.metrics_for(digits) == FEATURES
    judged = judges.judge([noise(60)], digits, inception=str(path))
    assert tuple(judged["metrics"]) == (*FEATURES, "fid", "kid")
    a, b = (small.features(judges._quantise(x, digits)) for x in (noise(60), digits.part("test", 60)))
    assert means(judged)["fid"] == metrics.frechet_distance(a, b) != means(judged)["fd"]
    assert means(judged)["kid"] == metrics.kernel_distance(a, b)
    assert judged["provenance"]["fid"]["digest"] == "abc"
    monkeypatch.setenv("GANZFELD_INCEPTION", str(path))
    assert judges.judge([noise(60)], digits, ["fid"])["metrics"]["fid"] == judged["metrics"]["fid"]
    assert loaded == [path]


def test_weights_that_are_not_there_are_an_error_of_one_line(digits, tmp_path):
    with pytest.raises(ValueError, match="there are no weights of Inception-v3 at"):
        judges.judge([noise(20)], digits, ["kid"], inception=tmp_path / "absent")


# memorised


def test_copies_of_training_pictures_are_found_and_new_pictures_are_not_copies(digits):
    x = torch.cat([digits.part("train")[[700, 3]], digits.part("test", 2)])
    found = judges.nearest_copies(x, digits, n=4, k=2)
    assert found.keys() == {"pixels", "features"}
    assert found["pixels"].distances[:2, 0].tolist() == [0, 0]
    for near in found.values():
        assert near.indices[:2, 0].tolist() == [700, 3]
        assert near.distances[:2, 0].max() <= 1e-5 * near.usual  # features round by the batch they are taken in
        assert (near.distances[:, 1:] >= near.distances[:, :1]).all()
        assert near.pictures.shape == (4, 2, 1, 8, 8)
        assert torch.equal(near.pictures, digits.take(near.indices))
        assert 0 < near.usual < 4 * float(near.distances[2:, 0].min())


def test_the_nearest_are_those_of_a_loop_however_much_is_read_at_once(digits, eye, monkeypatch):
    x = noise(3)
    whole = judges.nearest_copies(x, digits, eye, n=2)
    for space, see in (("pixels", lambda rows: rows.flatten(1)), ("features", eye.features)):
        a, b = (see(judges._quantise(rows, digits)).double() for rows in (x[:2], digits.part("train")))
        far = torch.stack([(b - row).norm(dim=1) for row in a])
        torch.testing.assert_close(whole[space].distances[:, 0], far.min(1).values)
        assert torch.equal(whole[space].indices[:, 0], far.argmin(1))
    monkeypatch.setattr(judges, "BLOCK_NUMBERS", 64 * 100)
    for space, near in judges.nearest_copies(x, digits, eye, n=2).items():
        assert torch.equal(near.indices, whole[space].indices)


def test_vectors_are_searched_by_value_in_their_own_units():
    grid = gz.data.grid25()
    x = grid.restore("train", 3)
    found = judges.nearest_copies(x, grid)
    assert found.keys() == {"pixels"}
    assert found["pixels"].indices[:, 0].tolist() == [0, 1, 2]
    torch.testing.assert_close(found["pixels"].pictures[:, 0], x)
    with pytest.raises(ValueError, match=r"samples have shape \(3,\)"):
        judges.nearest_copies(torch.zeros(2, 3), grid)


def test_stacked_digits_are_judged_on_as_many_samples_as_the_literature_does(digits, monkeypatch, tmp_path):
    monkeypatch.setattr(learned, "PASSES", 20_000)  # the digits are told by a third of the lesson
    settings = {"width": 4, "latent": 8, "batch_size": 16}
    run = gz.train("dcgan", "stacked-digits", out=tmp_path / "run", steps=8, settings=settings)
    judged = run.judgement(metrics=["modes", "reverse_kl"])
    assert judged["provenance"]["modes_total"] == 1000
    assert judged["provenance"]["reverse_kl_floor"] == pytest.approx(999 / 52_000)
    assert 1 <= judged["metrics"]["modes"]["mean"] < 1000  # nothing is learned in eight steps
    data = gz.data.stacked_digits()
    whole = judges.judge([data.restore("train", 2_500)], data, ["modes", "reverse_kl"])
    assert whole["metrics"]["modes"]["mean"] > 850  # 2,500 real ones miss 1000 exp(-2.5), about 82
