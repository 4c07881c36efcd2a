"""Judges: what samples are worth, beside what perfect samples would be.

Every metric is computed for each member of a population and reported with its mean and spread. A number depends on
its sample counts, so they are part of the provenance, with the same number for held-out rows of the data: the *floor*
(or ceiling) that a perfect sampler of that size would show.

Vectors are judged by their values. Pictures are judged by features, and a number of features is one of what extracted
them: fd, kd, precision, recall, density and coverage see by a classifier of the data's own, fid and kid by Inception,
whose weights must be given. Pictures are judged as they would be saved, in 256 shades, against as many held-out ones as
there are samples: the bias of these numbers depends on the counts. Which rest on too few rows is told with them, as
``few`` in the provenance: a share of n rows is known to n ** -.5 / 2, and a covariance of no more rows than features is
singular.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from .. import metrics
from ..core.launch import suggest
from ..core.names import split_names, unknown_name
from ..data import Data, numbers
from ..data.samples.rows import Part
from . import extractors
from .extractors import Extractor

SAMPLES = 2_500  # samples for modes and features (VEEGAN, PacGAN)
STACKED_SAMPLES = 26_000  # samples for the thousand modes of stacked digits (VEEGAN, PacGAN)
W1_SAMPLES = 1_000  # samples for the exact W1: its cost grows with the cube
NEAR, NEAR_DENSITY = 3, 5  # neighbours of precision and recall, of density and coverage, as their papers have them
FEW_ROWS = 100  # rows below which a number says little: a share of so many is known to a twentieth
USUAL_ROWS = 100  # held-out rows from which a usual distance to the training part is taken
BLOCK_NUMBERS = 2**24  # numbers of training rows read at once

Space = Literal["values", "features", "inception"]


class Judge(NamedTuple):
    """names: of metrics. measure: them, from samples and held-out rows as they stand in the space, [n, m] each. least:
    rows of either side, without which they are not defined."""

    names: tuple[str, ...]
    measure: Callable[[Tensor, Tensor], dict[str, float]]
    space: Space
    least: int = 2


def _pair(x: Tensor, held: Tensor, most: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """As many of both."""
    n = min(most, len(x), len(held))
    return x[:n], held[:n]


JUDGES = (
    Judge(("w1",), lambda x, held: {"w1": metrics.w1(*_pair(x, held, W1_SAMPLES))}, "values"),
    Judge(("sliced_w1",), lambda x, held: {"sliced_w1": metrics.sliced_w1(*_pair(x, held))}, "values"),
    Judge(("fd",), lambda x, held: {"fd": metrics.frechet_distance(x, held)}, "features"),
    Judge(("kd",), lambda x, held: {"kd": metrics.kernel_distance(x, held)}, "features"),
    Judge(("precision", "recall"), lambda x, held: metrics.precision_recall(*_pair(x, held), NEAR)._asdict(),
          "features", NEAR + 1),
    Judge(("density", "coverage"), lambda x, held: metrics.density_coverage(*_pair(x, held), NEAR_DENSITY)._asdict(),
          "features", NEAR_DENSITY + 1),
    Judge(("fid",), lambda x, held: {"fid": metrics.frechet_distance(x, held)}, "inception"),
    Judge(("kid",), lambda x, held: {"kid": metrics.kernel_distance(x, held)}, "inception"),
)  # fmt: skip
MODES = ("modes", "high_quality", "reverse_kl")
FEATURES = tuple(name for judge in JUDGES if judge.space == "features" for name in judge.names)
INCEPTION = tuple(name for judge in JUDGES if judge.space == "inception" for name in judge.names)
NAMES = (*MODES, *(name for judge in JUDGES for name in judge.names))
COVARIANCES = ("fd", "fid")  # that are read off covariances
FACTS: dict[str, dict[str, Any]] = {
    "kd": {"kernel": "cubic, unbiased, all pairs"}, "kid": {"kernel": "cubic, unbiased, all pairs"},
    "precision": {"neighbours": NEAR}, "recall": {"neighbours": NEAR},
    "density": {"neighbours": NEAR_DENSITY}, "coverage": {"neighbours": NEAR_DENSITY},
}  # fmt: skip


def sample_count(data: Data) -> int:
    """How many samples the literature judges on such data."""
    return STACKED_SAMPLES if extractors.has_stacked_digits(data) else SAMPLES


def metrics_for(data: Data, inception: str | Path | None = None) -> tuple[str, ...]:
    """The metrics that say something about samples of this data; none where a held-out part has fewer than two rows.
    inception: as in `judge`."""
    return tuple(name for name in _usual_metrics(data, inception) if _least(name) <= held_out_rows(data))


def _usual_metrics(data: Data, inception: str | Path | None) -> tuple[str, ...]:
    if data.kind == "pictures":
        if held_out_rows(data) <= NEAR_DENSITY:
            return ("sliced_w1",)
        classes = ("modes", "reverse_kl") if extractors.has_stacked_digits(data) else ()
        own = FEATURES if extractors.can_learn(data) else ("w1", "sliced_w1")
        return (*classes, *own, *(INCEPTION if _weights(inception) else ()))
    if data.truth is not None:
        return (*MODES, "w1", "sliced_w1")
    return ("fd", "w1", "sliced_w1") if data.kind == "digits" or data.shape[0] > 2 else ("w1", "sliced_w1")


def held_out_rows(data: Data) -> int:
    """Of the test part, or of the validation part that stands in the place of samples, whichever has fewer."""
    return min(len(data.valid), len(data.test))


def _least(name: str) -> int:
    """Rows of either side, without which a metric is not defined."""
    return next((judge.least for judge in JUDGES if name in judge.names), 2)


def few_rows(names: Sequence[str], rows: int, data: Data) -> dict[str, Any]:
    """``{"rows": n, "of": what they are, "wanted": {name: rows}}`` of the metrics that rest on too few rows to say
    much, with the rows that each wants: a hundred, and where covariances are taken more than there are features, as the
    code of Heusel et al. 2017 asks. {} where all have enough."""
    return lacking_rows({name: _rows_wanted(name, data) for name in names if name not in MODES}, rows)


def lacking_rows(wanted: Mapping[str, int], rows: int, of: str = "rows on either side") -> dict[str, Any]:
    """Of metrics that want so many rows each, those that have not got them; {} where all have."""
    lacking = {name: least for name, least in wanted.items() if rows < least}
    return {"rows": rows, "of": of, "wanted": lacking} if lacking else {}


def _rows_wanted(name: str, data: Data) -> int:
    if name not in COVARIANCES:
        return FEW_ROWS
    if name == "fid":
        return extractors.inceptionv3.DIMENSIONS + 1
    return max(FEW_ROWS, 1 + (extractors.feature_count(data) if data.kind == "pictures" else math.prod(data.shape)))


def format_few(few: Mapping[str, Any]) -> str:
    """What is told of `few_rows`, on one line."""
    groups: dict[int, list[str]] = {}
    for name, least in few["wanted"].items():
        groups.setdefault(least, []).append(name)
    wants = "; ".join(f"{least} for {', '.join(names)}" for least, names in sorted(groups.items()))
    return f"{few['rows']} {few['of']} say little; enough are {wants}"


def notice(data: Data) -> str:
    """What a user should know of how samples of the data will be judged, before they are: that nothing can be, or by
    too few rows. Empty where there is nothing to say."""
    names = metrics_for(data)
    if not names:
        parts = f"{len(data.test)} test and {len(data.valid)} validation rows"
        return f"samples are not judged: {data.name} has {parts}, and no metric takes fewer than 2 of both"
    few = few_rows(names, held_out_rows(data), data)
    return format_few(few) if few else ""


class Bench(NamedTuple):
    """What samples are judged against, and by which metrics. total: how many each member has; rows: how many of
    them stand beside held-out rows; weights: of Inception."""

    data: Data
    names: tuple[str, ...]
    total: int
    rows: int
    weights: Path | None

    def wants(self, names: Sequence[str]) -> bool:
        return bool(set(names) & set(self.names))

    def extractor(self, space: Space) -> Extractor:
        if space == "inception":
            return _find_inception(self.weights)
        own = space == "features" and self.data.kind == "pictures"
        return _classifier(self.data) if own else extractors.values(self.data.shape)


def judge(
    members: Sequence[Tensor], data: Data, names: Sequence[str] | None = None, inception: str | Path | None = None
) -> dict[str, Any]:
    """``{"metrics": {name: {"mean", "std", "per_member"}}, "provenance": {...}}`` for samples of each member.

    members: [n, *shape] each, in the data's units. Held-out means the data's test part. inception: a file with the
    weights of Inception-v3 (`extractors.inception`), by default the one that the variable GANZFELD_INCEPTION names:
    with it, pictures have a fid and a kid. Raises ValueError for an unknown metric, for one that this data, or this few
    samples, cannot have, and where none is named. Data whose parts are too small for any have no metrics, and the
    provenance says why.
    """
    weights, total = _weights(inception), min(len(x) for x in members)
    bench = _make_bench(data, metrics_for(data, weights) if names is None else split_names(names), total, weights)
    _check_samples(members, bench)
    if names is None and not bench.names:
        return {"metrics": {}, "provenance": {**_counts(bench), "perfect": {}, "unjudged": notice(data)}}
    rows = [_row(_quantise(x, data), bench) for x in members]
    return {"metrics": summary(rows), "provenance": _provenance(bench, _perfect_row(bench))}


def check(data: Data, names: Sequence[str] | None = None) -> None:
    """Raises ValueError for a metric that samples of this data cannot have, all that fit unless named, and where the
    weights that one needs cannot be read: before anything is trained or drawn."""
    bench = _make_bench(data, metrics_for(data) if names is None else tuple(names), sample_count(data), _weights(None))
    for name in bench.names:
        _check_metric(name, bench)
    if bench.wants(INCEPTION):
        _find_inception(bench.weights)


def named(metrics: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The metrics that are asked for, in a list or a text with commas; None where whatever fits is. Raises ValueError
    where none is named."""
    names = None if metrics is None else split_names(metrics)
    if names == ():
        raise ValueError(
            f"no metric is named: name one or more ({suggest('list metrics')}), or leave them out for all that fit"
        )
    return names


