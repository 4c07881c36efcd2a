"""Using a run that encodes: a code depends on its own row alone, what does not fit is refused in one line."""

import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

import ganzfeld as gz
from ganzfeld import data, metrics
from ganzfeld.faces import encoding
from ganzfeld.judging import inference
from ganzfeld.tasks.inference import Codes
from small import ganzfeld, vectors
from small import train as small

SMALL = {"width": 32, "depth": 2, "batch_size": 32, "cycle": 5.0}
EVERY = {"log_every": 400, "judge_every": 400, "checkpoint_every": 400}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of digits as vectors, with and without a class; as pictures; and one that has no encoder."""
    folder = tmp_path_factory.mktemp("inference")
    asked = {"data": "digits", "steps": 400, "settings": SMALL, **EVERY}
    gz.train("ali", out=folder / "ali", **asked)
    gz.train("bigan", out=folder / "without", exclude_classes="3, 7", **{**asked, "steps": 8})
    gz.train("ali", out=folder / "pictures", size=8, network="mlp", **{**asked, "steps": 8})
    small(folder / "plain", vectors(folder), steps=8)
    return folder


@pytest.mark.parametrize("name", ["ali", "pictures"])
def test_a_code_depends_on_its_own_row_alone(runs, name):
    run = gz.load(runs / name)
    x = encoding.read_rows(run).x
    centres, drawn = run.encode(x), run.encode(x, seed=5)
    for n in (1, 7, 100):
        assert torch.equal(run.encode(x[:n]), centres[:n])
        assert torch.equal(run.encode(x[:n], seed=5), drawn[:n])
    assert torch.equal(run.encode(x.flip(0)), centres.flip(0))
    assert not torch.equal(drawn, centres)
    assert not torch.equal(drawn, run.encode(x, seed=6))


def test_a_deterministic_encoder_has_one_code(runs):
    run = gz.load(runs / "without")
    x = encoding.read_rows(run).x[:9]
    assert torch.equal(run.encode(x, seed=5), run.encode(x))


def test_reconstruction_is_the_generator_of_the_code(runs):
    run = gz.load(runs / "ali")
    x = encoding.read_rows(run).x
    with torch.no_grad():
        again = run.generator()(run.encoder()(x))
    assert torch.allclose(run.reconstruct(x), again, atol=1e-5)
    # and what was learned is better than another row's
    error = (x - run.reconstruct(x)).square().mean()
    assert error < 0.8 * (x - run.reconstruct(x).roll(1, 0)).square().mean()


def test_anomaly_is_reconstruction_and_features_in_their_shares(runs):
    run = gz.load(runs / "ali")
    x = encoding.read_rows(run).x[:20]
    z, critic = run.encode(x), run.critic()
    again = run.decode(z)
    with torch.no_grad():
        seen = [critic.features(y, z) for y in (x, again)]
    parts = (x - again).abs().sum(1), (seen[0] - seen[1]).abs().sum(1)
    for weight in (0.0, 0.9, 1.0):
        assert torch.allclose(run.anomaly(x, weight), weight * parts[0] + (1 - weight) * parts[1], rtol=1e-4)
    noise = torch.rand(20, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert run.anomaly(noise).median() > run.anomaly(x).median()


def test_a_class_that_was_left_out_is_in_no_part_and_is_scored(runs):
    whole, rest = data.load("digits", seed=0), data.load("digits", seed=0, exclude_classes="3,7")
    assert not torch.isin(
        torch.cat([rest.labels.train, rest.labels.valid, rest.labels.test]), torch.tensor([3, 7])
    ).any()
    assert torch.equal(rest.train, whole.train[~torch.isin(whole.labels.train, torch.tensor([3, 7]))])
    assert rest.fingerprint != whole.fingerprint
    facts = json.loads((runs / "without/run.json").read_text())
    assert facts["data"]["train"] == rest.rows
    assert "--exclude-classes '3, 7'" in facts["command"]
    code, out, _ = ganzfeld("anomaly", runs / "without", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["n"] == len(whole.test)
    run, odd = gz.load(runs / "without"), whole.labels.test == 3
    scores = run.anomaly(whole.restore("test"))
    pairs = scores[odd].unsqueeze(1) - scores[~odd]
    assert found["auc"]["3"] == pytest.approx(
        float(((pairs > 0).double() + (pairs == 0).double() / 2).mean()), abs=1e-9
    )
    for wrong, why in (("12", "no class"), ("0,1,2,3,4,5,6,7,8,9", "no train rows")):
        with pytest.raises(ValueError, match=why):
            data.load("digits", seed=0, exclude_classes=wrong)
    with pytest.raises(ValueError, match="no classes"):
        data.load("ring8", seed=0, exclude_classes="1")


def test_codes_of_all_rows_lie_in_the_order_of_their_source(runs, tmp_path):
    from sklearn.datasets import load_digits

    run, x = gz.load(runs / "ali"), torch.from_numpy(load_digits().data).float() / 8 - 1
    assert ganzfeld("encode", runs / "ali", "--part", "all", "--out", tmp_path / "all.npy")[0] == 0
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "all.npy")), run.encode(x))
    np.save(tmp_path / "x.npy", x[10:30].numpy())
    assert ganzfeld("encode", runs / "ali", "--data", tmp_path / "x.npy", "--out", tmp_path / "x-codes.npy")[0] == 0
    assert np.array_equal(np.load(tmp_path / "x-codes.npy"), np.load(tmp_path / "all.npy")[10:30])


def test_codes_of_files_come_with_their_names(runs, tmp_path):
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name in ("b/2.png", "a/1.png", "a/3.png", "c/9.png", "d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / name)
    code, _, err = ganzfeld("encode", runs / "pictures", "--data", folder, "--out", tmp_path / "c.npy")
    assert (code, err.count("\n")) == (0, 1)
    names = (tmp_path / "c.txt").read_text().splitlines()
    assert sorted(names) == ["a/1.png", "a/3.png", "b/2.png", "c/9.png", "d.png"]
    run = gz.load(runs / "pictures")
    for name, row in zip(names, np.load(tmp_path / "c.npy"), strict=True):
        levels = torch.from_numpy(np.array(Image.open(folder / name))).float().div(127.5).sub(1)
        assert np.allclose(run.encode(levels[None, None])[0].numpy(), row, atol=1e-5)
    way = encoding.interpolate(run, encoding.read_rows(run, str(folder)), "d.png,a/1.png", 2, 0)
    assert torch.equal(way[-1, 0], torch.from_numpy(np.array(Image.open(folder / "a/1.png"))).float().div(127.5).sub(1))


def test_pairs_stand_one_below_the_other(runs, tmp_path):
    code, _, told = ganzfeld("reconstruct", runs / "pictures", "--n", 5, "--out", tmp_path / "p.npy")
    assert code == 0 and f"the first 5 rows beside their reconstructions in {tmp_path / 'p.npy'}" in told
    pairs = np.load(tmp_path / "p.npy")
    assert pairs.shape == (5, 2, 1, 8, 8)
    run = gz.load(runs / "pictures")
    x = encoding.read_rows(run).x[:5]
    assert np.array_equal(pairs[:, 0], x.numpy())
    assert np.array_equal(pairs[:, 1], run.reconstruct(x).numpy())
    assert ganzfeld("reconstruct", runs / "pictures", "--n", 5, "--out", tmp_path / "p.png")[0] == 0
    above, below = np.split(np.array(Image.open(tmp_path / "p.png")), 2)
    assert np.abs(above.astype(int) - below).max() > 0
    code, out, _ = ganzfeld("reconstruct", runs / "pictures", "--json")
    error = float((encoding.read_rows(run).x - run.reconstruct(encoding.read_rows(run).x)).square().mean().sqrt())
    assert code == 0
    assert json.loads(out)["rmse"] == pytest.approx(error, rel=1e-4)


def test_a_way_leads_from_one_row_to_the_other_through_their_codes(runs, tmp_path):
    run = gz.load(runs / "pictures")
    x = encoding.read_rows(run).x
    way = encoding.interpolate(run, encoding.read_rows(run), "4,9", 6, 0)
    assert way.shape == (8, 1, 8, 8)
    assert torch.equal(way[[0, -1]], x[[4, 9]])
    assert torch.allclose(way[[1, -2]], run.reconstruct(x[[4, 9]]), atol=1e-4)
    for name in ("way.gif", "way.png", "way.npy"):
        words = ("interpolate", runs / "pictures", "--between", "4,9", "--n", 6, "--out", tmp_path / name)
        assert ganzfeld(*words)[0] == 0
        assert (tmp_path / name).stat().st_size > 0
    for wrong in ("4", "4,b", "-1,3", "0,100000"):
        assert ganzfeld("interpolate", runs / "pictures", "--between", wrong, "--out", tmp_path / "w.png")[0] == 2


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 63), np.float32), "(63,)"),
        (np.full((4, 64), 16.0, np.float32), "from 16 to 16"),
        (np.zeros((4, 1, 8, 8), np.float32), "(1, 8, 8)"),
        (np.full((4, 64), np.nan, np.float32), "NaN"),
        (np.zeros((4, 8, 8, 3), np.uint8), "(3, 8, 8)"),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_one_line(runs, tmp_path, array, says):
    np.save(tmp_path / "x.npy", array)
    for command in ("encode", "reconstruct", "anomaly"):
        code, out, err = ganzfeld(command, runs / "ali", "--data", tmp_path / "x.npy", "--out", tmp_path / "y.npy")
        assert (code, out, err.count("\n")) == (2, "", 1), (command, err)
        assert says in err


def test_pictures_of_other_channels_or_another_size_are_refused(runs, tmp_path):
    for i, shape in enumerate([(4, 3, 8, 8), (4, 1, 16, 16)]):
        np.save(tmp_path / f"{i}.npy", np.zeros(shape, np.float32))
        code, _, err = ganzfeld(
            "encode", runs / "pictures", "--data", tmp_path / f"{i}.npy", "--out", tmp_path / "y.npy"
        )
        assert code == 2
        assert str(shape[1:]) in err
        assert "(1, 8, 8)" in err


def test_every_command_that_writes_says_where(runs, tmp_path):
    for words in (
        ("encode", runs / "ali", "--out", tmp_path / "codes.npy"),
        ("reconstruct", runs / "ali", "--out", tmp_path / "pairs.png"),
        ("anomaly", runs / "ali", "--out", tmp_path / "scores.npy"),
        ("interpolate", runs / "ali", "--between", "0,1", "--out", tmp_path / "way.npy"),
        ("sample", runs / "ali", "--out", tmp_path / "x.npy"),
        ("export", runs / "ali", "--out", tmp_path / "g.safetensors"),
        ("report", runs / "ali", "--out", tmp_path / "r.html"),
    ):
        code, _, told = ganzfeld(*words)
        assert code == 0 and str(words[-1]) in told and words[-1].exists(), words
    assert ganzfeld("reconstruct", runs / "ali")[2] == ganzfeld("anomaly", runs / "ali")[2] == ""


METRICS_REFUSED = {
    "fdd": "no metric named 'fdd'; did you mean 'fd'",
    "ndcg@5": "is a metric of rankings",
    "knn_regressor": "add --baselines",
    "modes": "needs a world whose modes are known",
    "fid": "needs pictures and the weights",
}


@pytest.mark.parametrize("metric", METRICS_REFUSED)
def test_a_metric_that_the_run_cannot_have_is_refused_before_anything_is_drawn(runs, metric, monkeypatch):
    run = gz.load(runs / "ali")
    monkeypatch.setattr(type(run), "sample", lambda *a: pytest.fail("samples were drawn"))
    for asked in (metric, [metric], f"w1, {metric}"):  # a text is no list of letters
        with pytest.raises(ValueError, match=METRICS_REFUSED[metric]):
            run.judge(metrics=asked)
    for none in ([], "", (), ","):
        with pytest.raises(ValueError, match="no metric is named: name one or more .*, or leave them out"):
            run.judge(metrics=none)


def test_metrics_in_one_text_are_those_of_the_list(runs):
    run = gz.load(runs / "ali")
    assert run.judge(metrics="w1, cycle") == run.judge(metrics=["w1", "cycle"])
    assert run.judge(metrics="w1").keys() == {"w1"}
    with pytest.raises(ValueError, match="of encoders, and this run of ns-gan has no encoder"):
        gz.load(runs / "plain").judge(metrics="c2st")
    with pytest.raises(ValueError, match="needs a critic of scores of samples alone"):
        run.judge(metrics="critic_w1")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "anomaly", "interpolate"])
def test_a_run_without_an_encoder_says_what_it_holds(runs, tmp_path, command):
    more = ("--between", "0,1") if command == "interpolate" else ()
    code, out, err = ganzfeld(command, runs / "plain", *more, "--out", tmp_path / "y.npy")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "has no encoder: it holds a generator and a critic" in err
    assert "ns-gan" in err


def test_no_encoder_has_no_such_metrics(runs):
    run = gz.load(runs / "plain")
    with pytest.raises(ValueError, match="no encoder"):
        run.judge(metrics=["c2st"])


def test_judge_tells_codes_beside_the_baselines(runs):
    code, out, _ = ganzfeld("judge", runs / "ali", "--json")
    told = json.loads(out)
    assert code == 0
    assert {*inference.JOINT_METRICS, *(f"{k}_{s}" for s in inference.SPACES for k in ("knn", "probe"))} <= told[
        "metrics"
    ].keys()
    assert not {"knn_autoencoder", "knn_regressor"} & told["metrics"].keys()
    rows = data.load("digits", seed=0)
    axes = PCA(32, random_state=0).fit(rows.train.numpy())
    shrunk = [torch.from_numpy(axes.transform(x.numpy())) for x in (rows.train, rows.test)]
    expected = metrics.nearest_accuracy(shrunk[0], rows.labels.train, shrunk[1], rows.labels.test)
    assert told["metrics"]["knn_pca"]["mean"] == pytest.approx(expected, abs=1e-9)
    run = gz.load(runs / "ali")
    error = (rows.test - run.reconstruct(rows.test)).double().square().mean().sqrt()
    assert told["metrics"]["cycle"]["mean"] == pytest.approx(float(error), rel=1e-6)
    assert told["provenance"]["inference"]["test"] == len(rows.test)


def test_baselines_learn_from_the_same_networks(runs):
    run, rows = gz.load(runs / "ali"), data.load("digits", seed=0)
    mean, told = inference.judge_trained(run.game, Codes(run, 0).coder, rows, 0, 600, clock=itertools.count().__next__)
    assert told["autoencoder_steps"] == told["regressor_steps"] == 601  # this clock counts steps
    blind = float((rows.test - rows.train.mean(0)).square().mean().sqrt())
    assert mean["cycle_autoencoder"] < 0.8 * blind
    assert mean["knn_autoencoder"] > 0.7
    assert 0.3 < mean["knn_regressor"] <= 1
    early, _ = inference.judge_trained(run.game, Codes(run, 0).coder, rows, 0, 5, clock=itertools.count().__next__)
    assert early["cycle_autoencoder"] > mean["cycle_autoencoder"]


def test_baselines_are_trained_on_request(runs):
    code, out, _ = ganzfeld("judge", runs / "without", "--baselines", "--json")
    told = json.loads(out)
    seconds = json.loads((runs / "without/log.jsonl").read_text().splitlines()[-1])["seconds"]
    assert code == 0
    assert {"knn_autoencoder", "probe_regressor", "cycle_autoencoder"} <= told["metrics"].keys()
    assert told["provenance"]["inference"]["baselines"]["seconds"] == seconds


def test_two_sample_accuracy_is_a_half_for_equal_laws_and_sees_a_coupling():
    rng = torch.Generator().manual_seed(0)
    x, y, e = (torch.randn(2_000, 2, generator=rng) for _ in range(3))
    assert metrics.two_sample_accuracy(x, y) == pytest.approx(0.5, abs=4 * 0.5 / 2_000**0.5)
    coupled, apart = torch.cat([x, x + 0.3 * e], 1), torch.cat([x, (y + 0.3 * e)], 1)  # equal marginals
    assert metrics.two_sample_accuracy(coupled, apart) > 0.75
    assert metrics.two_sample_accuracy(x, y + 1) > 0.6
    with pytest.raises(ValueError, match="four"):
        metrics.two_sample_accuracy(x[:3], y[:3])


def test_accuracies_are_scikit_learns():
    from sklearn.neighbors import KNeighborsClassifier

    rng = torch.Generator().manual_seed(1)
    x, y = torch.randn(300, 5, generator=rng), torch.randint(0, 3, (300,), generator=rng)
    x[:, 0] += 2 * y
    oracle = KNeighborsClassifier(1).fit(x[:200].numpy(), y[:200].numpy()).score(x[200:].numpy(), y[200:].numpy())
    assert metrics.nearest_accuracy(x[:200], y[:200], x[200:], y[200:]) == pytest.approx(oracle, abs=1e-12)
    assert metrics.probe_accuracy(x[:200], y[:200], x[200:], y[200:]) > 0.7
    assert metrics.probe_accuracy(x[:200], y[:200].roll(1), x[200:], y[200:]) < 0.6
    assert metrics.roc_auc(x[:, 0], y == 2) == pytest.approx(1 - metrics.roc_auc(-x[:, 0], y == 2), abs=1e-12)
    assert np.isnan(metrics.roc_auc(x[:, 0], y == 9))


def test_samples_of_a_file_are_bytes_or_numbers(tmp_path):
    levels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    np.save(tmp_path / "bytes.npy", levels)
    x = data.read_samples(tmp_path / "bytes.npy")
    assert x.shape == (3, 1, 8, 8)
    assert torch.allclose(x[0, 0, 0, :2], torch.tensor([-1.0, 1 / 127.5 - 1]))
    np.save(tmp_path / "numbers.npy", x.numpy())
    assert torch.equal(data.read_samples(tmp_path / "numbers.npy"), x)
