"""The bytes of idx and numpy files are the pictures' own, and files that contradict themselves are refused."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import ganzfeld as gz
from ganzfeld import data as datas
from ganzfeld.data import arrays, idx
from ganzfeld.data.samples.idx import holds_idx
from small import ganzfeld

FASHION = Path(__file__).parents[2] / "shared/data/fashion-mnist"
NAMES = {("train", "x"): "train-images-idx3-ubyte", ("train", "y"): "train-labels-idx1-ubyte",
         ("t10k", "x"): "t10k-images-idx3-ubyte", ("t10k", "y"): "t10k-labels-idx1-ubyte"}  # fmt: skip


def packed(x):
    """The idx form of an array of bytes."""
    shape = b"".join(n.to_bytes(4, "big") for n in x.shape)
    return bytes([0, 0, 8, x.ndim]) + shape + x.astype(np.uint8).tobytes()


def world(folder, side=28, zipped=True):
    """Thirty training and six test pictures, whose first byte is their number and whose label that modulo ten."""
    folder.mkdir(exist_ok=True)
    for (part, what), name in NAMES.items():
        x = np.random.default_rng(0).integers(0, 256, (30 if part == "train" else 6, side, side))
        x[:, 0, 0] = np.arange(len(x))
        data = packed(x if what == "x" else x[:, 0, 0] % 10)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    return folder


def spoilt(folder, key, change):
    """The world with one file changed; its path."""
    path = world(folder) / (NAMES[key] + ".gz")
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    return path


@pytest.mark.skipif(not FASHION.exists(), reason="Fashion-MNIST is not here")
def test_fashion_mnist_keeps_its_bytes_within_a_dark_border():
    data = datas.load(str(FASHION))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [54_000, 6_000, 10_000]
    assert data.shape == (1, 32, 32) and data.class_count == 10
    raw = gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    assert data.test[:, 0, 2:30, 2:30].numpy().tobytes() == raw
    assert data.test.sum(dtype=torch.int64) == np.frombuffer(raw, np.uint8).sum(dtype=np.int64)  # nothing in the border
    labels = gzip.decompress((FASHION / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    assert data.labels.test.tolist() == list(labels)
    assert data.labels.test[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    # nothing is lost or doubled by the cut: every class has its six thousand
    assert torch.cat([data.labels.train, data.labels.valid]).bincount().tolist() == [6_000] * 10


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_plain_or_gzipped_are_loaded_with_their_labels(tmp_path, zipped):
    data = datas.load(str(world(tmp_path, zipped=zipped)))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [27, 3, 6]
    numbers = torch.cat([data.train, data.valid])[:, 0, 2, 2]
    assert sorted(numbers.tolist()) == list(range(30))
    assert torch.cat([data.labels.train, data.labels.valid]).tolist() == [n % 10 for n in numbers.tolist()]
    assert data.test[:, 0, 2, 2].tolist() == data.labels.test.tolist() == list(range(6))
    assert data.fingerprint == idx(world(tmp_path / "again")).fingerprint != idx(tmp_path, 1).fingerprint


def test_names_with_a_dot_are_found(tmp_path):
    folder = world(tmp_path, zipped=False)
    for name in NAMES.values():
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    assert holds_idx(folder) and idx(folder).rows == 27


@pytest.mark.parametrize(("side", "size", "shape"), [(28, None, 32), (32, None, 32), (28, 64, 64), (60, None, 64)])
def test_idx_pictures_have_the_nearest_side_unless_asked(tmp_path, side, size, shape):
    data = datas.load(str(world(tmp_path, side)), size=size)
    assert data.shape == (1, shape, shape)
    resized = {28: "border" if shape == 32 else "Lanczos", 32: "none", 60: "Lanczos"}[side]
    assert resized in data.choices["resizer"]


def test_every_byte_of_idx_files_is_in_the_fingerprint(tmp_path):
    prints = {idx(world(tmp_path / "x")).fingerprint, idx(world(tmp_path / "x"), size=16).fingerprint}
    for i, key in enumerate(NAMES):
        path = spoilt(tmp_path / str(i), key, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        prints.add(idx(path.parent).fingerprint)
    assert len(prints) == 6


SPOILT = {
    "magic": (lambda data: b"\0\0\x0d\3" + data[4:], "no idx file of bytes with 3 dimensions"),
    "labels for pictures": (lambda data: packed(np.zeros(30)), "no idx file of bytes with 3 dimensions"),
    "count": (lambda data: data[:7] + b"\x1f" + data[8:], "says 31 x 28 x 28 bytes and holds 23520"),
    "short": (lambda data: data[:-1], "holds 23519"),
    "long": (lambda data: data + b"\0", "holds 23521"),
    "header": (lambda data: data[:9], "no idx file"),
    "empty": (lambda data: b"", "no idx file"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_idx_file_that_contradicts_itself_is_named(tmp_path, name):
    change, why = SPOILT[name]
    path = spoilt(tmp_path, ("train", "x"), change)
    with pytest.raises(ValueError, match=why) as caught:
        datas.load(str(tmp_path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [1, 8, 9, 5_000])
@pytest.mark.parametrize("key", NAMES)
def test_a_truncated_gz_is_named(tmp_path, cut, key):
    path = world(tmp_path) / (NAMES[key] + ".gz")
    path.write_bytes(path.read_bytes()[: -min(cut, path.stat().st_size - 3)])
    with pytest.raises(ValueError, match="is damaged") as caught:
        datas.load(str(tmp_path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_plain_file_called_gz_is_named(tmp_path):
    path = world(tmp_path) / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path} is damaged: Not a gzipped file"):
        datas.load(str(tmp_path))


@pytest.mark.parametrize("key", [key for key in NAMES if key != ("train", "x")])
def test_a_missing_partner_is_named(tmp_path, key):
    (world(tmp_path) / (NAMES[key] + ".gz")).unlink()
    with pytest.raises(ValueError, match=f"has no {NAMES[key]} beside"):
        datas.load(str(tmp_path))


def test_idx_files_that_do_not_fit_each_other_are_refused(tmp_path):
    spoilt(tmp_path / "a", ("train", "y"), lambda data: packed(np.zeros(29)))
    spoilt(tmp_path / "b", ("t10k", "x"), lambda data: packed(np.zeros((6, 32, 32))))
    for name, why in (("a", "30 train pictures and 29 labels"), ("b", r"\(28, 28\) to train and of \(32, 32\)")):
        with pytest.raises(ValueError, match=why) as caught:
            datas.load(str(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
    for part, few in (("train", 2), ("t10k", 0)):
        folder = tmp_path / part
        spoilt(folder, (part, "x"), lambda data, few=few: packed(np.zeros((few, 28, 28))))
        path = folder / (NAMES[part, "y"] + ".gz")
        path.write_bytes(gzip.compress(packed(np.zeros(few))))
        with pytest.raises(ValueError, match="at least 3 are needed, and one to test"):
            datas.load(str(folder))
    for part in ("train", "t10k"):
        n = 30 if part == "train" else 6
        path = world(tmp_path / "flat") if part == "train" else tmp_path / "flat"
        (path / (NAMES[part, "x"] + ".gz")).write_bytes(gzip.compress(packed(np.zeros((n, 0, 28)))))
    with pytest.raises(ValueError, match=r"pictures of \(0, 28\)"):
        datas.load(str(tmp_path / "flat"))


def test_choices_that_idx_files_do_not_have_are_refused(tmp_path):
    world(tmp_path)
    assert datas.load(str(tmp_path), strict=True).rows == 27
    for choice, why in (({"crop": "pad"}, "--crop is for pictures in files of their own"),
                        ({"size": 28}, "not 28"), ({"size": 0}, "not 0")):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            datas.load(str(tmp_path), **choice)


def test_other_idx_files_replace_a_part(tmp_path):
    one, other = world(tmp_path / "x"), shutil.copytree(world(tmp_path / "x"), tmp_path / "y")
    data = datas.load(str(one), size=64, valid=str(other))
    assert data.valid.shape == (36, 1, 64, 64) and len(data.labels.valid) == 36


# --- numpy files of pictures ---


def colours(n=20, side=16):
    x = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)
    x[:, 0, 0, 0] = np.arange(n)
    return x


def saved(path, **named):
    np.savez(path, **named) if path.suffix == ".npz" else np.save(path, *named.values())
    return str(path)


def test_channels_first_and_last_are_the_same_pictures(tmp_path):
    x = colours()
    last = datas.load(saved(tmp_path / "a.npy", x=x))
    first = datas.load(saved(tmp_path / "b.npz", images=x.transpose(0, 3, 1, 2)))
    assert last.shape == first.shape == (3, 16, 16) and last.train.dtype == torch.uint8
    whole = torch.cat([last.train, last.valid, last.test])
    order = whole[:, 0, 0, 0].long()
    assert sorted(order.tolist()) == list(range(20))
    assert np.array_equal(whole.numpy(), x.transpose(0, 3, 1, 2)[order])
    assert torch.equal(last.train, first.train) and last.fingerprint == first.fingerprint


def test_greys_with_and_without_a_channel_are_the_same_pictures(tmp_path):
    x = colours()[..., 0]
    held = [datas.load(saved(tmp_path / f"{i}.npy", x=y)) for i, y in enumerate((x, x[:, None], x[..., None]))]
    assert all(data.shape == (1, 16, 16) and torch.equal(data.train, held[0].train) for data in held)
    assert datas.load(str(tmp_path / "0.npy"), channels=3).train.unique(dim=1).shape[1] == 1


def test_floats_as_samples_are_written_are_their_bytes(tmp_path):
    x = colours().transpose(0, 3, 1, 2)
    held = datas.load(saved(tmp_path / "x.npy", x=x))
    u = (x / 127.5 - 1).astype(np.float32)
    for name, floats, remark in (
        ("a", u, ()),
        ("b", u.astype(np.float64).transpose(0, 2, 3, 1), ()),
        (
            "c",
            np.where(u == 1, 1.4, u),
            (f"{(u == 1).mean():.2%} of the pictures' numbers lie beyond [-1, 1] and are cut",),
        ),
        ("d", x / 255.0, ("no number is negative: pictures are read in [0, 1], 0 is black",)),
    ):
        found = datas.load(saved(tmp_path / f"{name}.npy", x=floats))
        assert torch.equal(found.train, held.train) and found.fingerprint == held.fingerprint, name
        assert found.remarks == remark
    assert torch.equal(datas.read_samples(tmp_path / "a.npy"), torch.from_numpy(u))  # to be judged they stay numbers


def test_what_sample_writes_can_be_trained_on(tmp_path):
    small = ["--batch-size", 8, "--steps", 1, "--set", "width=4", "--set", "latent=8"]
    assert ganzfeld("train", "dcgan", "--data", "digits", "--out", tmp_path / "a", *small)[0] == 0
    assert ganzfeld("sample", tmp_path / "a", "--n", 20, "--out", tmp_path / "x.npy")[0] == 0
    assert ganzfeld("train", "dcgan", "--data", tmp_path / "x.npy", "--out", tmp_path / "b", *small)[0] == 0
    assert gz.load(tmp_path / "b").game.shape == (1, 8, 8)


def test_labels_of_a_numpy_file_go_with_their_pictures(tmp_path):
    x = colours()
    for name in ("labels", "y"):
        data = datas.load(saved(tmp_path / f"{name}.npz", x=x, **{name: 10 * (np.arange(20) % 3) - 5}))
        assert data.labels.names == ("-5", "5", "15")
        for part in ("train", "valid", "test"):
            assert getattr(data.labels, part).tolist() == [n % 3 for n in getattr(data, part)[:, 0, 0, 0].tolist()]
    words = datas.load(saved(tmp_path / "words.npz", x=x, y=np.array(["cat", "dog"])[np.arange(20) % 2]))
    assert words.labels.names == ("cat", "dog")
    assert words.labels.train.tolist() == [n % 2 for n in words.train[:, 0, 0, 0].tolist()]
    other = datas.load(saved(tmp_path / "other.npz", x=x, y=10 * (np.arange(20) % 2) - 5))
    assert other.fingerprint != data.fingerprint


PICTURES = {
    "two channels": (dict(x=np.zeros((9, 16, 16, 2), np.uint8)), "one or three channels"),
    "five channels": (dict(x=np.zeros((9, 5, 16, 16), np.uint8)), "one or three channels"),
    "two pictures": (dict(x=np.zeros((2, 16, 16), np.uint8)), "at least 3 pictures"),
    "no pixel": (dict(x=np.zeros((9, 0, 16), np.uint8)), "at least 3 pictures"),
    "few labels": (dict(x=np.zeros((9, 8, 8), np.uint8), y=np.zeros(8, int)), r"labels of shape \(8,\)"),
    "fractions": (dict(x=np.zeros((9, 8, 8), np.uint8), y=np.zeros(9)), "type float64, not 9 whole numbers or words"),
    "floats": (dict(x=np.zeros((9, 8, 8))), r"give rows of vectors, shape \(n, d\)"),
    "other floats": (
        dict(x=np.full((9, 1, 8, 8), 255.0)),
        r"numbers from 255 to 255: scale them to \[-1, 1\], or save",
    ),
    "nan": (dict(x=np.full((9, 1, 8, 8), np.nan)), "9 of 9 rows with NaN"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_numpy_files_that_hold_no_pictures_are_refused(tmp_path, name):
    held, why = PICTURES[name]
    path = saved(tmp_path / "x.npz", **held)
    with pytest.raises(ValueError, match=why) as caught:
        datas.load(path)
    assert path in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_of_two_dimensions_stay_vectors(tmp_path):
    data = datas.load(saved(tmp_path / "x.npy", x=np.arange(60, dtype=np.uint8).reshape(20, 3)))
    assert data.kind == "vectors" and data.shape == (3,)


def test_the_fingerprint_of_a_numpy_file_knows_every_choice(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, colours(side=20)[:, :10])
    asked = [{}, {"size": 32}, {"crop": "stretch"}, {"crop": "pad"}, {"crop": "pad", "background": "black"},
             {"channels": 1}]  # fmt: skip
    assert len({arrays(path, **choices).fingerprint for choices in asked}) == len(asked)
    assert arrays(path, crop="pad", background="black").train[:, :, 0].max() == 0
    for choices in ({"size": 0}, {"crop": "pan"}, {"channels": 0}):
        with pytest.raises(ValueError, match="not"):
            arrays(path, **choices)


@pytest.mark.parametrize("seed", [0, 3])
def test_all_rows_lie_in_the_order_of_their_source(tmp_path, seed):
    whole = datas.load(str(world(tmp_path / "idx", side=32)), seed).as_test_part()
    first = ((whole.part("test")[:, 0, 0, 0] + 1) * 127.5).round()
    assert first.tolist() == [*range(30), *range(6)]
    assert whole.labels.test.tolist() == [i % 10 for i in (*range(30), *range(6))]
    numbers = np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", numbers)
    vectors = datas.load(str(tmp_path / "x.npy"), seed)
    assert np.allclose(vectors.as_test_part().restore("test").numpy(), numbers, atol=1e-5)
    joined = torch.cat([vectors.restore(part) for part in ("train", "valid", "test")])
    assert not np.allclose(joined.numpy(), numbers, atol=1e-5)  # the cut has mixed them
    levels = np.arange(20 * 64, dtype=np.uint8).reshape(20, 8, 8)
    np.savez(tmp_path / "x.npz", x=levels, y=np.arange(20))
    pictures = datas.load(str(tmp_path / "x.npz"), seed).as_test_part()
    assert np.array_equal(((pictures.part("test")[:, 0] + 1) * 127.5).round().numpy().astype(np.uint8), levels)
    assert pictures.labels.test.tolist() == list(range(20))
