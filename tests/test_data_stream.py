"""Pictures that are decoded when they are asked for are those that are kept; other sources give the same pictures."""

import gc
import hashlib
import sys
import threading
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import ganzfeld as gz
from ganzfeld import data as datas
from ganzfeld.data import digits, hub, images, split, stacked, stacked_digits
from ganzfeld.data.samples.archive import Folder
from ganzfeld.data.samples.decode import settle_choices
from ganzfeld.data.samples.images import MAX_ANNOUNCED, MEMORY_BYTES, PIECE, Streamed, folder_classes, gather
from test_data_images import BROKEN, shades, tree, written, zipped

WORKERS = [0, 1, 2]


def streamed(path, workers=0, **choices):
    found = images(path, memory=0, workers=workers, **choices)
    assert all(isinstance(part, Streamed) for part in (found.train, found.valid, found.test))
    return found


def close(found):
    for part in (found.train, found.valid, found.test):
        part.close()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A folder with broken files among eighty, and its zip."""
    folder = tree(tmp_path_factory.mktemp("stream") / "x", 80)
    for name in ("truncated.png", "text.jpg"):
        (folder / "a" / f"00011-{name}").write_bytes(BROKEN[name][0])
    return folder, zipped(folder, folder.parent / "x.zip")


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("kind", [0, 1], ids=["folder", "zip"])
def test_streamed_rows_are_the_rows_that_are_kept(paths, kind, workers):
    kept, found = images(paths[kind]), streamed(paths[kind], workers)
    assert isinstance(kept.train, torch.Tensor)
    for part in ("train", "valid", "test"):
        rows, whole = getattr(found, part), getattr(kept, part)
        assert rows.shape == whole.shape and len(rows) == len(whole)
        assert torch.equal(rows[:], whole) and torch.equal(rows[1:7:2], whole[1:7:2])
        assert torch.equal(getattr(found.labels, part), getattr(kept.labels, part))
        assert torch.equal(found.part(part, 3), kept.part(part, 3))
    index = torch.randint(kept.rows, (3, 2 * PIECE), generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.take(index), kept.take(index))
    found.train.announce(index)
    assert torch.equal(found.take(index), kept.take(index))
    assert (found.fingerprint, found.skipped, found.choices) == (kept.fingerprint, kept.skipped, kept.choices)
    assert [name for name, _ in found.skipped] == ["a/00011-text.jpg", "a/00011-truncated.png"]
    close(found)


@pytest.mark.parametrize("workers", WORKERS)
def test_no_row_is_a_batch_of_none(paths, workers):
    found, none = streamed(paths[0], workers), torch.empty(0, dtype=torch.long)
    found.train.announce(none)
    for rows in (found.train.index_select(0, none), found.train[5:5], found.valid[:0]):
        assert rows.shape == (0, 1, 16, 16) and rows.dtype == torch.uint8
    close(found)


def test_what_was_announced_is_decoded_once_and_early(paths):
    found = streamed(paths[0], 2)
    source, done = found.train.source, []
    batch = source.batch
    source.batch = lambda names: done.extend(names) or batch(names)
    index = torch.arange(40)
    found.train.announce(index)
    found.train.announce(index)  # again is no more
    for task in found.train._pending[tuple(range(40))]:
        task.result()
    assert sorted(done) == sorted(found.train.names[:40])
    rows = found.train.index_select(0, index)
    assert len(done) == 40 and torch.equal(rows, images(paths[0]).train[:40])
    found.train.index_select(0, index)
    assert len(done) == 80  # nothing is kept for a second asking
    close(found)


def test_announcements_that_nobody_asks_for_do_not_pile_up(paths):
    found, kept = streamed(paths[0], 1), images(paths[0])
    for i in range(3 * MAX_ANNOUNCED):
        found.train.announce(torch.tensor([i % 64, i // 64]))
    assert len(found.train._pending) == MAX_ANNOUNCED
    index = torch.tensor([63, 2])
    assert tuple(index.tolist()) in found.train._pending  # the newest are those that are kept
    assert torch.equal(found.train.index_select(0, index), kept.train[index])
    assert torch.equal(found.train.index_select(0, torch.tensor([0, 0])), kept.train[:1].repeat(2, 1, 1, 1))
    close(found)


def test_threads_end_with_close_and_with_the_data_and_start_again(paths):
    before = threading.active_count()
    found = streamed(paths[1], 2)
    assert threading.active_count() == before  # those of the beginning have ended
    for _ in range(2):
        assert len(found.train[:]) == found.rows
        assert threading.active_count() > before
        close(found)
        assert threading.active_count() == before
    found.train.announce(torch.arange(20))
    found.train[:]
    threads = [t for t in threading.enumerate() if "ThreadPool" in t.name]
    del found
    gc.collect()  # an archive or a thread left open would be a warning, and so an error
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("workers", WORKERS)
def test_a_picture_damaged_or_removed_since_is_named(tmp_path, workers):
    folder = tree(tmp_path, 20)
    found = streamed(folder, workers)
    name = found.train.names[5]
    for spoil in (lambda path: path.write_bytes(b"words"), lambda path: path.unlink()):
        spoil(folder / name)
        with pytest.raises(ValueError, match=f"{folder}: {name} cannot be decoded any more") as caught:
            found.train[:]
        assert "\n" not in str(caught.value)
        found.train.announce(torch.tensor([5, 6]))
        with pytest.raises(ValueError, match=name):
            found.train.index_select(0, torch.tensor([5, 6]))
        assert len(found.train[:5]) == 5  # the others are still there
    close(found)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_broken_body_is_found_before_the_game_begins(tmp_path, workers):
    folder = tree(tmp_path, 3)
    (folder / "a/broken.png").write_bytes(BROKEN["truncated.png"][0])
    assert len(streamed(folder, workers).skipped) == 1
    with pytest.raises(ValueError, match="a/broken.png cannot be decoded: .*truncated"):
        streamed(folder, workers, strict=True)
    (folder / "a/00000.png").write_bytes(BROKEN["truncated.png"][0])
    with pytest.raises(ValueError, match="holds 2 readable pictures"):
        streamed(folder, workers)


def test_memory_is_the_bytes_of_the_decoded_pictures(tmp_path):
    folder = tree(tmp_path, 6)
    exact = 6 * 3 * 32 * 32
    assert isinstance(images(folder, size=32, channels=3, memory=exact).train, torch.Tensor)
    assert isinstance(images(folder, size=32, channels=3, memory=exact - 1).train, Streamed)


OWN = {"valid": range(30, 33), "test": range(33, 40)}  # the shades of a tree that its source may hold out
CHOOSE = partial(settle_choices, None, "centre", "white", None)


def shade(name):
    return int(name[-9:-4])


def held_out(folder, parts, seed=0, memory=MEMORY_BYTES, classes=folder_classes):
    """The forty pictures of a tree, of which a source holds out these parts."""
    files = Folder(folder)
    held = {name: part for name in files.names for part in parts if shade(name) in OWN[part]}
    return gather("x", "x", files, classes, CHOOSE, seed, held_out=held, memory=memory, workers=0)


def holds_out(folder, parts, memory):
    """A part of the source's own is all of it, the others are cut from what is left, and every row is in one part."""
    found = held_out(folder, parts, 3, memory)
    left = [shade(name) for name in found.files if not any(shade(name) in OWN[part] for part in parts)]
    cut = dict(zip(("train", "valid", "test"), split(torch.tensor(left), 3), strict=True))
    for part in ("valid", "test"):
        if part in parts:
            assert sorted(shades(getattr(found, part))) == list(OWN[part])
        else:
            assert shades(getattr(found, part)) == cut[part].tolist()
    assert shades(found.train)[: len(cut["train"])] == cut["train"].tolist()
    assert sorted(shades(found.train) + shades(found.valid) + shades(found.test)) == list(range(40))
    for part in ("train", "valid", "test"):
        assert found.codes(part).tolist() == [s % 2 for s in shades(getattr(found, part))]
    assert shades(found.as_test_part().test) == [shade(name) for name in found.files]


