"""Picture files become the pixels they should, or are skipped with a reason; folders and zips are one thing."""

import io
import json
import os
import random
import shutil
import struct
import time
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganzfeld as gz
from ganzfeld import data as datas
from ganzfeld.data import images
from ganzfeld.data.samples import archive
from ganzfeld.data.samples.decode import Choices, Unreadable, decode, read_header, usual_size
from ganzfeld.tasks.generation import Generation
from small import ganzfeld

FREEDOOM = Path(__file__).parents[2] / "shared/data/freedoom/freedoom_images.zip"
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
EIGHT = Choices(8)


def written(image, format="png", **options):
    """The bytes of a picture file."""
    held = io.BytesIO()
    image.save(held, format, **options)
    return held.getvalue()


def tree(folder, n, side=16):
    """Pictures of the shades 0 to n - 1, the even ones in a folder a, the odd ones in b."""
    for i in range(n):
        path = folder / "ab"[i % 2] / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(Image.new("L", (side, side), i)))
    return folder


def shades(rows):
    """The shade of every picture of a tree."""
    return rows[:][:, 0, 0, 0].tolist()


def pixel(data, x=4, y=4, **choices):
    """One pixel of a file that is decoded to 8 x 8."""
    return tuple(decode(data, Choices(8, **choices))[:, y, x].tolist())


def halves(left, right, mode="RGB"):
    """A picture of two colours, side by side."""
    image = Image.new(mode, (8, 8), right)
    image.paste(left, (0, 0, 4, 8))
    return image


# --- one file ---


def palette(**options):
    image = halves(0, 1, "P")
    image.putpalette([0, 255, 0, 255, 0, 0])
    return written(image, "png", **options)


def test_a_palette_without_transparency_shows_its_colours():
    assert pixel(palette(), 1) == GREEN and pixel(palette(), 6) == RED


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"], ids=["one index", "a table"])
@pytest.mark.parametrize(("background", "shown"), [("white", (255,) * 3), ("black", (0,) * 3), ("#0000ff", BLUE)])
def test_the_transparent_part_of_a_palette_shows_the_background(transparency, background, shown):
    data = palette(transparency=transparency)
    assert pixel(data, 1, background=background) == shown
    assert pixel(data, 6, background=background) == RED


def test_transparency_of_every_kind_shows_the_background():
    half = (255, 0, 0, 128)
    assert pixel(written(Image.new("RGBA", (8, 8), half))) == (255, 127, 127)
    assert pixel(written(Image.new("RGBA", (8, 8), half)), background="black") == (128, 0, 0)
    assert pixel(written(Image.new("LA", (8, 8), (0, 0))), channels=1) == (255,)
    assert pixel(written(Image.new("LA", (8, 8), (100, 255))), channels=1) == (100,)
    assert pixel(written(Image.new("RGB", (8, 8), RED), transparency=RED)) == (255, 255, 255)
    assert pixel(written(Image.new("RGB", (8, 8), RED), transparency=BLUE)) == RED
    assert pixel(written(Image.new("L", (8, 8), 9), transparency=9)) == (255, 255, 255)
    assert pixel(written(Image.new("1", (8, 8), 0), transparency=0)) == (255, 255, 255)
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    assert pixel(written(deep, transparency=40_000)) == (255, 255, 255)
    assert pixel(written(deep, transparency=40_001)) == (156, 156, 156)


def test_the_colour_under_what_is_transparent_does_not_bleed_into_its_neighbours():
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 255))
    image.paste((0, 0, 0, 0), (0, 0, 31, 64))
    assert decode(written(image), EIGHT).min() == 255


def test_one_bit_pictures_are_black_and_white():
    data = written(halves(1, 0, "1"))
    assert (pixel(data, 1), pixel(data, 6)) == ((255,) * 3, (0,) * 3)
    assert read_header(data).grey


