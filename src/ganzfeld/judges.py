"""Judges: what samples are worth, beside what perfect samples would be.

Every metric is computed for each member of a population and reported with its mean and spread. A number depends on
its sample counts, so they are part of the provenance, with the same number for held-out rows of the data: the *floor*
(or ceiling) that a perfect sampler of that size would show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from . import metrics
from .data import Data
from .papers.build import nearest

COUNT = 2_500  # samples for modes and Frechet distance (VEEGAN, PacGAN)
ASSIGNED = 1_000  # samples for the exact W1: its cost grows with the cube

Judge = Callable[[Tensor, Tensor, Data], dict[str, float]]


def _modes(x: Tensor, held: Tensor, data: Data) -> dict[str, float]:
    truth = data.truth
    assert truth is not None
    found = metrics.mode_coverage(x[:COUNT], truth.centres, truth.std, truth.dimensions)
    return {"modes": found.modes, "high_quality": found.high_quality, "reverse_kl": found.reverse_kl}


def _w1(x: Tensor, held: Tensor, data: Data) -> dict[str, float]:
    n = min(ASSIGNED, len(x), len(held))
    return {"w1": metrics.w1(x[:n], held[:n])}


def _sliced(x: Tensor, held: Tensor, data: Data) -> dict[str, float]:
    n = min(COUNT, len(x), len(held))
    return {"sliced_w1": metrics.sliced_w1(x[:n], held[:n])}


def _frechet(x: Tensor, held: Tensor, data: Data) -> dict[str, float]:
    return {"fd": metrics.frechet_distance(x[:COUNT], held[:COUNT])}


JUDGES: dict[str, tuple[tuple[str, ...], Judge]] = {
    "modes": (("modes", "high_quality", "reverse_kl"), _modes),
    "w1": (("w1",), _w1),
    "sliced_w1": (("sliced_w1",), _sliced),
    "fd": (("fd",), _frechet),
}
NAMES = tuple(name for names, _ in JUDGES.values() for name in names)


def fitting(data: Data) -> tuple[str, ...]:
    """The metrics that say something about samples of this data."""
    if data.truth is not None:
        return (*JUDGES["modes"][0], "w1", "sliced_w1")
    return ("fd", "w1", "sliced_w1") if data.kind == "digits" or data.shape[0] > 2 else ("w1", "sliced_w1")


def judge(members: Sequence[Tensor], data: Data, names: Sequence[str] | None = None) -> dict[str, Any]:
    """``{"metrics": {name: {"mean", "std", "per_member"}}, "provenance": {...}}`` for samples [n, d] of each member.

    Held-out means the data's test part. Raises ValueError for an unknown metric or one the data has no truth for.
    """
    names = fitting(data) if names is None else tuple(names)
    for name in names:
        if name not in NAMES:
            raise nearest("metric", name, NAMES)
        if name in JUDGES["modes"][0] and data.truth is None:
            raise ValueError(f"{name} needs a world whose modes are known (ring8, grid25); {data.name} has none")
    for x in members:
        if x.shape[1:] != data.shape:
            raise ValueError(f"the samples have shape {tuple(x.shape[1:])}, the data {data.name} {data.shape}")
    held = data.restored("test", COUNT)
    rows = [_row(x, held, data, names) for x in members]
    return {"metrics": summary(rows), "provenance": _provenance(members, data, names, _perfect(data, names))}


@lru_cache(maxsize=8)
def _perfect(data: Data, names: tuple[str, ...]) -> dict[str, float]:
    """Held-out validation rows, judged in the place of samples: the mean of as many draws as there are rows for, at
    most four. One draw would be off by as much as good samples differ."""
    valid, held = data.restored("valid", 4 * COUNT), data.restored("test", COUNT)
    draws = valid.split(COUNT)
    rows = [_row(x, held, data, names) for x in draws if len(x) == len(draws[0])]
    return {name: sum(row[name] for row in rows) / len(rows) for name in names}


def _row(x: Tensor, held: Tensor, data: Data, names: Sequence[str]) -> dict[str, float]:
    """All asked-for metrics of one member."""
    row: dict[str, float] = {}
    for gives, measure in JUDGES.values():
        if set(gives) & set(names):
            row |= {name: float(value) for name, value in measure(x, held, data).items() if name in names}
    return row


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean, sample standard deviation (0 for one member) and each member's value, by name."""
    out = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        known = torch.tensor(values, dtype=torch.float64)
        spread = known.std() if len(values) > 1 else torch.zeros(())
        out[name] = {"mean": float(known.mean()), "std": float(spread), "per_member": values}
    return out


def _provenance(members: Sequence[Tensor], data: Data, names: Sequence[str], floor: Mapping[str, float]) -> dict:
    held = len(data.test)
    n = min(len(x) for x in members)
    out: dict[str, Any] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "samples": min(n, COUNT),
        "held_out": min(held, COUNT),
        "perfect": {name: value for name, value in floor.items() if name in names},
        "perfect_is": "held-out validation rows judged in the place of samples",
    }
    if "w1" in names:
        out["w1"] = {"samples": min(n, held, ASSIGNED), "by": "optimal assignment"}
    if "fd" in names:
        out["fd"] = {"extractor": "values", "dimensions": data.shape[0], "samples": min(n, COUNT)}
    if data.truth is not None and "modes" in names:
        out["modes_total"] = len(data.truth.centres)
        out["high_quality_ceiling"] = metrics.HIGH_QUALITY_CEILING
        out["reverse_kl_floor"] = (len(data.truth.centres) - 1) / (2 * min(n, COUNT))
    return out
