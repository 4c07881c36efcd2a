"""Generation: samples, of vectors or pictures, and with an encoder the way from a sample to its code."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import networks
from ..core.randomness import BLOCK_ROWS, Need, latents
from ..core.tree import Tree
from ..data import Data, Units
from ..draws import Hardest, Retrieve
from ..game import Game
from ..judging import inference, judges
from ..rendering import View
from ..runs import diagnostics, files
from ..runs.run import Run, with_weights
from ..runs.task import Task
from .galleries import Gallery
from .inference import RECONSTRUCTION, Codes
from .modules import OutputInUnits, truncate

CRITIC_W1 = "critic_w1"  # the one metric that asks the critic, not the samples
STANDING_BATCHES, STANDING_LATENTS = 16, 64  # batches, and latents of each, for batch norm's standing statistics
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
        units = self.facts["data"]["units"]
        return Units(torch.tensor(units["shift"]), torch.tensor(units["scale"]))

    @cached_property
    def view(self) -> View:
        view = dict(self.facts["data"]["view"])
        axes = view.pop("axes", None)
        return View(**{**view, "centre": tuple(view["centre"])}, axes=axes and tuple(map(tuple, axes)))

    @property
    def classes(self) -> tuple[str, ...]:
        """What its labels are called, where it was trained with them."""
        return tuple(self.facts["data"].get("classes", ())) if "y" in self.game.draw.columns("critic") else ()

    def generator(self, member: int = 0) -> nn.Module:
        """An ordinary module in eval mode: latents [n, z] (and labels [n], where it was trained with them) to samples
        [n, *shape] in the data's units, with averaged weights and standing statistics, so that a sample does not depend
        on its neighbours."""
        weights = diagnostics.averaged_weights(self.game, self.state(member))["generator"]
        module = with_weights(self.game.generators["generator"], weights)
        return OutputInUnits(networks.freeze_norms(module, self._standing_batches()), self.units).eval()

    def _standing_batches(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches whose statistics a generator keeps; with labels, all classes in turn."""
        for i in range(STANDING_BATCHES):
            z = latents(self.latent, -1 - i, STANDING_LATENTS)
            yield (z, torch.arange(STANDING_LATENTS) % len(self.classes)) if self.classes else (z,)

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

        label: of a run trained with labels; its classes in turn unless given. truncation: the largest coordinate of z.
        """
        if n < 1:
            raise ValueError(f"ask for at least one sample, not {n}")
        # whole blocks: the arithmetic of a row never depends on how many were asked for
        whole = -(-n // BLOCK_ROWS) * BLOCK_ROWS
        return self.decode(latents(self.latent, seed, whole), member, label, truncation)[:n]

    @torch.no_grad()
    def decode(self, z: Tensor, member: int = 0, label: int | None = None, truncation: float | None = None) -> Tensor:
        """Samples of given latents [n, z], block by block."""
        if label is not None and not 0 <= label < len(self.classes):
            known = f"0 to {len(self.classes) - 1}" if self.classes else "trained without labels"
            raise ValueError(f"there is no class {label}: this run has {known}")
        generator = self._cached_generator(member)
        z = truncate(z, truncation) if truncation is not None else z
        if not self.classes:
            return networks.apply_blockwise(generator, z)
        labels = torch.arange(len(z)) % len(self.classes) if label is None else torch.full((len(z),), label)
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
        or for so many seconds."""
        rows = self.source(data)
        if not isinstance(rows, Data):
            raise ValueError(f"{rows.name} holds rankings, and {self.directory} makes samples")
        if rows.shape != self.game.shape:
            raise ValueError(f"{rows.name} has rows of shape {rows.shape}, the run was trained on {self.game.shape}")
        samples = [self.sample(judges.sample_count(rows), seed, member) for member in range(self.members)]
        own = (CRITIC_W1, *inference.NAMES)
        asked = None if metrics is None else [name for name in metrics if name not in own]
        out = judges.judge(samples, rows, asked)
        if CRITIC_W1 in (metrics or ()) or (metrics is None and rows.units.shared):
            out["metrics"] |= self._critic_estimates(rows, must=metrics is not None)
        if baselines or set(inference.NAMES) & set(metrics or ()) or (metrics is None and self.encodes):
            found, facts = self._judge_codes(rows, seed, self._seconds() if baselines is True else baselines)
            out["metrics"] |= {k: v for k, v in found.items() if metrics is None or k in metrics}
            out["provenance"]["inference"] = facts
        return out

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

    def _critic_estimates(self, data: Data, must: bool) -> dict[str, Any]:
        """The critics' own distances, to be read beside the exact one; ValueError where there must be some and no
        critic has a score."""
        rows = [critic_estimate(self.game, state, data) for state in self.states]
        if must and not rows[0]:
            raise ValueError(
                f"{CRITIC_W1} needs a critic of scores of samples alone; this one returns features, or scores pairs"
            )
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


class Generation(Task):
    """Samples of vectors and pictures."""

    name = "generation"
    kinds = ("plane", "digits", "vectors", "pictures")
    noun = "samples"
    sources = "vectors, pictures, ring8 or digits"

    def accepts(self, game: Game) -> bool:
        return not isinstance(game.draw, (Retrieve, Hardest))

    def label_settings(self, data: Data) -> dict[str, Any]:
        return {"classes": data.class_count}

    def check(self, game: Game, data: Data) -> None:
        super().check(game, data)
        if "y" in game.draw.columns("critic") and not data.class_count:
            raise ValueError(f"{data.name} has no labels: put its pictures into a folder for each class")
        if "y" in game.draw.columns("critic") and data.codes("valid") is None:
            raise ValueError(f"the validation rows have no labels of the classes of {data.name}: play without --labels")
        if data.kind == "pictures" and game.batch_size > data.rows:
            raise ValueError(f"{data.name} has {data.rows} training pictures, fewer than a batch of {game.batch_size}")

    def describe(self, game: Game, data: Data) -> dict[str, str]:
        train, valid, test = data.sizes().values()
        rows = f"{train} train, {valid} validation, {test} test rows of shape {' x '.join(map(str, data.shape))}"
        skipped = {"skipped": f"{len(data.skipped)} files"} if data.skipped else {}
        return {"data": f"{data.name}: {rows}", **skipped}

    def notes(self, data: Data) -> Sequence[str]:
        reasons = Counter(reason for _, reason in data.skipped)
        return [f"skipped: {reason}: {times}" for reason, times in reasons.items()]

    def facts(self, data: Data) -> dict[str, Any]:
        return {
            "units": {"shift": data.units.shift.tolist(), "scale": data.units.scale.tolist()},
            "view": dataclasses.asdict(View.of(data)),
            "range": data.range,
            "classes": list(data.labels.names) if data.labels else [],
            "skipped": len(data.skipped),
        }

    def open_run(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]) -> GeneratorRun:
        return GeneratorRun(directory, facts, game, states)

    def keeper(self, run: GeneratorRun, data: Data) -> Gallery:
        return Gallery(run, data, lambda state: observe(run.game, state, data))

    def next_command(self, run: Run) -> str:
        return f"sample {run.directory} --n 100 --out samples.png"