def test_deep_greys_are_scaled_and_not_cut():
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    for format in ("png", "tiff"):
        assert pixel(written(deep, format)) == (156, 156, 156) != (255, 255, 255)
        assert pixel(written(deep, format), channels=1) == (156,)
        assert read_header(written(deep, format)).grey
    assert pixel(b"P5 8 8 65535\n" + struct.pack(">H", 40_000) * 64, channels=1) == (156,)


def test_floats_are_of_one_and_what_is_no_number_is_dark():
    floats = np.full((8, 8), 0.5, np.float32)
    floats[:, :4] = np.nan
    data = written(Image.fromarray(floats), "tiff")
    assert pixel(data, 6, channels=1) == (128,) and pixel(data, 1, channels=1) == (0,)


def test_cmyk_is_shown_in_rgb():
    data = written(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpeg")
    np.testing.assert_allclose(pixel(data), RED, atol=4)


@pytest.mark.parametrize(("orientation", "shown"), [(1, RED), (3, BLUE), (6, RED), (8, BLUE)])
def test_exif_turns_a_picture_upright(orientation, shown):
    """Red on the left of blue: turned clockwise (6) red is on top, turned back (8) it is below."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = written(halves(RED, BLUE), "png", exif=exif)
    assert pixel(data, 1, 1) == shown
    assert pixel(data, 6, 1) == ({RED: BLUE, BLUE: RED}[shown] if orientation in (1, 3) else shown)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    for format in ("gif", "png", "webp"):
        data = written(frames[0], format, save_all=True, append_images=frames[1:], duration=50, loop=0)
        np.testing.assert_allclose(pixel(data), RED, atol=4)


@pytest.mark.parametrize("crop", ["centre", "pad", "stretch"])
def test_one_pixel_becomes_a_picture(crop):
    assert (decode(written(Image.new("RGB", (1, 1), BLUE)), Choices(8, crop)) == np.array(BLUE)[:, None, None]).all()


@pytest.mark.parametrize("crop", ["centre", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 500), (500, 1)])
def test_a_hairline_becomes_a_picture(crop, size):
    assert decode(written(Image.new("RGB", size, BLUE)), Choices(8, crop)).shape == (3, 8, 8)


def test_crops_of_a_wide_picture_differ_as_stated():
    """Red, green and blue squares in a row: the centre is green, a pad shows all three between white, so does a
    stretch without."""
    wide = Image.new("RGB", (96, 32), GREEN)
    wide.paste(RED, (0, 0, 32, 32))
    wide.paste(BLUE, (64, 0, 96, 32))
    data = written(wide)
    assert (decode(data, Choices(8, "centre")) == np.array(GREEN)[:, None, None]).all()
    pad = decode(data, Choices(32, "pad", "black"))
    assert (pad[:, :10] == 0).all() and (pad[:, 22:] == 0).all()
    for x, colour in ((4, RED), (16, GREEN), (28, BLUE)):
        np.testing.assert_allclose(pad[:, 16, x], colour, atol=2)
        for y in (0, 31):
            np.testing.assert_allclose(decode(data, Choices(32, "stretch"))[:, y, x], colour, atol=2)
    assert tuple(decode(data, Choices(32, "pad"))[:, 0, 0]) == (255, 255, 255)


def test_shrinking_is_antialiased():
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    assert abs(decode(written(Image.fromarray(checks.astype(np.uint8))), Choices(8, channels=1)) - 127.5).max() < 8


# --- what is no picture ---


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width=60_000, height=60_000):
    """A PNG whose header promises gigabytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(2**20))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
