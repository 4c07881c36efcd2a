"""Pictures of samples: a plane as a density, digits as a grid, longer vectors by two of their axes.

Raster images by Pillow, so that a run needs no plotting library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .core.disk import Content
from .data import Data

PLANE_PIXELS = 400  # pixels of a plane
GUTTER_PIXELS = 16  # pixels between two densities
SHEET_PICTURES = 100  # pictures on a sheet
PLANE_SAMPLES = 2_500  # samples on a plane
PAPER, INK = np.array([250, 249, 246]), np.array([[196, 214, 232], [62, 110, 168], [18, 32, 74]])


@dataclass(frozen=True)
class View:
    """How samples of a run are drawn. kind: plane, digits or vectors; centre [2], reach: the square that is shown;
    axes [2, d]: what longer vectors are projected on."""

    kind: str
    centre: tuple[float, float] = (0.0, 0.0)
    reach: float = 1.0
    axes: tuple[tuple[float, ...], ...] | None = None

    @classmethod
    def of(cls, data: Data) -> View:
        """The view that shows the training rows with a margin; vectors by their two principal axes."""
        if data.kind in ("digits", "pictures"):
            return cls(data.kind)
        x = data.restore("train", 20_000).double()
        axes = None
        if x.shape[1] > 2:
            axes = torch.linalg.svd(x[:2_000] - x[:2_000].mean(0), full_matrices=False).Vh[:2]
            if len(axes) < 2:  # of one row there are none
                axes = torch.eye(2, x.shape[1], dtype=x.dtype)
            x = x @ axes.T
        elif x.shape[1] == 1:
            x = torch.cat([x, torch.zeros_like(x)], 1)
        low, high = x.amin(0), x.amax(0)
        centre = (low + high) / 2
        return cls(
            data.kind,
            (float(centre[0]), float(centre[1])),
            float((high - low).max()) / 2 * 1.15 or 1.0,
            None if axes is None else tuple(tuple(row) for row in axes.tolist()),
        )

    @property
    def count(self) -> int:
        """How many samples make a picture of a run: enough for a density, or a sheet full."""
        return PLANE_SAMPLES if self.kind in ("plane", "vectors") else SHEET_PICTURES

    def one(self, sample: Tensor) -> Image.Image:
        """An image of one sample; a picture at its own resolution, without a frame."""
        return image(sample) if self.kind == "pictures" else self.picture(sample[None])

    def picture(self, samples: Tensor, most: int = SHEET_PICTURES, columns: int | None = None) -> Image.Image:
        """An image of samples [n, *shape] in the data's units: of pictures a grid of the first ``most``, square unless
        its columns are given."""
        if self.kind == "digits":
            return digits(samples, most=most, columns=columns)
        if self.kind == "pictures":
            return sheet(samples[:most], columns)
        x = samples.double()
        if self.axes is not None:
            x = x @ torch.tensor(self.axes, dtype=torch.float64).T
        elif x.shape[1] == 1:
            x = torch.cat([x, torch.zeros_like(x)], 1)
        return plane(x, self.centre, self.reach)

    def pairs(self, above: Tensor, below: Tensor, columns: int = 12) -> Image.Image:
        """An image of samples and, under each, what belongs to it; of points two densities side by side."""
        if self.kind in ("plane", "vectors"):
            left, right = self.picture(above), self.picture(below)
            page = Image.new("RGB", (left.width + right.width + GUTTER_PIXELS, left.height), tuple(PAPER.tolist()))
            page.paste(left, (0, 0))
            page.paste(right, (left.width + GUTTER_PIXELS, 0))
            return page
        columns = min(columns, len(above))
        blank = torch.full((-len(above) % columns, *above.shape[1:]), -1.0)
        lines = [torch.cat([x, blank]).unflatten(0, (-1, columns)) for x in (above, below)]
        woven = torch.stack(lines, 1).flatten(0, 2)
        return self.picture(woven, len(woven), columns)


def plane(x: Tensor, centre: tuple[float, float], reach: float, side: int = PLANE_PIXELS) -> Image.Image:
    """Points [n, 2] as a density, each a small soft disc; darker where they lie closer."""
    from scipy.ndimage import gaussian_filter

    u = (x.numpy() - np.asarray(centre)) / (2 * reach) + 0.5
    u = u[np.isfinite(u).all(1)]
    counts, _, _ = np.histogram2d(1 - u[:, 1], u[:, 0], bins=side, range=[[0, 1], [0, 1]])
    density = gaussian_filter(counts, 1.2)
    tone = 1 - np.exp(-density * 6 * 2_500 / max(1, len(x)))
    stops = np.vstack([PAPER, INK])
    levels = np.linspace(0, 1, len(stops))
    image = np.stack([np.interp(tone, levels, stops[:, c]) for c in range(3)], -1)
    return Image.fromarray(image.astype(np.uint8))


def digits(x: Tensor, scale: int = 5, most: int = SHEET_PICTURES, columns: int | None = None) -> Image.Image:
    """Rows [n, 64] in [-1, 1] as a grid of digits, square unless its columns are given, ink on paper."""
    x = x[:most]
    columns = columns or math.ceil(math.sqrt(len(x)))
    rows = math.ceil(len(x) / columns)
    cell = 8 + 2
    sheet = np.full((rows * cell, columns * cell), -1.0)
    for i, digit in enumerate(x.reshape(-1, 8, 8).clamp(-1, 1).numpy()):
        r, c = divmod(i, columns)
        sheet[r * cell + 1 : r * cell + 9, c * cell + 1 : c * cell + 9] = digit
    tone = ((sheet + 1) / 2)[..., None]
    image = PAPER * (1 - tone) + INK[2] * tone
    return Image.fromarray(image.astype(np.uint8)).resize(
        (columns * cell * scale, rows * cell * scale), Image.Resampling.NEAREST
    )


def image(x: Tensor) -> Image.Image:
    """A picture [C, H, W] in [-1, 1]: grey for one channel, colours for three; of any other number the first."""
    levels = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    return Image.fromarray(levels.transpose(1, 2, 0)) if len(levels) == 3 else Image.fromarray(levels[0])


def sheet(x: Tensor, columns: int | None = None, least: int = 32, gap: int = 2) -> Image.Image:
    """Pictures [n, C, H, W] as a grid on paper, small ones enlarged without smoothing to at least ``least`` pixels."""
    columns = columns or math.ceil(math.sqrt(len(x)))
    scale = max(1, math.ceil(least / x.shape[2]))
    width, height = (side * scale + gap for side in (x.shape[3], x.shape[2]))
    page = Image.new("RGB", (columns * width + gap, math.ceil(len(x) / columns) * height + gap), tuple(PAPER.tolist()))
    for i, picture in enumerate(x):
        row, column = divmod(i, columns)
        big = image(picture).resize((width - gap, height - gap), Image.Resampling.NEAREST)
        page.paste(big, (gap + column * width, gap + row * height))
    return page


def as_png(picture: Image.Image) -> Content:
    """What writes it."""
    return lambda file: picture.save(file, "PNG")


def save_gif(frames: Sequence[Image.Image], file: BinaryIO, least: int = 128) -> None:
    """Frames as an endless GIF that turns at its last and its first: small ones enlarged without smoothing to at least
    ``least`` pixels, and the nearer to a turn the longer shown, so that it comes to rest there."""
    scale = max(1, math.ceil(least / frames[0].height))
    big = [frame.resize((frame.width * scale, frame.height * scale), Image.Resampling.NEAREST) for frame in frames]
    last = len(big) - 1
    order = [*range(len(big)), *range(last - 1, 0, -1)]
    times = [10 * round(4 + 12 * (1 - math.sin(math.pi * i / last)) ** 2) for i in order]  # a GIF counts in 10 ms
    first, *rest = (big[i] for i in order)
    first.save(file, "GIF", save_all=True, append_images=rest, duration=times, loop=0)
