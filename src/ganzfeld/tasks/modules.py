"""Trained networks as ordinary modules that speak in the data's units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data import Units


class InUnits(nn.Module):
    """What a module needs to know to speak in the data's units."""

    shift: Tensor
    scale: Tensor

    def __init__(self, units: Units):
        super().__init__()
        self.register_buffer("shift", units.shift.clone())
        self.register_buffer("scale", units.scale.clone())


class OutputInUnits(InUnits):
    """A generator whose samples come out in the data's units."""

    def __init__(self, generator: nn.Module, units: Units):
        super().__init__(units)
        self.generator = generator

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.shift + self.scale * self.generator(*inputs)


class InputInUnits(InUnits):
    """A module that reads samples in the data's units, and whatever else beside them."""

    def __init__(self, module: nn.Module, units: Units):
        super().__init__(units)
        self.module = module

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        dtype = next((p.dtype for p in self.module.parameters()), x.dtype)  # units may be more precise than networks
        return self.module(((x - self.shift) / self.scale).to(dtype), *others)


def truncate(z: Tensor, most: float) -> Tensor:
    """Normal numbers mapped monotonically to the normal law cut off at plus and minus ``most``: fewer odd samples, less
    variety. Source: Brock et al. 2019 (BigGAN), section 3.1, who draw again instead."""
    if not most > 0:
        raise ValueError(f"a truncation must be positive, not {most}")
    edge = torch.special.ndtr(torch.tensor(most, dtype=torch.float64))
    inside = (1 - edge) + torch.special.ndtr(z.double()) * (2 * edge - 1)
    return torch.special.ndtri(inside).clamp(-most, most).to(z.dtype)
