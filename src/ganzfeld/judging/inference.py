r"""Judges of inference: what an encoder is worth, beside what is there without one.

``c2st``             a classifier's held-out accuracy at telling (x, E(x)) from (G(z), z): 1/2 for equal joints
``cycle, cycle_z``   root mean square, a number, of x - G(E(x)) in the data's units and of z - E(G(z)); 1.41 for a code
                     that knows nothing of a normal z, 1 for one that is 0
``knn_*, probe_*``   the accuracy of one nearest neighbour and of a linear probe on the codes, on the critic's features
                     of (x, E(x)), and on the baselines: the raw values and as many principal components as a code has

Two more baselines are trained, on request: an autoencoder of the same generator and encoder (``*_autoencoder``), and a
latent regressor, the same encoder taught to find z from G(z) of the finished generator (``*_regressor``). BiGAN's
97.39 % on MNIST is within noise of these (Donahue et al. 2017, table 1), so a number of codes says nothing alone.
Codes of stochastic encoders are taken at noise 0, but for ``c2st``, which compares laws.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from .. import metrics, networks
from ..core.randomness import generator
from ..data import Data
from ..game import Game
from .judges import SAMPLES

LEAST_PAIRS = 4  # test rows without which there is no two-sample test
TRAIN_ROWS = 10_000  # training rows from which classes are read
LR, BATCH = 1e-3, 128  # of the baselines' Adam
Clock = Callable[[], float]
STANDING_BATCHES = 16  # batches for standing statistics

SPACES = ("codes", "critic", "values", "pca")
TRAINED_SPACES = ("autoencoder", "regressor")
JOINT_METRICS = ("c2st", "cycle", "cycle_z")
NAMES = (
    *JOINT_METRICS,
    *(f"{kind}_{space}" for space in (*SPACES, *TRAINED_SPACES) for kind in ("knn", "probe")),
    *(f"cycle_{space}" for space in TRAINED_SPACES),
)


class Coder(NamedTuple):
    """encode: samples [n, *shape] in the data's units to codes [n, m]; decode: back; draw: codes of a stochastic
    encoder under a seed; features: what a critic sees in samples and their codes."""

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    draw: Callable[[Tensor], Tensor] | None = None
    features: Callable[[Tensor, Tensor], Tensor] | None = None


def judge(coder: Coder, z: Tensor, data: Data) -> dict[str, float]:
    """The metrics of an encoder, from held-out rows and latents z [n, m]."""
    x = data.restore("test", SAMPLES)
    z, made = z[: len(x)], coder.decode(z[: len(x)])
    drawn = (coder.draw or coder.encode)(x)
    pairs = _concat(x, drawn), _concat(made, z)
    row = {"c2st": metrics.two_sample_accuracy(*pairs)} if len(x) >= LEAST_PAIRS else {}
    row |= {**_cycle(coder, x), "cycle_z": _rms(z - coder.encode(made))}
    return row | _read_classes(coder, data) | (_plain_accuracies(data, z.shape[1]) if has_classes(data) else {})


def metrics_for(data: Data, features: bool = True, baselines: bool = False) -> tuple[str, ...]:
    """The metrics of an encoder on this data. features: of a critic that has some beside its score; baselines: with
    those that are trained."""
    if len(data.test) < 2:
        return ()
    spaces = [space for space in SPACES if features or space != "critic"] + [*TRAINED_SPACES] * baselines
    read = [f"{kind}_{space}" for space in spaces for kind in ("knn", "probe")] if has_classes(data) else []
    known = (*JOINT_METRICS, *read, *(f"cycle_{space}" for space in TRAINED_SPACES if baselines))
    return tuple(name for name in known if name != "c2st" or len(data.test) >= LEAST_PAIRS)


def has_classes(data: Data) -> bool:
    """Whether there are classes to be told, two or more in the training part, and test rows that have them."""
    return sum(count > 0 for count in data.class_rows()) > 1 and data.codes("test") is not None


def facts(data: Data) -> dict[str, object]:
    """What is told with the numbers."""
    test = min(SAMPLES, len(data.test))
    facts: dict[str, object] = {"test": test, "c2st_rows": 2 * (test - test // 2), "codes": "at noise 0"}
    return facts | ({"train": min(TRAIN_ROWS, data.rows)} if has_classes(data) else {})


def _concat(x: Tensor, z: Tensor) -> Tensor:
    return torch.cat([x.flatten(1), z.flatten(1)], 1)


def _rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def _cycle(coder: Coder, x: Tensor, of: str = "") -> dict[str, float]:
    return {f"cycle{of}": _rms(x - coder.decode(coder.encode(x)))}


def _read_classes(coder: Coder, data: Data) -> dict[str, float]:
    """Of codes, and of the critic's features where there are some."""
    if not has_classes(data):
        return {}
    train, test = _rows(data)
    codes = coder.encode(train), coder.encode(test)
    row = _accuracies("codes", data, *codes)
    if coder.features:
        row |= _accuracies("critic", data, *(coder.features(x, z) for x, z in zip((train, test), codes, strict=True)))
    return row