PARTED = [(), ("test",), ("valid",), ("valid", "test")]


@pytest.mark.parametrize("memory", [0, MEMORY_BYTES])
@pytest.mark.parametrize("parts", PARTED, ids="-".join)
def test_what_a_source_holds_out_is_that_part_and_only_what_it_lacks_is_cut(tmp_path, parts, memory, monkeypatch):
    folder = tree(tmp_path, 40)
    holds_out(folder, parts, memory)
    monkeypatch.setitem(
        gather.__globals__, "_cut_parts", lambda _, parts, __, seed: split(torch.arange(len(parts)), seed)
    )
    with pytest.raises(AssertionError) if parts else nullcontext():  # a cut that is blind to them
        holds_out(folder, parts, memory)


def test_the_seed_orders_what_is_held_out_and_moves_nothing_into_it(tmp_path):
    one, other = (shades(held_out(tree(tmp_path, 40), ["test"], seed).test) for seed in (0, 1))
    assert one != other and sorted(one) == sorted(other) == list(OWN["test"])


def test_the_fingerprint_knows_what_is_held_out_and_is_as_ever_where_nothing_is(tmp_path):
    folder, digest = tree(tmp_path, 40), hashlib.blake2b(digest_size=16)
    names = Folder(folder).names
    for name in names:
        digest.update(hashlib.blake2b((folder / name).read_bytes(), digest_size=16).digest())
    digest.update(repr(([shade(name) % 2 for name in names], ("a", "b"))).encode())
    assert held_out(folder, (), 3).digest == f"{digest.hexdigest()} seed 3"
    assert held_out(folder, ()).fingerprint == images(folder).fingerprint
    assert len({held_out(folder, parts).fingerprint for parts in PARTED}) == len(PARTED)


