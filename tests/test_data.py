"""Worlds are what they are said to be, splits do not leak, and unreadable files are refused in one line."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import ganzfeld as gz
from ganzfeld import data as datas
from ganzfeld.data import split
from ganzfeld.metrics import HIGH_QUALITY_CEILING, mode_coverage
from ganzfeld.rendering import View

FAULTS = Path(__file__).parents[2] / "shared/data/faults"


def test_ring_has_eight_distinct_modes_on_the_unit_circle():
    ring = gz.data.ring8()
    centres = ring.truth.centres
    assert len(centres.unique(dim=0)) == 8
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(8))
    assert torch.cdist(centres, centres).fill_diagonal_(9).min() == pytest.approx(2 * np.sin(np.pi / 8), abs=1e-5)


def test_grid_has_twenty_five_modes_two_apart():
    centres = gz.data.grid25().truth.centres
    assert sorted(map(tuple, centres.tolist())) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]


@pytest.mark.parametrize(("name", "std"), [("ring8", 0.01), ("grid25", 0.05), ("mixture1200", 0.1)])
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_rows_of_a_mixture_follow_its_truth(name, std, part):
    world = datas.load(name)
    x = world.restore(part)[:5_000]
    found = mode_coverage(x, world.truth.centres, world.truth.std, world.truth.dimensions)
    assert world.truth.std == std
    assert found.modes == len(world.truth.centres)
    deviation = (HIGH_QUALITY_CEILING * (1 - HIGH_QUALITY_CEILING) / len(x)) ** 0.5
    assert abs(found.high_quality - HIGH_QUALITY_CEILING) < 4 * deviation


def test_mixture1200_has_ten_modes_whose_noise_fills_seven_hundred_dimensions():
    world = gz.data.mixture1200()
    assert world.shape == (1200,)
    x = world.restore("train")[:4_000]
    nearest = torch.cdist(x, world.truth.centres).argmin(1)
    noise = torch.linalg.svdvals(x - world.truth.centres[nearest])
    assert (world.truth.centres.shape[0], world.truth.dimensions) == (10, 700)
    assert noise[699] > 1 and noise[700] < 1e-2


def test_swissroll_is_a_spiral():
    x = gz.data.swissroll().restore("train") * 7.5
    radius = x.norm(dim=1)
    turn = torch.remainder(torch.atan2(x[:, 1], x[:, 0]) - radius, 2 * np.pi)
    # the angle is the radius, up to noise of .25; of rows that know no spiral the median is pi / 2
    assert torch.minimum(turn, 2 * np.pi - turn).median() < 0.25
    assert 3.5 < radius.min() < 4.71 and 14.13 < radius.max() < 15.5


def test_digits_are_pictures_of_sixty_four_values():
    digits = gz.data.digits()
    x = torch.cat([digits.restore(part) for part in ("train", "valid", "test")])
    assert x.shape == (1797, 64)
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)


@pytest.mark.parametrize("name", ["ring8", "grid25", "swissroll", "digits"])
def test_units_are_undone_exactly_enough(name):
    world = datas.load(name)
    assert world.train.std() == pytest.approx(1, abs=0.5)
    restored = world.restore("valid")
    torch.testing.assert_close(world.units.strip(restored), world.valid, rtol=1e-5, atol=1e-5)


def test_a_world_is_the_same_for_every_seed_and_the_digits_are_cut_by_it():
    assert gz.data.ring8(0).fingerprint == gz.data.ring8(7).fingerprint
    assert gz.data.digits(0).fingerprint != gz.data.digits(1).fingerprint


def test_parts_are_disjoint_and_complete():
    x = torch.arange(100.0)[:, None]
    train, valid, test = split(x, seed=3)
    assert (len(train), len(valid), len(test)) == (80, 10, 10)
    assert sorted(torch.cat([train, valid, test]).flatten().tolist()) == x.flatten().tolist()
    assert not torch.equal(split(x, seed=4)[1], valid)


# --- a user's own vectors ---


def saved(folder, array, name="x.npy"):
    path = folder / name
    np.save(path, array, allow_pickle=True)
    return path


def rows(n=50, d=3):
    return np.random.default_rng(0).normal(5, 2, (n, d))


def test_own_vectors_are_read_in_their_units(tmp_path):
    x = rows()
    x[:, 2] = 1.0  # a constant column
    world = datas.load(str(saved(tmp_path, x)))
    held = torch.cat([world.restore(part) for part in ("train", "valid", "test")]).numpy()
    assert world.shape == (3,)
    np.testing.assert_allclose(np.sort(held, 0), np.sort(x, 0), rtol=1e-5)
    torch.testing.assert_close(world.train.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(world.train[:, :2].std(0, correction=0), torch.ones(2))


@pytest.mark.parametrize("names", [("only",), ("data", "other"), ("x", "other")])
def test_npz_gives_its_one_array_or_the_one_named_data_or_x(tmp_path, names):
    path = tmp_path / "a.npz"
    np.savez(path, **{name: rows() if i == 0 else rows(9, 1) for i, name in enumerate(names)})
    assert datas.load(str(path)).shape == (3,)


def test_own_test_rows_replace_the_part_that_was_cut(tmp_path):
    train, test = saved(tmp_path, rows(), "a.npy"), saved(tmp_path, rows(30) + 100, "b.npy")
    world = datas.load(str(train), test=str(test))
    assert world.restore("test").min() > 50
    assert world.restore("train").max() < 50
    with pytest.raises(ValueError, match=r"rows of shape \(2,\)"):
        datas.load(str(train), test=str(saved(tmp_path, rows(30, 2), "c.npy")))


BAD = {
    "nan": (lambda x: np.where(np.arange(len(x))[:, None] == 7, np.nan, x), "first at row 7"),
    "infinity": (lambda x: np.where(np.arange(len(x))[:, None] == 3, np.inf, x), "first at row 3"),
    "rank 1": (lambda x: x[:, 0], r"shape \(50,\)"),
    "rank 3": (lambda x: x[None], r"shape \(1, 50, 3\)"),
    "objects": (lambda x: x.astype(object), "Python objects"),
    "words": (lambda x: x.astype(str), "not real numbers"),
    "complex": (lambda x: x.astype(complex), "not real numbers"),
    "no row": (lambda x: x[:0], "at least 3 rows"),
    "one row": (lambda x: x[:1], "at least 3 rows"),
    "no column": (lambda x: x[:, :0], "at least one number"),
    "pictures of whole numbers": (lambda x: x.reshape(5, 5, 3, 2).astype(int), "pictures .* are bytes, or floats in"),
    "a record": (lambda x: np.zeros(50, [("a", "f4"), ("b", "f4")]), "not real numbers"),
    "dates": (lambda x: x.astype("M8[s]"), "not real numbers"),
    "squares beyond float64": (lambda x: x * 1e300, r"column 0 of .* beyond 1e\+150: rescale"),
    "squares below float64": (lambda x: x * 1e-200, "column 0 of .* spread by less than 1e-150: rescale"),
    "whole numbers beyond float64": (lambda x: 2**60 + x.astype(int), "column 0 of .* subtract an offset"),
}


WHOLE = {
    "float16": lambda x: x.astype("f2"),
    "whole numbers": lambda x: x.astype(int),
    "whole numbers of all sizes": lambda x: (x * 1e15).astype("i8"),
    "bool": lambda x: x > 5,
    "big-endian": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype("g"),
    "columns first": np.asfortranarray,
    "constant": lambda x: np.full_like(x, 0.1),
    "beyond float32": lambda x: x * 1e100,
    "below float32": lambda x: x * 1e-100,
    "years": lambda x: 2000 + x,
    "three rows": lambda x: x[:3],
    "three numbers": lambda x: x[:3, :1],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_real_numbers_of_every_kind_are_read_and_drawn(tmp_path, kind):
    x = WHOLE[kind](rows())
    world = datas.load(str(saved(tmp_path, x)))
    whole = world.as_test_part()
    assert whole.part("test").dtype == torch.float32 and whole.part("test").isfinite().all()
    held = whole.restore("test").double().numpy()
    np.testing.assert_allclose(held, x.astype(float), rtol=1e-6, atol=2**-12 * x.astype(float).std(0).max())
    assert View.of(world).picture(whole.restore("test")).size == (400, 400)


def test_columns_are_standardised_before_they_are_narrowed(tmp_path):
    """Beside the same rows without their offset, whose digits float32 holds."""
    if not FAULTS.is_dir():
        pytest.skip(f"{FAULTS} is not there")
    x = np.load(FAULTS / "big_offset.npy")
    far = datas.load(str(FAULTS / "big_offset.npy"))
    near = datas.load(str(saved(tmp_path, x - [0, 0, 1e9])))
    torch.testing.assert_close(far.train, near.train, atol=1e-6, rtol=0)
    u = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    drawn, plain = far.units.restore(u)[:, 2], near.units.restore(u)[:, 2]
    assert drawn.dtype == torch.float64 and plain.dtype == torch.float32
    assert drawn.unique().numel() == 500 and abs(float(drawn.std()) - float(plain.std())) < 1e-6
    assert abs(float(far.restore("train")[:, 2].std()) - 0.99) < 0.03
    narrowed = torch.from_numpy(x.astype(np.float32))[:, 2]  # what it was: all digits lost
    assert narrowed.unique().numel() <= 2


def test_a_run_of_far_columns_is_the_run_of_near_ones_and_opens_with_all_digits(tmp_path):
    x = rows(200, 2)
    asked = {"steps": 8, "settings": {"width": 8, "depth": 1, "batch_size": 16}}
    near, far = (
        gz.train("ali", str(saved(tmp_path, x + shift, f"{i}.npy")), out=tmp_path / str(i), **asked)
        for i, shift in enumerate(([0, 0], [0, 1e9]))
    )
    drawn = gz.load(tmp_path / "1").sample(100)
    assert drawn.dtype == torch.float64 and torch.equal(drawn, far.sample(100))
    torch.testing.assert_close(drawn - torch.tensor([0, 1e9]), near.sample(100).double(), atol=1e-4, rtol=0)
    codes = far.encode(far.source().restore("test"))
    torch.testing.assert_close(codes, near.encode(near.source().restore("test")), atol=1e-4, rtol=0)
    assert far.judge()["w1"]["mean"] == pytest.approx(near.judge()["w1"]["mean"], abs=1e-3)


def test_an_archive_that_expands_without_end_is_refused_unread(tmp_path):
    bomb, plain = tmp_path / "bomb.npz", tmp_path / "plain.npz"
    np.savez_compressed(bomb, x=np.zeros((8_000_000, 3), np.uint8))
    np.savez_compressed(plain, x=rows())
    with pytest.raises(ValueError, match=r"bomb.npz holds 'x.npy', which expands 10\d\d times"):
        datas.load(str(bomb))
    assert datas.load(str(plain)).shape == (3,)


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_trained_on_is_refused_in_one_line(tmp_path, kind):
    spoil, match = BAD[kind]
    path = saved(tmp_path, spoil(rows()))
    with pytest.raises(ValueError, match=match) as caught:
        datas.load(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["short.npy", "text.npy", "short.npz", "empty.npy", "two.npz"])
def test_damaged_files_are_refused_in_one_line(tmp_path, name):
    path, whole = tmp_path / name, io.BytesIO()
    np.save(whole, rows())
    if name == "two.npz":
        np.savez(path, a=rows(), b=rows())
    elif name == "short.npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", whole.getvalue())
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_bytes({"short.npy": whole.getvalue()[:300], "text.npy": b"1 2 3\n", "empty.npy": b""}[name])
    with pytest.raises(ValueError, match=name) as caught:
        datas.load(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("ring9", "ring8"),
        ("grid52", "grid25"),
        ("/no/such.npy", "no such file"),
        ("", "data is empty"),
        (" ", "data is empty"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name, match):
    with pytest.raises(ValueError, match=match):
        datas.load(name)
