"""Handwritten digits that come with scikit-learn: 1,797 pictures of 8 x 8, as vectors of 64 values in [-1, 1].

Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), its test part.
"""

from __future__ import annotations

import torch

from .rows import Data, Labels, Units, split


def digits(seed: int = 0) -> Data:
    """[1797, 64], shades 0..16 mapped to [-1, 1]; the seed cuts validation and test parts."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.data).float() / 8 - 1
    train, valid, test = split(x, seed, share=0.15)
    order = torch.cat(split(torch.arange(len(x)), seed, share=0.15))
    labels = Labels(*split(torch.from_numpy(bunch.target), seed, share=0.15), tuple("0123456789"))
    return Data(
        "digits", train, valid, test, Units(torch.zeros(64), torch.ones(64)), "digits", labels=labels, order=order
    )