def _rows(data: Data) -> tuple[Tensor, Tensor]:
    return data.restore("train", TRAIN_ROWS), data.restore("test", SAMPLES)


def _accuracies(space: str, data: Data, train: Tensor, test: Tensor) -> dict[str, float]:
    """Both accuracies in a space."""
    assert data.labels is not None
    known = data.labels.train[: len(train)], data.labels.test[: len(test)]
    train, test = train.flatten(1), test.flatten(1)
    return {
        f"knn_{space}": metrics.nearest_accuracy(train, known[0], test, known[1]),
        f"probe_{space}": metrics.probe_accuracy(train, known[0], test, known[1]),
    }


@lru_cache(maxsize=8)
def _plain_accuracies(data: Data, dimensions: int) -> dict[str, float]:
    """The raw values, and their first principal components: of the data alone, so told once."""
    from sklearn.decomposition import PCA

    train, test = (x.flatten(1) for x in _rows(data))
    axes = PCA(min(dimensions, *train.shape), random_state=0).fit(train.numpy())
    shrunk = [torch.from_numpy(axes.transform(x.numpy())) for x in (train, test)]
    return _accuracies("values", data, train, test) | _accuracies("pca", data, *shrunk)


def judge_trained(
    game: Game, finished: Coder, data: Data, seed: int, seconds: float, clock: Clock = time.perf_counter
) -> tuple[dict[str, float], dict]:
    """The metrics of an autoencoder and of a latent regressor, each trained for so long, and the steps they made."""
    row: dict[str, float] = {}
    facts: dict[str, object] = {"seconds": seconds, "lr": LR, "batch_size": BATCH}
    for name, teach in (("autoencoder", autoencoder), ("regressor", regressor)):
        coder, facts[f"{name}_steps"] = teach(game, finished, data, seed, seconds, clock)
        row |= _cycle(coder, data.restore("test", SAMPLES), f"_{name}")
        if has_classes(data):
            row |= _accuracies(name, data, *(coder.encode(x) for x in _rows(data)))
    return row, facts


def autoencoder(game: Game, finished: Coder, data: Data, seed: int, seconds: float, clock: Clock) -> tuple[Coder, int]:
    """The game's generator and encoder, from their own start, taught to give x back in mean square."""
    encoder, decoder = _fresh_copy(game, "encoder", seed), _fresh_copy(game, "generator", seed)

    def cost(rows: Tensor, rng: torch.Generator) -> Tensor:
        x = data.take(rows)
        return (decoder(encoder(x)) - x).square().mean()

    steps = _teach((encoder, decoder), cost, data.rows, seed, seconds, clock)
    batches = (
        (encoder(data.take(rows)),) for rows in torch.arange(min(data.rows, STANDING_BATCHES * BATCH)).split(BATCH)
    )
    with torch.no_grad():
        standing = networks.freeze_norms(decoder, list(batches))
    return _make_coder(encoder, lambda z: data.units.restore(standing(z)), data), steps


def regressor(game: Game, finished: Coder, data: Data, seed: int, seconds: float, clock: Clock) -> tuple[Coder, int]:
    """The game's encoder, from its own start, taught to find z from what the finished generator makes of it."""
    encoder = _fresh_copy(game, "encoder", seed)
    shape = game.draw.needs("generator")["z"].shape

    def cost(rows: Tensor, rng: torch.Generator) -> Tensor:
        z = torch.randn(len(rows), *shape, generator=rng)
        return (encoder(data.units.strip(finished.decode(z))) - z).square().mean()

    steps = _teach((encoder,), cost, data.rows, seed, seconds, clock)
    return _make_coder(encoder, finished.decode, data), steps


def _fresh_copy(game: Game, name: str, seed: int) -> nn.Module:
    module = copy.deepcopy(game.generators[name])
    module.load_state_dict(game.init(seed)["params"][name])
    return module


def _teach(
    modules: tuple[nn.Module, ...],
    cost: Callable[[Tensor, torch.Generator], Tensor],
    rows: int,
    seed: int,
    seconds: float,
    clock: Clock,
) -> int:
    rng, start, steps = generator(seed, "baseline"), clock(), 0
    rule = torch.optim.Adam([p for module in modules for p in module.parameters()], LR)
    for batch in _batches(rows, rng):
        rule.zero_grad()
        cost(batch, rng).backward()
        rule.step()
        steps += 1
        if clock() - start > seconds:
            break
    return steps


def _batches(rows: int, rng: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(rows, generator=rng).split(BATCH)


def _make_coder(encoder: nn.Module, decode: Callable[[Tensor], Tensor], data: Data) -> Coder:
    encoder.eval().requires_grad_(False)
    strip = cast(Callable[[Tensor], Tensor], data.units.strip)
    return Coder(
        lambda x: networks.apply_blockwise(lambda part: encoder(strip(part)), x),
        lambda z: networks.apply_blockwise(decode, z),
    )