@pytest.mark.parametrize("memory", [0, MEMORY_BYTES])
def test_a_part_whose_classes_are_not_told_has_none_and_the_others_keep_theirs(tmp_path, memory):
    def classes(names):
        return [-1 if shade(name) == 35 else shade(name) % 2 for name in names], ("a", "b")

    found = held_out(tree(tmp_path, 40), ["test"], memory=memory, classes=classes)
    assert found.codes("test") is None and found.class_count == 2
    for part in ("train", "valid"):
        assert found.codes(part).tolist() == [s % 2 for s in shades(getattr(found, part))]
    assert found.as_test_part().codes("test") is None
    assert len(held_out(tmp_path, ["valid"], classes=classes).codes("valid")) == len(OWN["valid"])


def test_a_part_of_which_no_picture_can_be_read_is_refused_and_not_cut_elsewhere(tmp_path):
    folder = tree(tmp_path, 40)
    for name in Folder(folder).names:
        if shade(name) in OWN["test"][1:]:
            (folder / name).write_bytes(b"words")
    assert shades(held_out(folder, ["test"]).test) == [33]
    (folder / "b/00033.png").write_bytes(BROKEN["truncated.png"][0])
    with pytest.raises(ValueError, match="^x: none of the pictures that it holds out for test can be read$"):
        held_out(folder, ["test"])


# --- stacked digits ---


def test_stacked_digits_are_three_digits_and_their_code():
    world, single = stacked_digits(), digits().as_pictures()
    assert world.shape == (3, 8, 8) and world.kind == "pictures" and world.class_count == 1_000
    assert world.labels.names == tuple(f"{i:03d}" for i in range(1_000))
    for part, n in (("train", 20_000), ("valid", 2_500), ("test", 2_500)):
        rows, codes, known = getattr(world, part), getattr(world.labels, part), getattr(single.labels, part)
        assert rows.shape == (n, 3, 8, 8) and rows.dtype == torch.uint8 and len(codes) == n
        # each channel is a digit of the same part: found there by its bytes, it has the code's label
        own = {bytes(x.tolist()): int(y) for x, y in zip(bytes_of(single, part), known, strict=True)}
        for i in range(0, n, 50):
            a, b, c = (own[bytes(channel.flatten().tolist())] for channel in rows[i])
            assert int(codes[i]) == 100 * a + 10 * b + c
    assert len(world.labels.train.unique()) == 1_000
    assert stacked_digits(7).fingerprint == world.fingerprint


def bytes_of(data, part):
    return ((data.part(part) + 1) * 127.5).round().to(torch.uint8).flatten(1)


def test_parts_of_stacked_digits_share_no_digit_but_equal_ones():
    world, single = stacked_digits(), digits().as_pictures()
    trained = {bytes(x.tolist()) for x in bytes_of(single, "train")}
    tested = {bytes(channel.flatten().tolist()) for row in world.test[:500] for channel in row}
    assert not tested & trained


