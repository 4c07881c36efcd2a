"""A module as a function of its weights: fresh ones, from a seed alone, and a call with any."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.randomness import global_seed

Precision = Literal["fp32", "bf16"]


def call(module: nn.Module, params: dict[str, Tensor], *samples: Tensor, precision: Precision = "fp32") -> Tensor:
    """The module's output under these weights; bf16: worked out with weights and samples of half the width, and handed
    back in full."""
    # `fresh_weights` refuses tied weights; looking for them at every call costs as much as a small network
    device = next(iter(params.values())).device
    if device.type != "cpu":
        params = {**_buffers_on(module, device), **params}
    if precision == "fp32":
        return functional_call(module, params, samples, tie_weights=False)
    params = {name: _halve(weight) for name, weight in (*module.named_buffers(), *params.items())}
    return functional_call(module, params, tuple(map(_halve, samples)), tie_weights=False).float()


def _buffers_on(module: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """The module's buffers where its weights lie, copied there once: they stay as they are."""
    known = _COPIES.setdefault(module, {})
    if device not in known:
        known[device] = {name: buffer.to(device) for name, buffer in module.named_buffers()}
    return known[device]


_COPIES: WeakKeyDictionary[nn.Module, dict[torch.device, dict[str, Tensor]]] = WeakKeyDictionary()


def _halve(x: Tensor) -> Tensor:
    return x.bfloat16() if x.is_floating_point() else x


def fresh_weights(module: nn.Module, seed: int, name: str) -> dict[str, Tensor]:
    """By ``reset_parameters`` of its layers, under chance seeded by (seed, name). Raises ValueError where a weight has
    two names, and warns of weights that no layer draws."""
    names = {name for name, _ in module.named_parameters()}
    if tied := {name for name, _ in module.named_parameters(remove_duplicate=False)} - names:
        raise ValueError(f"the {name} ties {tied.pop()!r} to another weight; give each weight one name")
    module = copy.deepcopy(module)
    with global_seed(seed, "weights", name):
        for layer in _layers_with_reset(module):
            layer.reset_parameters()  # type: ignore[operator]
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def _layers_with_reset(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost layers that know how to draw their own weights."""
    if callable(getattr(module, "reset_parameters", None)):
        yield module
        return
    if own := [name for name, _ in module.named_parameters(recurse=False)]:
        warnings.warn(
            f"{type(module).__name__} holds {own[0]!r} and has no reset_parameters(): "
            "every seed starts it from the same values",
            stacklevel=4,
        )
    for child in module.children():
        yield from _layers_with_reset(child)