BROKEN = {
    "truncated.png": (written(NOISE)[:2_000], "truncated"),
    "truncated.jpg": (written(NOISE, "jpeg")[:1_000], "truncated"),
    "header.png": (written(NOISE)[:20], ""),
    "empty.png": (b"", "empty file"),
    "text.jpg": (b"these are words\n", "not a picture"),
    "bomb.png": (bomb(), "exceeds limit"),
    "large.png": (bomb(9_000, 9_000), "too large"),
    "program.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n", "not a picture"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_is_skipped_with_its_name_and_reason_or_stops(tmp_path, name):
    data, why = BROKEN[name]
    tree(tmp_path, 6)
    (tmp_path / "b" / name).write_bytes(data)
    start = time.perf_counter()
    found = images(tmp_path, size=8)
    assert time.perf_counter() - start < 2
    assert [skipped for skipped, _ in found.skipped] == [f"b/{name}"]
    assert why in found.skipped[0][1] and "\n" not in found.skipped[0][1]
    assert sum(map(len, (found.train, found.valid, found.test))) == 6
    with pytest.raises(ValueError, match=f"b/{name}") as caught:
        images(tmp_path, size=8, strict=True)
    assert "\n" not in str(caught.value)


def test_whole_files_are_not_skipped_and_pass_strictly(tmp_path):
    found = images(tree(tmp_path, 6), strict=True)
    assert found.skipped == () and found.rows == 4


@pytest.mark.parametrize("format", ["png", "gif", "jpeg", "tiff", "bmp", "ppm", "webp"])
def test_a_damaged_file_is_decoded_or_unreadable_and_nothing_else(format):
    whole, rng = written(NOISE, format), random.Random(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            spoilt = bytearray(whole[: rng.choice((len(whole), rng.randrange(len(whole))))])
            for _ in range(rng.randrange(1, 9)):
                if spoilt:
                    spoilt[rng.randrange(min(len(spoilt), rng.choice((64, 9_999))))] = rng.randrange(256)
            try:
                read_header(bytes(spoilt))
                assert decode(bytes(spoilt), EIGHT).shape == (3, 8, 8)
            except Unreadable as error:
                assert str(error)


# --- folders ---


def everything(found):
    return torch.cat([found.train[:], found.valid[:], found.test[:]])


def test_every_picture_is_loaded_once(tmp_path):
    found = images(tree(tmp_path, 30), size=8, channels=1)
    assert sorted(shades(everything(found))) == list(range(30))
    assert (len(found.train), len(found.valid), len(found.test)) == (24, 3, 3)
    assert found.name == tmp_path.name and found.kind == "pictures"
    assert found.part("train").min() >= -1 and found.shape == (1, 8, 8)


def test_a_folder_and_its_zip_are_the_same_data(tmp_path):
    folder = tree(tmp_path / "x", 12)
    (folder / "a-b").mkdir()  # as text it is before a/, as a path behind
    (folder / "a-b/c.png").write_bytes(written(Image.new("L", (8, 8), 99)))
    path = zipped(folder, tmp_path / "x.zip")
    one, other = images(folder), images(path)
    for part in ("train", "valid", "test"):
        assert torch.equal(getattr(one, part), getattr(other, part))
        assert torch.equal(getattr(one.labels, part), getattr(other.labels, part))
    assert one.labels.names == other.labels.names == ("a", "a-b", "b")
    assert one.fingerprint == other.fingerprint


def zipped(folder, path, within="", order=1):
    """A zip of a folder, its members in or against order."""
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(folder.rglob("*"))[::order]:
            if member.is_file():
                file.write(member, within + member.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("within", ["", "photos/", "my/photos/", "./"])
def test_a_class_is_the_first_folder_in_which_paths_differ(tmp_path, within):
    folder = tree(tmp_path / "x", 20)
    found = images(zipped(folder, tmp_path / "x.zip", within), channels=1)
    assert found.fingerprint == images(folder).fingerprint
    assert found.labels.names == ("a", "b") and found.class_count == 2
    for part in ("train", "valid", "test"):
        # even shades lie in a, odd ones in b
        assert getattr(found.labels, part).tolist() == [s % 2 for s in shades(getattr(found, part))]


def test_labels_go_with_their_pictures_where_some_are_skipped(tmp_path):
    folder = tree(tmp_path, 20)
    (folder / "a/000x.png").write_bytes(b"words")
    (folder / "a/000y.png").write_bytes(BROKEN["truncated.png"][0])
    for seed in range(3):
        found = images(folder, seed, channels=1)
        assert len(found.skipped) == 2
        assert found.labels.train.tolist() == [s % 2 for s in shades(found.train)]


def test_a_single_class_or_a_picture_beside_the_classes_gives_no_labels(tmp_path):
    folder = tree(tmp_path, 8)
    assert images(folder).labels is not None
    (folder / "top.png").write_bytes(written(Image.new("L", (8, 8))))
    assert images(folder).labels is None
    assert images(folder / "a").labels is None
    shutil.rmtree(folder / "b")
    (folder / "top.png").unlink()
    assert images(folder).labels is None


def test_the_order_of_the_file_system_does_not_matter(tmp_path, monkeypatch):
    folder = tree(tmp_path / "x", 12)
    one = images(folder)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(sorted(listed(self), reverse=True)))
    other = images(folder)
    backwards = images(zipped(folder, tmp_path / "x.zip", order=-1))
    assert torch.equal(one.train, other.train) and torch.equal(one.train, backwards.train)
    assert one.fingerprint == other.fingerprint == backwards.fingerprint


def test_hidden_files_and_the_leavings_of_a_mac_are_ignored(tmp_path):
    folder = tree(tmp_path / "x", 6)
    before = images(folder)
    for name in (".hidden.png", ".git/1.png", "__MACOSX/1.png", "a/.DS_Store", "notes.txt"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(written(Image.new("L", (8, 8))))
    for after in (images(folder, strict=True), images(zipped(folder, tmp_path / "x.zip"), strict=True)):
        assert after.fingerprint == before.fingerprint and after.skipped == ()


def test_links_out_of_the_folder_are_skipped(tmp_path):
    folder = tree(tmp_path / "x", 6)
    outside = tree(tmp_path / "y", 6)
    (folder / "a/link.png").symlink_to(outside / "a/00000.png")
    (folder / "out").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "gone.png").symlink_to(folder / "none.png")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "twice.png").symlink_to(folder / "a/00000.png")
    found = images(folder)
    outward, nothing = "a link that leads outside", "a link to nothing"
    expected = {"a/link.png": outward, "out": outward, "gone.png": nothing, "self.png": nothing}
    assert dict(found.skipped) == {**expected, "loop": "a link to a directory"}
    assert len(everything(found)) == 7
    with pytest.raises(ValueError, match="is no picture: a link"):
        images(folder, strict=True)


def test_names_that_are_no_text_are_read(tmp_path):
    folder = tree(tmp_path, 4)
    os.rename(folder / "a/00000.png", os.fsencode(folder) + b"/a/\xff\xfe.png")
    found = images(folder)
    assert len(everything(found)) == 4 and r"a/\xff\xfe.png" in found.files
    assert r"1 names are not UTF-8 and are written by their bytes, the first: a/\xff\xfe.png" in found.remarks


def test_data_and_runs_whose_own_path_is_no_text_are_refused_by_name(tmp_path):
    tree(tmp_path / "x", 20)
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.rename(tmp_path / "x", strange)
    for data, out in ((strange, tmp_path / "run"), ("digits", strange + "/run")):
        code, _, said = ganzfeld("train", "dcgan", "--data", data, "--out", out, "--steps", 1)
        assert code == 2 and r"/caf\xe9" in said and "is not UTF-8, so that no run can write it down: rename it" in said
    assert sorted(os.listdir(strange)) == ["a", "b"] and os.listdir(tmp_path) == [os.path.basename(strange)]


def test_a_class_whose_name_is_no_text_can_be_written_and_asked_for(tmp_path):
    folder = tree(tmp_path / "x", 20)
    os.rename(folder / "a", os.fsencode(folder) + b"/caf\xe9")
    (folder / os.fsdecode(b"caf\xe9/\xff.png")).write_bytes(b"")
    small = ("--batch-size", 8, "--set", "width=4", "--steps", 1)
    code, _, said = ganzfeld("train", "dcgan", "--data", folder, "--out", tmp_path / "run", "--labels", *small)
    assert code == 0 and r"skipped: empty file: caf\xe9/\xff.png" in said
    assert gz.load(tmp_path / "run").classes == ("b", r"caf\xe9")
    out = tmp_path / "x.npy"
    assert ganzfeld("sample", tmp_path / "run", "--class", r"caf\xe9", "--n", 2, "--out", out)[0] == 0


def test_a_directory_that_may_not_be_opened_is_skipped_unless_it_is_the_whole(tmp_path, monkeypatch):
    folder, listed = tree(tmp_path, 6), Path.iterdir

    def shut(self):
        if self == folder / "b":
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", shut)
    assert images(folder).skipped == (("b", "cannot be read: Permission denied"),)
    with pytest.raises(ValueError, match="b cannot be read: Permission denied"):
        images(folder / "b")


def test_the_fingerprint_knows_every_byte_and_every_choice(tmp_path):
    folder = tree(tmp_path / "x", 8)
    other = shutil.copytree(folder, tmp_path / "y")
    first = images(folder, size=8).fingerprint
    assert images(other, size=8).fingerprint == first
    asked = [{"size": 16}, {"crop": "pad"}, {"background": "black"}, {"channels": 3}]
    prints = {first, *(images(folder, **{"size": 8, **change}).fingerprint for change in asked)}
    prints.add(images(folder, 1, size=8).fingerprint)
    (folder / "a/new.png").write_bytes(written(Image.new("L", (8, 8))))
    prints.add(images(folder, size=8).fingerprint)
    (folder / "a/new.png").rename(folder / "b/new.png")
    prints.add(images(folder, size=8).fingerprint)
    (folder / "b/new.png").unlink()
    assert images(folder, size=8).fingerprint == first
    (folder / "b").rename(folder / "c")
    prints.add(images(folder, size=8).fingerprint)  # a class is called otherwise
    (folder / "c").rename(folder / "b")
    path = folder / "a/00000.png"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0")  # no pixel changes
    prints.add(images(folder, size=8).fingerprint)
    path.unlink()
    prints.add(images(folder, size=8).fingerprint)
    assert len(prints) == 1 + len(asked) + 1 + 5


@pytest.mark.skipif(not FREEDOOM.exists(), reason="the freedoom pictures are not here")
def test_a_real_and_messy_zip_is_loaded_whole():
    found = images(FREEDOOM, size=8)
    assert len(found.train) + len(found.valid) + len(found.test) + len(found.skipped) == 2_952
    assert len(found.skipped) < 30 and found.shape == (3, 8, 8)
    assert everything(found).flatten(1).double().std(1).gt(0).double().mean() > 0.9


# --- refusals ---


def test_too_few_pictures_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="holds no pictures"):
        images(tmp_path)
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(b"words")
    with pytest.raises(ValueError, match="holds 0 readable.* 5 are skipped, the first: 0.png, not a picture"):
        images(tmp_path)
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(BROKEN["truncated.png"][0])
    with pytest.raises(ValueError, match="holds 0 readable.* 5 are skipped, the first: 0.png, .*truncated") as caught:
        images(tmp_path)
    assert "\n" not in str(caught.value)
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(written(NOISE))
    with pytest.raises(ValueError, match="holds 2 readable pictures, at least 3"):
        images(tmp_path)
    (tmp_path / "2.png").write_bytes(written(NOISE))
    assert images(tmp_path).rows == 1