def _make_bench(data: Data, names: tuple[str, ...], total: int, weights: Path | None) -> Bench:
    paired = min(SAMPLES, total, len(data.test))
    return Bench(data, names, total, paired if data.kind == "pictures" else SAMPLES, weights)


def _check_samples(members: Sequence[Tensor], bench: Bench) -> None:
    for name in bench.names:
        _check_metric(name, bench)
    for x in members:
        if x.shape[1:] != bench.data.shape:
            raise ValueError(
                f"the samples have shape {tuple(x.shape[1:])}, the data {bench.data.name} {bench.data.shape}"
            )


def _check_metric(name: str, bench: Bench) -> None:
    data = bench.data
    if name not in NAMES:
        raise unknown_name("metric", name, NAMES)
    if name in MODES and data.truth is None and (name == "high_quality" or not _has_classes(data)):
        raise ValueError(f"{name} needs a world whose modes are known (ring8, grid25); {data.name} has none")
    if name in INCEPTION and (data.kind != "pictures" or bench.weights is None):
        raise ValueError(
            f"{name} needs pictures and the weights of Inception-v3: let GANZFELD_INCEPTION name their file, or ask "
            f"for {'fd' if name == 'fid' else 'kd'}"
        )
    if (least := _least(name)) > min(bench.total, held_out_rows(data)):
        raise ValueError(
            f"{name} takes {least} or more samples, validation rows and test rows; there are {bench.total}, "
            f"{len(data.valid)} and {len(data.test)}"
        )
    if name in FEATURES and data.kind == "pictures" and not extractors.can_learn(data):
        raise ValueError(
            f"{name} sees pictures by a classifier, and {data.name} has neither classes nor square pictures to teach "
            "it by: ask for w1 or sliced_w1"
        )


