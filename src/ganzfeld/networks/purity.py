"""What keeps a module from being a function of its weights and its input alone, told by its layers' kinds.

Weights are drawn from a seed and live in the game's state, and chance is dealt from the outside: a layer that rolls
dice, or remembers what it has met, would make two equal runs differ, and what it remembers would be in no checkpoint.
Buffers that stay as they are (a kernel, a table of positions) are part of the module, as its code is.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules import batchnorm, dropout
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

ROLLS_DICE = (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
NO_DICE = "rolls dice of its own: set its share to 0, or have a Draw deal its mask as noise (Need)"
NO_STATISTICS = "remembers statistics of its batches, which are in no checkpoint: track_running_stats=False"
NO_SPECTRAL = "remembers power iterations, which are in no checkpoint: leave it out, and add gz.Spectral() to the game"
NO_PARAMETRISATION = "makes its weights of others, and no seed would draw them: give it plain weights"
NO_LAZINESS = "does not know its sizes yet: give them, or call the module once"


def flaws(module: nn.Module) -> Iterator[tuple[str, str]]:
    """(path, why) of each layer, weight or buffer by which a module could not be played."""
    for path, layer in module.named_modules():
        if why := _flaw_of_layer(layer):
            yield f"{path or 'itself'} ({type(layer).__name__})", why
    for name, weight in module.named_parameters():
        if why := _flaw_of_weight(weight):
            yield name, why
    for name, buffer in module.named_buffers():
        if nn.parameter.is_lazy(buffer):
            yield name, NO_LAZINESS
        elif buffer.device.type != "cpu":
            yield name, _elsewhere(buffer)


def _flaw_of_layer(layer: nn.Module) -> str:
    rolls = isinstance(layer, ROLLS_DICE) or (isinstance(layer, dropout._DropoutNd) and layer.p > 0)
    if rolls or (isinstance(layer, (nn.MultiheadAttention, nn.RNNBase)) and layer.dropout > 0):
        return NO_DICE
    if isinstance(layer, batchnorm._NormBase) and layer.track_running_stats:
        return NO_STATISTICS
    hooks, made = layer._forward_pre_hooks.values(), parametrize.is_parametrized(layer)
    if any(isinstance(hook, SpectralNorm) for hook in hooks) or (made and _iterates(layer)):
        return NO_SPECTRAL
    if made or any(isinstance(hook, WeightNorm) for hook in hooks):
        return NO_PARAMETRISATION
    return ""


def _iterates(layer: nn.Module) -> bool:
    return any(isinstance(part, parametrizations._SpectralNorm) for part in layer.parametrizations.modules())  # type: ignore[union-attr]


def _flaw_of_weight(weight: nn.Parameter) -> str:
    if nn.parameter.is_lazy(weight):
        return NO_LAZINESS
    if weight.device.type != "cpu":
        return _elsewhere(weight)
    if weight.dtype not in (torch.float32, torch.float64):
        return f"is of {weight.dtype}, and weights are real and in full precision: .float(), with precision='bf16'"
    if not weight.requires_grad:
        return "asks for no gradient, and every weight of a player is drawn and trained: hold it as a buffer"
    return ""


def _elsewhere(tensor: torch.Tensor) -> str:
    return f"lies on {tensor.device}: hand over modules on the processor, .cpu(), and say device= to train"
