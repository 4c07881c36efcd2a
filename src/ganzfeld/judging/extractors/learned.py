r"""A small network that learns the data themselves, so that pictures can be judged with nothing else at hand.

Strided 3 x 3 convolutions with batch norm halve a picture until its side is at most 4; 128 features and a linear head
follow. It is taught the classes of the data,

.. math:: \min_\theta E\, [-\log \mathrm{softmax}(W \phi_\theta(x))_y],

or, where there are none, which of four quarter turns was applied: whoever knows which way up a thing is knows something
of the thing (Gidaris et al. 2018), but pictures without an up (textures, views from above) teach little by it. Of
stacked digits, whose thousand classes are the digits of three channels, one network learns the ten of a channel.

Features that tell classes apart may ignore the rest: a generator that is wrong where the classifier does not look goes
unpunished. The accuracy tells whether it learned at all. Digests and numbers differ with the data, the seed and, by
rounding, the kind of processor; training runs on one thread, where the order of sums is the same each time (and where
another program's threads cannot stall ours).
Sources: Gidaris, Singh, Komodakis 2018 (rotations); Smith and Topin 2019 (the rate, up and down once).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import disk
from ...core.randomness import generator, global_seed
from ...core.texts import first_line
from ...data import Data, numbers
from .extractor import Extractor, weights_digest

NAME, VERSION = "classifier", 1  # the version of the network and its lesson: part of the key of what is kept
FEATURES = 128
MAX_PICTURES = 20_000  # of the training part, at most
MEMORY_BYTES = 2**28  # bytes of pictures held at once
PASSES, EPOCHS = 60_000, 20  # pictures seen at sides up to 32, fewer at longer ones; no picture more often
HELD_OUT_PICTURES = 2_000  # training pictures kept aside, at most a tenth, to measure the accuracy
BATCH, LR, DECAY = 64, 2e-3, 1e-2

Task = Literal["labels", "digits of each channel", "rotations"]
DIGITS: Task = "digits of each channel"


class Lesson(NamedTuple):
    """pictures [n, C, H, W], as stored; answers [n], None where they follow from the turn."""

    pictures: Tensor
    answers: Tensor | None

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B, C, H, W] in [-1, 1] and answers [B]: each picture once, or turned all four ways."""
        x = numbers(self.pictures[rows])
        return quarter_turns(x) if self.answers is None else (x, self.answers[rows])