def _has_classes(data: Data) -> bool:
    return data.kind == "pictures" and extractors.has_classes(data)


def _row(x: Tensor, bench: Bench) -> dict[str, float]:
    """All asked-for metrics of one member."""
    row: dict[str, float] = _modes(x, bench) if bench.wants(MODES) else {}
    for space in ("values", "features", "inception"):
        judges = [judge for judge in JUDGES if judge.space == space and bench.wants(judge.names)]
        if judges:
            extractor = bench.extractor(space)
            seen, held = extractor.features(x[: bench.rows]), _test_features(bench.data, extractor, bench.rows)
            for judge in judges:
                row |= judge.measure(seen, held)
    return {name: float(row[name]) for name in NAMES if name in bench.names}


def _modes(x: Tensor, bench: Bench) -> dict[str, float]:
    """Of a mixture, by distance; of pictures with classes, by the classifier, among all samples."""
    truth = bench.data.truth
    if truth is None:
        return _classes(x, bench)
    found = metrics.mode_coverage(x[:SAMPLES], truth.centres, truth.std, truth.dimensions)
    return {"modes": found.modes, "high_quality": found.high_quality, "reverse_kl": found.reverse_kl}


def _classes(x: Tensor, bench: Bench) -> dict[str, float]:
    """How many classes occur among the predicted ones, and the divergence of their frequencies from those of the
    training part, or from uniform ones of stacked digits, whose truth is known; in nats. A picture that is not finite
    has no class."""
    extractor = bench.extractor("features")
    x = x[x.flatten(1).isfinite().all(1)]
    if not len(x):
        return {"modes": 0, "reverse_kl": float("inf")}
    shares = torch.bincount(extractor.logits(x).argmax(1), minlength=extractor.classes).double() / len(x)
    true = _true_shares(bench.data)
    seen = shares > 0
    kl = (shares[seen] * (shares[seen] / true[seen]).log()).sum()
    return {"modes": int(seen.sum()), "reverse_kl": float(kl)}


