"""The gallery of a run: what is drawn of its samples while it trains and at its end, each with its facts beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..core import disk
from ..core.randomness import great_circle, latents
from ..core.tree import Tree
from ..data import Data
from ..judging import inference, judges
from ..rendering import as_png, sheet
from ..runs import files
from ..runs.task import Keeper

STRIPS, STRIP_PICTURES = 4, 16  # interpolations at the end of a run of pictures, and the pictures of each
PAIR_ROWS, PAIR_COLUMNS = 48, 12  # held-out rows that are reconstructed, and how many stand in a line
CODE_ROWS = 600  # held-out rows whose codes are kept to be drawn
NEIGHBOUR_SAMPLES, NEIGHBOUR_ROWS = 8, 3  # samples that are looked for in the training part, and the rows shown of each


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
            self._draw_interpolations(step)
            self._draw_neighbours(step)
        if self.run.encodes:
            self._draw_reconstructions(step)
            self._save_codes(step)

    def keep(self, step: int) -> None:
        """A sheet of samples."""
        path = self.directory / "samples" / f"step-{step:08d}.png"
        disk.replace(path, as_png(self.run.view.picture(self.run.sample(self.run.view.count))))

    def _draw_interpolations(self, step: int) -> None:
        """Strips from one latent of seed 0 to another; with labels, each within a class."""
        ends = latents(self.run.latent, 0, 2 * STRIPS).view(STRIPS, 2, *self.run.latent.shape)
        names = self.run.classes
        classes = self.run.labels_in_turn(STRIPS).tolist() if names else [None] * STRIPS
        ways = [great_circle(first, last, STRIP_PICTURES) for first, last in ends]
        strips = [self.run.decode(z, label=label) for z, label in zip(ways, classes, strict=True)]
        facts = {"rows": STRIPS, "columns": STRIP_PICTURES, "classes": [names[i] for i in classes if i is not None]}
        self._save_sheet("interpolation", step, torch.cat(strips), facts)

    def _draw_neighbours(self, step: int) -> None:
        """Samples of seed 0, and below each the training pictures nearest to it by each eye, if there are enough
        held-out pictures to say how near is usual."""
        if not set(judges.FEATURES) & set(judges.metrics_for(self.data)):
            return
        samples = self.run.sample(NEIGHBOUR_SAMPLES)
        eyes = judges.nearest_copies(samples, self.data, n=NEIGHBOUR_SAMPLES, k=NEIGHBOUR_ROWS)
        below = [copies.pictures.transpose(0, 1).flatten(0, 1) for copies in eyes.values()]
        spaces = {
            space: {"distances": copies.distances.tolist(), "indices": copies.indices.tolist(), "usual": copies.usual}
            for space, copies in eyes.items()
        }
        shape = {"rows": 1 + NEIGHBOUR_ROWS * len(eyes), "columns": NEIGHBOUR_SAMPLES, "nearest": NEIGHBOUR_ROWS}
        among = {"train": len(self.data.train), "held_out": min(judges.USUAL_ROWS, len(self.data.test))}
        self._save_sheet("neighbours", step, torch.cat([samples, *below]), {**shape, **among, "spaces": spaces})

    def _draw_reconstructions(self, step: int) -> None:
        """The first held-out rows, and below each, or beside all, what their codes give back."""
        flat = self.run.view.kind in ("plane", "vectors")
        x = self.data.restore("test", self.run.view.count if flat else PAIR_ROWS)
        again = self.run.reconstruct(x)
        pairs = self.run.view.pairs(x, again, PAIR_COLUMNS)
        disk.replace(self.directory / "samples" / "reconstruction.png", as_png(pairs))
        rmse = float((x - again).square().mean().sqrt())
        layout = {"columns": 2 if flat else PAIR_COLUMNS, "part": "test", "layout": "beside" if flat else "below"}
        self._write("reconstruction", step, {"pairs": len(x), "rmse": rmse, **layout})

    def _save_codes(self, step: int) -> None:
        """Codes of the first held-out rows on their two principal axes, with the class of each where it is known."""
        x = self.data.restore("test", CODE_ROWS)
        codes = self.run.encode(x)
        codes = codes - codes.mean(0)
        axes = torch.linalg.svd(codes, full_matrices=False)
        points = codes @ axes.Vh[:2].T
        shares = (axes.S.square() / axes.S.square().sum())[:2].tolist()
        classes = self.data.labels if inference.has_classes(self.data) else None
        self._write("codes", step, {
            "points": [[round(float(v), 4) for v in point] for point in points], "shares": shares,
            "latent": codes.shape[1], "classes": classes.test[: len(x)].tolist() if classes else None,
            "names": list(classes.names) if classes else [], "part": "test",
        })  # fmt: skip

    def _save_sheet(self, name: str, step: int, pictures: Tensor, facts: Mapping[str, Any]) -> None:
        """A sheet beside the samples, with its facts."""
        disk.replace(self.directory / "samples" / f"{name}.png", as_png(sheet(pictures, facts["columns"])))
        self._write(name, step, {"latents": "of seed 0", **facts})

    def _write(self, name: str, step: int, facts: Mapping[str, Any]) -> None:
        files.write_json(self.directory / "samples" / f"{name}.json", {"step": step, "member": 0, **facts})
