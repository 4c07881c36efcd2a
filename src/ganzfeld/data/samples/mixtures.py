r"""Worlds whose truth is known: Gaussian mixtures of the mode-collapse literature, and a curve.

``ring8``: 8 modes on the unit circle, std .01. ``grid25``: 25 modes at plus/minus 4 in steps of 2, std .05 (both:
Srivastava et al. 2017, VEEGAN; Lin et al. 2018, PacGAN, sections on synthetic data). ``mixture1200``: ten modes in
1200 dimensions, the noise of each filling 700 of them (VEEGAN's third world; the exact centres were not published,
so they are drawn here: standard normal centres, noise std .1). ``swissroll``: the planar spiral of the WGAN-GP toys,
noise .25 before division by 7.5.

A world is the same for every run: its rows follow from a seed of its own, not from the run's. The angles of the ring
are k/8 of a turn; a linspace that includes its end would give seven distinct modes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.randomness import generator
from .rows import Data, Mixture, standard_units

ROWS = (100_000, 10_000, 10_000)  # PacGAN trains on 100,000 points


def ring8(seed: int = 0) -> Data:
    """Eight modes on the unit circle, std .01. The seed changes nothing: the world is one."""
    angles = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    centres = torch.stack([angles.cos(), angles.sin()], 1).float()
    return _mixture("ring8", centres, 0.01, ROWS)


def grid25(seed: int = 0) -> Data:
    """Twenty-five modes, plus/minus 4 in steps of 2, std .05. The seed changes nothing: the world is one."""
    side = torch.arange(-4.0, 5.0, 2.0)
    return _mixture("grid25", torch.cartesian_prod(side, side), 0.05, ROWS)


def mixture1200(seed: int = 0) -> Data:
    """Ten modes in 1200 dimensions, noise in 700 of them. The seed changes nothing: the world is one."""
    rng = generator("mixture1200", "world")
    centres = torch.randn(10, 1200, generator=rng)
    basis = torch.linalg.qr(torch.randn(1200, 700, generator=rng)).Q
    return _mixture("mixture1200", centres, 0.1, (20_000, 2_000, 2_000), basis)


def swissroll(seed: int = 0) -> Data:
    """A spiral of one and a half turns with noise. The seed changes nothing: the world is one."""

    def rows(n: int, part: str) -> Tensor:
        rng = generator("swissroll", part)
        t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=rng))
        curve = torch.stack([t * t.cos(), t * t.sin()], 1)
        return (curve + 0.25 * torch.randn(n, 2, generator=rng)) / 7.5

    parts = [rows(n, part) for n, part in zip(ROWS, ("train", "valid", "test"), strict=True)]
    return _make_data("swissroll", parts, None)


def _mixture(name: str, centres: Tensor, std: float, sizes, basis: Tensor | None = None) -> Data:
    def rows(n: int, part: str) -> Tensor:
        rng = generator(name, part)
        mode = torch.randint(len(centres), (n,), generator=rng)
        noise = torch.randn(n, basis.shape[1] if basis is not None else centres.shape[1], generator=rng)
        return centres[mode] + std * (noise @ basis.T if basis is not None else noise)

    parts = [rows(n, part) for n, part in zip(sizes, ("train", "valid", "test"), strict=True)]
    return _make_data(name, parts, Mixture(centres, std, basis.shape[1] if basis is not None else centres.shape[1]))


def _make_data(name: str, parts: list[Tensor], truth: Mixture | None) -> Data:
    """One scale for all columns, so that the geometry of the world is kept."""
    units = standard_units(parts[0], columnwise=False)
    train, valid, test = (units.strip(part) for part in parts)
    return Data(name, train, valid, test, units, "plane" if len(units.shift) == 2 else "vectors", truth)
