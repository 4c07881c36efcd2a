"""Stacked digits: three digits, one in each colour channel, a thousand modes that are known.

The stacked MNIST of the mode-collapse literature (Metz et al. 2017; Srivastava et al. 2017; Lin et al. 2018): every
channel is drawn by itself, so all codes 000 to 999 are (nearly) equally likely, and a classifier of single digits tells
which of them a sample is.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...core.randomness import generator
from .digits import digits
from .rows import PICTURE, Data, Labels

SIZES = (20_000, 2_500, 2_500)
CODES = tuple(f"{code:03d}" for code in range(1_000))


def stacked_digits(seed: int = 0) -> Data:
    """Three digits of 8 x 8 as the channels of one picture, a thousand classes.

    The seed changes nothing: the world is one.
    """
    return stacked(digits().as_pictures(), "stacked-digits")


def stacked(data: Data, name: str | None = None, sizes: tuple[int, int, int] = SIZES) -> Data:
    """Triples of labelled one-channel pictures of ten classes, each part drawn from its own part.

    Raises ValueError for other data.
    """
    if data.kind != "pictures" or data.shape[0] != 1 or data.labels is None or data.class_count != 10:
        raise ValueError(f"{data.name} is not ten classes of one-channel pictures: they cannot be stacked")
    drawn = [_draw(data, part, n) for part, n in zip(("train", "valid", "test"), sizes, strict=True)]
    (train, a), (valid, b), (test, c) = drawn
    return replace(
        data, name=name or f"stacked-{data.name}", train=train, valid=valid, test=test, units=PICTURE,
        labels=Labels(a, b, c, CODES), digest=None,
    )  # fmt: skip


def _draw(data: Data, part: str, n: int) -> tuple[Tensor, Tensor]:
    """[n, 3, S, S] and the codes 100 a + 10 b + c."""
    rows = data.part(part)  # type: ignore[arg-type]
    known = getattr(data.labels, part)
    chosen = torch.randint(len(rows), (n, 3), generator=generator("stacked", part))
    shades = ((rows + 1) * 127.5).round().to(torch.uint8)
    return shades[chosen].squeeze(2), known[chosen] @ torch.tensor([100, 10, 1])