def test_other_labelled_greys_can_be_stacked_and_nothing_else(tmp_path):
    def classes(n, mode="L", name="x"):
        for i in range(n):
            for j in range(10):
                path = tmp_path / name / f"{i:02d}" / f"{j}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(written(Image.new(mode, (8, 8), i if mode == "L" else (i, i + 1, i))))
        return images(tmp_path / name)

    greys = classes(10)
    world = stacked(greys, sizes=(100, 20, 20))
    assert world.name == "stacked-x" and world.shape == (3, 8, 8) and len(world.test) == 20
    weights = torch.tensor([100, 10, 1])
    for part in ("train", "valid", "test"):  # a class is its shade
        assert torch.equal(getattr(world, part)[:, :, 0, 0].long() @ weights, getattr(world.labels, part))
    assert world.fingerprint != stacked(greys, sizes=(100, 20, 10)).fingerprint
    unlabelled = images(tmp_path / "x/01")
    for data in (digits(), datas.ring8(), unlabelled, classes(9, name="nine"), classes(10, "RGB", "colours")):
        with pytest.raises(ValueError, match=f"{data.name} is not ten classes of one-channel pictures"):
            stacked(data)


# --- the hub ---


def test_without_its_library_the_hub_names_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"hf:mnist needs the library datasets: pip install 'ganzfeld\[data\]'"):
        datas.load("hf:mnist")
    with pytest.raises(ValueError, match="not 7"):
        datas.load("hf:mnist", size=7)


@pytest.fixture
def library(monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()
    return datasets


def parquet(path, columns, features):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns, schema=features.arrow_schema), path)


@pytest.mark.filterwarnings("ignore")  # its own
def test_a_parquet_gives_the_pictures_of_a_folder(library, tmp_path):
    folder = tree(tmp_path / "x", 20)
    (folder / "a/00020.png").write_bytes(BROKEN["truncated.png"][0])
    files = sorted(folder.rglob("*.png"))
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["a", "b"])})
    cells = [{"bytes": path.read_bytes(), "path": None} for path in files] + [None]
    named = ["ab".index(path.parent.name) for path in files] + [0]
    path = tmp_path / "x.parquet"
    parquet(path, {"image": cells, "label": named}, features)
    found, own = datas.load(f"hf:{path}"), images(folder)
    for part in ("train", "valid", "test"):
        assert torch.equal(getattr(found, part), getattr(own, part))
        assert torch.equal(getattr(found.labels, part), getattr(own.labels, part))
    assert found.labels.names == ("a", "b")
    assert [name for name, _ in found.skipped] == ["row 10", "row 21"]
    assert torch.equal(found.order, own.order) and found.fingerprint == own.fingerprint  # it holds nothing out
    with pytest.raises(ValueError, match="row 21 is no picture: no picture"):
        hub(str(path), strict=True)


@pytest.mark.filterwarnings("ignore")
def test_an_image_folder_goes_through_the_library(library, tmp_path):
    found, own = datas.load(f"hf:{tree(tmp_path / 'x', 20)}", size=8), images(tmp_path / "x", size=8)
    assert sorted(shades(found.train) + shades(found.valid) + shades(found.test)) == list(range(20))
    assert found.labels.names == own.labels.names
    assert found.labels.train.tolist() == [s % 2 for s in shades(found.train)]


@pytest.mark.filterwarnings("ignore")
def test_tables_without_pictures_and_unknown_names_are_refused_in_one_line(library, tmp_path):
    parquet(tmp_path / "x.parquet", {"a": [1, 2, 3]}, library.Features({"a": library.Value("int64")}))
    for name, why in ((tmp_path / "x.parquet", "no column of pictures, only a"), (tmp_path / "none.parquet", "cannot")):
        with pytest.raises(ValueError, match=why) as caught:
            datas.load(f"hf:{name}")
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_the_folders_of_an_image_folder_are_its_parts(library, tmp_path):
    for part, n in (("train", 40), ("val", 4), ("test", 10)):
        tree(tmp_path / part, n)
    (tmp_path / "test/b/00010.png").write_bytes(BROKEN["truncated.png"][0])
    found = datas.load(f"hf:{tmp_path}", size=8)
    assert sorted(shades(found.train)) == list(range(40))
    assert sorted(shades(found.valid)) == list(range(4)) and sorted(shades(found.test)) == list(range(10))
    for part in ("train", "valid", "test"):
        assert found.codes(part).tolist() == [s % 2 for s in shades(getattr(found, part))]
    assert [name for name, _ in found.skipped] == ["test row 10"]
    assert [name.rpartition("row")[0] for name in found.files] == [""] * 40 + ["validation "] * 4 + ["test "] * 10
    assert shades(found.as_test_part().test) == [s for n in (40, 4, 10) for s in (*range(0, n, 2), *range(1, n, 2))]