def member(name="x.png", data=b"x", mode=0, kind=zipfile.ZIP_DEFLATED):
    """A zip of three pictures and one member more."""
    held, info = io.BytesIO(), zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, kind
    with zipfile.ZipFile(held, "w") as file:
        for i in range(3):
            file.writestr(f"{i}.png", written(Image.new("L", (8, 8), i)))
        file.writestr(info, data)
    return held.getvalue()


def patched(data, offset, value):
    """The last entry of the central directory, a 32-bit number in it changed."""
    at = data.rindex(b"PK\1\2") + offset
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


ARCHIVES = {
    "../": (member("../x.png"), "leads outside"),
    "a/../../": (member("a/../../x.png"), "leads outside"),
    "backslash": (member("..\\x.png"), "leads outside"),
    "absolute": (member("/etc/x.png"), "leads outside"),
    "drive": (member("C:\\x.png"), "leads outside"),
    "link": (member(mode=0o120777, data=b"/etc/passwd"), "a link"),
    "expansion": (member(data=bytes(20_000_000)), "expands 10"),
    "bzip2": (member(data=bytes(10_000), kind=zipfile.ZIP_BZIP2), "use deflate"),
    "promise": (patched(member(), 24, 2**31), "expands"),
    "encrypted": (patched(member(), 8, 1 | zipfile.ZIP_DEFLATED << 16), "encrypted"),
    "text": (b"these are words", "not a whole zip"),
    "empty": (b"", "not a whole zip"),
    "truncated": (member()[:-30], "not a whole zip"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_unsafe_or_damaged_zip_is_refused_and_nothing_is_written(tmp_path, name):
    data, why = ARCHIVES[name]
    assert len(data) < 100_000
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=why) as caught:
        datas.load(str(path))
    assert time.perf_counter() - start < 2
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_plain_member_is_not_refused(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(member("12:30..png", written(NOISE)))
    assert len(everything(images(path, strict=True))) == 4


def test_no_more_is_read_than_an_entry_promises(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(patched(member(data=bytes(900_000)), 24, 100))
    found = images(path)
    assert [name for name, _ in found.skipped] == ["x.png"] and "damaged in the archive" in found.skipped[0][1]
    assert len(everything(found)) == 3


def test_members_that_share_their_bytes_are_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_EXPANSION", 10)
    monkeypatch.setattr(archive, "_why_unsafe", lambda _: None)  # each member by itself is harmless
    path = tmp_path / "a.zip"
    path.write_bytes(member(data=bytes(50_000)))
    with pytest.raises(ValueError, match="expands more than 10 times"):
        images(path)


def test_a_file_too_large_is_skipped_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000)
    folder = tree(tmp_path / "x", 4)
    (folder / "large.png").write_bytes(written(NOISE))
    for found in (images(folder), images(zipped(folder, tmp_path / "x.zip"))):
        assert [name for name, why in found.skipped if "a file of more than" in why] == ["large.png"]


def test_a_zip_with_flipped_bytes_is_loaded_or_refused_in_one_line(tmp_path):
    whole, path, rng = member(data=written(NOISE)), tmp_path / "a.zip", random.Random(0)
    for _ in range(80):
        spoilt = bytearray(whole)
        for _ in range(4):
            spoilt[-rng.randrange(1, rng.choice((300, len(spoilt))))] = rng.randrange(256)
        path.write_bytes(spoilt)
        try:
            assert images(path, size=8).shape[1:] == (8, 8)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)


CHOICES = {
    "crop": ({"crop": "center"}, "centre, pad or stretch, not 'center'"),
    "background": ({"background": "whit"}, "'whit' is no colour"),
    "channels": ({"channels": 2}, "1 or 3 channels, not 2"),
    "no channel": ({"channels": 0}, "1 or 3 channels, not 0"),
    "option": ({"sise": 8}, "no option named 'sise'; did you mean 'size'"),
    **{f"size {size}": ({"size": size}, f"8, 16, 32, 64, 128 pixels, not {size}") for size in (0, -8, 4, 28, 256)},
}


@pytest.mark.parametrize("name", CHOICES)
def test_unknown_choices_are_refused_before_anything_is_read(tmp_path, monkeypatch, name):
    choices, why = CHOICES[name]
    tree(tmp_path, 4)
    monkeypatch.setattr(archive.Folder, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=why) as caught:
        datas.load(str(tmp_path), **choices)
    assert "\n" not in str(caught.value)


def test_choices_for_worlds_without_pictures_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((9, 2)))
    for name in ("ring8", str(tmp_path / "x.npy")):
        with pytest.raises(ValueError, match="--size is for pictures in files"):
            datas.load(name, size=32)


