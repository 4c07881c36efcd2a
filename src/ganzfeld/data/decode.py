"""From the bytes of a picture file to a square picture [C, S, S] of bytes, by choices that are stated and kept.

A picture is turned upright by its EXIF tag, the first frame stands for an animation, transparency shows the background,
16-bit greys are scaled (not cut) to 8 bits, and the largest centred square is resized with antialiasing. What cannot be
read says why, in a few words: the loader counts it, or stops.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageColor, ImageOps

SIDES = (8, 16, 32, 64, 128)
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
PIXELS = 64 * 2**20  # a larger picture is not decoded: a few kilobytes can expand to gigabytes
Crop = Literal["centre", "pad", "stretch"]
RESIZER = "Pillow Lanczos, antialiased"


class Unreadable(ValueError):
    """Why a file is no picture."""


@dataclass(frozen=True)
class Choices:
    """size: the side in pixels. crop: the largest centred square, the whole on background, or stretched. background: a
    colour's name, behind transparency and padding. channels: 1 or 3."""

    size: int
    crop: Crop = "centre"
    background: str = "white"
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size not in SIDES:
            raise ValueError(f"pictures have a side of {', '.join(map(str, SIDES))} pixels, not {self.size}")
        if self.crop not in get_args(Crop):
            raise ValueError(f"the crop is {' or '.join(get_args(Crop))}, not {self.crop!r}")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise ValueError(f"{self.background!r} is no colour; say white, black or #rrggbb") from None


@dataclass(frozen=True)
class Seen:
    """What a file's header tells: its sides, and whether it is grey."""

    width: int
    height: int
    grey: bool


def look(data: bytes) -> Seen:
    """The header alone. Raises Unreadable."""
    with _opened(data) as image:
        return Seen(*image.size, image.mode in ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F"))


def decode(data: bytes, choices: Choices) -> np.ndarray:
    """[C, S, S] uint8. Raises Unreadable."""
    try:
        with _opened(data) as image:
            image.load()
            upright = ImageOps.exif_transpose(image) or image
            flat = _flat(upright, choices)
    except Unreadable:
        raise
    except Exception as error:  # decoders raise many types; each is a damaged file
        raise Unreadable(_reason(error)) from None
    pixels = np.asarray(_square(flat, choices))
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def resized(x: np.ndarray, choices: Choices) -> np.ndarray:
    """Pictures [n, C, H, W] of bytes as [n, C', S, S] by the same choices."""
    if x.shape[1:] == (choices.channels, choices.size, choices.size):
        return np.ascontiguousarray(x)
    images = (Image.fromarray(p[0] if len(p) == 1 else p.transpose(1, 2, 0)) for p in x)
    rows = [np.asarray(_square(_flat(image, choices), choices)) for image in images]
    return np.stack([row[None] if row.ndim == 2 else row.transpose(2, 0, 1) for row in rows])


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise Unreadable("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below
            image = Image.open(io.BytesIO(data))
    except Exception as error:
        raise Unreadable(_reason(error)) from None
    if image.width * image.height > PIXELS:
        raise Unreadable(f"too large to decode safely: {image.width} x {image.height}")
    return image


def _flat(image: Image.Image, choices: Choices) -> Image.Image:
    """Without transparency, in the colours that are kept."""
    mode = "L" if choices.channels == 1 else "RGB"
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.float64)
        return Image.fromarray((deep * (255 / 65535)).round().clip(0, 255).astype(np.uint8)).convert(mode)
    if image.mode == "F":
        return Image.fromarray((np.asarray(image) * 255).round().clip(0, 255).astype(np.uint8)).convert(mode)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        above = image.convert("RGBA")
        ground = Image.new("RGBA", above.size, (*ImageColor.getrgb(choices.background)[:3], 255))
        return Image.alpha_composite(ground, above).convert(mode)
    return image.convert(mode)


def _square(image: Image.Image, choices: Choices) -> Image.Image:
    side = (choices.size, choices.size)
    filter = Image.Resampling.LANCZOS
    if choices.crop == "stretch":
        return image.resize(side, filter)
    if choices.crop == "pad":
        ground = ImageColor.getcolor(choices.background, image.mode)
        return ImageOps.pad(image, side, filter, color=ground)
    return ImageOps.fit(image, side, filter)


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "not a picture" if "cannot identify" in text else text
