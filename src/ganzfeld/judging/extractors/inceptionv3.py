r"""The network of the Frechet Inception distance, defined here, with weights from a file.

Inception-v3 of Szegedy et al. 2015 in the variant that TensorFlow published on 5 December 2015 and that Heusel et al.
measured FID with. Two quirks of that file are part of every published number, and kept:

* average pools inside the blocks do not count padding;
* the last block pools by the maximum where the paper, and the block before, take the mean.

Features are the 2,048 means over the last 8 x 8 places, before the linear layer of 1,008 classes.

Weights: a ``.safetensors`` file with the names of the usual PyTorch port (``pt_inception-2015-12-05`` of pytorch-fid:
``Conv2d_1a_3x3.conv.weight``, ``Mixed_5b.branch1x1.bn.running_mean``, ..., ``fc.bias``). To convert it, once, where
that file is trusted: read its dictionary of tensors with PyTorch (weights only), and hand it to
``safetensors.torch.save_file``. Nothing is downloaded.

Preprocessing is part of the number, too: pictures in [-1, 1] are resized to 299 x 299 bilinearly, without antialiasing
and with corners not aligned, as the port does it (TensorFlow's own resizer, and its (x - 128) / 128, differ slightly);
a grey picture is repeated in three channels.
Sources: Szegedy et al. 2016 (Inception-v3); Heusel et al. 2017 (TTUR).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.texts import first_line
from .extractor import Extractor, weights_digest

SIDE, DIMENSIONS, CLASSES = 299, 2_048, 1_008
RESIZER = "bilinear to 299 x 299, corners not aligned, no antialiasing"


class Layer(NamedTuple):
    """A convolution of a block: its name, and whether it keeps the side (stride 1) or takes every second place."""

    name: str
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: int = 1

    @property
    def padding(self) -> tuple[int, int]:
        return (self.kernel[0] // 2, self.kernel[1] // 2) if self.stride == 1 else (0, 0)


Pool = Callable[[Tensor], Tensor]
Step = Layer | tuple[Layer, Layer]  # one convolution, or two of the same input, side by side


class Branch(NamedTuple):
    steps: tuple[Step, ...]
    pool: Pool | None = None  # before the steps


def _mean_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2)


def _chain(name: str, widths: Sequence[int], kernels: Sequence[int | tuple[int, int]], halve: bool = False) -> Branch:
    """Convolutions name_1, name_2, ... (name alone, if there is one); ``halve``: the last has stride 2."""
    steps = []
    for i, kernel in enumerate(kernels):
        numbered = f"{name}_{i + 1}" if len(kernels) > 1 else name
        square = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        stride = 2 if halve and i == len(kernels) - 1 else 1
        steps.append(Layer(numbered, widths[i], widths[i + 1], square, stride))
    return Branch(tuple(steps))


def _pool_branch(pool: Pool, inputs: int, outputs: int) -> Branch:
    return Branch((Layer("branch_pool", inputs, outputs, (1, 1)),), pool)


def _block_a(inputs: int, pooled: int) -> tuple[Branch, ...]:
    return (
        _chain("branch1x1", (inputs, 64), (1,)),
        _chain("branch5x5", (inputs, 48, 64), (1, 5)),
        _chain("branch3x3dbl", (inputs, 64, 96, 96), (1, 3, 3)),
        _pool_branch(_mean_pool, inputs, pooled),
    )


def _block_b(inputs: int) -> tuple[Branch, ...]:
    return (
        _chain("branch3x3", (inputs, 384), (3,), halve=True),
        _chain("branch3x3dbl", (inputs, 64, 96, 96), (1, 3, 3), halve=True),
        Branch((), _halve),
    )


def _block_c(inputs: int, w: int) -> tuple[Branch, ...]:
    row, column = (1, 7), (7, 1)
    return (
        _chain("branch1x1", (inputs, 192), (1,)),
        _chain("branch7x7", (inputs, w, w, 192), (1, row, column)),
        _chain("branch7x7dbl", (inputs, w, w, w, w, 192), (1, column, row, column, row)),
        _pool_branch(_mean_pool, inputs, 192),
    )


def _block_d(inputs: int) -> tuple[Branch, ...]:
    return (
        _chain("branch3x3", (inputs, 192, 320), (1, 3), halve=True),
        _chain("branch7x7x3", (inputs, 192, 192, 192, 192), (1, (1, 7), (7, 1), 3), halve=True),
        Branch((), _halve),
    )


def _block_e(inputs: int, pool: Pool) -> tuple[Branch, ...]:
    fork = lambda name: (Layer(f"{name}a", 384, 384, (1, 3)), Layer(f"{name}b", 384, 384, (3, 1)))  # noqa: E731
    single, double = Layer("branch3x3_1", inputs, 384, (1, 1)), Layer("branch3x3dbl_1", inputs, 448, (1, 1))
    return (
        _chain("branch1x1", (inputs, 320), (1,)),
        Branch((single, fork("branch3x3_2"))),
        Branch((double, Layer("branch3x3dbl_2", 448, 384, (3, 3)), fork("branch3x3dbl_3"))),
        _pool_branch(pool, inputs, 192),
    )


class Unit(nn.Module):
    """Convolution, batch norm by its standing statistics, ReLU."""

    def __init__(self, layer: Layer, padding: tuple[int, int]):
        super().__init__()
        self.conv = nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(layer.outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches [n, C, H, W] -> [n, sum of outputs, ...], laid side by side."""

    def __init__(self, branches: Sequence[Branch]):
        super().__init__()
        self.branches = branches
        for layer in (layer for branch in branches for step in branch.steps for layer in _layers(step)):
            self.add_module(layer.name, Unit(layer, layer.padding))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._branch(branch, x) for branch in self.branches], 1)

    def _branch(self, branch: Branch, x: Tensor) -> Tensor:
        x = branch.pool(x) if branch.pool else x
        for step in branch.steps:
            x = torch.cat([self.get_submodule(layer.name)(x) for layer in _layers(step)], 1)
        return x


