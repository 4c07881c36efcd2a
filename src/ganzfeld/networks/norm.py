"""Batch norm, and what it does to a game.

While a game is played, batch norm runs on the statistics of its batch alone (``track_running_stats=False``), so a
turn stays a pure function, and the layer before it has no bias (it would have zero true gradient, and Adam would
amplify its noise). A generator handed to a user gets *standing* statistics instead: one sample must not depend on
its neighbours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ..core.randomness import BLOCK_ROWS
from . import joint
from . import layers as own
from .critic import Bilinear, Critic, Projection

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def mixes_samples(module: nn.Module) -> bool:
    """Whether a layer known to mix the samples of a batch is inside."""
    return any(isinstance(layer, BATCH_NORMS) for layer in module.modules())


SEPARATE_LAYERS = (
    nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.LayerNorm, nn.GroupNorm, nn.Identity, nn.Flatten, nn.ReLU,
    nn.LeakyReLU, nn.Tanh, nn.ELU, nn.SiLU, nn.Sigmoid, nn.AvgPool2d, nn.Upsample, nn.Unflatten, Bilinear,
    own.Conv, own.Transposed, own.FirstTransposed, own.Dense, own.Leaky, own.Blur, own.SumPool,
    own.MeanPool, own.Flat, own.Shaped, own.ChannelsLast, joint.Maxout,
)  # fmt: skip
# as separate as what they hold
CONTAINERS = (nn.Sequential, nn.ModuleList, own.Residual, Projection, Critic, joint.Injected, joint.Trunks)


def treats_samples_separately(module: nn.Module) -> bool:
    """Whether every layer inside is known to treat the samples of a batch one by one; an unknown layer is a no."""
    return all(isinstance(layer, SEPARATE_LAYERS) for layer in module.modules() if not isinstance(layer, CONTAINERS))


def freeze_norms(module: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> nn.Module:
    """A copy in eval mode whose batch norms hold the average statistics of their inputs over the batches."""
    module = copy.deepcopy(module)
    layers = [layer for layer in module.modules() if isinstance(layer, BATCH_NORMS)]
    for layer in layers:
        layer.track_running_stats, layer.momentum = True, None  # None: the plain average over batches
        layer.register_buffer("running_mean", torch.zeros(layer.num_features))
        layer.register_buffer("running_var", torch.ones(layer.num_features))
        layer.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long))
    if layers:
        module.train()
        with torch.no_grad():
            for batch in batches:
                module(*batch)
    return module.eval()


@torch.no_grad()
def apply_blockwise(module: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Applied to whole blocks of rows, so that the arithmetic of a row never depends on how many there are."""
    rows = len(inputs[0])
    pad = -rows % BLOCK_ROWS
    padded = [torch.cat([x, x[:1].expand(pad, *x.shape[1:])]) for x in inputs]
    blocks = zip(*(x.split(BLOCK_ROWS) for x in padded), strict=True)
    return torch.cat([module(*block) for block in blocks])[:rows]