@pytest.mark.parametrize(
    ("short", "side"),
    [(1, 8), (8, 8), (11, 8), (12, 16), (16, 16), (28, 32), (45, 32), (46, 64), (64, 64), (2_000, 64)],
)
def test_the_usual_side_is_the_nearest_and_not_above_sixty_four(short, side):
    assert usual_size(short) == side


@pytest.mark.parametrize("form", ["folder", "numpy"])
def test_pictures_of_28_are_read_as_32_and_the_choice_is_told(tmp_path, form):
    path = str(tree(tmp_path / "x", 6, side=28))
    if form == "numpy":
        path = str(tmp_path / "x.npy")
        np.save(path, np.zeros((6, 28, 28), np.uint8))
    told = "pictures of 28 x 28 are read as 32 x 32: --size 8, 16, 64, 128 for another side"
    found, asked = datas.load(path), datas.load(path, size=16)
    assert found.shape == (1, 32, 32) and found.remarks == (told,)
    assert asked.shape == (1, 16, 16) and asked.remarks == ()


def test_of_messy_pictures_two_are_named_wherever_one_looks(tmp_path):
    messy = FREEDOOM.parents[1] / "faults/messy"
    if not messy.is_dir():
        pytest.skip(f"{messy} is not there")
    asked = ["train", "dcgan", "--data", messy, "--out", tmp_path / "run", "--steps", 1, "--batch-size", 8]
    asked += ["--set", "width=4"]
    truncated, empty = "image file is truncated (6 bytes not processed)", "empty file"
    code, shown, _ = ganzfeld(*asked, "--dry-run")
    assert code == 0 and f"{truncated}: a/cut.jpg; {empty}: a/empty.png" in shown
    assert "a (7 training rows), été 猫 (5 training rows)" in shown
    code, _, said = ganzfeld(*asked)
    assert code == 0 and f"skipped: {truncated}: a/cut.jpg\nskipped: {empty}: a/empty.png\n" in said
    facts = json.loads((tmp_path / "run/run.json").read_text("utf-8"))["data"]
    assert facts["skipped_files"] == {"a/cut.jpg": truncated, "a/empty.png": empty}
    assert facts["train"] + facts["valid"] + facts["test"] == 14 and facts["class_rows"] == [7, 5]
    assert ganzfeld("report", tmp_path / "run", "--out", tmp_path / "run.html")[0] == 0
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "a/cut.jpg" in page and truncated in page and "a/empty.png" in page


