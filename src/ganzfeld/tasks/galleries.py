"""The gallery of a run: what is drawn of its samples while it trains and at its end, each with its facts beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.randomness import great_circle, latents
from ..core.tree import Tree
from ..data import Data
from ..judging import inference, judges
from ..rendering import sheet
from ..runs import files
from ..runs.task import Keeper

STRIPS, ACROSS = 4, 16  # interpolations at the end of a run of pictures, and the pictures of each
PAIRS, PAIRED = 48, 12  # held-out rows that are reconstructed, and how many stand in a line
CODES = 600  # held-out rows whose codes are kept to be drawn
COPIED, NEAREST = 8, 3  # samples that are looked for in the training part, and the rows shown of each


class Gallery(Keeper):
    """Of one run, in its directory. observe: the facts of a member's state."""

    def __init__(self, run: Any, data: Data, observe: Callable[[Tree], dict[str, float]]):
        super().__init__(run, data)
        self._observe, self.directory = observe, run.directory
        (self.directory / "samples").mkdir(exist_ok=True)

    def observe(self, state: Tree) -> dict[str, float]:
        return self._observe(state)

    def finish(self, step: int) -> None:
        """What the finished run can do besides."""
        if self.data.kind == "pictures":
            self._interpolations(step)
            self._neighbours(step)
        if self.run.encodes:
            self._reconstructions(step)
            self._codes(step)

    def keep(self, step: int) -> None:
        """A sheet of samples."""
        path = self.directory / "samples" / f"step-{step:08d}.png"
        self.run.view.picture(self.run.sample(self.run.view.count)).save(path)

    def _interpolations(self, step: int) -> None:
        """Strips from one latent of seed 0 to another; with labels, each within a class."""
        ends = latents(self.run.latent, 0, 2 * STRIPS).view(STRIPS, 2, *self.run.latent.shape)
        names = self.run.classes
        classes = [i % len(names) if names else None for i in range(STRIPS)]
        ways = [great_circle(first, last, ACROSS) for first, last in ends]
        strips = [self.run.decode(z, label=label) for z, label in zip(ways, classes, strict=True)]
        said = {"rows": STRIPS, "columns": ACROSS, "classes": [names[i] for i in classes if i is not None]}
        self._beside("interpolation", step, torch.cat(strips), said)

    def _neighbours(self, step: int) -> None:
        """Samples of seed 0, and below each the training pictures nearest to it by each eye, if there are enough
        held-out pictures to say how near is usual."""
        if not set(judges.FEATURES) & set(judges.fitting(self.data)):
            return
        samples = self.run.sample(COPIED)
        found = judges.memorised(samples, self.data, n=COPIED, k=NEAREST)
        below = [copies.pictures.transpose(0, 1).flatten(0, 1) for copies in found.values()]
        spaces = {
            space: {
                "distances": copies.distances.tolist(),
                "indices": copies.indices.tolist(),
                "usual": copies.usual,
            }
            for space, copies in found.items()
        }
        shape = {"rows": 1 + NEAREST * len(found), "columns": COPIED, "nearest": NEAREST}
        among = {"train": len(self.data.train), "held_out": min(judges.USUAL, len(self.data.test))}
        self._beside("neighbours", step, torch.cat([samples, *below]), {**shape, **among, "spaces": spaces})

    def _reconstructions(self, step: int) -> None:
        """The first held-out rows, and below each, or beside all, what their codes give back."""
        flat = self.run.view.kind in ("plane", "vectors")
        x = self.data.restored("test", self.run.view.count if flat else PAIRS)
        again = self.run.reconstruct(x)
        place = self.directory / "samples" / "reconstruction.png"
        self.run.view.pairs(x, again, PAIRED).save(place)
        rmse = float((x - again).square().mean().sqrt())
        said = {
            "pairs": len(x),
            "columns": 2 if flat else PAIRED,
            "rmse": rmse,
            "part": "test",
            "layout": "beside" if flat else "below",
        }
        files.write_json(place.with_suffix(".json"), {"step": step, "member": 0, **said})

    def _codes(self, step: int) -> None:
        """Codes of the first held-out rows on their two principal axes, with the class of each where it is known."""
        x = self.data.restored("test", CODES)
        codes = self.run.encode(x)
        codes = codes - codes.mean(0)
        axes = torch.linalg.svd(codes, full_matrices=False)
        points = codes @ axes.Vh[:2].T
        shares = (axes.S.square() / axes.S.square().sum())[:2].tolist()
        classes = self.data.labels if inference.classified(self.data) else None
        said = {
            "points": [[round(float(v), 4) for v in point] for point in points], "shares": shares,
            "latent": codes.shape[1], "classes": classes.test[: len(x)].tolist() if classes else None,
            "names": list(classes.names) if classes else [], "part": "test",
        }  # fmt: skip
        files.write_json(self.directory / "samples" / "codes.json", {"step": step, "member": 0, **said})

    def _beside(self, name: str, step: int, pictures: Tensor, said: Mapping[str, Any]) -> None:
        """A sheet beside the samples, with its facts."""
        place = self.directory / "samples" / name
        sheet(pictures, said["columns"]).save(place.with_suffix(".png"))
        files.write_json(place.with_suffix(".json"), {"step": step, "member": 0, "latents": "of seed 0", **said})
