"""From the bytes of a picture file to a square picture [C, S, S] of bytes, by choices that are stated and kept.

A picture is turned upright by its EXIF tag, the first frame stands for an animation, transparency shows the background,
16-bit greys are scaled (not cut) to 8 bits, and the largest centred square is resized with antialiasing. What cannot be
read says why, in a few words: the loader counts it, or stops.

The format is read off the bytes, whatever the file is called, and must be one of `FORMATS`: others are not given to
their decoders, some of which start programs.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageOps

from ...core.texts import first_line

SIDES = (8, 16, 32, 64, 128)
USUAL_SIDE = 64  # the largest side unless asked
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 64 * 2**20  # a larger picture is not decoded: a few kilobytes can expand to gigabytes
CROPS = ("centre", "pad", "stretch")
RESIZER = "Pillow Lanczos, antialiased"


class Unreadable(ValueError):
    """Why a file is no picture."""


@dataclass(frozen=True)
class Choices:
    """size: the side in pixels. crop: the largest centred square, the whole on background, or stretched. background: a
    colour's name, behind transparency and padding. channels: 1 or 3."""

    size: int
    crop: str = "centre"
    background: str = "white"
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size not in SIDES:
            raise ValueError(f"pictures have a side of {', '.join(map(str, SIDES))} pixels, not {self.size}")
        if self.crop not in CROPS:
            raise ValueError(f"the crop is {', '.join(CROPS[:-1])} or {CROPS[-1]}, not {self.crop!r}")
        if self.channels not in (1, 3):
            raise ValueError(f"pictures have 1 or 3 channels, not {self.channels}")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise ValueError(f"{self.background!r} is no colour; say white, black or #rrggbb") from None


def settle_choices(
    size: int | None, crop: str, background: str, channels: int | None, short: float = USUAL_SIDE, grey: bool = False
) -> Choices:
    """What was asked for, and what was not by the pictures' median shorter side and whether they are all grey."""
    side = usual_size(short) if size is None else size
    return Choices(side, crop, background, (1 if grey else 3) if channels is None else channels)


def usual_size(short: float) -> int:
    """The side nearest to a length by their ratio, the larger of two, at most 64: 32 for 28."""
    return min((side for side in SIDES if side <= USUAL_SIDE), key=lambda side: (abs(math.log2(side / short)), -side))


def describe_size(asked: int | None, choices: Choices, sides: tuple[float, float]) -> tuple[str, ...]:
    """What is to be said of a side that nobody asked for, of pictures of (median) sides [height, width]."""
    side = choices.size
    if asked is not None or sides == (side, side):
        return ()
    others = ", ".join(str(s) for s in SIDES if s != side)
    return (f"pictures of {sides[1]:g} x {sides[0]:g} are read as {side} x {side}: --size {others} for another side",)


@dataclass(frozen=True)
class Header:
    """What a file's header tells: its sides, and whether it is grey."""

    width: int
    height: int
    grey: bool


def read_header(data: bytes) -> Header:
    """The header alone. Raises Unreadable."""
    with _open(data) as image:
        return Header(*image.size, image.mode in ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F"))


def decode(data: bytes, choices: Choices) -> np.ndarray:
    """[C, S, S] uint8. Raises Unreadable."""
    try:
        with _open(data) as image:
            image.load()
            return _to_array(ImageOps.exif_transpose(image), choices)
    except Unreadable:
        raise
    except Exception as error:  # decoders raise many types; each is a damaged file
        raise Unreadable(_reason(error)) from None


def resize(x: np.ndarray, choices: Choices) -> np.ndarray:
    """Pictures [n, C, H, W] of bytes as [n, C', S, S] by the same choices."""
    if x.shape[1:] == (choices.channels, choices.size, choices.size):
        return np.ascontiguousarray(x)
    images = (Image.fromarray(p[0] if len(p) == 1 else np.ascontiguousarray(p.transpose(1, 2, 0))) for p in x)
    return np.stack([_to_array(image, choices) for image in images])


def _open(data: bytes) -> Image.Image:
    if not data:
        raise Unreadable("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:
        raise Unreadable(_reason(error)) from None
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(f"too large to decode safely: {image.width} x {image.height}")
    return image


def _to_array(image: Image.Image, choices: Choices) -> np.ndarray:
    """[C, S, S]."""
    pixels = np.asarray(_make_square(_flatten_alpha(image, choices), choices))
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _flatten_alpha(image: Image.Image, choices: Choices) -> Image.Image:
    """Without transparency, in the colours that are kept."""
    mode = "L" if choices.channels == 1 else "RGB"
    image = _to_eight_bits(image)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        above = image.convert("RGBA")
        ground = Image.new("RGBA", above.size, (*ImageColor.getrgb(choices.background)[:3], 255))
        return Image.alpha_composite(ground, above).convert(mode)
    return image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """In eight bits a channel: whole numbers are of 65,535, floats of 1."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    deep = np.nan_to_num(np.asarray(image).astype(np.float64))
    shallow = Image.fromarray(
        (deep * (255 if image.mode == "F" else 255 / 65535)).round().clip(0, 255).astype(np.uint8)
    )
    if "transparency" in image.info:  # the one shade that is
        shallow.putalpha(Image.fromarray(np.where(deep == image.info["transparency"], 0, 255).astype(np.uint8)))
    return shallow


def _make_square(image: Image.Image, choices: Choices) -> Image.Image:
    side = (choices.size, choices.size)
    filter = Image.Resampling.LANCZOS
    if choices.crop == "stretch":
        return image.resize(side, filter)
    if choices.crop == "pad":
        return _pad(image.resize(_fit_sides(image.size, choices.size), filter), choices)
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return image.crop((left, top, left + short, top + short)).resize(side, filter)


def _fit_sides(sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Sides in proportion, the longer one the size; a hair's breadth is a pixel."""
    width, height = (max(1, round(side * size / max(sides))) for side in sides)
    return width, height


def _pad(image: Image.Image, choices: Choices) -> Image.Image:
    ground = Image.new(image.mode, (choices.size,) * 2, ImageColor.getcolor(choices.background, image.mode))
    ground.paste(image, ((choices.size - image.width) // 2, (choices.size - image.height) // 2))
    return ground


def _reason(error: Exception) -> str:
    text = first_line(error)
    return "not a picture" if "cannot identify" in text else text