def test_what_is_not_encoded_is_named(tmp_path):
    folder = tree(tmp_path / "x", 40, side=8)
    small = [word for size in ("width=8", "depth=1", "latent=4", "batch_size=4") for word in ("--set", size)]
    assert ganzfeld("train", "bigan", "--data", folder, "--out", tmp_path / "run", "--steps", 1, *small)[0] == 0
    (folder / "a/x.png").write_bytes(b"")
    code, _, said = ganzfeld("encode", tmp_path / "run", "--data", folder, "--out", tmp_path / "x.npy")
    assert code == 0 and said.startswith("skipped: empty file: a/x.png\n40 codes of 4 numbers")


def test_many_skipped_files_are_named_up_to_a_number(tmp_path):
    folder = tree(tmp_path, 6)
    for i in range(30):
        (folder / f"{i:02d}.png").write_bytes(b"")
    [note] = [text for text in Generation().notes(images(folder)) if text.startswith("skipped")]
    assert note.startswith("skipped: empty file: 00.png, 01.png") and note.endswith("07.png and 22 more")


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_run_among_the_data_is_left_alone_and_said(tmp_path, form):
    folder, plain = tree(tmp_path / "x", 6), tree(tmp_path / "y", 6)
    tree(folder / "runs/one/samples", 4)
    (folder / "runs/one/run.json").write_text("{}")
    read = (lambda path: images(zipped(path, tmp_path / f"{path.name}.zip"))) if form == "zip" else images
    found = read(folder)
    assert found.fingerprint == read(plain).fingerprint and found.labels.names == ("a", "b")
    assert found.remarks[0] == "runs/one is a run directory, and is not read as data" and not found.skipped
    with pytest.raises(ValueError, match="one(.zip)? is a run directory, and its pictures are samples"):
        read(folder / "runs/one")
    assert images(folder, strict=True).rows == found.rows