def _true_shares(data: Data) -> Tensor:
    """Of each class of pictures [K]: alike in stacked digits, else as counted in the training part."""
    counts = torch.tensor(data.class_rows(), dtype=torch.float64)
    return torch.full_like(counts, 1 / len(counts)) if extractors.has_stacked_digits(data) else counts / counts.sum()


def _quantise(x: Tensor, data: Data) -> Tensor:
    """Pictures [n, C, H, W] as a file would show them: in 256 shades of [-1, 1]. Vectors as they are."""
    if data.kind != "pictures":
        return x
    return numbers(x).clamp(-1, 1).add_(1).mul_(127.5).round_().div_(127.5).sub_(1)


def _rows(data: Data, part: Part, start: int, stop: int) -> Tensor:
    """Rows of a part, as samples are judged: in the data's units, pictures as saved."""
    return _quantise(data.units.restore(numbers(getattr(data, part)[start:stop])), data)


def _test_features(data: Data, extractor: Extractor, count: int) -> Tensor:
    """What an extractor sees of the first test rows. Values need no memory: they would fill it."""
    return (
        _cached_features(data, extractor, count)
        if extractor.digest
        else extractor.features(_rows(data, "test", 0, count))
    )


@lru_cache(maxsize=16)
def _cached_features(data: Data, extractor: Extractor, count: int) -> Tensor:
    """The same at every judgement of a run."""
    return extractor.features(_rows(data, "test", 0, count))


@lru_cache(maxsize=8)
def _classifier(data: Data) -> Extractor:
    return extractors.classifier(data)


def _find_inception(weights: Path | None) -> Extractor:
    assert weights is not None
    return _inception(weights, weights.stat().st_mtime_ns if weights.exists() else 0)


@lru_cache(maxsize=1)
def _inception(weights: Path, written: int) -> Extractor:
    return extractors.inception(weights)


def _weights(path: str | Path | None) -> Path | None:
    path = path or os.environ.get("GANZFELD_INCEPTION")
    return Path(path) if path else None