def table(library, shades, labels=None, names=("a", "b"), column="image"):
    """Pictures of these shades, and their labels where there are any."""
    pictures = [{"bytes": written(Image.new("L", (8, 8), s)), "path": None} for s in shades]
    columns = {column: pictures} if labels is None else {column: pictures, "label": labels}
    features = {column: library.Image(), "label": library.ClassLabel(names=list(names))}
    return library.Dataset.from_dict(columns, features=library.Features({k: features[k] for k in columns}))


@pytest.fixture
def hosted(library, monkeypatch):
    """A source of the splits that are given, and of twenty labelled pictures to train on."""

    def load(**splits):
        splits.setdefault("train", table(library, range(20), [s % 2 for s in range(20)]))
        monkeypatch.setattr(library, "load_dataset", lambda name: library.DatasetDict(splits))
        return datas.load("hf:x")

    return load


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("split", ["validation", "valid", "val", "dev"])
def test_a_validation_split_is_known_by_its_names_and_any_other_is_left_alone(library, hosted, split):
    five = table(library, range(20, 25), [0, 1, 0, 1, 0])
    found, other = hosted(**{split: five}), hosted(extra=five)
    assert sorted(shades(found.valid)) == list(range(20, 25)) and len(found.test) == 2
    assert sorted(shades(found.train) + shades(found.test)) == list(range(20))
    assert other.fingerprint == hosted().fingerprint != found.fingerprint


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("labels", [[-1] * 4, [0, 1, None, 0], None], ids=["-1", "None", "no column"])
def test_hidden_labels_of_a_test_split_are_not_known_and_those_of_train_are(library, hosted, labels):
    hidden, told = table(library, range(20, 24), labels), table(library, range(20, 24), [0, 1, 0, 1])
    found = hosted(test=hidden)
    assert sorted(shades(found.test)) == list(range(20, 24)) and found.codes("test") is None
    for part in ("train", "valid"):
        assert found.codes(part).tolist() == [s % 2 for s in shades(getattr(found, part))]
    assert hosted(test=told).codes("test").tolist() == [s % 2 for s in shades(hosted(test=told).test)]
    assert hosted(test=told, train=hidden).labels is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("split", ["test", "val"])
def test_a_held_out_split_of_other_columns_or_classes_is_refused_by_its_name(library, hosted, split):
    def load(**odd):
        return hosted(**{split: table(library, range(20, 24), [0, 1, 0, 1], **odd)})

    for odd, why in (
        ({"column": "picture"}, "no pictures in the column image"),
        ({"names": ("b", "a")}, "other classes in the column label"),
        ({"names": ("a", "b", "c")}, "other classes in the column label"),
    ):
        with pytest.raises(ValueError, match=f"^hf:x has {why} of its {split} split") as caught:
            load(**odd)
        assert "\n" not in str(caught.value)
    assert 4 in load().sizes().values()


@pytest.mark.filterwarnings("ignore")
def test_a_source_without_a_train_split_is_refused(library, tmp_path):
    tree(tmp_path / "test", 6)
    with pytest.raises(ValueError, match="has no train split, only test$"):
        datas.load(f"hf:{tmp_path}")


def test_a_game_on_a_stream_is_the_game_on_memory(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i:02d}.png")
    ends = []
    for memory, workers in ((2**30, 0), (0, 0), (0, 2)):
        data = gz.data.images(folder, size=8, memory=memory, workers=workers)
        game = gz.papers.dcgan(data, gz.networks.DCGAN(width=4, latent=8), batch_size=8)
        engine = gz.Engine(game, data, [0], 6)
        engine.start()
        step = 0
        while step < 6:
            step, _ = engine.advance(step, 6)
        assert data.lazy == (memory == 0)
        if data.lazy:
            assert bool(data.train._pending) == (workers > 0)  # what comes next was announced
            data.train.close()
        ends.append(engine.states()[0]["params"]["critic"]["head.weight"])
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[0], ends[2])


def test_all_rows_of_a_stream_lie_in_the_order_of_their_files(tmp_path):
    folder = tree(tmp_path, 60)
    held, streamed = images(folder), images(folder, memory=0, workers=2)
    assert isinstance(streamed.as_test_part().test, Streamed)
    assert torch.equal(streamed.as_test_part().test[:], held.as_test_part().test)
    assert tuple(streamed.as_test_part().test.names) == streamed.files
    rest = streamed.exclude(["a"])
    assert isinstance(rest.train, Streamed)
    assert torch.equal(rest.train[:], held.exclude(["a"]).train)