def test_a_folder_of_links_or_of_other_formats_says_so(tmp_path):
    outside, links, others = tree(tmp_path / "y", 6), tmp_path / "links", tmp_path / "others"
    links.mkdir()
    others.mkdir()
    (links / "a").symlink_to(outside)
    (others / "1.HEIC").write_bytes(b"x")
    with pytest.raises(ValueError, match="no pictures .*1 are skipped, the first: a, a link that leads outside"):
        images(links)
    with pytest.raises(ValueError, match="1 are skipped, the first: 1.HEIC, a format that is not read: save it as PNG"):
        images(others)


def test_size_and_channels_are_the_pictures_own_unless_asked(tmp_path):
    for i, (side, shade) in enumerate([((20, 90), 1), ((33, 40), 2), ((50, 50), 3)]):
        (tmp_path / f"{i}.png").write_bytes(written(Image.new("L", side, shade)))
    assert images(tmp_path).shape == (1, 32, 32)
    assert images(tmp_path, size=128, channels=3).shape == (3, 128, 128)
    (tmp_path / "3.png").write_bytes(written(Image.new("RGB", (50, 50), RED)))
    assert images(tmp_path).shape == (3, 32, 32)


@pytest.mark.parametrize("memory", [0, 2**20])
def test_what_is_broken_decides_nothing(tmp_path, memory):
    folder = tree(tmp_path, 3)
    for i in range(6):
        (folder / f"{i}.png").write_bytes(BROKEN["truncated.png"][0])  # in colour, and larger
    found = images(folder, memory=memory)
    assert found.shape == (1, 16, 16) and len(found.skipped) == 6


# --- other parts ---


def test_another_folder_replaces_a_part_as_bytes_with_its_labels(tmp_path):
    folder, other = tree(tmp_path / "x", 20), tree(tmp_path / "y", 10, side=40)
    found, own = datas.load(str(folder), test=str(other)), datas.load(str(folder))
    assert found.test.dtype == torch.uint8 and found.test.shape == (10, 1, 16, 16)
    assert found.labels.test.tolist() == [s % 2 for s in shades(found.test)]
    assert torch.equal(found.train, own.train) and torch.equal(found.labels.train, own.labels.train)
    assert found.fingerprint != own.fingerprint
    (other / "a/00000.png").write_bytes(b"")
    assert datas.load(str(folder), test=str(other)).skipped == ((f"{other}/a/00000.png", "empty file"),)
    (other / "a/00000.png").unlink()
    assert datas.load(str(folder), test=str(other)).fingerprint != found.fingerprint
    with pytest.raises(ValueError, match=r"--test ring8 has rows of shape \(2,\), not \(1, 16, 16\)"):
        datas.load(str(folder), test="ring8")