@lru_cache(maxsize=8)
def _perfect_row(bench: Bench) -> dict[str, float]:
    """Held-out validation rows, judged in the place of samples: the mean of as many draws as there are rows for, at
    most four (one, where Inception takes minutes for each). One draw would be off by as much as good samples differ."""
    data, n = bench.data, bench.rows
    draws = max(1, min(1 if bench.wants(INCEPTION) else 4, len(data.valid) // n))
    rows = [_row(_rows(data, "valid", i * n, (i + 1) * n), bench) for i in range(draws)]
    perfect = {name: sum(row[name] for row in rows) / draws for name in rows[0]}
    if data.truth is None and bench.wants(MODES):  # classes are counted among all samples, so among as many rows
        perfect |= _classes(_rows(data, "valid", 0, bench.total), bench)
    return {name: perfect[name] for name in bench.names}


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean and sample standard deviation (0 of one) over the members whose value is finite, and each member's value, by
    name; where some are not finite, their number as ``not_finite``. Where none is, the mean is theirs, and the
    deviation nan."""
    out: dict[str, dict[str, Any]] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        every = torch.tensor(values, dtype=torch.float64)
        known = every[every.isfinite()]
        mean = known.mean() if len(known) else every.mean()
        std = known.std() if len(known) > 1 else torch.tensor(0.0 if len(known) else math.nan)
        out[name] = {"mean": float(mean), "std": float(std), "per_member": values}
        if len(known) < len(every):
            out[name]["not_finite"] = len(every) - len(known)
    return out


def _counts(bench: Bench) -> dict[str, Any]:
    """What was compared."""
    data = bench.data
    return {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "samples": min(bench.total, bench.rows),
        "held_out": min(len(data.test), bench.rows),
    }


def _provenance(bench: Bench, perfect: Mapping[str, float]) -> dict[str, Any]:
    data, held, n = bench.data, len(bench.data.test), bench.total
    compared = min(n, bench.rows)
    out: dict[str, Any] = {
        **_counts(bench),
        "perfect": dict(perfect),
        "perfect_is": "held-out validation rows judged in the place of samples",
    }
    if few := few_rows(bench.names, min(compared, held_out_rows(data)), data):
        out["few"] = few
    if "w1" in bench.names:
        out["w1"] = {"samples": min(n, held, W1_SAMPLES), "by": "optimal assignment"}
    for judge in (judge for judge in JUDGES if judge.space != "values"):
        for name in (name for name in judge.names if name in bench.names):
            out[name] = {**bench.extractor(judge.space).facts, **FACTS.get(name, {}), "samples": compared}
            if data.kind == "pictures":
                out[name] |= {"held_out": bench.rows, "perfect_samples": min(bench.rows, len(data.valid))}
    if data.truth is None:
        return out | (_class_facts(bench) if bench.wants(MODES) else {})
    modes = len(data.truth.centres)
    floor, ceiling = (modes - 1) / (2 * min(n, SAMPLES)), metrics.HIGH_QUALITY_CEILING
    facts = {"modes_total": modes, "high_quality_ceiling": ceiling, "reverse_kl_floor": floor}
    return out | (facts if "modes" in bench.names else {})


def _class_facts(bench: Bench) -> dict[str, Any]:
    """Classes are counted among all samples: the floor is what a perfect sampler shows of them."""
    extractor, n = bench.extractor("features"), bench.total
    facts: dict[str, Any] = {**extractor.facts, "samples": n, "perfect_samples": min(n, len(bench.data.valid))}
    named: dict[str, Any] = {name: facts for name in MODES if name in bench.names}
    total = int((_true_shares(bench.data) > 0).sum())
    uniform = extractors.has_stacked_digits(bench.data)
    source = "uniform" if uniform else "the shares of the training part"
    return {"modes_total": total, "reverse_kl_floor": (total - 1) / (2 * n), "reverse_kl_from": source, **named}


class Copies(NamedTuple):
    """The training rows nearest to n samples. pictures: [n, k, *shape], in the data's units. distances, indices (of the
    training part): [n, k], nearest first. usual: the median distance of held-out rows from the nearest training row;
    samples much nearer than that are copies."""

    pictures: Tensor
    distances: Tensor
    indices: Tensor
    usual: float


def nearest_copies(
    samples: Tensor, data: Data, extractor: Extractor | None = None, n: int = 8, k: int = 1
) -> dict[str, Copies]:
    """The k training rows nearest to each of the first n samples [n, *shape], by pixels and by features.

    Under ``pixels`` by Euclidean distance of the values, in the data's units; under ``features`` by that of what
    ``extractor`` sees, by default the data's classifier, which only pictures have. Raises ValueError for samples of
    another shape, and where the training part has fewer than k rows.
    """
    if samples.shape[1:] != data.shape:
        raise ValueError(f"the samples have shape {tuple(samples.shape[1:])}, the data {data.name} {data.shape}")
    spaces = {"pixels": extractors.values(data.shape)}
    if extractor is not None or data.kind == "pictures":
        spaces["features"] = extractor or _classifier(data)
    x = _quantise(samples[:n], data)
    return {space: _find_copies(x, data, extractor, k) for space, extractor in spaces.items()}


def _find_copies(x: Tensor, data: Data, extractor: Extractor, k: int) -> Copies:
    seen, held = extractor.features(x), _test_features(data, extractor, USUAL_ROWS)
    train = (extractor.features(rows) for rows in _training_blocks(data))
    found = metrics.nearest_neighbours(torch.cat([seen, held]), train, k)
    distances, indices = found.distances[: len(x)], found.indices[: len(x)]
    pictures = data.units.restore(data.take(indices))
    return Copies(pictures, distances, indices, float(found.distances[len(x) :, 0].median()))


def _training_blocks(data: Data) -> Iterator[Tensor]:
    """The training part, block by block."""
    size = max(1, BLOCK_NUMBERS // data.train[:1].numel())
    for start in range(0, len(data.train), size):
        yield _rows(data, "train", start, start + size)
