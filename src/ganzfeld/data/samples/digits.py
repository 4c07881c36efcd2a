"""Handwritten digits that come with scikit-learn: 1,797 pictures of 8 x 8, as vectors of 64 values in [-1, 1].

Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), its test part.
"""

from __future__ import annotations

import torch

from .rows import Data, Labels, Units, split


def digits(seed: int = 0, size: int | None = None) -> Data:
    """Handwritten digits of 8 x 8 in 16 shades, 1,797 of ten classes: vectors, or pictures where these are asked for.

    [1797, 64], shades mapped to [-1, 1]; the seed cuts validation and test parts. size: 8 for pictures [1797, 1, 8, 8].
    """
    if size not in (None, 8):
        raise ValueError(f"digits are pictures of 8 x 8: --size 8, not {size}")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.data).float() / 8 - 1
    train, valid, test = split(x, seed, share=0.15)
    order = torch.cat(split(torch.arange(len(x)), seed, share=0.15))
    labels = Labels(*split(torch.from_numpy(bunch.target), seed, share=0.15), tuple("0123456789"))
    data = Data(
        "digits", train, valid, test, Units(torch.zeros(64), torch.ones(64)), "digits", labels=labels, order=order
    )
    return data.as_pictures() if size else data