def _layers(step: Step) -> tuple[Layer, ...]:
    return (step,) if isinstance(step, Layer) else step


class Inception(nn.Module):
    """Pictures [n, 1 or 3, H, W] in [-1, 1] to features [n, 2048]. ``fc`` is the head, and no part of the features."""

    def __init__(self) -> None:
        super().__init__()
        stem = (("1a_3x3", 3, 32, 3, 2, 0), ("2a_3x3", 32, 32, 3, 1, 0), ("2b_3x3", 32, 64, 3, 1, 1),
                ("3b_1x1", 64, 80, 1, 1, 0), ("4a_3x3", 80, 192, 3, 1, 0))  # fmt: skip
        for name, inputs, outputs, kernel, stride, padding in stem:
            layer = Layer(f"Conv2d_{name}", inputs, outputs, (kernel, kernel), stride)
            self.add_module(layer.name, Unit(layer, (padding, padding)))
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = (
            Block(_block_a(192, 32)),
            Block(_block_a(256, 64)),
            Block(_block_a(288, 64)),
        )
        self.Mixed_6a = Block(_block_b(288))
        self.Mixed_6b, self.Mixed_6c = Block(_block_c(768, 128)), Block(_block_c(768, 160))
        self.Mixed_6d, self.Mixed_6e = Block(_block_c(768, 160)), Block(_block_c(768, 192))
        self.Mixed_7a = Block(_block_d(768))
        self.Mixed_7b, self.Mixed_7c = Block(_block_e(1_280, _mean_pool)), Block(_block_e(2_048, _max_pool))
        self.fc = nn.Linear(DIMENSIONS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.float().expand(-1, 3, -1, -1)
        x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        for name, layer in self.named_children():
            if name == "fc":
                return x.mean((2, 3))
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = _halve(x)
        raise AssertionError("fc is the last child")


def inception(path: str | Path) -> Extractor:
    """The extractor of FID and KID, with the weights of a ``.safetensors`` file.

    Features: [n, 2048] of pictures [n, 1 or 3, H, W] in [-1, 1]. Whether a number is a FID is decided by the weights:
    the digest says which. Raises ValueError, in one line, where the file is missing, is no such file, or holds
    other names or shapes than this network has.
    Source: Heusel et al. 2017 (TTUR).
    """
    weights = _read_weights(Path(path))
    with torch.device("meta"):
        network = Inception()
    wanted = {
        name: tuple(w.shape) for name, w in network.state_dict().items() if not name.endswith("num_batches_tracked")
    }
    _check_weights(path, wanted, {name: tuple(w.shape) for name, w in weights.items()})
    tracked = {name: torch.zeros((), dtype=torch.long) for name in network.state_dict() if name not in wanted}
    network.load_state_dict({name: w.float() for name, w in weights.items()} | tracked, assign=True)
    network.eval().requires_grad_(False)
    digest = weights_digest(weights)
    return Extractor(
        "inception", network, DIMENSIONS, digest, RESIZER, network.fc, CLASSES, "ImageNet, 2015-12-05", batch=32
    )


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise ValueError(f"there are no weights of Inception-v3 at {path}") from None
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a .safetensors file: {first_line(error)}") from None
    return {name: weight for name, weight in weights.items() if not name.endswith("num_batches_tracked")}


def _check_weights(path: str | Path, wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> None:
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    wrong = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    kinds = {"missing": missing, "unknown": unknown, "of another shape": wrong}
    faults = [f"{len(names)} {kind} ({names[0]})" for kind, names in kinds.items() if names]
    if faults:
        raise ValueError(f"{path} does not hold the FID port of Inception-v3: names {', '.join(faults)}")
