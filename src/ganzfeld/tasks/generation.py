"""Generation: samples, of vectors or pictures, and with an encoder the way from a sample to its code."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor, nn

from .. import networks
from ..core.names import unknown_name
from ..core.randomness import BLOCK_ROWS, Need, draw_classes, latents
from ..core.tree import Tree
from ..data import Data, Units
from ..draws import Hardest, Retrieve
from ..game import Game
from ..judging import inference, judges
from ..rendering import View
from ..runs import diagnostics, files
from ..runs.facts import DataFacts
from ..runs.run import Run, with_weights
from ..runs.task import Task
from .galleries import Gallery
from .inference import RECONSTRUCTION, Codes
from .modules import OutputInUnits, truncate
from .questions import NAMES as RANKING_METRICS

MOST_SHARES = 100  # classes whose shares are told with every number
CRITIC_W1 = "critic_w1"  # the one metric that asks the critic, not the samples
STANDING_BATCHES, STANDING_LATENTS = 16, 64  # batches, and latents of each, for batch norm's standing statistics
MAX_NAMED, MAX_RECORDED = 8, 200  # skipped files that are named in a line, and written down
TO_HAVE_CLASSES = "put pictures into a folder for each class, or labels beside them into a .npz"
OBSERVED_ROWS, OBSERVED_PICTURES = 256, 64  # held-out rows that are looked at when a step is logged


class GeneratorRun(Run):
    """A played run of samples. member picks one of its population, counted from 0."""

    @cached_property
    def _generators(self) -> dict[int, tuple[Tree, nn.Module]]:
        """Of members, each with the state that it was made from."""
        return {}

    @property
    def encodes(self) -> bool:
        """Whether there is an encoder."""
        return "encoder" in self.game.generators

    @property
    def abilities(self) -> tuple[str, ...]:  # type: ignore[override]
        own = (*Run.abilities, "sample", "export")
        return (*own, "encode", "reconstruct", "anomaly", "interpolate") if self.encodes else own

    @cached_property
    def units(self) -> Units:
        return Units.of(self.facts["data"]["units"])

    @cached_property
    def view(self) -> View:
        view = dict(self.facts["data"]["view"])
        axes = view.pop("axes", None)
        return View(**{**view, "centre": tuple(view["centre"])}, axes=axes and tuple(map(tuple, axes)))

    @property
    def classes(self) -> tuple[str, ...]:
        """What its labels are called, where it was trained with them."""
        return tuple(self.facts["data"].get("classes", ())) if "y" in self.game.draw.columns("critic") else ()

    @cached_property
    def taught_classes(self) -> tuple[int, ...]:
        """The numbers of the classes that it was trained on rows of: all, where an older version has not counted."""
        every = tuple(range(len(self.classes)))
        return tuple(i for i in every if self.class_rows[i]) if any(self.class_rows) else every

    def labels_in_turn(self, n: int) -> Tensor:
        """Labels [n] of the classes it was trained on, one after the other."""
        return torch.tensor(self.taught_classes)[torch.arange(n) % len(self.taught_classes)]

    def check_class(self, label: int) -> None:
        """Raises ValueError for what is no class, and for one that no training row was of."""
        if not self.classes:
            raise ValueError(f"there is no class {label}: this run was trained without labels")
        if not 0 <= label < len(self.classes):
            raise ValueError(f"there is no class {label}: this run has 0 to {len(self.classes) - 1}")
        if label not in self.taught_classes:
            known = ", ".join(self.classes[i] for i in self.taught_classes)
            raise ValueError(f"class {self.classes[label]} has no training row, so nothing is known of it; use {known}")

    @property
    def class_rows(self) -> tuple[int, ...]:
        """Of each class, the training rows: in their shares the classes of samples are drawn. () of a run that was
        begun before this was recorded, whose samples take the classes in turn."""
        rows = self.facts["data"].get("class_rows")
        return tuple(rows) if self.classes and isinstance(rows, list) and len(rows) == len(self.classes) else ()

    def draw_labels(self, n: int, seed: int) -> Tensor | None:
        """The classes [n] of the samples of a seed, as often as in the training part; None where there are none."""
        if not self.classes:
            return None
        return draw_classes(self.class_rows, seed, n) if any(self.class_rows) else self.labels_in_turn(n)

    def generator(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: latents [n, z] (and labels [n], where it was trained with them) to samples
        [n, *shape] in the data's units, with averaged weights and standing statistics, so that a sample does not depend
        on its neighbours."""
        weights = diagnostics.averaged_weights(self.game, self.state(member))["generator"]
        module = with_weights(self.game.generators["generator"], weights)
        return OutputInUnits(networks.freeze_norms(module, self._standing_batches()), self.units).eval()

    def _standing_batches(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches whose statistics a generator keeps; with labels, of the classes that its own batches had."""
        for seed in range(-1, -1 - STANDING_BATCHES, -1):
            z, labels = latents(self.latent, seed, STANDING_LATENTS), self.draw_labels(STANDING_LATENTS, seed)
            yield (z,) if labels is None else (z, labels)

    @property
    def latent(self) -> Need:
        """The law and shape of z."""
        needs = self.game.draw.needs("generator")
        if "z" not in needs:
            raise ValueError(
                f"samples are made of the noise that a draw calls z, and this one asks for {', '.join(needs)}"
            )
        return needs["z"]

    def critic(self, member: int = 0) -> nn.Module:
        """An ordinary module: samples in network units (and their codes, of a run that encodes) to raw scores, with the
        weights it plays with."""
        state = self.state(member)
        dressed, _ = self.game.dress(state["params"]["critic"], state["constraints"], advance=False)
        return with_weights(self.game.critic, dressed)

    def sample(
        self, n: int, seed: int = 0, member: int = 0, label: int | None = None, truncation: float | None = None
    ) -> Tensor:
        """[n, *shape] in the data's units. Row i depends on (seed, i) alone: not on n, not on its neighbours.

        label: of a run trained with labels; unless given each row's class is drawn, by the seed, in the shares that
        classes have in the training part, so that samples follow the law that the generator was trained on.
        truncation: the largest coordinate of z.
        """
        if n < 1:
            raise ValueError(f"ask for at least one sample, not {n}")
        # whole blocks: the arithmetic of a row never depends on how many were asked for
        whole = -(-n // BLOCK_ROWS) * BLOCK_ROWS
        labels = self.draw_labels(whole, seed) if label is None else label
        return self.decode(latents(self.latent, seed, whole), member, labels, truncation)[:n]

    @torch.no_grad()
    def decode(
        self, z: Tensor, member: int = 0, label: int | Tensor | None = None, truncation: float | None = None
    ) -> Tensor:
        """Samples of given latents [n, z], block by block. label: one class for all, or that of each [n]; the classes
        in turn unless given."""
        if label is not None and not isinstance(label, Tensor):
            self.check_class(label)
        generator = self._cached_generator(member)
        z = truncate(z, truncation) if truncation is not None else z
        if not self.classes:
            return networks.apply_blockwise(generator, z)
        labels = self.labels_in_turn(len(z)) if label is None else torch.as_tensor(label).expand(len(z))
        return networks.apply_blockwise(generator, z, labels)

    def _cached_generator(self, member: int) -> nn.Module:
        """The generator, kept while its state is the same: its standing statistics cost a thousand samples."""
        state = self.state(member)
        cached = self._generators.get(member)
        if cached is None or cached[0] is not state:
            cached = self._generators[member] = (state, self.generator(member))
        return cached[1]

    # --- with an encoder ---

    def encoder(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: samples [n, *shape] in the data's units (and noise [n, latent], where the
        encoder is stochastic) to codes [n, latent], with averaged weights. Raises ValueError where there is none."""
        return Codes(self, member).encoder

    def encode(self, x: Tensor, seed: int | None = None, member: int = 0) -> Tensor:
        """Codes [n, latent] of samples [n, *shape] in the data's units; row i depends on row i alone.

        seed: of one draw of a stochastic encoder's codes; without it their centre, the code at noise 0. Raises
        ValueError where the run has no encoder, and for samples of another shape or range than it was trained on.
        """
        return Codes(self, member).encode(x, seed)

    def reconstruct(self, x: Tensor, seed: int | None = None, member: int = 0) -> Tensor:
        """G(E(x)) [n, *shape] in the data's units; arguments and errors as of `encode`."""
        return self.decode(self.encode(x, seed, member), member)

    def anomaly(self, x: Tensor, weight: float = RECONSTRUCTION, member: int = 0) -> Tensor:
        r"""How unlike the training data samples [n, *shape] are, [n]:

        .. math:: w\,\|x - G(E(x))\|_1 + (1 - w)\,\|\phi(x, E(x)) - \phi(G(E(x)), E(x))\|_1

        in network units, phi the critic's last hidden layer. Source: Zenati et al. 2018 (EGBAD), section 3, with
        their feature matching and w = .9. Errors as of `encode`.
        """
        return Codes(self, member).anomaly(x, weight)

    # --- judging ---

    def judgement(
        self,
        data: str | Data | None = None,
        metrics: Sequence[str] | None = None,
        *,
        seed: int = 0,
        baselines: float = False,
    ) -> dict[str, Any]:
        """``{"metrics": {name: {"mean", "std", "per_member"}}, "provenance": ...}`` against the test part of the run's
        data, or of other data of the same shape. baselines: those of an encoder, each trained as long as a member was,
        or for so many seconds.

        Raises ValueError, before anything is drawn, for data that do not fit, and for metrics that these data or this
        run cannot have."""
        metrics = judges.named(metrics)
        rows = self.source(data)
        if not isinstance(rows, Data):
            raise ValueError(f"{rows.name} holds rankings, and {self.directory} makes samples")
        if rows.shape != self.game.shape:
            raise ValueError(f"{rows.name} has rows of shape {rows.shape}, the run was trained on {self.game.shape}")
        own = (CRITIC_W1, *inference.NAMES)
        asked = None if metrics is None else [name for name in metrics if name not in own]
        self._check_metrics(metrics, rows, bool(baselines))
        if metrics is None and not judges.metrics_for(rows):
            return judges.judge([rows.restore("test")], rows)  # which says why there is nothing
        samples = [self._sample_beside(rows, judges.sample_count(rows), seed, member) for member in range(self.members)]
        out = judges.judge(samples, rows, asked)
        if CRITIC_W1 in (metrics or ()) or (metrics is None and rows.units.shared):
            out["metrics"] |= self._critic_estimates(rows)
        if baselines or set(inference.NAMES) & set(metrics or ()) or (metrics is None and self.encodes):
            found, facts = self._judge_codes(rows, seed, self._seconds() if baselines is True else baselines)
            out["metrics"] |= {k: v for k, v in found.items() if metrics is None or k in metrics}
            out["provenance"]["inference"] = facts
        return {**out, "provenance": self._add_provenance(out["provenance"], tuple(out["metrics"]), rows)}

    def _add_provenance(self, provenance: dict[str, Any], names: Sequence[str], data: Data) -> dict[str, Any]:
        """With how classes were drawn, and which of all metrics rest on few rows."""
        if self.classes:
            counts = self._counts_beside(data)
            provenance["classes_drawn"] = "in the shares of the training part" if counts else "in turn"
            if 0 < len(counts) <= MOST_SHARES:
                provenance["class_shares"] = [round(count / sum(counts), 4) for count in counts]
        rows = min(provenance["samples"], judges.held_out_rows(data))
        few = judges.few_rows(names, rows, data)
        return {**provenance, "few": few} if few else provenance

    def _check_metrics(self, metrics: Sequence[str] | None, data: Data, baselines: bool) -> None:
        """Raises ValueError, with the way out, for a metric that the run cannot have on these data."""
        features = not self.game.objective.features
        of_codes = inference.metrics_for(data, features, baselines) if self.encodes else ()
        for name in metrics or ():
            if name in inference.NAMES and name not in of_codes:
                raise ValueError(f"{name} {self._why_no_metric(name, data, features)}")
            if name == CRITIC_W1 and (self.game.objective.features or self.game.draw.moves_real):
                raise ValueError(
                    f"{CRITIC_W1} needs a critic of scores of samples alone; this one returns features, or scores pairs"
                )
            if name not in (*judges.NAMES, CRITIC_W1, *inference.NAMES):
                if name in RANKING_METRICS:
                    raise ValueError(f"{name} is a metric of rankings, and {self.directory} makes samples")
                raise unknown_name("metric", name, (*judges.NAMES, CRITIC_W1, *inference.NAMES))
        judges.check(data, None if metrics is None else [name for name in metrics if name in judges.NAMES])

    def _why_no_metric(self, name: str, data: Data, features: bool) -> str:
        """Of an encoder's metric, why it is not there."""
        if not self.encodes:
            return f"is a metric of encoders, and this run of {self.name} has no encoder: train ali or bigan"
        if name in inference.metrics_for(data, features, baselines=True):
            return "is one of the baselines, which are trained when asked for: add --baselines (baselines=True)"
        if name in inference.metrics_for(data, baselines=True):
            return "reads the critic's features beside its score, and this critic has no score"
        if name == "c2st" or len(data.test) < 2:
            return f"takes more test rows than the {len(data.test)} of {data.name}"
        return f"needs rows with classes, two or more of them, and {data.name} has none"

    def _sample_beside(self, data: Data, n: int, seed: int, member: int) -> Tensor:
        """Samples to be judged beside data: as `sample`, but of a run that has not recorded how often its classes
        are."""
        counts = self._counts_beside(data)
        if counts == self.class_rows:
            return self.sample(n, seed, member)
        return self.decode(latents(self.latent, seed, n), member, draw_classes(counts, seed, n))

    def _counts_beside(self, data: Data) -> tuple[int, ...]:
        """The training rows of each class, as they were recorded; else those of data with the same classes, or ()."""
        same = data.labels is not None and data.labels.names == self.classes
        return self.class_rows or (tuple(data.class_rows()) if same else ())

    def _judge_codes(self, data: Data, seed: int, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the encoders are worth, and how that was found. Raises ValueError where there are none."""
        rows, facts = [], inference.facts(data)
        z = latents(self.latent, seed, judges.SAMPLES)
        for member in range(self.members):
            coder = Codes(self, member).coder
            row = inference.judge(coder, z, data)
            if seconds:
                more, facts["baselines"] = inference.judge_trained(
                    self.game, coder, data, self.facts["seed"] + member, seconds
                )
                row |= more
            rows.append(row)
        return judges.summary(rows), facts

    def _seconds(self) -> float:
        """For which each member was trained."""
        lines = files.read_lines(self.directory / "log.jsonl")
        if not lines:
            raise ValueError(f"{self.directory} has no log that says how long it was trained")
        return float(lines[-1]["seconds"]) / self.facts["seeds"]

    def _critic_estimates(self, data: Data) -> dict[str, Any]:
        """The critics' own distances, to be read beside the exact one, where critics have a score."""
        rows = [critic_estimate(self.game, state, data) for state in self.states]
        return judges.summary(rows) if rows[0] else {}


def observe(game: Game, state: Tree, data: Data) -> dict[str, float]:
    """The facts of one member, from held-out rows (`diagnostics.observe`)."""
    x = data.part("valid", OBSERVED_ROWS if len(data.shape) == 1 else OBSERVED_PICTURES)
    labels = (data.labels.valid[: len(x)],) if "y" in game.draw.columns("critic") and data.labels else ()
    return diagnostics.observe(game, state, (x, *labels))


def critic_estimate(game: Game, state: Tree, data: Data) -> dict[str, float]:
    """The critic's own distance :math:`E f(x) - E f(G(z))` on held-out rows, divided by its steepest slope between
    the two sides, in the data's units (where its columns share one): to be read beside the exact W1. A critic of
    scores only, and of a game that compares nothing else."""
    if game.objective.features or game.draw.moves_real:
        return {}
    facts = observe(game, state, data)
    if facts["lipschitz"] <= 0:
        return {"critic_w1": math.nan}
    scale = float(data.units.scale.mean())
    return {"critic_w1": scale * (facts["score_real"] - facts["score_fake"]) / facts["lipschitz"]}


def _check_classes(game: Game, data: Data) -> None:
    """Raises ValueError where the players cannot be told the classes of the data."""
    if not data.class_count:
        raise ValueError(f"{data.name} has no labels: {TO_HAVE_CLASSES}")
    told = game.critic.classes if isinstance(game.critic, networks.Critic) else data.class_count
    if told != data.class_count:
        raise ValueError(f"classes={told}, and {data.name} has {data.class_count}: leave it out, --labels counts them")
    if data.codes("valid") is None:
        raise ValueError(f"the validation rows have no labels of the classes of {data.name}: play without --labels")


def _class_rows(data: Data) -> dict[str, int]:
    """Training rows of each class by its name; none where there are no labels."""
    return dict(zip(data.labels.names, data.class_rows(), strict=True)) if data.labels else {}


def _describe_classes(data: Data) -> str:
    """The classes with their training rows; of many how many there are."""
    rows = _class_rows(data)
    if len(rows) > MAX_NAMED:
        return f"{len(rows):,}, of {min(rows.values()):,} to {max(rows.values()):,} training rows each"
    return ", ".join(f"{name} ({count:,} training rows)" for name, count in rows.items())


def describe_reading(data: Data) -> list[str]:
    """What was decided on the way from the files, and which of them were left out."""
    return [*data.remarks, *(f"skipped: {text}" for text in _describe_skipped(data))]


def _describe_skipped(data: Data) -> list[str]:
    """A line for each reason, with the first files that were skipped for it."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in data.skipped:
        by_reason.setdefault(reason, []).append(name)
    more = lambda names: f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""  # noqa: E731
    return [f"{reason}: {', '.join(names[:MAX_NAMED])}{more(names)}" for reason, names in by_reason.items()]


class Affine(TypedDict):
    shift: list[float]
    scale: list[float]


class UnitFacts(Affine, total=False):
    dtype: Literal["float32", "float64"]


class ViewFacts(TypedDict):
    kind: str
    centre: tuple[float, float]
    reach: float
    axes: list[list[float]] | None


class NeededSampleFacts(DataFacts):
    units: UnitFacts
    view: ViewFacts
    range: tuple[float, float]
    classes: list[str]


class SampleFacts(NeededSampleFacts, total=False):
    """What a run says of its samples."""

    class_rows: list[int]


class Generation(Task):
    """Samples of vectors and pictures."""

    name = "generation"
    kinds = ("plane", "digits", "vectors", "pictures")
    noun = "samples"
    sources = "vectors, pictures, ring8 or digits"
    data_facts = SampleFacts

    def accepts(self, game: Game) -> bool:
        return not isinstance(game.draw, (Retrieve, Hardest))

    def label_settings(self, data: Data) -> dict[str, Any]:
        if not data.class_count:
            raise ValueError(f"{data.name} has no classes: {TO_HAVE_CLASSES}, or leave out --labels")
        return {"classes": data.class_count}

    def check(self, game: Game, data: Data) -> None:
        super().check(game, data)
        if "y" in game.draw.columns("critic"):
            _check_classes(game, data)
        judges.check(data)
        if data.kind == "pictures" and game.batch_size > data.rows:
            raise ValueError(
                f"{data.name} has {data.rows} training pictures, fewer than a batch of {game.batch_size}: give "
                f"--batch-size {data.rows}, or more pictures"
            )

    def describe(self, game: Game, data: Data) -> dict[str, str]:
        train, valid, test = data.sizes().values()
        rows = f"{train} train, {valid} validation, {test} test rows of shape {' x '.join(map(str, data.shape))}"
        of_codes = inference.metrics_for(data, not game.objective.features) if "encoder" in game.generators else ()
        named = judges.metrics_for(data)
        by = f"by {', '.join((*named, *of_codes))}" if named else ""
        found = {
            "data": f"{data.name}: {rows}",
            "read by": ", ".join(f"{key} {value}" for key, value in data.choices.items()),
            "classes": _describe_classes(data),
            "remarks": "; ".join(data.remarks),
            "skipped": "; ".join(_describe_skipped(data)),
            "judged": "; ".join(filter(None, (by, judges.notice(data)))),
        }
        return {key: text for key, text in found.items() if text}

    def notes(self, data: Data) -> Sequence[str]:
        untaught = [name for name, rows in _class_rows(data).items() if not rows]
        without = [f"no training row is of class {', '.join(untaught)}: it cannot be sampled"] if untaught else []
        return [*without, *describe_reading(data), *filter(None, [judges.notice(data)])]

    def facts(self, data: Data) -> dict[str, Any]:
        return {
            "units": data.units.facts,
            "view": dataclasses.asdict(View.of(data)),
            "range": data.range,
            "classes": list(data.labels.names) if data.labels else [],
            "class_rows": data.class_rows(),
            "skipped": len(data.skipped),
            "skipped_files": dict(data.skipped[:MAX_RECORDED]),
            "remarks": list(data.remarks),
        }

    def open_run(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]) -> GeneratorRun:
        of = [len(facts["data"]["units"][side]) for side in ("shift", "scale")]
        if of not in ([1, 1], [game.shape[-1]] * 2):
            raise ValueError(f"{directory / 'run.json'} is not a description of a run: its units are of {of} numbers")
        return GeneratorRun(directory, facts, game, states)

    def keeper(self, run: GeneratorRun, data: Data) -> Gallery:
        return Gallery(run, data, lambda state: observe(run.game, state, data))

    def next_command(self, run: Run) -> str:
        return f"sample {shlex.quote(str(run.directory))} --n 100 --out samples.png"