class Convolutions(nn.Sequential):
    """Pictures [n, C, H, W] to features [n, 128]."""

    def __init__(self, shape: tuple[int, ...]):
        channels, height, width = shape
        halvings = max(1, math.ceil(math.log2(max(height, width) / 4)))
        layers: list[nn.Module] = []
        for i in range(halvings):
            wide = max(16, 2 ** (i + 8 - halvings))  # 128 at the last
            layers += [nn.Conv2d(channels, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            channels, height, width = wide, (height + 1) // 2, (width + 1) // 2
        flat = nn.Linear(channels * height * width, FEATURES, bias=False)
        super().__init__(*layers, nn.Flatten(), flat, nn.BatchNorm1d(FEATURES), nn.ReLU())


class PerChannel(nn.Module):
    """A network of one channel [n, 1, H, W] -> [n, m], applied to each of three: [n, 3, H, W] -> [n, 3m]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.flatten(0, 1).unsqueeze(1)).unflatten(0, (-1, 3)).flatten(1)


class Thousand(nn.Module):
    """Features [n, 3m] to log-probabilities [n, 1000] of three independent digits a, b, c: class 100 a + 10 b + c."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        a, b, c = self.head(features.unflatten(1, (3, -1))).log_softmax(2).unbind(1)
        return (a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]).flatten(1)


def classifier(data: Data, seed: int = 0, cache: Path | None = None) -> Extractor:
    """The extractor that learned this data's classes, or their upright position, from the training part.

    At most 20,000 pictures are read; a tenth of them, at most 2,000, are kept aside for the accuracy, so that neither
    the validation nor the test part is touched. Features: [n, 128]; of stacked digits (pictures of three channels whose
    classes are called 000 to 999) [n, 384]. What was learned is kept in ``cache``, by default the directory of the
    variable GANZFELD_CACHE, or ~/.cache/ganzfeld, under a key of pictures, classes, seed and version; a damaged file is
    reported by a warning and learned anew.

    Raises ValueError for samples that are not pictures, and for pictures that have neither classes nor equal sides.
    Source: Gidaris, Singh, Komodakis 2018 (rotations).
    """
    task, classes = _find_task(data)
    with torch.inference_mode(False), torch.enable_grad():  # whoever judges may have switched gradients off
        body, head, accuracy = _load_or_learn(data, task, classes, seed, cache or cache_folder())
    digest = weights_digest(nn.Sequential(body, head).state_dict())
    size = "none ({} x {})".format(*data.shape[1:])
    if task == DIGITS:
        return Extractor(NAME, PerChannel(body), 3 * FEATURES, digest, size, Thousand(head), 1_000, task, accuracy)
    return Extractor(NAME, body, FEATURES, digest, size, head, classes, task, accuracy)


def _load_or_learn(data: Data, task: Task, classes: int, seed: int, cache: Path) -> tuple[nn.Module, nn.Module, float]:
    """Body and head, and their accuracy: as they are kept, or learned now."""
    with global_seed(seed, "classifier"):
        body = Convolutions((1, *data.shape[1:]) if task == DIGITS else data.shape)
        network = nn.Sequential(body, nn.Linear(FEATURES, classes))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    key = _key(data, task, seed)
    path = cache / f"classifier-{key}.safetensors"
    accuracy = _load_kept(path, network, key)
    if accuracy is None:
        accuracy = _learn(network, *_split_lessons(data, task, seed), seed)
        _keep(path, network, key, accuracy)
    network.eval().requires_grad_(False)
    return body, network[1], accuracy


def _key(data: Data, task: Task, seed: int) -> str:
    named = {} if data.labels is None else {"classes": data.labels.train}
    parts = (data.fingerprint, data.shape, weights_digest(named), task, seed, VERSION)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def cache_folder() -> Path:
    """Where what was learned is kept."""
    return Path(os.environ.get("GANZFELD_CACHE") or Path.home() / ".cache" / "ganzfeld")


def quarter_turns(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [n, C, S, S] in all four quarter turns [4n, C, S, S], and which it was [4n]."""
    turns = torch.arange(4).repeat_interleave(len(x))
    return torch.cat([torch.rot90(x, k, (2, 3)) for k in range(4)]), turns


def can_learn(data: Data) -> bool:
    """Whether there is something to learn of pictures: classes, or which way up they are."""
    return has_classes(data) or data.shape[1] == data.shape[2]


def feature_count(data: Data) -> int:
    """Of what is learned of pictures."""
    return 3 * FEATURES if has_stacked_digits(data) else FEATURES


def has_classes(data: Data) -> bool:
    """Whether the training part has rows of two classes or more: one that was left out of it teaches nothing."""
    return sum(count > 0 for count in data.class_rows()) > 1


def _find_task(data: Data) -> tuple[Task, int]:
    """What there is to learn of the data, and how many answers there are."""
    if data.kind != "pictures":
        raise ValueError(f"{data.name} has samples of shape {data.shape}; a classifier needs pictures [C, H, W]")
    if has_stacked_digits(data):
        return DIGITS, 10
    if data.labels is not None and has_classes(data):
        return "labels", len(data.labels.names)
    if data.shape[1] != data.shape[2]:
        raise ValueError(f"{data.name} has no classes, and pictures of {data.shape[1:]} cannot be told by their turn")
    return "rotations", 4


def has_stacked_digits(data: Data) -> bool:
    """Whether the classes are called by three digits, 000 to 999, one for each of three channels."""
    names = data.labels.names if data.labels is not None and data.shape[0] == 3 else ()
    return len(names) == 1_000 and all(re.sub(r"\D", "", name) == f"{i:03}" for i, name in enumerate(names))


def _split_lessons(data: Data, task: Task, seed: int) -> tuple[Lesson, Lesson]:
    """What is learned, and what is kept aside."""
    picture = data.train[:1]
    most = min(MAX_PICTURES, MEMORY_BYTES // (picture.element_size() * picture.numel()))
    rows = torch.randperm(len(data.train), generator=generator(seed, "classifier", "rows"))[:most]
    aside = max(1, min(HELD_OUT_PICTURES, len(rows) // 10))
    return _make_lesson(data, task, rows[aside:]), _make_lesson(data, task, rows[:aside])


def _make_lesson(data: Data, task: Task, rows: Tensor) -> Lesson:
    pictures = data.train.index_select(0, rows)
    if task == "rotations" or data.labels is None:
        return Lesson(pictures, None)
    answers = data.labels.train[rows].long()
    if task == "labels":
        return Lesson(pictures, answers)
    digits = torch.stack([answers // 100, answers // 10 % 10, answers % 10], 1)
    return Lesson(pictures.flatten(0, 1).unsqueeze(1), digits.flatten())


def _learn(network: nn.Sequential, lesson: Lesson, aside: Lesson, seed: int) -> float:
    """Teach the network, and tell its accuracy on what was held back."""
    side = max(lesson.pictures.shape[2:])
    ways = 4 if lesson.answers is None else 1
    passes = min(PASSES * min(1, 32 / side), EPOCHS * ways * len(lesson.pictures))
    batches = list(_batches(len(lesson.pictures), math.ceil(passes / BATCH), BATCH // ways, seed))
    rule = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=DECAY)
    rates = torch.optim.lr_scheduler.OneCycleLR(rule, LR, total_steps=len(batches) + 1, pct_start=0.2)
    network.train()
    with _one_thread():
        for rows in batches:
            x, y = lesson.batch(rows)
            rule.zero_grad()
            F.cross_entropy(network(x.contiguous(memory_format=torch.channels_last)), y).backward()
            rule.step()
            rates.step()
        return _accuracy(network.eval(), aside)


def _batches(rows: int, steps: int, size: int, seed: int) -> Iterator[Tensor]:
    """Batches of rows, all of one size, every row once an epoch."""
    rng = generator(seed, "classifier", "order")
    epochs = math.ceil(steps * size / rows)
    order = torch.cat([torch.randperm(rows, generator=rng) for _ in range(epochs)])
    return iter(order[: steps * size].split(size))


@torch.no_grad()
def _accuracy(network: nn.Module, aside: Lesson) -> float:
    hits = []
    for rows in torch.arange(len(aside.pictures)).split(BATCH):
        x, y = aside.batch(rows)
        hits.append(network(x).argmax(1) == y)
    return float(torch.cat(hits).double().mean())


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _load_kept(path: Path, network: nn.Module, key: str) -> float | None:
    """Load what was learned; tell its accuracy, None where there is nothing whole."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if facts["key"] != key or facts["digest"] != weights_digest(weights):
            raise ValueError("not the digest that was recorded")
        network.load_state_dict(weights)
        return float(facts["accuracy"])
    except (OSError, SafetensorError, LookupError, ValueError, RuntimeError) as error:
        warnings.warn(f"{path} is damaged ({first_line(error)}): the classifier is learned anew", stacklevel=4)
        return None


def _keep(path: Path, network: nn.Module, key: str, accuracy: float) -> None:
    """Written aside, then renamed, so that no reader meets half a file. A warning where that cannot be done."""
    weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
    facts = json.dumps({"key": key, "digest": weights_digest(weights), "accuracy": accuracy})
    try:
        disk.replace(path, save(weights, {"facts": facts}))
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error.strerror}): the classifier is not kept", stacklevel=4)
